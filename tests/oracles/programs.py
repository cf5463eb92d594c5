"""Random programs in three systems: the engine's Values, PyTorch's tensors, and mpmath's numbers.

A program is a list of lines, each with the name of an operation and the places of its operands
among the inputs and the results of earlier lines. The three tables of operations share only their
names, so each system computes a program, and differentiates it, in its own way.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import mpmath
from mpmath import mp, mpf
from parts import torch

import autograd
from autograd import Value, grad, hessian

UNARY = ["exp", "log", "log1p", "expm1", "sqrt", "sin", "cos"]
UNARY += ["tanh", "sigmoid", "relu", "softplus", "erf"]  # methods of both Values and tensors

ENGINE: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "neg": lambda a: -a,
    "square": lambda a: a**2,
    "cube": lambda a: a**3.0,
    "inverse": lambda a: a**-1,
    "root": lambda a: a**0.5,
    "power_of_2": lambda a: 2.0**a,
    "weighted": lambda a, b: 0.5 * a - b / 3.0 + 1.0,
    "abs": lambda a: abs(a),
    "maximum": lambda a, b: autograd.maximum(a, b),
    "minimum": lambda a, b: autograd.minimum(a, b),
    "where": lambda c, a, b: autograd.where(autograd.greater(c, 0.25), a, b),
    "gate": lambda a, b: autograd.less(a, b) * b,
    **{name: lambda a, name=name: getattr(a, name)() for name in UNARY},
}
ARITY = {name: operation.__code__.co_argcount for name, operation in ENGINE.items()}
ARITY |= dict.fromkeys(UNARY, 1)

PYTORCH: dict[str, Callable[..., Any]] = ENGINE | {
    "power_of_2": torch.exp2,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "where": lambda c, a, b: torch.where(c > 0.25, a, b),
    "gate": lambda a, b: (a < b) * b,
    # PyTorch's own softplus is linear beyond 20, where its error is up to 2e-9.
    "softplus": lambda a: torch.logaddexp(a, torch.zeros_like(a)),
}

MPMATH: dict[str, Callable[..., Any]] = ENGINE | {
    **{name: getattr(mpmath, name) for name in UNARY if hasattr(mpmath, name)},
    "root": mpmath.sqrt,
    "power_of_2": lambda a: mpf(2) ** a,
    "weighted": lambda a, b: a / 2 - b / 3 + 1,
    "maximum": max,
    "minimum": min,
    "where": lambda c, a, b: a if c > 0.25 else b,
    "gate": lambda a, b: b if a < b else mpf(0),
    "log1p": lambda a: mpmath.log(1 + a),
    "expm1": lambda a: mpmath.exp(a) - 1,
    "sigmoid": lambda a: 1 / (1 + mpmath.exp(-a)),
    "relu": lambda a: max(a, mpf(0)),
    "softplus": lambda a: mpmath.log(1 + mpmath.exp(a)),
}

# No line results in 0, where kinks and edges of domains lie, or in more than this.
LARGEST = 1e4


class Line(NamedTuple):
    """An operation, and the places of its operands."""

    operation: str
    places: tuple[int, ...]


class Program(NamedTuple):
    """Lines, and the points (a number for each input) at which all of them are defined."""

    lines: list[Line]
    points: list[list[float]]


def run(operations: dict[str, Callable[..., Any]], lines: Sequence[Line], inputs: Any) -> Any:
    """Return the last number of a program."""
    numbers = list(inputs)
    for operation, places in lines:
        numbers.append(operations[operation](*[numbers[place] for place in places]))
    return numbers[-1]


def random_program(draw: random.Random, inputs: int = 3, length: int = 12) -> Program:
    """Return a program whose lines are all defined at its points, which lie close together."""
    first = [draw.choice([-1, 1]) * draw.uniform(0.1, 2.5) for _ in range(inputs)]
    at = [first] + [[x * draw.uniform(0.98, 1.02) for x in first] for _ in range(2)]
    columns = [[Value(x) for x in point] for point in at]
    lines: list[Line] = []
    while len(lines) < length:
        operation = draw.choice(list(ENGINE))
        count = inputs + len(lines)
        # The newest number is always an operand, so that most lines matter to the last one.
        places = (count - 1, *(draw.randrange(count) for _ in range(ARITY[operation] - 1)))
        places = tuple(draw.sample(places, len(places)))
        if any(_is_at_an_edge(operation, [numbers[i].data for i in places]) for numbers in columns):
            continue
        try:
            made = [ENGINE[operation](*[numbers[place] for place in places]) for numbers in columns]
        except (ValueError, ZeroDivisionError, OverflowError):
            continue
        if all(0.0 < abs(value.data) <= LARGEST for value in made):
            lines.append(Line(operation, places))
            for numbers, value in zip(columns, made, strict=True):
                numbers.append(value)
    return Program(lines, at)


def _is_at_an_edge(operation: str, operands: list[float]) -> bool:
    """Return whether there is a kink or the edge of a domain, where systems differ on purpose."""
    is_power = operation == "power" and operands[0] < 0.0
    return is_power or len({*operands}) < len(operands)


# --- value, first and second derivatives ----------------------------------------------------------


def in_engine(lines: Sequence[Line], point: Sequence[float]) -> list[Value]:
    """Return the value, the first derivatives, and the second ones row by row."""
    inputs = [Value(x) for x in point]
    out = run(ENGINE, lines, inputs)
    return [out, *grad(out, inputs), *[entry for row in hessian(out, inputs) for entry in row]]


def in_torch(lines: Sequence[Line], point: Sequence[float]) -> list[float]:
    """Return the same numbers from PyTorch, in float64."""
    inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in point]
    out = run(PYTORCH, lines, inputs)

    def slopes(y: Any) -> list[Any]:
        if not y.requires_grad:
            return [torch.zeros_like(x) for x in inputs]
        return list(
            torch.autograd.grad(
                y, inputs, create_graph=True, allow_unused=True, materialize_grads=True
            )
        )

    first = slopes(out)
    return [y.item() for y in (out, *first, *[d for slope in first for d in slopes(slope)])]


def exactly(lines: Sequence[Line], point: Sequence[float], which: int) -> Any:
    """Return one of these numbers to 50 digits, by central differences with a step of 2^-140."""
    count = len(point)
    by: list[int] = []
    if which > count:
        by = list(divmod(which - 1 - count, count))
    elif which > 0:
        by = [which - 1]
    orders = [by.count(i) for i in range(count)]
    with mp.workdps(300):
        step, total = mpmath.ldexp(1, -140), mpf(0)
        for taken in product(*[range(order + 1) for order in orders]):
            at = [
                mpf(x) + (mpf(order) / 2 - k) * step
                for x, order, k in zip(point, orders, taken, strict=True)
            ]
            weight = math.prod(
                (-1) ** k * math.comb(order, k) for order, k in zip(orders, taken, strict=True)
            )
            total += weight * run(MPMATH, lines, at)
        return +(total / step ** len(by))
