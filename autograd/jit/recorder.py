"""How is an operation done while a function is recorded? By the engine; its node is noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autograd.context import INSIDE, Context, Interpreter, Listener, current, entered
from autograd.eager import EAGER, NUMBERS
from autograd.jit.derive import Derivation
from autograd.jit.tracer import Tracer
from autograd.primitive import Primitive, operands_of
from autograd.sums import folded, is_foldable
from autograd.sweep import sweep_floats, write_gradients
from autograd.value import Value, as_constant


class Recorder(Interpreter):
    """The interpreter of a recording.

    Attributes:
        tracer: knows the nodes. engine: EAGER, whose results keep their history, or NUMBERS.
    """

    def __init__(self, tracer: Tracer, engine: Interpreter) -> None:
        self.tracer = self.hooks = tracer
        self.engine = engine

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """Compute the result with the engine, and note its node."""
        # Note the node first: the operands might change while the engine computes.
        node = self.tracer.note(primitive, operands_of(left, right))
        outside = self._outside(context)
        apply = self.engine.apply
        value: Value = self._by_the_engine(outside, apply, outside, primitive, left, right)
        self.tracer.nodes[value] = node
        return value

    def weighted_sum(
        self, context: Context, weights: Sequence[Value], inputs: Sequence[Any], start: Value | None
    ) -> Value:
        """Compute the sum, and note it as one node if it has two or more products."""
        if not is_foldable(weights, inputs, start):  # plain numbers become constants, with nodes
            weights, inputs = list(map(as_constant, weights)), list(map(as_constant, inputs))
        if len(weights) < 2 or not isinstance(start, Value | None):
            return super().weighted_sum(context, weights, inputs, start)
        node = self.tracer.note_sum(weights, inputs, start)
        outside = self._outside(context)
        fold = folded if self.engine is EAGER else self.engine.weighted_sum
        value: Value = self._by_the_engine(outside, fold, outside, weights, inputs, start)
        self.tracer.nodes[value] = node
        self.tracer.sums[value._made] = value, value._right
        return value

    def backward(self, output: Value) -> None:
        """Compute the gradients with the engine, and note their nodes."""
        self.tracer.node_of(output)
        nodes: list[Value] = []

        def run(output: Value, inner: list[Value]) -> None:
            sweep_floats(output, inner)
            nodes.extend(inner)

        self._by_the_engine(self._outside(current.get()), write_gradients, output, run)
        self._derive(Derivation.note_backward, output, nodes)

    def grad(
        self,
        output: Value,
        inputs: Sequence[Value],
        create_graph: bool,
        each: Listener | None = None,
    ) -> list[Value]:
        """Compute the gradients with the engine, and note their nodes."""
        if create_graph:  # the rules run on Values, so they are recorded
            found: list[Value] = self._passing(self.engine.grad, output, inputs, create_graph, each)
            return found
        outside = self._outside(current.get())
        found = self._by_the_engine(outside, self.engine.grad, output, inputs, create_graph, each)
        self._derive(Derivation.note_grad, output, inputs, found)
        return found

    def with_history(self) -> Interpreter:
        """Return the recorder of the same recording whose results keep their history."""
        return Recorder(self.tracer, EAGER)

    def without_history(self) -> Interpreter:
        """Return the recorder of the same recording whose results are leaves."""
        return Recorder(self.tracer, NUMBERS)

    def _by_the_engine(self, outside: Context, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a context where the engine computes, and nothing is recorded."""
        token = current.set(outside)
        try:
            return function(*args)
        except Exception:
            self.tracer.give_up()
            raise
        finally:
            current.reset(token)

    def _derive(self, note: Callable[..., None], *args: Any) -> None:
        """Note gradients where the chain rule runs on placeholders."""
        derivation = Derivation(self.tracer)
        with entered(current, current.get().under(Recorder(derivation, NUMBERS), INSIDE)):
            self._passing(note, derivation, *args)

    def _passing(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that adds the nodes of a backward pass."""
        tape = self.tracer.tape
        tape.passes.append(len(tape))
        try:
            return function(*args)
        finally:  # the function may catch an error
            tape.passes.append(len(tape))

    def _outside(self, context: Context) -> Context:
        """Return the engine's counterpart of a context of the recording, for results to keep."""
        known, inner = self.tracer.contexts, list[Context]()
        outer: Context | None = context
        while outer and outer not in known and outer.interpreter.hooks.recording:
            inner.append(outer)
            outer = outer.outer
        for each in reversed(inner):
            known[each] = each.under(self.engine)
            known[each].outer = each.outer and known.get(each.outer, each.outer)
        return known.get(context, context)
