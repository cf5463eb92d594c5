"""Programs that reach their settings through something: a data set, a cache, a class, a library.

As in test_fooling_between_checks.py the settings differ in calls 5 to 7, which are not checked.
"""

from __future__ import annotations

import argparse
import configparser
import dataclasses
import enum
import functools
import operator
import types
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from fooling_harness import (
    XS,
    Case,
    Fooling,
    assert_expected,
    change_briefly,
    fooling,
    numbers,
    programs,
    set_briefly,
)

from autograd import Value
from autograd.jit import jit


def frozen_behind(rows: Any) -> Case:
    layers = [types.SimpleNamespace(w=Value(1.0), frozen=False) for _ in range(2)]
    return set_briefly(
        lambda: sum((r.w for r in layers if not r.frozen), Value(rows[3][1])),
        layers[0],
        "frozen",
        True,
    )


@fooling("behind a data set", "equal")
def a_layer_is_frozen_behind_many_rows() -> Case:
    return frozen_behind([[float(i), 1.0] for i in range(25_000)])


@fooling("behind a data set", "equal")
def a_layer_is_frozen_behind_a_tuple_of_rows() -> Case:
    return frozen_behind(tuple([[float(i), 1.0] for i in range(25_000)]))


@fooling("behind a data set", "equal")
def an_entry_of_a_mask_behind_a_thousand_rows() -> Case:
    rows = [[float(i), 1.0] for i in range(1000)]
    net = types.SimpleNamespace(settings={"mask": [1.0, 1.0]})
    mask = net.settings["mask"]
    return change_briefly(
        lambda: sum(net.settings["mask"]) + rows[0][1],
        lambda: mask.__setitem__(0, 0.0),
        lambda: mask.__setitem__(0, 1.0),
    )


@fooling("behind a data set", "loud")
def a_counter_behind_many_rows() -> Case:
    rows = [[float(i), 1.0] for i in range(25_000)]
    state, w = types.SimpleNamespace(inner=types.SimpleNamespace(count={"n": [0]})), Value(2.0)

    def step(x: float) -> Any:
        state.inner.count["n"][0] += 1
        return w * x * rows[3][1] * (2.0 if state.inner.count["n"][0] % 5 == 0 else 1.0)

    return Case(step)


@fooling("behind vars()", "equal")
def settings_are_given_as_keywords() -> Case:
    args = argparse.Namespace(rate=0.5)

    def scaled(rate: float) -> float:
        return 2.0 * rate

    return set_briefly(lambda: scaled(**vars(args)), args, "rate")


@fooling("behind vars()", "equal")
def another_object_counts_the_calls() -> Case:
    args, trainer = argparse.Namespace(rate=0.5), types.SimpleNamespace(w=Value(2.0), calls=0)

    def count(call: int) -> None:
        trainer.calls += 1

    return Case(lambda x: trainer.w * x * vars(args)["rate"], between=count)


@fooling("behind vars()", "equal")
def settings_of_a_list_are_read_as_dicts() -> Case:
    several = [types.SimpleNamespace(rate=0.5), types.SimpleNamespace(rate=2.0)]
    return set_briefly(lambda: sum(vars(each)["rate"] for each in several), several[0], "rate")


@dataclasses.dataclass(slots=True)
class Settings:
    """Settings in slots."""

    rate: float


@fooling("behind asdict()", "equal")
def settings_in_slots_are_given_as_keywords() -> Case:
    settings = Settings(0.5)

    def scaled(rate: float) -> float:
        return 2.0 * rate

    return set_briefly(lambda: scaled(**asdict(settings)), settings, "rate")


@fooling("behind asdict()", "equal")
def settings_in_slots_of_an_object_are_read_as_a_dict() -> Case:
    trainer = types.SimpleNamespace(settings=Settings(0.5))
    return set_briefly(
        lambda: dataclasses.asdict(trainer.settings)["rate"], trainer.settings, "rate"
    )


@fooling("behind astuple()", "equal")
def settings_are_read_as_a_tuple() -> Case:
    settings = Settings(0.5)
    return set_briefly(lambda: sum(dataclasses.astuple(settings)), settings, "rate")


@fooling("behind astuple()", "equal")
def settings_are_read_as_a_tuple_by_an_import_inside() -> Case:
    settings = Settings(0.5)

    def scale() -> float:
        from dataclasses import astuple

        return float(sum(astuple(settings)))

    return set_briefly(scale, settings, "rate")


@fooling("behind fields()", "equal")
def settings_are_summed_field_by_field() -> Case:
    settings = Settings(0.5)

    def scale() -> float:
        return float(sum(getattr(settings, field.name) for field in dataclasses.fields(settings)))

    return set_briefly(scale, settings, "rate")


@fooling("behind a cache", "equal")
def settings_are_cached() -> Case:
    @functools.lru_cache
    def settings() -> types.SimpleNamespace:
        return types.SimpleNamespace(rate=0.5)

    return set_briefly(lambda: settings().rate, settings(), "rate")


@pytest.mark.parametrize("maxsize", [None, 100_000])
def test_a_layer_is_frozen_behind_a_cache_of_many_rows(maxsize: int | None) -> None:
    @functools.lru_cache(maxsize)
    def row(i: int) -> list[float]:
        return [float(i), 1.0]

    rows = [row(i) for i in range(25_000)]
    layers = [types.SimpleNamespace(w=Value(1.0), frozen=False) for _ in range(2)]
    run = jit(lambda: sum((r.w for r in layers if not r.frozen), Value(row(3)[1])))
    assert [run().data for _ in range(4)] == [3.0] * 4
    layers[0].frozen = True
    assert (run().data, len(rows)) == (2.0, 25_000)


@fooling("behind a class", "equal")
def a_singleton_holds_a_setting() -> Case:
    class Settings:
        one: Any = None

        def __new__(cls) -> Any:
            cls.one = cls.one or object.__new__(cls)
            return cls.one

        rate = 0.5

    return set_briefly(lambda: Settings().rate, Settings(), "rate")


@fooling("behind a class", "equal")
def a_member_of_an_enumeration_is_found_by_its_name() -> Case:
    class Phase(enum.Enum):
        FIRST = "first"

        def __init__(self, name: str) -> None:
            self.rate = 0.5

    return set_briefly(lambda: Phase["FIRST"].rate, Phase.FIRST, "rate")


@fooling("behind a class", "equal")
def a_value_of_an_enumeration_has_a_setting() -> Case:
    class Phase(enum.Enum):
        FIRST = types.SimpleNamespace(rate=0.5)

    return set_briefly(lambda: Phase.FIRST.value.rate, Phase.FIRST.value, "rate")


@fooling("behind a class", "equal")
def a_method_that_is_called_by_its_class_is_replaced() -> Case:
    term = Term()
    return set_briefly(lambda: Term.times(term, 2.0), Term, "times", lambda self, number: 3.0)


@fooling("behind a class", "equal")
def a_method_is_overridden_in_a_subclass() -> Case:
    class Base:
        def rate(self) -> float:
            return 0.5

    class Derived(Base):
        pass

    derived = Derived()
    return change_briefly(
        lambda: derived.rate(),
        lambda: setattr(Derived, "rate", lambda self: 3.0),
        lambda: delattr(Derived, "rate"),
    )


@fooling("behind a subclass of a container", "equal")
def a_list_of_weights_has_a_method_and_a_setting() -> Case:
    class Ensemble(list[Value]):
        temperature = 1.0

        def scaled(self) -> Any:
            return sum(self, Value(0.0)) * self.temperature

    ensembles = [Ensemble([Value(0.5), Value(-1.5)])]
    return set_briefly(lambda: sum(e.scaled() for e in ensembles), ensembles[0], "temperature")


@fooling("behind a subclass of a container", "equal")
def a_dict_of_weights_reads_the_setting_of_its_class() -> Case:
    class Parameters(dict[str, Value]):
        scale = 1.0

        def __call__(self) -> Any:
            return self["w"] * self.scale

    nets = (Parameters(w=Value(0.5)),)
    return set_briefly(lambda: sum(net() for net in nets), Parameters, "scale")


class Term:
    """Methods of several kinds, called on an object that has no name in the code."""

    weight = 0.5

    @classmethod
    def of_the_class(cls) -> float:
        return cls.weight

    def times(self, number: float) -> float:
        return self.weight * number

    fixed = functools.partialmethod(times, 2.0)

    @functools.singledispatchmethod
    def dispatched(self, x: Any) -> Any:
        return self.weight

    @dispatched.register
    def _(self, x: float) -> float:
        return self.weight * x


@fooling("behind a descriptor", "equal")
def a_class_method_of_an_entry() -> Case:
    terms = [Term()]
    return set_briefly(lambda: sum(term.of_the_class() for term in terms), Term, "weight")


@fooling("behind a descriptor", "equal")
def a_partial_method_of_an_entry() -> Case:
    terms = [Term()]
    return set_briefly(lambda: sum(term.fixed() for term in terms), terms[0], "weight")


@fooling("behind a descriptor", "equal")
def a_decorated_method_of_an_entry() -> Case:
    def weighted(method: Any) -> Any:
        def wrapper(self: Any) -> Any:
            return self.weight * method(self)

        return wrapper

    class Weighted:
        weight = 0.5
        rate = weighted(lambda self: 2.0)

    terms = [Weighted()]
    return set_briefly(lambda: sum(term.rate() for term in terms), terms[0], "weight")


@fooling("behind a descriptor", "equal")
def a_cached_method_returns_the_settings() -> Case:
    class Model:
        settings = functools.cache(lambda self: types.SimpleNamespace(rate=0.5))

    model = Model()
    return set_briefly(lambda: model.settings().rate, model.settings(), "rate")


@fooling("behind a descriptor", "equal")
def a_method_of_an_entry_that_dispatches_by_type() -> Case:
    terms = [Term()]
    return set_briefly(lambda: sum(term.dispatched(2.0) for term in terms), terms[0], "weight")


@fooling("behind a descriptor", "equal")
def a_static_method_reads_an_entry_of_a_frozen_set() -> Case:
    terms = frozenset([Term()])

    class Sum:
        @staticmethod
        def weight_of(term: Term) -> float:
            return term.weight

        def __call__(self) -> float:
            return sum(map(self.weight_of, terms))

    return set_briefly(Sum(), next(iter(terms)), "weight")


@fooling("behind a descriptor", "equal")
def a_function_in_a_method_calls_an_entry_self() -> Case:
    terms = [Term()]

    class Sum:
        def __call__(self) -> float:
            def weight_of(self: Term) -> float:
                return self.weight

            return sum(map(weight_of, terms))

    return set_briefly(Sum(), terms[0], "weight")


@fooling("behind a class", "equal")
def a_method_that_super_calls_is_replaced() -> Case:
    class Base:
        def rate(self) -> float:
            return 0.5

    class Derived(Base):
        def rate(self) -> float:
            return super().rate() * 2.0

    several = [Derived()]
    return set_briefly(lambda: sum(s.rate() for s in several), Base, "rate", lambda self: 3.0)


@fooling("behind the standard library", "equal")
def a_parsed_file_of_settings() -> Case:
    settings = configparser.ConfigParser()
    settings.read_string("[training]\nrate = 0.5")
    return change_briefly(
        lambda: settings.getfloat("training", "rate"),
        lambda: settings.set("training", "rate", "3.0"),
        lambda: settings.set("training", "rate", "0.5"),
    )


@fooling("behind an installed package", "equal")
def an_array_of_objects_with_settings() -> Case:
    terms = np.array([Term(), Term()])
    return set_briefly(lambda: sum(term.weight for term in terms), terms[0], "weight")


@fooling("behind an installed package", "equal")
def a_polynomial_has_another_coefficient() -> Case:
    rate = np.poly1d([0.5, 1.0])
    return change_briefly(
        lambda: float(rate(2.0)),
        lambda: rate.__setitem__(0, 3.0),
        lambda: rate.__setitem__(0, 1.0),
    )


@fooling("behind the standard library", "equal")
def an_attrgetter_is_a_sort_key() -> Case:
    parts = [types.SimpleNamespace(place=1, rate=0.5), types.SimpleNamespace(place=2, rate=2.0)]

    def scale() -> float:
        first, second = sorted(parts, key=operator.attrgetter("place"))
        return float(first.rate - second.rate)

    return set_briefly(scale, parts[0], "place", 3)


@fooling("behind the standard library", "equal")
def an_attrgetter_is_made_beforehand() -> Case:
    owner = types.SimpleNamespace(inner=types.SimpleNamespace(rate=0.5))
    get = operator.attrgetter("inner.rate")
    return set_briefly(lambda: get(owner), owner.inner, "rate")


class Schedule:
    """A method with an argument of each kind."""

    def scaled(self, by: Any, *, power: Any) -> float:
        return float(by.rate**power.rate)


class Unnamed:
    """An object that cannot be shown."""

    rate = 0.5

    def __str__(self) -> str:
        raise NotImplementedError


@fooling("behind the standard library", "equal")
def a_methodcaller_with_arguments() -> Case:
    by = Unnamed()
    call = operator.methodcaller("scaled", by, power=Unnamed())
    return set_briefly(lambda: call(Schedule()), by, "rate")


@fooling("behind the standard library", "equal")
def a_methodcaller_with_keyword_arguments() -> Case:
    power = Unnamed()
    call = operator.methodcaller("scaled", Unnamed(), power=power)
    return set_briefly(lambda: call(Schedule()), power, "rate")


@fooling("static arguments", "equal")
def an_object_of_settings_is_static() -> Case:
    args = argparse.Namespace(rate=0.5, ready=[1])
    w = Value(2.0)
    return Case(
        lambda x, args: w * x * args.rate,
        calls=[(x, args) for x in XS],
        static=("args",),
        between=lambda call: setattr(args, "rate", 3.0 if 4 <= call < 7 else 0.5),
    )


@fooling("static arguments", "equal")
def objects_of_settings_in_a_static_list_are_told_apart() -> Case:
    w = Value(2.0)
    several = [[argparse.Namespace(rate=0.5)], [argparse.Namespace(rate=3.0)]]
    calls = [(x, several[i % 3 == 2]) for i, (x,) in enumerate(numbers())]
    return Case(lambda x, several: w * x * several[0].rate, calls=calls, static=("several",))


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
