"""Data sets: their repr, splits, standardized columns, and bad input."""

import random
import re
import sys

import numpy as np
import pytest

from nn import data
from nn.data import Dataset


@pytest.mark.parametrize(
    ("examples", "shown"),
    [
        (data.moons(100), "Dataset(100 examples of 2 inputs, classes -1, 1)"),
        (data.spiral(30), "Dataset(30 examples of 2 inputs, classes 0, 1, 2)"),
        (Dataset([[1.0]], [3]), "Dataset(1 example of 1 input, classes 3)"),
        (
            Dataset([[0.0]] * 50, list(range(50))),
            "Dataset(50 examples of 1 input, classes 0, 1, 2, ..., 49)",
        ),
        (Dataset([[0.0]], [0.5]), "Dataset(1 example of 1 input)"),
        (Dataset([[0.0]], [[0, 1]]), "Dataset(1 example of 1 input)"),
        (Dataset([], []), "Dataset(0 examples)"),
    ],
)
def test_the_repr_of_a_data_set_is_short(examples, shown):
    assert repr(examples) == str(examples) == shown
    inputs, targets = examples
    assert (inputs, targets) == examples == Dataset(inputs, targets)


@pytest.mark.parametrize("form", [lambda row: row, tuple, np.array])
def test_split_accepts_one_hot_rows(form):
    rows = [form([1, 0])] * 6 + [form([0, 1])] * 3
    training, held_out = data.split(Dataset([[float(i)] for i in range(9)], rows), 3)
    # Two of six, one of three: each class in proportion.
    assert [sum(int(row[k]) for row in held_out.targets) for k in (0, 1)] == [2, 1]
    assert len(training.inputs) == 6


@pytest.mark.parametrize("form", [np.array, lambda label: [[label]]])
def test_split_accepts_0_dimensional_arrays_and_nested_rows(form):
    targets = [form(label) for label in [0] * 6 + [1] * 3]
    _, held_out = data.split((range(9), targets), 3)
    assert sorted(map(int, np.ravel(held_out.targets))) == [0, 0, 1]


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_scikit_learn_data_are_read_without_importing_scikit_learn(name, monkeypatch):
    import sklearn

    load = getattr(data, name)
    with monkeypatch.context() as patched:
        for module in [module for module in sys.modules if module.startswith("sklearn.")]:
            patched.delitem(sys.modules, module)
        found = load()
        assert not [module for module in sys.modules if module.startswith("sklearn.")]
    # Simulate a version of scikit-learn that keeps the files elsewhere.
    monkeypatch.setattr(data, "find_spec", lambda name: sklearn.__spec__.__class__(name, None))
    assert load() == found
    assert {type(x) for row in found.inputs for x in row} == {float}
    assert {type(target) for target in found.targets} == {int}


def test_split_draws_from_all_examples_if_targets_are_not_classes():
    places = [[float(i)] for i in range(40)]
    for targets in (
        [i / 7 for i in range(40)],
        [i // 2 for i in range(40)],
        [[float(i)] for i in range(40)],
    ):
        _, held_out = data.split((places, targets), 8, random.Random(1))
        assert max(i for (i,) in held_out.inputs) > 20  # not the first eight
    # 20 zeros and 20 different numbers are split like two classes, half from each.
    _, held_out = data.split((places, [0.0] * 20 + [i / 7 for i in range(1, 21)]), 8)
    assert held_out.targets.count(0.0) == 4


def test_a_pair_of_lists_or_arrays_is_accepted_as_a_data_set():
    inputs, targets = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([0, 1])
    for pair in ((inputs, targets), (inputs.tolist(), targets.tolist())):
        assert data.standardized(pair).inputs == [[-1.0, 0.0], [1.0, 0.0]]
        training, held_out = data.split(pair, 1)
        assert sorted(training.targets + held_out.targets) == [0, 1]
    none = Dataset([], [])
    assert data.standardized(none, like=(inputs, targets)) == none


def test_a_constant_column_is_standardized_to_0():
    # In floats, the mean of three times 0.1 is not 0.1.
    assert data.standardized(([[0.1]] * 3, [0, 1, 2])).inputs == [[0.0]] * 3


def test_numpy_numbers_become_python_floats():
    tenth = np.float32(0.1)
    rows = [[tenth], [3 * tenth], [7 * tenth]]
    assert data.standardized((rows, [0, 1, 2])) == data.standardized((np.array(rows), [0, 1, 2]))
    made = [
        data.circles(4, kind(tenth), kind(tenth), random.Random(1))
        for kind in (float, tenth.dtype.type)
    ]
    assert made[0] == made[1]
    assert {type(x) for row in made[1].inputs for x in row} == {float}


ROWS = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: data.split((ROWS, [0]), 1), ValueError, "2 inputs, but 1 target"),
        (lambda: data.split((ROWS, [0, 1]), 0.5), TypeError, "0.5: for this part of the examples"),
        (
            lambda: data.split((ROWS, [0, 1]), 1.0),
            TypeError,
            "held_out must be a whole number, not 1.0",
        ),
        (lambda: data.split((ROWS, [0, 1]), -1), ValueError, "held_out must be 0 or more, not -1"),
        (lambda: data.standardized(([["1"], ["2"]], [0, 1])), TypeError, "input 0 has '1', which"),
        (lambda: data.standardized(([[1], [2, 3]], [0, 1])), ValueError, "input 0 has 1 number,"),
        (
            lambda: data.standardized((ROWS, [0, 1]), like=([1.0], [0])),
            ValueError,
            "examples of length 2, but 1 in like=",
        ),
        (lambda: data.moons(100.0), TypeError, "n must be a whole number, not 100.0"),
        (lambda: data.circles("9"), TypeError, "n must be a whole number, not '9'"),
        (lambda: data.xor(0), ValueError, "n must be 1 or more, not 0"),
        (lambda: data.spiral(9, arms=1.5), TypeError, "arms must be a whole number, not 1.5"),
        (lambda: data.standardized(([[]], [1])), ValueError, "input 0 has 0 numbers"),
        (lambda: data.circles(9, factor="a"), TypeError, "factor must be a number"),
        (lambda: data.circles(9, factor=-1), ValueError, "factor must be 0 or more, not -1"),
        (lambda: data.moons(9, noise="0.1"), TypeError, "noise must be a number"),
    ],
)
def test_invalid_data_sets_and_sizes_are_rejected(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
