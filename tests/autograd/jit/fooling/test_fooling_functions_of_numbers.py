"""Programs that hand numbers to C: NumPy, math, formatting, conversions and comparisons."""

from __future__ import annotations

import bisect
import cmath
import decimal
import functools
import json
import logging
import math
import operator
import pickle
import statistics
import struct
from typing import Any

import numpy as np
import pytest
from fooling_harness import XS, Case, Fooling, assert_expected, fooling, programs

from autograd import Value, maximum

PAIRS = [(np.array([x, 1.0 - x, 0.5 * x]),) for x in XS]


def with_number(function: Any, calls: Any = None) -> Case:
    """A program that multiplies a weight by a function of its argument."""
    w = Value(2.0)
    return Case(lambda x: w * function(x), calls=calls or [(x,) for x in XS])


# --- numpy ----------------------------------------------------------------------------------------


@fooling("numpy", "loud")
def exponential_of_an_argument() -> Case:
    return with_number(lambda x: float(np.exp(x)))


@fooling("numpy", "loud")
def sine_without_float() -> Case:
    return with_number(lambda x: np.sin(x))


@fooling("numpy", "loud")
def maximum_of_an_argument() -> Case:
    return with_number(lambda x: np.maximum(x, 0.0))


@fooling("numpy", "loud")
def where_of_an_argument() -> Case:
    return with_number(lambda x: np.where(x > 0, x, -x).item())


@fooling("numpy", "loud")
def clip_and_sign_of_an_argument() -> Case:
    return with_number(lambda x: np.clip(x, -1.0, 1.0) + np.sign(x))


@fooling("numpy", "loud")
def makes_an_array_of_arguments() -> Case:
    w = Value(2.0)
    return Case(lambda x, y: w * float(np.array([x, y]).sum()), calls=[(x, x * x) for x in XS])


@fooling("numpy", "loud")
def reduces_an_array() -> Case:
    return with_number(lambda xs: float(xs.mean()) + float(np.linalg.norm(xs)), PAIRS)


@fooling("numpy", "equal")
def sums_the_entries_of_an_array() -> Case:
    return with_number(lambda xs: sum(xs[1:]) - xs[0], PAIRS)


@fooling("numpy", "loud")
def finds_the_largest_entry() -> Case:
    w = [Value(1.0), Value(2.0), Value(4.0)]
    return Case(lambda xs: w[int(np.argmax(xs))] * xs[0], calls=PAIRS)


@fooling("numpy", "loud")
def selects_entries_by_a_mask() -> Case:
    w = Value(2.0)
    return Case(lambda xs: [w * x for x in xs[xs > 0.0]], calls=PAIRS)


@fooling("numpy", "equal")
def computes_with_whole_arrays() -> Case:
    w = Value(2.0)
    return Case(lambda xs: list(w * (xs * 2.0 - 1.0) + xs[::-1]), calls=PAIRS)


@fooling("numpy", "equal")
def multiplies_an_array_of_constants() -> Case:
    w, data = Value(2.0), np.array([[1.0, 2.0], [3.0, 4.0]])

    def step(x: float) -> Any:
        return [w * x * entry for entry in (data @ data).ravel()]

    return Case(step)


@fooling("numpy", "loud")
def writes_into_an_array_of_floats() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        buffer = np.zeros(2)
        buffer[0] = x
        return w * float(buffer.sum())

    return Case(step)


@fooling("numpy", "loud")
def reads_gradients_into_an_array() -> Case:
    ws = [Value(1.0), Value(-2.0)]

    def step(x: float) -> Any:
        loss = (ws[0] * x + ws[1]) ** 2
        for w in ws:
            w.grad = 0.0
        loss.backward()
        gradients = np.array([w.grad for w in ws])
        gradients /= np.linalg.norm(gradients) + 1e-3
        for w, g in zip(ws, gradients, strict=True):
            w.data -= 0.1 * g
        return loss

    return Case(step, observe=lambda: ws)


@fooling("numpy", "loud")
def returns_an_array() -> Case:
    w = Value(2.0)
    return Case(lambda x: (w * x, np.array([x, 2.0 * x])))


@fooling("numpy", "equal")
def returns_a_constant_array() -> Case:
    w = Value(2.0)
    return Case(lambda x: (w * x, np.arange(3.0)))


# --- math and the library -------------------------------------------------------------------------


@fooling("math", "loud")
def exponential() -> Case:
    return with_number(math.exp)


@fooling("math", "loud")
def hypotenuse_and_arc_tangent() -> Case:
    return with_number(lambda x: math.hypot(x, 1.0) + math.atan2(x, 2.0))


@fooling("math", "loud")
def floor_and_absolute() -> Case:
    return with_number(lambda x: math.floor(x) + math.fabs(x))


@fooling("math", "loud")
def copies_a_sign() -> Case:
    return with_number(lambda x: math.copysign(1.0, x))


@fooling("math", "equal")
def asks_whether_it_is_finite() -> Case:
    calls = [(x,) for x in (1.0, 2.0, 3.0, math.inf, 1.0, math.nan, 2.0, -math.inf, 1.0, math.inf)]
    w = Value(2.0)
    return Case(lambda x: w * x if math.isfinite(x) else w, calls=calls)


@fooling("math", "equal")
def passes_infinities_and_nans_through() -> Case:
    calls = [(x,) for x in (1.0, 2.0, 3.0, math.inf, 1.0, math.nan, -0.0, -math.inf, 0.0, math.inf)]
    w = Value(2.0)
    return Case(lambda x: (w * x).relu() + maximum(w * x, -0.0), calls=calls)


@fooling("math", "loud")
def exact_sum() -> Case:
    w = Value(2.0)
    return Case(lambda *xs: w * math.fsum(xs), calls=[(x, 1e-9, -x * 0.3) for x in XS])


@fooling("math", "loud")
def mean_and_median() -> Case:
    w = Value(2.0)
    return Case(
        lambda *xs: w * (statistics.fmean(xs) + statistics.median(xs)),
        calls=[(x, 1.5, -x * 0.3) for x in XS],
    )


@fooling("math", "loud")
def complex_numbers() -> Case:
    return with_number(lambda x: abs(cmath.exp(complex(0.0, x)) + 1.0))


@fooling("math", "loud")
def multiplies_by_the_imaginary_unit() -> Case:
    return with_number(lambda x: (x * 1j * 1j).real)


@fooling("math", "loud")
def fraction_of_a_float() -> Case:
    return with_number(lambda x: x.as_integer_ratio()[0] + (1.0 if x.is_integer() else 0.0))


@fooling("math", "loud")
def decimal_of_a_float() -> Case:
    return with_number(lambda x: float(decimal.Decimal(x) * 2))


@fooling("math", "loud")
def packs_and_unpacks_a_float() -> Case:
    return with_number(lambda x: struct.unpack("f", struct.pack("f", x))[0])


@fooling("math", "equal")
def reduces_with_operators() -> Case:
    w = Value(2.0)
    return Case(
        lambda *xs: w * functools.reduce(operator.mul, xs, 1.0) - operator.neg(xs[0]),
        calls=[(x, 1.5, -x * 0.3) for x in XS],
    )


@fooling("math", "loud")
def asks_the_methods_of_float() -> Case:
    return with_number(lambda x: float.__add__(x, 1.0) + x.real - x.imag + x.conjugate())


@fooling("math", "loud")
def calls_the_operators_of_float_unbound() -> Case:
    return with_number(lambda x: float.__mul__(x, 3.0))


@fooling("math", "equal")
def powers_of_an_argument() -> Case:
    calls = [(abs(x),) for x in XS]
    return with_number(lambda x: x**0.5 + 2.0**x + pow(x, 3) + x**-1, calls)


@fooling("math", "loud")
def looks_up_a_bin() -> Case:
    edges = [-1.0, 0.0, 1.0]
    return with_number(lambda x: bisect.bisect(edges, x))


@fooling("math", "loud")
def largest_of_two() -> Case:
    return with_number(lambda x: max(x, 0.0) + min(x, 1.0))


@fooling("math", "loud")
def chained_comparison() -> Case:
    return with_number(lambda x: 1.0 if -1.0 < x <= 1.0 else 2.0)


@fooling("math", "loud")
def equal_to_a_number() -> Case:
    calls = [(x,) for x in (1.0, 2.0, 3.0, 0.75, 0.75, 4.0, 0.75, 1.0, 1.0, 0.75)]
    return with_number(lambda x: 5.0 if x == 0.75 else x, calls)


@fooling("math", "loud")
def falls_back_where_it_is_zero() -> Case:
    calls = [(x,) for x in (1.0, 2.0, 3.0, 0.0, 0.0, 4.0, 0.0, 1.0, 1.0, 0.0)]
    return with_number(lambda x: x or 9.0, calls)


@fooling("math", "loud")
def compares_tuples() -> Case:
    return with_number(lambda x: 2.0 if (x, 1) > (0.0, 2) else 3.0)


# --- text -----------------------------------------------------------------------------------------


@fooling("text", "loud")
def returns_a_formatted_loss() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        loss = (w * x) ** 2
        return loss, f"loss {loss.data:.3f}"

    return Case(step)


@fooling("text", "loud")
def returns_a_loss_formatted_by_percent() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        loss = (w * x) ** 2
        return loss, "loss %.3f at %g" % (loss.data, x)  # noqa: UP031 (C reads the numbers here)

    return Case(step)


@fooling("text", "loud")
def returns_json() -> Case:
    w = Value(2.0)

    def step(x: float) -> Any:
        loss = (w * x) ** 2
        return json.dumps({"loss": loss.data, "x": x})

    return Case(step)


@fooling("text", "loud")
def returns_the_repr_of_a_value() -> Case:
    w = Value(2.0)
    return Case(lambda x: repr(w * x))


@fooling("text", "loud")
def parses_what_it_printed() -> Case:
    return with_number(lambda x: float("%.1f" % x))  # noqa: UP031 (C reads the numbers here)


@fooling("text", "loud")
def hashes_a_number() -> Case:
    return with_number(lambda x: hash(x) % 7)


@fooling("text", "loud")
def keeps_losses_by_number_in_a_dict() -> Case:
    w = Value(2.0)
    return Case(lambda x: {x: w * x, 1.0: w})


@fooling("text", "loud")
def pickles_a_number() -> Case:
    return with_number(lambda x: pickle.loads(pickle.dumps(x)))


@fooling("text", "effect")
def logs_that_it_ran() -> Case:
    w = Value(2.0)
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    log = logging.getLogger("fooling")
    log.propagate = False
    log.handlers = [Kept()]
    log.setLevel(logging.INFO)

    def step(x: float) -> Any:
        log.info("a step of %d weight", 1)
        return w * x

    return Case(step, effects=lambda: list(lines), close=log.handlers.clear)


@fooling("text", "effect")
def logs_the_loss() -> Case:
    w = Value(2.0)
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    log = logging.getLogger("fooling")
    log.propagate = False
    log.handlers = [Kept()]
    log.setLevel(logging.INFO)

    def step(x: float) -> Any:
        loss = (w * x) ** 2
        log.info("loss %.3f", loss.data)
        return loss

    return Case(step, effects=lambda: list(lines), close=log.handlers.clear)


# --- C functions of arguments that vary late or rarely --------------------------------------------


@fooling("seldom another argument", "loud")
def a_logarithm_of_a_sparse_reward() -> Case:
    w = Value(2.0)
    calls = [(float(i in (4, 7)),) for i in range(10)]
    return Case(lambda reward: w * math.log1p(reward), calls=calls)


@fooling("seldom another argument", "loud")
def a_temperature_that_is_lowered() -> Case:
    w = Value(2.0)
    calls = [(x, 1.0 if i < 5 else 0.5) for i, x in enumerate(XS)]
    return Case(lambda x, temperature: w * x * math.sqrt(temperature), calls=calls)


@fooling("seldom another argument", "loud")
def the_mean_of_a_list_that_is_not_0_once() -> Case:
    w = Value(2.0)
    calls = [([float(i == 4), 0.0],) for i in range(10)]
    return Case(lambda rewards: w * statistics.fmean(rewards), calls=calls)


@fooling("seldom another argument", "loud")
def a_target_is_missing_once() -> Case:
    w = Value(2.0)
    calls = [(x, math.nan if i == 5 else 1.0) for i, x in enumerate(XS)]
    return Case(lambda x, y: w * x * (0.0 if math.isnan(y) else 1.0), calls=calls)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
