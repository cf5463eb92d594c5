"""How is a recording replayed? Numbers in, kernels, a look for trouble, numbers out.

A replay reads what the program takes (arguments, captured leaves, what varies), computes in memory
of its own, and writes back what it changes only if every number came out finite. If one did not, or
an operation might have raised, the function is run eagerly instead: then what happens is what
always happens, the same error with the same message, or the same infinities.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from autograd import modes
from autograd.jit.run import NumpyCode, selector
from autograd.jit.schedule import schedule
from autograd.jit.simplify import simplify
from autograd.jit.structure import build
from autograd.jit.trace import Recording, Source
from autograd.modes import Origin
from autograd.ops import Primitive
from autograd.value import Value

Floats = NDArray[np.float64]

# --- leaves whose numbers live in an array --------------------------------------------------------


class Store:
    """The numbers of leaves that programs read and write, side by side."""

    __slots__ = ("data", "grad")

    def __init__(self, size: int) -> None:
        self.data: Floats = np.zeros(size)
        self.grad: Floats = np.zeros(size)


class Link(Origin):
    """The origin of a linked leaf: its label, and where its numbers are."""

    __slots__ = ("data", "grad", "index", "store")

    data: memoryview[float]
    grad: memoryview[float]

    def __init__(self, label: str, store: Store, index: int) -> None:
        super().__init__(label=label)
        self.store, self.index = store, index
        # Reading one float from a memoryview takes half the time of an array.
        self.data = cast("memoryview[float]", store.data.data)
        self.grad = cast("memoryview[float]", store.grad.data)


class Linked(Value):
    """A leaf that a program reads and writes: a Value like any other, its numbers in an array."""

    __slots__ = ()
    _origin: Link

    @property
    def data(self) -> float:
        link = self._origin
        return link.data[link.index]

    @data.setter
    def data(self, number: float) -> None:
        link = self._origin
        link.data[link.index] = number

    @property
    def grad(self) -> float:
        link = self._origin
        return link.grad[link.index]

    @grad.setter
    def grad(self, number: float) -> None:
        link = self._origin
        link.grad[link.index] = number

    @property
    def label(self) -> str:
        return self._origin.label

    @label.setter
    def label(self, label: str) -> None:
        self._origin.label = label

    def __reduce__(self) -> tuple[Any, ...]:
        return _unlinked, (self.data, self.grad, self.label)


def _unlinked(data: float, grad: float, label: str) -> Value:
    value = Value(data, label)
    value.grad = grad
    return value


def _link(leaves: Sequence[Value]) -> None:
    """Give leaves that have none a place in an array."""
    plain = [leaf for leaf in leaves if leaf.__class__ is Value]
    store = Store(len(plain))
    for index, leaf in enumerate(plain):
        data, grad, label = leaf.data, leaf.grad, leaf.label
        leaf.__class__ = Linked
        leaf._origin = Link(label, store, index)
        leaf.data, leaf.grad = data, grad


# --- what a program returns -----------------------------------------------------------------------


def _no_gradient(out: Any, x: Any) -> Any:
    raise ValueError(
        "no gradient flows out of a jitted function: take it inside, with backward() or grad(), or"
        " use .detach() of what it returned"
    )


_REPLAYED = Origin(Primitive("jit", lambda x: x, _no_gradient), modes.Mode())
_INSIDE = Value(0.0, "inside a jitted function")


def _result(data: float, grad: float) -> Value:
    value = Value(data)
    value.grad = grad
    value._origin, value._left = _REPLAYED, _INSIDE
    return value


# --- programs -------------------------------------------------------------------------------------


class Program:
    """One recording of a function, ready to be replayed.

    Attributes:
        name: of the function. recorded, simplified: how many nodes there were after these stages.
        groups: how many loops they became. bytes: of memory, and of the lists that drive it.
        seconds: how long each stage took, by name. backend: "native" or "numpy". replays: so far.
    """

    def __init__(self, name: str, recording: Recording, backend: str, seconds: float) -> None:
        self.name, self.backend, self.replays = name, backend, 0
        self.guards = recording.guards
        self.recorded = len(recording.graph)
        self.seconds = {"trace": seconds}
        self._since = time.perf_counter()
        wanted = {
            end
            for leaf in recording.leaves
            for start, end in ((leaf.data, leaf.data_end), (leaf.grad, leaf.grad_end))
            if start != end
        }
        wanted |= {
            node for result in recording.results if isinstance(result, tuple) for node in result
        }
        graph = recording.graph
        now = simplify(graph, wanted)
        self.simplified = len(graph) - graph.operations.count(None)
        self._lap("simplify")
        size = len(recording.leaves)
        counts = {
            "argument": recording.arguments,
            "varying": len(recording.draws),
            "data": size,
            "grad": size,
        }
        plan = schedule(graph, now.values(), counts)
        self.groups = len(plan.groups)
        self._lap("schedule")
        self._code: Any
        if backend == "native":
            from autograd.jit.native import NativeCode

            self._code = NativeCode(plan)
        else:
            self._code = NumpyCode(plan)
        self.bytes = self._code.memory.nbytes + self._code.nbytes
        self._lap("compile")
        self._plug(recording, plan.spans, {n: int(plan.address[m]) for n, m in now.items()}, graph)

    def _lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._since = now - self._since, now

    def _plug(
        self,
        recording: Recording,
        spans: dict[str, tuple[int, int]],
        address: dict[int, int],
        graph: Any,
    ) -> None:
        """Note where numbers come from and where they go to."""
        self._draws, self._drawn = recording.draws, recording.drawn
        self._returned = recording.returned
        arguments, self._varying = [
            slice(spans[kind][0], sum(spans[kind])) for kind in ("argument", "varying")
        ]
        self._inlet = memoryview(self._code.memory)[arguments]
        read = {op[:2] for op in graph.operations if isinstance(op, Source)}
        out: list[int] = []
        # (leaf, attribute, address it is read into or -1, position in `out` or -1)
        moves: list[tuple[Any, str, int, int]] = []
        for kind in ("data", "grad"):
            for i, leaf in enumerate(recording.leaves):
                start, end = getattr(leaf, kind), getattr(leaf, f"{kind}_end")
                source = spans[kind][0] + i if (kind, i) in read else -1
                target = -1
                if start != end:
                    target = len(out)
                    out.append(address[end])
                if source >= 0 or target >= 0:
                    moves.append(
                        (
                            leaf.passed if leaf.passed is not None else leaf.value,
                            kind,
                            source,
                            target,
                        )
                    )
        self.leaves = dict.fromkeys(thing for thing, *_ in moves if isinstance(thing, Value))
        # Leaves that are only read keep their numbers, and are as fast as ever elsewhere.
        _link(
            list(dict.fromkeys(leaf for leaf, *_, end in moves if end >= 0 and leaf in self.leaves))
        )
        self._passed = [move for move in moves if isinstance(move[0], int)]
        self._reads: list[tuple[Any, Floats, Any]] = []
        self._writes: list[tuple[Any, Floats, Any]] = []
        stores: dict[tuple[int, str], list[tuple[Any, int, int]]] = {}
        loose: dict[str, list[tuple[Value, int]]] = {}
        for thing, kind, source, target in moves:
            if isinstance(thing, Linked):
                link = thing._origin
                stores.setdefault((id(link.store), kind), []).append((link, source, target))
            elif isinstance(thing, Value):
                loose.setdefault(kind, []).append((thing, source))
        self._loose = [
            (kind, [leaf for leaf, _ in pairs], selector(np.array([place for _, place in pairs])))
            for kind, pairs in loose.items()
        ]
        for (_, kind), entries in stores.items():
            numbers = getattr(entries[0][0].store, kind)
            for column, kept in ((1, self._reads), (2, self._writes)):
                pairs = np.array([(e[0].index, e[column]) for e in entries if e[column] >= 0])
                if len(pairs):
                    kept.append((selector(pairs[:, 1]), numbers, selector(pairs[:, 0])))
        self._first_result = len(out)
        self._results = [r if not isinstance(r, tuple) else None for r in recording.results]
        for result in recording.results:
            if isinstance(result, tuple):
                out += [address[node] for node in result]
        self._out = np.array(out, dtype=np.int64)

    def holds(self) -> bool:
        """Whether what the recording took for fixed is still so."""
        return all(read() == value for read, value in self.guards)

    def replay(self, numbers: array[float], passed: Sequence[Value], draws: list[float]) -> Any:
        """What the function returns for these arguments; UNSURE if it has to be run eagerly.

        The numbers drawn are appended to `draws`.
        """
        memory = self._code.memory
        self._inlet[:] = numbers
        if self._draws:
            varying = [float(read()) for read in self._draws]
            memory[self._varying] = varying
            draws += [varying[k] for k in self._drawn]
        for place, store, where in self._reads:
            memory[place] = store[where]
        for kind, leaves, place in self._loose:
            memory[place] = [getattr(leaf, kind) for leaf in leaves]
        for k, kind, source, _ in self._passed:
            if source >= 0:
                memory[source] = getattr(passed[k], kind)
        self._code.run()
        out = memory[self._out]
        if memory[0] != 0.0 or not np.isfinite(out).all():
            return UNSURE
        for place, store, where in self._writes:
            store[where] = out[place]
        for k, kind, _, target in self._passed:
            if target >= 0:
                setattr(passed[k], kind, float(out[target]))
        self.replays += 1
        found = iter(out[self._first_result :].tolist())
        results = [
            _result(next(found), next(found))
            if result is None
            else (passed[result[0]] if isinstance(result, list) else result)
            for result in self._results
        ]
        structure, plain = self._returned
        if structure == "Value":
            return results[0]
        return build(structure, iter(plain).__next__, iter(results).__next__)

    def state(self) -> list[tuple[Floats, Floats]]:
        """The arrays of every leaf it writes, each with a copy, to be put back after an error."""
        return [(store, store.copy()) for _, store, _ in self._writes]

    def __str__(self) -> str:
        stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self.seconds.items())
        return (
            f"{self.name}: {self.recorded:,} nodes recorded, {self.simplified:,} after simplifying,"
            f" in {self.groups:,} groups; {self.bytes / 1024:,.0f} KiB, {self.backend} backend,"
            f" {self.replays:,} replays\n  {stages}"
        )

    __repr__ = __str__


UNSURE: Any = object()
