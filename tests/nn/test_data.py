"""Data sets: how they show themselves."""

import sys

import numpy as np
import pytest

from nn import data
from nn.data import Dataset


@pytest.mark.parametrize(
    ("examples", "told"),
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
def test_a_data_set_is_shown_short(examples, told):
    assert repr(examples) == str(examples) == told
    inputs, targets = examples
    assert (inputs, targets) == examples == Dataset(inputs, targets)


@pytest.mark.parametrize("form", [lambda row: row, tuple, np.array])
def test_split_takes_one_hot_rows(form):
    rows = [form([1, 0])] * 6 + [form([0, 1])] * 3
    training, held_out = data.split(Dataset([[float(i)] for i in range(9)], rows), 3)
    # Two of six, one of three: each class in proportion.
    assert [sum(int(row[k]) for row in held_out.targets) for k in (0, 1)] == [2, 1]
    assert len(training.inputs) == 6


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_data_of_scikit_learn_are_read_without_importing_it(name, monkeypatch):
    import sklearn

    load = getattr(data, name)
    with monkeypatch.context() as patched:
        for module in [module for module in sys.modules if module.startswith("sklearn.")]:
            patched.delitem(sys.modules, module)
        found = load()
        assert not [module for module in sys.modules if module.startswith("sklearn.")]
    # A version of it that keeps the files elsewhere.
    monkeypatch.setattr(data, "find_spec", lambda name: sklearn.__spec__.__class__(name, None))
    assert load() == found
    assert {type(x) for row in found.inputs for x in row} == {float}
    assert {type(target) for target in found.targets} == {int}
