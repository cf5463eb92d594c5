"""Programs that count, index and divide: whole numbers stay exact, or are refused."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from fooling_harness import Case, Fooling, assert_expected, fooling, programs

from autograd import Value


def whole(*more: Any) -> list[tuple[Any, ...]]:
    return [(n, *more) for n in (1, 2, 3, 5, 7, 4, 6, 9, 12, 10)]


def large() -> list[tuple[int]]:
    return [(n,) for n in (3, 5, 2**27 + 1, 94906267, 7, 2**30 + 3, 11, 2**26, 1, 2**40 + 1)]


@fooling("whole", "equal")
def squares_past_two_to_the_53() -> Case:
    w = Value(1.0)
    return Case(lambda n: w * (n * n - (n - 1) * (n + 1)), calls=large())


@fooling("whole", "loud")
def adds_one_to_a_large_number() -> Case:
    w = Value(0.5)
    calls = [(n,) for n in (1, 2, 2**53, 2**53 + 2, 4, 2**53 - 1, 5, 6, 2**54, 2**53)]
    return Case(lambda n: w * ((n + 1) - n), calls=calls)


@fooling("whole", "equal")
def multiplies_by_a_whole_number() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * n + n, calls=whole())


@fooling("whole", "equal")
def divides_two_whole_numbers() -> Case:
    w = Value(0.5)
    return Case(lambda n, m: w * (n / m), calls=whole(3))


@fooling("whole", "loud")
def divides_large_whole_numbers() -> Case:
    w = Value(1.0)
    calls = [(n, 3) for n in (1, 2, 3 * (2**60 + 1), 9, 3 * 2**62 + 1, 5, 6, 7, 8, 2**61 + 1)]
    return Case(lambda n, m: w * (n * n / m), calls=calls)


@fooling("whole", "loud")
def halves_rounding_down() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * (n // 2), calls=whole())


@fooling("whole", "loud")
def takes_the_remainder() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * (n % 3) + divmod(n, 4)[1], calls=whole())


@fooling("whole", "loud")
def takes_the_remainder_of_floats() -> Case:
    w = Value(0.5)
    return Case(lambda x: w * (x % 1.0) + x // 0.25)


@fooling("whole", "loud")
def repeats_as_often_as_the_argument_says() -> Case:
    w = Value(0.5)

    def step(n: int) -> Any:
        out = w
        for _ in range(n):
            out = out * 1.5
        return out

    return Case(step, calls=whole())


@fooling("whole", "loud")
def indexes_by_the_argument() -> Case:
    weights = [Value(0.5 * i) for i in range(20)]
    return Case(lambda n: weights[n] * 2.0, calls=whole())


@fooling("whole", "loud")
def slices_up_to_the_argument() -> Case:
    weights = [Value(0.5 * i) for i in range(20)]
    return Case(lambda n: sum(weights[:n], Value(0.0)), calls=whole())


@fooling("whole", "equal")
def has_a_static_index() -> Case:
    weights = [Value(0.5 * i) for i in range(20)]
    calls = [(i, float(n)) for n, i in enumerate((1, 1, 1, 2, 2, 2, 1, 2, 2, 1))]
    return Case(lambda index, x: weights[index] * x, calls=calls, static=("index",))


@fooling("whole", "loud")
def multiplies_a_list() -> Case:
    w = Value(0.5)
    return Case(lambda n: sum([w] * n, Value(0.0)), calls=whole())


@fooling("whole", "loud")
def shifts_and_masks() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * ((n << 2) ^ (n & 5) | 1), calls=whole())


@fooling("whole", "loud")
def asks_for_the_bit_length() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * n.bit_length(), calls=whole())


@fooling("whole", "loud")
def branches_on_odd_and_even() -> Case:
    w = Value(0.5)
    return Case(lambda n: w if n % 2 else -w, calls=whole())


@fooling("whole", "loud")
def computes_a_factorial() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * math.factorial(n) / math.comb(n + 2, 2), calls=whole())


@fooling("whole", "equal")
def raises_to_a_whole_power() -> Case:
    w = Value(0.5)
    return Case(lambda n: w**2 * n**2 + (-n) ** 3, calls=whole())


@fooling("whole", "loud")
def raises_two_to_a_large_power() -> Case:
    w = Value(1.0)
    calls = [(n,) for n in (2, 3, 70, 1, 60, 54, 5, 53, 80, 64)]
    return Case(lambda n: w * ((3**n + 1) % 1000), calls=calls)


@fooling("whole", "loud")
def computes_with_fractions() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * (Fraction(1, 3) * n + Fraction(n, 7)), calls=whole())


@fooling("whole", "loud")
def is_passed_a_fraction() -> Case:
    w = Value(0.5)
    calls = [(Fraction(n, 3),) for (n,) in whole()]
    return Case(lambda q: w * (q * 3), calls=calls)


@fooling("whole", "loud")
def computes_with_decimals() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * float(Decimal(n) / Decimal(7)), calls=whole())


@fooling("whole", "loud")
def wraps_a_numpy_byte() -> Case:
    w = Value(0.5)
    calls = [(np.uint8(n),) for n in (1, 2, 3, 100, 30, 20, 120, 5, 9, 127)]
    return Case(lambda n: w * (n + n), calls=calls)


@fooling("whole", "loud")
def wraps_a_numpy_whole_number() -> Case:
    w = Value(0.5)
    calls = [(np.int32(n),) for n in (1, 2, 3, 46341, 5, 50000, 7, 8, 70000, 65536)]

    def step(n: Any) -> Any:
        with np.errstate(over="ignore"):
            return w * (n * n)

    return Case(step, calls=calls)


@fooling("whole", "loud")
def computes_in_half_precision() -> Case:
    w = Value(0.5)
    calls = [(np.float16(x),) for x in (0.1, 0.2, 0.3, 0.7, 1.1, 2.3, 3.3, 5.1, 0.9, 0.6)]
    return Case(lambda x: w * (x * x + x), calls=calls)


@fooling("whole", "loud")
def computes_in_an_array_of_whole_numbers() -> Case:
    w = Value(0.5)
    calls = [(np.array([n, n + 1, 2 * n]),) for (n,) in whole()]
    return Case(lambda ns: w * int((ns // 2).sum()), calls=calls)


@fooling("whole", "loud")
def sums_an_array_of_whole_numbers() -> Case:
    w = Value(0.5)
    calls = [(np.array([n, n + 1, 2 * n]),) for (n,) in whole()]
    return Case(lambda ns: [w * n for n in ns], calls=calls)


@fooling("whole", "equal")
def adds_bools() -> Case:
    w = Value(0.5)

    def step(x: float, flag: bool, other: bool) -> Any:
        return w * x * (flag + other) - (flag and not other)

    flags = [(True, True)] * 3 + [(True, False)] * 3 + [(False, False)] * 4
    return Case(step, calls=[(0.5 * n, *pair) for n, pair in enumerate(flags)])


@fooling("whole", "loud")
def counts_how_many_are_positive() -> Case:
    w = Value(0.5)
    calls = [([n - 4.0, 2.0 - n, n * 0.5],) for (n,) in whole()]
    return Case(lambda xs: w * sum(x > 0 for x in xs), calls=calls)


@fooling("whole", "loud")
def returns_a_whole_number() -> Case:
    w = Value(0.5)
    return Case(lambda n: (w * n, n + 1, n * n, -n, n // 1), calls=whole())


@fooling("whole", "equal")
def returns_its_arguments() -> Case:
    w = Value(0.5)
    return Case(lambda n, x: (w * n, n, x, [n, x], {"n": n}), calls=whole(0.5))


@fooling("whole", "loud")
def rounds_to_a_whole_number() -> Case:
    w = Value(0.5)
    return Case(lambda x: w * round(x) + math.trunc(x))


@fooling("whole", "loud")
def looks_up_the_argument_in_a_dict() -> Case:
    table = {n: Value(float(n)) for n in range(20)}
    return Case(lambda n: table[n] * 2.0, calls=whole())


@fooling("whole", "loud")
def checks_membership_in_a_set() -> Case:
    w = Value(0.5)
    return Case(lambda n: w * (2.0 if n in {3, 4, 12} else 1.0), calls=whole())


@fooling("whole", "equal")
def weights_examples_by_their_index() -> Case:
    w = Value(0.5)

    def step(xs: list[float]) -> Any:
        return sum((w * x * i for i, x in enumerate(xs)), Value(0.0)) / len(xs)

    return Case(step, calls=[([1.0 * n, 2.0 - n, n / 3],) for (n,) in whole()])


@pytest.mark.parametrize("program", programs(__name__), ids=str)
def test_a_program_is_replayed_correctly_or_refused(program: Fooling) -> None:
    assert_expected(program)
