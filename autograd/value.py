"""What is a Value? A number that remembers how it was made: by which primitive, from which parents.

>>> a = Value(2.0, label="a")
>>> b = Value(-3.0, label="b")
>>> c = a * b + 10
>>> c.data, c.op, c.parents[0].op
(4.0, 'add', 'mul')
>>> c.backward()
>>> a.grad, b.grad
(-3.0, 2.0)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any, ClassVar, SupportsFloat, SupportsIndex, Union, cast

from autograd import copies, ops
from autograd.clock import clock
from autograd.context import INSIDE, Context, TakenAsFloat, current, rules_on_values
from autograd.hooks import is_recorded
from autograd.messages import LEAF_OR_OPERATION, NO_BACKWARD, is_series
from autograd.primitive import CONSTANT, Primitive, is_number, without_array, wrong_kinds
from autograd.text import for_stream, quoted

Operand = Union["Value", float]
Operator = Callable[["Value", Operand], "Value"]
Method = Callable[["Value"], "Value"]
Comparison = Callable[["Value", Operand], bool]
_current = current.get
_NO_LABEL = ""  # the default, recognized by identity: anything else, such as None, is checked
# Returned by an operator for an unsupported operand: Python then asks that operand, or raises.
_UNSUPPORTED = cast("Value", NotImplemented)


def _binary(primitive: Primitive, name: str) -> tuple[Operator, Operator]:
    """Return the methods of a binary operator: `value + other` and, reflected, `other + value`."""

    def binary(left: Value, right: Any) -> Value:
        if right.__class__ is not Value:
            right = as_operand(right)
            if right is None:
                return _UNSUPPORTED
        context = _current()
        apply = context.apply  # read apart from the call, a slot is much faster
        return apply(context, primitive, left, right)

    def reflected(right: Value, left: Any) -> Value:
        left = as_operand(left)
        return _UNSUPPORTED if left is None else binary(left, right)

    what = f"`left {primitive.symbol} right`, where {{}} is this Value."
    return (
        _named(binary, f"__{name}__", what.format("left")),
        _named(reflected, f"__r{name}__", what.format("right")),
    )


def _unary(primitive: Primitive, name: str, what: str) -> Method:
    """Return the method of an operation on one Value."""

    def unary(self: Value) -> Value:
        context = _current()
        apply = context.apply
        try:
            return apply(context, primitive, self, None)
        except AttributeError:
            if isinstance(self, Value):
                raise
            raise TypeError(f"Value.{name} takes a single Value, not {quoted(self)}") from None

    return cast(Method, _named(unary, name, what))


def _comparison(compare: Callable[[float, float], bool]) -> Comparison:
    """Return the method of a comparison such as `value < other`."""

    def comparison(left: Value, right: Any) -> Any:
        operand = as_operand(right)
        return NotImplemented if operand is None else compare(left.data, operand.data)

    what = "Compare by data. Return a bool, not a node; `greater` and `less` return nodes."
    return cast(Comparison, _named(comparison, f"__{compare.__name__}__", what))


def _named(method: Any, name: str, what: str) -> Any:
    """Name a method as if it were defined in the class, for tracebacks, help() and pickles."""
    method.__name__, method.__qualname__, method.__doc__ = name, f"Value.{name}", what
    return method


class Value:
    """A node of the graph: a float, its gradient, and where it came from.

    Args:
        data: a real number of any kind (int, float, bool, NumPy scalar, Fraction, ...).
        label: a string, shown in drawings and error messages.
        operands: always empty; further arguments, as micrograd's constructor takes, are refused.

    Attributes:
        data: the number, a float; assignable.
        grad: d(output)/d(this), 0.0 until an output's `backward()` runs; assignable. If a Value is
            assigned, its number is kept, without its history.
        label: a name, or "".

    Equality and hash are by identity; `<`, `<=`, `>` and `>=` compare by data. A Value is neither
    true nor false: `bool(v)` and `if v` raise TypeError.

    `float(v)` returns a plain number, through which no gradient flows. `math.exp(v)` and, in a
    float array, `array[0] = v` call it: write `v.exp()`, or use an array of dtype object.

    Copies and pickles of a Value contain everything it was computed from, at any depth.

    Raises TypeError if `data` is not a real number or `label` is not a string, OverflowError if
    `data` is too large for a float.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> loss = (a * b + 10.0) ** 2
    >>> loss.backward()
    >>> loss.data, a.grad, b.grad
    (16.0, -24.0, 16.0)
    """

    # The operands have two slots, because a tuple would be one more object for the garbage
    # collector to visit. With three or more operands, `_right` is a tuple of all but the first.
    # `_primitive` is None in a leaf, and CONSTANT in a plain number of a graph. `_made` is the
    # number from the clock, larger than those of the operands. `_visitor` is the latest walk.
    __slots__ = (
        *("_context", "_data", "_grad", "_left"),
        *("_made", "_primitive", "_right", "_visitor"),
    )

    _data: float
    _grad: float
    _primitive: Primitive | None
    _left: Value | None
    _right: Any
    _context: Context
    _made: float
    _visitor: object

    def __init__(
        self, data: SupportsFloat | SupportsIndex, label: str = "", *operands: object
    ) -> None:
        if data.__class__ is float:
            self._data = data
        else:
            self.data = as_float(data)
        self._grad = 0.0
        self._primitive = self._left = self._right = self._visitor = None
        self._made = next(clock.numbers)
        self._context = _current().leaf
        if label is not _NO_LABEL or operands:
            self._context = self._context.labelled(as_label(label, operands))

    # A recording sees every read and write of these properties. The engine itself uses the slots.

    @property
    def data(self) -> float:
        """The number, a float; assignable."""
        hooks = _current().interpreter.hooks
        return hooks.read(self, "data") if hooks.recording else self._data

    @data.setter
    def data(self, number: float) -> None:
        hooks = _current().interpreter.hooks
        if hooks.recording:
            hooks.write(self, "data", number)
        else:
            self._data = number if number.__class__ is float else as_float(number)

    @property
    def grad(self) -> float:
        """d(output)/d(this), 0.0 until an output's `backward()` runs; assignable."""
        hooks = _current().interpreter.hooks
        return hooks.read(self, "grad") if hooks.recording else self._grad

    @grad.setter
    def grad(self, number: Value | float) -> None:
        if isinstance(number, Value):  # as grad() returns it
            number = number.data
        hooks = _current().interpreter.hooks
        if hooks.recording:
            hooks.write(self, "grad", number)
        else:
            is_kept = number.__class__ is float or number is None  # PyTorch's zero_grad() sets None
            self._grad = number if is_kept else as_float(number)

    @property
    def label(self) -> str:
        """A name, or ""; assignable."""
        return self._context.label

    @label.setter
    def label(self, label: str) -> None:
        self._context = self._context.labelled(as_label(label))

    @property
    def op(self) -> str:
        """The name of the primitive that made this Value; "" for a leaf."""
        return self.primitive.name if self.primitive else ""

    @property
    def parents(self) -> tuple[Value, ...]:
        """The operands, in order; () for a leaf."""
        primitive = self._primitive
        return () if self._left is None or primitive is None else primitive.parents(self)

    @property
    def primitive(self) -> Primitive | None:
        """The primitive that made this Value; None for a leaf."""
        primitive = self._primitive
        return None if primitive is None else primitive.public

    @property
    def context(self) -> Context:
        """The context in which this Value was computed. A leaf belongs to no module's call."""
        return self._context.unlabelled

    def detach(self) -> Value:
        """Return a leaf with the same number and label, and no history."""
        return Value(self.data, self.label)

    def assign(
        self, number: Value | float | None = None, *, grad: Value | float | None = None
    ) -> None:
        """Set the number, the gradient or both, without history, as training does."""
        if isinstance(number, Value):
            number = number.data
        if grad is not None:
            # Check the number first: an error leaves both as they were.
            number = None if number is None else as_float(number)
            self.grad = grad
        if number is not None:
            self.data = number

    def backward(self) -> None:
        """Write d(this)/d(node) into `.grad` of every node that this Value depends on.

        Leaves accumulate across calls: each call adds its whole gradient to their `.grad`. Inner
        nodes hold that of the latest call only. Plain numbers (the 2 of `2 * x`) receive none. The
        graph is kept. Gradients that can be differentiated again are those of
        `grad(output, inputs, create_graph=True)`.

        Raises an error that names the operation if a local derivative does not exist (that of sqrt
        at 0), and TypeError if a `.grad` is None. Every `.grad` is then left as it was before.
        """
        _current().interpreter.backward(self)

    # --- arithmetic ---------------------------------------------------------------------------

    # Declared for type checkers: ops.py, which they read first, computes with Values.
    __sub__: ClassVar[Operator]
    __mul__: ClassVar[Operator]
    __rmul__: ClassVar[Operator]
    __rtruediv__: ClassVar[Operator]

    __add__, __radd__ = _binary(ops.add, "add")
    __sub__, __rsub__ = _binary(ops.sub, "sub")
    __mul__, __rmul__ = _binary(ops.mul, "mul")
    __truediv__, __rtruediv__ = _binary(ops.div, "truediv")
    _to_the_value, __rpow__ = _binary(ops.power, "pow")
    _to_the_number = _binary(ops.pow, "pow")[0]

    def __pow__(self, other: Operand) -> Value:
        """`self ** other`: the primitive `pow` for a plain number, `power` for a Value."""
        variable = isinstance(other, Value)
        return self._to_the_value(other) if variable else self._to_the_number(other)

    def __pos__(self) -> Value:
        """`+v`: the Value itself."""
        return self

    conjugate = __pos__  # which np.var() and np.std() of an array of Values call

    __neg__: ClassVar[Method] = _unary(ops.neg, "__neg__", "`-v`.")
    __abs__ = _unary(ops.abs, "__abs__", "`abs(v)`, with derivative 0 at 0.")
    exp = _unary(
        ops.exp,
        "exp",
        "e to this power. Raises OverflowError for finite numbers above about 709.78.",
    )
    expm1 = _unary(ops.expm1, "expm1", "exp(x) - 1, accurate near 0. Raises as `exp` does.")
    log = _unary(ops.log, "log", "The natural logarithm. Raises ValueError at 0 and below.")
    log1p = _unary(ops.log1p, "log1p", "log(1 + x), accurate near 0. Raises at -1 and below.")
    sqrt = _unary(ops.sqrt, "sqrt", "The square root. Raises below 0; at 0 its derivative raises.")
    sin = _unary(ops.sin, "sin", "The sine, in radians. Raises ValueError at an infinity.")
    cos = _unary(ops.cos, "cos", "The cosine, in radians. Raises ValueError at an infinity.")
    tanh = _unary(ops.tanh, "tanh", "The hyperbolic tangent.")
    sigmoid = _unary(ops.sigmoid, "sigmoid", "1 / (1 + exp(-x)), without overflow.")
    relu = _unary(ops.relu, "relu", "max(0, x), with derivative 0 at 0.")
    softplus = _unary(ops.softplus, "softplus", "log(1 + exp(x)), without overflow.")
    erf = _unary(ops.erf, "erf", "2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.")

    def apply_primitive(self, primitive: Primitive, operands: Sequence[Operand]) -> Value:
        """Apply a primitive to operands, at least one of which is a Value."""
        nodes = [as_operand(operand) for operand in operands]
        if any(node is None for node in nodes):
            raise wrong_kinds(primitive, operands)
        left, *rest = cast(list[Value], nodes)
        context = _current()
        right = rest[0] if len(rest) == 1 else tuple(rest) or None
        return context.apply(context, primitive, left, right)

    # --- as a number ----------------------------------------------------------------------------

    def __float__(self) -> float:
        """Return the plain number, through which no gradient flows. `math.exp(v)` uses it too."""
        if rules_on_values.get():
            raise TakenAsFloat
        return float(self.data)

    def __bool__(self) -> bool:
        # Being true like any object would contradict where(v, a, b), which looks at the number.
        raise TypeError(
            f"a Value is neither true nor false, {self!r}: write `v.data != 0` to ask for its"
            " number, `v is not None` to ask whether there is one, or where(v, a, b)"
        )

    def __int__(self) -> int:
        """Return the plain number, truncated."""
        return int(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    __lt__, __le__ = _comparison(operator.lt), _comparison(operator.le)
    __gt__, __ge__ = _comparison(operator.gt), _comparison(operator.ge)

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return for_stream(f"Value(data={self.data}, grad={self.grad}{label})")

    def __reduce_ex__(self, protocol: Any) -> Any:
        kind = type(self)  # read only once: a jit may change it meanwhile
        if kind in copies.CLASSES:
            return copies.blank, (Value,), copies.state_of(self, kind)
        return super().__reduce_ex__(protocol)

    def __getstate__(self) -> Any:
        return copies.state_of(self, Value)

    def __setstate__(self, state: Any) -> None:
        clock.pass_by(copies.restore(self, state))

    # micrograd's names, so that code written for it to draw or walk graphs runs unchanged.
    @property
    def _prev(self) -> set[Value]:
        return set(self.parents)

    @property
    def _op(self) -> str:
        return self.primitive.symbol if self.primitive else ""

    @property
    def _backward(self) -> Any:
        raise AttributeError(NO_BACKWARD)

    @_backward.setter
    def _backward(self, function: Any) -> None:
        raise AttributeError(NO_BACKWARD)


copies.CLASSES.add(Value)


def as_float(data: Any) -> float:
    """Return a real number of any kind as a float. Raises TypeError or OverflowError."""
    if data.__class__ is float:
        return float(data)
    if data.__class__ is not int:  # the most common kind needs no further look
        data = without_array(data)
    if is_recorded(data):  # it keeps its node; see autograd/jit/recorded.py
        return data
    if data.__class__ is not int and (
        isinstance(data, Value | complex | str | bytes | bytearray)
        or not (hasattr(data, "__float__") or hasattr(data, "__index__"))
    ):
        advice = ": take its .data" if isinstance(data, Value) else _advice_on_series(data)
        kind = type(data).__name__
        raise TypeError(f"a Value holds a real number, not {quoted(data)} ({kind}){advice}")
    try:
        number = float(data)
        # A Decimal and NumPy's longdouble become inf, where an int and a Fraction raise.
        if math.isinf(number) and data != number and isinstance(data, Number):
            raise OverflowError
        return number
    except OverflowError:
        kind = type(data).__name__
        raise OverflowError(f"a Value holds a float, and this {kind} is too large") from None
    except (TypeError, ValueError) as error:
        advice = _advice_on_series(data) or f": {error}"
        raise TypeError(f"a Value holds a real number, not {quoted(data)}{advice}") from None


def _advice_on_series(data: Any) -> str:
    return ": make a Value of each of its numbers" if is_series(data) else ""


def as_label(label: Any, operands: tuple[object, ...] = ()) -> str:
    """Return the label. Raises TypeError if it is not a string, or operands follow it."""
    if not isinstance(label, str):
        raise TypeError(
            f"a label is text, not {quoted(label)} ({type(label).__name__}); {LEAF_OR_OPERATION}"
        )
    if operands:
        raise TypeError(
            f"a Value is made of a number and a label, nothing else; {LEAF_OR_OPERATION}"
        )
    return label


def constant(number: Any) -> Value:
    """Return a plain number, the 2 of `2 * x`, as a node that receives no gradient."""
    node = object.__new__(Value)  # without __init__, which would look up the context
    if number.__class__ is float:
        node._data = number
    else:
        node.data = as_float(number)
    node._grad = 0.0
    node._primitive = CONSTANT
    node._left = node._right = node._visitor = None
    node._made = next(clock.numbers)
    node._context = INSIDE
    return node


def is_constant(node: Value) -> bool:
    """Return whether a node is a plain number."""
    return node._primitive is CONSTANT


def as_constant(number: Value | float) -> Value:
    """Return a number as a node that receives no gradient; a Value unchanged."""
    return number if isinstance(number, Value) else constant(number)


def as_operand(operand: Any) -> Value | None:
    """Return the operand as a node; None if it is not a real number."""
    if operand.__class__ is float or operand.__class__ is int:  # the most common ones
        return constant(operand)
    if isinstance(operand, Value):
        return operand
    return constant(operand) if is_number(operand) else None


def is_function(name: str) -> bool:
    """Whether `x.name()` applies the primitive of that name, as `x.exp()` does."""
    return name in ops.TABLE and hasattr(Value, name)
