"""Which operations on numbers are there, and what are their derivatives? One row per primitive.

A row has every fact about an operation; see `Primitive`. A local derivative is plain arithmetic, so
the same line runs on floats (a first-order sweep) and on Values (the gradient is itself a graph).

Formulas are chosen to keep their relative accuracy for all x: sigma' = sigma (1 - sigma) is written
sech(x/2)^2 / 4, the same function, because 1 - sigma(40) is 0 in floats.

Conventions at kinks: relu'(0) = 0, |x|'(0) = 0; maximum and minimum split the gradient equally at a
tie; d(x ** y)/dy at x = 0 is 0, its limit for y > 0, and d(x ** 0)/dx is 0.

At the edge of a domain, a slope whose formula divides by 0 or overflows in `**` raises, as the same
operation does forward: that of sqrt at 0, for example. d(x ** y)/dy for x below 0 is nan, so that x
still receives its gradient.

A derivative is a product of factors. If one of them underflows, it is 0 even if the others would
compensate: the second derivative of 1 / exp(x) is 0 beyond x = 250, where it should be 3e-109.
"""

from __future__ import annotations

import math
import operator
from functools import partial
from typing import Any

from autograd import floats
from autograd.forms import Form
from autograd.primitive import Primitive, pull_add, pull_mul


def _square(x: Any) -> Any:
    return x * x


class _Function(Primitive):
    # A row that users call by its name; `help` shows the docstring of each.
    __slots__ = ("__doc__",)


# --- the table: arithmetic ------------------------------------------------------------------------

_total, _function = partial(Primitive, total=True), partial(_Function, total=True)
_POWER, _RAISED = Form("#1:atom ** #2:atom", "power"), Form("#1:atom^{#2}", "power")

add = _total(
    "add",
    operator.add,
    (1.0, 1.0),
    "+",
    pull=pull_add,
    commutes=True,
    text=Form("#1:sum + #2:product", "sum"),
)
sub = _total("sub", operator.sub, (1.0, -1.0), "-", text=Form("#1:sum - #2:product", "sum"))
mul = _total(
    "mul",
    operator.mul,
    (lambda out, a, b: b, lambda out, a, b: a),
    "*",
    pull=pull_mul,
    commutes=True,
    text=Form("#1:product * #2:sign", "product"),
    latex=Form(r"#1:product \cdot #2:sign", "product"),
)
div = Primitive(
    "div",
    operator.truediv,
    (lambda out, a, b: 1.0 / b, lambda out, a, b: -out / b),
    "/",
    text=Form("#1:product / #2:sign", "product"),
    latex=Form(r"\frac{#1}{#2}", "power"),
)
neg = _total("neg", operator.neg, -1.0, "-", text=Form("-#1:power", "sign"))


def _power_by_base(out: Any, x: Any, n: Any) -> Any:
    if n.__class__ is not float:
        return _power_by_an_unknown(out, x, n)
    # The exponent is a plain number: special cases come first, to avoid 0 * 0 ** -1 at x = 0.
    if n == 0.0:
        return 0.0
    if n == 1.0:
        return 1.0
    if n == 2.0:
        return 2.0 * x
    if (n - 1.0) + 1.0 == n:
        return n * x ** (n - 1.0)
    return n * out / x  # x ** (n - 1) would magnify the rounding of n - 1 by log x


def _power_by_an_unknown(out: Any, x: Any, n: Any) -> Any:
    # The exponent stands for other numbers too, so `where` selects among the special cases.
    def is_(a: Any, b: Any) -> Any:
        return (1.0 - greater(a, b)) * (1.0 - less(a, b))

    slope = where(is_((n - 1.0) + 1.0, n), n * x ** (n - 1.0), n * out / x)
    return where(is_(n, 0.0), n + 0.0, slope)  # n + 0.0 is 0.0, or nan: is_(nan, 0.0) is 1


_WHOLE = "a base below 0 takes whole exponents only"


# `x ** 3` is `pow`, whose exponent never changes; `x ** y` of two Values is `power`. Its slopes are
# y x^(y - 1) and out log x. The three rows after it compute the y, the x^(y - k) of the k-th slope
# by x, and the log x. At x = 0, if y is 0, 1, ..., k - 1, that slope is 0 x^(y - k): the power is 1
# then, as 0 ** -1 would raise. And log x is 0 at 0, which is the limit of out log x, and nan below,
# where x ** y is not real for the exponents near y. At x = 0 the factor y has slope 0, so mixed
# derivatives are 0 there, whichever operand comes first.
pow = Primitive(
    "pow", floats.power, (_power_by_base, None), "**", _WHOLE, text=_POWER, latex=_RAISED
)
power = Primitive(
    "power",
    floats.power,
    (
        lambda out, x, y: exponent(y, x) * lowered_power(x, y, 1.0),
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
lowered_power: Primitive = Primitive(
    "lowered_power",
    floats.lowered_power,
    (
        lambda out, x, y, k: (exponent(y, x) - k) * lowered_power(x, y, k + 1.0),
        lambda out, x, y, k: out * log_of_base(x),
        None,
    ),
    domain=_WHOLE,
    nan_slopes=(0, 1),
    text=Form("#1:atom ** (#2:sum - #3:product)", "power"),
    latex=Form("#1:atom^{#2:sum - #3:product}", "power"),
)
log_of_base: Primitive = _total(
    "log_of_base",
    floats.log_of_base,
    # Multiplying by nan below 0, rather than choosing it, makes slopes of every order nan there.
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
    "log1p",
    math.log1p,
    lambda out, x: 1.0 / (1.0 + x),
    "",
    "it takes numbers above -1",
    latex=r"\log\left(1 + #1:product\right)",
)
sqrt = Primitive(
    "sqrt",
    math.sqrt,
    lambda out, x: 0.5 / out,
    "√",
    "it takes 0 and above",
    text=Form("√#1:atom", "power"),
    latex=r"\sqrt{#1}",
)

# --- trigonometry ---------------------------------------------------------------------------------

_FINITE = "it takes finite numbers"
sin = Primitive("sin", math.sin, lambda out, x: cos(x), "", _FINITE, latex=r"\sin")
cos: Primitive = Primitive("cos", math.cos, lambda out, x: -sin(x), "", _FINITE, latex=r"\cos")

# --- the sigmoid family and the error function ----------------------------------------------------

sech = _total("sech", floats.sech, lambda out, x: -out * tanh(x))
tanh: Primitive = _total("tanh", math.tanh, lambda out, x: _square(sech(x)), latex=r"\tanh")
sigmoid = _total(
    "sigmoid", floats.sigmoid, lambda out, x: _square(0.5 * sech(0.5 * x)), "σ", latex=r"\sigma"
)
softplus = _total("softplus", floats.softplus, lambda out, x: sigmoid(x))
# The slope is -2 x e^(-x^2). Beyond |x| = 30 the exponential is 0; x is clipped, as 0 * inf is nan.
gaussian = _total(
    "gaussian",
    floats.gaussian,
    lambda out, x: -2.0 * maximum(minimum(x, 30.0), -30.0) * out,
    text="exp(-#1:atom²)",
    latex=Form("e^{-#1:atom^{2}}", "power"),
)
erf = _total("erf", math.erf, lambda out, x: 2.0 / math.sqrt(math.pi) * gaussian(x))

# --- piecewise functions, with the conventions at kinks above -------------------------------------


def _share(a: Any, b: Any) -> Any:
    """Return a's share of the gradient of a maximum: 1 if a > b, 0 if a < b, else 1/2."""
    return 0.5 + 0.5 * (greater(a, b) - greater(b, a))


greater: Primitive = _function(
    "greater",
    lambda a, b: 1.0 if a > b else 0.0,
    (None, None),
    ">",
    text="[#1:sum > #2:sum]",
    latex=r"\left[#1:sum \gt #2:sum\right]",
)
less = _function(
    "less",
    lambda a, b: 1.0 if a < b else 0.0,
    (None, None),
    "<",
    text="[#1:sum < #2:sum]",
    latex=r"\left[#1:sum \lt #2:sum\right]",
)
greater.__doc__ = "greater(a, b): 1.0 if a > b, else 0.0, as a node whose derivatives are 0."
less.__doc__ = "less(a, b): 1.0 if a < b, else 0.0, as a node whose derivatives are 0."
relu = _total("relu", lambda x: 0.0 if x <= 0.0 else x, lambda out, x: greater(x, 0.0), "ReLU")
abs = _total(
    "abs",
    operator.abs,
    lambda out, x: greater(x, 0.0) - greater(0.0, x),
    "|x|",
    text="|#1|",
    latex=r"\left|#1\right|",
)
# These two do not commute: given 0.0 and -0.0, they return the one that comes first.
maximum: Primitive = _function(
    "maximum",
    lambda a, b: a if a >= b or a != a else b,
    (lambda out, a, b: _share(a, b), lambda out, a, b: _share(b, a)),
    "max",
    latex=r"\max",
)
minimum: Primitive = _function(
    "minimum",
    lambda a, b: a if a <= b or a != a else b,
    (lambda out, a, b: _share(b, a), lambda out, a, b: _share(a, b)),
    "min",
    latex=r"\min",
)
where: Primitive = _function(
    "where",
    lambda condition, a, b: a if condition else b,
    (
        None,
        lambda out, condition, a, b: where(condition, 1.0, 0.0),
        lambda out, condition, a, b: where(condition, 0.0, 1.0),
    ),
)
maximum.__doc__ = "maximum(a, b): the larger one, which receives the gradient; half each at a tie."
minimum.__doc__ = "minimum(a, b): the smaller one, which receives the gradient; half each at a tie."
where.__doc__ = """where(condition, a, b): a if the condition is not 0, else b; both are computed.

The one that is chosen receives the gradient. For a condition that is a node, use `greater` or
`less`: where(greater(x, 0.0), a, b).
"""

# The rows by name. A user's primitive of the same name is not among them.
TABLE = {row.name: row for row in list(globals().values()) if isinstance(row, Primitive)}


def is_row(primitive: Primitive) -> bool:
    """Return whether a primitive is a row of the table, and not a user's own."""
    return TABLE.get(primitive.name) is primitive
