"""More programs with Primitives that keep state, labels, and static arguments that change."""

from __future__ import annotations

import functools
import itertools
import math
import random
import time
from typing import Any, ClassVar

import numpy as np
import pytest
from fooling_harness import XS, Case, Fooling, assert_expected, fooling, programs

import nn
from autograd import Primitive, Value, grad


def applied(primitive: Primitive, between: Any = lambda call: None, **more: Any) -> Case:
    """A program that applies a Primitive to a product, and differentiates."""
    w = Value(2.0)

    def step(x: float) -> Any:
        out = primitive(w * x)
        w.grad = 0.0
        out.backward()
        return out

    return Case(step, between=between, observe=lambda: w, **more)


# --- primitives -----------------------------------------------------------------------------------


@fooling("primitives", "loud")
def forward_takes_from_an_iterator() -> Case:
    scales = itertools.cycle([1.0, 2.0, 4.0])
    return applied(Primitive("cycled", lambda x: x * next(scales), 1.0))


@fooling("primitives", "loud")
def forward_draws_from_the_global_stream() -> Case:
    return applied(Primitive("noisy", lambda x: x + random.random(), 1.0))


@fooling("primitives", "loud")
def forward_reads_the_clock() -> Case:
    clocked = Primitive("clocked", lambda x: float(time.perf_counter_ns()), 1.0)
    w = Value(2.0)
    return Case(lambda: clocked(w), calls=[()] * 10, blind=True)


@fooling("primitives", "loud")
def forward_counts_in_an_array() -> Case:
    calls = np.zeros(1)

    def forward(x: float) -> float:
        calls[0] += 1.0
        return x * float(calls[0])

    return applied(Primitive("counted", forward, 1.0))


@fooling("primitives", "loud")
def forward_is_a_method_that_averages() -> Case:
    class Average:
        def __init__(self) -> None:
            self.total, self.n = 0.0, 0

        def forward(self, x: float) -> float:
            self.total, self.n = self.total + x, self.n + 1
            return self.total / self.n

    return applied(Primitive("average", Average().forward, 1.0))


@fooling("primitives", "equal")
def forward_reads_another_weight() -> Case:
    scale = Value(3.0)
    scaled = Primitive("scaled", lambda x: x * scale.data, lambda out, x: scale.data)

    def change(call: int) -> None:
        scale.data = 3.0 + call

    return applied(scaled, change)


@fooling("primitives", "loud")
def forward_reads_a_weight_that_the_step_moves() -> Case:
    scale = Value(3.0)
    scaled = Primitive("scaled", lambda x: x * scale.data, lambda out, x: 1.0)
    w = Value(2.0)

    def step(x: float) -> Any:
        out = scaled(w * x)
        scale.data = scale.data * 0.5 + x
        return out, scaled(w)

    return Case(step, observe=lambda: (w, scale))


@fooling("primitives", "equal")
def forward_computes_with_new_values() -> Case:
    def forward(x: float) -> float:
        v = Value(x)
        return (v * v + 1.0).log().data

    return applied(Primitive("inner", forward, lambda out, x: 2.0 * x / (x * x + 1.0)))


@fooling("primitives", "equal")
def forward_computes_with_numpy() -> Case:
    def forward(x: float) -> float:
        return float(np.sinc(x) + np.polyval([1.0, 2.0, 3.0], x))

    return applied(Primitive("numeric", forward, lambda out, x: x))


@fooling("primitives", "equal")
def forward_returns_a_numpy_number() -> Case:
    return applied(Primitive("numeric", lambda x: np.float64(x) * 2.0, 2.0))


@fooling("primitives", "equal")
def forward_returns_a_whole_number() -> Case:
    return applied(Primitive("floor", lambda x: math.floor(x), None))


@fooling("primitives", "equal")
def forward_has_a_cache() -> Case:
    @functools.lru_cache(maxsize=4)
    def forward(x: float) -> float:
        return x * x

    return applied(Primitive("square", forward, lambda out, x: 2.0 * x))


@fooling("primitives", "equal")
def forward_iterates_until_it_converges() -> Case:
    def forward(x: float) -> float:
        root = 1.0
        while abs(root * root - abs(x) - 1.0) > 1e-12:
            root = 0.5 * (root + (abs(x) + 1.0) / root)
        return root

    return applied(Primitive("root", forward, lambda out, x: 0.5 / out))


@fooling("primitives", "equal")
def forward_of_three_operands() -> Case:
    blend = Primitive(
        "blend",
        lambda a, b, t: a * (1.0 - t) + b * t if t < 1.0 else b,
        (lambda out, a, b, t: 1.0 - t, lambda out, a, b, t: t, lambda out, a, b, t: b - a),
    )
    a, b = Value(1.0), Value(3.0)

    def step(x: float) -> Any:
        out = blend(a, b, x)
        out.backward()
        return out

    return Case(step, observe=lambda: (a, b))


@fooling("primitives", "equal")
def forward_raises_in_the_last_calls() -> Case:
    def forward(x: float) -> float:
        if x > 5.0:
            raise ValueError("too large")
        return x

    limited = Primitive("limited", forward, 1.0, domain="it takes 5 and below")
    w = Value(1.0)

    def step(x: float) -> Any:
        try:
            return limited(w * x)
        except ValueError:
            return w * 5.0

    return Case(step, calls=[(x,) for x in (1.0, 2.0, 3.0, 4.0, 6.0, 1.0, 7.0, 2.0, 3.0, 9.0)])


@fooling("primitives", "loud")
def a_user_defined_pull_counts() -> Case:
    pulled = [0]

    def pull(node: Any, upstream: float) -> None:
        pulled[0] += 1
        node.parents[0].grad += upstream * pulled[0]

    return applied(Primitive("pulled", lambda x: x, 1.0, pull=pull))


@fooling("primitives", "loud")
def a_rule_takes_from_an_iterator() -> Case:
    slopes = itertools.cycle([1.0, 2.0, 3.0, 4.0])
    return applied(Primitive("moody", lambda x: x, lambda out, x: next(slopes)))


@fooling("primitives", "equal")
def the_forward_of_a_primitive_is_replaced() -> Case:
    scaled = Primitive("scaled", lambda x: x * 2.0, 2.0)

    def change(call: int) -> None:
        if call == 5:
            scaled.forward = lambda x: x * 3.0

    return applied(scaled, change)


@fooling("primitives", "equal")
def the_rule_of_a_primitive_reads_a_list() -> Case:
    slopes = [1.0]

    def change(call: int) -> None:
        if call == 5:
            slopes[0] = 7.0

    return applied(Primitive("straight", lambda x: x, lambda out, x: slopes[0]), change)


@fooling("primitives", "equal")
def a_rule_that_uses_its_result() -> Case:
    logistic = Primitive(
        "logistic", lambda x: 1.0 / (1.0 + math.exp(-x)), lambda out, x: out * (1.0 - out)
    )
    w = Value(2.0)

    def step(x: float) -> Any:
        (slope,) = grad(logistic(w * x), [w], create_graph=True)
        w.grad = 0.0
        slope.backward()
        return slope

    return Case(step, observe=lambda: w)


# --- labels ---------------------------------------------------------------------------------------


@fooling("labels", "loud")
def labels_by_a_draw() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        return (w * x).detach(), Value(1.0, f"draw {random.randrange(10**6)}")

    return Case(step)


@fooling("labels", "loud")
def labels_by_a_count_in_a_class() -> Case:
    class Names:
        made: ClassVar[int] = 0

        @classmethod
        def fresh(cls) -> str:
            cls.made += 1
            return f"v{cls.made}"

    w = Value(2.0)

    def step(x: float) -> Any:
        out = w * x
        out.label = Names.fresh()
        return out

    return Case(step)


@fooling("labels", "loud")
def strings_beside_the_loss() -> Case:
    w, epochs = Value(2.0), itertools.count(1)
    return Case(lambda x: {"loss": w * x, "text": f"epoch {next(epochs)}"})


@fooling("labels", "equal")
def labels_by_position() -> Case:
    w = Value(2.0)

    def step(xs: list[float]) -> Any:
        outs = [w * x for x in xs]
        for i, out in enumerate(outs):
            out.label = f"out {i}"
        return outs

    return Case(step, calls=[([x, 1.0, -x],) for x in XS])


@fooling("labels", "loud")
def labels_of_what_is_passed() -> Case:
    def step(v: Value) -> Any:
        out = v * 2.0
        out.label = f"2 {v.label}"
        return out

    return Case(step, calls=[(Value(x, "ab"[i > 4]),) for i, x in enumerate(XS)])


# --- static arguments -----------------------------------------------------------------------------


class Options:
    def __init__(self, scale: float) -> None:
        self.scale, self.layers, self.inner = scale, [1.0, 2.0], {"rate": 0.5}


def with_options(use: Any, options: Any, change: Any = lambda: None) -> Case:
    """A program with a static argument."""
    w = Value(2.0)
    return Case(
        lambda x, options: w * x * use(options),
        calls=[(x, options) for x in XS],
        static=("options",),
        between=lambda call: change() if call == 5 else None,
    )


@fooling("static", "equal")
def a_list_in_a_static_object_is_changed() -> Case:
    options = Options(2.0)
    return with_options(lambda o: sum(o.layers), options, lambda: options.layers.append(3.0))


@fooling("static", "equal")
def a_dict_in_a_static_object_is_changed() -> Case:
    options = Options(2.0)
    change = lambda: options.inner.update(rate=4.0)  # noqa: E731
    return with_options(lambda o: o.inner["rate"], options, change)


@fooling("static", "equal")
def a_static_dict_is_changed() -> Case:
    options = {"rate": 0.5}
    return with_options(lambda o: o["rate"], options, lambda: options.update(rate=2.0))


@fooling("static", "equal")
def a_static_array_is_changed() -> Case:
    options = np.array([0.5, 1.0])
    return with_options(lambda o: float(o[0]), options, lambda: options.__setitem__(0, 3.0))


@fooling("static", "loud")
def a_static_generator_is_consumed() -> Case:
    return with_options(next, iter([0.5 * i for i in range(30)]))


@fooling("static", "loud")
def a_static_stream_is_drawn_from() -> Case:
    return with_options(lambda stream: stream.random(), random.Random(5))


@fooling("static", "loud")
def a_static_callable_counts() -> Case:
    class Counting:
        n = 0

        def __call__(self) -> int:
            self.n += 1
            return self.n

    return with_options(lambda count: count(), Counting())


@fooling("static", "loud")
def a_static_class_counts() -> Case:
    class Counting:
        n = 0

    def use(kind: Any) -> int:
        kind.n += 1
        return kind.n

    return with_options(use, Counting)


@fooling("static", "equal")
def a_static_model_is_trained() -> Case:
    model = nn.MLP(1, [2, 1], "tanh", generator=random.Random(1))

    def step(x: float, model: Any) -> Any:
        loss = (model([x]) - 1.0) ** 2
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
        return loss

    return Case(step, calls=[(x, model) for x in XS], static=("model",), observe=lambda: model)


@fooling("static", "equal")
def two_static_numbers() -> Case:
    w = Value(2.0)

    def step(x: float, power: int, scale: float) -> Any:
        return (w * x) ** power * scale

    rates = [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5, 0.25, 0.5, 0.25]
    calls = [(x, 2 if rate > 0.3 else 3, rate) for x, rate in zip(XS, rates, strict=True)]
    return Case(step, calls=calls, static=("power", "scale"))


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
