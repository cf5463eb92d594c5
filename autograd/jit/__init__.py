"""How does a training step run without Python? Recorded, simplified, scheduled, replayed, checked.

For each structure of arguments, the first call is eager and the second is recorded while it runs.
Later calls are replayed. Some replays are checked: they run beside the eager call, and both must
agree to the last bit. `help(jit.jit)` explains the arguments of the decorator.

The modules, in the order in which a call uses them:

    jitted.py       decides whether a call is eager, recorded, replayed or checked
    structure.py    flattens arguments and results into a structure and a row of numbers
    watch.py        guards the names that the code loads (loads.py) and what they hold
                    (contents.py); finds the side effects of a recorded call
    record.py       runs the function on numbers that know their nodes (recorded.py)
    recorder.py     is the interpreter of a recording: the engine computes, tracer.py adds nodes to
                    the graph (graph.py), derive.py those of gradients; what a replay could not
                    repeat raises an error (refusal.py)
    simplify.py     removes and fuses nodes
    schedule.py     groups similar operations and lays out their operands in strided runs
    backends/       compute the groups with NumPy, and later with kernels compiled by LLVM
    program.py      replays: numbers in, run, numbers out (ports.py, leaves.py); picture.py draws it
    results.py      gives results of the same kind, whichever kind of call they come from
    check.py        compares a replay with the eager call

>>> from autograd import Value
>>> w = Value(2.0)
>>> @jit
... def step(x):
...     loss = (w * x - 1.0) ** 2
...     w.grad = 0.0
...     loss.backward()
...     w.data -= 0.1 * w.grad
...     return loss
>>> [round(step(1.0).data, 4) for _ in range(4)]  # eager, recorded, replayed and checked, replayed
[1.0, 0.64, 0.4096, 0.2621]
>>> round(w.data, 4)
1.4096
>>> step.programs
[<program of step: 13 nodes, 2 replays>]
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

try:
    import numpy as numpy
except ModuleNotFoundError:
    from autograd.extras import to_install

    raise ImportError(f"jit computes with NumPy: {to_install('jit')}") from None

from autograd.jit.jitted import Jitted, jit
from autograd.jit.program import Program
from autograd.jit.refusal import TraceError

__all__ = ["Jitted", "Program", "TraceError", "jit"]


class _Decorator(ModuleType):
    """This package, callable like the decorator `jit`: `from autograd import jit` gives either."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return jit(*args, **kwargs)


sys.modules[__name__].__class__ = _Decorator
