"""What can be done to a number, and what is its derivative? One row per primitive.

A row is `Primitive(name, forward, backward, symbol)`. `forward` takes floats. `backward` holds the
local derivative d out / d operand for each operand: a function of (out, *operands), a number where
it is the same everywhere, None where it is 0. A local derivative is plain arithmetic, so the same
line runs on floats (a first-order sweep) and on Values (the gradient is itself a graph).

A row also says what else has to be known of an operation: whether it commutes, whether it is total,
and how it is written. Simplifying, scheduling, drawing and formulas read it there.

Formulas are chosen to keep their relative accuracy over the whole line: sigma' = sigma (1 - sigma)
is written sech(x/2)^2 / 4, the same function, because 1 - sigma(40) is 0 in floats.

Conventions at kinks: relu'(0) = 0, |x|'(0) = 0; maximum and minimum share the gradient equally at a
tie; the derivative of x ** y by y at x = 0 is 0, its limit for y > 0, and that of x ** 0 by x is 0.

At the edge of a domain: a slope whose formula divides by 0 or is too large for `**` raises (that of
sqrt at 0), as the same operation does forward. The slope of x ** y by y for x below 0 is nan, so
that x still receives its own.
"""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from numbers import Real
from typing import Any, NamedTuple, cast

from autograd.text import for_stream

Rule = Callable[..., Any] | float | None
Pull = Callable[[Any, float], None]


LEVELS = ("sum", "product", "sign", "power", "atom")  # the later, the tighter an operation binds


class Form(NamedTuple):
    """How a formula writes an operation.

    Attributes:
        template: `#1`, `#2`, ... stand for the operands, as in a TeX macro. `#1:sum` is put in
            parentheses unless it binds at least as tightly as a "sum"; the other levels are
            "product", "sign" (a minus in front), "power" and "atom" (a name). A template without
            operands is the name of a function: `max` is written `max(#1, #2)`.
        level: how tightly the operation itself binds.
    """

    template: str
    level: str = "atom"


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

    Raises TypeError for arguments of a wrong kind, and ValueError for a form with an operand that
    the operation does not have.

    >>> from autograd import Primitive, Value
    >>> cube = Primitive("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
    >>> x = Value(2.0)
    >>> cube(x).backward()
    >>> x.grad
    12.0
    """

    __slots__ = (
        *("backward", "commutes", "domain", "forward", "latex", "name", "pull", "symbol", "text"),
        *("nan_slopes", "total"),
    )

    def __init__(
        self,
        name: str,
        forward: Callable[..., float],
        backward: Rule | Sequence[Rule],
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
            raise TypeError(f"a Primitive's name must be a non-empty string, not {name!r}")
        if not callable(forward):
            raise TypeError(f"Primitive {name!r}: forward must be callable, not {forward!r}")
        self.name = name
        self.forward = forward
        rules = backward if isinstance(backward, Sequence) else (backward,)
        self.backward = tuple(_rule(name, rule) for rule in rules)
        self.symbol = symbol or name
        self.domain = domain
        self.commutes = commutes
        self.total = total
        self.nan_slopes = tuple(nan_slopes)
        self.text = _form(self, text)
        self.latex = _form(self, latex or text)
        self.pull = pull or _pull(self.backward)

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
        strangers = False
        for operand in operands:
            if operand.__class__ is float:
                continue
            # Whoever brings an `apply_primitive` is a number of its own kind: a Value, above all.
            if hasattr(operand, "apply_primitive"):
                return operand.apply_primitive(self, operands)
            if not (isinstance(operand, Real) or getattr(operand, "shape", None) == ()):
                strangers = True
        if strangers:
            raise wrong_kinds(self, operands)
        return self.forward(*operands)

    # What a node of this primitive shows of itself, and what a backward pass goes on to.

    @property
    def public(self) -> Primitive | None:
        """The primitive that `Value.primitive` gives for a node of this one."""
        return self

    def operands(self, node: Any) -> Sequence[Any]:
        """The nodes to which a gradient goes from a node."""
        left, right = node._left, node._right
        if right is None:
            return (left,)
        return (left, *right) if right.__class__ is tuple else (left, right)

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

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self.name if globals().get(self.name) is self else (_named, _place(self))


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


def _place(primitive: Primitive) -> tuple[str, str]:
    """The module that holds a primitive, and its name there; the one with `forward` if it does."""
    home = getattr(primitive.forward, "__module__", None)
    modules = list(sys.modules.items())
    modules.sort(key=lambda entry: (entry[0] != home, entry[0] == "__main__"))
    for module, content in modules:
        for name, thing in list(getattr(content, "__dict__", {}).items()):
            if thing is primitive:
                return module, name
    from pickle import PicklingError

    raise PicklingError(
        f"the Primitive {primitive.name!r} cannot be pickled: it is found in no module; define it"
        " at module level, as functions that are pickled are"
    )


def _named(module: str, name: str) -> Primitive:
    """The primitive that a pickle names."""
    found = getattr(import_module(module), name, None)
    if not isinstance(found, Primitive):
        raise AttributeError(f"a pickled Value needs the Primitive {name!r}, not in {module!r} now")
    return found


def _rule(name: str, rule: Any) -> Rule:
    if rule is None or callable(rule):
        return cast(Rule, rule)
    if isinstance(rule, float | int):
        return float(rule)
    raise TypeError(
        f"Primitive {name!r}: backward must be a function of (out, *operands), a number or None, or"
        f" a sequence with one of these for each operand, not {rule!r}"
    )


def _form(primitive: Primitive, form: str | Form) -> Form:
    form = Form(form) if isinstance(form, str) else form
    if not isinstance(form, Form) or form.level not in LEVELS:
        raise TypeError(
            f"Primitive {primitive.name!r}: text and latex take a template, or a Form with one of"
            f" the levels {', '.join(LEVELS)}, not {form!r}"
        )
    for operand in re.findall(r"#(\d+)", form.template):
        if not 1 <= int(operand) <= len(primitive.backward):
            raise ValueError(
                f"Primitive {primitive.name!r} has no operand #{operand}, which stands in the form"
                f" {form.template!r}: there are {len(primitive.backward)}, from #1 on"
            )
    return form


# --- how a float gradient is handed on ------------------------------------------------------------


def _pull(rules: Sequence[Any]) -> Pull:
    """Adds upstream * (local derivative) to `.grad` of each operand, by the rules of a primitive.

    A plain number receives nothing, and its rule does not run: the slope of x ** n by n may not
    exist.
    """
    if len(rules) == 1:
        (rule,) = rules

        def pull_one(node: Any, upstream: float) -> None:
            x = node._left
            if x._primitive is not CONSTANT:
                x.grad += upstream * (rule if rule.__class__ is float else rule(node.data, x.data))

        return pull_none if rule is None else pull_one

    if len(rules) == 2:
        by_left, by_right = rules

        def pull_two(node: Any, upstream: float) -> None:
            left, right, out = node._left, node._right, node.data
            x, y = left.data, right.data
            if by_left is not None and left._primitive is not CONSTANT:
                slope = by_left if by_left.__class__ is float else by_left(out, x, y)
                left.grad += upstream * slope
            if by_right is not None and right._primitive is not CONSTANT:
                slope = by_right if by_right.__class__ is float else by_right(out, x, y)
                right.grad += upstream * slope

        return pull_two

    def pull_many(node: Any, upstream: float) -> None:
        operands = (node._left, *node._right)
        numbers = [operand.data for operand in operands]
        for operand, rule in zip(operands, rules, strict=True):
            if rule is not None and operand._primitive is not CONSTANT:
                slope = rule if rule.__class__ is float else rule(node.data, *numbers)
                operand.grad += upstream * slope

    return pull_many


def pull_none(node: Any, upstream: float) -> None:
    """Of an operation whose derivative is 0 everywhere."""


# Of these two operations most graphs consist, so theirs are written out. A plain number may receive
# here like any other operand: whoever runs the backward pass sets its gradient back to 0.


def _pull_add(node: Any, upstream: float) -> None:
    node._left.grad += upstream
    node._right.grad += upstream


def _pull_mul(node: Any, upstream: float) -> None:
    left, right = node._left, node._right
    left.grad += upstream * right.data
    right.grad += upstream * left.data


def _square(x: Any) -> Any:
    return x * x


# --- forward functions that `math` does not have, or has only with a loss of accuracy -------------


def _sigmoid(x: float) -> float:
    # exp of a positive number is never taken: it may overflow.
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def _softplus(x: float) -> float:
    # log(1 + e^x) = x + log(1 + e^-x): again exp only of what is not positive.
    return x + math.log1p(math.exp(-x)) if x > 0.0 else math.log1p(math.exp(x))


def _sech(x: float) -> float:
    e = math.exp(-math.fabs(x))
    return 2.0 * e / (1.0 + e * e)


def _power(x: float, y: float) -> float:
    if x == 0.0 and -math.inf < y < 0.0:
        raise ZeroDivisionError  # math.pow says ValueError here, and x ** y is complex below 0
    return math.pow(x, y)


def _gaussian(x: float) -> float:
    # exp magnifies the rounding of x*x by x*x itself; Dekker's split recovers what was rounded off.
    square = x * x
    if not square < 750.0:  # exp(-750) is 0; nan passes through
        return math.exp(-square)
    high = x * 134217729.0  # 2^27 + 1
    high -= high - x
    low = x - high
    rest = ((high * high - square) + 2.0 * high * low) + low * low
    e = math.exp(-square)
    return e - e * rest


# --- the table: arithmetic ------------------------------------------------------------------------

CONSTANT: Any = _Constant()
_total = partial(Primitive, total=True)
_POWER, _RAISED = Form("#1:atom ** #2:atom", "power"), Form("#1:atom^{#2}", "power")

add = _total(
    *("add", operator.add, (1.0, 1.0), "+"),
    pull=_pull_add,
    commutes=True,
    text=Form("#1:sum + #2:product", "sum"),
)
sub = _total("sub", operator.sub, (1.0, -1.0), "-", text=Form("#1:sum - #2:product", "sum"))
mul = _total(
    *("mul", operator.mul, (lambda out, a, b: b, lambda out, a, b: a), "*"),
    pull=_pull_mul,
    commutes=True,
    text=Form("#1:product * #2:sign", "product"),
    latex=Form(r"#1:product \cdot #2:sign", "product"),
)
div = Primitive(
    *("div", operator.truediv, (lambda out, a, b: 1.0 / b, lambda out, a, b: -out / b), "/"),
    text=Form("#1:product / #2:sign", "product"),
    latex=Form(r"\frac{#1}{#2}", "power"),
)
neg = _total("neg", operator.neg, -1.0, "-", text=Form("-#1:power", "sign"))


def _power_by_base(out: Any, x: Any, n: Any) -> Any:
    # The exponent is a plain number, so its special cases are known: no 0 * 0 ** -1 at x = 0.
    if n == 0.0:
        return 0.0
    if n == 1.0:
        return 1.0
    if n == 2.0:
        return 2.0 * x
    if (n - 1.0) + 1.0 == n:
        return n * x ** (n - 1.0)
    return n * out / x  # x ** (n - 1) would magnify the rounding of n - 1 by log x


_WHOLE = "a base below 0 takes whole exponents only"


def _one_less(y: float, x: float) -> float:
    return y if x == 0.0 == y else y - 1.0


def _log_of_base(x: float) -> float:
    return math.log(x) if x > 0.0 else 0.0 if x == 0.0 else math.nan


# `x ** 3` is `pow`, with an exponent that never changes; `x ** y` of two Values is `power`. Its
# slopes are y x^(y - 1) and out log x. The three rows after it are the y, the y - 1 and the log x
# in them: where these would raise, the slope by the other operand may exist, and has to be
# computed. So 0 ** 0 has slope 0 by x and needs no 0 ** -1; and log x is 0 at 0, as out log x is in
# the limit, and nan below, where x ** y is not real for the exponents near y. At x = 0 the factor y
# has slope 0, so that mixed derivatives are 0 there, whichever operand comes first.
pow = Primitive("pow", _power, (_power_by_base, None), "**", _WHOLE, text=_POWER, latex=_RAISED)
power = Primitive(
    "power",
    _power,
    (
        lambda out, x, y: exponent(y, x) * x ** one_less(y, x),
        lambda out, x, y: out * log_of_base(x),
    ),
    "**",
    _WHOLE,
    nan_slopes=(1,),  # for a base below 0
    text=_POWER,
    latex=_RAISED,
)
exponent: Primitive = _total(
    "exponent", lambda y, x: y, (lambda out, y, x: where(x, 1.0, 0.0), None), text="#1:atom"
)
one_less: Primitive = _total("one_less", _one_less, (1.0, None), text=Form("#1:sum - 1", "sum"))
log_of_base: Primitive = _total(
    "log_of_base",
    _log_of_base,
    # A factor, so that below 0 the slopes of every order are nan.
    lambda out, x: where(x, 1.0 / where(x, x, 1.0), 0.0) * where(greater(0.0, x), math.nan, 1.0),
    text="log",
    latex=r"\log",
)

# --- exponentials and logarithms ------------------------------------------------------------------

exp = Primitive("exp", math.exp, lambda out, x: out, latex=Form("e^{#1}", "power"))
expm1 = Primitive("expm1", math.expm1, lambda out, x: exp(x), latex=Form("e^{#1} - 1", "sum"))
log: Primitive = Primitive(
    "log", math.log, lambda out, x: 1.0 / x, "", "it takes numbers above 0", latex=r"\log"
)
log1p = Primitive(
    *("log1p", math.log1p, lambda out, x: 1.0 / (1.0 + x), "", "it takes numbers above -1"),
    latex=r"\log\left(1 + #1:product\right)",
)
sqrt = Primitive(
    *("sqrt", math.sqrt, lambda out, x: 0.5 / out, "√", "it takes 0 and above"),
    text=Form("√#1:atom", "power"),
    latex=r"\sqrt{#1}",
)

# --- trigonometry ---------------------------------------------------------------------------------

_FINITE = "it takes finite numbers"
sin = Primitive("sin", math.sin, lambda out, x: cos(x), "", _FINITE, latex=r"\sin")
cos: Primitive = Primitive("cos", math.cos, lambda out, x: -sin(x), "", _FINITE, latex=r"\cos")

# --- the sigmoid family and the error function ----------------------------------------------------

sech = _total("sech", _sech, lambda out, x: -out * tanh(x))
tanh: Primitive = _total("tanh", math.tanh, lambda out, x: _square(sech(x)), latex=r"\tanh")
sigmoid = _total(
    "sigmoid", _sigmoid, lambda out, x: _square(0.5 * sech(0.5 * x)), "σ", latex=r"\sigma"
)
softplus = _total("softplus", _softplus, lambda out, x: sigmoid(x))
# The slope is -2 x e^(-x^2). Beyond 30 the exponential is 0, and x is cut off, as 0 * inf is nan.
gaussian = _total(
    *("gaussian", _gaussian, lambda out, x: -2.0 * maximum(minimum(x, 30.0), -30.0) * out),
    text="exp(-#1:atom²)",
    latex=Form("e^{-#1:atom^{2}}", "power"),
)
erf = _total("erf", math.erf, lambda out, x: 2.0 / math.sqrt(math.pi) * gaussian(x))

# --- choices: piecewise, with the kinks' conventions above ----------------------------------------


def _share(a: Any, b: Any) -> Any:
    """The part of the gradient that goes to the larger: 1 where a > b, 1/2 at a tie, else 0."""
    return 0.5 + 0.5 * (greater(a, b) - greater(b, a))


greater: Primitive = _total(
    *("greater", lambda a, b: 1.0 if a > b else 0.0, (None, None), ">"),
    text="[#1:sum > #2:sum]",
    latex=r"\left[#1:sum \gt #2:sum\right]",
)
less = _total(
    *("less", lambda a, b: 1.0 if a < b else 0.0, (None, None), "<"),
    text="[#1:sum < #2:sum]",
    latex=r"\left[#1:sum \lt #2:sum\right]",
)
relu = _total("relu", lambda x: 0.0 if x <= 0.0 else x, lambda out, x: greater(x, 0.0), "ReLU")
abs = _total(
    *("abs", operator.abs, lambda out, x: greater(x, 0.0) - greater(0.0, x), "|x|"),
    text="|#1|",
    latex=r"\left|#1\right|",
)
# These two do not commute: of 0.0 and -0.0 they give the one that comes first.
maximum: Primitive = _total(
    "maximum",
    lambda a, b: a if a >= b or a != a else b,
    (lambda out, a, b: _share(a, b), lambda out, a, b: _share(b, a)),
    "max",
    latex=r"\max",
)
minimum: Primitive = _total(
    "minimum",
    lambda a, b: a if a <= b or a != a else b,
    (lambda out, a, b: _share(b, a), lambda out, a, b: _share(a, b)),
    "min",
    latex=r"\min",
)
where: Primitive = _total(
    "where",
    lambda condition, a, b: a if condition else b,
    (
        None,
        lambda out, condition, a, b: where(condition, 1.0, 0.0),
        lambda out, condition, a, b: where(condition, 0.0, 1.0),
    ),
)

# The rows by name. A user's own primitive of the same name is none of them.
TABLE = {row.name: row for row in list(globals().values()) if isinstance(row, Primitive)}


def is_row(primitive: Primitive) -> bool:
    """Whether a primitive is a row of the table, and not a user's own."""
    return TABLE.get(primitive.name) is primitive
