"""Is a function recorded anew where what it names has become something else, and only then?"""

from __future__ import annotations

import itertools
import math
import warnings
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
    for k in range(8):
        settings.factor = float(k)
        assert run(1.0).data == 2.0 * k
    settings.factor = 8.0
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
