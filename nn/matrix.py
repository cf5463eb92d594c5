"""What is a matrix of Values? Rows and columns; every product and sum is a node of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any, cast, overload

from autograd import Value
from autograd.ops import greater
from autograd.value import as_operand, is_value, weighted_sum

Vector = Sequence[Value | float]

_VALUES = frozenset([Value])


def total(values: Iterable[Value]) -> Value:
    """The sum from left to right, without the 0 that `sum` begins with. Raises on no values."""
    return reduce(add, values)


def as_values(entries: Iterable[Value | float]) -> list[Value]:
    """The entries as Values; a number becomes a leaf."""
    entries = list(entries)
    if _VALUES.issuperset(map(type, entries)):  # mostly, and said in a tenth of the time
        return cast(list[Value], entries)
    return [entry if is_value(entry) else Value(entry) for entry in entries]


def mean(values: Iterable[Value]) -> Value:
    """The arithmetic mean of one or more Values.

    >>> mean([Value(1.0), Value(2.0)]).data
    1.5
    """
    listed = list(values)
    if not listed:
        raise ValueError("mean() of no values")
    return total(listed) / len(listed)


def dot(a: Sequence[Value], b: Vector) -> Value:
    """a_1 b_1 + a_2 b_2 + ..., of one or more entries, from left to right."""
    return weighted_sum(a, b)


def one_hot(index: Value, count: int) -> list[Value]:
    """1 at the index and 0 elsewhere, for an index that is known when the graph is computed.

    All are 0 for an index outside 0 .. count - 1 or between two whole numbers.
    """
    return [1.0 - greater(index, i) - greater(i, index) for i in range(count)]


class Matrix:
    """rows x columns of Values.

    Args:
        rows: a sequence of equally long rows of Values or real numbers, also a NumPy array. Values
            are kept; a number becomes a leaf, which receives a gradient.

    Elementwise `+ - * /` take a Matrix of the same shape, a number or Value, and what can be
    repeated to fit: a row (1 x columns, or a plain sequence: a bias), or a column (rows x 1).

    Raises:
        ValueError: no rows, no columns, ragged rows, or shapes that do not fit, both named.
        TypeError: an entry is not a real number.

    >>> X = Matrix([[1, 2], [3, 4], [5, 6]])
    >>> W = Matrix([[1, 0, 1], [0, 1, 1]])
    >>> Z = X @ W + [10, 20, 30]
    >>> Z.shape, Z.data
    ((3, 3), [[11.0, 22.0, 33.0], [13.0, 24.0, 37.0], [15.0, 26.0, 41.0]])
    >>> Z.sum().backward()
    >>> W.grad
    [[9.0, 9.0, 9.0], [12.0, 12.0, 12.0]]
    """

    __slots__ = ("rows",)
    __array_ufunc__ = None  # NumPy leaves the operators to this class

    rows: list[list[Value]]

    def __init__(self, rows: Iterable[Iterable[Value | float]]) -> None:
        if isinstance(rows, str | bytes):
            raise TypeError(f"a Matrix takes rows of numbers, not {rows!r}")
        made: list[list[Value]] = []
        for i, row in enumerate(rows):
            if isinstance(row, str | bytes) or not isinstance(row, Iterable):
                raise TypeError(f"a Matrix takes rows of numbers; row {i} is {row!r}")
            made.append(as_values(row))
            if len(made[i]) != len(made[0]):
                raise ValueError(
                    f"a Matrix needs rows of one length: row 0 has {len(made[0])} entries, row {i}"
                    f" has {len(made[i])}"
                )
        if not made or not made[0]:
            raise ValueError("a Matrix needs at least one row and one column")
        self.rows = made

    @property
    def shape(self) -> tuple[int, int]:
        """(number of rows, number of columns)."""
        return len(self.rows), len(self.rows[0])

    @property
    def data(self) -> list[list[float]]:
        """The numbers, row by row."""
        return [[entry.data for entry in row] for row in self.rows]

    @property
    def grad(self) -> list[list[float]]:
        """The gradients, row by row."""
        return [[entry.grad for entry in row] for row in self.rows]

    @property
    def T(self) -> Matrix:
        """The transpose; the same Values in exchanged places."""
        return Matrix(zip(*self.rows, strict=True))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[list[Value]]:
        return iter(self.rows)

    @overload
    def __getitem__(self, place: int) -> list[Value]: ...
    @overload
    def __getitem__(self, place: tuple[int, int]) -> Value: ...
    def __getitem__(self, place: int | tuple[int, int]) -> list[Value] | Value:
        if isinstance(place, tuple):
            i, j = place
            return self.rows[i][j]
        return self.rows[place]

    def __matmul__(self, other: Matrix | Iterable[Iterable[Value | float]]) -> Matrix:
        other = other if isinstance(other, Matrix) else Matrix(other)
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"@: shapes {_sizes(self)} and {_sizes(other)} do not fit")
        columns = list(zip(*other.rows, strict=True))
        return Matrix([dot(row, column) for column in columns] for row in self.rows)

    def __rmatmul__(self, other: Iterable[Iterable[Value | float]]) -> Matrix:
        return Matrix(other) @ self

    def __add__(self, other: Elementwise) -> Matrix:
        return self._combined("+", other, lambda a, b: a + b)

    def __radd__(self, other: Elementwise) -> Matrix:
        return self._combined("+", other, lambda a, b: b + a)

    def __sub__(self, other: Elementwise) -> Matrix:
        return self._combined("-", other, lambda a, b: a - b)

    def __rsub__(self, other: Elementwise) -> Matrix:
        return self._combined("-", other, lambda a, b: b - a)

    def __mul__(self, other: Elementwise) -> Matrix:
        return self._combined("*", other, lambda a, b: a * b)

    def __rmul__(self, other: Elementwise) -> Matrix:
        return self._combined("*", other, lambda a, b: b * a)

    def __truediv__(self, other: Elementwise) -> Matrix:
        return self._combined("/", other, lambda a, b: a / b)

    def __rtruediv__(self, other: Elementwise) -> Matrix:
        return self._combined("/", other, lambda a, b: b / a)

    def __neg__(self) -> Matrix:
        return self.map(lambda entry: -entry)

    def map(self, f: Callable[[Value], Value | float]) -> Matrix:
        """The Matrix of f(entry)."""
        return Matrix([f(entry) for entry in row] for row in self.rows)

    @overload
    def sum(self, axis: None = None) -> Value: ...
    @overload
    def sum(self, axis: int) -> Matrix: ...
    def sum(self, axis: int | None = None) -> Matrix | Value:
        """All entries as one Value; axis 0: a row of column sums; axis 1: a column of row sums."""
        if axis is None:
            return total(itertools.chain.from_iterable(self.rows))
        if axis == 0:
            return Matrix([[total(column) for column in zip(*self.rows, strict=True)]])
        if axis == 1:
            return Matrix([total(row)] for row in self.rows)
        raise ValueError(f"sum: axis must be None, 0 or 1, not {axis!r}")

    def __repr__(self) -> str:
        return f"Matrix({self.data})"

    def _combined(
        self, symbol: str, other: Elementwise, f: Callable[[Value, Any], Value]
    ) -> Matrix:
        number = as_operand(other)
        if number is not None:
            return self.map(lambda entry: f(entry, number))
        if not isinstance(other, Matrix):
            if not isinstance(other, Iterable) or isinstance(other, str | bytes):
                return cast(Matrix, NotImplemented)
            entries: list[Any] = list(other)
            rows = bool(entries) and isinstance(entries[0], Iterable)
            other = Matrix(entries if rows else [entries])
        (m, n), (k, p) = self.shape, other.shape
        if not (m == k or 1 in (m, k)) or not (n == p or 1 in (n, p)):
            raise ValueError(f"{symbol}: shapes {_sizes(self)} and {_sizes(other)} do not fit")
        return Matrix(
            [
                f(self.rows[i % m][j % n], other.rows[i % k][j % p])  # % repeats what has size 1
                for j in range(max(n, p))
            ]
            for i in range(max(m, k))
        )


Elementwise = Matrix | Value | float | Vector


def _sizes(matrix: Matrix) -> str:
    return "{} x {}".format(*matrix.shape)
