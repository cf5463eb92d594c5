"""How does text stand in columns? Rows aligned, entries wrapped, long things shortened."""

from __future__ import annotations

from collections.abc import Sequence

from autograd.text import for_stream

COLUMNS = 100  # of a screen
FACTORS_SHOWN = 8  # of a long product or path

Row = tuple[str, ...]


def grouped(number: str) -> str:
    """A number as it stands behind an operator."""
    return f"({number})" if number.startswith("-") else number


def aligned(rows: Sequence[Row], sides: str) -> list[str]:
    """Rows in columns, each to the l(eft) or r(ight). The last cell of a short row may be long."""
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
    """A title, and entries under it in as many lines as they need."""
    lines = [""]
    for entry in map(for_stream, entries):
        if lines[-1] and text_width(lines[-1]) + 4 + text_width(entry) > width:
            lines.append("")
        lines[-1] += f"    {entry}" if lines[-1] else entry
    return [title, *lines]


def text_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def kept(count: int, most: int) -> list[int | None]:
    """0 .. count - 1, and of more than `most` the first and the last, with None for the others."""
    if count <= most:
        return list(range(count))
    half = most // 2
    return [*range(half), None, *range(count - half, count)]


def shortened(parts: Sequence[str], ellipsis: str) -> list[str]:
    """The parts, or of many the first and the last, with an ellipsis between them."""
    return [ellipsis if i is None else parts[i] for i in kept(len(parts), FACTORS_SHOWN)]
