"""How is a call recorded? The function runs once, on numbers that note what is done with them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from contextvars import copy_context
from itertools import repeat
from typing import Any

from autograd.context import current
from autograd.jit.graph import Source
from autograd.jit.recorded import Number, Whole, number_at
from autograd.jit.recorder import Recorder
from autograd.jit.refusal import TraceError
from autograd.jit.results import Output, Returned, laid_out
from autograd.jit.structure import Call, Static, build, objects_in
from autograd.jit.tracer import Tracer
from autograd.value import Value


def record(function: Callable[..., Any], call: Call, tracer: Tracer) -> tuple[Any, Returned]:
    """Call a function; return what it returned, and a description from which to rebuild that.

    Raises TraceError if a replay could not repeat the call, and what the function raises. The
    tracer, a new one, notes the call; it can undo what that does to Values and to nn's random
    numbers.
    """
    tape, structure, passed = tracer.tape, call.structure, call.passed
    floats = enumerate(array("d", call.numbers))

    def argument(kind: type) -> Number:
        i, number = next(floats)
        return number_at(tape.add(Source("argument", i)), kind(number), tape)

    tracer.nodes_of(passed)
    number, whole, value = map(argument, repeat(float)), map(argument, repeat(int)), iter(passed)
    single: Any = {"number": number, "mixed": number, "whole": whole, "Value": value}
    given = {key: build(part, single) for key, part, _ in structure}
    before = _identities(structure, given)
    returned = _called(function, given, tracer)
    if tracer.refusals:
        raise tracer.refusals[0]
    if _identities(structure, given) != before:
        raise TraceError("an argument is changed, which a replay would not: return what it becomes")
    return returned, _returned(tracer, returned, passed)


def _called(function: Callable[..., Any], given: dict[Any, Any], tracer: Tracer) -> Any:
    """Call a function whose operations the tracer notes."""
    args = [given[key] for key in given if isinstance(key, int)]
    kwargs = {key: thing for key, thing in given.items() if isinstance(key, str)}
    outer, context = current.get(), copy_context()
    # In a copy of the context, which Python leaves even if a Ctrl-C interrupts the call.
    context.run(current.set, outer.under(Recorder(tracer, outer.interpreter)))
    try:
        returned = context.run(function, *args, **kwargs)
    finally:
        tracer.contexts.clear()  # break a cycle, to free the tracer without the collector
        tracer.recording = False  # for code that still runs in a copy of the context
    for variable, content in context.items():  # keep what the function has set
        if variable is not current:
            variable.set(content)
    return returned


def _identities(structure: Any, given: dict[Any, Any]) -> Any:
    """Return the structure of the arguments as they are now, and the nodes and Values in it."""
    parts = [(given[key], isinstance(part, Static)) for key, part, _ in structure]
    try:
        structure, numbers, values = laid_out([Static(x) if static else x for x, static in parts])
    except TraceError:  # the function has put something into them that no argument may hold
        return None
    return structure, [getattr(number, "node", None) for number in numbers], values


def _returned(tracer: Tracer, returned: Any, passed: Sequence[Value]) -> Returned:
    """Describe what the function returned, so that a replay can rebuild it."""
    structure, numbers, values = laid_out(returned)
    if list(objects_in(structure)):
        raise TraceError("a function or an object cannot be returned: return its Values")
    outputs = [
        Output(number.node, whole=type(number) is Whole)
        if isinstance(number, Number) and number.tape is tracer.tape
        else number
        for number in numbers
    ]
    places = {value: k for k, value in enumerate(passed)}
    found = [places[value] if value in places else _output(tracer, value) for value in values]
    return Returned(structure, outputs, found)


def _output(tracer: Tracer, value: Value) -> Output | Value:
    """Describe a returned Value that was not passed."""
    node = tracer.node_of(value)
    if value in tracer.before:
        return value
    return Output(node, tracer.gradient_of(value), value.label, value._left is not None)
