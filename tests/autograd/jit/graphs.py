"""What does a recorded graph compute? A reference, node by node, and random graphs to test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from autograd import Primitive, ops
from autograd.jit.graph import Graph, Source

PRIMITIVES = [p for p in vars(ops).values() if isinstance(p, Primitive)]
OWN = [
    Primitive("cube", lambda x: x * x * x, 1.0),
    Primitive("lgamma", math.lgamma, 1.0),
    Primitive("fused", lambda a, b, c: a * b + c, (1.0, 1.0, 1.0)),
]
ARGUMENTS = 4
EDGES = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 5e-324, 1e308, -1e308, math.inf, -math.inf, math.nan]

numbers = st.sampled_from(EDGES) | st.floats(-8.0, 8.0)
arguments = st.lists(numbers, min_size=ARGUMENTS, max_size=ARGUMENTS)
# An operation, as its index in the list, and its operands, counted back from the last node.
steps = st.tuples(
    st.integers(0, len(PRIMITIVES) + len(OWN) - 1) | st.sampled_from([0, 1, 2, 2, 3, 4]),
    st.tuples(*[st.integers(0, 25)] * 3),
)
programs = st.tuples(st.lists(st.sampled_from(EDGES), max_size=6), st.lists(steps, max_size=40))


def graph_of(program: tuple[Sequence[float], Sequence[Any]]) -> Graph:
    """A graph: arguments, constants, then operations."""
    constants, operations = program
    graph = Graph()
    for position in range(ARGUMENTS):
        graph.add(Source("argument", position))
    for constant in constants:
        graph.constant(constant)
    for which, places in operations:
        primitive = (PRIMITIVES + OWN)[which]
        size = len(graph)
        operands = [size - 1 - place % size for place in places[: len(primitive.backward)]]
        graph.add(primitive, tuple(operands))
    return graph


def copied(graph: Graph) -> Graph:
    other = Graph()
    other.operations, other.operands = list(graph.operations), list(graph.operands)
    return other


def evaluated(graph: Graph, given: Sequence[float]) -> tuple[dict[int, float], list[int]]:
    """The number of each node that can be computed, and the nodes that raise.

    Nodes that depend on one that raises are left out.
    """
    found: dict[int, float] = {}
    raising = []
    for node, operation in enumerate(graph.operations):
        if isinstance(operation, Source):
            found[node] = operation.key if operation.kind == "constant" else given[operation.key]
        elif operation is not None and all(o in found for o in graph.operands[node]):
            try:
                found[node] = operation.forward(*[found[o] for o in graph.operands[node]])
            except (ValueError, ZeroDivisionError, OverflowError):
                raising.append(node)
    return found, raising


def shown(numbers: Iterable[float]) -> list[str]:
    """Numbers as text, to the last bit; nan equals nan."""
    return [repr(float(number)) for number in numbers]


def counts(graph: Graph) -> dict[str, int]:
    """How many sources of each kind a program of such a graph has."""
    return {"argument": ARGUMENTS, "varying": 0, "data": 0, "grad": 0}
