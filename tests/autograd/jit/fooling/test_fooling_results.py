"""Programs with caches and copies, and with results of many kinds."""

from __future__ import annotations

import copy
import functools
import pickle
from typing import Any

import numpy as np
import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, numbers, programs

import nn
from autograd import Value


class Line(nn.Module):
    def __init__(self) -> None:
        self.slope, self.offset = Value(2.0), Value(0.5)

    def __call__(self, x: Any) -> Any:
        return self.slope * x + self.offset


@fooling("caches", "equal")
def a_cache_of_constants() -> Case:
    w = Value(2.0)

    @functools.lru_cache
    def factor(n: int) -> float:
        return 1.0 / (n + 1)

    return Case(lambda x: w * x * factor(1) + factor(2))


@fooling("caches", "loud")
def a_cache_by_number() -> Case:
    w = Value(2.0)

    @functools.lru_cache
    def squared(x: float) -> float:
        return x * x

    return Case(lambda x: w * squared(x))


@fooling("caches", "loud")
def a_cache_by_object_keeps_results() -> Case:
    w = Value(2.0)

    @functools.cache
    def doubled(v: Value) -> Any:
        return v * 2.0

    def step(x: float) -> Any:
        loss = (doubled(w) * x) ** 2
        loss.backward()
        w.data -= 0.01 * w.grad
        return loss

    return Case(step, observe=lambda: w)


@fooling("caches", "equal")
def a_cached_property_of_a_model() -> Case:
    class Model:
        def __init__(self) -> None:
            self.n = 3

        @functools.cached_property
        def weights(self) -> list[Value]:
            return [Value(0.5 * i) for i in range(self.n)]

    model = Model()
    return Case(lambda x: sum((w * x for w in model.weights), Value(0.0)), observe=lambda: model.n)


@fooling("caches", "equal")
def a_cached_property_is_forgotten() -> Case:
    class Settings:
        base = 0.5

        @functools.cached_property
        def rate(self) -> float:
            return self.base * 2.0

    w, settings = Value(2.0), Settings()

    def change(call: int) -> None:
        if call == 5:
            Settings.base = 4.0
            del settings.rate

    return Case(lambda x: w * x * settings.rate, between=change)


@fooling("caches", "loud")
def a_memo_of_results_by_step() -> Case:
    w = Value(2.0)
    memo: dict[int, float] = {}

    def step(x: float) -> Any:
        n = len(memo)
        memo[n] = memo.get(n - 1, 1.0) * 0.5
        return w * x * memo[n]

    return Case(step, observe=lambda: memo)


@fooling("caches", "equal")
def a_table_is_filled_in_the_first_call() -> Case:
    w = Value(2.0)
    table: list[float] = []

    def step(x: float) -> Any:
        if not table:
            table.extend(0.5**i for i in range(4))
        return sum((w * x * t for t in table), Value(0.0))

    return Case(step, observe=lambda: table)


# --- copies ---------------------------------------------------------------------------------------


@fooling("copies", "equal")
def detaches_its_target() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        target = (w * x).detach()
        loss = (w * 2.0 - target) ** 2
        w.grad = 0.0
        loss.backward()
        return loss, target

    return Case(step, observe=lambda: w)


@fooling("copies", "equal")
def copies_a_weight() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        old = copy.copy(w)
        w.data -= 0.1 * x
        return w - old

    return Case(step, observe=lambda: w)


@fooling("copies", "equal")
def copies_a_model() -> Case:
    model = Line()

    def step(x: float) -> Any:
        teacher = copy.deepcopy(model)
        loss = (model(x) - 0.5 * teacher(x)) ** 2
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.05 * p.grad
        return loss

    return Case(step, observe=lambda: model)


@fooling("copies", "loud")
def pickles_a_model() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        twin = pickle.loads(pickle.dumps(w))
        w.data += 0.5
        return twin * x + w

    return Case(step, observe=lambda: w)


@fooling("copies", "loud")
def saves_and_loads_the_state_of_a_model() -> Case:
    model = Line()

    def step(x: float) -> Any:
        state = model.state_dict()
        loss = model(x) ** 2
        loss.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
        moved = model(x).data
        model.load_state_dict(state)
        return loss, moved

    return Case(step, observe=lambda: model)


@fooling("copies", "equal")
def keeps_numbers_in_a_new_value() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        frozen = Value(w.data, label="frozen")
        w.data = w.data * 0.5 + x
        return frozen * w, frozen

    return Case(step, observe=lambda: w)


# --- results --------------------------------------------------------------------------------------


@fooling("results", "equal")
def nests_of_everything() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        out = w * x
        return {"out": [out, (out * 2.0, None)], "name": "step", "n": 3, "flag": True, "x": x + 1.0}

    return Case(step)


@fooling("results", "equal")
def returns_nothing() -> Case:
    w = Value(2.0)

    def step(x: float) -> None:
        w.grad = 0.0
        (w * x).exp().backward()
        w.data -= 0.01 * w.grad

    return Case(step, calls=numbers(), observe=lambda: w)


@fooling("results", "equal")
def the_same_value_twice_and_a_weight() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        out = w * x
        return [out, out], w, (w,), Value(1.0)

    return Case(step)


@fooling("results", "loud")
def a_user_defined_object() -> Case:
    class Result:
        def __init__(self, loss: Any, note: str) -> None:
            self.loss, self.note = loss, note

    w = Value(2.0)
    return Case(lambda x: Result(w * x, "fine"))


@fooling("results", "loud")
def a_function_of_the_loss() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        out = w * x
        return out, (lambda: out)

    return Case(step)


@fooling("results", "equal")
def gradients_of_inner_nodes() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        hidden = w * x
        out = hidden.tanh()
        out.backward()
        return out, hidden, hidden.grad, out.grad

    return Case(step)


@fooling("results", "equal")
def an_array_that_is_kept() -> Case:
    w, last = Value(2.0), np.zeros(2)

    def step(x: float) -> Any:
        last[:] = [1.0, 2.0]
        return w * x, last

    return Case(step)


@fooling("results", "equal")
def signs_of_zero() -> Case:
    w = Value(-0.0)
    calls = [(x,) for x in (0.0, -0.0, 1.0, -1.0, -0.0, 0.0, 2.0, -0.0, 0.0, -3.0)]

    def step(x: float) -> Any:
        out = w * x
        out.backward()
        return out, -out, abs(out), out + 0.0, out - out, x * -0.0

    return Case(step, calls=calls, observe=lambda: w)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
