"""Which data sets are there? Small ones, as lists of inputs and of targets.

A size or noise out of range raises ValueError, and one of the wrong type TypeError.
"""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from autograd.extras import to_install
from autograd.messages import is_series, require_whole
from autograd.text import counted, quoted
from autograd.value import as_operand
from nn import rng
from nn.matrix import Array, is_vector
from nn.scalars import own_number
from nn.settings import require_range


class Dataset(NamedTuple):
    """Examples: `inputs`, a list of floats for each, and `targets`, a class for each.

    Classes are -1 and +1 (moons, circles, xor), or 0, 1, 2, ... (spiral, iris, digits). `split` and
    `standardized` keep the targets they are given.
    """

    inputs: list[list[float]]
    targets: list[int]

    def __repr__(self) -> str:
        """`Dataset(100 examples of 2 inputs, classes -1, 1)`."""
        told = counted(len(self.inputs), "example")
        if len(self.inputs) and hasattr(self.inputs[0], "__len__"):
            told += f" of {counted(len(self.inputs[0]), 'input')}"
        if len(self.targets) and all(isinstance(target, int) for target in self.targets):
            found = [str(target) for target in sorted(set(self.targets))]
            if len(found) > 10:
                found = [*found[:3], "...", found[-1]]
            told += f", classes {', '.join(found)}"
        return f"Dataset({told})"


Data = Dataset | tuple[Sequence[Any] | Array, Sequence[Any] | Array]
Examples = tuple[list[Any], list[Any]]  # inputs and targets, equally many


def moons(n: int = 100, noise: float = 0.1, generator: random.Random | None = None) -> Dataset:
    """n points on two interleaved half circles, in classes -1 (the upper one) and +1.

    `noise` is the standard deviation of the normal noise added to each coordinate. `generator` is
    the source of random numbers; nn's own stream by default.
    """
    n = require_whole("n", n)
    outer, inner = n - n // 2, n // 2
    points = []
    for k in range(outer):
        angle = math.pi * k / max(outer - 1, 1)
        points.append((math.cos(angle), math.sin(angle), -1))
    for k in range(inner):
        angle = math.pi * k / max(inner - 1, 1)
        points.append((1.0 - math.cos(angle), 0.5 - math.sin(angle), 1))
    return _with_noise(points, noise, generator)


def circles(
    n: int = 100, noise: float = 0.1, factor: float = 0.5, generator: random.Random | None = None
) -> Dataset:
    """n points on two circles, with radius 1 (class -1) and `factor` (class +1).

    `noise` and `generator` as for `moons`.
    """
    n = require_whole("n", n)
    factor = require_range("factor", factor, plain=True)
    outer, inner = n - n // 2, n // 2
    points = []
    for size, radius, label in ((outer, 1.0, -1), (inner, factor, 1)):
        for k in range(size):
            angle = 2.0 * math.pi * k / size
            points.append((radius * math.cos(angle), radius * math.sin(angle), label))
    return _with_noise(points, noise, generator)


def spiral(
    n: int = 150, noise: float = 0.05, arms: int = 3, generator: random.Random | None = None
) -> Dataset:
    """n points on the arms of a spiral, in classes 0, 1, 2, ..., one for each arm.

    `noise` and `generator` as for `moons`.
    """
    n, arms = require_whole("n", n), require_whole("arms", arms)
    points = []
    for arm in range(arms):
        size = n // arms + (arm < n % arms)
        for k in range(size):
            radius = (k + 1) / size
            angle = 2.0 * math.pi * arm / arms + 4.0 * radius
            points.append((radius * math.sin(angle), radius * math.cos(angle), arm))
    return _with_noise(points, noise, generator)


def xor(n: int = 100, noise: float = 0.1, generator: random.Random | None = None) -> Dataset:
    """n points at the corners of a square: class +1 if exactly one coordinate is 1, else -1.

    `noise` and `generator` as for `moons`.
    """
    corners = [(0.0, 0.0, -1), (0.0, 1.0, 1), (1.0, 0.0, 1), (1.0, 1.0, -1)]
    return _with_noise([corners[k % 4] for k in range(require_whole("n", n))], noise, generator)


def iris() -> Dataset:
    """Fisher's iris data: 150 flowers, 4 measurements in cm, 3 species. Needs scikit-learn."""
    return _from_scikit_learn("iris")


def digits() -> Dataset:
    """1,797 handwritten digits, 8 x 8 pixels from 0 to 16. Needs scikit-learn."""
    return _from_scikit_learn("digits")


def split(
    data: Data, held_out: int, generator: random.Random | None = None
) -> tuple[Dataset, Dataset]:
    """Draw (training set, held-out set) at random, with the same proportions of the classes.

    Classes too small for one held-out example, such as the targets of a regression, are pooled.
    `held_out` is a number of examples. Raises ValueError unless it is at least 0 and less than the
    number of all examples, TypeError if it is not an integer.
    """
    inputs, targets = listed(data)
    n = len(inputs)
    if isinstance(held_out, float) and 0.0 < held_out < 1.0:
        raise TypeError(
            f"held_out must be a whole number, not {held_out}: for this part of the examples, write"
            f" {round(held_out * n)}"
        )
    if require_whole("held_out", held_out, 0) >= n:
        raise ValueError(f"cannot hold out {held_out} of {counted(n, 'example')}")
    generator = rng.source(generator)
    classes: dict[object, list[int]] = {}
    for i, target in enumerate(targets):
        classes.setdefault(_hashable(target), []).append(i)
    # Each example is ranked from 0 to 1 within its class; the first `held_out` of all are held out.
    ranked = []
    large = [members for members in classes.values() if len(members) * held_out >= n]
    small = [i for members in classes.values() if len(members) * held_out < n for i in members]
    for members in (*large, small):
        generator.shuffle(members)
        ranked += [((k + 0.5) / len(members), i) for k, i in enumerate(members)]
    order = [i for _, i in sorted(ranked)]

    def chosen(part: list[int]) -> Dataset:
        return Dataset([inputs[i] for i in sorted(part)], [targets[i] for i in sorted(part)])

    return chosen(order[held_out:]), chosen(order[:held_out])


def standardized(data: Data, like: Data | None = None) -> Dataset:
    """Scale each column of the inputs to mean 0 and standard deviation 1.

    Mean and deviation are those of `like`, by default the data itself; for held-out data pass the
    training data. A column of equal numbers is only centered.

    Raises ValueError for rows of different lengths and for a number that is not finite, TypeError
    for inputs that are not numbers.
    """
    inputs, targets = listed(data)
    rows = number_rows(inputs)
    columns = list(zip(*(rows if like is None else number_rows(listed(like)[0])), strict=True))
    centers = [  # equal numbers are centered exactly: their mean may be off by rounding
        math.fsum(column) / len(column) if min(column) < max(column) else column[0]
        for column in columns
    ]
    spreads = [
        math.sqrt(math.fsum((x - center) ** 2 for x in column) / len(column)) or 1.0
        for column, center in zip(columns, centers, strict=True)
    ]
    if rows and len(rows[0]) != len(columns):
        raise ValueError(f"examples of length {len(rows[0])}, but {len(columns)} in like=")
    scaled = [[(x - c) / s for x, c, s in zip(row, centers, spreads, strict=True)] for row in rows]
    return Dataset(scaled, targets)


def _hashable(target: Any) -> Any:
    """Return a target as the key of its class; a one-hot row, not hashable, becomes a tuple."""
    plain = as_lists(target)
    is_row = isinstance(plain, Iterable) and not isinstance(plain, str)
    return tuple(map(_hashable, plain)) if is_row else plain


def as_lists(thing: Any) -> Any:
    """Return an array of NumPy or a similar library as nested lists, anything else unchanged."""
    return thing.tolist() if hasattr(thing, "tolist") else thing


def listed(data: Any, name: str = "data") -> Examples:
    """Return the inputs and targets of a pair as lists of equal length."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        what, instead = type(data).__name__, ""
        if isinstance(data, tuple | list):
            what = f"{len(data)} parts"
            if data and all(isinstance(part, tuple) and len(part) == 2 for part in data):
                instead = ": if each is (input, target), write list(zip(*data))"
        elif name == "held_out":
            instead = ": nn.data.split(data, n) holds out n examples"
        raise TypeError(f"{name} must be a pair (inputs, targets), not {what}{instead}")
    inputs, targets = (_listed(*part) for part in zip(("inputs", "targets"), data, strict=True))
    if len(inputs) != len(targets):
        raise ValueError(f"{counted(len(inputs), 'input')}, but {counted(len(targets), 'target')}")
    return inputs, targets


def _listed(name: str, part: Any) -> list[Any]:
    if isinstance(part, dict) or not is_series(part):
        raise TypeError(
            f"{name} must be a list or an array with an entry per example, not {quoted(part)}"
        )
    return list(part)


def number_rows(inputs: list[Any], advice: str = "") -> list[list[Any]]:
    """Return inputs as rows of finite numbers; a single number becomes a row."""
    plain = list(map(as_lists, inputs))
    column = bool(plain) and as_operand(plain[0]) is not None
    rows = []
    for i, row in enumerate(plain):
        if column:
            row = [row]
        elif not is_vector(row):
            raise TypeError(f"input {i} is {quoted(row)}, not a row of numbers{advice}")
        rows.append([x if x.__class__ is float else own_number(x) for x in row])
        if not rows[0]:
            raise ValueError("input 0 has 0 numbers")
        if len(rows[i]) != len(rows[0]):
            first = counted(len(rows[0]), "number")
            raise ValueError(f"input 0 has {first}, input {i} has {len(rows[i])}")
        for x in rows[i]:
            if x.__class__ is not float and as_operand(x) is None:
                raise TypeError(f"input {i} has {quoted(x)}, which is not a number{advice}")
            if not math.isfinite(x):
                raise ValueError(f"input {i} has a number that is not finite: {x}")
    return rows


def _with_noise(
    points: Sequence[tuple[float, float, int]],
    noise: float,
    generator: random.Random | None,
) -> Dataset:
    noise = require_range("noise", noise, plain=True)
    draw = rng.source(generator).gauss
    inputs = [[x + draw(0.0, noise), y + draw(0.0, noise)] for x, y, _ in points]
    return Dataset(inputs, [label for _, _, label in points])


def _from_scikit_learn(name: str) -> Dataset:
    """Read a data file of scikit-learn, whose import takes longer than most trainings."""
    package = find_spec("sklearn")
    if package is None:
        raise ImportError(f"the {name} data come with scikit-learn: {to_install('train')}")
    folder = Path(next(iter(package.submodule_search_locations or ()), "")) / "datasets" / "data"
    try:
        if name == "iris":
            lines = (folder / "iris.csv").read_text().splitlines()[1:]  # without the header
        else:
            lines = gzip.decompress((folder / "digits.csv.gz").read_bytes()).decode().splitlines()
        rows = [[float(number) for number in line.split(",")] for line in lines]
    except (OSError, ValueError):  # other versions may store the file elsewhere
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        examples = zip(bunch.data, bunch.target, strict=True)
        rows = [[*map(float, row), target] for row, target in examples]
    return Dataset([row[:-1] for row in rows], [int(row[-1]) for row in rows])
