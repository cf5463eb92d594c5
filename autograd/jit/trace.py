"""What does a function do with numbers? It is run once on recorded Values, which note it down.

During a recording every operation on Values adds a node to a graph of whole numbers, and gives a
`Recorded` Value, which is the number of that node and nothing else. Every Value that was there
before the recording becomes `Captured`: what is read of it is read anew at each replay, what the
function assigns to it is noted too. A recorded number cannot be looked at; where Python code tries
to, it gets a `TraceError` that says what to write.

Derivatives are added to the same graph. The rule of a primitive is run once for each of its
operands, on stand-ins; what it noted down is then copied for every node of that kind.
"""

from __future__ import annotations

import gc
import linecache
import os
import pickle
import random
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NamedTuple, NoReturn, cast

from autograd import ops
from autograd.context import INSIDE, Context, Interpreter, Listener, current
from autograd.hooks import Hooks
from autograd.jit.leaves import Linked
from autograd.jit.structure import TraceError, build, flatten, things
from autograd.messages import no_gradient
from autograd.primitive import CONSTANT, Primitive
from autograd.switches import no_grad
from autograd.switches import recording as with_history
from autograd.value import Operand, Value, as_label, as_operand

_new = object.__new__
_current = current.get
_ROOT = Path(__file__).resolve().parents[2]
_PATHS = sysconfig.get_paths()
# What is not the user's: this library, Python's own, and what was installed.
OWN = (
    *(str(_ROOT / package) + os.sep for package in ("autograd", "nn")),
    *(_PATHS[place] + os.sep for place in ("stdlib", "purelib", "platlib")),
)

# A leaf that holds the number of another node: after an assignment, or where a gradient must end.
SAME = Primitive("same", lambda x: x, 1.0)


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


def _tracer() -> Tracer | None:
    """The recording that is under way here, if one is."""
    interpreter = _current().interpreter
    return interpreter.tracer if isinstance(interpreter, Recorder) else None


# --- recorded Values ------------------------------------------------------------------------------


def _here() -> str:
    """`train.py:12: loss = ...`: the last line of the user's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not os.path.abspath(frame.f_code.co_filename).startswith(OWN):
            return _line(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return "unknown line"


def _line(name: str, number: int) -> str:
    return f"{os.path.basename(name)}:{number}: {linecache.getline(name, number).strip()}"


def place_of(error: BaseException) -> str:
    """The last line of the user's own that an error came through."""
    lines = [
        _line(frame.filename, frame.lineno or 0)
        for frame in traceback.extract_tb(error.__traceback__)
        if not os.path.abspath(frame.filename).startswith(OWN)
    ]
    return lines[-1] if lines else "unknown line"


def refuse(what: str, instead: str) -> NoReturn:
    """Raise TraceError: `what` cannot be recorded, write `instead`."""
    raise TraceError(f"{what} while the function is recorded: {instead} ({_here()})")


_BRANCH = (
    "choose with maximum, minimum or where, as in where(greater(x, 0.0), a, b) or where(less(x,"
    " 0.0), a, b), or decide outside and pass an argument"
)
_READ = "return it, or compute with the Value itself"
_SHOW = "return it, and print it outside"


def _refuses(name: str, what: str, instead: str) -> Any:
    """A method of recorded Values that raises; of captured ones, only inside the recording."""

    def method(self: Traced, *others: Any) -> Any:
        if isinstance(self, Captured) and _tracer() is None:  # in another thread
            return getattr(super(Traced, self), name)(*others)
        if isinstance(self, Recorded):
            self._recording()
        refuse(f"a recorded Value has no number to be {what}", instead)

    return method


class Traced(Value):
    """A Value that takes part in a recording; no number can be read from it."""

    __slots__ = ()

    __float__ = _refuses("__float__", "taken as float()", _READ)
    __int__ = _refuses("__int__", "taken as int()", _READ)
    __index__ = _refuses("__index__", "used as an index", "pass the index as a static argument")
    __bool__ = _refuses("__bool__", "true or false", _BRANCH)
    __lt__ = _refuses("__lt__", "compared", _BRANCH)
    __le__ = _refuses("__le__", "compared", _BRANCH)
    __gt__ = _refuses("__gt__", "compared", _BRANCH)
    __ge__ = _refuses("__ge__", "compared", _BRANCH)
    __format__ = _refuses("__format__", "shown", _SHOW)
    __str__ = _refuses("__str__", "shown", _SHOW)
    __reduce__ = _refuses("__reduce__", "copied", "use the Value itself, or detach()")

    def __repr__(self) -> str:
        return f"<recorded {self.op or self.label or 'leaf'}>"


class Recorded(Traced):
    """The node of a number; two that stand for one node are equal."""

    __slots__ = ("_label", "node", "tracer")

    node: int
    tracer: Tracer
    _label: str

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Recorded):
            return self.node == other.node and self.tracer is other.tracer
        if isinstance(other, float | int):
            refuse("a recorded Value cannot be compared with a number", _BRANCH)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.node)

    def _recording(self) -> Tracer:
        """The recording it belongs to, which must not be over."""
        if _tracer() is not self.tracer:
            raise TraceError(
                "this number belongs to a recording that is over: a jitted function keeps nothing"
                " but what it returns and what it assigns to leaves"
            )
        return self.tracer

    @property
    def data(self) -> Any:
        self._recording()
        refuse("a recorded Value has no .data", _READ)

    @data.setter
    def data(self, number: Any) -> None:
        refuse("a result has no .data to assign to", "assign to leaves only")

    @property
    def grad(self) -> Any:
        tracer = self._recording()
        node = tracer.gradients.get(self.node)
        return 0.0 if node is None else tracer.number(node)

    @grad.setter
    def grad(self, number: Any) -> None:
        tracer = self._recording()
        tracer.gradients[self.node] = tracer.node_of(number)

    @property
    def label(self) -> str:
        return getattr(self, "_label", "")

    @label.setter
    def label(self, label: str) -> None:
        self._label = as_label(label)

    @property
    def primitive(self) -> Primitive | None:
        operation = self.tracer.graph.operations[self.node]
        return None if isinstance(operation, Source) or operation is SAME else operation

    @property
    def op(self) -> str:
        return "" if self.primitive is None else self.primitive.name

    @property
    def _op(self) -> str:
        return "" if self.primitive is None else self.primitive.symbol

    @property
    def parents(self) -> tuple[Value, ...]:
        tracer = self._recording()
        if tracer.kinds[self.node] != RESULT:
            return ()
        return tuple([tracer.value(node) for node in tracer.graph.operands[self.node]])

    def detach(self) -> Value:
        """A leaf with the same number and label."""
        return self._recording().detached(self.node, self.label)


class Number(Recorded):
    """What is a plain number in an eager run: an argument, a gradient, what varies."""

    __slots__ = ()
    _stands_for_number = True

    def _held(self) -> Number:
        """A Value made of it holds it, and so knows its node."""
        return self

    @property
    def grad(self) -> Any:
        raise AttributeError("a number has no gradient: make a Value of it")

    @grad.setter
    def grad(self, number: Any) -> None:
        raise AttributeError("a number has no gradient: make a Value of it")

    def _refused(self, *others: object) -> NoReturn:
        refuse("a number of the call can only be computed with", _BRANCH)

    __eq__ = __ne__ = __hash__ = _refused
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refused
    __divmod__ = __rdivmod__ = __round__ = __trunc__ = __floor__ = __ceil__ = _refused
    is_integer = as_integer_ratio = hex = conjugate = _refused


class Captured(Traced):
    """A Value from outside: what is read is what it holds at the call, or was assigned since.

    For other threads it is the Value it was, of the class `kind`.
    """

    __slots__ = ()
    kind: ClassVar[type[Value]]

    @property
    def data(self) -> Any:
        tracer = _tracer()
        if tracer is None or self in tracer.made:
            return _slot(self, "data").__get__(self)
        refuse(f"{self.label or 'a captured Value'} has no .data", _READ)

    @data.setter
    def data(self, number: Any) -> None:
        tracer = _tracer()
        if tracer is None:
            _slot(self, "data").__set__(self, number)
        else:
            tracer.assign(self, number)

    @property
    def grad(self) -> Any:
        tracer = _tracer()
        if tracer is None:
            return _slot(self, "grad").__get__(self)
        return tracer.number(tracer.gradient_of(self))

    @grad.setter
    def grad(self, number: Any) -> None:
        tracer = _tracer()
        if tracer is None:
            _slot(self, "grad").__set__(self, number)
        elif number is None:
            raise no_gradient(self.label)
        else:
            tracer.assign(self, grad=number)

    def detach(self) -> Value:
        """A leaf with the same number and label."""
        tracer = _tracer()
        if tracer is None:
            return super().detach()
        return tracer.detached(tracer.node_of(self), self.label)

    def __repr__(self) -> str:
        if _tracer() is None:
            return super(Traced, self).__repr__()
        return f"<recorded {self.label or 'leaf'}>"


def _captured(kind: type[Value]) -> type[Captured]:
    """What a Value of this class becomes during a recording."""
    return type("Captured", (Captured, kind), {"__slots__": (), "kind": kind})


_CAPTURED: dict[type[Value], Any] = {kind: _captured(kind) for kind in (Value, Linked)}


def _slot(value: Value, name: str) -> Any:
    """Where a captured Value keeps its number or gradient: the descriptor of the class it was."""
    return getattr(type(value).kind, name) if isinstance(value, Captured) else None


# --- the recording --------------------------------------------------------------------------------

_NO_NUMBERS = ((), (-1,), (-1, -1))  # how a rule's operands are when none is a plain number
PLAIN, LEAF, RESULT = 0, 1, 2  # a node is a plain number, a Value without or with a history


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


class _Rule(NamedTuple):
    """A local derivative, noted down: the numbers it starts from, what it does, what it gives.

    Places 0, 1, ... are the result of the primitive and its operands; then come the steps.
    """

    steps: list[tuple[Primitive | float, tuple[int, ...]]]
    result: int | float


class Tracer(Hooks):
    """Makes the nodes of one recording.

    Attributes:
        graph: what was noted down. kinds: for each node PLAIN, LEAF or RESULT.
        data, gradient: for each captured leaf that was used, the node of its number, and of its
            gradient, at this point. made: those of them that were made inside.
        gradients: the gradient of each inner node.
        draws: what to read anew at each replay. streams: where these are random numbers from.
        guards: (read, what it gave).
    """

    recording = True

    def __init__(self) -> None:
        self.graph = Graph()
        self.kinds = bytearray()
        self.data: dict[Value, int] = {}
        self.gradient: dict[Value, int] = {}
        self.made: dict[Value, tuple[float, float]] = {}
        self.gradients: dict[int, int] = {}
        self.draws: list[Callable[[], float]] = []
        self.streams: dict[Callable[[], random.Random], None] = {}
        self.guards: list[tuple[Callable[[], Any], Any]] = []
        self._starts: dict[Value, tuple[int, int]] = {}  # the first nodes of captured leaves
        self._leaf_of: dict[int, Value] = {}  # the leaf that a node is the number of
        self._first: dict[int, int] = {}  # of a leaf's later nodes, its first one
        self._constants: dict[Any, int] = {}
        self._numbers: dict[int, float] = {}  # of constants, by node
        self._settings: dict[Any, int] = {}
        self._rules: dict[Any, _Rule | None] = {}

    def add(
        self, operation: Primitive | Source, operands: tuple[int, ...] = (), kind: int = PLAIN
    ) -> int:
        """The number of the new node."""
        self.kinds.append(kind)
        return self.graph.add(operation, operands)

    def detached(self, node: int, label: str) -> Value:
        """A leaf with the number of a node."""
        leaf = self.recorded(self.add(SAME, (node,), LEAF))
        leaf.label = label
        leaf._context = _current().leaf  # whether it may be a parameter
        return leaf

    def refuse(self, what: str, instead: str) -> NoReturn:
        """See `hooks.refuse`."""
        refuse(what, instead)

    def demand(self, condition: Any) -> None:
        """See `hooks.demand`."""
        self.add(ops.div, (self.constant(1.0), self.node_of(condition)))  # stays, for it may raise

    # --- Values and their nodes ---

    def node_of(self, operand: Any) -> int:
        """The node of an operand: a Value of any kind or a plain number."""
        kind = operand.__class__
        if issubclass(kind, Recorded):
            if operand.tracer is not self:
                operand._recording()
            return cast(int, operand.node)
        if kind is float:
            return self.constant(operand)
        if isinstance(operand, Value):
            if operand._primitive is CONSTANT:
                slot = _slot(operand, "data")
                return self.node_of(slot.__get__(operand) if slot else operand.data)
            node = self.data.get(operand)
            return self._met(operand) if node is None else node
        value = as_operand(operand)
        if value is None:
            raise TypeError(f"a Value holds a real number, not {operand!r}")
        return self.constant(value.data)

    def _met(self, leaf: Value) -> int:
        """The node of a leaf that is used for the first time."""
        if leaf._left is not None:
            refuse(
                f"{leaf.label or 'a Value'} was computed before, and cannot be used",
                "compute it inside the function, or pass .detach() of it",
            )
        if isinstance(leaf, Captured):
            position = len(self._starts)
            node = self.add(Source("data", position), (), LEAF)
            grad = self.add(Source("grad", position))
            self._starts[leaf] = node, grad
        elif type(leaf) is not Value:
            refuse(f"a {type(leaf).__name__} cannot be used", "use Values themselves")
        elif gc.get_freeze_count():
            raise TraceError("gc.freeze() hides Values from the recording: call it afterwards")
        else:
            node = self.add(SAME, (self.node_of(leaf.data),), LEAF)
            grad = self.node_of(leaf.grad)
            self.made[leaf] = leaf.data, leaf.grad
            leaf.__class__ = _CAPTURED[Value]
        self.data[leaf], self.gradient[leaf] = node, grad
        self._leaf_of[node] = leaf
        return node

    def gradient_of(self, leaf: Value) -> int:
        """The node of a leaf's gradient."""
        if leaf._primitive is CONSTANT:
            return self.constant(0.0)
        if leaf not in self.gradient:
            self._met(leaf)
        return self.gradient.get(leaf) or self.constant(0.0)

    def assign(self, leaf: Value, number: Any = None, grad: Any = None) -> None:
        """Note what a leaf is from now on."""
        if isinstance(leaf, Recorded):
            refuse("a result cannot be assigned to", "assign to leaves only")
        before = self.node_of(leaf)
        if number is not None:
            node = self.data[leaf] = self.add(SAME, (self.node_of(number),), self.kinds[before])
            self._first[node] = self._first.get(before, before)
            self._leaf_of[node] = leaf
            if leaf in self.made:  # Python code may read it again
                kept = number if number.__class__ is float else self.number(node)
                _slot(leaf, "data").__set__(leaf, kept)
        if grad is not None:
            self.gradient[leaf] = self.node_of(grad)

    def constant(self, number: float) -> int:
        """The node of a plain number; one for each number, the two zeros apart."""
        key = number if number and number == number else repr(number)
        node = self._constants.get(key)
        if node is None:
            node = self._constants[key] = self.add(Source("constant", number))
            self._numbers[node] = number
        return node

    def recorded(self, node: int, kind: type[Recorded] = Recorded) -> Recorded:
        """A Value that stands for this node."""
        value = _new(kind)
        value.node = node
        value.tracer = self
        value._context = INSIDE
        return value

    def number(self, node: int) -> Recorded:
        """The number of a node, as a plain one through which no gradient flows."""
        if self.kinds[node] != PLAIN:
            node = self.add(SAME, (node,))
        return self.recorded(node, Number)

    def value(self, node: int) -> Value:
        """What stands for this node in the function."""
        leaf = self._leaf_of.get(node)
        if leaf is not None:
            return leaf
        return self.recorded(node, Recorded if self.kinds[node] != PLAIN else Number)

    # --- operations ---

    def apply(self, primitive: Primitive, operands: Sequence[Any], history: bool) -> Value:
        """The result of a primitive, noted down; whether it remembers its operands."""
        kinds, kind = self.kinds, PLAIN
        nodes = []
        for operand in operands:
            if operand.__class__ is Recorded and operand.tracer is self:
                node = operand.node
            else:
                node = self.node_of(operand)
            nodes.append(node)
            if kinds[node]:
                kind = RESULT
        if kind and not history:
            kind = LEAF
        graph = self.graph
        value = _new(Recorded if kind else Number)
        value.node = len(kinds)
        value.tracer = self
        value._context = INSIDE
        graph.operations.append(primitive)
        graph.operands.append(tuple(nodes))
        kinds.append(kind)
        return value

    def weighted_sum(
        self, weights: Sequence[Value], inputs: Sequence[Operand], start: Value, history: bool
    ) -> Value:
        """See autograd.sums.weighted_sum; the same nodes, added in one go."""
        kinds = self.kinds
        first, sofar = len(kinds), self.node_of(start)
        factors = [
            (
                w.node if w.__class__ is Recorded else self.node_of(w),
                x.node if x.__class__ is Recorded else self.node_of(x),
            )
            for w, x in zip(weights, inputs, strict=True)
        ]
        if not factors or not kinds[sofar]:
            result: Any = start
            for w, x in zip(weights, inputs, strict=True):
                result = result + w * x
            return cast(Value, result)
        kind = RESULT if history else LEAF
        first = len(kinds)
        operands = []
        for product, pair in enumerate(factors):
            node = first + 2 * product
            operands += [pair, (sofar, node)]
            sofar = node + 1
        self.graph.operations += [ops.mul, ops.add] * len(factors)
        self.graph.operands += operands
        kinds += bytes([kind]) * len(operands)
        return self.recorded(sofar)

    def varying(
        self,
        read: Callable[[], Any],
        key: Any = None,
        stream: Callable[[], random.Random] | None = None,
    ) -> Any:
        """See `hooks.varying`."""
        if key is not None and isinstance(value := read(), Value):
            self.guards.append((read, value))
            return value
        node = self._settings.get(key) if key is not None else None
        if node is None:
            if key is not None:
                self.guards.append((lambda: isinstance(read(), Value), False))
            node = self.add(Source("varying", len(self.draws)))
            self.draws.append(read)
            if key is not None:
                self._settings[key] = node
            if stream is not None:
                self.streams[stream] = None
        return self.recorded(node, Number)

    def fixed(self, read: Callable[[], Any]) -> Any:
        """See `hooks.fixed`."""
        value = read()
        self.guards.append((read, value))
        return value

    # --- derivatives ---

    def backward(self, output: Value) -> None:
        """See autograd.backward.backward."""
        node = self.node_of(output)
        with no_grad():
            inner, leaves, gradients = self._sweep(node, None)
            for inside in inner:
                gradient = gradients.get(inside)
                if gradient is None:
                    self.gradients.pop(inside, None)
                else:
                    self.gradients[inside] = self._as_node(gradient)
            for first in leaves:
                gradient = gradients.get(first)
                if gradient is None:
                    continue
                leaf = self._leaf_of.get(first)
                if leaf is None:  # detached inside
                    before = self.gradients.get(first, self.constant(0.0))
                    self.gradients[first] = self._sum(before, gradient)
                else:
                    self.gradient[leaf] = self._sum(self.gradient[leaf], gradient)

    def grad(self, output: Value, inputs: Sequence[Value], create_graph: bool) -> list[Value]:
        """See autograd.backward.grad."""
        for i, value in enumerate(inputs):
            if value._stands_for_number:
                raise TypeError(f"inputs[{i}] must be a Value, not a number")
        nodes = [self._first.get(node, node) for node in map(self.node_of, inputs)]
        if not self._numbers.keys().isdisjoint(nodes):
            refuse("a gradient by a plain number cannot be taken", "make it a Value")
        with with_history() if create_graph else no_grad():
            _, _, gradients = self._sweep(self.node_of(output), nodes)
            found = [gradients.get(node, 0.0) for node in nodes]
            return [self._gradient_value(gradient) for gradient in found]

    def _gradient_value(self, gradient: int | float) -> Value:
        if gradient.__class__ is float:
            return Value(gradient)
        node = cast(int, gradient)
        if self.kinds[node] == PLAIN:  # a plain number became a Value
            node = self.add(SAME, (node,), LEAF)
        return self.value(node)

    def _as_node(self, gradient: int | float) -> int:
        return self.constant(gradient) if gradient.__class__ is float else cast(int, gradient)

    def _sum(self, before: int, gradient: int | float) -> int:
        return self.add(ops.add, (before, self._as_node(gradient)))

    def _sweep(
        self, output: int, inputs: list[int] | None
    ) -> tuple[list[int], list[int], dict[int, int | float]]:
        """Inner nodes and leaves of what the output depends on, and the gradients on them.

        The rules, the order of visits and of additions are those of autograd/backward.py. A leaf is
        known by its first node. A gradient that is a float is a plain number.
        """
        first_of, kinds = self._first, self.kinds
        if kinds[output] != RESULT:
            output = first_of.get(output, output)
        inner, leaves = self._ancestors(output)
        wanted = None if inputs is None else self._between(inner, inputs)
        operations, operands = self.graph.operations, self.graph.operands
        kind = RESULT if _remembers() else LEAF
        latest = {}
        if first_of:  # a leaf that was assigned to since has its new number, as eagerly
            latest = {node: self.data[leaf] for node, leaf in self._leaf_of.items()}
        gradients: dict[int, Any] = {output: 1.0}
        constant = self.constant

        def new(primitive: Primitive, a: Any, b: Any) -> int:
            x = constant(a) if a.__class__ is float else a
            y = constant(b) if b.__class__ is float else b
            operations.append(primitive)
            operands.append((x, y))
            kinds.append(kind)
            return len(kinds) - 1

        for node in inner:
            upstream = gradients.get(node, 0.0)
            if upstream.__class__ is float and upstream == 0.0:
                continue
            primitive: Any = operations[node]
            parents = operands[node]
            for position, rule in enumerate(primitive.backward):
                if rule is None:
                    continue
                parent = parents[position]
                if first_of:
                    parent = first_of.get(parent, parent)
                if not kinds[parent] if wanted is None else parent not in wanted:
                    continue
                local: Any = rule
                if rule.__class__ is not float:
                    local = self._local(primitive, position, node, parents, latest)
                may_be_nan = primitive is ops.power and position == 1  # for a base below 0
                if may_be_nan and kind == LEAF and upstream.__class__ is not float:
                    # A gradient of 0 passes nothing on, as in the eager sweep.
                    choice = (upstream, self._as_node(local), constant(0.0))
                    local = self.add(ops.where, choice, kind)
                if upstream.__class__ is float:
                    if local.__class__ is float:
                        contribution: Any = upstream * local
                    else:
                        contribution = local if upstream == 1.0 else new(ops.mul, upstream, local)
                elif local.__class__ is float and local == 1.0:
                    contribution = upstream
                else:
                    contribution = new(ops.mul, upstream, local)
                sofar = gradients.get(parent)
                if sofar is None:
                    gradients[parent] = contribution
                elif sofar.__class__ is float and contribution.__class__ is float:
                    gradients[parent] = sofar + contribution
                else:
                    gradients[parent] = new(ops.add, sofar, contribution)
        return inner, leaves, gradients

    def _ancestors(self, output: int) -> tuple[list[int], list[int]]:
        """Inner nodes that the output depends on, the newest first, and leaves."""
        kinds, operands, first_of = self.kinds, self.graph.operands, self._first
        if kinds[output] != RESULT:
            return [], [output] if kinds[output] else []
        inner: list[int] = []
        leaves: list[int] = []
        seen = {output}
        waiting = [output]
        while waiting:
            node = waiting.pop()
            if kinds[node] != RESULT:
                leaves.append(node)
                continue
            inner.append(node)
            for operand in operands[node]:
                if kinds[operand] == PLAIN:
                    continue
                operand = first_of.get(operand, operand)
                if operand not in seen:
                    seen.add(operand)
                    waiting.append(operand)
        inner.sort(reverse=True)  # a node has a larger number than its operands
        return inner, leaves

    def _between(self, inner: list[int], inputs: list[int]) -> set[int]:
        """The inputs, and every node that depends on one."""
        wanted, operands, first_of = set(inputs), self.graph.operands, self._first
        for node in reversed(inner):
            if any(first_of.get(operand, operand) in wanted for operand in operands[node]):
                wanted.add(node)
        return wanted

    def _local(
        self,
        primitive: Primitive,
        position: int,
        node: int,
        parents: tuple[int, ...],
        latest: dict[int, int],
    ) -> int | float:
        """The local derivative of a node by one operand."""
        if latest:
            parents = tuple([latest.get(parent, parent) for parent in parents])
        constants, kinds = self._numbers, self.kinds
        if kinds[parents[0]] and kinds[parents[-1]] and len(parents) <= 2:
            fixed: tuple[int, ...] = _NO_NUMBERS[len(parents)]
        else:
            fixed = tuple([p if p in constants else -1 if kinds[p] else -2 for p in parents])
        key = primitive, position, fixed
        if key not in self._rules:
            self._rules[key] = self._noted(primitive, position, fixed)
        rule = self._rules[key]
        if rule is None:  # it uses other Values: carried out anew for each node
            numbers = [
                self.value(parent) if constant < 0 else self._numbers[constant]
                for parent, constant in zip(parents, fixed, strict=True)
            ]
            local = cast(Any, primitive.backward[position])(self.value(node), *numbers)
            return self.node_of(local) if isinstance(local, Value) else float(local)
        if not rule.steps:
            result = rule.result
            return result if result.__class__ is float else (node, *parents)[cast(int, result)]
        operations, operands = self.graph.operations, self.graph.operands
        recording = _remembers()
        places = [node, *parents]
        for operation, before in rule.steps:
            if operation.__class__ is float:
                places.append(self.constant(operation))
                continue
            found = tuple([places[place] for place in before])
            kind = PLAIN
            for operand in found:
                if kinds[operand]:
                    kind = RESULT if recording else LEAF
            operations.append(cast(Primitive, operation))
            operands.append(found)
            kinds.append(kind)
            places.append(len(kinds) - 1)
        return places[cast(int, rule.result)]

    def _noted(self, primitive: Primitive, position: int, fixed: tuple[int, ...]) -> _Rule | None:
        """A rule, run once on stand-ins; None if it is not made of its operands alone."""
        inner = Tracer()
        out = inner.recorded(inner.add(Source("argument", 0), (), LEAF))
        stand_ins: list[Any] = [
            self._numbers[constant]
            if constant >= 0
            else inner.recorded(inner.add(Source("argument", i), (), LEAF))
            if constant == -1
            else inner.recorded(inner.add(Source("argument", i)), Number)
            for i, constant in enumerate(fixed, 1)
        ]
        token = current.set(_current().under(Recorder(inner, history=True), INSIDE))
        try:
            local = cast(Any, primitive.backward[position])(out, *stand_ins)
            if not isinstance(local, Value):
                return _Rule([], float(local))
            result = inner.node_of(local)
        finally:
            current.reset(token)
            captured = bool(inner.data or inner.draws or inner.guards)
            inner.release()
        if captured:
            return None
        steps: list[tuple[Primitive | float, tuple[int, ...]]] = []
        place: list[int] = []
        for operation, before in zip(inner.graph.operations, inner.graph.operands, strict=True):
            if isinstance(operation, Source) and operation.kind == "argument":
                place.append(operation.key)
                continue
            place.append(len(fixed) + 1 + len(steps))
            if isinstance(operation, Source):
                steps.append((operation.key, ()))
            else:
                steps.append(
                    (cast(Primitive, operation), tuple([place[operand] for operand in before]))
                )
        return _Rule(steps, place[result])

    # --- the end ---

    def release(self) -> None:
        """Make the leaves that were made inside what they were."""
        for leaf, (data, grad) in self.made.items():
            leaf.__class__ = Value
            leaf.data, leaf.grad = data, grad

    def forget(self) -> None:
        """Hold no leaf any more."""
        for held in (self.data, self.gradient, self.made, self._starts, self._leaf_of):
            held.clear()

    def used(self, stand_ins: Sequence[Value]) -> list[Value]:
        """The leaves from outside that were met."""
        return [leaf for leaf in self._starts if not any(leaf is given for given in stand_ins)]

    def leaves(self, stand_ins: Sequence[Value]) -> list[Leaf]:
        """The leaves from outside that were used, in the order in which they are last assigned to.

        So all parameters stand together, and all moments of one kind.
        """
        numbers = {id(value): k for k, value in enumerate(stand_ins)}
        found = [
            Leaf(leaf, numbers.get(id(leaf)), data, self.data[leaf], grad, self.gradient[leaf])
            for leaf, (data, grad) in self._starts.items()
        ]
        order = sorted(range(len(found)), key=lambda i: (found[i].data_end, i))
        place = {before: after for after, before in enumerate(order)}
        operations = self.graph.operations
        for node, operation in enumerate(operations):
            if operation.__class__ is Source and operation.kind in ("data", "grad"):
                operations[node] = Source(operation.kind, place[operation.key])
        return [found[i] for i in order]


class Recorder(Interpreter):
    """The interpreter of a recording: what is done is noted down.

    Attributes:
        tracer: makes the nodes. history: whether results remember their operands.
    """

    def __init__(self, tracer: Tracer, history: bool) -> None:
        self.tracer = self.hooks = tracer
        self.history = history

    def apply(self, context: Context, primitive: Primitive, left: Value, right: Any) -> Value:
        """The node of the result."""
        if right is None:
            operands: tuple[Any, ...] = (left,)
        else:
            operands = (left, *right) if right.__class__ is tuple else (left, right)
        return self.tracer.apply(primitive, operands, self.history)

    def weighted_sum(
        self,
        context: Context,
        weights: Sequence[Value],
        inputs: Sequence[Any],
        start: Value | None,
    ) -> Value:
        """The same nodes as by the operators, added in one go."""
        if start is None:
            start, weights, inputs = weights[0] * inputs[0], weights[1:], inputs[1:]
        return self.tracer.weighted_sum(weights, inputs, start, self.history)

    def assign(self, leaf: Value, number: Any, grad: Any) -> None:
        """Note what a leaf is from now on."""
        self.tracer.assign(leaf, number, grad)

    def backward(self, output: Value) -> None:
        """Add the nodes of the gradients."""
        self.tracer.backward(output)

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
        return self.tracer.grad(output, inputs, create_graph)

    def with_history(self) -> Recorder:
        """The same recording, and results remember."""
        return self if self.history else Recorder(self.tracer, True)

    def without_history(self) -> Recorder:
        """The same recording, and results are leaves."""
        return Recorder(self.tracer, False) if self.history else self


def _remembers() -> bool:
    """Whether results in this recording remember their operands now."""
    interpreter = _current().interpreter
    return isinstance(interpreter, Recorder) and interpreter.history


class Result(NamedTuple):
    """A Value that is returned: nodes of its number and gradient, name, whether it has parents."""

    data: int
    grad: int
    label: str
    history: bool


class Passed(NamedTuple):
    """What is returned is one of the Values that were passed."""

    position: int


class Unrecorded(Exception):
    """The function raised while it was recorded; `leaves` are those it had used until then."""

    def __init__(self, leaves: list[Value]) -> None:
        super().__init__(leaves)
        self.leaves = leaves


class Recording(NamedTuple):
    """A function as it was noted down.

    Attributes:
        graph: every operation, in the order it was done. arguments: how many plain numbers it took.
        leaves: what it read or assigned to.
        returned: the structure of what it returned, and the plain numbers in it.
        results: the Values in it; a whole number is the node of a plain number, a Value a leaf.
        draws: what to read at each replay. streams: where these are random numbers from.
        guards: what must give the same for a replay to hold.
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
    """Run a function once on recorded arguments; a second time if it keeps Values it made.

    One recording at a time: the caller holds a lock.

    Args:
        structure: of its arguments (args, kwargs); see autograd.jit.structure.
        arguments: how many plain numbers they hold. passed: the Values among them.

    Raises TraceError where Python code looks at a number, and Unrecorded where the function raises;
    every leaf and every stream of random numbers is as before then.
    """
    for _ in range(2):
        recording, kept = _attempt(function, structure, arguments, passed)
        if not kept:
            return recording
        # It made something that it keeps: from now on that is there before it is called.
    name = getattr(function, "__name__", "the function")
    raise TraceError(f"{name} keeps Values that it makes at each call: return them instead")


def _attempt(
    function: Callable[..., Any], structure: Any, arguments: int, passed: Sequence[Value]
) -> tuple[Recording, bool]:
    """One run; and whether Values that were made in it are still held."""
    tracer = Tracer()
    stand_ins = [Value(0.0, value.label) for value in passed]  # captured like all that is there
    outer = _current()
    history = outer.interpreter is outer.interpreter.with_history()
    context = outer.under(Recorder(tracer, history))
    there, streams = _there()
    with _no_draws(streams), _captured_all(there):
        token = current.set(context)
        try:
            numbers = [
                tracer.recorded(tracer.add(Source("argument", i)), Number) for i in range(arguments)
            ]
            for stand_in in stand_ins:
                tracer.node_of(stand_in)
            given, values = iter(numbers), iter(stand_ins)
            args, kwargs = build(structure, given.__next__, values.__next__)
            before = _laid_out((args, kwargs))
            returned = function(*args, **kwargs)
            if _laid_out((args, kwargs)) != before:
                raise TraceError(
                    "an argument is changed, which a replay would not: return what it becomes"
                )
            plain: list[Any] = []
            found: list[Value] = []
            shape = flatten(returned, plain, found)
            if any(True for _ in things(shape)):
                raise TraceError("a function or an object cannot be returned: return its Values")
            results = [_result(tracer, value, stand_ins) for value in found]
        except TraceError:
            raise
        except Exception as error:
            raise Unrecorded(tracer.used(stand_ins)) from error
        finally:
            current.reset(token)
            tracer.release()
    del before, there, streams, returned, found, args, kwargs, given, values, numbers
    recording = Recording(
        tracer.graph,
        arguments,
        tracer.leaves(stand_ins),
        (shape, plain),
        results,
        tracer.draws,
        list(tracer.streams),
        tracer.guards,
    )
    made = list(tracer.made)
    tracer.forget()
    return recording, bool(made) and _held(made)


def _laid_out(given: Any) -> tuple[Any, list[int]]:
    """The structure of recorded arguments, and which number is where."""
    numbers: list[Any] = []
    values: list[Value] = []
    try:
        structure = flatten(given, numbers, values)
    except TraceError:  # there is something in it that no argument holds
        return None, []
    return structure, [id(entry) for entry in [*numbers, *values]]


def _result(
    tracer: Tracer, value: Value, stand_ins: Sequence[Value]
) -> Result | Passed | int | Value:
    """How a Value of what is returned will be made; see Recording.results."""
    if isinstance(value, Number):
        return value.node
    if isinstance(value, Recorded):
        node = tracer.node_of(value)
        history = tracer.kinds[node] == RESULT
        return Result(node, tracer.node_of(value.grad), value.label, history)
    for k, stand_in in enumerate(stand_ins):
        if value is stand_in:
            return Passed(k)
    if isinstance(value, Captured) and value not in tracer.made:
        return value
    return Result(tracer.node_of(value), tracer.gradient_of(value), value.label, False)


def _held(made: list[Value]) -> bool:
    """Whether anybody else holds one of these Values."""
    probe = [Value(0.0)]
    alone = max(sys.getrefcount(value) for value in probe)
    del probe
    if all(sys.getrefcount(value) <= alone for value in made):
        return False
    gc.collect()  # a cycle may hold it that nobody holds
    return any(sys.getrefcount(value) > alone for value in made)


# --- what there is: Values, and streams of random numbers -----------------------------------------


def _there() -> tuple[list[Value], list[Any]]:
    """Every Value, and every stream of random numbers, whoever holds it."""
    values: set[type] = set(_CAPTURED)
    streams = _with_subclasses(random.Random) - _with_subclasses(random.SystemRandom)
    if "numpy" in sys.modules:
        numpy = sys.modules["numpy"].random
        streams |= {numpy.Generator, numpy.RandomState}
    kinds = values | streams
    found = [thing for thing in gc.get_objects() if type(thing) in kinds]
    return (
        [thing for thing in found if type(thing) in values],
        [thing for thing in found if type(thing) in streams],
    )


def _with_subclasses(kind: type) -> set[type]:
    kinds, waiting = {kind}, [kind]
    while waiting:
        below: list[type] = waiting.pop().__subclasses__()
        waiting += below
        kinds.update(below)
    return kinds


@contextmanager
def _captured_all(values: list[Value]) -> Iterator[None]:
    """Inside, these Values are Captured."""
    try:
        for value in values:
            value.__class__ = _CAPTURED[type(value)]
        yield
    finally:
        for value in values:
            if isinstance(value, Captured):
                value.__class__ = cast(Any, type(value).kind)


@contextmanager
def _no_draws(streams: list[Any]) -> Iterator[None]:
    """Raise TraceError if random numbers are drawn inside; the streams are put back."""
    before = [_position(stream) for stream in streams]
    system = random.SystemRandom
    originals = {name: getattr(system, name) for name in ("random", "getrandbits")}
    for name, original in originals.items():
        setattr(system, name, _refused_draw(original))
    drawn = False
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(system, name, original)
        for stream, position in zip(streams, before, strict=True):
            if pickle.dumps(_position(stream)) != pickle.dumps(position):
                drawn = True
                _put_back(stream, position)
    if drawn:
        raise TraceError(_DRAWN)


def _position(stream: Any) -> Any:
    if isinstance(stream, random.Random):
        return stream.getstate()
    return stream.bit_generator.state if hasattr(stream, "bit_generator") else stream.get_state()


def _put_back(stream: Any, position: Any) -> None:
    if isinstance(stream, random.Random):
        stream.setstate(position)
    elif hasattr(stream, "bit_generator"):
        stream.bit_generator.state = position
    else:
        stream.set_state(position)


def _refused_draw(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A method of random.SystemRandom, whose stream has no position; others may go on drawing."""

    def drawn(self: random.SystemRandom, *args: Any) -> Any:
        if _tracer() is not None:
            raise TraceError(_DRAWN)
        return draw(self, *args)

    return drawn


_DRAWN = (
    "random numbers were drawn inside: a replay would repeat them; pass them as arguments, or draw"
    " through a module such as nn.Dropout"
)
