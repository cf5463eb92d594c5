"""Where do the numbers of a replay come from, and where do its results go?

Before a run, arguments, what varies, and the leaves that the function reads are copied into the
program's memory. After it, the leaves that the function changes, and what it returns, are taken out
of the memory together.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import ref

import numpy as np

from autograd.jit.capture import writer
from autograd.jit.leaves import Floats, Linked, link
from autograd.jit.record import Recording
from autograd.jit.schedule import Plan, selector
from autograd.jit.tracer import Leaf
from autograd.messages import no_gradient
from autograd.value import Value

_End = tuple[Leaf, str, int]  # a leaf, "data" or "grad", and where that comes from or goes to
_Moves = tuple[list[tuple[int, str, int]], list[tuple[Any, Floats, Any]]]


class Ports:
    """The inputs and outputs of a program. Outputs: what leaves become, then what is returned.

    Attributes:
        outputs: their nodes in the recording. is_gradient: which of them are gradients.
        first_result: how many outputs are of leaves.
        targets: which leaf takes each of the first outputs, and as "data" or "grad": the link of a
            captured one, or the position of one that is passed.
        varying: where what is read again at each replay is in the memory.
        stores: where the captured leaves have their numbers.
        gone: not empty once one of these leaves no longer exists.
    """

    def __init__(self, recording: Recording) -> None:
        self._ends: list[_End] = []
        nodes: list[tuple[int, str]] = []
        for kind in ("data", "grad"):
            for leaf in recording.leaves:
                end = getattr(leaf, f"{kind}_end")
                if end != getattr(leaf, kind):
                    self._ends.append((leaf, kind, len(nodes)))
                    nodes.append((end, kind))
        self.first_result = len(nodes)
        nodes += recording.returned.nodes()
        self.outputs = [node for node, _ in nodes]
        self.is_gradient = np.array([kind == "grad" for _, kind in nodes], dtype=bool)

    def connect(self, leaves: Sequence[Leaf], plan: Plan) -> None:
        """Link the leaves, and note what moves between them and the memory.

        Raises TypeError if the gradient of a leaf that is read is None.
        """
        self._arguments, self.varying = [
            slice(start, start + length)
            for start, length in (plan.spans["argument"], plan.spans["varying"])
        ]
        starts = [
            (leaf, kind, int(plan.address[getattr(leaf, kind)]))
            for kind in ("data", "grad")
            for leaf in leaves
            if getattr(leaf, kind) >= 0 and plan.address[getattr(leaf, kind)] >= 0
        ]
        for leaf, kind, _ in starts:
            if kind == "grad" and leaf.value.grad is None:  # the eager call raises too
                raise no_gradient(leaf.value.label)
        used = {leaf for leaf, _, _ in starts + self._ends}
        link([leaf.value for leaf in leaves if leaf in used and leaf.passed is None])
        self._passed_reads, self._reads = _moves(starts)
        self._passed_writes, self._writes = _moves(self._ends)
        links = {leaf: leaf.value._right for leaf in used if leaf.passed is None}
        self.targets: list[tuple[Any, str]] = [
            (links.get(leaf, leaf.passed), kind) for leaf, kind, _ in self._ends
        ]
        self.stores = {place.store for place in links.values()}
        # The program does not keep leaves alive: without one of them it is of no use.
        del self._ends
        self.gone: list[Any] = []
        self._links = [ref(place, self.gone.append) for place in links.values()]

    def uses(self, value: Value) -> bool:
        """Whether a leaf is one of those that were captured."""
        return isinstance(value, Linked) and any(place() is value._right for place in self._links)

    def read(self, memory: Floats, numbers: array[float], passed: Sequence[Value]) -> None:
        """Copy arguments and leaves into the memory."""
        if numbers:
            memory[self._arguments] = np.frombuffer(numbers)
        for place, store, where in self._reads:
            memory[place] = store[where]
        for k, kind, place in self._passed_reads:
            memory[place] = getattr(passed[k], f"_{kind}")

    def writes(self, outputs: Floats, passed: Sequence[Value]) -> list[Callable[[], None]]:
        """What gives the leaves that change their new numbers and gradients, by C code only."""
        writes: list[Callable[[], None]] = [
            partial(operator.setitem, store, where, outputs[place])
            for place, store, where in self._writes
        ]
        for k, kind, place in self._passed_writes:
            writes.append(writer(passed[k], kind, float(outputs[place])))
        return writes


def _moves(ends: Sequence[_End]) -> _Moves:
    """How the numbers of leaves move: of passed ones one by one, of others store by store.

    Of passed ones: the position among these, "data" or "grad", and where in the other array. Of
    others: where in the other array, the array of the store, and where in this.
    """
    passed = [(leaf.passed, kind, end) for leaf, kind, end in ends if leaf.passed is not None]
    pairs: dict[tuple[Any, str], list[tuple[int, int]]] = {}
    for leaf, kind, end in ends:
        if leaf.passed is None:
            place = leaf.value._right
            pairs.setdefault((place.store, kind), []).append((end, place.index))
    moves = []
    for (store, kind), found in pairs.items():
        places, indices = map(selector, np.array(found).T)
        moves.append((places, getattr(store, kind), indices))
    return passed, moves
