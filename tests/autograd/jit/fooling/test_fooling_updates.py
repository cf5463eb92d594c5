"""Training steps that update weights by hand, in many spellings."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from fooling_harness import (
    Case,
    Fooling,
    assert_expected,
    fooling,
    loss_of,
    programs,
    two,
    updating,
)

from autograd import Value, grad


@fooling("updates", "equal")
def subtracts_in_place() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            w.data -= 0.05 * w.grad

    return updating(update)


@fooling("updates", "equal")
def adds_the_negative() -> Case:
    def update(ws: list[Value]) -> None:
        lr = 0.05
        for w in ws:
            w.data += -lr * w.grad

    return updating(update)


@fooling("updates", "equal")
def assigns_the_difference() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            w.data = w.data - 0.05 * w.grad

    return updating(update)


@fooling("updates", "equal")
def assigns_by_the_method() -> Case:
    return updating(lambda ws: [w.assign(w - 0.05 * w.grad) for w in ws])


@fooling("updates", "equal")
def updates_all_at_once_by_zip() -> Case:
    def update(ws: list[Value]) -> None:
        new = [w.data - 0.05 * g for w, g in zip(ws, [w.grad for w in ws], strict=True)]
        for w, number in zip(ws, new, strict=True):
            w.data = number

    return updating(update)


@fooling("updates", "equal")
def updates_by_setattr() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            setattr(w, "data", getattr(w, "data") - 0.05 * getattr(w, "grad"))  # noqa: B009, B010

    return updating(update)


@fooling("updates", "equal")
def updates_through_the_slots() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            object.__setattr__(w, "data", object.__getattribute__(w, "data") - 0.05 * w.grad)

    return updating(update)


@fooling("updates", "equal")
def updates_by_attribute_getters() -> Case:
    numbers_of = operator.attrgetter("data", "grad")

    def update(ws: list[Value]) -> None:
        for w in ws:
            data, gradient = numbers_of(w)
            w.data = operator.isub(data, operator.mul(0.05, gradient))

    return updating(update)


@fooling("updates", "equal")
def updates_by_a_subtraction_of_values() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            w.data = (w - 0.05 * Value(w.grad)).data

    return updating(update)


@fooling("updates", "equal")
def decays_weights_and_zeroes_afterwards() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            w.data *= 1.0 - 0.01
            w.data -= 0.05 * w.grad
            w.grad = 0

    return updating(update)


@fooling("updates", "equal")
def zeroes_by_multiplying() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            w.data -= 0.05 * w.grad
            w.grad *= 0.0

    return updating(update)


@fooling("updates", "equal")
def zeroes_by_the_gradient_itself() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            w.data -= 0.05 * w.grad
            w.grad -= w.grad
            w.grad = -w.grad

    return updating(update)


@fooling("updates", "loud")
def sets_gradients_to_none() -> Case:
    ws = two()

    def step(x: float) -> Any:
        gradients = grad(loss_of(ws, x), ws)
        for w, g in zip(ws, gradients, strict=True):
            w.data -= 0.05 * g.data
            w.grad = None  # type: ignore[assignment]
        return gradients

    return Case(step, observe=lambda: ws)


@fooling("updates", "equal")
def accumulates_without_zeroing() -> Case:
    ws = two()

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        loss.backward()
        return loss, [w.grad for w in ws]

    return Case(step, observe=lambda: ws)


@fooling("updates", "loud")
def updates_every_third_call() -> Case:
    ws, calls = two(), [0]

    def step(x: float) -> Any:
        loss = loss_of(ws, x) / 3.0
        loss.backward()
        calls[0] += 1
        if calls[0] % 3 == 0:
            for w in ws:
                w.data -= 0.05 * w.grad
                w.grad = 0.0
        return loss

    return Case(step, observe=lambda: ws)


@fooling("updates", "loud")
def keeps_momentum_in_floats() -> Case:
    ws = two()
    velocity = [0.0, 0.0]

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        for w in ws:
            w.grad = 0.0
        loss.backward()
        for i, w in enumerate(ws):
            velocity[i] = 0.9 * velocity[i] + w.grad
            w.data -= 0.05 * velocity[i]
        return loss

    return Case(step, observe=lambda: (ws, velocity))


@fooling("updates", "loud")
def averages_weights_in_a_dict() -> Case:
    ws = two()
    average: dict[int, float] = {}

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        for w in ws:
            w.grad = 0.0
        loss.backward()
        for i, w in enumerate(ws):
            w.data -= 0.05 * w.grad
            average[i] = 0.9 * average.get(i, w.data) + 0.1 * w.data
        return loss

    return Case(step, observe=lambda: (ws, average))


@fooling("updates", "equal")
def averages_weights_in_values() -> Case:
    ws, averages = two(), two()

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        for w in ws:
            w.grad = 0.0
        loss.backward()
        for w, average in zip(ws, averages, strict=True):
            w.data -= 0.05 * w.grad
            average.data = 0.9 * average.data + 0.1 * w.data
        return loss

    return Case(step, observe=lambda: (ws, averages))


@fooling("updates", "loud")
def adam_by_hand_with_a_step_count() -> Case:
    ws = two()
    state: dict[str, Any] = {"t": 0, "m": [0.0, 0.0], "v": [0.0, 0.0]}

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        for w in ws:
            w.grad = 0.0
        loss.backward()
        state["t"] += 1
        for i, w in enumerate(ws):
            state["m"][i] = 0.9 * state["m"][i] + 0.1 * w.grad
            state["v"][i] = 0.99 * state["v"][i] + 0.01 * w.grad**2
            m = state["m"][i] / (1.0 - 0.9 ** state["t"])
            v = state["v"][i] / (1.0 - 0.99 ** state["t"])
            w.data -= 0.01 * m / (v**0.5 + 1e-8)
        return loss

    return Case(step, observe=lambda: (ws, state))


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
