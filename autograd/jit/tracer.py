"""Which node does an operation on recorded Values add? The tracer makes the nodes of a recording.

`Tracer` turns operands into nodes and operations into new nodes, and answers what a library asks
of a recording (hooks.py). `Leaves` keeps track of the leaves that the function uses. Derivatives
are added to the same nodes by derive.py.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, cast

from autograd import ops
from autograd.context import INSIDE, current
from autograd.hooks import Hooks
from autograd.jit.graph import COPY, LEAF, NUMBER, RESULT, Graph, Source, Tape
from autograd.jit.recorded import CAPTURED, Captured, Number, Recorded
from autograd.jit.refusal import TraceError, refuse
from autograd.primitive import CONSTANT, Primitive
from autograd.value import Operand, Value, as_operand

_new = object.__new__


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
        data, gradient: the node of each leaf's number, and of its gradient, at this point.
        created: the leaves that the function created, with the number and gradient that they had.
        owner: the leaf whose number a node is.
        first: the first node of a leaf, for each node that it was assigned later. The graph of
            gradients knows a leaf by its first node.
    """

    def __init__(self) -> None:
        self.data: dict[Value, int] = {}
        self.gradient: dict[Value, int] = {}
        self.created: dict[Value, tuple[float, float]] = {}
        self.owner: dict[int, Value] = {}
        self.first: dict[int, int] = {}
        self._starts: dict[Value, tuple[int, int]] = {}  # first nodes of the leaves from outside

    def enter(self, leaf: Value, node: int, gradient: int) -> None:
        """Note a leaf and its first nodes."""
        self.data[leaf], self.gradient[leaf] = node, gradient
        self.owner[node] = leaf

    def enter_from_outside(self, leaf: Value, tape: Tape) -> None:
        """Note a leaf whose number and gradient are read at each replay."""
        position = len(self._starts)
        node = tape.add(Source("data", position), (), LEAF)
        gradient = tape.add(Source("grad", position))
        self._starts[leaf] = node, gradient
        self.enter(leaf, node, gradient)

    def reassign(self, leaf: Value, before: int, node: int) -> None:
        """Note that the number of a leaf is another node from now on."""
        self.data[leaf] = node
        self.first[node] = self.first.get(before, before)
        self.owner[node] = leaf

    def restore_created(self) -> None:
        """Make the leaves that were created inside plain Values again."""
        for leaf, (data, grad) in self.created.items():
            leaf.__class__ = Value
            leaf.data, leaf.grad = data, grad

    def clear(self) -> None:
        """Hold no leaf any more."""
        for held in (self.data, self.gradient, self.created, self.owner, self._starts):
            held.clear()

    def captured(self, stand_ins: Sequence[Value]) -> list[Value]:
        """The leaves from outside that were used, without those that stand for arguments."""
        return [leaf for leaf in self._starts if not any(leaf is given for given in stand_ins)]

    def from_outside(self, stand_ins: Sequence[Value], graph: Graph) -> list[Leaf]:
        """The leaves from outside that were used, in the order in which they are last assigned to.

        In that order all parameters stand together, and so do all moments of one kind. The sources
        of the graph are renumbered accordingly.
        """
        passed = {id(value): k for k, value in enumerate(stand_ins)}
        found = [
            Leaf(leaf, passed.get(id(leaf)), data, self.data[leaf], grad, self.gradient[leaf])
            for leaf, (data, grad) in self._starts.items()
        ]
        order = sorted(range(len(found)), key=lambda i: (found[i].data_end, i))
        position = {before: after for after, before in enumerate(order)}
        operations = graph.operations
        for node, operation in enumerate(operations):
            if operation.__class__ is Source and operation.kind in ("data", "grad"):
                operations[node] = Source(operation.kind, position[operation.key])
        return [found[i] for i in order]


class Tracer(Hooks):
    """Makes the nodes of one recording.

    Attributes:
        tape: the nodes. leaves: the leaves that were used.
        gradients: the node of the gradient of each inner node.
        rules: the local derivatives that were recorded; see derive.py.
        draws: what is read again at each replay. streams: gives the random.Random of each draw.
        guards: (read, what it gave): a replay holds only while `read` gives the same.
    """

    recording = True

    def __init__(self) -> None:
        self.tape = Tape()
        self.leaves = Leaves()
        self.gradients: dict[int, int] = {}
        self.rules: dict[Any, Any] = {}
        self.draws: list[Callable[[], float]] = []
        self.streams: dict[Callable[[], random.Random], None] = {}
        self.guards: list[tuple[Callable[[], Any], Any]] = []
        self._settings: dict[Any, int] = {}  # the node of what `varying` read, by key

    # --- nodes of Values ---

    def node_of(self, operand: Any) -> int:
        """The node of an operand: a Value of any kind or a plain number."""
        kind = operand.__class__
        if issubclass(kind, Recorded):
            if operand.tracer is not self:
                operand._recording()
            return cast(int, operand.node)
        if kind is float:
            return self.tape.constant(operand)
        if isinstance(operand, Value):
            if operand._primitive is CONSTANT:
                if isinstance(operand, Captured):
                    return self.node_of(operand.slot("data").__get__(operand))
                return self.node_of(operand.data)
            node = self.leaves.data.get(operand)
            return self._first_use(operand) if node is None else node
        value = as_operand(operand)
        if value is None:
            raise TypeError(f"a Value holds a real number, not {operand!r}")
        return self.tape.constant(value.data)

    def _first_use(self, leaf: Value) -> int:
        """The node of a leaf that was not used before."""
        if leaf._left is not None:
            refuse(
                f"{leaf.label or 'a Value'} was computed before, and cannot be used",
                "compute it inside the function, or pass .detach() of it",
            )
        if isinstance(leaf, Captured):
            self.leaves.enter_from_outside(leaf, self.tape)
        elif type(leaf) is not Value:
            refuse(f"a {type(leaf).__name__} cannot be used", "use Values themselves")
        elif gc.get_freeze_count():
            raise TraceError("gc.freeze() hides Values from the recording: call it afterwards")
        else:  # the function created it: every Value that existed before is captured
            data, grad = leaf.data, leaf.grad
            node = self.tape.add(COPY, (self.node_of(data),), LEAF)
            gradient = self.node_of(grad)
            self.leaves.created[leaf] = data, grad
            leaf.__class__ = CAPTURED[Value]
            self.leaves.enter(leaf, node, gradient)
        return self.leaves.data[leaf]

    def gradient_of(self, leaf: Value) -> int:
        """The node of a leaf's gradient."""
        if leaf._primitive is CONSTANT:
            return self.tape.constant(0.0)
        if leaf not in self.leaves.gradient:
            self._first_use(leaf)
        return self.leaves.gradient.get(leaf) or self.tape.constant(0.0)

    def assign(self, leaf: Value, number: Any = None, grad: Any = None) -> None:
        """Give a leaf another number, another gradient or both from now on."""
        if isinstance(leaf, Recorded):
            refuse("a result cannot be assigned to", "assign to leaves only")
        tape, leaves = self.tape, self.leaves
        before = self.node_of(leaf)
        if number is not None:
            node = tape.add(COPY, (self.node_of(number),), tape.kinds[before])
            leaves.reassign(leaf, before, node)
            if leaf in leaves.created:  # Python code may read its .data
                kept = number if number.__class__ is float else self.number(node)
                cast(Captured, leaf).slot("data").__set__(leaf, kept)
        if grad is not None:
            leaves.gradient[leaf] = self.node_of(grad)

    # --- Values of nodes ---

    def recorded(self, node: int, kind: type[Recorded] = Recorded) -> Recorded:
        """A Value that stands for this node."""
        value = _new(kind)
        value.node = node
        value.tracer = self
        value._context = INSIDE
        return value

    def is_number(self, operand: Any) -> bool:
        """Whether an operand is a plain number, or stands for one."""
        return self.tape.kinds[self.node_of(operand)] == NUMBER

    def number(self, node: int) -> Recorded:
        """The number of a node, as a plain one through which no gradient flows."""
        if self.tape.kinds[node] != NUMBER:
            node = self.tape.add(COPY, (node,))
        return self.recorded(node, Number)

    def value(self, node: int) -> Value:
        """The Value that stands for this node in the function."""
        leaf = self.leaves.owner.get(node)
        if leaf is not None:
            return leaf
        return self.recorded(node, Recorded if self.tape.kinds[node] != NUMBER else Number)

    def detached(self, node: int, label: str) -> Value:
        """A leaf with the number of a node."""
        leaf = self.recorded(self.tape.add(COPY, (node,), LEAF))
        leaf.label = label
        leaf._context = current.get().leaf  # whether a module counts it as a parameter
        return leaf

    # --- operations ---

    def apply(self, primitive: Primitive, operands: Sequence[Any], history: bool) -> Value:
        """The result of a primitive; with `history` it remembers its operands."""
        tape = self.tape
        kinds, kind = tape.kinds, NUMBER
        nodes = []
        for operand in operands:
            if operand.__class__ is Recorded and operand.tracer is self:
                node = operand.node
            else:
                node = self.node_of(operand)
            nodes.append(node)
            if kinds[node]:
                kind = RESULT
        if kind and not history:
            kind = LEAF
        # `tape.add` and `recorded`, written out: most of a recording is spent here.
        value = _new(Recorded if kind else Number)
        value.node = len(kinds)
        value.tracer = self
        value._context = INSIDE
        tape.operations.append(primitive)
        tape.operands.append(tuple(nodes))
        kinds.append(kind)
        return value

    def weighted_sum(
        self, weights: Sequence[Value], inputs: Sequence[Operand], start: Value, history: bool
    ) -> Value:
        """start + w_1 x_1 + w_2 x_2 + ...: the nodes of the operators, added in one go."""
        kinds = self.tape.kinds
        total = self.node_of(start)
        factors = [
            (
                w.node if w.__class__ is Recorded else self.node_of(w),
                x.node if x.__class__ is Recorded else self.node_of(x),
            )
            for w, x in zip(weights, inputs, strict=True)
        ]
        first = len(kinds)
        operands = []
        for k, pair in enumerate(factors):
            product = first + 2 * k
            operands += [pair, (total, product)]
            total = product + 1
        self.tape.operations += [ops.mul, ops.add] * len(factors)
        self.tape.operands += operands
        kinds += bytes([RESULT if history else LEAF]) * len(operands)
        return self.recorded(total)

    # --- what a library asks of a recording ---

    def varying(
        self,
        read: Callable[[], Any],
        key: Any = None,
        stream: Callable[[], random.Random] | None = None,
    ) -> Any:
        """See `hooks.varying`."""
        if key is not None and isinstance(value := read(), Value):
            self.guards.append((read, value))
            return value
        node = self._settings.get(key) if key is not None else None
        if node is None:
            node = self.tape.add(Source("varying", len(self.draws)))
            self.draws.append(read)
            if key is not None:
                self.guards.append((lambda: isinstance(read(), Value), False))
                self._settings[key] = node
            if stream is not None:
                self.streams[stream] = None
        return self.recorded(node, Number)

    def fixed(self, read: Callable[[], Any]) -> Any:
        """See `hooks.fixed`."""
        value = read()
        self.guards.append((read, value))
        return value

    def refuse(self, what: str, instead: str) -> NoReturn:
        """See `hooks.refuse`."""
        refuse(what, instead)

    def number_of(self, number: Any) -> Any:
        """See `hooks.number_of`."""
        return self.number(self.node_of(number)) if isinstance(number, Value) else float(number)

    def demand(self, condition: Any) -> None:
        """See `hooks.require`."""
        # 1 / 0 raises, so the division is kept although nothing uses its result.
        self.tape.add(ops.div, (self.tape.constant(1.0), self.node_of(condition)))
