"""What is a primitive? An operation on numbers, its local derivatives, and facts about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Concatenate, cast, overload

from autograd.copies import place_of, primitive_at
from autograd.forms import Form, checked_form
from autograd.messages import as_slope, require_flag
from autograd.text import for_stream, quoted

if TYPE_CHECKING:
    from autograd.value import Value

Rule = Callable[..., Any] | float | None
# The same by the number of operands: type checkers then know the parameters of a lambda.
_Forward = (
    Callable[[float], float]
    | Callable[[float, float], float]
    | Callable[[float, float, float], float]
    | Callable[Concatenate[float, float, float, ...], float]
)
_Backward = (
    Callable[[Any, Any], Any]
    | Callable[[Any, Any, Any], Any]
    | Callable[[Any, Any, Any, Any], Any]
    | Rule
)
Pull = Callable[[Any, float], None]


class Primitive:
    """An operation on numbers together with its local derivatives; callable on Values.

    Args:
        name: what errors, drawings and `Value.op` call it.
        forward: floats in, float out. It may raise ValueError, ZeroDivisionError or OverflowError;
            the error is raised again with the operands and their labels in its message.
        backward: the local derivative d out / d operand, a function of (out, *operands); of several
            operands a sequence with one for each. Written in arithmetic, primitives and numbers, it
            serves derivatives of every order; with `math.cos(x)` or `float(x)` the first only. A
            number stands for a derivative that is the same everywhere, None for one that is 0.
        symbol: how a drawing shows it; the name if empty.
        domain: what an operand must be, for the message when `forward` raises ValueError.
        pull: hands a float gradient from a node to its operands, `pull(node, upstream)`; by default
            made from `backward`.
        commutes: whether forward(a, b) is forward(b, a) to the last bit for all floats.
        total: whether `forward` gives a number for all floats and never raises, so that the jit may
            leave it out where nothing uses the result.
        nan_slopes: the positions of operands by which the local derivative may be nan where
            `forward` gives a number, instead of raising.
        text: how a formula writes it, a Form or its template. By default a function of the symbol,
            where that is a word, or of the name: `cube(x)`.
        latex: the same in LaTeX; by default like `text`.

    A pickle names a Primitive, so define your own at module level.

    Raises TypeError for arguments of a wrong kind, and ValueError for an operand in a form or in
    `nan_slopes` that the operation does not have.

    >>> from autograd import Primitive, Value
    >>> cube = Primitive("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
    >>> x = Value(2.0)
    >>> cube(x).backward()
    >>> x.grad
    12.0
    """

    __slots__ = (
        *("backward", "commutes", "domain", "forward", "has_own_pull", "is_folded", "latex"),
        *("name", "nan_slopes", "pull", "symbol", "text", "total"),
    )

    def __init__(
        self,
        name: str,
        forward: _Forward,
        backward: _Backward | Sequence[_Backward],
        symbol: str = "",
        domain: str = "",
        *,
        commutes: bool = False,
        total: bool = False,
        nan_slopes: Sequence[int] = (),
        text: str | Form = "",
        latex: str | Form = "",
        pull: Pull | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a Primitive's name must be a non-empty string, not {quoted(name)}")
        if not callable(forward):
            raise TypeError(f"Primitive {name!r}: forward must be callable, not {quoted(forward)}")
        if pull is not None and not callable(pull):
            raise TypeError(f"Primitive {name!r}: pull must be callable, not {quoted(pull)}")
        for what, shown in (("symbol", symbol), ("domain", domain)):
            if not isinstance(shown, str):
                raise TypeError(f"Primitive {name!r}: {what} must be a string, not {quoted(shown)}")
        require_flag(f"Primitive {name!r}: commutes", commutes)
        require_flag(f"Primitive {name!r}: total", total)
        self.name = name
        self.forward: Callable[..., float] = forward
        rules = backward if isinstance(backward, Sequence) and backward else (backward,)
        self.backward = tuple(_rule(name, rule) for rule in rules)
        self.symbol = symbol or name
        self.domain = domain
        self.commutes = commutes
        self.total = total
        self.nan_slopes = _positions(name, nan_slopes, len(rules))
        self.text = checked_form(name, len(rules), text)
        self.latex = checked_form(name, len(rules), latex or text)
        self.pull, self.has_own_pull = pull or _pull(self.backward), pull is not None
        self.is_folded = isinstance(self, Folded)  # a slot is faster to read than a class

    @overload
    def __call__(self, first: Value, /, *others: Value | float) -> Value: ...
    @overload
    def __call__(self, first: float, second: Value, /, *others: Value | float) -> Value: ...
    @overload
    def __call__(
        self, first: float, second: float, third: Value, /, *others: Value | float
    ) -> Value: ...
    @overload
    def __call__(self, *operands: float) -> float: ...
    def __call__(self, *operands: Any) -> Any:
        """A Value if any operand is one, else a float.

        Raises TypeError for a wrong number or kind of operands, and what `forward` raises.
        """
        if len(operands) != len(self.backward):
            raise TypeError(
                for_stream(
                    f"{self.name}() takes {len(self.backward)} operand(s), got {len(operands)}"
                )
            )
        are_numbers = True
        for operand in operands:
            if operand.__class__ is float:
                continue
            # A class with `apply_primitive` computes the result itself: Value, above all.
            if hasattr(operand, "apply_primitive"):
                return operand.apply_primitive(self, operands)
            if not (isinstance(operand, Real) or getattr(operand, "shape", None) == ()):
                are_numbers = False
        if not are_numbers:
            raise wrong_kinds(self, operands)
        return self.forward(*operands)

    # What a node of this primitive shows of itself, and what a backward pass goes on to.

    @property
    def public(self) -> Primitive | None:
        """The primitive that `Value.primitive` gives for a node of this one."""
        return self

    def operands(self, node: Any) -> Sequence[Any]:
        """The nodes to which a gradient goes from a node."""
        return operands_of(node._left, node._right)

    def parents(self, node: Any) -> tuple[Any, ...]:
        """What `Value.parents` gives for a node."""
        return tuple(self.operands(node))

    def kept(self, node: Any) -> tuple[Primitive, Any, Any]:
        """What a copy or a pickle of a node has for primitive and operands."""
        return self, node._left, node._right

    def __repr__(self) -> str:
        return for_stream(f"<Primitive {self.name}>")

    # A copy of a Value has the same primitive. A pickle names it, as it names functions.
    def __copy__(self) -> Primitive:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Primitive:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return primitive_at, place_of(self)


def operands_of(left: Any, right: Any) -> tuple[Any, ...]:
    """The operands of an operation, as a node keeps them; `right` may be None, or a tuple."""
    if right is None:
        return (left,)
    return (left, *right) if right.__class__ is tuple else (left, right)


def wrong_kinds(primitive: Primitive, operands: Sequence[Any]) -> TypeError:
    """The error for operands of which some are not numbers."""
    kinds = ", ".join(type(operand).__name__ for operand in operands)
    return TypeError(for_stream(f"{primitive.name}() takes Values and real numbers, not ({kinds})"))


class Opaque(Primitive):
    """An operation whose inside is no graph; its rules raise, for no gradient flows through it."""

    __slots__ = ()


class Folded(Primitive):
    """A primitive that stands for several operations: one node, until somebody looks inside.

    The only one is the weighted sum; see sums.py.
    """

    __slots__ = ()

    def settle(self, node: Any) -> None:
        """If somebody has looked inside, make the node the last of the operations it stood for."""
        raise NotImplementedError


class _Constant:
    """What a plain number in a graph, the 2 of `2 * x`, has in the place of a primitive."""

    __slots__ = ()
    public = None

    def __reduce__(self) -> str:
        return "CONSTANT"


CONSTANT: Any = _Constant()


def _rule(name: str, rule: Any) -> Rule:
    if rule is None or callable(rule):
        return cast(Rule, rule)
    if isinstance(rule, float | int):
        return float(rule)
    raise TypeError(
        f"Primitive {name!r}: backward must be a function of (out, *operands), a number or None, or"
        f" a sequence with one of these for each operand, not {quoted(rule)}"
    )


def _positions(name: str, positions: Any, operands: int) -> tuple[int, ...]:
    if not isinstance(positions, Sequence) or isinstance(positions, str):
        raise TypeError(
            f"Primitive {name!r}: nan_slopes must be a sequence of positions, not"
            f" {quoted(positions)}"
        )
    if not set(positions) <= set(range(operands)):
        raise ValueError(
            f"Primitive {name!r}: nan_slopes must be among the positions 0 .. {operands - 1}, not"
            f" {quoted(positions)}"
        )
    return tuple(positions)


# --- how a float gradient is handed on ------------------------------------------------------------


def _pull(rules: Sequence[Any]) -> Pull:
    """Adds upstream * (local derivative) to `.grad` of each operand, by the rules of a primitive.

    A plain number receives nothing, and its rule does not run: the slope of x ** n by n may not
    exist.
    """

    def pull(node: Any, upstream: float) -> None:
        operands = operands_of(node._left, node._right)
        numbers = [operand._data for operand in operands]
        for operand, rule in zip(operands, rules, strict=True):
            if rule is not None and operand._primitive is not CONSTANT:
                # The slope first: a rule may differentiate another graph, which adds to the same.
                slope = rule if rule.__class__ is float else rule(node._data, *numbers)
                if slope.__class__ is not float:
                    slope = as_slope(node._primitive, slope)
                    slope = slope._data if hasattr(slope, "_primitive") else slope
                operand._grad += upstream * slope

    return pull


# Of these two operations most graphs consist, so theirs are written out. A plain number may receive
# here like any other operand: whoever runs the backward pass sets its gradient back to 0.


def pull_add(node: Any, upstream: float) -> None:
    """The slopes of a + b are 1."""
    node._left._grad += upstream
    node._right._grad += upstream


def pull_mul(node: Any, upstream: float) -> None:
    """The slope of a b by a is b, and by b it is a."""
    left, right = node._left, node._right
    left._grad += upstream * right._data
    right._grad += upstream * left._data
