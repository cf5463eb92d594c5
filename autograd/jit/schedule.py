"""In which order, and where, are numbers computed? In groups of similar ones, side by side.

A program's numbers are in one array of floats: first the sources (constants, arguments, numbers
that are read again, leaves from outside and their gradients), then the results by group. The
members of a group are results of one primitive, or sums of equal length, that do not depend on each
other. So they can be computed in any order, and are consecutive in memory. Their order is chosen so
that as many operands as possible form strided runs: then a few loops over memory compute the group.
Networks are full of such regularity, and no hints are needed to find it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autograd.jit.graph import OUTPUT, Graph, Source
from autograd.primitive import Primitive

Addresses = NDArray[np.integer[Any]]
LINE = 8  # floats in a cache line: long groups start at one, as a read across two takes longer


class Group(NamedTuple):
    """Operations with the same primitive that do not depend on each other.

    Attributes:
        start: the address of the first member; the others follow it.
        operands: their addresses, [members, operands]; for sums the factors, two by two.
    """

    primitive: Primitive
    start: int
    operands: Addresses


class Plan(NamedTuple):
    """The groups in the order of computation, and the layout of the memory.

    Attributes:
        outputs: a last group, of what is taken out of the memory.
        size: how many floats there are. constants: the first of them.
        spans: where the sources of each kind are.
    """

    groups: list[Group]
    outputs: Group
    size: int
    constants: list[float]
    spans: dict[str, slice]


def schedule(
    graph: Graph, counts: dict[str, int], outputs: Sequence[int] = ()
) -> tuple[Plan, Addresses]:
    """Lay out a simplified graph; return the plan, and the address of each node.

    The address of a node that is not computed on its own is -1.

    Args:
        counts: the number of sources of each kind except constants, used or not.
        outputs: the nodes to take out.
    """
    address, constants, spans, end = _sources(graph, counts)
    groups = []
    for primitive, members in _groups(graph):
        nodes = np.array(members)
        rows = chain.from_iterable([graph.operands[node] for node in members])
        operands = address[np.fromiter(rows, np.int64).reshape(len(members), -1)]
        if len(members) > 2:
            order = _order(operands, graph.in_order.issuperset(members))
            nodes, operands = nodes[order], operands[order]
        end += -end % LINE if len(members) >= LINE else 0
        address[nodes] = np.arange(end, end + len(members))
        groups.append(Group(primitive, end, operands))
        end += len(members)
    end += -end % LINE
    taken = Group(OUTPUT, end, address[list(outputs)][:, None])
    return Plan(groups, taken, end + len(outputs), constants, spans), address


def _sources(
    graph: Graph, counts: dict[str, int]
) -> tuple[Addresses, list[float], dict[str, slice], int]:
    """Return the addresses, constants and spans of sources, and the address after them."""
    # A run writes nan to address 0 if an operation might have raised.
    constants = [0.0, *graph.constants.values()]
    address = np.full(len(graph), -1, dtype=np.int32)
    address[list(graph.constants)] = range(1, len(constants))
    spans, end = dict[str, slice](), 0
    for kind, length in {"constant": len(constants), **counts}.items():
        end += -end % LINE
        spans[kind] = slice(end, end + length)
        end += length
    for node, op in enumerate(graph.operations):
        if isinstance(op, Source) and op.kind != "constant":
            address[node] = spans[op.kind].start + op.key
    return address, constants, spans, end


def _groups(graph: Graph) -> list[tuple[Primitive, list[int]]]:
    """Group nodes by operation and height, the length of the longest path to a last node.

    So each number is computed as late as possible. By depth, the length of the longest path from a
    source, the tokens of a GPT would be in different groups, because each of them takes the maximum
    of more scores than the one before.
    """
    operations, operands = graph.operations, graph.operands
    height = [0] * len(graph)
    groups: dict[Any, list[int]] = defaultdict(list)
    for node in range(len(graph) - 1, -1, -1):
        operation = operations[node]
        if operation is None or operation.__class__ is Source:
            continue
        here, below = height[node], operands[node]
        groups[here, operation, len(below)].append(node)
        for operand in below:
            if height[operand] <= here:
                height[operand] = here + 1
    ordered = sorted(groups.items(), key=lambda item: -item[0][0])
    return [(primitive, nodes[::-1]) for (_, primitive, _), nodes in ordered]


def _order(operands: Addresses, is_in_order: bool) -> Addresses:
    """Return the order of members with the fewest breaks in the strides of their operands.

    is_in_order: whether they are in the order of leaves they will be added to. That order is kept
        if it is nearly as good.
    """
    rises = np.sign(operands[-1] - operands[0]).sum() >= 0  # vectors are read forwards
    best, fewest = np.arange(len(operands))[:: 1 if rises else -1], breaks(operands)
    moving = np.flatnonzero((operands != operands[0]).any(axis=0))
    for columns in permutations(moving[:2].tolist()) if fewest else ():
        order = np.lexsort(operands[:, columns].T)
        found = breaks(operands[order])
        if found < fewest:
            best, fewest = order, found
    if is_in_order and (breaks(operands) - fewest) * operands.shape[1] <= len(operands):
        return np.arange(len(operands))
    return best


def breaks(operands: Addresses) -> int:
    """Count the members at which the stride of some operand changes."""
    steps = operands[1:] - operands[:-1]
    return int((steps[1:] != steps[:-1]).any(axis=1).sum())


def runs(places: Addresses, apart: Any = None) -> list[tuple[int, int]]:
    """Return (start, length) of each run of rows in which each column moves by a constant step.

    apart: for each step from row to row, whether to end the run there in any case.
    """
    steps = np.diff(places, axis=0)
    forced = np.zeros(len(steps), dtype=bool) if apart is None else apart
    ends = forced.copy()
    ends[1:] |= (steps[1:] != steps[:-1]).any(axis=1)
    found, start = [], 0
    for step in np.flatnonzero(ends).tolist():
        # Step i leads from row i to row i + 1. A run may begin with any step, so a turn at its
        # first step does not end it. But the second of two rows joins the next run if it fits.
        if forced[step] or step > start:
            fits = step == start + 1 and not forced[step] and not ends[step : step + 2].all()
            found.append((start, step + (not fits) - start))
            start = step + (not fits)
    found.append((start, len(places) - start))
    return found


def selector(addresses: NDArray[Any]) -> slice | NDArray[np.int64]:
    """Return an index for these addresses of an array: a slice if they are consecutive."""
    if len(addresses) and (np.diff(addresses) == 1).all():
        return slice(int(addresses[0]), int(addresses[0]) + len(addresses))
    return addresses.astype(np.int64)  # else NumPy would convert them at each use
