"""Why does a node have its gradient? The sum over its uses, and whole paths if there are few.

This is backprop's own answer: each use of a node contributes (gradient of the use) * (local
derivative), however many paths lead from there to the output. Each use can be explained in turn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import takewhile
from keyword import iskeyword
from typing import NamedTuple

from autograd.steps.formula import Expression, local_derivative
from autograd.steps.passed import Edge, Passed
from autograd.steps.writing import (
    DIGITS,
    LATEX,
    TEXT,
    Style,
    about_conditions,
    digits_that_add_up,
    in_names,
    one_word,
    partial_derivative,
    product,
)
from autograd.text import COLUMNS, Row, aligned, first_and_last, for_stream, number, text_width
from autograd.value import Value

USES_SHOWN = 8  # if there are more, those with the largest contributions
NODES_SHOWN = 8  # of a path; if it is longer, the first and the last ones
MOST_PATHS, MOST_FACTORS = 8, 6  # with more paths, or more factors in one, none is written out


class Term:
    """One product in the sum that makes up a gradient: a Use or a Path.

    Attributes:
        way: where it comes from: `e = a * b` for a use, `L → e → a` for a path.
        symbols, numbers: the product in names, `e.grad * b`, and in numbers, `6 * (-2)`.
        latex: `symbols` in LaTeX.
        factors: its factors in numbers.
        count: how many equal products it stands for.
        stop: the name of the node whose gradient is exactly 0, so that it passes nothing on and the
            factors end there; "" if there is none.
        contribution: what is added to the gradient: the product times `count`.
    """

    factors: Sequence[float]
    count: int = 1
    stop: str = ""

    @property
    def way(self) -> str:
        raise NotImplementedError

    @property
    def symbols(self) -> str:
        return for_stream(self.in_names(TEXT))

    @property
    def numbers(self) -> str:
        return self.in_numbers(TEXT)

    @property
    def latex(self) -> str:
        return self.in_names(LATEX)

    @property
    def contribution(self) -> float:
        return 0.0 if self.stop else self.count * math.prod(self.factors)

    def in_names(self, style: Style) -> str:
        """The product in names, in a style."""
        raise NotImplementedError

    def in_numbers(self, style: Style) -> str:
        """The product in numbers, in a style."""
        factors = [Expression(number=factor) for factor in self.factors]
        return product(factors, in_names(str), style, count=self.count)

    def row(self, digits: int = DIGITS) -> Row:
        """Where it comes from, and the product in names, in numbers, and evaluated."""
        stop = f", and {self.stop} passes nothing on" if self.stop else ""
        numbers = self.in_numbers(TEXT._replace(digits=digits)) + stop
        return self.way, self.symbols, numbers, number(self.contribution, digits)

    def __repr__(self) -> str:
        way, *forms = self.row()
        return for_stream(f"{way}: {' = '.join(forms)}")


class Use(Term):
    """One use of a node: as an operand of another node.

    Attributes:
        node, name: that other node, whose gradient can be explained next.
        operand: which of its operands the explained node is, from 0.
        upstream: the gradient of that other node.
        local: the local derivative; None if `upstream` is exactly 0: it is not computed then.
    """

    def __init__(self, passed: Passed, i: int, edge: Edge, local: float | None) -> None:
        self._passed = passed
        self.node, self.operand = passed.nodes[i], edge.operand
        self.name = passed.name(self.node)
        self.upstream, self.local = passed.gradient_at(i), local
        self.factors = [self.upstream] if local is None else [self.upstream, local]
        self.stop = self.name if local is None else ""

    @property
    def way(self) -> str:
        parents = self.node.parents
        same = parents.count(parents[self.operand]) > 1
        equation = f"{self.name} = {self._passed.formula(self.node)}"
        return for_stream(equation) + f", operand {self.operand + 1}" * same

    @cached_property
    def derivative(self) -> Expression:
        """The local derivative as a formula."""
        return local_derivative(self.node, self.operand, self._passed.data_of)

    def in_names(self, style: Style) -> str:
        passed = self._passed
        gradient = f"{one_word(self.name)}.grad"
        if style is LATEX:
            gradient = partial_derivative(passed.name(passed.output), self.name)
        return product([self.derivative], in_names(passed.name, style), style, gradient)


class Path(Term):
    """A path from the output to a node, and the product of the local derivatives along it.

    Factors of 1 are left out. Paths through the same nodes with the same derivatives, such as the
    two of `x * x`, are one Path with a `count`.

    Attributes:
        nodes: from the output to the node.
    """

    def __init__(self, passed: Passed, uses: Sequence[Use], end: Value) -> None:
        self._passed = passed
        self.nodes = (*(use.node for use in uses), end)
        self._derivatives = [use.derivative for use in uses if use.derivative.number != 1.0]
        self.stop = next((use.stop for use in uses if use.stop), "")
        known = takewhile(lambda use: not use.stop, uses)
        self.factors = [use.factors[1] for use in known if use.derivative.number != 1.0]

    @property
    def way(self) -> str:
        shown = first_and_last(len(self.nodes), NODES_SHOWN)
        names = ["…" if i is None else self._passed.name(self.nodes[i]) for i in shown]
        return for_stream(" → ".join(names))

    def in_names(self, style: Style) -> str:
        show = in_names(self._passed.name, style)
        return product(self._derivatives, show, style, count=self.count)


class Explanation(NamedTuple):
    """The gradient of one node as the sum over its uses.

    Attributes:
        node, name: the node.
        output: what the output is called.
        total: the gradient of the node.
        uses: all of them, in the order of the backward pass.
        paths: all paths from the output to the node, if there are at most 8 and each has at most
            6 factors other than 1; else none.
        opening: the call that explains a use in turn, `explain(L, "e")`; "" if there is none.
    """

    node: Value
    name: str
    output: str
    total: float
    uses: tuple[Use, ...]
    paths: tuple[Path, ...]
    opening: str

    def __repr__(self) -> str:
        title = f"d {one_word(self.output)} / d {one_word(self.name)} = {number(self.total)}"
        if not self.uses:
            why = f"{self.output} does not change with {self.name}"
            return for_stream(f"{title}: {'the output itself' if self.total else why}")
        several = f"the sum over {len(self.uses):,} uses: gradient of the use"
        which = several if len(self.uses) > 1 else "gradient of its only use"
        lines = [f"{title}, {which} * local derivative", *self._table("use", self.uses)]
        if self.paths:
            count = sum(path.count for path in self.paths)
            which = f"the {count} paths" if count > 1 else "the only path"
            lines += ["", f"along {which}, without factors of 1", *self._table("path", self.paths)]
        lines += about_conditions(lines)
        if self.opening:
            lines += ["", f"next, the gradient of a use: {self.opening}"]
        return for_stream("\n".join(lines))

    def _table(self, what: str, terms: Sequence[Term]) -> list[str]:
        """The terms in columns, and their sum; below each other if the columns are too wide."""
        shown, others, rest, digits = self._shown(terms)
        rows = [term.row(digits) for term in shown]
        if others:
            rows.append((f"and {others:,} more uses, together", "", "", number(rest, digits)))
        if len(rows) > 1:
            rows.append(("sum", "", "", number(self.total)))
        lines = aligned([(what, "in names", "in numbers", "contribution"), *rows], "lllr")
        if max(map(text_width, lines)) > COLUMNS:
            lines = ["\n    = ".join(filter(None, row)) for row in rows]
        return lines

    def _shown(self, terms: Sequence[Term]) -> tuple[Sequence[Term], int, float, int]:
        """The terms to show, how many others there are, the sum of the others, and the digits."""
        others: Sequence[Term] = ()
        if len(terms) > USES_SHOWN:
            terms = sorted(terms, key=lambda term: -abs(term.contribution))
            terms, others = terms[:USES_SHOWN], terms[USES_SHOWN:]
        rest = sum(term.contribution for term in others)
        digits = digits_that_add_up([*(term.contribution for term in terms), rest], self.total)
        return terms, len(others), rest, digits

    def _repr_latex_(self) -> str:
        """The uses, and the paths, each in symbols with its numbers below it; and the sum."""
        rows = [self._latex_sum(terms) for terms in (self.uses, self.paths) if terms]
        rows[1:] = [rf"{row} \quad \text{{(paths, without factors of 1)}}" for row in rows[1:]]
        rows.append(LATEX.number(self.total, DIGITS))
        left = partial_derivative(self.output, self.name)
        right = " \\\\[4pt]\n&= ".join(rows)
        for line in about_conditions(term.symbols for term in (*self.uses, *self.paths))[1:]:
            right += rf" \\[4pt] &\text{{({line})}}"
        return f"$$\n\\begin{{aligned}}\n{left} &= {right}\n\\end{{aligned}}\n$$"

    def _latex_sum(self, terms: Sequence[Term]) -> str:
        """A sum of products in LaTeX, two per line, each above its numbers."""
        shown, others, rest, digits = self._shown(terms)
        style = LATEX._replace(digits=digits)
        above = [term.latex for term in shown]
        below = []
        for term in shown:
            numbers, result = term.in_numbers(style), LATEX.number(term.contribution, digits)
            # A term that passes nothing on contributes 0, whatever its numbers are.
            below.append(result if term.stop or numbers == result else f"{numbers} = {result}")
        if others:
            above.append(rf"\ldots \text{{({others:,} more)}}")
            below.append(LATEX.number(rest, digits))
        each = [rf"\underbrace{{{a}}}_{{{b}}}" for a, b in zip(above, below, strict=True)]
        lines = [" + ".join(each[i : i + 2]) for i in range(0, len(each), 2)]
        return " \\\\[4pt]\n&\\quad {}+ ".join(lines)


# --- finding uses and paths -----------------------------------------------------------------------


def explanation(passed: Passed, node: Value) -> Explanation:
    """Why a node of a pass has its gradient."""
    output = passed.name(passed.output)
    uses = tuple(_uses(passed, node))
    names = [use.name for use in uses if use.node is not passed.output and use.upstream]
    is_variable = output.isidentifier() and not iskeyword(output)
    variable = output if passed.output.label == output and is_variable else "output"
    return Explanation(
        node=node,
        name=passed.name(node),
        output=output,
        total=passed.gradient_at(passed.place[node]),
        uses=uses,
        paths=_paths(passed, node) if uses else (),
        opening=f"explain({variable}, {_in_double_quotes(names[0])})" if names else "",
    )


def _in_double_quotes(name: str) -> str:
    """A name as Python code; control characters have been replaced by signs already."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _uses(passed: Passed, node: Value) -> Iterator[Use]:
    return (Use(passed, *found) for found in passed.uses(passed.place[node]))


_Tail = tuple[Use, "_Tail | None"]  # the uses on a path, from some node on, as a linked list


def _paths(passed: Passed, end: Value) -> tuple[Path, ...]:
    """All paths from the output to a node; none if there are too many or one is too long."""
    found: dict[tuple[object, ...], Path] = {}
    waiting: list[tuple[Value, _Tail | None, int]] = [(end, None, 0)]  # nodes, tails, lengths
    finished = 0
    while waiting:
        node, tail, length = waiting.pop()
        for use in reversed([*_uses(passed, node)]):
            if passed.place[use.node] not in passed.reached:
                continue
            longer = length + (use.derivative.number != 1.0)
            waiting.append((use.node, (use, tail), longer))
            if longer > MOST_FACTORS or len(waiting) + finished > MOST_PATHS:
                return ()
        if node is passed.output:
            finished += 1
            uses = list[Use]()
            while tail is not None:
                use, tail = tail
                uses.append(use)
            path = Path(passed, uses, end)
            alike = found.setdefault((path.nodes, path.symbols), path)
            alike.count += alike is not path
    return tuple(found.values())
