"""What does a function do with numbers? It is run once on recorded Values, which note it down.

During a recording every operation on Values makes a `Recorded` Value: it has parents, so that it
can be differentiated like any other, but no number. Leaves from outside (parameters, moments of an
optimizer) become `Captured`: what the function assigns to them is noted too. A recorded number
cannot be looked at; where Python code tries to, it gets a `TraceError` that says what to write.
"""

from __future__ import annotations

import linecache
import os
import pickle
import random
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, NoReturn, cast

from autograd import modes
from autograd.jit.structure import build, flatten
from autograd.modes import Mode, Origin
from autograd.ops import Primitive
from autograd.value import Constant, Operand, Value, as_operand

_new = object.__new__
_LEAF = Origin()
_ROOT = Path(__file__).resolve().parents[2]
_PATHS = sysconfig.get_paths()
# What is not the user's: this library, Python's own, and what was installed.
_OWN = (
    *(str(_ROOT / package) + os.sep for package in ("autograd", "nn")),
    *(_PATHS[place] + os.sep for place in ("stdlib", "purelib", "platlib")),
)


class TraceError(TypeError):
    """A recorded number was looked at, which would freeze it into the program."""


class Source(NamedTuple):
    """Where a node that no primitive makes gets its number from.

    kind: "constant", "argument", "varying", "data" or "grad" (of a captured leaf).
    key: the constant itself, else a position among the sources of this kind.
    """

    kind: str
    key: Any


class Graph:
    """A straight-line program: node i is `operations[i]` of the nodes `operands[i]`, all earlier.

    Of a node without operands the operation is a Source; of one that is not needed it is None.
    """

    __slots__ = ("operands", "operations")

    def __init__(self) -> None:
        self.operations: list[Primitive | Source | None] = []
        self.operands: list[tuple[int, ...]] = []

    def add(self, operation: Primitive | Source, operands: tuple[int, ...] = ()) -> int:
        """The number of the new node."""
        self.operations.append(operation)
        self.operands.append(operands)
        return len(self.operations) - 1

    def __len__(self) -> int:
        return len(self.operations)


# --- recorded Values ------------------------------------------------------------------------------


def _here() -> str:
    """` (train.py:12: loss = ...)`: the last line of the user's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not os.path.abspath(name).startswith(_OWN):
            line = linecache.getline(name, frame.f_lineno).strip()
            return f"{os.path.basename(name)}:{frame.f_lineno}: {line}"
        frame = frame.f_back
    return "unknown line"


def _refused(what: str, instead: str) -> NoReturn:
    raise TraceError(f"{what} has no number while the function is recorded: {instead} ({_here()})")


_BRANCH = "choose with maximum, minimum or where, or decide outside and pass an argument"
_READ = "return it, or compute with the Value itself"


def _tracer(value: Value) -> Tracer:
    tracer = modes.current.get().tracer
    if tracer is None:
        raise TraceError(
            "this number belongs to a recording that is over: a jitted function keeps nothing but"
            " what it returns and what it assigns to leaves"
        )
    return cast(Tracer, tracer)


class Traced(Value):
    """A Value that takes part in a recording; no number can be read from it."""

    __slots__ = ()

    def detach(self) -> Value:
        tracer = _tracer(self)
        return tracer.leaf(tracer.node_of(self))

    def __float__(self) -> float:
        _refused("a recorded Value, asked for its float(),", _READ)

    def __int__(self) -> int:
        _refused("a recorded Value, asked for its int(),", _READ)

    def __index__(self) -> int:
        _refused(
            "a recorded Value, used as an index,",
            "select outside, or by arithmetic with where",
        )

    def __bool__(self) -> bool:
        _refused("a recorded Value, asked whether it is true,", _BRANCH)

    def _compared(self, other: Operand) -> bool:
        _refused("a recorded Value, compared with another,", _BRANCH)

    __lt__ = __le__ = __gt__ = __ge__ = _compared

    def __format__(self, spec: str) -> str:
        _refused("a recorded Value, asked for its text,", "return it, and print it outside")

    def __str__(self) -> str:
        return self.__format__("")

    def __repr__(self) -> str:
        return f"<recorded {self.op or self.label or 'leaf'}>"

    def __reduce__(self) -> Any:
        _refused("a recorded Value, copied,", "use the Value itself, or detach()")


class Recorded(Traced):
    """What a primitive made of the numbers of a recording."""

    __slots__ = ("node", "tracer")

    node: int
    tracer: Tracer

    @property
    def data(self) -> float:
        _refused("a recorded Value, asked for its .data,", _READ)

    @data.setter
    def data(self, number: float) -> None:
        _refused("a recorded Value, asked for its .data,", "assign to leaves only")

    def assign(self, number: Any = None, *, grad: Any = None) -> None:
        _refused("a recorded Value", "assign to leaves from outside only")


class Number(Recorded):
    """What is a plain number in an eager run: an argument, a gradient, what varies."""

    __slots__ = ()
    __hash__ = Value.__hash__

    def _refused(self, *others: object) -> NoReturn:
        _refused("a plain number of the call, asked for more than arithmetic,", _BRANCH)

    __eq__ = __ne__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refused
    __divmod__ = __rdivmod__ = __round__ = __trunc__ = __floor__ = __ceil__ = _refused
    is_integer = as_integer_ratio = hex = conjugate = _refused


class Captured(Traced):
    """A leaf from outside: what is read is what it holds at the call, or was assigned since."""

    __slots__ = ()

    @property
    def data(self) -> Any:
        _refused(
            f"{self.label or 'a captured Value'}, asked for its .data,",
            "compute with the Value itself",
        )

    @data.setter
    def data(self, number: Any) -> None:
        tracer = _tracer(self)
        tracer.data[self] = tracer.node_of(number)

    @property
    def grad(self) -> Any:
        tracer = _tracer(self)
        return tracer.leaf(tracer.grads[self], Number)

    @grad.setter
    def grad(self, number: Any) -> None:
        tracer = _tracer(self)
        tracer.grads[self] = tracer.node_of(number)

    def assign(self, number: Any = None, *, grad: Any = None) -> None:
        if number is not None:
            self.data = number
        if grad is not None:
            self.grad = grad


# --- the recording --------------------------------------------------------------------------------


class Tracer:
    """Makes the nodes of one recording.

    Attributes:
        graph: what was noted down.
        captured: the leaves from outside, each with the class it had before.
        data, grads: the node that holds a captured leaf's number, and gradient, at this point.
        draws: what to read anew at each replay. guards: (read, what it gave).
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self.captured: dict[Value, tuple[type[Value], int, int]] = {}
        self.data: dict[Value, int] = {}
        self.grads: dict[Value, int] = {}
        self.late: list[Value] = []
        self.draws: list[Callable[[], float]] = []
        self.drawn: list[int] = []  # which of them have no key
        self.guards: list[tuple[Callable[[], Any], Any]] = []
        self.plain: set[int] = set()  # nodes of arguments: leaves that receive no gradient
        self._constants: dict[Any, int] = {}
        self._settings: dict[Any, int] = {}

    def capture(self, leaf: Value) -> None:
        """Take part of the recording as a leaf from outside."""
        position = len(self.captured)
        data, grad = (
            self.graph.add(Source("data", position)),
            self.graph.add(Source("grad", position)),
        )
        self.captured[leaf] = type(leaf), data, grad
        self.data[leaf], self.grads[leaf] = data, grad
        leaf.__class__ = Captured

    def release(self) -> None:
        """Make the captured leaves what they were."""
        for leaf, (kind, _, _) in self.captured.items():
            leaf.__class__ = kind

    def node_of(self, operand: Any) -> int:
        """The node of an operand: a Value of any kind or a plain number."""
        kind = operand.__class__
        if kind is Recorded or kind is Number:
            if operand.tracer is not self:
                raise TraceError(f"a Value of another recording was used ({_here()})")
            return cast(Recorded, operand).node
        if kind is Captured:
            return self.data[operand]
        if kind is float:
            return self.constant(operand)
        if kind is Constant:
            return self.constant(operand.data)
        if isinstance(operand, Value):
            if operand.parents:
                raise TraceError(
                    f"{operand!r} was computed before the recording: compute it inside the"
                    f" function, or pass .detach() of it as an argument ({_here()})"
                )
            self.late.append(operand)
            self.capture(operand)
            return self.data[operand]
        value = as_operand(operand)
        if value is None:
            raise TypeError(f"a Value holds a real number, not {operand!r}")
        return self.constant(value.data)

    def constant(self, number: float) -> int:
        """The node of a plain number; one for each number, the two zeros apart."""
        key = number if number and number == number else repr(number)
        node = self._constants.get(key)
        if node is None:
            node = self._constants[key] = self.graph.add(Source("constant", number))
        return node

    def leaf(self, node: int, kind: type[Recorded] = Recorded) -> Recorded:
        """A Value without a history that holds this node's number."""
        value = _new(kind)
        value.grad = 0.0
        value._left = value._right = value._mark = None
        value._origin = _LEAF
        value.node = node
        value.tracer = self
        return value

    def argument(self, position: int) -> Recorded:
        """A number that each call brings."""
        value = self.leaf(self.graph.add(Source("argument", position)), Number)
        self.plain.add(value.node)
        return value

    def apply(self, primitive: Primitive, operands: Sequence[Any]) -> Value:
        """The result of a primitive, noted down."""
        result = self.leaf(
            self.graph.add(primitive, tuple([self.node_of(operand) for operand in operands]))
        )
        mode = modes.current.get()
        if mode.recording:
            result._origin = mode.origin(primitive)
            left, *rest = [o if isinstance(o, Value) else Constant(float(o)) for o in operands]
            result._left = left
            result._right = rest[0] if len(rest) == 1 else tuple(rest) or None
        return result

    def varying(self, read: Callable[[], Any], key: Any = None) -> Any:
        """See `modes.varying`."""
        value = read() if key is not None else None
        if isinstance(value, Value):
            return value
        node = self._settings.get(key) if key is not None else None
        if node is None:
            node = self.graph.add(Source("varying", len(self.draws)))
            self.draws.append(read)
            self.plain.add(node)
            if key is not None:
                self._settings[key] = node
            else:
                self.drawn.append(len(self.draws) - 1)
        return self.leaf(node, Number)

    def fixed(self, read: Callable[[], Any]) -> Any:
        """See `modes.fixed`."""
        value = read()
        self.guards.append((read, value))
        return value

    def wants_gradient(self, leaf: Value) -> bool:
        """Whether a backward pass goes as far as this leaf: a captured one, not a plain number."""
        return (
            isinstance(leaf, Captured)
            or (isinstance(leaf, Recorded) and leaf.node not in self.plain)
            or (leaf.__class__ is Value)
        )


class Leaf(NamedTuple):
    """A leaf from outside: the nodes of its number and gradient at the beginning, and at the end.

    passed: which of the Values among the arguments it stands for; None for a captured one.
    """

    value: Value
    passed: int | None
    data: int
    data_end: int
    grad: int
    grad_end: int


class Recording(NamedTuple):
    """A function as it was noted down.

    Attributes:
        graph: every operation, in the order it was done. arguments: how many plain numbers it took.
        leaves: what it read or assigned to.
        returned: the structure of what it returned, and the plain numbers in it.
        results: the Values in it: nodes of number and gradient, or [which argument], or a leaf.
        draws: what to read at each replay. drawn: which of these are random numbers.
        guards: what must give the same for a replay to hold.
    """

    graph: Graph
    arguments: int
    leaves: list[Leaf]
    returned: tuple[Any, list[float]]
    results: list[tuple[int, int] | list[int] | Value]
    draws: list[Callable[[], float]]
    drawn: list[int]
    guards: list[tuple[Callable[[], Any], Any]]


def record(
    function: Callable[..., Any], structure: Any, arguments: int, passed: Sequence[Value]
) -> Recording:
    """Run a function once on recorded arguments.

    Args:
        structure: of its arguments (args, kwargs); see autograd.jit.structure.
        arguments: how many plain numbers they hold. passed: the Values among them.

    Raises TraceError where Python code looks at a number, and what the function raises; every leaf
    is as before then.
    """
    reached = list(reachable(function))
    known = dict.fromkeys(leaf for leaf in reached if isinstance(leaf, Value))
    streams = [stream for stream in reached if not isinstance(stream, Value)]
    for _ in range(4):
        before = _positions(streams)
        recording, missed = _attempt(function, structure, arguments, passed, known)
        if _positions(streams) != before:
            raise TraceError(
                "random numbers were drawn inside: a replay would repeat them; pass them as"
                " arguments, or draw through a module such as nn.Dropout"
            )
        if not missed:
            return recording
        known.update(dict.fromkeys(missed))
    name = getattr(function, "__name__", "the function")
    raise TraceError(f"{name} keeps Values that it makes: return them instead")


def _attempt(
    function: Callable[..., Any],
    structure: Any,
    arguments: int,
    passed: Sequence[Value],
    known: Iterable[Value],
) -> tuple[Recording, list[Value]]:
    """One run; and the leaves from outside that should have been captured before it began."""
    tracer = Tracer()
    try:
        stand_ins = [Value(0.0, value.label) for value in passed]
        for leaf in [*stand_ins, *known]:
            tracer.capture(leaf)
        numbers, values = iter([tracer.argument(i) for i in range(arguments)]), iter(stand_ins)
        args, kwargs = build(structure, numbers.__next__, values.__next__)
        outer = modes.current.get()
        token = modes.current.set(Mode(outer.recording, False, outer.owner, outer.outer, tracer))
        try:
            returned = function(*args, **kwargs)
            plain: list[float] = []
            found: list[Value] = []
            shape = flatten(returned, plain, found)
            given = {id(stand_in): k for k, stand_in in enumerate(stand_ins)}
            results: list[Any] = []
            for value in found:
                if isinstance(value, Recorded):
                    results.append((tracer.node_of(value), tracer.node_of(value.grad)))
                else:
                    results.append([given[id(value)]] if id(value) in given else value)
        finally:
            modes.current.reset(token)
    finally:
        tracer.release()
    del returned, found, args, kwargs, numbers, values
    draws, drawn_here, guards = tracer.draws, tracer.drawn, tracer.guards
    graph, late = tracer.graph, set(tracer.late)
    captured, data, grads = tracer.captured, tracer.data, tracer.grads
    tracer.captured, tracer.data, tracer.grads, tracer.late = {}, {}, {}, []
    leaves: list[Leaf] = []
    missed = []
    for value, (_, start, grad_start) in captured.items():
        # A leaf that nobody else holds was made inside, and is the same in each replay. Its
        # holders here: captured, data, grads, late, the loop, and the call of getrefcount.
        if value in late and sys.getrefcount(value) <= 6:
            graph.operations[start] = Source("constant", value.data)
            graph.operations[grad_start] = Source("constant", value.grad)
            continue
        position = len(leaves)
        graph.operations[start] = Source("data", position)
        graph.operations[grad_start] = Source("grad", position)
        number = position if position < len(stand_ins) else None
        leaves.append(Leaf(value, number, start, data[value], grad_start, grads[value]))
        if value in late:
            missed.append(value)
    recording = Recording(
        graph, arguments, leaves, (shape, plain), results, draws, drawn_here, guards
    )
    return recording, missed


# --- what a function can reach --------------------------------------------------------------------


def _positions(streams: Sequence[Any]) -> bytes:
    """Where the streams of random numbers stand: Python's, NumPy's, and those given."""
    states: list[Any] = [random.getstate()]
    if "numpy" in sys.modules:
        states.append(sys.modules["numpy"].random.get_state())
    for stream in streams:
        own = isinstance(stream, random.Random)
        states.append(stream.getstate() if own else stream.bit_generator.state)
    return pickle.dumps(states)


def reachable(function: Callable[..., Any]) -> Iterator[Any]:
    """The leaves a function might use, and its streams of random numbers: what it names.

    A leaf that is missed here is found when it is used, and the recording begins again.
    """
    seen: set[int] = set()
    waiting: list[Any] = [function]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, Value):
            if not (thing.parents or isinstance(thing, Constant | Traced)):
                yield thing
        elif isinstance(thing, FunctionType):
            waiting.extend(_named(thing))
        elif isinstance(thing, MethodType):
            waiting += [thing.__func__, thing.__self__]
        elif isinstance(thing, CellType):
            waiting.extend(_contents(thing))
        elif isinstance(thing, dict):
            waiting.extend(thing.values())
        elif isinstance(thing, list | tuple | set | frozenset):
            waiting.extend(thing)
        elif type(thing) is random.Random or hasattr(thing, "bit_generator"):
            yield thing
        elif isinstance(thing, _ATOMS):
            continue
        else:
            waiting.extend(getattr(thing, "__dict__", {}).values())
            for kind in type(thing).__mro__:
                for slot in vars(kind).get("__slots__", ()):
                    waiting.append(getattr(thing, slot, None))
                if not _own(kind):
                    waiting.append(vars(kind).get("__call__"))


_ATOMS = (str, bytes, int, float, complex, type(None), type, ModuleType, CodeType)


def _own(thing: Any) -> bool:
    """Whether it belongs to this library, whose functions refer to no leaves."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


def _contents(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # a name that has no value yet
        return []


def _named(function: FunctionType) -> Iterator[Any]:
    """What a function refers to: closure, defaults, and the globals it names."""
    yield from function.__closure__ or ()
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes.extend(c for c in code.co_consts if isinstance(c, CodeType))
        for name in code.co_names:
            thing = function.__globals__.get(name)
            if isinstance(thing, ModuleType):
                for inner in [vars(thing).get(name) for name in code.co_names]:
                    yield inner
                    if isinstance(inner, ModuleType):
                        yield from (vars(inner).get(name) for name in code.co_names)
            elif not _own(thing):
                yield thing
    yield function.__dict__
