"""Which functions make a network nonlinear? Elementwise activations, and softmax of a vector."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from functools import partial, reduce
from typing import Any, cast, overload

from autograd import Value, context, maximum, where
from autograd.hooks import number_of, require
from autograd.ops import greater
from autograd.text import quoted
from autograd.value import as_operand
from nn.matrix import Array, Matrix, Rows, Vector, as_input, as_values, total
from nn.scalars import labelled_constant

Activation = Callable[[Value], Value]


class Elementwise:
    """A function of one Value, applied to each entry of a vector or a batch.

    Call: a Value or number -> Value; a vector -> list; a Matrix, or rows of numbers -> Matrix.
    Further arguments, positional or keyword, are passed on: leaky_relu(x, 0.2).
    """

    def __init__(self, name: str, function: Callable[..., Value], doc: str) -> None:
        self.function = function
        self.__name__ = name
        self.__doc__ = doc

    @overload
    def __call__(
        self, x: Value | float, *ordered: Value | float, **settings: Value | float
    ) -> Value: ...
    @overload
    def __call__(
        self, x: Matrix | Rows, *ordered: Value | float, **settings: Value | float
    ) -> Matrix: ...
    @overload
    def __call__(
        self, x: Vector, *ordered: Value | float, **settings: Value | float
    ) -> list[Value]: ...
    @overload
    def __call__(self, x: Array, *ordered: Value | float, **settings: Value | float) -> Any: ...
    def __call__(self, x: Any, *ordered: Value | float, **settings: Value | float) -> Any:
        function: Activation = self.function
        if ordered or settings:
            self._check(ordered, settings)

            def function(entry: Value) -> Value:
                return self.function(entry, *ordered, **settings)

        if isinstance(x, Value):
            return function(x)
        if isinstance(x, Iterable) and getattr(x, "shape", None) != ():
            x = as_input(x, self.__name__)
            if isinstance(x, Matrix):
                return x.map(function)
            return [function(entry) for entry in as_values(x)]
        return function(Value(x))

    def _check(self, ordered: tuple[Any, ...], settings: dict[str, Any]) -> None:
        """Raise TypeError for settings that the function does not have, or are not numbers."""
        code = cast(Any, self.function).__code__
        names = code.co_varnames[1 : code.co_argcount]
        if len(ordered) > len(names) or not settings.keys() <= {*names[len(ordered) :]}:
            extra = [*map(quoted, ordered), *(f"{n}={quoted(x)}" for n, x in settings.items())]
            takes, told = " and ".join(("x", *names)), ", ".join(extra)
            raise TypeError(f"{self.__name__} takes {takes}, but got {told} after x")
        for name, given in (*zip(names, ordered, strict=False), *settings.items()):
            if as_operand(given) is None:
                what = f"must be a number or a Value, not {quoted(given)}"
                raise TypeError(f"{self.__name__}: {name} {what}")

    def __repr__(self) -> str:
        return f"<activation {self.__name__}>"


def _gelu(x: Value) -> Value:
    return 0.5 * x * (1.0 + (x * math.sqrt(0.5)).erf())


def _silu(x: Value) -> Value:
    return x * x.sigmoid()


def _leaky_relu(x: Value, negative_slope: Value | float = 0.01) -> Value:
    return where(greater(x, 0.0), x, negative_slope * x)


def _elu(x: Value, alpha: Value | float = 1.0) -> Value:
    positive = greater(x, 0.0)
    # The exponential is not used where x > 0: evaluate it at 0 there, so that it cannot overflow.
    return where(positive, x, alpha * where(positive, 0.0, x).expm1())


relu = Elementwise("relu", Value.relu, "max(0, x); the derivative at 0 is 0.")
leaky_relu = Elementwise(
    "leaky_relu",
    _leaky_relu,
    "x if x > 0, else negative_slope * x, by default 0.01 x; the derivative at 0 is negative_slope"
    " (Maas et al. 2013).",
)
elu = Elementwise(
    "elu",
    _elu,
    "x if x > 0, else alpha (exp(x) - 1), with alpha 1 by default; the derivative at 0 is alpha"
    " (Clevert et al. 2015).",
)
sigmoid = Elementwise("sigmoid", Value.sigmoid, "1 / (1 + exp(-x)), between 0 and 1.")
tanh = Elementwise("tanh", Value.tanh, "The hyperbolic tangent, between -1 and 1.")
softplus = Elementwise("softplus", Value.softplus, "log(1 + exp(x)), a smooth relu.")
gelu = Elementwise(
    "gelu",
    _gelu,
    "x Phi(x), Phi being the standard normal CDF (Hendrycks and Gimpel 2016, exact form).",
)
silu = Elementwise("silu", _silu, "x * sigmoid(x) (Elfwing et al. 2017).")
linear = Elementwise("linear", Value.__pos__, "x itself.")

ACTIVATIONS: dict[str, Activation] = {
    f.__name__: f.function
    for f in (relu, leaky_relu, elu, sigmoid, tanh, softplus, gelu, silu, linear)
}


def activation_named(name: str | Activation) -> Activation:
    """Return the activation with this name, or a given function unchanged.

    Raises ValueError for an unknown name, listing the known ones.
    """
    if isinstance(name, Elementwise):
        return name.function
    if callable(name):
        return name
    if not isinstance(name, str) or name not in ACTIVATIONS:
        whole = isinstance(name, str) and name in ("softmax", "log_softmax")
        instead = f"; call nn.{name} on what the layer returns" if whole else ""
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"there is no activation {quoted(name)}, only {known}{instead}")
    return ACTIVATIONS[name]


def name_of(activation: Activation) -> str:
    """Return the name of an activation function, with the settings of a partial one."""
    if isinstance(activation, partial):
        pairs = [f"{key}={quoted(setting)}" for key, setting in activation.keywords.items()]
        settings = ", ".join([*map(quoted, activation.args), *pairs])
        return f"{name_of(activation.func)}({settings})"
    for name, function in ACTIVATIONS.items():
        if activation is function:
            return name
    return context.name_of(activation)


def activated(activation: Activation, x: Value) -> Value:
    """Return activation(x). Raises TypeError if it is a number, which would have no gradient."""
    y = activation(x)
    if not isinstance(y, Value):
        raise TypeError(
            f"an activation returns a Value, but {name_of(activation)} returned {quoted(y)}: write"
            " it with functions of Values, such as nn.tanh instead of math.tanh"
        )
    return y


def shifted(logits: Vector, name: str) -> tuple[list[Value], Value]:
    """Return the logits minus their maximum, so that exp cannot overflow, and the maximum.

    The maximum is a plain number labelled "max": no result depends on it, so it needs no gradient.
    Raises the errors of `softmax`, with `name` in the message.
    """
    values = as_values(logits)
    if not values:
        raise ValueError(f"{name} needs at least one logit")
    peak = labelled_constant(reduce(maximum, values), "max")
    largest = number_of(peak)  # may be nan, which makes the result nan
    require(1.0 - greater(abs(largest), sys.float_info.max), lambda: _undefined(name, largest))
    return [x - peak for x in values], peak


def _undefined(name: str, largest: float) -> Exception:
    """Return the error for logits whose maximum is infinite."""
    if largest < 0.0:
        return ValueError(
            f"{name}: every logit of the row is -inf (all of it is masked), so the result is"
            " undefined; unmask one, or leave the row out"
        )
    return FloatingPointError(f"{name}: a logit is inf, so the result is undefined")


@overload
def softmax(logits: Matrix | Rows) -> Matrix: ...
@overload
def softmax(logits: Vector) -> list[Value]: ...
@overload
def softmax(logits: Array) -> Any: ...
def softmax(logits: Any) -> list[Value] | Matrix:
    """exp(x_i) / sum_j exp(x_j), positive numbers that sum to 1; for a batch, of each row.

    A logit of -inf gives exactly 0; a nan makes its whole row nan. Raises ValueError for no logits
    or a row of only -inf, FloatingPointError for a logit of +inf.

    >>> [round(p.data, 4) for p in softmax([1.0, 2.0, 1001.0])]
    [0.0, 0.0, 1.0]
    """
    logits = as_input(logits, "softmax")
    if isinstance(logits, Matrix):
        return Matrix(softmax(row) for row in logits)
    values, _ = shifted(logits, "softmax")
    exponentials = [x.exp() for x in values]
    normalizer = total(exponentials)
    return [e / normalizer for e in exponentials]


@overload
def log_softmax(logits: Matrix | Rows) -> Matrix: ...
@overload
def log_softmax(logits: Vector) -> list[Value]: ...
@overload
def log_softmax(logits: Array) -> Any: ...
def log_softmax(logits: Any) -> list[Value] | Matrix:
    """log(softmax(x)_i) = x_i - log(sum_j exp(x_j)), finite where softmax underflows to 0.

    Raises the same errors as `softmax`.
    """
    logits = as_input(logits, "log_softmax")
    if isinstance(logits, Matrix):
        return Matrix(log_softmax(row) for row in logits)
    values, _ = shifted(logits, "log_softmax")
    log_sum = log_sum_exp(values)
    return [x - log_sum for x in values]


@overload
def logsumexp(x: Matrix | Rows) -> Matrix: ...
@overload
def logsumexp(x: Vector) -> Value: ...
@overload
def logsumexp(x: Array) -> Any: ...
def logsumexp(x: Any) -> Value | Matrix:
    """log(sum_j exp(x_j)), a smooth maximum, without overflow; for a batch, of each row (n x 1).

    Its gradient is softmax(x). Raises the same errors as `softmax`.

    >>> y = logsumexp([1000.0, 1000.0])
    >>> round(y.data, 6)  # 1000 + log(2)
    1000.693147
    """
    x = as_input(x, "logsumexp")
    if isinstance(x, Matrix):
        return Matrix([logsumexp(row)] for row in x)
    values, peak = shifted(x, "logsumexp")
    return peak + log_sum_exp(values)


def log_sum_exp(values: list[Value]) -> Value:
    """Return log(sum_j exp(x_j)) of shifted logits, the normalizer of log-softmax."""
    return total(x.exp() for x in values).log()
