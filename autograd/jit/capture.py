"""How does a recording see what a function reads and writes of Values? Through two properties.

While anything is recorded, properties stand in for `Value.data` and `Value.grad` (and for those of
Linked leaves). In the recording they ask its tracer; to every other thread and task they are what
they stand in for. The engine itself reads and writes `_data` and `_grad`.
"""

from __future__ import annotations

import operator
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from functools import partial
from typing import Any

from autograd.context import current
from autograd.jit.leaves import OWN, Linked, Store
from autograd.jit.recorded import plain
from autograd.locks import Lock
from autograd.value import Value


def writer(value: Value, name: str, number: float) -> Callable[[], None]:
    """What writes a number to `value.data` or `value.grad`, by C code only."""
    if isinstance(value, Linked):
        return partial(operator.setitem, getattr(value._right, name), value._right.index, number)
    return partial(OWN[Value, name].__set__, value, number)


def writers(numbers: Iterable[tuple[Value, float, float]]) -> list[Callable[[], None]]:
    """What gives Values these numbers and gradients."""
    return [
        writer(value, name, number)
        for value, data, grad in numbers
        for name, number in (("data", data), ("grad", grad))
    ]


def undoing(values: Iterable[Value], stores: Iterable[Store] = ()) -> list[Callable[[], None]]:
    """What gives Values, and all leaves of stores, the numbers and gradients that they have now."""
    arrays = [numbers for store in stores for numbers in (store.data, store.grad)]
    copies = [partial(operator.setitem, numbers, slice(None), numbers.copy()) for numbers in arrays]
    return [*copies, *writers([(value, value._data, value._grad) for value in values])]


def at_once(writes: Iterable[Callable[[], None]]) -> None:
    """Do all of it in one call of C code: a signal handler, or a Ctrl-C, sees all or nothing."""
    deque(map(operator.call, writes), maxlen=0)


def _stand_in(kind: type[Value], name: str) -> property:
    """The property in place of `kind.name`."""
    descriptor = OWN[kind, name]
    get, put, here = descriptor.__get__, descriptor.__set__, current.get

    # `tracer_here` is written out in both.
    def read(value: Value) -> Any:
        hooks: Any = here().interpreter.hooks
        if hooks.recording:
            return hooks.read(value, name)
        if not _under_way or not _under_way[-1].locked():  # left behind by a Ctrl-C
            _end_standing_in()
        return get(value)

    def write(value: Value, number: Any) -> None:
        hooks: Any = here().interpreter.hooks
        if hooks.recording:
            hooks.write(value, name, number)
        else:
            put(value, number if number.__class__ is float else plain(number))

    return property(read, write)


_stand_ins = {place: _stand_in(*place) for place in OWN}
_setting = Lock()
_under_way: list[Any] = []  # a lock for each recording, locked as long as it lasts


def called_in(context: Context, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function in a context whose tracer is to see what it reads and writes."""
    recording = threading.Lock()
    try:
        with recording:  # which Python unlocks, whatever interrupts the call
            with _setting.lock:
                _under_way.append(recording)
                for (kind, name), stand_in in _stand_ins.items():
                    setattr(kind, name, stand_in)
            return context.run(function, *args, **kwargs)
    finally:
        try:
            _end_standing_in()
        except BaseException:  # a Ctrl-C; after a second one the next read of a Value does it
            _end_standing_in()
            raise


def _end_standing_in() -> None:
    """Put the classes' own descriptors back, unless a recording is under way in some thread."""
    with _setting.lock:
        _under_way[:] = [recording for recording in _under_way if recording.locked()]
        if not _under_way:
            for (kind, name), descriptor in OWN.items():
                setattr(kind, name, descriptor)
