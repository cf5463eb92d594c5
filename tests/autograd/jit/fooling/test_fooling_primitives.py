"""Programs with user-defined Primitives, labels, static arguments, and arguments that change."""

from __future__ import annotations

import itertools
import math
import types
from typing import Any

import numpy as np
import pytest
from fooling_harness import (
    XS,
    Case,
    Fooling,
    assert_expected,
    fooling,
    numbers,
    programs,
    set_briefly,
)

from autograd import Primitive, Value, detect_anomaly, grad, no_grad

DRAWS = np.random.default_rng(1)
STATE = {"calls": 0, "slope": 1.0}

# --- primitives -----------------------------------------------------------------------------------


@fooling("primitives", "loud")
def forward_counts() -> Case:
    calls = [0]  # not observed, since it also runs in a checked replay

    def forward(x: float) -> float:
        calls[0] += 1
        return x * calls[0]

    scaled = Primitive("scaled", forward, lambda out, x: 1.0)
    w = Value(2.0)
    return Case(lambda x: scaled(w * x))


@fooling("primitives", "loud")
def forward_draws() -> Case:
    generator = np.random.default_rng(4)
    noisy = Primitive("noisy", lambda x: x + float(generator.normal()), lambda out, x: 1.0)
    w = Value(2.0)
    return Case(lambda x: noisy(w * x))


@fooling("primitives", "loud")
def forward_branches() -> Case:
    def forward(x: float) -> float:
        if x > 1.0:
            return math.log(x) + 1.0
        return x if x > -1.0 else -1.0

    def backward(out: Any, x: Any) -> Any:
        if x > 1.0:
            return 1.0 / x
        return 1.0 if x > -1.0 else 0.0

    squashed = Primitive("squashed", forward, backward)
    w = Value(2.0)

    def step(x: float) -> Any:
        out = squashed(w * x)
        w.grad = 0.0
        out.backward()
        return out

    return Case(step, observe=lambda: w)


@fooling("primitives", "loud")
def rules_use_math_functions() -> Case:
    bump = Primitive(
        "bump", lambda x: math.exp(-x * x), lambda out, x: -2.0 * x * math.exp(-(float(x) ** 2))
    )
    w = Value(0.5)

    def step(x: float) -> Any:
        out = bump(w * x) * bump(w)
        w.grad = 0.0
        out.backward()
        return out

    return Case(step, observe=lambda: w)


@fooling("primitives", "equal")
def backward_reads_a_setting() -> Case:
    STATE["slope"] = 1.0
    clipped = Primitive("clipped", lambda x: max(x, 0.0), lambda out, x: STATE["slope"])
    w = Value(2.0)

    def step(x: float) -> Any:
        out = clipped(w * x)
        w.grad = 0.0
        out.backward()
        return out

    def change(call: int) -> None:
        if call == 5:
            STATE["slope"] = 0.5

    return Case(step, between=change, observe=lambda: w)


@fooling("primitives", "equal")
def the_rules_of_a_primitive_read_a_setting() -> Case:
    options, x = types.SimpleNamespace(rate=0.5), Value(1.0)
    scaled = Primitive("scaled", lambda x: options.rate * x, lambda out, x: options.rate)
    return set_briefly(lambda: grad(scaled(x), [x])[0], options, "rate")


@fooling("primitives", "equal")
def forward_reads_a_setting() -> Case:
    settings = types.SimpleNamespace(temperature=2.0)
    cooled = Primitive("cooled", lambda x: x / settings.temperature, lambda out, x: 0.5)
    w = Value(2.0)

    def change(call: int) -> None:
        if call == 5:
            settings.temperature = 8.0

    return Case(lambda x: cooled(w * x), between=change)


@fooling("primitives", "loud")
def forward_remembers_the_last_number() -> Case:
    class Momentum:
        def __init__(self) -> None:
            self.last = 0.0

        def __call__(self, x: float) -> float:
            self.last = 0.5 * self.last + x
            return self.last

    momentum = Momentum()
    smooth = Primitive("smooth", momentum, lambda out, x: 1.0)
    w = Value(2.0)
    return Case(lambda x: smooth(w * x))


@fooling("primitives", "equal")
def makes_a_primitive_inside() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        n = 3.0
        cube = Primitive("cube", lambda x: x**n, lambda out, x: n * x ** (n - 1.0))
        out = cube(w * x)
        w.grad = 0.0
        out.backward()
        return out

    return Case(step, observe=lambda: w)


@fooling("primitives", "equal")
def a_primitive_is_applied_to_plain_numbers() -> Case:
    half = Primitive("half", lambda x: 0.5 * x, 0.5)
    w = Value(2.0)
    return Case(lambda x: w * half(x) + half(3.0))


@fooling("primitives", "loud")
def a_primitive_logs_its_numbers() -> Case:
    seen: list[float] = []

    def forward(x: float) -> float:
        seen.append(x)
        return -x

    spied = Primitive("spied", forward, -1.0)
    w = Value(2.0)
    return Case(lambda x: spied(w * x), observe=lambda: seen)


@fooling("primitives", "loud")
def second_derivatives_of_a_branching_rule() -> Case:
    def slope(out: Any, x: Any) -> Any:
        return x * 2.0 if x > 0 else x * -1.0

    bent = Primitive("bent", lambda x: x * x if x > 0 else -0.5 * x * x, slope)
    w = Value(2.0)

    def step(x: float) -> Any:
        (first,) = grad(bent(w * x), [w], create_graph=True)
        (second,) = grad(first, [w])
        return first, second

    return Case(step, observe=lambda: w)


# --- labels ---------------------------------------------------------------------------------------


@fooling("labels", "loud")
def labels_by_a_counter() -> Case:
    w, n = Value(2.0), itertools.count()

    def step(x: float) -> Any:
        out = w * x
        out.label = f"step {next(n)}"
        return out

    return Case(step)


@fooling("labels", "equal")
def labels_its_results() -> Case:
    w = Value(2.0, "w")

    def step(x: float) -> Any:
        out = w * Value(x, label="x")
        out.label = "out"
        return out, w.label

    return Case(step)


@fooling("labels", "loud")
def copies_the_label_of_a_weight() -> Case:
    w = Value(2.0, "w")

    def step(x: float) -> Any:
        out = w * x
        out.label = w.label + "'"
        return out

    def change(call: int) -> None:
        if call == 5:
            w.label = "v"

    return Case(step, between=change)


@fooling("labels", "loud")
def labels_by_a_number() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        out = w * x
        out.label = f"out={out.data:.2f}"
        return out

    return Case(step)


@fooling("labels", "loud")
def chooses_weights_by_label() -> Case:
    weights = [Value(1.0, "weight"), Value(2.0, "bias"), Value(4.0, "weight")]

    def step(x: float) -> Any:
        return sum((w * x for w in weights if w.label == "weight"), Value(0.0))

    def change(call: int) -> None:
        if call == 5:
            weights[1].label = "weight"

    return Case(step, between=change, observe=lambda: weights)


@fooling("labels", "loud")
def labels_a_weight() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        w.label = w.label + "'"
        return w * x

    return Case(step, observe=lambda: w)


# --- static arguments -----------------------------------------------------------------------------


class Options:
    def __init__(self, scale: float) -> None:
        self.scale = scale


@fooling("static", "equal")
def a_static_object_is_changed() -> Case:
    w, options = Value(2.0), Options(2.0)

    def change(call: int) -> None:
        if call == 5:
            options.scale = 0.5

    return Case(
        lambda x, options: w * x * options.scale,
        calls=[(x, options) for x in XS],
        static=("options",),
        between=change,
    )


@fooling("static", "equal")
def a_static_list_is_changed() -> Case:
    w, sizes = Value(2.0), [1.0, 2.0]

    def change(call: int) -> None:
        if call == 5:
            sizes.append(3.0)

    return Case(
        lambda x, sizes: sum((w * x * n for n in sizes), Value(0.0)),
        calls=[(x, sizes) for x in XS],
        static=("sizes",),
        between=change,
    )


@fooling("static", "loud")
def a_static_object_counts() -> Case:
    w, options = Value(2.0), Options(0.0)

    def step(x: float, options: Options) -> Any:
        options.scale += 1.0
        return w * x * options.scale

    return Case(step, calls=[(x, options) for x in XS], static=("options",))


@fooling("static", "equal")
def a_static_number_of_layers() -> Case:
    w = Value(0.9)

    def step(x: float, depth: int) -> Any:
        out = w * x
        for _ in range(depth):
            out = (out * w).tanh()
        return out

    calls = [(x, depth) for x, depth in zip(XS, (2, 2, 2, 3, 3, 3, 2, 2, 3, 3), strict=True)]
    return Case(step, calls=calls, static=("depth",))


@fooling("static", "loud")
def equal_static_objects_differ() -> Case:
    class Same(Options):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Same)

        def __hash__(self) -> int:
            return 1

    w, kinds = Value(2.0), [Same(2.0), Same(3.0)]
    calls = [(x, kinds[i >= 5]) for i, x in enumerate(XS)]
    return Case(lambda x, options: w * x * options.scale, calls=calls, static=("options",))


@fooling("static", "equal")
def strings_and_bools_are_passed() -> Case:
    w = Value(0.9)

    def step(x: float, kind: str, flag: bool, nothing: None) -> Any:
        out = getattr(w * x, kind)()
        return out if flag else -out

    kinds = ["tanh", "tanh", "tanh", "exp", "exp", "exp", "tanh", "exp", "tanh", "exp"]
    calls = [(x, kind, i % 4 != 3, None) for i, (x, kind) in enumerate(zip(XS, kinds, strict=True))]
    return Case(step, calls=[*calls, *calls[:3], *calls[3:6]])


# --- arguments ------------------------------------------------------------------------------------


@fooling("arguments", "loud")
def appends_to_an_argument() -> Case:
    w = Value(2.0)

    def step(xs: list[Any]) -> Any:
        xs.append(w * xs[0])
        return xs[-1]

    return Case(step, calls=[([x, 1.0],) for x in XS])


@fooling("arguments", "loud")
def normalizes_an_array_in_place() -> Case:
    w = Value(2.0)

    def step(xs: Any) -> Any:
        xs -= 1.0
        return [w * x for x in xs]

    return Case(step, calls=[(np.array([x, 2.0 * x]),) for x in XS])


@fooling("arguments", "loud")
def sorts_an_argument() -> Case:
    w = Value(2.0)

    def step(xs: list[float]) -> Any:
        xs.sort()
        return w * xs[0]

    return Case(step, calls=[([x, 0.25, -x],) for x in XS])


@fooling("arguments", "loud")
def pops_from_a_dict_that_is_passed() -> Case:
    w = Value(2.0)

    def step(batch: dict[str, Any]) -> Any:
        y = batch.pop("y")
        return (w * batch["x"] - y) ** 2

    return Case(step, calls=[({"x": x, "y": 1.0},) for x in XS])


@fooling("arguments", "equal")
def updates_a_value_that_is_passed() -> Case:
    values = [Value(x) for x in XS]

    def step(v: Value) -> Any:
        loss = (v * 2.0 - 1.0) ** 2
        loss.backward()
        v.data -= 0.1 * v.grad
        return loss

    return Case(step, calls=[(v,) for v in values], observe=lambda: values)


@fooling("arguments", "equal")
def takes_any_number_of_arguments() -> Case:
    w = Value(2.0)

    def step(*xs: float, scale: float = 2.0) -> Any:
        return sum((w * x for x in xs), Value(0.0)) * scale

    return Case(step, calls=[(x,) * (1 + i % 2) for i, x in enumerate(XS)])


@fooling("arguments", "equal")
def changes_a_copy_of_an_argument() -> Case:
    w = Value(2.0)

    def step(xs: list[float]) -> Any:
        xs = [*xs, 1.0]
        xs[0] = xs[0] * 2.0
        del xs[1]
        xs.reverse()
        return sum((w * x * i for i, x in enumerate(xs)), Value(0.0))

    return Case(step, calls=[([x, 2.0, 1.0 - x],) for x in XS])


# --- switches -------------------------------------------------------------------------------------


@fooling("switches", "equal")
def turns_gradients_off() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        with no_grad():
            target = w * x
        loss = (w * x - target + 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        return loss, target

    return Case(step, observe=lambda: w)


@fooling("switches", "loud")
def detects_anomalies() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        with detect_anomaly():
            loss = (w * x - 1.0) ** 2
            loss.backward()
        return loss

    return Case(step, calls=numbers(), observe=lambda: w)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
