"""What is a recording? A graph: a list of operations, each on the results of earlier ones."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from autograd import ops
from autograd.primitive import Primitive


class Source(NamedTuple):
    """Where a node gets its number from that no primitive computes.

    kind: "constant", "argument", "varying" (read again at each replay), "data" or "grad" (of a leaf
        from outside).
    key: the constant itself, else a position among the sources of this kind.
    """

    kind: str
    key: Any


def _sum_of_products(*factors: float) -> float:
    total: float = reduce(operator.add, map(operator.mul, factors[::2], factors[1::2]))
    return total


# a b + c d + ..., added from the left, of any number of terms: its operands are a, b, c, d, ...
# A term that is no product has the node ONE as its second factor.
SUM = Primitive("sum", _sum_of_products, 1.0, total=True)
# A number that is taken out of a program's memory. One that is not finite asks for a closer look.
OUTPUT = Primitive("output", lambda x: x, 1.0)
ONE = 0  # the node of the constant 1.0


class Graph:
    """A straight-line program: node i is `operations[i]` of the nodes `operands[i]`, all earlier.

    The operation of a node without operands is a Source; that of a node that is not needed any more
    is None. The same primitive of the same nodes is one node (in any order if the primitive
    commutes), if it is one of ops.py: a user's own may give another number each time.

    Attributes:
        constants: the number of each node that is a constant.
        in_order: nodes of gradients of leaves, which are in the order of the leaves.
    """

    __slots__ = ("_known", "_node_of", "constants", "in_order", "operands", "operations")

    def __init__(self) -> None:
        self.operations: list[Primitive | Source | None] = []
        self.operands: list[tuple[int, ...]] = []
        self.constants: dict[int, float] = {}
        self.in_order: set[int] = set()
        self._known = {row: dict[tuple[int, ...], int]() for row in (SUM, *ops.TABLE.values())}
        self._node_of: dict[float | str, int] = {}
        self.constant(1.0)  # the node ONE

    def add(self, operation: Primitive | Source, operands: tuple[int, ...] = ()) -> int:
        """The node of an operation: one that is known, or a new one."""
        node = len(self.operations)
        if isinstance(operation, Primitive) and operation in self._known:
            is_turned = operation.commutes and operands[0] > operands[-1]
            key = operands[::-1] if is_turned else operands
            known = self._known[operation].setdefault(key, node)
            if known < node:
                return known
        self.operations.append(operation)
        self.operands.append(operands)
        return node

    def sum(self, factors: Sequence[int]) -> int:
        """The node of a b + c d + ... of the factors a, b, c, d, ..."""
        if len(factors) > 2:
            return self.add(SUM, tuple(factors))
        left, right = factors
        if left == ONE or right == ONE:
            return right if left == ONE else left
        return self.add(ops.mul, (left, right))

    def constant(self, number: float) -> int:
        """The node of a constant: one for each number, and one for each of the two zeros."""
        key = number if number and number == number else repr(number)
        node = self._node_of.get(key)
        if node is None:
            node = self._node_of[key] = self.add(Source("constant", number))
            self.constants[node] = number
        return node

    def __len__(self) -> int:
        return len(self.operations)
