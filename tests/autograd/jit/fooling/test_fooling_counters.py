"""Programs that count their calls, in every place where Python keeps a number."""

from __future__ import annotations

import array
import collections
import contextlib
import contextvars
import ctypes
import functools
import struct
import threading
import types
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

from autograd import Value

CALLS = 0
TABLE = {"calls": 0}


@fooling("counters", "loud")
def counts_in_a_global() -> Case:
    global CALLS
    CALLS = 0
    w = Value(2.0)

    def step(x: float) -> Any:
        global CALLS
        CALLS += 1
        return w * x / CALLS

    return Case(step, observe=lambda: CALLS)


@fooling("counters", "loud")
def counts_in_a_cell_without_using_it() -> Case:
    w, calls = Value(2.0), 0

    def step(x: float) -> Any:
        nonlocal calls
        calls += 1
        return w * x

    return Case(step, observe=lambda: calls)


@fooling("counters", "loud")
def counts_in_a_list() -> Case:
    w, calls = Value(2.0), [0]

    def step(x: float) -> Any:
        calls[0] += 1
        return w * x

    return Case(step, observe=lambda: calls)


@fooling("counters", "loud")
def counts_in_a_global_dict() -> Case:
    TABLE["calls"] = 0
    w = Value(2.0)

    def bump() -> int:
        TABLE["calls"] += 1
        return TABLE["calls"]

    return Case(lambda x: w * x + (bump() > 4), observe=lambda: TABLE)


@fooling("counters", "loud")
def counts_in_a_dict_that_fills() -> Case:
    w = Value(2.0)
    calls: dict[str, int] = {}

    def step(x: float) -> Any:
        calls["n"] = calls.get("n", 0) + 1
        calls[f"call {calls['n']}"] = calls["n"]
        return w * x

    return Case(step, observe=lambda: calls)


@fooling("counters", "loud")
def counts_in_a_numpy_array() -> Case:
    w, calls = Value(2.0), np.zeros(3)

    def step(x: float) -> Any:
        calls[1] += 1
        return w * x

    return Case(step, observe=lambda: calls)


@fooling("counters", "loud")
def decays_a_rate_in_a_numpy_array() -> Case:
    w, rates = Value(2.0), np.full(4, 0.5)

    def step(x: float) -> Any:
        nonlocal rates
        loss = (w * x - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        w.data -= float(rates[0]) * w.grad
        rates *= 0.9
        return loss

    return Case(step, observe=lambda: (w, rates))


@fooling("counters", "loud")
def counts_in_an_array_of_bytes() -> Case:
    w, calls = Value(2.0), bytearray(1)

    def step(x: float) -> Any:
        calls[0] = (calls[0] + 1) % 256
        return w * (x + calls[0])

    return Case(step, observe=lambda: bytes(calls))


@fooling("counters", "loud")
def counts_in_an_array_array() -> Case:
    w, calls = Value(2.0), array.array("q", [0])

    def step(x: float) -> Any:
        calls[0] += 1
        return w * x

    return Case(step, observe=lambda: calls)


@fooling("counters", "loud")
def counts_in_a_ctypes_number() -> Case:
    w, calls = Value(2.0), ctypes.c_int(0)

    def step(x: float) -> Any:
        calls.value += 1
        return w * x * calls.value

    return Case(step, observe=lambda: calls.value)


@fooling("counters", "loud")
def packs_a_count_into_a_buffer() -> Case:
    w, buffer = Value(2.0), bytearray(8)

    def step(x: float) -> Any:
        (count,) = struct.unpack_from("q", buffer)
        struct.pack_into("q", buffer, 0, count + 1)
        return w * x - count

    return Case(step, observe=lambda: bytes(buffer))


@fooling("counters", "loud")
def counts_in_a_class_attribute() -> Case:
    class Model:
        calls: ClassVar[int] = 0

        def __init__(self) -> None:
            self.w = Value(2.0)

        def forward(self, x: float) -> Any:
            Model.calls += 1
            return self.w * x

    model = Model()
    return Case(lambda x: model.forward(x), observe=lambda: Model.calls)


@fooling("counters", "loud")
def counts_in_the_class_of_self() -> Case:
    class Base:
        calls: ClassVar[int] = 0

    class Model(Base):
        def __init__(self) -> None:
            self.w = Value(2.0)

        def __call__(self, x: float) -> Any:
            type(self).calls += 1
            return self.w * x / self.calls

    model = Model()
    return Case(lambda x: model(x), observe=lambda: (Base.calls, Model.calls))


@fooling("counters", "loud")
def counts_in_an_instance() -> Case:
    class Model:
        def __init__(self) -> None:
            self.w, self.t = Value(2.0), 0

        def forward(self, x: float) -> Any:
            self.t += 1
            return self.w * x

    model = Model()
    return Case(model.forward, observe=lambda: model)


@fooling("counters", "loud")
def counts_in_a_slot() -> Case:
    class Clock:
        __slots__ = ("t",)

        def __init__(self) -> None:
            self.t = 0

        def tick(self) -> int:
            self.t += 1
            return self.t

    w, clock = Value(2.0), Clock()
    return Case(lambda x: w * x * clock.tick(), observe=lambda: clock)


@fooling("counters", "loud")
def counts_in_a_function_attribute() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        step.calls += 1  # type: ignore[attr-defined]
        return w * x

    step.calls = 0  # type: ignore[attr-defined]
    return Case(step, observe=lambda: step.calls)  # type: ignore[attr-defined]


@fooling("counters", "loud")
def counts_in_a_default() -> Case:
    w = Value(2.0)

    def step(x: float, calls: list[int] = [0]) -> Any:  # noqa: B006 (that is the point)
        calls[0] += 1
        return w * x + calls[0]

    step.__defaults__ = ([0],)
    return Case(step)


@fooling("counters", "loud")
def counts_in_the_default_of_a_helper() -> Case:
    w = Value(2.0)

    def count(calls: dict[str, int] = {"n": 0}) -> int:  # noqa: B006 (that is the point)
        calls["n"] += 1
        return calls["n"]

    count.__defaults__ = ({"n": 0},)
    return Case(lambda x: w * x + count())


@fooling("counters", "loud")
def counts_in_a_context_manager() -> Case:
    w = Value(2.0)

    class Timer:
        entered = left = 0

        def __enter__(self) -> Timer:
            self.entered += 1
            return self

        def __exit__(self, *error: object) -> None:
            self.left += 1

    timer = Timer()

    def step(x: float) -> Any:
        with timer:
            return w * x

    return Case(step, observe=lambda: timer)


@fooling("counters", "loud")
def counts_in_a_generated_context_manager() -> Case:
    w, depth = Value(2.0), collections.Counter[str]()

    @contextlib.contextmanager
    def counted(name: str) -> Iterator[int]:
        depth[name] += 1
        yield depth[name]

    def step(x: float) -> Any:
        with counted("step") as n:
            return w * x * n

    return Case(step, observe=lambda: depth)


@fooling("counters", "loud")
def counts_in_a_contextvar() -> Case:
    w = Value(2.0)
    calls: contextvars.ContextVar[int] = contextvars.ContextVar("calls", default=0)
    calls.set(0)

    def step(x: float) -> Any:
        calls.set(calls.get() + 1)
        return w * x / calls.get()

    return Case(step, observe=calls.get)


@fooling("counters", "loud")
def counts_in_a_thread_local() -> Case:
    w, local = Value(2.0), threading.local()
    local.n = 0

    def step(x: float) -> Any:
        local.n += 1
        return w * x - local.n

    return Case(step, observe=lambda: local.n)


@fooling("counters", "loud")
def counts_in_a_namespace_of_namespaces() -> Case:
    w = Value(2.0)
    state = types.SimpleNamespace(train=types.SimpleNamespace(step=0))

    def step(x: float) -> Any:
        state.train.step += 1
        return w * x

    return Case(step, observe=lambda: state)


@fooling("counters", "loud")
def counts_in_a_decorator() -> Case:
    w = Value(2.0)

    def counted(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            wrapper.calls += 1  # type: ignore[attr-defined]
            return function(*args) * (1.0 + 0.5 * (wrapper.calls >= 8))  # type: ignore[attr-defined]

        wrapper.calls = 0  # type: ignore[attr-defined]
        return wrapper

    @counted
    def step(x: float) -> Any:
        return w * x

    return Case(step, observe=lambda: step.calls)


@fooling("counters", "loud")
def counts_in_a_weak_dict() -> Case:
    w, calls = Value(2.0), weakref.WeakKeyDictionary[Any, int]()

    class Key:
        pass

    key = Key()

    def step(x: float) -> Any:
        calls[key] = calls.get(key, 0) + 1
        return w * x + calls[key]

    return Case(step, observe=lambda: list(calls.values()))


@fooling("counters", "loud")
def counts_in_the_length_of_a_list() -> Case:
    w = Value(2.0)
    history: list[None] = []

    def step(x: float) -> Any:
        history.append(None)
        return w * x * len(history)

    return Case(step, observe=lambda: history)


@fooling("counters", "loud")
def counts_in_a_set() -> Case:
    w, seen = Value(2.0), set[int]()

    def step(x: float) -> Any:
        seen.add(len(seen))
        return w * x

    return Case(step, observe=lambda: seen)


@fooling("counters", "loud")
def counts_three_attributes_deep() -> Case:
    class Node:
        def __init__(self, child: Any) -> None:
            self.child, self.visits = child, 0

        def visit(self) -> int:
            self.visits += 1
            return self.visits + (self.child.visit() if self.child else 0)

    w, tree = Value(2.0), Node(Node(Node(None)))
    return Case(lambda x: w * x * tree.visit(), observe=lambda: tree)


@fooling("counters", "loud")
def counts_in_a_list_of_tuples_that_is_replaced() -> Case:
    w = Value(2.0)
    state: list[tuple[str, int]] = [("calls", 0), ("epochs", 1)]

    def step(x: float) -> Any:
        state[0] = ("calls", state[0][1] + 1)
        return w * x

    return Case(step, observe=lambda: state)


@fooling("counters", "loud")
def every_fourth_call_is_different() -> Case:
    w, calls = Value(2.0), np.zeros(1, dtype=int)

    def step(x: float) -> Any:
        calls[0] += 1
        out = w * x
        if calls[0] % 4 == 0:
            out = out * 10.0
        return out

    return Case(step, observe=lambda: calls)


@fooling("counters", "loud")
def counts_up_and_down_again() -> Case:
    w, depth = Value(2.0), [0]

    def step(x: float) -> Any:
        depth[0] += 1
        out = w * x * depth[0]
        depth[0] = 1 - depth[0] + 1
        return out

    return Case(step, calls=[(0.5,)] * 10, observe=lambda: depth)


@fooling("counters", "equal")
def restores_what_it_counted() -> Case:
    w, depth = Value(2.0), [0]

    def power(x: Any, n: int) -> Any:
        depth[0] += 1
        try:
            return x if n == 1 else x * power(x, n - 1) * depth[0]
        finally:
            depth[0] -= 1

    return Case(lambda x: power(w * x, 4), observe=lambda: depth)


@fooling("counters", "loud")
def toggles_a_flag() -> Case:
    w = Value(2.0)
    flag = False

    def step(x: float) -> Any:
        nonlocal flag
        flag = not flag
        return w * x if flag else w - x

    return Case(step, observe=lambda: flag)


@fooling("counters", "equal")
def counts_in_a_value() -> Case:
    w, calls = Value(2.0), Value(0.0)

    def step(x: float) -> Any:
        calls.data += 1.0
        return w * x / calls.data

    return Case(step, observe=lambda: calls)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
