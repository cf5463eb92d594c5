"""Does a function still refer to the same things as when it was recorded?

A replay computes with the Values and settings that the recording used. So a program notes what the
function refers to: its closure, the globals and attributes that its code loads, the attributes of
models and optimizers, the entries of lists and dicts. If one of these is another thing now, the
program does not hold any more, and the function is recorded again. If one of them changes while the
function is recorded, a replay would not repeat that: see `Jitted._attempt`.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from copy import copy
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from autograd import hooks
from autograd.jit.refusal import NOT_THE_USERS
from autograd.value import Value

_MISSING: Any = object()
_ASKING = frozenset(["getattr", "hasattr"])
_PLAIN = frozenset([bool, int, float, complex, str, bytes, type(None)])
# A container is compared at each call if it has at most _MANY entries. A container of plain numbers
# may have 1,000; all of these may have _MANY, and each of them counts as _EACH entries more.
_MANY = 10_000
_EACH = 30


class Watch:
    """What a function refers to, as it was at one time."""

    def __init__(self, things: Iterable[Any]) -> None:
        self._code_names: set[str] = set()
        self._asked: set[str] = set()  # names that getattr() or hasattr() may ask for
        things, known = list(things), -1
        while known < len(self._code_names):  # until looking around finds no further names
            known = len(self._code_names)
            self._cells: list[tuple[CellType, Any]] = []
            self._named: list[tuple[Any, str, Any]] = []
            self._settings: list[tuple[dict[str, Any], dict[str, Any]]] = []
            self._lists: list[Any] = []
            self._dicts: list[Any] = []
            self._room = _MANY
            self._iterators: list[Any] = []
            self._seen: dict[int, Any] = {}
            self._waiting = list(things)
            while self._waiting:
                self._look_at(self._waiting.pop())
        del self._seen, self._waiting
        self._copies = list(map(copy, self._lists))
        self._items = [list(table.items()) for table in self._dicts]
        self._left = list(map(operator.length_hint, self._iterators))
        self._changes = hooks.changes()

    def has_taken(self) -> bool:
        """Whether there is less left in an iterator, as far as that tells."""
        return list(map(operator.length_hint, self._iterators)) != self._left

    def changed(self) -> str | None:
        """What is not as it was; None if everything is."""
        for cell, content in self._cells:
            if _content(cell) is not content and not _equal(_content(cell), content):
                return "a variable of an enclosing function"
        for space, name, content in self._named:
            found = space.get(name, _MISSING)
            if found is not content and not _equal(found, content):
                return name
        try:
            # Python compares entries by identity first, so this is fast. A list that is an entry is
            # the same object; its own entries are compared where it stands in these lists.
            if self._lists != self._copies:
                return "what is in a list"
            if [list(table.items()) for table in self._dicts] != self._items:
                return "what is in a dict"
        except Exception:  # arrays, whose comparison is no bool: another one than before
            return "what is in a container"
        changes = hooks.changes()
        if changes != self._changes:
            for space, settings in self._settings:
                found = _public(space)
                if found.keys() != settings.keys():
                    return "the attributes of a module"
                for name, content in settings.items():
                    if found[name] is not content and not _equal(found[name], content):
                        return name
            self._changes = changes
        return None

    def put_back(self) -> None:
        """Undo what has changed, as far as that can be done by assignment."""
        for cell, content in self._cells:
            if content is not _MISSING:
                cell.cell_contents = content
        spaces = [(space, {name: content}) for space, name, content in self._named]
        for space, contents in [*spaces, *self._settings]:
            if isinstance(space, dict):
                for name, content in contents.items():
                    if content is _MISSING:
                        space.pop(name, None)
                    else:
                        space[name] = content
        for thing, kept in zip(self._lists, self._copies, strict=True):
            thing.clear()
            (thing.update if isinstance(thing, set) else thing.extend)(kept)
        for table, items in zip(self._dicts, self._items, strict=True):
            table.clear()
            table.update(items)

    # --- what there is to watch ---

    def _look_at(self, thing: Any) -> None:
        if id(thing) in self._seen or isinstance(thing, Value):
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, FunctionType):
            self._look_at_function(thing)
        elif isinstance(thing, MethodType):
            self._waiting += [thing.__func__, thing.__self__]
        elif isinstance(thing, functools.partial):
            self._waiting += [thing.func, thing.args, thing.keywords]
        elif isinstance(thing, list | tuple | set | frozenset | dict | deque):
            self._look_into(thing)
        elif isinstance(thing, property):
            self._waiting += [thing.fget]
        elif isinstance(thing, staticmethod | classmethod):
            self._waiting.append(thing.__func__)
        elif hasattr(type(thing), "__next__"):
            self._iterators.append(thing)
        elif isinstance(thing, ModuleType | type):
            if not _is_own(thing):
                self._note_loaded(vars(thing))
        else:
            self._look_at_object(thing)

    def _look_at_function(self, function: FunctionType) -> None:
        for cell in function.__closure__ or ():
            self._cells.append((cell, _content(cell)))
            self._waiting.append(_content(cell))
        self._waiting += [function.__defaults__, function.__kwdefaults__, function.__dict__]
        if _is_own(function):
            return
        codes = [function.__code__]
        while codes:
            code = codes.pop()
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
            self._code_names.update(code.co_names)
            if not _ASKING.isdisjoint(code.co_names):
                asked = [c for c in code.co_consts if isinstance(c, str) and c.isidentifier()]
                self._code_names.update(asked)
                self._asked.update(asked)
            for name in code.co_names:
                if name in function.__globals__:
                    self._note(function.__globals__, name)

    def _look_into(self, thing: Any) -> None:
        parts = list(thing.values() if isinstance(thing, dict) else thing)
        self._waiting += parts[:_MANY]
        if isinstance(thing, tuple | frozenset):
            return
        numbers = _PLAIN.issuperset(map(type, parts))
        if len(parts) > (min(1_000, self._room) if numbers else _MANY):
            return
        if numbers:
            self._room -= len(parts) + _EACH
        (self._dicts if isinstance(thing, dict) else self._lists).append(thing)

    def _look_at_object(self, thing: Any) -> None:
        kinds = [kind for kind in type(thing).__mro__ if not _is_own(kind)]
        slots = [name for kind in kinds for name in _slots(kind)]
        if slots:
            attributes = _Slots(thing)
            for name in self._code_names.intersection(slots):
                self._note(attributes, name)
        try:
            space = thing.__dict__
        except Exception:  # whatever a proxy raises
            space = None
        if isinstance(space, dict):
            if isinstance(thing, hooks.Watched):
                settings = _public(space)
                self._settings.append((space, settings))
                self._waiting += settings.values()
            elif not kinds:
                self._waiting += space.values()
            if kinds or not isinstance(thing, hooks.Watched):
                self._note_loaded(space)
            for kind in kinds:  # what the object may come to hide
                hidden = self._code_names.intersection(vars(kind)) | self._asked
                for name in hidden - space.keys():
                    self._named.append((space, name, _MISSING))
        for kind in kinds:
            self._note_loaded(vars(kind))
            self._waiting += [vars(kind).get("__call__"), vars(kind).get("__getitem__")]

    def _note_loaded(self, space: Mapping[str, Any]) -> None:
        for name in self._code_names.intersection(space):
            self._note(space, name)

    def _note(self, space: Mapping[str, Any] | _Slots, name: str) -> None:
        content = space.get(name, _MISSING)
        self._named.append((space, name, content))
        self._waiting.append(content)


class _Slots:
    """The slots of an object, read like a dict."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def get(self, name: str, default: Any) -> Any:
        return getattr(self._thing, name, default)


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _public(space: dict[str, Any]) -> dict[str, Any]:
    return {name: content for name, content in space.items() if not name.startswith("_")}


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return _MISSING


def _equal(found: Any, content: Any) -> bool:
    """Whether two plain things are the same number or text: 1, 1.0, True and -0.0 are not."""
    if type(found) is not type(content):
        return False
    if isinstance(found, tuple):
        return len(found) == len(content) and all(
            a is b or _equal(a, b) for a, b in zip(found, content, strict=True)
        )
    return type(found) in _PLAIN and repr(found) == repr(content)


@functools.cache
def _file_of(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or ""


def _is_own(thing: Any) -> bool:
    """Whether it is not the user's code: part of this library, of Python, or installed."""
    if isinstance(thing, FunctionType):
        return thing.__code__.co_filename.startswith(NOT_THE_USERS)
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    if not isinstance(name, str):
        return True
    if name in sys.builtin_module_names:
        return name != "__main__"
    return _file_of(name).startswith(NOT_THE_USERS)
