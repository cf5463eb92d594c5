"""Is a derivative right? Backpropagation compared with finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from autograd.backward import grad
from autograd.value import Value


def gradcheck(
    f: Callable[..., Value],
    inputs: Sequence[Value | float],
    *,
    order: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> bool:
    """True if the gradient of `f(*inputs)` equals its finite differences, else an error.

    Central differences with steps h and h/2 are combined by Richardson's extrapolation (the h^2
    error cancels), h being 2^-10 times the size of the input. The function must be smooth within h
    of the inputs.

    Args:
        f: a function of len(inputs) Values that returns a Value.
        inputs: where to check: Values or numbers; they are not changed.
        order: 1 checks the gradient; 2 also the gradient of each gradient, and so on.
        rtol, atol: a gap up to atol + rtol * |finite difference| passes.

    Raises:
        AssertionError: naming the input, both numbers and the gap.
        TypeError: `f` does not return a Value.
        ValueError: `order` is below 1, or an input is nan or infinite.

    >>> gradcheck(lambda x, y: x * y + x.sin(), [0.5, 2.0], order=2)
    True
    """
    if order < 1:
        raise ValueError(f"gradcheck: order must be 1 or more, not {order}")
    labels = [x.label if isinstance(x, Value) else "" for x in inputs]
    point = [x.data if isinstance(x, Value) else Value(x).data for x in inputs]
    for i, x in enumerate(point):
        if not math.isfinite(x):
            raise ValueError(f"gradcheck: input {i} must be finite, not {x}")

    def evaluate(numbers: Sequence[float]) -> tuple[Value, list[Value]]:
        values = [Value(x, label) for x, label in zip(numbers, labels, strict=True)]
        output = f(*values)
        if not isinstance(output, Value):
            raise TypeError(f"gradcheck: the function must return a Value, not {output!r}")
        return output, values

    output, values = evaluate(point)
    gradients = grad(output, values)
    for i, gradient in enumerate(gradients):
        expected = _difference(lambda numbers: evaluate(numbers)[0].data, point, i)
        gap = abs(gradient.data - expected)
        if not gap <= atol + rtol * abs(expected):
            name = f"input {i}" + (f" ({labels[i]})" if labels[i] else "")
            raise AssertionError(
                f"gradcheck: the gradient by {name} at {point[i]!r} is {gradient.data!r} by"
                f" backpropagation, {expected!r} by finite differences: a gap of {gap:.3g}"
            )
    if order > 1:
        for i in range(len(point)):

            def slope(*values: Value, i: int = i) -> Value:
                return grad(f(*values), values, create_graph=True)[i]

            try:
                gradcheck(slope, inputs, order=order - 1, rtol=rtol, atol=atol)
            except AssertionError as error:
                raise AssertionError(f"in the gradient by input {i}: {error}") from None
    return True


def _difference(f: Callable[[Sequence[float]], float], point: Sequence[float], i: int) -> float:
    """d f / d point[i] by central differences, extrapolated to step 0."""

    def central(step: float) -> float:
        above, below = list(point), list(point)
        above[i] += step
        below[i] -= step
        return (f(above) - f(below)) / (above[i] - below[i])

    step = max(1.0, abs(point[i])) * 2.0**-10  # about eps^(1/5): truncation meets rounding
    return (4.0 * central(step / 2.0) - central(step)) / 3.0
