"""Programs whose classes have special attributes, descriptors or instances."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

import nn
from autograd import Value


def at(call: int, change: Any) -> Any:
    """A function for `between` that makes a change after one call."""
    return lambda made: change() if made == call else None


# --- attributes -----------------------------------------------------------------------------------


@fooling("attributes", "equal")
def a_setting_of_a_base_class_changes() -> Case:
    class Base:
        scale = 2.0

    class Model(Base):
        def __init__(self) -> None:
            self.w = Value(1.5)

        def __call__(self, x: float) -> Any:
            return self.w * x * self.scale

    model = Model()
    return Case(lambda x: model(x), between=at(4, lambda: setattr(Base, "scale", 3.0)))


@fooling("attributes", "equal")
def an_instance_hides_the_setting_of_its_class() -> Case:
    class Model:
        scale = 2.0

    w, model = Value(1.5), Model()
    return Case(lambda x: w * x * model.scale, between=at(5, lambda: setattr(model, "scale", 0.5)))


@fooling("attributes", "equal")
def a_property_computes_from_a_setting() -> Case:
    class Schedule:
        def __init__(self) -> None:
            self._base = 0.5

        @property
        def rate(self) -> float:
            return self._base * 2.0

    w, schedule = Value(1.5), Schedule()
    change = at(5, lambda: setattr(schedule, "_base", 0.125))
    return Case(lambda x: w * x * schedule.rate, between=change)


@fooling("attributes", "loud")
def a_property_counts_its_reads() -> Case:
    class Schedule:
        reads = 0

        @property
        def rate(self) -> float:
            self.reads += 1
            return 1.0 / self.reads

    w, schedule = Value(1.5), Schedule()
    return Case(lambda x: w * x * schedule.rate, observe=lambda: schedule.reads)


@fooling("attributes", "loud")
def getattr_of_a_class_counts() -> Case:
    class Lazy:
        def __init__(self) -> None:
            self.asked: list[str] = []

        def __getattr__(self, name: str) -> float:
            self.asked.append(name)
            return 1.0 / len(self.asked)

    w, lazy = Value(1.5), Lazy()
    return Case(lambda x: w * x * lazy.rate, observe=lambda: lazy.asked)


@fooling("attributes", "equal")
def getattr_of_a_class_delegates() -> Case:
    class Proxy:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    class Settings:
        rate = 0.5

    w, settings = Value(1.5), Settings()
    proxy = Proxy(settings)
    return Case(lambda x: w * x * proxy.rate, between=at(6, lambda: setattr(settings, "rate", 2.0)))


@fooling("attributes", "loud")
def a_descriptor_decays() -> Case:
    class Decaying:
        def __init__(self) -> None:
            self.now = 1.0

        def __get__(self, instance: object, owner: type) -> float:
            self.now *= 0.5
            return self.now

    class Model:
        rate = Decaying()

    w, model = Value(1.5), Model()
    return Case(lambda x: w * x * model.rate)


@fooling("attributes", "equal")
def a_descriptor_stores_in_a_table() -> Case:
    class Positive:
        def __init__(self) -> None:
            self.numbers: dict[int, float] = {}

        def __set__(self, instance: object, number: float) -> None:
            self.numbers[id(instance)] = number

        def __get__(self, instance: object, owner: type) -> float:
            return self.numbers[id(instance)]

    class Model:
        rate = Positive()

    w, model = Value(1.5), Model()
    model.rate = 0.5
    return Case(lambda x: w * x * model.rate, between=at(5, lambda: setattr(model, "rate", 4.0)))


@fooling("attributes", "loud")
def a_metaclass_counts_instances() -> Case:
    class Counted(type):
        made: ClassVar[int] = 0

        def __call__(cls, *args: Any) -> Any:
            Counted.made += 1
            return super().__call__(*args)

    class Point(metaclass=Counted):
        def __init__(self, x: Any) -> None:
            self.x = x

    w = Value(1.5)
    return Case(lambda x: w * Point(x).x * Counted.made, observe=lambda: Counted.made)


@fooling("attributes", "equal")
def a_property_of_a_metaclass() -> Case:
    class Configured(type):
        table: ClassVar[dict[str, float]] = {"scale": 2.0}

        @property
        def scale(cls) -> float:
            return Configured.table["scale"]

    class Config(metaclass=Configured):
        pass

    w = Value(1.5)
    change = at(5, lambda: Configured.table.update(scale=5.0))
    return Case(lambda x: w * x * Config.scale, between=change)


@fooling("attributes", "equal")
def a_method_is_replaced() -> Case:
    class Model:
        def __init__(self) -> None:
            self.w = Value(1.5)

        def activation(self, z: Any) -> Any:
            return z.tanh()

        def __call__(self, x: float) -> Any:
            return self.activation(self.w * x)

    model = Model()
    change = at(5, lambda: setattr(Model, "activation", lambda self, z: z.relu()))
    return Case(lambda x: model(x), between=change)


@fooling("attributes", "loud")
def the_class_of_an_instance_is_replaced() -> Case:
    class Half:
        def __call__(self, z: Any) -> Any:
            return z * 0.5

    class Double:
        def __call__(self, z: Any) -> Any:
            return z * 2.0

    w, scaled = Value(1.5), Half()
    return Case(
        lambda x: scaled(w * x), between=at(5, lambda: setattr(scaled, "__class__", Double))
    )


@fooling("attributes", "equal")
def a_slot_is_assigned_between_calls() -> Case:
    class Settings:
        __slots__ = ("rate",)

        def __init__(self) -> None:
            self.rate = 0.5

    w, settings = Value(1.5), Settings()
    return Case(
        lambda x: w * x * settings.rate, between=at(5, lambda: setattr(settings, "rate", 2))
    )


@fooling("attributes", "equal")
def a_setting_sits_deep_in_a_config() -> Case:
    @dataclasses.dataclass
    class Optim:
        lr: float = 0.1

    @dataclasses.dataclass
    class Config:
        optim: Optim = dataclasses.field(default_factory=Optim)
        name: str = "run"

    w, config = Value(1.5), Config()

    def step(x: float) -> Any:
        options = config.optim
        loss = (w * x - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        w.data -= options.lr * w.grad
        return loss

    change = at(5, lambda: setattr(config.optim, "lr", 0.01))
    return Case(step, between=change, observe=lambda: w)


# --- instances made inside ------------------------------------------------------------------------


@fooling("instances", "equal")
def makes_an_accumulator_inside() -> Case:
    class Average:
        def __init__(self) -> None:
            self.total: Any = 0.0
            self.n = 0

        def add(self, v: Any) -> None:
            self.total, self.n = self.total + v, self.n + 1

    w = Value(1.5)

    def step(xs: list[float]) -> Any:
        average = Average()
        for x in xs:
            average.add(w * x)
        return average.total / average.n

    return Case(step, calls=[([1.0 * n, -0.5, 0.25 * n],) for n in range(10)])


@fooling("instances", "equal")
def makes_a_module_inside() -> Case:
    a, b = Value(1.5), Value(0.5)

    class Line(nn.Module):
        def __init__(self, slope: Value, offset: Value) -> None:
            self.slope, self.offset = slope, offset

        def __call__(self, x: Any) -> Any:
            return self.slope * x + self.offset

    def step(x: float) -> Any:
        line = Line(a, b)
        loss = (line(x) - 1.0) ** 2
        line.zero_grad()
        loss.backward()
        return loss

    return Case(step, observe=lambda: (a, b))


@fooling("instances", "equal")
def makes_an_optimizer_inside() -> Case:
    model = nn.MLP(1, [2, 1], "tanh")

    def step(x: float) -> Any:
        optimizer = nn.SGD(model.parameters(), lr=0.1)
        loss = (model([x]) - 1.0) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, optimizer.time.data

    return Case(step, observe=lambda: model)


@fooling("instances", "loud")
def counts_instances_in_init() -> Case:
    class Part:
        made: ClassVar[int] = 0

        def __init__(self) -> None:
            Part.made += 1
            self.number = Part.made

    w = Value(1.5)
    return Case(lambda x: w * x + Part().number, observe=lambda: Part.made)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
