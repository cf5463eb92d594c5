"""Programs that test the type of an argument, and programs that swallow a refusal."""

from __future__ import annotations

import contextlib
import functools
import math
import numbers as kinds
from collections.abc import Callable
from typing import Any, SupportsFloat

import numpy as np
import pytest
from fooling_harness import XS, Case, Fooling, assert_expected, fooling, numbers, programs

from autograd import Value


@fooling("dispatch", "equal")
def asks_isinstance_float() -> Case:
    w = Value(2.0)

    def step(x: Any) -> Any:
        if isinstance(x, float):
            return w * x
        return w * x.data + 100.0

    return Case(step)


@fooling("dispatch", "equal")
def wraps_non_values() -> Case:
    w = Value(-1.5)

    def step(x: Any) -> Any:
        x = x if isinstance(x, Value) else Value(x)
        out = (w * x).tanh()
        out.backward()
        return out, x.grad

    return Case(step, observe=lambda: w)


@fooling("dispatch", "loud")
def asks_for_the_exact_type() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * x if type(x) is float else w - x)


@fooling("dispatch", "loud")
def looks_the_type_up_in_a_table() -> Case:
    w = Value(2.0)
    table: dict[type, Callable[[Any], Any]] = {float: lambda x: w * x, int: lambda x: w + x}
    return Case(lambda x: table.get(type(x), lambda x: w - x)(x))


@fooling("dispatch", "loud")
def returns_the_name_of_the_type() -> Case:
    w = Value(2.0)
    return Case(lambda x: (w * x, type(x).__name__))


@fooling("dispatch", "equal")
def matches_by_class() -> Case:
    w = Value(0.5)

    def step(x: Any) -> Any:
        match x:
            case Value():
                return w + x
            case int():
                return w - x
            case float():
                return w * x
            case _:
                return w

    return Case(step, calls=[(0.5,), (2.5,), (-1.0,), (3,), (4,), (5,), (6,), (1.5,), (7,), (8,)])


@fooling("dispatch", "loud")
def matches_by_number() -> Case:
    w = Value(0.5)

    def step(x: Any) -> Any:
        match x:
            case 0.0:
                return w + 10.0
            case _:
                return w * x

    return Case(step, calls=[(1.0,), (2.0,), (3.0,), (0.0,), (0.0,), (1.0,), (0.0,), *[(2.0,)] * 3])


@fooling("dispatch", "equal")
def dispatches_by_singledispatch() -> Case:
    w = Value(1.25)

    @functools.singledispatch
    def scaled(x: Any) -> Any:
        return w

    @scaled.register
    def _(x: float) -> Any:
        return w * x

    @scaled.register
    def _(x: list) -> Any:
        return w + sum(x)

    calls = [(0.5,), (1.5,), (2.5,), ([1.0, 2.0],), ([0.5, 2.0],), ([3.0, 2.0],), *numbers()[:4]]
    return Case(lambda x: scaled(x), calls=calls)


@fooling("dispatch", "equal")
def asks_for_a_data_attribute() -> Case:
    w = Value(3.0)

    def number(x: Any) -> Any:
        return x.data if hasattr(x, "data") else x

    return Case(lambda x: w * number(x) - number(w), observe=lambda: w)


@fooling("dispatch", "equal")
def asks_for_is_integer_and_hex() -> Case:
    w = Value(3.0)
    return Case(lambda x: w * x if hasattr(x, "hex") and hasattr(x, "is_integer") else w - x)


@fooling("dispatch", "equal")
def asks_for_a_real_number() -> Case:
    w = Value(3.0)
    return Case(lambda x: w * x if isinstance(x, kinds.Real) else w - x)


@fooling("dispatch", "equal")
def asks_for_a_number_that_is_not_whole() -> Case:
    w = Value(3.0)

    def step(x: Any) -> Any:
        return w + x if isinstance(x, kinds.Integral) else w * x

    return Case(step, calls=[(1,), (2,), (3,), (1.0,), (2.0,), (3.0,), (4,), (5,), (5.0,), (6.0,)])


@fooling("dispatch", "equal")
def asks_a_protocol() -> Case:
    w = Value(3.0)
    return Case(lambda x: w * x if isinstance(x, SupportsFloat) else w)


@fooling("dispatch", "equal")
def tells_bools_from_numbers() -> Case:
    w = Value(3.0)

    def step(x: Any) -> Any:
        if x is True:
            return w
        return w * x

    return Case(step, calls=[(1,), (2,), (3,), (True,), (True,), (True,), (1.0,), (1,), (2,), (0,)])


@fooling("dispatch", "equal")
def takes_a_number_or_a_list() -> Case:
    w = Value(0.75)

    def step(x: Any) -> Any:
        try:
            iterator = iter(x)
        except TypeError:
            return w * x
        return sum((w * entry for entry in iterator), Value(0.0))

    calls = [(0.5,), (1.5,), ([1.0, 2.0],), ([3.0, 2.0],), (2.5,), ([0.5, -2.0],), ([3.0],)]
    return Case(step, calls=[*calls, (0.25,), ([1.0, -0.0],), (-0.0,)])


@fooling("dispatch", "equal")
def checks_its_arguments_by_assert() -> Case:
    w = Value(0.75)

    def step(x: Any, y: Any) -> Any:
        assert isinstance(x, float | int), "numbers only"
        assert not isinstance(y, str | bytes)
        assert w.data is not None
        return w * x + y

    return Case(step, calls=numbers(2.0))


@fooling("dispatch", "loud")
def asserts_a_range() -> Case:
    w = Value(0.75)

    def step(x: Any) -> Any:
        assert -10.0 < x < 10.0
        return w * x

    return Case(step)


@fooling("dispatch", "equal")
def has_a_different_type_in_the_last_calls() -> Case:
    w = Value(0.75)
    return Case(
        lambda x: w * x + isinstance(x, int),
        calls=[(1,), (2,), (3,), (4,), (1.5,), (2.5,), (3.0,), (5,), (6.0,), (7,)],
    )


# --- swallowed refusals ---------------------------------------------------------------------------


@fooling("swallowed", "loud")
def tries_float_and_goes_on() -> Case:
    w = Value(2.0)

    def step(x: Any) -> Any:
        try:
            size = float(w.data * x)
        except Exception:
            size = 0.0
        return w * x + size

    return Case(step)


@fooling("swallowed", "loud")
def suppresses_everything_for_a_log() -> Case:
    w = Value(2.0)
    lines: list[str] = []

    def step(x: Any) -> Any:
        loss = (w * x - 1.0) ** 2
        with contextlib.suppress(Exception):
            lines.append(f"{loss.data:.3f}")
        return loss

    return Case(step, observe=lambda: lines)


@fooling("swallowed", "loud")
def returns_in_finally() -> Case:
    w = Value(2.0)

    def step(x: Any) -> Any:
        scale = 1.0
        try:
            if x > 0.0:
                scale = 3.0
        finally:
            return w * scale  # noqa: B012 (this is what swallows the error)

    return Case(step)


@fooling("swallowed", "loud")
def swallows_base_exceptions() -> Case:
    w = Value(2.0)

    def step(x: Any) -> Any:
        try:
            return w * (1.0 if x < 0.0 else 2.0)
        except BaseException:
            return w * 5.0

    return Case(step)


@fooling("swallowed", "loud")
def swallows_runtime_errors_of_a_helper() -> Case:
    w = Value(2.0)

    def rounded(x: Any, default: float) -> float:
        try:
            return round(x, 1)
        except (TypeError, RuntimeError):
            return default

    return Case(lambda x: w * rounded(x, 0.5))


@fooling("swallowed", "loud")
def a_context_manager_swallows() -> Case:
    w = Value(2.0)

    class Quiet:
        def __enter__(self) -> None:
            return None

        def __exit__(self, *error: object) -> bool:
            return True

    def step(x: Any) -> Any:
        out = w * x
        with Quiet():
            if out.data > 1.0:
                out = out * 10.0
        return out

    return Case(step)


@fooling("swallowed", "loud")
def a_sort_key_swallows() -> Case:
    w = Value(2.0)

    def key(x: Any) -> Any:
        try:
            return int(x)
        except Exception:
            return 0

    return Case(
        lambda x, y, z: w * sorted([x, y, z], key=key)[0],
        calls=[(x, 1.5, -0.5 * x) for (x,) in numbers()],
    )


@fooling("swallowed", "loud")
def a_generator_swallows() -> Case:
    w = Value(2.0)

    def positives(xs: Any) -> Any:
        for x in xs:
            try:
                if x <= 0.0:
                    continue
            except Exception:
                pass
            yield x

    return Case(
        lambda *xs: sum((w * x for x in positives(xs)), Value(0.0)),
        calls=[(x, -1.0, 2.0 * x) for (x,) in numbers()],
    )


@fooling("swallowed", "loud")
def hasattr_swallows_only_attribute_errors() -> Case:
    w = Value(2.0)

    class Scaled:
        def __init__(self, x: Any) -> None:
            self.x = x

        @property
        def factor(self) -> float:
            if self.x > 0.0:
                return 2.0
            raise AttributeError

    return Case(lambda x: w * (2.0 if hasattr(Scaled(x), "factor") else 3.0))


@fooling("swallowed", "loud")
def retries_with_a_default() -> Case:
    w = Value(2.0)
    attempts = {"failed": 0}

    def step(x: Any) -> Any:
        for scale in (abs(x), 1.0):
            try:
                return w * math.floor(scale)
            except Exception:
                attempts["failed"] += 1
        return w

    return Case(step, observe=lambda: attempts)


@fooling("swallowed", "equal")
def swallows_unrelated_errors() -> Case:
    w = Value(2.0)

    def step(x: Any) -> Any:
        try:
            raise KeyError("missing")
        except KeyError:
            out = w * x
        try:
            return out * int("three")
        except ValueError:
            return out

    return Case(step)


@fooling("swallowed", "equal")
def a_division_that_fails_in_later_calls() -> Case:
    w = Value(2.0)

    def step(x: Any) -> Any:
        try:
            return w / x
        except ZeroDivisionError:
            return w * 1000.0

    return Case(step, calls=[(1.0,), (2.0,), (0.5,), (4.0,), (0.0,), (0.0,), (3.0,), *[(0.0,)] * 3])


# --- an argument is of another type once ----------------------------------------------------------


@fooling("another type once", "equal")
def an_int_among_floats() -> Case:
    w = Value(2.0)
    calls = [([1, 1.5] if i == 4 else [x, 1.5],) for i, x in enumerate(XS)]
    return Case(lambda row: w * sum(10.0 if isinstance(v, int) else v for v in row), calls=calls)


@fooling("another type once", "equal")
def a_numpy_float() -> Case:
    w = Value(2.0)
    calls = [(np.float64(x) if i == 4 else x,) for i, x in enumerate(XS)]
    return Case(lambda x: w * (10.0 if isinstance(x, np.floating) else x), calls=calls)


@fooling("another type once", "equal")
def a_list_with_shifted_indices() -> Case:
    class Ring(list[float]):
        def __getitem__(self, place: Any) -> Any:
            return list.__getitem__(self, (place + 1) % len(self))

    w = Value(2.0)
    calls = [((Ring if i == 4 else list)([x, 9.0]),) for i, x in enumerate(XS)]
    return Case(lambda row: w * row[0], calls=calls)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
