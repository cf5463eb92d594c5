"""Training steps as people write them: schedules, flags, clipping, code from tutorials."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

import pytest
from fooling_harness import (
    XS,
    Case,
    Fooling,
    assert_expected,
    fooling,
    loss_of,
    numbers,
    programs,
    two,
    updating,
)

import nn
from autograd import Value

# --- schedules, flags and records -----------------------------------------------------------------


@fooling("schedules", "loud")
def a_schedule_of_a_step_count() -> Case:
    ws, t = two(), 0

    def step(x: float) -> Any:
        nonlocal t
        lr = 0.1 / (1.0 + t)
        t += 1
        loss = loss_of(ws, x)
        for w in ws:
            w.grad = 0.0
        loss.backward()
        for w in ws:
            w.data -= lr * w.grad
        return loss

    return Case(step, observe=lambda: (ws, t))


@fooling("schedules", "equal")
def the_rate_of_an_optimizer_is_assigned_between_calls() -> Case:
    nn.seed(1)
    model = nn.MLP(1, [2, 1], "tanh")
    optimizer = nn.SGD(model, lr=0.1, momentum=0.9)
    schedule = nn.linear_decay(0.1, 10)

    def step(x: float) -> Any:
        loss = (model([x]) - 1.0) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def change(call: int) -> None:
        optimizer.lr = schedule(call)

    return Case(step, between=change, observe=lambda: (model, optimizer))


@fooling("schedules", "loud")
def the_rate_of_an_optimizer_is_assigned_inside() -> Case:
    nn.seed(1)
    model = nn.MLP(1, [2, 1], "tanh")
    optimizer = nn.Adam(model, lr=0.1)

    def step(x: float) -> Any:
        loss = (model([x]) - 1.0) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.lr = optimizer.lr * 0.9
        return loss

    return Case(step, observe=lambda: (model, optimizer))


@fooling("schedules", "loud")
def a_schedule_of_the_time_of_an_optimizer() -> Case:
    nn.seed(1)
    model = nn.MLP(1, [2, 1], "tanh")
    optimizer = nn.SGD(model, lr=0.1)

    def step(x: float) -> Any:
        loss = (model([x]) - 1.0) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        factor = 0.5 if optimizer.time.data >= 5.0 else 1.0
        return loss * factor

    return Case(step, observe=lambda: (model, optimizer))


@fooling("schedules", "loud")
def remembers_the_best_loss() -> Case:
    ws = two()
    best = math.inf

    def step(x: float) -> Any:
        nonlocal best
        loss = loss_of(ws, x)
        best = min(best, loss.data)
        return loss, best

    return Case(step, observe=lambda: best)


@fooling("schedules", "loud")
def stops_early() -> Case:
    ws = two()
    state = {"stopped": False, "bad": 0, "last": 1e9}

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        if state["stopped"]:
            return loss
        state["bad"] = state["bad"] + 1 if loss.data > state["last"] else 0
        state["last"] = loss.data
        state["stopped"] = state["bad"] >= 2
        loss.backward()
        for w in ws:
            w.data -= 0.05 * w.grad
        return loss

    return Case(step, observe=lambda: (ws, state))


@fooling("schedules", "loud")
def skips_bad_batches() -> Case:
    ws = two()

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        if loss.data < 2.0:
            loss.backward()
        return loss

    return Case(step, observe=lambda: ws)


@fooling("schedules", "loud")
def clips_by_max_and_min() -> Case:
    def update(ws: list[Value]) -> None:
        for w in ws:
            w.data -= 0.05 * max(-1.0, min(1.0, w.grad))

    return updating(update)


@fooling("schedules", "loud")
def clips_by_the_norm_in_floats() -> Case:
    def update(ws: list[Value]) -> None:
        norm = math.sqrt(sum(w.grad * w.grad for w in ws))
        for w in ws:
            w.data -= 0.05 * w.grad * (1.0 / norm if norm > 1.0 else 1.0)

    return updating(update)


@fooling("schedules", "loud")
def divides_by_the_norm_in_floats() -> Case:
    def update(ws: list[Value]) -> None:
        norm = math.sqrt(sum(w.grad * w.grad for w in ws)) + 1e-6
        for w in ws:
            w.data -= 0.05 * w.grad / norm

    return updating(update)


@fooling("schedules", "equal")
def clips_by_the_library() -> Case:
    ws = two()

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        for w in ws:
            w.grad = 0.0
        loss.backward()
        norm = nn.clip_grad_norm(ws, 0.5)
        for w in ws:
            w.data -= 0.05 * w.grad
        return loss, norm

    return Case(step, observe=lambda: ws)


@fooling("schedules", "loud")
def learns_from_the_hardest_example() -> Case:
    ws = two()

    def step(xs: list[float]) -> Any:
        losses = sorted((loss_of(ws, x) for x in xs), key=lambda loss: -loss.data)
        losses[0].backward()
        return losses[0]

    return Case(step, calls=[([x, 1.0, -x],) for x in XS], observe=lambda: ws)


@fooling("schedules", "loud")
def counts_correct_answers() -> Case:
    ws = two()

    def step(x: float) -> Any:
        score = ws[0] * x + ws[1]
        correct = (score.data > 0) == (x > 0)
        return score, correct

    return Case(step)


@fooling("schedules", "equal")
def numbers_of_the_loss_are_returned() -> Case:
    ws = two()

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        for w in ws:
            w.grad = 0.0
        loss.backward()
        gradients = [w.grad for w in ws]
        return loss.data, {"gradients": gradients, "half": loss.data * 0.5 - gradients[0]}

    return Case(step, observe=lambda: ws)


# --- pasted from tutorials ------------------------------------------------------------------------


class Neuron:
    def __init__(self, nin: int) -> None:
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(random.uniform(-1, 1))

    def __call__(self, x: Any) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return act.tanh()

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]


class Net:
    def __init__(self) -> None:
        self.layers = [[Neuron(2) for _ in range(3)], [Neuron(3)]]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = [n(x) for n in layer]
        return x[0] if len(x) == 1 else x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for n in layer for p in n.parameters()]


@fooling("tutorials", "equal")
def the_lecture_on_micrograd() -> Case:
    n = Net()
    xs, ys = [[2.0, 3.0], [3.0, -1.0], [0.5, 1.0]], [1.0, -1.0, -1.0]

    def step() -> Any:
        ypred = [n(x) for x in xs]
        loss = sum((yout - ygt) ** 2 for ygt, yout in zip(ys, ypred, strict=True))
        for p in n.parameters():
            p.grad = 0.0
        loss.backward()
        for p in n.parameters():
            p.data += -0.05 * p.grad
        return loss

    return Case(step, calls=[()] * 10, observe=n.parameters)


@fooling("tutorials", "loud")
def the_demo_of_micrograd_with_its_schedule() -> Case:
    n = Net()
    k = [0]

    def step(xs: Any, ys: Any) -> Any:
        scores = [n(x) for x in xs]
        losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(ys, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        loss = data_loss + 1e-4 * sum(p * p for p in n.parameters())
        accuracy = [(yi > 0) == (s.data > 0) for yi, s in zip(ys, scores, strict=True)]
        for p in n.parameters():
            p.grad = 0
        loss.backward()
        for p in n.parameters():
            p.data -= (1.0 - 0.9 * k[0] / 100) * p.grad
        k[0] += 1
        return loss, sum(accuracy) / len(accuracy)

    calls = [([[x, 1.0], [-x, 0.5]], [1, -1]) for x in XS]
    return Case(step, calls=calls, observe=n.parameters)


@fooling("tutorials", "equal")
def checks_a_gradient_by_differences() -> Case:
    ws = two()

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        h = 1e-4
        old = ws[0].data
        ws[0].data = old + h
        up = loss_of(ws, x).data
        ws[0].data = old
        return loss, (up - loss.data) / h

    return Case(step, observe=lambda: ws)


@fooling("tutorials", "loud")
def keeps_a_copy_of_the_best_weights() -> Case:
    ws = two()
    kept: list[Any] = [None]

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        kept[0] = copy.deepcopy(ws)
        loss.backward()
        for w in ws:
            w.data -= 0.05 * w.grad
        return loss

    return Case(step, calls=numbers(), observe=lambda: (ws, kept))


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
