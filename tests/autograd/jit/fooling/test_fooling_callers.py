"""Programs whose callers do something between calls, pass unusual arguments, or look at graphs."""

from __future__ import annotations

import copy
import enum
import math
from typing import Any

import numpy as np
import pytest
from fooling_harness import XS, Case, Fooling, assert_expected, fooling, programs

import nn
from autograd import Value, grad, hessian, jacobian, no_grad, topological_order
from autograd.jit import jit


def step_of(w: Value) -> Any:
    def step(x: float) -> Any:
        loss = (w * x - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        w.assign(w - 0.1 * w.grad)
        return loss

    return step


# --- between calls --------------------------------------------------------------------------------


@fooling("between", "equal")
def assigns_weights() -> Case:
    w = Value(2.0)

    def change(call: int) -> None:
        w.data = w.data + 0.25 * call
        w.grad = 1.0

    return Case(step_of(w), between=change, observe=lambda: w)


@fooling("between", "equal")
def restores_a_state() -> Case:
    model = nn.MLP(1, [2, 1], "tanh")
    optimizer = nn.Adam(model, lr=0.1)
    kept: list[Any] = []

    def step(x: float) -> Any:
        loss = (model([x]) - 1.0) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def change(call: int) -> None:
        if call == 4:
            kept[:] = [model.state_dict(), optimizer.state_dict()]
        if call == 7:
            model.load_state_dict(kept[0])
            optimizer.load_state_dict(kept[1])

    return Case(step, between=change, observe=lambda: (model, optimizer))


@fooling("between", "equal")
def steps_eagerly_in_between() -> Case:
    w = Value(2.0)
    step = step_of(w)
    return Case(step, between=lambda call: step(0.5), observe=lambda: w)


@fooling("between", "equal")
def another_jitted_function_trains_the_same_weight() -> Case:
    w = Value(2.0)
    other = jit(step_of(w))
    return Case(step_of(w), between=lambda call: other(-0.5), observe=lambda: w)


@fooling("between", "equal")
def changes_what_was_returned() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        return [w * x, {"w": w * 2.0}]

    def change(returned: Any) -> None:
        returned[0].data = returned[0].grad = 7.0
        returned[1]["w"] = w
        returned.append(None)

    return Case(step, receive=change, observe=lambda: w)


@fooling("between", "equal")
def changes_an_array_that_was_returned() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        return np.array([w * x, w, w + x], dtype=object)

    def change(returned: Any) -> None:
        returned[:] = None

    return Case(step, receive=change, observe=lambda: w)


@fooling("between", "equal")
def trains_on_what_was_returned() -> Case:
    w, heads = Value(2.0), [Value(1.0)]

    def step(x: float) -> Any:
        return (w * x).tanh()

    def train(hidden: Any) -> None:
        loss = (heads[0] * hidden.detach() - 1.0) ** 2
        heads[0].grad = 0.0
        loss.backward()
        heads[0].data -= 0.1 * heads[0].grad

    return Case(step, receive=train, observe=lambda: (w, heads))


@fooling("between", "equal")
def copies_the_model() -> Case:
    model = nn.Neuron(1, "tanh")
    copies: list[Any] = []

    def step(x: float) -> Any:
        loss = model([x]) ** 2
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
        return loss

    return Case(
        step,
        between=lambda call: copies.append(copy.deepcopy(model)),
        observe=lambda: (model, copies),
    )


@fooling("between", "equal")
def gradients_are_off_for_some_calls() -> Case:
    w = Value(2.0)
    off = [no_grad()]

    def step(x: float) -> Any:
        return w * x + 1.0

    def change(call: int) -> None:
        if call == 4:
            off[0].__enter__()
        if call == 7:
            off[0].__exit__(None, None, None)

    return Case(step, between=change, observe=lambda: w)


@fooling("between", "equal")
def the_parameters_of_an_optimizer_are_exchanged() -> Case:
    a, b = Value(2.0), Value(3.0)
    optimizer = nn.SGD([a], lr=0.1)

    def step(x: float) -> Any:
        loss = (a * x + b) ** 2
        a.grad = b.grad = 0.0
        loss.backward()
        optimizer.step()
        return loss

    def change(call: int) -> None:
        if call == 5:
            optimizer.parameters = (b,)

    return Case(step, between=change, observe=lambda: (a, b))


@fooling("between", "equal")
def seeds_the_stream_of_nn() -> Case:
    nn.seed(1)
    dropout = nn.Dropout(0.5)
    w = Value(2.0)
    return Case(lambda x: dropout([w * x, w, w - x]), between=lambda call: nn.seed(call % 3))


@fooling("between", "equal")
def labels_a_weight_between_calls() -> Case:
    w = Value(2.0)

    def change(call: int) -> None:
        w.label = f"after {call}"

    return Case(lambda x: w * x, between=change, observe=lambda: w)


# --- functions that call jitted functions ---------------------------------------------------------


@fooling("nested", "equal")
def calls_another_jitted_function() -> Case:
    w = Value(2.0)
    inner = jit(lambda x: (w * x).tanh())

    def step(x: float) -> Any:
        return inner(x) + inner(2.0 * x)

    return Case(step, observe=lambda: w)


# --- kinds of arguments ---------------------------------------------------------------------------


@fooling("kinds", "equal")
def numpy_floats() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * x + x, calls=[(np.float64(x),) for x in XS])


@fooling("kinds", "loud")
def asks_for_the_type_of_a_numpy_float() -> Case:
    w = Value(2.0)

    def step(x: Any) -> Any:
        return w * x * (2.0 if isinstance(x, np.generic) else 1.0)

    return Case(step, calls=[(np.float64(x),) for x in XS])


@fooling("kinds", "loud")
def calls_a_method_of_a_numpy_float() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * x.round(0) + x.item(), calls=[(np.float64(x),) for x in XS])


@fooling("kinds", "loud")
def a_float_with_a_unit() -> Case:
    class Celsius(float):
        def kelvin(self) -> float:
            return self + 273.15

    w = Value(2.0)
    return Case(
        lambda x: w * (x.kelvin() if isinstance(x, Celsius) else x),
        calls=[(Celsius(x),) for x in XS],
    )


@fooling("kinds", "equal")
def a_whole_number_with_a_name() -> Case:
    class Level(enum.IntEnum):
        LOW = 1
        HIGH = 10

    w = Value(2.0)
    levels = [Level.LOW] * 4 + [Level.HIGH] * 6
    return Case(
        lambda x, level: w * x * (3.0 if level is Level.HIGH else 1.0),
        calls=list(zip(XS, levels, strict=True)),
    )


@fooling("kinds", "equal")
def members_of_an_enumeration() -> Case:
    class Kind(enum.Enum):
        SUM = "sum"
        PRODUCT = "product"

    w = Value(2.0)
    members = [Kind.SUM] * 4 + [Kind.PRODUCT] * 6
    return Case(
        lambda x, kind: w + x if kind is Kind.SUM else w * x,
        calls=list(zip(XS, members, strict=True)),
    )


@fooling("kinds", "loud")
def compares_numbers_by_identity() -> Case:
    w = Value(2.0)
    calls = [(x, x if i in (4, 5, 9) else x + 0.0) for i, x in enumerate(XS)]
    return Case(lambda x, y: w * x if x is y else w * y * 2.0, calls=calls)


@fooling("kinds", "equal")
def none_or_a_number() -> Case:
    w = Value(2.0)
    calls = [(x, None if i % 3 == 2 else 0.5) for i, x in enumerate(XS)]
    return Case(lambda x, y: w * x if y is None else w * x * y, calls=calls)


@fooling("kinds", "equal")
def a_batch_of_two_lengths() -> Case:
    w = Value(2.0)

    def step(xs: list[float]) -> Any:
        if len(xs) > 2:
            return sum((w * x for x in xs), Value(0.0)) / len(xs)
        return w * xs[-1] if xs else w

    return Case(step, calls=[([x] * (2 + i % 2),) for i, x in enumerate(XS)])


@fooling("kinds", "equal")
def dicts_in_another_order() -> Case:
    w = Value(2.0)

    def step(batch: dict[str, float]) -> Any:
        return sum((w * x * (i + 1) for i, x in enumerate(batch.values())), Value(0.0))

    calls = [({"a": x, "b": 1.0} if i % 2 else {"b": 1.0, "a": x},) for i, x in enumerate(XS)]
    return Case(step, calls=calls)


@fooling("kinds", "equal")
def arrays_that_are_views() -> Case:
    w, data = Value(2.0), np.arange(40.0).reshape(10, 4)
    calls = [(data[i, ::2], data.T[1, i : i + 1]) for i in range(10)]
    return Case(lambda a, b: [w * x for x in a] + [w * b[0]], calls=calls)


@fooling("kinds", "loud")
def arrays_in_single_precision() -> Case:
    w = Value(2.0)
    calls = [(np.array([x, 0.1], dtype=np.float32),) for x in XS]
    return Case(lambda a: [w * x for x in a * 3], calls=calls)


@fooling("kinds", "equal")
def arrays_of_bools() -> Case:
    w = Value(2.0)
    calls = [(x, np.array([i > 4, True])) for i, x in enumerate(XS)]
    return Case(lambda x, mask: w * x if mask[0] else w - x, calls=calls)


@fooling("kinds", "equal")
def values_that_are_passed() -> Case:
    def step(v: Value, x: float) -> Any:
        loss = (v * x).tanh()
        loss.backward()
        return loss, v.grad

    return Case(step, calls=[(Value(0.5 * x, "v"), x) for x in XS])


@fooling("kinds", "loud")
def a_value_that_was_computed() -> Case:
    v = Value(2.0) * 3.0
    return Case(lambda v, x: v * x, calls=[(v, x) for x in XS])


# --- looking at graphs ----------------------------------------------------------------------------


@fooling("graphs", "equal")
def counts_the_nodes_of_its_graph() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        out = (w * x + 1.0) * w
        return out, len(topological_order(out)), out.op, len(out.parents)

    return Case(step)


@fooling("graphs", "loud")
def sums_the_numbers_of_its_graph() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        out = (w * x + 1.0) * w
        return math.fsum(node.data for node in topological_order(out))

    return Case(step)


@fooling("graphs", "equal")
def walks_the_graph_as_in_micrograd() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        out = (w * x + 1.0) * w
        out.backward()
        seen: list[Any] = []

        def walk(v: Any) -> None:
            if v not in seen:
                seen.append(v)
                for child in v._prev:
                    walk(child)

        walk(out)
        return len(seen), sum(v._op == "*" for v in seen)

    return Case(step, observe=lambda: w)


@fooling("graphs", "equal")
def tells_values_apart_by_identity() -> Case:
    a, b = Value(1.0), Value(1.0)

    def step(x: float) -> Any:
        table = {a: 2.0, b: 3.0}
        pick = a if a in [b, a] and a != b else b
        return pick * x * table[pick] + b

    return Case(step, observe=lambda: (a, b))


@fooling("graphs", "loud")
def compares_values() -> Case:
    a, b = Value(1.0), Value(1.0)
    return Case(lambda x: a * x if a * x > b else b)


@fooling("graphs", "equal")
def second_derivatives() -> Case:
    a, b = Value(1.0), Value(0.5)

    def step(x: float) -> Any:
        out = (a * x).tanh() * b**2
        rows = hessian(out, [a, b])
        (slope,) = grad(out, [a], create_graph=True)
        slope.backward()
        return rows, jacobian([a * b * x, out], [a, b]), slope

    return Case(step, observe=lambda: (a, b))


@fooling("graphs", "equal")
def two_backward_passes() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        hidden = (w * x).tanh()
        w.grad = 0.0
        hidden.backward()
        first = w.grad
        (hidden * hidden).backward()
        return first, w.grad, hidden.grad

    return Case(step, observe=lambda: w)


@fooling("graphs", "equal")
def a_domain_error_in_the_last_calls() -> Case:
    w = Value(1.0)

    def step(x: float) -> Any:
        try:
            return (w * x).log()
        except ValueError:
            return w

    return Case(step, calls=[(x,) for x in (1.0, 2.0, 3.0, 4.0, 5.0, -1.0, 2.0, 3.0, -2.0, -1.0)])


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
