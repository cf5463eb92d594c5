"""How does one call of an update rule move all parameters? Columns of numbers stand for Values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from autograd import Value, ops
from autograd.ops import Primitive
from autograd.value import as_operand


class NotArithmetic(Exception):
    """A rule asked a column for something other than arithmetic."""


class Column:
    """One number for each parameter, in the place of a Value in a rule's expression.

    It has the arithmetic of a Value, computed by the same primitives. Everything else raises
    NotArithmetic: a comparison, a conversion to a number or text, an attribute such as `.data`.
    """

    __slots__ = ("numbers",)
    __array_ufunc__ = None  # NumPy leaves the operators to this class
    shape = None  # else as_operand would ask __getattr__, which raises

    def __init__(self, numbers: Iterable[float]) -> None:
        self.numbers = list(numbers)

    @classmethod
    def of(cls, values: Iterable[Value]) -> Column:
        """The numbers of these Values."""
        return cls([value.data for value in values])

    def apply_primitive(self, primitive: Primitive, operands: Sequence[Any]) -> Column:
        """The results of a primitive, number by number; see `Primitive.__call__`."""
        numbers = list(map(primitive.forward, *map(_numbers, operands)))
        if set(map(type, numbers)) != {float}:  # a complex power, a forward of another kind
            raise NotArithmetic
        return Column(numbers)

    @staticmethod
    def _operators(primitive: Primitive) -> tuple[Any, Any]:
        f = primitive.forward

        def method(left: Column, right: Any) -> Column:
            return Column(map(f, left.numbers, _numbers(right)))

        def reflected(right: Column, left: Any) -> Column:
            return Column(map(f, _numbers(left), right.numbers))

        return method, reflected

    @staticmethod
    def _method(primitive: Primitive) -> Any:
        return lambda column: Column(map(primitive.forward, column.numbers))

    __add__, __radd__ = _operators(ops.add)
    __sub__, __rsub__ = _operators(ops.sub)
    __mul__, __rmul__ = _operators(ops.mul)
    __truediv__, __rtruediv__ = _operators(ops.div)
    __neg__, __abs__ = _method(ops.neg), _method(ops.abs)
    exp, expm1, log, log1p = map(_method, (ops.exp, ops.expm1, ops.log, ops.log1p))
    sqrt, sin, cos, tanh = map(_method, (ops.sqrt, ops.sin, ops.cos, ops.tanh))
    sigmoid, relu, softplus, erf = map(_method, (ops.sigmoid, ops.relu, ops.softplus, ops.erf))

    def __pow__(self, exponent: Any) -> Column:
        return self.apply_primitive(ops.power, (self, exponent))

    def __rpow__(self, base: Any) -> Column:
        return self.apply_primitive(ops.power, (base, self))

    def __pos__(self) -> Column:
        return self

    detach = __pos__

    def _refused(self, *others: object) -> Any:
        raise NotArithmetic

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refused
    __bool__ = __float__ = __int__ = __index__ = __iter__ = __len__ = _refused
    __format__ = __str__ = __repr__ = __getattr__ = _refused


def _numbers(operand: Any) -> Iterable[float]:
    """The numbers of an operand, one for each parameter."""
    if operand.__class__ is Column:
        column: Column = operand
        return column.numbers
    if operand.__class__ is float:
        return repeat(operand)
    number = as_operand(operand)
    if number is None:
        raise NotArithmetic
    return repeat(number.data)


class Updated(NamedTuple):
    """What a step is about to write: Values, or plain numbers where columns were used."""

    time: Value
    parameters: Sequence[Any]
    moments: Mapping[str, Sequence[Any]]

    def bits(self) -> list[list[str]]:
        """The parameters and moments, for a comparison to the last bit."""
        groups = [self.parameters, *self.moments.values()]
        return [[float(number).hex() for number in group] for group in groups]


def update_all(
    update: Callable[..., Any],
    parameters: Column,
    gradients: Column,
    moments: dict[str, Column],
) -> tuple[list[float], dict[str, list[float]]]:
    """The new parameters and moments by one call of `update` for all.

    Raises NotArithmetic, or whatever `update` raises, where it is more than arithmetic.
    """
    state: dict[str, Any] = dict(moments)
    new = update(parameters, gradients, state)
    if not all(isinstance(column, Column) for column in [new, *map(state.get, moments)]):
        raise NotArithmetic
    return new.numbers, {name: state[name].numbers for name in moments}
