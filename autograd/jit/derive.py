"""Which nodes are the gradients of a recorded function? Those of the engine's own backward pass.

The engine computes the gradients. Then its chain rule runs again over the same Values in the same
order, on placeholders that have a node but no number, so the nodes are right whatever the numbers
of a replay are. (The engine does not propagate a gradient of 0. A replay does, which can change
only the sign of a zero, and sums that start from 0.0 have no -0.0. Where a 0 meets an infinity or a
nan, the call runs eagerly.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from struct import pack, unpack
from typing import Any

from autograd import ops
from autograd.jit.graph import ONE
from autograd.jit.recorded import Number, number_at
from autograd.jit.refusal import refuse
from autograd.jit.tracer import Tracer
from autograd.primitive import CONSTANT, Primitive, operands_of
from autograd.sums import Terms
from autograd.sweep import between, sweep
from autograd.value import Value
from autograd.walk import newest_first

# The placeholder is a nan with a payload of its own. What C code in a rule makes of it, such as
# `math.cos(x)`, has the same payload, and is recognised.
_BITS = (0x7FF8_0000_0AD0_67AD).to_bytes(8, "little")
(_UNKNOWN,) = unpack("<d", _BITS)


class Derivation(Tracer):
    """A second tracer of a recording: it adds to the same graph, and knows no numbers.

    Attributes:
        sofar: what the gradient of each Value has received in this pass: the factors of a sum of
            products, two by two.
    """

    def __init__(self, tracer: Tracer) -> None:
        vars(self).update(vars(tracer))
        self.sofar: defaultdict[Value, list[int]] = defaultdict(list)

    def computed(
        self, primitive: Primitive, operands: Sequence[Any], function: Callable[..., Any]
    ) -> Number:
        """Add the node of a primitive; return a placeholder for its number."""
        return number_at(self.note(primitive, operands), _UNKNOWN, self.tape)

    def node_of(self, operand: Any) -> int:
        """Return the node of an operand."""
        if operand.__class__ is float and pack("<d", abs(operand)) == _BITS:
            refuse(
                "a rule that computes with the `math` module cannot be used",
                "write the rule in arithmetic and Primitives, as in ops.cos(x)",
            )
        return super().node_of(operand)

    def read(self, value: Value, name: str) -> Any:
        """Return a placeholder for `value.data`, or for what `value.grad` has received so far."""
        if name == "data":
            return self._number(value, self.node_of(value))
        return self._unknown(self._received(value)) if value in self.sofar else 0.0

    def write(self, value: Value, name: str, number: Any) -> None:
        """Note what a rule writes to `value.grad`, or a Value that it makes."""
        if not hasattr(value, "_made"):
            super().write(value, name, number)
        elif name == "data":
            refuse("a rule cannot assign to a Value", "assign outside of it")
        else:
            self.sofar[value] = [self.node_of(number), ONE]

    def _number(self, value: Value, node: int) -> Any:
        # A Value is unknown even if the function made it of a number: the engine may skip its rule.
        known = self.tape.constants.get(node) if value._primitive is CONSTANT else None
        return self._unknown(node) if known is None else known

    def _unknown(self, node: int) -> Number:
        return number_at(node, _UNKNOWN, self.tape)

    def _received(self, value: Value) -> int:
        """Return the node of what the gradient of a Value has received so far."""
        return self.tape.sum(self.sofar[value])

    def note_backward(self, output: Value, inner: list[Value]) -> None:
        """Note the nodes of the gradients of a backward pass; `inner`: its nodes, newest first."""
        tape, sofar = self.tape, self.sofar
        zero = tape.constant(0.0)
        sofar[output] = [ONE, ONE]
        for node in inner:
            if node in sofar:
                self._pass_on(node)
        self.gradients.update(dict.fromkeys(inner, zero))
        # In order of first use, as in memory. A constant gets a gradient only if it is the output.
        for value in [value for value in self.nodes if value in sofar] or [output]:
            gradient = self._received(value)
            if value._left is None:
                before = self.gradient_of(value)
                tape.in_order.add(gradient)
                gradient = tape.add(ops.add, (zero, gradient))  # the engine's sum starts from 0.0
                if before != zero:
                    gradient = tape.add(ops.add, (before, gradient))
                tape.in_order.add(gradient)
            is_exact = value._left is None or gradient == ONE  # not -0.0, see `gradient_of`
            self.gradients[value] = gradient if is_exact else ~gradient

    def note_grad(self, output: Value, inputs: Sequence[Value], found: Iterable[Value]) -> None:
        """Note the nodes of the gradients that `grad` has found."""
        _, inner = newest_first([output])
        gradients = sweep(inner, output, between(inner, inputs), number_of=attrgetter("data"))
        zero = self.tape.constant(0.0)
        for value, node in zip(found, inputs, strict=True):
            gradient = self.node_of(gradients.get(node, 0.0))
            self.nodes[value] = self.tape.add(ops.add, (zero, gradient))

    def _pass_on(self, node: Value) -> None:
        """Add a node's contributions to the gradients of its operands, except plain numbers."""
        upstream = self._received(node)
        if node._right.__class__ is Terms:
            self._pass_on_terms(node._right, upstream)
            return
        primitive: Any = node._primitive
        if primitive.has_own_pull and not ops.is_row(primitive):
            primitive.pull(node, self._unknown(upstream))
            return
        operands = operands_of(node._left, node._right)
        numbers = list(map(self._number, (node, *operands), self.nodes_of((node, *operands))))
        for position, (operand, rule) in enumerate(zip(operands, primitive.backward, strict=True)):
            if rule is None or operand._primitive is CONSTANT:
                continue
            slope: Any = rule(*numbers) if callable(rule) else rule
            if position in primitive.nan_slopes:  # as 0 * nan is nan
                slope = ops.where(self._unknown(upstream), slope, 0.0)
            self.sofar[operand] += (upstream, self.node_of(slope))

    def _pass_on_terms(self, terms: Terms, upstream: int) -> None:
        """Do what the `pull` of a weighted sum does."""
        sofar = self.sofar
        for part in terms.parts or ():
            sofar[part] = [upstream, ONE]
        of_w, of_x = self.nodes_of(terms.weights), self.nodes_of(terms.inputs)
        pairs = zip(terms.inputs, of_w, strict=True), zip(terms.weights, of_x, strict=True)
        each = list(chain.from_iterable(zip(*pairs, strict=True)))
        if terms.start is not None:
            each.insert(2, (terms.start, ONE))
        for operand, slope in reversed(each):
            if operand._primitive is not CONSTANT:
                sofar[operand] += (upstream, slope)
