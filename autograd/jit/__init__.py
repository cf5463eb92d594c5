"""How does a training step run without Python? Recorded once, simplified, scheduled, replayed.

The rooms, in the order in which a call goes through them:

    jitted.py       record, replay, or call eagerly?
    structure.py    arguments laid out as a row of numbers
    watch.py        what else the function depends on
    record.py       run the function once on recorded Values (recorded.py), of which recorder.py,
                    tracer.py and derive.py make a graph (graph.py); what cannot be recorded gets
                    an error (refusal.py)
    simplify.py     the same numbers from fewer operations
    schedule.py     alike operations side by side, in strided runs
    backends/       carried out with NumPy, or with kernels compiled by LLVM
    program.py      numbers in, run, check, numbers out (ports.py)

>>> from autograd import Value
>>> w = Value(2.0)
>>> @jit
... def step(x):
...     loss = (w * x - 1.0) ** 2
...     w.grad = 0.0
...     loss.backward()
...     w.assign(w - 0.1 * w.grad)
...     return loss
>>> [round(step(1.0).data, 4) for _ in range(3)]
[1.0, 0.64, 0.4096]
>>> round(w.data, 4)
1.512
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from autograd.jit.jitted import Jitted, jit
from autograd.jit.program import Program
from autograd.jit.refusal import TraceError

__all__ = ["Jitted", "Program", "TraceError", "jit"]


class _Decorator(ModuleType):
    """This package, as the decorator of the same name: `from autograd import jit` gives either."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return jit(*args, **kwargs)


sys.modules[__name__].__class__ = _Decorator
