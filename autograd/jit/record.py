"""What does a function do with numbers? It is run once on Values that record it."""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autograd.context import current, entered
from autograd.jit.graph import RESULT, Graph, Source
from autograd.jit.recorded import Captured, Number, Recorded
from autograd.jit.recorder import Recorder
from autograd.jit.refusal import TraceError
from autograd.jit.structure import build, flatten, objects_in
from autograd.jit.surroundings import all_captured, no_draws, values_and_streams
from autograd.jit.tracer import Leaf, Tracer
from autograd.value import Value


class Result(NamedTuple):
    """A returned Value that the function computed.

    data, grad: the nodes of its number and gradient. history: whether it has parents.
    """

    data: int
    grad: int
    label: str
    history: bool


class Passed(NamedTuple):
    """A returned Value that was passed as an argument: its position among these."""

    position: int


class Unrecorded(Exception):
    """The function raised while it was recorded; `leaves` are those it had used until then."""

    def __init__(self, leaves: list[Value]) -> None:
        super().__init__(leaves)
        self.leaves = leaves


class Recording(NamedTuple):
    """A recorded function.

    Attributes:
        graph: every operation, in the order it was done. arguments: how many plain numbers it took.
        leaves: the leaves from outside that it read or assigned to.
        returned: the structure of what it returned, and the plain numbers in it.
        results: the Values in it: a Result, a Passed, the node of a plain number (int), or a leaf
            from outside (Value).
        draws: what is read again at each replay. streams: what gives the random.Random of draws.
        guards: (read, what it gave): a replay holds only while `read` gives the same.
    """

    graph: Graph
    arguments: int
    leaves: list[Leaf]
    returned: tuple[Any, list[Any]]
    results: list[Result | Passed | int | Value]
    draws: list[Callable[[], float]]
    streams: list[Callable[[], random.Random]]
    guards: list[tuple[Callable[[], Any], Any]]


def record(
    function: Callable[..., Any], structure: Any, arguments: int, passed: Sequence[Value]
) -> Recording:
    """Run a function once on recorded arguments; a second time if it keeps Values it created.

    One recording at a time: the caller holds a lock.

    Args:
        structure: of its arguments (args, kwargs); see autograd.jit.structure.
        arguments: how many plain numbers they hold. passed: the Values among them.

    Raises TraceError where Python code looks at a number, and Unrecorded where the function raises;
    every leaf and every stream of random numbers is as before then.
    """
    for _ in range(2):
        recording, keeps_values = _attempt(function, structure, arguments, passed)
        if not keeps_values:
            return recording
        # The function created Values that it keeps, such as the moments of an optimizer. In the
        # second run they exist before the call, as they will at each replay.
    name = getattr(function, "__name__", "the function")
    raise TraceError(f"{name} keeps Values that it makes at each call: return them instead")


def _attempt(
    function: Callable[..., Any], structure: Any, arguments: int, passed: Sequence[Value]
) -> tuple[Recording, bool]:
    """One run, and whether somebody still holds Values that were created in it."""
    tracer = Tracer()
    # The Values that stand for those passed exist before the run, so they are captured as well.
    stand_ins = [Value(0.0, value.label) for value in passed]
    outer = current.get()
    remembers = outer.interpreter is outer.interpreter.with_history()
    values, streams = values_and_streams()
    with no_draws(streams), all_captured(values):
        try:
            with entered(current, outer.under(Recorder(tracer, remembers))):
                returned, results = _run(function, tracer, structure, arguments, stand_ins)
        except TraceError:
            raise
        except Exception as error:
            raise Unrecorded(tracer.leaves.captured(stand_ins)) from error
        finally:
            tracer.leaves.restore_created()
    recording = Recording(
        tracer.tape,
        arguments,
        tracer.leaves.from_outside(stand_ins, tracer.tape),
        returned,
        results,
        tracer.draws,
        list(tracer.streams),
        tracer.guards,
    )
    created = list(tracer.leaves.created)
    tracer.leaves.clear()
    return recording, bool(created) and _is_held(created)


def _run(
    function: Callable[..., Any],
    tracer: Tracer,
    structure: Any,
    arguments: int,
    stand_ins: Sequence[Value],
) -> tuple[tuple[Any, list[Any]], list[Result | Passed | int | Value]]:
    """Call the function; `Recording.returned` and `Recording.results`."""
    sources = [tracer.tape.add(Source("argument", i)) for i in range(arguments)]
    numbers = [tracer.recorded(node, Number) for node in sources]
    for stand_in in stand_ins:
        tracer.node_of(stand_in)
    args, kwargs = build(structure, iter(numbers).__next__, iter(stand_ins).__next__)
    before = _laid_out((args, kwargs))
    returned = function(*args, **kwargs)
    if _laid_out((args, kwargs)) != before:
        raise TraceError("an argument is changed, which a replay would not: return what it becomes")
    plain: list[Any] = []
    found: list[Value] = []
    shape = flatten(returned, plain, found)
    if any(True for _ in objects_in(shape)):
        raise TraceError("a function or an object cannot be returned: return its Values")
    return (shape, plain), [_result(tracer, value, stand_ins) for value in found]


def _laid_out(given: Any) -> tuple[Any, list[int]]:
    """The structure of recorded arguments, and the identities of the numbers in it."""
    numbers: list[Any] = []
    values: list[Value] = []
    try:
        structure = flatten(given, numbers, values)
    except TraceError:  # the function put something into it that no argument may hold
        return None, []
    return structure, [id(entry) for entry in [*numbers, *values]]


def _result(
    tracer: Tracer, value: Value, stand_ins: Sequence[Value]
) -> Result | Passed | int | Value:
    """How a replay will make a returned Value; see Recording.results."""
    if isinstance(value, Number):
        return value.node
    if isinstance(value, Recorded):
        node = tracer.node_of(value)
        history = tracer.tape.kinds[node] == RESULT
        return Result(node, tracer.node_of(value.grad), value.label, history)
    for k, stand_in in enumerate(stand_ins):
        if value is stand_in:
            return Passed(k)
    if isinstance(value, Captured) and value not in tracer.leaves.created:
        return value
    return Result(tracer.node_of(value), tracer.gradient_of(value), value.label, False)


def _is_held(created: list[Value]) -> bool:
    """Whether anything but this list refers to one of these Values."""
    probe = [Value(0.0)]
    alone = max(sys.getrefcount(value) for value in probe)
    del probe
    if all(sys.getrefcount(value) <= alone for value in created):
        return False
    gc.collect()  # a cycle may hold it that nobody holds
    return any(sys.getrefcount(value) > alone for value in created)
