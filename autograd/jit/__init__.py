"""How does a training step run without Python? Recorded, simplified, scheduled, replayed, checked.

For each structure of arguments, the first call is eager and the second is recorded while it
computes. From the third on calls are replayed, and now and then a replay runs beside the eager
call, which it must equal to the last bit.

The rooms, in the order in which a call goes through them:

    jitted.py       eager, recorded, replayed or checked?
    structure.py    arguments laid out as a row of numbers
    watch.py        what else the function depends on: the names that its code loads (loads.py), and
                    what is in these (contents.py); what a recorded call changes of it
    record.py       an eager call, which sees what is read and written of Values
    recorder.py     the engine does each operation; tracer.py notes its node in a graph (graph.py),
                    derive.py those of gradients; numbers know their nodes (recorded.py); what a
                    replay could not repeat gets an error (refusal.py)
    simplify.py     the same numbers from fewer operations
    schedule.py     alike operations side by side, in strided runs
    backends/       carried out with NumPy, and later with kernels compiled by LLVM
    program.py      numbers in, run, numbers out (ports.py, leaves.py); a picture of it (picture.py)
    results.py      results of one kind, whichever call they are from
    check.py        a replay beside the eager call

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
[<program of step: 14 nodes, 2 replays>]
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
    """This package, as the decorator of the same name: `from autograd import jit` gives either."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return jit(*args, **kwargs)


sys.modules[__name__].__class__ = _Decorator
