"""How does a plan run on NumPy alone? By a few array operations for each group.

This backend needs no compiler. Elementary functions such as exp use the `forward` of the primitive,
number by number, because NumPy's own differ from the C library's in the last bits. Sums are added
term by term, in the order in which they were written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import copy_context
from numbers import Real
from typing import Any

import numpy as np

from autograd import ops
from autograd.jit.graph import OUTPUT, SUM
from autograd.jit.leaves import Floats
from autograd.jit.schedule import Group, Plan, selector
from autograd.primitive import Primitive


def _sums(left: Floats, right: Floats) -> Any:
    """Return the sum of the products in each column, added from the top."""
    products = left * right
    if products.shape[1] > 1:  # reduce adds a single column in another order
        return np.add.reduce(products, axis=0, initial=-0.0)
    return np.cumsum(products, axis=0)[-1]


# The primitives for which NumPy gives the same bits as `forward`.
VECTORISED: dict[Primitive, Callable[..., Any]] = {
    SUM: _sums,
    ops.add: np.add,
    ops.sub: np.subtract,
    ops.mul: np.multiply,
    ops.div: np.divide,
    ops.neg: np.negative,
    OUTPUT: lambda x: x,
    ops.abs: np.abs,
    ops.sqrt: np.sqrt,
    ops.greater: np.greater,
    ops.less: np.less,
    ops.relu: lambda x: np.where(x <= 0.0, 0.0, x),
    ops.maximum: lambda a, b: np.where((a >= b) | (a != a), a, b),
    ops.minimum: lambda a, b: np.where((a <= b) | (a != a), a, b),
    ops.where: lambda c, a, b: np.where(c != 0.0, a, b),
}


class NumpyCode:
    """A plan, the memory for its numbers, and `run`. See `backends.Code`."""

    def __init__(self, plan: Plan) -> None:
        self.memory: Floats = np.zeros(plan.size)
        self.memory[: len(plan.constants)] = plan.constants
        self.outputs = self.memory[plan.outputs.start :]
        groups = (*plan.groups, plan.outputs)
        self._steps = [
            (group, VECTORISED.get(group.primitive), *_places(group)) for group in groups
        ]
        self.nbytes = sum(getattr(place, "nbytes", 0) for step in self._steps for place in step[-1])

    def run(self) -> None:
        self.memory[0] = 0.0
        # In a copy of the context, because a Ctrl-C might leave NumPy's error state changed in this
        # one. (Before NumPy 2, the state belongs to the thread.)
        copy_context().run(self._run)

    def _run(self) -> None:
        memory, outside = self.memory, copy_context()
        with np.errstate(all="ignore"):
            for group, function, out, operands in self._steps:
                if function is None:
                    outside.run(run_in_python, group, memory)  # with the caller's error state
                    continue
                memory[out] = function(*[memory[place] for place in operands])
                if not group.primitive.total and not np.isfinite(memory[out]).all():
                    memory[0] = math.nan


def run_in_python(group: Group, memory: Floats) -> None:
    """Compute a group with the primitive's own `forward`; set memory[0] to nan if that raises."""
    forward = group.primitive.forward
    end = group.start + len(group.operands)
    try:
        numbers = list(map(forward, *memory[group.operands.T].tolist()))
        if not all(issubclass(kind, Real) for kind in set(map(type, numbers))):
            raise TypeError
        memory[group.start : end] = numbers
    except Exception:  # the eager call will raise it
        memory[0] = memory[group.start : end] = math.nan


def _places(group: Group) -> tuple[slice, list[Any]]:
    """Return the indices of a group's results and of its operands, as slices where possible."""
    out = slice(group.start, group.start + len(group.operands))
    if group.primitive is SUM:
        return out, [np.ascontiguousarray(group.operands[:, k::2].T, np.int64) for k in (0, 1)]
    return out, [selector(group.operands[:, k]) for k in range(group.operands.shape[1])]
