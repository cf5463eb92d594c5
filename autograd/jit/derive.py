"""How are the gradients of a recording computed? By more nodes of the same recording.

The chain rule runs over the nodes as autograd/sweep.py runs over Values: the same rules, the same
order of visits and of additions, so that a replay equals the eager call to the last bit. Where the
eager sweep computes a product or a sum of gradients, a node is added here.

The rule of a primitive is run only once, on stand-ins for its operands. The operations that it did
are then copied for every node of that primitive. (Once for each signature: a rule may do something
else where an operand is a plain number.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from struct import pack, unpack
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from autograd import ops
from autograd.context import INSIDE, current, entered
from autograd.jit.graph import COPY, LEAF, NUMBER, RESULT, Source, Tape
from autograd.jit.recorded import Number, number_at
from autograd.jit.refusal import TraceError, refuse
from autograd.jit.tracer import Tracer
from autograd.primitive import CONSTANT, Primitive
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.jit.recorder import Recorder

# A gradient or a local derivative: a node, or a float if it is the same number in every replay.
NodeOrFloat: TypeAlias = int | float


def backward(recorder: Recorder, output: int) -> None:
    """The nodes of what `backward()` of a node writes into `.grad`."""
    tracer = recorder.tracer
    tape, leaves = tracer.tape, tracer.leaves
    inner, reached, gradients = _sweep(recorder, output, None)
    for node in inner:
        gradient = gradients.get(node)
        if gradient is None:
            tracer.gradients.pop(node, None)
        else:
            tracer.gradients[node] = _as_node(tape, gradient)
    for node in reached:
        gradient = gradients.get(node)
        if gradient is None:
            continue
        leaf = leaves.owner.get(node)
        zero = tape.constant(0.0)
        before = tracer.gradients.get(node, zero) if leaf is None else leaves.gradient[leaf]
        if before != zero:  # the eager sum begins with 0.0, so it is never -0.0
            gradient = tape.add(ops.add, (zero, _as_node(tape, gradient)))
        total = tape.add(ops.add, (before, _as_node(tape, gradient)))
        if leaf is None:  # a result without history
            tracer.gradients[node] = total
        else:
            leaves.gradient[leaf] = total


def inputs_of(tracer: Tracer, inputs: Sequence[Value]) -> list[int]:
    """The nodes by which the gradients of these inputs are known."""
    for i, value in enumerate(inputs):
        if not isinstance(value, Value):
            raise TypeError(f"inputs[{i}] must be a Value, not a number")
    nodes = [tracer.leaves.first.get(node, node) for node in map(tracer.node_of, inputs)]
    if not tracer.tape.constants.keys().isdisjoint(nodes):
        refuse("a gradient by a plain number cannot be taken", "make it a Value")
    return nodes


def grad(recorder: Recorder, output: int, inputs: list[int]) -> list[int | None]:
    """The nodes of the gradients of a node by others; None for one that is a constant."""
    tape = recorder.tracer.tape
    _, _, gradients = _sweep(recorder, output, inputs)
    found: list[int | None] = []
    for node in inputs:
        gradient = gradients.get(node, 0.0)
        if gradient.__class__ is float:
            found.append(None)
            continue
        place = cast(int, gradient)
        is_graph = recorder.history and tape.kinds[place] != NUMBER
        found.append(place if is_graph else tape.add(COPY, (place,), LEAF))
    return found


def _as_node(tape: Tape, gradient: NodeOrFloat) -> int:
    return tape.constant(gradient) if gradient.__class__ is float else cast(int, gradient)


# --- the chain rule -------------------------------------------------------------------------------


def _sweep(
    recorder: Recorder, output: int, inputs: list[int] | None
) -> tuple[list[int], list[int], dict[int, NodeOrFloat]]:
    """What the output depends on, as inner nodes and leaves, and the gradients on them.

    A leaf is known by its first node. Gradients go to all nodes, or only to the given inputs.
    """
    tape, first = recorder.tracer.tape, recorder.tracer.leaves.first
    kinds, operations, operands = tape.kinds, tape.operations, tape.operands
    if kinds[output] != RESULT:
        output = first.get(output, output)
    inner, leaves = _ancestors(tape, first, output)
    wanted = None if inputs is None else _between(tape, first, inner, inputs)
    new = _adder(tape, RESULT if recorder.history else LEAF)
    slope = LocalDerivatives(recorder)
    gradients: dict[int, Any] = {output: 1.0}
    for node in inner:
        upstream = gradients.get(node, 0.0)
        if upstream.__class__ is float and upstream == 0.0:
            continue
        parents = operands[node]
        for position, rule in enumerate(cast(Primitive, operations[node]).backward):
            if rule is None:
                continue
            parent = parents[position]
            if first:
                parent = first.get(parent, parent)
            if not kinds[parent] if wanted is None else parent not in wanted:
                continue
            local: Any = rule
            if rule.__class__ is not float:
                local = slope.of(node, position, upstream)
            if upstream.__class__ is float and local.__class__ is float:
                contribution: Any = upstream * local
            elif upstream.__class__ is float and upstream == 1.0:
                contribution = local
            elif local.__class__ is float and local == 1.0:
                contribution = upstream
            else:
                contribution = new(ops.mul, upstream, local)
            before = gradients.get(parent)
            if before is None:
                gradients[parent] = contribution
            elif before.__class__ is float and contribution.__class__ is float:
                gradients[parent] = before + contribution
            else:
                gradients[parent] = new(ops.add, before, contribution)
    return inner, leaves, gradients


def _adder(tape: Tape, kind: int) -> Callable[[Primitive, Any, Any], int]:
    """A function that adds a node of this kind for an operation on two nodes or floats."""
    kinds, constant = tape.kinds, tape.constant
    operations, operands = tape.operations, tape.operands

    def new(primitive: Primitive, a: Any, b: Any) -> int:
        x = constant(a) if a.__class__ is float else a
        y = constant(b) if b.__class__ is float else b
        operations.append(primitive)
        operands.append((x, y))
        kinds.append(kind)
        return len(kinds) - 1

    return new


def _ancestors(tape: Tape, first: dict[int, int], output: int) -> tuple[list[int], list[int]]:
    """Inner nodes that the output depends on, the newest first, and leaves."""
    kinds, operands = tape.kinds, tape.operands
    if kinds[output] != RESULT:
        return [], [output] if kinds[output] else []
    inner: list[int] = []
    leaves: list[int] = []
    seen = {output}
    waiting = [output]
    while waiting:
        node = waiting.pop()
        if kinds[node] != RESULT:
            leaves.append(node)
            continue
        inner.append(node)
        for operand in operands[node]:
            if kinds[operand] == NUMBER:
                continue
            operand = first.get(operand, operand)
            if operand not in seen:
                seen.add(operand)
                waiting.append(operand)
    inner.sort(reverse=True)  # a node has a larger number than its operands
    return inner, leaves


def _between(tape: Tape, first: dict[int, int], inner: list[int], inputs: list[int]) -> set[int]:
    """The inputs, and every node that depends on one."""
    wanted, operands = set(inputs), tape.operands
    for node in reversed(inner):
        if any(first.get(operand, operand) in wanted for operand in operands[node]):
            wanted.add(node)
    return wanted


# --- local derivatives ----------------------------------------------------------------------------

# The signature of a rule has an entry for each operand: _ANY, or the node of a constant, whose
# number the rule may look at (such as the exponent of `x ** 3`).
_ANY = -1
_ALL_VALUES = ((), (_ANY,), (_ANY, _ANY))
# What stands for a number that a rule may not look at: a nan that can be told from others, so that
# what C code makes of it, such as `math.cos(x)`, is recognised.
_BITS = (0x7FF8_0000_0AD0_67AD).to_bytes(8, "little")
(_UNKNOWN,) = unpack("<d", _BITS)


def _power_by_base(out: Any, x: Any, n: Any) -> Any:
    """The slope of `x ** n` where n is not known: what the rule in ops.py gives, by choices."""

    def is_number(k: float) -> Any:
        return (1.0 - ops.greater(n, k)) * (1.0 - ops.less(n, k))

    rest = (n - 1.0) + 1.0 - n
    is_exact = (1.0 - ops.greater(rest, 0.0)) * (1.0 - ops.less(rest, 0.0))
    slope = ops.where(is_exact, n * x ** (n - 1.0), n * out / x)
    slope = ops.where(is_number(2.0), 2.0 * x, slope)
    slope = ops.where(is_number(1.0), 1.0, slope)
    return ops.where(is_number(0.0), 0.0, slope)


class _UsesMore(Exception):
    """A rule uses Values besides its operands."""


class _OfRule(Tracer):
    """The tracer of a rule: its numbers have nodes, and nobody knows them."""

    def compute(self, function: Callable[..., Any], operands: Sequence[Any]) -> Any:
        """What stands for the result."""
        return _UNKNOWN

    def node_of(self, operand: Any) -> int:
        """The node of an operand."""
        if operand.__class__ is float and operand != operand and pack("<d", operand) == _BITS:
            refuse(
                "a rule that computes with the `math` module cannot be used",
                "write the rule in arithmetic and Primitives, as in ops.cos(x)",
            )
        return super().node_of(operand)


class _OfRuleAlone(_OfRule):
    """The tracer of a rule that uses its operands only."""

    def _first_use(self, value: Value) -> int:
        if value._primitive is not CONSTANT and value._made < self.start:
            raise _UsesMore
        return super()._first_use(value)


class _Rule(NamedTuple):
    """A local derivative as a recording of its own.

    Places 0, 1, ... are the result of the primitive and its operands; the steps follow.

    steps: (operation, the places of its operands), or (a constant, ()).
    result: the place of the derivative, or the derivative itself if it is a float.
    """

    steps: list[tuple[Primitive | float, tuple[int, ...]]]
    result: NodeOrFloat


class LocalDerivatives:
    """The local derivatives of nodes, as nodes of the same recording."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder, self._tracer = recorder, recorder.tracer
        self._tape, self._rules = recorder.tracer.tape, recorder.tracer.rules
        leaves = recorder.tracer.leaves
        # Like the eager rules, these see the numbers that leaves have now, also where a leaf was
        # assigned to after the operation.
        self._now = {}
        if leaves.first:
            self._now = {node: recorder.tracer.nodes[leaf] for node, leaf in leaves.owner.items()}

    def of(self, node: int, position: int, upstream: NodeOrFloat) -> NodeOrFloat:
        """d node / d operand, for the operand at this position."""
        kinds = self._tape.kinds
        primitive = cast(Primitive, self._tape.operations[node])
        parents = self._tape.operands[node]
        if self._now:
            parents = tuple([self._now.get(parent, parent) for parent in parents])
        if kinds[parents[0]] and kinds[parents[-1]] and len(parents) <= 2:  # the usual case
            signature: tuple[int, ...] = _ALL_VALUES[len(parents)]
        else:
            signature = self._signature(parents)
        key = primitive, position, signature
        if key not in self._rules:
            self._rules[key] = _recorded_rule(self._recorder, *key)
        rule = self._rules[key]
        if rule is None:
            constants = self._tape.constants
            beside = copy(self._tracer)  # it adds to the same nodes
            beside.__class__ = _OfRule
            given = [
                constants[n] if n in constants else number_at(n, _UNKNOWN, beside)
                for n in (node, *parents)
            ]
            history = self._recorder.history
            local = _run(self._recorder, beside, history, primitive.backward[position], given)
        elif rule.steps:
            local = self._copy(rule, [node, *parents])
        else:
            result = rule.result
            local = result if result.__class__ is float else (node, *parents)[cast(int, result)]
        if position in primitive.nan_slopes:
            local = self._unless_0(upstream, local)
        return local

    def _signature(self, parents: tuple[int, ...]) -> tuple[int, ...]:
        constants = self._tape.constants
        return tuple([p if p in constants else _ANY for p in parents])

    def _unless_0(self, upstream: NodeOrFloat, local: NodeOrFloat) -> NodeOrFloat:
        """A local derivative, or 0 where the gradient that it is multiplied with is 0.

        Eagerly a gradient of 0 passes nothing on. A replay multiplies, and 0 * nan is nan.
        """
        if self._recorder.history or upstream.__class__ is float:
            return local
        tape = self._tape
        choice = (cast(int, upstream), _as_node(tape, local), tape.constant(0.0))
        return tape.add(ops.where, choice, LEAF)

    def _copy(self, rule: _Rule, places: list[int]) -> int:
        """Add the steps of a rule. Places are the result of the primitive and its operands."""
        tape = self._tape
        kinds, operations, operands = tape.kinds, tape.operations, tape.operands
        kind_of_result = RESULT if self._recorder.history else LEAF
        for operation, before in rule.steps:
            if operation.__class__ is float:
                places.append(tape.constant(operation))
                continue
            found = tuple([places[place] for place in before])
            kind = NUMBER
            for operand in found:
                if kinds[operand]:
                    kind = kind_of_result
            operations.append(cast(Primitive, operation))
            operands.append(found)
            kinds.append(kind)
            places.append(len(kinds) - 1)
        return places[cast(int, rule.result)]


def _recorded_rule(
    recorder: Recorder, primitive: Primitive, position: int, signature: tuple[int, ...]
) -> _Rule | None:
    """Run a rule on stand-ins. None if it uses more than its operands, so it has no fixed steps."""
    rule = primitive.backward[position]
    if primitive is ops.pow and signature[1] == _ANY:
        rule = _power_by_base
    constants = recorder.tracer.tape.constants
    alone = _OfRuleAlone()
    given = [
        number_at(alone.tape.add(Source("argument", i), (), LEAF), _UNKNOWN, alone)
        if entry == _ANY
        else constants[entry]
        for i, entry in enumerate([_ANY, *signature])
    ]
    try:
        local = _run(recorder, alone, True, rule, given)
    except _UsesMore:
        return None
    if local.__class__ is float:
        return _Rule([], local)
    if alone.draws or alone.guards:
        return None
    return _as_rule(alone.tape, cast(int, local), len(given))


def _run(
    recorder: Recorder, tracer: Tracer, history: bool, rule: Any, given: list[Any]
) -> NodeOrFloat:
    """Run a rule under a tracer of its own: a node of this tracer, or a float."""
    under = recorder.of(tracer)[history]
    try:
        with entered(current, current.get().under(under, INSIDE)):
            local = rule(*given)
            if isinstance(local, Value | Number):
                return tracer.node_of(local)
            tracer.node_of(float(local))  # raises for what C code made of a stand-in
            return float(local)
    except TraceError as error:
        recorder.tracer.refused = recorder.tracer.refused or error
        raise


def _as_rule(tape: Tape, result: int, given: int) -> _Rule:
    """The steps of a recorded rule, which began with the given places."""
    steps: list[tuple[Primitive | float, tuple[int, ...]]] = []
    place: list[int] = []
    for operation, before in zip(tape.operations, tape.operands, strict=True):
        if isinstance(operation, Source) and operation.kind == "argument":
            place.append(operation.key)
            continue
        place.append(given + len(steps))
        if isinstance(operation, Source):
            steps.append((operation.key, ()))
        else:
            operands = tuple([place[operand] for operand in before])
            steps.append((cast(Primitive, operation), operands))
    return _Rule(steps, place[result])
