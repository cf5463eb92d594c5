"""Is a function recorded anew where what it names has become something else, and only then?"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

import nn
from autograd import Value
from autograd.jit import TraceError, jit

SCALE: Any = 2.0
LEAF = Value(2.0, "LEAF")


class Settings:
    """A place for numbers."""

    scale = 2.0
    unnamed = 0

    def __init__(self) -> None:
        self.factor: Any = 2.0
        self.count = 0
        self.leaf = Value(2.0)

    def step(self, x: float) -> Any:
        return self.leaf * x * self.factor


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    global SCALE, LEAF
    yield
    SCALE, LEAF, Settings.scale = 2.0, Value(2.0, "LEAF"), 2.0


def followed(function: Any, change: Any, numbers: list[Any]) -> Any:
    """Demand the eager result for each number in turn; each new one is recorded once."""
    run = jit(function)
    for number in [*numbers, *numbers]:
        change(number)
        assert run(1.5).data == function(1.5).data
        assert run(-0.5).data == function(-0.5).data
    assert len(run.programs) == len(numbers)
    return run


def test_a_global_a_closure_an_attribute_and_a_class_are_followed() -> None:
    def set_global(number: Any) -> None:
        global SCALE
        SCALE = number

    followed(lambda x: LEAF * x * SCALE, set_global, [2.0, 3.0, -0.0, 0.0, 1, 1.0, True])

    inner: Any = 2.0

    def set_inner(number: Any) -> None:
        nonlocal inner
        inner = number

    followed(lambda x: LEAF * x * inner, set_inner, [2.0, 3.0, 4.0])

    settings = Settings()
    followed(settings.step, lambda n: setattr(settings, "factor", n), [2.0, 3.0, 5.0])
    followed(
        lambda x: LEAF * x * Settings.scale, lambda n: setattr(Settings, "scale", n), [2.0, 7.0]
    )
    table = {"factor": 2.0, "name": "a"}
    followed(lambda x: LEAF * x * table["factor"], lambda n: table.update(factor=n), [2.0, 3.0])
    nested = {"layers": [1.0, {"factor": 2.0}]}
    followed(
        lambda x: LEAF * x * nested["layers"][1]["factor"],
        lambda n: nested["layers"][1].update(factor=n),
        [2.0, 3.0],
    )


def helper(x: Any) -> Any:
    """A function that is called by another one."""
    return x * SCALE


def test_what_a_called_function_names_is_followed_too() -> None:
    def set_global(number: Any) -> None:
        global SCALE
        SCALE = number

    followed(lambda x: LEAF * helper(x), set_global, [2.0, 3.0])


def test_a_value_that_takes_the_place_of_another_is_followed() -> None:
    def replace(number: float) -> None:
        global LEAF
        LEAF = Value(number)

    run = jit(lambda x: LEAF * x)
    for number in (2.0, 5.0, 2.0, 7.0):
        replace(number)
        assert run(1.5).data == 1.5 * number
    assert len(run.programs) <= 4

    settings = Settings()
    run = jit(settings.step)
    for number in (2.0, 5.0, 7.0):
        settings.leaf = Value(number)
        assert run(1.0).data == 2.0 * number

    leaves = [Value(1.0), Value(2.0)]
    run = jit(lambda x: sum((leaf * x for leaf in leaves), start=Value(0.0)))
    assert run(2.0).data == 6.0
    leaves[0] = Value(10.0)
    assert run(2.0).data == 24.0
    leaves.append(Value(1.0))
    assert run(2.0).data == 26.0


def test_models_and_optimizers_are_followed() -> None:
    model = nn.MLP(2, [3, 1], "tanh")
    run = jit(lambda x: model(x))
    for change in (
        lambda: setattr(model.layers[0].neurons[0], "activation", Value.relu),
        lambda: model.layers[0].neurons.pop() and model.layers[1].neurons[0].w.pop(),
        lambda: setattr(model.layers[1].neurons[0], "b", Value(5.0)),
        lambda: model.layers[0].neurons[1].w.__setitem__(0, Value(3.0)),
    ):
        assert run([1.0, 2.0]).data == model([1.0, 2.0]).data
        change()
        assert run([1.0, 2.0]).data == model([1.0, 2.0]).data


def test_what_is_not_named_does_not_count() -> None:
    settings, other = Settings(), nn.MLP(2, [2, 1])
    run = jit(settings.step)
    for k in range(20):
        settings.count = k
        Settings.unnamed = k
        other.anything = k
        assert run(1.0).data == 4.0
    assert len(run.programs) == 1


def test_what_changes_with_every_call_is_refused_by_name() -> None:
    settings = Settings()
    run = jit(settings.step)
    for k in range(32):
        settings.factor = float(k)
        assert run(1.0).data == 2.0 * k
    settings.factor = 32.0
    with pytest.raises(TraceError, match=r"factor; pass it as an argument"):
        run(1.0)


def test_an_iterator_is_refused_and_left_where_it_was_found_to_be_used() -> None:
    numbers = itertools.count(1)
    listed = iter([1.0, 2.0, 3.0])
    with pytest.raises(TraceError, match="iterator"):
        jit(lambda x: LEAF * x * next(listed))(1.0)
    assert jit(lambda x: (numbers and LEAF) * x)(1.0).data == 2.0


def test_a_function_made_anew_in_each_call_leaves_no_programs() -> None:
    run = jit(lambda f, x: f(LEAF * x))
    for k in range(30):
        assert run(lambda v, k=k: v * k, 2.0).data == 4.0 * k
    assert len(run.programs) <= 2


def test_a_program_reports_and_draws_what_it_does() -> None:
    model = nn.MLP(2, [4, 1], "tanh")

    @jit
    def step(rows: Any) -> Any:
        loss = nn.mean(model(row) ** 2 for row in rows)
        model.zero_grad()
        loss.backward()
        return loss

    step([[1.0, 2.0], [3.0, 4.0]])
    (program,) = step.programs
    report = str(program).splitlines()
    assert report[0] == "step: 1 replay"
    assert [line.split()[0] for line in report[1:]] == ["trace", "simplify", "schedule", "compile"]
    assert f"{program.recorded:,} nodes recorded" in report[1]
    assert program.recorded >= program.simplified >= program.scheduled >= program.groups > 3
    svg = program.draw().svg()
    for text in ("tanh", "× 8", "sum of 3 products", "arguments", "× 4", "leaves", "× 17"):
        assert text in svg, text
    assert "program of step" in repr(program.draw())
    with pytest.raises(ValueError, match="direction is one of LR, TB, RL, BT, not 'XX'"):
        program.draw("XX")


def test_the_drawing_of_a_long_program_has_few_boxes() -> None:
    @jit
    def power(x: Any) -> Any:
        for _ in range(400):
            x = (x * 0.5).sin()
        return x

    power(1.0)
    (program,) = power.programs
    assert program.groups == 800
    svg = program.draw("TB").svg()
    assert svg.count('class="node"') <= 62
    assert "small groups" in svg


def test_a_program_that_is_never_replayed_says_so() -> None:
    @jit
    def root(x: Any) -> Any:
        return Value(x) * 1e200 * 1e200

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(20):
            assert root(1.0).data == math.inf
        assert root(0.0).data == 0.0
    assert [str(w.message).split(":")[0] for w in caught] == [
        "root is recorded, but each of its 8 calls was done eagerly"
    ]
    assert caught[0].filename == __file__
    assert str(root.programs[0]).startswith("root: 1 replay, 20 calls done eagerly\n")


def test_what_is_replaced_in_a_container_is_followed() -> None:
    """Also where somebody holds what was there before."""
    old, new = Value(2.0), Value(5.0)
    leaves, table = [old, new], {"a": 2.0, "b": 5.0, "pair": (1.0, 2.0), "list": [1, 2]}
    pairs, layers = [(1.0, 2.0), (3.0, 4.0)], [nn.Neuron(1, "tanh"), nn.Neuron(1, "tanh")]
    acts, models = [Value.tanh], (nn.Neuron(1, "tanh"), nn.Neuron(1, "tanh"))
    model = nn.Sequential(nn.Neuron(1, "tanh"), Value.tanh)

    def swap() -> None:
        leaves[0], leaves[1] = leaves[1], leaves[0]

    def rebind() -> None:
        nonlocal models
        models = models[::-1]

    for function, change in (
        (lambda x: leaves[0] * x, swap),
        (lambda x: old * x * table["a"], lambda: table.update(a=7.0)),
        (lambda x: old * x * table["pair"][0], lambda: table.update(pair=(7.0, 2.0))),
        (
            lambda x: next(old * x * n for n in table.values() if isinstance(n, float)),
            lambda: table.update(a=table.pop("a")),
        ),
        (lambda x: old * x * len(pairs), lambda: pairs.append((5.0, 6.0))),
        (lambda x: old * x * pairs[0][0], lambda: pairs.__setitem__(0, (9.0, 2.0))),
        (lambda x: layers[0]([x]), layers.reverse),
        (lambda x: acts[0](old * x), lambda: acts.__setitem__(0, Value.sin)),
        (lambda x: models[0]([x]), rebind),
        (lambda x: model([x]), lambda: model.parts.__setitem__(1, Value.exp)),
    ):
        before = copy.deepcopy(table)
        run = jit(function)
        first = run(1.5).data
        assert first == function(1.5).data
        change()
        assert run(1.5).data == function(1.5).data != first
        assert run(1.5).data == run(1.5).data
        assert len(run.programs) == 2
        table.clear()
        table.update(before)


class Trainer:
    """One method calls another, and that reads an attribute."""

    scale = 2.0

    def step(self, x: float) -> Any:
        return self.loss(x)

    def loss(self, x: float) -> Any:
        return LEAF * x * self.scale + self.penalty()

    def penalty(self) -> float:
        return getattr(self, "l2", 0.5)


class Scaled(nn.Module):
    """A layer with a private setting, which does something else in training."""

    def __init__(self) -> None:
        self._scale = 2.0

    def __call__(self, x: Any) -> Any:
        return LEAF * x * (self._scale if self.training else 10.0)


@dataclasses.dataclass(slots=True)
class Config:
    """A setting in a slot."""

    scale: float = 2.0


def test_attributes_are_followed_wherever_they_are_read() -> None:
    trainer, layer, space, config = Trainer(), Scaled(), SimpleNamespace(scale=2.0), Config()
    for function, changes in (
        (
            trainer.step,
            [lambda: setattr(trainer, "scale", 5.0), lambda: setattr(trainer, "l2", 0.25)],
        ),
        (layer, [lambda: setattr(layer, "_scale", 5.0), layer.eval]),
        (lambda x: LEAF * x * space.scale, [lambda: setattr(space, "scale", 5.0)]),
        (lambda x: LEAF * x * config.scale, [lambda: setattr(config, "scale", 5.0)]),
    ):
        run = jit(function)
        for change in [lambda: None, *changes]:
            before = len(run.programs)
            change()
            assert run(1.5).data == function(1.5).data
            assert run(-0.5).data == function(-0.5).data
            assert len(run.programs) == before + 1


def test_what_a_function_changes_besides_values_is_refused() -> None:
    """A replay would not change it."""
    count, speed, settings = 0, [0.0], Settings()

    def counts(x: float) -> Any:
        nonlocal count
        count += 1
        return LEAF * x / count

    def remembers(x: float) -> Any:
        speed[0] = 0.9 * speed[0] + x
        return LEAF * speed[0]

    def adds_up(x: float) -> Any:
        settings.leaf = settings.leaf + LEAF * x
        return settings.leaf * 1.0

    def is_default(x: float, seen: list[Any] = speed) -> Any:
        seen.append(1)
        return LEAF * x * len(seen)

    for function in (counts, remembers, adds_up, is_default):
        leaf = settings.leaf
        with pytest.raises(TraceError, match=r"changes .*, which a replay would not"):
            jit(function)(1.0)
        assert (count, speed, settings.leaf) == (0, [0.0], leaf)


def test_what_a_function_makes_once_and_keeps_is_no_change() -> None:
    made: dict[str, Value] = {}

    def lazily(x: float) -> Any:
        if "w" not in made:
            made["w"] = Value(2.0)
        return made["w"] * x

    run = jit(lazily)
    assert [run(x).data for x in (1.0, 2.0)] == [2.0, 4.0]
    assert len(run.programs) == 1
