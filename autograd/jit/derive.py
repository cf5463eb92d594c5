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
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from autograd import ops
from autograd.context import INSIDE, current, entered
from autograd.jit.graph import COPY, LEAF, NUMBER, RESULT, Source, Tape
from autograd.jit.recorded import Number
from autograd.jit.refusal import refuse
from autograd.primitive import Primitive
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.jit.recorder import Recorder
    from autograd.jit.tracer import Tracer

# A gradient or a local derivative: a node, or a float if it is the same number in every replay.
NodeOrFloat: TypeAlias = int | float


def backward(recorder: Recorder, output: Value) -> None:
    """The nodes of what `output.backward()` writes into `.grad`."""
    tracer = recorder.tracer
    tape, leaves = tracer.tape, tracer.leaves
    inner, reached, gradients = _sweep(recorder, tracer.node_of(output), None)
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
        if leaf is None:  # the function detached it
            before = tracer.gradients.get(node, tape.constant(0.0))
            tracer.gradients[node] = tape.add(ops.add, (before, _as_node(tape, gradient)))
        else:
            before = leaves.gradient[leaf]
            leaves.gradient[leaf] = tape.add(ops.add, (before, _as_node(tape, gradient)))


def grad(recorder: Recorder, output: Value, inputs: Sequence[Value]) -> list[Value]:
    """The gradients of the output by the inputs; they remember how they were made if results do."""
    tracer = recorder.tracer
    for i, value in enumerate(inputs):
        if value._stands_for_number:
            raise TypeError(f"inputs[{i}] must be a Value, not a number")
    nodes = [tracer.leaves.first.get(node, node) for node in map(tracer.node_of, inputs)]
    if not tracer.tape.constants.keys().isdisjoint(nodes):
        refuse("a gradient by a plain number cannot be taken", "make it a Value")
    _, _, gradients = _sweep(recorder, tracer.node_of(output), nodes)
    return [_as_value(tracer, gradient) for gradient in [gradients.get(n, 0.0) for n in nodes]]


def _as_node(tape: Tape, gradient: NodeOrFloat) -> int:
    return tape.constant(gradient) if gradient.__class__ is float else cast(int, gradient)


def _as_value(tracer: Tracer, gradient: NodeOrFloat) -> Value:
    if gradient.__class__ is float:
        return Value(gradient)
    node = cast(int, gradient)
    if tracer.tape.kinds[node] == NUMBER:
        node = tracer.tape.add(COPY, (node,), LEAF)
    return tracer.value(node)


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

# The signature of a rule has an entry for each operand: _ANY_VALUE, _ANY_NUMBER, or the node of a
# constant, whose number the rule may look at (such as the exponent of `x ** 3`).
_ANY_VALUE, _ANY_NUMBER = -1, -2
_ALL_VALUES = ((), (_ANY_VALUE,), (_ANY_VALUE, _ANY_VALUE))


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
            self._now = {node: leaves.data[leaf] for node, leaf in leaves.owner.items()}

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
            local = self._run(node, parents, *key)
        elif rule.steps:
            local = self._copy(rule, [node, *parents])
        else:
            result = rule.result
            local = result if result.__class__ is float else (node, *parents)[cast(int, result)]
        if position in primitive.nan_slopes:
            local = self._unless_0(upstream, local)
        return local

    def _signature(self, parents: tuple[int, ...]) -> tuple[int, ...]:
        constants, kinds = self._tape.constants, self._tape.kinds
        return tuple(
            [p if p in constants else _ANY_VALUE if kinds[p] else _ANY_NUMBER for p in parents]
        )

    def _unless_0(self, upstream: NodeOrFloat, local: NodeOrFloat) -> NodeOrFloat:
        """A local derivative, or 0 where the gradient that it is multiplied with is 0.

        Eagerly a gradient of 0 passes nothing on. A replay multiplies, and 0 * nan is nan.
        """
        if self._recorder.history or upstream.__class__ is float:
            return local
        tape = self._tape
        choice = (cast(int, upstream), _as_node(tape, local), tape.constant(0.0))
        return tape.add(ops.where, choice, LEAF)

    def _run(
        self,
        node: int,
        parents: tuple[int, ...],
        primitive: Primitive,
        position: int,
        signature: tuple[int, ...],
    ) -> NodeOrFloat:
        """Run the rule on this node."""
        tracer = self._tracer
        operands = [
            tracer.value(parent) if entry < 0 else tracer.tape.constants[entry]
            for parent, entry in zip(parents, signature, strict=True)
        ]
        local = cast(Any, primitive.backward[position])(tracer.value(node), *operands)
        return tracer.node_of(local) if isinstance(local, Value) else float(local)

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
    constants = recorder.tracer.tape.constants
    apart = recorder.apart()
    tracer = apart.tracer
    tape = tracer.tape
    out = tracer.recorded(tape.add(Source("argument", 0), (), LEAF))
    operands: list[Any] = []
    for i, entry in enumerate(signature, 1):
        if entry == _ANY_VALUE:
            operands.append(tracer.recorded(tape.add(Source("argument", i), (), LEAF)))
        elif entry == _ANY_NUMBER:
            operands.append(tracer.recorded(tape.add(Source("argument", i)), Number))
        else:
            operands.append(constants[entry])
    try:
        with entered(current, current.get().under(apart, INSIDE)):
            local = cast(Any, primitive.backward[position])(out, *operands)
            if not isinstance(local, Value):
                return _Rule([], float(local))
            result = tracer.node_of(local)
    finally:
        uses_more = bool(tracer.leaves.data or tracer.draws or tracer.guards)
        tracer.leaves.restore_created()
    return None if uses_more else _as_rule(tape, result, len(signature) + 1)


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
