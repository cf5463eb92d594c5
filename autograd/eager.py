"""How does an operation run eagerly? It computes the number, and its node keeps the operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd import sums
from autograd.clock import clock
from autograd.context import (
    INSIDE,
    OUTSIDE,
    Context,
    Interpreter,
    Listener,
    current,
    rules_on_values,
)
from autograd.hooks import Hooks
from autograd.messages import described, explained
from autograd.primitive import Primitive, operands_of
from autograd.sweep import between, sweep, write_gradients
from autograd.text import quoted
from autograd.value import Value, as_float
from autograd.walk import newest_first

_new = object.__new__


class Eager(Interpreter):
    """Computes and builds the graph: each operation adds a node."""

    hooks = Hooks()

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """Return a new node. Errors of the primitive name the operands and the module."""
        forward = primitive.forward
        try:
            if right is None:
                data = forward(left._data)
            elif right.__class__ is tuple:
                data = forward(left._data, *[operand._data for operand in right])
            else:
                data = forward(left._data, right._data)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise explained(error, primitive, operands_of(left, right), context) from None
        if data.__class__ is not float:
            data = _as_result(primitive, data, operands_of(left, right), context)
        node = _new(Value)  # Value.__init__ inlined, as most time is spent here
        node._data = data
        node._grad = 0.0
        node._primitive = primitive
        node._left = left
        node._right = right
        node._context = context
        node._made = next(clock.numbers)
        node._visitor = None
        return node

    def weighted_sum(
        self, context: Context, weights: Sequence[Value], inputs: Sequence[Any], start: Value | None
    ) -> Value:
        """Return one node if the sum is wide, else the graph of the operators; see sums.py."""
        if len(weights) < sums.WIDE or not sums.is_foldable(weights, inputs, start):
            return super().weighted_sum(context, weights, inputs, start)
        return sums.folded(context, weights, inputs, start)

    def backward(self, output: Value) -> None:
        """Write float gradients into `.grad`."""
        write_gradients(output)

    def grad(
        self,
        output: Value,
        inputs: Sequence[Value],
        create_graph: bool,
        each: Listener | None = None,
    ) -> list[Value]:
        """Return gradients as Values, which are graphs with create_graph."""
        _, inner = newest_first([output])
        outer, on_values = current.get(), rules_on_values.get()
        try:  # rather than `with`: a Ctrl-C may prevent its exit
            if create_graph:  # also inside no_grad()
                current.set(outer.under(outer.interpreter.with_history()))
            rules_on_values.set(create_graph)
            gradients = sweep(inner, output, between(inner, inputs), create_graph, each)
            found = [gradients.get(node, 0.0) for node in inputs]
            # d(a * b)/da is the leaf b, which may change later: return a new node instead.
            found = [g + 0.0 if isinstance(g, Value) and g.primitive is None else g for g in found]
        finally:
            rules_on_values.set(on_values)
            current.set(outer)
        # Adding 0.0 turns -0.0 into 0.0, as in `.grad`, whose sums begin with 0.0.
        return [g if isinstance(g, Value) else Value(g + 0.0) for g in found]

    def with_history(self) -> Interpreter:
        """Return the default interpreter."""
        return EAGER

    def without_history(self) -> Interpreter:
        """Return the interpreter of no_grad."""
        return NUMBERS


class Numbers(Eager):
    """Computes without a graph, as under no_grad: results are leaves."""

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """Return the result without its history."""
        node = super().apply(context, primitive, left, right)
        node._primitive = node._left = node._right = None
        node._context = INSIDE
        return node

    def weighted_sum(
        self, context: Context, weights: Sequence[Value], inputs: Sequence[Any], start: Value | None
    ) -> Value:
        """Return the sum as a leaf, without making nodes for its terms."""
        if not sums.is_foldable(weights, inputs, start):
            return super().weighted_sum(context, weights, inputs, start)
        # -0.0 + x is x to the last bit; 0.0 + -0.0 would be 0.0.
        data = -0.0 if start is None else start._data
        for w, x in zip(weights, inputs, strict=True):
            data += w._data * x._data
        node = Value(data)
        node._context = INSIDE
        return node


def _as_result(
    primitive: Primitive, data: Any, operands: Sequence[Value], context: Context
) -> float:
    """Convert what `forward` returned to a float. A complex number is a domain error."""
    if isinstance(data, complex):
        raise explained(ValueError(), primitive, operands, context)
    try:
        return as_float(data)
    except TypeError:
        call = described(primitive, operands)
        raise TypeError(f"{call}: forward must return a float, not {quoted(data)}") from None


EAGER, NUMBERS = Eager(), Numbers()
for context in (OUTSIDE, INSIDE):
    context.interpreter, context.apply = EAGER, EAGER.apply
