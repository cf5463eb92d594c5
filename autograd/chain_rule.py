"""How does the output depend on one node? Every path between them, and their sum, written out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from autograd.formula import LATEX, TEXT, dotted, is_one_word
from autograd.text import COLUMNS, Row, aligned, for_stream, shortened, text_width
from autograd.text import number as formatted
from autograd.value import Value


class Path(NamedTuple):
    """One way from the output to a node, and the product of the local derivatives along it.

    Attributes:
        nodes, names: from the output to the node.
        symbols: the local derivatives in names, `e * 1`; of a long path the first and the last.
        numbers: the same in numbers, `3 * 1`.
        product: their product; 0 if a node on the way has a gradient of exactly 0, which passes
            nothing on.
        latex: `symbols` in LaTeX.
    """

    nodes: tuple[Value, ...]
    names: tuple[str, ...]
    symbols: str
    numbers: str
    product: float
    latex: str

    @property
    def way(self) -> str:
        """`L → e → a`; of a long path the first and the last nodes."""
        return for_stream(" → ".join(shortened(self.names, TEXT.ellipsis)))

    def __repr__(self) -> str:
        return f"{self.way}: {self.symbols} = {self.numbers} = {formatted(self.product)}"


class Explanation(NamedTuple):
    """The chain rule for one node: the sum over all paths that lead to it from the output.

    Attributes:
        node, name: the node.
        output: what the output is called.
        paths: the paths written out, those of the largest product first.
        how_many: how many paths there are.
        total: the gradient of the node, which is the sum over all paths.
    """

    node: Value
    name: str
    output: str
    paths: tuple[Path, ...]
    how_many: int
    total: float

    def __repr__(self) -> str:
        title = f"d {dotted(self.output)} / d {dotted(self.name)} = {formatted(self.total)}"
        if not self.paths:
            return for_stream(f"{title}: {self.output} does not change with {self.name}")
        if self.name == self.output and len(self.paths[0].nodes) == 1:
            return for_stream(f"{title}: the output itself")
        one = self.how_many == 1
        which = "along the only path" if one else f"the sum over {_counted(self.how_many)} paths"
        left_out = self.how_many - len(self.paths)
        more: list[Row] = [(f"... and {_counted(left_out)} more",)] if left_out else []
        rows = [(p.way, p.symbols, p.numbers, formatted(p.product)) for p in self.paths]
        heading: Row = ("path", "local derivatives", "in numbers", "product")
        total: list[Row] = [] if one else [("sum", "", "", formatted(self.total))]
        lines = aligned([heading, *rows, *more, *total], "lllr")
        if max(map(text_width, lines)) > COLUMNS:  # one below the other then
            lines = ["\n    = ".join(row) for row in rows]
            lines += [cell for (cell,) in more] + ["sum = " + row[-1] for row in total]
        return for_stream("\n".join([f"{title}, {which}", *lines]))

    def _repr_latex_(self) -> str:
        """The chain rule in symbols, with the number of each path below it, and the sum."""
        total = LATEX.number(self.total)
        lines = [_sum_of_lines([_chain(path.names) for path in self.paths] or ["0"])]
        if any(len(path.names) > 1 for path in self.paths):
            below = [
                rf"\underbrace{{{path.latex}}}_{{{LATEX.number(path.product)}}}"
                for path in self.paths
            ]
            lines += [_sum_of_lines(below), total]
        left_out = self.how_many - len(self.paths)
        if left_out:
            more = rf" + \ldots \quad (\text{{{_counted(left_out)} more}})"
            lines = [line + more for line in lines[:-1]] + lines[-1:]
        left = _partial(self.output, self.name)
        rows = f"{_NEXT_LINE}= ".join(lines)
        return f"$$\n\\begin{{aligned}}\n{left} &= {rows}\n\\end{{aligned}}\n$$"


_NEXT_LINE = " \\\\[4pt]\n&"


def _partial(upper: str, lower: str) -> str:
    """The partial derivative of one name by another, in LaTeX."""
    above, below = (
        LATEX.name(name)
        if is_one_word(name)
        else f"{LATEX.opening}{LATEX.name(name)}{LATEX.closing}"
        for name in (upper, lower)
    )
    return rf"\frac{{\partial {above}}}{{\partial {below}}}"


def _chain(names: Sequence[str]) -> str:
    """The product of partial derivatives along a path, in LaTeX."""
    factors = [_partial(upper, lower) for upper, lower in pairwise(names)]
    return r" \cdot ".join(shortened(factors, LATEX.ellipsis)) or "1"


def _sum_of_lines(terms: Sequence[str]) -> str:
    """A sum in LaTeX, two terms in a line, or one if they are long."""
    each = 1 if any(term.count(r"\cdot") > 4 for term in terms) else 2
    lines = [" + ".join(terms[i : i + each]) for i in range(0, len(terms), each)]
    return rf"{_NEXT_LINE}\quad {{}}+ ".join(lines)


def _counted(count: int) -> str:
    """A number of paths, which may have more digits than one wants to read."""
    return f"{count:,}" if count < 10**15 else f"about 10^{int(math.log10(count))}"
