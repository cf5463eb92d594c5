"""Programs in which a few calls differ: by a buffer, a key, an effect, or a random number.

Replays 1 and 8 of ten calls are checked. What differs only in calls 5 to 7 is seen by no check, so
it must be guarded. What a call changes only now and then is found if that call is checked.
"""

from __future__ import annotations

import array
import contextvars
import enum
import math
import random
import types
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.random as npr
import pytest
from fooling_harness import (
    XS,
    Case,
    Fooling,
    assert_expected,
    change_briefly,
    fooling,
    loss_of,
    programs,
    set_briefly,
    two,
)

import nn
from autograd import Value

# --- buffers and contexts -------------------------------------------------------------------------


@fooling("between checks", "equal")
def a_buffer_of_doubles() -> Case:
    buffer = array.array("d", [0.5])
    return change_briefly(
        lambda: buffer[0], lambda: buffer.__setitem__(0, 3.0), lambda: buffer.__setitem__(0, 0.5)
    )


@fooling("between checks", "equal")
def a_view_of_bytes() -> Case:
    memory = bytearray(8)
    view = memoryview(memory)
    return change_briefly(
        lambda: 1 + view[3], lambda: memory.__setitem__(3, 7), lambda: memory.__setitem__(3, 0)
    )


TEMPERATURE = contextvars.ContextVar("TEMPERATURE", default=1.0)


@fooling("between checks", "equal")
def a_context_variable() -> Case:
    return change_briefly(
        lambda: TEMPERATURE.get(), lambda: TEMPERATURE.set(4.0), lambda: TEMPERATURE.set(1.0)
    )


@fooling("between checks", "equal")
def an_object_in_a_context_variable() -> Case:
    current: contextvars.ContextVar[Any] = contextvars.ContextVar("current")
    current.set(types.SimpleNamespace(rate=0.5))
    return set_briefly(lambda: current.get().rate, current.get(), "rate")


@fooling("between checks", "equal")
def an_object_that_is_the_default_of_a_context_variable() -> Case:
    options = types.SimpleNamespace(rate=0.5)
    current = contextvars.ContextVar("current", default=options)
    return set_briefly(lambda: current.get().rate, options, "rate")


# --- attributes that the function does not read ---------------------------------------------------


@fooling("between checks", "equal")
def a_trainer_counts_the_steps_that_its_optimizers_make() -> Case:
    """`optimizer.step` is not `trainer.step`, the number that the caller counts."""

    class Trainer:
        def __init__(self) -> None:
            self.model, self.step, self.seen = nn.Linear(1, 1), 0, [0.0]
            self.optimizers = [nn.SGD(self.model, lr=0.1), nn.Adam(self.model, lr=0.1)]

        def train(self, x: float) -> Any:
            loss = (self.model([x])[0] - 1.0) ** 2
            self.model.zero_grad()
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
            return loss

    trainer = Trainer()

    def between(call: int) -> None:
        trainer.step += 1
        trainer.seen.append(1.0)

    return Case(trainer.train, observe=lambda: trainer.model, between=between)


@fooling("between checks", "equal")
def bodies_grow_older_between_the_calls() -> Case:
    class Body:
        made: ClassVar[int] = 0

        def __init__(self) -> None:
            self.x, self.age = Value(1.0), 0
            Body.made += 1

        def move(self, dt: float) -> None:
            self.x.data -= self.x.data * dt

    bodies = [Body(), Body()]

    def step(dt: float) -> Any:
        for body in bodies:
            body.move(dt)
        return bodies[0].x * 2.0

    def between(call: int) -> None:
        bodies[0].age += 1
        Body()

    return Case(step, observe=lambda: [body.x for body in bodies], between=between)


@fooling("between checks", "equal")
def an_agent_and_its_world_have_attributes_of_the_same_name() -> Case:
    """What a method reads from `self` is guarded only on objects of its class."""

    class World:
        def __init__(self) -> None:
            self.time, self.size = 0, 2.0

    class Agent:
        def __init__(self) -> None:
            self.world, self.w, self.time = World(), Value(0.5), Value(0.0)

        def learn(self, x: float) -> Any:
            self.time.data += 1.0
            self.w.data -= 0.1 / self.time.data * x
            return self.w * self.world.size

    agent = Agent()

    def between(call: int) -> None:
        agent.world.time += 1
        agent.world.size = 3.0 if 4 <= call < 7 else 2.0

    return Case(agent.learn, observe=lambda: (agent.w, agent.time), between=between)


# --- keys of dicts --------------------------------------------------------------------------------


def keys(usual: Any, other: Any, weight: Callable[[Any], float]) -> Case:
    """A dict argument whose key is replaced by an equal one of another type in calls 5 to 7."""

    def step(table: dict[Any, float]) -> Any:
        return sum((Value(x) * weight(key) for key, x in table.items()), Value(0.0))

    return Case(step, [({other if 4 < i < 8 else usual: x},) for i, x in enumerate(XS, 1)])


class Colour(enum.StrEnum):
    RED = "red"


@fooling("between checks", "equal")
def a_key_is_one_or_true() -> Case:
    return keys(1, True, lambda key: 10.0 if isinstance(key, bool) else 1.0)


@fooling("between checks", "equal")
def a_key_is_a_float_or_an_int() -> Case:
    return keys(2.0, 2, lambda key: len(str(key)))


@fooling("between checks", "equal")
def a_key_is_a_string_or_an_enum_member() -> Case:
    return keys("red", Colour.RED, lambda key: 10.0 if isinstance(key, Colour) else 1.0)


@fooling("between checks", "equal")
def a_slice_is_an_argument() -> Case:
    ws = [Value(k / 10) for k in range(6)]
    return Case(
        lambda part, x: sum((w * x for w in ws[part]), Value(0.0)),
        [(slice(None, 1 + i % 2), x) for i, x in enumerate(XS)],
    )


# --- what only some calls do ----------------------------------------------------------------------


def rarely(effect: Callable[[list[Value]], Any], observe: Callable[[list[Value]], Any]) -> Case:
    """A function with an effect in the tenth call only, whose trigger is not guarded."""
    ws, clock = two(), np.zeros(30_000)  # too large to be guarded

    def step(x: float) -> Any:
        if clock[0] > 0.0:
            effect(ws)
        return loss_of(ws, x)

    def between(call: int) -> None:
        clock[0] = call == 9

    return Case(step, observe=lambda: (ws, observe(ws)), between=between)


@fooling("between checks", "loud")
def a_flag_is_set_in_a_checked_call() -> Case:
    flags = {"stop": False}
    return rarely(lambda ws: flags.update(stop=True), lambda ws: flags)


@fooling("between checks", "loud")
def a_setting_is_changed_in_a_checked_call() -> Case:
    options = types.SimpleNamespace(rate=0.5)

    def halve(ws: list[Value]) -> None:
        options.rate *= 0.5

    return rarely(halve, lambda ws: options.rate)


@fooling("between checks", "loud")
def a_layer_is_replaced_in_a_checked_call() -> Case:
    model, other = nn.MLP(1, [2, 1]), nn.MLP(1, [2, 1])
    return rarely(lambda ws: model.layers.__setitem__(0, other.layers[0]), lambda ws: model)


@fooling("between checks", "loud")
def an_entry_is_appended_in_a_checked_call() -> Case:
    found: list[str] = []
    return rarely(lambda ws: found.append("late"), lambda ws: found)


@fooling("between checks", "loud")
def converges_by_a_function_of_the_math_module() -> Case:
    ws, reached = two(), []

    def step(x: float) -> Any:
        loss = loss_of(ws, x)
        if math.isclose(loss.data, 1.0, abs_tol=1e-9):
            reached.append(True)
        return loss

    calls = [(x,) for x in (*XS[:9], 5.0)]  # 0.5 * 5 - 1.5 - 1 is 0
    ws[1].data = -0.5
    return Case(step, calls, observe=lambda: reached)


def explores(is_rare: Callable[[], Any]) -> Case:
    """A bandit that rarely explores, by a random number from a stream that is no argument."""
    arms = two()

    def step(reward: float) -> Any:
        arm = arms[1] if is_rare() else arms[0]
        arm.data += 0.1 * (reward - arm.data)
        return arm.data

    return Case(step, observe=lambda: arms)


@fooling("random", "loud")
def explores_rarely_by_random() -> Case:
    return explores(lambda: random.random() < 0.02)


@fooling("random", "loud")
def explores_rarely_by_a_method_that_draws() -> Case:
    class Agent:
        def explores(self) -> bool:
            return random.gauss(0.0, 1.0) > 3.0

    agents = [Agent()]
    return explores(lambda: any(agent.explores() for agent in agents))


@fooling("random", "loud")
def explores_rarely_by_numpy() -> Case:
    return explores(lambda: np.random.rand() < 0.02)


@fooling("random", "loud")
def explores_rarely_by_the_numpy_random_module() -> Case:
    return explores(lambda: npr.randint(50) == 49)


@fooling("random", "loud")
def seeds_the_stream_of_nn_inside() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        nn.seed(3)
        return w * x + nn.gauss()

    return Case(step)


@fooling("random", "loud")
def draws_from_a_stream_that_is_made_inside() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        stream = random.Random(3)
        return w * x + nn.gauss(generator=stream) + nn.uniform(generator=stream)

    return Case(step)


@fooling("random", "equal")
def draws_from_a_stream_that_is_made_outside() -> Case:
    w, stream = Value(2.0), random.Random(3)
    step = lambda x: w * x + nn.gauss(generator=stream) * nn.uniform()  # noqa: E731
    return Case(step, observe=lambda: stream)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
