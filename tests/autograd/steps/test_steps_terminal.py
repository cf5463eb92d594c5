"""Does stepping work in a terminal? Real keys in a pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograd import Value
from autograd.steps import steps
from autograd.steps.terminal import _Keys

fcntl = pytest.importorskip("fcntl", reason="pseudo-terminals are POSIX")
termios = pytest.importorskip("termios", reason="pseudo-terminals are POSIX")
tty = pytest.importorskip("tty", reason="pseudo-terminals are POSIX")

PROGRAM = """
from autograd import Value, steps

a, b = Value(3.0, label="a"), Value(-2.0, label={label!r})
d = a * b
d.label = "d"
f = d * a
f.label = "f"
{before}
steps(f).play(seconds=0.05)
print("done")
"""
RIGHT, LEFT, HOME, END = b"\x1b[C", b"\x1b[D", b"\x1b[H", b"\x1b[F"
HELP = "←/→ step   q quit   space play/pause   Home/End first/last"

FIRST = ["step 1 of 4, forward", "", "d = a * b", "  = 3 * (-2)", "  = -6", "", HELP]
SECOND = ["step 2 of 4, forward", "", "f = d * a", "  = -6 * 3", "  = -18", "", HELP]
THIRD = [
    "step 3 of 4, backward",
    "",
    "f = d * a",
    "f.grad = 1",
    "",
    "passes to  local derivative  contribution   gradient so far",
    "d          a = 3             1 * 3 = 3      3",
    "a          d = -6            1 * (-6) = -6  -6",
    "",
    "gradients so far",
    "a.grad = -6    d.grad = 3    f.grad = 1",
    "",
    HELP,
]


class Terminal:
    """A pseudo-terminal that runs a program, and its screen as a user sees it."""

    def __init__(self, program: str, rows: int, columns: int, **environment: str) -> None:
        self.keyboard, self.terminal = os.openpty()
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)
        self.before = termios.tcgetattr(self.terminal)
        unset = ("NO_COLOR", "COLUMNS", "LINES")
        inherited = {k: v for k, v in os.environ.items() if k not in unset}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
            env={**inherited, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environment},
            start_new_session=True,
        )
        self.written = ""

    def press(self, *keys: bytes) -> None:
        for key in keys:
            os.write(self.keyboard, key)

    def read(self, seconds: float) -> bool:
        """Read what is written within this time; return whether there was anything."""
        if not select.select([self.keyboard], [], [], seconds)[0]:
            return False
        data = os.read(self.keyboard, 65536)
        while True:  # the rest of a character may still be on its way
            try:
                self.written += data.decode()
                return True
            except UnicodeDecodeError:
                data += os.read(self.keyboard, 1)

    def shows(self, *expected: str) -> list[str]:
        """Wait until the screen has each of these lines, and return it."""
        deadline = time.monotonic() + 60
        while not set(expected) <= set(self.screen()):
            waiting = self.read(0.1) or self.process.poll() is None
            if not waiting or time.monotonic() > deadline:
                pytest.fail("\n".join(["the screen shows:", *self.screen()]))
        return self.screen()

    def frame(self, title: str) -> list[str]:
        """The complete screen of a step, whose last line is the help."""
        return self.shows(title, HELP)

    def screen(self) -> list[str]:
        """The lines of a screen with room for everything, after all output so far."""
        lines, row, column = [""], 0, 0
        for part in re.split(r"(\x1b\[[?0-9;]*[A-Za-z]|\r|\n)", self.written):
            if part == "\r":
                column = 0
            elif part == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part.startswith("\x1b[") and part.endswith("A"):
                row -= int(part[2:-1])
                assert row >= 0
            elif part == "\x1b[J":
                lines[row:] = [lines[row][:column]]
            elif not part.startswith("\x1b"):
                line, end = lines[row].ljust(column), column + len(part)
                lines[row], column = line[:column] + part + line[end:], end
        return lines

    def waits(self) -> None:
        """Wait until the program waits for a key."""
        time.sleep(0.2)
        stat = Path(f"/proc/{self.process.pid}/stat")
        while stat.exists() and stat.read_text().rpartition(") ")[2][0] != "S":  # not yet asleep
            time.sleep(0.1)

    def ended(self) -> int:
        """Wait for the program to end, read all its output, and return the exit code."""
        code = self.process.wait(timeout=60)
        while self.read(0.0):
            pass
        return code


@contextmanager
def playing(
    label: str = "b", before: str = "", rows: int = 24, columns: int = 80, **environment: str
) -> Iterator[Terminal]:
    terminal = Terminal(PROGRAM.format(label=label, before=before), rows, columns, **environment)
    try:
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.keyboard)
        os.close(terminal.terminal)


def test_arrow_keys_step_and_each_step_replaces_the_previous_one() -> None:
    with playing() as terminal:
        assert terminal.frame("step 1 of 4, forward") == FIRST
        terminal.press(RIGHT)
        assert terminal.frame("step 2 of 4, forward") == SECOND
        terminal.press(RIGHT)
        assert terminal.frame("step 3 of 4, backward") == THIRD
        terminal.press(b"\x1bOC")  # as some terminals send it
        screen = terminal.frame("step 4 of 4, backward")
        assert "a          b = -2            3 * (-2) = -6  -6 + (-6) = -12" in screen
        assert "b.grad = 9    a.grad = -12    d.grad = 3    f.grad = 1" in screen
        terminal.press(LEFT, b"\x1bOD", LEFT)
        assert terminal.frame("step 1 of 4, forward") == FIRST


def test_a_condition_in_brackets_is_explained() -> None:
    with playing(before="f = f.relu()") as terminal:
        terminal.press(RIGHT, RIGHT, RIGHT)
        screen = terminal.frame("step 4 of 6, backward")
        assert screen[6].startswith("f          [f > 0] = 0 ")
        assert screen[7:9] == ["", "a condition in brackets is 1 if it holds, and 0 otherwise"]


def test_home_and_end_go_to_the_ends_and_arrows_do_not_go_beyond() -> None:
    with playing() as terminal:
        terminal.shows(HELP)
        for end, home in ((END, HOME), (b"\x1bOF", b"\x1bOH"), (b"\x1b[4~", b"\x1b[1~")):
            terminal.press(end, RIGHT, RIGHT)
            terminal.frame("step 4 of 4, backward")
            terminal.press(home, LEFT)
            assert terminal.frame("step 1 of 4, forward") == FIRST


def test_space_plays_to_the_end() -> None:
    with playing() as terminal:
        terminal.shows(HELP)
        terminal.press(b" ")
        terminal.frame("step 4 of 4, backward")
        assert "step 2 of 4, forward, playing" in terminal.written
        assert "step 3 of 4, backward, playing" in terminal.written


def test_space_pauses_playback() -> None:
    with playing() as terminal:
        terminal.shows(HELP)
        terminal.press(b" ", b" ")
        terminal.frame("step 2 of 4, forward")
        assert not terminal.read(0.3)
        terminal.press(b"x")  # another key changes nothing
        assert terminal.frame("step 2 of 4, forward") == SECOND


def test_an_arrow_key_may_arrive_in_parts_and_a_lone_escape_leaves() -> None:
    """Each read gets the next part; if nothing follows an escape, it was the Escape key."""
    keyboard, terminal = os.openpty()
    keys = _Keys()
    keys._file, keys._typed = terminal, b""
    tty.setraw(terminal)
    arriving = [b"\x1b", b"[", b"C", b"\x1bO", b"H", b"\x1b", b"", b" "]
    read = keys._read

    def arrive(seconds: float | None) -> bool:
        os.write(keyboard, arriving.pop(0))
        return read(0.0)

    keys._read = arrive
    assert [keys.next(None) for _ in range(4)] == ["right", "home", "leave", "space"]
    os.close(keyboard)
    os.close(terminal)


@pytest.mark.parametrize("key", [b"q", b"\x1b", b"\x03", b"\x04"], ids=repr)
def test_leaving_restores_the_terminal(key: bytes) -> None:
    with playing() as terminal:
        terminal.shows(HELP)
        while_playing = termios.tcgetattr(terminal.terminal)
        assert not while_playing[3] & (termios.ECHO | termios.ICANON)
        terminal.press(RIGHT, key)
        assert terminal.ended() == 0
        assert terminal.screen() == [*SECOND, "done", ""]
        assert termios.tcgetattr(terminal.terminal) == terminal.before
        assert terminal.written.endswith("\x1b[?25h\r\ndone\r\n")
        assert terminal.written.count("\x1b[?25l") == 1


def test_an_interrupt_or_an_error_restores_the_terminal() -> None:
    with playing() as terminal:
        terminal.shows(HELP)
        terminal.waits()  # a signal before that would have no effect until the next key
        terminal.process.send_signal(signal.SIGINT)
        terminal.shows("done")
        assert terminal.ended() == 0
        assert termios.tcgetattr(terminal.terminal) == terminal.before
    broken = "from autograd.steps import terminal; terminal._screen = None"
    with playing(before=broken) as terminal:
        terminal.shows("TypeError: 'NoneType' object is not callable")
        assert terminal.ended() == 1
        assert termios.tcgetattr(terminal.terminal) == terminal.before
        assert "\x1b[?25h" in terminal.written


def test_colors_are_used_unless_no_color_is_set() -> None:
    with playing() as terminal:
        terminal.shows(HELP)
        assert "\x1b[1;36md = a * b\x1b[0m" in terminal.written
    with playing(NO_COLOR="1") as terminal:
        assert terminal.shows(HELP) == FIRST
        assert not re.search(r"\x1b\[[0-9;]*m", terminal.written)


def test_the_screen_fits_the_terminal() -> None:
    with playing(rows=9, columns=40) as terminal:
        terminal.press(END)
        screen = terminal.shows("step 4 of 4, backward", HELP[:38] + "…")
        assert len(screen) == 8
        assert max(map(len, screen)) == 39
        assert screen[-1] == HELP[:38] + "…"
        assert "q quit" in screen[-1]
        assert screen[5] == "passes to a"
    with playing(rows=3, columns=4) as terminal:
        assert terminal.shows("st…") == ["st…", ""]


def test_a_narrow_screen_shows_every_number() -> None:
    with playing(rows=50) as wide, playing(rows=50, columns=18) as narrow:
        wide.press(END)
        narrow.press(END)
        told = wide.shows("step 4 of 4, backward", HELP)[:-1]
        screen = narrow.shows("step 4 of 4, bac…", HELP[:16] + "…")
    assert set(" ".join(told).split()) - set(" ".join(screen).split()) == {"backward"}
    assert max(map(len, screen)) == 17
    dim = "\x1b[2mpasses to"  # the headings of a table, without a contribution
    assert dim in wide.written
    assert dim not in narrow.written


def test_a_label_cannot_send_control_codes_to_the_terminal() -> None:
    with playing(label="\x1b[31mred\x07\x9b2J") as terminal:
        screen = terminal.shows(HELP)
        assert screen[2] == "d = a * (␛[31mred␇�2J)"
        terminal.press(END, b"q")
        terminal.shows("done")
        assert not re.search("\x07|\x9b|31mred\x1b|\x1b\\[31m", terminal.written)


@pytest.mark.parametrize("way", ["a pipe", "a dumb terminal"])
def test_the_table_is_printed_to_a_pipe_or_a_dumb_terminal(way: str) -> None:
    with playing(TERM="dumb") as terminal:
        if way == "a pipe":
            run = subprocess.run(
                [sys.executable, "-c", PROGRAM.format(label="b", before="")],
                stdin=terminal.terminal,
                capture_output=True,
                check=True,
            )
            printed = run.stdout.decode()
        else:
            assert terminal.ended() == 0
            printed = terminal.written.replace("\r\n", "\n")
    a, b = Value(3.0, label="a"), Value(-2.0, label="b")
    d = a * b
    d.label = "d"
    f = d * a
    f.label = "f"
    assert printed == f"{steps(f)}\ndone\n"


def test_playing_needs_no_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr(sys, "stdout", None)
    steps(Value(2.0) * 3.0).play()


def test_playing_a_leaf_prints_that_there_are_no_steps(capsys: pytest.CaptureFixture[str]) -> None:
    steps(Value(1.0, label="x")).play()
    assert capsys.readouterr().out == "x is a leaf: there are no steps, and its gradient is 1\n"
