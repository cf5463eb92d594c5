"""How does a program look? A box for each group of operations, arrows for the numbers that flow.

Neighbouring small groups share a box, as many as it takes for the picture to stay readable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autograd.draw.sheet import Drawing, add_box, empty_sheet
from autograd.jit.graph import SUM
from autograd.jit.schedule import Plan

MOST = 60  # boxes of groups in a picture
SOURCES = {
    "argument": "arguments",
    "varying": "read again",
    "data": "leaves",
    "grad": "gradients of leaves",
}


class Outline(NamedTuple):
    """What a picture of a program shows.

    groups: (what its members are, how many numbers) of each. sources: how many numbers of each kind
    come from outside. flows: how many operands each group takes from a source or another group.
    """

    groups: list[tuple[str, int]]
    sources: dict[str, int]
    flows: dict[tuple[str | int, int], int]


def outline(plan: Plan) -> Outline:
    """The outline of a plan."""
    groups = []
    for group in plan.groups:
        name = group.primitive.name
        if group.primitive is SUM:
            name = f"sum of {group.operands.shape[1]} products"
        groups.append((name, len(group.nodes)))
    # Sources and groups lie one after the other in memory: an address tells whose number it is.
    places: list[str | int] = [*plan.spans, *range(len(groups))]
    starts = [start for start, _ in plan.spans.values()] + [group.start for group in plan.groups]
    operands = [np.empty(0, np.int64), *[group.operands.ravel() for group in plan.groups]]
    owners = np.searchsorted(starts, np.concatenate(operands), side="right") - 1
    targets = np.repeat(np.arange(-1, len(groups)), [len(addresses) for addresses in operands])
    # All pairs at once: a search for each group would take longer than recording a long chain.
    pairs, counts = np.unique(owners * len(groups) + targets, return_counts=True)
    flows = {
        (places[pair // len(groups)], pair % len(groups)): count
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    }
    return Outline(groups, {kind: plan.spans[kind][1] for kind in SOURCES}, flows)


def draw_program(outline: Outline, name: str, direction: str = "LR") -> Drawing:
    """The picture of an outline; constants are left out."""
    picture = empty_sheet(direction)
    home: dict[str | int, str] = {}
    for number, members in enumerate(_boxes([size for _, size in outline.groups])):
        home |= dict.fromkeys(members, f"g{number}")
        lines, tip = _described([outline.groups[k] for k in members])
        add_box(picture, f"g{number}", "inner", lines, tip)
    flows: Counter[tuple[str, str]] = Counter()
    for (origin, target), count in outline.flows.items():
        if origin in SOURCES:
            home[origin] = str(origin)
        if origin in home and home[origin] != home[target]:
            flows[home[origin], home[target]] += count
    for kind, title in SOURCES.items():
        if kind in home:
            colour = "leaf" if kind == "data" else "constant"
            size = f"{outline.sources[kind]:,}"
            add_box(picture, kind, colour, [title, f"× {size}"], [f"{title}: {size} numbers"])
    for (origin, end), count in flows.items():
        picture.edge(origin, end, tooltip=f"{count:,} operands")
    return Drawing(picture.source, "svg", f"the program of {name}")


def _boxes(sizes: Sequence[int]) -> list[list[int]]:
    """The groups of each box: neighbours of fewer numbers than a limit are put together."""
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


def _described(groups: Sequence[tuple[str, int]]) -> tuple[list[str], list[str]]:
    """The lines of a box, and its tooltip."""
    kinds = Counter(name for name, _ in groups)
    common = ", ".join(name for name, _ in kinds.most_common(3))
    more = ", …" if len(kinds) > 3 else ""
    lines = [common + more, f"× {sum(size for _, size in groups):,}"]
    if len(groups) > 1:
        lines.insert(0, f"{len(groups):,} small groups")
    tip = [f"{name} × {size:,}" for name, size in groups[:12]]
    return lines, tip + (["…"] if len(groups) > 12 else [])
