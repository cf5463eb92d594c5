"""gradcheck says True of right derivatives, and where and by how much wrong ones are wrong."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from autograd import Primitive, Value, gradcheck, maximum, where


@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_derivatives_pass(order: int) -> None:
    def f(x: Value, y: Value) -> Value:
        return (x * y).tanh() + x.exp() / (1 + y * y) + maximum(x, y) * where(x > y, x, y)

    assert gradcheck(f, [0.5, Value(-1.25, label="y")], order=order, rtol=1e-5) is True


@pytest.mark.parametrize("x", [1e-3, 1e3, -1e6])
def test_the_step_follows_the_size_of_the_input(x: float) -> None:
    assert gradcheck(lambda v: v * v * v, [x]) is True


WRONG = Primitive("wrong", lambda x: x * x * x, lambda out, x: 2 * x * x)  # 3 x^2 is right


def parts(message: str) -> tuple[float, ...]:
    """The point, both numbers and the gap of a message."""
    pattern = r"at (\S+) is (\S+) by backpropagation, (\S+) by finite differences: a gap of (\S+)$"
    found = re.search(pattern, message)
    assert found, message
    return tuple(map(float, found.groups()))


@pytest.mark.parametrize(
    ("second", "name"),
    [(Value(2.0, label="speed"), r"input 1 \(speed\)"), (2.0, "input 1")],
)
def test_a_wrong_derivative_is_named_with_both_numbers_and_the_gap(second: Any, name: str) -> None:
    with pytest.raises(
        AssertionError, match=f"^gradcheck: the gradient by {name} at 2.0 "
    ) as caught:
        gradcheck(lambda a, b: a * a + WRONG(b), [1.0, second])
    point, ours, theirs, gap = parts(str(caught.value))
    assert (point, ours) == (2.0, 8.0)
    assert theirs == pytest.approx(12.0, rel=1e-9)
    assert gap == pytest.approx(4.0, rel=1e-3)


def test_a_derivative_that_is_nan_does_not_pass() -> None:
    broken = Primitive("broken", lambda x: x, lambda out, x: x * math.nan)
    with pytest.raises(AssertionError, match="is nan by backpropagation"):
        gradcheck(broken, [1.0])


def test_order_two_finds_a_derivative_whose_own_derivative_is_wrong() -> None:
    """The slope 3 x^2 is right as a number; as a graph it forgets that one x depends on x."""
    frozen = Primitive("frozen", lambda x: x * x * x, lambda out, x: 3 * x * float(x))
    assert gradcheck(frozen, [2.0]) is True
    with pytest.raises(AssertionError, match=r"^in the gradient by input 0: gradcheck: ") as caught:
        gradcheck(frozen, [2.0], order=2)
    _, ours, theirs, _ = parts(str(caught.value))
    assert ours == 6.0
    assert theirs == pytest.approx(12.0, rel=1e-9)


def test_tolerances_are_respected() -> None:
    slightly = Primitive("slightly", lambda x: x, lambda out, x: 1 + 1e-4)
    with pytest.raises(AssertionError):
        gradcheck(slightly, [1.0])
    assert gradcheck(slightly, [1.0], rtol=1e-3) is True
    assert gradcheck(slightly, [1.0], atol=1e-3, rtol=0.0) is True


def test_the_inputs_are_not_changed() -> None:
    x = Value(2.0)
    x.grad = 5.0
    gradcheck(lambda v: v * v, [x])
    assert (x.data, x.grad) == (2.0, 5.0)


def test_a_function_that_returns_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^gradcheck: the function must return a Value, not 3\.0$"):
        gradcheck(lambda x: 3.0, [1.0])


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf])
def test_a_point_that_is_not_finite_is_refused(x: float) -> None:
    with pytest.raises(ValueError, match=f"^gradcheck: input 1 must be finite, not {x}$"):
        gradcheck(lambda a, b: a + b, [0.0, x])


@pytest.mark.parametrize("order", [0, -1])
def test_an_order_below_one_is_refused(order: int) -> None:
    with pytest.raises(ValueError, match=f"^gradcheck: order must be 1 or more, not {order}$"):
        gradcheck(lambda x: x, [1.0], order=order)
