"""Columns: a rule of arithmetic gives the bits of Values; any other rule runs Value by Value."""

import math
import random
from itertools import pairwise
from math import sqrt as root

import numpy as np
import pytest

import nn
from autograd import Primitive, Value, detect_anomaly, where
from autograd import maximum as larger
from autograd.jit import jit
from nn.columns import Column
from nn.rules import OPTIMIZERS as RULES


def numbers(values):
    return [value.data for value in values]


def by_values(optimizer):
    """Make an optimizer never use columns, and return it."""
    optimizer._in_columns = False
    return optimizer


def same_steps(make, steps=5, size=4):
    """Require the same bits from columns and from Values; return whether columns were used."""
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
    """A user-defined rule."""

    moments = ("mean",)

    def update(self, parameter, gradient, state):
        mean = state["mean"] = 0.9 * state["mean"] + (1.0 - 0.9) * gradient
        return parameter - self.lr * mean / (abs(mean) + 1e-30)


@pytest.mark.parametrize(
    "make",
    [
        *[*RULES.values(), Signs],
        lambda values, lr: nn.Adam(values, Value(lr), (Value(0.9), 0.99), weight_decay=Value(0.1)),
        lambda values, lr: nn.SGD(values, Value(lr), momentum=Value(0.9), nesterov=True),
    ],
)
def test_a_rule_in_columns_gives_the_same_bits_as_with_values(make):
    assert same_steps(make)


@pytest.mark.parametrize("make", [*RULES.values(), Signs])
def test_a_rule_of_arithmetic_updates_all_parameters_at_once(make, monkeypatch):
    made, by_columns = [], nn.Optimizer._by_columns

    def counted(*arguments):
        made.append(by_columns(*arguments))
        return made[-1]

    monkeypatch.setattr(nn.Optimizer, "_by_columns", counted)
    values = [Value(1.0) for _ in range(50)]
    optimizer = make(values, 0.1)
    step = jit(lambda: optimizer.step([Value(1.0)] * 50))
    for _ in range(2):
        step()  # eager, then recorded
    assert len(made) == 2


@pytest.mark.parametrize(
    ("inverse", "wrong", "error"),
    [(lambda g: 1.0 / g, 0.0, ZeroDivisionError), (lambda g: g.log(), -1.0, ValueError)],
)
def test_an_arithmetic_error_does_not_end_the_use_of_columns(inverse, wrong, error, monkeypatch):
    calls, by_columns = [], nn.Optimizer._by_columns

    def counted(*arguments):
        calls.append(arguments)
        return by_columns(*arguments)

    class Inverse(nn.Optimizer):
        def update(self, parameter, gradient, state):
            return parameter - self.lr * inverse(gradient)

    monkeypatch.setattr(nn.Optimizer, "_by_columns", counted)
    optimizer = Inverse([Value(1.0), Value(1.0)], 0.1)
    with pytest.raises(error):
        optimizer.step([Value(wrong), Value(1.0)])
    optimizer.step([Value(2.0), Value(1.0)])
    assert len(calls) == 2


TENTH, HALF = np.float64(0.1), np.float32(0.5)
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
    "numpy": lambda p, g, m: (p - TENTH * g, HALF * m + g),
    "math": lambda p, g, m: (p - math.sqrt(2.0) * g / math.pi, root(0.5) * m + g),
    "chosen by a number": lambda p, g, m: (p - (0.1 if max(HALF, 0.1) > 0.2 else 1.0) * g, m + g),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_on_columns_equals_that_on_values_to_the_last_bit(name):
    expression, is_timed = ARITHMETIC[name], name == "time"

    def update(self, parameter, gradient, state):
        new, state["m"] = expression(parameter, gradient, state["m"])
        return new / (1.0 + self.time) + self._shared * gradient if is_timed else new

    def prepare(self, time):
        return 0.1 / time.sqrt()

    assert same_steps(rule(update, prepare=prepare))


def test_a_column_has_every_arithmetic_method_of_a_value():
    kept = {"assign", "backward", "data", "grad", "label", "context", "op", "parents", "primitive"}
    names = {name for name in dir(Value) if name[0] != "_"} - kept
    assert {name for name in names if name not in vars(Column)} == set()
    operators = {"add", "sub", "mul", "truediv", "pow"}
    wanted = {f"__{r}{name}__" for name in operators for r in ("", "r")}
    assert (wanted | {"__neg__", "__pos__", "__abs__"}) <= vars(Column).keys()


class Counting(nn.Optimizer):
    """Each update assigns to an attribute that later updates read."""

    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, lr)
        self.count = 0

    def update(self, parameter, gradient, state):
        self.count += 1
        return parameter - self.lr * gradient * (1.0 if self.count < 10 else 0.5)


class Scheduled(nn.Optimizer):
    """Each step assigns to an attribute once, in prepare."""

    def prepare(self, time):
        self.rate = self.lr / time

    def update(self, parameter, gradient, state):
        return parameter - self.rate * gradient


class ByHand(nn.Optimizer):
    """Adam, as a user might write it."""

    moments = ("m", "v")
    epsilon = 1e-8

    def __init__(self, parameters, lr=0.1, betas=(0.9, 0.999)):
        super().__init__(parameters, lr)
        self.betas = betas

    def prepare(self, time):
        b1, b2 = self.betas
        return 1.0 - b1**time, 1.0 - b2**time

    def average(self, old, new, beta):
        return beta * old + (1.0 - beta) * new

    def update(self, parameter, gradient, state):
        b1, b2 = self.betas
        c1, c2 = self._shared
        m = state["m"] = self.average(state["m"], gradient, b1)
        v = state["v"] = self.average(state["v"], gradient**2, b2)
        return parameter - self.lr * (m / c1) / ((v / c2).sqrt() + self.epsilon)


class Lion(nn.Optimizer):
    """The rule shown in the documentation."""

    moments = ("mean",)

    def __init__(self, parameters, lr=1e-4, beta1=0.9, beta2=0.99):
        super().__init__(parameters, lr)
        self.beta1, self.beta2 = beta1, beta2

    def update(self, parameter, gradient, state):
        mean = state["mean"]
        moved = self.beta1 * mean + (1 - self.beta1) * gradient
        state["mean"] = self.beta2 * mean + (1 - self.beta2) * gradient
        return parameter - self.lr * moved / (abs(moved) + 1e-30)


@pytest.mark.parametrize("make", [Scheduled, ByHand, Lion])
def test_user_defined_rules_run_in_columns(make):
    assert same_steps(make)


def trained(make, calls=10, **options):
    """The results and states after each call of a step, and the step, jitted if there are options.

    The target changes with each call, and the learning rate after five.
    """
    values = [Value(0.5 * i - 0.7) for i in range(4)]
    optimizer = make(values, 0.1)

    def step(target):
        loss = sum((value - target) ** 2 for value in values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run = jit(step, **options) if options else step
    found = []
    for k in range(calls):
        optimizer.lr = 0.1 if k < 5 else 0.05
        found.append([run(0.3 * k - 1.0).data, *numbers(values), repr(optimizer.state_dict())])
    return found, run


IN_COLUMNS = [*RULES.values(), Signs, ByHand, Lion]


@pytest.mark.parametrize("backend", ["native", "numpy"])
@pytest.mark.parametrize("make", IN_COLUMNS, ids=lambda make: make.__name__)
def test_a_recorded_step_runs_in_columns_too(make, backend, monkeypatch):
    monkeypatch.setattr(nn.Optimizer, "_by_values", None)  # never called
    expected, _ = trained(make)
    for check in ("always", "never"):
        found, run = trained(make, backend=backend, check=check)
        assert found == expected
        assert [program.replays for program in run.programs] == [8]


def test_a_recorded_rule_of_more_than_arithmetic_runs_value_by_value():
    def update(self, parameter, gradient, state):
        state["m"] = 0.5 * state["m"] + gradient
        return parameter - self.lr * (state["m"] if isinstance(parameter, Value) else gradient)

    make = rule(update)
    expected, _ = trained(make)
    found, run = trained(make, check="always")
    assert found == expected
    assert [program.replays for program in run.programs] == [8]


class Slow(nn.Optimizer):
    """The base of the rules in BY_PARAMETER, some of which change after a warm-up of 3 steps."""

    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, lr)
        self._slow = {id(self.parameters[1])}
        self._first = self.parameters[0]
        self.rates = {True: lr, False: 0.1 * lr}
        self.calls, self.tally = [0], np.array(0.5)

    def prepare(self, time):
        self.warm = time.data > 3.0
        return iter([0.1, 0.2, 0.3, 0.4])

    @property
    def drawn(self):
        return random.random()

    def draw(self):
        return random.gauss(0.0, 1.0)

    def count(self):
        self.calls[0] += 1
        return self.calls[0]


def counted_by_default(self, p, g, s, calls=[0]):  # noqa: B006
    calls[0] += 1
    return p - g * (1.0 if calls[0] % 2 else 0.5)


def generic(self, p, g, s):
    try:
        return p - g * (0.1 if g > 0.0 else 0.2)
    except Exception:
        return p - 0.3 * g


BY_PARAMETER = {
    "id": lambda self, p, g, s: p - g * (0.1 if self.warm and id(p) in self._slow else 1.0),
    "is": lambda self, p, g, s: p - g * (0.1 if self.warm and p is self._first else 1.0),
    "random": lambda self, p, g, s: p - g * (random.random() if self.warm else 1.0),
    "gauss": lambda self, p, g, s: p - g * (random.gauss(0.0, 1.0) if self.warm else 1.0),
    "a method": lambda self, p, g, s: p - g * (self.draw() if self.warm else 1.0),
    "a property": lambda self, p, g, s: p - g * (self.drawn if self.warm else 1.0),
    "a count": lambda self, p, g, s: p - g * (self.count() if self.warm else 1.0),
    "a container": lambda self, p, g, s: p - g * self.rates[not self.warm or p.data > 0.0],
    "an iterator": lambda self, p, g, s: p - g * sum(x for x in [next(self._shared)]),
    "isinstance": lambda self, p, g, s: p - g * (0.1 if isinstance(p, Value) else 0.2),
    "getattr": lambda self, p, g, s: p - g * getattr(p, "data", 1.0),
    "numpy": lambda self, p, g, s: p - g * (float(np.random.default_rng().random() < 2.0)),
    "a default": counted_by_default,
    "a keyword": lambda self, p, g, s, *, draw=random.random: p - g * draw(),
    "an error": generic,
    "a nested function": lambda self, p, g, s: p - g * max([random.random() for _ in (1,)]),
    "an array": lambda self, p, g, s: p - g * self.tally[()],
    "a global array": lambda self, p, g, s: p - g * TABLE[0],
    "a helper": lambda self, p, g, s: p - g * helper(),
}


TABLE = np.array([0.5, 0.25])


def helper():
    return random.random()


@pytest.mark.parametrize("name", BY_PARAMETER)
def test_a_rule_that_may_differ_between_parameters_runs_value_by_value(name):
    values = [Value(0.5), Value(-0.25), Value(1.0), Value(2.0)]
    optimizer = type("Rule", (Slow,), {"update": BY_PARAMETER[name]})(values)
    for _ in range(5):
        optimizer.step([Value(1.0)] * 4)
    assert not optimizer._in_columns


def test_a_rule_that_slows_some_parameters_down_after_a_warm_up():
    values = [Value(1.0), Value(1.0)]
    optimizer = type("Rule", (Slow,), {"update": BY_PARAMETER["id"]})(values)
    for _ in range(5):
        optimizer.step([Value(0.125)] * 2)
    assert numbers(values) == [1.0 - 5 * 0.125, pytest.approx(1.0 - 3 * 0.125 - 2 * 0.0125)]


def test_prepare_is_called_once_per_step():
    class Prepared(nn.Optimizer):
        count = 0

        def prepare(self, time):
            self.count += 1
            return 0.5

        def update(self, parameter, gradient, state):
            return parameter - self._shared * gradient

    for kind in (Prepared, type("Random", (Prepared,), {"update": BY_PARAMETER["isinstance"]})):
        optimizer = kind([Value(1.0)], 0.1)
        for _ in range(4):
            optimizer.step([Value(1.0)])
        assert optimizer.count == 4


def chosen(self, p, g, state):
    return p - 0.1 * g if g > 0.0 else p


NOT_ARITHMETIC = {
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


@pytest.mark.parametrize("name", NOT_ARITHMETIC)
def test_a_rule_of_more_than_arithmetic_runs_value_by_value(name):
    assert not same_steps(rule(NOT_ARITHMETIC[name]))


def test_a_rule_that_assigns_to_an_attribute_runs_value_by_value():
    assert not same_steps(Counting)
    assert not same_steps(Counting, size=1)


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


def test_a_rule_in_columns_raises_the_errors_of_values_and_changes_nothing():
    def update(self, parameter, gradient, state):
        state["m"] = state["m"] + gradient
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


@pytest.mark.parametrize("gradients", [None, [Value(1.0), Value(2.0)]])
def test_the_error_for_an_undeclared_moment_says_what_to_write(gradients):
    def forgotten(self, p, g, state):
        state["v"] = state["m"] + g
        return p - state["v"]

    def removed(self, p, g, state):
        return p - g * state.pop("m")

    values = with_ones(2)
    missing = rule(lambda self, p, g, state: p - g * state["v"], moments=())
    for kind, message in (
        (rule(forgotten), r"Rule has not declared .* 'v': write moments = \('m', 'v'\)"),
        (missing, r"Rule has not declared a moment 'v': write moments = \('v',\)"),
        (rule(removed), "Rule has removed its moment 'm'"),
    ):
        optimizer = kind(values, 0.1)
        for _ in range(2):
            with pytest.raises(ValueError, match=message):
                optimizer.step(gradients)
        assert numbers(values) == [1.0, 1.0]
        assert optimizer.time.data == 0.0
    with pytest.raises(TypeError, match=r"write moments = \('vel',\)"):
        rule(forgotten, moments="vel")(values, 0.1)


def with_ones(size):
    values = [Value(1.0) for _ in range(size)]
    for value in values:
        value.grad = 1.0
    return values


def test_failed_steps_do_not_make_a_rule_run_in_columns():
    def update(self, parameter, gradient, state):
        return parameter - (0.1 if isinstance(parameter, Value) else 0.2) / (gradient - 1.0)

    values = [Value(1.0)]
    optimizer = rule(update)(values, 0.1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            optimizer.step([Value(1.0)])
    optimizer.step([Value(2.0)])
    assert numbers(values) == [0.9]
