"""Which operations of a recording are needed? Fewer nodes, the same bits.

Nodes that nothing needs are dropped, except operations that may raise (those that are not total),
because their errors are part of what the function does. Then a chain of additions x + a b + c d +
... whose intermediate sums nothing else uses becomes one sum of products, computed in the order it
was written.

What was tried: computing what depends on constants only beforehand, and x for x * 1 or -(-x). No
network has enough of these for a replay to take less time.
"""

from __future__ import annotations

from collections.abc import Iterable

from autograd import ops
from autograd.jit.graph import ONE, SUM, Graph
from autograd.primitive import Primitive


def simplify(graph: Graph, wanted: Iterable[int]) -> dict[int, int]:
    """Simplify a graph in place, but for the wanted nodes.

    Nodes keep their numbers. The operation of those that are not needed any more becomes None.
    """
    ends = {node: node for node in wanted}
    _fuse(graph, _needed(graph, ends))
    return ends


def _needed(graph: Graph, ends: Iterable[int]) -> list[int]:
    """How often each node is used: 0, 1, or more, as ends are. What nothing needs is dropped."""
    operations, operands = graph.operations, graph.operands
    uses, uses_of_rows = [0] * len(operations), [0] * len(graph.rows)
    for node in (ONE, *ends):  # `_fuse` needs ONE
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
    """Make one sum of sums and products that are used once, as the first term or another one."""
    operations, operands, rows = graph.operations, graph.operands, graph.rows
    ones = {
        position: [k for k, node in enumerate(row) if node == ONE]
        for position, row in enumerate(rows)
        if ONE in row
    }
    sums: dict[int, tuple[list[int], list[int]]] = {}  # the factors of each

    def factors(node: int) -> tuple[list[int], list[int]]:
        left, right = operands[node]
        return list(rows[left]), list(rows[right])

    def may_grow(node: int) -> bool:
        left, right = operands[node]
        single = [rows[left][k] for k in ones.get(right, ())]
        single += [rows[right][k] for k in ones.get(left, ())]
        return 1 in [uses[term] for term in single]

    for node, operation in enumerate(operations):
        if operation is ops.add:
            terms = [(operand, ONE) for operand in operands[node]]
        elif operation is SUM and may_grow(node):
            terms = list(zip(*factors(node), strict=True))
        else:
            continue
        left, right = list[int](), list[int]()
        for a, b in terms:
            if a == ONE:
                a, b = b, a
            inner = operations[a] if b == ONE and uses[a] == 1 else None
            if inner is ops.mul:
                left.append(operands[a][0])
                right.append(operands[a][1])
            elif not left and (inner is ops.add or inner is SUM):
                left, right = sums.pop(a) if a in sums else factors(a)
            else:
                left.append(a)
                right.append(b)
                continue
            operations[a] = None
        sums[node] = left, right
    for node, (left, right) in sums.items():
        if len(left) == 2 and right == [ONE, ONE]:
            operations[node], operands[node] = ops.add, tuple(left)
        else:
            operations[node], operands[node] = SUM, (graph.row(left), graph.row(right))
