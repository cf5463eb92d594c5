"""What can a library ask of a recording, so that a replay does what an eager call would do?

A recording sees only arithmetic on Values. Anything else a computation uses, such as a learning
rate, a random number or a setting, and every check of a number goes through one of these functions.
Outside a recording they only read, compute or check the number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from itertools import repeat
from typing import Any, TypeAlias, TypeGuard, TypeVar, cast

from autograd.context import current
from autograd.primitive import Primitive

T = TypeVar("T")
Numbers: TypeAlias = "Sequence[float] | float"

# Whether jitted functions called in this context check their replays, as `fit` asks before saving.
checking: ContextVar[bool] = ContextVar("checking", default=False)
# Where an eager call lists (key, number, stream) for each `varying`, for a replay to use.
draws: ContextVar[list[tuple[object, Any, Any]] | None] = ContextVar("draws", default=None)


class TraceError(RuntimeError):
    """A function did something that a replay cannot repeat; the message says what to do instead."""


class Hooks:
    """The hooks while nothing is recorded; a recording overrides them."""

    recording = False
    tape: Any = None  # the nodes of the recording

    def read(self, value: Any, name: str) -> Any:
        """Return `value.data` or `value.grad` in a recording."""

    def write(self, value: Any, name: str, number: Any) -> None:
        """Assign to `value.data` or `value.grad` in a recording."""

    def give_up(self) -> None:
        """Discard the recording: with other numbers, the function may do something else."""

    def varying(self, read: Callable[[], Any], key: object, stream: Any) -> Any:
        """See `varying`."""
        number = read()
        noted = draws.get()
        if noted is not None:
            noted.append((key, number, stream))
        return number

    def fixed(self, read: Callable[[], Any], of: object) -> Any:
        """See `fixed`."""
        return read()

    def mapped(self, primitive: Primitive, operands: Sequence[Numbers]) -> Sequence[Any]:
        """See `mapped`."""
        lists = [x if x.__class__ is list else repeat(x) for x in operands]
        return list(map(primitive.forward, *lists))

    def demand(self, condition: Any) -> Any:
        """Check a recorded condition in each replay, and return its number now; see `require`."""

    def unrecorded(self, function: Callable[[], T]) -> T:
        """Return `function()`, which may look at recorded numbers."""
        return function()

    def refuse(self, what: str, instead: str) -> None:
        """See `refuse`."""


def _hooks() -> Hooks:
    return current.get().interpreter.hooks


def is_recording() -> bool:
    """Return whether a function is being recorded: code must not look at the numbers of Values."""
    return _hooks().recording


def is_recorded(number: object) -> TypeGuard[float]:
    """Return whether it stands for a number in a recording: an argument, a `.data`, a random one.

    Do not branch on such a number: choose with arithmetic, and check it with `require`.
    """
    tape = getattr(number, "tape", None)
    return tape is not None and tape is _hooks().tape


def plain(number: Any) -> Any:
    """Return the float or int of a recorded number; anything else unchanged."""
    return number.plain() if hasattr(number, "tape") else number


def varying(
    read: Callable[[], Any], key: object = None, stream: Callable[[], Any] | None = None
) -> Any:
    """Return the number that `read` returns; each replay reads it again.

    For numbers from outside, such as a learning rate or a random number.

    Args:
        key: identifies a number that a replay reads only once, however often it is used.
        stream: returns the random.Random that `read` draws from.
    """
    return _hooks().varying(read, key, stream)


def fixed(read: Callable[[], T], of: object = None) -> T:
    """Return what `read` returns; if that has changed, the function is re-recorded.

    For settings that determine the operations, such as training mode or a momentum.

    Args:
        of: the object, if `read` reads only its attributes. If a program guards these anyway, as
            those of a Watched object, `read` is not called again.
    """
    return cast(T, _hooks().fixed(read, of))


def mapped(primitive: Primitive, *operands: Numbers) -> Sequence[Any]:
    """Apply a primitive elementwise to lists of numbers of equal length; numbers are broadcast.

    At least one operand is a list.
    """
    return _hooks().mapped(primitive, operands)


def refuse(what: str, instead: str) -> None:
    """Raise TraceError if a function is being recorded, as `what` cannot be recorded."""
    _hooks().refuse(what, instead)


def number_of(number: Any) -> Any:
    """Return the number of a Value, or a number, as a float through which no gradient flows.

    In a recording it stands for the number of each replay: compute with it only with operators and
    Primitives, and check it with `require`.
    """
    if not _hooks().recording:
        return float(number)
    number = number.data if hasattr(number, "_primitive") else number
    return number if is_recorded(number) else float(number)


def require(condition: Any, otherwise: Callable[[], Exception] | None = None) -> None:
    """Raise `otherwise()` if the condition is 0.

    A recorded condition is also checked in each replay: if it is 0, the call runs eagerly instead
    and raises the error. A condition that is a Value is not checked: to check the number of a
    Value, compute the condition with `number_of`.

    Args:
        condition: a number, computed with `greater`, `less` and operators.
        otherwise: makes the error. If None, only replays are checked, because the code that follows
            raises an error of its own if the condition is 0.
    """
    if hasattr(condition, "_primitive"):
        return
    if is_recorded(condition):
        condition = _hooks().demand(condition)
    if not condition and otherwise is not None:
        raise _hooks().unrecorded(otherwise)


class Watched:
    """A base class for what recorded functions depend on: programs guard its public attributes."""
