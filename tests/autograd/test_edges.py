"""Are slopes right at the edges of each primitive's domain, and do they leave other nodes alone?

The table holds first and second derivatives at points where the formula of a slope divides by 0,
overflows or is not real. It is checked with `backward()`, `grad()` with and without a graph,
`steps()`, and replays. (Values of primitives at 0, -0.0, inf, nan and the largest and smallest
floats are in test_primitives.py; their replays are in jit/test_primitives_replayed.py.)
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import pytest
from mpmath_reference import PRIMITIVES

from autograd import Value, detect_anomaly, grad, hessian, jit, maximum, ops, steps, where
from tests.cases import case

inf, nan = math.inf, math.nan
MAX, TINY = sys.float_info.max, 5e-324
DIV0, OVER = ZeroDivisionError, OverflowError

# Primitive, point, operand; first and second derivative with respect to this operand, as numbers or
# as the errors they raise. For powers of 0 and of negative numbers PyTorch 2.13 gives the same
# first derivatives, except for inf instead of ZeroDivisionError.
TABLE: list[tuple[str, tuple[float, ...], int, Any, Any]] = [
    ("sqrt", (0.0,), 0, DIV0, DIV0),
    ("sqrt", (-0.0,), 0, DIV0, DIV0),
    ("sqrt", (TINY,), 0, 2.0**536, -inf),
    ("sqrt", (inf,), 0, 0.0, 0.0),
    ("log", (TINY,), 0, inf, -inf),
    ("log", (inf,), 0, 0.0, 0.0),
    ("log1p", (-1.0 + 2.0**-53,), 0, 2.0**53, -(2.0**106)),
    ("div", (1.0, TINY), 0, inf, 0.0),
    ("div", (1.0, TINY), 1, -inf, inf),
    ("div", (1.0, inf), 1, 0.0, 0.0),
    ("exp", (-inf,), 0, 0.0, 0.0),
    ("expm1", (-inf,), 0, 0.0, 0.0),
    ("tanh", (inf,), 0, 0.0, 0.0),
    ("sech", (-inf,), 0, 0.0, 0.0),
    ("sigmoid", (-inf,), 0, 0.0, 0.0),
    ("softplus", (inf,), 0, 1.0, 0.0),
    ("gaussian", (inf,), 0, 0.0, 0.0),
    ("erf", (-inf,), 0, 0.0, 0.0),
    ("relu", (0.0,), 0, 0.0, 0.0),
    ("relu", (nan,), 0, 0.0, 0.0),
    ("abs", (-0.0,), 0, 0.0, 0.0),
    ("abs", (nan,), 0, 0.0, 0.0),
    ("maximum", (2.0, 2.0), 0, 0.5, 0.0),
    ("maximum", (1.0, nan), 0, 0.5, 0.0),
    ("minimum", (nan, 1.0), 1, 0.5, 0.0),
    ("where", (0.0, inf, 1.0), 1, 0.0, 0.0),
    ("where", (nan, 1.0, inf), 1, 1.0, 0.0),
    ("pow", (0.0, 0.0), 0, 0.0, 0.0),
    ("pow", (0.0, 0.5), 0, DIV0, DIV0),
    ("pow", (0.0, 1.0), 0, 1.0, 0.0),
    ("pow", (0.0, 1.5), 0, 0.0, DIV0),
    ("pow", (0.0, 2.0), 0, 0.0, 2.0),
    ("pow", (-2.0, 2.0), 0, -4.0, 2.0),
    ("pow", (1e-300, -0.5), 0, OVER, OVER),
    ("power", (0.0, 0.0), 0, 0.0, 0.0),
    ("power", (0.0, 0.0), 1, 0.0, 0.0),
    ("power", (0.0, 0.5), 0, DIV0, DIV0),
    ("power", (0.0, 0.5), 1, 0.0, 0.0),
    ("power", (0.0, 1.0), 0, 1.0, 0.0),
    ("power", (-0.0, 1.0), 1, 0.0, 0.0),
    ("power", (0.0, 1.5), 0, 0.0, DIV0),
    ("power", (0.0, 2.0), 0, 0.0, 2.0),
    ("power", (-2.0, 2.0), 0, -4.0, 2.0),
    ("power", (-2.0, 2.0), 1, nan, nan),
    ("power", (-2.0, 0.0), 1, nan, nan),
    ("power", (-2.0, -1.0), 0, -0.25, -0.25),
    ("power", (-2.0, -1.0), 1, nan, nan),
    ("power", (-inf, 3.0), 1, nan, nan),
    ("power", (TINY, 0.0), 0, OVER, OVER),
    ("power", (TINY, 0.0), 1, math.log(TINY), math.log(TINY) ** 2),
    ("power", (inf, 0.0), 0, 0.0, 0.0),
    ("power", (nan, 2.0), 0, nan, 2.0),
]
IDS = [f"{name}{point} by {i}" for name, point, i, *_ in TABLE]


def outcome(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        return type(error)


def same(got: Any, expected: Any) -> bool:
    if isinstance(got, type) or isinstance(expected, type):
        return got is expected
    return got == pytest.approx(expected, rel=4e-16, abs=0.0, nan_ok=True)


def applied(name: str, point: tuple[float, ...], i: int) -> tuple[Value, Value]:
    """Return the result at a point and operand i, a Value; the others are plain numbers."""
    operand = Value(point[i])
    return PRIMITIVES[name](*[operand if j == i else x for j, x in enumerate(point)]), operand


@pytest.mark.parametrize(("name", "point", "i", "first", "second"), TABLE, ids=IDS)
def test_slopes_at_the_edge_follow_the_table(
    name: str, point: tuple[float, ...], i: int, first: Any, second: Any
) -> None:
    def by_backward() -> float:
        result, x = applied(name, point, i)
        result.backward()
        return x.grad

    def by_grad(create_graph: bool) -> float:
        result, x = applied(name, point, i)
        return grad(result, [x], create_graph)[0].data

    def of_second_order() -> float:
        result, x = applied(name, point, i)
        (slope,) = grad(result, [x], create_graph=True)
        return grad(slope, [x])[0].data

    def by_steps() -> float:
        result, x = applied(name, point, i)
        return steps(result).gradient(x)

    assert same(outcome(by_backward), first)
    assert same(outcome(lambda: by_grad(False)), first)
    assert same(outcome(lambda: by_grad(True)), first)
    assert same(outcome(by_steps), first)
    assert same(outcome(of_second_order), second)


@cache
def replayed(name: str, i: int, order: int, backend: str) -> Any:
    """Return a jitted function: the derivative of some order of a primitive by operand i."""

    def slope(*operands: Any) -> Value:
        result = PRIMITIVES[name](*operands)
        for _ in range(order):
            (result,) = grad(result, [operands[i]], create_graph=True)
        return result

    def with_a_plain_exponent(x: Value, exponent: float) -> Value:
        return slope(x, exponent)

    return (
        jit(with_a_plain_exponent, backend=backend, static="exponent")
        if name == "pow"
        else jit(slope, backend=backend)
    )


@pytest.mark.parametrize(("name", "point", "i", "first", "second"), TABLE, ids=IDS)
def test_replayed_slopes_at_the_edge_follow_the_table(
    name: str, point: tuple[float, ...], i: int, first: Any, second: Any
) -> None:
    """All operands are Values: derivatives by the other operands do not matter."""
    for backend, (order, expected) in product(["native", "numpy"], [(1, first), (2, second)]):
        run = replayed(name, i, order, backend)
        operands = [x if name == "pow" and j else Value(x) for j, x in enumerate(point)]
        with case(backend, order):
            assert same(outcome(lambda run=run, given=operands: run(*given).data), expected)


# --- the other operand, and other nodes -----------------------------------------------------------


def test_a_negative_base_gets_its_slope_and_the_exponent_gets_nan() -> None:
    x, n = Value(-2.0), Value(2.0)
    (x**n).backward()
    assert x.grad == -4.0
    assert math.isnan(n.grad)


def test_slopes_of_a_power_are_computed_only_where_they_are_needed() -> None:
    x, n = Value(-2.0), Value(2.0)
    (x**2).backward()
    assert x.grad == -4.0
    ((-2.0) ** n).backward()
    assert math.isnan(n.grad)
    assert [g.data for g in grad(x**n, [x])] == [-4.0]
    assert hessian(x**n, [x])[0][0].data == 2.0
    zero = Value(0.0)
    assert grad(zero ** Value(0.5), [Value(1.0)])[0].data == 0.0  # needs no slope of 0 ** 0.5


def test_anomaly_detection_raises_for_an_undefined_slope_only_if_it_is_needed() -> None:
    with detect_anomaly():
        assert grad((x := Value(-2.0)) ** Value(2.0), [x])[0].data == -4.0
        with pytest.raises(FloatingPointError, match=r"power\(-2.0, 2.0\) gave nan for operand 1"):
            (Value(-2.0) ** Value(2.0)).backward()


@pytest.mark.parametrize(
    ("exponent", "derivatives"),
    [(0.0, [0.0, 0.0, 0.0]), (1.0, [1.0, 0.0, 0.0]), (2.0, [0.0, 2.0, 0.0]), (3.0, [0, 0, 6.0])],
)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_integer_powers_of_zero_with_a_value_as_exponent(
    exponent: float, derivatives: list[float], zero: float
) -> None:
    x, n = Value(zero), Value(exponent)
    result = x**n
    for expected in derivatives:
        (result,) = grad(result, [x], create_graph=True)
        assert result.data == expected


def test_the_mixed_derivative_of_a_power_at_an_exponent_of_0_is_1_over_x() -> None:
    """d^2 x^y / dx dy = x^(y - 1) (1 + y log x), which is 1/x at y = 0, in both orders."""
    x, y = Value(4.0), Value(0.0)
    table = [[entry.data for entry in row] for row in hessian(x**y, [x, y])]
    assert table == [[0.0, 0.25], [0.25, pytest.approx(math.log(4.0) ** 2)]]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_mixed_derivatives_at_a_base_of_0_are_0_in_every_order(
    zero: float, exponent: float
) -> None:
    """Because the slope of x^y by y is 0 there; the limits of 1 + y log x are infinite."""

    def mixed(x: Value, y: Value) -> list[Value]:
        result = x**y
        by_x, by_y = grad(result, [x, y], create_graph=True)
        (xy,), (yx,) = grad(by_x, [y], create_graph=True), grad(by_y, [x], create_graph=True)
        return [xy, yx, *grad(xy, [y]), *grad(yx, [y])]

    x, y = Value(zero), Value(exponent)
    assert [g.data for g in mixed(x, y)] == [0.0] * 4
    for backend in ("native", "numpy"):
        run = jit(mixed, backend=backend)
        assert [g.data for g in [*run(x, y), *run(x, y)]] == [0.0] * 8


def test_the_second_derivative_of_x_to_the_x_at_0_is_0() -> None:
    x = Value(0.0)
    assert hessian(x**x, [x])[0][0].data == 0.0
    y = Value(2.0)  # where it exists: 2^2 (log 2 + 1)^2 + 2
    assert hessian(y**y, [y])[0][0].data == pytest.approx(4 * (math.log(2.0) + 1) ** 2 + 2)


# An undefined slope is hidden by a choice. x is 0, and the test adds x (3 + x).
HIDDEN: dict[str, Callable[[Value], Value]] = {
    "where": lambda x: where(0.0, x.sqrt(), 0.0),
    "where of a Value": lambda x: where(x, x.sqrt(), 0.0),
    "relu": lambda x: (-(x.sqrt())).relu(),
    "relu at 0": lambda x: x.sqrt().relu(),
    "abs at 0": lambda x: abs(x.sqrt()),
    "maximum": lambda x: maximum(x.sqrt(), 1.0),
    "greater": lambda x: ops.greater(x.sqrt(), 1.0),
    "scaled": lambda x: 5.0 * where(x, 2.0 * (x**0.5) * 3.0, 0.0),
    "used twice": lambda x: (lambda r: where(x, r * r + r, 0.0))(x.sqrt()),
    "an infinite slope": lambda x: where(x, (x + TINY).log(), 0.0),
    "a base below 0": lambda x: where(x, (x - 2.0) ** (x + 2.0), 0.0),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_branch_not_taken_affects_no_derivative_of_any_order(name: str) -> None:
    """With and without a graph, the derivatives at x = 0 are those of x (3 + x): 3 and 2."""

    def f(x: Value) -> Value:
        return HIDDEN[name](x) + x * (3.0 + x)

    x = Value(0.0)
    assert grad(f(x), [x])[0].data == 3.0
    with detect_anomaly():
        (slope,) = grad(f(x), [x], create_graph=True)
    (curvature,) = grad(slope, [x], create_graph=True)
    (third,) = grad(curvature, [x])
    assert (slope.data, curvature.data, third.data) == (3.0, 2.0, 0.0)
    slope.backward()
    assert x.grad == 2.0


def test_an_inactive_relu_as_a_factor_blocks_an_undefined_slope() -> None:
    """relu(x) x^n at x = -2: the slope of x^n by n is nan, but its factor is 0 near -2."""
    x, n = Value(-2.0), Value(2.0)
    loss = x.relu() * x**n
    assert [g.data for g in grad(loss, [x, n])] == [0.0, 0.0]
    assert [g.data for g in grad(loss, [x, n], create_graph=True)] == [0.0, 0.0]
    assert [g.data for row in hessian(loss, [x, n]) for g in row] == [0.0] * 4
    loss.backward()
    assert (x.grad, n.grad) == (0.0, 0.0)


def test_a_gradient_that_is_0_at_a_single_point_is_passed_on_to_second_order() -> None:
    """At 0 the gradient of the root is 0, but the derivative of this gradient is not."""
    x = Value(0.0)
    for f in (lambda x: (x * x).sqrt() ** 2, lambda x: x * (x * x).sqrt()):
        with pytest.raises(ZeroDivisionError, match=r"^backward of sqrt\(0.0\): division by zero$"):
            hessian(f(x), [x])


def _long_way(z: Value) -> Value:
    return z + 1.0 + 1.0 + 1.0 + 1.0 + 1.0 - 5.0


@pytest.mark.parametrize(
    "factor",
    {
        "a relu at its kink": lambda x: x * Value(0.0).relu(),
        "two active relus": lambda x: x * (Value(0.5).relu() - Value(0.5).relu()),
        "a zero": lambda x: x * Value(0.0),
        "a zero after many operations": lambda x: x * _long_way(Value(0.0)),
        "an outer slope of 0 and an inner of 1": lambda x: (abs(x + 1.0) - 1.0) ** 2,
        "an outer slope of 0 and an inner of -1": lambda x: (abs(-x - 1.0) - 1.0) ** 2,
        "inf * 0, which is nan": lambda x: (x - 1.0).relu() * Value(math.inf),
    }.values(),
)
def test_a_gradient_that_only_happens_to_be_0_is_passed_on(
    factor: Callable[[Value], Value],
) -> None:
    """So the slope of sqrt at 0 is computed, and raises."""
    u = Value(0.0)
    with pytest.raises(ZeroDivisionError):
        grad(factor(u.sqrt()), [u], create_graph=True)


def test_a_gradient_that_an_inactive_relu_keeps_at_0_is_not_passed_on() -> None:
    u = Value(0.0)
    assert grad(u.sqrt() * Value(-0.5).relu(), [u], create_graph=True)[0].data == 0.0
