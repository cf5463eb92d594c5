"""Which nodes are the gradients of a recorded function? Those of the engine's own backward pass.

The engine computes the numbers of the gradients. Then its chain rule runs once more over the same
Values in the same order, with numbers that have nodes, and that nobody knows: whatever the numbers
are in a replay, it does what is noted here. (The engine passes a gradient that is 0 on to nobody.
A replay passes it on, which changes nothing but the sign of a zero; no sum that begins with 0.0 has
a sign. It computes eagerly where a 0 meets an infinity.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from struct import pack, unpack
from typing import Any

from autograd import ops
from autograd.context import INSIDE, Interpreter, current, entered
from autograd.jit.graph import ONE, Source
from autograd.jit.recorded import number_at
from autograd.jit.refusal import refuse
from autograd.jit.tracer import Tracer
from autograd.ops import is_row
from autograd.primitive import CONSTANT, Primitive, operands_of
from autograd.sums import WEIGHTED_SUM, Terms
from autograd.sweep import between, sweep
from autograd.value import Value
from autograd.walk import newest_first

# What stands for a number that nobody knows: a nan that can be told from others, so that what C
# code makes of it in a rule, such as `math.cos(x)`, is recognised.
_BITS = (0x7FF8_0000_0AD0_67AD).to_bytes(8, "little")
(_UNKNOWN,) = unpack("<d", _BITS)


class Derivation(Tracer):
    """A tracer beside that of the recording: it adds to the same nodes, and knows no numbers.

    Attributes:
        sofar: what has come to the gradient of each Value in this pass, as a sum of products: their
            factors, two by two.
    """

    def __init__(self, tracer: Tracer, interpreter: Callable[[Tracer], Interpreter]) -> None:
        vars(self).update(vars(tracer))
        self.interpreter = interpreter
        self.sofar: defaultdict[Value, list[int]] = defaultdict(list)

    def entered(self) -> entered:
        """Inside, a chain rule runs with numbers that nobody knows."""
        return entered(current, current.get().under(self.interpreter(self), INSIDE))

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

    def read(self, value: Value, name: str) -> Any:
        """What a rule gets for `value.data`, and what has come to `value.grad` so far."""
        if name == "data":
            return self._unknown(self.node_of(value))
        return self._unknown(self.received(value)) if value in self.sofar else _NOTHING

    def write(self, value: Value, name: str, number: Any) -> None:
        """Note what has come to `value.grad`; a Value that a rule makes is one as always."""
        if name == "grad" and hasattr(value, "_made"):
            self.sofar[value] = [self.node_of(number), ONE]
        else:
            super().write(value, name, number)

    def _unknown(self, node: int) -> Any:
        known = self.tape.constants.get(node)
        return number_at(node, _UNKNOWN, self.tape) if known is None else known

    def received(self, value: Value) -> int:
        """The node of what has come to the gradient of a Value so far."""
        factors = self.sofar[value]
        node = self.tape.sum(factors[::2], factors[1::2])
        self.sofar[value] = [node, ONE]
        return node

    def pass_on(self, node: Value) -> None:
        """Add what a node hands on to its operands."""
        primitive: Any = node._primitive
        if primitive in _LINEAR:
            self._pass_on_products(node, self.received(node))
        elif is_row(primitive):
            self._pass_on_by_rules(node, primitive, self.received(node))
        else:
            primitive.pull(node, self.read(node, "grad"))

    def _pass_on_by_rules(self, node: Value, primitive: Primitive, upstream: int) -> None:
        """The same by a graph of the slopes, which is made once for all nodes that are alike."""
        operands, constants = operands_of(node._left, node._right), self.tape.constants
        wanted = tuple([operand._primitive is not CONSTANT for operand in operands])
        given = [upstream, *self.nodes_of((node, *operands))]
        key = primitive, wanted, *[each if each in constants else None for each in given]
        if key not in self.slopes:
            self.slopes[key] = self._slopes(primitive, wanted, given)
        graph, slopes = self.slopes[key]
        nodes: list[int] = []
        for operation, below in zip(graph.operations, graph.operands, strict=True):
            if below:
                nodes.append(self.tape.add(operation, tuple([nodes[each] for each in below])))
            else:
                is_given = operation.kind == "argument"
                nodes.append(
                    given[operation.key] if is_given else self.tape.constant(operation.key)
                )
        for operand, slope in zip(operands, slopes, strict=True):
            if slope is not None:
                self.sofar[operand] += (upstream, nodes[slope])

    def _slopes(
        self, primitive: Primitive, wanted: Sequence[bool], given: Sequence[int]
    ) -> tuple[Any, list[int | None]]:
        """A graph of the slopes of a primitive, and the node of each; its arguments are `given`."""
        derivation = Derivation(Tracer(), self.interpreter)
        tape, numbers, slopes = derivation.tape, [], list[int | None]()
        for position, node in enumerate(given):
            number: Any = self.tape.constants.get(node)
            if number is None:
                number = number_at(tape.add(Source("argument", position)), _UNKNOWN, tape)
            numbers.append(number)
        with derivation.entered():
            for position, rule in enumerate(primitive.backward):
                if rule is None or not wanted[position]:
                    slopes.append(None)
                    continue
                slope: Any = rule if isinstance(rule, float) else rule(*numbers[1:])
                if position in primitive.nan_slopes:  # and 0 * nan is nan
                    slope = ops.where(numbers[0], slope, 0.0)
                slopes.append(derivation.node_of(slope))
        return tape, slopes

    def _pass_on_products(self, node: Value, upstream: int) -> None:
        """What the `pull` of a sum or product does, of which most backward passes consist."""
        sofar, nodes_of = self.sofar, self.nodes_of
        left: Any = node._left
        right = node._right
        if node._primitive is ops.add:
            sofar[left] += (upstream, ONE)
            sofar[right] += (upstream, ONE)
            return
        weights: Sequence[Value] = (left,)
        inputs: Sequence[Value] = (right,)
        start = None
        if right.__class__ is Terms:
            for part in right.parts or ():
                sofar[part] = [upstream, ONE]
            weights, inputs, start = right.weights, right.inputs, right.start
        terms = list(zip(weights, inputs, nodes_of(weights), nodes_of(inputs), strict=True))
        for w, x, of_w, of_x in terms[:0:-1]:
            sofar[w] += (upstream, of_x)
            if x._primitive is not CONSTANT:
                sofar[x] += (upstream, of_w)
        if start is not None:
            sofar[start] += (upstream, ONE)
        w, x, of_w, of_x = terms[0]
        sofar[w] += (upstream, of_x)
        sofar[x] += (upstream, of_w)


class _Nothing:
    """The gradient of a Value to which nothing has come: what it is added to is the sum."""

    def __add__(self, other: Any) -> Any:
        return other


_NOTHING = _Nothing()
_LINEAR = frozenset([ops.add, ops.mul, WEIGHTED_SUM])


def note_backward(tracer: Tracer, interpreter: Any, output: Value, inner: list[Value]) -> None:
    """Note the nodes of what a backward pass has written; `inner` are its nodes, newest first."""
    derivation = Derivation(tracer, interpreter)
    tape, sofar = tracer.tape, derivation.sofar
    zero = tape.constant(0.0)
    sofar[output] = [ONE, ONE]
    with derivation.entered():
        for node in inner:
            if node in sofar:
                derivation.pass_on(node)
    tracer.gradients.update(dict.fromkeys(inner, zero))
    for value in sofar:
        if value._left is not None:
            tracer.gradients[value] = derivation.received(value)
        elif value._primitive is not CONSTANT or value is output:
            before = tracer.gradient_of(value)
            # The sum of this pass begins with 0.0.
            gradient = tape.add(ops.add, (zero, derivation.received(value)))
            if before != zero:
                gradient = tape.add(ops.add, (before, gradient))
            tracer.gradients[value] = gradient


def note_grad(
    tracer: Tracer,
    interpreter: Any,
    output: Value,
    inputs: Sequence[Value],
    found: Iterable[Value],
) -> None:
    """Note the nodes of gradients that `grad` has found."""
    derivation = Derivation(tracer, interpreter)
    with derivation.entered():
        _, inner = newest_first([output])
        gradients = sweep(inner, output, between(inner, inputs))
    zero = tracer.tape.constant(0.0)
    for value, node in zip(found, inputs, strict=True):
        gradient = derivation.node_of(gradients.get(node, 0.0))
        tracer.nodes[value] = tracer.tape.add(ops.add, (zero, gradient))
