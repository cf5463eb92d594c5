"""What does a program look like? Boxes are groups of operations, arrows the numbers that flow.

Small neighbouring groups share a box, so that the picture stays readable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from autograd.draw.sheet import Drawing, add_box, empty_sheet
from autograd.jit.graph import SUM
from autograd.jit.schedule import Group, Plan
from autograd.text import counted

MOST = 60  # boxes for groups in a picture
SOURCES = {
    "argument": "arguments",
    "varying": "read again",
    "data": "leaves",
    "grad": "gradients of leaves",
}


def draw_program(plan: Plan, name: str, direction: str = "LR") -> Drawing:
    """Draw a plan without its constants."""
    picture = empty_sheet(direction)
    home: dict[str | int, str] = {}
    for number, members in enumerate(_boxes([len(group.operands) for group in plan.groups])):
        home |= dict.fromkeys(members, f"g{number}")
        lines, tip = _described([plan.groups[k] for k in members])
        add_box(picture, f"g{number}", "inner", lines, tip)
    flows: Counter[tuple[str, str]] = Counter()
    for (origin, target), count in _flows(plan).items():
        if origin in SOURCES:
            home[origin] = str(origin)
        if origin in home and home[origin] != home[target]:
            flows[home[origin], home[target]] += count
    for kind, title in SOURCES.items():
        if kind in home:
            colour = "leaf" if kind == "data" else "constant"
            span = plan.spans[kind]
            size = span.stop - span.start
            add_box(picture, kind, colour, [title, f"× {size:,}"], [counted(size, "number")])
    for (origin, end), count in flows.items():
        picture.edge(origin, end, tooltip=counted(count, "operand"))
    return Drawing(picture.source, "svg", f"the program of {name}")


def _flows(plan: Plan) -> dict[tuple[str | int, int], int]:
    """Count the operands that each group takes from each kind of source and each other group."""
    # Sources and groups are consecutive in memory, so an address tells whose number it is.
    count = len(plan.groups)
    places: list[str | int] = [*plan.spans, *range(count)]
    starts = [span.start for span in plan.spans.values()] + [group.start for group in plan.groups]
    operands = [np.empty(0, np.int32), *[group.operands.ravel() for group in plan.groups]]
    owners = np.searchsorted(starts, np.concatenate(operands), side="right") - 1
    targets = np.repeat(np.arange(-1, count), [len(addresses) for addresses in operands])
    # All pairs at once: a search for each group would be slow for a long chain.
    pairs, counts = np.unique(owners * count + targets, return_counts=True)
    return {
        (places[pair // count], pair % count): number
        for pair, number in zip(pairs.tolist(), counts.tolist(), strict=True)
    }


def _boxes(sizes: Sequence[int]) -> list[list[int]]:
    """Return the groups of each box: neighbours with fewer numbers than some limit share one."""
    limit = 1
    while True:
        boxes: list[list[int]] = []
        for group, size in enumerate(sizes):
            if group and size < limit and sizes[group - 1] < limit:
                boxes[-1].append(group)
            else:
                boxes.append([group])
        if len(boxes) <= MOST:
            return boxes
        limit *= 2


def _described(groups: Sequence[Group]) -> tuple[list[str], list[str]]:
    """Return the lines of a box, and those of its tooltip."""
    names = [
        f"sum of {g.operands.shape[1] // 2} products" if g.primitive is SUM else g.primitive.name
        for g in groups
    ]
    sizes = [len(group.operands) for group in groups]
    kinds = Counter(names)
    common = ", ".join(name for name, _ in kinds.most_common(3))
    more = ", …" if len(kinds) > 3 else ""
    lines = [common + more, f"× {sum(sizes):,}"]
    if len(groups) > 1:
        lines.insert(0, f"{len(groups):,} small groups")
    tip = [f"{name} × {size:,}" for name, size in zip(names[:12], sizes[:12], strict=True)]
    return lines, tip + (["…"] if len(groups) > 12 else [])
