"""How is a recording replayed? Numbers in, kernels, a look for trouble, numbers out.

A replay reads what the program takes (arguments, captured leaves, what varies), computes in memory
of its own, and writes back what it changes only if every number came out finite. If one did not, or
an operation might have raised, the function is run eagerly instead: then what happens is what
always happens, the same error with the same message, or the same infinities. Gradients may be nan
or infinite where the eager ones are too: that of an exponent is nan for a base below 0.
"""

from __future__ import annotations

import time
import warnings
from array import array
from collections.abc import Sequence
from typing import Any
from weakref import ref

import numpy as np

from autograd import ops
from autograd.draw import Drawing
from autograd.jit.backends.numpy import NumpyCode
from autograd.jit.graph import Source
from autograd.jit.leaves import Floats, Link, Linked, link
from autograd.jit.picture import draw_program, outline
from autograd.jit.record import Passed, Recording, Result
from autograd.jit.schedule import schedule, selector
from autograd.jit.simplify import simplify
from autograd.jit.structure import build
from autograd.jit.watch import Watch
from autograd.messages import no_gradient
from autograd.primitive import Opaque
from autograd.text import for_stream
from autograd.value import Value

# --- what a program returns -----------------------------------------------------------------------


def _no_gradient(out: Any, x: Any) -> Any:
    raise ValueError(
        "no gradient flows out of a jitted function: take it inside, with backward() or grad(), or"
        " use .detach() of what it returned"
    )


_JIT = Opaque("jit", lambda x: x, _no_gradient)
_INSIDE = Value(0.0, "inside a jitted function")


def _result(data: float, grad: float, result: Result) -> Value:
    value = Value(data, result.label)
    value.grad = grad
    if result.history:
        value._primitive, value._left = _JIT, _INSIDE
    return value


# --- programs -------------------------------------------------------------------------------------


class Program:
    """One recording of a function, ready to be replayed.

    Attributes:
        name: of the function. recorded, simplified: how many nodes there were after these stages.
        scheduled: how many numbers are computed, which is fewer: products are parts of sums.
        groups: how many loops they became. bytes: of memory, and of the lists that drive it.
        seconds: how long each stage took, by name. backend: "native" or "numpy".
        replays: so far. unsure: calls that could not be replayed and were done eagerly.
    """

    def __init__(
        self, name: str, recording: Recording, watch: Watch, backend: str, seconds: float
    ) -> None:
        self.name, self.backend = name, backend
        self.replays = self.unsure = self._eager_results = 0
        self.guards, self._watch = recording.guards, watch
        self._gone: list[Any] = []
        self.recorded = len(recording.graph)
        self.seconds = {"trace": seconds}
        self._since = time.perf_counter()
        wanted = {
            end
            for leaf in recording.leaves
            for start, end in ((leaf.data, leaf.data_end), (leaf.grad, leaf.grad_end))
            if start != end
        }
        for result in recording.results:
            if isinstance(result, int):
                wanted.add(result)
            elif isinstance(result, Result):
                wanted.update((result.data, result.grad))
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
        self.scheduled = sum(len(group.nodes) for group in plan.groups)
        self._outline = outline(plan)
        self._lap("schedule")
        products = [
            group.operands.reshape(-1, 2)
            for group in plan.groups
            if group.primitive is None or group.primitive is ops.mul
        ]
        pairs = np.concatenate([np.empty((0, 2), np.int32), *products], dtype=np.int32)
        self._factors = pairs.T.copy()  # the addresses of the two factors of each product
        self._code: Any
        if backend == "native":
            from autograd.jit.backends.native import NativeCode

            self._code = NativeCode(plan)
        else:
            self._code = NumpyCode(plan)
        self.bytes = self._code.memory.nbytes + self._code.nbytes + self._factors.nbytes
        self._lap("compile")
        self._plug(recording, plan.spans, {n: int(plan.address[m]) for n, m in now.items()}, graph)

    @property
    def is_dead(self) -> bool:
        """Whether a Value that the function used is gone."""
        return bool(self._gone)

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
        self._draws, self._streams = recording.draws, recording.streams
        self._returned = recording.returned
        self._arguments, self._varying = [
            slice(spans[kind][0], sum(spans[kind])) for kind in ("argument", "varying")
        ]
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
        self._passed = [move for move in moves if isinstance(move[0], int)]
        taken = [move for move in moves if isinstance(move[0], Value)]
        for leaf, kind, source, _ in taken:
            if kind == "grad" and source >= 0 and leaf.grad is None:  # the eager call raises too
                raise no_gradient(leaf.label)
        leaves = list(dict.fromkeys(leaf for leaf, *_ in taken))
        link(leaves)
        # The leaves belong to the user: where one is gone, so is what the function did with it.
        self._links = [ref(leaf._right, self._gone.append) for leaf in leaves]
        self._reads: list[tuple[Any, Floats, Any]] = []
        self._writes: list[tuple[Any, Floats, Any]] = []
        stores: dict[tuple[int, str], list[tuple[Link, int, int]]] = {}
        self._stores = list(dict.fromkeys(leaf._right.store for leaf in leaves))
        for leaf, kind, source, target in taken:
            place = leaf._right
            stores.setdefault((id(place.store), kind), []).append((place, source, target))
        for (_, kind), entries in stores.items():
            numbers = getattr(entries[0][0].store, kind)
            for kept, moved in (
                (self._reads, [(place.index, source) for place, source, _ in entries]),
                (self._writes, [(place.index, target) for place, _, target in entries]),
            ):
                pairs = np.array([pair for pair in moved if pair[1] >= 0])
                if len(pairs):
                    kept.append((selector(pairs[:, 1]), numbers, selector(pairs[:, 0])))
        self._first_result = len(out)
        self._results = recording.results
        gradients = [target for _, kind, _, target in moves if kind == "grad" and target >= 0]
        for result in recording.results:
            if isinstance(result, Result):
                gradients.append(len(out) + 1)
                out += [address[result.data], address[result.grad]]
            elif isinstance(result, int):
                out.append(address[result])
        self._out = np.array(out, dtype=np.int64)
        self._is_gradient = np.isin(np.arange(len(out)), gradients)

    def uses(self, value: Value) -> bool:
        """Whether a leaf is one of those that were captured."""
        return isinstance(value, Linked) and any(place() is value._right for place in self._links)

    def changed(self) -> str | None:
        """What the recording took for fixed and is not so any more; None if it holds."""
        if self.is_dead:
            return "a Value that is gone"
        for read, value in self.guards:
            if read() != value:
                return "a setting"
        return self._watch.changed()

    def replay(self, numbers: array[float], passed: Sequence[Value]) -> Any:
        """What the function returns for these arguments; UNSURE if it has to be run eagerly.

        Then nothing has changed, streams of random numbers included.
        """
        memory = self._code.memory
        if numbers:
            memory[self._arguments] = np.frombuffer(numbers)
        streams = [stream() for stream in self._streams]
        positions = [stream.getstate() for stream in streams]
        if self._draws:
            memory[self._varying] = [float(read()) for read in self._draws]
        for place, store, where in self._reads:
            memory[place] = store[where]
        for k, kind, source, _ in self._passed:
            if source >= 0:
                memory[source] = getattr(passed[k], kind)
        self._code.run()
        out = memory[self._out]
        if memory[0] != 0.0 or not (np.isfinite(out).all() or self._are_eager_gradients(out)):
            for stream, position in zip(streams, positions, strict=True):
                stream.setstate(position)
            self.unsure += 1
            return UNSURE
        for place, store, where in self._writes:
            store[where] = out[place]
        for k, kind, _, target in self._passed:
            if target >= 0:
                setattr(passed[k], kind, float(out[target]))
        self.replays += 1
        found = iter(out[self._first_result :].tolist())
        results = [
            _result(next(found), next(found), result)
            if isinstance(result, Result)
            else next(found)
            if isinstance(result, int)
            else passed[result.position]
            if isinstance(result, Passed)
            else result
            for result in self._results
        ]
        structure, plain = self._returned
        if structure == "Value":
            return results[0]
        return build(structure, iter(plain).__next__, iter(results).__next__)

    def _are_eager_gradients(self, out: Any) -> bool:
        """Whether what is not finite are gradients only, which the eager run would have too.

        Eagerly a node whose gradient is 0 passes nothing on. A replay multiplies, and 0 * inf is
        nan: where a product has these two factors, the eager run has to tell.
        """
        if not (np.isfinite(out) | self._is_gradient).all():
            return False
        finite, zero = np.isfinite(self._code.memory), self._code.memory == 0.0
        left, right = self._factors
        return not (zero[left] & ~finite[right] | zero[right] & ~finite[left]).any()

    def note_eager_result(self) -> None:
        """An unsure call gave a result; where that is the rule, it is worth a warning."""
        self._eager_results += 1
        if self._eager_results == _MANY and not self.replays:
            warnings.warn(
                f"{self.name} is recorded, but each of its {_MANY} calls was done eagerly: a number"
                " is not finite, or an operation might raise",
                RuntimeWarning,
                stacklevel=3,
            )

    def state(self) -> list[tuple[Any, Any, Any]]:
        """(store, its numbers, its gradients) for the leaves it uses; see `put_back`."""
        return [(store, store.data.copy(), store.grad.copy()) for store in self._stores]

    def draw(self, direction: str = "LR") -> Drawing:
        """A picture: a box for each group of operations, arrows for the numbers that flow."""
        return draw_program(self._outline, self.name, direction)

    def __str__(self) -> str:
        results = {
            "trace": f"{self.recorded:,} nodes recorded",
            "simplify": f"{self.simplified:,} nodes left",
            "schedule": f"{self.scheduled:,} numbers in {self.groups:,} groups",
            "compile": f"{self.bytes / 1024:,.0f} KiB, {self.backend} backend",
        }
        eager = f", {_counted(self.unsure, 'call')} done eagerly" if self.unsure else ""
        lines = [f"{self.name}: {_counted(self.replays, 'replay')}{eager}"]
        lines += [f"  {k:9}{self.seconds[k]:7.3f} s   {text}" for k, text in results.items()]
        return for_stream("\n".join(lines))

    def __repr__(self) -> str:
        done = _counted(self.replays, "replay")
        return for_stream(f"<program of {self.name}: {self.simplified:,} nodes, {done}>")


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


UNSURE: Any = object()
_MANY = 8  # so many calls done eagerly, and none replayed, are worth a warning
