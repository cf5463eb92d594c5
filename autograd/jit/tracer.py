"""Which node does an operation of a recorded function add? The tracer knows the node of each Value.

`Tracer` gives a node to each result, reads and writes of leaves, and what a library asks of a
recording (hooks.py). `Leaves` keeps track of the leaves that the function uses. Derivatives are
added to the same nodes by derive.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, NoReturn, cast

from autograd import ops
from autograd.clock import clock
from autograd.context import OUTSIDE, current, entered
from autograd.hooks import Hooks
from autograd.jit.capture import at_once, own, set_own, writers
from autograd.jit.graph import COPY, LEAF, NUMBER, Graph, Source, Tape
from autograd.jit.leaves import Linked
from autograd.jit.recorded import EXACT, Number, number_at, plain
from autograd.jit.refusal import TraceError, is_interrupt, refuse
from autograd.messages import no_gradient
from autograd.primitive import CONSTANT, Primitive
from autograd.value import Value, as_float, as_operand


class Leaf(NamedTuple):
    """A leaf from outside: the nodes of its number and gradient at the beginning, and at the end.

    passed: its position among the Values that were passed as arguments; None if it was not passed
        but captured by the function.
    """

    value: Value
    passed: int | None
    data: int
    data_end: int
    grad: int
    grad_end: int


class Leaves:
    """The leaves that a recorded function has used so far.

    Attributes:
        gradient: the node of each leaf's gradient at this point.
        owner: the leaf whose number a node is.
        first: the first node of a leaf, for each node that it was assigned later. The graph of
            gradients knows a leaf by its first node.
        before: the number and the gradient that each leaf from outside had.
    """

    def __init__(self) -> None:
        self.gradient: dict[Value, int] = {}
        self.owner: dict[int, Value] = {}
        self.first: dict[int, int] = {}
        self.before: dict[Value, tuple[float, float]] = {}
        self.starts: dict[Value, tuple[int, int]] = {}

    def enter_from_outside(self, leaf: Value, tape: Tape) -> int:
        """Note a leaf whose number and gradient are read at each replay; its node."""
        position = len(self.starts)
        node = tape.add(Source("data", position), (), LEAF)
        gradient = tape.add(Source("grad", position))
        self.starts[leaf] = node, gradient
        self.before[leaf] = own(leaf, "data"), own(leaf, "grad")
        self.gradient[leaf], self.owner[node] = gradient, leaf
        return node

    def from_outside(
        self, now: dict[Value, int], passed: Sequence[Value], graph: Graph
    ) -> list[Leaf]:
        """The leaves from outside that were used, in the order in which they are last assigned to.

        In that order all parameters stand together, and so do all moments of one kind. The sources
        of the graph are renumbered accordingly. `now` has the last node of each leaf.
        """
        places = {id(value): k for k, value in enumerate(passed)}
        found = [
            Leaf(leaf, places.get(id(leaf)), data, now[leaf], grad, self.gradient[leaf])
            for leaf, (data, grad) in self.starts.items()
        ]
        order = sorted(range(len(found)), key=lambda i: (found[i].data_end, i))
        position = {before: after for after, before in enumerate(order)}
        operations = graph.operations
        for node, operation in enumerate(operations):
            if operation.__class__ is Source and operation.kind in ("data", "grad"):
                operations[node] = Source(operation.kind, position[operation.key])
        return [found[i] for i in order]


class Tracer(Hooks):
    """Knows the nodes of one recording.

    Attributes:
        tape: the nodes. leaves: the leaves that were used.
        nodes: the node of each Value, at this point.
        gradients: the node of the gradient of each inner node.
        rules: the local derivatives that were recorded; see derive.py.
        draws: what is read again at each replay. streams: gives the random.Random of each draw, and
            the state that it had.
        guards: (read, what it gave): a replay holds only while `read` gives the same.
        recorders: the interpreters of the recording: results forget, results remember.
        has_failed: whether an operation has raised an error, which may decide what comes next.
        start: the number of the clock when the recording began.
        refused: the first TraceError, which ends the recording also where the function catches it.
    """

    recording = True
    recorders: tuple[Any, Any]

    def __init__(self) -> None:
        self.tape = Tape()
        self.leaves = Leaves()
        self.nodes: dict[Value, int] = {}
        self.gradients: dict[int, int] = {}
        self.rules: dict[Any, Any] = {}
        self.draws: list[Callable[[], float]] = []
        self.streams: dict[Callable[[], random.Random], Any] = {}
        self.guards: list[tuple[Callable[[], Any], Any]] = []
        self.refused: TraceError | None = None
        self.has_failed = False
        self._settings: dict[Any, Number] = {}  # what `varying` read, by key
        self._fresh: dict[Value, int] = {}  # the node of the number that a Value was made of
        self.start = next(clock.numbers)

    def undo(self) -> None:
        """Give leaves from outside, and the streams of draws, what they had before."""
        at_once(writers([(leaf, *before) for leaf, before in self.leaves.before.items()]))
        for stream, state in self.streams.items():
            stream().setstate(state)

    def apart(self) -> AbstractContextManager[None]:
        """Inside, arithmetic is the engine's own, and nothing is recorded."""
        return entered(current, OUTSIDE)

    # --- nodes of Values and numbers ---

    def node_of(self, operand: Any) -> int:
        """The node of an operand: a Value or a number."""
        kind = type(operand)
        if kind is Value:
            node = self.nodes.get(operand)
            return self._first_use(operand) if node is None else node
        if isinstance(operand, Number) and operand.tracer is self:
            return operand.node
        if kind is float:
            return self.tape.constant(operand)
        if isinstance(operand, Value):
            node = self.nodes.get(operand)
            return self._first_use(operand) if node is None else node
        if as_operand(operand) is None:
            raise TypeError(f"a Value holds a real number, not {operand!r}")
        return self.tape.constant(as_float(plain(operand)))

    def _first_use(self, value: Value) -> int:
        """The node of a Value that was not met before."""
        fresh = self._fresh.get(value)
        if value._primitive is CONSTANT:
            return self.tape.constant(own(value, "data")) if fresh is None else fresh
        if type(value) not in (Value, Linked):
            refuse(f"a {type(value).__name__} cannot be used", "use Values themselves")
        if value._left is not None:
            refuse(
                f"{value.label or 'a Value'} was computed before, and cannot be used",
                "compute it inside the function, or pass .detach() of it",
            )
        if fresh is None and value._made < self.start:
            node = self.leaves.enter_from_outside(value, self.tape)
        else:  # the function made it
            source = self.tape.constant(as_float(own(value, "data"))) if fresh is None else fresh
            node = self.tape.add(COPY, (source,), LEAF)
            self.leaves.owner[node] = value
            self.leaves.gradient[value] = self.tape.constant(own(value, "grad"))
        self.nodes[value] = node
        return node

    def gradient_of(self, value: Value) -> int:
        """The node of a Value's gradient."""
        node = self.node_of(value)
        if value._primitive is CONSTANT:
            return self.tape.constant(0.0)
        if value._left is None and value in self.leaves.gradient:
            return self.leaves.gradient[value]
        gradient = self.gradients.get(node)
        if gradient is None:
            return self.tape.constant(own(value, "grad"))
        # The eager sum begins with 0.0, which makes 0.0 of -0.0.
        return self.tape.add(ops.add, (self.tape.constant(0.0), gradient))

    def number_of_node(self, node: int, number: Any) -> Any:
        """A number with its node, one that no gradient flows through; a constant as it is."""
        tape = self.tape
        if tape.kinds[node] != NUMBER:
            if tape.operations[node] is COPY and tape.operands[node][0] in tape.constants:
                return number
            node = tape.add(COPY, (node,))
        return number if node in tape.constants else number_at(node, number, self)

    def note(self, primitive: Primitive, operands: Sequence[Any], kind: int) -> int:
        """Add the node of a primitive. It is a number's if no operand is a Value's, else `kind`."""
        tape, known = self.tape, self.nodes
        kinds, of_result = tape.kinds, NUMBER
        nodes = []
        for operand in operands:
            node = known.get(operand) if operand.__class__ is Value else None
            if node is None:
                node = self.node_of(operand)
            nodes.append(node)
            if kinds[node]:
                of_result = kind
        tape.operations.append(primitive)
        tape.operands.append(tuple(nodes))
        kinds.append(of_result)
        return len(kinds) - 1

    def note_sum(
        self, weights: Sequence[Value], inputs: Sequence[Any], start: Value, kind: int
    ) -> int:
        """Add the nodes of start + w_1 x_1 + w_2 x_2 + ..., as by the operators; the last one."""
        tape = self.tape
        total = self.node_of(start)
        factors = [(self.node_of(w), self.node_of(x)) for w, x in zip(weights, inputs, strict=True)]
        first = len(tape)
        operands: list[tuple[int, ...]] = []
        for k, pair in enumerate(factors):
            product = first + 2 * k
            operands += [pair, (total, product)]
            total = product + 1
        tape.operations += [ops.mul, ops.add] * len(factors)
        tape.operands += operands
        tape.kinds += bytes([kind]) * len(operands)
        return total

    def computed(
        self, primitive: Primitive, operands: Sequence[Any], function: Callable[..., Any]
    ) -> Number:
        """A number that is computed from others, with its node."""
        result = self.compute(function, operands)
        if isinstance(result, complex):
            refuse(f"{primitive.name} gives a complex number", "keep numbers in its domain")
        kind = cast(Any, current.get().interpreter).kind
        node = self.note(primitive, operands, kind)
        if not isinstance(result, int):
            return number_at(node, float(result), self)
        # A replay computes with floats, which are exact up to here.
        size = ops.abs(number_at(node, float(result), self))
        self.demand(1.0 - ops.greater(size, float(EXACT)))
        if abs(result) > EXACT:
            refuse(f"{result} is a whole number beyond 2**53", "pass floats, or compute it outside")
        return number_at(node, result, self)

    def compute(self, function: Callable[..., Any], operands: Sequence[Any]) -> Any:
        """The result of a function of plain numbers."""
        try:
            return function(*map(plain, operands))
        except Exception:
            self.has_failed = True
            raise

    # --- leaves ---

    def read(self, value: Value, name: str) -> Any:
        """What `value.data` or `value.grad` is in the function."""
        number = own(value, name)
        try:
            node = self.node_of(value) if name == "data" else self.gradient_of(value)
        except TraceError:
            if is_interrupt():
                self.refused = None
                return number
            raise
        return self.number_of_node(node, number)

    def write(self, value: Value, name: str, number: Any) -> None:
        """Assign to `value.data` or `value.grad` from now on."""
        if not hasattr(value, "_made"):  # it is being made: its class comes next
            if isinstance(number, Number) and number.tracer is self:
                self._fresh[value] = number.node
            set_own(value, name, plain(number))
            return
        if number is None:
            raise no_gradient(value.label)
        self.assign(value, name, number, plain(number))

    def assign(self, value: Value, name: str, source: Any, number: Any) -> None:
        """Write a number, which is that of `source`, to `value.data` or `value.grad`."""
        tape, leaves = self.tape, self.leaves
        before = self.node_of(value)
        node = self.node_of(source)
        if value._left is None and value not in leaves.gradient:  # a result without history
            leaves.owner[before] = value
            leaves.gradient[value] = self.gradients.pop(before, tape.constant(own(value, "grad")))
        if value._left is not None:
            if name == "data":
                refuse("a result cannot be assigned to", "assign to leaves only")
            self.gradients[before] = node
        elif name == "grad":
            leaves.gradient[value] = node
        else:
            node = tape.add(COPY, (node,), tape.kinds[before])
            self.nodes[value] = node
            leaves.first[node] = leaves.first.get(before, before)
            leaves.owner[node] = value
        set_own(value, name, number)

    # --- what a library asks of a recording ---

    def varying(
        self,
        read: Callable[[], Any],
        key: Any = None,
        stream: Callable[[], random.Random] | None = None,
    ) -> Any:
        """See `hooks.varying`."""
        if key in self._settings:
            return self._settings[key]
        if stream is not None and stream not in self.streams:
            self.streams[stream] = stream().getstate()
        with self.apart():
            found = read()
        if isinstance(found, Value):
            self.guards.append((read, found))
            return found
        number = number_at(self.tape.add(Source("varying", len(self.draws))), float(found), self)
        self.draws.append(read)
        if key is not None:
            self.guards.append((lambda: isinstance(read(), Value), False))
            self._settings[key] = number
        return number

    def fixed(self, read: Callable[[], Any]) -> Any:
        """See `hooks.fixed`."""
        with self.apart():
            found = read()
        self.guards.append((read, found))
        return found

    def refuse(self, what: str, instead: str) -> NoReturn:
        """See `hooks.refuse`."""
        refuse(what, instead)

    def demand(self, condition: Any, otherwise: Callable[[], Exception] | None = None) -> None:
        """See `hooks.require`."""
        # 1 / 0 raises, so the division is kept although nothing uses its result.
        self.tape.add(ops.div, (self.tape.constant(1.0), self.node_of(condition)))
        if not plain(condition) and otherwise is not None:
            with self.apart():
                raise otherwise()
