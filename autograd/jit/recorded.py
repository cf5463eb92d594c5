"""What does a recorded function compute with? Numbers that know their node.

During a recording, Values are ordinary ones. A number that is passed as an argument, or read from
a Value's `.data` or `.grad`, is a `Number`: a float with its node. Arithmetic on it adds nodes.
Whatever a replay could not repeat, such as a branch or a conversion, raises a TraceError that says
what to write instead. C code such as `math.exp(x)` reads a float without calling its methods; a
check finds that. Outside its recording a Number is a float like any other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from autograd import ops
from autograd.context import current
from autograd.hooks import plain
from autograd.jit.graph import Graph
from autograd.jit.refusal import is_interrupt, refuse
from autograd.primitive import Primitive

if TYPE_CHECKING:
    from autograd.jit.tracer import Tracer

_BRANCH = (
    "choose with maximum, minimum or where, as in where(greater(x, 0.0), a, b) or where(less(x,"
    " 0.0), a, b), decide outside and pass an argument, or return it and measure outside"
)
_READ = "return it, or compute with the Value itself; measure, save and draw outside"
_INDEX = "name it static, or pass what it selects; nn.Embedding and nn.cross_entropy take indices"
_OUTSIDE = "do that outside, with what is passed or returned, or name the argument static"


def tracer_here() -> Tracer | None:
    """Return the tracer of the current recording; None outside any."""
    hooks = current.get().interpreter.hooks
    return cast("Tracer", hooks) if hooks.recording else None


def _arithmetic(primitive: Primitive, function: Callable[..., Any], back: bool = False) -> Any:
    """Make the method of an operator: it computes the number and adds its node."""

    def method(self: Number, *others: Any) -> Any:
        operands = (*others, self) if back else (self, *others)
        if not _COMMON.issuperset(map(type, others)):
            is_array = any(isinstance(x, np.ndarray) for x in others)
            if is_array and np.result_type(*others, self.plain()) in _EXACT:  # entry by entry
                operands = tuple([np.asarray(operand, dtype=object) for operand in operands])
                rounding = "raised to a power" if primitive is ops.pow else ""
                return Array.of(np.frompyfunc(function, len(operands), 1)(*operands), rounding)
            # NumPy's ints may wrap around beside an int, and its powers round in another way.
            is_exact = type(self) is Number and primitive is not ops.pow
            known = (float, int, np.integer, np.bool_) if is_exact else (float, int)
            if not all(isinstance(other, known) for other in others):
                return NotImplemented
        tracer = tracer_here()
        if tracer is None or tracer.tape is not self.tape:
            return function(*map(plain, operands))
        return tracer.computed(primitive, operands, function)

    return method


def _both_ways(primitive: Primitive, function: Callable[..., Any]) -> tuple[Any, Any]:
    return _arithmetic(primitive, function), _arithmetic(primitive, function, back=True)


def _refused(name: str, what: str, instead: str) -> Any:
    """Make a method that raises in the recording, and acts as a plain number's elsewhere."""

    def method(self: Number, *others: Any) -> Any:
        tracer = tracer_here()
        if tracer is not None and tracer.tape is self.tape and not is_interrupt():
            refuse(f"a number of the call cannot be {what}", instead)
        return getattr(self.plain(), name)(*map(plain, others))

    return method


class Number(float):
    """A float that knows its node: number `node` in the graph `tape` of the recording."""

    __slots__ = ("node", "tape")
    __array_ufunc__ = None  # NumPy leaves the operators to this class

    node: int
    tape: Graph

    def plain(self) -> float | int:
        """Return the float itself."""
        return float.__pos__(self)

    def apply_primitive(self, primitive: Primitive, operands: tuple[Any, ...]) -> Any:
        """Compute a primitive and add its node; see `Primitive.__call__`."""
        for operand in operands:
            if not isinstance(operand, float) and hasattr(operand, "apply_primitive"):
                return operand.apply_primitive(primitive, operands)  # a Value
        tracer = tracer_here()
        if tracer is None:
            return primitive(*map(plain, operands))
        return tracer.computed(primitive, operands, primitive)

    __add__, __radd__ = _both_ways(ops.add, operator.add)
    __sub__, __rsub__ = _both_ways(ops.sub, operator.sub)
    __mul__, __rmul__ = _both_ways(ops.mul, operator.mul)
    __truediv__, __rtruediv__ = _both_ways(ops.div, operator.truediv)
    __pow__, __rpow__ = _both_ways(ops.pow, operator.pow)
    __neg__ = _arithmetic(ops.neg, operator.neg)
    __abs__ = _arithmetic(ops.abs, operator.abs)

    def __pos__(self) -> Any:
        return self

    def __complex__(self) -> complex:
        return complex(float(self))  # by `__float__`, which Python 3.14 does not call itself

    __copy__ = conjugate = __pos__
    real = property(__pos__)

    def __deepcopy__(self, memo: Any) -> Any:
        return self


_COMMON = frozenset([float, Number])  # the usual types of the other operand
_EXACT = np.dtype(float), np.dtype(np.int64), np.dtype(object)  # NumPy's other types round or wrap


class Whole(Number):
    """An int that knows its node. `isinstance`, `match` and dispatch take it for an int.

    It is a subclass of float because `2.5 * n` then calls its own `__rmul__` first.
    """

    __slots__ = ()
    __class__ = property(lambda self: int)

    def plain(self) -> int:
        """Return the int itself."""
        return int(float.__pos__(self))


class Array(np.ndarray[Any, Any]):
    """An array of Numbers. Refuses what NumPy rounds in another way for an array of floats.

    `np.asarray` makes an ordinary array of it, whose sums only a check compares with eager ones.
    """

    __class__ = property(lambda self: np.ndarray)

    @staticmethod
    def of(found: Any, rounding: str = "") -> Any:
        """Make an Array of what NumPy has computed from Numbers, unless there are Values in it.

        rounding: what is done in NumPy's own way; "" if every number is the same in the eager call.
        """
        if not all(isinstance(entry, float) for entry in getattr(found, "flat", [found])):
            return found
        if rounding and tracer_here():
            refuse(f"numbers of the call cannot be {rounding} by NumPy", _BY_NUMBER)
        return found.view(Array) if isinstance(found, np.ndarray) else found

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        if "out" in settings:
            settings["out"] = tuple(map(np.asarray, settings["out"]))
        if ufunc is np.add and method == "reduce":
            settings = {"initial": 0, **settings}  # as for floats: the sum of -0.0 is 0.0
        plain = [np.asarray(x) if type(x) is Array else x for x in inputs]
        found = getattr(ufunc, method)(*plain, **settings)
        rounding = "multiplied as matrices" if ufunc.signature else ""
        if ufunc is np.power:
            rounding = "raised to a power"
        elif ufunc is np.add and method in ("reduce", "reduceat"):
            # NumPy adds whole rows one after another, and up to 7 numbers of a row in order.
            axis, flags = settings.get("axis", 0), self.flags
            has_rows = flags.c_contiguous and self.ndim > 1 and self.shape[-1] > 1 and axis == 0
            is_short = self.size <= 7 * getattr(found, "size", 1) and settings.get("initial") == 0
            is_row = flags.forc if axis is None else type(axis) is int
            in_order = method == "reduce" and (has_rows or (is_short and is_row))
            rounding = "" if in_order else "added"
        return self.of(found, rounding)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        found = super().__array_function__(function, types, args, kwargs)
        return self.of(found, "multiplied as matrices" * (function.__name__ in _PRODUCTS))

    def __pow__(self, exponent: Any, modulo: None = None, /) -> Any:
        is_2 = type(exponent) in (int, float) and exponent == 2  # NumPy squares; np.power may round
        return np.square(self) if is_2 else np.power(self, exponent)

    def __ipow__(self, exponent: Any, modulo: None = None, /) -> Any:
        self[...] = self**exponent
        return self

    def dot(self, other: Any, out: Any = None) -> Any:
        return np.dot(self, other, out)


_PRODUCTS = frozenset(["dot", "vdot", "inner", "einsum", "tensordot", "convolve", "correlate"])
_BY_NUMBER = "compute with the numbers one by one, or outside"


# What a replay could not repeat.
for kind, what, instead, names in (
    (Number, "passed to float()", _READ, "__float__"),
    (Number, "passed to int()", _READ, "__int__"),
    (Number, "used as a condition", _BRANCH, "__bool__"),
    (Number, "compared", _BRANCH, "__eq__ __ne__ __lt__ __le__ __gt__ __ge__"),
    (Number, "used as a key or in a set", _OUTSIDE, "__hash__"),
    (Number, "divided by // or %", _OUTSIDE, "__floordiv__ __rfloordiv__ __mod__ __rmod__"),
    (Number, "passed to divmod()", _OUTSIDE, "__divmod__ __rdivmod__"),
    (Number, "rounded", f"use a Primitive or {_OUTSIDE}", "__round__ __trunc__ __floor__ __ceil__"),
    (Number, "examined", _OUTSIDE, "as_integer_ratio is_integer"),
    (Number, "shown", "return it, and print it outside", "hex __format__ __str__ __repr__"),
    (Number, "pickled", _READ, "__reduce_ex__"),
    (Whole, "used as an index or a count", _INDEX, "__index__"),
    (Whole, "read bit by bit", _OUTSIDE, "__and__ __rand__ __or__ __ror__ __xor__ __rxor__"),
    (Whole, "read bit by bit", _OUTSIDE, "bit_length bit_count to_bytes __invert__"),
    (Whole, "shifted", _OUTSIDE, "__lshift__ __rlshift__ __rshift__ __rrshift__"),
):
    for name in names.split():
        setattr(kind, name, _refused(name, what, instead))


def number_at(node: int, number: Any, tape: Graph) -> Number:
    """Make a Number for a node, or a Whole if the number is an int."""
    made = (Whole if type(number) is int else Number)(number)
    made.node, made.tape = node, tape
    return made
