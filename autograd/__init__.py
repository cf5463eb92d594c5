"""A scalar autograd engine: numbers that remember how they were computed and give gradients.

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

from autograd import eager as eager  # installs the default interpreter of operators
from autograd.backward import grad, hessian, jacobian, topological_order
from autograd.draw import draw
from autograd.gradcheck import gradcheck
from autograd.ops import greater, less, maximum, minimum, where
from autograd.primitive import Primitive
from autograd.steps import explain, steps
from autograd.switches import detect_anomaly, no_grad
from autograd.value import Value, is_function

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
    __all__.remove("jit")  # `from autograd import *` must work without NumPy


class _OtherLibrary:
    """Explain why `import autograd.numpy`, which HIPS's autograd supports, fails here.

    Python asks the finders in sys.meta_path in order, so this one is asked only for modules that no
    other finder has found. A file numpy.py that raises would break tools that import every module,
    such as doctest runs, and would hide NumPy from scripts that have this folder in their path.
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
                " environment of its own"  # with name=, `from autograd import numpy` hides it
            )


if not any(getattr(finder, "__module__", "") == __name__ for finder in sys.meta_path):
    sys.meta_path.append(_OtherLibrary)  # only once, even if the module is reloaded


def _refuse_other_library() -> None:
    """Raise ImportError if HIPS's autograd is also installed.

    Its files are then mixed with those of this package, or one package hides the other.
    """
    for folder in (dirname(dirname(__file__)), *sys.path):
        if exists(join(folder, "autograd", "tracer.py")):
            raise ImportError(
                f"the autograd of HIPS is also installed, in {folder}, and both libraries have this"
                " name: install scalar-autograd in a new environment of its own"
            )


_refuse_other_library()


if not TYPE_CHECKING:  # type checkers would take every name for one that exists

    def __getattr__(name: str) -> Any:
        """Import `autograd.jit`, a package that is also the decorator, on first use, with NumPy."""
        if name == "jit":
            return import_module("autograd.jit")
        instead = f": write x.{name}()" if is_function(name) else ""
        raise AttributeError(f"module 'autograd' has no attribute {name!r}{instead}")
