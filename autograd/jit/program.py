"""How is a recording replayed? Read numbers, run, check, write numbers.

A replay computes in its own memory, and writes back only if every number is finite. If one is not,
or an operation might have raised, the function is called eagerly instead, so the user sees what an
eager call does: the same error with the same message, or the same infinities. A gradient may be nan
or infinite if the eager one is, too: that of an exponent is nan for a base below 0.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from autograd import ops
from autograd.draw import Drawing
from autograd.jit.backends import code_for, replays_until_compiled
from autograd.jit.graph import SUM
from autograd.jit.leaves import at_once
from autograd.jit.picture import draw_program
from autograd.jit.ports import Ports
from autograd.jit.results import Returned
from autograd.jit.schedule import Addresses, schedule
from autograd.jit.simplify import simplify
from autograd.jit.structure import Call
from autograd.jit.tracer import Tracer
from autograd.jit.watch import Watch
from autograd.text import counted, for_stream


class Program:
    """One recording of a function, ready to be replayed.

    Attributes:
        name, backend: that of the function, and the current one, "native" or "numpy".
        recorded, simplified: the number of nodes after these stages.
        scheduled, groups: how many numbers a replay computes, and in how many groups.
        seconds: how long each stage took, by name.
        replays, checks: how many there were so far, and how many of them were checked.
        until_compiled: after how many replays on NumPy it is compiled; 0 if the backend is fixed.
        number: of the call that was recorded, or of the latest one checked.
        unsure, unsure_in_a_row: how many calls ran eagerly because of their numbers, of all and of
            the latest ones.
        first, constant: the bytes of the numbers in the recorded call, and the slices of the
            arguments that have been the same in each check since.
        guards: (read, result): the program holds while `read` returns the same result.
        draws, streams: see Tracer.
    """

    def __init__(
        self,
        name: str,
        call: Call,
        tracer: Tracer,
        returned: Returned,
        watch: Watch,
        backend: str | None,
    ) -> None:
        self.name, self.backend = name, backend or "numpy"
        self.replays = self.checks = self.unsure = self.unsure_in_a_row = 0
        self.watch, models = watch, set(map(id, watch.models))
        self.guards = [
            (read, found)
            for read, found, of in tracer.guards
            if id(of) not in models  # else the watch guards what `read` reads
            if read() == found  # else the call made this setting itself, and took it back
        ]
        self.draws, self.streams = tracer.draws, list(tracer.streams)
        self.returned, self.number = returned, call.number
        self.first = bytes(call.numbers)
        ends = [0, *[end for *_, end in call.structure]]
        self.constant = [slice(start, end) for start, end in pairwise(ends) if start < end]
        self.seconds, self._since = {"check": 0.0}, tracer.began
        self._lap("trace")
        graph, (reads, writes) = tracer.tape, tracer.ports(call.passed)
        self.recorded = len(graph)
        outputs = [(port.node, port.kind) for port in writes] + returned.nodes()
        outputs += [(node, "compared") for node in graph.compared()]
        self._is_gradient = np.array([kind == "grad" for _, kind in outputs], dtype=bool)
        wanted = [node for node, _ in outputs]
        simplify(graph, wanted)
        self.simplified = len(graph) - graph.operations.count(None)
        self._lap("simplify")
        counts = {"argument": len(call.numbers) // 8, "varying": len(self.draws)}
        counts |= dict.fromkeys(["data", "grad"], len({port.leaf for port in reads}))
        plan, address = schedule(graph, counts, wanted)
        self._plan = plan
        self.groups = len(plan.groups)
        self.scheduled = sum(len(group.operands) for group in plan.groups)
        self._lap("schedule")
        self._code = code_for(plan, self.backend)
        self.until_compiled = replays_until_compiled(plan) if backend is None else 0
        self._lap("compile")
        self.ports = Ports(reads, writes, plan, address)

    def _lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._since = now - self._since, now

    @property
    def bytes(self) -> int:
        """The size in bytes of the memory, the plan and the code."""
        plan = [group.operands.nbytes for group in (*self._plan.groups, self._plan.outputs)]
        return sum([self._code.memory.nbytes, self._code.nbytes, *plan])

    def _compile(self) -> None:
        """Switch to compiled code. No state is copied, as each replay reads all numbers."""
        self._since = time.perf_counter()
        try:
            self._code = code_for(self._plan, "native")
            self.backend = "native"  # last, so that after a Ctrl-C the next replay compiles
        except (ImportError, OSError) as error:  # llvmlite is installed but does not load
            self.until_compiled = 0
            warnings.warn(f"{self.name} stays on NumPy: {error}", RuntimeWarning, stacklevel=6)
        self._lap("compile")

    def changed(self) -> str | None:
        """Name something that the recording depends on and that has changed; None if it holds."""
        if self.ports.gone:
            return "a Value that is gone"
        for read, found in self.guards:
            if read() != found:
                return "a setting"
        return None if self.watch.holds() else self.watch.changed()

    def still_constant(self, numbers: bytearray) -> list[slice]:
        """Return the slices in `constant` where these numbers are still the same."""
        return [place for place in self.constant if numbers[place] == self.first[place]]

    def replay(self, call: Call, is_disturbed: Callable[[], bool]) -> Any:
        """Return what the function returns in this call, or UNSURE if it must run eagerly.

        If UNSURE, nothing has changed, including the streams of random numbers.

        is_disturbed: whether other code, such as a signal handler, has run the function since the
            call began or this was last asked; if so, the replay starts again, with the same draws.
        """
        if self.backend == "numpy" and 0 < self.until_compiled <= self.replays:
            self._compile()
        positions = [(stream(), stream().getstate()) for stream in self.streams]
        draws = [float(read()) for read in self.draws]
        while True:
            out = self.run(draws) if self.read(call) else UNSURE
            if out is UNSURE:
                for stream, position in positions:
                    stream.setstate(position)
                return UNSURE
            writes = self.ports.writes(out, call.passed)
            if not is_disturbed():
                at_once(writes)
                break
        self.replays += 1
        return self.returned.rebuilt(out[len(self.ports.targets) :].tolist(), call.passed)

    def read(self, call: Call) -> bool:
        """Copy the arguments and current leaves into the memory; return whether to `run`."""
        return self.ports.read(self._code.memory, call.numbers, call.passed)

    def run(self, draws: Sequence[float]) -> Any:
        """Return the outputs for what has been read and these draws, or UNSURE."""
        memory = self._code.memory
        if draws:
            memory[self._plan.spans["varying"]] = draws
        self._code.run()
        out = self._code.outputs
        if memory[0] == 0.0 or self._are_eager_gradients():
            self.unsure_in_a_row = 0
            return out
        self.unsure += 1
        self.unsure_in_a_row += 1
        return UNSURE

    def _are_eager_gradients(self) -> bool:
        """Whether only gradients are non-finite, and those of the eager call would be the same.

        Eagerly, a node whose gradient is 0 passes nothing on. A replay multiplies, and 0 * inf is
        nan, so a product of a zero and a non-finite factor needs the eager call.
        """
        if not (np.isfinite(self._code.outputs) | self._is_gradient).all():
            return False
        memory = self._code.memory
        finite = np.isfinite(memory)
        factors: list[Addresses] = [np.zeros((0, 2), np.int32)]
        for primitive, start, operands in self._plan.groups:
            if primitive is SUM or primitive is ops.mul:
                factors.append(operands.reshape(-1, 2))
                continue
            # Others may have raised. Do not trust a user's own primitive that claims to be total.
            never_raises = primitive.total and ops.is_row(primitive)
            if not never_raises and not finite[start : start + len(operands)].all():
                return False
        kind = np.where(finite, memory == 0.0, 2).astype(np.uint8)  # 1: zero, 2: non-finite
        left, right = np.concatenate(factors).T
        return not (kind[left] + kind[right] == 3).any()

    def draw(self, direction: str = "LR") -> Drawing:
        """Draw a box for each group of operations, and arrows for the numbers that flow."""
        return draw_program(self._plan, self.name, direction)

    def __str__(self) -> str:
        backend = f"{self.backend} backend"
        if self.until_compiled:
            begun = "NumPy so far" if self.backend == "numpy" else backend
            backend = f"{begun}; compiled after {counted(self.until_compiled, 'replay')}"
        results = {
            "trace": f"{counted(self.recorded, 'node')} recorded",
            "simplify": f"{counted(self.simplified, 'node')} left",
            "schedule": f"{counted(self.scheduled, 'number')} in {counted(self.groups, 'group')}",
            "compile": f"{self.bytes / 1024:,.0f} KiB, {backend}",
            "check": f"{counted(self.checks, 'replay')} equal to the eager call, bit for bit",
        }
        eager = f", {counted(self.unsure, 'call')} done eagerly" if self.unsure else ""
        lines = [f"{self.name}: {counted(self.replays, 'replay')}{eager}"]
        lines += [f"  {k:9}{self.seconds[k]:7.3f} s   {text}" for k, text in results.items()]
        return for_stream("\n".join(lines))

    def __repr__(self) -> str:
        done = counted(self.replays, "replay")
        return for_stream(f"<program of {self.name}: {counted(self.simplified, 'node')}, {done}>")


UNSURE: Any = object()  # see Program.replay
