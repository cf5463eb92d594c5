"""What does a graph look like? One box per node, or one per module, laid out by Graphviz.

The modules:

    names.py    what the nodes are called
    sheet.py    boxes with lines of text, and the finished picture
    graph.py    a box for each node
    fold.py     which nodes of a large graph belong in a box;  folded.py  how boxes are drawn
    opened.py   the boxes with one part open;  bundles.py  nodes that always share a box
    layout.py   from DOT source to SVG, PNG or PDF;  notebook.py  drawings in a notebook
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autograd.backward import topological_order
from autograd.draw.fold import Fold
from autograd.draw.folded import add_boxes
from autograd.draw.graph import picture
from autograd.draw.names import (
    full_names,
    kinds_of,
    made_in_modules,
    named_and_trained,
    short_names,
)
from autograd.draw.sheet import Drawing, check_one_of, empty_sheet
from autograd.messages import is_series, require_flag, require_whole
from autograd.text import counted, quoted
from autograd.value import Value

__all__ = ["Drawing", "draw"]

NAMED_NODES = 60  # a graph with more nodes is drawn without generated names


# Long because of its documented arguments.
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
    names: bool | None = None,
) -> Drawing:
    """Draw the graph that computes one or more outputs.

    Args:
        output: a Value, or a sequence of them.
        format: what a notebook shows, "svg" or "png". A file is written by `save`, in the format
            of its name.
        direction: which way the arrows point: "LR", "TB", "RL" or "BT".
        max_nodes: the maximum number of boxes in the picture.
        collapse: whether to fold the graph, so that one box stands for many nodes. None: fold if
            it has more than `max_nodes` nodes.
        model: the module whose parameter names to show; by default the modules whose calls made
            the nodes.
        depth: how many levels of modules a folded graph opens. At 0 each outermost module or loss
            is one box, at 1 each of its parts is, and so on; by default as many as fit.
        edges: whether the edges of an unfolded graph show the local derivative and, after
            `backward()`, the contribution: its product with the gradient of the node it leads to.
        digits: the number of significant digits shown.
        names: whether nodes that have neither a label nor a name in a model show the names that
            `explain` and `steps` use, such as v1. None: only the inner nodes of an unfolded graph
            of at most 60 nodes do.

    Raises ValueError if the graph does not fit into `max_nodes` boxes (the message says which
    arguments help), if there are no outputs, or if an argument is out of range; TypeError if an
    argument has the wrong type.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> draw(a * b + 10)
    <Drawing of 5 nodes>
    """
    _check(format, max_nodes, collapse, depth, digits)
    require_flag("edges", edges)
    require_flag("names", names, or_none=True)
    outputs = _listed(output)
    nodes = topological_order(*outputs)
    too_many = len(nodes) > max_nodes
    if too_many and collapse is False:
        raise _too_many(nodes, max_nodes, "leave out collapse=False")
    nothing_asked = collapse is None and depth is None and model is None
    if too_many and nothing_asked and not made_in_modules(nodes):
        raise _too_many(nodes, max_nodes, "pass model= or collapse=True: it has no modules")
    named, trained = named_and_trained(nodes, model)
    kinds = kinds_of(nodes, set(outputs), trained)
    what = counted(len(nodes), "node")
    if too_many or collapse or depth is not None:
        fold = Fold(nodes, kinds, model)
        boxes = fold.boxes(max_nodes, depth)
        if boxes is not None:
            sheet = empty_sheet(direction)
            called = {node: node.label or named.get(node, "") for node in nodes}
            add_boxes(sheet, fold, boxes, called, digits)
            return Drawing(sheet.source, format, f"{what} in {counted(len(boxes), 'box', 'boxes')}")
    full = full_names(nodes, named)
    sheet = picture(
        nodes,
        _names_shown(nodes, full, named, names),
        kinds,
        full_names=full,
        edges=edges,
        direction=direction,
        digits=digits,
    )
    return Drawing(sheet.source, format, what)


def _names_shown(
    nodes: Sequence[Value], full: dict[Value, str], named: dict[Value, str], names: bool | None
) -> dict[Value, str]:
    """The names shown in an unfolded graph; nodes left out of it are drawn without a name."""
    inner = len(nodes) <= NAMED_NODES if names is None else names
    return {
        node: name
        for node, name in short_names(full, named).items()
        if node.label or node in named or names or (inner and node.op)
    }


def _check(
    format: str, max_nodes: int, collapse: bool | None, depth: int | None, digits: int
) -> None:
    """Raise TypeError or ValueError if an argument has a wrong type or value."""
    if isinstance(format, Value):
        raise TypeError("draw() takes several outputs as one list: write draw([a, b])")
    check_one_of("format", format, ("svg", "png"), '; a file of another kind: .save("graph.pdf")')
    require_flag("collapse", collapse, or_none=True)
    require_whole("max_nodes", max_nodes)
    require_whole("digits", digits)
    if depth is not None:
        require_whole("depth", depth, 0)
        if collapse is False:
            raise ValueError("depth= asks for a folded graph, collapse=False for an unfolded one")


def _listed(output: Value | Iterable[Value]) -> list[Value]:
    if not isinstance(output, Value) and not is_series(output):
        instead = ": call it, as in draw(model(x))" * callable(output)
        raise TypeError(
            f"draw() takes a Value or a sequence of Values, not {quoted(output)}{instead}"
        )
    outputs = [output] if isinstance(output, Value) else list(output)
    if not outputs:
        raise ValueError("draw() needs at least one output")
    return outputs


def _too_many(nodes: Sequence[Value], max_nodes: int, advice: str) -> ValueError:
    return ValueError(
        f"the graph has {len(nodes):,} nodes, more than max_nodes = {max_nodes:,}: raise max_nodes,"
        f" or {advice}"
    )
