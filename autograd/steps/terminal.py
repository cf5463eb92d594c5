"""How do you step through a pass in a terminal? With keys, which redraw the same lines."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence

from autograd.steps.step import BackwardStep, ForwardStep, Step
from autograd.steps.table import HEADINGS, cells
from autograd.steps.writing import about_conditions, gradient_of
from autograd.text import aligned, for_stream, number, text_width, wrapped
from autograd.value import Value

_HELP = "←/→ step   q quit   space play/pause   Home/End first/last"
_BOLD, _DIM, _LIT = "1", "2", "1;36"
_NEWEST = 8  # gradients in the list of those known so far


def play(steps: Sequence[Step], seconds: float) -> None:
    """Show the steps in a terminal, one at a time; without a terminal, print the table."""
    with _Keys() as keys:
        if keys.is_terminal and len(steps):
            _play(steps, keys, seconds)
        else:
            print(steps)


def _play(steps: Sequence[Step], keys: _Keys, seconds: float) -> None:
    """Show one step and, at each key, another one in the same lines of the screen."""
    color = not os.environ.get("NO_COLOR")
    position, playing, drawn = 0, False, 0
    try:
        sys.stdout.write("\x1b[?25l")  # no cursor
        while True:
            lines = _screen(steps, position, playing, color)
            up = f"\x1b[{drawn - 1}A" if drawn > 1 else ""
            sys.stdout.write(f"\r{up}\x1b[J" + "\n".join(lines))
            sys.stdout.flush()
            drawn = len(lines)
            key = keys.next(seconds if playing else None)
            if key == "leave":
                return
            playing = not playing if key == "space" else playing and key == ""
            moves = {"right": 1, "left": -1, "home": -len(steps), "end": len(steps)}
            move = 1 if playing and key in ("", "space") else moves.get(key, 0)
            position = min(max(position + move, 0), len(steps) - 1)
            playing = playing and position < len(steps) - 1
    except KeyboardInterrupt:
        return
    finally:
        sys.stdout.write("\x1b[?25h\n")
        sys.stdout.flush()


def _screen(steps: Sequence[Step], position: int, playing: bool, color: bool) -> list[str]:
    """The lines that show a step, cut to the size of the terminal."""
    import shutil

    size = shutil.get_terminal_size()
    width, height = max(size.columns, 2) - 1, max(size.lines, 2)
    way = "forward" if position < len(steps) // 2 else "backward"
    title = f"step {position + 1} of {len(steps)}, {way}" + ", playing" * playing
    lines = [(_BOLD, _cut(title, width)), ("", "")]
    for style, text in _step_lines(steps, position, width):
        lines += [(style, line) for line in _folded(text, width)]
    lines = [*lines[: max(height - 3, 1)], ("", ""), (_DIM, _cut(_HELP, width))]
    return [
        f"\x1b[{style}m{text}\x1b[0m" if style and color else text
        for style, text in lines[: height - 1]
    ]


def _step_lines(steps: Sequence[Step], position: int, width: int) -> list[tuple[str, str]]:
    """(style, line) pairs: the equation, the table of contributions, the gradients so far."""
    step = steps[position]
    lines = [(_LIT, f"{step.name} = {step.formula}")]
    if isinstance(step, ForwardStep):
        space = " " * text_width(step.name)
        results = (step.in_numbers, number(step.data))
        return lines + [("", f"{space} = {result}") for result in results]
    lines += [("", gradient_of(step.name, step.upstream)), ("", "")]
    rows = [cells(step.upstream, passed) for passed in step.contributions]
    table = aligned([HEADINGS, *rows], "llll") if rows else [step.silence]
    is_table = bool(rows) and max(map(text_width, table)) <= width
    if rows and not is_table:  # each cell then follows its heading
        cells_of = [list(map(" ".join, zip(HEADINGS, row, strict=True))) for row in rows]
        table = [line for first, *others in cells_of for line in wrapped(first, others, width)]
    lines += [(_DIM if is_table and not at else "", line) for at, line in enumerate(table)]
    lines += [(_DIM, line) for line in about_conditions(table)]
    lines.append(("", ""))
    known = wrapped("gradients so far", _known(steps, position), width)
    lines += [(_DIM if not at else "", line) for at, line in enumerate(known)]
    return lines


def _known(steps: Sequence[Step], position: int) -> list[str]:
    """`a.grad = 8` for the nodes that received something most recently, newest first."""
    found: dict[Value, str] = {}
    first = max(len(steps) // 2, position - 4 * _NEWEST)
    for i in range(position, first - 1, -1):
        step = steps[i]
        assert isinstance(step, BackwardStep)
        received = [(each.parent, each.name, each.total) for each in reversed(step.contributions)]
        for node, name, sofar in [*received, (step.node, step.name, step.upstream)]:
            found.setdefault(node, gradient_of(name, sofar))
    entries = list(found.values())
    return entries[:_NEWEST] + (["..."] if len(entries) > _NEWEST else [])


def _folded(text: str, width: int) -> list[str]:
    """A text in lines of at most `width` columns, broken between words where possible."""
    text = for_stream(text)
    if text_width(text) <= width:
        return [text]
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".lstrip()
        if text_width(joined) <= width:
            lines[-1] = joined
            continue
        lines.append("")
        for character in word:
            lines += [""] * (text_width(lines[-1] + character) > width)
            lines[-1] += character
    return list(filter(None, lines))


def _cut(text: str, width: int) -> str:
    """A text cut to at most `width` columns."""
    text, ending = for_stream(text), for_stream("…")
    if text_width(text) <= width:
        return text
    while text_width(text) > max(width - len(ending), 0):
        text = text[:-1]
    return (text + ending)[:width]


class _Keys:
    """The keyboard. While entered, keys come one by one without echo, and Ctrl-C is a key."""

    def __init__(self) -> None:
        screen = all(s is not None and s.isatty() for s in (sys.stdin, sys.stdout))
        self.is_terminal = screen and os.environ.get("TERM") != "dumb"

    if sys.platform == "win32":

        def __enter__(self) -> _Keys:
            os.system("")  # makes the console understand ANSI
            return self

        def __exit__(self, *exception: object) -> None:
            return None

        def next(self, seconds: float | None) -> str:
            """The next key; "" if there is none within `seconds`."""
            import msvcrt
            import time

            end = math.inf if seconds is None else time.monotonic() + seconds
            while not msvcrt.kbhit():
                if time.monotonic() > end:
                    return ""
                time.sleep(0.01)
            key = msvcrt.getwch()
            if key in "\x00\xe0":  # the first half of a key that is not a character
                return _WINDOWS_KEYS.get(msvcrt.getwch(), "unknown")
            return _KEYS.get(key, "unknown")

    else:

        def __enter__(self) -> _Keys:
            if self.is_terminal:
                import termios

                self._file = sys.stdin.fileno()
                self._before = termios.tcgetattr(self._file)
                mode = termios.tcgetattr(self._file)
                mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
                termios.tcsetattr(self._file, termios.TCSADRAIN, mode)
                self._typed = b""
            return self

        def __exit__(self, *exception: object) -> None:
            if self.is_terminal:
                import termios

                termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)

        def next(self, seconds: float | None) -> str:
            """The next key; "" if there is none within `seconds`."""
            if not self._typed and not self._read(seconds):
                return ""
            # An arrow key sends an escape character and more, which may arrive a moment later.
            while _UNFINISHED.fullmatch(self._typed) and self._read(0.1):
                pass
            key = _KEY.match(self._typed)
            assert key is not None
            self._typed = self._typed[key.end() :]
            return _KEYS.get(key.group().decode("latin-1"), "unknown")

        def _read(self, seconds: float | None) -> bool:
            """Whether something was typed within `seconds`. The end of the input counts as q."""
            import select

            if not select.select([self._file], [], [], seconds)[0]:
                return False
            self._typed += os.read(self._file, 1024) or b"q"
            return True


_KEY = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b([\[O][0-9;]*)?")
_KEYS = {
    **dict.fromkeys(["\x1b[C", "\x1bOC"], "right"),
    **dict.fromkeys(["\x1b[D", "\x1bOD"], "left"),
    **dict.fromkeys(["\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"], "home"),
    **dict.fromkeys(["\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~"], "end"),
    **dict.fromkeys(["q", "Q", "\x1b", "\x03", "\x04"], "leave"),
    " ": "space",
}
_WINDOWS_KEYS = {"M": "right", "K": "left", "G": "home", "O": "end"}
