"""Which boxes does a graph show if one part is open? Those inside it, and closed parts around it.

Opening a part opens all parts around it and closes every other part. So there is one picture for
each part, rather than one for each set of parts that could be open at once.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

from autograd.draw.bundles import Bundled, in_order
from autograd.draw.fold import Box, Part

MOST_OPENED = 48  # pictures per graph, those of the outer parts first


class Opened:
    """A graph with one part open.

    Attributes:
        part: the open part. parts: it and those around it, outermost first, without the root.
        boxes: each after those that lead to it, unless they form a cycle.
        flows: the values that flow from one box to another, by the indices of the two boxes.
    """

    def __init__(self, part: Part, boxes: Sequence[Box], bundled: Bundled) -> None:
        self.part, self.parts = part, part.around()[1:]
        flows = bundled.values_between(boxes)
        merged = _put_numbers_inside(boxes, flows)
        flows = {ends: values for ends, values in flows.items() if ends[0] not in merged}
        # Boxes of several parts go last where they can, so that backward ends in the open part.
        later = {b for b, box in enumerate(boxes) if box.module is not None and box.module.label}
        order = [b for b in in_order(len(boxes), flows, later) if b not in merged]
        place = {b: k for k, b in enumerate(order)}
        self.boxes = [boxes[b] for b in order]
        self.flows = {(place[tail], place[head]): flows[tail, head] for tail, head in flows}

    def parents(self) -> list[list[int]]:
        """For each box, the indices of the boxes that lead to it."""
        found: list[list[int]] = [[] for _ in self.boxes]
        for tail, head in sorted(self.flows):
            found[head].append(tail)
        return found


def opened(bundled: Bundled) -> Iterator[Opened]:
    """Yield the graph with each part open that can be, from the root inwards.

    A part without parts may repeat a computation, as a neuron does that is called for each example:
    it shows the nodes of one repetition, and one box for all others. A part whose picture would
    have more than MOST_BOXES boxes is never opened, nor is any part inside it. Neither is a part
    that only makes an output, which is drawn outside it, nor are the innermost parts of a graph
    with more than MOST_OPENED parts.
    """
    waiting = deque([bundled.root])
    for _ in range(MOST_OPENED):
        if not waiting:
            return
        part = waiting.popleft()
        boxes = bundled.opened(part)
        if boxes is not None and any(box.frame is part for box in boxes):
            yield Opened(part, boxes, bundled)
            waiting.extend(part.parts)


def _put_numbers_inside(boxes: Sequence[Box], flows: dict[tuple[int, int], set[int]]) -> set[int]:
    """Merge plain numbers into the only box that uses them, unless it uses nothing else.

    Return the indices of the boxes that were merged into others.
    """
    heads, tails = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for tail, head in flows:
        heads[tail].append(head)
        tails[head].append(tail)
    merged = set[int]()
    for b, box in enumerate(boxes):
        if box.kind != "constant" or len(heads[b]) != 1:
            continue
        (head,) = heads[b]
        others = [tail for tail in tails[head] if boxes[tail].kind != "constant"]
        if others and (boxes[head].module is not None or len(boxes[head].members) > 1):
            boxes[head].members = sorted([*boxes[head].members, *box.members])
            merged.add(b)
    return merged
