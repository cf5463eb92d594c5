"""Programs whose settings are changed between two checks and back again.

Replays 1 and 8 of ten calls are checked. What is changed after call 4 and restored after call 7 is
seen by no check, so it must be guarded.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fooling_harness import (
    XS,
    Case,
    Fooling,
    assert_expected,
    change_briefly,
    fooling,
    programs,
    set_briefly,
)

import nn
from autograd import Value
from autograd.jit import jit


@dataclasses.dataclass(eq=False)
class Options:
    rate: float = 0.5
    on: bool = True
    inner: Any = None


@fooling("between checks", "equal")
def an_entry_of_a_dict_has_an_attribute() -> Case:
    options = {"train": Options()}
    return set_briefly(lambda: options["train"].rate, options["train"], "rate")


@fooling("between checks", "equal")
def all_attributes_of_an_entry_are_read() -> Case:
    options = {"train": types.SimpleNamespace(rate=0.5)}
    return set_briefly(lambda: sum(vars(options["train"]).values()), options["train"], "rate")


@fooling("between checks", "equal")
def entries_of_a_tuple_are_switched_off() -> Case:
    several = (Options(1.0), Options(2.0))
    return set_briefly(lambda: sum(o.rate for o in several if o.on), several[1], "on", False)


@fooling("between checks", "equal")
def a_local_variable_stands_for_a_setting() -> Case:
    options = types.SimpleNamespace(inner=types.SimpleNamespace(rate=0.5))

    def scale() -> float:
        inner = options.inner
        return float(inner.rate)

    return set_briefly(scale, options.inner, "rate")


@fooling("between checks", "equal")
def a_setting_is_passed_to_a_helper() -> Case:
    options = Options()

    def double(given: Options, times: float = 2.0) -> float:
        return given.rate * times

    return set_briefly(lambda: double(options), options, "rate")


@fooling("between checks", "equal")
def a_setting_is_what_a_function_returns() -> Case:
    options = Options()

    def current() -> Options:
        return options

    return set_briefly(lambda: current().rate, options, "rate")


@fooling("between checks", "equal")
def a_call_returns_an_object_that_holds_another() -> Case:
    options = Options(inner=Options(0.25))

    def current() -> Options:
        return options

    return set_briefly(lambda: current().inner.rate, options.inner, "rate")


@fooling("between checks", "equal")
def a_method_of_an_entry_reads_its_attribute() -> Case:
    class Term:
        def __init__(self, weight: float) -> None:
            self.weight = weight

        def value(self) -> float:
            return self.weight * 2.0

    terms = [Term(0.5), Term(1.5)]
    return set_briefly(lambda: sum(term.value() for term in terms), terms[0], "weight")


@fooling("between checks", "equal")
def a_method_of_a_base_class_reads_an_attribute() -> Case:
    class Base:
        def __init__(self) -> None:
            self.weight = 0.5

        def value(self) -> float:
            return self.weight

    class Twice(Base):
        def value(self) -> float:
            return 2.0 * super().value()

    term = Twice()
    return set_briefly(lambda: term.value(), term, "weight")


@fooling("between checks", "equal")
def an_attribute_of_a_base_class_is_read() -> Case:
    class Base:
        weight: ClassVar[float] = 0.5

    class Derived(Base):
        pass

    terms = [Derived()]
    return set_briefly(lambda: terms[0].weight, Base, "weight")


@fooling("between checks", "equal")
def an_attribute_of_the_class_of_self_is_read() -> Case:
    class Term:
        weight: ClassVar[float] = 0.5

        def value(self) -> float:
            return self.__class__.weight

    term = Term()
    return set_briefly(lambda: term.value(), Term, "weight")


@fooling("between checks", "equal")
def the_names_of_settings_are_in_a_constant_tuple() -> Case:
    options = Options()

    def scale() -> float:
        total = 0.0
        for name in ("rate", "on"):
            total += getattr(options, name)
        return total

    return set_briefly(scale, options, "rate")


@fooling("between checks", "equal")
def attributes_are_summed_in_a_generator() -> Case:
    options = types.SimpleNamespace(rate=0.5, on=True)
    return set_briefly(
        lambda: sum(getattr(options, name) for name in ("rate", "on")), options, "rate"
    )


@fooling("between checks", "equal")
def an_attribute_of_an_entry_has_the_name_of_one_of_its_index() -> Case:
    parts, place = [types.SimpleNamespace(real=0.5)], 0
    return set_briefly(lambda: parts[place].real, parts[0], "real")


@fooling("between checks", "equal")
def modules_get_an_attribute_later() -> Case:
    model = nn.MLP(1, [2, 1])

    def step(x: float) -> Any:
        loss = (model([x]) - 1.0) ** 2
        model.zero_grad()
        loss.backward()
        for layer in model.layers:
            if not getattr(layer, "frozen", False):
                for p in layer.parameters():
                    p.data -= 0.1 * p.grad
        return loss

    def between(call: int) -> None:
        if call == 4:
            model.layers[0].frozen = True
        if call == 7:
            del model.layers[0].frozen

    return Case(step, observe=lambda: model, between=between)


@fooling("between checks", "equal")
def a_wrapper_passes_attributes_on() -> Case:
    class Wrapper:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    options = Options()
    wrapped = Wrapper(Wrapper(options))
    return set_briefly(lambda: wrapped.rate, options, "rate")


@fooling("between checks", "equal")
def a_class_is_instantiated_inside() -> Case:
    options = Options()

    class Term:
        unit: ClassVar[float] = 1.0

        def __init__(self) -> None:
            self.weight = options.rate

        def value(self) -> float:
            return self.weight * self.unit

    return set_briefly(lambda: Term().value(), options, "rate")


@fooling("between checks", "equal")
def an_attribute_of_a_class_instantiated_inside() -> Case:
    class Term:
        unit: ClassVar[float] = 1.0

        def value(self) -> float:
            return self.unit

    return set_briefly(lambda: Term().value(), Term, "unit")


@fooling("between checks", "equal")
def a_property_of_an_entry_reads_a_private_attribute() -> Case:
    class Schedule:
        def __init__(self) -> None:
            self._done = 1

        @property
        def rate(self) -> float:
            return 1.0 / self._done

    schedules = deque([Schedule()])
    return set_briefly(lambda: schedules[0].rate, schedules[0], "_done", 4)


@fooling("between checks", "equal")
def a_descriptor_computes_with_its_owner() -> Case:
    class Times:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def __get__(self, instance: Any, owner: type) -> float:
            return float(instance.base) * self.factor

    class Model:
        rate = Times(2.0)

        def __init__(self) -> None:
            self.base = 0.5

    model = Model()
    return set_briefly(lambda: model.rate, model, "base")


@fooling("between checks", "equal")
def a_descriptor_has_a_setting() -> Case:
    class Setting:
        rate = 0.5

        def __get__(self, instance: Any, owner: type) -> float:
            return self.rate

    class Model:
        setting = Setting()

    model = Model()
    return set_briefly(lambda: model.setting, vars(Model)["setting"], "rate")


@fooling("between checks", "equal")
def a_descriptor_knows_the_name_of_a_private_attribute() -> Case:
    class Positive:
        def __set_name__(self, owner: type, name: str) -> None:
            self.name = "_" + name

        def __get__(self, instance: Any, owner: type) -> float:
            return float(getattr(instance, self.name))

        def __set__(self, instance: Any, number: float) -> None:
            setattr(instance, self.name, max(number, 0.0))

    class Model:
        rate = Positive()

        def __init__(self) -> None:
            self.rate = 0.5

    models = [Model(), Model()]
    return set_briefly(lambda: models[0].rate + models[1].rate, models[1], "rate")


@fooling("between checks", "equal")
def a_function_that_an_entry_holds_is_replaced() -> Case:
    layers = [types.SimpleNamespace(scale=lambda: 0.5)]
    return set_briefly(lambda: layers[0].scale(), layers[0], "scale", lambda: 3.0)


@fooling("between checks", "equal")
def a_user_defined_index_and_length() -> Case:
    class Table:
        def __init__(self) -> None:
            self._rows = [0.5, 1.5]

        def __getitem__(self, i: int) -> float:
            return self._rows[i]

        def __len__(self) -> int:
            return len(self._rows)

    table = Table()
    return change_briefly(
        lambda: table[-1] * len(table), lambda: table._rows.append(3.0), lambda: table._rows.pop()
    )


@fooling("between checks", "equal")
def a_user_defined_iteration() -> Case:
    class Bag:
        def __init__(self) -> None:
            self._kept = {"a": 0.5}

        def __iter__(self) -> Iterator[float]:
            yield from self._kept.values()

    bag = Bag()
    return change_briefly(
        lambda: sum(bag), lambda: bag._kept.update(b=2.0), lambda: bag._kept.pop("b")
    )


@fooling("between checks", "equal")
def an_attribute_comes_from_getattr() -> Case:
    class Config:
        def __init__(self) -> None:
            self.known = {"rate": 0.5}

        def __getattr__(self, name: str) -> float:
            return self.known[name]

    config: Any = Config()
    return change_briefly(
        lambda: config.rate,
        lambda: config.known.update(rate=2.0),
        lambda: config.known.update(rate=0.5),
    )


@fooling("between checks", "equal")
def layers_of_plain_objects_are_frozen_for_a_while() -> Case:
    class Layer:
        def __init__(self, number: float) -> None:
            self.w, self.frozen = Value(number), False

        def __call__(self, h: Any) -> Any:
            return (h * self.w).tanh()

    layers = [Layer(0.5), Layer(-1.5)]

    def step(x: float) -> Any:
        h = Value(1.0) * x
        for layer in layers:
            h = layer(h)
        loss = (h - 1.0) ** 2
        for layer in layers:
            layer.w.grad = 0.0
        loss.backward()
        for layer in layers:
            if not layer.frozen:
                layer.w.data -= 0.1 * layer.w.grad
        return loss

    def between(call: int) -> None:
        layers[0].frozen = 4 <= call < 7

    return Case(step, observe=lambda: [layer.w for layer in layers], between=between)


@fooling("between checks", "equal")
def a_neuron_of_a_layer_of_a_network_is_scaled() -> Case:
    class Neuron:
        def __init__(self, number: float) -> None:
            self.w, self.gain = Value(number), 1.0

        def __call__(self, h: Any) -> Any:
            return self.w * h * self.gain

    class Layer:
        def __init__(self, *numbers: float) -> None:
            self.neurons = [Neuron(number) for number in numbers]

        def __call__(self, h: Any) -> Any:
            return sum((neuron(h) for neuron in self.neurons), Value(0.0)).tanh()

    class Network:
        def __init__(self) -> None:
            self.layers = [Layer(0.5, 1.5), Layer(-1.0)]

        def __call__(self, h: Any) -> Any:
            for layer in self.layers:
                h = layer(h)
            return h

    network = Network()
    return set_briefly(lambda: network(0.5), network.layers[1].neurons[0], "gain")


@fooling("between checks", "equal")
def a_class_method_gives_the_only_instance() -> Case:
    class Config:
        only: ClassVar[Any] = None

        def __init__(self) -> None:
            self.rate = 0.5

        @classmethod
        def get(cls) -> Any:
            cls.only = cls.only or cls()
            return cls.only

    return set_briefly(lambda: Config.get().rate, Config.get(), "rate")


def operated(scale: Callable[[Any], Any]) -> Case:
    class Factor:
        def __init__(self) -> None:
            self.kept = [0.5]

        def __mul__(self, other: Any) -> Any:
            return self.kept[0] * other

        def __float__(self) -> float:
            return self.kept[0]

        def __contains__(self, thing: Any) -> bool:
            return thing in self.kept

        def __bool__(self) -> bool:
            return self.kept[0] > 1.0

    factor = Factor()
    return change_briefly(
        lambda: scale(factor),
        lambda: factor.kept.__setitem__(0, 3.0),
        lambda: factor.kept.__setitem__(0, 0.5),
    )


@fooling("between checks", "equal")
def a_user_defined_operator() -> Case:
    return operated(lambda factor: factor * 2.0)


@fooling("between checks", "equal")
def a_user_defined_conversion() -> Case:
    return operated(float)


@fooling("between checks", "equal")
def a_user_defined_truth_and_membership() -> Case:
    return operated(lambda factor: 1.0 + (0.5 in factor) + 4.0 * bool(factor))


@fooling("between checks", "equal")
def a_leaf_of_an_entry_is_replaced() -> Case:
    class Body:
        def __init__(self, x: float) -> None:
            self.x = Value(x)

    bodies = {name: Body(1.0) for name in "ab"}
    first = bodies["a"].x

    def step(dt: float) -> Any:
        for body in bodies.values():
            body.x.assign(body.x * (1.0 - 0.1 * dt))
        return bodies["a"].x * 2.0

    def between(call: int) -> None:
        if call in (4, 7):
            bodies["a"].x = Value(3.0) if call == 4 else first

    return Case(step, observe=lambda: [body.x for body in bodies.values()], between=between)


@fooling("between checks", "equal")
def a_module_has_a_method_besides_its_call() -> Case:
    options = Options()

    class Layer(nn.Module):
        def __init__(self) -> None:
            self.w = Value(2.0)

        def penalty(self) -> Any:
            return self.w**2 * options.rate

        def __call__(self, x: Any) -> Any:
            return self.w * x

    layers = [Layer()]
    return set_briefly(lambda: layers[0].penalty(), options, "rate")


@fooling("between checks", "equal")
def a_jitted_function_inside_reads_a_setting() -> Case:
    options = Options()

    @jit
    def penalty(x: float) -> Any:
        return options.rate * x

    return set_briefly(lambda: penalty(2.0), options, "rate")


@fooling("between checks", "equal")
def a_cached_function_reads_a_setting_again() -> Case:
    options = Options()

    @functools.cache
    def rate() -> float:
        return options.rate

    def change(number: float) -> None:
        options.rate = number
        rate.cache_clear()

    return change_briefly(rate, lambda: change(2.0), lambda: change(0.5))


@fooling("between checks", "equal")
def a_static_object_is_changed_for_a_while() -> Case:
    options, w = Options(), Value(2.0)
    return Case(
        lambda x, options: w * x * options.rate,
        calls=[(x, options) for x in XS],
        static=("options",),
        between=lambda call: setattr(options, "rate", 2.0 if 4 <= call < 7 else 0.5),
    )


@fooling("between checks", "equal")
def a_trainer_is_a_static_argument() -> Case:
    class Trainer:
        def __init__(self) -> None:
            self.w, self.lr = Value(2.0), 0.1

        def step(self, x: float) -> Any:
            self.w.grad = 0.0
            ((self.w * x - 1.0) ** 2).backward()
            self.w.data -= self.lr * self.w.grad
            return self.w * 1.0

    trainer = Trainer()
    return Case(
        Trainer.step,
        calls=[(trainer, x) for x in XS],
        static=("self",),
        observe=lambda: trainer.w,
        between=lambda call: setattr(trainer, "lr", 0.3 if 4 <= call < 7 else 0.1),
    )


@fooling("between checks", "equal")
def the_file_of_a_module_is_a_path() -> Case:
    module: Any = types.ModuleType("lab")
    module.__file__, module.RATE = Path("lab.py"), 0.5
    module.Part = type("Part", (), {"__module__": "lab", "scale": lambda self: module.RATE})
    sys.modules["lab"], parts = module, [module.Part()]
    case = set_briefly(lambda: parts[0].scale(), module, "RATE")
    return dataclasses.replace(case, close=lambda: sys.modules.pop("lab"))


@fooling("between checks", "equal")
def getattr_with_a_default_reads_an_attribute() -> Case:
    layers = [Options(), Options()]
    return set_briefly(
        lambda: sum(getattr(layer, "rate", 0.0) for layer in layers), layers[1], "rate"
    )


class Absent:
    """Has no setting yet; asks for it in every way."""

    def __init__(self, weight: float = 0.5) -> None:
        self.weight = weight

    def by_error(self) -> float:
        try:
            return float(self.rate)  # type: ignore[attr-defined]
        except AttributeError:
            return self.weight


def set_and_deleted(scale: Callable[[], Any], thing: Any, name: str) -> Case:
    return change_briefly(scale, lambda: setattr(thing, name, 3.0), lambda: delattr(thing, name))


@fooling("between checks", "equal")
def an_absent_attribute_is_read_by_getattr_with_a_default() -> Case:
    parts = [Absent(), Absent(1.5)]
    return set_and_deleted(
        lambda: sum(p.weight * getattr(p, "rate", 1.0) for p in parts), parts[1], "rate"
    )


@fooling("between checks", "equal")
def an_absent_attribute_is_asked_for_by_hasattr() -> Case:
    parts = [Absent(), Absent(1.5)]
    return set_and_deleted(
        lambda: sum(p.weight for p in parts if not hasattr(p, "frozen")), parts[1], "frozen"
    )


@fooling("between checks", "equal")
def the_attribute_of_a_chosen_object_is_absent() -> Case:
    parts, limit = [Absent(), Absent(1.5)], 3

    def scale() -> float:
        return 2.0 if hasattr(parts[0 if limit < 2 else 1], "frozen") else 1.0

    return set_and_deleted(scale, parts[1], "frozen")


@fooling("between checks", "equal")
def an_absent_slot_is_asked_for_by_hasattr() -> Case:
    class Slotted:
        __slots__ = ("rate",)

    thing = Slotted()
    return set_and_deleted(lambda: 2.0 if hasattr(thing, "rate") else 1.0, thing, "rate")


@fooling("between checks", "equal")
def a_class_gets_the_attribute_that_is_asked_of_its_instances() -> Case:
    class Part(Absent):
        pass

    parts = [Part(), Part(1.5)]
    return set_and_deleted(lambda: sum(getattr(p, "rate", 1.0) for p in parts), Part, "rate")


@fooling("between checks", "equal")
def a_class_gets_the_attribute_whose_absence_raises() -> Case:
    class Part:
        pass

    part: Any = Part()

    def scale() -> float:
        try:
            return float(part.rate)
        except AttributeError:
            return 0.5

    return set_and_deleted(scale, Part, "rate")


@fooling("between checks", "equal")
def a_class_gets_the_attribute_that_is_asked_of_it() -> Case:
    class Part:
        pass

    return set_and_deleted(lambda: getattr(Part, "rate", 1.0), Part, "rate")


@fooling("between checks", "equal")
def a_class_gets_a_method_that_it_has_inherited() -> Case:
    class Part(Absent):
        pass

    parts = [Part(), Part(1.5)]
    return change_briefly(
        lambda: sum(p.by_error() for p in parts),
        lambda: setattr(Part, "by_error", lambda self: 3.0),
        lambda: delattr(Part, "by_error"),
    )


@fooling("between checks", "equal")
def an_absent_attribute_of_a_variable_raises() -> Case:
    thing = types.SimpleNamespace()

    def scale() -> float:
        try:
            return float(thing.rate)
        except AttributeError:
            return 0.5

    return set_and_deleted(scale, thing, "rate")


@fooling("between checks", "equal")
def an_absent_attribute_of_self_raises() -> Case:
    parts = [Absent(), Absent(1.5)]
    return set_and_deleted(lambda: sum(p.by_error() for p in parts), parts[0], "rate")


@fooling("between checks", "equal")
def a_keyword_has_settings_as_its_default() -> Case:
    options = Options()

    def scale(*, given: Options = options) -> float:
        return given.rate

    return set_briefly(scale, options, "rate")


@fooling("between checks", "equal")
def super_reads_a_property() -> Case:
    class Base:
        rate = 0.5

        @property
        def scale(self) -> float:
            return self.rate

    class Twice(Base):
        @property
        def scale(self) -> float:
            return super().scale * 2.0

    twice = Twice()
    return set_briefly(lambda: twice.scale, Base, "rate")


@fooling("between checks", "equal")
def a_method_with_an_argument_fixed_reads_an_attribute() -> Case:
    class Term:
        weight = 0.5

        def times(self, number: float) -> float:
            return self.weight * number

        value = functools.partialmethod(times, 2.0)

    term: Any = Term()
    return set_briefly(lambda: term.value(), term, "weight")


class Rule:
    """A descriptor that gives a number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __get__(self, instance: Any, owner: type) -> float:
        return self.number


def replaced_briefly(made: Callable[[float], Any], scale: Callable[[Any], Any]) -> Case:
    """A step that asks an object for `rate`, which is replaced in a base class."""

    class Base:
        rate: Any = made(0.5)

    class Derived(Base):
        pass

    first, parts = vars(Base)["rate"], [Derived()]
    return change_briefly(
        lambda: scale(parts[0]),
        lambda: setattr(Base, "rate", made(3.0)),
        lambda: setattr(Base, "rate", first),
    )


@fooling("between checks", "equal")
def a_class_method_is_replaced() -> Case:
    return replaced_briefly(lambda x: classmethod(lambda cls: x), lambda part: part.rate())


@fooling("between checks", "equal")
def a_method_with_an_argument_fixed_is_replaced() -> Case:
    def rate(self: Any, number: float) -> float:
        return number

    return replaced_briefly(lambda x: functools.partialmethod(rate, x), lambda part: part.rate())


@fooling("between checks", "equal")
def a_descriptor_is_replaced() -> Case:
    return replaced_briefly(Rule, lambda part: part.rate)


@fooling("between checks", "equal")
def a_class_gets_a_class_method_that_it_has_inherited() -> Case:
    class Base:
        @classmethod
        def rate(cls) -> float:
            return 0.5

    class Derived(Base):
        pass

    return change_briefly(
        lambda: Derived.rate(),
        lambda: setattr(Derived, "rate", classmethod(lambda cls: 3.0)),
        lambda: delattr(Derived, "rate"),
    )


@fooling("between checks", "equal")
def super_reads_a_number_that_the_class_has_of_its_own() -> Case:
    class Base:
        rate = 0.5

    class Derived(Base):
        rate = 1.0

        def scale(self) -> float:
            return self.rate + super().rate

    parts = [Derived()]
    return set_briefly(lambda: parts[0].scale(), Base, "rate")


@fooling("between checks", "equal")
def super_calls_a_class_method() -> Case:
    class Base:
        @classmethod
        def rate(cls) -> float:
            return 0.5

    class Derived(Base):
        @classmethod
        def rate(cls) -> float:
            return super().rate() * 2.0

    first = vars(Base)["rate"]
    return change_briefly(
        lambda: Derived.rate(),
        lambda: setattr(Base, "rate", classmethod(lambda cls: 3.0)),
        lambda: setattr(Base, "rate", first),
    )


@fooling("between checks", "equal")
def a_class_gets_other_bases() -> Case:
    class Base:
        def rate(self) -> float:
            return 0.5

    class Other:
        def rate(self) -> float:
            return 3.0

    class Derived(Base):
        pass

    parts = [Derived()]
    return set_briefly(lambda: parts[0].rate(), Derived, "__bases__", (Other,))


@fooling("between checks", "equal")
def a_class_gets_none_in_place_of_a_method_that_it_has_inherited() -> Case:
    class Base:
        def rate(self) -> float:
            return 0.5

    class Derived(Base):
        pass

    parts = [Derived()]
    return change_briefly(
        lambda: 3.0 if parts[0].rate is None else parts[0].rate(),
        lambda: setattr(Derived, "rate", None),
        lambda: delattr(Derived, "rate"),
    )


@fooling("between checks", "equal")
def the_constructor_of_a_class_is_replaced() -> Case:
    class Part:
        def __init__(self) -> None:
            self.rate = 0.5

    def init(self: Any) -> None:
        self.rate = 3.0

    return set_briefly(lambda: Part().rate, Part, "__init__", init)


@fooling("between checks", "equal")
def a_class_is_indexed() -> Case:
    class Table:
        rows: ClassVar[Any] = {"a": 0.5}

        def __class_getitem__(cls, key: str) -> Any:
            return cls.rows[key]

    table: Any = Table
    return set_briefly(lambda: table["a"], Table, "rows", {"a": 3.0})


class Meta(type):
    """Gives classes a length, an iteration, and attributes from a table."""

    rows: Any = (0.5,)
    table: ClassVar[Any] = {"rate": 0.5}

    def __len__(cls) -> int:
        return len(cls.rows)

    def __getattr__(cls, name: str) -> Any:
        try:
            return cls.table[name]
        except KeyError:
            raise AttributeError(name) from None

    def total(cls) -> float:
        return float(sum(cls.rows))


@fooling("between checks", "equal")
def a_metaclass_measures_a_class() -> Case:
    class Table(metaclass=Meta):
        rows = (0.5, 1.0)

    return set_briefly(lambda: float(len(Table)), Table, "rows", (0.5,))


@fooling("between checks", "equal")
def a_metaclass_gives_absent_attributes() -> Case:
    class Table(metaclass=Meta):
        pass

    return change_briefly(
        lambda: Table.rate,
        lambda: Meta.table.update(rate=3.0),
        lambda: Meta.table.update(rate=0.5),
    )


@fooling("between checks", "equal")
def a_method_of_a_metaclass_reads_its_attribute() -> Case:
    class Table(metaclass=Meta):
        pass

    return set_briefly(lambda: Table.total(), Meta, "rows", (3.0,))


@fooling("between checks", "equal")
def a_method_of_a_metaclass_is_replaced() -> Case:
    class Table(metaclass=Meta):
        pass

    return set_briefly(lambda: Table.total(), Meta, "total", lambda cls: 3.0)


def relative(imports: str) -> Case:
    """A module of a package that imports a setting of a sibling inside a function."""
    package, settings, step = map(types.ModuleType, ("lab", "lab.inner.settings", "lab.steps"))
    settings.RATE = 0.5  # type: ignore[attr-defined]
    step.__package__ = "lab.inner"
    source = f"def scale():\n    {imports}\n    return RATE"
    exec(compile(source, __file__, "exec"), vars(step))
    inner = types.ModuleType("lab.inner")
    package.__path__, inner.__path__ = [], []
    inner.settings = settings  # type: ignore[attr-defined]
    made = {"lab": package, "lab.inner": inner, "lab.inner.settings": settings}
    sys.modules.update(made)
    case = set_briefly(step.scale, settings, "RATE")
    return dataclasses.replace(case, close=lambda: [sys.modules.pop(name) for name in made])


@fooling("between checks", "equal")
def a_setting_is_imported_from_a_sibling_module() -> Case:
    return relative("from .settings import RATE")


@fooling("between checks", "equal")
def a_setting_is_imported_from_a_module_of_the_parent() -> Case:
    return relative("from ..inner.settings import RATE")


@fooling("between checks", "equal")
def a_sibling_module_is_imported() -> Case:
    return relative("from . import settings; RATE = settings.RATE")


@fooling("between checks", "equal")
def an_attribute_is_read_by_a_name_of_which_the_code_has_the_beginning() -> Case:
    class Losses:
        def __init__(self) -> None:
            self.weight_of_a, self.weight_of_b = 0.5, 1.5

        def scale(self) -> float:
            return float(sum(getattr(self, f"weight_of_{x}") for x in "ab"))

    losses = Losses()
    return set_briefly(losses.scale, losses, "weight_of_b")


@fooling("between checks", "equal")
def a_method_is_called_by_a_name_of_which_the_code_has_the_beginning() -> Case:
    class Losses:
        def term_of_a(self) -> float:
            return 0.5

    losses, kind = Losses(), "a"
    return set_briefly(
        lambda: getattr(losses, "term_of_" + kind)(), Losses, "term_of_a", lambda self: 3.0
    )


@fooling("between checks", "equal")
def a_module_is_imported_anew() -> Case:
    found, other = map(types.ModuleType, ("lab_settings", "lab_settings"))
    found.RATE, other.RATE = 0.5, 3.0  # type: ignore[attr-defined]
    sys.modules["lab_settings"] = found

    def scale() -> float:
        from lab_settings import RATE  # type: ignore[import-not-found]

        return float(RATE)

    return change_briefly(
        scale,
        lambda: sys.modules.update(lab_settings=other),
        lambda: sys.modules.update(lab_settings=found),
        close=lambda: sys.modules.pop("lab_settings"),
    )


@fooling("between checks", "equal")
def a_pattern_asks_for_attributes() -> Case:
    several = [types.SimpleNamespace(rate=rate, on=True) for rate in (0.5, 1.5)]

    def scale() -> float:
        total = 0.0
        for options in several:
            match options:
                case types.SimpleNamespace(on=True, rate=rate):
                    total += rate
                case _:
                    total += 0.25
        return total

    return set_briefly(scale, several[1], "on", False)


@fooling("between checks", "equal")
def a_setting_is_of_either_of_two_objects() -> Case:
    first, second, on = Options(), Options(1.5), True
    return set_briefly(lambda: (first if on else second).rate, first, "rate")


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
