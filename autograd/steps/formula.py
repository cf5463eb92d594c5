"""How is a derivative computed? As an expression of nodes and numbers, which can be written down.

The rules of a primitive are plain arithmetic. Run on floats they give a number; run on
`Expression`s they give the formula of that number:

>>> from autograd import Value
>>> from autograd.steps.writing import in_names, written
>>> x = Value(0.5, label="x")
>>> y = (2 * x).tanh()
>>> written(local_derivative(y, 0), in_names(lambda node: node.label or "v"))
'sech(v)²'

A rule that is Python code rather than arithmetic (`if x > 0`, `math.cosh(x)`) raises TypeError when
run on Expressions, and its derivative is written `name'(x)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn, cast

from autograd import ops
from autograd.ops import TABLE, is_row
from autograd.primitive import Primitive, wrong_kinds
from autograd.text import clipped, lowered
from autograd.value import Value, as_operand, is_constant, is_function


class Expression:
    """A number that is not known yet: a node of a graph, a plain number, or an operation on these.

    The same object is the same subexpression: it is computed once, and `u * u` is a square. Python
    code that needs the number itself (a comparison, `if`, float(), math.sin) raises TypeError.

    Attributes:
        node: the node of the graph it stands for, or None.
        primitive, operands: the operation, or None and ().
        number: the plain number, if it is neither.
    """

    __array_ufunc__ = None  # NumPy's functions then reject it, and its scalars use our operators
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
        """The operation on operands, at least one of which is an Expression."""
        expressions = [_as_expression(operand) for operand in operands]
        if any(expression is None for expression in expressions):
            raise wrong_kinds(primitive, operands)
        return Expression(primitive, cast(list[Expression], expressions))

    @staticmethod
    def _operators(primitive: Primitive) -> tuple[Any, Any]:
        """`expression + other` and, reflected, `other + expression`."""
        return (
            lambda left, right: left.apply_primitive(primitive, (left, right)),
            lambda right, left: right.apply_primitive(primitive, (left, right)),
        )

    __add__, __radd__ = _operators(ops.add)
    __sub__, __rsub__ = _operators(ops.sub)
    __mul__, __rmul__ = _operators(ops.mul)
    __truediv__, __rtruediv__ = _operators(ops.div)

    def __pow__(self, other: Any) -> Expression:
        primitive = ops.power if isinstance(other, Expression) else ops.pow
        return self.apply_primitive(primitive, (self, other))

    def __rpow__(self, other: Any) -> Expression:
        return self.apply_primitive(ops.power, (other, self))

    def __neg__(self) -> Expression:
        return Expression(ops.neg, [self])

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return Expression(ops.abs, [self])

    def __getattr__(self, name: str) -> Any:
        """`exp`, `tanh`, ...: the methods of Value that are rows of the table."""
        if is_function(name):
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


# --- the formulas of a graph ----------------------------------------------------------------------

Data = Callable[[Value], float]


def _data(node: Value) -> float:
    return node.data


def forward_formula(node: Value, data: Data = _data) -> Expression:
    """How an inner node was made, `a * b`; an unlabelled plain number is written as its value.

    Each operand is an Expression of its own, so that x * x stays a product of two operands.
    """
    operands = [
        Expression(node=parent) if parent.label else _reference(parent, data)
        for parent in node.parents
    ]
    return Expression(node.primitive, operands)


def local_derivative(node: Value, operand: int, data: Data = _data) -> Expression:
    """d node / d operand as the node's rule computes it; `name'(x)` if the rule gives no formula.

    Raises ValueError if the operand's rule is None: there is no derivative to write.
    """
    written = written_derivative(node, operand, data)
    return _primed(node, operand, data) if written is None else written


def written_derivative(node: Value, operand: int, data: Data = _data) -> Expression | None:
    """The result of the rule on Expressions, including the node's own; None if it needs numbers."""
    assert node.primitive is not None
    rule = node.primitive.backward[operand]
    if rule is None:
        raise ValueError(f"{node.primitive.name} passes nothing to its operand {operand}")
    if not callable(rule):
        return Expression(number=rule)
    return attempt(rule, Expression(node=node), *_symbols(node, data))


def written_forward(node: Value, data: Data = _data) -> Expression | None:
    """How an inner node is computed from rows of the table; None if that is not known.

    This is `forward_formula`, except for a user's primitive, whose forward function is run.
    """
    assert node.primitive is not None
    if is_row(node.primitive):
        return forward_formula(node, data)
    return attempt(node.primitive.forward, *_symbols(node, data))


def _reference(node: Value, data: Data) -> Expression:
    return Expression(number=data(node)) if is_constant(node) else Expression(node=node)


def _symbols(node: Value, data: Data) -> list[Any]:
    """The operands as a rule gets them; a plain number stays one, so rules may branch on it."""
    return [plain(_reference(parent, data)) for parent in node.parents]


def plain(expression: Expression) -> Any:
    """The number itself, if an expression is a plain number; else the expression."""
    known = expression.node is None and expression.primitive is None
    return expression.number if known else expression


def attempt(function: Callable[..., Any], *operands: Any) -> Expression | None:
    """The result of a function on expressions; None if it is Python code that needs numbers."""
    # The function is a user's, made for floats: given Expressions it may raise anything.
    try:
        return _as_expression(function(*operands))
    except Exception:
        return None


def _primed(node: Value, operand: int, data: Data) -> Expression:
    """A derivative without a formula: sinh'(x), or hypot'₂(x, y) by the second operand."""
    assert node.primitive is not None
    which = lowered(operand + 1) if len(node.parents) > 1 else ""
    derivative = Primitive(f"{clipped(node.primitive.name, 32)}'{which}", _unknown, None)
    return Expression(derivative, [_reference(parent, data) for parent in node.parents])


def _unknown(*operands: Any) -> NoReturn:
    raise TypeError("a derivative that was not written down cannot be computed")
