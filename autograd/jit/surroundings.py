"""What else is there while a function is recorded? Every Value, and every stream of random numbers.

Values from outside have to be recognised when the function uses them, and random numbers that it
draws on its own would be the same in every replay. So during a recording all Values are captured,
and the positions of all streams are compared before and after.
"""

from __future__ import annotations

import gc
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from autograd.jit.recorded import CAPTURED, Captured, tracer_here
from autograd.jit.refusal import TraceError
from autograd.value import Value


def values_and_streams() -> tuple[list[Value], list[Any]]:
    """Every Value and every stream of random numbers in this process, whoever holds it."""
    values: set[type] = set(CAPTURED)
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
def all_captured(values: list[Value]) -> Iterator[None]:
    """Inside, these Values are Captured."""
    try:
        for value in values:
            value.__class__ = CAPTURED[type(value)]
        yield
    finally:
        for value in values:
            if isinstance(value, Captured):
                value.__class__ = cast(Any, type(value).kind)


@contextmanager
def no_draws(streams: list[Any]) -> Iterator[None]:
    """Raise TraceError if random numbers are drawn inside, after putting the streams back."""
    before = [_position(stream) for stream in streams]
    system = random.SystemRandom
    originals = {name: getattr(system, name) for name in ("random", "getrandbits")}
    for name, original in originals.items():
        setattr(system, name, _refusing(original))
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


def _refusing(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A method of random.SystemRandom, which has no position to compare, that raises when recorded.

    Other threads may go on drawing.
    """

    def drawn(self: random.SystemRandom, *args: Any) -> Any:
        if tracer_here() is not None:
            raise TraceError(_DRAWN)
        return draw(self, *args)

    return drawn


_DRAWN = (
    "random numbers were drawn inside: a replay would repeat them; pass them as arguments, or draw"
    " through a module such as nn.Dropout"
)
