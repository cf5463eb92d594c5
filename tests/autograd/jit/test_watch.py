"""Is a function re-recorded exactly when something that it names has changed?"""

from __future__ import annotations

import cmath
import copy
import dataclasses
import itertools
import math
import re
import time
import warnings
from collections import deque
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
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


def follows(function: Any, change: Any, numbers: list[Any]) -> Any:
    """Assert the eager result for each number in turn, and one recording per number."""
    run = jit(function)
    for number in [*numbers, *numbers]:
        change(number)
        assert run(1.5).data == function(1.5).data
        assert run(-0.5).data == function(-0.5).data
    assert len(run.programs) == len(numbers)
    return run


def test_changes_to_globals_closures_attributes_and_containers_take_effect() -> None:
    def set_global(number: Any) -> None:
        global SCALE
        SCALE = number

    follows(lambda x: LEAF * x * SCALE, set_global, [2.0, 3.0, -0.0, 0.0, 1, 1.0, True])
    minus_one = complex(-1.0, 0.0), complex(-1.0, -0.0)
    follows(lambda x: LEAF * x * cmath.phase(SCALE), set_global, [*minus_one])
    follows(lambda x: SCALE(LEAF * x), set_global, [Value.tanh, lambda x: x * 3.0])

    inner: Any = 2.0

    def set_inner(number: Any) -> None:
        nonlocal inner
        inner = number

    follows(lambda x: LEAF * x * inner, set_inner, [2.0, 3.0, 4.0])

    settings = Settings()
    follows(settings.step, lambda n: setattr(settings, "factor", n), [2.0, 3.0, 5.0])
    follows(
        lambda x: LEAF * x * Settings.scale, lambda n: setattr(Settings, "scale", n), [2.0, 7.0]
    )
    table = {"factor": 2.0, "name": "a"}
    follows(lambda x: LEAF * x * table["factor"], lambda n: table.update(factor=n), [2.0, 3.0])
    nested = {"layers": [1.0, {"factor": 2.0}]}
    follows(
        lambda x: LEAF * x * nested["layers"][1]["factor"],
        lambda n: nested["layers"][1].update(factor=n),
        [2.0, 3.0],
    )


def helper(x: Any) -> Any:
    """A function that is called by another one."""
    return x * SCALE


def test_a_variable_that_only_the_body_of_a_class_loads_takes_effect() -> None:
    scale = 2.0

    def function(x: float) -> Any:
        class Local:
            factor = scale

        return LEAF * x * Local.factor

    run = jit(function)
    assert [run(1.0).data for _ in range(4)] == [4.0] * 4
    scale = 5.0
    assert run(1.0).data == 10.0


def test_changes_to_names_in_a_called_function_take_effect() -> None:
    def set_global(number: Any) -> None:
        global SCALE
        SCALE = number

    follows(lambda x: LEAF * helper(x), set_global, [2.0, 3.0])


def test_replacing_a_value_takes_effect() -> None:
    def replace(number: float) -> None:
        global LEAF
        LEAF = Value(number)

    run = jit(lambda x: LEAF * x)
    for number in (2.0, 5.0, 2.0, 7.0):
        replace(number)
        for _ in range(3):
            assert run(1.5).data == 1.5 * number
    # Each was recorded; programs that use a replaced Value were dropped.
    assert [(program.number, program.replays) for program in run.programs] == [(11, 2)]

    settings = Settings()
    run = jit(settings.step)
    for number in (2.0, 5.0, 7.0):
        settings.leaf = Value(number)
        for _ in range(3):
            assert run(1.0).data == 2.0 * number

    leaves = [Value(1.0), Value(2.0)]
    run = jit(lambda x: sum((leaf * x for leaf in leaves), start=Value(0.0)))
    assert [run(2.0).data for _ in range(3)] == [6.0] * 3
    leaves[0] = Value(10.0)
    assert [run(2.0).data for _ in range(3)] == [24.0] * 3
    leaves.append(Value(1.0))
    assert [run(2.0).data for _ in range(3)] == [26.0] * 3

    lists = [[Value(1.0)] for _ in range(1000)]
    run = jit(lambda x: sum((part[0] for part in lists), start=Value(0.0)) * x)
    assert [run(2.0).data for _ in range(3)] == [2000.0] * 3
    lists[-1][0] = Value(2.0)
    assert [run(2.0).data for _ in range(3)] == [2002.0] * 3


def test_changes_to_the_parts_of_a_model_take_effect() -> None:
    model = nn.MLP(2, [3, 1], "tanh")
    run = jit(lambda x: model(x))
    for change in (
        lambda: setattr(model.layers[0].neurons[0], "activation", Value.relu),
        lambda: model.layers[0].neurons.pop() and model.layers[1].neurons[0].w.pop(),
        lambda: setattr(model.layers[1].neurons[0], "b", Value(5.0)),
        lambda: model.layers[0].neurons[1].w.__setitem__(0, Value(3.0)),
    ):
        for _ in range(3):
            assert run([1.0, 2.0]).data == model([1.0, 2.0]).data
        change()
        assert run([1.0, 2.0]).data == model([1.0, 2.0]).data


def test_changes_to_what_the_code_does_not_name_are_ignored() -> None:
    settings, other, config = Settings(), nn.MLP(2, [2, 1]), Config()
    run = jit(lambda x: settings.step(x) * config.scale)
    for k in range(20):
        settings.count = k
        Settings.unnamed = k
        other.anything = k
        config.inner = k  # named in the methods that dataclass() adds
        assert run(1.0).data == 8.0
    assert len(run.programs) == 1


def test_replacing_a_tuple_by_an_equal_one_is_not_a_change() -> None:
    def replace(number: float) -> None:
        global SCALE
        SCALE = (1.0, ("b", number))

    run = jit(lambda x: Value(x) * SCALE[1][1])
    for _ in range(6):
        replace(3.0)
        assert run(2.0).data == 6.0
    assert [program.replays for program in run.programs] == [4]
    replace(5.0)
    assert run(2.0).data == 10.0


def warnings_of(calls: Any) -> list[str]:
    """The warnings that the calls give, each for the line of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calls()
    assert {warning.category for warning in caught} <= {RuntimeWarning}
    assert {warning.filename for warning in caught} <= {__file__}
    here = warnings_of.__code__.co_firstlineno
    assert not any(here < warning.lineno < here + 10 for warning in caught)
    return [str(warning.message) for warning in caught]


def test_a_setting_that_changes_in_every_call_is_named_in_one_warning() -> None:
    settings, config = Settings(), Config()

    @jit
    def step(x: float) -> Any:
        return config.scale * settings.step(x)

    def calls() -> None:
        for k in range(100):
            config.scale, settings.factor = float(k > 5), float(k)
            assert step(1.0).data == 2.0 * k * (k > 5)

    (text,) = warnings_of(calls)
    assert text.startswith("step is not replayed: it was recorded 32 times in a row, because")
    assert "factor changes from call to call: pass that, or keep it in a Value" in text
    assert len(step.programs) == 32


def test_a_new_structure_in_each_call_is_named_in_one_warning() -> None:
    run = jit(lambda xs: LEAF * sum(xs))

    def calls() -> None:
        for k in range(1, 100):
            assert run([1.0] * k).data == 2.0 * k

    (text,) = warnings_of(calls)
    assert "none of 32 calls in a row had the argument structure of an earlier call" in text
    assert "pass arrays of one shape" in text
    assert run.programs == []
    assert [run([1.0]).data for _ in range(3)] == [2.0] * 3  # a structure that recurs is recorded
    assert run.programs[0].replays == 2


def test_a_structure_that_recurs_once_is_not_called_new_in_each_call() -> None:
    run = jit(lambda xs: LEAF * sum(xs))
    (text,) = warnings_of(lambda: [run([1.0] * (k // 2)) for k in range(100)])
    assert "it was recorded 32 times in a row, for new structures, new models or" in text


def test_a_new_static_argument_in_each_call_is_named_in_one_warning() -> None:
    """A label of each example, say, which Python takes as an index."""
    run = jit(lambda n: LEAF * [n][0], static="n")
    (text,) = warnings_of(lambda: [run(k) for k in range(100)])
    assert "none of 32 calls in a row" in text
    assert text.endswith("static arguments that recur")


def test_bools_that_differ_in_each_call_are_named_in_one_warning() -> None:
    """The flags of a batch, say of which episodes are done. As numbers they have one program."""
    run, flags = jit(lambda done: LEAF * sum(1 - d for d in done)), (False, True)
    batches = list(itertools.product(flags, repeat=6))
    (text,) = warnings_of(lambda: [run(list(batch)) for batch in batches])
    assert "none of 32 calls in a row" in text
    assert "bools as 0/1" in text
    results = [run([*map(int, batch)]).data for batch in batches]
    assert results == [LEAF.data * batch.count(False) for batch in batches]
    assert [program.replays for program in run.programs] == [62]


def test_an_operation_that_fails_in_each_recording_is_named_in_one_warning() -> None:
    def guarded(x: float) -> Any:
        try:
            return (LEAF * x).log()
        except ValueError:
            return LEAF * 1.0

    run = jit(guarded)

    def calls() -> None:
        for k in range(100):
            assert run(-1.0 - k).data == 2.0

    (text,) = warnings_of(calls)
    assert "32 times in a row, for new structures, new models or failed operations:" in text


def test_a_new_model_after_every_few_calls_is_named_in_one_warning() -> None:
    run = jit(lambda model, x: model(x))

    def calls() -> None:
        for _ in range(40):
            model = nn.Linear(1, 1)
            for _ in range(4):
                run(model, [1.0])

    (text,) = warnings_of(calls)
    assert "it was recorded 32 times in a row, for new structures, new models or" in text


def test_new_structures_among_many_replays_are_recorded() -> None:
    run = jit(lambda xs: LEAF * sum(xs))

    def calls() -> None:
        for k in range(1, 41):
            for xs in [[1.0]] * 10 + [[1.0] * k] * 2:
                assert run(xs).data == 2.0 * len(xs)

    assert warnings_of(calls) == []
    assert len(run.programs) == 40


def test_a_function_keeps_its_latest_programs_only() -> None:
    settings = Settings()
    run = jit(settings.step, check="never")
    for k in range(40):
        settings.factor = float(k)
        for _ in range(12):  # most of them replays
            assert run(1.0).data == 2.0 * k
    assert len(run.programs) == 32


def test_a_model_that_changes_in_every_call_is_named_beside_one_that_is_replayed() -> None:
    run, changing, kept = jit(lambda step, x: step(x)), Settings(), Settings()

    def calls() -> None:
        for k in range(100):
            changing.factor = float(k)
            assert run(changing.step, 1.0).data == 2.0 * k
            assert run(kept.step, 1.0).data == 2.0 * kept.factor

    (text,) = warnings_of(calls)
    assert "because factor changes from call to call" in text
    assert len(run.programs) == 33


@pytest.mark.parametrize("new", ["structure", "setting"])
def test_the_32nd_call_in_a_row_gives_a_warning(new: str) -> None:
    settings, numbers = Settings(), itertools.count(2)
    run = jit(lambda xs: settings.step(sum(xs)))

    def calls(count: int) -> None:
        for _ in range(12):
            run([1.0])  # replayed
        for k in itertools.islice(numbers, count):
            settings.factor = k if new == "setting" else 2.0
            run([1.0] * (k if new == "structure" else 1))

    assert warnings_of(lambda: calls(31)) == warnings_of(lambda: calls(31)) == []
    assert len(warnings_of(lambda: calls(32))) == 1
    assert len(run.programs) == (32 if new == "setting" else 1)


def test_advancing_an_iterator_is_refused() -> None:
    for iterator in (itertools.count(1), iter([1.0, 2.0, 3.0, 4.0]), zip((1.0, 2.0, 3.0))):
        run = jit(lambda x, it=iterator: LEAF * x * first(next(it)))
        assert run(1.0).data == 2.0
        with pytest.raises(TraceError, match=r"changes what is in a [a-z_]+, which"):
            run(1.0)
    numbers = itertools.count(1)
    run = jit(lambda x: (numbers and LEAF) * x)
    assert [run(1.0).data for _ in range(4)] == [2.0] * 4
    assert next(numbers) == 1


def first(thing: Any) -> Any:
    """A number, or the first one of a tuple."""
    return thing[0] if isinstance(thing, tuple) else thing


def test_a_new_function_argument_in_each_call_leaves_no_programs() -> None:
    run = jit(lambda f, x: f(LEAF * x))
    for k in range(30):
        assert run(lambda v, k=k: v * k, 2.0).data == 4.0 * k
    assert len(run.programs) <= 2


def test_the_report_and_the_drawing_of_a_program() -> None:
    model = nn.MLP(2, [4, 1], "tanh")

    @jit
    def step(rows: Any) -> Any:
        loss = nn.mean(model(row) ** 2 for row in rows)
        loss.relu()  # unused
        model.zero_grad()
        loss.backward()
        return loss

    start = time.perf_counter()
    for _ in range(4):
        step([[1.0, 2.0], [3.0, 4.0]])
    (program,) = step.programs
    assert 0.0 < sum(program.seconds.values()) < time.perf_counter() - start
    report = str(program).splitlines()
    assert report[0] == "step: 2 replays"
    stages = ["trace", "simplify", "schedule", "compile", "check"]
    assert [line.split()[0] for line in report[1:]] == stages
    assert f"{program.recorded:,} nodes recorded" in report[1]
    assert report[-1].endswith("1 replay equal to the eager call, bit for bit")
    assert f"{program.bytes / 1024:,.0f} KiB" in report[4]
    assert program.recorded > program.simplified >= program.scheduled >= program.groups > 3
    svg = program.draw().svg()
    for text in ("tanh", "× 8", "sum of 3 products", "arguments", "× 4", "leaves", "× 17"):
        assert text in svg, text
    assert "program of step" in repr(program.draw())
    with pytest.raises(ValueError, match="direction is one of LR, TB, RL, BT, not 'XX'"):
        program.draw("XX")


def test_a_report_has_the_singular_of_one() -> None:
    run = jit(lambda: 1.0)
    for _ in range(3):
        run()
    (program,) = run.programs
    assert repr(program) == "<program of <lambda>: 1 node, 1 replay>"
    for text in ("1 node recorded\n", "1 node left\n", "0 numbers in 0 groups\n"):
        assert text in str(program)


def test_each_box_of_a_training_step_has_an_arrow() -> None:
    model = nn.MLP(2, [4, 1])
    optimizer = nn.Adam(model)

    @jit
    def step(rows: Any, targets: Any) -> Any:
        loss = nn.hinge([model(row) for row in rows], targets)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(2):
        step([[1.0, 2.0], [3.0, 4.0]], [1.0, -1.0])
    source = step.programs[0].draw().source
    boxes = re.findall(r"^\t(\w+) \[.*shape=", source, re.MULTILINE)
    arrows = re.findall(r"^\t(\w+) -> (\w+)", source, re.MULTILINE)
    assert len(boxes) > 20
    assert {*boxes} == {end for arrow in arrows for end in arrow}


def test_the_drawing_of_a_long_program_has_few_boxes() -> None:
    @jit
    def power(x: Any) -> Any:
        x = Value(x)
        for _ in range(400):
            x = (x * 0.5).sin()
        return x

    power(1.0)
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

    def calls() -> None:
        for x in (1.0, 0.0, *[1.0] * 20, 0.0):
            assert root(x).data == (math.inf if x else 0.0)
            assert root(0).data == 0.0  # ints have a separate program

    (text,) = warnings_of(calls)
    assert text.startswith("root is not replayed: 8 calls in a row were done eagerly: ")
    assert str(root.programs[0]).startswith("root: 1 replay, 20 calls done eagerly\n")


def test_a_warning_that_is_an_error_comes_before_the_call() -> None:
    counter = Value(0.0)

    @jit
    def overflow(x: float) -> Any:
        counter.assign(counter + 1.0)
        return counter * x * 1e308

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(10):
            overflow(100.0)
        with pytest.raises(RuntimeWarning, match="8 calls in a row"):
            overflow(100.0)
    assert counter.data == 10.0


def test_eight_eager_calls_in_a_row_are_needed_for_a_warning() -> None:
    run = jit(lambda x: Value(x) * 1e200 * 1e200)

    def calls(*arguments: float) -> None:
        for x in arguments:
            run(x)

    assert warnings_of(lambda: calls(0.0, 0.0, *[0.0, *[1.0] * 7] * 3, 1.0)) == []
    assert len(warnings_of(lambda: calls(0.0))) == 1  # before the next call


def test_replacing_an_entry_of_a_container_takes_effect() -> None:
    """Even if the old entry is still referenced elsewhere."""
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
        was = function(1.5).data
        assert [run(1.5).data for _ in range(4)] == [was] * 4
        change()
        now = function(1.5).data
        assert now != was
        assert [run(1.5).data for _ in range(4)] == [now] * 4
        assert run.programs[-1].replays == 3  # after another recording
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
        return self.l2

    @property
    def l2(self) -> float:
        return self.settings["l2"]

    settings: ClassVar[dict[str, float]] = {"l2": 0.5}


class Scaled(nn.Module):
    """A layer with a private setting that behaves differently in training."""

    def __init__(self) -> None:
        self._scale = 2.0

    def __call__(self, x: Any) -> Any:
        return LEAF * x * (self._scale if self.training else 10.0)


@dataclasses.dataclass(slots=True, unsafe_hash=True)
class Config:
    """A setting in a slot."""

    scale: float = 2.0
    inner: Any = None


class Base:
    """A setting that classes inherit."""

    scale = 2.0


class Derived(Base):
    """Inherits the setting; it and its instances may override it."""

    def __call__(self, x: float) -> Any:
        return LEAF * x * self.scale


def test_changes_to_attributes_take_effect_wherever_they_are_read() -> None:
    trainer, layer, space, config = Trainer(), Scaled(), SimpleNamespace(scale=2.0), Config()
    outer, derived, adam = Config(inner=space), Derived(), nn.Adam([Value(1.0)])
    model = nn.MLP(1, [1])
    model.gain = 2.0

    def gained(x: float) -> Any:
        return LEAF * x * model.gain * (2.0 if model.training else 3.0)

    for function, changes in (
        (
            trainer.step,
            [
                lambda: setattr(trainer, "scale", 5.0),
                lambda: trainer.settings.update(l2=0.25),
                lambda: setattr(Trainer, "settings", {"l2": 0.75}),
            ],
        ),
        (layer, [lambda: setattr(layer, "_scale", 5.0), layer.eval]),
        (lambda x: LEAF * x * space.scale, [lambda: setattr(space, "scale", 5.0)]),
        (lambda x: LEAF * x * config.scale, [lambda: setattr(config, "scale", 5.0)]),
        (
            lambda x: LEAF * x * outer.inner.scale,
            [lambda: setattr(space, "scale", 6.0), lambda: setattr(outer, "inner", Config(7.0))],
        ),
        (  # the class it inherits from, its own class, and itself
            derived,
            [
                lambda: setattr(Base, "scale", 5.0),
                lambda: setattr(Derived, "scale", 6.0),
                lambda: setattr(derived, "scale", 7.0),
                lambda: delattr(derived, "scale"),
            ],
        ),
        (
            gained,
            [
                lambda: vars(model).update(gain=5.0),
                lambda: model.__dict__.__setitem__("gain", 6.0),
                lambda: object.__setattr__(model, "gain", 7.0),
                lambda: vars(model).__setitem__("training", False),
            ],
        ),
        (
            lambda x: LEAF * x * adam.eps * 1e8,
            [lambda: setattr(adam, "eps", 0.5), lambda: vars(adam).update(eps=2.0)],
        ),
    ):
        run = jit(function)
        for number, change in enumerate([lambda: None, *changes]):
            change()
            for x in (1.5, -0.5, 2.0, 1.0):
                assert run(x).data == function(x).data
            # Back in an earlier state, the earlier program is reused.
            assert len(run.programs) == number + 1 or change is changes[-1]


def test_changing_anything_besides_values_is_refused() -> None:
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
        run = jit(function)
        run(1.0)  # an eager call
        settings.leaf = Value(2.0)  # a computed Value would be refused for another reason
        leaf, before = settings.leaf, (count, speed.copy())
        for _ in range(2):
            with pytest.raises(TraceError, match=r"changes .*, which a replay would not"):
                run(1.0)
            assert (count, speed) == before
            assert settings.leaf is leaf
        assert run.programs == []


def test_watching_does_not_run_the_code_of_a_container_or_of_a_key() -> None:
    """What it changed would be taken for an effect of the function."""
    asked: list[str] = []

    def asks(self: Any, *others: Any) -> Any:
        asked.append(type(self).__name__)
        return super(type(self), self).__iter__()

    class Key:
        def __hash__(self) -> int:
            asked.append("Key")
            return 0

    class Text(bytearray):
        def __bytes__(self) -> bytes:
            asked.append("Text")
            return b""

    kinds = [type(kind.__name__, (kind,), {"__iter__": asks}) for kind in (list, set, deque)]
    things = [*[kind([1.0, LEAF]) for kind in kinds], {Key(): LEAF}, Text(b"a")]
    run = jit(lambda x: LEAF * x * len(things))
    asked.clear()
    for x in (1.0, 2.0, 3.0):
        assert run(x).data == 10.0 * x
    assert run.programs[0].replays == 1
    assert asked == []


def test_a_value_created_at_the_first_call_and_kept_is_accepted() -> None:
    made: dict[str, Value] = {}

    def lazily(x: float) -> Any:
        if "w" not in made:
            made["w"] = Value(2.0)
        return made["w"] * x

    run = jit(lazily)
    assert [run(x).data for x in (1.0, 2.0, 3.0, 4.0)] == [2.0, 4.0, 6.0, 8.0]
    assert len(run.programs) == 1


def test_a_table_that_is_made_again_after_a_change_is_accepted() -> None:
    """It was refused at each call until the user called the function without jit."""
    table, settings = dict[str, list[float]](), SimpleNamespace(size=2)

    def lazily(x: float) -> Any:
        if len(table.get("rates", ())) != settings.size:
            table["rates"] = [0.5] * settings.size
        return LEAF * x * len(table["rates"])

    run = jit(lazily)
    for size in (2, 3, 2):
        settings.size = size
        for x in (1.0, 2.0, 3.0, 4.0):
            assert run(x).data == LEAF.data * x * size
        assert run.programs[-1].replays > 0


def test_a_counter_that_starts_after_a_change_is_refused_when_it_counts_again() -> None:
    settings = SimpleNamespace(counts=False, count=0)

    def step(x: float) -> Any:
        settings.count += settings.counts
        return LEAF * x * settings.count

    run = jit(step)
    for _ in range(4):
        run(1.0)
    settings.counts = True
    assert run(1.0).data == LEAF.data
    for _ in range(2):
        with pytest.raises(TraceError, match="changes count"):
            run(1.0)
        assert settings.count == 1


# Globals of this module, as a script has them.
t = step = lr = 0.0


def test_a_global_with_the_name_of_an_attribute_is_not_watched() -> None:
    """Only names that the code loads as variables are guarded, not those of attributes."""
    global t, step, lr
    model = nn.MLP(2, [3, 1], "tanh")
    rule = nn.Adam(model, lr=0.1)
    clock = SimpleNamespace(t=2.0)

    def train(xs: list[float]) -> Any:
        loss = model(xs) ** 2 * clock.t
        rule.zero_grad()
        loss.backward()
        rule.step()
        return loss * rule.lr

    run = jit(train)
    for i in range(100):
        t = step = lr = float(i)
        rule.lr = 0.1 / (1.0 + lr)  # read in each replay
        run([0.5, t / 100.0])
    (program,) = run.programs
    assert program.replays == 98


def test_a_module_setting_takes_effect_however_it_is_written() -> None:
    layer = nn.Layer(1, 2, "tanh")
    model, neuron = nn.Sequential(layer, nn.Dropout(0.5)), layer.neurons[0]
    nn.seed(0)
    run = jit(lambda x: model([x]))
    changes = [
        lambda: None,
        model.eval,
        lambda: vars(neuron).__setitem__("activation", Value.sin),
        lambda: neuron.__dict__.update(activation=Value.exp),
        lambda: object.__setattr__(neuron, "activation", Value.relu),
        lambda: vars(neuron).update(b=Value(3.0)),
    ]
    for number, change in enumerate(changes):
        change()
        for x in (1.0, -2.0, 0.5, 0.25):
            state = nn.rng.generator.getstate()
            found = run(x)
            nn.rng.generator.setstate(state)
            assert [v.data for v in found] == [v.data for v in model([x])]
        # The very first call was eager; after each change one call was recorded.
        assert run.programs[-1].replays == (3 if number else 2)


def test_a_changed_attribute_read_by_a_computed_name_is_found_by_the_check() -> None:
    settings = Settings()
    run = jit(lambda x: LEAF * x * getattr(settings, "".join(["fac", "tor"])))
    for x in (1.0, 2.0, 3.0, 4.0):
        assert run(x).data == 4.0 * x
    settings.factor = 3.0
    for _ in range(5):
        run(1.0)  # still computes with 2.0
    with pytest.raises(TraceError, match=r"is 6\.0, and 4\.0 in the replay\. .* calls 4 to 9 are"):
        run(1.0)
    for x in (1.0, 2.0, 3.0, 4.0):
        assert run(x).data == 6.0 * x


def test_replacing_an_object_by_another_of_its_class_takes_effect() -> None:
    first, second = Trainer(), Trainer()
    second.scale = 7.0
    trainers = [first, second]
    run = jit(lambda x: trainers[0].step(x) + trainers[1].step(x))
    for change in (
        lambda: None,
        trainers.reverse,
        trainers.pop,
        lambda: trainers.append(Trainer()),
    ):
        change()
        if len(trainers) == 2:
            for x in (1.0, 2.0, -1.0):
                assert run(x).data == run.function(x).data


def test_replacing_a_bound_method_takes_effect() -> None:
    """By that of another object, or another one of this object."""
    global SCALE
    trainer, other = Trainer(), Trainer()
    other.scale = 7.0
    run = jit(lambda x: SCALE(x))
    for method in (trainer.step, other.step, MethodType(lambda self, x: LEAF + x, other)):
        SCALE = method
        for x in (1.0, 2.0, -1.0):
            assert run(x).data == method(x).data


def test_a_name_that_was_missing_takes_effect() -> None:
    """An object's own method in place of that of its class, a global in place of a builtin."""
    trainer, space = Trainer(), globals()
    run = jit(lambda x: trainer.step(x) * abs(2.0))
    for change in (
        lambda: None,
        lambda: setattr(trainer, "step", lambda x: LEAF * x * 7.0),
        lambda: space.update(abs=lambda x: x * 3.0),
        lambda: space.pop("abs"),
        lambda: delattr(trainer, "step"),
    ):
        change()
        for number in (1.0, 2.0, -1.0):
            assert run(number).data == run.function(number).data


def imports_a_module(x: float) -> Any:
    import math

    return LEAF * x * math.tau


def imports_an_attribute(x: float) -> Any:
    from math import pi, tau

    return LEAF * x * pi * tau


def imports_a_module_of_a_package(x: float) -> Any:
    import os.path

    return LEAF * x * len(os.path.pardir)


def imports_from_a_package(x: float) -> Any:
    from os import path as local

    return LEAF * x * len(local.pardir)


# Python sets `__package__` to None in a script.
SCRIPT: Any = {**globals(), "__package__": None}


@pytest.mark.parametrize(
    "function",
    [
        FunctionType(imports_a_module.__code__, SCRIPT, "imports_in_a_script"),
        imports_a_module,
        imports_an_attribute,
        imports_a_module_of_a_package,
        imports_from_a_package,
    ],
)
def test_a_setting_of_a_module_imported_inside_takes_effect(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = jit(function)
    for factor in (6.0, 3.0):
        monkeypatch.setattr("math.tau", factor)
        monkeypatch.setattr("os.path.pardir", "." * int(factor))
        for x in (1.0, 2.0, -1.0):
            assert run(x).data == function(x).data
    assert [program.replays for program in run.programs] == [1, 2]


def test_adding_a_name_is_refused_and_undone() -> None:
    trainer, space = Trainer(), globals()

    def replaces_a_method(x: float) -> Any:
        trainer.step = lambda x: LEAF * x
        return trainer.step(x)

    def makes_a_global(x: float) -> Any:
        global made_in_a_call
        made_in_a_call = 2.0
        return LEAF * x * made_in_a_call

    for function, place, name in (
        (replaces_a_method, vars(trainer), "step"),
        (makes_a_global, space, "made_in_a_call"),
    ):
        run = jit(function)
        run(1.0)
        del place[name]
        with pytest.raises(TraceError, match=f"changes {name}, which"):
            run(1.0)
        assert name not in place


class Slotted:
    """An object with an empty slot."""

    __slots__ = ("gain",)
    gain: float


class Shifted(nn.Module):
    """A module with a private setting."""

    def __init__(self, shift: float) -> None:
        self._shift = shift

    def __call__(self, x: Any) -> Any:
        return LEAF * x + self._shift


def test_private_settings_of_several_modules_take_effect() -> None:
    layers = [Shifted(1.0), Shifted(2.0), Shifted(3.0)]
    run = jit(lambda x: layers[2](layers[1](layers[0](x))))
    for number, layer in enumerate([None, *layers]):
        if layer is not None:
            layer._shift += 10.0
        for x in (1.0, 2.0, -1.0):
            assert run(x).data == run.function(x).data
        assert len(run.programs) == number + 1


def test_rebuilding_an_equal_tuple_that_holds_nan_is_not_a_change() -> None:
    global SCALE
    run = jit(lambda x: LEAF * x * SCALE[0] * SCALE[1][0])
    for number in (1.0, 3.0):
        for k in range(4):
            nan = math.inf - math.inf
            SCALE = (float("2.0"), (number, "text" * (1 + k // 9), nan, complex(nan)))
            assert run(1.5).data == 6.0 * number
        assert run.programs[-1].replays == (2 if number == 1.0 else 3)


def test_an_unchanged_array_that_holds_nan_is_not_a_change() -> None:
    array = np.array([1.0, math.nan])
    run = jit(lambda x: LEAF * x * float(array[0]))
    assert [run(1.0).data for _ in range(4)] == [2.0] * 4
    array[0] = 3.0
    assert [run(1.0).data for _ in range(4)] == [6.0] * 4
    assert len(run.programs) == 2


def test_changes_to_an_equal_list_that_replaced_another_take_effect() -> None:
    """Even if the replaced list is still used under another name."""
    neuron = nn.Neuron(1, "tanh")
    inner = [[Value(2.0)], [Value(3.0)]]
    neuron.table, kept = inner, inner[0]

    def product(x: float) -> Any:
        return neuron([x]) * sum(row[0] for row in neuron.table) * kept[0]

    run = jit(product)
    for change in (
        lambda: None,
        lambda: setattr(neuron, "table", [list(row) for row in neuron.table]),
        lambda: neuron.table[1].__setitem__(0, Value(5.0)),
        lambda: kept.__setitem__(0, Value(7.0)),
        lambda: setattr(neuron, "w", list(neuron.w)),
        lambda: neuron.w.__setitem__(0, Value(0.5)),
    ):
        change()
        for x in (1.5, -0.5, 2.0, 1.0):
            assert run(x).data == product(x).data


def test_replacing_an_entry_by_another_object_that_equals_it_takes_effect() -> None:
    @dataclasses.dataclass
    class Layer:
        name: str
        scale: float = dataclasses.field(compare=False)

    layers, table = [Layer("a", 2.0)], {"a": Layer("a", 3.0)}
    run = jit(lambda x: LEAF * x * layers[0].scale * table["a"].scale)
    assert [run(1.0).data for _ in range(4)] == [12.0] * 4
    layers[0] = Layer("a", 5.0)
    assert run(1.0).data == 30.0
    table["a"] = Layer("a", 7.0)
    assert run(1.0).data == 70.0


def test_equal_settings_of_different_types_are_told_apart() -> None:
    rule = nn.Adam([Value(1.0)])
    model = nn.MLP(1, [1])
    follows(
        lambda x: LEAF * x * model.gain, lambda n: setattr(model, "gain", n), [1.0, 1, True, -0.0]
    )
    run = jit(lambda x: LEAF * x * rule.weight_decay)
    for number in (0.0, -0.0, 0, False):
        rule.weight_decay = number
        for x in (1.0, 2.0, 3.0):
            assert str(run(x).data) == str((LEAF * x * rule.weight_decay).data)


def test_a_change_without_effect_is_examined_only_once() -> None:
    """An attribute that an eager call adds to a model slows down one replay, and no other."""
    model = nn.MLP(2, [3, 1], "tanh")
    model.gain = 3.25
    run = jit(lambda x: model(x))
    for _ in range(4):
        run([1.0, 2.0])
    (program,) = run.programs
    assert program.watch.holds()
    for change in (
        lambda: setattr(model, "_anything", 1.0),
        lambda: setattr(model, "gain", float("3.25")),  # another object
    ):
        change()
        assert not program.watch.holds()
        run([1.0, 2.0])
        assert program.watch.holds()
    assert [program.replays for program in run.programs] == [4]


def test_a_slot_and_a_variable_without_content_need_no_closer_look() -> None:
    """They are filled later, which takes effect. In a recorded call it is refused, and undone."""
    slotted = Slotted()

    def made(x: float) -> Any:
        nonlocal later
        if fills:
            slotted.gain = later = 2.0
        return LEAF * x * getattr(slotted, "gain", 1.0) * (1.0 if x is None else bare())

    def bare() -> float:
        try:
            return later
        except NameError:
            return 3.0

    def emptied() -> None:
        nonlocal later
        del slotted.gain, later

    slotted.gain = later = 0.0
    emptied()
    fills, run = False, jit(made)
    for _ in range(3):
        run(1.0)
    assert run.programs[0].watch.holds()
    slotted.gain = later = 5.0
    assert run(1.0).data == made(1.0).data == 25.0 * LEAF.data
    emptied()
    fills, run = True, jit(made)
    run(1.0)
    emptied()
    with pytest.raises(TraceError, match="which a replay would not"):
        run(1.0)
    assert not hasattr(slotted, "gain")
    assert bare() == 3.0


def test_setting_the_learning_rate_before_each_call_needs_no_closer_look() -> None:
    model = nn.MLP(2, [3, 1], "tanh")
    rule = nn.Adam(model, lr=0.1)

    @jit
    def run(x: Any) -> Value:
        loss = nn.mse(model(x), 1.0)
        rule.zero_grad()
        loss.backward()
        rule.step()
        return loss

    for call in range(6):
        rule.lr = 0.1 / (1 + call)
        if call > 3:
            assert run.programs[0].watch.holds()
        run([1.0, 2.0])
    assert [program.replays for program in run.programs] == [4]


def test_an_optimizer_setting_takes_effect_wherever_the_optimizer_is() -> None:
    """Even if no watched object leads to it, and if the setting is a new attribute."""

    class Rule(nn.SGD):
        scale = 1.0

        def update(self, parameter: Value, gradient: Value, state: Any) -> Value:
            return parameter - self.scale * gradient

    hidden = SimpleNamespace(rule=Rule([Value(1.0)], lr=0.1))
    seen = Rule([Value(1.0)], lr=0.1)
    for find in (lambda: getattr(hidden, "ru" + "le"), lambda: seen):
        rule = find()

        def step(find: Any = find) -> Any:
            (leaf,) = find().parameters
            leaf.grad = 0.0
            (leaf * leaf).backward()
            find().step()
            return leaf * 1.0

        run = jit(step)
        number = 1.0
        for scale in (1.0, 0.25, 0.125):
            if scale != 1.0:
                rule.scale = scale
            for _ in range(3):
                number -= scale * 2.0 * number
                assert run().data == number


def test_attributes_are_not_compared_one_by_one_for_each_part_of_a_model() -> None:
    """A replay of the moons step took 20 % longer when they were, for functions and lists."""

    def guards(width: int) -> int:
        model = nn.MLP(2, [width, width, 1])
        optimizer = nn.Adam(model)

        def step(x: float) -> Any:
            loss = nn.hinge([model([x, 0.5])], [1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run = jit(step)
        for _ in range(3):
            run(0.5)
        (program,) = run.programs
        return len(program.watch._named[0])

    assert guards(12) == guards(4) < 30


def test_a_variable_of_a_module_is_not_guarded_for_its_name_alone() -> None:
    """A loop of the user's sets `settings.step`; the code reads another `step`."""
    settings: Any = ModuleType("settings")
    settings.__file__, settings.rate = "settings.py", 0.5
    parts = [SimpleNamespace(step=0.25)]
    w = Value(1.0)

    def scaled(x: float) -> Value:
        return w * x * settings.rate * parts[0].step

    run = jit(scaled)
    for settings.step in range(6):
        run(2.0)
    (program,) = run.programs
    assert program.replays == 4


def test_an_attribute_is_not_guarded_for_what_the_code_asks_of_other_things() -> None:
    """A list has a method `index`, and `settings` a `step` of its own."""
    loader, settings = SimpleNamespace(index=0, step=0, rate=0.5), SimpleNamespace(step=0.25)
    things, rows, w = [loader], [["cat", "dog"]], Value(1.0)

    def scaled(x: float) -> Value:
        index = sum(row.index("dog") for row in rows)
        return w * x * index * settings.step * sum(thing.rate for thing in things)

    run = jit(scaled)
    for loader.index in range(6):
        loader.step += 1
        run(2.0)
    (program,) = run.programs
    assert program.replays == 4
