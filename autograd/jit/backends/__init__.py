"""Who carries out a plan? A backend, which is a class like `Code`.

numpy.py needs NumPy only. native.py compiles kernels with LLVM (kernels.py), from the code of each
primitive (emit.py). Both give the same bits: no backend may re-associate a sum, or use another
`exp` than Python's `math`. So a program may begin with one and go on with the other.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

from autograd.extras import to_install
from autograd.jit.backends.numpy import VECTORISED, NumpyCode
from autograd.jit.leaves import Floats
from autograd.jit.schedule import Plan


class Code(Protocol):
    """What a backend makes of a plan.

    Attributes:
        memory: all numbers of the plan, at their addresses. Arguments and leaves are written into
            it before a run, and results are read from it afterwards.
        nbytes: the size of what drives a run, in bytes, without the memory and the plan.
    """

    memory: Floats
    nbytes: int

    def run(self) -> None:
        """Compute every group of the plan once, in order, the outputs last.

        Afterwards memory[0] is nan if an operation raised, or if one that may raise (it is not
        `total`) gave a result that is not finite, or an output is not finite; else it is 0.0.
        """


def backend_named(name: str | None) -> str | None:
    """The name, checked. None, for NumPy first and compiled later, needs llvmlite to stay None."""
    if name not in (None, "native", "numpy"):
        raise ValueError(f"there are the backends 'native' and 'numpy', not {name!r}")
    if name != "numpy" and not find_spec("llvmlite"):
        if name is None:
            return "numpy"
        raise ImportError(f"the native backend needs llvmlite: {to_install('jit')}")
    return name


def replays_until_compiled(plan: Plan) -> int:
    """After how many replays on NumPy a plan is compiled, if it is to be compiled later.

    A replay on NumPy takes longer by about 6 us a group and 4 ns an operand, 100 ns where it goes
    number by number. Compiling takes 0.35 s and as long as 10 such replays. So a program is
    compiled when it has lost as much time as compiling takes: whenever its last replay is, that
    costs at most twice as much as knowing it beforehand. Measured: 320 replays of the moons step of
    the benchmarks, 160 of the digits step, 120 of a step of the small GPT, 1,600 of four examples
    through a 2-8-1 network.
    """
    operands = sum(g.operands.size * (1 if g.primitive in VECTORISED else 25) for g in plan.groups)
    return 10 + round(0.35 / (6e-6 * (1 + len(plan.groups)) + 4e-9 * operands))


def code_for(plan: Plan, backend: str) -> Code:
    """A plan, ready to be run by this backend."""
    if backend == "native":
        from autograd.jit.backends.native import NativeCode  # llvmlite is an optional extra

        return NativeCode(plan)
    return NumpyCode(plan)
