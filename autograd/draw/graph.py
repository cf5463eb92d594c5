"""How is a graph drawn node by node? One box per node, and an edge from each operand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autograd.draw.layout import FAR
from autograd.draw.sheet import Digraph, add_box, beside_edge, empty_sheet, lines_of_text
from autograd.text import clipped, number
from autograd.value import Value, is_constant

# Graphviz routes an edge around everything in the rows that it crosses, which is slow. If all
# edges together cross more than MOST_ROWS_CROSSED rows, those longer than LONGEST_EDGE rows are
# drawn as arcs. With labelled edges the limits are lower, because labels take rows of their own.
MOST_ROWS_CROSSED = 1000
MOST_ROWS_CROSSED_LABELLED = 250
LONGEST_EDGE = 12
LONGEST_EDGE_LABELLED = 6


def picture(
    nodes: Sequence[Value],
    names: Mapping[Value, str],
    kinds: Sequence[str],
    *,
    full_names: Mapping[Value, str] | None = None,
    gradients: Sequence[float | None] | None = None,
    edges: bool = False,
    direction: str = "LR",
    digits: int = 4,
) -> Digraph:
    """A graph in DOT, with ids by which a page finds its parts.

    Args:
        nodes: in topological order, with all their parents.
        names: the names to show. A node without one is shown by its symbol, and a plain number
            without a label by its number.
        kinds: of each node; see `kinds_of`.
        full_names: the names in tooltips; by default `names`.
        gradients: of each node; by default its `.grad`.
        edges, direction, digits: as for `draw`.

    Node i has the id n{i}, and the edge from its operand k the id e{i}_{k}. The text of a node is
    a line with its symbol and its name, if any, then "data ...", then "grad ..."; that of a plain
    number is the number.
    """
    gradients = [node.grad for node in nodes] if gradients is None else gradients
    sheet = empty_sheet(direction)
    place = {node: i for i, node in enumerate(nodes)}
    known: dict[int, dict[int, str]] = {}
    for i, node in enumerate(nodes):
        name = "" if is_constant(node) and not node.label else names.get(node, "")
        full = full_names[node] if full_names and name else name
        add_node(sheet, i, node, name, gradients[i], kinds[i], digits, known, full)
    far = _far_edges(nodes, place, labelled=edges)
    swept = any(gradients)
    for i, node in enumerate(nodes):
        for k, parent in enumerate(node.parents):
            # A weight keeps the edges between results straight, so that they are easy to follow.
            about = {"weight": "4"} if parent.op else {}
            about |= {FAR: "true"} if (i, k) in far else {}
            if edges and not is_constant(parent):
                lines = _derivative(node, k, gradients[i] if swept else None, digits)
                lines = [beside_edge(sheet, line) for line in lines]
                about["label"] = lines_of_text(lines, 11, below=3)
            sheet.edge(f"n{place[parent]}", f"n{i}", id=f"e{i}_{k}", **about)
    return sheet


def _far_edges(
    nodes: Sequence[Value], place: dict[Value, int], labelled: bool
) -> set[tuple[int, int]]:
    """The edges that span many rows, as (node, operand), if the layout would be slow; else none."""
    most = MOST_ROWS_CROSSED_LABELLED if labelled else MOST_ROWS_CROSSED
    longest = LONGEST_EDGE_LABELLED if labelled else LONGEST_EDGE
    # An inner node is a row after the last of its inner operands, a leaf one before its first use.
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
    if sum(spans.values()) - len(spans) <= most:
        return set()
    return {edge for edge, span in spans.items() if span > longest}


def add_node(
    sheet: Digraph,
    i: int,
    node: Value,
    name: str,
    gradient: float | None,
    kind: str,
    digits: int,
    known: dict[int, dict[int, str]],
    full: str = "",
) -> None:
    """Add a box for one node.

    Its tooltip shows the full name, the numbers to the last digit, and where the node was made.
    `known` is as for `Context.path`.
    """
    symbol = clipped(node.primitive.symbol) if node.primitive else ""
    data = number(node.data, digits)
    path = node.context.path(known)
    tooltip = [
        full or name,
        symbol if symbol == node.op else f"{symbol}  {node.op}",
        f"data {node.data!r}",
    ]
    if kind == "constant":
        lines = [clipped(name), data]
    else:
        lines = ["  ".join(filter(None, [symbol, clipped(name)])), f"data {data}"]
        if gradient is not None:
            lines.append(f"grad {number(gradient, digits)}")
            tooltip.append(f"grad {gradient!r}")
    tooltip.append(f"in {path}" if path else "")
    ordered = len(node.parents) > 1 and not (node.primitive and node.primitive.commutes)
    order = {"ordering": "in"} if ordered else {}
    add_box(sheet, f"n{i}", kind, lines, tooltip, **order)


def _derivative(node: Value, k: int, upstream: float | None, digits: int) -> list[str]:
    """The label of the edge from operand k: the local derivative, and its product with upstream."""
    assert node.primitive is not None
    rule = node.primitive.backward[k]
    local: float | None = None  # stays None where there is none, as for sqrt at 0
    try:
        operands = [parent.data for parent in node.parents]
        local = float(rule(node.data, *operands) if callable(rule) else rule or 0.0)
    except (ArithmeticError, ValueError):
        pass
    lines = ["local undefined" if local is None else f"local {number(local, digits)}"]
    # As in the backward pass, a gradient of 0 contributes 0, whatever the local derivative.
    slope = 0.0 if upstream == 0.0 else local
    if upstream is not None and slope is not None:
        lines.append(f"contributes {number(upstream * slope, digits)}")
    return lines
