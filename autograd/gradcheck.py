"""Is a derivative right? Compare backpropagation with finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Real
from typing import Concatenate, NamedTuple

from autograd.backward import grad
from autograd.messages import is_series, named, require_whole
from autograd.sweep import between, sweep
from autograd.switches import recording
from autograd.text import for_stream, quoted
from autograd.value import Value
from autograd.walk import newest_first

_ROUNDOFF = 2.0**-53  # the largest relative error of one operation on floats
_COLUMNS = 4  # how many times differences are extrapolated: more would magnify rounding
_ROWS = 60  # how many times a step is halved
_ENOUGH = 0.25  # an estimated error, in units of the tolerance, that is small enough
_VAGUE = 10.0  # an estimated error, in units of rtol, that may hide a wrong derivative


class _Tolerance(NamedTuple):
    rtol: float
    atol: float


class _Estimate(NamedTuple):
    """A derivative by finite differences.

    Attributes:
        slope: the derivative. error: how far it may be from the true one.
        rounding: the part of the error that grows as the step shrinks.
    """

    slope: float = math.nan
    error: float = math.inf
    rounding: float = 0.0

    def size(self, gradient: float) -> float:
        """Return the scale of the error: |slope|, or |gradient| if the function does not change.

        The gradient would be a wrong scale otherwise: steps that jump over waves of the function
        give slopes near 0, with errors that are small beside the right gradient.
        """
        flat = self.slope == 0.0 and self.error == self.rounding
        return abs(gradient) if flat else abs(self.slope)

    def doubt(self, gradient: float, tolerance: _Tolerance) -> float:
        """Return the error in units of the tolerance."""
        if self.error in (0.0, math.inf):
            return self.error
        allowed = tolerance.atol + tolerance.rtol * self.size(gradient)
        return self.error / allowed if allowed else math.inf

    def is_vague(self, gradient: float, tolerance: _Tolerance) -> bool:
        """Return whether the error is too large to tell right gradients from wrong ones."""
        return self.error > max(tolerance.atol, _VAGUE * tolerance.rtol * self.size(gradient))

    def agrees(self, gradient: float, tolerance: _Tolerance) -> bool:
        """Return whether the gap to a gradient is within the tolerance plus the error."""
        allowed = tolerance.atol + tolerance.rtol * abs(self.slope)
        return abs(gradient - self.slope) <= allowed + self.error

    def passes(self, gradient: float, tolerance: _Tolerance) -> bool:
        return self.agrees(gradient, tolerance) and not self.is_vague(gradient, tolerance)


# One type per number of inputs, so that type checkers can infer the parameters of a lambda.
_Function = (
    Callable[[Value], Value]
    | Callable[[Value, Value], Value]
    | Callable[[Value, Value, Value], Value]
    | Callable[Concatenate[Value, Value, Value, ...], Value]
)


def gradcheck(
    f: _Function,
    inputs: Iterable[Value | float],
    order: int = 1,
    step: float | None = None,
    *,
    rtol: float = 1e-6,
    atol: float = 0.0,
) -> bool:
    """Return True if the gradient of `f(*inputs)` agrees with finite differences; else raise.

    Central differences with shrinking steps are extrapolated to step 0 until the estimated error is
    small (Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", 1982). The first step is
    2^-12 times the size of the input. A step is too large if `f` raises or is not finite there, and
    too small if rounding hides the change of `f`. The function must be smooth within the step that
    is used.

    Args:
        f: a function of len(inputs) Values that returns a Value.
        inputs: where to check: Values or numbers; they are not changed.
        order: 1 checks the gradient; 2 also the gradient of each gradient, and so on.
        step: the largest step, in the units of the inputs; by default it scales with each input.
        rtol, atol: a gap up to atol + rtol * |finite difference| + the estimated error passes. The
            estimated error covers rounding, so atol can be 0.

    Raises:
        AssertionError: a gradient is wrong. The message names the input, both numbers and the gap.
        TypeError: `f` does not return a Value, `inputs` is a single one, or `order` is not an int.
        ValueError: finite differences cannot tell, because their estimated error exceeds both
            `atol` and 10 * `rtol` * |finite difference|, or because `f` has a kink at the point and
            the gradient is not the mean of the slopes on both sides. Also if `f` is random or
            computes with an input itself in place of its argument, as a module does; if `order` is
            below 1, `step` not above 0, `rtol` or `atol` below 0, or an input nan or infinite.

    >>> gradcheck(lambda x, y: x * y + x.sin(), [0.5, 2.0], order=2)
    True
    """
    order = require_whole("gradcheck: order", order)
    for name, bound in (("rtol", rtol), ("atol", atol)):
        if not (isinstance(bound, Real) and bound >= 0.0):
            raise ValueError(f"gradcheck: {name} must be a number, 0 or more, not {quoted(bound)}")
    if step is not None and not (isinstance(step, Real) and 0.0 < step < math.inf):
        raise ValueError(f"gradcheck: step must be a number above 0, not {quoted(step)}")
    if not is_series(inputs):
        raise TypeError(
            f"gradcheck takes a list of Values or numbers, such as [0.5], not {quoted(inputs)}"
        )
    inputs = list(inputs)
    if not callable(f) or not inputs:
        raise TypeError(
            "gradcheck takes a function and where to check it, such as gradcheck(lambda x: x * x,"
            f" [0.5]), not {quoted(f)} and {quoted(inputs)}"
        )
    point = [x.data if isinstance(x, Value) else Value(x).data for x in inputs]
    for i, x in enumerate(point):
        if not math.isfinite(x):
            raise ValueError(f"gradcheck: input {i} must be finite, not {x}")
    with recording():  # inside no_grad() too
        _check(f, point, inputs, order, step, _Tolerance(rtol, atol), "")
    return True


def _check(
    f: Callable[..., Value],
    point: Sequence[float],
    inputs: Sequence[Value | float],
    order: int,
    step: float | None,
    tolerance: _Tolerance,
    where: str,
) -> None:
    """Check as `gradcheck` does; `where` tells in an error which gradient is being checked."""
    labels = [named(x.label) if isinstance(x, Value) else "" for x in inputs]

    def evaluate(numbers: Sequence[float]) -> tuple[Value, list[Value]]:
        values = [Value(x, label) for x, label in zip(numbers, labels, strict=True)]
        output = f(*values)
        if not isinstance(output, Value):
            raise TypeError(f"gradcheck: the function must return a Value, not {quoted(output)}")
        return output, values

    output, values = evaluate(point)
    _require_arguments(output, values, inputs, labels, where)
    gradients = _gradients_between(output, values)
    noise = _rounding(output, values, gradients)
    for i, value in enumerate(values):

        def along(x: float, i: int = i) -> float:
            return evaluate([*point[:i], x, *point[i + 1 :]])[0].data

        gradient = gradients.get(value, 0.0)
        found, least = _difference(along, value.data, gradient, step, noise, tolerance)
        if found.passes(gradient, tolerance):
            continue
        # The gradient is rounded too, and may be 0 apart from rounding.
        slack = _rounding_of_slope(f, point, i)
        if found.is_vague(gradient, tolerance):
            if abs(gradient) <= slack and abs(least.slope) <= least.error:
                continue
        else:
            found = found._replace(error=found.error + slack, rounding=found.rounding + slack)
            if found.passes(gradient, tolerance):
                continue
        if (again := along(value.data)) != output.data and again == again:
            raise ValueError(
                f"{where}gradcheck: the function gives {output.data!r}, then {again!r} for the same"
                " inputs: draw its random numbers outside, or seed them inside"
            )
        what = f"the gradient with respect to {_input(i, labels)} at {value.data!r}"
        sides = _sides_of_a_kink(along, value.data, step, noise)
        complaint = _complaint(what, gradient, found, found.is_vague(gradient, tolerance), sides)
        raise type(complaint)(f"{where}gradcheck: {complaint}")
    if order > 1:
        for i in range(len(point)):

            def slope(*values: Value, i: int = i) -> Value:
                return grad(f(*values), [values[i]], create_graph=True)[0]

            inside = f"{where}in the gradient with respect to input {i}: "
            _check(slope, point, inputs, order - 1, step, tolerance, inside)


def _require_arguments(
    output: Value,
    values: Sequence[Value],
    inputs: Sequence[Value | float],
    labels: Sequence[str],
    where: str,
) -> None:
    """Raise ValueError if the function used an input itself, and not the argument in its place."""
    used = set().union(*newest_first([output]))
    for i, (x, value) in enumerate(zip(inputs, values, strict=True)):
        if isinstance(x, Value) and x in used and value not in used:
            raise ValueError(
                f"{where}gradcheck: the function computes with {_input(i, labels)} itself, not with"
                " its argument, which alone is changed: use the argument (to put one into a copy of"
                " a module, write copy.parameters()[i] = argument)"
            )


def _input(i: int, labels: Sequence[str]) -> str:
    """Return what errors call input i."""
    return for_stream(f"input {i} ({labels[i]})") if labels[i] else f"input {i}"


def _complaint(
    what: str, gradient: float, found: _Estimate, vague: bool, sides: tuple[float, float] | None
) -> Exception:
    """Return the error for a gradient that is wrong, or that finite differences cannot judge."""
    cannot = f"finite differences cannot tell whether {what} is right"
    if math.isnan(found.slope):
        return ValueError(
            f"{cannot}: the function has no finite numbers on both sides of the point"
        )
    if sides is not None:
        return ValueError(
            f"{cannot}: the function has a kink there, as one-sided differences disagree:"
            f" {sides[0]:.6g} on the left and {sides[1]:.6g} on the right; check at another point"
        )
    numbers = f"{gradient!r} by backpropagation, {found.slope!r} by finite differences"
    if vague:
        return ValueError(
            f"{cannot}: it is {numbers}, with an estimated error of {found.error:.3g}; give a"
            " step= or an atol=, or check at another point"
        )
    return AssertionError(f"{what} is {numbers}: a gap of {abs(gradient - found.slope):.3g}")


def _sides_of_a_kink(
    f: Callable[[float], float], x: float, step: float | None, noise: float
) -> tuple[float, float] | None:
    """Return the slopes to the left and right of x if they differ, or None where `f` is smooth.

    The one-sided differences of a smooth function approach each other as the step shrinks.
    """

    def sides(h: float) -> tuple[float, float]:
        left, right = x - h, x + h
        return (f(x) - f(left)) / (x - left), (f(right) - f(x)) / (right - x)

    h = (step or abs(x) or 1.0) * 2.0**-22
    try:
        (left, right), nearer = sides(h), sides(h / 16.0)
    except (ValueError, ArithmeticError):
        return None
    jump, nearer_jump = right - left, nearer[1] - nearer[0]
    rounding = 128.0 * noise / h
    is_kink = abs(jump) > rounding and abs(nearer_jump - jump) < 0.1 * abs(jump)
    return nearer if is_kink else None


def _rounding(output: Value, inputs: Sequence[Value], gradients: dict[Value, float]) -> float:
    """Return how far rounding may move the output: for each node, half a unit in its last place.

    Nodes that do not depend on the inputs are left out: their rounding is the same at each step.
    """
    known = set(inputs)
    moved = sum(abs(node.data * slope) for node, slope in gradients.items() if node not in known)
    return _ROUNDOFF * max(moved if math.isfinite(moved) else 0.0, abs(output.data))


def _rounding_of_slope(f: Callable[..., Value], point: Sequence[float], i: int) -> float:
    """Return how far rounding may move one gradient; 0.0 if it cannot be made a graph."""
    values = [Value(x) for x in point]
    try:
        slope = grad(f(*values), [values[i]], create_graph=True)[0]
        moved = _rounding(slope, values, _gradients_between(slope, values))
    except (TypeError, ValueError, ArithmeticError):
        return 0.0
    return moved if math.isfinite(moved) else 0.0


def _difference(
    f: Callable[[float], float],
    x: float,
    gradient: float,
    step: float | None,
    noise: float,
    tolerance: _Tolerance,
) -> tuple[_Estimate, _Estimate]:
    """Return the best estimate of f'(x) for this tolerance, and the one with the least error.

    Ever larger first steps are tried until the error is within a quarter of the tolerance: a small
    step meets no edge or kink nearby; a larger one helps where rounding hides the change of the
    function. If the best estimate disagrees with the gradient, waves of the function may be shorter
    than these steps, so any step that confirms the gradient is accepted. The least error serves a
    slope of 0, for which no tolerance is relative.
    """
    size = abs(x) or 1.0
    steps = [size * 2.0**-12, size * 2.0**-8, max(size, 1.0) * 2.0**-8] if step is None else [step]
    best = least = _Estimate()
    doubt = math.inf
    for largest in steps:
        for found in _estimates(f, x, largest, noise):
            least = min(least, found, key=lambda estimate: estimate.error)
            doubts = found.doubt(gradient, tolerance)
            if (doubts, found.error) < (doubt, best.error):
                best, doubt = found, doubts
            if doubt <= _ENOUGH or found.rounding > best.error:
                break
        if doubt <= _ENOUGH:
            break
    if not best.agrees(gradient, tolerance):
        for found in _estimates(f, x, steps[0], noise):
            if found.passes(gradient, tolerance):
                return found, least
    return best, least


def _estimates(
    f: Callable[[float], float], x: float, step: float, noise: float
) -> Iterator[_Estimate]:
    """Yield f'(x) by central differences with repeatedly halved steps, extrapolated to step 0.

    The error of a difference d(h) is a series in h^2, so d(h/2) + (d(h/2) - d(h)) / 3 has no term
    in h^2. Two of these give one without a term in h^4, with 15 in place of 3, and so on. The error
    of an extrapolation is estimated from its distance to the two numbers that it combines, plus the
    rounding of `f` divided by the step.
    """
    before: list[float] = []
    for _ in range(_ROWS):
        if x + step == x - step:
            return
        try:
            row = [(f(x + step) - f(x - step)) / ((x + step) - (x - step))]
        except (ValueError, ArithmeticError):  # outside the domain, or too large
            row = [math.nan]
        if not math.isfinite(row[0]):
            before, step = [], step / 4.0
            continue
        rounding = 2.0 * noise / step
        for k, coarser in enumerate(before[:_COLUMNS]):
            row.append(row[k] + (row[k] - coarser) / (4.0 ** (k + 1) - 1.0))
            change = max(abs(row[k + 1] - row[k]), abs(row[k + 1] - coarser))
            yield _Estimate(row[k + 1], 2.0 * change + rounding, rounding)
        before, step = row, step / 2.0


def _gradients_between(output: Value, inputs: Sequence[Value]) -> dict[Value, float]:
    """Return d output / d node of each input and node that depends on one; 0 if missing."""
    _, inner = newest_first([output])
    return sweep(inner, output, between(inner, inputs))
