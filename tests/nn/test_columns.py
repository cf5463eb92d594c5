"""Columns: the bits of Values for a rule of arithmetic; any other rule is done Value by Value."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest

import nn
from autograd import Primitive, Value, detect_anomaly, where
from autograd import maximum as larger
from nn.columns import Column
from nn.rules import OPTIMIZERS as RULES


def numbers(values):
    return [value.data for value in values]


def by_values(optimizer):
    """The same optimizer, which never uses columns."""
    optimizer._in_columns = False
    return optimizer


def same_steps(make, steps=5, size=4):
    """Whether columns served; the numbers are those of Values to the last bit."""
    rng, found = random.Random(3), []
    gradients = [[rng.uniform(-2.0, 2.0) for _ in range(size)] for _ in range(steps)]
    for change in (lambda optimizer: optimizer, by_values):
        values = [Value(0.5 * i - 0.7) for i in range(size)]
        optimizer = change(make(values, 0.1))
        path = []
        for row in gradients:
            for value, gradient in zip(values, row, strict=True):
                value.grad = gradient
            optimizer.step()
            path.append([x.hex() for x in numbers(values)])
            path.append(repr(optimizer.state_dict()))
        found.append((path, optimizer._in_columns))
    assert found[0][0] == found[1][0]
    return found[0][1]


def rule(update, **kept):
    """An optimizer class with this update and one moment."""
    return type("Rule", (nn.Optimizer,), {"moments": ("m",), "update": update, **kept})


class Signs(nn.Optimizer):
    """A rule of the user's own."""

    moments = ("mean",)

    def update(self, parameter, gradient, state):
        mean = state["mean"] = 0.9 * state["mean"] + (1.0 - 0.9) * gradient
        return parameter - self.lr * mean / (abs(mean) + 1e-30)


@pytest.mark.parametrize("make", [*RULES.values(), Signs])
def test_a_rule_in_columns_gives_the_bits_of_values(make):
    assert same_steps(make)


def test_a_rule_of_the_users_own_is_one_update_for_all_parameters():
    calls = []

    def update(self, parameter, gradient, state):
        calls.append(type(parameter).__name__)
        state["m"] = 0.9 * state["m"] + gradient
        return parameter - self.lr * state["m"]

    values = [Value(1.0) for _ in range(50)]
    optimizer = rule(update)(values, 0.1)
    for _ in range(10):
        for value in values:
            value.grad = 1.0
        optimizer.step()
    assert calls.count("Value") == 100  # two steps, Value by Value
    assert calls.count("Column") == 10


cube = Primitive("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)

ARITHMETIC = {
    "operators": lambda p, g, m: (2 - p / 3 + m * p - g, -(+g) / (2 + abs(m)) - (1 / (m * m + 1))),
    "powers": lambda p, g, m: (p - abs(g) ** 0.5 / (1 + g * g) ** -1.5, 0.5**g + abs(p) ** abs(g)),
    "exponentials": lambda p, g, m: (g.exp() - g.expm1(), (1 + g * g).log() + (g * g).log1p()),
    "trigonometry": lambda p, g, m: (p.sin() * g.cos(), p - abs(g).sqrt()),
    "activations": lambda p, g, m: (p.tanh() + g.sigmoid(), g.relu() + p.softplus() * p.erf()),
    "detached": lambda p, g, m: (p - 0.1 * g.detach(), m + g),
    "primitives": lambda p, g, m: (larger(p, 0.0) + where(p, g, 0.5), larger(0.1, g) + cube(g)),
    "time": lambda p, g, m: (p - g, m + g),
    "numpy": lambda p, g, m: (p - np.float64(0.1) * g, np.float32(0.5) * m + g),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_columns_have_the_arithmetic_of_values_to_the_last_bit(name):
    def update(self, parameter, gradient, state):
        new, state["m"] = ARITHMETIC[name](parameter, gradient, state["m"])
        return new if name != "time" else new / (1.0 + self.time) + self._shared * gradient

    def prepare(self, time):
        return 0.1 / time.sqrt()

    assert same_steps(rule(update, prepare=prepare))


def test_a_column_has_every_method_of_a_value_that_is_arithmetic():
    kept = {"assign", "backward", "data", "grad", "label", "mode", "op", "parents", "primitive"}
    names = {name for name in dir(Value) if name[0] != "_"} - kept - {"recorded_number"}
    assert {name for name in names if name not in vars(Column)} == set()
    operators = {"add", "sub", "mul", "truediv", "pow"}
    wanted = {f"__{r}{name}__" for name in operators for r in ("", "r")}
    assert (wanted | {"__neg__", "__pos__", "__abs__"}) <= vars(Column).keys()


class Counting(nn.Optimizer):
    """Each update assigns to an attribute, which counts later."""

    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, lr)
        self.count = 0

    def update(self, parameter, gradient, state):
        self.count += 1
        return parameter - self.lr * gradient * (1.0 if self.count < 10 else 0.5)


class Scheduled(nn.Optimizer):
    """Each step assigns to an attribute."""

    def prepare(self, time):
        self.rate = self.lr / time

    def update(self, parameter, gradient, state):
        return parameter - self.rate * gradient


def chosen(self, p, g, state):
    return p - 0.1 * g if g > 0.0 else p


NO_ARITHMETIC = {
    "a comparison": chosen,
    "an equality": lambda self, p, g, state: p if g == 0.0 else p - g,
    "a truth": lambda self, p, g, state: p - 0.1 * (g.data and 1.0),
    "data": lambda self, p, g, state: p.data - 0.1 * g.data,
    "float": lambda self, p, g, state: p - 0.1 * float(g),
    "math": lambda self, p, g, state: p - 0.1 * math.tanh(g),
    "abs of data": lambda self, p, g, state: p - 0.1 * abs(p.data) * g,
    "max": lambda self, p, g, state: p - 0.1 * max(g, 0.5),
    "the kind": lambda self, p, g, state: p - (0.1 if isinstance(p, Value) else 0.2) * g,
    "a number": lambda self, p, g, state: 0.5,
    "a moment that is a number": lambda self, p, g, state: state.update(m=0.5) or p - g,
    "hasattr": lambda self, p, g, state: p - (0.1 if hasattr(g, "data") else 0.2) * g,
    "a label": lambda self, p, g, state: p - (0.1 if g.label else 0.2) * g,
    "a swallowed error": lambda self, p, g, state: p - swallowed(g) * g,
}


def swallowed(g):
    try:
        return 0.1 if g > 0.0 else 0.2
    except Exception:
        return 0.3


@pytest.mark.parametrize("name", NO_ARITHMETIC)
def test_what_is_no_arithmetic_is_done_value_by_value(name):
    assert not same_steps(rule(NO_ARITHMETIC[name]))


@pytest.mark.parametrize("make", [Counting, Scheduled])
def test_a_rule_that_assigns_to_an_attribute_is_done_value_by_value(make):
    assert not same_steps(make)
    assert not same_steps(make, size=1)


def test_an_update_that_assigns_to_an_attribute_does_so_once_for_each_parameter():
    optimizer = Counting([Value(1.0), Value(2.0)])
    for _ in range(3):
        optimizer.step([Value(0.5), Value(0.25)])
    assert optimizer.count == 6


@pytest.mark.parametrize("draw", [random.random, lambda: nn.rng.generator.random()])
def test_random_numbers_are_drawn_for_each_parameter(draw):
    def noisy(self, parameter, gradient, state):
        return parameter - self.lr * gradient * draw()

    def run():
        random.seed(1)
        nn.seed(1)
        values = [Value(1.0), Value(1.0)]
        optimizer = rule(noisy)(values, 0.1)
        path = []
        for _ in range(4):
            optimizer.step([Value(0.5), Value(0.5)])
            path.append(numbers(values))
        return path

    path = run()
    moves = [path[0], *([b - a for a, b in zip(*rows, strict=True)] for rows in pairwise(path))]
    assert all(a != b for a, b in moves)
    assert run() == path


def test_errors_of_a_rule_are_those_of_values_and_change_nothing():
    def update(self, parameter, gradient, state):
        state["m"] = state["m"] + gradient
        state["more"] = gradient
        return parameter - 1.0 / gradient

    values = [Value(1.0, "a"), Value(2.0, "b")]
    optimizer = rule(update)(values, 0.1)
    for gradients in ([1.0, 2.0], [2.0, 1.0], [0.5, 0.5]):
        optimizer.step([Value(g) for g in gradients])
    before = numbers(values), optimizer.state_dict()
    with pytest.raises(ZeroDivisionError, match=r"div\(1.0, second = 0.0\): division by zero"):
        optimizer.step([Value(1.0), Value(0.0, "second")])
    assert (numbers(values), optimizer.state_dict()) == before
    with pytest.raises(ValueError, match=r"sqrt\(first = -1.0\)"):
        rule(lambda self, p, g, state: p - g.sqrt())([Value(1.0)], 0.1).step([Value(-1.0, "first")])
    root = rule(lambda self, p, g, state: p - abs(g**0.5))([Value(1.0)], 0.1)
    for gradient in (1.0, 2.0):
        root.step([Value(gradient)])
    with pytest.raises(ValueError, match=r"pow\("):
        root.step([Value(-1.0)])
    with detect_anomaly(), pytest.raises(FloatingPointError, match="mul"):
        rule(lambda self, p, g, state: p - g * 1e308)([Value(1.0)], 0.1).step([Value(1e10)])


def test_a_step_that_fails_shows_nothing_about_columns():
    def update(self, parameter, gradient, state):
        return parameter - (0.1 if isinstance(parameter, Value) else 0.2) / (gradient - 1.0)

    values = [Value(1.0)]
    optimizer = rule(update)(values, 0.1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            optimizer.step([Value(1.0)])
    optimizer.step([Value(2.0)])
    assert numbers(values) == [0.9]
