"""Which operations of a recording are needed? Fewer nodes, the same bits.

The same primitive of the same nodes is one node (in any order if the primitive commutes), if it is
one of ops.py: a user's own may give another number each time. Then nodes that nothing needs are
dropped, except operations that may raise (those that are not total), because their errors are part
of what the function does. Last, a chain of additions x + a b + c d + ... whose intermediate sums
nothing else uses becomes one sum of products, computed in the order it was written.

What was tried: computing what depends on constants only beforehand, and x for x * 1 or -(-x). No
network has enough of these for a replay to take less time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autograd import ops
from autograd.jit.graph import ONE, SUM, Graph, Source
from autograd.primitive import Primitive


def simplify(graph: Graph, wanted: Iterable[int]) -> dict[int, int]:
    """Simplify a graph in place; for each wanted node the node that has its number now.

    Nodes keep their numbers. The operation of those that are not needed any more becomes None.
    """
    operations, operands = graph.operations, graph.operands
    now = list(range(len(operations)))  # a node, or the earlier one it equals
    rows_now: dict[int, int] = {}
    known: dict[Any, dict[Any, int]] = {row: {} for row in (SUM, *ops.TABLE.values())}
    # The step of a small GPT has 100,000 nodes, so the rare cases are tested last.
    operation: Any
    for node, operation in enumerate(operations):
        if operation.__class__ is Source:
            continue
        before = operands[node]
        left, right = before[0], before[-1]
        if operation is SUM:
            for row in before:
                if row not in rows_now:
                    rows_now[row] = graph.row(map(now.__getitem__, graph.rows[row]))
            before = operands[node] = rows_now[left], rows_now[right]
            now[node] = known[SUM].setdefault(before, node)
            continue
        if now[left] != left or now[right] != right or len(before) > 2:
            before = operands[node] = tuple([now[operand] for operand in before])
            left, right = before[0], before[-1]
        if operation in known:  # a user's own primitive is not
            key = (right, left) if left > right and operation.commutes else before
            now[node] = known[operation].setdefault(key, node)
    ends = {node: now[node] for node in wanted}
    _fuse(graph, _needed(graph, now, ends.values()))
    return ends


def _needed(graph: Graph, now: list[int], ends: Iterable[int]) -> list[int]:
    """How often each node is used: 0, 1, or more, as ends are. What nothing needs is dropped."""
    operations, operands = graph.operations, graph.operands
    uses, uses_of_rows = [0] * len(operations), [0] * len(graph.rows)
    for node in (ONE, *ends):  # `_fuse` needs ONE
        uses[node] = 2
    for node in range(len(operations) - 1, -1, -1):
        operation = operations[node]
        if not uses[node]:
            may_raise = isinstance(operation, Primitive) and not operation.total
            if not may_raise or now[node] != node:
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
