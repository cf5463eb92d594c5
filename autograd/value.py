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
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import repeat
from numbers import Real
from typing import Any, SupportsFloat, SupportsIndex, TypeGuard, Union, cast

from autograd import modes, ops
from autograd.modes import Origin
from autograd.ops import Primitive
from autograd.text import for_stream

Operand = Union["Value", float]
Operator = Callable[["Value", Operand], "Value"]
_new = object.__new__
_current_mode = modes.current.get
_NO_LABEL = ""


def _operators(primitive: Primitive, name: str) -> tuple[Operator, Operator]:
    """The two methods of a binary operator: `value + other` and, reflected, `other + value`."""
    forward = primitive.forward

    def binary(left: Value, right: Any) -> Value:
        if right.__class__ is not Value:
            right = as_operand(right)
            if right is None:
                return _STRANGER
        mode = _current_mode()
        if mode.tracer is not None:
            return cast(Value, mode.tracer.apply(primitive, (left, right)))
        try:
            data = forward(left.data, right.data)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise explained(error, primitive, (left, right), mode) from None
        if data.__class__ is float and mode.ordinary:
            return _recorded(mode.origin(primitive), data, left, right)
        return _node(mode, primitive, data, left, right)

    def reflected(right: Value, left: Any) -> Value:
        left = as_operand(left)
        return _STRANGER if left is None else binary(left, right)

    # As if they were written in the class: for tracebacks, help() and pickles of bound methods.
    for method, called, side in ((binary, name, "left"), (reflected, f"r{name}", "right")):
        method.__name__ = f"__{called}__"
        method.__qualname__ = f"Value.__{called}__"
        method.__doc__ = f"`left {primitive.symbol} right`, where {side} is this Value."
    return binary, reflected


class Value:
    """A node of the graph: a float, its gradient, and where it came from.

    Args:
        data: a real number of any kind (int, float, bool, NumPy scalar, Fraction, ...).
        label: text, shown in drawings and error messages.
        operands: none; what micrograd's constructor takes there is refused.

    Attributes:
        data: the number, a float; assignable.
        grad: d(output)/d(this), 0.0 until an output's `backward()` runs; assignable.
        label: a name, or "".

    Equality and hash are those of identity; `<`, `<=`, `>` and `>=` compare by data. A Value is
    neither true nor false: `bool(v)` and `if v` raise TypeError.

    `float(v)`, and so `math.exp(v)` and `array[0] = v` of a float array, give a plain number,
    through which no gradient flows. Write `v.exp()`, or use an array of dtype object.

    Copies and pickles of a Value hold everything it was made from, at any depth.

    Raises:
        TypeError: `data` is not a real number, or `label` is not text. OverflowError: `data` is
            too large for a float.
    """

    # Few slots make a small node, and the garbage collector visits each of them. The operands sit
    # in two, not in a tuple, which would be one more object to visit. Of three or more operands,
    # `_right` is a tuple of the rest; of a weighted sum that is not unfolded, it is its Terms. What
    # many nodes have in common is one object, their origin. `_mark` tells a walk over the graph
    # which nodes it has seen; see backward.py.
    __slots__ = ("_left", "_mark", "_origin", "_right", "data", "grad")

    recorded_number = False  # whether this stands for a plain number in a recording (autograd.jit)

    data: float
    grad: float
    _origin: Origin
    _left: Value | None
    _right: Value | tuple[Value, ...] | Terms | None
    _mark: object

    def __init__(
        self, data: SupportsFloat | SupportsIndex, label: str = "", *operands: object
    ) -> None:
        self.data = data if data.__class__ is float else _as_float(data)
        self.grad = 0.0
        origin = _current_mode().leaf
        if label is not _NO_LABEL or operands:
            origin = Origin(None, None, as_label(label, operands), origin.trainable)
        self._origin = origin
        self._left = self._right = self._mark = None

    @property
    def label(self) -> str:
        """A name, or ""; assignable."""
        return self._origin.label

    @label.setter
    def label(self, label: str) -> None:
        origin = self._origin
        self._origin = Origin(origin.primitive, origin.mode, as_label(label), origin.trainable)

    @property
    def op(self) -> str:
        """The name of the primitive that made this Value; "" for a leaf."""
        primitive = self._origin.primitive
        return "" if primitive is None else primitive.name

    @property
    def parents(self) -> tuple[Value, ...]:
        """The operands, in order; () for a leaf."""
        if self._right.__class__ is Terms:
            unfold(self)
        return () if self._left is None else operands_of(self._left, self._right)

    @property
    def primitive(self) -> Primitive | None:
        """The row of the table that made this Value; None for a leaf."""
        return self._origin.primitive

    @property
    def mode(self) -> modes.Mode | None:
        """How, and in the call of which module, this Value was computed; None for a leaf."""
        return self._origin.mode

    def detach(self) -> Value:
        """A leaf with the same number and label, and no history."""
        return Value(self.data, self.label)

    def assign(
        self, number: Value | float | None = None, *, grad: Value | float | None = None
    ) -> None:
        """Take over a number, a gradient or both, without their history: how training writes."""
        tracer = _current_mode().tracer
        if tracer is not None:
            tracer.assign(self, number, grad)
            return
        if number is not None:
            self.data = number.data if isinstance(number, Value) else _as_float(number)
        if grad is not None:
            self.grad = grad.data if isinstance(grad, Value) else _as_float(grad)

    def backward(self) -> None:
        """Gradients of this Value on every node it depends on; see `autograd.backward`."""
        from autograd.backward import backward  # imports run the other way

        backward(self)

    # --- arithmetic ---------------------------------------------------------------------------

    __add__, __radd__ = _operators(ops.add, "add")
    __sub__, __rsub__ = _operators(ops.sub, "sub")
    __mul__, __rmul__ = _operators(ops.mul, "mul")
    __truediv__, __rtruediv__ = _operators(ops.div, "truediv")
    _to_the_value, __rpow__ = _operators(ops.power, "pow")
    _to_the_number, _ = _operators(ops.pow, "pow")

    def __pow__(self, other: Operand) -> Value:
        """`self ** other`: the primitive `pow` of a plain number, `power` of another Value."""
        variable = isinstance(other, Value)
        return self._to_the_value(other) if variable else self._to_the_number(other)

    def __neg__(self) -> Value:
        """`-v`."""
        return _unary(ops.neg, self)

    def __pos__(self) -> Value:
        """`+v`: the Value itself."""
        return self

    def __abs__(self) -> Value:
        """`abs(v)`, with derivative 0 at 0."""
        return _unary(ops.abs, self)

    def exp(self) -> Value:
        """e to the power of this. Raises OverflowError above about 709.78."""
        return _unary(ops.exp, self)

    def expm1(self) -> Value:
        """exp(x) - 1, accurate near 0. Raises OverflowError above about 709.78."""
        return _unary(ops.expm1, self)

    def log(self) -> Value:
        """The natural logarithm. Raises ValueError at 0 and below."""
        return _unary(ops.log, self)

    def log1p(self) -> Value:
        """log(1 + x), accurate near 0. Raises ValueError at -1 and below."""
        return _unary(ops.log1p, self)

    def sqrt(self) -> Value:
        """The square root. Raises ValueError below 0; at 0 its derivative raises."""
        return _unary(ops.sqrt, self)

    def sin(self) -> Value:
        """The sine of this, in radians. Raises ValueError at an infinity."""
        return _unary(ops.sin, self)

    def cos(self) -> Value:
        """The cosine of this, in radians. Raises ValueError at an infinity."""
        return _unary(ops.cos, self)

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return _unary(ops.tanh, self)

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-x)), without overflow."""
        return _unary(ops.sigmoid, self)

    def relu(self) -> Value:
        """max(0, x), with derivative 0 at 0."""
        return _unary(ops.relu, self)

    def softplus(self) -> Value:
        """log(1 + exp(x)), without overflow."""
        return _unary(ops.softplus, self)

    def erf(self) -> Value:
        """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
        return _unary(ops.erf, self)

    def apply_primitive(self, primitive: Primitive, operands: Sequence[Operand]) -> Value:
        """The result of a primitive on operands of which at least one is a Value."""
        return apply(primitive, operands)

    # --- as a number ----------------------------------------------------------------------------

    def __float__(self) -> float:
        """The plain number, through which no gradient flows: also what `math.exp(v)` takes."""
        if modes.rules_on_values.get():
            raise TakenAsFloat
        return float(self.data)

    def __bool__(self) -> bool:
        # Always true, as of any object, would contradict where(v, a, b), which looks at the number.
        raise TypeError(
            f"a Value is neither true nor false, {self!r}: write `v.data != 0` to ask for its"
            " number, `v is not None` to ask whether there is one, or where(v, a, b)"
        )

    def __int__(self) -> int:
        """The plain number, cut to a whole one."""
        return int(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __lt__(self, other: Operand) -> bool:
        """`left < right`, by data: True or False, not a node; `greater` and `less` make one."""
        operand = as_operand(other)
        return NotImplemented if operand is None else self.data < operand.data

    def __le__(self, other: Operand) -> bool:
        """`left <= right`, by data: True or False, not a node; `greater` and `less` make one."""
        operand = as_operand(other)
        return NotImplemented if operand is None else self.data <= operand.data

    def __gt__(self, other: Operand) -> bool:
        """`left > right`, by data: True or False, not a node; `greater` and `less` make one."""
        operand = as_operand(other)
        return NotImplemented if operand is None else self.data > operand.data

    def __ge__(self, other: Operand) -> bool:
        """`left >= right`, by data: True or False, not a node; `greater` and `less` make one."""
        operand = as_operand(other)
        return NotImplemented if operand is None else self.data >= operand.data

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return for_stream(f"Value(data={self.data}, grad={self.grad}{label})")

    def __getstate__(self) -> Any:
        from autograd.copies import state_of  # imports run the other way

        return state_of(self)

    def __setstate__(self, state: Any) -> None:
        from autograd.copies import restore

        restore(self, state)

    # micrograd's names for these, so that drawing and walking code written for it runs unchanged.
    @property
    def _prev(self) -> set[Value]:
        return set(self.parents)

    @property
    def _op(self) -> str:
        primitive = self._origin.primitive
        return "" if primitive is None else primitive.symbol

    @property
    def _backward(self) -> Any:
        raise AttributeError(_NO_BACKWARD)

    @_backward.setter
    def _backward(self, function: Any) -> None:
        raise AttributeError(_NO_BACKWARD)


_OWN_OPERATION = (
    'an operation of your own is a Primitive, such as Primitive("atan", math.atan, lambda out, x:'
    " 1 / (1 + x * x)), called on Values"
)
_NO_BACKWARD = (
    "a Value has no _backward: loss.backward() computes all gradients, steps(loss) shows how they"
    f" flow back through each node, and {_OWN_OPERATION}"
)
_STRANGER = cast(Value, NotImplemented)  # Python then asks the other operand, or raises TypeError


class TakenAsFloat(TypeError):
    """A rule that runs on Values turned one into a float, which would lose its derivatives."""


class Constant(Value):
    """A plain number in a graph, the 2 of `2 * x`: it takes part, but receives no gradient."""

    __slots__ = ()


def _as_float(data: Any) -> float:
    """A float for a real number of any kind, or the error that says what is wrong."""
    if isinstance(data, Value) and data.recorded_number:
        return cast(float, data)
    if isinstance(data, Value | complex | str | bytes | bytearray) or not (
        hasattr(data, "__float__") or hasattr(data, "__index__")
    ):
        raise TypeError(f"a Value holds a real number, not {data!r} ({type(data).__name__})")
    try:
        return float(data)
    except OverflowError:
        kind = type(data).__name__
        raise OverflowError(f"a Value holds a float, and this {kind} is too large") from None
    except (TypeError, ValueError) as error:
        raise TypeError(f"a Value holds a real number, not {data!r}: {error}") from None


def as_label(label: Any, operands: tuple[object, ...] = ()) -> str:
    """The label, or the error for what is not text, or comes with operands, as in micrograd."""
    if not isinstance(label, str):
        raise TypeError(
            f"a label is text, not {label!r} ({type(label).__name__}); {_OWN_OPERATION}"
        )
    if operands:
        raise TypeError(f"a Value is made of a number and a label, nothing else; {_OWN_OPERATION}")
    return label


def as_operand(operand: Any) -> Value | None:
    """The operand as a node of a graph; None if it is not a real number."""
    if operand.__class__ is float:  # the most frequent stranger
        return Constant(operand)
    if isinstance(operand, Value):
        return operand
    # An empty shape marks the scalars of array libraries that are not registered as numbers.
    if isinstance(operand, Real) or getattr(operand, "shape", None) == ():
        return Constant(operand)
    return None


def as_constant(number: Value | float) -> Value:
    """A number as a node that receives no gradient; a Value as it is."""
    return number if is_value(number) else Constant(cast(float, number))


def is_value(thing: object) -> TypeGuard[Value]:
    """Whether it is a Value, and does not stand for a plain number in a recording."""
    return isinstance(thing, Value) and not thing.recorded_number


def apply(primitive: Primitive, operands: Sequence[Any]) -> Value:
    """The node made by a primitive from one or more operands, Values or real numbers.

    Raises TypeError for an operand of another kind, and what the primitive raises, explained.
    """
    nodes = [as_operand(operand) for operand in operands]
    mode = _current_mode()
    if any(node is None for node in nodes):
        raise ops.wrong_kinds(primitive, operands)
    if mode.tracer is not None:
        return cast(Value, mode.tracer.apply(primitive, nodes))
    left, *rest = cast(list[Value], nodes)
    try:
        data = primitive.forward(left.data, *[operand.data for operand in rest])
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise explained(error, primitive, (left, *rest), mode) from None
    return _node(mode, primitive, data, left, rest[0] if len(rest) == 1 else tuple(rest) or None)


def _unary(primitive: Primitive, operand: Value) -> Value:
    """`apply` for the methods, whose one operand is known to be a Value."""
    mode = _current_mode()
    if mode.tracer is not None:
        return cast(Value, mode.tracer.apply(primitive, (operand,)))
    try:
        data = primitive.forward(operand.data)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise explained(error, primitive, (operand,), mode) from None
    if data.__class__ is float and mode.ordinary:
        return _recorded(mode.origin(primitive), data, operand, None)
    return _node(mode, primitive, data, operand, None)


def weighted_sum(
    weights: Sequence[Value], inputs: Sequence[Operand], start: Value | None = None
) -> Value:
    """start + w_1 x_1 + w_2 x_2 + ..., every product and sum a node of its own.

    The same graph as the operators make. Networks spend most of their time here, so a wide one is
    a single node at first, which holds the operands of all: the others are made by `unfold` when
    they are asked for. Weights and inputs are equally many, and without a start 1 or more.
    """
    mode = _current_mode()
    plain = mode.tracer is None and not mode.checking and _are_plain(weights, inputs, start)
    factors: Any = inputs  # where it is plain they are Values, all of them
    if not plain or (mode.recording and len(weights) < _WIDE):
        if start is None:
            start, weights, factors = weights[0] * factors[0], weights[1:], factors[1:]
        if mode.tracer is not None:
            return cast(Value, mode.tracer.weighted_sum(weights, factors, start))
        if plain:
            products = map(operator.mul, map(_data, weights), map(_data, factors))
            return _whole_sum(mode, weights, factors, products, start, start.data, 0.0)
        for w, x in zip(weights, factors, strict=True):
            start = start + w * x
        return start
    # An array is nothing to the garbage collector, and tuples that are there are not copied.
    numbers = array("d", [w.data * x.data for w, x in zip(weights, factors, strict=True)])
    if start is not None:
        numbers.insert(0, start.data)
    data = reduce(operator.add, numbers)
    if not mode.recording:
        return Value(data)
    terms = Terms(tuple(weights), tuple(factors), numbers, start)
    return _recorded(mode.origin(ops.add), data, terms.first, terms)


_data = operator.attrgetter("data")
_WIDE = 6  # narrower sums take less time as nodes


class Terms:
    """The operands of a weighted sum that is not unfolded, where a node has its second operand.

    Attributes:
        weights, inputs: the factors of the products. start: what they are added to, or None.
        numbers: of the start, if there is one, and of the products, in the forward pass.
        grad: what flowed into the sum in the latest backward pass, and so into all of its nodes.
        whole: the sum with a node for each product and addition, once it is made: for all threads
            and for copies of the node the same.
    """

    __slots__ = ("grad", "inputs", "numbers", "start", "weights", "whole")

    def __init__(
        self,
        weights: tuple[Value, ...],
        inputs: tuple[Value, ...],
        numbers: array[float],
        start: Value | None,
    ) -> None:
        self.weights, self.inputs, self.numbers, self.start = weights, inputs, numbers, start
        self.grad = 0.0
        self.whole: Value | None = None

    @property
    def first(self) -> Value:
        """What a walk meets first: it stands where the node has its first operand."""
        return self.weights[0] if self.start is None else self.start


def unfold(node: Value) -> None:
    """Make every product and sum of a weighted sum a node, as the operators would have."""
    terms = node._right
    if terms.__class__ is not Terms:
        return
    if terms.whole is None:
        mode, weights, inputs = cast(modes.Mode, node._origin.mode), terms.weights, terms.inputs
        start, numbers = terms.start, iter(terms.numbers)
        data = next(numbers)
        if start is None:
            start = _recorded(mode.origin(ops.mul), data, weights[0], inputs[0])
            start.grad = terms.grad
            weights, inputs = weights[1:], inputs[1:]
        whole = _whole_sum(mode, weights, inputs, numbers, start, data, terms.grad)
        with _unfolding:
            terms.whole = terms.whole or whole
    # In this order: a walk looks at the second one first.
    node._left, node._right = terms.whole._left, terms.whole._right


_unfolding = threading.RLock()


def _whole_sum(
    mode: modes.Mode,
    weights: Sequence[Value],
    inputs: Sequence[Value],
    products: Iterable[float],
    sofar: Value,
    data: float,
    grad: float,
) -> Value:
    """A weighted sum from a start of this number on, each product and addition a node."""
    product_origin, sum_origin = mode.origin(ops.mul), mode.origin(ops.add)
    nodes: Iterator[Any] = map(_new, repeat(Value))  # in C, a sixth less time than one by one
    terms = zip(weights, inputs, products, nodes, nodes, strict=False)
    for w, x, number, product, result in terms:  # _recorded, twice, written out
        product.data = number
        result.data = data = data + number
        product.grad = result.grad = grad
        product._mark = result._mark = None
        product._origin, product._left, product._right = product_origin, w, x
        result._origin, result._left, result._right = sum_origin, sofar, product
        sofar = result
    return sofar


# The kinds of weights and inputs whose weighted sum can be one node; autograd.jit adds its leaves.
WEIGHTS = {Value}
INPUTS = {Value, Constant}


def _are_plain(weights: Sequence[Value], inputs: Sequence[Any], start: Value | None) -> bool:
    return (
        1 < len(weights) == len(inputs)
        and WEIGHTS.issuperset(map(type, weights))
        and INPUTS.issuperset(map(type, inputs))
        and (start is None or start.__class__ in WEIGHTS)
    )


def _recorded(origin: Origin, data: float, left: Value, right: Any) -> Value:
    """A node of the graph; Value.__init__ written out, because speed counts here."""
    node = _new(Value)
    node.data = data
    node.grad = 0.0
    node._mark = None
    node._origin = origin
    node._left = left
    node._right = right
    return node


def _node(mode: modes.Mode, primitive: Primitive, data: Any, left: Value, right: Any) -> Value:
    """The new node with this number, as the mode wants it."""
    if data.__class__ is not float:
        data = _as_result(primitive, data, operands_of(left, right))
    if mode.checking and not math.isfinite(data):
        call = described(primitive, operands_of(left, right))
        raise FloatingPointError(f"{call} gave {data}{happened_in(mode)}")
    return _recorded(mode.origin(primitive), data, left, right) if mode.recording else Value(data)


def operands_of(left: Value, right: Any) -> tuple[Value, ...]:
    """The operands that stand in the two slots of a node."""
    if right is None:
        return (left,)
    return (left, *right) if isinstance(right, tuple) else (left, right)


def _as_result(primitive: Primitive, data: Any, operands: Sequence[Value]) -> float:
    """What a forward function returned, as a float. A complex number means: out of the domain."""
    if isinstance(data, complex):
        raise explained(ValueError(), primitive, operands, _current_mode())
    try:
        return _as_float(data)
    except TypeError:
        call = described(primitive, operands)
        raise TypeError(f"{call}: forward must return a float, not {data!r}") from None


# --- messages -------------------------------------------------------------------------------------


NO_GRADIENT = "the gradient of {} is None, not a number: write p.grad = 0.0, or zero_grad()"


def described(primitive: Primitive | None, operands: Sequence[Value]) -> str:
    """`div(x = 1.0, 0.0)`: an operation with its operands, labelled where they have a label."""
    names = [f"{o.label} = {o.data!r}" if o.label else repr(o.data) for o in operands]
    return for_stream(f"{primitive.name if primitive else 'leaf'}({', '.join(names)})")


def happened_in(mode: modes.Mode | None) -> str:
    """`, in MLP.layers.0`, or nothing outside any module."""
    path = mode.path() if mode is not None else ""
    return for_stream(f", in {path}") if path else ""


def explained(
    error: Exception, primitive: Primitive, operands: Sequence[Value], mode: modes.Mode | None
) -> Exception:
    """The same kind of error, with a message that names the operation and its operands."""
    kind: type[Exception] = ValueError
    reason = primitive.domain or str(error) or "outside the domain"
    if isinstance(error, ZeroDivisionError):
        kind, reason = ZeroDivisionError, "division by zero"
    elif isinstance(error, OverflowError):
        kind, reason = OverflowError, "the result is too large for a float"
    return kind(for_stream(f"{described(primitive, operands)}: {reason}{happened_in(mode)}"))
