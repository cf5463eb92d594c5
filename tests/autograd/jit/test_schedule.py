"""Is each needed number computed once, after its operands, at an address of its own?"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from graphs import ARGUMENTS, arguments, counts, evaluated, graph_of, programs, shown
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import Primitive, ops
from autograd.jit.backends.native import NativeCode
from autograd.jit.backends.numpy import NumpyCode
from autograd.jit.graph import ONE, SUM, Graph, Source
from autograd.jit.picture import draw_program
from autograd.jit.schedule import Addresses, Plan, breaks, runs, schedule, selector
from autograd.jit.simplify import simplify
from tests.examples import examples

wanted_nodes = st.lists(st.integers(0, 100), min_size=1, max_size=8)
CODES = [NativeCode, NumpyCode]


def planned(graph: Graph, wanted: list[int]) -> tuple[Plan, Addresses]:
    simplify(graph, wanted)
    return schedule(graph, counts(graph))


def filled(plan: Plan, given: list[float]) -> np.ndarray[Any, Any]:
    """Memory before the first group runs: constants and arguments."""
    memory = np.full(plan.size, math.nan)
    memory[: len(plan.constants)] = plan.constants
    memory[plan.spans["argument"]] = given
    return memory


def executed(plan: Plan, given: list[float]) -> np.ndarray[Any, Any]:
    """Memory after the plan was run number by number; raises what the operations raise."""
    memory = filled(plan, given)
    for group in plan.groups:
        for i, operands in enumerate(group.operands.tolist()):
            memory[group.start + i] = group.primitive.forward(*memory[operands].tolist())
    return memory


def places(plan: Plan) -> Iterator[tuple[int, int]]:
    """(start, end) of the memory of each kind of source and of each group."""
    for span in plan.spans.values():
        yield span.start, span.stop
    for group in plan.groups:
        yield group.start, group.start + len(group.operands)


@settings(max_examples=examples(300), deadline=None)
@given(programs, wanted_nodes, arguments)
def test_a_plan_is_complete_ordered_and_gives_the_numbers_of_the_graph(
    program: Any, chosen: list[int], point: list[float]
) -> None:
    graph = graph_of(program)
    ends = sorted({c % len(graph) for c in chosen})
    plan, address = planned(graph, ends)

    spans = sorted((a, b) for a, b in places(plan) if b > a)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert spans[0][0] == 0
    assert spans[-1][1] <= plan.size

    made: dict[int, int] = {}
    node_at = {place: node for node, place in enumerate(address.tolist()) if place >= 0}
    ready = {a for span in plan.spans.values() for a in range(span.start, span.stop)}
    for group in plan.groups:
        assert set(group.operands.ravel().tolist()) <= ready
        for place in range(group.start, group.start + len(group.operands)):
            node = node_at[place]
            assert node not in made
            made[node] = place
            assert group.primitive is graph.operations[node]
        ready.update(range(group.start, group.start + len(group.operands)))

    operations = dict(enumerate(graph.operations))
    assert set(made) == {n for n, op in operations.items() if isinstance(op, Primitive)}
    removed = {n for n, op in operations.items() if op is None} - set(graph.constants)
    assert (address[list(removed)] == -1).all()

    numbers, raising = evaluated(graph, point)
    if raising:
        with pytest.raises((ValueError, ZeroDivisionError, OverflowError)):
            executed(plan, point)
        return
    memory = executed(plan, point)
    assert shown(memory[address[ends]]) == shown(numbers[n] for n in ends)


@settings(max_examples=examples(150), deadline=None)
@given(programs, wanted_nodes, arguments)
def test_each_backend_computes_the_plan_or_reports_trouble(
    program: Any, chosen: list[int], point: list[float]
) -> None:
    graph = graph_of(program)
    ends = sorted({c % len(graph) for c in chosen})
    plan, address = planned(graph, ends)
    numbers, raising = evaluated(graph, point)
    for kind in CODES:
        code = kind(plan)
        for _ in range(2):
            code.memory[plan.spans["argument"]] = point
            code.run()
            trouble = code.memory[0] != 0.0
            assert not raising or trouble, kind
            if not raising and not trouble:
                assert shown(code.memory[address[ends]]) == shown(numbers[n] for n in ends)
            if all(map(math.isfinite, numbers.values())) and not raising:
                assert not trouble, kind


@pytest.mark.parametrize("kind", CODES)
def test_kernels_do_not_write_outside_their_group(kind: Any) -> None:
    """Kernels of sums write whole vectors, so all memory is compared after the run."""
    for members in (1, 2, 7, 8, 9, 31, 33):
        for terms in (1, 2, 3, 17):
            graph = Graph()
            size = 40
            xs = [graph.add(Source("argument", i)) for i in range(size)]
            every: list[int] = []
            for m in range(members):
                total = xs[m]
                for t in range(terms):
                    product = graph.add(ops.mul, (xs[(m + t) % size], xs[(3 * m + t) % size]))
                    total = graph.add(ops.add, (total, product))
                every += [total, graph.add(ops.neg, (total,)), graph.add(ops.exp, (xs[m],))]
            given_numbers = [0.01 * i - 0.2 for i in range(size)]
            sizes = {"argument": size, "varying": 3, "data": 5, "grad": 5}
            numbers, _ = evaluated(graph, given_numbers)
            simplify(graph, every)
            plan, address = schedule(graph, sizes)
            code = kind(plan)
            for span in ("varying", "data", "grad"):
                code.memory[plan.spans[span]] = 77.0
            code.memory[plan.spans["argument"]] = given_numbers
            code.run()
            assert code.memory[0] == 0.0
            assert shown(code.memory[address[every]]) == shown(numbers[n] for n in every)
            for span in ("varying", "data", "grad"):
                assert (code.memory[plan.spans[span]] == 77.0).all()
            assert code.memory[plan.spans["argument"]].tolist() == given_numbers
            assert code.memory[: len(plan.constants)].tolist() == plan.constants


def test_a_chain_of_additions_becomes_one_sum_in_written_order() -> None:
    graph = Graph()
    xs = [graph.add(Source("argument", i)) for i in range(ARGUMENTS)]
    total = graph.add(ops.mul, (xs[0], xs[1]))
    for i in range(20):
        factor = graph.constant(1.5 + i)
        total = graph.add(ops.add, (total, graph.add(ops.mul, (xs[i % 4], factor))))
    point = [1e16, 1.0, -1e16, 3.0]
    numbers, _ = evaluated(graph, point)
    plan, _ = planned(graph, [total])
    (group,) = plan.groups
    assert (group.primitive, group.operands.shape) == (SUM, (1, 42))
    assert executed(plan, point)[group.start] == numbers[total]


def test_a_sum_is_split_at_a_partial_sum_that_is_used_elsewhere() -> None:
    graph = Graph()
    x, y = graph.add(Source("argument", 0)), graph.add(Source("argument", 1))
    first = graph.add(ops.add, (graph.add(ops.mul, (x, y)), y))
    second = graph.add(ops.add, (first, graph.add(ops.mul, (y, y))))
    other = graph.add(ops.tanh, (first,))
    _, address = planned(graph, [second, other])
    assert (address[[first, second, other]] >= 0).all()


def test_similar_operations_of_a_layer_form_one_group() -> None:
    graph = Graph()
    xs = [graph.add(Source("argument", i % ARGUMENTS)) for i in range(ARGUMENTS)]
    outs = [graph.add(ops.tanh, (graph.add(ops.mul, (x, y)),)) for x in xs for y in xs[:2]]
    plan, _ = planned(graph, outs)
    assert [group.primitive for group in plan.groups] == [ops.mul, ops.tanh]


# --- layout ---------------------------------------------------------------------------------------


def laid_out(pairs: list[tuple[int, int]], in_order: bool = False) -> list[tuple[int, int]]:
    """Schedule products x_i y_j for these (i, j); return them in the order of their addresses."""
    graph = Graph()
    xs, ys = [[graph.add(Source(kind, i)) for i in range(8)] for kind in ("data", "grad")]
    products = [graph.add(ops.mul, (xs[i], ys[j])) for i, j in pairs]
    graph.in_order.update(products if in_order else ())
    plan, _ = schedule(graph, {"data": 8, "grad": 8})
    (group,) = plan.groups
    first = [plan.spans[kind].start for kind in ("data", "grad")]
    return [(i, j) for i, j in (group.operands - first).tolist()]


def grid(rows: int, columns: int, by_column: bool = False) -> list[tuple[int, int]]:
    if by_column:
        return [(i, j) for j in range(columns) for i in range(rows)]
    return [(i, j) for i in range(rows) for j in range(columns)]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # The longer dimension of a grid makes the fewer and longer runs.
        pytest.param(grid(3, 5, by_column=True), grid(3, 5), id="rows of 5"),
        pytest.param(grid(5, 3), grid(5, 3, by_column=True), id="columns of 5"),
        pytest.param([(2, 3), (0, 3), (1, 3)], [(0, 3), (1, 3), (2, 3)], id="one moves"),
        pytest.param([(3, 1), (3, 2), (3, 0)], [(3, 0), (3, 1), (3, 2)], id="the other moves"),
        pytest.param([(4, 0), (3, 2), (2, 4)], [(4, 0), (3, 2), (2, 4)], id="a run already"),
        pytest.param([(4, 1), (3, 1), (2, 1)], [(2, 1), (3, 1), (4, 1)], id="a run backwards"),
        pytest.param(grid(3, 3, by_column=True), grid(3, 3, by_column=True), id="as good as any"),
        pytest.param([(6, 1), (0, 0)], [(6, 1), (0, 0)], id="two are always a run"),
    ],
)
def test_members_are_in_the_order_with_the_fewest_breaks_and_forwards(
    pairs: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert laid_out(pairs) == expected


def test_gradients_of_leaves_stay_in_order_if_that_costs_few_breaks() -> None:
    one_off = [(0, 0), (1, 1), (2, 2), (4, 4), (3, 3), (5, 5), (6, 6), (7, 7)]  # 4 breaks of 8
    many_off = [*one_off[:5], (6, 6), (5, 5), (7, 7)]  # 5
    assert laid_out(one_off, in_order=True) == one_off
    assert laid_out(one_off) == laid_out(many_off, in_order=True) == sorted(one_off)

    swapped = grid(3, 5)  # at best 4 breaks, of 15 members
    swapped[2:4] = reversed(swapped[2:4])  # 8
    assert laid_out(swapped, in_order=True) == swapped
    assert laid_out(swapped) == grid(3, 5)


def test_operands_that_are_the_same_for_all_members_do_not_decide_their_order() -> None:
    graph = Graph()
    xs = [graph.add(Source("argument", i)) for i in range(8)]
    ends = [graph.add(ops.where, (xs[3], xs[7], xs[i])) for i in (2, 0, 4, 1, 3)]
    plan, address = schedule(graph, {"argument": 8})
    (group,) = plan.groups
    assert (group.operands[:, 2] - plan.spans["argument"].start).tolist() == [0, 1, 2, 3, 4]
    assert (address[ends] - group.start).tolist() == [2, 0, 4, 1, 3]


def test_numbers_are_computed_late_so_that_paths_of_different_length_end_in_one_group() -> None:
    graph = Graph()
    xs = [graph.add(Source("argument", i)) for i in range(4)]
    largest, ends = xs[0], []
    for x in xs:
        largest = graph.add(ops.maximum, (largest, x))
        ends.append(graph.add(ops.exp, (graph.add(ops.sub, (x, largest)),)))
    plan, _ = schedule(graph, counts(graph))
    sizes = [(group.primitive, len(group.operands)) for group in plan.groups]
    assert sizes == [(ops.maximum, 1)] * 4 + [(ops.sub, 4), (ops.exp, 4)]


def test_the_first_node_after_the_constant_1_is_computed() -> None:
    graph = Graph()
    node = graph.add(ops.neg, (ONE,))
    plan, address = schedule(graph, {})
    assert [(group.primitive, group.start) for group in plan.groups] == [(ops.neg, address[node])]


def test_long_groups_and_all_sources_start_at_a_cache_line() -> None:
    graph = Graph()
    xs = [graph.add(Source("argument", i)) for i in range(9)]
    ends = []
    for count, primitive in ((9, ops.neg), (3, ops.abs), (7, ops.exp), (8, ops.tanh)):
        ends += [graph.add(primitive, (x,)) for x in xs[:count]]
    plan, _ = schedule(graph, {"argument": 9, "varying": 3, "data": 1}, ends)
    spans = {kind: (span.start, span.stop) for kind, span in plan.spans.items()}
    assert spans == {"constant": (0, 2), "argument": (8, 17), "varying": (24, 27), "data": (32, 33)}
    starts = {group.primitive: group.start for group in plan.groups}
    assert [group.primitive for group in plan.groups] == [ops.tanh, ops.exp, ops.abs, ops.neg]
    assert starts == {ops.tanh: 40, ops.exp: 48, ops.abs: 55, ops.neg: 64}
    assert (plan.outputs.start, plan.size) == (80, 107)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [([4, 5, 6], slice(4, 7)), ([7], slice(7, 8)), ([4, 6], [4, 6]), ([5, 4], [5, 4]), ([], [])],
)
def test_consecutive_addresses_are_selected_by_a_slice(addresses: list[int], expected: Any) -> None:
    found = selector(np.array(addresses, np.int32))
    assert (found if isinstance(found, slice) else found.tolist()) == expected
    assert isinstance(found, slice) or found.dtype == np.int64


# --- runs -----------------------------------------------------------------------------------------

tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 6), min_size=width, max_size=width), min_size=1, max_size=40
    )
)


@given(tables)
def test_runs_cover_all_rows_in_order_with_constant_steps(rows: list[list[int]]) -> None:
    table = np.array(rows)
    found = runs(table)
    assert [i for start, length in found for i in range(start, start + length)] == list(
        range(len(rows))
    )
    for start, length in found:
        steps = np.diff(table[start : start + length], axis=0)
        assert (steps == steps[:1]).all()
    assert len(found) <= breaks(table) + 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[0], [1], [2], [3]], [(0, 4)]),
        ([[5]], [(0, 1)]),
        ([[5], [5], [5]], [(0, 3)]),
        ([[0, 9], [1, 7], [2, 5]], [(0, 3)]),
        ([[0], [1], [5], [6], [7]], [(0, 2), (2, 3)]),
        ([[0], [5], [6], [7], [8]], [(0, 1), (1, 4)]),  # the second row fits the longer run
        ([[0], [5], [6], [9], [10], [11]], [(0, 2), (2, 1), (3, 3)]),
        ([[0], [1], [2], [7], [12], [17]], [(0, 3), (3, 3)]),
        ([[0], [1], [9]], [(0, 2), (2, 1)]),
    ],
)
def test_runs_worked_out_by_hand(rows: list[list[int]], expected: list[tuple[int, int]]) -> None:
    assert runs(np.array(rows)) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, [(0, 1), (1, 6)]),
        (1, [(0, 2), (2, 5)]),
        (2, [(0, 3), (3, 4)]),
        (5, [(0, 6), (6, 1)]),
    ],
)
def test_a_run_ends_where_it_is_told_to(at: int, expected: list[tuple[int, int]]) -> None:
    apart = np.arange(6) == at
    assert runs(np.arange(7)[:, None], apart) == expected


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([[5], [9]], 0),
        ([[0], [1], [3], [5]], 1),
        ([[0, 0], [1, 0], [2, 1], [3, 2]], 1),
        ([[0, 4], [1, 3], [3, 1], [4, 9]], 2),
    ],
)
def test_a_break_is_where_the_stride_of_any_column_changes(
    rows: list[list[int]], count: int
) -> None:
    assert breaks(np.array(rows)) == count


# --- what a program reports -----------------------------------------------------------------------


def test_a_program_takes_less_than_100_bytes_per_recorded_node() -> None:
    import nn
    from autograd import Value
    from autograd.jit import jit

    model = nn.MLP(2, [8, 8, 1])
    rule = nn.Adam(model)

    def step(xs: Any, ys: Any) -> Value:
        loss = nn.hinge([model(x) for x in xs], ys)
        rule.zero_grad()
        loss.backward()
        rule.step()
        return loss

    for backend in ("native", "numpy"):
        run = jit(step, backend=backend)
        for _ in range(2):
            run([[0.1 * i, 0.5] for i in range(30)], [1.0, -1.0] * 15)
        (program,) = run.programs
        assert 0 < program.bytes < 100 * program.recorded
        assert program.groups < program.simplified / 20


# --- time -----------------------------------------------------------------------------------------


def chain(size: int) -> tuple[Graph, list[int]]:
    """A recurrence: two operations per step, each a separate group."""
    graph = Graph()
    w, x = graph.add(Source("argument", 0)), graph.add(Source("argument", 1))
    for _ in range(size):
        x = graph.add(ops.tanh, (graph.add(ops.mul, (w, x)),))
    return graph, [x]


def prefixes(size: int) -> tuple[Graph, list[int]]:
    """Sums that each extend the previous one; all are wanted."""
    graph = Graph()
    w, x = graph.add(Source("argument", 0)), graph.add(Source("argument", 1))
    sums = [x]
    for _ in range(size):
        sums.append(graph.add(ops.add, (sums[-1], graph.add(ops.mul, (w, sums[-1])))))
    return graph, sums


def long_sum(size: int) -> tuple[Graph, list[int]]:
    graph = Graph()
    total = w = graph.add(Source("argument", 0))
    for i in range(2 * size):
        factor = graph.add(Source("constant", 1.5 + i))
        total = graph.add(ops.add, (total, graph.add(ops.mul, (w, factor))))
    return graph, [total]


def scattered(size: int) -> tuple[Graph, list[int]]:
    """A single group whose operands are scattered in memory."""
    graph = Graph()
    xs = [graph.add(Source("constant", 1.5 + i)) for i in range(size)]
    x = graph.add(Source("argument", 0))
    products = [graph.add(ops.mul, (x, xs[i * i % size])) for i in range(2 * size)]
    return graph, [graph.add(ops.exp, (product,)) for product in products]


@pytest.mark.parametrize("make", [chain, prefixes, long_sum, scattered])
def test_time_grows_linearly_with_the_size_of_a_program(make: Any) -> None:
    """Eight times the size takes about eight times as long; 64 times if a stage were quadratic."""

    def seconds(size: int) -> float:
        graph, wanted = make(size)
        start = time.process_time()
        plan, _ = planned(graph, wanted)
        draw_program(plan, name="")
        for kind in CODES:
            kind(plan).run()
        return time.process_time() - start

    seconds(500)  # compiles the kernels
    few, many = [min(seconds(size) for _ in range(3)) for size in (500, 4000)]
    assert many < 24.0 * few
