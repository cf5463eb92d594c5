"""What does a graph look like? One box a node, or one a module, laid out by Graphviz.

Labels are text: a label is shown as typed, in every format, with a sign for each control and
direction character (see autograd/text.py). A name of more than 40 characters is cut in its middle;
the tooltip has the whole name.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import import_module
from itertools import count
from typing import Any

from autograd.backward import topological_order
from autograd.files import write_bytes
from autograd.fold import Box, Fold, Part, named_values
from autograd.layout import FAR, render, svg_size
from autograd.modes import Mode
from autograd.text import LONGEST_NAME, clipped, for_stream, number, shown
from autograd.value import Constant, Value

__all__ = ["Drawing", "draw", "names", "node_kinds", "picture", "render"]

Digraph = Any  # of the graphviz package, which has no types

# Graphviz and every browser have one of these, or one of the same widths.
FONT = "Helvetica,Arial,sans-serif"
INK = "#1a1a1a"  # text inside a box
LINE = "#7e7e7e"  # edges, frames and their text: contrast 4.1 both on white and on #1e1e1e

# Tints after the palette of Okabe and Ito (2008), which the colour-blind can tell apart.
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

ABOVE = {"parameter": 6, "module": 4}  # room for the lid, so that the text stands in the middle
BUSY = 40  # a folded graph of more edges has no numbers on them, which would part all its rows
PATIENCE = 1000  # rows that Graphviz may lead edges through before far ones are drawn as arcs
NEAR = 12  # rows over which an edge is not far; half as many where labels take rows of their own
LISTED = 8  # so many labels of folded leaves are shown


def draw(
    output: Value | Iterable[Value],
    format: str = "svg",
    direction: str = "LR",
    max_nodes: int = 300,
    collapse: bool | None = None,
    *,
    model: Any = None,
    depth: int | None = None,
    edges: bool = False,
    digits: int = 4,
) -> Drawing:
    """The graph that made one or more outputs, as a picture.

    Args:
        output: a Value, or a sequence of them.
        format: what a notebook shows, "svg" or "png".
        direction: where the arrows point: "LR", "TB", "RL" or "BT".
        max_nodes: the most boxes a picture may have.
        collapse: whether to fold the graph into boxes of many nodes. None: if it has more than
            `max_nodes` nodes.
        model: whose parameters the names are taken from; by default the modules in whose calls the
            nodes were made.
        depth: how many levels of modules a folded graph opens. At 0 each outermost module or loss
            is a box, at 1 each of their parts, and so on; by default as many as fit.
        edges: whether the edges of an unfolded graph show the local derivative and, after a
            `backward()`, the contribution: its product with the gradient of the node it leads to.
        digits: how many significant digits a number has.

    Raises ValueError for a graph that does not fit into `max_nodes` boxes, with what to do.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> draw(a * b + 10)
    <Drawing of 5 nodes>
    """
    _one_of("format", format, ("svg", "png"))
    _whole("max_nodes", max_nodes, 1)
    _whole("digits", digits, 1)
    if depth is not None:
        _whole("depth", depth, 0)
        if collapse is False:
            raise ValueError("depth= asks for a folded graph, collapse=False for an unfolded one")
    if not isinstance(output, Iterable | Value):
        raise TypeError(f"draw() takes a Value or a sequence of Values, not {output!r}")
    outputs = [output] if isinstance(output, Value) else list(output)
    nodes = topological_order(*outputs)
    if not nodes:
        raise ValueError("draw() of no outputs")
    too_many = len(nodes) > max_nodes
    if too_many and collapse is False:
        raise _too_many(nodes, max_nodes, "leave out collapse=False")
    if too_many and collapse is depth is model is None and not any(map(_owners, _modes(nodes))):
        raise _too_many(nodes, max_nodes, "pass model= or collapse=True: it has no modules")
    named, trained = _named(nodes, model)
    kinds = _kinds(nodes, set(outputs), trained)
    called = {node: str(node.label) or named.get(node, "") for node in nodes}
    boxes: list[Box] | None = None
    if too_many or collapse or depth is not None:
        fold = Fold(nodes, kinds, model)
        boxes = fold.boxes(max_nodes, depth)
    what = _count(len(nodes), "node")
    if boxes is None:
        sheet = picture(nodes, called, kinds=kinds, edges=edges, direction=direction, digits=digits)
    else:
        sheet = empty_sheet(direction)
        _add_boxes(sheet, fold, boxes, called, model, digits)
        what += f" in {_count(len(boxes), 'box', 'boxes')}"
    return Drawing(sheet.source, format, what)


def _too_many(nodes: Sequence[Value], max_nodes: int, advice: str) -> ValueError:
    return ValueError(
        f"the graph has {len(nodes):,} nodes, more than max_nodes = {max_nodes:,}: raise max_nodes,"
        f" or {advice}"
    )


class Drawing:
    """A picture that shows itself in a notebook.

    Attributes:
        source: the picture in Graphviz's language.
    """

    def __init__(self, source: str, format: str, what: str) -> None:
        self.source = source
        self._format = format
        self._what = what
        self._made: dict[str, bytes] = {}

    def svg(self) -> str:
        """The picture as SVG; node i has the id n{i}, the edge from its operand k e{i}_{k}."""
        return self._as("svg").decode()

    def png(self) -> bytes:
        """The picture as PNG, with two pixels a point, on a transparent background."""
        return self._as("png")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file, as svg, png, pdf or dot by the end of its name.

        The file is replaced in one step, or left as it was. Raises ValueError for another ending,
        OSError where the file cannot be written.
        """
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending not in (".svg", ".png", ".pdf", ".dot"):
            raise ValueError(
                f"a drawing is saved as .svg, .png, .pdf or .dot, not as {str(path)!r}"
            )
        content = self.source.encode() if ending == ".dot" else self._as(ending[1:])
        write_bytes(path, content)

    def _as(self, format: str) -> bytes:
        if format not in self._made:
            content = render(self.source, format)
            if format == "svg":
                told = f'<svg role="img" aria-label="Graph of {self._what}"'
                content = content.replace(b"<svg", told.encode(), 1)
            self._made[format] = content
        return self._made[format]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """What IPython asks for: MIME types with their contents, and how to show them."""
        bundle = {"text/plain": repr(self)}
        if self._format == "svg":
            # Without ids, which would be those of the next drawing on the page, too.
            svg = re.sub(r'<g id="[^"]*"', "<g", self.svg())
            return {"image/svg+xml": svg, **bundle}
        from base64 import b64encode

        png = b64encode(self.png()).decode()
        width, height = (round(points * 4 / 3) for points in svg_size(self.svg()))  # in CSS pixels
        return {"image/png": png, **bundle}, {"image/png": {"width": width, "height": height}}

    def __repr__(self) -> str:
        return for_stream(f"<Drawing of {self._what}>")


# --- names and kinds ------------------------------------------------------------------------------


def names(nodes: Iterable[Value], model: Any = None) -> dict[Value, str]:
    """What each node is called: its label, else its name in the model, else one made up.

    Args:
        nodes: in topological order.
        model: whose `named_parameters()` to ask; by default those of the outermost modules in whose
            calls the nodes were made, with the name of the class in front if there are several.

    A plain number is called by itself. Inner nodes without a name are called v1, v2, ..., leaves
    x1, x2, ..., in order and leaving out what is taken.
    """
    nodes = list(nodes)
    named, _ = _named(nodes, model)
    found = {node: str(node.label) or named.get(node, "") for node in nodes}
    taken = set(found.values())
    counts = Counter[str]()
    for node, name in found.items():
        if not name and isinstance(node, Constant):
            found[node] = number(node.data)
        elif not name:
            letter = "v" if node.op else "x"
            while not name or name in taken:
                counts[letter] += 1
                name = f"{letter}{counts[letter]}"
            found[node] = name
    return found


def node_kinds(
    nodes: Sequence[Value], model: Any = None, outputs: Iterable[Value] = ()
) -> list[str]:
    """Whether each node is a "leaf", a "parameter", a "constant", "inner" or an "output".

    Outputs are by default the nodes that nothing is made from.
    """
    ends = set(outputs) or set(nodes).difference(*(node.parents for node in nodes))
    return _kinds(nodes, ends, _named(nodes, model)[1])


def _kinds(nodes: Iterable[Value], outputs: set[Value], trained: set[Value]) -> list[str]:
    def kind(node: Value) -> str:
        if isinstance(node, Constant):
            return "constant"
        if node.op:
            return "output" if node in outputs else "inner"
        return "parameter" if node in trained else "leaf"

    return [kind(node) for node in nodes]


def _named(nodes: Iterable[Value], model: Any) -> tuple[dict[Value, str], set[Value]]:
    """The names that models have for Values, and the Values that they train."""
    if model is not None and not hasattr(model, "named_parameters"):
        raise TypeError(f"model= takes a module with named_parameters(), not {model!r}")
    models = _models(nodes) if model is None else [model]
    classes = [type(model).__name__ for model in models]
    named: dict[Value, str] = {}
    trained: set[Value] = set()
    for i, (model, name) in enumerate(zip(models, classes, strict=True)):
        nth = str(classes[: i + 1].count(name)) if classes.count(name) > 1 else ""
        prefix = f"{name}{nth}." if len(models) > 1 else ""
        for name, value in named_values(model):
            named.setdefault(value, prefix + name)
        trained.update(value for _, value in model.named_parameters())
    return named, trained


def _models(nodes: Iterable[Value]) -> list[Any]:
    """The outermost modules with parameters in whose calls the nodes were made."""
    models: dict[int, Any] = {}  # None for an owner that has no parameters
    for mode in _modes(nodes):
        for owner in _owners(mode):
            if id(owner) not in models:
                models[id(owner)] = owner if next(named_values(owner), None) else None
            if models[id(owner)] is not None:
                break
    return [model for model in models.values() if model is not None]


def _modes(nodes: Iterable[Value]) -> list[Mode | None]:
    """The modes that nodes were made in, each once; None is that of leaves."""
    return list(dict.fromkeys(node.mode for node in nodes))


def _owners(mode: Mode | None) -> list[object]:
    """The modules and losses that were being called in a mode, outermost first."""
    owners = []
    while mode is not None:
        if mode.owner is not None:
            owners.append(mode.owner)
        mode = mode.outer
    return owners[::-1]


# --- one box a node -------------------------------------------------------------------------------


def picture(
    nodes: Sequence[Value],
    names: dict[Value, str],
    *,
    gradients: Sequence[float | None] | None = None,
    kinds: Sequence[str] | None = None,
    edges: bool = False,
    direction: str = "LR",
    digits: int = 4,
) -> Digraph:
    """A graph in Graphviz's language, with ids by which a page finds its parts.

    Args:
        nodes: in topological order, with all their parents.
        names: what to call them; a node that has no name there is shown by its symbol.
        gradients: of each node; by default what stands in `.grad`.
        kinds: of each node; by default `node_kinds(nodes)`.
        edges, direction, digits: as of `draw`.

    Node i has the id n{i}; the edge from operand k of node i the id e{i}_{k}. The text of a node is
    a line with its symbol and name, if it has one, then "data ...", then "grad ..."; that of a
    plain number is the number.
    """
    gradients = [node.grad for node in nodes] if gradients is None else gradients
    kinds = node_kinds(nodes) if kinds is None else kinds
    sheet = empty_sheet(direction)
    place = {node: i for i, node in enumerate(nodes)}
    for i, node in enumerate(nodes):
        _add_node(sheet, i, node, names.get(node, ""), gradients[i], kinds[i], digits)
    far = _far_edges(nodes, place, labelled=edges)
    swept = any(gradients)
    for i, node in enumerate(nodes):
        for k, parent in enumerate(node.parents):
            # The straighter the way from result to result, the easier it is to follow.
            about = {"weight": "4"} if parent.op else {}
            about |= {FAR: "true"} if (i, k) in far else {}
            if edges and not isinstance(parent, Constant):
                about["label"] = _derivative(node, k, gradients[i] if swept else None, digits)
            sheet.edge(f"n{place[parent]}", f"n{i}", id=f"e{i}_{k}", **about)
    return sheet


def _far_edges(
    nodes: Sequence[Value], place: dict[Value, int], labelled: bool
) -> set[tuple[int, int]]:
    """The edges over many rows, as (node, operand), if there are so many that layout is slow."""
    patience, near = (PATIENCE / 4, NEAR / 2) if labelled else (PATIENCE, NEAR)
    # An inner node stands behind the last of its inner operands, a leaf before its first use.
    rows: list[float] = []
    for node in nodes:
        behind = 1 + max((rows[place[p]] for p in node.parents if p.op), default=0)
        rows.append(behind if node.op else math.inf)
    for i, node in enumerate(nodes):
        for leaf in (place[parent] for parent in node.parents if not parent.op):
            rows[leaf] = min(rows[leaf], rows[i] - 1)
    spans = {
        (i, k): rows[i] - rows[place[parent]]
        for i, node in enumerate(nodes)
        for k, parent in enumerate(node.parents)
    }
    if sum(spans.values()) - len(spans) <= patience:
        return set()
    return {edge for edge, span in spans.items() if span > near}


def empty_sheet(direction: str) -> Digraph:
    """An empty picture. Raises ValueError for a direction that is none."""
    _one_of("direction", direction, ("LR", "TB", "RL", "BT"))
    font = {"fontname": FONT, "fontsize": "11"}
    return import_module("graphviz").Digraph(
        graph_attr=font
        | {
            "rankdir": direction,
            "bgcolor": "transparent",
            "pad": "0.06",
            "nodesep": "0.15",
            "ranksep": "0.4",
            # As many rounds of improvement as there are nodes. Ordinary graphs need fewer; without
            # a limit, a number that many others are made from keeps Graphviz busy for minutes.
            "nslimit": "1",
            "nslimit1": "1",
            "color": LINE,
            "fontcolor": LINE,
        },
        node_attr=font | {"fontcolor": INK, "style": "filled", "margin": "0"},
        edge_attr=font | {"fontsize": "9", "fontcolor": LINE, "color": LINE, "arrowsize": "0.6"},
    )


def _add_node(
    sheet: Digraph,
    i: int,
    node: Value,
    name: str,
    gradient: float | None,
    kind: str,
    digits: int,
) -> None:
    """A box for one node. Its tooltip has its numbers to the last digit, and where it was made."""
    symbol = node.primitive.symbol if node.primitive else ""
    data = number(node.data, digits)
    path = node.mode.path() if node.mode is not None else ""
    told = [name, symbol if symbol == node.op else f"{symbol}  {node.op}", f"data {node.data!r}"]
    if kind == "constant":
        lines = [clipped(str(node.label)), data]
    else:
        lines = ["  ".join(filter(None, [symbol, clipped(name)])), f"data {data}"]
        if gradient is not None:
            lines.append(f"grad {number(gradient, digits)}")
            told.append(f"grad {gradient!r}")
    told.append(f"in {path}" if path else "")
    ordered = len(node.parents) > 1 and not (node.primitive and node.primitive.commutes)
    order = {"ordering": "in"} if ordered else {}
    add_box(sheet, f"n{i}", kind, lines, told, **order)


def _derivative(node: Value, k: int, upstream: float | None, digits: int) -> str:
    """What the edge from operand k shows: the local derivative, and its product with `upstream`."""
    assert node.primitive is not None
    rule = node.primitive.backward[k]
    local: float | None = None  # where there is none, as of sqrt at 0
    try:
        operands = [parent.data for parent in node.parents]
        local = float(rule(node.data, *operands) if callable(rule) else rule or 0.0)
    except (ArithmeticError, ValueError):
        pass
    lines = ["local undefined" if local is None else f"local {number(local, digits)}"]
    if upstream is not None and (local is not None or upstream == 0.0):
        # As in the sweep, a gradient of 0 passes nothing on, whatever the slope.
        contribution = upstream * local if upstream and local is not None else 0.0
        lines.append(f"contributes {number(contribution, digits)}")
    return _table(lines, 11, below=3)


# --- text -----------------------------------------------------------------------------------------


def add_box(
    sheet: Digraph,
    key: str,
    kind: str,
    lines: Sequence[str],
    tooltip: Iterable[str],
    **attributes: str,
) -> None:
    """A box with lines of text, of which the first is a heading; empty ones are left out."""
    bold = kind != "constant" and bool(lines[0])
    lines = [line for line in lines if line]
    style = STYLES[kind]
    above = ABOVE.get(kind, 0)
    # The least size is that of the text in Helvetica, and room. Graphviz makes the box larger for a
    # wider font; where it finds no font at all, it would make it too small.
    width = max(map(_width, lines)) * int(style.get("fontsize", "11")) + 16
    height = 14 * len(lines) + 2 * above + 8
    sheet.node(
        key,
        _table(lines, 14, bold, above),
        id=key,
        tooltip="&#10;".join(shown(line).translate(_IN_TOOLTIPS) for line in tooltip if line),
        width=f"{width / 72:.3f}",
        height=f"{height / 72:.3f}",
        **style,
        **attributes,
    )


def _table(
    lines: Iterable[str], height: int, bold: bool = False, above: int = 0, below: int = 0
) -> str:
    """Lines of text, the first bold or not, as one of Graphviz's HTML-like labels."""
    rows = [shown(line).translate(_IN_LABELS) for line in lines]
    if bold:
        rows[0] = f"<B>{rows[0]}</B>"
    cells = [f'<TR><TD HEIGHT="{height}">{row}</TD></TR>' for row in rows]
    cells[:0] = [f'<TR><TD HEIGHT="{above}"></TD></TR>'] if above else []
    cells += [f'<TR><TD HEIGHT="{below}"></TD></TR>'] if below else []
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
    return f"<{table}{''.join(cells)}</TABLE>>"


_ENTITIES = {ord(c): f"&#{ord(c)};" for c in '&<>"'}
# Graphviz reads a backslash as the beginning of something: once in a label, twice in a tooltip.
_IN_LABELS = _ENTITIES | {ord("\\"): "\\" * 2}
_IN_TOOLTIPS = _ENTITIES | {ord("\\"): "\\" * 4}

_WIDTHS = dict.fromkeys(" .,:;'|!ijlftI()[]/\\-", 0.33) | dict.fromkeys("mwMW@%", 0.92)
_WIDTHS |= dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&+=<>~", 0.74)


def _width(text: str) -> float:
    """About how wide a text is in bold Helvetica, in units of its size."""
    return sum(_WIDTHS.get(c, 0.6 if c.isascii() else 1.1) for c in text)


# --- many nodes in a box --------------------------------------------------------------------------


def _add_boxes(
    sheet: Digraph,
    fold: Fold,
    boxes: Sequence[Box],
    names: dict[Value, str],
    model: Any,
    digits: int,
) -> None:
    """Boxes in the frames of the open modules they stand in, and the values that flow between."""
    content: dict[Part, list[int]] = {part: [] for part in fold.root}
    for b, box in enumerate(boxes):
        content[box.frame].append(b)
    keys = [f"n{box.members[0]}" if box.single else f"b{b}" for b, box in enumerate(boxes)]
    frames = count()

    def fill(sheet: Digraph, part: Part) -> None:
        for b in content[part]:
            if boxes[b].single:
                (i,) = boxes[b].members
                node = fold.nodes[i]
                _add_node(sheet, i, node, names[node], node.grad, fold.kinds[i], digits)
            else:
                lines, told = _description(fold, boxes[b], model)
                add_box(sheet, keys[b], boxes[b].kind, lines, told)
        for inner in part.parts:
            if any(content[within] for within in inner):
                with sheet.subgraph(name=f"cluster_{next(frames)}") as frame:
                    title = _table(["  ".join(_title(inner, model))], 14)
                    frame.attr(label=title, labeljust="l", style="rounded")
                    fill(frame, inner)

    fill(sheet, fold.root)
    flows = fold.flows(boxes)
    if len(flows) > BUSY:
        sheet.attr(ranksep="0.9")
    for (tail, head), values in flows.items():
        label = {"label": f"{values:,}"} if values > 1 and len(flows) <= BUSY else {}
        sheet.edge(keys[tail], keys[head], tooltip=_count(values, "value"), **label)


def _description(fold: Fold, box: Box, model: Any) -> tuple[list[str], list[str]]:
    """The lines of a box, and its tooltip."""
    size = _count(len(box.members), "node")
    if box.module is not None:
        lines = [*_title(box.module, model), size]
        outputs = sum(fold.kinds[i] == "output" for i in box.members)
        lines += [_count(outputs, "output")] if outputs else []
        return [clipped(line) for line in lines], lines
    if box.kind == "inner":
        primitives = [fold.nodes[i].primitive for i in box.members]
        symbols = Counter(primitive.symbol for primitive in primitives if primitive)
        used = [f"{symbol} ×{n:,}" for symbol, n in symbols.most_common()]
        lines = ["arithmetic", ", ".join(used[:3] + ["…"] * (len(used) > 3)), size]
        return lines, ["arithmetic between modules", *used, size]
    lines = [_count(len(box.members), {"leaf": "input"}.get(box.kind, box.kind))]
    labels = [str(fold.nodes[i].label) for i in box.members]
    if len(labels) <= LISTED and all(labels):
        lines.append(clipped(", ".join(labels)))
    return lines, [lines[0], *labels[:LISTED]]


def _title(part: Part, model: Any) -> list[str]:
    """A module by its path, such as layers.0, and by what it says it is; a loss by its name.

    The path begins inside the outermost module, which is called by its class.
    """
    path: list[str] = []
    inner: Part | None = part
    while inner is not None and inner.outer is not None:
        above = model if inner.outer.outer is None else inner.outer.owner
        name = above.child_name(inner.owner) if hasattr(above, "child_name") else ""
        if name or not path:
            path.insert(0, name or getattr(inner.owner, "__name__", type(inner.owner).__name__))
        inner = inner.outer
    if hasattr(part.owner, "__name__"):
        return path[-1:]
    told = repr(part.owner)
    if told.startswith("<") or len(told) > LONGEST_NAME:
        told = type(part.owner).__name__
    return [told] if told.startswith(path[-1]) else [".".join(path), told]


# --- arguments ------------------------------------------------------------------------------------


def _count(n: int, what: str, several: str = "") -> str:
    return f"{n:,} {what if n == 1 else several or what + 's'}"


def _one_of(name: str, given: object, known: Sequence[str]) -> None:
    if given not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, not {given!r}")


def _whole(name: str, given: object, least: int) -> None:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{name} must be a whole number, not {given!r}")
    if given < least:
        raise ValueError(f"{name} must be {least} or more, not {given}")
