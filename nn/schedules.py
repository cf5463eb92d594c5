"""How does the learning rate change during training? Schedules: functions of the steps taken.

Each raises TypeError for an argument of the wrong type, ValueError for fewer than 1 step.

>>> schedule = linear_decay(0.1, 100)
>>> schedule(50)  # optimizer.lr = schedule(step) before each step
0.05
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from autograd.messages import is_bool
from autograd.text import quoted
from autograd.value import as_operand
from nn.scalars import own_number

Schedule = Callable[[int], float]


def linear_decay(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Decay linearly from `lr` to `final` in `steps` steps, and stay constant afterwards.

    >>> [linear_decay(1.0, 4)(step) for step in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    steps, lr, final = _numbers(steps, lr=lr, final=final)
    return lambda step: final + (lr - final) * (1.0 - min(step / steps, 1.0))


def cosine_decay(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Decay from `lr` to `final` along half a cosine wave (Loshchilov and Hutter 2017, eq. 5)."""
    steps, lr, final = _numbers(steps, lr=lr, final=final)
    return lambda step: (
        final + (lr - final) * (1.0 + math.cos(math.pi * min(step / steps, 1.0))) / 2.0
    )


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """Multiply `lr` by `factor` once per `every` steps."""
    every, lr, factor = _numbers(every, lr=lr, factor=factor)
    return lambda step: _multiplied("step_decay", lr, factor, step, step // every)


def exponential_decay(lr: float, factor: float) -> Schedule:
    """Multiply `lr` by `factor` after each step.

    >>> [exponential_decay(1.0, 0.5)(step) for step in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    _, lr, factor = _numbers(lr=lr, factor=factor)
    return lambda step: _multiplied("exponential_decay", lr, factor, step, step)


def with_warmup(schedule: Schedule, steps: int) -> Schedule:
    """Multiply a schedule by a factor that rises linearly to 1 in the first `steps` steps."""
    if not callable(schedule):
        raise TypeError(
            "with_warmup takes a schedule, as in with_warmup(linear_decay(0.1, 100), 10), not"
            f" {quoted(schedule)}"
        )
    (steps,) = _numbers(steps)
    return lambda step: schedule(step) * min((step + 1) / steps, 1.0)


def _multiplied(name: str, lr: float, factor: float, step: int, times: int) -> float:
    try:
        return lr * factor**times
    except OverflowError:
        raise OverflowError(
            f"{name}: the learning rate of step {step}, {lr} * {factor}**{times}, is too large for"
            " a float: use a factor of at most 1"
        ) from None


def _numbers(steps: float = 1, **numbers: float) -> list[Any]:
    """Return the steps and the numbers as Python's own.

    Raises TypeError for anything but numbers, ValueError for fewer than one step.
    """
    given = {"steps": steps, **numbers}
    for name, number in given.items():
        if is_bool(number) or as_operand(number) is None:
            raise TypeError(f"{name} of a schedule must be a number, not {quoted(number)}")
    if not steps >= 1:
        raise ValueError(f"a schedule needs 1 step or more, not {steps}")
    return [own_number(number) for number in given.values()]
