"""What is a recording? A graph: a list of operations, each on the results of earlier ones."""

from __future__ import annotations

from typing import Any, NamedTuple

from autograd.primitive import Primitive


class Source(NamedTuple):
    """Where a node gets its number from that no primitive computes.

    kind: "constant", "argument", "varying" (read again at each replay), "data" or "grad" (of a leaf
        from outside).
    key: the constant itself, else a position among the sources of this kind.
    """

    kind: str
    key: Any


class Graph:
    """A straight-line program: node i is `operations[i]` of the nodes `operands[i]`, all earlier.

    The operation of a node without operands is a Source; that of a node that is not needed any more
    is None.

    Attributes:
        constants: the number of each node that is a constant.
    """

    __slots__ = ("_node_of", "constants", "operands", "operations")

    def __init__(self) -> None:
        self.operations: list[Primitive | Source | None] = []
        self.operands: list[tuple[int, ...]] = []
        self.constants: dict[int, float] = {}
        self._node_of: dict[float | str, int] = {}

    def add(self, operation: Primitive | Source, operands: tuple[int, ...] = ()) -> int:
        """Add a node; its number."""
        self.operations.append(operation)
        self.operands.append(operands)
        return len(self.operations) - 1

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
