"""How is a folded graph drawn? As boxes of many nodes, inside frames for the open modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

from autograd.context import name_of
from autograd.draw.fold import Box, Fold, Part, values_between
from autograd.draw.graph import add_node
from autograd.draw.sheet import Digraph, add_box, beside_edge, lines_of_text
from autograd.text import LONGEST_NAME, clipped, counted
from autograd.value import Value

MOST_NUMBERED_EDGES = 40  # with more edges, none shows a number: numbers push all rows apart
LABELS_LISTED = 8  # the labels of the leaves in a box are shown if there are at most this many


def add_boxes(
    sheet: Digraph,
    fold: Fold,
    boxes: Sequence[Box],
    names: dict[Value, str],
    digits: int,
) -> None:
    """Add boxes, in frames for the open modules around them, and the values that flow between."""
    keys = [f"n{box.node}" if box.node >= 0 else f"b{b}" for b, box in enumerate(boxes)]
    known: dict[int, dict[int, str]] = {}

    def add(sheet: Digraph, b: int) -> None:
        if (i := boxes[b].node) >= 0:
            node = fold.nodes[i]
            add_node(sheet, i, node, names[node], node.grad, fold.kinds[i], digits, known)
        else:
            lines, tooltip = _description(fold, boxes[b])
            add_box(sheet, keys[b], boxes[b].kind, lines, tooltip)

    add_framed(
        sheet,
        fold.root,
        [box.frame for box in boxes],
        add,
        lambda part: "  ".join(_title(part)),
    )
    flows = values_between([box.members for box in boxes], fold.parents)
    if len(flows) > MOST_NUMBERED_EDGES:
        sheet.attr(ranksep="0.9")
    for (tail, head), values in flows.items():
        n = len(values)
        numbered = n > 1 and len(flows) <= MOST_NUMBERED_EDGES
        label = {"label": beside_edge(sheet, f"{n:,}")} if numbered else {}
        sheet.edge(keys[tail], keys[head], tooltip=counted(n, "value"), **label)


def add_framed(
    sheet: Digraph,
    root: Part,
    open_parts: Sequence[Part],
    add: Callable[[Digraph, int], None],
    title: Callable[[Part], str],
) -> None:
    """Add boxes in frames for the open parts around them; `add` draws one, given its index."""
    content: dict[Part, list[int]] = {part: [] for part in root}
    for b, part in enumerate(open_parts):
        content[part].append(b)
    frames = count()

    def fill(sheet: Digraph, part: Part) -> None:
        for b in content[part]:
            add(sheet, b)
        for inner in part.parts:
            if any(content[within] for within in inner):
                k = next(frames)
                with sheet.subgraph(name=f"cluster_{k}") as frame:
                    label = lines_of_text([title(inner)], 14)
                    frame.attr(label=label, labeljust="l", style="rounded", id=f"f{k}")
                    fill(frame, inner)

    fill(sheet, root)


def _description(fold: Fold, box: Box) -> tuple[list[str], list[str]]:
    """The lines of a box, and its tooltip."""
    size = counted(len(box.members), "node")
    if box.module is not None:
        lines = [*_title(box.module), size]
        outputs = sum(fold.kinds[i] == "output" for i in box.members)
        lines += [counted(outputs, "output")] if outputs else []
        return [clipped(line) for line in lines], lines
    if box.kind == "inner":
        primitives = [fold.nodes[i].primitive for i in box.members]
        symbols = Counter(primitive.symbol for primitive in primitives if primitive)
        used = [f"{symbol} ×{n:,}" for symbol, n in symbols.most_common()]
        lines = ["arithmetic", ", ".join(used[:3] + ["…"] * (len(used) > 3)), size]
        return lines, ["arithmetic between modules", *used, size]
    lines = [counted(len(box.members), {"leaf": "input"}.get(box.kind, box.kind))]
    labels = [fold.nodes[i].label for i in box.members]
    if len(labels) <= LABELS_LISTED and all(labels):
        lines.append(clipped(", ".join(labels)))
    return lines, [lines[0], *labels[:LABELS_LISTED]]


def called(part: Part) -> tuple[str, str]:
    """A part's name within the part around it, and its description; "" for what it lacks.

    `("layers.0", "Layer(2 → 16, relu)")`, `("", "MLP(2 → 16, relu)")`, `("mse", "")`.
    """
    if part.label:
        return part.label, _description_of(part) if part.owner is not None else ""
    if hasattr(part.owner, "__name__"):
        return part.owner.__name__, ""
    return part.name, _description_of(part)


def _description_of(part: Part) -> str:
    """How a part's owner describes itself: its `repr` if that is short, else its class."""
    description = part.written
    if not description or description.startswith("<") or len(description) > LONGEST_NAME:
        return name_of(part.owner)
    return description


def _title(part: Part) -> list[str]:
    """The path of a module, such as layers.0, and its description; the name of a loss.

    The path begins inside the outermost module, which is called by its class.
    """
    path: list[str] = []
    for each in part.around()[1:]:
        if each.name or each is part:
            path.append(each.name or name_of(part.owner))
    if hasattr(part.owner, "__name__"):
        return path[-1:]
    description = _description_of(part)
    return [description] if description.startswith(path[-1]) else [".".join(path), description]
