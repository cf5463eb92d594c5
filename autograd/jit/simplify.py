"""Which operations of a recording are needed? Fewer nodes, the same bits.

Three rules, each of which keeps every result to the last bit:

- what is made by the same primitive from the same nodes is one node (operands of sums and products
  may change places), unless it is a user's own;
- a primitive of constants is a constant, unless it raises or is a user's own;
- x * 1, x / 1, x - 0, x ** 1 and -(-x) are x. (x + 0 is not: it makes 0 of -0.)

Then what nothing needs is left out, except operations that may raise: their errors are part of what
the function does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autograd import ops
from autograd.jit.trace import SAME, Graph, Source
from autograd.ops import Primitive

COMMUTATIVE = frozenset([ops.add, ops.mul])
_IDENTITIES = frozenset([ops.mul, ops.div, ops.pow, ops.sub, ops.neg])  # x * 1 and the like
KNOWN = frozenset(row for row in vars(ops).values() if isinstance(row, Primitive))
# The operations that give a number for every operand. Of a user's own nothing is known.
TOTAL = frozenset(
    [
        *(
            ops.add,
            ops.sub,
            ops.mul,
            ops.neg,
            ops.abs,
            ops.relu,
            ops.maximum,
            ops.minimum,
            ops.where,
        ),
        *(ops.greater, ops.tanh, ops.sech, ops.sigmoid, ops.softplus, ops.gaussian, ops.erf),
    ]
)


def simplify(graph: Graph, wanted: Iterable[int]) -> dict[int, int]:
    """Simplify a graph in place; which node now has the number of each wanted one.

    Nodes keep their places. Those that are not needed any more lose their operation (None).
    """
    operations, operands = graph.operations, graph.operands
    now = list(range(len(operations)))  # a node, or the earlier one it equals
    known: dict[Any, int] = {}
    constants: dict[int, float] = {}
    for node, operation in enumerate(operations):
        if not isinstance(operation, Primitive):
            assert operation is not None
            if operation.kind == "constant":
                now[node] = known.setdefault(repr(operation.key), node)
                constants[node] = operation.key
            continue
        before = operands[node]
        if operation is SAME:
            now[node] = now[before[0]]
            continue
        # Mostly nothing has changed; a small training step comes here 200,000 times.
        if [operand for operand in before if now[operand] != operand]:
            before = operands[node] = tuple([now[operand] for operand in before])
        if operation in _IDENTITIES:
            same = _same(operation, before, graph, constants)
            if same is not None:
                now[node] = same
                continue
        if operation not in KNOWN:  # a user's own may be another number each time
            continue
        key = operation, before
        if operation in COMMUTATIVE and before[0] > before[1]:
            key = operation, before[::-1]
        first = known.setdefault(key, node)
        if first != node:
            now[node] = now[first]
        elif constants.keys() >= set(before):
            number = _folded(operation, [constants[operand] for operand in before])
            if number is not None:
                operations[node], operands[node] = Source("constant", number), ()
                now[node] = known.setdefault(repr(number), node)
                constants[node] = number
    ends = {node: now[node] for node in wanted}
    _drop(graph, now, ends.values())
    return ends


def _drop(graph: Graph, now: list[int], ends: Iterable[int]) -> None:
    """Take away the operation of every node that nothing needs."""
    operations, operands = graph.operations, graph.operands
    needed = bytearray(len(operations))
    for node in ends:
        needed[node] = 1
    for node in range(len(operations) - 1, -1, -1):
        operation = operations[node]
        if not needed[node] and (
            operation.__class__ is Source or operation in TOTAL or now[node] != node
        ):
            operations[node] = None
        else:
            for operand in operands[node]:
                needed[operand] = 1


def _same(
    operation: Primitive, operands: tuple[int, ...], graph: Graph, constants: dict[int, float]
) -> int | None:
    """The operand that the operation leaves as it is."""
    left, right = operands[0], operands[-1]
    if operation is ops.neg:
        return graph.operands[left][0] if graph.operations[left] is ops.neg else None
    if operation is ops.mul:
        if constants.get(right) == 1.0:
            return left
        return right if constants.get(left) == 1.0 else None
    neutral = "0.0" if operation is ops.sub else "1.0"  # not -0.0
    return left if right in constants and repr(constants[right]) == neutral else None


def _folded(operation: Primitive, numbers: list[float]) -> float | None:
    """What the operation makes of constants; None where it raises."""
    try:
        number = operation.forward(*numbers)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if number.__class__ is float else None
