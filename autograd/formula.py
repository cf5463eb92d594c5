"""How is a derivative written down? As text, as LaTeX, and as a list of operations on slots.

The rules of a primitive are plain arithmetic. Run on floats they give a number; run on
`Expression`s they give the formula of that number:

>>> from autograd import Value
>>> x = Value(0.5, label="x")
>>> y = (2 * x).tanh()
>>> written(local_derivative(y, 0), in_names(lambda node: node.label or "v"))
'sech(v)²'

A rule that is Python code and no arithmetic (`if x > 0`, `math.cosh(x)`) cannot be run so: it
raises TypeError, and its derivative is written `name'(x)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

from autograd import ops
from autograd.ops import LEVELS, TABLE, Form, Primitive, is_row
from autograd.text import clipped
from autograd.text import number as formatted
from autograd.value import Constant, Value, as_operand

# A rule may be a chain of any length. Of a longer one this many operations are shown, and an
# ellipsis for each part left out; beyond the other number it is not handed to a page.
SHOWN_OPERATIONS = 40
RECORDED_OPERATIONS = 10_000


class Expression:
    """A number that is not known yet: a node of a graph, a plain number, or an operation on these.

    The same object is the same subexpression: it is computed once, and `u * u` is a square. Python
    code that needs the number itself (a comparison, `if`, float(), math.sin) raises TypeError.

    Attributes:
        node: the node of the graph it stands for, or None.
        primitive, operands: the operation, or None and ().
        number: the plain number, where it is neither.
    """

    __array_ufunc__ = None  # NumPy's functions then refuse it, and its numbers ask the operators
    __slots__ = ("node", "number", "operands", "primitive")

    def __init__(
        self,
        primitive: Primitive | None = None,
        operands: Sequence[Expression] = (),
        node: Value | None = None,
        number: float = math.nan,
    ) -> None:
        self.primitive = primitive
        self.operands = tuple(operands)
        self.node = node
        self.number = number

    def apply_primitive(self, primitive: Primitive, operands: Sequence[Any]) -> Expression:
        """The operation on operands of which at least one is an Expression."""
        expressions = [_as_expression(operand) for operand in operands]
        if any(expression is None for expression in expressions):
            kinds = ", ".join(type(operand).__name__ for operand in operands)
            raise TypeError(f"{primitive.name}() in a formula takes numbers, not ({kinds})")
        return Expression(primitive, cast(list[Expression], expressions))

    def __add__(self, other: Any) -> Expression:
        return _operation(ops.add, self, other)

    def __radd__(self, other: Any) -> Expression:
        return _operation(ops.add, other, self)

    def __sub__(self, other: Any) -> Expression:
        return _operation(ops.sub, self, other)

    def __rsub__(self, other: Any) -> Expression:
        return _operation(ops.sub, other, self)

    def __mul__(self, other: Any) -> Expression:
        return _operation(ops.mul, self, other)

    def __rmul__(self, other: Any) -> Expression:
        return _operation(ops.mul, other, self)

    def __truediv__(self, other: Any) -> Expression:
        return _operation(ops.div, self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return _operation(ops.div, other, self)

    def __pow__(self, other: Any) -> Expression:
        return _operation(ops.power if isinstance(other, Expression) else ops.pow, self, other)

    def __rpow__(self, other: Any) -> Expression:
        return _operation(ops.power, other, self)

    def __neg__(self) -> Expression:
        return Expression(ops.neg, [self])

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return Expression(ops.abs, [self])

    def __getattr__(self, name: str) -> Any:
        """`exp`, `tanh`, ...: what is a method of Values, and a row of the table."""
        if name in TABLE and hasattr(Value, name):
            return partial(TABLE[name], self)
        raise AttributeError(f"a formula has no {name!r}")

    def _needs_a_number(self, *_: object) -> NoReturn:
        raise TypeError(
            "this is a formula, whose number is not known: a comparison, `if`, float(), int() or a"
            " function of `math` cannot be written down; use where(), maximum() and the primitives"
        )

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _needs_a_number
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _needs_a_number
    __hash__ = object.__hash__


def _as_expression(operand: Any) -> Expression | None:
    if isinstance(operand, Expression):
        return operand
    constant = None if isinstance(operand, Value) else as_operand(operand)
    return None if constant is None else Expression(number=constant.data)


def _operation(primitive: Primitive, left: Any, right: Any) -> Expression:
    a, b = _as_expression(left), _as_expression(right)
    if a is None or b is None:
        return cast(Expression, NotImplemented)  # Python then raises TypeError
    return Expression(primitive, [a, b])


# --- the formulas of a graph ----------------------------------------------------------------------

Data = Callable[[Value], float]


def _data(node: Value) -> float:
    return node.data


def forward_formula(node: Value, data: Data = _data) -> Expression:
    """How an inner node was made, `a * b`, with the number itself for each Constant.

    Each operand is an Expression of its own, so that x * x stays a product of two operands.
    """
    return Expression(node.primitive, [_reference(parent, data) for parent in node.parents])


def local_derivative(node: Value, operand: int, data: Data = _data) -> Expression:
    """d node / d operand as the node's rule computes it; `name'(x)` where that is no formula.

    Raises ValueError for an operand whose rule is None: there is no derivative to write.
    """
    written = written_derivative(node, operand, data)
    return _primed(node, operand, data) if written is None else written


def written_derivative(node: Value, operand: int, data: Data = _data) -> Expression | None:
    """The rule run on Expressions, the node's own among them; None where it cannot be."""
    assert node.primitive is not None
    rule = node.primitive.backward[operand]
    if rule is None:
        raise ValueError(f"{node.primitive.name} passes nothing to its operand {operand}")
    if not callable(rule):
        return Expression(number=rule)
    return _attempt(rule, Expression(node=node), *_symbols(node, data))


def written_forward(node: Value, data: Data = _data) -> Expression | None:
    """How an inner node is computed from rows of the table; None where that is not known.

    This is `forward_formula`, but for a primitive of a user, whose forward function is run.
    """
    assert node.primitive is not None
    if is_row(node.primitive):
        return forward_formula(node, data)
    return _attempt(node.primitive.forward, *_symbols(node, data))


def _reference(node: Value, data: Data) -> Expression:
    constant = isinstance(node, Constant)
    return Expression(number=float(data(node))) if constant else Expression(node=node)


def _symbols(node: Value, data: Data) -> list[Any]:
    """The operands as a rule gets them; a plain number stays one, and a rule may branch on it."""
    return [_plain(_reference(parent, data)) for parent in node.parents]


def _plain(expression: Expression) -> Any:
    known = expression.node is None and expression.primitive is None
    return expression.number if known else expression


def _attempt(function: Callable[..., Any], *operands: Any) -> Expression | None:
    # The function is a user's, made for floats: given Expressions it may raise anything.
    try:
        return _as_expression(function(*operands))
    except Exception:
        return None


def _primed(node: Value, operand: int, data: Data) -> Expression:
    """sinh'(x); of several operands the one it is taken by stands below: hypot'₂(x, y)."""
    assert node.primitive is not None
    which = str(operand + 1).translate(_SUBSCRIPT) if len(node.parents) > 1 else ""
    derivative = Primitive(f"{clipped(node.primitive.name, 32)}'{which}", _unknown, None)
    return Expression(derivative, [_reference(parent, data) for parent in node.parents])


def _unknown(*operands: Any) -> NoReturn:
    raise TypeError("a derivative that was not written down cannot be computed")


# --- how operations look: the forms of the rows, in text and in LaTeX -----------------------------

# How tightly an operation binds its operands. What binds looser than its place asks for stands in
# parentheses; an atom never does. A Form of a primitive calls these levels by their names.
ANY, SUM, PRODUCT, SIGN, POWER, ATOM = range(6)
_LEVELS = {level: binds for binds, level in enumerate(("", *LEVELS))}


class Place(NamedTuple):
    """Where an operand goes.

    Attributes:
        operand: which one.
        binds: how tightly it must bind, to stand without parentheses.
        signed: whether a minus at its front asks for parentheses, as in `a * (-b)`; None: if it
            does at the front of the whole.
    """

    operand: int
    binds: int = ANY
    signed: bool | None = False


class Layout(NamedTuple):
    """An operation as it looks: how tightly it binds, and its signs and operands in order."""

    binds: int
    parts: tuple[str | Place, ...]


class Style(NamedTuple):
    """One way to write: the forms of primitives, how a function is called, and everything else."""

    form: Callable[[Primitive], Form]
    function: Callable[[Primitive], str]
    name: Callable[[str], str]
    number: Callable[[float], str]
    raised: Callable[[int], str]
    opening: str
    closing: str
    ellipsis: str


class Mention(NamedTuple):
    """A node of the graph in a formula.

    Attributes:
        node: the node.
        signed: whether a number below 0 stands in parentheses here.
        operand: whether it is the operand of an operator: a name of several words, such as a label
            "a + b", then stands in parentheses.
    """

    node: Value
    signed: bool
    operand: bool


@lru_cache(maxsize=256)
def _parsed(form: Form) -> Layout:
    """A form with operands, read.

    A minus at the front of an operand asks for parentheses if the operand has to bind tighter than
    a sum, as in `a * (-b)`; at the front of the whole, if it does in the place of the whole.
    """
    parts: list[str | Place] = []
    for sign, number, level in _OPERAND.findall(form.template):
        parts += [sign] if sign else []
        if number:
            binds = _LEVELS[level]
            parts.append(Place(int(number) - 1, binds, binds > SUM if parts else None))
    return Layout(_LEVELS[form.level], tuple(parts))


# What stands before an operand, its number, and its level; at the end only what stands there.
_OPERAND = re.compile(rf"(.*?)(?:#(\d+)(?::({'|'.join(filter(None, _LEVELS))}))?|$)", re.DOTALL)


def _function(before: str, after: str, operands: int) -> Layout:
    places: list[str | Place] = [before]
    for i in range(operands):
        places += [", ", Place(i)] if i else [Place(i)]
    return Layout(ATOM, (*places, after))


_BASE = Place(0, ATOM, True)  # of a power
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_FROM_SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def _function_name(primitive: Primitive) -> str:
    """What a primitive is called where it is written as a function."""
    template, symbol = primitive.text.template, primitive.symbol
    return template or (symbol if symbol.isidentifier() else primitive.name)


TEXT = Style(
    form=lambda primitive: primitive.text,
    function=lambda primitive: clipped(_function_name(primitive)),
    name=clipped,
    number=formatted,
    raised=lambda n: str(n).translate(_SUPERSCRIPT),
    opening="(",
    closing=")",
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
    r"""A name in math mode: `a` as it is, `x1` as x_{1}, others upright; nothing in it is LaTeX.

    >>> print(latex_name("loss"), latex_name("layers.0.w.1"), latex_name("100%"))
    \mathrm{loss} {\text{layers.0.w.1}} {\text{100}\%}
    """
    name = clipped(name)
    single = re.fullmatch(r"([A-Za-z])([0-9]*)", name)
    if single:
        letter, digits = single.groups()
        return f"{letter}_{{{digits}}}" if digits else letter
    if re.fullmatch(r"[A-Za-z0-9]+", name):
        return rf"\mathrm{{{name}}}"
    # Signs that mean something to TeX are commands of their own; the rest is text between them.
    # Renderers differ in what they escape inside of \text, so nothing there is in need of it.
    runs = re.split(f"([{re.escape(''.join(_LATEX_SIGNS))}])", name)
    parts = [_LATEX_SIGNS.get(run) or rf"\text{{{run}}}" for run in runs if run]
    return f"{{{''.join(parts)}}}"


def _latex_number(x: float) -> str:
    mantissa, _, exponent = formatted(x).partition("e")
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
    which = f"_{{{which.translate(_FROM_SUBSCRIPT)}}}" if which else ""
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
    ellipsis=r"\ldots ",
)


def _layout(expression: Expression, style: Style) -> Layout:
    """What an operation or a plain number looks like."""
    primitive, operands = expression.primitive, expression.operands
    if primitive is None:
        return _number_layout(expression.number, style)
    exponent = _small_exponent(expression)
    if exponent is not None:
        return Layout(POWER, (_BASE, style.raised(exponent)))
    form = style.form(primitive)
    if "#" in form.template:
        return _parsed(form)
    name = style.function(primitive)
    return _function(name + style.opening, style.closing, len(operands))


def _number_layout(number: float, style: Style) -> Layout:
    sign = style.number(number)
    return Layout(PRODUCT if "10^" in sign else SIGN if sign.startswith("-") else ATOM, (sign,))


def _small_exponent(expression: Expression) -> int | None:
    """n of a power that is written with n raised: u * u of one u, and u ** n of a small whole n."""
    primitive, operands = expression.primitive, expression.operands
    if primitive is ops.mul and operands[0] is operands[1]:
        return 2
    if primitive is ops.pow or primitive is ops.power:
        n = operands[1].number  # nan if it is no plain number
        if abs(n) < 100 and n == int(n):
            return int(n)
    return None


# --- writing --------------------------------------------------------------------------------------

Show = Callable[[Mention], str]
ALONE = Place(0)


def written(expression: Expression, show: Show, style: Style = TEXT, place: Place = ALONE) -> str:
    """The formula, with each node as `show` gives it: `in_names`, `in_numbers`."""
    return "".join(
        piece if isinstance(piece, str) else show(piece)
        for piece in pieces(expression, style, place)
    )


def in_names(name: Callable[[Value], str], style: Style = TEXT) -> Show:
    """Nodes by their names; an operand whose name is several words, `x + y`, in parentheses."""

    def show(mention: Mention) -> str:
        words = name(mention.node)
        one = style.name(words)
        grouped = mention.operand and not is_one_word(words)
        return f"{style.opening}{one}{style.closing}" if grouped else one

    return show


def is_one_word(name: str) -> bool:
    """Whether a name can be an operand as it stands, unlike the labels `x + y` and `two words`."""
    return re.fullmatch(r"[\w.'\[\]…]+", name) is not None


def dotted(name: str) -> str:
    """A name as it stands before `.grad`: one of several words in parentheses."""
    return name if is_one_word(name) else f"({name})"


def in_numbers(data: Callable[[Value], float], style: Style = TEXT) -> Show:
    """Nodes by their numbers; one below 0 in parentheses where a sign stands before it."""

    def show(mention: Mention) -> str:
        (number,) = (layout := _number_layout(data(mention.node), style)).parts
        grouped = mention.signed and layout.binds < ATOM
        return f"{style.opening}{number}{style.closing}" if grouped else str(number)

    return show


def pieces(expression: Expression, style: Style, place: Place = ALONE) -> Iterator[str | Mention]:
    """The formula from left to right, in as few parentheses as its structure can be read from."""
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
    """The formula in text, with `item(mention)` in the place of each node and text between them."""
    parts: list[str | Item] = []
    words: list[str] = []
    for piece in pieces(expression, TEXT):
        if isinstance(piece, str):
            words.append(piece)
            continue
        parts += ["".join(words)] if words else []
        parts.append(item(piece))
        words = []
    return [*parts, "".join(words)] if words else parts


# --- recording, for a page that computes ----------------------------------------------------------

Operation = tuple[int, str, tuple[int, ...]]  # the slot it writes, a row's name, the slots it reads
Recording = tuple[list[Operation], int]  # the operations, and the slot of the result


class Recorder:
    """A graph as operations on numbered slots, the first of which hold the nodes' data.

    Args:
        nodes: the slot of each node: 0, 1, 2, ...
        data: what these slots hold.
        known: the names of the rows that the page can compute; by default all of the table.

    Attributes:
        slots: the numbers of nodes and constants; nan where an operation will write.
        constants: the slots of the plain numbers, by how these are spelled, which tells 0.0 from
            -0.0 and knows nan.
    """

    def __init__(
        self, nodes: Mapping[Value, int], data: Sequence[float], known: Collection[str] = TABLE
    ) -> None:
        self._nodes = nodes
        self._known = known
        self.slots = list(data)
        self.constants: dict[str, int] = {}

    def forward(self, node: Value) -> list[Operation] | None:
        """The operations that compute a node from its parents; None where Python code does."""
        assert node.primitive is not None
        recording = self._checked(
            written_forward(node, self._data), node.primitive.forward, node.parents
        )
        if recording is None:
            return None
        program, slot = recording
        target = self._nodes[node]
        if not program:  # the result is a parent, or a number
            return [(target, "mul", (slot, self._constant(1.0)))]  # exact for every float
        self.slots.pop()  # that of the last operation, which writes the node's slot instead
        return [*program[:-1], (target, *program[-1][1:])]

    def derivative(self, node: Value, operand: int) -> Recording | None:
        """The operations that compute a local derivative; None where Python code does."""
        assert node.primitive is not None
        expression = written_derivative(node, operand, self._data)
        rule = node.primitive.backward[operand]
        return self._checked(expression, rule, (node, *node.parents))

    def _checked(
        self, expression: Expression | None, function: Any, nodes: Sequence[Value]
    ) -> Recording | None:
        """The recording, if it gives what the function gives: that may look at types, or call C."""
        if expression is None:
            return None
        try:
            program, slot = self.record(expression)
        except TypeError:
            return None
        numbers = [self._data(node) for node in nodes]
        expected = _outcome(function, *numbers) if callable(function) else repr(function)
        return (program, slot) if _outcome(result, program, slot, self.slots) == expected else None

    def record(self, expression: Expression) -> Recording:
        """The operations that compute an expression, each once, each after its operands.

        An operation of another primitive is taken apart into rows that the page can compute.
        Raises TypeError where that cannot be done, or does not end.
        """
        done: dict[Expression, int] = {}
        found: dict[tuple[str, tuple[int, ...]], int] = {}
        inside: dict[Expression, Expression] = {}  # of operations the page cannot compute
        program: list[Operation] = []
        waiting = [expression]
        while waiting:
            if len(program) + len(inside) > RECORDED_OPERATIONS:
                raise TypeError(f"more than {RECORDED_OPERATIONS} operations")
            part = waiting[-1]
            primitive = part.primitive
            known = primitive is None or (is_row(primitive) and primitive.name in self._known)
            if not known and part not in inside:
                inside[part] = _inside(part)
            operands = (inside[part],) if part in inside else part.operands
            missing = [operand for operand in operands if operand not in done]
            if missing and part not in done:
                waiting += reversed(missing)
                continue
            waiting.pop()
            if part in done:
                continue
            if part.node is not None:
                done[part] = self._nodes[part.node]
            elif part.primitive is None:
                done[part] = self._constant(part.number)
            elif part in inside:
                done[part] = done[inside[part]]
            else:
                operation = (part.primitive.name, tuple(done[operand] for operand in operands))
                if operation not in found:
                    found[operation] = self._new_slot()
                    program.append((found[operation], *operation))
                done[part] = found[operation]
        return program, done[expression]

    def _data(self, node: Value) -> float:
        return self.slots[self._nodes[node]]

    def _constant(self, number: float) -> int:
        spelling = repr(number)
        if spelling not in self.constants:
            self.constants[spelling] = self._new_slot(number)
        return self.constants[spelling]

    def _new_slot(self, number: float = math.nan) -> int:
        self.slots.append(number)
        return len(self.slots) - 1


def _inside(operation: Expression) -> Expression:
    """What a primitive does to its operands, as a formula; TypeError if it is Python code."""
    assert operation.primitive is not None
    done = _attempt(operation.primitive.forward, *map(_plain, operation.operands))
    if done is None:
        raise TypeError(f"{operation.primitive.name} is Python code, and no arithmetic")
    return done


def _outcome(function: Callable[..., Any], *numbers: Any) -> str:
    """A float by its spelling, which is exact and knows nan and -0.0; an error by its kind."""
    try:
        return repr(float(function(*numbers)))
    except Exception as error:
        return type(error).__name__


def result(program: Sequence[Operation], slot: int, slots: Sequence[float]) -> float:
    """What stands in a slot when the operations have run, as a page runs them.

    Raises what a row's forward function raises.
    """
    found: dict[int, float] = {}
    for target, name, operands in program:
        numbers = [found[o] if o in found else slots[o] for o in operands]
        found[target] = TABLE[name].forward(*numbers)
    return found[slot] if slot in found else slots[slot]
