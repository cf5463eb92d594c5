"""How is an operation done at once? Compute the number, and remember what it was made of."""

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
    """Computes and remembers: the graph grows by a node at each operation."""

    hooks = Hooks()

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """A new node. Raises what the primitive raises, with operands and module in the message."""
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
        except TypeError:
            _require_numbers(operands_of(left, right))
            raise
        if data.__class__ is not float:
            data = _as_result(primitive, data, operands_of(left, right), context)
        node = _new(Value)  # Value.__init__ written out: here most time is spent
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
        """One node if the sum is wide, else what the operators make; see sums.py."""
        if len(weights) < sums.WIDE or not sums.is_foldable(weights, inputs, start):
            return super().weighted_sum(context, weights, inputs, start)
        return sums.folded(context, weights, inputs, start)

    def backward(self, output: Value) -> None:
        """Float gradients, into `.grad`."""
        write_gradients(output)

    def grad(
        self,
        output: Value,
        inputs: Sequence[Value],
        create_graph: bool,
        each: Listener | None = None,
    ) -> list[Value]:
        """Gradients as Values; with create_graph they remember how they were made."""
        _, inner = newest_first([output])
        context = current.get()
        if create_graph:  # also inside no_grad()
            context = context.under(context.interpreter.with_history())
        outer, on_values = current.get(), rules_on_values.get()
        try:  # rather than `with`, whose end a Ctrl-C may prevent
            current.set(context)
            rules_on_values.set(create_graph)
            gradients = sweep(inner, output, between(inner, inputs), create_graph, each)
            found = [gradients.get(node, 0.0) for node in inputs]
            # In place of a leaf, as b is for a * b, a node of its own: the leaf may change later.
            found = [g + 0.0 if isinstance(g, Value) and g.primitive is None else g for g in found]
        finally:
            rules_on_values.set(on_values)
            current.set(outer)
        # As in `.grad`, where sums begin with 0.0, there is no -0.0.
        return [g if isinstance(g, Value) else Value(g + 0.0) for g in found]

    def with_history(self) -> Interpreter:
        """The everyday interpreter."""
        return EAGER

    def without_history(self) -> Interpreter:
        """The one of no_grad."""
        return NUMBERS


class Numbers(Eager):
    """Computes and forgets, as under no_grad: results are leaves."""

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """The result, its history erased."""
        node = super().apply(context, primitive, left, right)
        node._primitive = node._left = node._right = None
        node._context = INSIDE
        return node

    def weighted_sum(
        self, context: Context, weights: Sequence[Value], inputs: Sequence[Any], start: Value | None
    ) -> Value:
        """The sum as a leaf, without a node for its terms."""
        if not weights or not sums.is_foldable(weights, inputs, start):
            return super().weighted_sum(context, weights, inputs, start)
        products = zip(weights, inputs, strict=True)
        if start is None:
            w, x = next(products)
            data = w._data * x._data
        else:
            data = start._data
        for w, x in products:
            data += w._data * x._data
        return Value(data)


def _as_result(
    primitive: Primitive, data: Any, operands: Sequence[Value], context: Context
) -> float:
    """What a forward function returned, as a float. A complex number means: out of the domain."""
    if isinstance(data, complex):
        raise explained(ValueError(), primitive, operands, context)
    try:
        return as_float(data)
    except TypeError:
        _require_numbers(operands)
        call = described(primitive, operands)
        raise TypeError(f"{call}: forward must return a float, not {quoted(data)}") from None


def _require_numbers(operands: Sequence[Value]) -> None:
    """Raise TypeError for a `.data` that was assigned something else, such as another Value."""
    for operand in operands:
        as_float(operand._data)


EAGER, NUMBERS = Eager(), Numbers()
for context in (OUTSIDE, INSIDE):
    context.interpreter, context.apply = EAGER, EAGER.apply
