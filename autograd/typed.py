"""What does a typed formula mean? It is read token by token, and never evaluated as Python.

    formula    name = sum; ...; sum       the names become labels
    sum        product + product - ...
    product    signed * signed / ...
    signed     -signed, +signed, or a power
    power      call, or call ** signed    right-associative; binds tighter than a minus before it
    call       atom.function(sum, ...)
    atom       1e-3, x, pi, function(sum, ...), (sum)

The reader emits instructions for a stack machine, operands first: x * w + b becomes x w * b +. So
the length of a formula is not limited, only the depth of its nesting.

>>> computed("h = x * w; h.tanh() ** 2", {"x": 2.0, "w": 0.0})
Value(data=0.0, grad=0.0)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

import autograd
from autograd import ops
from autograd.context import current
from autograd.messages import explained
from autograd.primitive import Primitive
from autograd.text import clipped, counted, for_stream, shown, text_width
from autograd.value import Value, as_constant

DEEPEST = 50  # levels of nested parentheses, signs and powers
AROUND = 60  # characters of a formula that an error shows on each side of a mistake
# A value given for such a name takes precedence.
CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e}
# The primitives that are methods of Value or functions of the package, by name.
PUBLIC = {
    name: row
    for name, row in sorted(ops.TABLE.items())
    if row is ops.abs or name in autograd.__all__ or hasattr(Value, name)
}
# The symbols that steps and drawings show, such as max and ReLU, are names of functions too.
FUNCTIONS = {row.symbol: row for row in PUBLIC.values() if row.symbol.isidentifier()} | PUBLIC

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d⁰¹²³⁴⁵⁶⁷⁸⁹][^\W⁰¹²³⁴⁵⁶⁷⁸⁹]*)"
    r"|(?P<sign>\*\*|[-+*/(),.;=−–×·⋅∙∗÷∕^])|(?P<other>\S)"
)
# Commas in numbers, and what to write instead: a decimal comma, as in 2,5, and one after thousands.
_COMMAS = [
    (re.compile(r"[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?"), "."),
    (re.compile(r"[1-9][0-9]{0,2},[0-9]{3}(?:\.[0-9]*)?"), ""),
]
# The signs of printed formulas; word processors turn a minus into a dash.
_SAME = {"^": "**", **dict.fromkeys("−–", "-"), **dict.fromkeys("×·⋅∙∗", "*")}
_SAME |= dict.fromkeys("÷∕", "/")
_SUMS = {"+": ops.add, "-": ops.sub}
_PRODUCTS = {"*": ops.mul, "/": ops.div}
_INSTEAD = dict.fromkeys("[{", "group with ( and )") | {
    ">": "write greater(a, b)",
    "<": "write less(a, b)",
    "|": "write abs(x)",
    "√": "write sqrt(x)",
    "ln": "write log(x)",
    "log2": "write log(x) / log(2)",
    "log10": "write log(x) / log(10)",
    "exp2": "write 2 ** x",
    "square": "write x ** 2",
    **dict.fromkeys(("pow", "power"), "write x ** y"),
    "sinh": "write (exp(x) - exp(-x)) / 2",
    "cosh": "write (exp(x) + exp(-x)) / 2",
    "tan": "write sin(x) / cos(x)",
    **dict.fromkeys("²³⁰¹⁴⁵⁶⁷⁸⁹", "write a power as x ** 2"),
    **dict.fromkeys('"“”„«»', "write the formula without quotes"),
}


class FormulaError(ValueError):
    """What is wrong with a formula.

    Attributes:
        at: the position of the mistake in the formula, or None.
        place: the formula, and under it a mark at this position; "" without a position.
        reason: what was expected there, or what to write instead.
    """

    def __init__(self, reason: str, formula: str = "", at: int | None = None) -> None:
        self.at = at
        self.place = "" if at is None else _pointed(formula, at)
        self.reason = for_stream(reason)
        super().__init__(f"{self.place}\n{self.reason}" if self.place else self.reason)


def _pointed(formula: str, at: int) -> str:
    """Return two lines: the formula, or the part of it around a place, and a mark under it."""
    start, end = max(at - AROUND, 0), at + AROUND
    before = for_stream(("…" if start else "") + shown(formula[start:at]))
    after = for_stream(shown(formula[at:end]) + ("…" if end < len(formula) else ""))
    return f"    {before}{after}\n    {' ' * text_width(before)}^"


class _Token(NamedTuple):
    at: int
    kind: str  # number, name, sign or end
    text: str


class _Operation(NamedTuple):
    """An instruction of the stack machine: push a number, push the value of a name, or compute."""

    at: int
    what: float | str | Primitive


class Statement(NamedTuple):
    """`name = sum`, or a sum alone, whose name is ""."""

    at: int
    name: str
    operations: list[_Operation]


# --- reading --------------------------------------------------------------------------------------


def read(formula: str) -> list[Statement]:
    """Return the statements of a formula. Raises FormulaError if the text is not one."""
    return _Reader(formula).statements()


class _Reader:
    """A recursive-descent parser that looks at most one token ahead."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens = [*map(self._token, _TOKEN.finditer(formula))]
        self.tokens.append(_Token(len(formula.rstrip()), "end", ""))
        self.next = 0
        self.depth = 0

    def _token(self, match: re.Match[str]) -> _Token:
        at, kind, text = match.start(), str(match.lastgroup), match.group()
        if kind == "other":
            instead = f": {_INSTEAD[text]}" if text in _INSTEAD else ""
            self._wrong(f"{shown(text)} has no meaning in a formula{instead}", at)
        return _Token(at, kind, _SAME.get(text, text))

    def _wrong(self, reason: str, at: int | None = None) -> NoReturn:
        raise FormulaError(reason, self.formula, self.tokens[self.next].at if at is None else at)

    def _take(self, *signs: str) -> _Token | None:
        """Consume and return the next token if it is one of these signs."""
        token = self.tokens[self.next]
        if token.text not in signs:
            return None
        self.next += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._take(sign):
            return
        token = self.tokens[self.next]
        reason = f"expected an operator or {sign} here, not {_called(token)}"
        before = self.tokens[self.next - 1]
        if token.kind in ("number", "name") or token.text == "(":
            if before.text in FUNCTIONS:
                reason += f": write {before.text}({token.text})"
            elif before.text in _INSTEAD:
                reason += f": {_INSTEAD[before.text]}"
            else:
                reason += "; a product is written with *"
        elif token.text == ",":
            number = f"{before.text},{self.tokens[self.next + 1].text}"
            meant = [number.replace(",", by) for form, by in _COMMAS if form.fullmatch(number)]
            reason += f": write {' or '.join(meant)}" * bool(meant)
        self._wrong(reason)

    def statements(self) -> list[Statement]:
        found = []
        while True:
            first, name = self.tokens[self.next], ""
            if first.kind == "name" and self.tokens[self.next + 1].text == "=":
                name = first.text
                self.next += 2
            self.operations: list[_Operation] = []
            self._sum()
            found.append(Statement(first.at, name, self.operations))
            if self.tokens[self.next].kind == "end":
                return found
            self._expect(";")
            if self.tokens[self.next].kind == "end":  # a trailing ; is allowed
                return found

    def _sum(self) -> None:
        self._from_the_left(_SUMS, self._product)

    def _product(self) -> None:
        self._from_the_left(_PRODUCTS, self._signed)

    def _from_the_left(self, rows: Mapping[str, Primitive], part: Callable[[], None]) -> None:
        part()
        while sign := self._take(*rows):
            part()
            self.operations.append(_Operation(sign.at, rows[sign.text]))

    def _signed(self) -> None:
        self.depth += 1  # everything that nests passes through here
        if self.depth > DEEPEST:
            self._wrong(f"a formula nests at most {DEEPEST} deep: name its parts, h = x * w; h + b")
        if sign := self._take("-", "+"):
            self._signed()
            if sign.text == "-":
                self.operations.append(_Operation(sign.at, ops.neg))
        else:
            self._call()
            if power := self._take("**"):
                self._signed()
                self.operations.append(_Operation(power.at, ops.power))
        self.depth -= 1

    def _call(self) -> None:
        self._atom()
        while self._take("."):
            name = self.tokens[self.next]
            if name.kind != "name":
                self._wrong(f"expected the name of a function here, not {_called(name)}")
            self.next += 1
            self._arguments(name, 1)

    def _atom(self) -> None:
        token = self.tokens[self.next]
        if self._take("("):
            self._sum()
            self._expect(")")
            return
        if token.kind == "number":
            number = float(token.text)
            if math.isinf(number):
                self._wrong(f"{clipped(token.text)} is too large for a float")
            self.next += 1
            self.operations.append(_Operation(token.at, number))
        elif token.kind == "name":
            self.next += 1
            if self.tokens[self.next].text == "(":
                self._arguments(token, 0)
            else:
                self.operations.append(_Operation(token.at, token.text))
        else:
            self._wrong(f"expected a number, a name or ( here, not {_called(token)}")

    def _arguments(self, name: _Token, count: int) -> None:
        """Read the arguments of a function; `count` of them come before its name."""
        row = FUNCTIONS.get(name.text)
        if row is None:
            rest = [token.text for token in self.tokens[self.next :]]
            if ")" in rest and rest[rest.index(")") + 1] == "=":
                self._wrong(f"a part is named without parentheses: {name.text} = ...", name.at)
            self._wrong(_unknown_function(name.text), name.at)
        if not self._take("("):
            self._wrong(f"expected ( here: write {name.text}()")
        if not self._take(")"):
            self._sum()
            count += 1
            while self._take(","):
                self._sum()
                count += 1
            self._expect(")")
        takes = len(row.backward)
        if count != takes:
            reason = f"{name.text} takes {counted(takes, 'number')}, not {count}"
            self._wrong(f"{reason}: {_call_of(name.text)}", name.at)  # as for math.sin(x)
        self.operations.append(_Operation(name.at, row))


def _called(token: _Token) -> str:
    return shown(token.text) if token.text else "the end of the formula"


def _call_of(function: str) -> str:
    takes = ", ".join("abc"[: len(FUNCTIONS[function].backward)])
    return f"write {function}({takes})"


def _unknown_function(name: str) -> str:
    from difflib import get_close_matches

    lower = name.lower()
    if lower in _INSTEAD:
        return f"there is no function {name}: {_INSTEAD[lower]}"
    close = get_close_matches(lower, FUNCTIONS, 1)
    meant = f": did you mean {close[0]}?" if close else "."
    if len(name) == 1:  # x(x + 1)
        meant = ": a product is written with *."
    return f"there is no function {shown(name)}{meant} There are {', '.join(PUBLIC)}"


# --- computing ------------------------------------------------------------------------------------


def number_named(argument: str) -> tuple[str, float]:
    """Return ("x", 2.0) for `x=2`. The number may be an expression, as in `x=-pi/2`.

    Raises FormulaError for anything else.
    """
    how = "a value is written name=number, such as w=-1.5; a formula with spaces needs quotes"
    try:
        first, *more = read(argument)
    except FormulaError as error:
        raise FormulaError(f"{error.reason}; {how}", argument, error.at) from None
    if more or not first.name:
        raise FormulaError(how, argument, first.at)
    for at, what in first.operations:
        if isinstance(what, str) and what not in CONSTANTS:
            raise FormulaError(f"{shown(what)} is not a number; {how}", argument, at)
    number = _result(argument, first.operations, CONSTANTS)
    if isinstance(number, Value) or not math.isfinite(number):
        raise FormulaError(f"the value of {shown(first.name)} is not finite", argument, first.at)
    return first.name, number


def computed(formula: str, numbers: Mapping[str, float]) -> Value:
    """Return the Value of a formula, computed from leaves with these names and numbers.

    Raises FormulaError if the text is not a formula, a name has no number, a number or statement is
    not used, or an operation is undefined for these numbers.
    """
    statements = read(formula)
    _check_names(formula, statements, numbers)
    known: dict[str, Value | float] = dict(CONSTANTS)
    known |= {name: Value(number, name) for name, number in numbers.items()}
    for statement in statements:
        result = known[statement.name] = _result(formula, statement.operations, known)
        if isinstance(result, Value) and not result.label:
            result.label = statement.name
    if not isinstance(result, Value):
        reason = f"a formula of numbers alone has no gradients: {formula.strip()}"
        if (part := statements[0].name) and len(statements) > 1:  # as in x = 3; x * x
            reason += f"; if {part} is a leaf, leave {part} = ... out and add {part}=..."
        raise FormulaError(reason)
    return result


def _result(
    formula: str, operations: Iterable[_Operation], known: Mapping[str, Value | float]
) -> Value | float:
    stack: list[Value | float] = []
    for at, what in operations:
        if isinstance(what, float):
            stack.append(what)
        elif isinstance(what, str):
            stack.append(known[what])
        else:
            count = len(what.backward)
            operands = stack[-count:]
            try:
                stack[-count:] = [_applied(what, operands)]
            except (ArithmeticError, ValueError) as error:
                raise FormulaError(str(error), formula, at) from None
    return stack[0]


def _applied(primitive: Primitive, operands: list[Any]) -> Value | float:
    """Apply a primitive as Python's operators and functions would."""
    if primitive is ops.power and not isinstance(operands[1], Value):
        primitive = ops.pow
    try:
        result: Value | float = primitive(*operands)
        return result
    except (ArithmeticError, ValueError) as error:  # of Values, this gives the same message again
        raise explained(error, primitive, [*map(as_constant, operands)], current.get()) from None


def _check_names(formula: str, statements: list[Statement], numbers: Mapping[str, float]) -> None:
    """Raise FormulaError if a name has no value, has two, or is not used."""
    has_value = {*numbers, *CONSTANTS}
    made: dict[str, int] = {}
    used: set[str] = set()
    for i, statement in enumerate(statements):
        _check_uses(formula, statement, has_value)
        used.update(what for _, what in statement.operations if isinstance(what, str))
        name = statement.name
        if name in numbers or name in made:
            raise FormulaError(f"{shown(name)} has a value already", formula, statement.at)
        if i < len(statements) - 1:
            if not name:
                raise FormulaError(
                    "a part before the last needs a name: h = x * w; h + b", formula, statement.at
                )
            made[name] = statement.at
            has_value.add(name)
    for name, at in made.items():
        if name not in used:
            raise FormulaError(f"{shown(name)} is not used", formula, at)
    unused = [shown(name) for name in numbers if name not in used]
    if unused:
        names = ", ".join(sorted(map(shown, used - set(CONSTANTS) - set(made)))) or "no names"
        raise FormulaError(f"{unused[0]} is not in the formula, which has {names}")


def _check_uses(formula: str, statement: Statement, has_value: set[str]) -> None:
    """Raise FormulaError if a statement uses a name that has no value."""
    missing = {
        what: at
        for at, what in reversed(statement.operations)
        if isinstance(what, str) and what not in has_value
    }
    if not missing:
        return
    first, *_ = names = sorted(missing, key=missing.__getitem__)
    if first in FUNCTIONS:
        reason = f"{first} is a function: {_call_of(first)}"
    else:
        more = " ".join(f"{shown(name)}=..." for name in names if name not in FUNCTIONS)
        reason = f"{shown(first)} has no value: add {more}"
    raise FormulaError(reason, formula, missing[first])
