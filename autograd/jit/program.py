"""How is a recording replayed? Read numbers, run, check, write numbers.

A replay computes in memory of its own, and writes back what it changes only if every number came
out finite. If one did not, or an operation might have raised, the function is called eagerly
instead: so the user sees what an eager call does, the same error with the same message, or the same
infinities. Gradients may be nan or infinite where the eager ones are too: that of an exponent is
nan for a base below 0.
"""

from __future__ import annotations

import time
import warnings
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograd import ops
from autograd.draw import Drawing
from autograd.jit.backends import code_for
from autograd.jit.picture import draw_program, outline
from autograd.jit.ports import Ports
from autograd.jit.record import Passed, Recording, Result
from autograd.jit.schedule import Plan, schedule
from autograd.jit.simplify import simplify
from autograd.jit.structure import build
from autograd.jit.watch import Watch
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


def _wanted(recording: Recording) -> set[int]:
    """The nodes that a replay has to compute: what leaves become, and what is returned."""
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
    return wanted


def _factors(plan: Plan) -> NDArray[np.int32]:
    """The addresses of the two factors of every product, [2, products]."""
    products = [
        group.operands.reshape(-1, 2)
        for group in plan.groups
        if group.primitive is None or group.primitive is ops.mul
    ]
    pairs = np.concatenate([np.empty((0, 2), np.int32), *products], dtype=np.int32)
    return pairs.T.copy()


class Program:
    """One recording of a function, ready to be replayed.

    Attributes:
        name: of the function. backend: "native" or "numpy".
        recorded, simplified: how many nodes there were after these stages.
        scheduled: how many numbers a replay computes; fewer, as products are parts of sums.
        groups: how many groups of alike operations these are.
        bytes: the size of the memory, and of the lists that drive it.
        seconds: how long each stage took, by name.
        replays: how many there were so far.
        unsure: how many calls could not be replayed and were done eagerly.
        guards: (read, what it gave): the program holds only while `read` gives the same.
    """

    def __init__(
        self, name: str, recording: Recording, watch: Watch, backend: str, seconds: float
    ) -> None:
        self.name, self.backend = name, backend
        self.replays = self.unsure = self._eager_results = 0
        self.guards, self._watch = recording.guards, watch
        self._draws, self._streams = recording.draws, recording.streams
        self._returned, self._results = recording.returned, recording.results
        self.seconds = {"trace": seconds}
        self._since = time.perf_counter()
        graph = recording.graph
        self.recorded = len(graph)
        now = simplify(graph, _wanted(recording))
        self.simplified = len(graph) - graph.operations.count(None)
        self._lap("simplify")
        leaves = len(recording.leaves)
        counts = {
            "argument": recording.arguments,
            "varying": len(recording.draws),
            "data": leaves,
            "grad": leaves,
        }
        plan = schedule(graph, now.values(), counts)
        self.groups = len(plan.groups)
        self.scheduled = sum(len(group.nodes) for group in plan.groups)
        self._outline = outline(plan)
        self._lap("schedule")
        self._factors = _factors(plan)
        self._code = code_for(plan, backend)
        self.bytes = self._code.memory.nbytes + self._code.nbytes + self._factors.nbytes
        self._lap("compile")
        self._ports = Ports(recording, graph, plan, now)

    @property
    def is_dead(self) -> bool:
        """Whether a Value that the function used no longer exists."""
        return bool(self._ports.gone)

    def _lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._since = now - self._since, now

    def uses(self, value: Value) -> bool:
        """Whether a leaf is one of those that the function captured."""
        return self._ports.uses(value)

    def changed(self) -> str | None:
        """What the recording depends on and is not the same any more; None if it still holds."""
        if self.is_dead:
            return "a Value that is gone"
        for read, value in self.guards:
            if read() != value:
                return "a setting"
        return self._watch.changed()

    def replay(self, numbers: array[float], passed: Sequence[Value]) -> Any:
        """What the function returns for these arguments; UNSURE if it has to be run eagerly.

        If it is UNSURE nothing has changed, streams of random numbers included.
        """
        code, ports = self._code, self._ports
        streams = [stream() for stream in self._streams]
        positions = [stream.getstate() for stream in streams]
        ports.read(code.memory, numbers, passed, self._draws)
        code.run()
        out = code.memory[ports.addresses]
        if code.memory[0] != 0.0 or not (np.isfinite(out).all() or self._are_eager_gradients(out)):
            for stream, position in zip(streams, positions, strict=True):
                stream.setstate(position)
            self.unsure += 1
            return UNSURE
        ports.write(out, passed)
        self.replays += 1
        found = iter(out[ports.first_result :].tolist())
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
        """Whether only gradients are not finite, and the eager call would have the same.

        Eagerly a node whose gradient is 0 passes nothing on. A replay multiplies, and 0 * inf is
        nan: where a product has these two factors, only the eager call knows.
        """
        if not (np.isfinite(out) | self._ports.is_gradient).all():
            return False
        finite, zero = np.isfinite(self._code.memory), self._code.memory == 0.0
        left, right = self._factors
        return not (zero[left] & ~finite[right] | zero[right] & ~finite[left]).any()

    def note_eager_result(self) -> None:
        """An UNSURE call gave a result eagerly. Warns once if no call is ever replayed."""
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
        return [(store, store.data.copy(), store.grad.copy()) for store in self._ports.stores]

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


UNSURE: Any = object()  # see Program.replay
_MANY = 8  # calls that were done eagerly, before a warning
