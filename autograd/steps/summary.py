"""How is a box of many nodes summarized? By what flows in and out, and by the gradients back."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from autograd.steps.passed import Passed
from autograd.text import number
from autograd.value import is_constant

SEVERAL = "{} … {}"  # the smallest and the largest of several numbers
SEVERAL_DIGITS = 3


class Flow(NamedTuple):
    """Values that flow into, or out of, a box.

    Attributes:
        values: how many there are.
        receiving: how many of them receive a gradient: all but plain numbers.
        data: the smallest and the largest of them.
        gradients: the same of their gradients, or of what the box passes to each of them; None if
            all are plain numbers, which receive none.
    """

    values: int
    receiving: int
    data: tuple[float, float]
    gradients: tuple[float, float] | None


class Summaries:
    """Summaries of the boxes of a pass.

    Args:
        passed: the pass.
        bundles: of its nodes; see draw/bundles.py. bundle_of: the bundle of each node.
    """

    def __init__(
        self, passed: Passed, bundles: Sequence[Sequence[int]], bundle_of: Sequence[int]
    ) -> None:
        self._passed, self._bundle_of = passed, bundle_of
        # For each node, the nodes that use it and what each of these passes to it.
        self._uses: dict[int, list[tuple[int, float]]] = {}
        for i in range(len(passed.nodes) - 1, passed.leaves - 1, -1):
            upstream = passed.gradient_at(i)
            for edge, local, _ in passed.contributions(i):
                self._uses.setdefault(edge.parent, []).append((i, upstream * local))
        self._trained = [
            [passed.gradient_at(i) for i in members if passed.kinds[i] == "parameter"]
            for members in bundles
        ]

    def handed(self, box: Collection[int], i: int) -> tuple[int, float]:
        """How many contributions node i receives from the bundles of a box, and their sum."""
        found = [product for user, product in self._uses.get(i, ()) if self._bundle_of[user] in box]
        try:
            return len(found), math.fsum(found)
        except (OverflowError, ValueError):  # the sum is too large, or inf - inf
            return len(found), sum(found)

    def given(self, values: Collection[int]) -> Flow:
        """Values that leave a box, with their gradients. There are some: the output is outside."""
        return self._flow(values, {i: self._passed.gradient_at(i) for i in values})

    def taken(self, box: Collection[int], values: Collection[int]) -> Flow | None:
        """Values that flow into a box of these bundles, with the sum that it passes to each."""
        received = {i: self.handed(box, i)[1] for i in values}
        return self._flow(values, received) if values else None

    def parameters(self, box: Collection[int]) -> tuple[int, float]:
        """How many parameters the bundles of a box hold, and the norm of their gradient."""
        gradients = [g for bundle in box for g in self._trained[bundle]]
        return len(gradients), math.hypot(*gradients)

    def _flow(self, values: Collection[int], gradients: dict[int, float]) -> Flow:
        nodes = self._passed.nodes
        received = [gradients[i] for i in values if not is_constant(nodes[i])]
        data = extremes([self._passed.data[i] for i in values])
        ends = extremes(received) if received else None
        return Flow(len(values), len(received), data, ends)


def extremes(numbers: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest; nan for both if any is nan."""
    if any(map(math.isnan, numbers)):
        return math.nan, math.nan
    return min(numbers), max(numbers)


def spanned(ends: tuple[float, float]) -> str:
    """`-0.98 … 0.997`, or one number if both look the same."""
    texts = [number(end, SEVERAL_DIGITS) for end in ends]
    return texts[0] if texts[0] == texts[1] else SEVERAL.format(*texts)
