"""How is an operation done while a function is recorded? It is added to the tracer's nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd.context import Context, Interpreter, Listener
from autograd.jit import derive
from autograd.jit.refusal import refuse
from autograd.jit.tracer import Tracer
from autograd.primitive import Primitive, operands_of
from autograd.switches import no_grad
from autograd.switches import recording as with_history
from autograd.value import Value


class Recorder(Interpreter):
    """The interpreter of a recording.

    Attributes:
        tracer: makes the nodes. history: whether results remember their operands.
    """

    def __init__(self, tracer: Tracer, history: bool) -> None:
        self.tracer = self.hooks = tracer
        self.history = history

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """A Value that stands for the node of the result."""
        return self.tracer.apply(primitive, operands_of(left, right), self.history)

    def weighted_sum(
        self, context: Context, weights: Sequence[Value], inputs: Sequence[Any], start: Value | None
    ) -> Value:
        """The same nodes as by the operators, added in one go."""
        if start is None:
            start, weights, inputs = weights[0] * inputs[0], weights[1:], inputs[1:]
        if not weights or self.tracer.is_number(start):
            return super().weighted_sum(context, weights, inputs, start)
        return self.tracer.weighted_sum(weights, inputs, start, self.history)

    def assign(self, leaf: Value, number: Any, grad: Any) -> None:
        """Record what a leaf is from now on."""
        self.tracer.assign(leaf, number, grad)

    def backward(self, output: Value) -> None:
        """Add the nodes of the gradients."""
        with no_grad():
            derive.backward(self.without_history(), output)

    def grad(
        self,
        output: Value,
        inputs: Sequence[Value],
        create_graph: bool,
        each: Listener | None = None,
    ) -> list[Value]:
        """Values that stand for the nodes of the gradients."""
        if each is not None:
            refuse("the steps of a backward pass have no numbers", "call steps() outside")
        with with_history() if create_graph else no_grad():
            inner = self.with_history() if create_graph else self.without_history()
            return derive.grad(inner, output, inputs)

    def with_history(self) -> Recorder:
        """The same recording, and results remember."""
        return self if self.history else Recorder(self.tracer, True)

    def without_history(self) -> Recorder:
        """The same recording, and results are leaves."""
        return Recorder(self.tracer, False) if self.history else self

    def apart(self) -> Recorder:
        """Another recording, still empty, where results remember."""
        return Recorder(Tracer(), True)
