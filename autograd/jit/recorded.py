"""What does a recorded function compute with? Numbers that know which node they come from.

During a recording Values are ordinary ones. A number that the function takes as an argument, or
reads of a Value's `.data` or `.grad`, is a `Number`: a float with its node. Arithmetic adds nodes.
Whatever a replay could not repeat, such as a branch or a conversion, gets a TraceError that says
what to write instead. C code reads a float without asking it (`math.exp(x)`): the check finds that.
Outside its recording a Number is a float like any other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from autograd import ops
from autograd.context import current
from autograd.jit.graph import Graph
from autograd.jit.refusal import is_interrupt, refuse
from autograd.primitive import Primitive

if TYPE_CHECKING:
    from autograd.jit.tracer import Tracer

_BRANCH = (
    "choose with maximum, minimum or where, as in where(greater(x, 0.0), a, b) or where(less(x,"
    " 0.0), a, b), or decide outside and pass an argument"
)
_READ = "return it, or compute with the Value itself"
_SHOW = "return it, and print it outside"
_INDEX = "pass the index as a static argument"


def tracer_here() -> Tracer | None:
    """The tracer of the recording that the current code is part of; None outside any."""
    hooks = current.get().interpreter.hooks
    return cast("Tracer", hooks) if hooks.recording else None


def plain(number: Any) -> Any:
    """A Number as the float or int that it is; anything else as it is."""
    return number.plain() if isinstance(number, Number) else number


def _arithmetic(primitive: Primitive, function: Callable[..., Any], back: bool = False) -> Any:
    """The method of an operator: the number, and its node."""

    def method(self: Number, *others: Any) -> Any:
        operands = (*others, self) if back else (self, *others)
        if not _COMMON.issuperset(map(type, others)):
            if any(getattr(other, "shape", ()) for other in others):  # an array: entry by entry
                operands = tuple([np.asarray(operand, dtype=object) for operand in operands])
                return np.frompyfunc(function, len(operands), 1)(*operands)
            if any(not isinstance(other, float | int) for other in others):
                return NotImplemented
        tracer = tracer_here()
        if tracer is None or tracer.tape is not self.tape:
            return function(*map(plain, operands))
        return tracer.computed(primitive, operands, function)

    return method


def _refused(name: str, what: str, instead: str = _BRANCH) -> Any:
    """A method that raises in the recording, and is that of a plain number elsewhere."""

    def method(self: Number, *others: Any) -> Any:
        tracer = tracer_here()
        if tracer is not None and tracer.tape is self.tape and not is_interrupt():
            refuse(f"a number of the call cannot be {what}", instead)
        return getattr(self.plain(), name)(*map(plain, others))

    return method


class Number(float):
    """A float that knows its node.

    Attributes:
        node: the number of the node. tape: the nodes of the recording that it belongs to.
    """

    __slots__ = ("node", "tape")
    __array_ufunc__ = None  # NumPy leaves the operators to this class

    node: int
    tape: Graph

    def plain(self) -> float | int:
        """The number itself."""
        return float.__pos__(self)

    def apply_primitive(self, primitive: Primitive, operands: tuple[Any, ...]) -> Any:
        """The result of a primitive, and its node; see `Primitive.__call__`."""
        for operand in operands:
            if not isinstance(operand, float) and hasattr(operand, "apply_primitive"):
                return operand.apply_primitive(primitive, operands)  # a Value
        tracer = tracer_here()
        if tracer is None:
            return primitive(*map(plain, operands))
        return tracer.computed(primitive, operands, primitive)

    __add__ = _arithmetic(ops.add, operator.add)
    __radd__ = _arithmetic(ops.add, operator.add, back=True)
    __sub__ = _arithmetic(ops.sub, operator.sub)
    __rsub__ = _arithmetic(ops.sub, operator.sub, back=True)
    __mul__ = _arithmetic(ops.mul, operator.mul)
    __rmul__ = _arithmetic(ops.mul, operator.mul, back=True)
    __truediv__ = _arithmetic(ops.div, operator.truediv)
    __rtruediv__ = _arithmetic(ops.div, operator.truediv, back=True)
    _to_the_number = _arithmetic(ops.pow, operator.pow)
    _to_the_power = _arithmetic(ops.power, operator.pow)
    __rpow__ = _arithmetic(ops.power, operator.pow, back=True)

    def __pow__(self, exponent: Any, modulus: None = None) -> Any:
        variable = isinstance(exponent, Number)
        return self._to_the_power(exponent) if variable else self._to_the_number(exponent)

    __neg__ = _arithmetic(ops.neg, operator.neg)
    __abs__ = _arithmetic(ops.abs, operator.abs)

    def __pos__(self) -> Any:
        return self

    __copy__ = conjugate = __pos__
    real = property(__pos__)

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    __float__ = _refused("__float__", "taken as float()", _READ)
    __int__ = _refused("__int__", "taken as int()", _READ)
    __bool__ = _refused("__bool__", "true or false")
    __eq__ = _refused("__eq__", "compared")
    __ne__ = _refused("__ne__", "compared")
    __lt__ = _refused("__lt__", "compared")
    __le__ = _refused("__le__", "compared")
    __gt__ = _refused("__gt__", "compared")
    __ge__ = _refused("__ge__", "compared")
    __hash__ = _refused("__hash__", "a key or in a set")
    __floordiv__ = _refused("__floordiv__", "divided by //")
    __rfloordiv__ = _refused("__rfloordiv__", "divided by //")
    __mod__ = _refused("__mod__", "divided by %")
    __rmod__ = _refused("__rmod__", "divided by %")
    __divmod__ = _refused("__divmod__", "divided by divmod()")
    __rdivmod__ = _refused("__rdivmod__", "divided by divmod()")
    __round__ = _refused("__round__", "rounded")
    __trunc__ = _refused("__trunc__", "rounded")
    __floor__ = _refused("__floor__", "rounded")
    __ceil__ = _refused("__ceil__", "rounded")
    is_integer = _refused("is_integer", "asked whether it is whole")
    as_integer_ratio = _refused("as_integer_ratio", "taken apart", _READ)
    hex = _refused("hex", "shown", _SHOW)
    __format__ = _refused("__format__", "shown", _SHOW)
    __str__ = _refused("__str__", "shown", _SHOW)
    __repr__ = _refused("__repr__", "shown", _SHOW)
    __reduce_ex__ = _refused("__reduce_ex__", "pickled", _READ)


_COMMON = frozenset([float, Number])  # what others are nearly always


class Whole(Number):
    """A whole number that knows its node. For `isinstance`, `match` and dispatch it is an int.

    It is a float, since `2.5 * n` asks only floats for their own multiplication.
    """

    __slots__ = ()
    __class__ = property(lambda self: int)

    def plain(self) -> int:
        """The number itself."""
        return int(float.__pos__(self))

    __index__ = _refused("__index__", "used as an index", _INDEX)
    __and__ = _refused("__and__", "taken bit by bit")
    __rand__ = _refused("__rand__", "taken bit by bit")
    __or__ = _refused("__or__", "taken bit by bit")
    __ror__ = _refused("__ror__", "taken bit by bit")
    __xor__ = _refused("__xor__", "taken bit by bit")
    __rxor__ = _refused("__rxor__", "taken bit by bit")
    __lshift__ = _refused("__lshift__", "shifted")
    __rlshift__ = _refused("__rlshift__", "shifted")
    __rshift__ = _refused("__rshift__", "shifted")
    __rrshift__ = _refused("__rrshift__", "shifted")
    __invert__ = _refused("__invert__", "taken bit by bit")
    bit_length = _refused("bit_length", "taken bit by bit")
    bit_count = _refused("bit_count", "taken bit by bit")
    to_bytes = _refused("to_bytes", "taken bit by bit")


def number_at(node: int, number: Any, tape: Graph) -> Number:
    """A Number for a node: whole if the number is an int."""
    made = (Whole if type(number) is int else Number)(number)
    made.node, made.tape = node, tape
    return made
