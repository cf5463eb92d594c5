"""More programs that test the type of a number, and more that swallow the refusal."""

from __future__ import annotations

import asyncio
import collections.abc
import concurrent.futures
import contextlib
import copy
import functools
import inspect
import json
import logging
import numbers as kinds
import unittest
from typing import Any, SupportsIndex

import numpy as np
import pytest
from fooling_harness import XS, Case, Fooling, assert_expected, fooling, programs

from autograd import Value


def asking(question: Any, calls: Any = None) -> Case:
    """A program that branches on the answer to a question."""
    w = Value(2.0)
    return Case(lambda x: w * x if question(x) else w - x, calls=calls or [(x,) for x in XS])


WHOLE = [(n,) for n in (1, 2, 3, 5, 7, 4, 6, 9, 12, 10)]


@fooling("dispatch", "loud")
def is_its_type_among_these() -> Case:
    return asking(lambda x: type(x) in (int, float))


@fooling("dispatch", "equal")
def is_it_of_the_class_float() -> Case:
    return asking(lambda x: isinstance(x, x.__class__) and issubclass(x.__class__, float))


@fooling("dispatch", "loud")
def is_its_class_float() -> Case:
    return asking(lambda x: x.__class__ is float)


@fooling("dispatch", "loud")
def is_its_class_called_float() -> Case:
    return asking(lambda x: x.__class__.__name__ == "float")


@fooling("dispatch", "loud")
def how_long_is_its_mro() -> Case:
    return asking(lambda x: len(type(x).__mro__) == 2)


@fooling("dispatch", "equal")
def does_it_have_a_dict() -> Case:
    return asking(lambda x: not hasattr(x, "__dict__"))


@fooling("dispatch", "equal")
def is_it_a_number_but_not_a_bool() -> Case:
    return asking(lambda x: isinstance(x, int | float) and not isinstance(x, bool))


@fooling("dispatch", "equal")
def is_it_any_number() -> Case:
    return asking(lambda x: isinstance(x, kinds.Number) and isinstance(x, kinds.Complex))


@fooling("dispatch", "equal")
def is_it_an_index() -> Case:
    return asking(lambda x: isinstance(x, SupportsIndex))


@fooling("dispatch", "equal")
def is_a_whole_number_an_index() -> Case:
    return asking(lambda n: isinstance(n, SupportsIndex) and isinstance(n, int), WHOLE)


@fooling("dispatch", "loud")
def is_the_type_of_a_whole_number_int() -> Case:
    return asking(lambda n: type(n) is int, WHOLE)


@fooling("dispatch", "equal")
def is_it_iterable_or_callable() -> Case:
    return asking(lambda x: not isinstance(x, collections.abc.Iterable) and not callable(x))


@fooling("dispatch", "equal")
def is_it_a_numpy_scalar() -> Case:
    return asking(np.isscalar)


@fooling("dispatch", "loud")
def which_array_does_it_become() -> Case:
    return asking(lambda x: np.asarray(x).dtype == np.float64)


@fooling("dispatch", "equal")
def is_it_none_or_a_string() -> Case:
    return asking(lambda x: x is not None and not isinstance(x, str))


@fooling("dispatch", "loud")
def makes_another_of_its_type() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * x + type(x)(0.5))


@fooling("dispatch", "equal")
def dispatches_in_a_method() -> Case:
    class Model:
        def __init__(self) -> None:
            self.w = Value(2.0)

        @functools.singledispatchmethod
        def forward(self, x: Any) -> Any:
            return self.w

        @forward.register
        def _(self, x: float) -> Any:
            return self.w * x

        @forward.register
        def _(self, x: int) -> Any:
            return self.w + x

    model = Model()
    calls = [(x,) for x in (0.5, 1.5, 2.5, 3, 4, 5, 0.25, 6, -1.0, 7)]
    return Case(lambda x: model.forward(x), calls=calls, observe=lambda: model)


@fooling("dispatch", "equal")
def matches_structures() -> Case:
    w = Value(2.0)

    def step(batch: Any) -> Any:
        match batch:
            case {"x": float() as x, "y": y}:
                return w * x - y
            case [float() | int() as x, *rest]:
                return w * x + len(rest)
            case (x,):
                return w - x
        return w

    calls = [({"x": x, "y": 1.0},) if i % 2 else ([x, 2.0, x],) for i, x in enumerate(XS)]
    return Case(step, calls=calls)


@fooling("dispatch", "loud")
def matches_with_a_guard() -> Case:
    w = Value(2.0)

    def step(x: Any) -> Any:
        match x:
            case float() if x > 0.0:
                return w * x
            case float():
                return w - x
        return w

    return Case(step)


@fooling("dispatch", "equal")
def follows_its_annotations() -> Case:
    w = Value(2.0)

    def scaled(x: float) -> Any:
        return w * x

    def step(x: Any) -> Any:
        (wanted,) = [p.annotation for p in inspect.signature(scaled).parameters.values()]
        return scaled(x) if wanted in ("float", float) else w

    return Case(step)


@fooling("dispatch", "equal")
def copies_a_number() -> Case:
    w = Value(2.0)
    return Case(lambda x: w * copy.copy(x) + copy.deepcopy([x])[0])


# --- swallowed refusals ---------------------------------------------------------------------------


def swallowing(attempt: Any) -> Case:
    """A program that multiplies by the result of `attempt`, which swallows every error."""
    w = Value(2.0)
    return Case(lambda x: w * attempt(x))


@fooling("swallowed", "loud")
def by_a_bare_except() -> Case:
    def attempt(x: float) -> float:
        try:
            return 2.0 if x > 1.0 else 3.0
        except:  # noqa: E722 (that is the point)
            return 4.0

    return swallowing(attempt)


@fooling("swallowed", "loud")
def by_a_retry() -> Case:
    def retried(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            for _ in range(3):
                with contextlib.suppress(Exception):
                    return function(*args)
            return 1.0

        return wrapper

    return swallowing(retried(lambda x: 1.0 + int(x > 0.0)))


@fooling("swallowed", "loud")
def by_a_log_of_errors() -> Case:
    log = logging.getLogger("fooling.errors")
    log.addHandler(logging.NullHandler())
    log.propagate = False

    def attempt(x: float) -> float:
        scale = 1.0
        try:
            scale = 5.0 if x < 0 else 6.0
        except Exception:
            log.exception("no scale")
        else:
            scale += 1.0
        return scale

    return swallowing(attempt)


@fooling("swallowed", "loud")
def by_continue_in_finally() -> Case:
    def attempt(x: float) -> float:
        total = 0.0
        for limit in (-1.0, 0.0, 1.0):
            try:
                total += float(x > limit)
            finally:
                continue  # noqa: B012 (this is what swallows the error)
        return total

    return swallowing(attempt)


@fooling("swallowed", "loud")
def by_a_future() -> Case:
    def attempt(x: float) -> float:
        future: concurrent.futures.Future[float] = concurrent.futures.Future()
        try:
            future.set_result(2.0 if x > 1.0 else 3.0)
        except Exception as error:
            future.set_exception(error)
        return 1.0 if future.exception() else future.result()

    return swallowing(attempt)


@fooling("swallowed", "loud")
def by_gathering_coroutines() -> Case:
    async def scale(x: Any) -> float:
        return 2.0 if x > 1.0 else 3.0

    async def gather(x: Any) -> Any:
        (found,) = await asyncio.gather(scale(x), return_exceptions=True)
        return 1.0 if isinstance(found, BaseException) else found

    return swallowing(lambda x: asyncio.run(gather(x)))


@fooling("swallowed", "loud")
def by_a_test_of_an_exception() -> Case:
    case = unittest.TestCase()

    def attempt(x: float) -> float:
        try:
            with case.assertRaises(RuntimeError):  # noqa: PT027 (a program, not a test)
                if x > 0.0:
                    raise RuntimeError
        except AssertionError:
            return 2.0
        return 3.0

    return swallowing(attempt)


@fooling("swallowed", "loud")
def by_a_default_of_json() -> Case:
    def attempt(x: float) -> int:
        try:
            text = json.dumps({"x": x}, default=str)
        except Exception:
            text = ""
        return len(text)

    return swallowing(attempt)


@fooling("swallowed", "loud")
def by_an_error_in_a_destructor() -> Case:
    seen: list[float] = []

    class Last:
        def __init__(self, x: Any) -> None:
            self.x = x

        def __del__(self) -> None:
            with contextlib.suppress(Exception):
                seen.append(1.0 if self.x > 0.0 else 2.0)

    def attempt(x: float) -> float:
        Last(x)
        return seen.pop() if seen else 5.0

    return swallowing(attempt)


@fooling("swallowed", "loud")
def by_turning_it_into_another_error() -> Case:
    def attempt(x: float) -> float:
        try:
            try:
                return 1.0 if x > 0.0 else 2.0
            except Exception as error:
                raise KeyError("size") from error
        except KeyError:
            return 3.0

    return swallowing(attempt)


@fooling("swallowed", "loud")
def by_a_generator_that_is_closed() -> Case:
    def sizes(x: float) -> Any:
        try:
            yield 1.0
            yield 2.0 if x > 0.0 else 3.0
        except Exception:
            yield 4.0

    return swallowing(lambda x: list(sizes(x))[-1])


@fooling("swallowed", "loud")
def of_a_loss_and_not_of_an_argument() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        loss = (w * x - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        try:
            rate = 0.1 if w.grad > 0.0 else 0.2
        except Exception:
            rate = 0.3
        w.data -= rate * w.grad
        return loss

    return Case(step, observe=lambda: w)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
