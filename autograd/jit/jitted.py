"""When is a function recorded, and when replayed? A `Jitted` function decides; `jit` makes it."""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from itertools import takewhile
from operator import attrgetter
from typing import Any, Generic, ParamSpec, TypeVar, overload
from weakref import WeakKeyDictionary

from autograd import hooks
from autograd.clock import clock
from autograd.context import OUTSIDE, current, entered, name_of
from autograd.eager import Eager
from autograd.jit.backends import backend_named
from autograd.jit.check import CAUSES, checked
from autograd.jit.contents import read
from autograd.jit.leaves import at_once, undoing
from autograd.jit.program import UNSURE, Program
from autograd.jit.record import record
from autograd.jit.recorded import tracer_here
from autograd.jit.refusal import TraceError, is_interrupt, line_of
from autograd.jit.results import as_replayed
from autograd.jit.structure import Call, Identical, Static, flatten, objects_in
from autograd.jit.tracer import Tracer
from autograd.jit.watch import Watch
from autograd.locks import Lock
from autograd.text import counted, for_stream, quoted
from autograd.value import Value

P = ParamSpec("P")
R = TypeVar("R")

# Whether the current code runs inside an eager call of a jitted function.
_is_eager_call: ContextVar[bool] = ContextVar("is_eager_call", default=False)
_TOO_MANY = 32  # After this many recordings in a row, with few replays between, calls stay eager.
_MANY = 8  # Warn after this many calls in a row that had a program but ran eagerly.


class _Programs(WeakKeyDictionary[Any, Any]):
    """The programs recorded for a model, by jitted function. Copies and pickles are empty."""

    def __deepcopy__(self, memo: Any) -> _Programs:
        return _Programs()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Programs, ()


class Jitted(Generic[P, R]):
    """A function that is recorded once for each structure of its arguments, then replayed."""

    def __init__(
        self,
        function: Callable[P, R],
        backend: str | None = None,
        static: str | Iterable[str] = (),
        check: str = "sometimes",
    ) -> None:
        if not callable(function):
            raise TypeError(f"jit takes a function, not {quoted(function)}")
        if check not in ("always", "sometimes", "never"):
            raise ValueError(f'check is "always", "sometimes" or "never", not {quoted(check)}')
        functools.update_wrapper(self, function)
        self.__name__ = name_of(function)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        inner = inspect.unwrap(function)
        kinds = inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction
        if any(is_kind(inner) for is_kind in kinds):
            raise TypeError(f"{self.__name__} is a generator or async: jit takes plain functions")
        self.function = function
        self.backend = backend_named(backend)
        self.static = frozenset([static] if isinstance(static, str | int | None) else static)
        self.check = check
        self._static = self.static | _places(function, self.static)
        self._programs: dict[Any, list[Program]] = {}
        self._all = WeakKeyDictionary[Program, None]()
        self._calls = self._first_calls = self._recordings = 0  # replays reset the last two
        self._has_warned = False
        self._lock = Lock()  # with a note while a call is under way
        self._is_disturbed = False

    @property
    def programs(self) -> list[Program]:
        """The current programs, oldest first."""
        return [program for each in self._all.keyrefs() if (program := each())]

    def __repr__(self) -> str:
        return for_stream(f"<jitted {self.__name__}, {counted(len(self._all), 'program')}>")

    def __reduce__(self) -> Any:
        if read(attrgetter(self.__qualname__), sys.modules.get(self.__module__)) is self:
            return self.__qualname__  # pickled by name, like a function
        return Jitted, (self.function, self.backend, self.static, self.check)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        raise TypeError(
            f"{self.__name__} is a method: jit a function that calls it, or jit(instance.method)"
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, or replay a recording of it."""
        if not isinstance(current.get().interpreter, Eager) or _is_eager_call.get():
            # Inside another recording, detect_anomaly, or an eager call.
            if (tracer_here() or self._lock.notes) and is_interrupt():
                self._is_disturbed = True  # by a signal handler, whose call is not to be recorded
                with entered(current, OUTSIDE):
                    return self.function(*args, **kwargs)
            return self.function(*args, **kwargs)
        structure: list[Any] = []
        passed: list[Value] = []
        numbers = bytearray()
        for key, x in (*enumerate(args), *kwargs.items()):
            part = flatten(Static(x) if key in self._static else x, numbers, passed)
            structure.append((key, part, len(numbers)))
        for value in passed:
            if value._left is not None:
                raise TraceError(
                    f"{value!r} was computed outside: no gradient could flow back through it; pass"
                    " .detach() of it, or compute it inside"
                )
        if len(set(passed)) < len(passed):
            [(twice, _)] = Counter(passed).most_common(1)
            raise TraceError(f"{twice!r} was passed twice: pass it once, or pass two Values")
        with self._lock.lock:
            if self._lock.notes:  # the same thread: a signal handler, or a finalizer
                self._is_disturbed = True
                return self.function(*args, **kwargs)
            context = current.get()
            self._lock.notes[:] = [True]  # no call follows before `try`, so no Ctrl-C comes between
            try:
                self._calls, self._is_disturbed = self._calls + 1, False
                call = Call(args, kwargs, tuple(structure), numbers, passed, self._calls)
                answer: R = self._answer(call)
                return answer
            finally:
                del self._lock.notes[:]
                current.set(context)  # a Ctrl-C may have skipped the exit of a `with no_grad()`

    # --- eager, recorded, replayed or checked ---

    def _answer(self, call: Call) -> Any:
        key = call.structure, current.get().interpreter
        (programs, is_first), changed = self._programs_for(key), None
        for program in reversed(programs):
            change = program.changed()
            changed = changed or change  # since the latest recording
            if change is None:
                if program.unsure_in_a_row >= _MANY:  # before the call, as it may be an error
                    self._warn(
                        f"{_MANY} calls in a row were done eagerly: a number is not finite, or an"
                        " operation might raise"
                    )
                return self._replayed(program, programs, call)
        # A program that uses an object that has been replaced would only keep it alive.
        programs[:] = [p for p in programs if not (p.watch.has_lost or p.ports.gone)]
        self._first_calls = self._first_calls + 1 if is_first else 0
        if self._first_calls == _TOO_MANY:
            self._warn(
                f"none of {_TOO_MANY} calls in a row had the argument structure of an earlier call:"
                " pass arrays of one shape, bools as 0/1, functions and static arguments that recur"
            )
        in_vain = takewhile(lambda program: program.replays <= 8, reversed(programs))
        recordings = max(self._recordings, len(list(in_vain)))  # other structures may be replayed
        if is_first or recordings >= _TOO_MANY:
            return self._eager(call, undoing([*Watch(self._things(call)).values, *call.passed]))
        if recordings == _TOO_MANY - 1:
            why = f"because {changed} changes from call to call: pass that, or keep it in a Value"
            if changed is None:
                why = "for new structures, new models or failed operations: call it without jit"
            self._warn(f"it was recorded {_TOO_MANY} times in a row, {why}")
        # A recording makes many objects and no cycles. A `with` written in Python might leave the
        # collector off after a Ctrl-C.
        collects = gc.isenabled()
        try:
            if collects:  # else another thread may turn it on again
                gc.disable()
            return self._recorded(programs, call, changed)
        finally:
            if collects:
                gc.enable()

    def _things(self, call: Call) -> list[Any]:
        """Return the function, and the callables, models and static things in its arguments."""
        return [self.function, *objects_in(call.structure, Identical | Static)]

    def _eager(self, call: Call, undo: list[Any]) -> Any:
        """Run the call eagerly. If it raises, take the steps that undo what it has changed."""
        since = next(clock.numbers)
        try:
            return as_replayed(self._called_plainly(call), since)
        except BaseException:
            at_once(undo)
            raise

    def _called_plainly(self, call: Call) -> Any:
        try:  # a `with` might leave it set after a Ctrl-C
            _is_eager_call.set(True)
            return self.function(*call.args, **call.kwargs)
        finally:
            _is_eager_call.set(False)

    def _recorded(self, programs: list[Program], call: Call, cause: str | None) -> Any:
        """Run the call eagerly while recording it, and add its program to `programs`."""
        tracer = Tracer()
        things = self._things(call)
        watch, effects = Watch(things), Watch(things, everything=True)
        try:
            result, returned = record(self.function, call, tracer)
            streams = [stream() for stream in tracer.streams]  # a replay advances them, too
            changed = watch.changed() or effects.changed(streams)
            if changed is not None and cause is not None:
                # It may be made anew only once after a change: let the next call be recorded.
                tracer.given_up, programs[:] = True, []
            elif changed is not None and not self._is_disturbed:
                raise TraceError(
                    f"{self.__name__} changes {changed}, which a replay would not: do it outside,"
                    " return it, assign() it to a Value, or draw by nn.gauss() or nn.uniform()"
                )
            if not self._is_disturbed and not tracer.given_up:
                program = Program(self.__name__, call, tracer, returned, watch, self.backend)
                self._all[program] = None  # first: after a Ctrl-C no program in use is unlisted
                programs.append(program)
                del programs[:-_TOO_MANY]
            result = as_replayed(result, tracer.start)
            self._recordings += 1  # not after an error, which says why there is no program
            return result
        except BaseException as error:
            is_unclear = isinstance(error, TypeError | AttributeError | LookupError)
            is_refused = is_unclear or isinstance(error, TraceError) or bool(tracer.refusals)
            tracer.undo(streams=is_refused)  # after another error they stay as in an eager call
            if is_refused:
                watch.put_back()
            if tracer.refusals and isinstance(error, Exception) and error not in tracer.refusals:
                raise tracer.refusals[0] from error  # which the function, or C code, replaced
            if not is_unclear:
                raise
            undo = undoing([*watch.values, *call.passed, *tracer.before])
            self._eager(call, undo)  # raises the error again if it is the function's own
            at_once(undo)
            tracer.undo(streams=True)
            watch.put_back()
            raise TraceError(
                f"this works for plain numbers only ({error}): do it outside and pass what it"
                f" gives, or write methods of Values, as in Value(x).exp().data ({line_of(error)})"
            ) from error

    def _replayed(self, program: Program, programs: list[Program], call: Call) -> Any:
        """Replay the program; run the call eagerly if a check is due or the replay is unsure."""
        for value in program.ports.captured(call.passed):
            raise TraceError(
                f"{value!r} is both passed to the function and used by it from outside"
            )
        self._first_calls = 0
        if program.replays > 8:
            self._recordings = 0
        if self._is_due(program, call.numbers):
            return self._checked(program, programs, call)
        result = program.replay(call, self._disturbed)
        if result is not UNSURE:
            return result
        undo = undoing([*program.watch.values, *call.passed], program.ports.stores)
        return self._eager(call, undo)

    def _is_due(self, program: Program, numbers: bytearray) -> bool:
        """Whether to check the next replay: number 1, 8, 64, 512, ...

        The first replay in which an argument varies is checked, too. Only then can a check find
        that a C function such as math.sqrt, which a recording does not see, was applied to it.
        """
        if self.check != "sometimes":
            return self.check == "always"
        if numbers != program.first and program.still_constant(numbers) != program.constant:
            return True
        number = program.replays + 1
        is_power = number & (number - 1) == 0 and number.bit_length() % 3 == 1
        return is_power or hooks.checking.get()

    def _checked(self, program: Program, programs: list[Program], call: Call) -> Any:
        """Run the call eagerly with a replay beside it. Raise TraceError if they differ."""
        undo = undoing([*program.watch.values, *call.passed], program.ports.stores)
        start = time.perf_counter()
        try:
            returned, difference = checked(program, call, self._called_plainly)
        except BaseException:
            at_once(undo)
            raise
        program.seconds["check"] += time.perf_counter() - start
        if difference is None or self._is_disturbed:  # by other code that ran it
            return returned
        programs.remove(program)
        del self._all[program]
        first, last = program.number + (program.checks > 0), call.number - 1
        doubt = f"calls {first} to {last} are in doubt"
        if first >= last:
            doubt = f"call {last} is in doubt" if first == last else "no call before it is in doubt"
        raise TraceError(
            f"{self.__name__}: a replay would not do what call {call.number} did, which was eager:"
            f" {difference}. The state is that of the eager call; {doubt}. Probably {CAUSES}."
        )

    def _disturbed(self) -> bool:
        """Whether other code has run the function since the call began or this was last asked."""
        was, self._is_disturbed = self._is_disturbed, False
        return was

    # --- programs ---

    def _programs_for(self, key: tuple[Any, Any]) -> tuple[list[Program], bool]:
        """Return the programs of a key, and whether it is new. A model passed keeps its own."""
        home, found = self._programs, self._programs.get(key)
        for thing in objects_in(key[0]) if found is None else ():
            space = getattr(thing, "__dict__", None)
            if isinstance(space, dict):
                home = space.setdefault("_programs", _Programs()).setdefault(self, {})
                found = home.get(key)
                break
        if found is not None:
            return found, False
        if list(home.values()).count([]) >= 1_000:  # free what unused structures hold
            used = [item for item in home.items() if item[1]]
            home.clear()  # not one by one: the hash of a static argument may have changed
            home.update(used)
        home[key] = []
        return home[key], True

    def _warn(self, text: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{self.__name__} is not replayed: {text}", RuntimeWarning, stacklevel=4)


def _places(function: Callable[..., Any], static: frozenset[str]) -> frozenset[int]:
    """Return the positions of the arguments named static."""
    if not static:
        return frozenset()
    parameters = inspect.signature(function).parameters
    takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in static:
        p = parameters.get(name)
        if not takes_more if p is None else p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise ValueError(f"there is no argument {name!r} that could be static")
    places = enumerate(parameters.values())  # not of a name after *args, which has no position
    return frozenset([i for i, p in places if p.name in static and p.kind is not p.KEYWORD_ONLY])


@overload
def jit(
    function: Callable[P, R],
    *,
    backend: str | None = None,
    static: str | Iterable[str] = (),
    check: str = "sometimes",
) -> Jitted[P, R]: ...
@overload
def jit(
    function: None = None,
    *,
    backend: str | None = None,
    static: str | Iterable[str] = (),
    check: str = "sometimes",
) -> Callable[[Callable[P, R]], Jitted[P, R]]: ...
def jit(
    function: Callable[..., Any] | None = None,
    *,
    backend: str | None = None,
    static: str | Iterable[str] = (),
    check: str = "sometimes",
) -> Any:
    """Record a function in its second call, and replay it from then on; also a decorator.

    Args:
        function: takes numbers, Values, and nested lists, tuples, dicts and arrays of them;
            computes with Values; may call `backward()`, `grad()` and an optimizer's `step()`;
            returns Values in any nesting. Asking for a gradient through them raises ValueError.
        backend: by default a program starts on NumPy, and is compiled (if llvmlite is installed)
            once it has been replayed often enough to be worth it. "native" compiles at once,
            "numpy" never. The results are the same to the last bit.
        static: names of arguments that are constants of a recording, such as a number of layers:
            a new value triggers a new recording.
        check: which replays run beside the eager call and must equal it to the last bit:
            "sometimes" replays 1, 8, 64, 512, ... of a program, and the first in which an argument
            varies; "always" all; "never" none.

    The first call with arguments of a given structure is eager, and so is the second, which is
    recorded; later ones are replayed. A replay reads leaves, gradients and `optimizer.lr` again, so
    assignments between calls count. Globals and variables of enclosing functions that the code
    loads, attributes that it names, the entries of lists and dicts, and the settings of models and
    optimizers are guarded: if one changes, the function is re-recorded. Strings, booleans,
    callables and optimizers among the arguments are static. Numbers from elsewhere (a file, the
    clock, another library's random numbers) are constants of the recording; checks find where they
    matter. The random numbers of `nn` (Dropout, `nn.gauss()`, `nn.uniform()`) are drawn again in
    each replay. On free-threaded Python, no other thread may write to leaves or record with them
    during the second call.

    An error in a replay is that of the eager run, and leaves everything as it was. A gradient that
    is nan or infinite in the eager run is replayed like any other; if another number is not finite,
    the call runs eagerly. `print(program)` shows a line for each stage, and the checks.

    A call raises TraceError where the code branches on a number of the call, shows or converts it
    (`float(v)`, `if v > 0`) or changes anything guarded other than a Value (a counter, a list, the
    state of `random`), and where a check finds a difference, in which case the eager results stand.
    It also does so for arguments of other types (a set, an object, NumPy's ints), a Value computed
    outside, and a Value passed twice. Lists, dicts and arrays are returned as copies.

    Raises TypeError if `function` is not a plain function, ValueError for an unknown backend, check
    or static argument, and ImportError if the backend is not installed.
    """
    if function is None:
        return functools.partial(jit, backend=backend, static=static, check=check)
    return Jitted(function, backend, static, check)
