"""Where are the parameters of a model? In its attributes, and in the ordered containers there."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections import Counter, UserList, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView
from itertools import chain, product
from numbers import Real
from types import MethodType, SimpleNamespace
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

from autograd import Value, hooks, ownership
from autograd.text import shown
from nn.frames import is_ours
from nn.matrix import Matrix
from nn.parameters import Place


class Searched(hooks.Watched):
    """The base class of what is searched for parameters; see Module."""

    buffers: ClassVar[tuple[str, ...]] = ()


# The recursive functions are not closures: a closure that calls itself is a reference cycle, and
# would leak while training runs with the cyclic garbage collector paused. `seen` keeps the objects
# themselves, because the pairs of an items view are temporary, and their ids would be reused.


def modules_in(module: Searched) -> Iterator[tuple[str, Any]]:
    """Yield (name, module) for the module itself and for every module inside it."""
    waiting: list[tuple[str, Any]] = [("", module)]
    seen: dict[int, Any] = {}
    while waiting:
        name, node = waiting.pop()
        kind: Any = type(node)
        read = _reader(kind)
        if read in (None, _read_matrix, _read_object, _read_callable) or id(node) in seen:
            continue
        seen[id(node)] = node
        if isinstance(node, Searched):
            yield name, node
        inside = reversed(read(node)[1])
        waiting += [(_joined(name, k), x) for k, x in inside if not isinstance(x, Value)]


def places_in(module: Searched) -> list[Place]:
    """Return all parameters and buffers of a module, each once, in the order of the attributes."""
    places: dict[int, Place] = {}
    strays: list[tuple[object, str, list[Any]]] = []
    seen: dict[int, Any] = {}
    _collect(module, "", True, places, strays, seen)
    for node, name, parts in strays:
        if _holds_more(parts, places, seen):
            raise TypeError(_refusal(node, name))
    if len({place.name for place in places.values()}) < len(places):
        twice = Counter(place.name for place in places.values()).most_common(1)[0][0]
        raise ValueError(
            f"two Values have the name {shown(twice)}: a file would keep only one; rename a key"
        )
    return list(places.values())


def _collect(
    node: Any,
    name: str,
    trained: bool,
    places: dict[int, Place],
    strays: list[tuple[object, str, list[Any]]],
    seen: dict[int, Any],
) -> None:
    """Add the Values in a node to `places`, and parts that must not hold Values to `strays`."""
    kind: Any = type(node)
    read = _reader(kind)
    if read is None or id(node) in seen:
        return
    seen[id(node)] = node
    container, children = read(node)
    if container is None:
        if read is _read_iterator:
            raise TypeError(_refusal(node, name))
        strays.append((node, name, [part for _, part in children]))
        return
    if read is _read_module:
        for key, part in _shared(kind):
            if key not in vars(node):
                strays.append((kind, _joined(name, key), [part]))
    elif read is _read_mapping and not _PLAIN.issuperset(map(type, node)):
        strays.append((node, name, list(node)))
    buffers = node.buffers if read is _read_module else ()
    for key in buffers:
        if key.startswith("_"):
            raise TypeError(f"the buffer {key} would not be saved: drop the underscore")
        if _begins_with_a_number(vars(node).get(key)):
            raise TypeError(
                f"{shown(_joined(name, key))} is a buffer, but its plain numbers would not be"
                " saved: make Values of them, such as Value(0.0)"
            )
    for key, child in children:
        is_trained = trained and key not in buffers
        if not isinstance(child, Value):
            _collect(child, _joined(name, key), is_trained, places, strays, seen)
            continue
        place = places.get(id(child))
        if place is None:
            if is_trained and not _is_parameter(child, name, key):
                continue
            place = places[id(child)] = Place(_joined(name, key), child, is_trained, [])
        place.spots.append((container, key))


def _begins_with_a_number(content: Any) -> bool:
    """Whether it is a plain number, or a list, a dict or an array whose first entry is one."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list | tuple):
        return bool(content) and _begins_with_a_number(content[0])
    dtype = getattr(content, "dtype", None)
    return isinstance(content, Real) or getattr(dtype, "kind", "O") in "biuf"


def _holds_more(parts: list[Any], places: dict[int, Place], seen: dict[int, Any]) -> bool:
    """Whether these parts hold a parameter that is not in `places`, at any depth."""
    rest = list(parts)
    while rest:
        part = rest.pop()
        if isinstance(part, Value):
            if ownership.is_trainable(part) and id(part) not in places:
                return True
        elif (read := _reader(type(part))) is not None and id(part) not in seen:
            seen[id(part)] = part
            rest += [child for _, child in read(part)[1]]
    return False


def _refusal(node: object, name: str) -> str:
    name, kind = shown(name), type(node).__name__
    if isinstance(node, set | frozenset):
        return f"{name} is a {kind} of Values, which has no order: use a list"
    if isinstance(node, type):
        return f"{name} belongs to the class {node.__name__}, not to the model: set it in __init__"
    if isinstance(node, Mapping):
        return f"{name} is a {kind} with Values among its keys: use a list, or the values of a dict"
    if isinstance(node, Iterator):
        return (
            f"{name} is an iterator ({kind}), and looking for parameters in it would use it up:"
            " make it a list, or exclude it by a name that begins with an underscore"
        )
    return (
        f"{name} is a {kind}, not a Module, and the Values in it would not be trained: derive its"
        " class from nn.Module, or exclude it by a name that begins with an underscore"
    )


def _joined(name: str, key: object) -> str:
    """Return `layers.0` for `layers` and 0; the entry of a 0-d array has the array's name."""
    if isinstance(key, tuple):  # an index of an array
        return ".".join([name, *map(str, key)])
    return f"{name}.{key}" if name else str(key)


def _is_parameter(value: Value, name: str, key: object) -> bool:
    trainable = ownership.is_trainable(value)
    if trainable is None:
        where = shown(_joined(name, key))
        raise ValueError(
            f"{where} is the result of {value.op}, not a leaf, and would not be trained: make it a"
            " parameter with .detach() or Value(...), exclude it by a name that begins with an"
            " underscore, or let it replace a parameter with model.parameters()[i] = value"
        )
    return trainable


# --- what modules and containers hold -------------------------------------------------------------

# A container that supports `container[key] = value`, or None if it must not hold parameters, and
# (key, child) for each child.
_Held = tuple[Any, list[tuple[Any, Any]]]

_Result = TypeVar("_Result")

_PLAIN = frozenset([float, int, bool, str])


def _weakly_cached(function: Callable[[type], _Result]) -> Callable[[type], _Result]:
    """Cache per class without keeping it, as its methods may refer to much data."""
    known: WeakKeyDictionary[type, _Result] = WeakKeyDictionary()

    @functools.wraps(function)
    def cached(kind: type) -> _Result:
        try:
            return known[kind]
        except KeyError:
            return known.setdefault(kind, function(kind))

    return cached


@_weakly_cached
def _reader(kind: type) -> Callable[[Any], _Held] | None:
    """Return the function that lists the children of objects of a type; None if they have none."""
    if issubclass(kind, Searched):
        return _read_module
    if issubclass(kind, Matrix):
        return _read_matrix
    if issubclass(kind, list | tuple | deque | UserList | MappingView):
        return _read_sequence
    if issubclass(kind, Mapping):
        return _read_mapping
    if issubclass(kind, set | frozenset):
        return _read_set
    # Only built-in iterators: files, for example, are iterators too, but hold no Values.
    if kind is chain or (kind.__module__ == "builtins" and issubclass(kind, Iterator)):
        return _read_iterator
    numpy = sys.modules.get("numpy")
    if numpy and issubclass(kind, numpy.ndarray):
        return _read_array
    if dataclasses.is_dataclass(kind):
        return _read_dataclass
    if issubclass(kind, SimpleNamespace):
        return _read_namespace
    if issubclass(kind, functools.partial | MethodType):
        return _read_callable
    # Do not search optimizers, random.Randoms, paths, functions, numbers and the like.
    package = str(kind.__module__).partition(".")[0]
    known = package in ("autograd", "nn") or package in sys.stdlib_module_names
    is_of_user = vars(kind).get("__module__") == "builtins"  # of exec() without a __name__
    if (known and not is_of_user) or issubclass(kind, hooks.Watched):
        return None
    return _read_object


def _read_module(module: Any) -> _Held:
    return _Attributes(module), _read_object(module)[1]


def _shared(kind: type) -> list[tuple[str, object]]:
    """Return the class attributes of a user's classes that might hold parameters."""
    bases = [base for base in reversed(kind.__mro__[:-1]) if not is_ours(base.__module__)]
    found = {name: x for base in bases for name, x in vars(base).items() if name[:1] != "_"}
    return [(name, x) for name, x in found.items() if isinstance(x, Value) or _reader(type(x))]


@_weakly_cached
def _slots(kind: type) -> list[str]:
    slots = [vars(base).get("__slots__", ()) for base in kind.__mro__]
    return [name for some in slots for name in ([some] if isinstance(some, str) else some)]


def _read_matrix(matrix: Matrix) -> _Held:
    return _read_sequence(matrix.rows)


def _read_sequence(sequence: Any) -> _Held:
    if _PLAIN.issuperset(map(type, sequence)):  # only data: 30 times faster than entry by entry
        return sequence, []
    return sequence, list(enumerate(sequence))


def _read_mapping(table: Any) -> _Held:
    return table, list(table.items())


def _read_set(parts: Any) -> _Held:
    return None, list(enumerate(parts))


def _read_iterator(_: Any) -> _Held:
    return None, []


def _read_array(array: Any) -> _Held:
    if array.dtype != object:
        return array, []
    places = product(*map(range, array.shape))
    return array, [(place, array[place]) for place in places]


def _read_dataclass(thing: Any) -> _Held:
    container = thing if type(thing).__dataclass_params__.frozen else _Attributes(thing)
    return container, _attributes(thing, [field.name for field in dataclasses.fields(thing)])


def _read_namespace(space: Any) -> _Held:
    return _Attributes(space), _attributes(space, vars(space))


def _read_object(thing: Any) -> _Held:
    """List the public attributes of an object of a user's class, in its dict and its slots."""
    space = getattr(thing, "__dict__", None)
    names = [*_slots(thing.__class__), *(space if isinstance(space, dict) else ())]
    return None, _attributes(thing, names)


def _read_callable(thing: Any) -> _Held:
    is_partial = isinstance(thing, functools.partial)
    parts = [thing.func, *thing.args, *thing.keywords.values()] if is_partial else [thing.__self__]
    return None, list(enumerate(parts))


def _attributes(thing: Any, names: Iterable[str]) -> list[tuple[Any, Any]]:
    return [(name, getattr(thing, name, None)) for name in names if name[:1] != "_"]


class _Attributes:
    """The attributes of an object as a container that is assigned to by key."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __setitem__(self, name: str, content: object) -> None:
        setattr(self._thing, name, content)
