"""Which nodes are the gradients of a recorded function? Those of the engine's own backward pass.

The engine computes the numbers of the gradients. Then its chain rule runs once more over the same
Values in the same order, with numbers that have nodes, and that nobody knows: whatever the numbers
are in a replay, it does what is noted here. (The engine passes a gradient that is 0 on to nobody.
A replay passes it on, which changes nothing but the sign of a zero; no sum that begins with 0.0 has
a sign. It computes eagerly where a 0 meets an infinity.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from struct import pack, unpack
from typing import Any

from autograd import ops
from autograd.context import INSIDE, current, entered
from autograd.jit.recorded import number_at
from autograd.jit.refusal import refuse
from autograd.jit.tracer import Tracer
from autograd.primitive import CONSTANT
from autograd.sums import Terms
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
        sofar: the node of the gradient that has come to each Value in this pass.
        context: where the chain rule runs with numbers that nobody knows.
    """

    def __init__(self, tracer: Tracer, interpreters: Any) -> None:
        vars(self).update(vars(tracer))
        self.sofar: dict[Value, int] = {}
        self.context = current.get().under(interpreters(self)[False], INSIDE)

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
        node = self.sofar.get(value)
        return _NOTHING if node is None else self._unknown(node)

    def write(self, value: Value, name: str, number: Any) -> None:
        """Note what has come to `value.grad`; a Value that a rule makes is one as always."""
        if name == "grad" and hasattr(value, "_made"):
            self.sofar[value] = self.node_of(number)
        else:
            super().write(value, name, number)

    def _unknown(self, node: int) -> Any:
        known = self.tape.constants.get(node)
        return number_at(node, _UNKNOWN, self.tape) if known is None else known

    def pass_on(self, node: Value) -> None:
        """Add what a node hands on to its operands."""
        upstream = self.read(node, "grad")
        primitive: Any = node._primitive
        if node._right.__class__ is Terms:
            self._pass_on_sum(node._right, self.sofar[node])
        elif primitive.nan_slopes:
            operands = primitive.operands(node)
            numbers = [self.read(operand, "data") for operand in (node, *operands)]
            for position, operand in enumerate(operands):
                slope = primitive.backward[position](*numbers)
                if position in primitive.nan_slopes:  # and 0 * nan is nan
                    slope = ops.where(upstream, slope, 0.0)
                operand.grad += upstream * slope
        else:
            primitive.pull(node, upstream)

    def _pass_on_sum(self, terms: Terms, upstream: int) -> None:
        """What the `pull` of a weighted sum does, of which most backward passes consist."""
        sofar, add = self.sofar, self.tape.add
        sofar.update(dict.fromkeys(terms.parts or (), upstream))

        def receive(value: Value, node: int) -> None:
            before = sofar.get(value)
            sofar[value] = node if before is None else add(ops.add, (before, node))

        def receive_both(w: Value, x: Value) -> None:
            receive(w, add(ops.mul, (upstream, self.node_of(x))))
            receive(x, add(ops.mul, (upstream, self.node_of(w))))

        for w, x in zip(terms.weights[:0:-1], terms.inputs[:0:-1], strict=True):
            receive_both(w, x)
        if terms.start is not None:
            receive(terms.start, upstream)
        receive_both(terms.weights[0], terms.inputs[0])


class _Nothing:
    """The gradient of a Value to which nothing has come: what it is added to is the sum."""

    def __add__(self, other: Any) -> Any:
        return other


_NOTHING = _Nothing()


def note_backward(tracer: Tracer, interpreters: Any, output: Value, inner: list[Value]) -> None:
    """Note the nodes of what a backward pass has written; `inner` are its nodes, newest first."""
    derivation = Derivation(tracer, interpreters)
    tape, sofar = tracer.tape, derivation.sofar
    zero = tape.constant(0.0)
    sofar[output] = tape.constant(1.0)
    with entered(current, derivation.context):
        for node in inner:
            if node in sofar:
                derivation.pass_on(node)
    tracer.gradients.update(dict.fromkeys(inner, zero))
    for value, gradient in sofar.items():
        if value._left is not None:
            tracer.gradients[value] = gradient
        elif value._primitive is not CONSTANT or value is output:
            before = tracer.gradient_of(value)
            if before != zero:  # the sum of this pass begins with 0.0
                gradient = tape.add(ops.add, (zero, gradient))
            tracer.gradients[value] = tape.add(ops.add, (before, gradient))


def note_grad(
    tracer: Tracer,
    interpreters: Any,
    output: Value,
    inputs: Sequence[Value],
    found: Iterable[Value],
) -> None:
    """Note the nodes of gradients that `grad` has found."""
    derivation = Derivation(tracer, interpreters)
    with entered(current, derivation.context):
        _, inner = newest_first([output])
        gradients = sweep(inner, output, between(inner, inputs))
    zero = tracer.tape.constant(0.0)
    for value, node in zip(found, inputs, strict=True):
        gradient = derivation.node_of(gradients.get(node, 0.0))
        tracer.nodes[value] = tracer.tape.add(ops.add, (zero, gradient))
