"""How is arithmetic on Values being done now: recorded or not, checked or not, in which module?

The answer belongs to the thread or the async task that asks, so it lives in a context variable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar, Token
from copy import copy
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from weakref import ref

if TYPE_CHECKING:
    from autograd.ops import Primitive

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Origin:
    """How a node came about: by which primitive, in which mode, under which label.

    Attributes:
        primitive: the row of the table; None for a leaf.
        mode: the mode it was made in; None for a leaf.
        label: a name, or "".
        trainable: whether a module that holds the node counts it as a parameter: by default a leaf
            is one and a result is not. See `Mode.leaf` and `adopt`.
    """

    __slots__ = ("__weakref__", "label", "mode", "primitive", "trainable")

    def __init__(
        self,
        primitive: Primitive | None = None,
        mode: Mode | None = None,
        label: str = "",
        trainable: bool | None = None,
    ) -> None:
        self.primitive = primitive
        self.mode = mode
        self.label = label
        self.trainable = primitive is None if trainable is None else trainable


# Shared by all leaves without a label: those that may be parameters, and those that a call of a
# module, or code under no_grad, computed.
_LEAF = Origin()
_COMPUTED_LEAF = Origin(trainable=False)


class Mode:
    """One way of doing arithmetic, from one call of one module: what every new node is made in.

    Attributes:
        recording: results remember their parents.
        checking: nan and inf raise.
        tracer: who records a function for replays (autograd.jit), and makes the nodes; or None.
        ordinary: recording, not checking, not traced; the one question every operation asks.
        owner: the module or function whose call it is; None outside any.
        outer: the mode this call was made in; None outside any.
        leaf: the origin of leaves made in it. They are trainable outside any call and outside
            no_grad, and in the constructor of a module.
    """

    __slots__ = (
        "__weakref__",
        "_origins",
        "checking",
        "leaf",
        "ordinary",
        "outer",
        "owner",
        "recording",
        "tracer",
    )

    def __init__(
        self,
        recording: bool = True,
        checking: bool = False,
        owner: object = None,
        outer: Mode | None = None,
        tracer: Any = None,
        leaf: Origin = _LEAF,
    ) -> None:
        self.recording = recording
        self.checking = checking
        self.owner = owner
        self.outer = outer
        self.tracer = tracer
        self.leaf = leaf
        self.ordinary = recording and not checking and tracer is None
        self._origins: dict[Primitive, ref[Origin]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Mode, (self.recording, self.checking, self.owner, self.outer, None, self.leaf)

    def within(self, owner: object) -> Mode:
        """This mode inside a call of a module."""
        return Mode(self.recording, self.checking, owner, self, self.tracer, _COMPUTED_LEAF)

    def origin(self, primitive: Primitive) -> Origin:
        """The origin that all nodes share which a primitive makes in this mode."""
        # Weak, because an origin holds its mode: together they would be a reference cycle.
        known = self._origins.get(primitive)
        origin = None if known is None else known()
        if origin is None:
            origin = Origin(primitive, self)
            self._origins[primitive] = ref(origin)
        return origin

    def path(self) -> str:
        """`MLP.layers.0`, each module as the one that called it names it; "" outside any."""
        if self.owner is None:
            return ""
        above = self.outer.path() if self.outer is not None else ""
        name_of = getattr(self.outer.owner, "child_name", None) if above and self.outer else None
        name = name_of(self.owner) if name_of else None
        name = name or getattr(self.owner, "__name__", "") or type(self.owner).__name__
        return f"{above}.{name}" if above else name


_EVERYDAY = Mode()
current: ContextVar[Mode] = ContextVar("mode", default=_EVERYDAY)
# Whether a replay turned out to have to be done step by step, and that is being done.
stepping: ContextVar[bool] = ContextVar("stepping", default=False)
# Whether rules run on Values, to make gradients graphs: a float taken of one would be a constant.
rules_on_values: ContextVar[bool] = ContextVar("rules_on_values", default=False)


def scoped(function: Callable[P, R]) -> Callable[P, R]:
    """The function, its results knowing that they were made in it: drawings make it one box."""

    @functools.wraps(function)
    def owner(*args: P.args, **kwargs: P.kwargs) -> R:
        token = current.set(current.get().within(owner))
        try:
            return function(*args, **kwargs)
        finally:
            current.reset(token)

    return owner


def varying(
    read: Callable[[], Any], key: object = None, stream: Callable[[], Any] | None = None
) -> Any:
    """The number that `read` gives, read anew at each replay of a recorded function.

    For what a computation takes from outside its Values: a learning rate, a random draw.

    Args:
        key: what has one is read once in a replay.
        stream: gives the random.Random that `read` draws from.
    """
    tracer = current.get().tracer
    return read() if tracer is None else tracer.varying(read, key, stream)


def is_traced() -> bool:
    """Whether a function is being recorded here and now, so that Values have no numbers."""
    return current.get().tracer is not None


def fixed(read: Callable[[], T]) -> T:
    """What `read` gives; a function recorded with it is recorded anew where that has changed.

    For what decides which operations there are: whether a module is in training, a momentum.
    """
    tracer = current.get().tracer
    return read() if tracer is None else cast(T, tracer.fixed(read))


def refuse(what: str, instead: str) -> None:
    """Raise TraceError if a function is being recorded: `what` cannot be part of it."""
    tracer = current.get().tracer
    if tracer is not None:
        tracer.refuse(what, instead)


def demand(condition: Any) -> None:
    """Where a recorded condition turns out as 0 in a replay, the call is done eagerly instead.

    For a check that a recorded number cannot be put to: the eager call makes it, and raises.
    """
    tracer = current.get().tracer
    if tracer is not None:
        tracer.demand(condition)


_changes = 0


def changes() -> int:
    """How often a setting of some Watched object was assigned, so far."""
    return _changes


class Watched:
    """What recorded functions depend on by its attributes: a program notices assignments to them.

    Those whose names begin with an underscore do not count.
    """

    def __setattr__(self, name: str, content: Any) -> None:
        object.__setattr__(self, name, content)
        if name[0] != "_":
            global _changes
            _changes += 1


class _Switch:
    """A change of mode, as a context manager and as a decorator of functions and coroutines."""

    def __init__(self) -> None:
        self._tokens: list[Token[Mode]] = []

    def _changed(self, mode: Mode) -> Mode:
        raise NotImplementedError

    def __enter__(self) -> None:
        self._tokens.append(current.set(self._changed(current.get())))

    def __exit__(self, *exception: object) -> None:
        current.reset(self._tokens.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        import inspect  # a third of the time of `import autograd`, and rarely needed

        # Each call enters a switch of its own, so threads and tasks never share tokens.
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{type(self).__name__}() cannot decorate the generator {function.__name__}, whose"
                f" body runs between other code; write `with {type(self).__name__}():` inside it"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with type(self)():
                    return await function(*args, **kwargs)

            return cast(Callable[P, R], coroutine)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)():
                return function(*args, **kwargs)

        return wrapper


class no_grad(_Switch):
    """Results made inside are leaves: no parents, no operation, nothing to differentiate.

    >>> from autograd import Value, no_grad
    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.parents
    ()

    Also a decorator, `@no_grad()`, of functions and of coroutines. A thread or an async task sees
    only the switches it entered itself.
    """

    def _changed(self, mode: Mode) -> Mode:
        return Mode(False, mode.checking, mode.owner, mode.outer, mode.tracer, _COMPUTED_LEAF)


class recording(_Switch):
    """Undoes an outer `no_grad()` inside: results remember their parents."""

    def _changed(self, mode: Mode) -> Mode:
        return Mode(True, mode.checking, mode.owner, mode.outer, mode.tracer, mode.leaf)


class detect_anomaly(_Switch):
    """The first nan or inf made inside, forward or backward, raises `FloatingPointError`.

    The message names the operation, its operands with their labels, and the module whose call it
    happened in.

    >>> from autograd import Value, detect_anomaly
    >>> with detect_anomaly():
    ...     Value(1e308, label="big") * 10
    Traceback (most recent call last):
        ...
    FloatingPointError: mul(big = 1e+308, 10.0) gave inf
    """

    def _changed(self, mode: Mode) -> Mode:
        return Mode(mode.recording, True, mode.owner, mode.outer, mode.tracer, mode.leaf)


class constructing(_Switch):
    """What a module's constructor runs in: leaves made inside are trainable, wherever it is called.

    A `no_grad()` or a call of a module inside the constructor counts again as such.
    """

    def _changed(self, mode: Mode) -> Mode:
        return Mode(mode.recording, mode.checking, mode.owner, mode.outer, mode.tracer, _LEAF)


# --- which nodes are parameters -------------------------------------------------------------------


def is_trainable(value: Any) -> bool | None:
    """Whether a module that holds this Value counts it as a parameter.

    None for the result of an operation outside any module's call, such as `Value(3.0) * 0.1` in a
    constructor: it looks like a parameter, but training would not reach it.
    """
    # A recorded Value has an origin only if it is detached or adopted.
    origin: Origin | None = getattr(value, "_origin", None)
    if origin is None or origin.trainable:
        return origin is not None
    return None if origin.mode is not None and origin.mode.leaf.trainable else False


def adopt(value: Any) -> None:
    """From now on a module that holds this Value counts it as a parameter, history or not."""
    origin = copy(getattr(value, "_origin", _LEAF))  # a recorded Value has none
    origin.trainable = True
    value._origin = origin
