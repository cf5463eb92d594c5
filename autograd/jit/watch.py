"""Is what a function names still what it was when it was recorded?

A replay computes with the Values and the settings that the recording met. So a program notes what
the function names: its closure, the globals and attributes its code loads, the attributes of models
and optimizers, the numbers and texts in small lists and dicts. Where one of these has become
another thing, the program does not hold, and the function is recorded again. (Where a Value in a
container was replaced, nobody holds the old one any more, which the program notices too; see
program.py.)
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

from autograd import modes
from autograd.jit.trace import OWN
from autograd.value import Value

_MISSING: Any = object()
_PLAIN = (bool, int, float, complex, str, bytes, tuple, type(None))
_IMMUTABLE = frozenset(_PLAIN) - {tuple}  # nor is there anything in it
_MANY = 10_000  # entries of a container that are looked at
_FEW = 100  # so many containers of settings, with so many entries each, are compared at each call


class Watch:
    """What a function names, as it was at one time.

    Attributes:
        hints: how much there is left in each iterator, as far as it tells.
    """

    def __init__(self, things: Iterable[Any]) -> None:
        self._code_names: set[str] = set()
        for _ in range(2):  # the second time every name is known that some code loads
            self._cells: list[tuple[CellType, Any]] = []
            self._named: list[tuple[Mapping[str, Any], str, Any]] = []
            self._settings: list[tuple[dict[str, Any], str, Any]] = []
            self._lists: list[Any] = []
            self._tables: list[Any] = []
            self.hints: list[int] = []
            self._seen: dict[int, Any] = {}
            self._waiting = list(things)
            while self._waiting:
                self._look_at(self._waiting.pop())
        del self._seen, self._waiting
        self._sizes = list(map(len, self._lists))
        self._copies = list(map(copy, self._tables))
        self._changes = modes.changes()

    def changed(self) -> str | None:
        """What is not as it was; None if everything is."""
        for cell, content in self._cells:
            if _content(cell) is not content and not _equal(_content(cell), content):
                return "a variable of an enclosing function"
        for space, name, content in self._named:
            found = space.get(name, _MISSING)
            if found is not content and not _equal(found, content):
                return name
        if list(map(len, self._lists)) != self._sizes:
            return "the size of a container"
        if self._tables != self._copies:
            return "what is in a container"
        changes = modes.changes()
        if changes != self._changes:
            for space, name, content in self._settings:
                found = space.get(name, _MISSING)
                if found is not content and not _equal(found, content):
                    return name
            self._changes = changes
        return None

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
            parts = list(thing.values() if isinstance(thing, dict) else thing)[:_MANY]
            self._waiting += parts
            if not all(isinstance(part, _PLAIN) for part in parts):
                self._lists.append(thing)
            elif (
                not isinstance(thing, tuple | frozenset)
                and len(parts) <= _FEW
                and len(self._tables) < _FEW
                and _IMMUTABLE.issuperset(map(type, parts))
            ):
                self._tables.append(thing)
        elif hasattr(type(thing), "__next__"):
            self.hints.append(operator.length_hint(thing))
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
            for name in code.co_names:
                if name in function.__globals__:
                    self._note(function.__globals__, name)

    def _look_at_object(self, thing: Any) -> None:
        try:
            space = thing.__dict__
        except Exception:  # whatever a proxy raises
            return
        if not isinstance(space, dict):
            return
        if isinstance(thing, modes.Watched):
            for name, content in space.items():
                if not name.startswith("_"):
                    self._settings.append((space, name, content))
                    self._waiting.append(content)
        elif _is_own(type(thing)):
            self._waiting += space.values()
        else:
            self._note_loaded(space)
        for kind in type(thing).__mro__:
            if not _is_own(kind):
                self._note_loaded(vars(kind))
                self._waiting.append(vars(kind).get("__call__"))

    def _note_loaded(self, space: Mapping[str, Any]) -> None:
        for name in self._code_names.intersection(space):
            self._note(space, name)

    def _note(self, space: Mapping[str, Any], name: str) -> None:
        self._named.append((space, name, space[name]))
        self._waiting.append(space[name])


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return _MISSING


def _equal(found: Any, content: Any) -> bool:
    """Whether two plain things are the same number or text: 1, 1.0, True and -0.0 are not."""
    return (
        type(found) is type(content) and isinstance(found, _PLAIN) and repr(found) == repr(content)
    )


@functools.cache
def _file_of(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or ""


def _is_own(thing: Any) -> bool:
    """Whether it is not the user's: part of this library, of Python, or installed."""
    if isinstance(thing, FunctionType):
        return thing.__code__.co_filename.startswith(OWN)
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    if not isinstance(name, str):
        return True
    if name in sys.builtin_module_names:
        return name != "__main__"
    return _file_of(name).startswith(OWN)
