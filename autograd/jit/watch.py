"""Does a function still refer to the same things as when it was recorded?

A program notes the globals and the variables of enclosing functions that the code loads, with their
attributes as the code spells them (`config.scale`), the settings of models and optimizers, and the
entries of containers. If one of these is another thing now, the function is recorded again; if the
recorded call itself changed one, it is refused. This cannot know all that a function depends on:
it finds what is common early, and the check finds the rest.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections import OrderedDict, deque
from collections.abc import Iterable
from inspect import getattr_static
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from autograd import hooks
from autograd.jit.loads import loads
from autograd.jit.marks import PLAIN, mark
from autograd.jit.refusal import is_fixed
from autograd.value import Value

_MISSING: Any = object()
_FILL: dict[Any, Any] = {
    list: list.extend,
    deque: deque.extend,
    set: set.update,
    OrderedDict: OrderedDict.update,
    dict: dict.update,
}
_MOST = 20_000  # things to look at, and entries of containers of plain numbers to compare


class Watch:
    """What a function refers to, as it was at one time.

    Attributes:
        values: the Values that were found. models: the models and optimizers.
        has_lost: whether an object has been replaced by another one.
    """

    def __init__(self, things: Iterable[Any]) -> None:
        self.values: list[Value] = []
        self.models: list[Any] = []
        self.has_lost = False
        # What is kept as (where, name, what is there): a cell, a dict or an object.
        self._named: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self._containers: list[Any] = []
        self._room = _MOST
        self._waiting: list[Any] = [(thing, None) for thing in things]
        seen: dict[Any, Any] = {}
        while self._waiting and len(seen) < _MOST:
            thing, owner = self._waiting.pop()
            # One function may be the method of several objects.
            key = id(thing), id(owner) if isinstance(thing, FunctionType) else None
            if key not in seen:
                seen[key] = thing, owner
                self._look_at(thing, owner)
        del self._waiting
        self._kept = list(self._named.values())
        of_dicts = [entry for entry in self._kept if entry[0].__class__ is dict]
        self._of_dicts = list(zip(*of_dicts, strict=True)) or [(), (), ()]
        self._others = [entry for entry in self._kept if entry[0].__class__ is not dict]
        self._all = [(thing, _content(thing)) for thing in self._containers]
        self._quick = [thing for thing in self._containers if thing.__class__ in (list, dict)]
        self._copies = [thing.copy() for thing in self._quick]
        # Dicts are equal also where their order is another.
        self._dicts = [thing for thing in self._quick if thing.__class__ is dict]
        self._keys = list(map(list, self._dicts))
        self._rest = [pair for pair in self._all if pair[0].__class__ not in (list, dict)]

    def changed(self) -> str | None:
        """What is not as it was; None if everything is."""
        places, names, contents = self._of_dicts
        try:  # in C, as most things are in dicts and lists, and as they were
            found = map(dict.__getitem__, places, names)
            same = all(map(operator.is_, found, contents)) and self._quick == self._copies
            same = same and list(map(list, self._dicts)) == self._keys
        except Exception:  # of a name that is gone, or of arrays, whose comparison is no bool
            same = False
        for place, name, content in self._others if same else self._kept:
            now = _read(place, name)
            if now is not content and mark(now) != mark(content):
                self.has_lost = type(content) not in PLAIN | {FunctionType}
                return "a variable of an enclosing function" if name == "cell_contents" else name
        for thing, content in self._rest if same else self._all:
            if not _same(_content(thing), content):
                return "what is in a container"
        return None

    def put_back(self) -> None:
        """Undo what has changed, as far as that can be done by assignment."""
        for place, name, content in self._kept:
            if _read(place, name) is not content:
                with contextlib.suppress(Exception):  # of objects that take no assignments
                    (dict.__setitem__ if isinstance(place, dict) else setattr)(place, name, content)
        for thing, content in self._all:
            for kind, fill in _FILL.items():
                if issubclass(type(thing), kind) and not _same(_content(thing), content):
                    kind.clear(thing)  # not by methods of a class of the user's
                    fill(thing, content)

    # --- what there is to watch ---

    def _look_at(self, thing: Any, owner: Any) -> None:
        """Note a thing. `owner` is the object whose method it is, if it is a method's function."""
        kind = type(thing)  # isinstance() might ask the object
        if issubclass(kind, Value):
            self.values.append(thing)
        elif issubclass(kind, FunctionType):
            self._look_at_function(thing, owner)
        elif issubclass(kind, MethodType):
            self._waiting += [(thing.__func__, thing.__self__), (thing.__self__, None)]
        elif issubclass(kind, functools.partial):
            self._wait_for(thing.func, thing.args, thing.keywords)
        elif issubclass(kind, list | tuple | set | frozenset | dict | deque | np.ndarray):
            parts = _content(thing)
            parts = [part for _, part in parts] if issubclass(kind, dict) else list(parts)
            self._wait_for(*parts[:_MOST])
            plain = PLAIN.issuperset(map(type, parts))
            may_change = not issubclass(kind, tuple | frozenset)
            if may_change and len(parts) <= (self._room if plain else _MOST):
                self._room -= plain * (len(parts) + 30)
                self._containers.append(thing)
        elif not issubclass(kind, ModuleType | type):
            if issubclass(kind, hooks.Watched):
                self.models.append(thing)
                for name in [name for name in vars(thing) if name[0] != "_"]:
                    self._note(vars(thing), name)
                self._wait_for(*vars(thing).values())
            self._waiting.append((getattr_static(type(thing), "__call__", None), thing))

    def _wait_for(self, *things: Any) -> None:
        self._waiting += [(thing, None) for thing in things]

    def _look_at_function(self, function: FunctionType, owner: Any) -> None:
        code = function.__code__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        # What a wrapper of a method calls is that object's as well.
        self._waiting += [(_read(cell, "cell_contents"), owner) for cell in cells.values()]
        self._wait_for(function.__dict__, function.__defaults__, function.__kwdefaults__)
        for root, name, *attributes in () if is_fixed(code.co_filename) else loads(code):
            thing = _MISSING
            if root == "cell" and name in cells:
                thing = self._note(cells[name], "cell_contents")
            elif root == "global" and name in function.__globals__:
                thing = self._note(function.__globals__, name)
            elif root == "local" and code.co_varnames[:1] == (name,):
                thing = owner
            for attribute in attributes:
                thing = self._attribute(thing, attribute)

    def _attribute(self, thing: Any, name: str) -> Any:
        """Note an attribute; its content. No code of the user's is run."""
        if isinstance(thing, Value) or isinstance(type(thing).__getattribute__, FunctionType):
            return _MISSING
        space = _read(thing, "__dict__")
        if isinstance(space, dict) and name in space:
            return self._note(space, name)
        static = getattr_static(thing, name, _MISSING)
        if isinstance(static, property | FunctionType):
            self._waiting.append((getattr(static, "fget", static), thing))
        elif static is not _MISSING and not isinstance(
            getattr(type(static), "__get__", None), FunctionType
        ):
            return self._note(thing, name)
        return _MISSING

    def _note(self, place: Any, name: str) -> Any:
        content = _read(place, name)
        # A method, say, is another object each time.
        if content is not _MISSING and _read(place, name) is content:
            self._named[id(place), name] = place, name, content
            self._wait_for(content)
        return content


def _read(place: Any, name: str) -> Any:
    """`place.name`, or an entry of a dict."""
    try:
        return place[name] if place.__class__ is dict else getattr(place, name)
    except Exception:  # an empty cell, a proxy, which may raise whatever it likes
        return _MISSING


def _content(thing: Any) -> Any:
    """The entries of a container, as something that does not change with it."""
    if isinstance(thing, dict):
        return list(thing.items())
    if isinstance(thing, np.ndarray):
        return thing.ravel().tolist()
    if isinstance(thing, tuple):
        return thing
    return set(thing) if isinstance(thing, set | frozenset) else list(thing)


def _same(entries: Any, before: Any) -> bool:
    """Whether a container has the entries that it had."""
    try:
        if entries == before:  # compares by identity first
            return True
    except Exception:  # of arrays, whose comparison is no bool: another one than before
        return False
    # An array gives another nan each time.
    return PLAIN.issuperset(map(type, entries)) and repr(entries) == repr(before)
