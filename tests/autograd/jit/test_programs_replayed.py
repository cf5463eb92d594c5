"""Do replays of arbitrary programs equal eager runs? Random, long and wide ones."""

from __future__ import annotations

import contextlib
import copy
import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from side_by_side import same

from autograd import (
    Primitive,
    Value,
    grad,
    greater,
    hessian,
    jacobian,
    jit,
    less,
    maximum,
    minimum,
    no_grad,
    ops,
    where,
)
from autograd.sums import WIDE, weighted_sum
from nn.matrix import total
from tests.examples import examples, sample

# --- random programs ------------------------------------------------------------------------------

# Operations on two operands that keep numbers moderate and mostly in their domains.
OPERATIONS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a * b + a,
    lambda a, b: -a,
    lambda a, b: a / (2.0 + b * b),
    lambda a, b: a * 1.0 - 0.0,
    lambda a, b: 0.0 * a + b,
    lambda a, b: (a * b).tanh(),
    lambda a, b: a.tanh().exp() + b,
    lambda a, b: (a * a + 1.0).log() * b,
    lambda a, b: (b * b).sqrt(),
    lambda a, b: a.sigmoid() - b.softplus(),
    lambda a, b: a.relu() + b.relu(),
    lambda a, b: abs(a) - b,
    lambda a, b: a.sin() * b.cos(),
    lambda a, b: a.erf() + (0.1 * b).expm1(),
    lambda a, b: maximum(a, b),
    lambda a, b: minimum(a, b) * 0.5,
    lambda a, b: where(a, b, 2.0 * a),
    lambda a, b: where(maximum(a, 0.0), a, a * b),
    lambda a, b: (1.5 + a.sin()) ** b.tanh(),
    lambda a, b: a.tanh() ** 3,
    lambda a, b: (a.detach() + b) * a,
    lambda a, b: 1.0 / (a - b),  # may raise
    lambda a, b: b.log(),  # may raise
]

steps = st.tuples(
    st.integers(0, len(OPERATIONS) - 1), st.integers(0, 40), st.integers(0, 40) | st.just(-1)
)
programs = st.lists(steps, min_size=1, max_size=30)
# Ties, zeros of both signs, and now and then something extreme.
numbers = st.integers(-24, 24).map(lambda n: n / 8) | st.sampled_from([0.0, -0.0, 1e-300, 1e200])
points = st.lists(numbers, min_size=5, max_size=5)


def run(program: Sequence[tuple[int, int, int]], leaves: Sequence[Any]) -> list[Any]:
    """Every result. A second operand of -1 means the same node as the first."""
    results = list(leaves)
    for operation, i, j in program:
        a = results[-1 - i % len(results)]
        b = a if j == -1 else results[-1 - j % len(results)]
        results.append(OPERATIONS[operation](a, b))
    return results[len(leaves) :]


@settings(max_examples=examples(120), deadline=None)
@given(programs, points, points)
def test_random_training_steps(program: Any, first: list[float], second: list[float]) -> None:
    """Two captured leaves, two numbers and a Value as arguments; gradients; an update."""

    def make() -> tuple[Callable[..., Any], Any]:
        leaves = [Value(0.5, "u"), Value(-1.25, "v")]

        def step(x: float, y: float, passed: Value) -> Any:
            inner = run(program, [*leaves, x * 1.0 + leaves[0], passed, y * leaves[1]])
            loss = inner[-1] * inner[0]
            for leaf in leaves:
                leaf.grad = 0.0
            loss.backward()
            for leaf in leaves:
                leaf.assign(leaf - 0.01 * leaf.grad)
            return loss, inner

        return step, leaves

    calls = [
        (lambda p=p: (p[0], p[1], Value(p[2], "p"))) for p in (first, second, first, [1.0] * 5)
    ]
    same(make, *calls, rounds=2)


@settings(max_examples=examples(40), deadline=None)
@given(programs, points)
def test_random_functions_without_state_and_their_second_derivatives(
    program: Any, point: list[float]
) -> None:
    def function(*leaves: Value) -> Any:
        out = run(program[:12], leaves)[-1]
        # Adding 0.0 drops the sign of a zero gradient, which may differ.
        slopes = [slope + 0.0 for slope in grad(out, leaves[:2], create_graph=True)]
        curvature = [[entry + 0.0 for entry in row] for row in hessian(out, leaves[:2])]
        (slopes[0] * slopes[1] + out).backward()
        return out, slopes, curvature

    calls = [
        lambda p=p: tuple(Value(x, label) for x, label in zip(p, "abc", strict=False))
        for p in (point, point[::-1], [0.5, -1.5, 2.0])
    ]
    same(lambda: (function, []), *calls)


def test_a_slope_skipped_where_it_is_infinite_is_computed_elsewhere() -> None:
    w = Value(1.0)

    def slopes(x: float) -> Any:
        y = w * x
        kinked = where(greater(y, 0.5), y.log(), 0.0)
        (first,) = grad(kinked, [w], create_graph=True)
        return first, grad(first, [w])

    # The slope of log is inf at 1e-310, finite and multiplied by 0 at 0.25, and 1 / x above 0.5.
    same(lambda: (slopes, []), *[(x,) for x in (1.0, 1e-310, 0.25, 2.0, 3.0)], rounds=1)


def test_a_gradient_penalty_with_arguments_that_mask_terms() -> None:
    """The gradients' graph, and so the order of sums, must not depend on which terms are masked."""

    def make() -> tuple[Callable[..., Any], Any]:
        w, v = Value(0.3), Value(-1.1)

        def step(xs: list[float], masks: list[float]) -> Any:
            outs = [(w * x + v).tanh() * v for x in xs]
            terms = [y * y * w + where(m, y, 0.0) for m, y in zip(masks, outs, strict=True)]
            loss = total(m * (t - 0.1) + t for m, t in zip(masks, terms, strict=True))
            slopes = grad(loss, [w, v], create_graph=True)
            return grad(total(slope * slope for slope in slopes), [w, v])

        return step, []

    masked = [(noise(5, k), [float(k >> i & 1) for i in range(5)]) for k in range(1, 31, 3)]
    same(make, *masked, replayed=True, rounds=1)


def test_a_slope_behind_an_argument_that_is_0_may_raise() -> None:
    w = Value(1.0)

    def slopes(x: float, mask: float) -> Any:
        y = w * x
        (first,) = grad(where(mask, y.sqrt(), y), [w], create_graph=True)
        return first, grad(first, [w])

    same(lambda: (slopes, []), (1.0, 1.0), (0.0, 0.0), (4.0, 1.0), (0.0, 1.0), rounds=2)


def test_an_upstream_gradient_that_is_an_argument_may_be_zero() -> None:
    w = Value(1.0)

    def slope(x: float) -> Any:
        return grad(w.exp() * x + where(greater(w, 9.0), w.exp(), 0.0), [w], create_graph=True)

    same(lambda: (slope, []), (1.0,), (0.0,), (2.0,), replayed=True)


def test_third_derivatives_jacobians_and_graphs_built_under_no_grad() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        w, unused = Value(0.7, "w"), Value(0.5, "unused")

        def function(x: float) -> Any:
            y = (w * x).sin() * w.exp()
            (first,) = grad(y, [w], create_graph=True)
            (second,) = grad(first, [w], create_graph=True)
            third = grad(second, [w, unused])
            with no_grad():
                cut = w * first
                (inside,) = grad(y, [w], create_graph=True)
            w.grad = 0.0
            (second * cut + inside).backward()
            return y, first, second, third, jacobian([y, y * first], [w])

        return function, w

    same(make, (1.0,), (2.0,), (-0.3,), replayed=True)


# --- long, wide, and of every shape ---------------------------------------------------------------

SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257, 1000]


def noise(count: int, seed: int = 0) -> list[float]:
    draw = random.Random(seed).gauss
    return [draw(0.0, 1.0) for _ in range(count)]


@pytest.mark.parametrize("size", sample(SIZES, 4))
def test_dot_products_sums_and_chains_by_length(size: int) -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        ws = [Value(x) for x in noise(size)]

        def step(xs: list[float], bias: float) -> Any:
            dot = total(w * x for w, x in zip(ws, xs, strict=True)) + bias
            backwards = bias + total(x * w for w, x in zip(ws, reversed(xs), strict=True))
            plain = sum(ws, start=ws[0])
            squares = total(w * w for w in ws)
            mixed = total(w if i % 3 else w * xs[i] for i, w in enumerate(ws))
            right = ws[0]
            for w in ws[1:]:
                right = w + right
            chain = ws[0] * 0.5
            for w in ws:
                chain = (chain * 0.75 + w).tanh()
            loss = dot * backwards + plain * squares + mixed * chain - right
            for w in ws:
                w.grad = 0.0
            loss.backward()
            for w in ws:
                w.assign(w - 1e-3 * w.grad)
            return dot, backwards, plain, squares, mixed, right, chain, loss

        return step, ws

    same(make, (noise(size, 1), 0.1), (noise(size, 2), -0.0), replayed=True, rounds=2)


# rows (examples), columns (inputs), outputs
SHAPES = [
    (1, 1, 1),
    (1, 9, 4),
    (2, 3, 5),
    (8, 8, 8),
    (9, 7, 3),
    (33, 5, 2),
    (5, 33, 17),
    (64, 2, 6),
]


@pytest.mark.parametrize("shape", [*SHAPES, (1, 1000, 1), (1000, 1, 1), (1, 1, 1000)])
def test_matrix_products_by_shape(shape: tuple[int, int, int]) -> None:
    rows, columns, outputs = shape

    def make() -> tuple[Callable[..., Any], Any]:
        weights = [[Value(x) for x in noise(columns, k)] for k in range(outputs)]

        def step(xs: list[list[float]]) -> Any:
            out = [
                [total(w * x for w, x in zip(ws, row, strict=True)).tanh() for ws in weights]
                for row in xs
            ]
            loss = total(o * o for row in out for o in row)
            for ws in weights:
                for w in ws:
                    w.grad = 0.0
            loss.backward()
            for ws in weights:
                for w in ws:
                    w.assign(w - 0.1 * w.grad)
            return out, loss

        return step, weights

    batches = [([noise(columns, 50 * k + i) for i in range(rows)],) for k in (1, 2)]
    same(make, *batches, replayed=True, rounds=2)


def test_sums_of_many_different_lengths_in_one_program() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        ws = [Value(x) for x in noise(60)]

        def function(xs: list[float]) -> Any:
            sums = []
            for length in range(1, 60):
                for begin in range(0, 60 - length, 13):
                    part = slice(begin, begin + length)
                    sums.append(total(w * x for w, x in zip(ws[part], xs[part], strict=True)))
                    sums.append(total(ws[part]) * 2.0)
            return sums

        return function, ws

    same(make, (noise(60, 1),), (noise(60, 2),), replayed=True)


def _parts_used(ws: list[Value], xs: list[float], start: Value | None) -> Any:
    whole = weighted_sum(ws, [Value(x) for x in xs], start)
    left, right = whole.parents
    (left * right + whole).backward()
    return whole, left, right


def _parts_used_after_backward(ws: list[Value], xs: list[float], start: Value | None) -> Any:
    whole = weighted_sum(ws, [Value(x) for x in xs], start)
    whole.backward()
    ws[0].assign(0.5 * ws[0])
    whole.grad = 7.0  # must not reach its parts
    return whole, whole.parents, [parent.grad for parent in whole.parents]


def _same_factor(ws: list[Value], xs: list[float], start: Value | None) -> Any:
    """Its gradient is rounded differently if the terms come in another order."""
    inputs = [Value(0.1 * x) for x in xs]
    inputs[len(xs) // 2], ws[-1].grad = ws[-1], 0.0
    whole = weighted_sum([ws[-1]] * len(ws), inputs, start)
    whole.backward()
    return whole


def _parts_used_by_a_rule(ws: list[Value], xs: list[float], start: Value | None) -> Any:
    def pull(node: Any, upstream: float) -> None:
        (whole,) = node.parents
        whole.grad += upstream * whole.parents[1].data

    whole = weighted_sum(ws, [Value(x) for x in xs], start)
    Primitive("peek", lambda x: x, None, pull=pull)(whole).backward()
    return whole, [parent.grad for parent in whole.parents]


def test_time_to_expand_sums_grows_linearly_with_their_number() -> None:
    a, b = Value(0.5), Value(0.25)

    def seconds(count: int) -> float:
        def step() -> Value:
            sums = [weighted_sum([a, b], [b, a]) for _ in range(count)]
            products = [whole.parents[0] + a for whole in sums]
            return products[-1]

        recorded = jit(step)
        recorded()
        start = time.process_time()
        recorded()
        return time.process_time() - start

    few, many = [min(seconds(count) for _ in range(2)) for count in (500, 4000)]
    assert many < 16.0 * few


def _hessian(ws: list[Value], xs: list[float], start: Value | None) -> Any:
    return hessian(weighted_sum(ws, [Value(x) for x in xs], start).tanh() * ws[0], ws[:3])


def _penalty(ws: list[Value], xs: list[float], start: Value | None) -> Any:
    out = weighted_sum(ws, xs, start).sin()
    slopes = grad(out, ws, create_graph=True)
    (total(slope * slope for slope in slopes) + out).backward()
    return out, slopes


@pytest.mark.parametrize("has_start", [False, True])
@pytest.mark.parametrize("size", [1, 2, WIDE, 20])  # a narrow sum is built by the operators
@pytest.mark.parametrize(
    "function",
    [
        *(_parts_used, _parts_used_after_backward, _parts_used_by_a_rule, _same_factor),
        *(_hessian, _penalty),
    ],
)
def test_weighted_sums_whose_parts_are_used(function: Any, size: int, has_start: bool) -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        ws = [Value(x) for x in noise(size)]
        return lambda xs: function(ws, xs, ws[-1] if has_start else None), ws

    same(make, (noise(size, 1),), (noise(size, 2),), replayed=True)


def test_a_value_used_thousands_of_times_and_a_chain_of_thousands() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        w = Value(1.7, "w")

        def step(x: float, xs: list[float]) -> Any:
            y = w * x
            for _ in range(3_000):
                y = w * y * (1.0 - y)
            fan = total((w * k).sin() for k in xs)
            loss = y + fan
            w.grad = 0.0
            loss.backward()
            return loss, y

        return step, w

    same(make, (0.3, noise(1000)), (0.2, noise(1000, 1)), replayed=True, rounds=2)


def test_the_sign_of_a_zero_is_kept() -> None:
    def function(x: float, y: float, zero: Value) -> Any:
        terms = [x * zero, zero * y, -zero, zero - zero, zero + y, y - zero, zero * 1.0, zero / 1.0]
        sums = [total(terms[:k]) for k in range(1, 9)]
        return (
            terms,
            sums,
            [ops.neg(ops.neg(term)) for term in terms],
            [0.0 + t for t in terms],
            abs(y * zero),
        )

    zeros = [(x, y, Value(z)) for x in (1.0, -1.0) for y in (0.0, -0.0) for z in (0.0, -0.0)]
    same(lambda: (function, []), *zeros, replayed=True)


def test_the_sign_of_an_assigned_zero_gradient_is_kept() -> None:
    def function(x: float) -> Any:
        made, result = Value(1.0), Value(x) * 2.0
        made.grad, result.grad = -0.0, -x
        inner = Value(2.0) * 2.0
        (inner * -x).backward()  # adds -0.0 to 0.0
        return copy.copy(made), result.grad, copy.copy(result).grad, inner.grad

    same(lambda: (function, []), (0.0,), replayed=True)


def test_a_copy_of_a_leaf_that_has_a_constant_number_is_new_in_each_call() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        leaf = Value(2.0)

        def function(x: float) -> Any:
            leaf.data = 3.0
            copied = copy.deepcopy(leaf)
            (copied * x).backward()
            return copied

        return function, leaf

    same(make, (1.0,), (2.0,), replayed=True)


def test_vectorised_sums_keep_the_sign_of_a_zero() -> None:
    def function(zero: float) -> Any:
        rows = [[Value(zero * (row + k)) for k in range(1, 8)] for row in range(12)]
        return [weighted_sum(row, [Value(-1.0)] * 7) for row in rows]

    same(lambda: (function, []), (1.0,), (0.0,), (-0.0,), (2.0,), (0.0,), replayed=True)


def test_zero_gradients_change_nothing() -> None:
    """Eagerly a node whose gradient is 0 passes nothing on; replayed, it passes on zeros."""

    def make() -> tuple[Callable[..., Any], Any]:
        leaves = [Value(0.0, "a"), Value(-2.0, "b"), Value(-0.0, "c")]

        def step(x: float) -> Any:
            a, b, c = leaves
            inner = [a * x, -(b * x), (c * x).relu(), (a * b).sin() * c]
            loss = total(inner) * 0.0 + inner[0] * inner[1] - (-inner[2])
            loss.backward()
            return loss, inner

        return step, leaves

    same(make, (0.0,), (-0.0,), (-1.0,), (2.0,))


def test_a_gradient_read_before_the_first_pass_is_added_to() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        w = Value(2.0)

        def step(x: float) -> Any:
            before = w.grad
            (w * x).backward()
            return before

        return step, w

    same(make, (1.0,), (2.0,), replayed=True)


def test_a_slope_that_is_nan_counts_only_if_its_gradient_is_not_0() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        base, exponent = Value(-2.0), Value(2.0)

        def step(x: float) -> Any:
            loss = where(greater(x, 0.0), exponent * x, base**exponent)
            exponent.grad = 0.0
            loss.backward()
            return loss

        return step, exponent

    same(make, (1.0,), (2.0,), replayed=True)


SIGNS: list[Callable[[Any], Any]] = [
    Primitive("sign", lambda x: (x > 0.0) - (x < 0.0), 0.0),
    lambda x: where(maximum(x, 0.0), 1.0, -1.0),
    lambda x: -greater(0.0, x),
    lambda x: -less(x, 0.0),
]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_nan_that_only_a_replay_meets_does_not_hide_behind_a_comparison(
    sign: Callable[[Any], Any], create_graph: bool
) -> None:
    """Sign descent with a missing target: eagerly its gradient is 0, and in a replay 0 * nan."""

    def make() -> tuple[Callable[..., Any], Any]:
        u, v = Value(1.0), Value(1.0)

        def step(targets: list[float], given: list[float]) -> Value:
            errors = [u * v - target for target in targets]
            loss = total(where(g, e * e, 0.0) for g, e in zip(given, errors, strict=True))
            (slope,) = grad(loss, [v], create_graph)
            loss.backward()
            u.assign(u - 0.1 * sign(u.grad))
            v.assign(v - 0.1 * sign(slope))
            u.grad = v.grad = 0.0
            return loss

        return step, [u, v]

    same(make, ([2.0, 3.0], [1.0, 1.0]), ([math.nan, 3.0], [0.0, 1.0]))


def test_a_nan_does_not_hide_after_an_error_that_the_function_catches() -> None:
    sine = Primitive("sine", math.sin, lambda out, x: math.cos(x))

    def make() -> tuple[Callable[..., Any], Any]:
        u = Value(1.0)

        def step(target: float, given: float) -> Any:
            with contextlib.suppress(TypeError):
                grad(sine(u), [u], create_graph=True)
            error = u - target
            (slope,) = grad(where(given, error * error, 0.0), [u])
            return greater(slope, -1.0)

        return step, u

    same(make, (2.0, 1.0), (math.nan, 0.0))


def test_the_first_product_of_a_gradient_does_not_hide_either() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        v = Value(2.0)

        def step(size: float, mask: float) -> Any:
            large = Value(size) * 1e200
            (slope,) = grad(mask * (v * large), [v], create_graph=True)
            return less(slope, 1.0)

        return step, v

    same(make, (1.0, 1.0), (1e200, 0.0))


def test_a_slope_at_a_new_leaf_may_raise_if_nothing_passes_through_it() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        w = Value(3.0)

        def step(x: float) -> Any:
            start = Value(0.0)  # where a square root has no slope
            loss = where(greater(x, 2.5), start**0.5, w * x)
            w.grad = 0.0
            loss.backward()
            return loss, grad(loss, [w, start])

        return step, w

    same(make, (1.0,), (2.0,), (3.0,))


def test_changing_a_factor_later_does_not_change_a_computed_gradient() -> None:
    def make() -> tuple[Callable[..., Any], Any]:
        a, b = Value(3.0, "a"), Value(2.0, "b")

        def step(y: float) -> Any:
            (slope,) = grad(a * y * b, [a], create_graph=True)
            b.data -= 0.5
            return slope

        return step, [a, b]

    same(make, *[(y,) for y in (2.0, 3.0, 4.0, 1.0)], replayed=True)
