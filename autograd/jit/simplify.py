"""Which operations of a recording are needed? Fewer nodes, the same bits.

Nodes that nothing needs are dropped, except operations that may raise (those that are not total),
because their errors are part of what the function does. Then a chain of additions x + a b + c d +
... whose intermediate sums nothing else uses becomes one sum of products, computed in the order it
was written.

What was tried: computing what depends on constants only beforehand, x for x * 1 or -(-x), and
letting a sum that was recorded as one take in its terms. No network has enough of these for a
replay to take less time.
"""

from __future__ import annotations

from collections.abc import Iterable

from autograd import ops
from autograd.jit.graph import ONE, SUM, Graph
from autograd.primitive import Primitive


def simplify(graph: Graph, wanted: Iterable[int]) -> None:
    """Simplify a graph in place, but for the wanted nodes.

    Nodes keep their numbers. The operation of those that are not needed any more becomes None.
    """
    _fuse(graph, _needed(graph, wanted))


def _needed(graph: Graph, wanted: Iterable[int]) -> list[int]:
    """How often each node is used: 0, 1, or more, as if it is wanted. The others are dropped."""
    operations, operands = graph.operations, graph.operands
    uses = [0] * len(operations)
    for node in (ONE, *wanted):  # `_fuse` needs ONE
        uses[node] = 2
    for node in range(len(operations) - 1, -1, -1):
        operation = operations[node]
        if not uses[node] and not (isinstance(operation, Primitive) and not operation.total):
            operations[node] = None
            continue
        for operand in operands[node]:
            uses[operand] += 1
    return uses


def _fuse(graph: Graph, uses: list[int]) -> None:
    """Make one sum of an addition of sums and products that are used once."""
    operations, operands = graph.operations, graph.operands
    sums: dict[int, list[int]] = {}  # the factors of each
    for node, operation in enumerate(operations):
        if operation is not ops.add:
            continue
        factors = list[int]()
        for term in operands[node]:
            inner = operations[term] if uses[term] == 1 else None
            if inner is ops.mul:
                factors += operands[term]
            elif not factors and inner is ops.add:
                factors = sums.pop(term)
            elif not factors and inner is SUM:
                factors += operands[term]
            else:
                factors += (term, ONE)
                continue
            operations[term] = None
        sums[node] = factors
    for node, factors in sums.items():
        if factors[1::2] == [ONE, ONE]:
            operands[node] = tuple(factors[::2])
        else:
            operations[node], operands[node] = SUM, tuple(factors)
