"""How does DOT source become a picture? Graphviz lays it out, in this process.

Graphviz comes with the wheels of pygraphviz. If those cannot be imported, the system's `dot` runs.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from typing import Any

from autograd.extras import to_install
from autograd.locks import Lock

FAR = "far"  # the attribute of edges that are drawn as arcs

_layout = Lock()  # Graphviz lays out one graph at a time


def render(source: str, format: str, scale: float = 1.0) -> bytes:
    """Render DOT source as "svg", "png", "pdf", or "dot" with positions.

    An SVG is a bare <svg> element, ready to embed in a page. A PNG has `scale` pixels per point.
    Raises RuntimeError if Graphviz is not installed.
    """
    if format == "png":
        head, brace, rest = source.partition("{")
        source = f"{head}{brace}\n\tgraph [dpi={72 * scale:.3f}]{rest}"
    content = _laid_out(source, format)
    return _tidied(content.decode()).encode() if format == "svg" else content


def _laid_out(source: str, format: str) -> bytes:
    try:
        pygraphviz = import_module("pygraphviz")
    except ImportError as error:
        try:
            return outside(source, format)
        except import_module("graphviz").ExecutableNotFound:
            what = to_install("draw")
            if not isinstance(error, ModuleNotFoundError):  # wheels lack some libraries: GLib
                what = f"install what pygraphviz needs ({error})"
            raise RuntimeError(
                f"a drawing needs Graphviz: {what}, or the system's program dot"
            ) from None
    with _layout.lock:
        _read_fonts(pygraphviz)
        arched = _with_arcs(pygraphviz, source)
        graph = pygraphviz.AGraph(string=source if arched is None else arched)
        # nop2 keeps existing positions.
        content: bytes = graph.draw(format=format, prog="dot" if arched is None else "nop2")
    return content


def _laid_out_outside(source: str, format: str) -> bytes:
    """Lay out by the system's Graphviz, in a separate process."""
    graphviz = import_module("graphviz")
    try:
        content: bytes = graphviz.Source(source, engine="dot").pipe(format, quiet=True)
    except graphviz.CalledProcessError as error:
        said = bytes(error.stderr).decode(errors="replace").strip()
        raise RuntimeError(f"the system's Graphviz failed: {said}") from None
    return content


# Used if pygraphviz cannot be imported. Python in a browser cannot start another program, so it
# sets a function of its own here, which raises NotImplementedError for formats it does not support.
outside: Callable[[str, str], bytes] = _laid_out_outside


@cache
def _read_fonts(pygraphviz: Any) -> None:
    """Read the font configuration, once, and keep its warnings off the screen.

    The wheels' Fontconfig is older than the configuration of many systems, and warns about every
    word there that it does not know. Anything else printed meanwhile goes through.
    """
    with standard_error_without(b"Fontconfig"):
        pygraphviz.AGraph(string="digraph { a }").draw(format="svg", prog="dot")


@contextmanager
def standard_error_without(beginning: bytes) -> Iterator[None]:
    """Hold back file descriptor 2, then print its lines that do not start with `beginning`."""
    import tempfile

    try:
        screen = os.dup(2)
    except OSError:  # a program without a screen
        yield
        return
    with tempfile.TemporaryFile() as printed:
        try:
            with suppress(AttributeError, ValueError):  # it may be None, or closed
                sys.stderr.flush()
            os.dup2(printed.fileno(), 2)
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            printed.seek(0)
            for line in printed:
                if not line.startswith(beginning):
                    os.write(2, line)


# --- arcs -----------------------------------------------------------------------------------------

_FAR_EDGE = re.compile(rf"^\t(\w+) -> (\w+) \[(.*?\b{FAR}=true\b.*)\]\n", re.MULTILINE)


def _with_arcs(pygraphviz: Any, source: str) -> str | None:
    """The picture with positions and with far edges as arcs; None if it has no far edges.

    Graphviz routes an edge over n rows around everything in each of them, in time that grows at
    least with the square of n: seconds for a number used in each of 100 steps, minutes for 300. So
    Graphviz gets only the other edges, and a far edge is then drawn as an arc above, or below,
    everything between its ends.
    """
    far = _FAR_EDGE.findall(source)
    if not far:
        return None
    graph = pygraphviz.AGraph(string=_FAR_EDGE.sub("", source))
    graph.layout(prog="dot")
    upright = graph.graph_attr["rankdir"] in ("TB", "BT")
    places = {}  # centres and half sizes, along and across the direction of the arrows
    for node in graph.nodes():
        x, y = map(float, node.attr["pos"].split(","))
        width, height = float(node.attr["width"]) * 36, float(node.attr["height"]) * 36
        places[str(node)] = (y, x, height, width) if upright else (x, y, width, height)
    arcs = [
        f"\t{tail} -> {head} [{_arc(tail, head, places, upright)} {about}]\n"
        for tail, head, about in far
    ]
    graph.graph_attr["bb"] = ""  # Graphviz recomputes it, arcs included
    text: str = graph.to_string()
    return text[: text.rindex("}")] + "".join(arcs) + "}\n"


def _arc(
    tail: str, head: str, places: dict[str, tuple[float, float, float, float]], upright: bool
) -> str:
    """The curve of an edge and the position of its label, as DOT attributes."""
    start, across, _, rise = places[tail]
    end, target, _, target_rise = places[head]
    side = 1.0 if across >= target else -1.0
    low, high = sorted((start, end))
    passed = [
        side * middle + half
        for place, middle, size, half in places.values()
        if low - size <= place <= high + size
    ]
    crest = side * (max(passed) + 10.0 + 0.03 * (high - low))
    first, last = across + side * rise, target + side * (target_rise + 6.0)  # an arrowhead's length
    # A cubic curve rises to three quarters of the height of its control points.
    bends = [foot + (crest - foot) / 0.75 for foot in (first, last)]
    lean = 0.12 * (end - start)
    points = [
        (end, target + side * target_rise),
        (start, first),
        (start + lean, bends[0]),
        (end - lean, bends[1]),
        (end, last),
        ((start + end) / 2, crest + side * 14.0),
    ]
    *curve, label = [
        f"{across:.2f},{along:.2f}" if upright else f"{along:.2f},{across:.2f}"
        for along, across in points
    ]
    return f'pos="e,{" ".join(curve)}" lp="{label}"'


def largest_scale(width: float, height: float) -> float:
    """The most pixels per point that a PNG of a picture can have, given its size in points.

    Cairo makes images of up to 32,767 pixels a side, of which some are kept as a margin; 150
    million pixels take 600 MB while they are drawn.
    """
    return min(32_000 / max(width, height), math.sqrt(150e6 / (width * height)))


# --- SVG for a page -------------------------------------------------------------------------------


def svg_size(svg: str) -> tuple[float, float]:
    """Width and height of a picture, in points."""
    found = re.search(r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert found is not None
    return float(found[1]), float(found[2])


_NODE = re.compile(r'class="node">.*?</g>\n</g>', re.DOTALL)
_CORNER = re.compile(r"(-?[\d.]+),-?[\d.]+")


def _tidied(svg: str) -> str:
    """Graphviz's SVG as an element of a page.

    It has no prolog, no comments, and no <title>, which a browser would show instead of the
    tooltip. Spaces and hyphens are as typed, and the lines of each node are centred even in a font
    other than the one that Graphviz measured.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->\n|<title>.*?</title>\n", "", svg, flags=re.DOTALL)
    svg = svg.replace("&#160;", " ").replace("&#45;", "-")
    return _NODE.sub(_centred, svg)


def _centred(node: re.Match[str]) -> str:
    text = node[0]
    ellipse = re.search(r' cx="([^"]*)"', text)
    if ellipse:
        middle = float(ellipse[1])
    else:
        outline = re.search(r' (?:points|d)="([^"]*)"', text)
        corners = [float(x) for x in _CORNER.findall(outline[1] if outline else "0,0")]
        middle = (min(corners) + max(corners)) / 2
    return re.sub(r'text-anchor="\w+" x="[^"]*"', f'text-anchor="middle" x="{middle:.2f}"', text)
