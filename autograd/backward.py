"""Which gradients can be asked for? grad, jacobian and hessian, as Values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autograd.context import current
from autograd.messages import is_series, require_flag
from autograd.text import quoted
from autograd.value import Value
from autograd.walk import newest_first


def topological_order(*outputs: Value) -> list[Value]:
    """Every node the outputs depend on, the outputs included, each after all of its parents.

    The leaves come first. Leaves and inner nodes are each in the order in which they were made.
    Depth is limited by memory only.
    """
    leaves, inner = newest_first(_values(outputs, "outputs"))
    return leaves[::-1] + inner[::-1]


def grad(
    output: Value, inputs: Sequence[Value] | None = None, create_graph: bool = False
) -> list[Value]:
    """d output / d input for each input, as Values; no `.grad` is touched.

    Args:
        output: the Value to differentiate.
        inputs: leaves or inner nodes; 0.0 is the gradient of one that `output` does not depend on.
        create_graph: make the gradients graphs of their own, to be differentiated again. One may
            be an inner node that exists already: the gradient of x * exp(y) by x is exp(y). None is
            a leaf of the graph: by x, that of x * y is a new node with the number of y.

    Raises what a derivative raises where it does not exist, as `Value.backward` does.

    >>> x = Value(2.0)
    >>> (slope,) = grad(x ** 3, [x], create_graph=True)
    >>> (curvature,) = grad(slope, [x])
    >>> slope.data, curvature.data
    (12.0, 12.0)
    """
    require_flag("create_graph", create_graph)
    inputs = _given(output, inputs, "grad() takes a Value", "grad(f(x), [x])")
    _require_value("grad", output)
    return current.get().interpreter.grad(output, inputs, create_graph)


def jacobian(
    outputs: Sequence[Value], inputs: Sequence[Value] | None = None, create_graph: bool = False
) -> list[list[Value]]:
    """The matrix of d outputs[i] / d inputs[j], a row for each output; no `.grad` is touched.

    >>> x, y = Value(2.0), Value(3.0)
    >>> [[entry.data for entry in row] for row in jacobian([x * y, x + y], [x, y])]
    [[3.0, 2.0], [1.0, 1.0]]
    """
    require_flag("create_graph", create_graph)
    inputs = _given(outputs, inputs, "jacobian() takes Values", "jacobian([f(x)], [x])")
    return [grad(output, inputs, create_graph) for output in _values(outputs, "outputs")]


def hessian(
    output: Value, inputs: Sequence[Value] | None = None, create_graph: bool = False
) -> list[list[Value]]:
    """The matrix of d^2 output / d inputs[i] d inputs[j]; no `.grad` is touched.

    >>> x, y = Value(2.0), Value(3.0)
    >>> [[entry.data for entry in row] for row in hessian(x * x * y, [x, y])]
    [[6.0, 4.0], [4.0, 0.0]]
    """
    require_flag("create_graph", create_graph)
    inputs = _given(output, inputs, "hessian() takes a Value", "hessian(f(x), [x])")
    _require_value("hessian", output)
    return jacobian(grad(output, inputs, create_graph=True), inputs, create_graph)


def _given(output: Any, inputs: Sequence[Value] | None, takes: str, example: str) -> list[Value]:
    """The inputs, or the error for `grad(f)(x)`, as other libraries write it."""
    is_function = callable(output) and not isinstance(output, Value)
    if inputs is None or is_function:
        instead = ", not a function" * is_function
        raise TypeError(f"{takes} and the inputs to differentiate by{instead}: {example}")
    return _values(inputs, "inputs")


def _require_value(function: str, output: Any) -> None:
    if not isinstance(output, Value):
        raise TypeError(f"{function}() takes a Value to differentiate, not {quoted(output)}")


def _values(values: Iterable[Value], what: str) -> list[Value]:
    """A list of Values, or the error that says which one is not."""
    if isinstance(values, Value):
        raise TypeError(f"{what} must be a sequence of Values; write [{what}]")
    if not is_series(values):
        such = "a sequence of Values, such as model.parameters()"
        raise TypeError(f"{what} must be {such}, not {quoted(values)}")
    listed = list(values)
    for i, value in enumerate(listed):
        if not isinstance(value, Value):
            raise TypeError(f"{what}[{i}] must be a Value, not {quoted(value)}")
    return listed
