"""Where do the numbers of a replay come from, and where do its results go?

Before a run, the arguments and the leaves that the function reads are copied into the program's
memory. After it, the leaves that the function changes, and what it returns, are copied out
together.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import repeat, starmap
from typing import Any
from weakref import ref

import numpy as np

from autograd.jit.leaves import Floats, Linked, link, writes
from autograd.jit.schedule import Addresses, Plan, selector
from autograd.jit.tracer import Port
from autograd.value import Value

_Moves = tuple[list[tuple[Any, str, list[int]]], list[tuple[Any, Floats, Any]]]


class Ports:
    """The inputs and outputs of a program. Outputs: first new numbers of leaves, then results.

    Attributes:
        targets: (leaf, "data" or "grad") that each of the first outputs goes to; a captured leaf is
            given by a weak reference to its link, a passed one by its position.
        stores: those of the captured leaves.
        gone: not empty once one of these leaves no longer exists.

    Captured leaves are linked.
    """

    def __init__(
        self, reads: list[Port], writes: list[Port], plan: Plan, address: Addresses
    ) -> None:
        span = plan.spans["argument"]
        self._arguments = slice(8 * span.start, 8 * span.stop)  # in bytes
        reads = [port for port in reads if address[port.node] >= 0]
        captured = dict.fromkeys([port.leaf for port in reads + writes if port.passed is None])
        link(list(captured))
        addresses = [int(address[port.node]) for port in reads]
        self._passed_reads, self._reads = _moves(reads, addresses)
        self._passed_writes, self._writes = _moves(writes, range(len(writes)))
        # Weak references: a program does not keep leaves alive, and is useless without them.
        self.targets = [
            (ref(port.leaf._right) if port.passed is None else port.passed, port.kind)
            for port in writes
        ]
        self._outputs: Floats | None = None  # from which `_steps` copy
        # Outputs at an array of indices are copied, and so not prepared.
        self._are_views = all(isinstance(place, slice) for place, *_ in self._writes)
        links: list[Any] = [leaf._right for leaf in captured]
        self.stores = {place.store for place in links}
        self.gone: list[Any] = []
        self._links = set(map(ref, links, repeat(self.gone.append)))

    def captured(self, values: Sequence[Value]) -> list[Value]:
        """Return those of these Values that the function also uses from outside."""
        return [v for v in values if isinstance(v, Linked) and ref(v._right) in self._links]

    def read(self, memory: Floats, numbers: bytearray, passed: Sequence[Value]) -> bool:
        """Copy arguments and leaves into the memory; return False if a gradient is None."""
        if numbers:
            memory.data.cast("B")[self._arguments] = numbers
        for place, store, where in self._reads:
            memory[place] = store[where]
        for place, kind, positions in self._passed_reads:
            found = [getattr(passed[k], kind) for k in positions]
            if None in found:
                return False
            memory[place] = found
        return True

    def writes(self, outputs: Floats, passed: Sequence[Value]) -> list[Iterator[None]]:
        """Return steps that write the new numbers and gradients of leaves; see `at_once`."""
        if outputs is not self._outputs or not self._are_views:
            steps = [(store, where, outputs[place]) for place, store, where in self._writes]
            self._steps, self._outputs = steps, outputs
        return [starmap(operator.setitem, self._steps)] + [
            writes(kind, [passed[k] for k in positions], outputs[place].tolist())
            for place, kind, positions in self._passed_writes
        ]


def _moves(ports: Sequence[Port], ends: Sequence[int]) -> _Moves:
    """Plan the copies between leaves and another array, such as the memory.

    Returns (indices in the array, "data" or "grad", positions) for passed leaves, and (indices in
    the array, array of a store, indices in that) for captured ones.

    ends: the index of each port's number in the other array.
    """
    pairs = defaultdict[tuple[Any, str], list[tuple[int, int]]](list)
    for (leaf, position, kind, _), end in zip(ports, ends, strict=True):
        place: Any = leaf._right
        if position is None:
            pairs[place.store, kind].append((end, place.index))
        else:
            pairs[None, kind].append((end, position))
    passed, moves = [], []
    for (store, kind), found in pairs.items():
        places, indices = np.array(found).T
        if store is None:
            passed.append((selector(places), kind, indices.tolist()))
        else:
            moves.append((selector(places), getattr(store, kind), selector(indices)))
    return passed, moves
