"""How is an expression written down? As text or as LaTeX, in names or in numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple, TypeVar

from autograd import ops
from autograd.forms import LEVELS, Form
from autograd.primitive import Primitive
from autograd.steps.formula import Expression
from autograd.text import RAISED, clipped, is_one_word, number, with_digits
from autograd.value import Value

# A rule may have any number of operations. At most this many are shown, with an ellipsis for each
# part that is left out.
SHOWN_OPERATIONS = 40
DIGITS = 4  # significant digits of a number, where these are enough; a float has at most 17

# --- how operations look: the forms of the rows, in text and in LaTeX -----------------------------

# How tightly an operation binds its operands. An operand that binds less tightly than its place
# requires goes in parentheses; an atom never does. A Form names these levels.
ANY, SUM, PRODUCT, SIGN, POWER, ATOM = range(6)
_LEVELS = {level: binds for binds, level in enumerate(("", *LEVELS))}


class Place(NamedTuple):
    """Where an operand goes.

    Attributes:
        operand: which one.
        binds: how tightly it must bind to need no parentheses.
        signed: whether a leading minus needs parentheses, as in `a * (-b)`; None for an operand at
            the front of the operation, where the place of the operation decides.
    """

    operand: int
    binds: int = ANY
    signed: bool | None = False


class Layout(NamedTuple):
    """How an operation looks: how tightly it binds, and its signs and operands in order."""

    binds: int
    parts: tuple[str | Place, ...]


class Style(NamedTuple):
    """One way to write: the forms of primitives, the names of functions, and everything else."""

    form: Callable[[Primitive], Form]
    function: Callable[[Primitive], str]
    name: Callable[[str], str]
    number: Callable[[float, int], str]
    raised: Callable[[int], str]
    opening: str
    closing: str
    times: str
    ellipsis: str
    digits: int = DIGITS


class Mention(NamedTuple):
    """A node of the graph in a formula.

    Attributes:
        node: the node.
        signed: whether a negative number goes in parentheses here.
        operand: whether it is the operand of an operator: a name of several words, such as a label
            "a + b", then goes in parentheses.
    """

    node: Value
    signed: bool
    operand: bool


@lru_cache(maxsize=256)
def _parsed(form: Form) -> Layout:
    """Parse a form with operands.

    A leading minus of an operand needs parentheses, as in `a * (-b)`, if the operand has to bind
    tighter than a sum. For an operand at the front of the form, the place of the whole form
    decides.
    """
    parts: list[str | Place] = []
    for sign, operand, level in _OPERAND.findall(form.template):
        parts += [sign] if sign else []
        if operand:
            binds = _LEVELS[level]
            parts.append(Place(int(operand) - 1, binds, binds > SUM if parts else None))
    return Layout(_LEVELS[form.level], tuple(parts))


# The text before an operand, its number, and its level; at the end, only the remaining text.
_OPERAND = re.compile(rf"(.*?)(?:#(\d+)(?::({'|'.join(LEVELS)}))?|$)", re.DOTALL)


_SUPERSCRIPT = str.maketrans("-0123456789", RAISED)


def _function_name(primitive: Primitive) -> str:
    """The name of a primitive that is written as a function."""
    template, symbol = primitive.text.template, primitive.symbol
    return template or (symbol if symbol.isidentifier() else primitive.name)


TEXT = Style(
    form=lambda primitive: primitive.text,
    function=lambda primitive: clipped(_function_name(primitive)),
    name=clipped,
    number=number,
    raised=lambda n: str(n).translate(_SUPERSCRIPT),
    opening="(",
    closing=")",
    times=" * ",
    ellipsis="…",
)


_LATEX_SIGNS = {
    "\\": r"\backslash ",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\wedge ",
    "~": r"\sim ",
    "<": r"\lt ",
    ">": r"\gt ",
    "*": r"\ast ",
    "`": r"\text{‘}",
}


def latex_name(name: str) -> str:
    r"""A name in math mode: `a` as it is, `x1` as x_{1}, others upright; TeX's characters escaped.

    >>> print(latex_name("loss"), latex_name("w₀₁"), latex_name("w.0"), latex_name("100%"))
    \mathrm{loss} w_{01} {\text{w.0}} {\text{100}\%}
    """
    name = clipped(name)
    indexed = re.fullmatch(r"(.*?[^₀-₉.])\.?([₀-₉]+(?:\.[₀-₉]+)*)", name, re.DOTALL)
    if indexed:
        base, index = indexed[1], with_digits(indexed[2]).replace(".", ",")
        # TeX allows only one index, and x1 has one already.
        return f"{latex_name(base)}_{{{index}}}".replace("}_{", "}{}_{")
    single = re.fullmatch(r"([A-Za-z])([0-9]*)", name)
    if single:
        letter, digits = single.groups()
        return f"{letter}_{{{digits}}}" if digits else letter
    if re.fullmatch(r"[A-Za-z0-9]+", name):
        return rf"\mathrm{{{name}}}"
    # Characters that are special in TeX become commands; the rest is text between them. Renderers
    # differ in how they treat special characters inside \text, so none goes there.
    runs = re.split(f"([{re.escape(''.join(_LATEX_SIGNS))}])", name)
    parts = [_LATEX_SIGNS.get(run) or rf"\text{{{run}}}" for run in runs if run]
    return f"{{{''.join(parts)}}}"


def _latex_number(x: float, digits: int) -> str:
    mantissa, _, exponent = number(x, digits).partition("e")
    if exponent:
        power = rf"10^{{{int(exponent)}}}"
        return {"1": "", "-1": "-"}.get(mantissa, rf"{mantissa} \cdot ") + power
    return {"inf": r"\infty ", "-inf": r"-\infty ", "nan": r"\mathrm{nan}"}.get(mantissa, mantissa)


def _latex_function(primitive: Primitive) -> str:
    """The name of a function: as its row gives it, or upright."""
    given = primitive.latex.template
    if given != primitive.text.template:
        return given
    match = re.fullmatch(r"(.+?)('?)([₀-₉]*)", _function_name(primitive), re.DOTALL)
    assert match is not None
    base, prime, which = match.groups()
    which = f"_{{{with_digits(which)}}}" if which else ""
    if re.fullmatch(r"[A-Za-z0-9]+", base):
        return rf"\operatorname{{{base}}}{prime}{which}"
    return f"{latex_name(base)}{prime}{which}"


LATEX = Style(
    form=lambda primitive: primitive.latex,
    function=_latex_function,
    name=latex_name,
    number=_latex_number,
    raised=lambda n: f"^{{{n}}}",
    opening=r"\left(",
    closing=r"\right)",
    times=r" \cdot ",
    ellipsis=r"\ldots ",
)


def _layout(expression: Expression, style: Style) -> Layout:
    """How an operation or a plain number looks."""
    primitive, operands = expression.primitive, expression.operands
    if primitive is None:
        return _number_layout(expression.number, style)
    exponent = _small_exponent(expression)
    if exponent is not None:
        return Layout(POWER, (GROUPED, style.raised(exponent)))
    form = style.form(primitive)
    if "#" in form.template:
        return _parsed(form)
    places = [part for i in range(len(operands)) for part in (", ", Place(i))][1:]
    return Layout(ATOM, (style.function(primitive) + style.opening, *places, style.closing))


def _number_layout(number: float, style: Style) -> Layout:
    sign = style.number(number, style.digits)
    return Layout(PRODUCT if "10^" in sign else SIGN if sign.startswith("-") else ATOM, (sign,))


def _small_exponent(expression: Expression) -> int | None:
    """n if the expression is written with n raised: u * u of one u, or a small whole power."""
    primitive, operands = expression.primitive, expression.operands
    if primitive is ops.mul and operands[0] is operands[1]:
        return 2
    if primitive is ops.pow or primitive is ops.power:
        n = operands[1].number  # nan unless it is a plain number
        if abs(n) < 100 and n == int(n):
            return int(n)
    return None


# --- writing --------------------------------------------------------------------------------------

Show = Callable[[Mention], str]
ALONE, FRONT = Place(0), Place(0, PRODUCT)
FACTOR, GROUPED = Place(0, SIGN, True), Place(0, ATOM, True)


def written(expression: Expression, show: Show, style: Style = TEXT, place: Place = ALONE) -> str:
    """The formula, with each node as `show` returns it: see `in_names` and `in_numbers`."""
    return "".join(
        piece if isinstance(piece, str) else show(piece)
        for piece in pieces(expression, style, place)
    )


def product(
    factors: Sequence[Expression], show: Show, style: Style = TEXT, front: str = "", count: int = 1
) -> str:
    """The product `a * (-b)`, after `front` if given; `2 * (a * (-b))` for a `count` of 2."""
    parts = [front] if front else []
    lone = len(factors) == 1
    for factor in factors:
        place = FACTOR if parts or (lone and count > 1) else ALONE if lone else FRONT
        parts.append(written(factor, show, style, place))
    text = style.times.join(parts) or "1"
    if count == 1:
        return text
    text = f"{style.opening}{text}{style.closing}" if len(parts) > 1 else text
    return f"{count}{style.times}{text}"


_CONDITION = re.compile(r"\[[^\]]* [<>] [^\]]*\]")


def about_conditions(lines: Iterable[str]) -> list[str]:
    """Return lines that explain conditions in brackets, such as `[x > 0]`, if there are any."""
    found = any(map(_CONDITION.search, lines))
    return ["", "a condition in brackets is 1 if it holds, and 0 otherwise"] if found else []


def digits_that_add_up(terms: Sequence[float], total: float) -> int:
    """The fewest digits, at least 4, in which the terms of a sum add up to the total in 4 digits.

    They may differ by one unit of its last digit, and by the rounding of floats, which accumulates
    if large terms cancel.
    """
    goal = float(number(total, DIGITS))
    finite = 0.0 < abs(goal) < math.inf
    unit = 10.0 ** (math.floor(math.log10(abs(goal))) - DIGITS + 1) if finite else 0.0
    most = 1.01 * unit + 2.0**-49 * sum(map(abs, terms))
    for digits in range(DIGITS, 17):
        found = sum(float(number(term, digits)) for term in terms)
        if not abs(found - goal) > most:  # nan is no reason for more digits
            return digits
    return DIGITS  # numbers assigned since may not add up in any number of digits


def digits_that_give(
    result: float, operation: Callable[..., float], operands: Sequence[float]
) -> int:
    """The fewest digits, at least 4, in which an operation gives its result within 0.2 %.

    This is what two factors in 4 digits give of their product; log(1.000123) needs 7 digits.
    """
    for digits in range(DIGITS, 18):  # 17 digits tell any two floats apart
        with suppress(ValueError, ArithmeticError):  # in 4 digits, log1p(-0.99999) is log1p(-1)
            found = operation(*(float(number(x, digits)) for x in operands))
            if not abs(found - result) > 0.002 * abs(result):  # nan is no reason for more digits
                return digits
    return DIGITS  # numbers assigned since may not give it in any number of digits


def in_names(name: Callable[[Value], str], style: Style = TEXT) -> Show:
    """Nodes by their names; an operand whose name is several words, `x + y`, in parentheses."""

    def show(mention: Mention) -> str:
        words = name(mention.node)
        return one_word(words, style) if mention.operand else style.name(words)

    return show


def partial_derivative(upper: str, lower: str) -> str:
    """The partial derivative of one name by another, in LaTeX."""
    above, below = one_word(upper, LATEX), one_word(lower, LATEX)
    return rf"\frac{{\partial {above}}}{{\partial {below}}}"


def one_word(name: str, style: Style = TEXT) -> str:
    """A name as written before `.grad` or an operator: in parentheses if it has several words."""
    written = style.name(name)
    return written if is_one_word(name) else f"{style.opening}{written}{style.closing}"


def gradient_of(name: str, gradient: float) -> str:
    """`a.grad = 8`"""
    return f"{one_word(name)}.grad = {number(gradient)}"


def in_numbers(data: Callable[[Value], float], style: Style = TEXT) -> Show:
    """Nodes by their numbers; a negative one in parentheses if a sign comes before it."""

    def show(mention: Mention) -> str:
        place = GROUPED if mention.signed else ALONE
        return written(Expression(number=data(mention.node)), show, style, place)

    return show


def pieces(expression: Expression, style: Style, place: Place = ALONE) -> Iterator[str | Mention]:
    """The formula from left to right, with only the parentheses that its structure needs."""
    waiting: list[str | tuple[Expression, int, bool]]
    waiting = [(expression, place.binds, bool(place.signed))]
    operations = 0
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            yield piece
            continue
        part, binds, signed = piece
        if part.node is not None:
            yield Mention(part.node, signed or binds > SIGN, binds > ANY)
            continue
        if part.primitive is not None:
            operations += 1
            if operations > SHOWN_OPERATIONS:
                yield style.ellipsis
                continue
        layout = _layout(part, style)
        first = layout.parts[0]
        minus = isinstance(first, str) and first.startswith("-")
        if layout.binds < binds or (signed and minus):
            yield style.opening
            waiting.append(style.closing)
            signed = False
        for inside in reversed(layout.parts):
            if isinstance(inside, Place):
                sign = signed if inside.signed is None else inside.signed
                waiting.append((part.operands[inside.operand], inside.binds, sign))
            else:
                waiting.append(inside)


Item = TypeVar("Item")


def template(expression: Expression, item: Callable[[Mention], Item]) -> list[str | Item]:
    """The formula as a list of text and, in place of each node, `item(mention)`."""
    parts: list[str | Item] = []
    for piece in pieces(expression, TEXT):
        if isinstance(piece, Mention):
            parts.append(item(piece))
        elif parts and isinstance(before := parts[-1], str):
            parts[-1] = before + piece
        else:
            parts.append(piece)
    return parts
