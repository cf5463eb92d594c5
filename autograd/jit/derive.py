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
from autograd.context import INSIDE, current, entered
from autograd.jit.graph import ONE
from autograd.jit.recorded import number_at
from autograd.jit.refusal import refuse
from autograd.jit.tracer import Tracer
from autograd.primitive import CONSTANT
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
        context: where the chain rule runs with numbers that nobody knows.
    """

    def __init__(self, tracer: Tracer, interpreters: Any) -> None:
        vars(self).update(vars(tracer))
        self.sofar: defaultdict[Value, list[int]] = defaultdict(list)
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
        node = self.tape.sum(self.sofar[value])
        self.sofar[value] = [node, ONE]
        return node

    def pass_on(self, node: Value) -> None:
        """Add what a node hands on to its operands."""
        primitive: Any = node._primitive
        if primitive in _LINEAR:
            self._pass_on_products(node, self.received(node))
            return
        upstream = self.read(node, "grad")
        if primitive.nan_slopes:
            operands = primitive.operands(node)
            numbers = [self.read(operand, "data") for operand in (node, *operands)]
            for position, operand in enumerate(operands):
                slope = primitive.backward[position](*numbers)
                if position in primitive.nan_slopes:  # and 0 * nan is nan
                    slope = ops.where(upstream, slope, 0.0)
                operand.grad += upstream * slope
        else:
            primitive.pull(node, upstream)

    def _pass_on_products(self, node: Value, upstream: int) -> None:
        """What the `pull` of a sum or product does, of which most backward passes consist."""
        sofar, known, node_of = self.sofar, self.nodes.get, self.node_of
        left: Any = node._left
        right = node._right
        if node._primitive is ops.add:
            sofar[left] += (upstream, ONE)
            sofar[right] += (upstream, ONE)
            return
        products = [(left, right)]
        if right.__class__ is Terms:
            for part in right.parts or ():
                sofar[part] = [upstream, ONE]
            products = list(zip(right.weights, right.inputs, strict=True))
        for w, x in products[:0:-1]:
            sofar[w] += (upstream, known(x) or node_of(x))
            sofar[x] += (upstream, known(w) or node_of(w))
        if right.__class__ is Terms and right.start is not None:
            sofar[right.start] += (upstream, ONE)
        w, x = products[0]
        sofar[w] += (upstream, node_of(x))
        sofar[x] += (upstream, node_of(w))


class _Nothing:
    """The gradient of a Value to which nothing has come: what it is added to is the sum."""

    def __add__(self, other: Any) -> Any:
        return other


_NOTHING = _Nothing()
_LINEAR = frozenset([ops.add, ops.mul, WEIGHTED_SUM])


def note_backward(tracer: Tracer, interpreters: Any, output: Value, inner: list[Value]) -> None:
    """Note the nodes of what a backward pass has written; `inner` are its nodes, newest first."""
    derivation = Derivation(tracer, interpreters)
    tape, sofar = tracer.tape, derivation.sofar
    zero = tape.constant(0.0)
    sofar[output] = [ONE, ONE]
    with entered(current, derivation.context):
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
