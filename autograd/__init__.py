"""A scalar autograd engine: numbers that remember how they were made, and differentiate.

>>> from autograd import Value
>>> x = Value(3.0)
>>> y = x * x + 2 * x
>>> y.backward()
>>> x.grad
8.0
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autograd.backward import grad, hessian, jacobian, topological_order
from autograd.draw import draw
from autograd.gradcheck import gradcheck
from autograd.modes import detect_anomaly, no_grad
from autograd.ops import Primitive, greater, less, maximum, minimum, where
from autograd.steps import explain, steps
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.jit import jit as jit

__version__ = "0.1.0"

__all__ = [
    "Primitive",
    "Value",
    "detect_anomaly",
    "draw",
    "explain",
    "grad",
    "gradcheck",
    "greater",
    "hessian",
    "jacobian",
    "jit",
    "less",
    "maximum",
    "minimum",
    "no_grad",
    "steps",
    "topological_order",
    "where",
]


def __getattr__(name: str) -> Any:
    """`autograd.jit`, the package that is also the decorator: imported, with NumPy, when used."""
    if name == "jit":
        return import_module("autograd.jit")
    raise AttributeError(f"module 'autograd' has no attribute {name!r}")
