"""What is a primitive? An operation on numbers, its local derivatives, and facts about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, cast, overload

from autograd.copies import place_of, primitive_at
from autograd.forms import Form, checked_form
from autograd.messages import as_slope, require_flag
from autograd.text import counted, for_stream, quoted

if TYPE_CHECKING:
    from autograd.value import Value

Rule = Callable[..., Any] | float | None
# One type per number of operands, so that type checkers can infer the parameters of a lambda.
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
            the error is re-raised with the operands and their labels in its message.
        backward: the local derivative d out / d operand, a function of (out, *operands); a sequence
            of these if there are several operands. Written with arithmetic, primitives and numbers,
            it gives derivatives of every order; with `math.cos(x)` or `float(x)`, only the first.
            Its arguments may be floats: write `autograd.ops.cos(x)`, not `x.cos()`. A number is a
            constant derivative, None a derivative of 0.
        symbol: how drawings show it; by default the name.
        domain: what an operand must be, for the message if `forward` or a rule of `backward` raises
            ValueError.
        pull: passes a float gradient from a node to its operands, `pull(node, upstream)`; by
            default derived from `backward`.
        commutes: whether forward(a, b) equals forward(b, a) to the last bit for all floats.
        total: whether `forward` returns a number for all floats and never raises, so that the jit
            may leave it out if nothing uses the result.
        nan_slopes: the positions of operands whose local derivative may be nan, instead of raising,
            where `forward` returns a number.
        text: how formulas write it, a Form or its template. By default a function call, with the
            symbol if that is a word, else with the name: `cube(x)`.
        latex: the same in LaTeX; by default like `text`.

    A Primitive is pickled by name, so define your own at module level.

    Raises TypeError if an argument has a wrong type or `backward` a wrong number of arguments, and
    ValueError if a form or `nan_slopes` has an operand that the operation does not have.

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
        self.backward = tuple(_rule(name, rule, len(rules)) for rule in rules)
        self.symbol = symbol or name
        self.domain = domain
        self.commutes = commutes
        self.total = total
        self.nan_slopes = _positions(name, nan_slopes, len(rules))
        self.text = checked_form(name, len(rules), text)
        self.latex = checked_form(name, len(rules), latex or text)
        self.pull, self.has_own_pull = pull or _pull(self.backward), pull is not None
        self.is_folded = False  # whether a node stands for several operations; see sums.py

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
        """Return a Value if any operand is one, else what `forward` returns.

        Raises TypeError for a wrong number or type of operands, and whatever `forward` raises.
        """
        if len(operands) != len(self.backward):
            takes = counted(len(self.backward), "operand")
            raise TypeError(for_stream(f"{self.name}() takes {takes}, got {len(operands)}"))
        are_floats = True
        for operand in operands:
            if operand.__class__ is float:
                continue
            # A class with `apply_primitive`, such as Value, computes the result itself.
            if hasattr(operand, "apply_primitive"):
                return operand.apply_primitive(self, operands)
            are_floats = False
        if are_floats:
            return self.forward(*operands)
        for operand in operands:
            if not is_number(operand):
                raise wrong_kinds(self, operands)
        # As in a Value: forward would compute with a float32 in 32 bits.
        return self.forward(*map(float, operands))

    # What a node of this primitive looks like from outside, and where a backward pass continues.

    @property
    def public(self) -> Primitive | None:
        """What `Value.primitive` returns for a node of this primitive."""
        return self

    def operands(self, node: Any) -> Sequence[Any]:
        """Return the nodes that receive gradients from a node."""
        return operands_of(node._left, node._right)

    def parents(self, node: Any) -> tuple[Any, ...]:
        """Return the `Value.parents` of a node."""
        return tuple(self.operands(node))

    def settle(self, node: Any) -> None:
        """If a node stands for several operations and shows them already, make it the last one."""

    def kept(self, node: Any) -> tuple[Primitive, Any, Any]:
        """Return the primitive and the operands that a copy or pickle of a node gets."""
        return self, node._left, node._right

    def __repr__(self) -> str:
        return for_stream(f"<Primitive {self.name}>")

    # Copies of a Value share its primitive; pickles store its name, as for functions.
    def __copy__(self) -> Primitive:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Primitive:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return primitive_at, place_of(self)


def operands_of(left: Any, right: Any) -> tuple[Any, ...]:
    """Return the operands that a node keeps as `left` and `right`, which may be None or a tuple."""
    if right is None:
        return (left,)
    return (left, *right) if right.__class__ is tuple else (left, right)


def without_array(number: Any) -> Any:
    """Return an array's scalar, or what an array without dimensions holds, as Python's own number.

    That may be a recorded number. Anything else is returned unchanged.
    """
    is_single = getattr(number, "shape", None) == () and hasattr(number, "tolist")
    return number.tolist() if is_single else number


def is_number(operand: Any) -> bool:
    """Whether it is a real number, or a scalar of an array library, which has an empty shape."""
    return isinstance(operand, Real) or getattr(operand, "shape", None) == ()


def wrong_kinds(primitive: Primitive, operands: Sequence[Any]) -> TypeError:
    """Return the error for operands that are not all numbers."""
    kinds = ", ".join(type(operand).__name__ for operand in operands)
    return TypeError(for_stream(f"{primitive.name}() takes Values and real numbers, not ({kinds})"))


class Opaque(Primitive):
    """An operation without a graph inside. Its rules raise, as no gradient flows through it."""

    __slots__ = ()


class _Constant:
    """Takes the place of a primitive in the node of a plain number, such as the 2 of `2 * x`."""

    __slots__ = ()
    public = None

    def __reduce__(self) -> str:
        return "CONSTANT"


CONSTANT: Any = _Constant()


def _rule(name: str, rule: Any, operands: int) -> Rule:
    if rule is None or (callable(rule) and _can_take(rule, 1 + operands)):
        return cast(Rule, rule)
    if isinstance(rule, Real):
        return float(rule)
    given = quoted(rule)
    if isinstance(rule, FunctionType):
        names = rule.__code__.co_varnames[: rule.__code__.co_argcount]
        given = f"a function of ({', '.join(names)})"
        if len(names) > 1 + operands:
            one = f"lambda {', '.join(names)}: ..."
            given += f": write [{', '.join([one] * (len(names) - 1))}]"
    raise TypeError(
        f"Primitive {name!r}: backward must be a function of (out, *operands), a number or None, or"
        f" a sequence with one of these for each operand, not {given}"
    )


def _can_take(function: Any, count: int) -> bool:
    """Whether a function takes this many arguments; True for any other callable."""
    if not isinstance(function, FunctionType):
        return True
    code = function.__code__
    least = code.co_argcount - len(function.__defaults__ or ())
    takes_more = bool(code.co_flags & 4)  # inspect.CO_VARARGS, without importing inspect
    return least <= count and (count <= code.co_argcount or takes_more)


def _positions(name: str, positions: Any, operands: int) -> tuple[int, ...]:
    if not isinstance(positions, Sequence) or isinstance(positions, str):
        raise TypeError(
            f"Primitive {name!r}: nan_slopes must be a sequence of positions, not"
            f" {quoted(positions)}"
        )
    if not all(position in range(operands) for position in positions):
        raise ValueError(
            f"Primitive {name!r}: nan_slopes must be among the positions 0 .. {operands - 1}, not"
            f" {quoted(positions)}"
        )
    return tuple(positions)


# --- how a float gradient is passed on ------------------------------------------------------------


def _pull(rules: Sequence[Any]) -> Pull:
    """Return the function that adds upstream * (local derivative) to each operand's `.grad`.

    A plain number receives nothing and its rule does not run: d(x ** n)/dn may not exist.
    """

    data_of = attrgetter("_data")

    def pull(node: Any, upstream: float) -> None:
        operands = operands_of(node._left, node._right)
        numbers = [operand._data for operand in operands]
        for operand, rule in zip(operands, rules, strict=True):
            if rule is not None and operand._primitive is not CONSTANT:
                # The slope comes first, as a rule may run a backward pass that adds to `_grad`.
                slope = rule if rule.__class__ is float else rule(node._data, *numbers)
                if slope.__class__ is not float:
                    slope = as_slope(node._primitive, slope, data_of)
                operand._grad += upstream * slope

    return pull


# Most graphs consist of these two operations, so their functions are written out. Here a plain
# number receives a gradient like any other operand; the backward pass resets it to 0 at the end.


def pull_add(node: Any, upstream: float) -> None:
    """Pass on the gradient of a + b, whose slopes are 1."""
    node._left._grad += upstream
    node._right._grad += upstream


def pull_mul(node: Any, upstream: float) -> None:
    """Pass on the gradient of a b, whose slopes are b and a."""
    left, right = node._left, node._right
    left._grad += upstream * right._data
    right._grad += upstream * left._data
