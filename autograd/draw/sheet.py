"""What is a drawing made of? Boxes with lines of text on a sheet, and the finished picture.

A label is shown as typed, in every format, except that each control or direction character becomes
a visible sign (see autograd/text.py). A name of more than 40 characters is shortened in the middle;
its tooltip shows up to 300.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from numbers import Real
from typing import Any

from autograd.draw.layout import largest_scale, render, svg_size
from autograd.files import write_bytes
from autograd.text import clipped, for_stream, quoted

Digraph = Any  # graphviz.Digraph: the package has no types

# Graphviz and every browser have one of these fonts, or one with the same character widths.
FONT = "Helvetica,Arial,sans-serif"
INK = "#1a1a1a"  # text inside a box
LINE = "#7e7e7e"  # edges, frames and their text: contrast 4.1 both on white and on #1e1e1e

# Tints from the palette of Okabe and Ito (2008), which colour-blind readers can tell apart.
STYLES = {
    "leaf": {"shape": "box", "fillcolor": "#d6eaf8", "color": "#0072b2"},
    "parameter": {"shape": "cylinder", "fillcolor": "#fdebc8", "color": "#b97700"},
    "constant": {"shape": "ellipse", "fillcolor": "#e4e4e4", "color": "#8a8a8a", "fontsize": "10"},
    "inner": {
        "shape": "box",
        "style": "filled,rounded",
        "fillcolor": "#f6f6f6",
        "color": "#6a6a6a",
    },
    "output": {
        "shape": "box",
        "style": "filled,rounded",
        "fillcolor": "#cfeee2",
        "color": "#00795a",
        "peripheries": "2",
    },
    "module": {"shape": "box3d", "fillcolor": "#f5dfeb", "color": "#a8487e"},
}

# Characters shown per line. Graphviz reads at most 16,384 per string; an escaped one takes up to 5.
LONGEST_LINE = 300

# Room for the lid of a cylinder or a 3D box, in points, so that the text is centred below it.
LID_HEIGHT = {"parameter": 6, "module": 4}


def empty_sheet(direction: str) -> Digraph:
    """An empty picture. Raises ValueError for an unknown direction."""
    check_one_of("direction", direction, ("LR", "TB", "RL", "BT"))
    font = {"fontname": FONT, "fontsize": "11"}
    return import_module("graphviz").Digraph(
        graph_attr=font
        | {
            "rankdir": direction,
            "bgcolor": "transparent",
            "pad": "0.06",
            "nodesep": "0.15",
            "ranksep": "0.4",
            # At most as many iterations of the layout as there are nodes. Ordinary graphs need
            # fewer; without a limit, a node with many uses keeps Graphviz busy for minutes.
            "nslimit": "1",
            "nslimit1": "1",
            "color": LINE,
            "fontcolor": LINE,
        },
        node_attr=font | {"fontcolor": INK, "style": "filled", "margin": "0"},
        edge_attr=font | {"fontsize": "9", "fontcolor": LINE, "color": LINE, "arrowsize": "0.6"},
    )


def add_box(
    sheet: Digraph,
    key: str,
    kind: str,
    lines: Sequence[str],
    tooltip: Iterable[str],
    **attributes: str,
) -> None:
    """Add a box with lines of text. The first line is a heading; empty lines are left out."""
    bold = kind != "constant" and bool(lines[0])
    lines = [line for line in lines if line]
    style = STYLES[kind]
    above = LID_HEIGHT.get(kind, 0)
    # The minimum size fits the text in Helvetica, with a margin. Graphviz enlarges the box for a
    # wider font, but where it finds no font at all it would make the box too small.
    width = max(map(_text_width, lines)) * int(style.get("fontsize", "11")) + 16
    height = 14 * len(lines) + 2 * above + 8
    sheet.node(
        key,
        lines_of_text(lines, 14, bold, above),
        id=key,
        tooltip="&#10;".join(
            clipped(line, LONGEST_LINE).translate(_IN_TOOLTIPS) for line in tooltip if line
        ),
        width=f"{width / 72:.3f}",
        height=f"{height / 72:.3f}",
        **style,
        **attributes,
    )


def lines_of_text(
    lines: Iterable[str], height: int, bold: bool = False, above: int = 0, below: int = 0
) -> str:
    """Lines of text as an HTML-like label of Graphviz, with the first line bold if asked for."""
    rows = [clipped(line, LONGEST_LINE).translate(_IN_LABELS) for line in lines]
    if bold:
        rows[0] = f"<B>{rows[0]}</B>"
    cells = [f'<TR><TD HEIGHT="{height}">{row}</TD></TR>' for row in rows]
    cells[:0] = [f'<TR><TD HEIGHT="{above}"></TD></TR>'] if above else []
    cells += [f'<TR><TD HEIGHT="{below}"></TD></TR>'] if below else []
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
    return f"<{table}{''.join(cells)}</TABLE>>"


def beside_edge(sheet: Digraph, line: str) -> str:
    """A line of an edge's label, with a space at either end if it would touch an upright edge."""
    space = "\N{NO-BREAK SPACE}" * (sheet.graph_attr["rankdir"] in ("TB", "BT"))
    return f"{space}{line}{space}"


_ENTITIES = {ord(c): f"&#{ord(c)};" for c in '&<>"'}
# Graphviz reads a backslash as the start of an escape: once in a label, twice in a tooltip.
_IN_LABELS = _ENTITIES | {ord("\\"): "\\" * 2}
_IN_TOOLTIPS = _ENTITIES | {ord("\\"): "\\" * 4}

_LETTER_WIDTHS = dict.fromkeys(" .,:;'|!ijlftI()[]/\\-", 0.33) | dict.fromkeys("mwMW@%", 0.92)
_LETTER_WIDTHS |= dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&+=<>~", 0.74)


def _text_width(text: str) -> float:
    """The approximate width of a text in bold Helvetica, in units of the font size."""
    return sum(_LETTER_WIDTHS.get(c, 0.6 if c.isascii() else 1.1) for c in text)


def check_one_of(name: str, given: object, known: Sequence[str], advice: str = "") -> None:
    """Raise ValueError if an argument is not one of the known ones, TypeError for a non-string."""
    if not isinstance(given, str) or given not in known:
        kind = ValueError if isinstance(given, str) else TypeError
        raise kind(f"{name} is one of {', '.join(known)}, not {quoted(given)}{advice}")


# --- the finished picture -------------------------------------------------------------------------

SCALE = 2.0  # default pixels per point of a PNG


class Drawing:
    """A picture that displays itself in a notebook.

    Attributes:
        source: the picture in Graphviz's language, DOT.

    Without Graphviz, showing it or saving it as anything but .dot raises RuntimeError.
    """

    def __init__(self, source: str, format: str, what: str) -> None:
        self.source = source
        self._format = format
        self._what = what
        self._rendered: dict[tuple[str, float], bytes] = {}

    def svg(self) -> str:
        """The picture as SVG. Node i has the id n{i}, and the edge from its operand k e{i}_{k}."""
        return self._as("svg").decode()

    def png(self, scale: float | None = None) -> bytes:
        """The picture as PNG, on a transparent background.

        Args:
            scale: pixels per point, where text is 11 points high; by default 2. If the picture is
                too large for the default, the largest possible scale is used, with a warning.

        Raises ValueError if the scale is not above 0 or is too large for this picture, and
        TypeError if it is not a number.
        """
        most = largest_scale(*svg_size(self.svg()))
        if scale is None:
            scale = min(SCALE, most)
            if scale < SCALE:
                warnings.warn(
                    f"this PNG has {scale:.2g} pixels per point, not {SCALE:g}, because the picture"
                    " is too large: save it as .svg or .pdf to read all of it",
                    stacklevel=2,
                )
        if not isinstance(scale, Real):
            raise TypeError(f"scale is a number of pixels per point, not {quoted(scale)}")
        if not 0.0 < scale <= most:
            raise ValueError(
                f"scale must be above 0, and at most {most:.3g} for a picture of this size, not"
                f" {scale}: save it as .svg or .pdf, which have no pixels"
            )
        return self._as("png", float(scale))

    def save(self, path: str | os.PathLike[str], scale: float | None = None) -> None:
        """Write the picture to a file, as SVG, PNG, PDF or DOT according to its extension.

        The file is replaced atomically, or left as it was.

        Args:
            scale: pixels per point of a PNG, as for `png`.

        Raises ValueError if the extension is not .svg, .png, .pdf or .dot, or a scale is given for
        anything but a PNG; OSError if the file cannot be written; and whatever `png` raises.
        """
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending not in (".svg", ".png", ".pdf", ".dot"):
            raise ValueError(
                f"a drawing is saved as .svg, .png, .pdf or .dot, not as {str(path)!r}"
            )
        if scale is not None and ending != ".png":
            raise ValueError(f"scale= goes with .png, which has pixels, not with {ending}")
        if ending == ".png":
            content = self.png(scale)
        else:
            content = self.source.encode() if ending == ".dot" else self._as(ending[1:])
        write_bytes(path, content)

    def _as(self, format: str, scale: float = 1.0) -> bytes:
        if (format, scale) not in self._rendered:
            content = render(self.source, format, scale)
            if format == "svg":
                start = f'<svg role="img" aria-label="{self._about()}"'
                content = content.replace(b"<svg", start.encode(), 1)
            self._rendered[format, scale] = content
        return self._rendered[format, scale]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """What IPython asks for: contents by their MIME types, and metadata on how to show them."""
        from autograd.draw.notebook import MOST_PIXELS, coded, fragment, in_pixels, without_ids

        svg = self.svg()
        width, height = in_pixels(svg)
        if self._format == "svg":  # the PNG is for where scripts and SVG are stripped
            points = max(svg_size(svg))
            png = self._as("png", min(SCALE, MOST_PIXELS / points))
            svg = without_ids(svg)
            forms = {"text/html": fragment(svg, png, self._about()), "image/svg+xml": svg}
        else:
            png, forms = self.png(), {}
        bundle = {"text/plain": repr(self), "image/png": coded(png), **forms}
        return bundle, {"image/png": {"width": width, "height": height}}

    def _about(self) -> str:
        return f"Graph of {self._what}"

    def __repr__(self) -> str:
        return for_stream(f"<Drawing of {self._what}>")
