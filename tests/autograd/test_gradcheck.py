"""Does gradcheck pass right derivatives, and say where and by how much others are wrong?"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from autograd import Primitive, Value, grad, gradcheck, maximum, minimum, no_grad, ops, where
from tests.examples import examples


@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_derivatives_pass(order: int) -> None:
    def f(x: Value, y: Value) -> Value:
        return (x * y).tanh() + x.exp() / (1 + y * y) + maximum(x, y) * where(x > y, x, y)

    assert gradcheck(f, [0.5, Value(-1.25, label="y")], order=order, rtol=1e-5) is True


@pytest.mark.parametrize("x", [1e-3, 1e3, -1e6])
def test_the_step_follows_the_size_of_the_input(x: float) -> None:
    assert gradcheck(lambda v: v * v * v, [x]) is True


RIGHT: dict[str, tuple[Callable[..., Value], list[float]]] = {
    "log near 0": (lambda x: x.log(), [0.001]),
    "log of a tiny number": (lambda x: x.log(), [1e-100]),
    "a fast wave": (lambda x: (200 * x).sin(), [1.0]),
    "a faster wave": (lambda x: (1e6 * x).sin(), [1.0]),
    "a wave at 0": (lambda x: (1e4 * x).sin(), [0.0]),
    "a faint wave on a slope": (lambda x: x + 1e-7 * (1e6 * x).sin(), [1.0]),
    "an edge nearby": (lambda x: (x - 0.9999999).sqrt(), [1.0]),
    "an edge of overflow": (lambda x: x.exp(), [709.7]),
    "a kink nearby": (lambda x: (x - 1.0).relu() * x, [1.00001]),
    "a small input beside a large one": (lambda x, y: 1.0 + x * y, [1e-6, 1.0]),
    "a small root": (lambda x: x.sqrt(), [1e-12]),
    "far from 0": (lambda x: x.sin(), [1e6]),
    "an input without effect": (lambda x, y: 1e10 + 0.0 * x + y, [1.0, 1e10]),
    "a faint slope": (lambda x: x * 1e-9, [1.0]),
    "a fainter slope": (lambda x: x * 1e-200, [1.0]),
    "a saturated tanh": (lambda x: x.tanh(), [5.0]),
    "a saturated sigmoid": (lambda x: x.sigmoid(), [10.0]),
    "a tail": (lambda x: x.sigmoid(), [-10.0]),
}
# Their gradients are 0, also with an error of 1e-4.
FLAT: dict[str, tuple[Callable[..., Value], list[float]]] = {
    "a large sum at its lowest point": (lambda x: 1e10 + x * x, [0.0]),
    "the lowest point": (lambda x: (x - 1.0) ** 2, [1.0]),
    "a flat point": (lambda x: 1.0 + x.sin() ** 3, [0.0]),
    "a sum that is always 1": (
        lambda x, y: x.exp() / (x.exp() + y.exp()) + y.exp() / (x.exp() + y.exp()),
        [0.3, 0.7],
    ),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", RIGHT | FLAT)
def test_right_derivatives_near_edges_and_at_every_scale_pass(name: str, order: int) -> None:
    f, point = (RIGHT | FLAT)[name]
    assert gradcheck(f, point, order) is True


def test_a_gradient_passes_that_only_some_steps_or_its_own_rounding_can_confirm() -> None:
    assert gradcheck(lambda x: (1e6 * x).sin() + x, [1000.0]) is True  # waves shorter than steps
    assert gradcheck(lambda x: (x / 1e-3 + 0.3) ** 2 - 0.6 * x / 1e-3, [2e-14]) is True


SLIGHTLY = Primitive("slightly", lambda x: x, lambda out, x: 1 + 1e-4)


@pytest.mark.parametrize("name", RIGHT)
def test_derivatives_wrong_by_1e_4_are_caught_near_edges_and_at_every_scale(name: str) -> None:
    f, point = RIGHT[name]
    with pytest.raises(AssertionError, match=r"by backpropagation, .* differences: a gap"):
        gradcheck(lambda *x: SLIGHTLY(f(*x)), point)


WRONG_WHERE_SLOPES_ARE_SMALL: dict[str, tuple[Callable[..., Value], float, float, float]] = {
    "log": (Primitive("l", math.log, lambda out, x: -1 / x), 1e10, -1e-10, 1e-10),
    "exp": (Primitive("e", math.exp, lambda out, x: -out), -20.0, -math.exp(-20), math.exp(-20)),
    "5 times": (Primitive("p", lambda x: x * 1e-9, 5e-9), 1.0, 5e-9, 1e-9),
    "by 1e-4": (Primitive("p", lambda x: x * 1e-4, 1.0001e-4), 1.0, 1.0001e-4, 1e-4),
    "0": (Primitive("p", lambda x: x * 1e-12, 0.0), 2.0, 0.0, 1e-12),
    "5, not 0": (Primitive("p", lambda x: 1.0 + x * x, 5.0), 0.0, 5.0, 0.0),
}


@pytest.mark.parametrize("name", WRONG_WHERE_SLOPES_ARE_SMALL)
def test_wrong_small_slopes_are_caught(name: str) -> None:
    f, point, ours, theirs = WRONG_WHERE_SLOPES_ARE_SMALL[name]
    with pytest.raises(AssertionError) as caught:
        gradcheck(f, [point])
    assert parts(str(caught.value))[:2] == (point, pytest.approx(ours, rel=1e-12))
    assert parts(str(caught.value))[2] == pytest.approx(theirs, rel=1e-9, abs=1e-12 * abs(ours))


def test_differences_cannot_tell_where_rounding_hides_the_slope() -> None:
    for f, point in [
        (lambda x: x.tanh(), [20.0]),  # 1.7e-17, and tanh is 1
        (lambda x, y: 1.0 + x * y, [1e-9, 1.0]),  # 1e-9 by y, known to 2e-13
        (lambda x: x.cos(), [math.pi]),
    ]:
        with pytest.raises(ValueError, match=r"cannot tell whether .* with an estimated error of"):
            gradcheck(f, point)
        assert gradcheck(f, point, atol=1e-8) is True


KINKS: list[tuple[Callable[[Value], Value], float, str]] = [
    (lambda x: x.relu(), 0.0, "0 on the left and 1 on the right"),
    (lambda x: (x - 3.0).relu(), 3.0, "0 on the left and 1 on the right"),
    (lambda x: (x - 1e10).relu(), 1e10, "0 on the left and 1 on the right"),
    (lambda x: (x - 3.0).relu() + x * x, 3.0, "6 on the left and 7 on the right"),
    (lambda x: where(x > 1.0, 2.0 * x, 3.0 - x), 1.0, "-1 on the left and 2 on the right"),
]


@pytest.mark.parametrize(("f", "x", "sides"), KINKS)
def test_differences_cannot_tell_at_a_kink(
    f: Callable[[Value], Value], x: float, sides: str
) -> None:
    with pytest.raises(
        ValueError,
        match=rf"cannot tell whether the gradient with respect to input 0 at {x} is right: the"
        rf" function has a kink there, as one-sided differences disagree: {sides}; check at another"
        r" point$",
    ):
        gradcheck(f, [x])


def test_a_kink_is_looked_for_within_the_given_step() -> None:
    def two_kinks(x: Value) -> Value:
        return x.relu() + 5.0 * (x - 1e-12).relu()

    with pytest.raises(ValueError, match=r"kink .* 0 on the left and 1 on the right"):
        gradcheck(two_kinks, [0.0], step=1e-13)


def test_a_function_that_is_nan_is_not_taken_for_a_random_one() -> None:
    with pytest.raises(ValueError, match="the function has no finite numbers on both sides"):
        gradcheck(lambda x: x * math.nan, [1.0])


def test_a_kink_whose_gradient_is_the_mean_of_both_sides_passes() -> None:
    assert gradcheck(lambda x: abs(x) + maximum(x, 3.0 * x), [0.0]) is True


@pytest.mark.parametrize("f", [Value.sin, Value.exp, lambda x: x * x])
def test_differences_cannot_tell_with_far_too_large_a_step(f: Callable[[Value], Value]) -> None:
    with pytest.raises(ValueError, match="finite differences cannot tell"):
        gradcheck(f, [1.0], step=1e300)


def test_gradcheck_works_inside_no_grad() -> None:
    with no_grad():
        assert gradcheck(lambda x: x * x, [3.0], order=2) is True
        with pytest.raises(AssertionError):
            gradcheck(WRONG, [2.0])


@pytest.mark.parametrize("x", [Value(2.0), 2.0, None, "", np.array(2.0), {2.0}])
def test_an_input_outside_a_sequence_is_rejected(x: Any) -> None:
    message = f"gradcheck takes a list of Values or numbers, such as [0.5], not {x!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        gradcheck(lambda x: x * x, x)


@pytest.mark.parametrize(("f", "inputs"), [(Value(4.0), [2.0]), (abs, [])])
def test_a_non_function_or_no_inputs_are_rejected(f: Any, inputs: Any) -> None:
    message = re.escape(f"such as gradcheck(lambda x: x * x, [0.5]), not {f!r} and {inputs!r}")
    with pytest.raises(TypeError, match=f"^gradcheck takes a function .* {message}$"):
        gradcheck(f, inputs)


def test_inputs_may_come_from_an_iterator() -> None:
    assert gradcheck(lambda x, y: x * y, iter([2.0, 3.0]))


@pytest.mark.parametrize("x", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(
    "f", [lambda x: 1e10 + x * x, lambda x: (1e10 + x * x) - 1e10], ids=["large", "cancelled"]
)
def test_the_error_says_how_inaccurate_differences_are(
    f: Callable[[Value], Value], x: float
) -> None:
    """x^2 is rounded to multiples of 2^-19: for a step of 2^-8 x, an error of 5e-4 / x or more."""
    for g in (f, lambda v: SLIGHTLY(f(v))):
        with pytest.raises(
            ValueError,
            match=r"^gradcheck: finite differences cannot tell whether the gradient with respect to"
            rf" input 0 at {x} is right: it is \S+ by backpropagation, \S+ by finite differences,"
            r" with an estimated error of \S+; give a step= or an atol=, or check at another"
            r" point$",
        ) as caught:
            gradcheck(g, [x])
        error = float(re.findall(r"error of (\S+);", str(caught.value))[0])
        assert 2e-4 / x < error < 2e-2 / x


def test_a_random_function_is_rejected() -> None:
    stream = random.Random(1)
    with pytest.raises(ValueError, match=r"gives \S+, then \S+ for the same inputs: draw its"):
        gradcheck(lambda x: x * stream.gauss(), [0.3])
    assert gradcheck(lambda x: x * random.Random(1).gauss(), [0.3])


def test_a_function_that_uses_an_input_itself_is_rejected() -> None:
    """Only the arguments are changed, so nothing would be compared, and a wrong gradient pass."""
    wrong = Primitive("wrong", lambda x: x * x, lambda out, x: 3 * x)
    w, b = Value(2.0, label="w"), Value(1.0)
    for f in (lambda w_, b_: wrong(w), lambda w_, b_: wrong(w) + b_):
        for order in (1, 2):
            with pytest.raises(ValueError, match=r"computes with input 0 \(w\) itself, not with"):
                gradcheck(f, [w, b], order=order)
    assert gradcheck(lambda w_, b_: w * w_ + b_, [w, b])
    assert gradcheck(lambda w_, b_: w_ * 3.0, [w, b])


def test_a_given_step_is_used() -> None:
    assert gradcheck(lambda x: 1e10 + x * x, [1.0], step=0.5) is True
    with pytest.raises(AssertionError, match=r"a gap of 0\.0002"):
        gradcheck(lambda x: 1e10 + SLIGHTLY(x * x), [1.0], step=0.5)
    seen: list[float] = []

    def f(x: Value) -> Value:
        seen.append(x.data)
        return x.exp()

    gradcheck(f, [1.0], 1, 0.25)
    assert max(seen) == 1.25
    assert min(seen) == 0.75


@pytest.mark.parametrize("step", [0.0, -1.0, math.inf, math.nan, "1"])
def test_an_invalid_step_is_rejected(step: Any) -> None:
    with pytest.raises(
        ValueError, match=f"^gradcheck: step must be a number above 0, not {step!r}"
    ):
        gradcheck(lambda x: x, [1.0], step=step)


def test_differences_cannot_tell_at_the_edge_of_the_domain() -> None:
    with pytest.raises(ValueError, match=r"input 0 at 0\.0 is right: the function has no finite"):
        gradcheck(lambda x: x**1.5, [0.0])


def test_an_ordinary_function_is_called_four_times_per_input() -> None:
    calls = 0

    def f(*xs: Value) -> Value:
        nonlocal calls
        calls += 1
        return (xs[0] * xs[1]).tanh() + xs[2].exp() * xs[0]

    gradcheck(f, [0.5, -1.5, 0.25])
    assert calls == 1 + 3 * 4


# --- random functions at random scales ------------------------------------------------------------

UNARY: list[Callable[[Value], Value]] = [
    *[Value.exp, Value.log, Value.log1p, Value.expm1, Value.sqrt, Value.sin, Value.cos, Value.tanh],
    *[Value.sigmoid, Value.softplus, Value.erf, Value.relu, abs, ops.gaussian, ops.sech],
    *[lambda v: v * v, lambda v: v**3, lambda v: v**0.7, lambda v: 1.0 / v, lambda v: -v],
]
BINARY: list[Callable[[Value, Value], Value]] = [
    *[lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b],
    *[lambda a, b: a**b, maximum, minimum, lambda a, b: where(a > b, a, b)],
]


def random_function(rng: random.Random) -> tuple[Callable[..., Value], list[float]]:
    """Return a function of up to six operations, and a point, at scales from 1e-6 to 1e6."""

    def scale() -> float:
        return rng.choice([1.0, 1.0, 1.0, -1.0]) * 10.0 ** rng.uniform(-6.0, 6.0)

    point = [scale() for _ in range(rng.randint(1, 3))]
    program: list[tuple[Callable[..., Value], list[int]]] = []
    for size in range(len(point), len(point) + rng.randint(1, 6)):
        kind = rng.random()
        if kind < 0.5:
            program.append((rng.choice(UNARY), [rng.randrange(size)]))
        elif kind < 0.65:
            factor = scale()
            program.append((lambda v, factor=factor: factor * v, [rng.randrange(size)]))
        else:
            program.append((rng.choice(BINARY), [rng.randrange(size), rng.randrange(size)]))

    def f(*values: Value) -> Value:
        known = list(values)
        for operation, operands in program:
            known.append(operation(*[known[k] for k in operands]))
        return known[-1]

    return f, point


def random_functions(
    seed: int, count: int
) -> Iterator[tuple[Callable[..., Value], list[float], float]]:
    """Yield functions with finite derivatives, a point, and the size of the largest derivative."""
    rng = random.Random(seed)
    while count:
        f, point = random_function(rng)
        values = [Value(x) for x in point]
        try:
            slopes = [abs(g.data) for g in grad(f(*values), values)]
        except (ValueError, ArithmeticError):
            continue
        if all(map(math.isfinite, slopes)):
            count -= 1
            yield f, point, max(slopes)


def verdict(f: Callable[..., Value], point: list[float]) -> str:
    try:
        return "right" if gradcheck(f, point) else ""
    except AssertionError:
        return "wrong"
    except ValueError as error:
        return "cannot tell" if "finite differences cannot tell" in str(error) else str(error)


COUNT = examples(800)


def test_right_derivatives_of_random_functions_never_fail() -> None:
    verdicts = [verdict(f, point) for f, point, _ in random_functions(1, COUNT)]
    assert set(verdicts) <= {"right", "cannot tell"}
    assert verdicts.count("cannot tell") < COUNT / 20  # mostly slopes below the rounding error


def test_derivatives_of_random_functions_wrong_by_1e_4_never_pass() -> None:
    verdicts = [
        verdict(lambda *x, f=f: SLIGHTLY(f(*x)), point)
        for f, point, largest in random_functions(2, COUNT)
        if largest
    ]
    assert len(verdicts) > COUNT / 2
    assert set(verdicts) <= {"wrong", "cannot tell"}
    assert verdicts.count("cannot tell") < COUNT / 20  # mostly slopes below the rounding error


WRONG = Primitive("wrong", lambda x: x * x * x, lambda out, x: 2 * x * x)  # 3 x^2 is right


def parts(message: str) -> tuple[float, ...]:
    """Return the point, both numbers and the gap that a message gives."""
    pattern = r"at (\S+) is (\S+) by backpropagation, (\S+) by finite differences: a gap of (\S+)$"
    found = re.search(pattern, message)
    assert found, message
    return tuple(map(float, found.groups()))


@pytest.mark.parametrize(
    ("second", "name"),
    [(Value(2.0, label="speed"), r"input 1 \(speed\)"), (2.0, "input 1")],
)
def test_the_error_names_the_input_both_numbers_and_the_gap(second: Any, name: str) -> None:
    with pytest.raises(
        AssertionError, match=f"^gradcheck: the gradient with respect to {name} at 2.0 "
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
    """The slope 3 x^2 is right as a number, but its graph treats one factor x as a constant."""

    def number(x: Any) -> float:
        return x.data if isinstance(x, Value) else x

    frozen = Primitive("frozen", lambda x: x * x * x, lambda out, x: 3 * x * number(x))
    assert gradcheck(frozen, [2.0]) is True
    nested = r"^in the gradient with respect to input 0: gradcheck: "
    with pytest.raises(AssertionError, match=nested) as caught:
        gradcheck(frozen, [2.0], order=2)
    _, ours, theirs, _ = parts(str(caught.value))
    assert ours == 6.0
    assert theirs == pytest.approx(12.0, rel=1e-9)


def test_tolerances_are_respected() -> None:
    with pytest.raises(AssertionError):
        gradcheck(SLIGHTLY, [1.0])
    assert gradcheck(SLIGHTLY, [1.0], rtol=np.float32(1e-3), step=np.float32(0.1)) is True
    assert gradcheck(SLIGHTLY, [1.0], atol=1e-3, rtol=0.0) is True


def test_the_inputs_are_not_changed() -> None:
    x = Value(2.0)
    x.grad = 5.0
    gradcheck(lambda v: v * v, [x])
    assert (x.data, x.grad) == (2.0, 5.0)


def test_a_function_that_returns_a_non_value_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"^gradcheck: the function must return a Value, not 3\.0$"):
        gradcheck(lambda x: 3.0, [1.0])


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf])
def test_a_non_finite_point_is_rejected(x: float) -> None:
    with pytest.raises(ValueError, match=f"^gradcheck: input 1 must be finite, not {x}$"):
        gradcheck(lambda a, b: a + b, [0.0, x])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": "2"}, TypeError, "order must be a whole number, not '2'"),
        ({"order": 1.5}, TypeError, "order must be a whole number, not 1.5"),
        ({"order": None}, TypeError, "order must be a whole number, not None"),
        ({"rtol": -1.0}, ValueError, "rtol must be a number, 0 or more, not -1.0"),
        ({"atol": "a"}, ValueError, "atol must be a number, 0 or more, not 'a'"),
    ],
)
def test_an_invalid_option_is_named(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^gradcheck: {message}$"):
        gradcheck(lambda x: x, [1.0], **options)


@pytest.mark.parametrize("order", [0, -1])
def test_an_order_below_one_is_rejected(order: int) -> None:
    with pytest.raises(ValueError, match=f"^gradcheck: order must be 1 or more, not {order}$"):
        gradcheck(lambda x: x, [1.0], order=order)
