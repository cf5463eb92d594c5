"""What bends the line? Activation functions, of one Value or of each entry of many, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, overload

from autograd import Value, maximum, no_grad
from nn.matrix import Matrix, Vector, as_values, total

Activation = Callable[[Value], Value]


class Elementwise:
    """A function of one Value, also of each entry of a sequence or a Matrix."""

    def __init__(self, name: str, function: Activation, doc: str) -> None:
        self.function = function
        self.__name__ = name
        self.__doc__ = doc

    @overload
    def __call__(self, x: Value | float) -> Value: ...
    @overload
    def __call__(self, x: Matrix) -> Matrix: ...
    @overload
    def __call__(self, x: Vector) -> list[Value]: ...
    def __call__(self, x: Any) -> Any:
        if isinstance(x, Value):
            return self.function(x)
        if isinstance(x, Matrix):
            return x.map(self.function)
        if isinstance(x, Iterable) and not isinstance(x, str):
            return [self(entry) for entry in x]
        return self.function(Value(x))

    def __repr__(self) -> str:
        return f"<activation {self.__name__}>"


def _gelu(x: Value) -> Value:
    return 0.5 * x * (1.0 + (x * math.sqrt(0.5)).erf())


def _silu(x: Value) -> Value:
    return x * x.sigmoid()


relu = Elementwise("relu", Value.relu, "max(0, x); the derivative at 0 is 0.")
sigmoid = Elementwise("sigmoid", Value.sigmoid, "1 / (1 + exp(-x)), between 0 and 1.")
tanh = Elementwise("tanh", Value.tanh, "The hyperbolic tangent, between -1 and 1.")
softplus = Elementwise("softplus", Value.softplus, "log(1 + exp(x)), a smooth relu.")
gelu = Elementwise(
    "gelu",
    _gelu,
    "x times the normal distribution function of x (Hendrycks and Gimpel 2016, exact form).",
)
silu = Elementwise("silu", _silu, "x * sigmoid(x) (Elfwing et al. 2017).")
linear = Elementwise("linear", Value.__pos__, "x itself.")

ACTIVATIONS = {f.__name__: f.function for f in (relu, sigmoid, tanh, softplus, gelu, silu, linear)}


def activation_named(name: str | Activation) -> Activation:
    """The activation of this name, or the function itself if it is one.

    Raises ValueError, listing the names there are.
    """
    if callable(name):
        return name
    if name not in ACTIVATIONS:
        raise ValueError(f"no activation is called {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _shifted(logits: Vector) -> list[Value]:
    """The logits less their maximum, which leaves softmax as it is and exp without overflow.

    The maximum counts as a plain number: softmax does not depend on it, so it needs no gradient.
    """
    values = as_values(logits)
    if not values:
        raise ValueError("softmax of no logits")
    with no_grad():
        peak = reduce(maximum, values).detach()
    return [x - peak for x in values]


@overload
def softmax(logits: Matrix) -> Matrix: ...
@overload
def softmax(logits: Vector) -> list[Value]: ...
def softmax(logits: Vector | Matrix) -> list[Value] | Matrix:
    """exp(x_i) / sum_j exp(x_j): positive numbers that sum to 1. Of a Matrix: row by row.

    >>> [round(p.data, 4) for p in softmax([1.0, 2.0, 1001.0])]
    [0.0, 0.0, 1.0]
    """
    if isinstance(logits, Matrix):
        return Matrix(softmax(row) for row in logits)
    exponentials = [x.exp() for x in _shifted(logits)]
    normaliser = total(exponentials)
    return [e / normaliser for e in exponentials]


@overload
def log_softmax(logits: Matrix) -> Matrix: ...
@overload
def log_softmax(logits: Vector) -> list[Value]: ...
def log_softmax(logits: Vector | Matrix) -> list[Value] | Matrix:
    """log(softmax(x)_i) = x_i - log(sum_j exp(x_j)), finite where softmax underflows to 0."""
    if isinstance(logits, Matrix):
        return Matrix(log_softmax(row) for row in logits)
    shifted = _shifted(logits)
    log_normaliser = total(x.exp() for x in shifted).log()
    return [x - log_normaliser for x in shifted]
