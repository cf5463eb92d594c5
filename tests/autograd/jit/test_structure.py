"""Does flattening separate the structure of a nest from its numbers, and does `build` invert it?"""

from __future__ import annotations

import collections
import itertools
import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograd import Value
from autograd.jit import TraceError, jit
from autograd.jit.results import filled
from autograd.jit.structure import Static, flatten

w = Value(2.0)


class Pair(NamedTuple):
    x: Any
    y: Any


class Doubled(Pair):
    def __new__(cls, x: Any, y: Any) -> Doubled:
        return super().__new__(cls, x * 2, y * 2)


class Several(tuple[Any, ...]):
    __slots__ = ()


class Celsius(float):
    pass


class Queue(collections.deque[Any]):
    pass


def structure_of(nest: Any) -> Any:
    return flatten(nest, bytearray(), [])


# --- whole numbers --------------------------------------------------------------------------------


def test_ints_are_whole_only_if_all_numbers_beside_them_are_ints() -> None:
    assert structure_of(3) == "whole"
    assert structure_of(3.0) == "number"
    assert structure_of([1, 2, 3]) == (list, 3, "whole")
    assert structure_of((1.0, 2.0)) == (tuple, 2, "number")
    assert structure_of([[1, 2], [3, 4], [5, 6]]) == (list, 3, (list, 2, "whole"))
    assert structure_of([[1, 2], [3, 4.0]]) == (list, 2, (list, 2, "mixed"))
    parts = (tuple, ("whole", (list, 1, "number")))
    assert structure_of({"n": 3, "x": [1.5]}) == (dict, Static(("n", "x")), parts)


def test_values_have_one_structure_whether_a_program_uses_them_or_not() -> None:
    used, fresh = Value(2.0), Value(3.0)
    run = jit(lambda x: used * x)
    assert [run(x).data for x in (1.0, 2.0)] == [2.0, 4.0]
    assert type(used) is not type(fresh)
    for row in ([fresh, fresh], [fresh, used], [used, used]):
        assert structure_of(row) == (list, 2, "Value")


def test_mixed_data_has_one_structure_whatever_the_order() -> None:
    rows = set(itertools.product([1, 2.5], repeat=6)) - {(1,) * 6, (2.5,) * 6}
    assert {structure_of(list(row)) for row in rows} == {(list, 6, "mixed")}
    run = jit(lambda xs, y: w * sum(xs) * y)
    for row in [(1,) * 6, *itertools.product([1, 2.5], repeat=6)]:
        assert run(list(row), 2.0).data == w.data * sum(row) * 2.0
    assert len(run.programs) == 2  # all ints, and mixed; all floats were passed only once


def test_each_argument_of_a_call_is_classified_separately() -> None:
    run = jit(lambda x, n, k, v: [x, n, {"k": k}, v])
    for _ in range(4):  # an int beside a float becomes a float in a list, but not here
        assert repr(run(1.5, 3, k=2, v=w)) == repr([1.5, 3, {"k": 2}, w])


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**60, -(10**400)])
@pytest.mark.parametrize("beside", [[], [1, 2], [math.nan, 1e300, -math.inf]])
def test_ints_that_floats_cannot_represent_are_refused(number: int, beside: list[Any]) -> None:
    for nest in ([*beside, number], [number, *beside], [[*beside, number]], {"x": [number]}):
        with pytest.raises(TraceError, match=r"beyond 2\*\*53.*pass float\(\) of it, or name it"):
            structure_of(nest)
    assert structure_of([*beside, 2**53, -(2**53)])[:2] == (list, len(beside) + 2)
    returned: list[Any] = []  # results are not checked
    assert flatten([number], returned, []) == (list, 1, "whole")
    assert returned == [number]


# --- round trips ----------------------------------------------------------------------------------

NESTS: dict[str, Any] = {
    "a number": 1.5,
    "a whole number": 3,
    "a vector": [1.0, -0.0],
    "a matrix": ((1.0, 2.0), (3.0, 4.0)),
    "a matrix of ints": [[1, 2], [3, 4]],
    "ints and floats": [1, 2.5, 3],
    "empty lists": [[], [[], []], ()],
    "dicts": {"a": [1, {"b": (2.5, w)}], 3: collections.OrderedDict(x=1)},
    "Values in the keys of a dict": {w: 1.5, (2, (w, 0.0)): w, "x": 2, Pair(w, w): 3},
    "a named tuple": Pair(1, Pair(2.0, w)),
    "a named tuple that computes": Doubled(1, 2.0),
    "a deque": collections.deque([1.0, 2, w]),
    "a deque with an end": collections.deque([1.0], maxlen=2),
    "numbers that are part of the structure": [Fraction(1, 3), Fraction(10**400)],
    "static things": ["a", None, True, range(3), {"x": b"b"}],
}


@pytest.mark.parametrize("name", NESTS)
def test_build_restores_a_flattened_nest(name: str) -> None:
    numbers: list[Any] = []
    values: list[Value] = []
    structure = flatten(NESTS[name], numbers, values)
    hash(structure)
    again = filled(structure, numbers, values)
    assert repr(again) == repr(NESTS[name])
    assert structure == flatten(again, [], [])


@pytest.mark.parametrize(
    ("nest", "other"),
    [
        (collections.deque([1.0], maxlen=2), collections.deque([1.0], maxlen=3)),
        (collections.deque([1.0]), Queue([1.0])),
        ((1.0, w), Several([1.0, w])),
        ([1.0], [Celsius(1.0)]),
        ({(1, 2): 1.5}, {(1.0, 2.0): 1.5}),
        ({0.0: 1.5}, {-0.0: 1.5}),
    ],
)
def test_arguments_that_code_can_tell_apart_have_two_structures(nest: Any, other: Any) -> None:
    assert nest == other
    assert structure_of(nest) != structure_of(other)


def test_a_deque_of_a_subclass_is_returned_as_a_deque() -> None:
    assert type(jit(lambda x: Queue([w * x]))(1.0)) is collections.deque


ARRAYS: dict[str, Any] = {
    "floats": np.array([[1.5, -0.0], [math.nan, 2.0]]),
    "floats of no dimension": np.array(1.5),
    "an empty array": np.zeros((0, 3)),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "ints": np.array([1, 2, 3]),
    "an empty array of ints": np.zeros((0, 3), dtype=np.int64),
    "bytes": np.array([[1, 255]], dtype=np.uint8),
    "bools": np.array([True, False]),
    "Values": np.array([[w, Value(4.0)]]),
    "Values and floats": np.array([w, 1.5], dtype=object),
    "np.float64": np.float64(1.5),
    "np.int64": np.int64(3),
    "np.bool": np.bool_(True),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_returned_array_matches_the_eager_one(name: str) -> None:
    run = jit(lambda x: (w * x, ARRAYS[name]))
    for x in (1.0, 2.0, 3.0):
        _, found = run(x)
        assert (type(found), found.dtype, found.shape) == (
            type(ARRAYS[name]),
            ARRAYS[name].dtype,
            ARRAYS[name].shape,
        )
        if found.dtype != object:
            assert found.tobytes() == ARRAYS[name].tobytes()


@pytest.mark.parametrize("name", [n for n in ARRAYS if isinstance(ARRAYS[n], np.ndarray)])
def test_writing_into_a_returned_array_does_not_affect_later_results(name: str) -> None:
    kept = ARRAYS[name].copy()
    run = jit(lambda x: (w * x, kept))
    before = repr(kept.tolist())
    for x in (1.0, 2.0, 3.0):
        _, found = run(x)
        assert repr(found.tolist()) == before
        assert not np.shares_memory(found, kept)
        found.fill(0)
    assert repr(kept.tolist()) == before


def test_an_array_of_computed_numbers_is_an_array_of_floats() -> None:
    structure = flatten(np.array([[0.0], [0.0]]), [], [])
    built = filled(structure, [1.5, 2.5], [])
    assert (built.dtype, built.tolist()) == (np.float64, [[1.5], [2.5]])
    built = filled(structure, [w, w], [])  # like arguments of a recorded call
    assert (built.dtype, built.tolist()) == (object, [[w], [w]])


def test_changing_returned_lists_and_dicts_does_not_affect_later_results() -> None:
    kept = {"a": [1, 2.5], "b": [{"c": "text"}]}
    run = jit(lambda x: (w * x, kept))
    for x in (1.0, 2.0, 3.0):
        _, found = run(x)
        assert found == {"a": [1, 2.5], "b": [{"c": "text"}]}
        assert found is not kept
        found["a"].append(3)
        found["b"][0]["c"] = "other"
        del found["b"]
    assert kept == {"a": [1, 2.5], "b": [{"c": "text"}]}


def test_static_arrays_are_compared_by_content() -> None:
    masks = [np.array([True, False]), np.array([True, False]), np.array([[True, False]])]
    first, second, third = [structure_of(mask) for mask in masks]
    assert first == second != third
    masks[0][0] = False
    assert first == second  # the structure holds a copy
    assert filled(first, [], []).tolist() == [True, False]
    assert structure_of(Static(masks[0])) != first
