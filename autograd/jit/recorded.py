"""What does a recorded function compute with? Values that stand for nodes and have no numbers.

During a recording the result of every operation is a `Recorded` Value: the number of a node, and
nothing else. Every Value that existed before the recording is `Captured`: what the function reads
of it is read again at each replay, and what the function assigns to it is recorded. Python code
that asks either of them for its number gets a TraceError that says what to write instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from autograd.context import current
from autograd.jit.graph import COPY, RESULT, Source
from autograd.jit.leaves import Linked
from autograd.jit.refusal import TraceError, refuse
from autograd.messages import no_gradient
from autograd.primitive import Primitive
from autograd.value import Value, as_label

if TYPE_CHECKING:
    from autograd.jit.tracer import Tracer

_BRANCH = (
    "choose with maximum, minimum or where, as in where(greater(x, 0.0), a, b) or where(less(x,"
    " 0.0), a, b), or decide outside and pass an argument"
)
_READ = "return it, or compute with the Value itself"
_SHOW = "return it, and print it outside"


def tracer_here() -> Tracer | None:
    """The tracer of the recording that the current code is part of; None outside any."""
    hooks = current.get().interpreter.hooks
    return cast("Tracer", hooks) if hooks.recording else None


def _refuses(name: str, what: str, instead: str) -> Any:
    """A method that raises: on recorded Values always, on captured ones inside the recording."""

    def method(self: Traced, *others: Any) -> Any:
        if isinstance(self, Captured) and tracer_here() is None:  # called by another thread
            return getattr(super(Traced, self), name)(*others)
        if isinstance(self, Recorded):
            self._recording()
        refuse(f"a recorded Value has no number to be {what}", instead)

    return method


class Traced(Value):
    """A Value that takes part in a recording. It raises when code asks for its number."""

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
    """A Value that stands for a node of the recording. Two that stand for one node are equal.

    Attributes:
        node: the number of the node. tracer: the recording that the node belongs to.
    """

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
        """The recording it belongs to. Raises TraceError if that is over."""
        if tracer_here() is not self.tracer:
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
        operation = self.tracer.tape.operations[self.node]
        return None if isinstance(operation, Source) or operation is COPY else operation

    @property
    def op(self) -> str:
        return "" if self.primitive is None else self.primitive.name

    @property
    def _op(self) -> str:
        return "" if self.primitive is None else self.primitive.symbol

    @property
    def parents(self) -> tuple[Value, ...]:
        tracer = self._recording()
        if tracer.tape.kinds[self.node] != RESULT:
            return ()
        return tuple([tracer.value(node) for node in tracer.tape.operands[self.node]])

    def detach(self) -> Value:
        """A leaf with the same number and label."""
        return self._recording().detached(self.node, self.label)


class Number(Recorded):
    """Stands for a plain number of the eager call: an argument, a gradient, a random draw."""

    __slots__ = ()
    _stands_for_number = True

    def _as_data(self) -> Number:
        """What `Value(number)` keeps as its data: the number itself, so that its node is known."""
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
    """A leaf that is no result: from outside, or created by the recorded function.

    Inside the recording its number and gradient are nodes. Other threads still see the Value that
    it was, of the class `kind`.
    """

    __slots__ = ()
    kind: ClassVar[type[Value]]

    @classmethod
    def slot(cls, name: str) -> Any:
        """The descriptor that reads and writes `data` or `grad` as the class `kind` does."""
        return getattr(cls.kind, name)

    @property
    def data(self) -> Any:
        tracer = tracer_here()
        if tracer is None or self in tracer.leaves.created:
            return self.slot("data").__get__(self)
        refuse(f"{self.label or 'a captured Value'} has no .data", _READ)

    @data.setter
    def data(self, number: Any) -> None:
        tracer = tracer_here()
        if tracer is None:
            self.slot("data").__set__(self, number)
        else:
            tracer.assign(self, number)

    @property
    def grad(self) -> Any:
        tracer = tracer_here()
        if tracer is None:
            return self.slot("grad").__get__(self)
        return tracer.number(tracer.gradient_of(self))

    @grad.setter
    def grad(self, number: Any) -> None:
        tracer = tracer_here()
        if tracer is None:
            self.slot("grad").__set__(self, number)
        elif number is None:
            raise no_gradient(self.label)
        else:
            tracer.assign(self, grad=number)

    def detach(self) -> Value:
        """A leaf with the same number and label."""
        tracer = tracer_here()
        if tracer is None:
            return super().detach()
        return tracer.detached(tracer.node_of(self), self.label)

    def __repr__(self) -> str:
        if tracer_here() is None:
            return super(Traced, self).__repr__()
        return f"<recorded {self.label or 'leaf'}>"


# What a Value of each class becomes during a recording.
CAPTURED: dict[type[Value], type[Captured]] = {
    kind: type("Captured", (Captured, kind), {"__slots__": (), "kind": kind})
    for kind in (Value, Linked)
}
