"""What runs a plan? A backend: a class that implements `Code`.

numpy.py needs NumPy only. native.py compiles kernels with LLVM (kernels.py), from the code of each
primitive (emit.py). Both give the same bits: a backend must not re-associate a sum, or use another
`exp` than Python's `math`. So a program can start on one and continue on the other.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

from autograd.extras import to_install
from autograd.jit.backends.numpy import VECTORISED, NumpyCode
from autograd.jit.leaves import Floats
from autograd.jit.schedule import Plan


class Code(Protocol):
    """A plan made ready to run by a backend.

    Attributes:
        memory: all numbers of the plan, at their addresses. Arguments and leaves are written to it
            before a run. outputs: the part of it from which results are read afterwards.
        nbytes: the size in bytes of what drives a run, without the memory and the plan.
    """

    memory: Floats
    outputs: Floats
    nbytes: int

    def run(self) -> None:
        """Compute every group of the plan once, in order, the outputs last.

        Afterwards memory[0] is nan if an operation raised or might have, or an output is not
        finite; else it is 0.0. An operation that is not `total` might have raised if its result is
        not finite and was computed by other code than its `forward`.
        """


def backend_named(name: str | None) -> str | None:
    """Check a backend's name and return it; None (NumPy first) becomes "numpy" without llvmlite."""
    if name not in (None, "native", "numpy"):
        raise ValueError(f"there are the backends 'native' and 'numpy', not {name!r}")
    if name != "numpy" and not find_spec("llvmlite"):
        if name is None:
            return "numpy"
        raise ImportError(f"the native backend needs llvmlite: {to_install('jit')}")
    return name


def replays_until_compiled(plan: Plan) -> int:
    """Return the number of replays on NumPy after which to compile a plan.

    A replay on NumPy takes longer by about 6 us per group and 4 ns per operand, or 100 ns where it
    runs in Python. Compiling takes 0.35 s plus the time of 10 such replays. A program is compiled
    once it has lost as much time as compiling takes. However many replays follow, that costs at
    most twice as much as the best choice. Measured: 320 replays of the moons step of the
    benchmarks, 160 of the digits step, 120 of the small GPT's, 1,600 of four examples through a
    2-8-1 network.
    """
    operands = sum(g.operands.size * (1 if g.primitive in VECTORISED else 25) for g in plan.groups)
    return 10 + round(0.35 / (6e-6 * (1 + len(plan.groups)) + 4e-9 * operands))


def code_for(plan: Plan, backend: str) -> Code:
    """Make a plan ready to run on this backend."""
    if backend == "native":
        from autograd.jit.backends.native import NativeCode  # llvmlite is an optional extra

        return NativeCode(plan)
    return NumpyCode(plan)
