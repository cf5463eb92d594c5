"""What may a library ask of a recording, so that a replay does what an eager call would do?

A recording notes arithmetic on Values only. Whatever else a computation uses, such as a learning
rate, a random number or a setting, and each check of a number, goes through one of these functions.
Outside a recording each of them is one plain line.
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

# Whether jitted functions called here and now check their replay, as `fit` asks before it saves.
checking: ContextVar[bool] = ContextVar("checking", default=False)
# Where an eager call notes (key, number, stream) of what `varying` gave it, for a replay beside it.
draws: ContextVar[list[tuple[object, Any, Any]] | None] = ContextVar("draws", default=None)


class TraceError(RuntimeError):
    """A function did what a replay could not repeat; the message says what to write instead."""


class Hooks:
    """The answers while nothing is recorded; a recording has its own."""

    recording = False
    tape: Any = None  # the nodes of the recording

    def read(self, value: Any, name: str) -> Any:
        """What `value.data` or `value.grad` is, in a recording."""

    def write(self, value: Any, name: str, number: Any) -> None:
        """Assign to `value.data` or `value.grad` in a recording."""

    def give_up(self) -> None:
        """Keep no program of the recording: with other numbers the function does something else."""

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
        """Check a recorded condition in each replay, see `require`; the number that it has now."""

    def error(self, make: Callable[[], Exception]) -> Exception:
        """What `make` returns. Its message may show recorded numbers."""
        return make()

    def refuse(self, what: str, instead: str) -> None:
        """See `refuse`."""


def _hooks() -> Hooks:
    return current.get().interpreter.hooks


def is_recording() -> bool:
    """Whether a function is being recorded here and now, so that Values have no numbers."""
    return _hooks().recording


def is_recorded(number: object) -> TypeGuard[float]:
    """Whether it stands for a plain number in a recording: an argument, a `.data`, a random number.

    Choose by arithmetic where such a number decides, and check it with `require`.
    """
    tape = getattr(number, "tape", None)
    return tape is not None and tape is _hooks().tape


def plain(number: Any) -> Any:
    """A recorded number as the float or int that it is; anything else as it is."""
    return number.plain() if hasattr(number, "tape") else number


def varying(
    read: Callable[[], Any], key: object = None, stream: Callable[[], Any] | None = None
) -> Any:
    """The number that `read` returns, which each replay reads again.

    For numbers from outside: a learning rate, a random number.

    Args:
        key: identifies a number that a replay reads only once, however often it is used.
        stream: returns the random.Random that `read` draws from.
    """
    return _hooks().varying(read, key, stream)


def fixed(read: Callable[[], T], of: object = None) -> T:
    """What `read` returns; when that has changed, the function is re-recorded.

    For what determines the operations: whether a module is in training mode, a momentum.

    Args:
        of: an object whose attributes, and nothing else, `read` reads. Where a program compares
            them anyway, as those of a Watched object, `read` is only called if they have changed.
    """
    return cast(T, _hooks().fixed(read, of))


def mapped(primitive: Primitive, *operands: Numbers) -> Sequence[Any]:
    """The results of a primitive for lists of numbers of equal length; a number goes with each.

    One of the operands at least is a list.
    """
    return _hooks().mapped(primitive, operands)


def refuse(what: str, instead: str) -> None:
    """Raise TraceError if a function is being recorded: `what` cannot be part of it."""
    _hooks().refuse(what, instead)


def number_of(number: Any) -> Any:
    """The number of a Value, as a float through which no gradient flows; a number as a float.

    In a recording it stands for the number that each replay will have: compute with it, by
    operators and Primitives, and check it with `require`.
    """
    if not _hooks().recording:
        return float(number)
    number = number.data if hasattr(number, "_primitive") else number
    return number if is_recorded(number) else float(number)


def require(condition: Any, otherwise: Callable[[], Exception] | None = None) -> None:
    """Raise `otherwise()` if the condition is 0.

    A recorded condition is checked in each replay, too: where it is 0, the call is run eagerly, and
    so raises the error. A condition that is a Value, and not a recorded number, is not checked. To
    check the number of a Value, compute the condition with `number_of`.

    Args:
        condition: a number, computed with `greater`, `less` and operators.
        otherwise: makes the error. None: only check replays, because what follows raises an error
            of its own where the condition is 0.
    """
    if hasattr(condition, "_primitive"):
        return
    if is_recorded(condition):
        condition = _hooks().demand(condition)
    if not condition and otherwise is not None:
        raise _hooks().error(otherwise)


class Watched:
    """A base class of what recorded functions depend on: programs guard its public attributes."""
