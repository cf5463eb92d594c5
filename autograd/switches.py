"""How does a block or function run under another interpreter? no_grad and detect_anomaly."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from contextvars import Token
from typing import Any, Never, ParamSpec, TypeVar, cast

from autograd.context import INSIDE, OUTSIDE, Context, Interpreter, Listener, current
from autograd.messages import described, happened_in
from autograd.primitive import CONSTANT, Primitive, operands_of
from autograd.sweep import data_of, sweep, write_gradients
from autograd.value import Value
from autograd.walk import newest_first

P = ParamSpec("P")
R = TypeVar("R")


class _Switch:
    """A change of context: a context manager, and a decorator of functions and coroutines."""

    def __init__(self, *arguments: Never) -> None:
        if arguments:  # `@no_grad` without parentheses, as in PyTorch
            name = type(self).__name__
            raise TypeError(
                f"{name}() takes no arguments: write @{name}() above a function, or"
                f" `with {name}():` around a block"
            )
        self._tokens: list[Token[Context]] = []

    def _changed(self, context: Context) -> Context:
        raise NotImplementedError

    def __enter__(self) -> None:
        self._tokens.append(current.set(self._changed(current.get())))

    def __exit__(self, *exception: object) -> None:
        current.reset(self._tokens.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        import inspect  # rarely needed, and a third of the time of `import autograd`

        # Each call enters a switch of its own, so threads and tasks never share tokens.
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{type(self).__name__}() cannot decorate the generator {function.__name__}: other"
                f" code runs at each yield; write `with {type(self).__name__}():` inside it"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with type(self)():
                    return await function(*args, **kwargs)

            return cast(Callable[P, R], coroutine)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)():
                return function(*args, **kwargs)

        return wrapper


class no_grad(_Switch):
    """Make results leaves inside the block: no parents, no operation, nothing to differentiate.

    >>> from autograd import Value, no_grad
    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.parents
    ()

    Also a decorator of functions and coroutines, `@no_grad()`. Other threads are not affected, nor
    are async tasks that were created outside the block. With `-X thread_inherit_context=1`, the
    default of free-threaded Python, a thread that was started in the block keeps its effect to the
    end, as a task does; a pool of threads may start one at any `submit`.
    """

    def _changed(self, context: Context) -> Context:
        return context.under(context.interpreter.without_history(), INSIDE)


class recording(_Switch):
    """Undo an outer `no_grad()` inside the block: results keep their parents."""

    def _changed(self, context: Context) -> Context:
        return context.under(context.interpreter.with_history())


class detect_anomaly(_Switch):
    """Raise `FloatingPointError` at the first nan or inf in the block, forward or backward.

    The message names the operation, its operands with their labels, and the module in whose call it
    happened.

    >>> from autograd import Value, detect_anomaly
    >>> with detect_anomaly():
    ...     Value(1e308, label="big") * 10
    Traceback (most recent call last):
        ...
    FloatingPointError: mul(big = 1e+308, 10.0) gave inf
    """

    def _changed(self, context: Context) -> Context:
        inner = context.interpreter
        return context if isinstance(inner, Checked) else context.under(Checked(inner))


class constructing(_Switch):
    """The context of a module's constructor: leaves made inside are trainable, wherever it runs.

    Within the constructor, `no_grad()` and calls of modules have their usual effect.
    """

    def _changed(self, context: Context) -> Context:
        return context.under(context.interpreter, OUTSIDE)


class Checked(Interpreter):
    """Another interpreter, plus a check of each result and each contribution to a gradient."""

    def __init__(self, inner: Interpreter) -> None:
        inner.hooks.refuse("detect_anomaly() cannot check numbers", "put it around the call")
        self.inner = inner
        self.hooks = inner.hooks

    def with_history(self) -> Interpreter:
        """Return the same checks, where results keep their operands."""
        return Checked(self.inner.with_history())

    def without_history(self) -> Interpreter:
        """Return the same checks, where results are leaves."""
        return Checked(self.inner.without_history())

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """Return the result, which must be finite."""
        node = self.inner.apply(context, primitive, left, right)
        if not math.isfinite(node.data):
            call = described(primitive, operands_of(left, right))
            raise FloatingPointError(f"{call} gave {node.data}{happened_in(context)}")
        return node

    def backward(self, output: Value) -> None:
        """Write the gradients into `.grad`, checking each contribution."""
        newest_first([output])  # makes the parts of all sums, so that each product is checked
        write_gradients(output, _checked_sweep)

    def grad(
        self,
        output: Value,
        inputs: Sequence[Value],
        create_graph: bool,
        each: Listener | None = None,
    ) -> list[Value]:
        """Return the gradients, checking each contribution."""

        def check(*contribution: Any) -> None:
            _require_finite(*contribution)
            if each is not None:
                each(*contribution)

        return self.inner.grad(output, inputs, create_graph, check)


def _checked_sweep(output: Value, inner: list[Value]) -> None:
    """Apply the chain rule on floats, like `sweep_floats`, checking each contribution."""
    nodes = {output, *inner}.union(*[node.parents for node in inner])
    wanted = {node for node in nodes if node._primitive is not CONSTANT}
    for node, gradient in sweep(inner, output, wanted, each=_require_finite).items():
        node.grad += gradient


def _require_finite(node: Any, k: int, local: Any, contribution: Any, before: Any) -> None:
    """Raise FloatingPointError if a contribution is not finite; a listener for sweeps."""
    number = data_of(contribution)
    if not math.isfinite(number):
        raise FloatingPointError(
            f"backward of {described(node.primitive, node.parents)} gave {number} for operand"
            f" {k}{happened_in(node.context)}"
        )
