"""What happened in a pass? The nodes of an output, their numbers, and every contribution."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from autograd.backward import topological_order
from autograd.context import current
from autograd.draw.names import (
    full_names,
    kinds_of,
    named_and_trained,
    require_module,
    short_names,
)
from autograd.messages import named
from autograd.ops import is_row
from autograd.steps.formula import forward_formula
from autograd.steps.writing import in_names, written
from autograd.text import for_stream, number, quoted, with_digits
from autograd.value import Value, is_constant

NAMES_LISTED = 30  # in an error for an unknown name


class Edge(NamedTuple):
    """An edge from a node back to its operand number `operand`, the node with index `parent`."""

    operand: int
    parent: int


class Passed:
    """The forward and the backward pass of one output, in numbers.

    The numbers are those that the nodes hold at construction. No `.grad` is touched, and later
    assignments to `.data` and `.grad` change nothing here.

    Attributes:
        output: the Value that is differentiated.
        nodes: all nodes it depends on, leaves first, in topological order. Everything else here
            refers to a node by its index in this list.
        place: the index of each node.
        leaves: how many of the nodes are leaves.
        data: the data of each node.
        model: the module whose `named_parameters()` give names; None for those that made the nodes.
    """

    def __init__(self, output: Value, model: Any = None) -> None:
        if not isinstance(output, Value):
            instead = ": call it, as in steps(model(x))" * callable(output)
            raise TypeError(f"output must be a Value, not {quoted(output)}{instead}")
        require_module(model)
        self.output = output
        self.model = model
        self.nodes = topological_order(output)
        self.place = {node: i for i, node in enumerate(self.nodes)}
        self.leaves = sum(node.primitive is None for node in self.nodes)
        self.data = [node.data for node in self.nodes]
        # For every contribution, in the order of the pass: the local derivative, what the parent
        # had received before, and whether it had received anything. Those of node i start at
        # _first_of[i]; a node whose gradient is exactly 0 makes none.
        self._locals, self._before, self._had_received = array("d"), array("d"), bytearray()
        self._first_of: dict[int, int] = {}
        self._gradients = self._swept()

    def _swept(self) -> list[float]:
        """The gradient of each node, from the engine's backward pass, which reports to `_note`."""
        wanted = [node for node in self.nodes if node is self.output or not is_constant(node)]
        interpreter = current.get().interpreter
        found = interpreter.grad(self.output, wanted, create_graph=False, each=self._note)
        gradients = dict(zip(wanted, found, strict=True))
        return [gradients[node].data if node in gradients else 0.0 for node in self.nodes]

    def _note(
        self, node: Value, operand: int, local: float, contribution: float, before: float | None
    ) -> None:
        self._first_of.setdefault(self.place[node], len(self._locals))
        self._locals.append(local)
        self._before.append(0.0 if before is None else before + 0.0)
        self._had_received.append(before is not None)

    # --- nodes and contributions, by their indices ------------------------------------------------

    def edges(self, i: int) -> Iterator[Edge]:
        """Yield the edges from node i to each parent that takes a gradient."""
        node = self.nodes[i]
        assert node.primitive is not None
        for k, (parent, rule) in enumerate(zip(node.parents, node.primitive.backward, strict=True)):
            if rule is not None and not is_constant(parent):
                yield Edge(k, self.place[parent])

    @cached_property
    def _users(self) -> dict[Value, list[int]]:
        users: dict[Value, list[int]] = {}
        for i in range(self.leaves, len(self.nodes)):
            for parent in dict.fromkeys(self.nodes[i].parents):
                users.setdefault(parent, []).append(i)
        return users

    def uses(self, i: int) -> Iterator[tuple[int, Edge, float | None]]:
        """Yield the index of each node that uses node i, the edge between them, and its derivative.

        They come in the order of the pass. The local derivative is None if the gradient of the user
        is exactly 0: it is not computed then.
        """
        for user in reversed(self._users.get(self.nodes[i], ())):
            begin = self._first_of.get(user)
            for at, edge in enumerate(self.edges(user)):
                if edge.parent == i:
                    yield user, edge, None if begin is None else self._locals[begin + at]

    @cached_property
    def reached(self) -> set[int]:
        """The nodes that edges from the output lead to: not those used only as a condition."""
        found = {self.place[self.output]}
        for i in reversed(range(self.leaves, len(self.nodes))):
            if i in found:
                found.update(edge.parent for edge in self.edges(i))
        return found

    def contributions(self, i: int) -> Iterator[tuple[Edge, float, float | None]]:
        """Yield node i's contributing edges, their derivatives, and the parents' sums so far."""
        if i in self._first_of:
            for at, edge in enumerate(self.edges(i), self._first_of[i]):
                before = self._before[at] if self._had_received[at] else None
                yield edge, self._locals[at], before

    def gradient_at(self, i: int) -> float:
        """d output / d node i; 0 for a constant that is not the output itself."""
        return self._gradients[i]

    def outdated(self) -> str:
        """The name of a node whose operands, assigned to since, no longer give its data; else "".

        A user's own primitive is not checked, because that would run its code once more.
        """
        for i in range(self.leaves, len(self.nodes)):
            node = self.nodes[i]
            if node.primitive is None or not is_row(node.primitive):
                continue
            fresh = outcome(node.primitive.forward, *map(self.data_of, node.parents))
            if fresh != repr(self.data[i]):
                return self.name(node)
        return ""

    def data_of(self, node: Value) -> float:
        """The data of a node when the pass was recorded."""
        return self.data[self.place[node]]

    # --- names, kinds and gradients ---------------------------------------------------------------

    @cached_property
    def _named_and_trained(self) -> tuple[dict[Value, str], set[Value]]:
        return named_and_trained(self.nodes, self.model)

    @cached_property
    def kinds(self) -> list[str]:
        """The kind of each node; see `kinds_of`."""
        return kinds_of(self.nodes, {self.output}, self._named_and_trained[1])

    @cached_property
    def full_names(self) -> Mapping[Value, str]:
        """The label of each node, its name in a model, or a generated name."""
        named, _ = self._named_and_trained
        return MappingProxyType(full_names(self.nodes, named))

    @cached_property
    def names(self) -> Mapping[Value, str]:
        """The name of each node as it is shown; only plain numbers may share one."""
        named, _ = self._named_and_trained
        return MappingProxyType(short_names(self.full_names, named))

    def name(self, node: Value) -> str:
        """The name of a node as it is shown."""
        return self.names[node]

    def formula(self, node: Value) -> str:
        """How an inner node is computed, in names: `a * b`."""
        return written(forward_formula(node, self.data_of), in_names(self.name))

    def lines(self, i: int) -> list[str]:
        """The lines in node i's box above its numbers; the value of a constant is one of them."""
        node = self.nodes[i]
        name = self.name(node)
        if self.kinds[i] == "constant":
            data = number(self.data[i])
            return [data] if name == data else [name, data]
        return [f"{node.primitive.symbol}  {name}" if node.primitive else name]

    @cached_property
    def gradients(self) -> Mapping[Value, float]:
        """d output / d node for every node, as `backward()` writes it; constants have none."""
        alone = len(self.nodes) == 1  # an output that is a constant still has its 1
        pairs = zip(self.nodes, self._gradients, strict=True)
        found = {node: g for node, g in pairs if alone or not is_constant(node)}
        return MappingProxyType(found)

    def found(self, which: Value | str) -> Value:
        """Look up a node, given itself or its name: short, full, or as w01 for w₀₁.

        Raises ValueError for an unrelated node, a constant, and an unknown or ambiguous name.
        """
        if isinstance(which, Value):
            if which not in self.place:
                raise ValueError(f"{self.name(self.output)} does not depend on {which!r}")
            if which not in self.gradients:
                raise ValueError(f"{which!r} is a constant, which receives no gradient")
            return which
        if not isinstance(which, str):
            raise TypeError(f"a node is given as a Value or by its name, not as {quoted(which)}")
        nodes = list(self.gradients)
        found = [node for node in nodes if self.names[node] == which]
        found = found or [node for node in nodes if self.full_names[node] == which]
        found = found or [node for node in nodes if _typed(self.names[node]) == _typed(which)]
        if len(found) > 1:
            given = ", ".join(dict.fromkeys(map(self.name, found[:NAMES_LISTED])))
            several = f"{len(found)} nodes are called {named(which)!r}"
            raise ValueError(for_stream(f"{several}: give one of {given}, or the Value"))
        if not found:
            called = [self.name(node) for node in islice(self.gradients, NAMES_LISTED)]
            more = len(self.gradients) - len(called)
            listed = ", ".join(called) + (f" and {more:,} more" if more else "")
            raise ValueError(for_stream(f"no node is called {named(which)!r}; there are {listed}"))
        return found[0]


def outcome(function: Callable[..., Any], *numbers: Any) -> str:
    """The repr of the result, which is exact even for nan and -0.0, or the type of the error."""
    try:
        return repr(float(function(*numbers)))
    except Exception as error:
        return type(error).__name__


def _typed(name: str) -> str:
    """A name as typed on a keyboard: w01 for w₀₁ or w_01."""
    return with_digits(name).replace("_", "")
