"""How does one call of an update rule move all parameters? With columns in place of Values."""

from __future__ import annotations

import builtins
import dis
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from types import CodeType, FunctionType
from typing import Any

from autograd import Value, hooks, ops
from autograd.primitive import Primitive
from autograd.value import as_operand


class NotArithmetic(Exception):
    """A rule used a column for something other than arithmetic."""


class Column:
    """One number for each parameter, in place of a Value in the expressions of an update rule.

    It supports the arithmetic of a Value, by the same primitives. Anything else raises
    NotArithmetic: comparisons, conversions to a number or a string, attributes such as `.data`.
    """

    __slots__ = ("numbers",)
    __array_ufunc__ = None  # NumPy defers to this class's operators
    shape = None  # as_operand reads it, and __getattr__ would raise

    def __init__(self, numbers: Sequence[float]) -> None:
        self.numbers = numbers

    @classmethod
    def of(cls, values: Iterable[Value]) -> Column:
        """Return a column of the numbers of these Values."""
        return cls([value.data for value in values])

    def apply_primitive(self, primitive: Primitive, operands: Sequence[Any]) -> Column:
        """Apply a primitive number by number; see `Primitive.__call__`."""
        numbers = hooks.mapped(primitive, *map(_numbers, operands))
        if set(map(type, numbers)) != {float} and not all(map(hooks.is_recorded, numbers)):
            raise NotArithmetic  # a user's forward function that returns another kind of number
        return Column(numbers)

    @staticmethod
    def _operators(primitive: Primitive) -> tuple[Any, Any]:
        """Return the methods for `column + other` and, reflected, `other + column`."""
        return (
            lambda left, right: Column(hooks.mapped(primitive, left.numbers, _numbers(right))),
            lambda right, left: Column(hooks.mapped(primitive, _numbers(left), right.numbers)),
        )

    @staticmethod
    def _method(primitive: Primitive) -> Any:
        return lambda column: Column(hooks.mapped(primitive, column.numbers))

    __add__, __radd__ = _operators(ops.add)
    __sub__, __rsub__ = _operators(ops.sub)
    __mul__, __rmul__ = _operators(ops.mul)
    __truediv__, __rtruediv__ = _operators(ops.div)
    __pow__, __rpow__ = _operators(ops.power)
    __neg__, __abs__ = _method(ops.neg), _method(ops.abs)

    def __pos__(self) -> Column:
        return self

    conjugate = detach = __pos__

    def _refused(self, *others: object) -> Any:
        raise NotArithmetic

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refused
    __bool__ = __float__ = __int__ = __index__ = __iter__ = __len__ = _refused
    __format__ = __str__ = __repr__ = __getattr__ = _refused


for _row in ops.TABLE.values():
    if hasattr(Value, _row.name):  # a method, such as exp
        setattr(Column, _row.name, Column._method(_row))


# --- which rules are arithmetic ---

_FUNCTIONS = (abs, max, min, pow, range, math)
_METHODS = {name for name in vars(Column).keys() & set(dir(Value)) if name[0] != "_"} | {"data"}
# `is` and `in` may differ between parameters; an assignment must happen once for each of them.
_REFUSED = re.compile("(IS|CONTAINS)_OP|(STORE|DELETE)_(ATTR|GLOBAL|DEREF|NAME)|IMPORT_")


def attributes_read(update: Any, rule: object) -> frozenset[str]:
    """Return the attributes of a rule that its update reads; NotArithmetic if it does more.

    Its code, and that of the functions and methods it calls, may name only numbers, tuples of
    numbers, Primitives, `math`, `abs`, `max`, `min`, `pow`, `range` and functions made of these. It
    must not use `is`, `in`, `try` or `with`, nor assign to attributes. Other uses of a column raise
    NotArithmetic when the code runs.
    """
    names: set[str] = set()

    def is_allowed(content: Any) -> bool:
        if isinstance(content, property):
            return getattr(content.fget, "__module__", None) == "nn.optim"  # the learning rate
        if not isinstance(content, FunctionType):
            return (
                isinstance(content, Primitive)
                or any(content is function for function in _FUNCTIONS)
                or getattr(content, "__module__", None) == "math"
                or is_constant(content)
            )
        cells = [cell.cell_contents for cell in content.__closure__ or ()]
        defaults = [*(content.__defaults__ or ()), *(content.__kwdefaults__ or {}).values()]
        return all(map(is_allowed, [*cells, *defaults])) and all(
            is_clean(code, content.__globals__) for code in _nested(content.__code__)
        )

    def is_clean(code: CodeType, variables: dict[str, Any]) -> bool:
        if code.co_exceptiontable:
            return False
        for step in dis.get_instructions(code):
            name = step.argval
            if _REFUSED.match(step.opname):
                return False
            if step.opname == "LOAD_GLOBAL":
                content = variables.get(name, getattr(builtins, name, None))
                # Helpers in nn.rules are safe: they only test which settings are Values.
                known = getattr(content, "__module__", None) == "nn.rules"
                if not known and not is_allowed(content):
                    return False
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and not is_readable(name):
                return False
        return True

    def is_readable(name: str) -> bool:
        if name in vars(rule):
            names.add(name)
            return True
        for kind in type(rule).__mro__:
            if name in vars(kind):
                return is_allowed(vars(kind)[name])
        return name in _METHODS or hasattr(math, name)

    function = getattr(update, "__func__", None)
    if function is None or not is_allowed(function):
        raise NotArithmetic
    return frozenset(names)


def is_constant(content: Any) -> bool:
    """Whether something is a number, a Value, a string, None, or a tuple of these."""
    if isinstance(content, tuple):
        return all(map(is_constant, content))
    return content is None or isinstance(content, str | Value | Real)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


# --- a step ---


class Moments(dict[str, Any]):
    """The moments of a parameter, by the names that the rule declared."""

    def __init__(self, rule: object, moments: Mapping[str, Any]) -> None:
        super().__init__(moments)
        self.rule, self.names = rule, tuple(moments)

    def __missing__(self, name: str) -> Any:
        kind, names = type(self.rule).__name__, (*self.names, name)
        raise ValueError(f"{kind} has not declared a moment {name!r}: write moments = {names!r}")

    def require_declared(self) -> None:
        """Raise ValueError unless these are exactly the declared moments."""
        for name in self.keys() - set(self.names):
            self.__missing__(name)
        for name in set(self.names) - self.keys():
            raise ValueError(f"{type(self.rule).__name__} has removed its moment {name!r}")


def _numbers(operand: Any) -> Sequence[float] | float:
    """Return the numbers of an operand, one for each parameter, or a single one for all."""
    if operand.__class__ is Column:
        column: Column = operand
        return column.numbers
    if operand.__class__ is float or hooks.is_recorded(operand):
        return operand
    number = as_operand(operand)
    if number is None:
        raise NotArithmetic
    return number.data
