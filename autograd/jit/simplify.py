"""Which operations of a recording are needed? Fewer nodes give the same bits.

Nodes that nothing uses are dropped, except operations that may raise (those that are not total),
because their errors are part of what the function does. Then a chain of additions x + a b + c d +
... becomes one sum of products, added in the same order, if nothing else uses its partial sums.

Tried without a measurable gain: folding constants, replacing x * 1 and -(-x) by x, and fusing terms
into sums that were recorded as one node.
"""

from __future__ import annotations

from collections.abc import Iterable

from autograd import ops
from autograd.jit.graph import ONE, SUM, Graph
from autograd.primitive import Primitive


def simplify(graph: Graph, wanted: Iterable[int]) -> None:
    """Simplify a graph in place, keeping the wanted nodes. Removed nodes get the operation None."""
    _fuse(graph, _needed(graph, wanted))


def _needed(graph: Graph, wanted: Iterable[int]) -> list[int]:
    """Drop unneeded nodes; return how often each node is used, at least 2 for wanted ones."""
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
    """Fuse each addition with the sums and products in it that are used only once."""
    operations, operands = graph.operations, graph.operands
    sums: dict[int, list[int]] = {}  # factors, by node
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
