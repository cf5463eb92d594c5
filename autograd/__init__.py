"""A scalar autograd engine: numbers that remember how they were made, and differentiate.

>>> from autograd import Value
>>> x = Value(3.0)
>>> y = x * x + 2 * x
>>> y.backward()
>>> x.grad
8.0
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from os.path import dirname, exists, join
from typing import TYPE_CHECKING, Any

from autograd import eager as eager  # gives operators their interpreter
from autograd.backward import grad, hessian, jacobian, topological_order
from autograd.draw import draw
from autograd.gradcheck import gradcheck
from autograd.ops import greater, less, maximum, minimum, where
from autograd.primitive import Primitive
from autograd.steps import explain, steps
from autograd.switches import detect_anomaly, no_grad
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
if not TYPE_CHECKING and find_spec("numpy") is None:
    __all__.remove("jit")  # `from autograd import *` gives what works


class _OtherLibrary:
    """Explains why `import autograd.numpy`, of HIPS's autograd, fails here.

    Python asks the finders in sys.meta_path in order, so this one sees only what is not there. A
    file numpy.py that raises would break tools that import every module, such as doctest runs, and
    hide NumPy from whatever runs with this folder in its path.
    """

    NAMES = (
        *("numpy", "scipy", "extend", "builtins", "differential_operators", "test_util"),
        *("core", "misc", "tracer", "util", "wrap_util"),
        *("elementwise_grad", "value_and_grad", "make_vjp", "make_jvp", "multigrad_dict"),
    )

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> None:
        package, _, wanted = name.partition(".")
        if package == "autograd" and wanted in cls.NAMES:
            raise ModuleNotFoundError(
                f"{name} belongs to another library, the autograd of HIPS, which differentiates"
                " functions of NumPy arrays. This autograd comes with scalar-autograd and"
                " differentiates Values. The two share a name: install the other one in an"
                " environment of its own"  # with name=, `from autograd import numpy` ignores it
            )


if not any(getattr(finder, "__module__", "") == __name__ for finder in sys.meta_path):
    sys.meta_path.append(_OtherLibrary)  # once, though the module is reloaded


def _refuse_other_library() -> None:
    """Raise ImportError where HIPS's autograd is installed, too.

    Its files are then among those of this package, or one of the two is hidden.
    """
    for folder in (dirname(dirname(__file__)), *sys.path):
        if exists(join(folder, "autograd", "tracer.py")):
            raise ImportError(
                f"the autograd of HIPS is installed, too, in {folder}, and both libraries have this"
                " name: install scalar-autograd in an environment of its own, a new one"
            )


_refuse_other_library()


def __getattr__(name: str) -> Any:
    """`autograd.jit`, the package that is also the decorator: imported, with NumPy, when used."""
    if name == "jit":
        return import_module("autograd.jit")
    raise AttributeError(f"module 'autograd' has no attribute {name!r}")
