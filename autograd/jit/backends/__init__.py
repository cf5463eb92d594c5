"""Who carries out a plan? A backend, which is a class like `Code`.

numpy.py needs NumPy only. native.py compiles kernels with LLVM (kernels.py), from the code of each
primitive (emit.py). Both give the same bits: no backend may re-associate a sum, or use another
`exp` than Python's `math`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

from autograd.extras import to_install
from autograd.jit.backends.numpy import NumpyCode
from autograd.jit.leaves import Floats
from autograd.jit.schedule import Plan


class Code(Protocol):
    """What a backend makes of a plan.

    Attributes:
        memory: all numbers of the plan, at their addresses. Arguments and leaves are written into
            it before a run, and results are read from it afterwards.
        nbytes: the size of what drives a run, in bytes, without the memory.
    """

    memory: Floats
    nbytes: int

    def run(self) -> None:
        """Compute every group of the plan once, in order.

        Afterwards memory[0] is nan if an operation raised, or if one that may raise (it is not
        `total`) gave a result that is not finite; else it is 0.0.
        """


def backend_named(name: str | None) -> str:
    """The name, checked; for None that of the fastest backend that is installed."""
    if name not in (None, "native", "numpy"):
        raise ValueError(f"there are the backends 'native' and 'numpy', not {name!r}")
    if name is None:
        return "native" if find_spec("llvmlite") else "numpy"
    if name == "native" and not find_spec("llvmlite"):
        raise ImportError(f"the native backend needs llvmlite: {to_install('jit')}")
    return name


def code_for(plan: Plan, backend: str) -> Code:
    """A plan, ready to be run by this backend."""
    if backend == "native":
        from autograd.jit.backends.native import NativeCode  # llvmlite is an optional extra

        return NativeCode(plan)
    return NumpyCode(plan)
