"""How does a training step run without Python? Recorded once, simplified, scheduled, replayed.

    trace.py      run the function on recorded Values, and note down what it does
    simplify.py   the same numbers from fewer operations
    schedule.py   alike operations side by side, in strided runs
    run.py        carried out with NumPy;  native.py: with kernels compiled by LLVM
    program.py    numbers in, kernels, a look for trouble, numbers out

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

import functools
import gc
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from autograd import modes
from autograd.jit.program import UNSURE, Program
from autograd.jit.structure import flatten
from autograd.jit.trace import TraceError, record
from autograd.value import Value

__all__ = ["Jitted", "Program", "TraceError", "jit"]


class Jitted:
    """A function that is recorded once for each structure of its arguments, and replayed.

    Attributes:
        programs: the recordings there are.
    """

    def __init__(self, function: Callable[..., Any], backend: str | None = None) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.function = function
        self.backend = _backend(backend)
        self._programs: dict[Any, list[Program]] = {}
        self._lock = threading.RLock()

    @property
    def programs(self) -> list[Program]:
        """The recordings there are, the oldest first."""
        return [program for programs in self._programs.values() for program in programs]

    def __repr__(self) -> str:
        return f"<jitted {self.__name__}, {len(self.programs)} programs>"

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        raise TypeError(
            f"{self.__name__} is a method: jit a function that calls it, or jit(instance.method)"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        mode = modes.current.get()
        if mode.tracer is not None or mode.checking:
            return self.function(*args, **kwargs)  # part of another recording, or step by step
        numbers = array("d")
        passed: list[Value] = []
        structure = flatten((args, kwargs), numbers, passed)
        with self._lock:
            program = self._program(structure, numbers, passed)
            draws: list[float] = []
            result = program.replay(numbers, passed, draws)
            if result is not UNSURE:
                return result
            return self._eagerly(program, args, kwargs, draws)

    def _program(self, structure: Any, numbers: array[float], passed: list[Value]) -> Program:
        key = structure, modes.current.get().recording
        programs = self._programs.setdefault(key, [])
        for program in programs:
            if program.holds():
                break
        else:
            with _collector_paused():  # a recording makes many objects, and no cycles
                start = time.perf_counter()
                recording = record(self.function, structure, len(numbers), passed)
                seconds = time.perf_counter() - start
                program = Program(self.__name__, recording, self.backend, seconds)
                del recording
            programs.append(program)
        for value in passed:
            _check_passed(value, program)
        if len(set(passed)) < len(passed):
            raise TraceError("one Value was passed twice: pass it once, and use it twice inside")
        return program

    def _eagerly(self, program: Program, args: Any, kwargs: Any, draws: list[float]) -> Any:
        """Run the function itself; where it raises, every leaf is as before."""
        before = program.state()
        try:
            with modes.repeating(draws):
                return self.function(*args, **kwargs)
        except BaseException:
            for array, copy in before:
                array[:] = copy
            raise


def _check_passed(value: Value, program: Program) -> None:
    if value.parents:
        raise TraceError(
            f"{value!r} was computed outside: a gradient cannot flow on from there; pass .detach()"
            " of it, or compute it inside"
        )
    if value in program.leaves:
        raise TraceError(f"{value!r} is both passed to the function and used by it from outside")


@contextmanager
def _collector_paused() -> Iterator[None]:
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _backend(name: str | None) -> str:
    if name not in (None, "native", "numpy"):
        raise ValueError(f"there are the backends 'native' and 'numpy', not {name!r}")
    if name is None:
        return "native" if find_spec("llvmlite") else "numpy"
    if name == "native" and not find_spec("llvmlite"):
        raise ImportError("the native backend needs llvmlite: pip install 'scalar-autograd[jit]'")
    return name


def jit(
    function: Callable[..., Any] | None = None,
    *,
    backend: str | None = None,
) -> Any:
    """A function recorded once and then replayed without Python; also a decorator.

    Args:
        function: takes numbers, Values, and nests of them; builds Values; may call `backward()`,
            `grad()` and an optimizer's `step()`; returns Values in any nesting.
        backend: "native" or "numpy"; by default the fastest that is installed.
    """
    if function is None:
        return functools.partial(jit, backend=backend)
    return Jitted(function, backend)


class _Decorator(ModuleType):
    """This package, as the decorator of the same name: `from autograd import jit` gives either."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return jit(*args, **kwargs)


sys.modules[__name__].__class__ = _Decorator
