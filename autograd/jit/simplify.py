"""Which operations of a recording are needed? Fewer nodes, the same bits.

Three rules, each of which keeps every result to the last bit:

- the same primitive of the same nodes is one node (in any order if the primitive commutes);
- a primitive of constants is a constant, unless it raises;
- x * 1, x / 1, x - 0, x ** 1 and -(-x) are x. (x + 0 is not: -0 + 0 is 0.)

The first two hold for the primitives of ops.py only: a user's own may give another number each
time. Then nodes that nothing needs are dropped, except operations that may raise (those that are
not total), because their errors are part of what the function does. Last, a chain of additions
x + a b + c d + ... whose intermediate sums nothing else uses becomes one sum of products, computed
in the order it was written.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np

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
    numbers: dict[str, int] = {}
    constants: dict[int, float] = {}
    # The step of a small GPT has 100,000 nodes, so the rare cases are tested last.
    operation: Any
    for node, operation in enumerate(operations):
        if operation.__class__ is Source:
            if operation.kind == "constant":
                now[node] = numbers.setdefault(repr(operation.key), node)
                constants[node] = operation.key
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
        table = known.get(operation)
        if table is None:  # a user's own primitive
            continue
        constant = left in constants or right in constants
        if constant or operation is ops.neg:
            unchanged = _unchanged(operation, before, graph, constants)
            if unchanged is not None:
                now[node] = unchanged
                continue
        commutes = left > right and operation.commutes
        first = table.setdefault((right, left) if commutes else before, node)
        if first != node:
            now[node] = now[first]
        elif constant and constants.keys() >= set(before):
            number = _folded(operation, [constants[operand] for operand in before])
            if number is not None:
                operations[node], operands[node] = Source("constant", number), ()
                now[node] = numbers.setdefault(repr(number), node)
                constants[node] = number
    ends = {node: now[node] for node in wanted}
    _drop(graph, now, ends.values())
    _fuse(graph, ends.values())
    return ends


def _drop(graph: Graph, now: list[int], ends: Iterable[int]) -> None:
    """Drop the operation of every node that nothing needs."""
    operations, operands = graph.operations, graph.operands
    needed = bytearray(len(operations))
    needed_rows: set[int] = set()
    needed[ONE] = 1  # `_fuse` uses it
    for node in ends:
        needed[node] = 1
    for node in range(len(operations) - 1, -1, -1):
        operation = operations[node]
        raises_nothing = not isinstance(operation, Primitive) or operation.total
        if not needed[node] and (raises_nothing or now[node] != node):
            operations[node] = None
        elif operation is SUM:
            for row in operands[node]:
                if row not in needed_rows:
                    needed_rows.add(row)
                    for operand in graph.rows[row]:
                        needed[operand] = 1
        else:
            for operand in operands[node]:
                needed[operand] = 1


def _fuse(graph: Graph, ends: Iterable[int]) -> None:
    """Make one sum of sums and products that are used once, as the first term or another one."""
    operations, operands, rows = graph.operations, graph.operands, graph.rows
    uses = _uses(graph, ends)
    with_one = {position for position, row in enumerate(rows) if ONE in row}
    sums: dict[int, tuple[list[int], list[int]]] = {}  # the factors of each

    def factors(node: int) -> tuple[list[int], list[int]]:
        left, right = operands[node]
        return list(rows[left]), list(rows[right])

    for node, operation in enumerate(operations):
        if operation is ops.add:
            terms = [(operand, ONE) for operand in operands[node]]
        elif operation is SUM and not with_one.isdisjoint(operands[node]):
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


def _uses(graph: Graph, ends: Iterable[int]) -> list[int]:
    """How often each node is used; ends twice, as they stay."""
    nodes, rows = [*ends, *ends], list[int]()
    for operation, operands in zip(graph.operations, graph.operands, strict=True):
        if operation is SUM:
            rows += operands
        elif operation is not None:
            nodes += operands
    of_rows = np.repeat(np.bincount(rows, minlength=len(graph.rows)), list(map(len, graph.rows)))
    in_rows = np.fromiter(chain.from_iterable(graph.rows), np.int64)
    uses = np.bincount(nodes, minlength=len(graph)) + np.bincount(in_rows, of_rows, len(graph))
    found: list[int] = uses.tolist()
    return found


def _unchanged(
    operation: Primitive, operands: tuple[int, ...], graph: Graph, constants: dict[int, float]
) -> int | None:
    """The operand that the operation gives back, as x * 1 gives x; None if there is none."""
    left, right = operands[0], operands[-1]
    if operation is ops.neg:
        return graph.operands[left][0] if graph.operations[left] is ops.neg else None
    if operation is ops.mul and constants.get(left) == 1.0:
        return right
    if operation is ops.mul or operation is ops.div or operation is ops.pow:
        return left if constants.get(right) == 1.0 else None
    if operation is ops.sub:
        return left if repr(constants.get(right)) == "0.0" else None  # not -0.0
    return None


def _folded(operation: Primitive, numbers: list[float]) -> float | None:
    """The result for constant operands; None if the operation raises."""
    try:
        number = operation.forward(*numbers)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if number.__class__ is float else None
