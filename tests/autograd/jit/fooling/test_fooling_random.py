"""Programs that draw random numbers, or ask the clock and the system for numbers."""

from __future__ import annotations

import datetime
import itertools
import os
import random
import secrets
import time
import uuid
from typing import Any

import numpy as np
import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

import nn
from autograd import Value
from nn import rng


@fooling("random", "loud")
def draws_from_the_global_stream() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * x + random.random(), observe=random.getstate)


@fooling("random", "loud")
def draws_by_a_name_imported_before() -> Case:
    w, gauss = Value(2.0), random.gauss
    return Case(lambda x: w * (x + gauss(0.0, 0.1)))


@fooling("random", "equal")
def makes_a_seeded_generator_inside() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        generator = random.Random(7)
        return w * x + generator.uniform(-1.0, 1.0)

    return Case(step)


@fooling("random", "loud")
def makes_an_unseeded_generator_inside() -> Case:
    w = Value(2.0)
    return Case(lambda: w + random.Random().random(), calls=[()] * 10, blind=True)


@fooling("random", "loud")
def seeds_a_generator_by_a_counter() -> Case:
    w, seeds = Value(2.0), itertools.count()
    return Case(lambda x: w * x + random.Random(next(seeds)).random())


@fooling("random", "loud")
def keeps_a_generator_in_a_cell() -> Case:
    w, generator = Value(2.0), random.Random(3)
    return Case(lambda x: w * x + generator.random(), observe=lambda: generator)


@fooling("random", "loud")
def draws_from_a_numpy_generator() -> Case:
    w, generator = Value(2.0), np.random.default_rng(3)
    return Case(lambda x: w * x + generator.normal(), observe=lambda: generator)


@fooling("random", "loud")
def draws_from_the_global_numpy_stream() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * x + float(np.random.rand()))


@fooling("random", "equal")
def makes_a_seeded_numpy_generator_inside() -> Case:
    weights = [Value(0.5), Value(1.5), Value(-1.0)]

    def step(x: float) -> Any:
        noise = np.random.default_rng(5).normal(size=3)
        return sum((w * (x + float(e)) for w, e in zip(weights, noise, strict=True)), Value(0.0))

    return Case(step)


@fooling("random", "loud")
def makes_an_unseeded_numpy_generator_inside() -> Case:
    w = Value(2.0)
    calls: list[tuple[()]] = [()] * 10
    return Case(lambda: w * float(np.random.default_rng().random()), calls=calls, blind=True)


@fooling("random", "loud")
def seeds_the_global_stream_by_the_call() -> Case:
    w, calls = Value(2.0), np.zeros(1, dtype=int)

    def step(x: float) -> Any:
        calls[0] += 1
        random.seed(int(calls[0]))
        return w * x + random.random()

    return Case(step)


@fooling("random", "equal")
def seeds_the_global_stream_alike_in_each_call() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        random.seed(11)
        return w * x + random.random()

    return Case(step)


@fooling("random", "loud")
def shuffles_its_examples() -> Case:
    w = Value(2.0)

    def step(xs: list[float]) -> Any:
        order = list(range(len(xs)))
        random.shuffle(order)
        return [w * xs[i] for i in order]

    return Case(step, calls=[([1.0 * n, 2.0, -3.0 * n, 4.0, 0.5],) for n in range(10)])


@fooling("random", "loud")
def samples_its_own_batch() -> Case:
    w, data = Value(2.0), [(0.1 * i, 0.3 * i - 1.0) for i in range(50)]

    def step() -> Any:
        loss = sum(((w * x - y) ** 2 for x, y in random.sample(data, 4)), Value(0.0))
        w.grad = 0.0
        loss.backward()
        w.data -= 0.01 * w.grad
        return loss

    return Case(step, calls=[()] * 10, observe=lambda: w)


@fooling("random", "loud")
def drops_weights_by_choice() -> Case:
    weights = [Value(0.5 * i) for i in range(1, 6)]
    return Case(lambda x: random.choice(weights) * x)


@fooling("random", "loud")
def drops_by_a_comparison_with_a_draw() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * x if random.random() < 0.5 else w * 0.0)


@fooling("random", "loud")
def draws_but_does_not_use_it() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        random.random()
        return w * x

    return Case(step, observe=random.getstate)


@fooling("random", "loud")
def draws_only_in_some_calls() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        noise = random.random() if w.grad is not None and STATE["noisy"] else 0.0
        return w * x + noise

    def change(call: int) -> None:
        STATE["noisy"] = call in (4, 5, 6, 7, 8, 9)

    STATE["noisy"] = False
    return Case(step, between=change)


STATE = {"noisy": False}


@fooling("random", "loud")
def draws_from_the_generator_of_nn() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * x + rng.generator.random(), observe=lambda: rng.generator)


@fooling("random", "equal")
def drops_with_a_dropout() -> Case:
    nn.seed(3)
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.Linear(3, 1))

    def step(x: float) -> Any:
        loss = nn.mse(model([[x, 1.0 - x], [0.5, x]]), [[1.0], [0.0]])
        model.zero_grad()
        loss.backward()
        return loss

    return Case(step, observe=lambda: (model, rng.generator))


@fooling("random", "loud")
def initializes_a_layer_inside() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        return nn.Neuron(2, "tanh")([x, w])

    return Case(step)


@fooling("random", "equal")
def initializes_a_seeded_layer_inside() -> Case:
    w = Value(2.0)
    return Case(lambda x: nn.Neuron(2, "tanh", random.Random(1))([x, w]))


@fooling("random", "loud")
def shuffles_by_the_generator_of_another_module() -> Case:
    generator = random.Random(5)
    model = [Value(1.0), Value(-2.0)]

    class Augmented:
        def __init__(self, source: random.Random) -> None:
            self.source = source

        def __call__(self, x: float) -> float:
            return x * self.source.choice([-1.0, 1.0])

    augment = Augmented(generator)
    return Case(lambda x: model[0] * augment(x) + model[1], observe=lambda: generator)


# --- clocks and the system ------------------------------------------------------------------------


@fooling("clock", "loud")
def asks_for_the_time() -> Case:
    w, start = Value(2.0), time.time_ns()
    return Case(lambda: w * (time.time_ns() - start), calls=[()] * 10, blind=True)


@fooling("clock", "loud")
def measures_seconds() -> Case:
    w = Value(2.0)

    def step() -> Any:
        start = time.perf_counter_ns()
        out = sum((w * i for i in range(20)), Value(0.0))
        return out, start

    return Case(step, calls=[()] * 10, blind=True)


@fooling("clock", "loud")
def decays_a_rate_by_the_clock() -> Case:
    w, clock = Value(2.0), [0.0]

    def now() -> float:
        clock[0] += 0.125
        return clock[0]

    before, time_of = now(), now
    return Case(lambda x: w * x / (1.0 + time_of() - before))


@fooling("clock", "loud")
def asks_for_the_date() -> Case:
    w = Value(2.0)

    def step() -> Any:
        time.sleep(1e-5)
        return w * datetime.datetime.now().microsecond

    return Case(step, calls=[()] * 10, blind=True)


@fooling("clock", "loud")
def draws_from_the_system() -> Case:
    w = Value(2.0)
    return Case(lambda: w * int.from_bytes(os.urandom(4), "big"), calls=[()] * 10, blind=True)


@fooling("clock", "loud")
def draws_a_secret() -> Case:
    w = Value(2.0)
    return Case(lambda: w + secrets.randbelow(10**9), calls=[()] * 10, blind=True)


@fooling("clock", "loud")
def names_its_results_by_uuid() -> Case:
    w = Value(2.0)
    return Case(lambda: {"id": str(uuid.uuid4()), "loss": w * 2.0}, calls=[()] * 10, blind=True)


@fooling("clock", "equal")
def groups_by_identity() -> Case:
    weights = [Value(1.0), Value(2.0), Value(3.0)]
    shared = [weights[0], weights[1], weights[0], weights[2]]

    def step(x: float) -> Any:
        unique = {id(w): w for w in shared}
        return sum((w * x for w in unique.values()), Value(0.0)) * len(unique)

    return Case(step)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
