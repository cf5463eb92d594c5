"""How do numbers, labels and columns look as text? The same in every output, and never harmful.

A label may have any characters, and any length. In pictures, pages, tables and errors alike,
`shown` puts a visible sign in place of each character that would affect the display: control
characters, and marks that reverse the direction of a line. `clipped` also leaves out the middle of
a long label, and `for_stream` replaces the signs that standard output cannot encode.
"""

from __future__ import annotations

import errno
import os
import re
import reprlib
import sys
from collections.abc import Sequence
from typing import Any

LONGEST_NAME = 40  # characters of a name that are shown
LONGEST_QUOTED = 200  # characters of a user's text in an error
COLUMNS = 100  # the width of a terminal

# --- labels ---------------------------------------------------------------------------------------

# A tab is shown as ⇥, a line break as ↵, other control characters of ASCII as ␀ to ␡.
_SIGNS = {c: chr(0x2400 + c) for c in range(32)} | {0x09: "⇥", 0x7F: "␡"}
# 8-bit control characters, and marks that change the direction of what follows.
_SIGNS |= dict.fromkeys([*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F], "�")
_SIGNS |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "�")
# Lone surrogates, which cannot be stored in a file, and Unicode's noncharacters: one of these in a
# PDF makes cairo leave out all text.
_SIGNS |= dict.fromkeys([*range(0xD800, 0xE000), *range(0xFDD0, 0xFDF0)], "�")
_SIGNS |= dict.fromkeys([*range(0xFFFE, 0x110000, 0x10000), *range(0xFFFF, 0x110000, 0x10000)], "�")
_SIGNS |= dict.fromkeys([0x0A, 0x85, 0x2028, 0x2029], "↵")
# A label of these alone would be invisible, and Graphviz fails to draw it.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u180e\u200b-\u200d\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]+"
)
_SIGNS_IN_LINES = _SIGNS | {0x0A: "\n"}


def shown(text: str) -> str:
    """Return the text in one line, with a sign for each character that could do harm.

    >>> shown("two\\nlines"), shown("\\u202eabc")
    ('two↵lines', '�abc')
    """
    return "�" * len(text) if _INVISIBLE.fullmatch(text) else text.translate(_SIGNS)


def in_one_line(error: Exception) -> str:
    """Return an error as a shell shows it: file and reason of a system error, else its message.

    >>> in_one_line(FileNotFoundError(2, "No such file or directory", "names.txt"))
    'names.txt: No such file or directory'
    """
    parts = [error.filename, error.strerror] if isinstance(error, OSError) else []
    text = ": ".join(str(part) for part in parts if part is not None) or str(error)
    return shown(" ".join(text.split()))


def clipped(name: str, length: int = LONGEST_NAME) -> str:
    """Return a name as it is shown, without its middle if it is long."""
    name = shown(name)
    if len(name) <= length:
        return name
    return f"{name[: length // 2]}…{name[-(length // 2 - 1) :]}"


def quoted(thing: object) -> str:
    """Return the `repr` of a thing as errors show it, without most of it if it is long.

    >>> quoted([0.5] * 1_000_000)
    '[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, ...]'
    """
    return clipped(_quoting.repr(thing), LONGEST_QUOTED)


class _Quoting(reprlib.Repr):
    """A Repr that never raises; reprlib's own does, for a user's class named `array`."""

    def repr1(self, x: Any, level: int) -> str:
        try:
            return super().repr1(x, level)
        except Exception:  # also for an int with too many digits
            return self.repr_instance(x, level)


_quoting = _Quoting()
_quoting.maxlevel, _quoting.maxstring, _quoting.maxother = 4, LONGEST_QUOTED, LONGEST_QUOTED
_quoting.maxlist = _quoting.maxtuple = _quoting.maxdict = _quoting.maxset = 8


def is_one_word(name: str) -> bool:
    """Return whether a name can be an operand as it is, unlike `x + y` and `two words`."""
    if not name.isascii():
        from unicodedata import category

        # Combining marks, such as the hat of x̂, belong to the preceding letter.
        name = "".join(c for c in name if category(c)[0] != "M")
    return re.fullmatch(r"[\w.'\[\]…]+", name) is not None


# --- numbers --------------------------------------------------------------------------------------


def number(x: float, digits: int = 4) -> str:
    """Return a number with a fixed number of significant digits.

    >>> number(2 / 3), number(-1234567.0), number(1e-9), number(float("-inf"))
    ('0.6667', '-1.235e+06', '1e-09', '-inf')
    """
    return format(float(x), f".{digits}g")


def fixed(x: float) -> str:
    """Return a number with four decimals; a huge one with four significant digits.

    >>> fixed(2 / 3), fixed(1e200 / 3), fixed(float("nan"))
    ('0.6667', '3.333e+199', 'nan')
    """
    return format(x, ".4f") if abs(x) < 1e6 else number(x)


def lowered(number: int | str) -> str:
    """Return a whole number as an index: ₁₂ for 12."""
    return str(number).translate(_TO_LOWERED)


def with_digits(name: str) -> str:
    """Return a name with ordinary digits: w01 for w₀₁."""
    return name.translate(_FROM_LOWERED)


def grouped(number: str) -> str:
    """Return a number as written after an operator: in parentheses if it is negative."""
    return f"({number})" if number.startswith("-") else number


def counted(n: int, what: str, several: str = "") -> str:
    """Return a count with its noun: `1 node`, `1,200 nodes`."""
    return f"{n:,} {what if n == 1 else several or what + 's'}"


# --- standard output ------------------------------------------------------------------------------

RAISED, _LOWERED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "₀₁₂₃₄₅₆₇₈₉"
_TO_LOWERED = str.maketrans("0123456789", _LOWERED)
_FROM_LOWERED = str.maketrans(_LOWERED, "0123456789")
_DIGITS = str.maketrans(RAISED + _LOWERED, "-0123456789" + "0123456789")
# A run of raised or lowered digits is one sign, and so is any other character beyond ASCII.
_SIGN = re.compile(f"[{RAISED}]+|[{_LOWERED}]+|√\\(|[^\\x00-\\x7f]")
_IN_ASCII = {
    "→": "->",
    "←": "<-",
    "×": "x",
    "·": "*",
    "√": "sqrt ",
    "√(": "sqrt(",
    "σ": "sigma",
    "∂": "d",
    "…": "...",
    "↵": "\\n",
    "⇥": "\\t",
    "␡": "\\x7f",
    "�": "?",
} | {chr(0x2400 + c): f"\\x{c:02x}" for c in range(32)}


def for_stream(text: str) -> str:
    """Return the lines of a text as standard output can show them, without control characters.

    Signs that standard output cannot encode are replaced by ASCII: an arrow becomes `->`; signs
    without an equivalent become escapes such as `\\u03b8`. This changes the length, so replace
    before aligning.
    """
    text = text.translate(_SIGNS_IN_LINES)
    try:
        encoding = sys.stdout.encoding
        "".encode(encoding)
    except (AttributeError, LookupError, TypeError, ValueError):
        encoding = "utf-8"  # it is None for a file in memory; some streams have none, or a bad one
    if _has(encoding, text):
        return text
    return _SIGN.sub(lambda match: _in_ascii(match.group(), encoding), text)


def _has(encoding: str, text: str) -> bool:
    """Return whether a text can be written in this encoding."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _in_ascii(sign: str, encoding: str) -> str:
    if _has(encoding, sign):
        return sign
    if sign[0] in RAISED or sign[0] in _LOWERED:
        return ("^" if sign[0] in RAISED else "_") + sign.translate(_DIGITS)
    if sign in _IN_ASCII:
        return _IN_ASCII[sign]
    return sign.encode("ascii", "backslashreplace").decode("ascii")


def print_error(command: str, error: Exception) -> None:
    """Say why a command failed; if nobody reads its output, drop the rest of it instead."""
    if _has_no_reader(error):
        print_to_nowhere()
    else:
        print(f"{command}: {in_one_line(error)}", file=sys.stderr)


def _has_no_reader(error: Exception) -> bool:
    """Whether a print failed because standard output is a pipe that was closed, as by `| head`."""
    if os.name != "nt" or not isinstance(error, OSError):
        return isinstance(error, BrokenPipeError)
    # Windows also calls it an invalid argument, as it does a file name, which is then in the error.
    return error.errno == errno.EPIPE or (error.errno, error.filename) == (errno.EINVAL, None)


def print_to_nowhere() -> None:
    """Drop all further output: after `| head` has read enough, Python would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- columns and lists ----------------------------------------------------------------------------

Row = tuple[str, ...]


def aligned(rows: Sequence[Row], sides: str) -> list[str]:
    """Return lines of columns, aligned l(eft) or r(ight). A short row's last cell may be long."""
    rows = [tuple(map(for_stream, row)) for row in rows]
    widths = [0] * len(sides)
    for row in rows:
        for column, cell in enumerate(row if len(row) == len(sides) else row[:-1]):
            widths[column] = max(widths[column], text_width(cell))
    lines = []
    for row in rows:
        line = ""
        for cell, width, side in zip(row, widths, sides, strict=False):
            space = " " * (width - text_width(cell))
            line += (space + cell if side == "r" else cell + space) + "  "
        lines.append(line.rstrip())
    return lines


def wrapped(title: str, entries: Sequence[str], width: int = COLUMNS) -> list[str]:
    """Return a title, and entries under it in as many lines as they need."""
    lines = [""]
    for entry in map(for_stream, entries):
        if lines[-1] and text_width(lines[-1]) + 4 + text_width(entry) > width:
            lines.append("")
        lines[-1] += f"    {entry}" if lines[-1] else entry
    return [title, *lines]


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    marks = ("Mn", "Me", "Cf")  # on the preceding character, or invisible
    return sum(0 if category(c) in marks else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def first_and_last(count: int, most: int) -> list[int | None]:
    """Return 0 .. count - 1, or if these are more than `most`, the first and last around a None."""
    if count <= most:
        return list(range(count))
    half = most // 2
    return [*range(half), None, *range(count - half, count)]
