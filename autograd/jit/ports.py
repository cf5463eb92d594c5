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
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from autograd.jit.capture import writer
from autograd.jit.graph import Graph, Source
from autograd.jit.leaves import Floats, Linked, link
from autograd.jit.record import Recording
from autograd.jit.schedule import Plan, selector
from autograd.jit.tracer import Leaf
from autograd.messages import no_gradient
from autograd.value import Value


class _Port(NamedTuple):
    """A number or a gradient of a leaf, and where it goes.

    leaf: the leaf, or its position among the Values that are passed. kind: "data" or "grad".
    source: the address to read it into, -1 if it is not read.
    target: its position among the outputs, -1 if it does not change.
    """

    leaf: Any
    kind: str
    source: int
    target: int


class Ports:
    """The inputs and outputs of a program. Outputs: what leaves become, then what is returned.

    Attributes:
        addresses: of the outputs in memory. is_gradient: which of the outputs are gradients.
        first_result: how many outputs are of leaves.
        targets: which leaf takes each of the first outputs, and as "data" or "grad": the link of a
            captured one, or the position of one that is passed.
        gone: not empty once one of these leaves no longer exists.
    """

    def __init__(self, recording: Recording, graph: Graph, plan: Plan, now: dict[int, int]) -> None:
        """Link the leaves. `graph` is the simplified one, `now` the node that each node became.

        Raises TypeError if the gradient of a leaf that is read is None.
        """
        self._arguments, self._varying = [
            slice(start, start + length)
            for start, length in (plan.spans["argument"], plan.spans["varying"])
        ]
        outputs: list[int] = []  # nodes
        ports = _ports(recording.leaves, graph, plan, outputs)
        self.first_result = len(outputs)
        gradients = [port.target for port in ports if port.kind == "grad" and port.target >= 0]
        for output in recording.returned.outputs():
            outputs.append(output.data)
            if output.grad is not None:
                gradients.append(len(outputs))
                outputs.append(output.grad)
        self.addresses = plan.address[[now[node] for node in outputs]]
        self.is_gradient = np.isin(np.arange(len(outputs)), gradients)
        self._passed = [port for port in ports if isinstance(port.leaf, int)]
        self.targets: list[tuple[Any, str]] = [(None, "")] * self.first_result
        for k, kind, _, target in self._passed:
            if target >= 0:
                self.targets[target] = k, kind
        self._connect([port for port in ports if isinstance(port.leaf, Value)])

    def _connect(self, ports: list[_Port]) -> None:
        """Link the captured leaves to stores, and note what moves between these and the memory."""
        for leaf, kind, source, _ in ports:
            if kind == "grad" and source >= 0 and leaf.grad is None:  # the eager call raises too
                raise no_gradient(leaf.label)
        leaves = list(dict.fromkeys(port.leaf for port in ports))
        link(leaves)
        for leaf, kind, _, target in ports:
            if target >= 0:
                self.targets[target] = leaf._right, kind
        # The program does not keep leaves alive: without one of them it is of no use.
        self.gone: list[Any] = []
        self._links = [ref(leaf._right, self.gone.append) for leaf in leaves]
        self._stores = list(dict.fromkeys(leaf._right.store for leaf in leaves))
        # (where in one array, the other array, where in it)
        self._reads: list[tuple[Any, Floats, Any]] = []
        self._writes: list[tuple[Any, Floats, Any]] = []
        of_store: dict[tuple[int, str], list[_Port]] = {}
        for port in ports:
            of_store.setdefault((id(port.leaf._right.store), port.kind), []).append(port)
        for (_, kind), found in of_store.items():
            numbers = getattr(found[0].leaf._right.store, kind)
            for moves, end in (
                (self._reads, [port.source for port in found]),
                (self._writes, [port.target for port in found]),
            ):
                index = [port.leaf._right.index for port in found]
                pairs = np.array([pair for pair in zip(index, end, strict=True) if pair[1] >= 0])
                if len(pairs):
                    moves.append((selector(pairs[:, 1]), numbers, selector(pairs[:, 0])))

    def uses(self, value: Value) -> bool:
        """Whether a leaf is one of those that were captured."""
        return isinstance(value, Linked) and any(place() is value._right for place in self._links)

    def undo(self) -> list[Callable[[], None]]:
        """What gives the captured leaves the numbers and gradients that they have now."""
        return [
            partial(operator.setitem, numbers, slice(None), numbers.copy())
            for store in self._stores
            for numbers in (store.data, store.grad)
        ]

    def read(self, memory: Floats, numbers: array[float], passed: Sequence[Value]) -> None:
        """Copy arguments and leaves into the memory."""
        if numbers:
            memory[self._arguments] = np.frombuffer(numbers)
        for place, store, where in self._reads:
            memory[place] = store[where]
        for k, kind, source, _ in self._passed:
            if source >= 0:
                memory[source] = getattr(passed[k], f"_{kind}")

    def put_draws(self, memory: Floats, draws: Sequence[float]) -> None:
        """Copy what is read again at each replay into the memory."""
        if draws:
            memory[self._varying] = draws

    def writes(self, outputs: Floats, passed: Sequence[Value]) -> list[Callable[[], None]]:
        """What gives the leaves that change their new numbers and gradients, by C code only."""
        writes: list[Callable[[], None]] = [
            partial(operator.setitem, store, where, outputs[place])
            for place, store, where in self._writes
        ]
        for k, kind, _, target in self._passed:
            if target >= 0:
                writes.append(writer(passed[k], kind, float(outputs[target])))
        return writes

    def now(self, passed: Sequence[Value]) -> Floats:
        """What the leaves have where a replay would write the first outputs."""
        found = np.zeros(self.first_result)
        for place, store, where in self._writes:
            found[place] = store[where]
        for k, kind, _, target in self._passed:
            if target >= 0:
                found[target] = getattr(passed[k], f"_{kind}")
        return found


def _ports(leaves: Sequence[Leaf], graph: Graph, plan: Plan, outputs: list[int]) -> list[_Port]:
    """What moves of each leaf; the nodes of what changes are appended to the outputs."""
    used = {op[:2] for op in graph.operations if isinstance(op, Source)}
    ports = []
    for kind in ("data", "grad"):
        for i, leaf in enumerate(leaves):
            start, end = getattr(leaf, kind), getattr(leaf, f"{kind}_end")
            source = plan.spans[kind][0] + i if (kind, i) in used else -1
            target = -1
            if start != end:
                target = len(outputs)
                outputs.append(end)
            if source >= 0 or target >= 0:
                holder = leaf.value if leaf.passed is None else leaf.passed
                ports.append(_Port(holder, kind, source, target))
    return ports
