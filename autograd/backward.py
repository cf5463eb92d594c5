"""How are derivatives returned as Values? By grad, jacobian and hessian."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autograd.context import current
from autograd.messages import is_series, require_flag
from autograd.text import quoted
from autograd.value import Value
from autograd.walk import newest_first


def topological_order(*outputs: Value) -> list[Value]:
    """Return every node the outputs depend on, themselves included, each after all its parents.

    The leaves come first. Leaves and inner nodes are each in the order of their creation. The depth
    of the graph is limited only by memory.
    """
    leaves, inner = newest_first(_values(outputs, "outputs"))
    return leaves[::-1] + inner[::-1]


def grad(
    output: Value, inputs: Sequence[Value] | None = None, create_graph: bool = False
) -> list[Value]:
    """Return d output / d input for each input, as Values. No `.grad` is touched.

    Args:
        output: the Value to differentiate.
        inputs: leaves or inner nodes. The gradient is 0.0 if `output` does not depend on one.
        create_graph: record the gradients as graphs, so that they can be differentiated again;
            without it they are new leaves, whose own derivatives are 0. With it, a gradient may be
            an existing inner node: d(x * exp(y))/dx is the node exp(y). It is never an existing
            leaf: d(x * y)/dx is a new node with the number of y.

    If a local derivative does not exist, raises the same error as `Value.backward`. Raises
    TypeError for an output or inputs that are not Values.

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
    """Return the matrix of d outputs[i] / d inputs[j], one row per output. No `.grad` is touched.

    `create_graph` and errors as for `grad`.

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
    """Return the matrix of d^2 output / d inputs[i] d inputs[j]. No `.grad` is touched.

    `create_graph` and errors as for `grad`.

    >>> x, y = Value(2.0), Value(3.0)
    >>> [[entry.data for entry in row] for row in hessian(x * x * y, [x, y])]
    [[6.0, 4.0], [4.0, 0.0]]
    """
    require_flag("create_graph", create_graph)
    inputs = _given(output, inputs, "hessian() takes a Value", "hessian(f(x), [x])")
    _require_value("hessian", output)
    return jacobian(grad(output, inputs, create_graph=True), inputs, create_graph)


def _given(output: Any, inputs: Sequence[Value] | None, takes: str, example: str) -> list[Value]:
    """Return the inputs as a list. Raise TypeError if they are missing, as in `jax.grad(f)(x)`."""
    is_function = callable(output) and not isinstance(output, Value)
    if inputs is None or is_function:
        instead = ", not a function" * is_function
        raise TypeError(f"{takes} and inputs to differentiate with respect to{instead}: {example}")
    return _values(inputs, "inputs")


def _require_value(function: str, output: Any) -> None:
    if not isinstance(output, Value):
        raise TypeError(f"{function}() takes a Value to differentiate, not {quoted(output)}")


def _values(values: Iterable[Value], what: str) -> list[Value]:
    """Return a list of Values. Raise TypeError naming the first entry that is not one."""
    if isinstance(values, Value):
        raise TypeError(f"{what} must be a sequence of Values; write [{what}]")
    if not is_series(values):
        such = "a sequence of Values, such as model.parameters()"
        raise TypeError(f"{what} must be {such}, not {quoted(values)}")
    listed = list(values)
    for i, value in enumerate(listed):
        if not isinstance(value, Value):
            message = f"{what}[{i}] must be a Value, not {quoted(value)}"
            if is_series(value):
                message += ": list its Values, as in [v for row in W for v in row] of a Matrix W"
            raise TypeError(message)
    return listed
