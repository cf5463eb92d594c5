"""Is a recorded call refused if it changes anything besides Values, and does the error name it?"""

from __future__ import annotations

import array
import collections
import contextvars
import functools
import io
import itertools
import os
import queue
import random
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nn
from autograd import Value
from autograd.jit import TraceError, jit
from autograd.jit.watch import Watch


class Counter:
    """Several places to keep a count on which no result depends."""

    __slots__ = ("__dict__", "__weakref__", "slot")
    shared = 0

    def __init__(self) -> None:
        self.slot = self._own = 0


def tick(thing: Any, name: str) -> None:
    setattr(thing, name, getattr(thing, name) + 1)


COUNTER, LIST, DICT, DEQUE, SET = Counter(), [0], {"n": 0}, collections.deque([0]), {0}
LONG = [0.0] * 30_000
ARRAY, BYTES, NUMBERS = array.array("q", [0]), bytearray(1), np.zeros((2, 2))
MEMORY, ORDER = memoryview(array.array("q", [0])), collections.OrderedDict(a=1, b=2)
VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE", default=0)
STREAM, GENERATOR = random.Random(0), np.random.default_rng(0)
COUNTS: Any = weakref.WeakKeyDictionary({COUNTER: 0})
SETTINGS: Any = types.ModuleType("settings")
SETTINGS.spaces = [types.SimpleNamespace(n=0)]
LABELLED, SPACE, USER_DICT = Value(2.0), types.SimpleNamespace(n=0), collections.UserDict(n=0)
N = 0


def in_a_global() -> None:
    global N
    N += 1


def in_a_global_by_name() -> None:
    globals()["N"] += 1


@functools.cache
def cached() -> list[int]:
    return [0]


# What the error says (trailing spaces only make the keys unique), and the change.
EFFECTS: dict[str, Callable[[], Any]] = {
    "what is in COUNTER, a Counter": lambda: tick(COUNTER, "slot"),
    "_own": lambda: tick(COUNTER, "_own"),
    "shared": lambda: tick(Counter, "shared"),
    "what is in LIST, a list": lambda: LIST.append(1),
    "what is in LONG, a list": lambda: LONG.append(1.0),
    r"DICT\['n'\]": lambda: DICT.update(n=DICT["n"] + 1),
    "what is in DEQUE, a deque": lambda: DEQUE.append(1),
    "what is in SET, a set": lambda: SET.add(len(SET)),
    "what is in ARRAY, an array": lambda: ARRAY.__setitem__(0, ARRAY[0] + 1),
    "what is in BYTES, a bytearray": lambda: BYTES.append(1),
    "what is in NUMBERS, a ndarray": lambda: NUMBERS.__iadd__(1),
    "what is in ORDER, an OrderedDict": lambda: ORDER.move_to_end(next(iter(ORDER))),
    "what is in VARIABLE, a ContextVar": lambda: VARIABLE.set(VARIABLE.get() + 1),
    "what is in STREAM, a Random": lambda: STREAM.gauss(),  # sets an attribute, too
    "what is in GENERATOR, a Generator": lambda: GENERATOR.random(),
    "the label of a Value": lambda: setattr(LABELLED, "label", LABELLED.label + "x"),
    "N": in_a_global,
    "N ": in_a_global_by_name,
    "N  ": lambda: exec("global N; N += 1"),
    "what is in BYTES, a bytearray ": lambda: eval("BYTES.append(1)"),
    "n ": lambda: tick(SPACE, "n"),
    "n   ": lambda: tick(SETTINGS.spaces[0], "n"),
    "n  ": lambda: USER_DICT.update(n=USER_DICT["n"] + 1),
    "what is in a list ": lambda: cached().append(1),
    "what is in a dict": lambda: COUNTS.update({COUNTER: COUNTS[COUNTER] + 1}),
    "what is in MEMORY, a memoryview": lambda: MEMORY.__setitem__(0, MEMORY[0] + 1),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_a_side_effect_is_refused_by_name(name: str) -> None:
    change = EFFECTS[name]
    w = Value(2.0)

    def step(x: float) -> Any:
        change()
        return w * x

    run = jit(step)
    assert run(1.0).data == 2.0
    before = repr((LIST, DICT, DEQUE, SET, ORDER))
    with pytest.raises(
        TraceError, match=rf"step changes ({name.strip()}), which a replay would not: do it outside"
    ):
        run(1.0)
    assert repr((LIST, DICT, DEQUE, SET, ORDER)) == before


class Base:
    rate: Any = 0.5

    def inherited(self) -> float:
        return 1.0


class Derived(Base):
    rate = 2.0

    def __init__(self) -> None:
        self.size = 1.0

    def method(self) -> float:
        return float(super().rate)

    @classmethod
    def made(cls) -> Any:
        return cls()

    @property
    def number(self) -> float:
        return 1.0


def three(thing: Any) -> float:
    return 3.0


def refuse(step: Any, is_on: list[bool], name: str) -> None:
    """Call a step, then switch on that it changes a name: the second call must be refused."""
    run = jit(step)
    run(1.0)
    is_on[0] = True
    with pytest.raises(TraceError, match=f"step changes {name}, which a replay would not"):
        run(1.0)


@pytest.mark.parametrize(
    ("kind", "name", "new"),
    [
        (Derived, "method", three),
        (Derived, "inherited", three),
        (Derived, "made", staticmethod(Base)),
        (Derived, "number", property(three)),
        (Derived, "__init__", lambda self: setattr(self, "size", 3.0)),
        (Base, "rate", 3.0),
    ],
)
def test_a_refused_call_leaves_a_class_as_it_was(kind: type, name: str, new: Any) -> None:
    parts, is_on, w = [Derived()], [False], Value(2.0)

    def step(x: float) -> Any:
        if is_on[0]:
            setattr(kind, name, new)
        part = parts[0]
        return w * x * (part.method() + part.inherited() + part.number + part.made().rate)

    before = dict(vars(kind))
    try:
        refuse(step, is_on, name)
        assert dict(vars(kind)) == before
    finally:
        for key in vars(kind).keys() - before.keys():
            delattr(kind, key)
        for key, part in before.items():
            if vars(kind)[key] is not part:
                setattr(kind, key, part)


def test_a_refused_call_leaves_an_object_without_the_setting_of_its_class() -> None:
    part, is_on, w = Derived(), [False], Value(2.0)

    def step(x: float) -> Any:
        if is_on[0]:
            part.rate = 3.0
        return w * x * part.rate

    before = dict(vars(part))
    refuse(step, is_on, "rate")
    assert vars(part) == before


@pytest.mark.parametrize("where", ["base", "metaclass", "installed class"])
def test_a_refused_call_hides_no_attribute_of_a_class_by_one_of_its_own(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = type("Kind", (type if where == "metaclass" else object,), {"count": 0})
    thing = kind("Thing", (), {}) if where == "metaclass" else type("Thing", (kind,), {})
    if where == "installed class":
        installed, thing = types.ModuleType("installed"), kind()
        installed.__file__ = os.path.join("lib", "site-packages", "installed.py")
        monkeypatch.setitem(sys.modules, "installed", installed)
        kind.__module__ = "installed"
    is_on, w = [False], Value(2.0)

    def step(x: float) -> Any:
        if is_on[0]:
            tick(kind, "count")
        return w * x * thing.count

    before = set(vars(thing))
    refuse(step, is_on, "count")
    assert set(vars(thing)) == before


def test_a_refused_call_restores_what_it_sets_to_none() -> None:
    """As a step does that drops what it has cached."""
    part, w, is_on = Derived(), Value(2.0), [False]
    cached: Any = Value(3.0)

    def step(x: float) -> Any:
        nonlocal cached
        number = w * x * part.size * cached
        if is_on[0]:
            part.size = cached = None
        return number

    before = cached
    refuse(step, is_on, "(size|cached)")
    assert (part.size, cached) == (1.0, before)


NAME = "size"


def test_a_refusal_names_only_attributes_that_the_code_asks_for() -> None:
    parts, is_on, w = [Derived()], [False], Value(2.0)

    def step(x: float) -> Any:
        part: Any = parts[0]
        if is_on[0]:
            part.frozen = True
        return w * x * getattr(part, NAME) * (2.0 if hasattr(part, "frozen") else 1.0)

    refuse(step, is_on, "frozen")


def test_a_changed_variable_of_an_enclosing_function_is_refused_by_name() -> None:
    w, count, kept = Value(2.0), 0, {"best": 0}

    def counting(x: float) -> Any:
        nonlocal count
        count += 1
        return w * x

    def keeping(x: float) -> Any:
        kept["best"] += 1
        return w * x

    for function, what in ((counting, "count"), (keeping, r"kept\['best'\]")):
        run = jit(function)
        run(1.0)
        with pytest.raises(TraceError, match=f"changes {what}, which a replay would not"):
            run(1.0)


def test_undoing_a_change_to_a_class_does_not_set_it_on_an_instance() -> None:
    class Steps:
        count = 0

    w, steps = Value(2.0), Steps()

    def step(x: float) -> Any:
        type(steps).count += 1
        return w * (x + 0.0 * steps.count)

    run = jit(step)
    run(1.0)
    with pytest.raises(TraceError, match="changes count"):
        run(1.0)
    assert "count" not in vars(steps)


def running() -> Any:
    n = 0
    while True:
        n += 1
        yield n


def without_variables() -> Any:
    yield 1
    yield 2
    yield 3


def delegating() -> Any:
    yield from running()


ITERATORS = [itertools.count(), iter([1, 2, 3]), iter(range(3)), enumerate([1, 2, 3])]
GENERATORS = [running(), without_variables(), delegating()]


@pytest.mark.parametrize("thing", [*ITERATORS, *GENERATORS], ids=lambda thing: type(thing).__name__)
def test_advancing_an_iterator_is_refused(thing: Any) -> None:
    w = Value(2.0)
    run = jit(lambda x: (next(thing), w * x)[1])
    run(1.0)
    with pytest.raises(TraceError, match=r"changes what is in (thing, )?an? [a-z_]+, which"):
        run(1.0)


def test_a_side_effect_of_a_jitted_function_that_another_calls_is_refused() -> None:
    w, numbers = Value(2.0), itertools.count()
    inner = jit(lambda x: (next(numbers), w * x)[1])
    outer = jit(lambda x: inner(x))
    outer(1.0)
    with pytest.raises(TraceError, match="changes what is in numbers, a count, which"):
        outer(1.0)


def test_a_change_behind_a_weak_reference_is_refused() -> None:
    w, counter = Value(2.0), Counter()
    reference = weakref.ref(counter)
    run = jit(lambda x: (tick(reference(), "_own"), w * x)[1])
    run(1.0)
    with pytest.raises(TraceError, match="changes _own, which"):
        run(1.0)


def test_new_objects_and_draws_from_nn_are_not_side_effects() -> None:
    """Nor are writes to files and queues, filled caches, and attributes set to an equal value."""
    model = nn.Sequential(nn.Linear(1, 2), nn.Dropout(0.5, random.Random(1)), nn.Linear(2, 1))
    optimizer = nn.Adam(model, lr=0.01)
    file, queues = io.TextIOWrapper(io.BytesIO()), [queue.SimpleQueue[str](), queue.Queue[str]()]
    space = types.SimpleNamespace(shape=(1, 2), hook=None)
    dispatch = functools.singledispatch(lambda x: x)

    @functools.lru_cache(4)
    def mask(n: int) -> list[int]:
        return [n]

    def step(x: float) -> Any:
        for lines in queues:
            lines.put("step")
        file.write("step")
        space.shape, space.hook = (1, 1 + 1), model.zero_grad
        mask(2 - len(mask(1)))
        loss = nn.mean(v * v for v in model([dispatch(x)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step(1.0)
    run = jit(step)
    for x in (0.5, 1.0, 1.5, 2.0):
        run(x)
    assert [program.replays for program in run.programs] == [2]


def test_changes_to_unwatched_objects_are_ignored() -> None:
    """Globals that the function does not name, and what lies beyond the size limit."""
    before = Watch([lambda x: LABELLED * x], everything=True)
    in_a_global()
    assert before.changed() is None
    far = [[float(i)] for i in range(30_000)]
    before = Watch([far], everything=True)
    far[-1].append(1.0)
    assert before.changed() is None
    far.append([])
    assert before.changed() == "what is in a list"
    guards = Watch([lambda x: LONG[0] * x])
    LONG[-1] += 1.0  # comparing every number before each replay would take long
    assert guards.changed() is None
    rows = [types.SimpleNamespace(x=float(i)) for i in range(10_000)]
    guards = Watch([lambda: sum(row.x for row in rows)])
    rows[-1].x = 0.0  # comparing an attribute of every row before each replay would take long
    assert guards.changed() is None
    rows[0].x = 1.0
    assert guards.changed() == "x"


def test_looking_at_an_object_calls_none_of_its_methods() -> None:
    class Stream:
        asked, rate = 0, 0.5

        def __length_hint__(self) -> int:
            Stream.asked += 1
            return 0

        def __getattribute__(self, name: str) -> Any:
            Stream.asked += 1
            return object.__getattribute__(self, name)

    stream = Stream()
    for everything in (False, True):
        Watch([lambda: stream.rate], everything)
    assert Stream.asked == 0


def test_changes_in_installed_packages_are_not_side_effects() -> None:
    """Neither are changes to a global that the function does not name."""
    stash, key = pytest.Stash(), pytest.StashKey[int]()  # of an installed package
    cached()
    before = Watch([lambda x: (stash, cached(), LABELLED * x)], everything=True)
    stash[key] = 1
    in_a_global()
    assert before.changed() is None
    cached().append(1)
    assert before.changed() == "what is in a list"


def test_functions_of_extension_modules_can_be_watched() -> None:
    """In the class of functions compiled by Cython, `__module__` is a descriptor."""
    draw = np.random.standard_normal
    run = jit(lambda x: (callable(draw), LABELLED * x)[1])
    assert [run(x).data for x in (1.0, 2.0, 3.0)] == [2.0, 4.0, 6.0]
