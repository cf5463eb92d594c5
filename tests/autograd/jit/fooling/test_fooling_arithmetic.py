"""Programs that compute with plain numbers by every operator, and assign to `.data` and `.grad`."""

from __future__ import annotations

import math
import operator
import random
from typing import Any

import pytest
from fooling_harness import XS, Case, Fooling, assert_expected, fooling, programs

from autograd import Value


def with_number(function: Any, calls: Any = None) -> Case:
    """A program that multiplies a weight by a function of its argument, and returns both."""
    w = Value(2.0)

    def step(*xs: Any) -> Any:
        number = function(*xs)
        return w * number, number

    return Case(step, calls=calls or [(x,) for x in XS])


def whole() -> list[tuple[int]]:
    return [(n,) for n in (1, 2, 3, 5, 7, 4, 6, 9, 12, 10)]


# --- floats ---------------------------------------------------------------------------------------


@fooling("floats", "equal")
def the_four_operations() -> Case:
    return with_number(lambda x: (x + 1.0) * (2.0 - x) / (3.0 + x * x) - -x + +x)


@fooling("floats", "equal")
def absolute_numbers() -> Case:
    return with_number(lambda x: abs(x) + abs(-x) * operator.abs(x))


@fooling("floats", "equal")
def whole_powers_of_negative_numbers() -> Case:
    return with_number(lambda x: x**2 + x**3 + x**0 + (-x) ** -1)


@fooling("floats", "equal")
def a_root_of_a_negative_number_is_complex() -> Case:
    calls = [(x,) for x in (1.0, 2.0, 3.0, -1.0, 4.0, -2.0, 5.0, 6.0, 7.0, -3.0)]
    return with_number(lambda x: abs(x**0.5), calls)


# From Python 3.12 on, sum() compensates the rounding of floats, but not of other numbers.
COMPENSATES = sum([1e16, 1.0, 1.0]) == 1e16 + 2.0


@fooling("floats", "loud" if COMPENSATES else "equal")
def a_sum_of_many() -> Case:
    return with_number(lambda xs: sum(xs), [([x, 1e16, 1.0, -1e16, 0.1 * x] * 3,) for x in XS])


@fooling("floats", "loud" if COMPENSATES else "equal")
def a_sum_with_a_start() -> Case:
    calls = [([x, 1e16, 1.0, -1e16, 0.1 * x],) for x in XS]
    return with_number(lambda xs: sum(xs, 0.5), calls)


@fooling("floats", "equal")
def a_product() -> Case:
    calls = [(x, 0.3, 1.0 + x) for x in XS]
    return with_number(lambda a, b, c: a * b * c * b * a, calls)


@fooling("floats", "equal")
def a_product_by_math() -> Case:
    return with_number(lambda a, b: math.prod([a, b, a]), [(x, 0.3) for x in XS])


@fooling("floats", "loud")
def a_product_of_sums() -> Case:
    return with_number(lambda a, b: math.dist((a, b), (0.0, 1.0)), [(x, 0.3) for x in XS])


@fooling("floats", "loud")
def detects_nan_by_inequality() -> Case:
    calls = [(x,) for x in (1.0, 2.0, 3.0, math.nan, 4.0, math.nan, 5.0, 6.0, 7.0, math.nan)]
    return with_number(lambda x: 0.0 if x != x else x, calls)


@fooling("floats", "loud")
def rounds_to_two_digits() -> Case:
    return with_number(lambda x: round(x * 1.23456, 2))


@fooling("floats", "loud")
def divides_with_remainder() -> Case:
    return with_number(lambda x: divmod(x, 0.3)[1] + x % 0.7 - x // 0.2)


@fooling("floats", "equal")
def assigns_in_place() -> Case:
    def function(x: float) -> float:
        y = x
        y += 1.0
        y *= x
        y -= 0.5
        y /= 3.0
        return y

    return with_number(function)


@fooling("floats", "equal")
def special_methods_by_name() -> Case:
    return with_number(lambda x: x.__add__(1.0) * x.__rsub__(2.0) + x.__neg__())


@fooling("floats", "equal")
def overflows_to_infinity() -> Case:
    calls = [(x,) for x in (1.0, 2.0, 1e200, 1e10, -1e200, 3.0, 1e300, 0.0, 1e-200, -1e300)]
    return with_number(lambda x: x * x * 1e10, calls)


@fooling("floats", "equal")
def catches_an_overflow() -> Case:
    def function(x: float) -> float:
        try:
            return x**2.0
        except OverflowError:
            return -1.0

    calls = [(x,) for x in (1.0, 2.0, 3.0, 4.0, 1e200, 5.0, 1e200, 6.0, 7.0, 1e200)]
    return with_number(function, calls)


@fooling("floats", "equal")
def mixes_numbers_with_bools() -> Case:
    return with_number(lambda x: x * True + False - x * (2 > 1))


# --- whole numbers --------------------------------------------------------------------------------


@fooling("whole", "loud")
def operations_that_need_whole_numbers() -> Case:
    return with_number(lambda n: math.gcd(n, 6) + math.isqrt(n) + operator.index(n), whole())


@fooling("whole", "loud")
def inverts_and_divides_bits() -> Case:
    return with_number(lambda n: (~n & 7) + (n >> 1) + pow(n, 2, 5), whole())


@fooling("whole", "equal")
def a_negative_power() -> Case:
    return with_number(lambda n: n**-1 + 2**-n, whole())


@fooling("whole", "loud")
def names_a_weight_by_number() -> Case:
    weights = {f"w{n}": Value(0.5 * n) for n in range(20)}
    return Case(lambda n: weights[f"w{n}"] * 2.0, calls=whole())


@fooling("whole", "loud")
def names_a_weight_by_percent_formatting() -> Case:
    weights = {f"w{n}": Value(0.5 * n) for n in range(20)}
    return Case(lambda n: weights["w%d" % n] * 2.0, calls=whole())  # noqa: UP031 (C reads n here)


@fooling("whole", "loud")
def seeds_by_the_argument() -> Case:
    return with_number(lambda n: random.Random(n).random(), whole())


@fooling("whole", "loud")
def digits_of_a_number() -> Case:
    return with_number(lambda n: len(str(n)) + len(bin(n)) + int(chr(48 + n % 10)), whole())


@fooling("whole", "loud")
def bytes_of_a_number() -> Case:
    return with_number(lambda n: int.from_bytes(n.to_bytes(4, "big"), "little") % 97, whole())


@fooling("whole", "loud")
def attributes_of_a_number() -> Case:
    return with_number(lambda n: n.numerator + n.denominator + n.real, whole())


@fooling("whole", "equal")
def a_weight_to_the_power_of_the_argument() -> Case:
    w = Value(1.5)

    def step(n: int) -> Any:
        out = w**n
        w.grad = 0.0
        out.backward()
        return out

    return Case(step, calls=[(n,) for n in (2, 3, 4, 1, 0, 5, -1, 2, 3, 6)], observe=lambda: w)


@fooling("whole", "loud")
def stops_a_loop_at_the_argument() -> Case:
    w = Value(0.5)

    def step(n: int) -> Any:
        out = w
        i = 0
        while i < n:
            out = out + w * i
            i += 1
        return out

    return Case(step, calls=whole())


@fooling("whole", "equal")
def a_loop_of_a_constant_length() -> Case:
    w = Value(0.5)

    def step(x: float) -> Any:
        out, i = w, 0
        while i < 5:
            out = out + w * x * (i % 3) / (i // 2 + 1)
            i += 1
        return out

    return Case(step)


# --- assignments ----------------------------------------------------------------------------------


def assigning(assign: Any) -> Case:
    """A program that assigns to two weights between two products."""
    a, b = Value(0.5, "a"), Value(-1.5, "b")

    def step(x: float) -> Any:
        before = a * b * x
        assign(a, b, x)
        return before, a * b + x

    return Case(step, observe=lambda: (a, b))


@fooling("assignments", "equal")
def exchanges_two_weights() -> Case:
    def assign(a: Value, b: Value, x: float) -> None:
        a.data, b.data = b.data, a.data

    return assigning(assign)


@fooling("assignments", "equal")
def assigns_an_argument_and_a_constant() -> Case:
    def assign(a: Value, b: Value, x: float) -> None:
        a.data = x
        b.data, b.grad = 0.25, x * 2.0

    return assigning(assign)


@fooling("assignments", "equal")
def assigns_a_whole_number_and_a_bool() -> Case:
    def assign(a: Value, b: Value, x: float) -> None:
        a.data = 3
        b.grad = 1

    return assigning(assign)


@fooling("assignments", "loud")
def assigns_a_rounded_number() -> Case:
    def assign(a: Value, b: Value, x: float) -> None:
        a.data = round(a.data + x, 3)

    return assigning(assign)


@fooling("assignments", "loud")
def converts_before_it_assigns() -> Case:
    def assign(a: Value, b: Value, x: float) -> None:
        a.data = float(b.data * 0.5 + x)

    return assigning(assign)


@fooling("assignments", "equal")
def assigns_twice() -> Case:
    def assign(a: Value, b: Value, x: float) -> None:
        a.data = a.data + x
        b.data = a.data * 0.5
        a.data -= b.data

    return assigning(assign)


@fooling("assignments", "equal")
def assigns_and_restores() -> Case:
    def assign(a: Value, b: Value, x: float) -> None:
        old = a.data
        try:
            a.data = 100.0 * x
        finally:
            a.data = old

    return assigning(assign)


@fooling("assignments", "equal")
def assigns_to_a_value_made_inside() -> Case:
    w = Value(0.5)

    def step(x: float) -> Any:
        v = Value(x)
        v.data = v.data * 2.0 + w.data
        v.grad = 0.5
        out = v * w
        out.backward()
        return out, v, v.grad

    return Case(step, observe=lambda: w)


@fooling("assignments", "equal")
def assigns_to_the_result_of_an_operation() -> Case:
    w = Value(0.5)

    def step(x: float) -> Any:
        hidden = w * x
        hidden.data = 5.0
        out = hidden * hidden
        w.grad = 0.0
        out.backward()
        return out, hidden

    return Case(step, observe=lambda: w)


@fooling("assignments", "equal")
def adds_to_a_gradient_by_hand() -> Case:
    w = Value(0.5)

    def step(x: float) -> Any:
        w.grad += 0.1 * w.data
        (w * x).backward()
        w.grad = w.grad / 2.0
        return w.grad

    return Case(step, observe=lambda: w)


@fooling("assignments", "equal")
def clears_gradients_with_a_comprehension() -> Case:
    ws = [Value(0.5), Value(1.5)]

    def step(x: float) -> Any:
        [setattr(w, "grad", 0.0) for w in ws]
        (ws[0] * x * ws[1]).backward()
        return {i: w.grad for i, w in enumerate(ws)}

    return Case(step, observe=lambda: ws)


@fooling("assignments", "equal")
def reads_through_vars_of_a_dataclass_like_object() -> Case:
    class Params:
        def __init__(self) -> None:
            self.w, self.b = Value(0.5), Value(1.5)

    params = Params()

    def step(x: float) -> Any:
        out = params.w * x + params.b
        out.backward()
        for p in vars(params).values():
            p.data -= 0.1 * p.grad
            p.grad = 0.0
        return out

    return Case(step, observe=lambda: params)


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
