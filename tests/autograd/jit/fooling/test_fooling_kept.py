"""Programs that keep a count which no result depends on, so that only a guard can notice it."""

from __future__ import annotations

import array
import collections
import contextvars
import enum
import functools
import itertools
import logging
import random
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

import nn
from autograd import Value


def ticking(tick: Callable[[], Any], observe: Callable[[], Any]) -> Case:
    """A program whose result does not depend on the count that it keeps."""
    w = Value(2.0)

    def step(x: float) -> Any:
        tick()
        return w * x

    return Case(step, observe=lambda: (w, observe()))


@fooling("kept", "loud")
def in_a_list_of_an_object_of_an_object() -> Case:
    class Log:
        def __init__(self) -> None:
            self.entries: list[int] = []

    class Trainer:
        def __init__(self) -> None:
            self.log = Log()

        def tick(self) -> None:
            self.log.entries.append(1)

    trainer = Trainer()
    return ticking(trainer.tick, lambda: len(trainer.log.entries))


@fooling("kept", "loud")
def in_a_class_method() -> Case:
    class Registry:
        counts: ClassVar[dict[str, int]] = {"n": 0}

        @classmethod
        def tick(cls) -> None:
            cls.counts["n"] += 1

    return ticking(Registry.tick, lambda: Registry.counts)


@fooling("kept", "loud")
def in_a_static_method() -> Case:
    class Registry:
        n = 0

        @staticmethod
        def tick() -> None:
            Registry.n += 1

    return ticking(Registry.tick, lambda: Registry.n)


@fooling("kept", "loud")
def in_a_property_with_a_setter() -> Case:
    class Clock:
        def __init__(self) -> None:
            self._n = 0

        @property
        def n(self) -> int:
            return self._n

        @n.setter
        def n(self, n: int) -> None:
            self._n = n

    clock = Clock()

    def tick() -> None:
        clock.n += 1

    return ticking(tick, lambda: clock.n)


@fooling("kept", "loud")
def in_slots_of_a_slot() -> Case:
    class Inner:
        __slots__ = ("n",)

    class Outer:
        __slots__ = ("inner",)

    outer = Outer()
    outer.inner = Inner()
    outer.inner.n = 0

    def tick() -> None:
        outer.inner.n += 1

    return ticking(tick, lambda: outer.inner.n)


@fooling("kept", "loud")
def in_the_dict_of_an_object() -> Case:
    space = types.SimpleNamespace(n=0)

    def tick() -> None:
        space.__dict__["n"] += 1

    return ticking(tick, lambda: space)


@fooling("kept", "loud")
def in_the_dict_of_a_module() -> Case:
    model = nn.Neuron(1)
    vars(model)["steps"] = 0

    def tick() -> None:
        vars(model)["steps"] += 1

    return ticking(tick, lambda: vars(model)["steps"])


@fooling("kept", "loud")
def by_object_setattr() -> Case:
    model = nn.Neuron(1)
    object.__setattr__(model, "steps", 0)

    def tick() -> None:
        object.__setattr__(model, "steps", vars(model)["steps"] + 1)

    return ticking(tick, lambda: vars(model)["steps"])


@fooling("kept", "loud")
def in_a_user_dict() -> Case:
    counts = collections.UserDict[str, int](n=0)

    def tick() -> None:
        counts["n"] += 1

    return ticking(tick, lambda: counts)


@fooling("kept", "loud")
def in_a_chain_of_maps() -> Case:
    counts = collections.ChainMap[str, int]({}, {"n": 0})

    def tick() -> None:
        counts["n"] += 1

    return ticking(tick, lambda: counts)


@fooling("kept", "loud")
def in_a_list_inside_a_named_tuple() -> Case:
    class State(NamedTuple):
        counts: list[int]

    state = State([0])

    def tick() -> None:
        state.counts[0] += 1

    return ticking(tick, lambda: state)


@fooling("kept", "loud")
def in_the_keywords_of_a_partial() -> Case:
    counts = [0]

    def count(counts: list[int]) -> None:
        counts[0] += 1

    return ticking(functools.partial(count, counts=counts), lambda: counts)


@fooling("kept", "loud")
def in_a_list_that_a_cache_returns() -> Case:
    @functools.cache
    def log() -> list[int]:
        return []

    return ticking(lambda: log().append(1), lambda: log())


@fooling("kept", "loud")
def in_the_cell_of_a_function_in_a_list() -> Case:
    n = 0

    def count() -> None:
        nonlocal n
        n += 1

    hooks = [count]
    return ticking(lambda: [hook() for hook in hooks], lambda: n)


@fooling("kept", "loud")
def in_callbacks_in_a_dict_of_an_object() -> Case:
    class Events:
        def __init__(self) -> None:
            self.hooks: dict[str, list[Any]] = collections.defaultdict(list)
            self.fired = 0

        def fire(self, name: str) -> None:
            for hook in self.hooks[name]:
                hook()

    events = Events()

    def fired() -> None:
        events.fired += 1

    events.hooks["step"].append(fired)
    return ticking(lambda: events.fire("step"), lambda: events.fired)


@fooling("kept", "loud")
def in_a_dict_of_a_contextvar() -> Case:
    variable: contextvars.ContextVar[dict[str, int]] = contextvars.ContextVar("counts")
    variable.set({"n": 0})

    def tick() -> None:
        variable.get()["n"] += 1

    return ticking(tick, lambda: variable.get())


@fooling("kept", "loud")
def in_a_contextvar() -> Case:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("count")
    variable.set(0)
    return ticking(lambda: variable.set(variable.get() + 1), lambda: variable.get())


@fooling("kept", "loud")
def in_a_list_of_a_thread_local() -> Case:
    local = threading.local()
    local.counts = [0]

    def tick() -> None:
        local.counts[0] += 1

    return ticking(tick, lambda: local.counts)


@fooling("kept", "loud")
def in_the_frame_of_a_generator() -> Case:
    counts: list[int] = []

    def running() -> Any:
        n = 0
        while True:
            n += 1
            counts[:] = [n]
            yield n

    generator = running()
    return ticking(lambda: next(generator), lambda: counts)


@fooling("kept", "loud")
def in_an_iterator_of_itertools() -> Case:
    numbers = itertools.count()
    return ticking(lambda: next(numbers), lambda: repr(numbers))


@fooling("kept", "loud")
def in_an_array_in_a_dict() -> Case:
    state = {"counts": np.zeros(2)}

    def tick() -> None:
        state["counts"][0] += 1

    return ticking(tick, lambda: state)


@fooling("kept", "loud")
def in_an_array_of_an_object() -> Case:
    class Meter:
        def __init__(self) -> None:
            self.counts = np.zeros((2, 2), dtype=int)

        def tick(self) -> None:
            self.counts[0, 1] += 1

    meter = Meter()
    return ticking(meter.tick, lambda: meter)


@fooling("kept", "loud")
def in_a_field_of_a_structured_array() -> Case:
    state = np.zeros(1, dtype=[("n", int), ("loss", float)])

    def tick() -> None:
        state["n"][0] += 1

    return ticking(tick, lambda: state["n"])


@fooling("kept", "loud")
def through_a_view_of_memory() -> Case:
    data = array.array("q", [0, 0])
    view = memoryview(data)

    def tick() -> None:
        view[1] += 1

    return ticking(tick, lambda: data)


@fooling("kept", "loud")
def in_the_attribute_of_an_enumeration() -> Case:
    class Mode(enum.Enum):
        TRAIN = "train"

    Mode.TRAIN.steps = 0  # type: ignore[attr-defined]

    def tick() -> None:
        Mode.TRAIN.steps += 1  # type: ignore[attr-defined]

    return ticking(tick, lambda: Mode.TRAIN.steps)  # type: ignore[attr-defined]


@fooling("kept", "loud")
def in_an_exception() -> Case:
    error = ValueError("so far", 0)

    def tick() -> None:
        error.args = ("so far", error.args[1] + 1)

    return ticking(tick, lambda: error.args)


@fooling("kept", "loud")
def in_a_filter_of_a_logger() -> Case:
    class Counting(logging.Filter):
        n = 0

        def filter(self, record: logging.LogRecord) -> bool:
            self.n += 1
            return False

    counting, log = Counting(), logging.getLogger("fooling.filter")
    log.filters = [counting]
    return ticking(lambda: log.warning("a step"), lambda: counting.n)


@fooling("kept", "loud")
def in_a_generator_of_random_numbers() -> Case:
    class Counting(random.Random):
        n = 0

        def random(self) -> float:
            self.n += 1
            return 0.5

    generator = Counting()
    return ticking(generator.random, lambda: generator.n)


@fooling("kept", "loud")
def in_a_weak_set() -> Case:
    class Thing:
        pass

    things = [Thing() for _ in range(20)]
    seen = weakref.WeakSet[Any]()
    return ticking(lambda: seen.add(things[len(seen)]), lambda: len(seen))


@fooling("kept", "loud")
def in_a_python_module() -> Case:
    module = types.ModuleType("fooling_kept")
    exec("n = 0\ndef tick():\n    global n\n    n += 1", vars(module))
    return ticking(lambda: module.tick(), lambda: module.n)


@fooling("kept", "loud")
def in_the_class_of_an_nn_module() -> Case:
    class Counting(nn.Module):
        calls: ClassVar[int] = 0

        def __init__(self) -> None:
            self.w = Value(2.0)

        def __call__(self, x: Any) -> Any:
            type(self).calls += 1
            return self.w * x

    model = Counting()
    return Case(lambda x: model(x), observe=lambda: (model, Counting.calls))


@fooling("kept", "loud")
def in_an_nn_module_inside_another() -> Case:
    class Counting(nn.Module):
        def __init__(self) -> None:
            self.w, self.calls = Value(2.0), 0

        def __call__(self, xs: Any) -> Any:
            self.calls += 1
            return [self.w * x for x in xs]

    model = nn.Sequential(nn.Linear(1, 2), Counting(), nn.Linear(2, 1))
    return Case(lambda x: model([x]), observe=lambda: model)


@fooling("kept", "loud")
def in_an_activation_of_a_layer() -> Case:
    counts = [0]

    def activation(z: Any) -> Any:
        counts[0] += 1
        return z.tanh()

    model = nn.Layer(1, 2, activation)
    return Case(lambda x: model([x]), observe=lambda: (model, counts))


@fooling("kept", "loud")
def in_a_user_defined_optimizer() -> Case:
    class Counting(nn.Optimizer):
        def __init__(self, parameters: Any, lr: float) -> None:
            super().__init__(parameters, lr)
            self._seen: list[int] = []

        def update(self, parameter: Any, gradient: Any, state: Any) -> Any:
            self._seen.append(1)
            return parameter - self.lr * gradient

    model = nn.Neuron(1, "tanh")
    optimizer = Counting(model, 0.1)

    def step(x: float) -> Any:
        loss = model([x]) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Case(step, observe=lambda: (model, len(optimizer._seen)))


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
