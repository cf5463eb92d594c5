"""What is recorded? A graph: a list of operations, each on the results of earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import chain
from operator import add, mul
from typing import Any, NamedTuple

from autograd import ops
from autograd.primitive import Primitive


class Source(NamedTuple):
    """The operation of a node without operands: where its number comes from.

    kind: "constant", "argument", "varying" (read again in each replay), "data" or "grad" (of a leaf
        from outside).
    key: the number of a constant, else a position among the sources of this kind.
    """

    kind: str
    key: Any


# a b + c d + ... of any number of terms, added from the left. Its operands are a, b, c, d, ...; the
# second factor of a term that is not a product is the node ONE.
SUM = Primitive("sum", lambda *x: reduce(add, map(mul, x[::2], x[1::2])), 1.0, total=True)
# A number taken out of a program's memory. It is not `total`, so that non-finite ones are noticed.
OUTPUT = Primitive("output", lambda x: x, None)
ONE = 0  # the node of the constant 1.0


class Graph:
    """A straight-line program: node i applies `operations[i]` to the earlier nodes `operands[i]`.

    The operation of a node without operands is a Source, and that of a removed node is None. A
    primitive of ops.py has one node for the same operands, in any order if it commutes. A user's
    own primitive has a new node each time, as it may not give the same number twice.

    Attributes:
        constants: the number of each constant, by node.
        in_order: the nodes of gradients of leaves, added in the order of the leaves.
        passes: the length of the graph before and after each backward pass.
    """

    __slots__ = ("_known", "_node_of", "constants", "in_order", "operands", "operations", "passes")

    def __init__(self) -> None:
        self.operations: list[Primitive | Source | None] = []
        self.operands: list[tuple[int, ...]] = []
        self.constants: dict[int, float] = {}
        self.in_order: set[int] = set()
        self.passes: list[int] = []
        self._known = {row: dict[tuple[int, ...], int]() for row in (SUM, *ops.TABLE.values())}
        self._node_of: dict[float | str, int] = {}
        self.constant(1.0)  # the node ONE

    def add(self, operation: Primitive | Source, operands: tuple[int, ...] = ()) -> int:
        """Return the node of an operation: a known one, or a new one."""
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
        """Return the node of a b + c d + ..., for the factors a, b, c, d, ..."""
        if len(factors) > 2:
            return self.add(SUM, tuple(factors))
        left, right = factors
        if left == ONE or right == ONE:
            return right if left == ONE else left
        return self.add(ops.mul, (left, right))

    def constant(self, number: float) -> int:
        """Return the node of a constant; 0.0 and -0.0 have one each."""
        key = number or repr(number)
        node = self._node_of.get(key)
        if node is None:
            node = self._node_of[key] = self.add(Source("constant", number))
            self.constants[node] = number
        return node

    def compared(self) -> set[int]:
        """Return the numbers compared after a backward pass, whose nan would not show in a result.

        These are operands without a slope, such as conditions, and those of a user's primitives.
        """
        ends, operations = [*self.passes, len(self)], self.operations
        sloped = {row for row in self._known if None not in row.backward}
        return {
            operand
            for node in chain.from_iterable(map(range, ends[1::2], ends[2::2]))
            if isinstance(used_by := operations[node], Primitive) and used_by not in sloped
            for operand, rule in zip(self.operands[node], used_by.backward, strict=True)
            if operand >= ends[0] and (rule is None or used_by not in self._known)
            if isinstance(operations[operand], Primitive)
        }

    def __len__(self) -> int:
        return len(self.operations)
