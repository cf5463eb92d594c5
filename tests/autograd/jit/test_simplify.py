"""Does a simplified graph give the same numbers, to the last bit, and the same errors?"""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from graphs import (
    ARGUMENTS,
    EDGES,
    PRIMITIVES,
    arguments,
    copied,
    evaluated,
    graph_of,
    programs,
    shown,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import Primitive, Value, ops
from autograd.jit import jit
from autograd.jit.graph import ONE, SUM, Graph, Source
from autograd.jit.simplify import simplify
from tests.examples import examples

wanted_nodes = st.lists(st.integers(0, 100), min_size=1, max_size=8)


def operations_of(graph: Graph) -> list[int]:
    """The nodes that are still computed."""
    return [n for n, op in enumerate(graph.operations) if isinstance(op, Primitive)]


@settings(max_examples=examples(300), deadline=None)
@given(programs, wanted_nodes, arguments, arguments)
def test_wanted_numbers_are_the_same_to_the_last_bit(
    program: Any, places: list[int], first: list[float], second: list[float]
) -> None:
    before = graph_of(program)
    wanted = [place % len(before) for place in places]
    after = copied(before)
    simplify(after, wanted)
    for point in (first, second, EDGES[:ARGUMENTS], EDGES[-ARGUMENTS:]):
        expected, raising = evaluated(before, point)
        found, raising_after = evaluated(after, point)
        assert bool(raising) == bool(raising_after)
        if not raising:
            assert shown(found[n] for n in wanted) == shown(expected[n] for n in wanted)


@settings(max_examples=examples(200), deadline=None)
@given(programs, wanted_nodes)
def test_remaining_nodes_are_needed_unique_and_in_order(program: Any, places: list[int]) -> None:
    graph = graph_of(program)
    size = len(graph)
    wanted = [place % size for place in places]
    before = len(operations_of(graph))
    simplify(graph, wanted)
    left = operations_of(graph)
    assert len(graph) == size
    assert len(left) <= before
    seen = set()
    used = set(wanted)
    for node in left:
        operands = graph.operands[node]
        assert all(o < node and graph.operations[o] is not None for o in operands)
        used.update(operands)
        key = graph.operations[node], operands
        # A user-defined primitive may return something else in each call.
        assert key not in seen or not ops.is_row(key[0])
        seen.add(key)
    assert all(graph.operations[node] is not None for node in wanted)
    for node in left:
        # An operation that nothing uses is kept for the error it may raise.
        assert node in used or graph.operations[node] not in (ops.add, ops.mul, ops.tanh, ops.where)


def one(primitive: Any, *operands: Any) -> tuple[Graph, int, dict[str, int]]:
    """A graph of one operation on arguments, given by name, and constants."""
    graph = Graph()
    names = {"x": graph.add(Source("argument", 0)), "y": graph.add(Source("argument", 1))}
    nodes = []
    for operand in operands:
        if isinstance(operand, str):
            nodes.append(names[operand])
        else:
            nodes.append(graph.constant(operand))
    return graph, graph.add(primitive, tuple(nodes)), names


NEAR_IDENTITIES = [
    (ops.mul, "x", 1.0),
    (ops.mul, 1.0, "x"),
    (ops.div, "x", 1.0),
    (ops.sub, "x", 0.0),
    (ops.pow, "x", 1.0),
    (ops.add, "x", 0.0),  # 0.0 for -0.0
    (ops.add, 0.0, "x"),
    (ops.sub, "x", -0.0),
    (ops.sub, 0.0, "x"),
    (ops.sub, "x", "x"),  # nan for inf
    (ops.mul, "x", 0.0),
    (ops.mul, 0.0, "x"),
    (ops.mul, "x", -1.0),
    (ops.mul, -1.0, "x"),
    (ops.div, "x", "x"),
    (ops.div, 1.0, "x"),
    (ops.div, 0.0, "x"),
    (ops.sub, 1.0, "x"),
    (ops.pow, "x", 2.0),
    (ops.maximum, "x", "x"),
    (ops.div, "x", -1.0),
]


@pytest.mark.parametrize(("primitive", "left", "right"), NEAR_IDENTITIES)
def test_near_identities_keep_zeros_infinities_and_nans(
    primitive: Any, left: Any, right: Any
) -> None:
    before, node, _ = one(primitive, left, right)
    after = copied(before)
    simplify(after, [node])
    for x in EDGES:
        expected, raising = evaluated(before, [x, x])
        found, raising_after = evaluated(after, [x, x])
        assert bool(raising) == bool(raising_after)
        if not raising:
            assert shown([found[node]]) == shown([expected[node]])


def test_equal_constants_share_a_node_but_0_and_minus_0_do_not() -> None:
    graph = Graph()
    nodes = [graph.constant(c) for c in (0.0, -0.0, math.nan, math.nan, 0.0, -0.0)]
    assert nodes[0] == nodes[4] != nodes[1] == nodes[5]
    assert nodes[2] == nodes[3]


def test_only_sums_and_products_ignore_the_order_of_their_operands() -> None:
    for primitive in PRIMITIVES:
        if len(primitive.backward) != 2:
            continue
        graph = Graph()
        x, y = graph.add(Source("argument", 0)), graph.add(Source("argument", 1))
        a, b = graph.add(primitive, (x, y)), graph.add(primitive, (y, x))
        assert (a == b) == (primitive in (ops.add, ops.mul))


def test_unused_operations_are_removed_unless_they_may_raise() -> None:
    graph = Graph()
    x = graph.add(Source("argument", 0))
    graph.add(ops.log, (x,))
    graph.add(ops.tanh, (graph.add(ops.mul, (x, x)),))
    log_of_product = graph.add(ops.log, (graph.add(ops.add, (x, x)),))
    simplify(graph, [])
    left = [graph.operations[n] for n in operations_of(graph)]
    assert left == [ops.log, ops.add, ops.log]
    assert graph.operations[log_of_product] is ops.log


def test_a_recorded_sum_takes_in_what_is_added_behind_it_and_not_before() -> None:
    """x y + z z + x is one sum; x + (x y + z z) is not, whose last bit may differ."""
    for first in (True, False):
        graph = Graph()
        x, y, z = (graph.add(Source("argument", i)) for i in range(3))
        inner = graph.sum([x, y, z, z])
        outer = graph.add(ops.add, (inner, x) if first else (x, inner))
        simplify(graph, [outer])
        if first:
            assert (graph.operations[inner], graph.operations[outer]) == (None, SUM)
            assert graph.operands[outer] == (x, y, z, z, x, ONE)
        else:
            assert (graph.operations[inner], graph.operations[outer]) == (SUM, ops.add)
            assert graph.operands[outer] == (x, inner)


def test_repeated_expressions_of_a_program_are_computed_once() -> None:
    def function(x: Value) -> Any:
        return [(x * 2.0).sin() + (2.0 * x).sin() for _ in range(50)]

    run = jit(function)
    run(Value(1.0))
    run(Value(1.0))
    program = run.programs[0]
    assert program.recorded <= 8


def test_the_stages_of_a_training_step_are_counted_and_shown() -> None:
    import nn

    model = nn.MLP(2, [4, 1])
    rule = nn.Adam(model)

    def step(xs: list[list[float]]) -> Value:
        loss = nn.mean(model(x) ** 2 for x in xs)
        rule.zero_grad()
        loss.backward()
        rule.step()
        return loss

    run, start = jit(step), time.perf_counter()
    for _ in range(3):
        run([[1.0, 2.0]] * 5)
    spent, program = time.perf_counter() - start, run.programs[0]
    assert 0 < program.groups < program.simplified / 10
    assert program.simplified < program.recorded
    for text in (
        "step",
        f"{program.recorded:,}",
        f"{program.simplified:,}",
        "groups",
        "NumPy so far",
    ):
        assert text in str(program)
    assert set(program.seconds) == {"trace", "simplify", "schedule", "compile", "check"}
    assert program.seconds["check"] > 0.0
    assert all(seconds >= 0.0 for seconds in program.seconds.values())
    assert sum(program.seconds.values()) < spent
