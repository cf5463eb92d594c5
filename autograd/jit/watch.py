"""Does a function still refer to the same things as when it was recorded?

A walk from the function notes the globals and the variables of enclosing functions that the code
loads, with their attributes as the code spells them (`config.scale`), the settings of models and
optimizers, and the entries of containers. In `for layer in layers: layer.frozen` the code does not
tell which object has the attribute, so it is noted for every object within reach. These guards are
compared before each replay: if one has changed, the function is re-recorded. Around a recorded call
everything within reach is compared, including other attributes, iterators and labels: a change to
anything but the numbers of Values is refused, because a replay would not repeat it. Guards cannot
cover all that a function depends on: they find common changes early, and checks find the rest.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import sys
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import cache, partial
from inspect import getattr_static
from itertools import accumulate, chain
from operator import attrgetter, call, is_, itemgetter, methodcaller
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from autograd import hooks
from autograd.jit.contents import MISSING, OURS, PLAIN, attributes_of, read, reader_of, same
from autograd.jit.loads import loads
from autograd.jit.refusal import file_of, is_installed, is_users, is_users_class, module_of
from autograd.primitive import Primitive
from autograd.value import Value

_CONTAINERS = (list, set, dict, deque, np.ndarray, array, bytearray, memoryview, ContextVar)
# Their parts cannot be replaced, but may themselves change.
_FIXED = (tuple, frozenset, MethodType, classmethod, staticmethod, partial, property, Primitive)
_METHODS = (FunctionType, property, classmethod, staticmethod)
_VIEWS = tuple(map(type, ({}.get, {}.__len__, {}.keys(), {}.values(), {}.items(), vars(type))))
_UNASKED = ("__init__", "__repr__", "__eq__", "__hash__", "__subclasshook__")
_REFILLED = (list, deque, set, OrderedDict, dict)
_CACHE = type(cache(len))
# Look at all attributes of classes from these modules: containers and settings in Python, models.
# Not weakref: notes would keep referents alive.
_OPEN = ("collections", "configparser", "enum", "autograd.hooks")
# Writing to files and logs is allowed, like print().
_LEFT_ALONE = (ModuleType, io.IOBase, logging.Handler)
# This package, and those whose objects other threads change at any time.
_NOT_INSIDE = ("autograd", "threading", "queue", "_queue")


class Watch:
    """A snapshot of what a function refers to.

    Args:
        things: the function, and the callables, models and static things in its arguments.
        everything: note everything within reach, instead of what the code names.

    Attributes:
        values: the Values found. models: the models and optimizers found.
        has_lost: whether an object, other than plain data, has been replaced by another one.
    """

    def __init__(self, things: Iterable[Any], everything: bool = False) -> None:
        self.values: list[Value] = []
        self.models: list[Any] = []
        self.has_lost = False
        self._everything = everything
        # (reader, place, name, content): what the reader gave for one name of a place, or for all.
        self._notes: dict[tuple[int, Any], tuple[Callable[[Any], Any], Any, str, Any]] = {}
        self._titles: dict[int, str] = {}  # the name of the variable or attribute of a thing, by id
        self._room = 160_000  # bytes of plain data in containers to guard
        self._waiting, self._last, self._objects = deque[Any](), deque[Any](), list[Any]()
        # (class, attribute) that the code loads; nn calls these methods of an optimizer. Class ""
        # is any class. So is ">" if a thing may lack the attribute, as `getattr` allows, and
        # "f.<locals>" for the self of a function inside f.
        self._names = {("", "__call__()"), ("Optimizer", "prepare()"), ("Optimizer", "update()")}
        self._wait_for(*things)
        seen, count = dict[int, Any](), 0
        while self._waiting and len(seen) < 20_000:  # checks cover the others
            thing = self._waiting.popleft()  # nearest first
            if id(thing) not in seen:
                seen[id(thing)] = thing
                self._look_at(thing)
            if not self._waiting and len(seen) > count:  # there may be new names or objects
                count = len(seen)
                for part in self._objects:
                    self._look_at_attributes(part)
            if not self._waiting:
                self._waiting, self._last = self._last, self._waiting
        del self._waiting, self._last, self._objects
        if everything:  # one note for all labels, as there may be thousands
            name, labels = "the label of a Value", lambda values: tuple([v.label for v in values])
            self._notes[0, name] = labels, self.values, name, read(labels, self.values)

    def holds(self) -> bool:
        """Whether nothing has changed: a fast comparison in C, before each replay.

        False if it takes a closer look to tell; also True if a container has 1.0 in place of 1.
        """
        (get, places, contents), (reads, containers, entries) = self._named, self._others
        try:
            return (
                self._wholes == self._copies
                and all(map(is_, map(call, get, places), contents))
                and tuple(map(call, reads, containers)) == entries
            )
        except Exception:  # a name is gone, or an array gives an array when compared
            return False

    def _copy(self) -> None:
        """Copy for `holds` what it compares as a whole: lists, and the attributes of models.

        What may equal another object is compared by identity, too, except plain data in containers.
        """
        wholes, named, others = list[Any](), list[Any](), list[Any]()
        # A private attribute, such as the rate of an optimizer, may change before every call. If a
        # model has one, its public attributes are compared one by one, and their names together.
        for space in map(vars, self.models):
            if all(name in OURS for name in space if name[0] == "_"):
                wholes.append(space)
            else:
                others.append((tuple, space, tuple(space)))
        homes = set(map(id, wholes))
        for reader, place, name, _ in self._notes.values():
            if type(place) is dict and not name:
                others.append((tuple, place, tuple(place)))  # in order, which == ignores
            if type(place) in (list, dict) and not name:
                wholes.append(place)
                parts = list(place.items() if type(place) is dict else enumerate(place))
                odd = [pair for pair in parts if type(type(pair[1]).__eq__) is FunctionType]
                named += [(itemgetter(key), place, part) for key, part in odd]
                continue
            content = read(reader, place)
            equal: Any = type(content).__eq__
            if not name:
                others.append((reader, place, content))
            elif id(place) not in homes or equal not in (object.__eq__, list.__eq__):
                named.append((reader, place, content))
        # Python 3.13's dict.copy() may hide references from the garbage collector.
        self._wholes, self._copies = wholes, [type(whole)(whole) for whole in wholes]
        self._named, self._others = [[*zip(*x, strict=True)] or [()] * 3 for x in (named, others)]

    def changed(self, known: Iterable[Any] = ()) -> str | None:
        """Name something that has changed, other than `known` things; None if nothing has."""
        others = set(map(id, known))
        for reader, place, name, content in self._notes.values():
            now = read(reader, place)
            if id(place) not in others and not same(now, content):
                kinds = set(map(type, content if type(content) is tuple else [content]))
                self.has_lost = bool(name) and not kinds <= PLAIN | {FunctionType, object}
                return _what(place, name, now, content, self._titles.get(id(place), ""))
        for space in map(vars, self.models):
            for name in space:
                if name[0] != "_" and (id(space), name) not in self._notes:
                    return name  # which is new
        if not self._everything:  # `holds` is not called when looking for side effects
            self._copy()
        return None

    def put_back(self) -> None:
        """Undo what has changed, as far as assignments can."""
        for reader, place, name, content in self._notes.values():
            now, given = read(reader, place), getattr_static(type(place), name, self)
            if same(now, content) or given is now:  # unchanged, or changed in the class
                continue
            with contextlib.suppress(Exception):  # some objects take no assignments
                if content is MISSING or given is content:  # as the class gives it again
                    (dict.__delitem__ if isinstance(place, dict) else delattr)(place, name)
                elif name:
                    (dict.__setitem__ if isinstance(place, dict) else setattr)(place, name, content)
                else:
                    # By the methods of the built-in type, not of a user's subclass.
                    kind: Any = next(kind for kind in _REFILLED if isinstance(place, kind))
                    kind.clear(place)
                    (kind.extend if hasattr(kind, "extend") else kind.update)(place, content)

    # --- what there is to watch ---

    def _look_at(self, thing: Any) -> None:
        """Note a thing, and what it leads to."""
        kind = type(thing)  # isinstance() might run the object's code
        if issubclass(kind, Value):
            self.values.append(thing)
        elif kind is FunctionType:
            self._look_at_function(thing)
        elif issubclass(kind, (_FIXED, _VIEWS)):
            self._wait_for(*gc.get_referents(thing))
        elif issubclass(kind, _CONTAINERS):
            content = read(reader_of(kind), thing)
            parts = content if type(content) is tuple else (content,)
            parts = tuple(chain.from_iterable(parts)) if issubclass(kind, dict) else parts
            self._wait_for(*parts)
            if kind not in _CONTAINERS:  # a subclass, which may have attributes and methods
                self._objects.append(thing)
            # Comparing much plain data before each replay would take long.
            size = (sys.getsizeof(content) + 240) * PLAIN.issuperset(map(type, parts))
            if self._everything or size <= self._room:
                self._room -= size
                self._note(thing)
        elif issubclass(kind, _CACHE):  # new entries do not count, but changed objects do
            # The last referents are attributes, with the function: look at it before the entries.
            found = [p.values() if type(p) is dict else [p] for p in gc.get_referents(thing)[::-1]]
            self._wait_for(*chain.from_iterable(found))
        elif self._everything:
            self._look_inside(thing, kind)
        elif issubclass(kind, attrgetter | methodcaller):
            make, given = thing.__reduce__()[:2]
            self._wait_for(make, *given)
            texts = [part for part in (*getattr(make, "args", ()), *given) if type(part) is str]
            self._names |= {("", name) for name in ".".join(texts).split(".")}
        elif issubclass(kind, type):
            if is_users_class(thing):
                self._objects.append(thing)
                self._note_in_classes(thing, "__init__")
                self._wait_for(kind, vars(thing).get("_member_map_"))  # the members of an Enum
        elif not issubclass(kind, ModuleType):
            if issubclass(kind, hooks.Watched):
                self.models.append(thing)
                for name in [name for name in vars(thing) if name[0] != "_"]:
                    self._note(vars(thing), name)
            if not module_of(kind).startswith(("autograd.", "nn.")):
                self._objects.append(thing)
            if any(module_of(base) in _OPEN for base in kind.__mro__):
                self._wait_for(*attributes_of(thing).values())
            self._wait_for(attributes_of(thing).get("__wrapped__"))

    def _wait_for(self, *things: Any) -> None:
        """Look at things soon, or last if they are many, such as the rows of a data set."""
        waiting = self._last if len(things) > 100 else self._waiting
        waiting += [thing for thing in things if type(thing) not in PLAIN]

    def _look_inside(self, thing: Any, kind: type) -> None:
        """Note what is in an object, whether the code names it or not."""
        self._wait_for(attributes_of(thing).get("__wrapped__"))  # the function of a Jitted
        is_left = issubclass(kind, _LEFT_ALONE) or module_of(kind).partition(".")[0] in _NOT_INSIDE
        if not is_left and (not issubclass(kind, type) or is_users_class(thing)):
            space = attributes_of(thing) if reader_of(kind) is reader_of(object) else {}
            self._note(space)
            content = self._note(thing)
            # An installed package may change what its objects refer to in threads of its own.
            if not is_installed(file_of(kind)):
                self._wait_for(*space.values(), content)

    def _look_at_function(self, function: FunctionType) -> None:
        code = function.__code__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        inside = gc.get_referents(*cells.values())
        self._wait_for(function.__defaults__, function.__kwdefaults__, *inside)
        if "__wrapped__" in function.__dict__:  # %autoreload replaces a wrapper's code
            self._note(function, "__code__")
        file = code.co_filename
        if not is_users(file) and (self._everything or not is_installed(file)):
            return
        self._wait_for(function.__dict__ or None)
        for name in ("__code__", "__defaults__", "__kwdefaults__"):  # may be replaced in place
            self._note(function, name)
        for root, name, *path in loads(code):
            thing = MISSING
            owner = {"self": function.__qualname__.rpartition(".")[0], "any": name}.get(root, "")
            if root == "cell" and name in cells:
                thing = self._note(cells[name], "cell_contents")
                self._titles[id(thing)] = self._titles[id(cells[name])] = name
            elif root == "global" and (name in function.__globals__ or is_users(file)):
                thing = self._note(function.__globals__, name)
            elif root == "module" and is_users(file):  # loaded later as a local variable
                package = (function.__globals__.get("__package__") or "").split(".")
                for parent in ("", *accumulate(package, "{}.{}".format)):  # if it is relative
                    if (module := ".".join(filter(None, [parent, name, *path]))) in sys.modules:
                        self._objects.append(self._note(sys.modules, module))
            if self._everything and name in ("globals", "vars", "exec", "eval"):
                self._wait_for(function.__globals__)
            for attribute in path:
                if thing is MISSING:
                    self._names.add((owner * (attribute is path[0]), attribute))
                thing = self._attribute(thing, attribute.removesuffix("()"))

    def _look_at_attributes(self, thing: Any) -> None:
        """Note the attributes that the code may load from an object in a list or local variable."""
        kind = thing if issubclass(type(thing), type) else type(thing)
        is_far = is_installed(file_of(kind))  # then its special methods would lead too far
        owners = {base.__qualname__ for base in kind.__mro__}
        own = {name for owner, name in self._names if owner in owners or owner[-1:] == ">"}
        names = own | {name for owner, name in self._names if not owner}
        begun = tuple(n for n in names if n[-1:] == "_" != n[:1])  # getattr(self, f"rate_{k}")
        absent = {n for n in own.difference(*map(vars, kind.__mro__)) if n[-1:] != ")"}
        for base in (None, *kind.__mro__) if self._room > 0 else ():
            space = attributes_of(thing) if base is None else vars(base)
            if added := absent.difference(space):  # names that it may get
                key = id(thing if base is None else kind), id(base)
                self._notes[key] = space.keys().isdisjoint, added, " or ".join(sorted(added)), True
            for name, part in list(space.items()):
                is_called = f"{name}()" in names and type(part) not in PLAIN
                is_asked = is_called or (name[:2] == "__" and name not in _UNASKED and not is_far)
                if is_asked and base is not None and type(part) in _METHODS:
                    self._note_in_classes(kind, name)
                elif name in names or name.startswith(begun) or is_called:
                    self._room -= 50  # comparing it before each replay takes time as well
                    self._attribute(thing, name)

    def _attribute(self, thing: Any, name: str) -> Any:
        """Note an attribute and return its content, without running the user's code."""
        if thing is MISSING or isinstance(type(thing).__getattribute__, FunctionType):
            return MISSING
        space = attributes_of(thing)
        if name in space:
            return self._note(space, name)
        static = getattr_static(thing, name, MISSING)
        self._note_in_classes(thing if isinstance(thing, type) else type(thing), name)
        if isinstance(getattr(type(static), "__get__", None), FunctionType):
            self._wait_for(*attributes_of(static).values())
            self._names |= {("", x) for x in attributes_of(static).values() if type(x) is str}
        elif static is MISSING:
            self._names.add((">", name))  # __getattr__ may pass it on to any other object
        elif not isinstance(static, (*_METHODS, _CACHE)):
            return self._note(thing, name)
        return self._note(space, name)  # MISSING, but it may be added

    def _note_in_classes(self, kind: Any, name: str) -> None:
        """Note what a class and its bases have under a name: super() may lead to any of them."""
        self._notes[id(kind), "__mro__"] = attrgetter("__mro__"), kind, "__mro__", kind.__mro__
        for base in () if (id(kind), name) in self._notes else (*kind.__mro__, *type(kind).__mro__):
            part = vars(base).get(name, MISSING)
            if type(part) in _METHODS or is_users_class(base):
                self._notes[id(base), name] = lambda x: vars(x).get(name, MISSING), base, name, part
                self._wait_for(vars(base).get(name))

    def _note(self, place: Any, name: str = "") -> Any:
        """Note an entry of a dict (or its absence), an attribute, or everything; return it."""
        reader: Any = attrgetter(name) if name else reader_of(type(place))
        if name and type(place) is dict:
            reader = itemgetter(name) if name in place else methodcaller("get", name, MISSING)
        content = read(reader, place)
        if content is MISSING and type(reader) is attrgetter:
            reader = partial(read, reader)  # `holds` compares by readers that do not raise
        if not name or read(reader, place) is content:  # a bound method is new at each lookup
            # Keep a note that a class lacks the attribute, which it inherits; see above.
            is_own = not name or self._notes.get((id(place), name), (content,))[-1] is content
            self._notes[id(place), name if is_own else (name,)] = reader, place, name, content
            if name and content is not MISSING:
                self._titles[id(content)] = name
                self._wait_for(content)
        return content


def _what(place: Any, name: str, now: Any, before: Any, title: str) -> str:
    """Describe what has changed in a place. title: what the code calls it, or ""."""
    if name:
        return title if type(place) is CellType else name
    if isinstance(place, dict | type):
        for (key, part), (old, other) in zip(now, before, strict=False):
            if key is old and not same(part, other) and type(key) is str and key.isidentifier():
                return f"{title}[{key!r}]" if title and isinstance(place, dict) else key
    kind = type(place).__name__
    return f"what is in {title and title + ', '}{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
