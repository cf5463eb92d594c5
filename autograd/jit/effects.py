"""Does a recorded call change what a replay would not? The state before it is compared with after.

A snapshot walks from the function to what it can reach: variables, attributes, entries of
containers, iterators, labels. It does not look into Values, whose numbers the recording sees, nor
into modules, and code and classes that are not the user's.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import itertools
import logging
import operator
import sys
from array import array
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from queue import SimpleQueue
from random import Random
from types import CellType, CodeType, FrameType, FunctionType, GeneratorType, ModuleType
from typing import Any
from weakref import ref

import numpy as np

from autograd.jit.leaves import Linked
from autograd.jit.loads import loads
from autograd.jit.marks import PLAIN, mark
from autograd.jit.refusal import is_fixed, is_installed
from autograd.primitive import Primitive
from autograd.value import Value

_MOST = 20_000  # objects to look at; what is farther away is left to the check
_CACHE = type(functools.cache(len))
# Code, and output: files, logs and queues are like what print() writes. Nor do the locks and events
# by which threads wait for each other count.
_LEFT_ALONE = (
    *(CodeType, FrameType, ModuleType),
    *(io.IOBase, logging.Handler, SimpleQueue),
)
_REST: Any = object()  # what follows in the state of an object has no names
# What the library itself sets in a call.
_OURS = frozenset(["_context", "_in_columns", "_programs", "_reads", "_shared"])


class Effects:
    """What can be reached from some things, as it was at one time."""

    def __init__(self, things: Iterable[Any]) -> None:
        self._noted: list[tuple[Any, Any, list[Any]]] = []
        self._waiting = deque(things)
        seen: dict[int, Any] = {}
        while self._waiting and len(seen) < _MOST:
            thing = self._waiting.popleft()  # the nearest first
            if id(thing) not in seen and type(thing) not in PLAIN:
                seen[id(thing)] = thing
                self._look_at(thing)
        del self._waiting

    def changed(self, known: Iterable[Any] = ()) -> str | None:
        """What is not as it was; None if everything is, except `known` objects."""
        others = set(map(id, known))
        for thing, names, before in self._noted:
            now = _state(thing, names)
            if now == before or id(thing) in others:
                continue
            place = sum(itertools.takewhile(bool, map(operator.eq, now, before)))
            kind, name = (now + before)[place - place % 2]
            is_named = mark(_REST) not in now[:place] and not isinstance(thing, list | tuple)
            if kind is str and name.isidentifier() and is_named:
                return str(name)
            what = type(thing).__name__
            what = f"what is in {'an' if what[0] in 'aeiouAEIOU' else 'a'} {what}"
            return "the label of a Value" if isinstance(thing, Value) else what
        return None

    def _note(self, thing: Any, names: Any = None) -> None:
        self._noted.append((thing, names, _state(thing, names)))
        self._waiting += _parts(thing, names)

    def _look_at(self, thing: Any) -> None:
        kind = type(thing)
        if kind is Value or kind is Linked:  # there may be thousands
            self._noted.append((thing, None, _state(thing, None)))
        elif issubclass(kind, FunctionType):
            self._look_at_function(thing)
        elif issubclass(kind, _CACHE):  # its entries are no effect, but what is in them may change
            self._waiting += [part for parts in gc.get_referents(thing) for part in _parts(parts)]
        elif kind.__module__ in ("threading", "queue"):
            pass
        elif kind.__module__.startswith("autograd.") and not issubclass(kind, Value | Primitive):
            self._waiting.append(getattr(thing, "__wrapped__", None))  # of a jitted function
        elif issubclass(kind, type):
            if not _is_fixed(thing):
                self._note(thing)
        elif not issubclass(kind, _LEFT_ALONE):
            self._note(thing)
            self._waiting.append(kind)

    def _look_at_function(self, function: FunctionType) -> None:
        code, space = function.__code__, function.__globals__
        self._waiting += function.__closure__ or ()
        self._waiting += [function.__defaults__, function.__kwdefaults__, function.__dict__]
        if not is_fixed(code.co_filename) and not is_installed(code.co_filename):
            names = frozenset(name for root, name, *_ in loads(code) if root == "global")
            self._note(space, None if names & {"globals", "vars", "exec", "eval"} else names)


def _state(thing: Any, names: Any) -> list[Any]:
    """What there is in an object: plain things by type and value, all others by identity."""
    return list(map(mark, _parts(thing, names)))


def _parts(thing: Any, names: Any = None) -> list[Any]:
    """What is in an object, whatever it is. No code of its class is run."""
    kind = type(thing)
    if issubclass(kind, Value):
        return [_REST, thing.label]
    if names is not None:
        return [part for name in sorted(names) for part in (name, dict.get(thing, name))]
    if issubclass(kind, dict):
        # The cache of a singledispatch function, by type, does not count either.
        items = [(key, part) for key, part in dict.items(thing) if not _is_of_type(key)]
        return [part for item in items if item[0] not in _OURS for part in item]
    if issubclass(kind, type):
        return [part for item in vars(thing).items() for part in item]
    for known, read in _READ.items():
        if issubclass(kind, known):
            return list(read(thing))
    space: Any = {}
    with contextlib.suppress(Exception):  # it has no attributes, or is a proxy
        space = object.__getattribute__(thing, "__dict__")
    attributes = [(key, part) for key, part in space.items() if key not in _OURS]
    # What the collector sees besides, in slots and in C, may list attributes once more.
    known = {id(space), id(kind), *map(id, space.values())}
    rest = [part for part in gc.get_referents(thing) if id(part) not in known]
    if hasattr(kind, "__length_hint__") and hasattr(kind, "__next__") and _is_fixed(kind):
        rest.append(operator.length_hint(thing))
    return [part for item in attributes for part in item] + [_REST, *rest]


def _is_of_type(key: Any) -> bool:
    return type(key) is ref and issubclass(type(key()), type)


def _contents(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # a name that has no value yet
        return []


def _in_generator(generator: Any) -> list[Any]:
    frame = generator.gi_frame
    return [frame.f_lasti, *frame.f_locals.values(), generator.gi_yieldfrom] if frame else []


_READ: dict[Any, Any] = {
    list | tuple | deque | set | frozenset: iter,
    CellType: _contents,
    ContextVar: lambda variable: [variable.get(None)],
    GeneratorType: _in_generator,
    itertools.count | itertools.repeat: lambda iterator: [repr(iterator)],
    np.ndarray: lambda a: a.ravel().tolist() if a.dtype.hasobject else [a.tobytes()],
    array | bytearray | memoryview: lambda numbers: [bytes(numbers)],
    Random: lambda stream: [repr(Random.getstate(stream))],
    np.random.Generator: lambda stream: [repr(stream.bit_generator.state)],
    ref: lambda reference: [reference()],
}


def _is_fixed(kind: type) -> bool:
    """Whether a class is this library's, Python's own, or an installed one."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
    is_standard = kind.__module__.partition(".")[0] in sys.stdlib_module_names
    return is_standard or is_fixed(file) or is_installed(file)
