"""Does a jitted program do what it does eagerly, or say that it cannot? Harness and table.

A program is a function that creates its state and returns a `Case`. It is run twice, eagerly and
jitted, from the same seeds, ten calls each. After each call everything that was returned, the
arguments and the observed state are compared to the last bit. Possible outcomes:

    equal    all calls gave the same results, and something was replayed
    effect   the same, but an effect other than numbers, such as a line in a log, is missing
    loud     a TraceError; if calls before it differed, it says that they are in doubt
    silent   something differed, and no TraceError afterwards says so
    torn     a TraceError that left Values neither as before the call nor as after it
    foreign  an exception other than the eager one
    eager    all calls gave the same results, but nothing was replayed

Each program states which of the first three it expects. So a jit that refuses everything fails, and
so does one that always runs eagerly.

    python tests/autograd/jit/fooling/fooling_harness.py [WORD ...] [--bad] [--calls]

prints a table of all programs, or of those whose file, kind or name contains one of the words:
with --bad of those that are not as expected, with --calls everything that each call gave.
"""

from __future__ import annotations

import argparse
import array
import collections
import contextlib
import dataclasses
import importlib
import math
import random
import re
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nn
from autograd import Primitive, Value
from autograd.jit import Jitted, TraceError, jit
from nn.optim import Optimizer

# Ten arguments: both signs, whole numbers and fractions, one of them twice.
XS = (0.5, -1.25, 2.0, 0.75, -0.5, 1.5, -2.0, 3.25, 0.75, -0.25)
Look = Any  # nested tuples of strings, made of what was seen


def numbers(*more: float) -> list[tuple[float, ...]]:
    """The arguments of ten calls with one float each, and `more` behind it."""
    return [(x, *more) for x in XS]


@dataclasses.dataclass
class Case:
    """A function with its state, created for each run.

    Args:
        function: what is passed to `jit`.
        calls: the arguments of each call.
        observe: returns what else is compared after each call, any nest.
        between: called with the number of the call that was just made.
        receive: called with the result of each call, after it was captured.
        effects: returns what was printed or written, which a replay does not repeat.
        static: as for `jit`.
        blind: results come from a clock or the system, and differ between runs; only this is
            compared: whether a call repeats the result of the call before it.
        close: undoes what the program did to the process.
    """

    function: Callable[..., Any]
    calls: Sequence[tuple[Any, ...]] = dataclasses.field(default_factory=numbers)
    observe: Callable[[], Any] = tuple
    between: Callable[[int], Any] = lambda call: None
    receive: Callable[[Any], Any] = lambda returned: None
    effects: Callable[[], Any] = tuple
    static: tuple[str, ...] = ()
    blind: bool = False
    close: Callable[[], Any] = lambda: None


def two() -> list[Value]:
    return [Value(0.5), Value(-1.5)]


def loss_of(ws: Any, x: Any) -> Any:
    return (ws[0] * x + ws[1] - 1.0) ** 2


def updating(update: Any) -> Case:
    """A training step on two weights that ends with an update by hand."""
    ws = two()

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        for w in ws:
            w.grad = 0.0
        loss.backward()
        update(ws)
        return loss

    return Case(step, observe=lambda: ws)


def change_briefly(
    scale: Callable[[], Any], change: Callable[[], Any], restore: Callable[[], Any], **more: Any
) -> Case:
    """A training step on a loss times `scale()`, which is changed for calls 5 to 7."""
    ws = two()

    def step(x: float) -> Any:
        loss = loss_of(ws, x) * scale()
        for w in ws:
            w.grad = 0.0
        loss.backward()
        for w in ws:
            w.data -= 0.01 * w.grad
        return loss

    def between(call: int) -> None:
        if call == 4:
            change()
        if call == 7:
            restore()

    return Case(step, observe=lambda: ws, between=between, **more)


def set_briefly(scale: Callable[[], Any], thing: Any, name: str, number: Any = 3.0) -> Case:
    before = getattr(thing, name)
    return change_briefly(
        scale, lambda: setattr(thing, name, number), lambda: setattr(thing, name, before)
    )


@dataclasses.dataclass(frozen=True)
class Fooling:
    """A program of the corpus."""

    make: Callable[[], Case]
    kind: str
    expect: str

    def __str__(self) -> str:
        return self.make.__name__


CORPUS: list[Fooling] = []


def fooling(kind: str, expect: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    """Add the decorated function, which makes a Case, to the corpus.

    expect: "equal", "loud", "effect", or "silent" for the few known limits: they change something
        that the function does not refer to, and no result depends on it.
    """
    assert expect in ("equal", "loud", "effect", "silent")

    def add(make: Callable[[], Case]) -> Callable[[], Case]:
        assert make.__name__ not in map(str, CORPUS), make.__name__
        CORPUS.append(Fooling(make, kind, expect))
        return make

    return add


def programs(module: str) -> list[Fooling]:
    """The programs of one module, for pytest.mark.parametrize."""
    return [program for program in CORPUS if program.make.__module__ == module]


# --- comparison -----------------------------------------------------------------------------------


def look(thing: Any, path: tuple[int, ...] = ()) -> Look:
    """Anything as nested tuples that can be compared: types, numbers to the last bit, labels."""
    kind = type(thing)
    if thing is None or isinstance(thing, str | bytes | int | complex):
        return (kind.__name__, repr(thing))
    if kind.__module__.startswith("autograd.jit") and kind.__name__ in ("Number", "Whole"):
        return ("leaked", kind.__name__)  # a number that a recording left behind
    if isinstance(thing, float):
        return (kind.__name__, "nan" if math.isnan(thing) else float.hex(thing))
    if id(thing) in path:
        return ("again", str(len(path)))
    path = (*path, id(thing))

    def inside(part: Any) -> Look:
        return look(part, path)

    if isinstance(thing, Value):
        data, grad = (float(x) if type(x) is int else x for x in (thing.data, thing.grad))
        return ("Value", kind.__name__, inside(data), inside(grad), thing.label)
    if isinstance(thing, np.ndarray):
        entries = tuple(map(inside, thing.ravel().tolist()))
        return (kind.__name__, str(thing.dtype), str(thing.shape), entries)
    if isinstance(thing, np.generic):
        return (kind.__name__, inside(thing.item()))
    if isinstance(thing, array.array):
        return (kind.__name__, thing.typecode, tuple(map(inside, thing)))
    if isinstance(thing, random.Random):
        return (kind.__name__, str(hash(thing.getstate())))
    if isinstance(thing, np.random.Generator):
        return (kind.__name__, repr(thing.bit_generator.state))
    if isinstance(thing, Optimizer):
        return (kind.__name__, inside(thing.state_dict()), inside(list(thing.parameters)))
    if isinstance(thing, nn.Module):
        public = {name: part for name, part in vars(thing).items() if name[0] != "_"}
        return (kind.__name__, inside(public))
    if isinstance(thing, Mapping):
        entries = tuple((inside(key), inside(part)) for key, part in thing.items())
        more = inside(vars(thing)) if hasattr(thing, "__dict__") and vars(thing) else ()
        return (kind.__name__, entries, more)
    if isinstance(thing, list | tuple | collections.deque | collections.UserList):
        more = inside(vars(thing)) if vars_of(thing) and not hasattr(thing, "data") else ()
        return (kind.__name__, tuple(map(inside, thing)), more)
    if isinstance(thing, nn.Matrix):
        return (kind.__name__, inside(thing.rows))
    if isinstance(thing, set | frozenset):
        return (kind.__name__, tuple(sorted(map(inside, thing))))
    if isinstance(thing, type | types.FunctionType | types.BuiltinFunctionType | types.ModuleType):
        return (kind.__name__, thing.__name__)
    if isinstance(thing, Primitive | Jitted):
        return (kind.__name__, str(thing))
    if isinstance(thing, BaseException):
        return (kind.__name__, str(thing))
    return (kind.__name__, inside(vars_of(thing)) if vars_of(thing) else shown(thing))


def vars_of(thing: Any) -> dict[str, Any]:
    """The attributes of an instance, in its __dict__ and in slots."""
    found = dict(getattr(thing, "__dict__", {}))
    for base in type(thing).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name) and not name.startswith("__"):
                found[name] = getattr(thing, name)
    return found


def shown(thing: Any) -> str:
    """The repr of an object, unless it is nothing but an address."""
    return "" if " at 0x" in repr(thing) else repr(thing)


def values_in(seen: Look) -> list[Look]:
    """All Values in what was seen."""
    if not isinstance(seen, tuple):
        return []
    if seen[:1] == ("Value",):
        return [seen]
    return [value for part in seen for value in values_in(part)]


def is_torn(found: Look, before: Look, after: Look) -> bool:
    """Whether a state is neither that before nor that after a call: all Values, or any other part.

    A refused call may have had other effects than on Values, such as advancing an iterator.
    """
    values = values_in(found)
    whole = values in (values_in(before), values_in(after))
    return not (whole and _is_made_of(found, before, after))


def _is_made_of(found: Look, before: Look, after: Look) -> bool:
    if found in (before, after):
        return True
    parts = (found, before, after)
    if not all(isinstance(part, tuple) and len(part) == len(found) for part in parts):
        return False
    return all(_is_made_of(*three) for three in zip(*parts, strict=True))


def difference(a: Look, b: Look, around: Look = "") -> str:
    """The first difference, and what it is a part of."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        for left, right in zip(a, b, strict=True):
            if left != right:
                return difference(left, right, a)
    return f"{a!r:.200} eagerly, {b!r:.200} jitted; part of {around!r:.200}"


# --- runs -----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Event:
    """One call: what it returned or raised, and the state before and after it."""

    returned: Look = None
    error: Exception | None = None
    before: Look = None
    state: Look = None
    effects: Look = None


def jitted(function: Any, static: tuple[str, ...], check: str, backend: str | None) -> Jitted:
    made: Jitted = jit(function, backend=backend, static=static, check=check)
    return made


def events_of(
    program: Fooling, check: str | None, backend: str | None = "numpy"
) -> tuple[list[Event], Jitted | None]:
    """The events of all calls, eager (check None) or jitted, up to the first error."""
    nn.seed(0)
    random.seed(0)
    np.random.seed(0)
    case = program.make()
    run = case.function if check is None else jitted(case.function, case.static, check, backend)
    events: list[Event] = []
    last = None
    try:
        for number, args in enumerate(case.calls, 1):
            event = Event(before=look((case.observe(), args)))
            events.append(event)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    result = run(*args)
                returned = look(result)
            except Exception as error:
                event.error = error
            else:
                event.returned = (returned == last) if case.blind else returned
                last = returned
            event.state = look((case.observe(), args))
            event.effects = look(case.effects())
            if event.error is not None:
                break
            try:
                case.receive(result)
                case.between(number)
            except Exception as error:
                event.error = error
                break
    finally:
        case.close()
    return events, run if check is not None else None


@dataclasses.dataclass
class Outcome:
    """The outcome of a program, in which call, and why; since which call numbers differed."""

    name: str
    call: int = 0
    message: str = ""
    since: int = 0


def outcome(program: Fooling, check: str = "sometimes", backend: str | None = "numpy") -> Outcome:
    """Run a program both ways and compare."""
    eager, _ = events_of(program, None)
    replays, run = events_of(program, check, backend)
    assert run is not None
    since, differs, effect = 0, "", Outcome("")
    for number, (a, b) in enumerate(zip(eager, replays, strict=False), 1):
        if isinstance(b.error, TraceError):
            if not since and is_torn(b.state, b.before, a.state):
                return Outcome("torn", number, difference(a.state, b.state) + f"; {b.error}")
            if since and not since >= first_in_doubt(str(b.error)):
                return Outcome("silent", since, f"{differs}; call {number} raised {b.error}", since)
            return Outcome("loud", number, str(b.error), since)
        if a.error or b.error:
            if not since and repr(a.error) == repr(b.error):
                break
            if a.error is None or b.error is None or not since:
                return Outcome("foreign", number, f"{a.error!r} eagerly, {b.error!r} jitted")
        if not since and (a.returned, a.state) != (b.returned, b.state):
            since = number
            differs = difference((a.returned, a.state), (b.returned, b.state))
        if a.effects != b.effects and not effect.name:
            effect = Outcome("effect", number, difference(a.effects, b.effects))
    if since:
        return Outcome("silent", since, differs, since)
    if not sum(made.replays for made in run.programs):
        return Outcome("eager", len(replays), "nothing was replayed")
    return effect if effect.name else Outcome("equal", len(replays))


def first_in_doubt(message: str) -> float:
    """The number of the first call whose numbers an error declares to be in doubt."""
    found = re.search(r"calls? (\d+)(?: to \d+)? (?:is|are) in doubt", message)
    return int(found[1]) if found else math.inf


def assert_expected(program: Fooling) -> None:
    """Assert that a program has the outcome that it expects."""
    found = outcome(program)
    assert found.name == program.expect, (
        f"{program} is expected to be {program.expect}, but is {found.name} in call {found.call}"
        f" (numbers differ since {found.since or 'none'}): {found.message}"
    )


def print_calls(program: Fooling, check: str, backend: str | None) -> None:
    """What each call of a program returned or raised, and the state after it, on both sides."""
    sides = [events_of(program, None)[0], events_of(program, check, backend)[0]]
    for side, events in zip(("eager", "jitted"), sides, strict=True):
        for number, event in enumerate(events, 1):
            gave = event.returned if event.error is None else repr(event.error)
            print(f"  {side} call {number:2}: {gave}\n{'':18}state {event.state}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="parts of files, kinds or names")
    parser.add_argument("--check", default="sometimes", choices=("always", "sometimes", "never"))
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--bad", action="store_true", help="only what is not as expected")
    parser.add_argument("--calls", action="store_true", help="what each call gave, on both sides")
    options = parser.parse_args()
    for path in sorted(Path(__file__).parent.glob("test_fooling_*.py")):
        importlib.import_module(path.stem)
    counts: dict[str, int] = collections.Counter()
    by_kind: dict[str, collections.Counter[str]] = {}
    for program in CORPUS:
        place = f"{program.make.__module__} {program.kind} {program}"
        if options.words and not any(word in place for word in options.words):
            continue
        if options.calls:
            print_calls(program, options.check, options.backend)
        try:
            found = outcome(program, options.check, options.backend)
        except Exception as error:
            found = Outcome("broken", 0, repr(error))
        counts[found.name] += 1
        by_kind.setdefault(program.kind, collections.Counter())[found.name] += 1
        mark = "  " if found.name == program.expect else "! "
        if options.bad and mark == "  ":
            continue
        since = f" since {found.since}" if found.since else ""
        print(
            f"{mark}{program!s:44} {program.kind:14} {program.expect:6} {found.name:8}"
            f" call {found.call:2}{since}  {found.message}",
            flush=True,
        )
    print()
    for kind, found_of in sorted(by_kind.items()):
        print(f"{kind:16} {sum(found_of.values()):4}  {dict(found_of)}")
    print(f"{'all':16} {sum(counts.values()):4}  {dict(counts)}")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        importlib.import_module("fooling_harness").main()  # the one that the programs import
    sys.exit()
