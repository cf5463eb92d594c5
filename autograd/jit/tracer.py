"""Which node holds which number of a recorded function? The tracer knows the node of each Value.

It adds a node for each result, sees which leaves are read and written, and answers what a library
asks of a recording (hooks.py). The nodes of gradients are added in derive.py.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from math import ceil
from typing import Any, NamedTuple, NoReturn

from autograd import ops
from autograd.clock import clock
from autograd.context import OUTSIDE, Context, current, entered
from autograd.hooks import Hooks, Numbers, is_recorded, plain
from autograd.jit.graph import ONE, Graph, Source
from autograd.jit.leaves import Linked, at_once, writes
from autograd.jit.recorded import Number, Whole, number_at
from autograd.jit.refusal import TraceError, is_interrupt, refuse
from autograd.jit.structure import EXACT
from autograd.messages import named, no_gradient
from autograd.primitive import Primitive
from autograd.sums import Terms
from autograd.value import Value, as_float


class Port(NamedTuple):
    """A number of a leaf from outside that is read at the beginning, or written at the end.

    passed: the leaf's position among the Values passed as arguments; None if it was captured.
    kind: "data" or "grad". node: the number's node.
    """

    leaf: Value
    passed: int | None
    kind: str
    node: int


class Tracer(Hooks):
    """Knows the nodes of one recording.

    Attributes:
        tape: the graph. nodes, gradients: the current nodes of each Value and of its gradient,
            where ~node stands for 0.0 + node, which is added if it is read.
        before: the data and gradient that each leaf from outside had before its first use.
        draws: callables that read a number again in each replay. streams: callables that return
            the random.Random of a draw, with the state that it had.
        guards: (read, result, object that it reads or None): a program holds while `read` returns
            the same result.
        start, began: the number of the clock, and the time, when the recording began.
        contexts: the engine's counterpart of each context of the recording.
        sums: (sum, terms) of weighted sums that have not been unfolded, by `_made`.
        given_up: whether to keep no program, because an operation has failed, for instance.
        refusals: the TraceErrors so far. The first ends the recording even if it was caught.
    """

    recording = True
    tape: Graph

    def __init__(self) -> None:
        self.tape = Graph()
        self.nodes: dict[Value, int] = {}
        self.gradients: dict[Value, int] = {}
        self.before: dict[Value, tuple[float, float]] = {}
        self.draws: list[Callable[[], float]] = []
        self.streams: dict[Callable[[], random.Random], Any] = {}
        self.guards: list[tuple[Callable[[], Any], Any, object]] = []
        self.given_up = False
        self.refusals: list[TraceError] = []
        self.start, self.began = next(clock.numbers), time.perf_counter()
        self.contexts: dict[Context, Context] = {}
        self.sums: dict[float, tuple[Value, Terms]] = {}
        self._data: dict[Value, int] = {}  # the first node of each leaf from outside
        self._grad: dict[Value, int] = {}  # and of its gradient, if that is read
        self._settings: dict[Any, Number] = {}  # what `varying` has read, by key

    def give_up(self) -> None:
        self.given_up = True

    def undo(self, streams: bool) -> None:
        """Restore the leaves from outside, and, if asked, the streams of random numbers."""
        data, grad = [[pair[k] for pair in self.before.values()] for k in (0, 1)]
        at_once([writes("data", self.before, data), writes("grad", self.before, grad)])
        for stream, state in self.streams.items() if streams else ():
            stream().setstate(state)

    def ports(self, passed: Sequence[Value]) -> tuple[list[Port], list[Port]]:
        """Return the ports that a replay reads at the start, and those it writes at the end."""
        places = {value: k for k, value in enumerate(passed)}
        reads, writes = list[Port](), list[Port]()
        kinds = ("data", self._data, self.nodes), ("grad", self._grad, self.gradients)
        for kind, first, now in kinds:
            reads += [Port(leaf, places.get(leaf), kind, node) for leaf, node in first.items()]
            writes += [
                Port(leaf, places.get(leaf), kind, now[leaf])
                for leaf in self._data
                if leaf in now and now[leaf] != first.get(leaf)
            ]
        return reads, writes

    # --- nodes of Values and numbers ---

    def node_of(self, operand: Any) -> int:
        """Return the node of an operand, which is a Value or a number."""
        if isinstance(operand, Value):
            node = self.nodes.get(operand)
            try:
                return self._first_use(operand) if node is None else node
            except TraceError:
                if is_interrupt():  # which may use anything
                    self.refusals.pop()
                    return self.tape.constant(operand._data)
                raise
        if isinstance(operand, Number) and operand.tape is self.tape:
            return operand.node
        return self.tape.constant(as_float(plain(operand)))

    def nodes_of(self, values: Iterable[Value]) -> list[int]:
        """Return the nodes of Values."""
        nodes: list[Any] = list(map(self.nodes.get, values))
        return list(map(self.node_of, values)) if None in nodes else nodes

    def _first_use(self, value: Value) -> int:
        """Return the node of a Value that is used for the first time."""
        if type(value) not in (Value, Linked):
            refuse(f"a {type(value).__name__} cannot be used", "use Values themselves")
        if value._left is not None:
            node = self._of_result(value)
        elif value._made < self.start:
            node = self._data[value] = self.tape.add(Source("data", len(self._data)))
            self.before[value] = value._data, value._grad
        else:
            node = self.tape.constant(value._data)  # a leaf that the function made
        self.nodes[value] = node
        return node

    def _of_result(self, value: Value) -> int:
        """Return a result's node. If it is part of a sum, found by rounding up, unfold that."""
        total, terms = self.sums.get(ceil(value._made), (value, None))
        if terms is not None and terms.parts is not None:
            del self.sums[total._made]
            nodes = self._unfolded(self.nodes[total], terms.start is not None)
            self.nodes.update(zip(terms.parts, nodes, strict=True))
            for part in terms.parts if total in self.gradients else ():
                self.gradients.setdefault(part, self.gradients[total])
        if value not in self.nodes:
            refuse(
                f"{named(value.label) or 'a Value'} was computed before, and cannot be used",
                "compute it inside the function, pass .detach() of it, or assign() its number to a"
                " Value that is kept",
            )
        return self.nodes[value]

    def _unfolded(self, total: int, has_start: bool) -> list[int]:
        """Add the nodes of a sum's products and additions, except for the last addition."""
        factors = self.tape.operands[total]
        sofar, found, add = factors[0] if has_start else None, list[int](), self.tape.add
        for pair in list(zip(factors[::2], factors[1::2], strict=True))[has_start:]:
            found.append(add(ops.mul, pair))
            if sofar is not None:
                found.append(add(ops.add, (sofar, found[-1])))
            sofar = found[-1]
        return found[:-1]

    def gradient_of(self, value: Value) -> int:
        """Return the node of a Value's gradient."""
        self.node_of(value)
        gradient = self.gradients.get(value)
        if gradient is None and value in self._data:
            source: Any = self.tape.operations[self._data[value]]
            gradient = self.tape.add(Source("grad", source.key))
            self.gradients[value] = self._grad[value] = gradient
        if gradient is None:
            return self.tape.constant(0.0)
        if gradient >= 0:
            return gradient
        # The eager sum starts from 0.0, which turns -0.0 into 0.0.
        return self.tape.add(ops.add, (self.tape.constant(0.0), ~gradient))

    def note(self, primitive: Primitive, operands: Sequence[Any]) -> int:
        """Add the node of a primitive."""
        return self.tape.add(primitive, tuple(map(self.node_of, operands)))

    def note_sum(
        self, weights: Sequence[Value], inputs: Sequence[Value], start: Value | None
    ) -> int:
        """Add the node of start + w_1 x_1 + w_2 x_2 + ..."""
        # Weights first, then the bias: leaves lie in memory in the order of their first use.
        pairs = zip(self.nodes_of(weights), self.nodes_of(inputs), strict=True)
        first = () if start is None else (self.node_of(start), ONE)
        return self.tape.sum((*first, *chain.from_iterable(pairs)))

    def computed(
        self, primitive: Primitive, operands: Sequence[Any], function: Callable[..., Any]
    ) -> Number:
        """Compute a number from others, and add its node."""
        result = self.compute(function, operands)
        if isinstance(result, complex):
            refuse(f"{primitive.name} gives a complex number", "keep numbers in its domain")
        node = self.note(primitive, operands)
        if primitive is ops.pow and type(operands[1]) is Whole and isinstance(operands[0], int):
            below = ops.greater(0.0, operands[1])  # whether the result is a float
            self.demand(1.0 - below if isinstance(result, int) else below)
        if not isinstance(result, int):
            return number_at(node, float(result), self.tape)
        node = self.tape.add(ops.add, (self.tape.constant(0.0), node))  # ints have no -0
        # A replay computes with floats, which hold ints exactly up to 2**53.
        size = ops.abs(number_at(node, float(result), self.tape))
        self.demand(1.0 - ops.greater(size, float(EXACT)))
        if abs(result) > EXACT:
            refuse(f"{result} is a whole number beyond 2**53", "pass floats, or compute it outside")
        return number_at(node, result, self.tape)

    def mapped(self, primitive: Primitive, operands: Sequence[Numbers]) -> Sequence[Any]:
        numbers = [[*map(plain, x)] if isinstance(x, list) else plain(x) for x in operands]
        nodes = [
            [*map(self.node_of, x)] if isinstance(x, list) else repeat(self.node_of(x))
            for x in operands
        ]
        found: list[Any] = self.compute(super().mapped, (primitive, numbers))
        if set(map(type, found)) != {float}:
            return found
        first = len(self.tape)
        self.tape.operations += [primitive] * len(found)
        self.tape.operands += zip(*nodes, strict=False)
        return list(map(number_at, range(first, len(self.tape)), found, repeat(self.tape)))

    def compute(self, function: Callable[..., Any], operands: Sequence[Any]) -> Any:
        """Call a function on plain numbers; give up the recording if it raises."""
        try:
            return function(*map(plain, operands))
        except Exception:
            self.give_up()
            raise

    # --- reading and writing `.data` and `.grad` ---

    def read(self, value: Value, name: str) -> Any:
        """Return `value.data` or `value.grad`, as a Number unless it is a constant."""
        if (number := getattr(value, f"_{name}")) is None:
            self.give_up()  # what follows is for None only
            return None
        node = self.node_of(value) if name == "data" else self.gradient_of(value)
        return number if node in self.tape.constants else number_at(node, number, self.tape)

    def write(self, value: Value, name: str, number: Any) -> None:
        """Assign to `value.data` or `value.grad`."""
        if hasattr(value, "_made"):  # else it is being made or copied
            if number is None:
                raise no_gradient(value.label)
            self.node_of(value)
            if value._made in self.sums and value.parents:  # its parts keep what they had
                self._of_result(value)
        if type(value) in (Value, Linked):
            (self.nodes if name == "data" else self.gradients)[value] = self.node_of(number)
        setattr(value, f"_{name}", as_float(plain(number)))

    # --- what a library asks of a recording: see hooks.py ---

    def varying(
        self,
        read: Callable[[], Any],
        key: Any = None,
        stream: Callable[[], random.Random] | None = None,
    ) -> Any:
        if key in self._settings:
            return self._settings[key]
        if stream is not None and stream not in self.streams:
            self.streams[stream] = stream().getstate()
        found = self.unrecorded(read)
        if isinstance(found, Value):
            self.guards.append((read, found, None))
            return found
        node = self.tape.add(Source("varying", len(self.draws)))
        self.draws.append(read)
        number: Any = found if is_recorded(found) else number_at(node, float(found), self.tape)
        if key is not None:
            self.guards.append((lambda: isinstance(read(), Value), False, None))
            self._settings[key] = number
        return number

    def fixed(self, read: Callable[[], Any], of: object) -> Any:
        found = self.unrecorded(read)
        self.guards.append((read, found, of))
        return found

    def refuse(self, what: str, instead: str) -> NoReturn:
        refuse(what, instead)

    def demand(self, condition: Any) -> Any:
        # 1 / condition raises at 0, so `simplify` keeps the division, whose result is not used.
        self.tape.add(ops.div, (ONE, self.node_of(condition)))
        self.given_up |= not plain(condition)  # the error that follows may be caught
        return plain(condition)

    def unrecorded(self, function: Callable[[], Any]) -> Any:
        with entered(current, OUTSIDE):
            return function()
