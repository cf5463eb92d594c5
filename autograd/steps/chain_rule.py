"""How does the output depend on one node? Every path between them, and their sum, written out."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from itertools import pairwise
from typing import NamedTuple

from autograd.steps.formula import local_derivative
from autograd.steps.passed import Passed
from autograd.steps.writing import (
    ALONE,
    LATEX,
    PRODUCT,
    SIGN,
    TEXT,
    Place,
    dotted,
    in_names,
    written,
)
from autograd.text import (
    COLUMNS,
    FACTORS_SHOWN,
    Row,
    aligned,
    first_and_last,
    for_stream,
    grouped,
    is_one_word,
    number,
    shortened,
    text_width,
)
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
        return f"{self.way}: {self.symbols} = {self.numbers} = {number(self.product)}"


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
        title = f"d {dotted(self.output)} / d {dotted(self.name)} = {number(self.total)}"
        if not self.paths:
            return for_stream(f"{title}: {self.output} does not change with {self.name}")
        if self.name == self.output and len(self.paths[0].nodes) == 1:
            return for_stream(f"{title}: the output itself")
        one = self.how_many == 1
        which = "along the only path" if one else f"the sum over {_counted(self.how_many)} paths"
        left_out = self.how_many - len(self.paths)
        more: list[Row] = [(f"... and {_counted(left_out)} more",)] if left_out else []
        rows = [(p.way, p.symbols, p.numbers, number(p.product)) for p in self.paths]
        heading: Row = ("path", "local derivatives", "in numbers", "product")
        total: list[Row] = [] if one else [("sum", "", "", number(self.total))]
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


# --- finding the paths ----------------------------------------------------------------------------


class _Tail(NamedTuple):
    """The rest of a path, from a node on: an edge, and the rest from the parent that it leads to.

    Attributes:
        size: the product of the local derivatives, without its sign.
        place: of the node.
        operand: which operand the path goes on with.
        local: the local derivative by it; None if it was not computed.
        rest: the path from there on; None at the end, where there is no edge.
    """

    size: float
    place: int
    operand: int = 0
    local: float | None = None
    rest: _Tail | None = None


def explanation(passed: Passed, node: Value, max_paths: int) -> Explanation:
    """The chain rule for one node of a pass, with the `max_paths` paths of the largest products."""
    end = passed.place[node]
    tails = _largest_tails(passed, end, max_paths)
    return Explanation(
        node=node,
        name=passed.name(node),
        output=passed.name(passed.output),
        paths=tuple(_path(passed, tail) for tail in tails.get(passed.last, ())),
        how_many=_count_paths(passed, end, tails),
        total=passed.gradient_at(end),
    )


def _largest_tails(passed: Passed, end: int, most: int) -> dict[int, list[_Tail]]:
    """For each node that leads to node `end`, its paths of the largest products, largest first.

    The largest paths of a node go on along the largest paths of its parents, so `most` for each
    node are enough. Paths share their tails.
    """
    tails = {end: [_Tail(1.0, end)]}
    for i in range(max(end + 1, passed.leaves), len(passed.nodes)):
        found = []
        for edge, local in passed.local_derivatives(i):
            for rest in tails.get(edge.parent, ()):
                size = 0.0 if local is None else abs(local) * rest.size
                size = math.inf if math.isnan(size) else size
                found.append(_Tail(size, i, edge.operand, local, rest))
        if found:
            tails[i] = sorted(found, key=lambda tail: -tail.size)[:most]
    return tails


def _count_paths(passed: Passed, end: int, leading: Container[int]) -> int:
    """How many paths lead from the output to node `end`, all of them through these nodes."""
    # A count may have as many digits as there are nodes, so each is dropped once it was used.
    counts = {passed.last: 1} if passed.last in leading else {}
    for i in range(passed.last, max(end, passed.leaves - 1), -1):
        here = counts.pop(i, 0)
        for edge in passed.edges(i) if here else ():
            if edge.parent in leading:
                counts[edge.parent] = counts.get(edge.parent, 0) + here
    return counts.get(end, 0)


def _path(passed: Passed, tail: _Tail) -> Path:
    """A path written out; of a long one the first and the last factors."""
    indices, operands = [tail.place], list[int]()
    known: list[float] = []  # behind a gradient of exactly 0 local derivatives are not computed
    while tail.rest is not None:
        if tail.local is not None and len(known) == len(operands):
            known.append(tail.local)
        operands.append(tail.operand)
        tail = tail.rest
        indices.append(tail.place)
    nodes = [passed.nodes[i] for i in indices]
    names = [passed.name(node) for node in nodes]
    symbols, numbers, latex = [], [], []
    for at in first_and_last(len(operands), FACTORS_SHOWN):
        if at is None:
            symbols.append(TEXT.ellipsis)
            numbers.append(TEXT.ellipsis)
            latex.append(LATEX.ellipsis)
            continue
        place = ALONE if len(operands) == 1 else Place(0, SIGN if at else PRODUCT, at > 0)
        local = local_derivative(nodes[at], operands[at], passed.data_of)
        symbols.append(written(local, in_names(passed.name), TEXT, place))
        latex.append(written(local, in_names(passed.name, LATEX), LATEX, place))
        if at < len(known):
            numbers.append(grouped(number(known[at])) if at else number(known[at]))
    stopped = len(known) < len(operands)
    stop = f", and {names[len(known)]} passes nothing on" if stopped else ""
    return Path(
        nodes=tuple(nodes),
        names=tuple(names),
        symbols=for_stream(" * ".join(symbols) or "1"),
        numbers=for_stream((" * ".join(numbers) or "1") + stop),
        product=0.0 if stopped else math.prod(known, start=1.0),
        latex=r" \cdot ".join(latex) or "1",
    )
