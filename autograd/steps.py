"""What happens in a backward pass, step by step? Every equation, every contribution, every sum.

>>> from autograd import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> c = a * b
>>> c.label = "c"
>>> for step in steps(c):
...     print(step)
c = a * b = 2 * (-3) = -6
c.grad = 1, back through c = a * b: a.grad = 1 * b = 1 * (-3) = -3; b.grad = 1 * a = 1 * 2 = 2
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Any, NamedTuple, overload

from autograd import formula, modes
from autograd.backward import grad, topological_order
from autograd.chain_rule import Explanation, Path
from autograd.draw import names, node_kinds
from autograd.files import write_bytes
from autograd.formula import (
    ALONE,
    LATEX,
    PRODUCT,
    SIGN,
    TEXT,
    Expression,
    Mention,
    Place,
    Recorder,
    dotted,
    forward_formula,
    in_names,
    in_numbers,
    local_derivative,
    written,
)
from autograd.text import (
    FACTORS_SHOWN,
    Row,
    aligned,
    clipped,
    first_and_last,
    for_stream,
    grouped,
    shown,
    wrapped,
)
from autograd.text import number as formatted
from autograd.value import Constant, Value

# A picture of more nodes takes many seconds to lay out, and shows little.
PLAYER_NODES = 1_000

_STEPS_SHOWN = 40  # of a pass, half of them at its beginning, by str()
_ENTRIES_SHOWN = 30  # gradients under a table, names in a message


# --- the steps ------------------------------------------------------------------------------------


class ForwardStep(NamedTuple):
    """A node is computed.

    Attributes:
        node: the node made here.
        name: what it is called.
        formula: how it is made, in names: `a * b`.
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
        return f"{formatted(self.data)} = {self.in_numbers}"

    def __repr__(self) -> str:
        return for_stream(f"{self.symbols} = {self.in_numbers} = {formatted(self.data)}")


class Contribution(NamedTuple):
    """What a node hands to one of its parents: its own gradient times the local derivative.

    Attributes:
        parent: who receives it.
        name: what the parent is called.
        operand: which operand of the node the parent is, from 0.
        symbols: the local derivative d node / d parent, in names: `1 / b`.
        local: the local derivative.
        contribution: the gradient of the node times `local`.
        before: the sum of what the parent has received before; None if this is the first.
        total: the sum with this contribution.
        equation: all of it: `a.grad = 6 + 2 * b = 6 + 2 * 1 = 6 + 2 = 8`.
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
    """A node whose gradient is complete hands it on to its parents.

    Attributes:
        node: the node whose turn it is.
        name: what it is called.
        formula: how it was made, in names: `a * b`.
        upstream: its gradient, d output / d node.
        contributions: what its parents receive: nothing if the gradient is exactly 0, and nothing
            if they are plain numbers.
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
        gradient = f"{dotted(self.name)}.grad = {formatted(self.upstream)}"
        passed = "; ".join(map(repr, self.contributions)) or self.silence
        return for_stream(f"{gradient}, back through {self.name} = {self.formula}: {passed}")


Step = ForwardStep | BackwardStep


class Steps(Sequence[Step]):
    """The forward and the backward pass of one output: a sequence of steps, made when asked for.

    First a ForwardStep for each inner node, in topological order; then a BackwardStep for each, in
    the reverse order, which is the order of `backward()`. The numbers are those that the nodes have
    when this is made: no `.grad` is touched, and what is written to `.data` and `.grad` later
    changes nothing here.

    Attributes:
        output: the Value that is differentiated.
        nodes: all nodes it depends on, leaves first, in topological order.
    """

    def __init__(self, output: Value, model: Any = None) -> None:
        if not isinstance(output, Value):
            raise TypeError(f"steps() takes a Value, not {output!r}")
        self.output = output
        self.nodes = topological_order(output)
        self._model = model
        self._index = {node: i for i, node in enumerate(self.nodes)}
        self._data = [node.data for node in self.nodes]
        self._leaves = sum(node.primitive is None for node in self.nodes)
        # Of every contribution, in the order of the pass: the local derivative, what its parent
        # had received by then, and whether it had. Those of node i begin at _begin[i].
        self._locals, self._before, self._again = array("d"), array("d"), bytearray()
        self._begin: dict[int, int] = {}
        self._gradients = self._sweep()

    def _sweep(self) -> list[float]:
        """The backward pass of the engine, operation for operation, but not on `.grad`."""
        nodes, data, index = self.nodes, self._data, self._index
        if modes.current.get().checking:
            self._backward_of_the_engine()
        gradients: list[Any] = [0.0] * len(nodes)
        gradients[-1] = 1.0
        received = bytearray(len(nodes))
        for i in range(len(nodes) - 1, self._leaves - 1, -1):
            upstream = gradients[i]
            if not upstream:
                continue
            self._begin[i] = len(self._locals)
            numbers: list[float] = []
            for _, j, rule in self._edges(i):
                local = rule
                if callable(rule):
                    numbers = numbers or [data[index[parent]] for parent in nodes[i].parents]
                    try:
                        local = rule(data[i], *numbers)
                    except (ValueError, ZeroDivisionError, OverflowError):
                        self._backward_of_the_engine()
                        raise
                self._locals.append(local)
                self._before.append(gradients[j])
                self._again.append(received[j])
                gradients[j] += upstream * local
                received[j] = True
        return [float(gradient) for gradient in gradients]

    def _backward_of_the_engine(self) -> None:
        """Where a derivative does not exist the engine says so, in its own words."""
        grad(self.output, [node for node in self.nodes if not isinstance(node, Constant)])

    def _edges(self, i: int) -> Iterator[tuple[int, int, Any]]:
        """(operand, the parent's index, rule) for each parent of node i that takes a gradient."""
        node = self.nodes[i]
        assert node.primitive is not None
        for k, (parent, rule) in enumerate(zip(node.parents, node.primitive.backward, strict=True)):
            if rule is not None and not isinstance(parent, Constant):
                yield k, self._index[parent], rule

    # --- as a sequence ------------------------------------------------------------------------

    def __len__(self) -> int:
        return 2 * (len(self.nodes) - self._leaves)

    @overload
    def __getitem__(self, which: int) -> Step: ...
    @overload
    def __getitem__(self, which: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, which: int | slice) -> Step | tuple[Step, ...]:
        positions = range(len(self))
        if isinstance(which, slice):
            return tuple(self._step(position) for position in positions[which])
        try:
            position = positions[which]
        except IndexError:
            raise IndexError(f"no step {which}: there are {len(self)}") from None
        return self._step(position)

    def _step(self, position: int) -> Step:
        if position < len(self) // 2:
            return self._forward_step(position)
        return self._backward_step(position)

    def _forward_step(self, position: int) -> ForwardStep:
        i = self._leaves + position
        node, expression = self.nodes[i], self._formula(i)
        numbers = for_stream(written(expression, in_numbers(self._data_of)))
        names = for_stream(written(expression, in_names(self._name)))
        return ForwardStep(node, self._name(node), names, numbers, float(self._data[i]))

    def _backward_step(self, position: int) -> BackwardStep:
        i = self._leaves + len(self) - 1 - position
        node = self.nodes[i]
        names = for_stream(written(self._formula(i), in_names(self._name)))
        passed = tuple(self._contributions(i)) if i in self._begin else ()
        return BackwardStep(node, self._name(node), names, self._gradients[i], passed)

    def _contributions(self, i: int) -> Iterator[Contribution]:
        upstream, name = self._gradients[i], in_names(self._name)
        for at, (k, j, _) in enumerate(self._edges(i), self._begin[i]):
            parent, local, sofar = self.nodes[j], self._locals[at], self._before[at]
            symbols = local_derivative(self.nodes[i], k, self._data_of)
            contribution = upstream * local
            before = sofar if self._again[at] else None
            terms = [Expression(number=upstream) * factor for factor in (symbols, local)]
            terms.append(Expression(number=contribution))
            if before is not None:
                terms = [Expression(number=before) + term for term in terms]
            forms = [written(term, name) for term in terms] + [formatted(sofar + contribution)]
            # Where the local derivative is a plain number, two forms of the sum are the same.
            distinct = [form for form, next in pairwise([*forms, ""]) if form != next]
            yield Contribution(
                parent=parent,
                name=self._name(parent),
                operand=k,
                symbols=for_stream(written(symbols, name)),
                local=local,
                contribution=contribution,
                before=before,
                total=sofar + contribution,
                equation=for_stream(" = ".join([f"{dotted(self._name(parent))}.grad", *distinct])),
            )

    def _formula(self, i: int) -> Expression:
        return forward_formula(self.nodes[i], self._data_of)

    def _data_of(self, node: Value) -> float:
        return self._data[self._index[node]]

    # --- names and gradients ------------------------------------------------------------------

    @cached_property
    def names(self) -> Mapping[Value, str]:
        """What each node is called: read when first asked for, and kept."""
        return MappingProxyType(names(self.nodes, self._model))

    def _name(self, node: Value) -> str:
        return clipped(self.names[node])

    @cached_property
    def gradients(self) -> Mapping[Value, float]:
        """d output / d node for every node, as `backward()` writes it; plain numbers have none."""
        alone = len(self.nodes) == 1  # an output that is a plain number has its 1 all the same
        pairs = zip(self.nodes, self._gradients, strict=True)
        found = {node: g for node, g in pairs if alone or not isinstance(node, Constant)}
        return MappingProxyType(found)

    def gradient(self, node: Value | str) -> float:
        """d output / d node, of a node or of the one with this name.

        Raises ValueError for a node that takes no part, a plain number, and an unknown name.
        """
        return self.gradients[self._found(node)]

    def _found(self, which: Value | str) -> Value:
        """The node that is meant, by itself or by its name."""
        if isinstance(which, Value):
            if which not in self._index:
                raise ValueError(f"{self._name(self.output)} does not depend on {which!r}")
            if which not in self.gradients:
                raise ValueError(f"{which!r} is a plain number, which receives no gradient")
            return which
        if not isinstance(which, str):
            raise TypeError(f"a node is given as a Value or by its name, not as {which!r}")
        found = [node for node in self.gradients if self.names[node] == which]
        if len(found) > 1:
            raise ValueError(f"{len(found)} nodes are called {which!r}: give the Value itself")
        if not found:
            called = [self._name(node) for node in islice(self.gradients, _ENTRIES_SHOWN)]
            more = len(self.gradients) - len(called)
            there = ", ".join(called) + (f" and {more:,} more" if more else "")
            raise ValueError(f"no node is called {which!r}; there are {there}")
        return found[0]

    def explain(self, node: Value | str, max_paths: int = 20) -> Explanation:
        """The whole chain rule for one node: every path from the output to it, and their sum.

        Args:
            node: a leaf or inner node, or its name.
            max_paths: how many paths are written out, those of the largest product first, and in
                the order of the operands among equals. All are counted.

        Raises ValueError for a node that takes no part, a plain number, and an unknown name.
        """
        if not isinstance(max_paths, int) or max_paths < 1:
            raise ValueError(f"max_paths is a whole number of 1 or more, not {max_paths!r}")
        node = self._found(node)
        end = self._index[node]
        ways = self._largest_ways(end, max_paths)
        last = len(self.nodes) - 1
        return Explanation(
            node=node,
            name=self._name(node),
            output=self._name(self.output),
            paths=tuple(self._path(way) for way in ways.get(last, ())),
            how_many=self._count_ways(end, ways),
            total=self._gradients[end],
        )

    def _largest_ways(self, end: int, most: int) -> dict[int, list[_Way]]:
        """Of each node that leads to node `end` the paths of the largest products, largest first.

        The largest of a node continue with the largest of its parents, so `most` of each are
        enough; they share their ends.
        """
        ways = {end: [_Way(1.0, end)]}
        for i in range(max(end + 1, self._leaves), len(self.nodes)):
            found = []
            for at, (k, j, _) in enumerate(self._edges(i)):
                local = self._locals[self._begin[i] + at] if i in self._begin else None
                for rest in ways.get(j, ()):
                    size = 0.0 if local is None else abs(local) * rest.size
                    found.append(_Way(math.inf if math.isnan(size) else size, i, k, local, rest))
            if found:
                ways[i] = sorted(found, key=lambda way: -way.size)[:most]
        return ways

    def _count_ways(self, end: int, leading: Container[int]) -> int:
        """How many paths lead from the output to node `end`, all of them through these nodes."""
        # The number may have as many digits as there are nodes: it is forgotten where it was used.
        last = len(self.nodes) - 1
        counts = {last: 1} if last in leading else {}
        for i in range(last, max(end, self._leaves - 1), -1):
            here = counts.pop(i, 0)
            for _, j, _ in self._edges(i) if here else ():
                if j in leading:
                    counts[j] = counts.get(j, 0) + here
        return counts.get(end, 0)

    def _path(self, way: _Way) -> Path:
        indices, operands = [way.i], list[int]()
        known: list[float] = []  # behind a gradient of exactly 0 the slopes are not computed
        while way.rest is not None:
            if way.local is not None and len(known) == len(operands):
                known.append(way.local)
            operands.append(way.k)
            way = way.rest
            indices.append(way.i)
        nodes = [self.nodes[i] for i in indices]
        names = [self._name(node) for node in nodes]
        symbols, numbers, latex = [], [], []
        for at in first_and_last(len(operands), FACTORS_SHOWN):
            if at is None:
                symbols.append(TEXT.ellipsis)
                numbers.append(TEXT.ellipsis)
                latex.append(LATEX.ellipsis)
                continue
            place = ALONE if len(operands) == 1 else Place(0, SIGN if at else PRODUCT, at > 0)
            slope = local_derivative(nodes[at], operands[at], self._data_of)
            symbols.append(written(slope, in_names(self._name), TEXT, place))
            latex.append(written(slope, in_names(self._name, LATEX), LATEX, place))
            if at < len(known):
                number = formatted(known[at])
                numbers.append(grouped(number) if at else number)
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

    # --- as text ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return for_stream(
            f"<Steps: forward to {self._name(self.output)} and back, {len(self):,} in all>"
        )

    def __str__(self) -> str:
        return self._table(_STEPS_SHOWN)

    def table(self) -> str:
        """All steps as a table, however many; `str()` leaves out the middle of a long one."""
        return self._table(len(self))

    def _table(self, most: int) -> str:
        """The table, with at most so many steps of each pass."""
        output, half = for_stream(self._name(self.output)), len(self) // 2
        if not half:
            return f"{output} is a leaf: there are no steps, and its gradient is 1"
        gap: Row = (f"  ... {half - most:,} steps left out; .table() has them all",)
        forward: list[Row] = [("step", "node", "", "data", "in numbers")]
        for position in first_and_last(half, most):
            forward.append(gap if position is None else self._forward_row(position))
        backward: list[Row] = [("step", "node", "gradient", *HEADINGS)]
        for position in first_and_last(half, most):
            backward += [gap] if position is None else self._backward_rows(half + position)
        return "\n".join(
            [
                f"forward, from the leaves to {output}",
                *aligned(forward, "rrlrl"),
                "",
                f"backward, from {output} to the leaves",
                *aligned(backward, "rlrllll"),
                "",
                *self._gradients_of_leaves(),
            ]
        )

    def _forward_row(self, position: int) -> Row:
        step = self._forward_step(position)
        left, right = f"= {step.formula}", f"= {step.in_numbers}"
        return (str(position), step.name, left, formatted(step.data), right)

    def _backward_rows(self, position: int) -> list[Row]:
        step = self._backward_step(position)
        first: Row = (str(position), step.name, formatted(step.upstream))
        if not step.contributions:
            return [(*first, step.silence)]
        return [
            (*(("", "", "") if at else first), *cells(step.upstream, passed))
            for at, passed in enumerate(step.contributions)
        ]

    def _gradients_of_leaves(self) -> list[str]:
        leaves = [node for node in self.nodes[: self._leaves] if node in self.gradients]
        entries = [
            f"{dotted(self._name(leaf))}.grad = {formatted(self.gradients[leaf])}"
            for leaf in leaves[:_ENTRIES_SHOWN]
        ]
        if len(leaves) > len(entries):
            entries.append(f"and {len(leaves) - len(entries):,} more")
        return wrapped("gradients of the leaves", entries or ["every leaf is a plain number"])

    # --- in a notebook, a file and a terminal -------------------------------------------------

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        if len(self.nodes) > PLAYER_NODES:
            return {"text/plain": f"{self._too_many()}\n\n{self}"}
        bundle = {"text/plain": str(self)}
        if "text/html" in (include or ["text/html"]) and "text/html" not in (exclude or []):
            from autograd import player

            bundle["text/html"] = player.fragment(self)
        return bundle

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the player to one HTML file, atomically, that needs no network and no Python.

        Raises ValueError for another ending than .html and for a graph that is too large, and
        OSError where the file cannot be written.
        """
        if not os.fspath(path).lower().endswith(".html"):
            raise ValueError(f"steps are saved as .html, not as {os.path.basename(path)!r}")
        if len(self.nodes) > PLAYER_NODES:
            raise ValueError(self._too_many())
        from autograd import player

        write_bytes(path, player.page(self).encode())

    def _too_many(self) -> str:
        return (
            f"{len(self.nodes):,} nodes are too many for the player, which takes {PLAYER_NODES:,};"
            " step through one example of the batch, or print the table"
        )

    def play(self, seconds: float = 0.8) -> None:
        """Step through the passes in a terminal, by the keys it names; elsewhere print the table.

        Args:
            seconds: how long a step stands when they play by themselves.
        """
        from autograd.terminal import play

        play(self, seconds)

    # --- for the page -------------------------------------------------------------------------

    def data(self) -> dict[str, Any]:
        """Everything a page needs to show the pass and to compute it anew: lists, texts, numbers.

        Slots are numbers in one array. Slots 0 .. n-1 hold the data of the n nodes; "constants"
        fills some of those beyond, and the operations [slot, primitive, operand slots] the others.
        A number is a JSON number or one of "nan", "inf", "-inf" and "-0".

        A formula is a list of texts and of {"slot": i, "grouped": bool}, a node in its place: its
        name, or its number, in parentheses if that is below 0 and "grouped" is true. Where the name
        needs parentheses, as the label "a + b" does before " * c", "name" holds it with them.

        Of a local derivative that the page cannot compute, because it is Python code or pass.js has
        no function for a primitive, "program" is None and "local_value" holds its number, None if
        it has none; leaves it depends on are not movable.
        """
        from autograd.player import operations

        n = len(self.nodes)
        recorder = Recorder(self._index, [float(number) for number in self._data], operations())
        why: list[str] = [""] * n  # what changes with this node cannot be computed, because ...
        forward: list[list[Any]] = []
        for i in range(self._leaves, n):
            program = recorder.forward(self.nodes[i])
            forward += _listed(program or [])
            why[i] = self._python_code(i) if program is None else ""
        backward: list[dict[str, Any]] = []
        for i in range(n - 1, self._leaves - 1, -1):
            edges = [self._page_edge(i, k, j, recorder) for k, j, _ in self._edges(i)]
            backward.append({"node": i, "edges": edges})
            if any(edge["program"] is None for edge in edges):
                why[i] = why[i] or self._python_code(i)
            for parent in self.nodes[i].parents:
                j = self._index[parent]
                why[j] = why[j] or why[i]
        return {
            "version": 1,
            "title": f"The backward pass of {self._name(self.output)}",
            "nodes": self._page_nodes(why),
            "output": n - 1,
            "constants": [
                [slot, _json_number(recorder.slots[slot])] for slot in recorder.constants.values()
            ],
            "slots": len(recorder.slots),
            "forward": forward,
            "backward": backward,
            "gradients": [
                _json_number(self.gradients[node]) if node in self.gradients else None
                for node in self.nodes
            ],
        }

    def _page_nodes(self, why: Sequence[str]) -> list[dict[str, Any]]:
        entries = []
        for i, (node, kind) in enumerate(
            zip(self.nodes, node_kinds(self.nodes, self._model, [self.output]), strict=True)
        ):
            leaf = node.primitive is None
            fixed = "it is a plain number" if isinstance(node, Constant) else why[i]
            entry = {
                "name": self._name(node),
                "label": shown(str(node.label)),
                "op": node.op,
                "symbol": node.primitive.symbol if node.primitive else "",
                "domain": node.primitive.domain if node.primitive else "",
                "kind": kind,
                "parents": [self._index[parent] for parent in node.parents],
                "data": _json_number(self._data[i]),
                "movable": leaf and not fixed,
                "fixed_because": fixed if leaf else "",
            }
            if not leaf:
                entry["formula"] = self._template(self._formula(i))
            entries.append(entry)
        return entries

    def _page_edge(self, i: int, k: int, j: int, recorder: Recorder) -> dict[str, Any]:
        """How the local derivative of node i by its operand k, the node j, is computed."""
        node = self.nodes[i]
        symbols = self._template(local_derivative(node, k, self._data_of))
        edge = {"operand": k, "parent": j, "symbols": symbols}
        recording = recorder.derivative(node, k)
        if recording is not None:
            return {**edge, "program": _listed(recording[0]), "local": recording[1]}
        # No leaf before it is movable, so its number stays; another may bring a gradient to it.
        assert node.primitive is not None
        rule: Any = node.primitive.backward[k]
        try:
            local = _json_number(rule(*map(self._data_of, (node, *node.parents))))
        except Exception:  # whatever Python code raises where it was not run before
            local = None
        return {**edge, "program": None, "local_value": local}

    def _python_code(self, i: int) -> str:
        equation = (
            f"{self._name(self.nodes[i])} = {written(self._formula(i), in_names(self._name))}"
        )
        return f"{equation} runs Python code, which a page cannot"

    def _template(self, expression: Expression) -> list[Any]:
        def item(mention: Mention) -> dict[str, Any]:
            name = self._name(mention.node)
            entry = {"slot": self._index[mention.node], "grouped": mention.signed}
            grouped = in_names(self._name)(mention)
            return entry if grouped == name else {**entry, "name": grouped}

        return formula.template(expression, item)


def steps(output: Value, model: Any = None) -> Steps:
    """The forward and backward pass of an output, as a sequence of steps; see Steps.

    Args:
        output: the Value to differentiate.
        model: whose `named_parameters()` name the parameters; by default the modules in whose calls
            the nodes were made.

    Raises TypeError for another kind of output, and what `backward()` raises where a derivative
    does not exist.
    """
    return Steps(output, model)


# --- one node's chain rule ------------------------------------------------------------------------


class _Way(NamedTuple):
    """A path from node i on: by operand k with this local derivative (None: not computed)."""

    size: float  # of the product, without its sign
    i: int
    k: int = 0
    local: float | None = None
    rest: _Way | None = None


def explain(
    output: Value, node: Value | str, model: Any = None, max_paths: int = 20
) -> Explanation:
    """`steps(output, model).explain(node, max_paths)`: the whole chain rule for one node.

    >>> a = Value(3.0, label="a")
    >>> square = a * a
    >>> square.label = "s"
    >>> print(explain(square, a))
    d s / d a = 6, the sum over 2 paths
    path   local derivatives  in numbers  product
    s → a  a                  3                 3
    s → a  a                  3                 3
    sum                                         6
    """
    return Steps(output, model).explain(node, max_paths)


# --- parts of texts ------------------------------------------------------------------------------

HEADINGS = ("passes to", "local derivative", "contribution", "gradient so far")


def cells(upstream: float, passed: Contribution) -> Row:
    """The four columns of a contribution."""
    local, contribution = formatted(passed.local), formatted(passed.contribution)
    total = formatted(passed.total)
    if passed.before is not None:
        total = f"{formatted(passed.before)} + {grouped(contribution)} = {total}"
    return (
        passed.name,
        local if passed.symbols == local else f"{passed.symbols} = {local}",
        f"{formatted(upstream)} * {grouped(local)} = {contribution}",
        total,
    )


def _listed(program: Sequence[formula.Operation]) -> list[list[Any]]:
    """Operations as JSON has them."""
    return [[slot, name, list(operands)] for slot, name, operands in program]


def _json_number(number: float) -> float | str:
    """A number as JSON holds it; what JSON cannot hold, or loses, as text."""
    if not math.isfinite(number) or repr(number) == "-0.0":
        return formatted(number)
    return float(number)
