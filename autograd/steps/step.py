"""What is a single step? Its equation in names and in numbers, and what it passes to parents."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from autograd import ops
from autograd.steps.formula import Expression, forward_formula, local_derivative
from autograd.steps.passed import Passed
from autograd.steps.writing import (
    TEXT,
    digits_that_add_up,
    digits_that_give,
    gradient_of,
    in_names,
    in_numbers,
    one_word,
    written,
)
from autograd.text import for_stream, number
from autograd.value import Value


class ForwardStep(NamedTuple):
    """The step that computes a node.

    Attributes:
        node: the node.
        name: its name.
        formula: how it is computed, in names: `a * b`.
        in_numbers: the same in numbers: `2 * (-3)`.
        data: the result.
    """

    node: Value
    name: str
    formula: str
    in_numbers: str
    data: float

    @property
    def symbols(self) -> str:
        """`c = a * b`"""
        return f"{self.name} = {self.formula}"

    @property
    def numbers(self) -> str:
        """`-6 = 2 * (-3)`"""
        return f"{number(self.data)} = {self.in_numbers}"

    def __repr__(self) -> str:
        return for_stream(f"{self.symbols} = {self.in_numbers} = {number(self.data)}")


class Contribution(NamedTuple):
    """What a node passes to one of its parents: its own gradient times the local derivative.

    Attributes:
        parent: the node that receives it.
        name: the name of the parent.
        operand: which operand of the node the parent is, from 0.
        symbols: the local derivative d node / d parent, in names: `1 / b`.
        local: the local derivative.
        contribution: the gradient of the node times `local`.
        before: the sum of what the parent had received before; None if this is the first.
        total: the sum including this contribution.
        equation: the whole calculation: `a.grad = 6 + 2 * b = 6 + 2 * 1 = 6 + 2 = 8`.
    """

    parent: Value
    name: str
    operand: int
    symbols: str
    local: float
    contribution: float
    before: float | None
    total: float
    equation: str

    def __repr__(self) -> str:
        return for_stream(self.equation)


class BackwardStep(NamedTuple):
    """The step in which a node, its gradient complete, passes it on to its parents.

    Attributes:
        node: the node.
        name: its name.
        formula: how it was computed, in names: `a * b`.
        upstream: its gradient, d output / d node.
        contributions: what its parents receive; empty if the gradient is exactly 0, or if no
            operand takes a gradient.
    """

    node: Value
    name: str
    formula: str
    upstream: float
    contributions: tuple[Contribution, ...]

    @property
    def silence(self) -> str:
        """Why nothing is passed on; "" if something is."""
        if self.contributions:
            return ""
        if not self.upstream:
            return "nothing is passed on, as the gradient is exactly 0"
        return "nothing is passed on, as no operand takes a gradient"

    def __repr__(self) -> str:
        gradient = gradient_of(self.name, self.upstream)
        passed = "; ".join(map(repr, self.contributions)) or self.silence
        return for_stream(f"{gradient}, back through {self.name} = {self.formula}: {passed}")


Step = ForwardStep | BackwardStep


def forward_step(passed: Passed, i: int) -> ForwardStep:
    """The step that computes node i of a pass."""
    node = passed.nodes[i]
    expression, data = forward_formula(node, passed.data_of), passed.data[i]
    assert node.primitive is not None
    operands, style = list(map(passed.data_of, node.parents)), TEXT
    if node.primitive in (ops.add, ops.sub):
        first, second = operands
        terms = first, second if node.primitive is ops.add else -second
        style = TEXT._replace(digits=digits_that_add_up(terms, data))
    elif ops.is_row(node.primitive):  # a user's function may take long or change something
        style = TEXT._replace(digits=digits_that_give(data, node.primitive.forward, operands))
    return ForwardStep(
        node=node,
        name=passed.name(node),
        formula=for_stream(passed.formula(node)),
        in_numbers=for_stream(written(expression, in_numbers(passed.data_of, style), style)),
        data=data,
    )


def backward_step(passed: Passed, i: int) -> BackwardStep:
    """The step that passes on the gradient of node i of a pass."""
    node = passed.nodes[i]
    return BackwardStep(
        node=node,
        name=passed.name(node),
        formula=for_stream(passed.formula(node)),
        upstream=passed.gradient_at(i),
        contributions=tuple(_contributions(passed, i)),
    )


def _contributions(passed: Passed, i: int) -> Iterator[Contribution]:
    upstream, show = passed.gradient_at(i), in_names(passed.name)
    for edge, local, before in passed.contributions(i):
        parent = passed.nodes[edge.parent]
        symbols = local_derivative(passed.nodes[i], edge.operand, passed.data_of)
        contribution = upstream * local
        total = (0.0 if before is None else before) + contribution
        terms = [Expression(number=upstream) * factor for factor in (symbols, local)]
        terms.append(Expression(number=contribution))
        style = TEXT
        if before is not None:
            style = TEXT._replace(digits=digits_that_add_up([before, contribution], total))
            terms = [Expression(number=before) + term for term in terms]
        forms = [written(term, show, style) for term in terms] + [number(total)]
        # If the local derivative is a plain number, two of the forms are the same.
        distinct = [form for form, next in pairwise([*forms, ""]) if form != next]
        yield Contribution(
            parent=parent,
            name=passed.name(parent),
            operand=edge.operand,
            symbols=for_stream(written(symbols, show)),
            local=local,
            contribution=contribution,
            before=before,
            total=total,
            equation=for_stream(" = ".join([f"{one_word(passed.name(parent))}.grad", *distinct])),
        )
