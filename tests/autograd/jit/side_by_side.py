"""Does a jitted function do what the function itself does? Helpers that compare both.

`same(make, *calls)` creates new state for the eager run and for each backend, makes all calls in
a row, and compares after each: the returned value, every number, gradient and optimizer in the
state, the Values among the arguments, and the type and message of an error. Numbers are equal if
they print alike: to the last bit, nan equals nan, and 0.0 differs from -0.0. The sign of a zero
gradient is ignored: the eager sweep starts each sum with 0.0, which turns -0.0 into 0.0.
"""

from __future__ import annotations

import copy
import functools
import math
import operator
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import nn
from autograd import Value
from autograd.jit import Jitted, TraceError, jit
from nn.optim import Optimizer

BACKENDS = ("native", "numpy")
HOW = (("native", "always"), ("numpy", "never"))  # (backend, which replays are checked)
ROUNDS = 3  # of the calls: the first of a structure is eager, the second is recorded
NOT_NUMBERS = (str, bytes, bool, type(None))


def values_of(thing: Any) -> Iterator[Value]:
    """Every Value in a nest of lists, dicts, Matrices, modules and optimizers."""
    if isinstance(thing, Value):
        yield thing
    elif isinstance(thing, float):  # most are numbers
        return
    elif isinstance(thing, nn.Module):
        yield from (value for _, value in thing.named_parameters())
        yield from (value for _, value in thing.named_buffers())
    elif isinstance(thing, Optimizer):
        yield thing.time
        yield from values_of(thing._state)
        yield from values_of(list(thing.parameters))
    elif isinstance(thing, dict):
        yield from values_of(list(thing.values()))
    elif isinstance(thing, nn.Matrix):
        yield from values_of(thing.rows)
    elif isinstance(thing, list | tuple):
        if not {float, int}.issuperset(map(type, thing)):
            for part in thing:
                yield from values_of(part)
    elif isinstance(thing, np.ndarray) and thing.dtype == object:
        yield from values_of(thing.ravel().tolist())


def shown(number: Any) -> str:
    """A number as text, to the last bit; `1` and `1.0` are the same number."""
    return repr(float(number))


def comparable(thing: Any) -> Any:
    """A nest of numbers and Values in a form that `==` compares."""
    if isinstance(thing, Value):
        return shown(thing.data)
    if isinstance(thing, NOT_NUMBERS):
        return thing
    if isinstance(thing, dict):
        return {key: comparable(part) for key, part in thing.items()}
    if isinstance(thing, nn.Matrix):
        return ["Matrix", *comparable(thing.rows)]
    if isinstance(thing, list | tuple):
        look = repr if {float}.issuperset(map(type, thing)) else comparable
        return [type(thing).__name__, *map(look, thing)]
    if isinstance(thing, np.ndarray):
        return ["array", thing.shape, comparable(thing.ravel().tolist())]
    return shown(thing)


def gradients(thing: Any) -> list[str]:
    """The gradients of all Values in a nest."""
    return [shown(value.grad + 0.0) for value in values_of(thing)]


def settings_of(thing: Any) -> Any:
    """What the optimizers of a state would write into a checkpoint."""
    if isinstance(thing, Optimizer):
        return comparable(thing.state_dict())
    if isinstance(thing, dict):
        return settings_of(list(thing.values()))
    return [settings_of(part) for part in thing] if isinstance(thing, list | tuple) else None


def snapshot(state: Any) -> Any:
    """Everything in a state that can be read from outside."""
    values = list(values_of(state))
    assert {type(value).__name__ for value in values} <= {"Value"}, "not restored"
    return comparable(values), gradients(values), settings_of(state)


def outcome(call: Callable[[], Any]) -> tuple[Any, Any]:
    """(returned value, its gradients), or (type of the error, message)."""
    try:
        returned = call()
    except Exception as error:
        return type(error).__name__, str(error)
    return comparable(returned), gradients(returned)


def outcomes(
    make: Callable[[], tuple[Callable[..., Any], Any]],
    calls: tuple[Any, ...],
    jitting: dict[str, Any] | None,
    rounds: int = ROUNDS,
) -> tuple[list[Any], Jitted | None]:
    """Outcome and state after each call, in `rounds` rounds; eager if `jitting` is None."""
    nn.seed(0)
    function, state = make()
    jitted = None if jitting is None else jit(function, **jitting)
    latest = snapshot(state)
    seen: list[Any] = [latest]
    for given in calls * rounds:
        args = given() if callable(given) else copy.deepcopy(given)
        before: list[tuple[Value, float, float]] = []
        if jitted is None:
            before = [(value, value.data, value.grad) for value in values_of([state, args])]
        drawn = nn.rng.generator.getstate()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* were done eagerly", RuntimeWarning)
            found = outcome(lambda args=args: (jitted or function)(*args))
        if isinstance(found[1], str):
            # An eager call that raises keeps what it did before the error; a replay undoes it.
            if jitted is None:
                for value, data, gradient in before:
                    value.data, value.grad = data, gradient
            nn.rng.generator.setstate(drawn)
            assert snapshot(state) == latest, "an error changed the state"
        latest = snapshot(state)
        seen.append((found, latest, comparable(list(args)), gradients(args)))
    return seen, jitted


def same(
    make: Callable[[], tuple[Callable[..., Any], Any]],
    *calls: Any,
    replayed: bool = False,
    static: tuple[str, ...] = (),
    equal: Callable[[Any, Any], bool] = operator.eq,
    rounds: int = ROUNDS,
) -> list[Any]:
    """Assert that eager and jitted runs have the same outcomes; return the eager ones.

    Args:
        make: returns a function and the state it works on (any nest; [] for none), both new.
        calls: the arguments of each call: a tuple, or a function that returns one.
        replayed: also assert that no call fell back to an eager run.
        equal: decides whether two outcomes are equal.
        rounds: how often all calls are made; once is enough for many calls with few structures.
    """
    expected, _ = outcomes(make, calls, None, rounds)
    for backend, check in HOW:
        jitting = {"backend": backend, "check": check, "static": static}
        found, jitted = outcomes(make, calls, jitting, rounds)
        for number, (a, b) in enumerate(zip(expected, found, strict=True)):
            assert equal(b, a), f"{backend}, {check}, after {number} calls: {b} is not {a}"
        assert jitted is not None
        if replayed:
            assert sum(program.unsure for program in jitted.programs) == 0, backend
            replays = sum(program.replays for program in jitted.programs)
            assert replays >= rounds * len(calls) // ROUNDS, backend
    return expected


def nearly(a: Any, b: Any) -> bool:
    """Whether outcomes differ only by rounding (1e-12 relative), as when sums are reordered."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(nearly, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return nearly(list(a.items()), list(b.items()))
    try:
        return math.isclose(float(a), float(b), rel_tol=1e-12, abs_tol=1e-14)
    except (TypeError, ValueError):
        return a == b


close = functools.partial(same, equal=nearly)


def same_or_refused(
    make: Callable[[], tuple[Callable[..., Any], Any]],
    *calls: Any,
    expected: str,
    between: Callable[[Any], None] = lambda state: None,
    backend: str | None = None,
) -> None:
    """Assert that calls end as `expected`, and that none returns a number other than the eager one.

    Each call is made twice in a row, and all pairs in two rounds. So the second of each pair in the
    second round is a replay, even if `between` has changed what the program depends on.

    Args:
        make: as in `same`. calls: the arguments of each: a tuple, or a function of the state.
        expected: what the jit does, with check="always" and "never":
            "replayed": all calls are equal, and the second of each pair in the last round is a
                replay;
            "refused": a call raises a TraceError that is not from the check, and changes nothing;
                the calls before it are equal;
            "doubted": only the check finds the difference: a call that it compares raises
                TraceError, and its state is the eager one; the calls before it are equal.
        between: called with the state after each pair.
        backend: by default those of HOW.
    """
    eager, _ = _pairs(make, calls, between, None)
    raising = []
    for default, check in HOW:
        if (expected, check) == ("doubted", "never"):
            continue  # only the check would notice
        how = f"{backend or default}, {check}"
        found, error = _pairs(make, calls, between, {"backend": backend or default, "check": check})
        for number, (a, b) in enumerate(zip(eager, found, strict=False)):
            assert b[:2] == a[:2], f"{how}: call {number + 1} is {b[:2]}, not {a[:2]}"
        if expected == "replayed":
            assert error is None, f"{how}: {error}"
            kinds = [replayed for _, _, replayed in found]
            assert all(kinds[len(kinds) // 2 + 1 :: 2]), f"{how}: not replayed: {kinds}"
        else:
            assert error is not None, f"{how}: not {expected}"
            text, before, after = error
            by_check = "a replay would not do" in text
            assert by_check == (expected == "doubted"), f"{how}: {text}"
            assert after == (eager[len(found)][1] if by_check else before), f"{how}: wrong state"
            raising.append(len(found))
    assert len(set(raising)) < 2, f"refused in the calls {raising}"


def _pairs(
    make: Callable[[], tuple[Callable[..., Any], Any]],
    calls: tuple[Any, ...],
    between: Callable[[Any], None],
    jitting: dict[str, Any] | None,
) -> tuple[list[tuple[Any, Any, bool]], tuple[str, Any, Any] | None]:
    """What happens in the calls of `same_or_refused`, up to the first TraceError.

    For each call: (returned value, state, whether it was replayed). For the error: (its text, the
    state before, the state after).
    """
    nn.seed(0)
    random.seed(0)
    np.random.seed(0)
    function, state = make()
    run: Any = function if jitting is None else jit(function, **jitting)

    def replays() -> int:
        return sum(p.replays for p in run.programs) if jitting is not None else 0

    seen = []
    for given in calls * 2:
        for _ in range(2):
            args = given(state) if callable(given) else given
            before, count = snapshot([state, args]), replays()
            try:
                returned = comparable(run(*args))
            except TraceError as error:
                return seen, (str(error), before, snapshot([state, args]))
            seen.append((returned, snapshot([state, args]), replays() > count))
        between(state)
    return seen, None
