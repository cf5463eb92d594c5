"""When is a function recorded, and when replayed? `jit`, and the `Jitted` function it makes."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from array import array
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from autograd.collector import collector_paused
from autograd.context import current, entered
from autograd.eager import Eager
from autograd.jit.backends import backend_named
from autograd.jit.leaves import put_back
from autograd.jit.program import UNSURE, Program
from autograd.jit.record import Recording, Unrecorded, record
from autograd.jit.refusal import TraceError, line_of
from autograd.jit.structure import Static, flatten, objects_in
from autograd.jit.watch import Watch
from autograd.text import for_stream
from autograd.value import Value

# Whether an eager call is under way that takes the place of a replay.
_is_eager_call: ContextVar[bool] = ContextVar("is_eager_call", default=False)
# After this many recordings of which none was replayed, recording again is no use.
_TOO_MANY = 32
# A recording changes the class of every Value in the process, so there is one at a time.
_one_recording = threading.RLock()


class Jitted:
    """A function that is recorded once for each structure of its arguments, and replayed.

    Attributes:
        programs: the programs it has, one for each recording.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        backend: str | None = None,
        static: str | Iterable[str] = (),
    ) -> None:
        if not callable(function):
            raise TypeError(f"jit takes a function, not {function!r}")
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        inner = inspect.unwrap(function)
        if (
            inspect.isgeneratorfunction(inner)
            or inspect.iscoroutinefunction(inner)
            or inspect.isasyncgenfunction(inner)
        ):
            raise TypeError(f"{self.__name__} does not return at once: jit takes plain functions")
        self.function = function
        self.backend = backend_named(backend)
        self.static = frozenset([static] if isinstance(static, str) else static)
        self._static_places = _places(function, self.static)
        self._programs: dict[Any, list[Program]] = {}
        self._lock = threading.RLock()

    @property
    def programs(self) -> list[Program]:
        """The programs it has, the oldest first."""
        return [program for programs in self._programs.values() for program in programs]

    def __repr__(self) -> str:
        return for_stream(f"<jitted {self.__name__}, {len(self.programs)} programs>")

    def __reduce__(self) -> tuple[Any, ...]:
        return Jitted, (self.function, self.backend, self.static)  # a copy has no programs yet

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        raise TypeError(
            f"{self.__name__} is a method: jit a function that calls it, or jit(instance.method)"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        if not isinstance(current.get().interpreter, Eager) or _is_eager_call.get():
            # Part of another recording, checked by detect_anomaly, or in the place of a replay.
            return self.function(*args, **kwargs)
        numbers = array("d")
        passed: list[Value] = []
        given: Any = (args, kwargs)
        if self.static:
            given = (
                tuple([Static(x) if i in self._static_places else x for i, x in enumerate(args)]),
                {name: Static(x) if name in self.static else x for name, x in kwargs.items()},
            )
        try:
            structure = flatten(given, numbers, passed)
        except OverflowError:  # an int too large for a float: the eager error names the operation
            return self.function(*args, **kwargs)
        for value in passed:
            if value.parents:
                raise TraceError(
                    f"{value!r} was computed outside: a gradient cannot flow on from there; pass"
                    " .detach() of it, or compute it inside"
                )
        if len(set(passed)) < len(passed):
            raise TraceError("one Value was passed twice: pass it once, and use it twice inside")
        with self._lock:
            stopped = None
            try:
                program = self._program(structure, numbers, passed)
            except Unrecorded as unrecorded:
                stopped = unrecorded
                before: list[Any] = [(leaf, leaf.data, leaf.grad) for leaf in stopped.leaves]
            else:
                result = program.replay(numbers, passed)
                if result is not UNSURE:
                    return result
                before = program.state()
            before += [(value, value.data, value.grad) for value in passed]
            try:
                with entered(_is_eager_call, True):
                    result = self.function(*args, **kwargs)
                if stopped is None:
                    program.note_eager_result()
                else:  # it raises when recorded, but not eagerly
                    raise TraceError(
                        f"this works for plain numbers only ({stopped.__cause__}): do it outside,"
                        f" and pass what it gives ({line_of(stopped.__cause__ or stopped)})"
                    )
                return result
            except BaseException:
                for holder, data, grad in before:
                    put_back(holder, data, grad)
                raise

    def _program(self, structure: Any, numbers: array[float], passed: list[Value]) -> Program:
        """The program to replay; recorded now if none has this structure and still holds."""
        key = structure, current.get().interpreter
        programs = self._programs.get(key, [])
        changed = None
        for program in reversed(programs):
            changed = program.changed()
            if changed is None:
                break
        else:
            recent = programs[-_TOO_MANY:]
            if len(recent) == _TOO_MANY and not any(program.replays > 1 for program in recent):
                raise TraceError(
                    f"{self.__name__} was recorded {_TOO_MANY} times, because what it uses changes"
                    f" from call to call: {changed}; pass it as an argument"
                )
            program = self._recorded(structure, numbers, passed)
            self._drop_dead_programs()
            self._programs.setdefault(key, []).append(program)
        for value in passed:
            if program.uses(value):
                raise TraceError(
                    f"{value!r} is both passed to the function and used by it from outside"
                )
        return program

    def _recorded(self, structure: Any, numbers: array[float], passed: list[Value]) -> Program:
        with _one_recording, collector_paused():  # it makes many objects, and no cycles
            start = time.perf_counter()
            named = [self.function, *objects_in(structure)]
            recording, watch = self._attempt(named, structure, len(numbers), passed)
            seconds = time.perf_counter() - start
            return Program(self.__name__, recording, watch, self.backend, seconds)

    def _attempt(
        self, named: list[Any], structure: Any, arguments: int, passed: list[Value]
    ) -> tuple[Recording, Watch]:
        """A recording in which the function changed nothing, and a watch on what it depends on."""
        before = watch = Watch(named)
        changed = None
        try:
            for _ in range(2):  # what it makes in the first run and keeps is there in the second
                recording = record(self.function, structure, arguments, passed)
                if watch.has_taken():
                    raise TraceError(
                        f"{self.__name__} takes from an iterator, which a replay would not: take it"
                        " outside, and pass what it gives"
                    )
                changed = watch.changed()
                if changed is None:
                    return recording, watch
                watch = Watch(named)
        except TraceError:
            if changed is None:
                raise
        before.put_back()
        raise TraceError(
            f"{self.__name__} changes {changed}, which a replay would not: return it, or keep it in"
            " a Value and assign() that"
        )

    def _drop_dead_programs(self) -> None:
        """Drop the programs that use Values or arguments which no longer exist."""
        for key, programs in list(self._programs.items()):
            alive = all(thing is not None for thing in objects_in(key[0]))
            kept = [program for program in programs if alive and not program.is_dead]
            if kept:
                self._programs[key] = kept
            else:
                del self._programs[key]


def _places(function: Callable[..., Any], static: frozenset[str]) -> frozenset[int]:
    """The positions of arguments that are named static."""
    if not static:
        return frozenset()
    parameters = inspect.signature(function).parameters
    takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in static:
        if name not in parameters and not takes_more:
            raise ValueError(f"there is no argument {name!r} that could be static")
    return frozenset([i for i, name in enumerate(parameters) if name in static])


def jit(
    function: Callable[..., Any] | None = None,
    *,
    backend: str | None = None,
    static: str | Iterable[str] = (),
) -> Any:
    """A function that is recorded once and then replayed without Python; also a decorator.

    Args:
        function: takes numbers, Values, and nested lists, tuples, dicts and arrays of them;
            computes with Values; may call `backward()`, `grad()` and an optimizer's `step()`;
            returns Values in any nesting.
        backend: "native" or "numpy"; by default the fastest that is installed.
        static: names of arguments that are part of the program, such as a number of layers: each
            new value of them triggers a new recording.

    A replay reads leaves, gradients and `optimizer.lr` at each call, so assignments between calls
    count. Everything else that the function names is guarded: globals, closures, attributes, the
    entries of lists and dicts (of numbers, up to 1,000 in one), the settings of models and
    optimizers. If one has changed, the function is recorded again. Strings, booleans and callables
    among the arguments are static. Numbers from elsewhere (a file, a NumPy array that is not an
    argument) are read once. Dropout and other draws of `nn` are repeated at each replay.

    An error inside a replay is the eager run's own, and leaves everything as it was. A gradient
    that is nan or infinite in the eager run is replayed like any other; where another number is not
    finite, the call is done eagerly. NumPy's own functions of an array of arguments may differ in
    the last bits. `print(program)` has a line for each stage.

    A call raises TraceError where code looks at a recorded number (`float(v)`, `if v > 0`) or
    changes anything but Values (a counter, a list).

    Raises TypeError for what is not a plain function, ValueError for an unknown backend or
    argument, ImportError for a backend that is not installed.
    """
    if function is None:
        return functools.partial(jit, backend=backend, static=static)
    return Jitted(function, backend, static)
