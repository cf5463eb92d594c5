"""Does every primitive give the same number replayed as in Python, for every kind of operand?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from side_by_side import close, same

import nn
from autograd import Primitive, Value, grad, greater, less, maximum, minimum, ops, where
from autograd.jit import TraceError, jit
from autograd.sums import weighted_sum
from tests.examples import sample

inf, nan = math.inf, math.nan
# The exponent of `pow` is a plain number and part of the program: it is tested separately.
PRIMITIVES = {n: p for n, p in vars(ops).items() if isinstance(p, Primitive) and n != "pow"}
EDGES = [0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 2.2e-308, 1.8e308, -1.7e308, inf, -inf, nan]
MIDDLE = [0.5, -0.5, 2.0, -2.0, 3.7, -8.0, 1 / 3, 1e-9, -1e-9, 1e17, 26.9, -29.5, 37.0]
TURNS = [709.7, 709.9, -709.7, -745.1, -745.2, 27.3, 30.1, -37.0, 1 - 1e-16, -1 + 1e-16, 22.1]
UNARY = EDGES + MIDDLE + TURNS
BINARY = [*EDGES, 0.5, -0.5, 2.0, -3.0, 1e-9, 1 / 3, 1e200, 1e-200]
THIRD = [0.0, -0.0, 1.0, -2.5, 1e308, inf, nan]

User = Callable[..., Any]


def operands_for(arity: int) -> list[tuple[float, ...]]:
    if arity == 1:
        return [(x,) for x in UNARY]
    if arity == 2:
        return list(itertools.product(BINARY, BINARY))
    return list(itertools.product(THIRD, THIRD, THIRD))


def values(numbers: Sequence[float]) -> Callable[[], tuple[Value, ...]]:
    return lambda: tuple(Value(x, label) for x, label in zip(numbers, "abc", strict=False))


def derived(primitive: User) -> User:
    """The function that computes a primitive and its gradient."""

    def function(*operands: Value) -> Value:
        result = primitive(*operands)
        result.backward()
        return result

    return function


@pytest.mark.parametrize("name", PRIMITIVES)
def test_value_gradient_and_error_of_a_primitive_at_every_edge(name: str) -> None:
    primitive = PRIMITIVES[name]
    arity = len(primitive.backward)
    points = sample(operands_for(arity), 1 if arity == 1 else 3)
    same(lambda: (derived(primitive), []), *[values(point) for point in points], rounds=2)


EXPONENTS = [0.0, -0.0, 1, 2.0, 3, -1, -2.0, 0.5, -0.5, 0.1, 1 / 3, 2.5, 1e-20, 1e300, inf, -inf]


@pytest.mark.parametrize("exponent", [*EXPONENTS, nan])
def test_a_power_with_a_plain_exponent_at_every_edge(exponent: float) -> None:
    same(lambda: (derived(lambda x: x**exponent), []), *[values([x]) for x in UNARY], rounds=2)


@pytest.mark.parametrize("exponent", [2, 3.0, -1, 0.5, 0.1, 0])
def test_many_powers_with_a_plain_exponent_side_by_side(exponent: float) -> None:
    def function(operands: list[Value]) -> Any:
        results = [x**exponent for x in operands]
        return results, [grad(r, [x]) for r, x in zip(results, operands, strict=True)]

    same(lambda: (function, []), ([Value(0.25 * i) for i in range(1, 60)],), replayed=True)


@pytest.mark.parametrize("base", [2, 0.5, 1.0, 0.0, -2.0, inf])
def test_a_plain_base_to_a_power_at_every_edge(base: float) -> None:
    same(lambda: (derived(lambda x: base**x), []), *[values([x]) for x in UNARY], rounds=2)


def test_an_exponent_that_is_an_argument_differentiates_like_a_plain_number() -> None:
    def make() -> tuple[User, Any]:
        w = Value(3.0)

        def function(n: float) -> list[Value]:
            result = w**n
            (slope,) = grad(result, [w], create_graph=True)
            (curvature,) = grad(slope, [w])
            w.grad = 0.0
            result.backward()
            return [result, slope, curvature]

        return function, w

    # The most accurate rule for x ** n depends on n, which a recording does not know.
    close(make, *[(n,) for n in (0.1, 0.3, 1.7, 2.0, 3.0, -0.7, 0.0, 1.0)], replayed=True)


def test_the_slope_for_an_exponent_of_minus_0_is_positive_0() -> None:
    def slope(n: float) -> Value:
        x = Value(3.0)
        return grad(x**n, [x], create_graph=True)[0]

    run = jit(slope, check="never")
    assert [str(run(n).data) for n in (2.0, 2.0, -0.0, 0.0)] == ["6.0", "6.0", "0.0", "0.0"]
    assert str(slope(-0.0).data) == "0.0"
    assert sum(program.replays for program in run.programs) == 2


CONSTANTS = {
    "c + x": lambda c, x: c + x,
    "x - c": lambda c, x: x - c,
    "c - x": lambda c, x: c - x,
    "c * x": lambda c, x: c * x,
    "x / c": lambda c, x: x / c,
    "c / x": lambda c, x: c / x,
    "maximum": maximum,
    "minimum": lambda c, x: minimum(x, c),
    "where": lambda c, x: where(x, c, x),
    "-(-x) * c": lambda c, x: ops.neg(ops.neg(x)) * c,
}


@pytest.mark.parametrize("form", CONSTANTS)
@pytest.mark.parametrize("constant", [0.0, -0.0, 1.0, -1.0, inf, nan, 5e-324])
def test_arithmetic_with_a_plain_number_at_every_edge(form: str, constant: float) -> None:
    """Simplification must not use identities that IEEE arithmetic does not have."""
    compute = CONSTANTS[form]
    points = EDGES + MIDDLE[:4]
    same(
        lambda: (derived(lambda x: compute(constant, x)), []),
        *[values([x]) for x in points],
        rounds=2,
    )


# --- many at once: kernels on vectors and on runs -------------------------------------------------


def ordinary(primitive: Primitive, point: tuple[float, ...]) -> bool:
    """Whether a primitive and its slopes are numbers of moderate size at a point."""
    operands = [Value(x) for x in point]
    try:
        result = primitive(*operands)
        result.backward()
    except (ValueError, ZeroDivisionError, OverflowError):
        return False
    return all(abs(x) < 1e150 for x in [*point, result.data, *[o.grad for o in operands]])


@pytest.mark.parametrize("name", PRIMITIVES)
@pytest.mark.parametrize("size", sample([1, 7, 8, 33, 100], 2))
def test_many_results_of_one_primitive_side_by_side(name: str, size: int) -> None:
    primitive = PRIMITIVES[name]
    points = operands_for(len(primitive.backward))
    fitting = [point for point in points if ordinary(primitive, point)]
    chosen = [fitting[7 * i % len(fitting)] for i in range(size)]

    def function(operands: list[list[Value]]) -> Any:
        results = [primitive(*row) for row in operands]
        slopes = [grad(result, row) for result, row in zip(results, operands, strict=True)]
        return results, slopes

    same(lambda: (function, []), ([[Value(x) for x in p] for p in chosen],), replayed=True)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "power"])
def test_shared_reversed_and_strided_operands(name: str) -> None:
    primitive = PRIMITIVES[name]

    def function(xs: list[float], ys: list[float], one: float) -> Any:
        return [
            [primitive(a + 0.0, b) for a, b in zip(xs, ys, strict=True)],
            [primitive(a * 1.5, one) for a in xs],
            [primitive(one, a - 0.5) for a in xs],
            [primitive(a - 1.0, b) for a, b in zip(xs, reversed(ys), strict=True)],
            [primitive(a - 2.0, b) for a, b in zip(xs[::2], ys[::2], strict=True)],
            [primitive(a / 3.0, a) for a in xs],
            [primitive(x / 2.0, y) for x in xs[:5] for y in ys[:9]],
        ]

    xs = [3.0 + 0.25 * i for i in range(50)]
    ys = [2.0 - 0.03 * i for i in range(50)]

    def make() -> tuple[User, Any]:
        zero = Value(0.0)
        return lambda xs, ys, one: function([zero + x for x in xs], ys, one), zero

    same(make, (xs, ys, 1.25), (ys, xs, 0.75))


# --- higher derivatives, and user-defined primitives ----------------------------------------------


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if len(p.backward) < 3])
def test_second_and_third_derivatives_inside_a_jitted_function(name: str) -> None:
    primitive = PRIMITIVES[name]

    def function(*operands: Value) -> Any:
        result = primitive(*operands)
        slopes = grad(result, operands, create_graph=True)
        second = [grad(slope, operands, create_graph=True) for slope in slopes]
        second[0][0].backward()
        return result, slopes, second

    arity = len(primitive.backward)
    points = [p for p in operands_for(arity) if all(abs(x) < 40 for x in p)][:: 1 + 3 * arity]
    same(lambda: (function, []), *[values(point) for point in points], rounds=2)


cube = Primitive("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
lgamma = Primitive("lgamma", math.lgamma, lambda out, x: 0.5 * x)
hypot = Primitive("hypot", math.hypot, (lambda out, x, y: x / out, lambda out, x, y: y / out))
fused = Primitive(
    "fused", lambda a, b, c: a * b + c, (lambda o, a, b, c: b, lambda o, a, b, c: a, 1.0)
)
whole = Primitive("whole", lambda x: int(x), 1.0)
complex_root = Primitive("root", lambda x: x**0.5, lambda out, x: 0.5 / out, domain="not below 0")
broken = Primitive("broken", lambda x: {}[x], 1.0)
textual = Primitive("textual", lambda x: "3", 1.0)
OWN = {p.name: p for p in (cube, lgamma, hypot, fused, whole, complex_root, broken, textual)}


@pytest.mark.parametrize("name", OWN)
def test_a_user_defined_primitive_at_every_edge(name: str) -> None:
    points = operands_for(len(OWN[name].backward))
    same(lambda: (derived(OWN[name]), []), *[values(point) for point in points[:150]], rounds=2)


@pytest.mark.parametrize("name", ["cube", "hypot", "fused", "whole"])
def test_user_defined_primitives_among_others(name: str) -> None:
    primitive = OWN[name]

    def make() -> tuple[User, Any]:
        ws = [Value(0.1 * i - 0.7) for i in range(12)]

        def function(x: float) -> Value:
            total = ws[0] * x
            for i in range(12):
                operands = [ws[(i + k) % 12] * x for k in range(len(primitive.backward))]
                total = total + primitive(*operands).tanh() * primitive(*operands)
            for w in ws:
                w.grad = 0.0
            total.backward()
            for w in ws:
                w.assign(w - 0.01 * w.grad)
            return total

        return function, ws

    same(make, (1.0,), (2.0,), (-0.5,), replayed=True)


def test_a_user_defined_primitive_of_constants_behaves_as_eagerly() -> None:
    """Constants are folded while a program is built, which must not raise."""
    for primitive in OWN.values():
        arity = len(primitive.backward)
        for number in (2.0, -1.0):
            same(
                lambda p=primitive, n=arity, c=number: (lambda x: p(*[Value(c)] * n) * x, []),
                (1.5,),
            )


def test_numpys_floats_from_a_primitive_in_an_optimizer_raise_as_eagerly() -> None:
    """NumPy divides by zero without an error."""
    of_numpy = Primitive("of_numpy", lambda x: x - 0.5 or np.float64(0.0), 1.0)

    class Inverse(nn.Optimizer):
        def update(self, parameter: Value, gradient: Value, state: Any) -> Value:
            return parameter - self.lr / of_numpy(gradient)

    def make() -> tuple[User, Any]:
        ws = [Value(1.0), Value(2.0)]
        rule = Inverse(ws, 0.1)
        return lambda x: rule.step([Value(x)] * 2), rule

    same(make, (2.0,), (0.5,))


@pytest.mark.skipif(np.__version__.startswith("1."), reason="it belongs to the thread there")
def test_a_user_defined_forward_runs_under_numpys_error_state() -> None:
    steep = Primitive("steep", lambda x: 1.0 / (1.0 + np.exp(-x)), 0.0)
    with np.errstate(over="raise"):
        same(lambda: (steep, []), *[values([x]) for x in (1.0, -1e4, 2.0)], rounds=2)


def test_a_user_defined_pull_passes_gradients_on() -> None:
    def pull(node: Any, upstream: float) -> None:
        numerator, denominator = node.parents
        numerator.grad += upstream / denominator.data
        denominator.grad -= upstream * numerator.data / denominator.data**2

    def make() -> tuple[User, Any]:
        w = Value(0.7)
        over = Primitive("over", lambda a, b: a / b, [None, None], pull=pull)
        return derived(lambda x: over(w * x, w + x)), [w]

    same(make, (0.3,), (0.7,), (5.0,), replayed=True)


def test_a_primitive_takes_a_number_of_the_call_and_an_int() -> None:
    run = jit(lambda x: maximum(x, 0), check="always")
    assert [run(x) for x in (1.0, -2.0, 3.0)] == [1.0, 0.0, 3.0]


def test_a_user_defined_pull_adds_to_the_gradient_so_far() -> None:
    def pull(node: Value, upstream: float) -> None:
        (x,) = node.parents
        x.grad = x.grad + 3.0 * upstream

    triple = Primitive("triple", lambda x: 3.0 * x, lambda out, x: 3.0, pull=pull)

    def step(x: float) -> Any:
        y = Value(1.0) * x
        (triple(y) + y * y + triple(y)).backward()
        return y.grad

    run = jit(step, check="always")
    assert [run(x) for x in (1.0, 2.0, 3.0)] == [8.0, 10.0, 12.0]


def test_a_rule_may_branch_on_a_plain_number_whose_own_rule_does_not_run() -> None:
    def unused(out: Any, x: Any, n: Any) -> Any:
        raise NotImplementedError

    rules = lambda out, x, n: 2.0 * x if n == 2.0 else n * x ** (n - 1.0), unused
    power = Primitive("power", lambda x, n: x**n, rules)

    def step(x: float) -> Any:
        y = Value(1.0) * x
        power(y, 2.0).backward()
        return y.grad

    run = jit(step, check="always")
    assert [run(x) for x in (1.0, 2.0, 3.0)] == [2.0, 4.0, 6.0]


def test_a_backward_pass_clears_gradients_that_it_does_not_reach() -> None:
    def step(x: float) -> Any:
        condition = Value(2.0) * x
        (3.0 * condition).backward()
        before = condition.grad
        where(condition, Value(1.0), 1.0).backward()
        return before, condition.grad

    run = jit(step, check="always")
    assert [run(x) for x in (1.0, 2.0, 3.0)] == [(3.0, 0.0)] * 3


def test_a_plain_number_in_a_graph_may_be_the_output_of_a_backward_pass() -> None:
    def step(x: float) -> Any:
        _, number = (Value(2.0) * 3.0).parents
        number.backward()
        return number

    run = jit(step, check="always")
    assert [run(x).grad for x in (1.0, 2.0, 3.0)] == [1.0, 1.0, 1.0]


def test_a_rule_that_assigns_to_a_value_is_refused() -> None:
    def rule(out: float, x: float) -> float:
        count.data = count.data + 1.0
        return 2.0

    count, counted = Value(0.0), Primitive("counted", lambda x: x, rule)
    run = jit(derived(counted))
    run(Value(1.0))
    with pytest.raises(TraceError, match="a rule cannot assign to a Value"):
        run(Value(2.0))
    assert math.isfinite(count.data)


@pytest.mark.parametrize("rule", [lambda out, x: 2.0 * math.cos(x), lambda out, x: -math.sin(x)])
def test_a_rule_that_uses_the_math_module_is_refused(rule: User) -> None:
    run = jit(derived(Primitive("wave", lambda x: x, rule)))
    run(Value(1.0))
    with pytest.raises(TraceError, match=r"the `math` module .* as in ops.cos\(x\)"):
        run(Value(2.0))


@pytest.mark.parametrize("order", [1, 2])
def test_a_user_defined_rule_may_use_a_captured_value(order: int) -> None:
    """The slope of "bent" is 3 w x: d/dx (bent(x) x) = bent(x) + 3 w x^2, which depends on w."""

    def make() -> tuple[User, Any]:
        w = Value(2.0, "w")
        bent = Primitive("bent", lambda x: x * x, lambda out, x: 3.0 * w * x)

        def function(x: float) -> Any:
            v = Value(x)
            (slope,) = grad(bent(v) * v, [v], create_graph=order == 2)
            if order == 2:
                (slope,) = grad(slope, [w])
            w.assign(w + 1.0)
            return slope

        return function, w

    function, _ = make()
    expected = {1: [1.0 + 6.0, 4.0 + 36.0], 2: [3.0, 12.0]}[order]
    assert [function(1.0).data, function(2.0).data] == expected
    same(make, (1.0,), (2.0,), (-0.5,), replayed=True)


def test_losses_with_where_and_comparisons_are_replayed_bit_for_bit() -> None:
    """The huber and the pinball loss, and a step of gradient descent on both."""

    def make() -> tuple[User, Any]:
        w = Value(0.7, "w")

        def step(xs: list[float], y: float) -> Value:
            loss = Value(0.0)
            for x in xs:
                error = w * x - y
                size = abs(error)
                loss = loss + where(less(size, 1.0), 0.5 * error * error, size - 0.5)
                loss = loss + where(greater(error, 0.0), 0.9 * error, -0.1 * error)
            w.grad = 0.0
            loss.backward()
            w.assign(w - 0.1 * w.grad)
            return loss

        return step, w

    xs = [0.1 * i - 2.0 for i in range(40)]
    same(make, (xs, 0.3), (xs, -0.2), (xs, 0.0), (xs, 5.0), replayed=True)


def test_where_with_a_bool_is_refused_with_advice() -> None:
    @jit
    def branch(x: float) -> Any:
        v = Value(1.0) * x
        return where(v > 0, v, -v)

    assert branch(1.0).data == 1.0  # an eager call
    with pytest.raises(TraceError, match=r"where\(greater\(x, 0.0\), a, b\) or where\(less\(x, 0"):
        branch(1.0)


def test_a_label_that_is_not_a_string_is_refused_as_eagerly() -> None:
    leaf = Value(1.0, "leaf")

    def labelled(x: float) -> Value:
        y = leaf * x
        y.label = 3  # type: ignore[assignment]
        return y

    same(lambda: (labelled, []), (1.0,), (2.0,))
    run = jit(lambda x: leaf * x)
    run(1.0)
    run(1.0)
    with pytest.raises(TypeError, match="a label is text, not 4"):
        leaf.label = 4  # type: ignore[assignment]
    assert leaf.label == "leaf"


@pytest.mark.parametrize("cleared", [True, False])
def test_a_gradient_that_is_none_is_cleared_or_refused_as_eagerly(cleared: bool) -> None:
    def make() -> tuple[User, Any]:
        w = Value(2.0, "w")
        w.grad = None  # type: ignore[assignment]

        def step(x: float) -> Value:
            loss = w * x
            if cleared:
                w.grad = 0.0
            loss.backward()
            return loss

        return step, []

    same(make, (3.0,), (4.0,))
    function, _ = make()
    if not cleared:
        run = jit(function)
        for _ in ("eager", "recorded", "recorded"):
            with pytest.raises(TypeError, match=r"the gradient of w is None, not a number: write"):
                run(3.0)


def test_assigning_none_to_a_gradient_that_a_program_reads_is_refused() -> None:
    w = Value(2.0, "w")

    @jit
    def step(x: float) -> Value:
        loss = w * x
        loss.backward()
        return loss

    step(3.0)
    step(3.0)
    with pytest.raises(TypeError, match=r"the gradient of w is None, not a number: write p\."):
        w.grad = None  # type: ignore[assignment]
    assert w.grad == 6.0


def test_a_gradient_that_is_none_becomes_0_if_a_program_needs_the_leaf() -> None:
    needed, unused = Value(2.0), Value(3.0)
    needed.grad = unused.grad = None  # type: ignore[assignment]
    run = jit(lambda x: [needed * x, unused * x][0])
    assert [run(x).data for x in (1.0, 2.0, 3.0)] == [2.0, 4.0, 6.0]
    assert (needed.grad, unused.grad) == (0.0, None)


@pytest.mark.parametrize("check", ["never", "always"])
def test_a_call_runs_eagerly_if_the_gradient_of_an_argument_is_none(check: str) -> None:
    def step(v: Value) -> Value:
        if v.grad is None:
            v.grad = 5.0
        return v * greater(v.grad, 4.0)  # false for nan

    run = jit(step, check=check)
    for gradient in (None, None, 2.0, 2.0, None, 2.0):
        v = Value(3.0)
        v.grad = gradient  # type: ignore[assignment]
        assert run(v).data == (0.0 if gradient else 3.0)
        assert v.grad == (gradient or 5.0)


@pytest.mark.parametrize("width", [2, 9])
@pytest.mark.parametrize("form", ["weights", "inputs", "start"])
def test_a_sum_of_products_with_numbers_on_either_side(width: int, form: str) -> None:
    """Gradients use the numbers of each call, even those that were 0 in the recorded call."""

    def make() -> tuple[User, Any]:
        leaves = [Value(0.5 * i - 1.0) for i in range(width)]

        def step(xs: list[float]) -> Value:
            for leaf in leaves:
                leaf.grad = 0.0
            first, second = (xs, leaves) if form == "weights" else (leaves, xs)
            start: Any = xs[-1] if form == "start" else None
            loss = weighted_sum(first, second, start)  # type: ignore[arg-type]
            loss.backward()
            return loss

        return step, leaves

    zeros = [0.0] * width
    same(make, (zeros,), (zeros,), ([*zeros[1:], 1.0],), ([-2.0, *zeros[1:]],), replayed=True)
