"""What is in a thing, so that it can be compared later? Read without running code of the user's.

A reading keeps the parts of a thing: plain ones are the same later if they are equal, tuples if
their entries are the same, all others if they are one object.
"""

from __future__ import annotations

import gc
import itertools
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import ContextVar
from operator import is_, length_hint
from random import Random
from types import GeneratorType, MethodType
from typing import Any
from weakref import ref

import numpy as np

from autograd.jit.refusal import is_users_class

MISSING: Any = object()
PLAIN = frozenset([bool, int, float, complex, str, bytes, type(None)])
# What the library itself sets in a call.
OURS = frozenset(["_context", "_in_columns", "_programs", "_reads", "_shared"])


def same(now: Any, before: Any) -> bool:
    """Whether nothing has changed. 1, 1.0, True and -0.0 are different, and nan is nan."""
    kind = type(now)
    if now is before:
        return True
    if kind is not type(before):
        return False
    if kind is float or kind is complex:
        return bool(now == before != 0.0) or repr(now) == repr(before)  # the first one is fast
    if kind in PLAIN:
        return bool(now == before)
    if kind is MethodType:  # another object each time that it is looked up
        return now.__func__ is before.__func__ and now.__self__ is before.__self__
    if not issubclass(kind, tuple) or tuple.__len__(now) != tuple.__len__(before):
        return False
    parts, others = list(tuple.__iter__(now)), list(tuple.__iter__(before))
    return all(map(is_, parts, others)) or all(map(same, parts, others))  # the first one is fast


def read(reader: Callable[[Any], Any], thing: Any) -> Any:
    """What a reader gives for a thing; MISSING if it raises."""
    try:
        return reader(thing)
    except Exception:  # of an empty cell, or of a proxy, which may raise whatever it likes
        return MISSING


def reader_of(kind: type) -> Callable[[Any], Any]:
    """What reads all that is in a thing of a class: a tuple of parts, or a single one."""
    found = (reader for known, reader in _READERS if issubclass(kind, known))
    return next(found, besides_attributes)


def attributes_of(thing: Any) -> dict[str, Any]:
    """An object's own attributes: its `__dict__`, or {} if it has none."""
    space = read(lambda thing: object.__getattribute__(thing, "__dict__"), thing)
    return space if issubclass(type(space), dict) else {}


def _entries(entries: dict[Any, Any]) -> tuple[Any, ...]:
    """(key, part) of a dict, or (name, part) of attributes."""
    kind = OrderedDict if issubclass(type(entries), OrderedDict) else dict
    # What a singledispatch function has found for a type does not count, either.
    return tuple(
        [
            (key, part)
            for key, part in kind.items(entries)
            if key not in OURS and not (type(key) is ref and issubclass(type(key()), type))
        ]
    )


def besides_attributes(thing: Any) -> tuple[Any, ...]:
    """What the collector sees in an object besides its attributes: in slots, and in C."""
    kind, space = type(thing), attributes_of(thing)
    known = {id(space), id(kind), *map(id, space.values())}
    parts = [part for part in gc.get_referents(thing) if id(part) not in known]
    if hasattr(kind, "__length_hint__") and hasattr(kind, "__next__") and not is_users_class(kind):
        parts.append(length_hint(thing))  # what is left of an iterator
    return tuple(parts)


_READERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (list | tuple | set | frozenset | deque, tuple),
    (dict, _entries),
    (type, lambda kind: _entries(dict(vars(kind)))),
    (np.ndarray, lambda a: tuple(a.ravel().tolist()) if a.dtype.hasobject else a.tobytes()),
    (array | bytearray | memoryview, bytes),
    (GeneratorType, lambda g: (g.gi_frame and g.gi_frame.f_lasti, *gc.get_referents(g))),
    (itertools.count | itertools.repeat, repr),
    (ContextVar, lambda variable: variable.get(None)),
    (Random, Random.getstate),
    (np.random.Generator, lambda stream: repr(stream.bit_generator.state)),
    (np.random.RandomState, lambda stream: repr(stream.get_state())),
    (ref, lambda reference: reference()),
)
