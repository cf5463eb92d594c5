"""What is a matrix of Values? Rows and columns, with operators made of scalar operations."""

from __future__ import annotations

import itertools
import operator
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import reduce
from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, TypeVar, cast, overload

from autograd import Value, maximum, minimum, where
from autograd.hooks import Watched, is_recorded, refuse
from autograd.messages import is_series
from autograd.sums import weighted_sum
from autograd.text import counted, quoted
from autograd.value import as_constant, as_operand, is_function
from nn.scalars import labelled_constant


class Array(Protocol):
    """An array of NumPy or a similar library; its type does not tell a vector from a batch."""

    @property
    def shape(self) -> Any: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Any: ...
    def __getitem__(self, place: Any, /) -> Any: ...


Vector = Sequence[Value | float]
Rows = Sequence[Vector]
Operator = Callable[["Matrix", "Operand"], "Matrix"]

Summed = TypeVar("Summed", bound=Value | float)

_PLAIN = frozenset([Value, float])

# An attribute of PyTorch's tensors or NumPy's arrays: what to write instead, for a Matrix M.
_INSTEAD = {
    "clamp": "M.map(lambda x: minimum(maximum(x, low), high))",
    "flatten": "[x for row in M for x in row]",
    "log_softmax": "nn.log_softmax(M)",
    "min": "-(-M).max()",
    "numel": "M.shape",
    "numpy": "M.data",
    "pow": "M ** 2",
    "reshape": "[x for row in M for x in row], and a Matrix of new rows of it",
    "softmax": "nn.softmax(M)",
    "square": "M ** 2",
    "std": "((M - M.mean(0)) ** 2).mean(0).map(Value.sqrt)",
    "tolist": "M.data",
    "transpose": "M.T",
    "var": "((M - M.mean(0)) ** 2).mean(0)",
    "view": "[x for row in M for x in row], and a Matrix of new rows of it",
}


def is_vector(x: object) -> TypeGuard[Any]:
    """Whether x may be a vector or have rows: a series, but not a dict, nor a view of its keys."""
    return is_series(x) and not isinstance(x, (Mapping, Set))


def total(values: Iterable[Summed]) -> Summed:
    """Return the sum from left to right, without the initial 0 of `sum`; TypeError if empty."""
    return reduce(operator.add, values)


def as_values(entries: Iterable[Value | float]) -> list[Value]:
    """Return the entries as Values; a number becomes a leaf."""
    return [entry if isinstance(entry, Value) else Value(entry) for entry in entries]


def mean(values: Iterable[Value] | Matrix | Rows) -> Value:
    """The arithmetic mean of Values, or of all entries of a batch; ValueError if there are none.

    >>> y = mean([Value(1.0), Value(2.0)])
    >>> y.data
    1.5
    """
    values = as_input(values, "mean")
    entries: Iterable[Any] = itertools.chain(*values) if isinstance(values, Matrix) else values
    listed = as_values(entries)
    if not listed:
        raise ValueError("mean() of no values")
    return total(listed) / len(listed)


@overload
def norm(x: Matrix | Rows) -> Matrix: ...
@overload
def norm(x: Vector) -> Value: ...
@overload
def norm(x: Array) -> Any: ...
def norm(x: Any) -> Any:
    """sqrt(x_1^2 + ... + x_n^2), the Euclidean norm; for a batch, of each row (n x 1).

    The norm has no derivative at 0; the subgradient 0 is used, for derivatives of every order. So
    the distance between equal points, the norm of their difference, has gradient 0. The entries
    are divided by the largest, so that their squares neither overflow nor underflow.

    Raises ValueError for no entries.

    >>> y = norm([3.0, 4.0])
    >>> y.data
    5.0
    """
    x = as_input(x, "norm")
    if isinstance(x, Matrix):
        return Matrix([norm(row)] for row in x)
    values = as_values(x)
    if not values:
        raise ValueError("norm of an empty vector")
    # The norm does not depend on the scale, which therefore is constant. The bounds keep it and its
    # reciprocal finite. At 0 the scale is 1: powers of 1e290 would overflow in derivatives of the
    # third order, and infinity times 0 is nan.
    largest = reduce(maximum, map(abs, values))
    bounded = minimum(maximum(largest, 1e-290), 1e290)
    scale = labelled_constant(where(largest, bounded, 1.0), "max")
    square = total((v / scale) ** 2 for v in values)
    # The derivative of sqrt is infinite at 0: take the root of 1 there instead.
    return scale * where(square, where(square, square, 1.0).sqrt(), 0.0)


def dot(a: Sequence[Value], b: Vector) -> Value:
    """a_1 b_1 + a_2 b_2 + ..., summed from left to right, for one or more entries."""
    return weighted_sum(a, b)


def _elementwise(symbol: str, f: Callable[[Any, Any], Value]) -> tuple[Operator, Operator]:
    """Return the methods of an operator: `matrix + other` and, reflected, `other + matrix`."""

    def method(left: Matrix, right: Any) -> Matrix:
        return left._combined(symbol, right, f)

    def reflected(right: Matrix, left: Any) -> Matrix:
        return right._combined(symbol, left, lambda a, b: f(b, a))

    for each, name in ((method, f"__{f.__name__}__"), (reflected, f"__r{f.__name__}__")):
        each.__name__, each.__qualname__ = name, f"Matrix.{name}"
    return method, reflected


class Matrix(Watched):
    """A matrix of Values.

    Args:
        rows: rows of equal length, of Values or real numbers, such as a NumPy array. Values are
            kept; a number becomes a leaf, which receives a gradient.

    `M[i]` and `M[:, j]` are lists, a row and a column; `M[i, j]` is a Value; `M[a:b]` and
    `M[a:b, c:d]` are Matrices of the same Values, not copies.

    Elementwise `+ - * / **` take a Matrix of the same shape, a number or Value, or an operand that
    is broadcast: a row (1 x columns, or a plain sequence, such as a bias) or a column (rows x 1).

    Raises:
        ValueError: no rows, no columns, ragged rows, or shapes that do not match.
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

    __array_ufunc__ = None  # NumPy defers to this class's operators

    rows: list[list[Value]]

    def __init__(self, rows: Iterable[Iterable[Value | float]]) -> None:
        if not is_vector(rows):
            raise TypeError(f"a Matrix takes rows of numbers, not {quoted(rows)}")
        made: list[list[Value]] = []
        for i, row in enumerate(rows):
            if not is_vector(row):
                raise TypeError(
                    f"a Matrix takes rows of numbers; row {i} is {quoted(row)} (write one row as"
                    " [[1, 2]], one column as [[1], [2]])"
                )
            made.append(as_values(row))
            if len(made[i]) != len(made[0]):
                raise ValueError(
                    "a Matrix needs rows of equal length: row 0 has"
                    f" {counted(len(made[0]), 'entry', 'entries')}, row {i} has {len(made[i])}"
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

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raise AttributeError, which for a method of Value, or of a tensor of PyTorch or
            NumPy, says what to write instead."""
            if name == "backward":
                raise AttributeError(
                    f"a Matrix of {_sizes(self)} has no backward(), which begins at one Value: take"
                    " a loss, M.mean() or M.sum() first"
                )
            instead = _INSTEAD.get(name, "")
            if is_function(name) or name == "detach":
                instead = f"M.map(Value.{name})"
            told = f"{type(self).__name__!r} object has no attribute {name!r}"
            if instead:
                raise AttributeError(f"{told}: write {instead}")
            raise AttributeError(told, name=name, obj=self)  # Python adds a name that is similar

    @property
    def T(self) -> Matrix:
        """The transpose, with the same Values."""
        return Matrix(zip(*self.rows, strict=True))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[list[Value]]:
        return iter(self.rows)

    @overload
    def __getitem__(self, place: int) -> list[Value]: ...
    @overload
    def __getitem__(self, place: slice) -> Matrix: ...
    @overload
    def __getitem__(self, place: tuple[int, int]) -> Value: ...
    @overload
    def __getitem__(self, place: tuple[int, slice] | tuple[slice, int]) -> list[Value]: ...
    @overload
    def __getitem__(self, place: tuple[slice, slice]) -> Matrix: ...
    def __getitem__(self, place: Any) -> Any:
        """Raises IndexError outside the Matrix or for more than two indices, ValueError for a slice
        that selects nothing, TypeError for an index that is neither an integer nor a slice."""
        if not isinstance(place, tuple):
            found = _picked(self.rows, place, "row", self)
            return Matrix(found) if isinstance(place, slice) else found
        if len(place) != 2:
            raise IndexError(f"a Matrix has rows and columns, but got {len(place)} indices")
        row, column = place
        found = _picked(self.rows, row, "row", self)
        if not isinstance(row, slice):
            return _picked(found, column, "column", self)
        entries = [_picked(entries, column, "column", self) for entries in found]
        return Matrix(entries) if isinstance(column, slice) else entries

    def __matmul__(self, other: Matrix | Iterable[Iterable[Value | float]]) -> Matrix:
        other = as_matrix(other)
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"@: shapes {_sizes(self)} and {_sizes(other)} do not fit")
        columns = list(zip(*other.rows, strict=True))
        return Matrix([dot(row, column) for column in columns] for row in self.rows)

    def __rmatmul__(self, other: Iterable[Iterable[Value | float]]) -> Matrix:
        return Matrix(other) @ self

    __add__, __radd__ = _elementwise("+", operator.add)
    __sub__, __rsub__ = _elementwise("-", operator.sub)
    __mul__, __rmul__ = _elementwise("*", operator.mul)
    __truediv__, __rtruediv__ = _elementwise("/", operator.truediv)
    _to_the_matrix, __rpow__ = _elementwise("**", operator.pow)

    def __pow__(self, other: Operand) -> Matrix:
        if as_operand(other) is not None:  # a number stays plain: x ** 2 has a simpler derivative
            return self.map(lambda entry: entry ** cast(float, other))
        return self._to_the_matrix(other)

    def __neg__(self) -> Matrix:
        return self.map(lambda entry: -entry)

    def __abs__(self) -> Matrix:
        return self.map(abs)

    def map(self, f: Callable[[Value], Value | float]) -> Matrix:
        """Return the Matrix of f(entry) for each entry."""
        if not callable(f):
            raise TypeError(f"map takes a function of an entry, such as Value.exp, not {quoted(f)}")
        return Matrix([f(entry) for entry in row] for row in self.rows)

    @overload
    def sum(self, axis: None = None) -> Value: ...
    @overload
    def sum(self, axis: int) -> Matrix: ...
    def sum(self, axis: int | None = None, **others: Any) -> Matrix | Value:
        """The sum of all entries; a row of column sums (axis 0); a column of row sums (axis 1)."""
        return self._reduced("sum", axis, total, others)

    @overload
    def mean(self, axis: None = None) -> Value: ...
    @overload
    def mean(self, axis: int) -> Matrix: ...
    def mean(self, axis: int | None = None, **others: Any) -> Matrix | Value:
        """The mean of all entries, of each column (axis 0) or of each row (axis 1); see `sum`."""
        return self._reduced("mean", axis, mean, others)

    @overload
    def max(self, axis: None = None) -> Value: ...
    @overload
    def max(self, axis: int) -> Matrix: ...
    def max(self, axis: int | None = None, **others: Any) -> Matrix | Value:
        """The largest of all entries, of each column (axis 0) or of each row (axis 1); see `sum`.

        Applies `autograd.maximum` from left to right: two equal largest entries share the gradient
        equally; of three, the first two get 1/4 each and the third 1/2. A nan gives nan.
        """
        return self._reduced("max", axis, lambda entries: reduce(maximum, entries), others)

    def __repr__(self) -> str:
        """All numbers; if there are more than 100, the first rows and columns, and the shape."""
        rows, columns = self.shape
        if rows * columns <= 100:
            return f"Matrix({self.data})"
        return f"Matrix({reprlib.repr(self.data)}, {rows} x {columns})"

    def _reduced(
        self,
        name: str,
        axis: int | None,
        f: Callable[[Iterable[Value]], Value],
        others: dict[str, Any],
    ) -> Matrix | Value:
        if others not in ({}, {"out": None}, {"dtype": None, "out": None}):  # as np.sum(M) passes
            raise TypeError(
                f"{name} takes an axis alone, not {', '.join(others)}: write M.{name}(0) for a row"
                f" or M.{name}(1) for a column, which broadcasts"
            )
        if axis is None:
            return f(itertools.chain.from_iterable(self.rows))
        if not isinstance(axis, Integral) or axis not in (0, 1):
            raise ValueError(f"{name}: axis must be None, 0 or 1, not {quoted(axis)}")
        if axis == 0:
            return Matrix([[f(column) for column in zip(*self.rows, strict=True)]])
        return Matrix([f(row)] for row in self.rows)

    def _combined(self, symbol: str, other: Operand, f: Callable[[Value, Any], Value]) -> Matrix:
        number = as_operand(other)
        if number is not None:
            return self.map(lambda entry: f(entry, number))
        if not isinstance(other, Matrix):
            if not is_vector(other):
                return cast(Matrix, NotImplemented)
            entries: list[Any] = list(other)
            rows = bool(entries) and is_series(entries[0])
            other = Matrix(entries if rows else [entries])
        (m, n), (k, p) = self.shape, other.shape
        if not (m == k or 1 in (m, k)) or not (n == p or 1 in (n, p)):
            raise ValueError(f"{symbol}: shapes {_sizes(self)} and {_sizes(other)} do not fit")
        return Matrix(
            [
                f(self.rows[i % m][j % n], other.rows[i % k][j % p])  # % broadcasts size 1
                for j in range(max(n, p))
            ]
            for i in range(max(m, k))
        )


def as_matrix(x: Matrix | Iterable[Iterable[Value | float]]) -> Matrix:
    """Return a Matrix unchanged, and rows as a Matrix."""
    return x if isinstance(x, Matrix) else Matrix(x)


def as_input(x: Any, what: str) -> Matrix | Sequence[Any]:
    """Return the argument of a layer or function: a batch as a Matrix, a vector as a sequence.

    A batch is a Matrix, a list of rows or a 2-d array. Plain numbers in it become constants,
    without gradients. Raises TypeError if x is neither; `what` names the layer in the message.
    """
    if isinstance(x, Matrix):
        return x
    if x.__class__ is list and x and x[0].__class__ in _PLAIN:  # a fast path for the common case
        return cast(list[Value], x)
    if not is_vector(x):
        raise _neither_vector_nor_batch(x, what)
    entries = list(x)
    if entries and is_series(entries[0]):
        first = entries[0]
        if hasattr(first, "__len__") and is_series(next(iter(first), None)):
            raise _neither_vector_nor_batch(x, what)
        return Matrix(
            [as_constant(entry) for entry in row] if is_vector(row) else row for row in entries
        )
    return entries


def _neither_vector_nor_batch(x: Any, what: str) -> TypeError:
    advice = ": pass its inputs" if hasattr(x, "inputs") else ""
    return TypeError(
        f"{what} takes a vector of numbers or a batch (rows of numbers), not {quoted(x)}{advice}"
    )


Operand = Matrix | Value | float | Vector | Rows | Array

_SELECTED = (
    "pass what it selects, or the index as a static argument; nn.Embedding and nn.cross_entropy"
    " take indices"
)


def _sizes(matrix: Matrix) -> str:
    return "{} x {}".format(*matrix.shape)


def _bounds(place: Any) -> tuple[Any, ...]:
    return (place.start, place.stop, place.step) if isinstance(place, slice) else (place,)


def _picked(entries: list[Any], place: Any, what: str, matrix: Matrix) -> Any:
    """Return entries[place], for an integer or a slice that selects something."""
    try:
        if isinstance(place, bool):
            raise TypeError
        if type(place) is not int and any(map(is_recorded, _bounds(place))):
            refuse(f"a {what} of a Matrix is selected by a recorded number", _SELECTED)
        picked = entries[place]
    except IndexError:
        raise IndexError(f"no {what} {place} in a Matrix of {_sizes(matrix)}") from None
    except (TypeError, ValueError):  # ValueError: a slice with step 0
        several = ": write [M[i] for i in rows], or [M[i, j] for i, j in zip(rows, columns)]"
        raise TypeError(
            f"a {what} of a Matrix is selected by an integer or a slice of integers,"
            f" not {quoted(place)}{several if is_series(place) else ''}"
        ) from None
    if isinstance(place, slice) and not picked:
        raise ValueError(f"{place} selects no {what} of a Matrix of {_sizes(matrix)}")
    return picked
