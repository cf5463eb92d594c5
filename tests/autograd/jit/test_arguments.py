"""Which arguments and results may a jitted function have, and do they equal the eager ones?"""

from __future__ import annotations

import array
import collections
import dataclasses
import enum
import functools
import itertools
import math
import operator
import re
import sys
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from side_by_side import BACKENDS, comparable, same, same_or_refused

import nn
from autograd import Primitive, Value, grad, maximum
from autograd.jit import TraceError, jit
from nn import Matrix
from nn.matrix import total

w = Value(2.0, "w")
factorial = Primitive("factorial", lambda n: math.factorial(int(n)), 0.0)


class Point(NamedTuple):
    x: Any
    y: Any


class Celsius(float):
    pass


class Index(int):
    pass


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def numbers_in(thing: Any) -> list[Any]:
    """Numbers and Values of a nest, in order."""
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, Matrix):
        thing = thing.rows
    many = isinstance(thing, list | tuple | collections.deque | array.array)
    if many or getattr(thing, "shape", ()) != ():
        return [x for part in thing for x in numbers_in(part)]
    return [] if isinstance(thing, str | bool | bytes | type(None)) else [thing]


def weighed(*args: Any, **kwargs: Any) -> Any:
    """A loss that depends on every number of the arguments; its gradient is left in w."""
    found = numbers_in([args, kwargs])
    loss = total([w * 0.5, *[(0.3 + 0.1 * i) * x * w for i, x in enumerate(found)]])
    w.grad = 0.0
    loss.backward()
    return loss, [args, kwargs]


NESTS: dict[str, list[Any]] = {
    "a number": [1.5, -2.0],
    "a whole number": [3, -4],
    "a bool": [True, False, True],
    "np.float64": [np.float64(1.5), np.float64(2.5)],
    "an array of no dimension": [np.array(1.5), np.array(2.5)],
    "a list": [[1.0, 2.0], [3.0, 4.0]],
    "an empty list": [[], []],
    "empty lists in a list": [[[], []], [[], []]],
    "ints and floats": [[1, 2.5, 3], [4.5, 5, 6]],
    "rows": [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]],
    "tuples of lists": [([1.0], [2.0, 3.0], 4.0), ([5.0], [6.0, 7.0], 8.0)],
    "a tuple of pairs": [((1.0, 2), (3, 4)), ((5.0, 6), (7, 8))],
    "ragged": [[[1.0], [2.0, 3.0], []], [[4.0], [5.0, 6.0], []]],
    "a dict": [{"a": 1.0, "b": [2.0]}, {"a": 3.0, "b": [4.0]}],
    "a dict in another order": [{"a": 1.0, "b": 2.0}, {"b": 3.0, "a": 4.0}],
    "an ordered dict": [collections.OrderedDict(a=1.0), collections.OrderedDict(a=2.0)],
    "a named tuple": [Point(1.0, [2.0]), Point(3.0, [4.0])],
    "a data set": [nn.data.Dataset([[1.0, 2.0]], [1]), nn.data.Dataset([[3.0, 4.0]], [-1])],
    "an array": [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
    "a table": [np.arange(6.0).reshape(2, 3), np.ones((2, 3)) / 3],
    "a strided array": [np.arange(12.0)[::3], np.arange(12.0)[::-3]],
    "a transposed table": [np.arange(6.0).reshape(2, 3).T, np.ones((3, 2)) / 3],
    "an empty array": [np.zeros((0, 3)), np.zeros((0, 3))],
    "three dimensions": [np.arange(8.0).reshape(2, 2, 2), -np.arange(8.0).reshape(2, 2, 2)],
    "another byte order": [np.array([1.5, 2.5], dtype=">f8"), np.array([3.5, 4.5], dtype=">f8")],
    "a deque": [collections.deque([1.0, 2.0]), collections.deque([3.0, 4.0])],
    "an array.array": [array.array("d", [1.0, 2.0]), array.array("d", [3.0, 4.0])],
    "strings and None": [["a", None, 1.0], ["b", None, 2.0], ["a", None, 3.0]],
    "a huge number": [10.0**300, -(10.0**300)],
    "inf and nan": [float("inf"), float("nan"), 1.0],
}


@pytest.mark.parametrize("name", NESTS)
def test_arguments_work_as_eagerly(name: str) -> None:
    """Passed by position, by keyword, and beside another argument."""
    for arrange in (
        lambda nest: ((nest,), {}),
        lambda nest: ((), {"nest": nest}),
        lambda nest: ((1.0, nest), {"scale": 2.0}),
    ):
        for backend in BACKENDS:
            run = jit(lambda *args, **kwargs: weighed(*args, **kwargs)[0], backend=backend)
            for nest in NESTS[name] * 3:
                args, kwargs = arrange(nest)
                expected = weighed(*args, **kwargs)[0], w.grad
                found = run(*args, **kwargs), w.grad
                assert comparable(found) == comparable(expected)


# Lists that mix ints and floats are recorded as floats; the check notices where that matters.
MIXED = ("ints and floats", "a tuple of pairs")
RETURNED_AS_ANOTHER_TYPE = ("an array.array", "a deque", *MIXED)


@pytest.mark.parametrize("name", MIXED)
def test_an_argument_returned_as_another_type_is_found_by_the_check(name: str) -> None:
    run = jit(lambda nest: weighed(nest)[1])
    run(NESTS[name][0])
    run(NESTS[name][1])
    with pytest.raises(TraceError, match="a replay would not do what call 3 did"):
        run(NESTS[name][0])


@pytest.mark.parametrize("name", [name for name in NESTS if name not in RETURNED_AS_ANOTHER_TYPE])
def test_arguments_can_be_returned(name: str) -> None:
    run = jit(lambda nest: weighed(nest)[1])
    for nest in NESTS[name] * 3:
        assert comparable(numbers_in(run(nest))) == comparable(numbers_in(weighed(nest)[1]))


@pytest.mark.parametrize(
    ("argument", "instead"),
    [
        (Fraction(1, 3), "a Fraction computes in its own way: pass float() of it"),
        (np.int64(3), "int64 computes in its own way: pass .astype(float)"),
        (np.arange(6).reshape(2, 3), "pass .astype(float) of it, .tolist() of class indices, or"),
        (np.array([1, 255], dtype=np.uint32), "uint32 computes in its own way"),
        ([1.0, {"n": np.int64(3)}], "int64 computes in its own way"),
    ],
    ids=["Fraction", "np.int64", "an array of ints", "32-bit ints", "in a nest"],
)
def test_numbers_with_other_arithmetic_than_floats_are_refused(argument: Any, instead: str) -> None:
    """Eagerly a Fraction is exact, and NumPy's ints wrap around."""
    run = jit(lambda x: weighed(x)[0])
    for _ in range(3):
        with pytest.raises(TraceError, match=f"{re.escape(instead)}.*name it static"):
            run(argument)
    fixed = jit(lambda x: weighed(x)[0], static="x")
    for _ in range(3):
        assert fixed(argument).data == weighed(argument)[0].data
    assert [program.replays for program in fixed.programs] == [1]


def test_single_precision_is_refused() -> None:
    """Eager arithmetic on such arrays and numbers rounds to single precision."""
    pair = np.array([1.1, 2.3], dtype=np.float32)
    same_or_refused(lambda: (lambda a: w * (a[0] * a[1]), []), (pair,), expected="refused")
    same_or_refused(lambda: (lambda a: w * (0.1 * a), []), (np.float32(1.1),), expected="refused")
    same_or_refused(lambda: (lambda x: w * (x / pair)[0], []), (0.1,), expected="refused")


@pytest.mark.parametrize(
    ("dtype", "instead"),
    [
        (np.longdouble, ".astype(float)"),
        *[(kind, ".real and .imag") for kind in (np.complex64, np.complex128)],
        *[(kind, ".tolist()") for kind in (np.str_, "M8[s]", [("x", float), ("y", float)])],
    ],
    ids=str,
)
def test_an_array_of_what_is_no_float_is_refused(dtype: Any, instead: str) -> None:
    refused = re.escape(f"computes in its own way: pass {instead} of it")
    with pytest.raises(TraceError, match=refused):
        jit(lambda a: w * 2.0)(np.array([1], dtype))
    run = jit(lambda x: (w * x, np.array([1], dtype)))
    run(1.0)
    with pytest.raises(TraceError, match=refused):
        run(1.0)


def test_an_array_of_int_objects_is_returned_as_ints() -> None:
    def function(n: int) -> Any:
        return np.array([n, n * 2], dtype=object)

    same(lambda: (function, []), (2,), (3,), replayed=True)


def test_a_subclass_of_ndarray_is_refused() -> None:
    pair = np.array([1.5, 2.5])
    masked = np.ma.masked_array(pair, mask=[False, True])
    same_or_refused(lambda: (lambda a: w * a.sum(), []), (pair,), (masked,), expected="refused")
    with pytest.raises(TraceError, match=r"a MaskedArray .* pass np.asarray\(\) of it"):
        jit(lambda a: w * a.sum())(masked)


def test_integers_of_8_and_16_bits_are_refused() -> None:
    """Eager arithmetic on such arrays and numbers wraps around."""
    for dtype in (np.uint8, np.int16):
        array_of_one = np.array([200], dtype=dtype)
        for function, argument in (
            (lambda a: w * (a * 2)[0], array_of_one),
            (lambda a: w * (a + a), dtype(3)),
            (lambda n, a=array_of_one: w * (n * a)[0], 2),
        ):
            same_or_refused(lambda f=function: (f, []), (argument,), expected="refused")


@pytest.mark.parametrize("whole", [np.int64(3), np.int8(-128), np.uint64(2**64 - 1), np.True_])
def test_integers_and_bools_of_numpy_are_constants_beside_a_float(whole: Any) -> None:
    """With a float, NumPy computes in double precision; with an int it may wrap around."""

    def step(x: float) -> Any:
        return [x + whole, whole + x, x - whole, whole - x, x * whole, whole * x, x / whole], w * x

    same(lambda: (step, []), (2.5,), (-0.1,), (1e200,), replayed=True)
    same_or_refused(lambda: (lambda n: w * (whole * n), []), (1,), expected="refused")
    same_or_refused(lambda: (lambda x: w * whole**x, []), (2.0,), expected="refused")  # rounds


def test_a_power_of_ints_is_an_int_unless_the_exponent_is_below_0() -> None:
    functions = lambda n, m: (n**m, 1.5**m), lambda n, m: (n * 3, 3**m)
    for function, exponents in itertools.product(functions, ((2, 3, -2), (-2, -3, 2))):
        run = jit(function, check="never")
        for m in (*exponents, 0, -1):
            for _ in range(2):
                assert repr(run(2, m)) == repr(function(2, m))
        assert sum(program.replays for program in run.programs) >= 2


@pytest.mark.parametrize(
    "function",
    [
        lambda n, m: n**m,
        lambda n, m: 2.5**m,
        lambda n, m: (0.5 * n) ** m,
        lambda n, m: n ** (0.5 * m),
    ],
)
def test_a_power_of_ints_or_floats_is_replayed(function: Any) -> None:
    run = jit(lambda n, m: (function(n, m), w))
    calls = [(2, 3), (3, 2), (3, 4), (2, 5), (5, 2)]
    assert [repr(run(*call)[0]) for call in calls] == [repr(function(*call)) for call in calls]
    assert sum(program.replays for program in run.programs) == 3


def test_a_power_that_is_complex_is_refused() -> None:
    run = jit(lambda x: w * abs(x**0.5))
    run(-4.0)
    with pytest.raises(TraceError, match=r"^pow gives a complex number while the .* in its domain"):
        run(-4.0)


def test_a_power_with_a_modulus_is_refused() -> None:
    same_or_refused(lambda: (lambda n: w * pow(n, 2, 5), []), (3,), expected="refused")


NUMBERS = np.random.default_rng(0).normal(size=37)


ROWS = np.random.default_rng(1).normal(size=(20, 3))


@pytest.mark.parametrize(
    "function",
    [
        lambda a: a.cumsum()[-1],
        lambda a: a[:7].sum(),
        lambda a: a[:14:2].sum(axis=0),
        lambda a: ((a[:5] - a[5:10]) ** 2).sum(),
        lambda a: functools.reduce(operator.add, a.tolist()),
        lambda a: list(a**2) + list(a**2.0),
        lambda a: list((b := +a, operator.ipow(b, 2))[0]),  # b **= 2
        lambda a: a.prod(),
        lambda a: (abs(a[:3]) * -0.0).sum(),  # NumPy adds -0.0 to 0.0
        lambda a: list((abs(a[:36].reshape(12, 3)) * -0.0).sum(0)),
        lambda a: list(a[:36].reshape(12, 3).sum(0, where=np.arange(12)[:, None] > 3)),
        lambda a: (a[:6].reshape(2, 3).sum(), list(np.stack([a, -2.0 * a]).sum(0))),
        lambda a: (a * np.array([w] * 37)).sum(),  # objects in the eager call, too
        lambda a: (a @ np.array([w] * 37)).exp(),
    ],
)
def test_what_numpy_rounds_like_python_is_replayed(function: Any) -> None:
    same(lambda: (lambda a: (w, function(a)), []), (NUMBERS,), (-NUMBERS,), replayed=True)


def test_an_array_is_centred_as_numpy_does() -> None:
    def centred(rows: Any) -> Any:
        rows = rows + 1.0
        rows -= rows.mean(0, keepdims=True)
        return w, rows.sum(axis=0), rows.mean(1), rows

    same(lambda: (centred, []), (ROWS,), (-2.0 * ROWS,), replayed=True)


@pytest.mark.parametrize(
    "function",
    [
        np.sum,
        np.mean,
        lambda a: (a[0] * a).sum(),
        lambda a: a.reshape(1, 37).sum(0).tolist() + a.reshape(37, 1).sum(0).tolist(),
        lambda a: a[:36].reshape(12, 3).T.sum(1).tolist(),
        lambda a: a[:18].reshape(3, 3, 2)[:, ::-1].sum((0, 2)).tolist(),  # short, but in rows
        lambda a: a[:5].sum(initial=0.1),  # which is added last
        lambda a: a.sum(axis=0),
        lambda a: a[:36].reshape(4, 9).sum(axis=1).tolist(),
        lambda a: a[:6].reshape(2, 3).sum((0, 1)),
        lambda a: np.add.reduceat(a, [0, 3]).tolist(),
        lambda a: np.add.reduceat(a[:36].reshape(12, 3), [0]).tolist(),
        lambda a: np.concatenate([a, a]).sum(),
        lambda a: np.copy(a).sum(),
        lambda a: a @ a,
        lambda a: a @ np.ones(37),
        lambda a: a.dot(a),
        lambda a: np.inner(a, a),
        lambda a: np.einsum("i,i", a, a),
        lambda a: (a**3).tolist(),
        lambda a: np.power(a, 2.0).tolist(),  # which NumPy 1 does not turn into a square
        lambda a: (abs(a) ** 0.5).tolist(),
        lambda a: (abs(a[0]) ** a).tolist(),
        lambda a: (abs(a) ** a).tolist(),
        lambda a: np.power.reduce(abs(a)),
    ],
)
def test_what_numpy_rounds_in_its_own_way_is_refused(function: Any) -> None:
    """NumPy adds floats in several partial sums, but objects, such as recorded numbers, in order.

    Its power of an array may differ from Python's in the last bit, too.
    """
    run = jit(lambda a: (w, function(a)))
    run(NUMBERS)
    with pytest.raises(TraceError, match=r"of the call cannot be .* by NumPy .* one by one"):
        run(NUMBERS)


def test_an_array_beside_a_masked_one_is_refused() -> None:
    """The result would lose the mask."""
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    run = jit(lambda a: (w, np.add(a, masked)))
    run(NUMBERS[:2])
    with pytest.raises(TraceError, match=r"^a MaskedArray computes in its own way"):
        run(NUMBERS[:2])


def test_an_array_keeps_the_order_of_its_memory() -> None:
    """In which NumPy multiplies and adds."""
    orders = [(1.5 * ROWS, "C"), (ROWS, "F"), (-ROWS, "C"), (-ROWS, "F"), (2.5 * ROWS, "F")]
    calls = [(np.array(rows, order=order),) for rows, order in orders]
    same(lambda: (lambda a: (w, a.prod(), a.ravel("K")), []), *calls, replayed=True)
    run = jit(lambda rows: w * rows.sum(0))
    for _ in range(4):
        run(ROWS)
    run(np.asfortranarray(ROWS))
    with pytest.raises(TraceError, match="cannot be added by NumPy"):
        run(np.asfortranarray(ROWS))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sum() adds floats in order")
def test_the_check_finds_that_sum_compensates_the_rounding_of_floats() -> None:
    """The recorded call differs in the same way, so it is in doubt."""
    numbers = [1e16] + 36 * [1.0]  # added in order, each 1 is rounded away
    run = jit(lambda a: w * sum(a))
    assert run(numbers).data == w.data * sum(numbers)
    assert run(numbers).data == pytest.approx(w.data * sum(numbers), rel=1e-12)
    with pytest.raises(TraceError, match=r"the first result is .*; call 2 .* sum\(\) of floats"):
        run(numbers)


def test_an_int_0_has_no_sign() -> None:
    for function in (lambda n: w * -n, lambda n: w * (n * -3), lambda n: (w, -n, [n * -1])):
        same(lambda f=function: (f, []), (3,), (0,), replayed=True)


def test_large_integers_are_exact_or_refused() -> None:
    large = 2**53 + 1
    for function, number, expected in (
        (lambda n: w * (n - 2**53), large, "refused"),
        (lambda n: w * (n * n % 10**9), 123456789012, "refused"),
        (lambda n: w * (n * n), 123456789012, "refused"),
        (lambda n: w * (n * n), 94906265, "replayed"),  # the square is just below 2**53
        (lambda n: w * (n - 2**53), 2**53, "replayed"),
        (lambda n: w * (n + n), 2**52, "replayed"),
        (lambda n: w * (n + 1), 2**53, "refused"),
        (lambda n: (w, factorial(n)), 25, "refused"),
        (lambda n: w * (2.0 if isinstance(n, int) else 3.0), 2, "replayed"),
        (lambda n: (w, [n * 2, -n, n / 2]), 3, "replayed"),
    ):
        same_or_refused(lambda f=function: (f, []), (number,), expected=expected)
    # Recorded with a small number, replayed with a large one: the call is eager.
    same(lambda: (lambda n: (w, n * n + 1 - n * n), []), (3,), (3,), (123456789,))


# --- shapes ---------------------------------------------------------------------------------------


def test_one_recording_for_each_structure_and_no_more() -> None:
    run = jit(lambda *args, **kwargs: weighed(*args, **kwargs)[0])
    shapes: list[Any] = [[1.0], [1.0, 2.0], (1.0, 2.0), [[1.0, 2.0]], {"a": 1.0}, {"b": 1.0}, "a"]
    shapes += [
        "b",
        None,
        True,
        False,
        1.0,
        [[1.0], [2.0]],
        [[1.0], 2.0],
        np.ones(2),
        np.ones((2, 1)),
    ]
    for _ in range(5):
        for nest in shapes:
            assert comparable(run(nest)) == comparable(weighed(nest)[0])
    assert len(run.programs) == len(shapes)
    run(2.5)
    run([2.0])
    assert len(run.programs) == len(shapes)
    assert sum(program.replays for program in run.programs) == 3 * len(shapes) + 2


def test_a_value_made_from_an_int_holds_a_float() -> None:
    run = jit(lambda n: Value(n))
    assert [repr(run(n).data) for n in range(4)] == ["0.0", "1.0", "2.0", "3.0"]


def test_an_int_and_a_float_are_two_structures() -> None:
    """Their results have different types, and a function may test for them."""
    run = jit(lambda n: [n * 2, n + 1, n / 2, isinstance(n, int)])
    for numbers in ([1, 2, 3, 4], [0.5, 1.5, 2.5, 3.5], [3, 4.5, 5, 6.5]):
        for n in numbers:
            assert repr(run(n)) == repr(run.function(n))
    assert [program.replays for program in run.programs] == [4, 4]
    for nest in ([1, 2], [[1, 2], [3, 4]], [[1], [3.0, 4.5]], {"a": 1, "b": 2.5}, [1.0, [1]]):
        run = jit(lambda *given: given)
        for _ in range(4):
            assert repr(run(3, 2.5, nest)) == repr((3, 2.5, nest))


def test_positional_and_keyword_and_default_arguments() -> None:
    def make() -> Any:
        leaf = Value(2.0)

        def function(x: float, y: float = 3.0, *rest: float, scale: float = 1.0) -> Any:
            return total([leaf * x, leaf * y * scale, *[leaf * r for r in rest]])

        return function, leaf

    function, _ = make()
    run = jit(function)
    calls: list[tuple[Any, dict[str, Any]]] = [
        ((1.0,), {}),
        ((1.0, 2.0), {}),
        ((1.0, 2.0, 5.0, 6.0), {}),
        ((), {"x": 1.0}),
        ((), {"y": 4.0, "x": 1.0}),
        ((), {"x": 1.0, "y": 4.0}),
        ((1.0,), {"scale": 10.0}),
    ]
    for args, kwargs in calls * 4:
        assert run(*args, **kwargs).data == function(*args, **kwargs).data
    with pytest.raises(TypeError, match="missing"):
        run()
    with pytest.raises(TypeError, match="unexpected"):
        run(1.0, other=2.0)


def test_defaults_that_are_values_or_lists_of_values() -> None:
    def make() -> Any:
        leaf, leaves = Value(2.0), [Value(3.0)]

        def function(x: float, v: Value = leaf, vs: Any = leaves) -> Any:
            loss = v * x * vs[0]
            for p in (v, *vs):
                p.grad = 0.0
            loss.backward()
            v.assign(v - 0.1 * v.grad)
            return loss

        return function, [leaf, leaves]

    same(make, (1.0,), (2.0,), replayed=True)


# --- static arguments -----------------------------------------------------------------------------


def powers(x: Any, n: int, signs: Any = (1, -1)) -> Any:
    return total([w * x * signs[i % len(signs)] for i in range(n)])


@pytest.mark.parametrize("static", ["n", ("n",), ["n", "signs"], {"n"}])
def test_static_arguments_by_position_and_by_keyword(static: Any) -> None:
    run = jit(powers, static=static)
    for _ in range(4):
        for args, kwargs in [((1.5, 3), {}), ((2.5,), {"n": 4}), ((1.5,), {"n": 3})]:
            assert run(*args, **kwargs).data == powers(*args, **kwargs).data
    assert len(run.programs) <= 3  # by position and by keyword may count as two


def test_static_lists_dicts_arrays_and_bools() -> None:
    def function(x: float, choice: Any) -> Any:
        return total([w * x] * len(choice)) * (2.0 if 1 in choice else 3.0)

    run = jit(function, static=["choice"])
    arrays = np.array([1, 2]), np.array([2, 3]), np.array([1.5, 1.0]), array.array("d", [2.5])
    view = memoryview(array.array("d", [1.0]))  # whose hash raises ValueError
    for choice in ([1, 2], [2, 3], (1, 2), {1: "a"}, *arrays, view, [True]):
        for x in (1.0, 2.0, -1.0):
            assert run(x, choice).data == function(x, choice).data
    mutated = [1, 2]
    for number in (1, 5):
        mutated[0] = number
        for x in (1.0, 2.0, -1.0):
            assert run(x, mutated).data == function(x, mutated).data


def with_scale(thing: Any, scale: float) -> Any:
    """Give an attribute to an instance of a subclass."""
    thing.scale = scale
    return thing


UNEVEN = np.random.default_rng(0).normal(size=(37, 129))
OWN_LIST, OWN_DICT, OWN_TEXT, OWN_ARRAY = [
    type("", (k,), {}) for k in (list, dict, str, np.ndarray)
]


@pytest.mark.parametrize(
    ("things", "read"),
    [
        ([collections.deque([0.5], maxlen=k) for k in (2, 3)], lambda many: many.maxlen),
        ([{8.0, 16.0}, {16.0, 8.0}], lambda many: next(iter(many))),
        ([range(0, k, 2) for k in (3, 4)], lambda many: many.stop),
        (list(map(type("", (float,), {}), (0.0, -0.0))), lambda zero: math.copysign(3.0, zero)),
        ([type("Box", (), {"x": k}) for k in (2.0, 3.0)], lambda box: box.x),
        (
            [collections.defaultdict(k) for k in (int, str)],
            lambda many: many.default_factory is int,
        ),
        ([UNEVEN, np.asfortranarray(UNEVEN)], lambda many: float(many.sum())),
        ([np.ma.array([1.0, 1e20], mask=[0, k]) for k in (0, 1)], lambda many: float(many.sum())),
        ([with_scale(OWN_LIST([1]), k) for k in (2.0, 3.0)], lambda many: many.scale),
        ([with_scale(OWN_DICT(a=1), k) for k in (2.0, 3.0)], lambda many: many.scale),
        ([with_scale(OWN_TEXT("a"), k) for k in (2.0, 3.0)], lambda many: many.scale),
        ([with_scale(UNEVEN.view(OWN_ARRAY), k) for k in (2.0, 3.0)], lambda many: many.scale),
    ],
    ids=[
        *("the end of a deque", "the order of a set", "the end of a range", "the sign of a zero"),
        "two classes of one name",
        *("what a dict has by default", "the memory of an array", "the mask of an array"),
        *(f"an attribute of {kind}" for kind in ("a list", "a dict", "a string", "an array")),
    ],
)
def test_static_things_that_look_alike_are_told_apart(things: Any, read: Any) -> None:
    run = jit(lambda many: w * read(many), static="many")
    for many in things[:1] * 3 + things[1:] * 3:
        assert run(many).data == 2.0 * read(many)


class Layout(NamedTuple):
    width: float


def test_equal_static_named_tuples_share_a_program() -> None:
    run = jit(lambda x, layout: w * x * layout.width, static="layout")
    for x in (1.0, 2.0, 3.0, 4.0):
        assert run(x, Layout(1.5)).data == 3.0 * x
    assert len(run.programs) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a": 1.0, "b": [2.0]},
        lambda: collections.defaultdict(list, a=[1.0]),
        lambda: collections.deque([1.0, 2.0], maxlen=3),
    ],
)
def test_equal_static_containers_share_a_program(make: Any) -> None:
    run = jit(lambda x, parts: w * x * len(parts), static="parts")
    for x in (1.0, 2.0, 3.0, 4.0):
        assert run(x, make()).data == 2.0 * x * len(make())
    assert len(run.programs) == 1


def test_a_static_object_may_have_a_dtype_without_being_an_array() -> None:
    """As a column of a data frame does."""
    column = SimpleNamespace(dtype=np.dtype(float), mean=1.5)
    run = jit(lambda x, column: w * x * column.mean, static="column")
    for x in (1.0, 2.0, 3.0):
        assert run(x, column).data == 3.0 * x


def test_a_static_name_after_args_has_no_position() -> None:
    run = jit(lambda *xs, n: powers(total(xs), n), static="n")
    for x in (1.0, 2.0, 3.0, 4.0):
        assert run(1.0, x, n=3).data == powers(1.0 + x, 3).data
    assert len(run.programs) == 1


def test_a_static_name_may_be_that_of_a_further_keyword() -> None:
    run = jit(lambda x, **options: powers(x, **options), static="n")
    for n in (3, 3, 3, 4, 4, 4):
        assert run(1.5, n=n).data == powers(1.5, n).data
    assert len(run.programs) == 2


def test_a_static_name_that_is_not_of_one_argument_is_an_error() -> None:
    def several(*counts: int, **options: int) -> Value:
        return w

    for function, name in ((powers, "nothing"), (several, "counts"), (several, "options")):
        with pytest.raises(ValueError, match=f"no argument '{name}' that could be static"):
            jit(function, static=name)
    wrong: Any
    for wrong in (0, None):  # JAX's static_argnums are positions
        with pytest.raises(ValueError, match=f"no argument {wrong} that could be static"):
            jit(powers, static=wrong)


def test_equal_static_numbers_of_different_types_are_told_apart() -> None:
    """1, 1.0 and True are equal, and so are -0.0 and 0.0."""

    def function(x: float, k: Any) -> Any:
        return w * x * len(repr(k))

    run = jit(function, static="k")
    for k in (1, 1.0, True, 0.0, -0.0, 0, False, 10, "1", None) * 3:
        assert run(1.0, k).data == function(1.0, k).data
    assert len(run.programs) == 10


def test_strings_bools_none_and_enums_are_static_by_default() -> None:
    def function(x: float, kind: Any) -> Any:
        return w * x * {"a": 1.0, None: 2.0, True: 3.0, False: 4.0, Colour.RED: 5.0}.get(kind, 6.0)

    run = jit(function)
    for _ in range(3):
        for kind in ("a", "b", None, True, False, Colour.RED, Colour.BLUE):
            assert run(1.5, kind).data == function(1.5, kind).data
    assert len(run.programs) == 7


# --- Values as arguments --------------------------------------------------------------------------


def test_values_passed_get_their_eager_data_and_gradients() -> None:
    def function(a: Value, nest: Any) -> Any:
        b, (c, d) = nest["b"], nest["pair"]
        loss = a * b + c.sin() * d * 2.0
        loss.backward()
        c.grad = c.grad * 10.0
        d.assign(a * 3.0)
        b.data = 7.0
        return loss, a, [d]

    def fresh(x: float) -> Callable[[], Any]:
        return lambda: (Value(x, "a"), {"b": Value(2.0), "pair": (Value(0.5), Value(-1.0))})

    same(lambda: (function, []), fresh(1.0), fresh(3.0), fresh(-2.0), replayed=True)


def test_values_as_keys_are_passed_and_returned() -> None:
    def function(table: Any) -> Any:
        return {(key * w, n): key * x for (key, n), x in table.items()}

    run = jit(function, check="never")
    for number in (1.0, 2.0, 3.0, 4.0):
        (((key, _), product),) = run({(Value(number), 1): 3.0}).items()
        assert (key.data, product.data) == (2.0 * number, 3.0 * number)
    assert [program.replays for program in run.programs] == [2]


def test_an_int_assigned_to_a_value_that_is_passed_or_returned() -> None:
    def function(v: Value, x: float) -> Any:
        loss = v * x
        loss.grad = 1
        v.data, v.grad = 3, 0
        return loss

    same(lambda: (function, []), *[lambda: (Value(1.5), 2.0)] * 3, replayed=True)


def test_a_number_of_any_kind_may_be_assigned_to_a_value() -> None:
    def function(v: Value, x: float) -> Any:
        v.data = Decimal("2.5")  # no operand, but assignable
        loss = v.sin() * x
        loss.backward()
        return loss

    same(lambda: (function, []), *[lambda: (Value(1.5), 2.0)] * 3, replayed=True)


def test_the_same_values_may_be_passed_repeatedly() -> None:
    def function(v: Value, x: float) -> Any:
        loss = v * v * x
        loss.backward()
        v.assign(v - 0.1 * v.grad)
        return loss

    for backend in BACKENDS:
        eager, replayed = Value(1.5), Value(1.5)
        run = jit(function, backend=backend)
        for x in (1.0, 2.0, -1.0, 0.5, 3.0):
            assert run(replayed, x).data == function(eager, x).data
            assert (replayed.data, replayed.grad) == (eager.data, eager.grad)
            replayed.grad += 0.25
            eager.grad += 0.25
    assert len(run.programs) == 1


def test_time_to_pass_values_grows_linearly_with_their_number() -> None:
    """Values that one function captures are passed to another, which captures as many."""

    def seconds(count: int) -> float:
        first, second = [[Value(0.5) for _ in range(count)] for _ in range(2)]
        steps = [jit(lambda given, own=own: total(given) + total(own)) for own in (first, second)]
        for own, step in zip((second, first), steps, strict=True):
            for _ in range(3):
                step(own)
        start = time.process_time()
        for _ in range(3):
            steps[0](second)
        return time.process_time() - start

    few, many = [min(seconds(count) for _ in range(3)) for count in (200, 1600)]
    assert many < 24.0 * few


def test_one_value_passed_twice_is_refused() -> None:
    def make() -> Any:
        v = Value(3.0)

        def function(a: Value, b: Value) -> Any:
            loss = a * a * b
            loss.backward()
            a.assign(a + 1.0)
            return loss, b * 1.0

        return function, v

    pairs = (lambda v: (v, Value(2.0)), lambda v: (v, v))
    same_or_refused(make, *pairs, expected="refused")
    same_or_refused(make, *pairs[1:], expected="refused")


def test_the_error_for_a_value_passed_twice_shows_it() -> None:
    run = jit(lambda x, state: x * state[0] * state[1])
    message = r"Value\(data=0.5, grad=0.0, label='h'\) was passed twice: pass it once, or pass two"
    with pytest.raises(TraceError, match=message):
        run(Value(2.0), [Value(0.5, label="h")] * 2)  # a list of one Value, twice
    assert run(Value(2.0), [Value(0.5, label="h") for _ in range(2)]).data == 0.5


def test_the_value_that_is_passed_twice_is_found_among_many_at_once() -> None:
    many = [Value(0.5) for _ in range(20_000)]
    start = time.process_time()
    with pytest.raises(TraceError, match=r"Value\(data=0.5, .* was passed twice"):
        jit(total)([*many, many[-1]])
    assert time.process_time() - start < 2.0


def test_a_value_both_passed_and_captured_never_gives_a_wrong_result() -> None:
    def make() -> Any:
        v = Value(3.0)

        def function(a: Value) -> Any:
            loss = a * v
            loss.backward()
            return loss

        return function, v

    other, captured = (lambda v: (Value(2.0),)), (lambda v: (v,))
    same_or_refused(make, other, captured, other, expected="refused")
    same_or_refused(make, captured, other, expected="doubted")  # recorded as the same Value
    same_or_refused(make, captured, captured, expected="replayed")


def test_a_number_of_a_graph_is_passed_or_captured_like_other_values() -> None:
    def number_of_a_graph(x: float) -> Value:
        return (w * x).parents[1]

    captured = number_of_a_graph(2.0)
    run = jit(lambda v: (v * captured, v))
    for captured.data in (3.0, 4.0, 5.0, 6.0):
        passed = number_of_a_graph(captured.data)
        product, given = run(passed)
        assert (product.data, given) == (captured.data**2, passed)
    assert run.programs[0].replays == 2


def test_a_computed_value_is_refused_as_an_argument_and_when_captured() -> None:
    base = Value(2.0)
    derived = base * 3.0
    for function, argument in ((lambda v: v * 2.0, derived), (lambda xs: xs[0] * 2.0, [derived])):
        with pytest.raises(TraceError, match="detach"):
            jit(function)(argument)
    for function in (
        lambda x: derived * x,
        lambda x: derived.backward(),
        lambda x: grad(derived, [base]),
    ):
        run = jit(function)
        run(1.0)  # an eager call
        before = base.grad
        with pytest.raises(TraceError, match="computed before"):
            run(1.0)
        assert base.grad == before
    run = jit(lambda v: v * 2.0)
    for _ in range(4):
        assert run(Value(1.0)).data == 2.0
        with pytest.raises(TraceError, match="detach"):
            run(derived)
        assert run(derived.detach()).data == 12.0


@pytest.mark.parametrize("read", [lambda v: v.data, lambda v: v.grad, float, lambda v: v > 0.0])
def test_reading_a_captured_computed_value_is_refused(read: Any) -> None:
    def make() -> Any:
        derived = Value(2.0) * 3.0
        return lambda x: w * x * read(derived), derived

    def change(derived: Value) -> None:
        derived.data, derived.grad = derived.data - 10.0, derived.grad + 1.0

    same_or_refused(make, (1.0,), (1.0,), (1.0,), between=change, expected="refused")


def test_returning_a_captured_computed_value_is_refused() -> None:
    derived = w * 3.0
    for label, name in (("", "a Value"), ("loss", "loss")):
        derived.label = label
        run = jit(lambda x: (w * x, derived))
        assert run(1.0)[1] is derived
        with pytest.raises(TraceError, match=f"^{name} was computed before"):
            run(2.0)


def test_a_matrix_as_an_argument_and_as_a_result() -> None:
    def function(X: Matrix, scale: float) -> Any:
        Z = X @ X.T * scale
        Z.sum().backward()
        return Z, X, X.T

    calls = [lambda k=k: (Matrix([[1.0, 2.0 + k], [3.0, 4.0]]), 0.5) for k in range(3)]
    same(lambda: (function, []), *calls, replayed=True)


@pytest.mark.parametrize("operation", [operator.add, operator.mul, operator.pow])
def test_a_number_as_the_left_operand_of_a_matrix(operation: Any) -> None:
    W = Matrix([[0.5, 1.0], [2.0, 0.25]])
    calls = [(1.5,), (2.0,), (3.0,)]
    same(lambda: (lambda x: operation(x, W).sum(1) + W, []), *calls, replayed=True)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: w * x,
        lambda x: x / Matrix([[w, 1.0]]),
        lambda x: maximum(w, x),
        lambda x: nn.mse([w, x], [0.0, x]),
        lambda x: nn.huber([w], [0.0], x),
    ],
)
def test_an_array_of_no_dimension_computes_with_values(function: Any) -> None:
    same(lambda: (function, []), *[(np.array(x),) for x in (0.5, 3.0, 1.5)], replayed=True)


def test_an_array_of_no_dimension_computes_with_numbers() -> None:
    calls = [(x, np.array(x - 1.0)) for x in (0.5, 3.0, 1.5)]
    same(lambda: (lambda x, y: w * (y - x * y / np.array(3)), []), *calls, replayed=True)


def test_an_array_of_values() -> None:
    def function(X: Any) -> Any:
        Z = X * X + 1.0
        Z.sum().backward()
        return Z, X

    calls = [
        lambda k=k: (np.array([[Value(1.0 + k), Value(2.0)], [Value(0.5), Value(-1.0)]]),)
        for k in range(3)
    ]
    same(lambda: (function, []), *calls, replayed=True)


def test_parameters_of_a_model_as_an_argument_and_as_a_result() -> None:
    def penalty(parameters: Any) -> Any:
        return total(p * p for p in parameters)

    model = nn.MLP(2, [3, 1])
    run, back = jit(penalty), jit(lambda x: model.parameters())
    for _ in range(4):
        assert run(model.parameters()).data == penalty(model.parameters()).data
        assert list(back(1.0)) == list(model.parameters())
    assert run.programs[0].replays == back.programs[0].replays == 2


def test_a_subclass_of_value_is_refused() -> None:
    class Slotted(Value):
        __slots__ = ()

    class Open(Value):
        pass

    def make(kind: type[Value]) -> Any:
        v = kind(2.0)

        def step(x: float) -> Any:
            loss = v * x
            v.grad = 0.0
            loss.backward()
            v.assign(v - 0.1 * v.grad)
            return loss

        return step, v

    for kind in (Slotted, Open):
        step, v = make(kind)
        run = jit(step)
        assert run(1.0).data == 2.0  # an eager call
        with pytest.raises(TraceError, match="use Values themselves"):
            run(2.0)
        assert (v.data, v.grad, type(v)) == (1.9, 1.0, kind)
        inside = jit(lambda x, kind=kind: kind(2) * x)  # an int, which a property converts
        assert inside(1.0).data == 2.0
        with pytest.raises(TraceError, match="use Values themselves"):
            inside(2.0)


# --- objects that are neither numbers nor nests ---------------------------------------------------


@dataclasses.dataclass
class Box:
    x: Any


class Plain:
    def __init__(self) -> None:
        self.x = 1.0


def mutate(thing: Any) -> None:
    """Change the numbers in an object, in place."""
    if isinstance(thing, Box | Plain):
        thing.x = 5.0
    elif isinstance(thing, set):
        thing.add(7.0)
    elif isinstance(thing, collections.deque | array.array | list):
        thing.append(7.0)
    elif isinstance(thing, collections.defaultdict):
        thing["x"].append(7.0)
    elif isinstance(thing, np.ndarray):
        thing[0] = not thing[0]
    elif isinstance(thing, bytearray):
        thing[0] += 1


OBJECTS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], str]] = {
    "a list that grows": (lambda: [1.0, 2.0], sum, "replayed"),
    "a deque": (lambda: collections.deque([1.0, 2.0]), sum, "replayed"),
    "an array.array": (lambda: array.array("d", [1.0, 2.0]), sum, "replayed"),
    "a set": (lambda: {1.0, 2.0}, sum, "refused"),
    "a data class": (lambda: Box(1.0), lambda b: b.x, "refused"),
    "an object": (Plain, lambda b: b.x, "refused"),
    "a default dict": (
        *(lambda: collections.defaultdict(list, x=[1.0]), lambda d: sum(d["x"])),
        "refused",
    ),
    "an array of bools": (
        *(lambda: np.array([True, False]), lambda a: 2.0 if a[0] else 3.0),
        "replayed",
    ),
    "a bytearray": (lambda: bytearray(b"abc"), sum, "refused"),
    "a dict of lists": (lambda: {"x": [1.0]}, lambda d: sum(d["x"]), "replayed"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_argument_changed_in_place_between_calls(name: str) -> None:
    thing, read, expected = OBJECTS[name]

    def make() -> Any:
        return lambda it: w * read(it), []

    current: list[Any] = []

    def first(state: Any) -> Any:
        current[:] = [thing()]
        return (current[0],)

    def again(state: Any) -> Any:
        return (current[0],)

    calls = first, again, again
    same_or_refused(make, *calls, between=lambda state: mutate(*current), expected=expected)


def test_an_iterator_as_an_argument_is_refused() -> None:
    """A replay would not consume it."""

    def make() -> Any:
        leaves = [Value(2.0), Value(3.0)]
        return lambda parts: sum(parts, start=1.0 * w), leaves

    for iterator in (iter, lambda ps: map(abs, ps), lambda ps: (p * 2.0 for p in ps)):
        same_or_refused(make, lambda ps, i=iterator: (i(ps),), expected="refused")
    same_or_refused(
        lambda: (lambda z: sum((w * x * y for x, y in z), start=w), []),
        lambda s: (zip([1.0, 2.0], [3.0, 4.0], strict=True),),
        lambda s: (zip([5.0, 2.0], [3.0, 4.0], strict=True),),
        expected="refused",
    )


class Turns:
    """An iterator that can be called, too."""

    def __next__(self) -> float:
        return 1.0

    def __call__(self) -> float:
        return 1.0


class Mapped:
    """Has a `map`, as a Matrix does, but no rows."""

    def map(self, function: Any) -> Any:
        return function(1.0)


@pytest.mark.parametrize("thing", [Turns(), Mapped(), object()])
def test_an_object_that_may_hide_numbers_is_refused(thing: Any) -> None:
    with pytest.raises(TraceError, match="cannot be split into numbers"):
        jit(lambda x, thing: w * x)(1.0, thing)


class Scalar:
    """A number of another array library, with a dtype of its own."""

    shape, dtype = (), "brain"

    def ravel(self) -> list[float]:
        return [2.0]

    def __float__(self) -> float:
        return 2.0


def test_a_number_of_another_array_library_is_refused_and_returned_as_it_is() -> None:
    number = Scalar()
    with pytest.raises(TraceError, match=r"pass float\(\) of it, or name it static"):
        jit(lambda x: w * x)(number)
    run = jit(lambda x: (w * x, number))
    for x in (1.0, 2.0, 3.0):
        assert run(x)[1] is number


def test_a_model_as_an_argument() -> None:
    """Its parameters are leaves of the program."""

    def make() -> Any:
        models = [nn.MLP(2, [3, 1]), nn.MLP(2, [3, 1])]

        def function(model: Any, x: list[float]) -> Any:
            loss = model(x) ** 2
            model.zero_grad()
            loss.backward()
            for p in model.parameters():
                p.assign(p - 0.1 * p.grad)
            return loss

        return function, models

    xs = [1.0, -2.0]
    calls = [lambda ms, k=k: (ms[k], xs) for k in (0, 1, 0, 1, 1)]
    same_or_refused(make, *calls, expected="replayed")


def test_a_model_and_its_optimizer_as_arguments() -> None:
    def make() -> Any:
        models = [nn.MLP(2, [3, 1]), nn.MLP(2, [3, 1])]

        def step(model: Any, optimizer: Any, x: list[float]) -> Any:
            loss = model(x) ** 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return step, [(model, nn.Adam(model, lr=0.1)) for model in models]

    calls = [lambda pairs, k=k: (*pairs[k], [1.0, -2.0]) for k in (0, 1, 0, 1, 1)]
    same_or_refused(make, *calls, expected="replayed")


class Slotted:
    __slots__ = ("scale",)
    dtype, rows = np.dtype(float), 3  # but it has no ravel() like an array, and no map()

    def __call__(self, x: Any) -> Any:
        return x * self.scale


def test_a_bound_method_as_an_argument() -> None:
    """Each lookup makes a new object, which is the same method of the same object."""
    run = jit(lambda predict, x: predict([x])[0] * 2.0)
    models = [nn.Linear(1, 1), nn.Linear(1, 1)]
    for call in range(10):
        model = models[call % 2]
        assert run(model.__call__, 1.5).data == model([1.5])[0].data * 2.0
    assert [program.replays for program in run.programs] == [3, 3]


def test_a_callable_argument_without_weak_references() -> None:
    slotted, itself = Slotted(), operator.attrgetter("real")
    run = jit(lambda f, x: w * f(x))
    for slotted.scale in (2.0, 2.0, 2.0, 3.0, 3.0):
        assert run(slotted, 1.5).data == 3.0 * slotted.scale
        assert run(itself, 1.5).data == 3.0
    assert [program.replays for program in run.programs] == [1, 3, 1]


def test_data_read_from_a_model_argument_is_not_frozen() -> None:
    def make() -> Any:
        model = nn.Neuron(1)
        return lambda m, x: w * m.b.data * x, model

    def change(model: Any) -> None:
        model.b.data += 1.0

    same_or_refused(make, lambda m: (m, 1.0), between=change, expected="replayed")


def test_an_attribute_of_a_class_that_is_passed_is_guarded() -> None:
    class Settings:
        scale = 2.0

    run = jit(lambda kind, nest: kind([[nest[0].scale * w]]))
    for Settings.scale in (2.0, 2.0, 2.0, 3.0):
        assert run(Matrix, [Settings]).rows[0][0].data == 2.0 * Settings.scale


def test_a_new_object_in_each_call_does_not_accumulate_programs() -> None:
    """A lambda in the call is another object each time."""
    run = jit(lambda f, x: f(w) * x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(50):
            assert run(lambda v, k=k: v * k, 1.0).data == 2.0 * k
    (warning,) = caught
    assert warning.category is RuntimeWarning
    assert "none of 32 calls in a row" in str(warning.message)
    assert run.programs == []


# --- what can be jitted ---------------------------------------------------------------------------


class Model:
    scale = 3.0

    def __init__(self) -> None:
        self.w = Value(2.0)

    def method(self, x: float) -> Any:
        return self.w * x * self.scale

    def __call__(self, x: float) -> Any:
        return self.w * x

    @staticmethod
    def of(x: float) -> Any:
        return w * x

    @classmethod
    def made(cls, x: float) -> Any:
        return w * x * cls.scale

    @property
    def double(self) -> Any:
        return self.w * 2.0


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args) * 10.0

    return wrapper


model = Model()
CALLABLES: dict[str, Callable[..., Any]] = {
    "a lambda": lambda x: w * x,
    "a method": model.method,
    "a callable object": model,
    "a static method": Model.of,
    "a class method": Model.made,
    "a partial": functools.partial(lambda a, b: a * b, w),
    "a partial of a method": functools.partial(Model.method, model),
    "a decorated function": decorated(lambda x: w * x),
    "a property inside": lambda x: model.double * x,
    # Its globals are watched, and those of this module lead to everything that pytest holds.
    "a jitted function": jit(eval("lambda x: w * x", {"w": w})),
    "a primitive": maximum,
    "an activation": nn.tanh,
    "an operator": w.__mul__,
    "an unbound method": Value.__add__,
}


@pytest.mark.parametrize("name", CALLABLES)
def test_callables_can_be_jitted(name: str) -> None:
    function = CALLABLES[name]
    number: Any = {"a primitive": (Value(1.0), 2.0), "an unbound method": (Value(1.5), 2.0)}
    for backend in BACKENDS:
        run = jit(function, backend=backend)
        for x in (1.5, 2.5, -0.5, 1.0):
            args = (Value(x),) if name == "an activation" else number.get(name, (x,))
            assert run(*args).data == function(*args).data
        assert "nodes" in str(run.programs[0])


def test_a_jitted_function_in_a_class_is_called_by_the_class_only() -> None:
    class Tools:
        @jit
        def double(x: Any) -> Any:
            return w * x

    assert [Tools.double(x).data for x in (1.5, 2.5, -0.5)] == [3.0, 5.0, -1.0]
    with pytest.raises(TypeError, match=r"double is a method: .* or jit\(instance\.method\)"):
        Tools().double(1.5)


@pytest.mark.parametrize("inner", BACKENDS)
@pytest.mark.parametrize("outer", BACKENDS)
def test_a_jitted_function_inside_a_jitted_function(inner: str, outer: str) -> None:
    """It becomes part of the recording, even if it was replayed on its own before."""

    def make(wrap: Any = lambda f, backend: f) -> Any:
        leaf = Value(2.0)
        predict = wrap(lambda x: (leaf * x).tanh(), inner)

        def step(x: float) -> Any:
            loss = predict(x) ** 2
            leaf.grad = 0.0
            loss.backward()
            leaf.assign(leaf - 0.1 * leaf.grad)
            return loss

        return wrap(step, outer), predict, leaf

    eager = make()
    jitted = make(lambda f, backend: jit(f, backend=backend))
    for (step, predict, leaf), seen in ((eager, first := []), (jitted, second := [])):
        for x in (0.5, 1.0, 1e200, -0.5, 0.25, 1e200, 2.0):
            seen += [step(x).data, predict(x).data, leaf.data, leaf.grad]
    assert second == first


def test_modules_nested_as_deeply_as_an_eager_call_allows_are_recorded() -> None:
    class Nested(nn.Module):
        def __init__(self, inner: Any) -> None:
            self.inner, self.scale = inner, Value(1.5 if inner is None else 1.0)

        def __call__(self, x: Any) -> Any:
            return (x if self.inner is None else self.inner(x)) * self.scale

    model: Any = None
    for _ in range(260):
        model = Nested(model)
    function = jit(lambda x: model(x))
    assert [function(x).data for x in (1.0, 2.0, 3.0, 4.0)] == [1.5, 3.0, 4.5, 6.0]
    assert function.programs


def test_a_module_is_jitted_like_a_function() -> None:
    network = nn.MLP(2, [3, 1])
    run = jit(network)
    for _ in range(4):
        assert run([1.0, 2.0]).data == network([1.0, 2.0]).data
        network.layers[0].neurons[0].w[0].data += 1.0
    assert run.programs[0].replays == 2


def test_decorating_a_method_in_its_class_is_refused() -> None:
    class Wrong:
        @jit
        def method(self, x: float) -> Any:
            return w * x

    with pytest.raises(TypeError, match="method"):
        Wrong().method(1.0)


def test_name_and_docstring_are_kept() -> None:
    @jit(backend="numpy")
    def named(x: float) -> Any:
        """What it does."""
        return w * x

    assert (named.__name__, named.__doc__, named(1.0).data) == ("named", "What it does.", 2.0)
    named(1.0)
    assert "named" in str(named.programs[0])


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="cuda"):
        jit(lambda x: x, backend="cuda")


# --- results --------------------------------------------------------------------------------------

RESULTS: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda v: None,
    "a number": lambda v: 3.5,
    "a whole number": lambda v: 3,
    "a string": lambda v: "done",
    "a bool": lambda v: True,
    "the argument": lambda v: v,
    "twice the same": lambda v: (v * 2.0,) * 2,
    "a leaf": lambda v: w,
    "a leaf twice": lambda v: [w, w],
    "a nest": lambda v: {"loss": v * 1.0, "parts": [(v + 1.0, 2.0), ()]},
    "a named tuple": lambda v: Point(v * 2.0, "b"),
    "a matrix": lambda v: Matrix([[v, v * 2.0]]),
    "an array": lambda v: np.array([v, v * 2.0]),
    "an array of floats": lambda v: np.array([1.5, 2.5]),
    "a list with a NumPy number": lambda v: [np.float64(1.5), w.data * 2.0],
    "a constant": lambda v: v * 0.0 + 1.0,
    "a detached number": lambda v: (v * 3.0).detach(),
    "an empty list": lambda v: [],
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_match_eager_ones(name: str) -> None:
    compute = RESULTS[name]
    for backend in BACKENDS:
        run = jit(lambda x: compute(w * x), backend=backend)
        for x in (1.0, -2.0, 0.5, 3.0):
            found, expected = run(x), compute(w * x)
            assert comparable(found) == comparable(expected)
            if not isinstance(expected, Value | np.ndarray):
                assert type(found) is type(expected)
        if isinstance(found, list | dict | Matrix | np.ndarray):
            assert run(1.0) is not run(1.0)


def test_a_result_computed_without_values_has_the_same_type_in_every_call() -> None:
    """The eager result is a plain float or int, and so is that of a replay."""
    run = jit(lambda x: x * 2.0)
    numbers = 1.0, 2.0, -3.0, 0.5, 1e308, float("nan"), float("inf")
    assert {type(run(x)) for x in numbers} == {float}
    run = jit(lambda n: n * 2)
    assert {type(run(n)) for n in (1, 2, 3, -4)} == {int}


def test_returned_numbers_of_the_users_classes_become_plain_ones() -> None:
    run = jit(lambda i, xs: [i, xs, Celsius(2.0), Index(3)], check="always")
    for x in (1.0, 2.0, 3.0):
        assert run(Index(1), [Celsius(x), 4.0]) == [1, [x, 4.0], 2.0, 3]
    assert [program.checks for program in run.programs] == [1]


def test_a_label_assigned_inside_is_on_the_result() -> None:
    def function(x: float) -> Any:
        loss = w * x
        loss.label = "loss"
        return loss

    run = jit(function)
    assert [run(x).label for x in (1.0, 2.0, 3.0, 4.0)] == ["loss"] * 4


def test_gradients_of_intermediate_results_match_the_eager_run() -> None:
    def make() -> Any:
        leaf = Value(2.0)

        def function(x: float) -> Any:
            a = leaf * x
            b = a.sin()
            c = b * a
            c.backward()
            unused = a * 5.0
            return a, b, c, unused, leaf

        return function, leaf

    same(make, (1.0,), (2.0,), (3.0,), replayed=True)


@pytest.mark.parametrize(
    "use", ["backward", "backward beside a leaf", "grad of a leaf", "grad of an argument"]
)
def test_backward_through_a_result_is_refused(use: str) -> None:
    leaf = Value(2.0)
    passed = Value(3.0)
    run = jit(lambda v: leaf * v)
    for _ in ("eager", "recorded", "checked", "replayed"):
        result = run(passed)
        before = leaf.grad, passed.grad
        uses = {
            "backward": lambda r=result: (r * 2.0).backward(),
            "backward beside a leaf": lambda r=result: (r * 2.0 + leaf).backward(),
            "grad of a leaf": lambda r=result: grad(r * 2.0, [leaf]),
            "grad of an argument": lambda r=result: grad(r * 2.0, [passed]),
        }
        with pytest.raises(ValueError, match="detach"):
            uses[use]()
        assert (leaf.grad, passed.grad) == before
        cut = result.detach() * 2.0
        cut.backward()
        assert cut.data == 12.0
        (slope,) = grad(result * 3.0, [result])  # with respect to the result itself, it exists
        assert slope.data == 3.0


def test_a_leaf_made_inside_is_a_leaf_outside() -> None:
    run = jit(lambda x: ((w * x).detach(), Value(x)))
    for x in (1.0, 2.0, 3.0, 4.0):
        for result in run(x):
            (result * result).backward()
            assert (result.op, result.parents, result.grad) == ("", (), 2.0 * result.data)


def test_results_can_be_read_compared_and_copied() -> None:
    import copy
    import pickle

    run = jit(lambda x: w * x)
    for _ in ("eager", "recorded", "checked", "replayed"):
        result = run(1.5)
        assert float(result) == result.data == 3.0
        assert result > 2.0
        assert f"{result:.1f}" == "3.0"
        assert copy.deepcopy(result).data == copy.copy(result).data == 3.0
        assert result.op == "jit"
        assert "3.0" in repr(result)
        assert result.detach().parents == ()
        assert pickle.loads(pickle.dumps(result.detach())).data == 3.0


@pytest.mark.parametrize(
    "nest",
    [
        *([1.0, 2.0], [1.0, [w]], {"a": 1.0}, {"a": 1}, np.ones(2), Matrix([[1.0]])),
        *(collections.OrderedDict(a=1.5), OWN_LIST([2.0])),
    ],
    ids=lambda nest: type(nest).__name__ or "a class of the user",
)
def test_a_nest_from_outside_is_copied_in_each_call(nest: Any) -> None:
    run, returns_it = jit(lambda x: nest), jit(lambda nest: nest)
    kinds = set()
    for x in (1.0, 2.0, 3.0, 4.0, 5.0):
        kinds |= {type(run(x)), type(returns_it(nest))}
        assert run(x) is not nest
        assert returns_it(nest) is not nest
        assert repr(list(run(x))) == repr(list(nest))
    assert kinds == {list if isinstance(nest, list) else type(nest)}


def test_a_class_of_tuples_is_returned_as_a_tuple_by_each_call() -> None:
    run = jit(lambda x: (w * x, time.gmtime(0)))
    plain = jit(lambda x: time.gmtime(0))
    for x in (1.0, 2.0, 3.0, 4.0, 5.0):
        assert type(run(x)[1]) is type(plain(x)) is tuple


# --- arguments that are changed or inspected ------------------------------------------------------


def _fills(x: Any, log: Any) -> Any:
    log.append(x * 2.0)
    return w * x


def _writes(x: Any, log: Any) -> Any:
    log[0] = w * x
    return log[0] * 1.0


def _refills(x: Any, log: Any) -> Any:
    log.clear()
    log.append(abs(x))  # where the number before it was in memory
    return w * x


def _hides(x: Any, log: Any) -> Any:
    log[0] = {2.0}
    return w * x


def _updates(x: Any, table: Any) -> Any:
    table.update(a=w)
    return w * table["a"]


@pytest.mark.parametrize(
    ("function", "nest"),
    [
        *[(function, [1.0]) for function in (_fills, _writes, _refills, _hides)],
        (_updates, {"a": 1.0}),
    ],
)
def test_changing_an_argument_in_place_is_refused(function: Any, nest: Any) -> None:
    def make() -> Any:
        return function, []

    same_or_refused(make, lambda state: (1.0, nest.copy()), expected="refused")
    run = jit(function)
    run(1.0, nest.copy())
    with pytest.raises(TraceError, match="an argument is changed, which a replay would not"):
        run(1.0, nest.copy())


def test_a_number_argument_is_not_an_instance_of_value() -> None:
    def by_grad(x: Any) -> Any:
        v = x if isinstance(x, Value) else Value(x)
        return grad(v * v * w, [v])[0]

    def by_backward(x: Any) -> Any:
        v = x if isinstance(x, Value) else Value(x)
        (v * w).backward()
        return v.grad

    for function in (by_grad, by_backward):
        same(lambda f=function: (f, []), (1.5,), (-2.0,), replayed=True)


@pytest.mark.parametrize("index", [4, -1, 1.5])
def test_an_invalid_embedding_index_raises_the_eager_error(index: float) -> None:
    embedding = nn.Embedding(4, 2)
    run = jit(lambda i: total(embedding(i)))
    with pytest.raises((IndexError, TypeError)) as eager:
        embedding(index)
    for _ in ("eager", "recorded", "replayed"):
        run(2)
        with pytest.raises(type(eager.value), match=re.escape(str(eager.value))):
            run(index)
