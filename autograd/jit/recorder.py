"""How is an operation done while a function is recorded? By the engine, and noted as a node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from autograd.context import Context, Interpreter, Listener, current
from autograd.eager import EAGER, NUMBERS
from autograd.jit import derive
from autograd.jit.capture import own
from autograd.jit.graph import LEAF, NUMBER, RESULT
from autograd.jit.recorded import plain
from autograd.jit.tracer import Tracer
from autograd.primitive import Primitive, operands_of
from autograd.value import Value, as_float


class Recorder(Interpreter):
    """The interpreter of a recording, where results remember their operands, or forget them.

    Attributes:
        tracer: knows the nodes. history: whether results remember their operands.
        engine: the interpreter that computes the numbers. kind: of the nodes of results.
    """

    def __init__(self, tracer: Tracer, history: bool) -> None:
        self.tracer = self.hooks = tracer
        self.history = history
        self.engine = EAGER if history else NUMBERS
        self.kind = RESULT if history else LEAF
        self._engines_own: dict[Context, Context] = {}

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """The result of the engine, and its node."""
        tracer = self.tracer
        # The nodes first: they are those of the operands as they are now.
        node = tracer.note(primitive, operands_of(left, right), self.kind)
        own_context = self._engines_own.get(context) or self._engines(context)
        token = current.set(own_context)
        try:
            value = self.engine.apply(own_context, primitive, left, right)
        except Exception:
            tracer.has_failed = True
            raise
        finally:
            current.reset(token)
        tracer.nodes[value] = node
        return value

    def weighted_sum(
        self, context: Context, weights: Sequence[Value], inputs: Sequence[Any], start: Value | None
    ) -> Value:
        """The sum of the engine, and the nodes of the operators."""
        tracer = self.tracer
        if start is None:
            start, weights, inputs = weights[0] * inputs[0], weights[1:], inputs[1:]
        if not weights or tracer.tape.kinds[tracer.node_of(start)] == NUMBER:
            return super().weighted_sum(context, weights, inputs, start)
        node = tracer.note_sum(weights, inputs, start, self.kind)
        with self.engines_own():
            value = self.engine.weighted_sum(current.get(), weights, inputs, start)
        tracer.nodes[value] = node
        return value

    def assign(self, leaf: Value, number: Any, grad: Any) -> None:
        """Write to the leaf, and note what it is from now on."""
        for name, source in (("data", number), ("grad", grad)):
            if isinstance(source, Value):
                self.tracer.assign(leaf, name, source, own(source, "data"))
            elif source is not None:
                self.tracer.assign(leaf, name, source, as_float(plain(source)))

    def backward(self, output: Value) -> None:
        """The gradients of the engine, and their nodes."""
        node = self.tracer.node_of(output)
        with self.engines_own():
            self.engine.backward(output)
        derive.backward(self.tracer.recorders[False], node)

    def grad(
        self,
        output: Value,
        inputs: Sequence[Value],
        create_graph: bool,
        each: Listener | None = None,
    ) -> list[Value]:
        """The gradients of the engine, and their nodes."""
        tracer = self.tracer
        nodes = derive.inputs_of(tracer, inputs)
        output_node = tracer.node_of(output)
        with self.engines_own():
            found = self.engine.grad(output, inputs, create_graph, each)
        recorder = tracer.recorders[create_graph]
        for value, node in zip(found, derive.grad(recorder, output_node, nodes), strict=True):
            if node is not None and value not in tracer.nodes:
                tracer.nodes[value] = node
        return found

    def with_history(self) -> Any:
        """The same recording, and results remember."""
        return self.tracer.recorders[True]

    def without_history(self) -> Any:
        """The same recording, and results are leaves."""
        return self.tracer.recorders[False]

    @classmethod
    def of(cls, tracer: Tracer) -> tuple[Recorder, Recorder]:
        """The interpreters of a tracer: results forget, results remember."""
        tracer.recorders = cls(tracer, False), cls(tracer, True)
        return tracer.recorders

    @contextmanager
    def engines_own(self) -> Iterator[None]:
        """Inside, arithmetic is the engine's own, and nothing is recorded."""
        token = current.set(self._engines(current.get()))
        try:
            yield
        except Exception:
            self.tracer.has_failed = True
            raise
        finally:
            current.reset(token)

    def _engines(self, context: Context) -> Context:
        """A context of the recording as the engine's own, for the results to keep."""
        if not context.interpreter.hooks.recording:
            return context
        found = self._engines_own.get(context)
        if found is None:
            found = context.under(self.engine)
            found.outer = None if context.outer is None else self._engines(context.outer)
            self._engines_own[context] = found
        return found
