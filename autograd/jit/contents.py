"""What is in a thing, so that it can be compared later? Read without running the user's code.

A reading has the parts of a thing. Plain parts are unchanged if they are equal, tuples if their
entries are unchanged, and all others if they are the same object.
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
_NONE: dict[str, Any] = {}
PLAIN = frozenset([bool, int, float, complex, str, bytes, type(None)])
# The attributes that the library itself sets in a call.
OURS = frozenset(["_context", "_in_columns", "_programs", "_reads", "_shared"])


def same(now: Any, before: Any) -> bool:
    """Whether a part is unchanged. 1, 1.0 and True differ, 0.0 and -0.0 too; nan equals nan."""
    kind = type(now)
    if now is before:
        return True
    if kind is not type(before):
        return False
    if kind is float or kind is complex:
        return (kind is float and now == before != 0.0) or repr(now) == repr(before)
    if kind in PLAIN:
        return bool(now == before)
    if kind is MethodType:  # a new object at each lookup
        return now.__func__ is before.__func__ and now.__self__ is before.__self__
    if not issubclass(kind, tuple) or tuple.__len__(now) != tuple.__len__(before):
        return False
    parts, others = list(tuple.__iter__(now)), list(tuple.__iter__(before))
    return all(map(is_, parts, others)) or all(map(same, parts, others))  # the first test is fast


def read(reader: Callable[[Any], Any], thing: Any) -> Any:
    """Return what a reader gives for a thing, or MISSING if it raises."""
    try:
        return reader(thing)
    except Exception:  # from an empty cell, or a proxy, which may raise anything
        return MISSING


def reader_of(kind: type) -> Callable[[Any], Any]:
    """Return the function that reads the parts of an instance: a tuple, or a single part."""
    found = (reader for known, reader in _READERS if issubclass(kind, known))
    return next(found, besides_attributes)


def attributes_of(thing: Any) -> dict[str, Any]:
    """Return an object's `__dict__`, or the same empty dict for all that have none."""
    space = read(lambda thing: object.__getattribute__(thing, "__dict__"), thing)
    return space if issubclass(type(space), dict) else _NONE


def _entries(entries: dict[Any, Any]) -> tuple[Any, ...]:
    """Return the (key, part) pairs of a dict, or the (name, part) pairs of attributes."""
    kind = OrderedDict if issubclass(type(entries), OrderedDict) else dict
    # Skip what the library sets, and the cache of singledispatch, keyed by weakrefs to types.
    return tuple(
        [
            (key, part)
            for key, part in tuple(kind.items(entries))  # at once, as threads may change it
            if not (type(key) is str and key in OURS)
            and not (type(key) is ref and issubclass(type(key()), type))
        ]
    )


def besides_attributes(thing: Any) -> tuple[Any, ...]:
    """Return what the garbage collector sees in an object besides attributes: in slots and in C."""
    space = attributes_of(thing)
    before, found = list(space.values()), gc.get_referents(thing)
    known = set(map(id, itertools.chain(before, space.values())))  # threads may set some meanwhile
    parts = [part for part in found if id(part) not in known]
    if hasattr(type(thing), "__length_hint__") and not is_users_class(type(thing)):
        parts.append(length_hint(thing))  # how much is left of an iterator
    return tuple(parts)


def _in_array(a: Any) -> Any:
    shape = str(a.shape)  # which can be assigned to
    return (shape, *a.ravel().tolist()) if a.dtype.hasobject else a.tobytes() + shape.encode()


_READERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    *[(kind, lambda parts, of=kind: tuple(of.__iter__(parts))) for kind in (list, set, deque)],
    (dict, _entries),
    (type, lambda kind: _entries(dict(vars(kind)))),
    (np.ndarray, _in_array),
    (array | bytearray | memoryview, lambda row: memoryview(row).tobytes()),
    (GeneratorType, lambda g: (g.gi_frame.f_lasti, *gc.get_referents(g))),
    (itertools.count, repr),
    (ContextVar, lambda variable: (variable.get(None), *gc.get_referents(variable))),  # default
    (Random, Random.getstate),
    (np.random.Generator, lambda stream: repr(stream.bit_generator.state)),
    (np.random.RandomState, lambda stream: repr(stream.get_state())),
    (ref, lambda reference: reference()),
)
