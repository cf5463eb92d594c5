"""Programs with models and optimizers that change, count, or are created late."""

from __future__ import annotations

import random
import types
from typing import Any, ClassVar

import pytest
from fooling_harness import XS, Case, Fooling, assert_expected, fooling, programs, set_briefly

import nn
from autograd import Value


def at(call: int, change: Any) -> Any:
    """A function for `between` that makes a change after one call."""
    return lambda made: change() if made == call else None


class Line(nn.Module):
    def __init__(self, slope: float = 2.0) -> None:
        self.slope, self.offset = Value(slope), Value(0.5)
        self.scale: Any = 1.0

    def __call__(self, x: Any) -> Any:
        return (self.slope * x + self.offset) * self.scale


def training(model: Any, optimizer: Any, between: Any = lambda call: None) -> Case:
    """A training step of a model."""

    def step(x: float) -> Any:
        loss = (model(x) - 1.0) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Case(step, between=between, observe=lambda: (model, optimizer))


# --- modules --------------------------------------------------------------------------------------


@fooling("modules", "equal")
def a_weight_is_replaced() -> Case:
    model = Line()
    return Case(
        lambda x: model(x),
        between=at(5, lambda: setattr(model, "slope", Value(-3.0))),
        observe=lambda: model,
    )


@fooling("modules", "equal")
def a_weight_is_replaced_in_the_dict_of_the_module() -> Case:
    model = Line()
    return Case(
        lambda x: model(x),
        between=at(5, lambda: vars(model).update(slope=Value(-3.0))),
        observe=lambda: model,
    )


@fooling("modules", "equal")
def a_setting_is_changed_through_vars() -> Case:
    model = Line()
    return Case(lambda x: model(x), between=at(5, lambda: vars(model).update(scale=4.0)))


@fooling("modules", "equal")
def a_setting_is_changed_by_object_setattr() -> Case:
    model = Line()
    change = at(5, lambda: object.__setattr__(model, "scale", 4.0))
    return Case(lambda x: model(x), between=change)


@fooling("modules", "equal")
def a_private_setting_is_changed() -> Case:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            self.w, self._scale = Value(2.0), 1.0

        def __call__(self, x: Any) -> Any:
            return self.w * x * self._scale

    model = Hidden()
    return Case(lambda x: model(x), between=at(5, lambda: setattr(model, "_scale", 4.0)))


@fooling("modules", "equal")
def the_momentum_is_changed_through_vars() -> Case:
    model = Line()
    optimizer = nn.SGD(model, lr=0.05, momentum=0.9)
    return training(model, optimizer, at(5, lambda: vars(optimizer).update(momentum=0.5)))


@fooling("modules", "equal")
def the_rate_is_changed_behind_its_property() -> Case:
    model = Line()
    optimizer = nn.Adam(model, lr=0.05)
    return training(model, optimizer, at(5, lambda: object.__setattr__(optimizer, "_lr", 0.5)))


@fooling("modules", "equal")
def settings_of_adam_change() -> Case:
    model = Line()
    optimizer = nn.Adam(model, lr=0.05)
    return training(model, optimizer, at(5, lambda: setattr(optimizer, "beta1", 0.5)))


@fooling("modules", "equal")
def an_optimizer_is_replaced() -> Case:
    model = Line()
    holder = types.SimpleNamespace(optimizer=nn.SGD(model, lr=0.05))

    def step(x: float) -> Any:
        loss = (model(x) - 1.0) ** 2
        holder.optimizer.zero_grad()
        loss.backward()
        holder.optimizer.step()
        return loss

    change = at(5, lambda: setattr(holder, "optimizer", nn.Adam(model, lr=0.01)))
    return Case(step, between=change, observe=lambda: (model, holder.optimizer))


@fooling("modules", "equal")
def a_model_is_passed_and_swapped() -> Case:
    models = [Line(2.0), Line(-1.0)]
    calls = [(models[i in (3, 4, 5, 7)], x) for i, x in enumerate(XS)]
    return Case(lambda model, x: model(x), calls=calls, observe=lambda: models)


@fooling("modules", "equal")
def a_model_in_a_cell_is_swapped() -> Case:
    model = Line(2.0)

    def swap(call: int) -> None:
        nonlocal model
        if call == 5:
            model = Line(7.0)

    return Case(lambda x: model(x), between=swap, observe=lambda: model)


@fooling("modules", "equal")
def a_neuron_grows() -> Case:
    neuron = nn.Neuron(2, "tanh", random.Random(1))

    def step(xs: list[float]) -> Any:
        loss = neuron(xs) ** 2
        neuron.zero_grad()
        loss.backward()
        return loss

    def grow(call: int) -> None:
        if call == 5:
            neuron.w.append(Value(0.25))

    calls = [([x, 1.0] if i < 5 else [x, 1.0, -x],) for i, x in enumerate(XS)]
    return Case(step, calls=calls, between=grow, observe=lambda: neuron)


@fooling("modules", "equal")
def switches_to_evaluation() -> Case:
    nn.seed(2)
    model = nn.Sequential(nn.Linear(1, 3), nn.Dropout(0.5), nn.Linear(3, 1))

    def change(call: int) -> None:
        model.train(call not in (5, 6, 7))

    return Case(lambda x: model([x]), between=change, observe=lambda: model)


@fooling("modules", "equal")
def switches_to_evaluation_inside() -> Case:
    nn.seed(2)
    model = nn.Sequential(nn.Linear(1, 3), nn.Dropout(0.5), nn.Linear(3, 1))

    def step(x: float) -> Any:
        model.eval()
        out = model([x])
        model.train()
        return out

    return Case(step, observe=lambda: model)


@fooling("modules", "equal")
def normalizes_batches_with_buffers() -> Case:
    model = nn.Sequential(nn.Linear(1, 2, generator=random.Random(3)), nn.BatchNorm(2))

    def step(a: float, b: float) -> Any:
        loss = nn.mean(model([[a], [b]]) * [[1.0, 2.0], [3.0, 4.0]])
        model.zero_grad()
        loss.backward()
        return loss

    return Case(step, calls=[(x, 1.0 - 2.0 * x) for x in XS], observe=lambda: model)


@fooling("modules", "equal")
def parameters_are_made_lazily() -> Case:
    class Lazy(nn.Module):
        def __init__(self) -> None:
            self.w: list[Value] = []

        def __call__(self, xs: list[Any]) -> Any:
            if not self.w:
                from autograd.switches import constructing

                with constructing():
                    self.w = [Value(0.5 + i) for i in range(len(xs))]
            return sum((w * x for w, x in zip(self.w, xs, strict=True)), Value(0.0))

    model = Lazy()

    def step(x: float) -> Any:
        loss = (model([x, 1.0]) - 1.0) ** 2
        loss.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
            p.grad = 0.0
        return loss

    return Case(step, observe=lambda: model)


@fooling("modules", "loud")
def a_module_counts_its_calls() -> Case:
    class Counting(Line):
        calls = 0

        def __call__(self, x: Any) -> Any:
            self.calls += 1
            return super().__call__(x) / self.calls

    model = Counting()
    return Case(lambda x: model(x), observe=lambda: model)


@fooling("modules", "loud")
def a_module_counts_in_a_private_attribute() -> Case:
    class Counting(Line):
        _calls = 0

        def __call__(self, x: Any) -> Any:
            self._calls += 1
            return super().__call__(x) * (0.1 if self._calls % 4 == 0 else 1.0)

    model = Counting()
    return Case(lambda x: model(x), observe=lambda: model._calls)


@fooling("modules", "loud")
def a_module_keeps_its_activations() -> Case:
    class Keeping(Line):
        last: Any = None

        def __call__(self, x: Any) -> Any:
            self.last = super().__call__(x)
            return self.last * 2.0

    model = Keeping()
    return Case(lambda x: model(x), observe=lambda: model.last)


@fooling("modules", "loud")
def a_user_defined_optimizer_counts() -> Case:
    class Slowing(nn.Optimizer):
        def __init__(self, parameters: Any, lr: float) -> None:
            super().__init__(parameters, lr)
            self._n = 0

        def prepare(self, time: Any) -> Any:
            self._n += 1
            return 1.0 / self._n

        def update(self, parameter: Any, gradient: Any, state: Any) -> Any:
            return parameter - self.lr * self._shared * gradient

    model = Line()
    return training(model, Slowing(model, 0.1))


@fooling("modules", "equal")
def a_user_defined_optimizer_uses_the_time() -> Case:
    class Slowing(nn.Optimizer):
        moments: ClassVar[tuple[str, ...]] = ("mean",)

        def prepare(self, time: Any) -> Any:
            return 1.0 / time

        def update(self, parameter: Any, gradient: Any, state: Any) -> Any:
            state["mean"] = 0.5 * state["mean"] + gradient
            return parameter - self.lr * self._shared * state["mean"]

    model = Line()
    return training(model, Slowing(model, 0.1))


def slowed_by(attribute: str) -> Case:
    class Slowed(nn.Optimizer):
        _factor = _decay = 0.5

        def prepare(self, time: Any) -> Any:
            return self._decay * time

        def update(self, parameter: Any, gradient: Any, state: Any) -> Any:
            return parameter - self.lr * self._factor * self._shared * gradient

    w = Value(1.0)
    optimizer = Slowed([w], 0.1)

    def scale() -> Any:
        w.grad = 1.0
        optimizer.step()
        return w

    return set_briefly(scale, optimizer, attribute)


@fooling("modules", "equal")
def a_user_defined_optimizer_reads_a_private_attribute() -> Case:
    return slowed_by("_factor")


@fooling("modules", "equal")
def a_user_defined_optimizer_prepares_by_a_private_attribute() -> Case:
    return slowed_by("_decay")


@fooling("modules", "equal")
def weights_are_tied_in_the_middle() -> Case:
    a, b = Line(2.0), Line(3.0)

    def tie(call: int) -> None:
        if call == 5:
            b.slope = a.slope

    def step(x: float) -> Any:
        loss = (a(b(x)) - 1.0) ** 2
        for p in (*a.parameters(), *b.parameters()):
            p.grad = 0.0
        loss.backward()
        return loss

    return Case(step, between=tie, observe=lambda: (a, b))


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
