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
    uses, uses_of_rows = [0] * len(operations), [0] * len(graph.rows)
    for node in (ONE, *wanted):  # `_fuse` needs ONE
        uses[node] = 2
    for node in range(len(operations) - 1, -1, -1):
        operation = operations[node]
        if not uses[node] and not (isinstance(operation, Primitive) and not operation.total):
            operations[node] = None
            continue
        for operand in operands[node] if operation is not SUM else ():
            uses[operand] += 1
        for row in operands[node] if operation is SUM else ():
            uses_of_rows[row] += 1
            for operand in graph.rows[row] if uses_of_rows[row] <= 2 else ():
                uses[operand] += 1
    return uses


def _fuse(graph: Graph, uses: list[int]) -> None:
    """Make one sum of an addition of sums and products that are used once."""
    operations, operands, rows = graph.operations, graph.operands, graph.rows
    sums: dict[int, list[list[int]]] = {}  # the left and the right factors of each
    for node, operation in enumerate(operations):
        if operation is not ops.add:
            continue
        left, right = list[int](), list[int]()
        for term in operands[node]:
            inner = operations[term] if uses[term] == 1 else None
            if inner is ops.mul:
                left.append(operands[term][0])
                right.append(operands[term][1])
            elif not left and inner is ops.add:
                left, right = sums.pop(term)
            elif not left and inner is SUM:
                left, right = [list(rows[row]) for row in operands[term]]
            else:
                left.append(term)
                right.append(ONE)
                continue
            operations[term] = None
        sums[node] = [left, right]
    for node, (left, right) in sums.items():
        if len(left) == 2 and right == [ONE, ONE]:
            operations[node], operands[node] = ops.add, tuple(left)
        else:
            operations[node], operands[node] = SUM, (graph.row(left), graph.row(right))
