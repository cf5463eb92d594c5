"""What is a part of a network? Parameters, found by name in its attributes, and a call."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
from collections import UserList, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView
from itertools import chain, product
from types import MethodType, SimpleNamespace
from typing import Any, ClassVar, Self
from weakref import ref

from autograd import Value, context, hooks, ownership, switches
from autograd.messages import require_flag
from autograd.text import shown
from nn.files import as_number, read_json, write_json
from nn.matrix import Matrix
from nn.parameters import Parameters as Parameters
from nn.parameters import Place


class Module(hooks.Watched):
    """The base of every layer and model.

    A subclass sets attributes and defines `__call__`. A parameter is a leaf that was made outside
    any module's call and outside `no_grad()`, or in a module's constructor, wherever that is
    called. Parameters are found in the attributes, and in ordered containers there: lists, tuples,
    deques, dicts and other mappings and their views, Matrices, NumPy arrays of objects, dataclass
    instances, SimpleNamespaces, and Modules. Attributes whose names begin with an underscore are
    skipped. Attributes named in `buffers` are saved, but not trained.

    Values that a call computes and keeps (`self.last = y`, `self.average = y.detach()`) are not
    parameters. Finding the parameters raises ValueError for an attribute such as
    `Value(3.0) * 0.1`, the result of an operation outside any call, and for two Values of the same
    name (keys 1 and "1" of a dict). It raises TypeError for Values in a set, which has no order,
    in the keys of a dict, in a class attribute, which all instances would share, or in an object or
    callable that is not a Module, and for an iterator (map, zip, a generator), which would be
    consumed. So does a constructor that hides a method by an attribute (`self.parameters = [...]`).

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    ...     def __call__(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line(3).data
    7.0
    >>> [(name, p.data) for name, p in line.named_parameters()]
    [('slope', 2.0), ('offset', 1.0)]
    """

    buffers: ClassVar[tuple[str, ...]] = ()
    training: bool = True
    _context: ref[context.Context] | None = None  # the context of the last call

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Not in __init_subclass__, because @dataclass adds the constructor after that.
        kind = next(kind for kind in cls.__mro__ if "__init__" in vars(kind))
        if kind is not object and not hasattr(vars(kind)["__init__"], "constructs"):
            kind = kind if issubclass(kind, Module) else cls  # not the __init__ of others
            type.__setattr__(kind, "__init__", _constructor(kind.__init__))
        if cls.__hash__ is None:  # after @dataclass, but a key of a dict is this very model
            type.__setattr__(cls, "__hash__", object.__hash__)
        return super().__new__(cls)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            type.__setattr__(cls, "__call__", _scoped(vars(cls)["__call__"]))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the module, which each subclass defines."""
        instead = ", which is where its forward belongs" * hasattr(self, "forward")
        raise NotImplementedError(f"{type(self).__name__} does not define __call__{instead}")

    # --- parameters ---------------------------------------------------------------------------

    def parameters(self) -> Parameters:
        """All parameters, each once, in the order of the attributes."""
        return Parameters(place for place in _places(self) if place.trained)

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """(name, parameter) pairs, such as ("layers.0.neurons.3.w.1", Value(...))."""
        return ((place.name, place.value) for place in _places(self) if place.trained)

    def named_buffers(self) -> Iterator[tuple[str, Value]]:
        """(name, Value) pairs of the Values that are saved, but not trained."""
        return ((place.name, place.value) for place in _places(self) if not place.trained)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0.0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def train(self, mode: bool = True) -> Module:
        """Set training mode (Dropout drops, BatchNorm uses the batch), or evaluation mode if False.

        Returns the module.
        """
        require_flag("mode", mode)
        for _, module in _modules(self):
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set evaluation mode (Dropout and BatchNorm are fixed functions). Returns the module."""
        return self.train(False)

    def modules(self) -> Iterator[Module]:
        """This module and all modules inside it, each after the one that contains it."""
        return (module for _, module in _modules(self))

    def child_name(self, child: object) -> str | None:
        """The name of a module inside this one, such as "layers.0"; None if it is not there."""
        return next((name for name, module in _modules(self) if module is child), None)

    # --- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, float]:
        """The number of every parameter and buffer, by name."""
        return {place.name: place.value.data for place in _places(self)}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore the numbers that `state_dict` returned.

        Raises ValueError for missing or unknown names and for entries that are not numbers; nothing
        has changed then.
        """
        if not isinstance(state, dict):
            raise ValueError(f"a state is a dict of numbers by name, not {type(state).__name__}")
        places = _places(self)
        names = {place.name for place in places}
        missing, unknown = sorted(names - set(state)), sorted(set(state) - names, key=str)
        if missing or unknown:
            problems = [f"lacks {missing[0]!r}"] if missing else []
            problems += [f"has {unknown[0]!r}, which the model does not have"] if unknown else []
            raise ValueError(
                f"the state does not fit {type(self).__name__}: it {' and '.join(problems)}"
                f" ({len(missing)} missing, {len(unknown)} unknown)"
            )
        numbers = [as_number(state[place.name], place.name) for place in places]
        for place, number in zip(places, numbers, strict=True):
            place.value.assign(number)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a JSON file, atomically. Raises OSError if that fails."""
        content = {"kind": "model", "model": type(self).__name__, "state": self.state_dict()}
        write_json(path, content)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Restore the state from a file that `save` wrote. Nothing in the file is executed.

        Raises OSError for a file that is missing or not a regular one, and ValueError for one that
        is damaged, larger than 1 GiB or of another model; nothing has changed then.
        """
        content = read_json(path, "model")
        try:
            self.load_state_dict(content.get("state", {}))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def __getstate__(self) -> object:
        # For copies and pickles, without the weak reference to the context of the last call.
        space = {name: kept for name, kept in vars(self).items() if name != "_context"}
        state = super().__getstate__()
        return (space, state[1]) if isinstance(state, tuple) else space  # with __slots__, a pair

    def __repr__(self) -> str:
        count = len(self.parameters())
        return f"{type(self).__name__}({count} parameter{'s' * (count != 1)})"


def gathered(parameters: Module | Iterable[Value | Module]) -> list[Value]:
    """The parameters of a Module, or of Values and Modules; a list of Values is returned itself.

    Raises TypeError for anything else.
    """
    if isinstance(parameters, Module):
        return parameters.parameters()
    if not isinstance(parameters, Iterable):
        raise TypeError(
            "parameters are a Module, model.parameters(), or a list of Values and Modules, not"
            f" {parameters!r}"
        )
    given: list[Any] = parameters if isinstance(parameters, list) else list(parameters)
    for i, part in enumerate(given):
        if not isinstance(part, Value | Module):
            raise TypeError(f"parameters[{i}] must be a Value or a Module, not {part!r}")
    if not any(isinstance(part, Module) for part in given):
        return given
    places: list[Place] = []
    for part in given:
        whole = isinstance(part, Module)
        places += part.parameters().places if whole else [Place(part.label, part, True, [])]
    return Parameters(places)


def _constructor(init: Callable[..., None]) -> Callable[..., None]:
    """An `__init__` whose leaves are parameters wherever it is called."""

    @functools.wraps(init)
    def constructor(self: Module, *args: Any, **kwargs: Any) -> None:
        is_inside = context.current.get().leaf is not context.OUTSIDE  # a call, or no_grad
        with switches.constructing() if is_inside else contextlib.nullcontext():
            init(self, *args, **kwargs)
        for name in _METHODS.intersection(vars(self)):
            raise TypeError(
                f"{type(self).__name__}: the attribute {name} hides the method {name}() of"
                " Modules: choose another name"
            )

    vars(constructor)["constructs"] = True
    return constructor


def _scoped(call: Callable[..., Any]) -> Callable[..., Any]:
    """A `__call__` whose results remember that they were made in this module."""

    current, enter, leave = context.current.get, context.current.set, context.current.reset

    @functools.wraps(call)
    def scoped(self: Module, *args: Any, **kwargs: Any) -> Any:
        outer = current()
        if outer.owner is self:  # super().__call__()
            return call(self, *args, **kwargs)
        # Calls in the same context share one as long as a node made in it is alive.
        inside = None if self._context is None else self._context()
        if inside is None or inside.outer is not outer or inside.owner is not self:
            inside = outer.within(self)
            vars(self)["_context"] = ref(inside)
        token = enter(inside)
        try:
            return call(self, *args, **kwargs)
        finally:
            leave(token)

    return scoped


_METHODS = {name for name, part in vars(Module).items() if callable(part) and name[0] != "_"}

# These recursive functions are not closures: a closure that calls itself is a reference cycle, and
# would leak while training runs with the cyclic garbage collector paused.


def _modules(
    node: Any, name: str = "", seen: set[int] | None = None
) -> Iterator[tuple[str, Module]]:
    """The module itself and every module inside it, by name."""
    seen = set() if seen is None else seen
    kind: Any = type(node)
    read = _reader(kind)
    if read in (None, _read_matrix, _read_object, _read_callable) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Module):
        yield name, node
    for key, child, _ in read(node)[1]:
        yield from _modules(child, _joined(name, key), seen)


def _places(module: Module) -> list[Place]:
    """All parameters and buffers of a module, each once, in the order of the attributes."""
    places: dict[int, Place] = {}
    strays: list[tuple[object, str, list[Any]]] = []
    seen: set[int] = set()
    _collect(module, "", True, places, strays, seen)
    for node, name, parts in strays:
        if _holds_more(parts, places, seen):
            raise TypeError(_refusal(node, name))
    if len({place.name for place in places.values()}) < len(places):
        names = [place.name for place in places.values()]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"two Values are called {shown(twice)}: a file would keep only one; rename a key"
        )
    return list(places.values())


def _collect(
    node: Any,
    name: str,
    trained: bool,
    places: dict[int, Place],
    strays: list[tuple[object, str, list[Any]]],
    seen: set[int],
) -> None:
    """Add the Values in a node to `places`, and the parts where Values are an error to `strays`."""
    kind: Any = type(node)
    read = _reader(kind)
    if read is None or id(node) in seen:
        return
    seen.add(id(node))
    container, children = read(node)
    if container is None:
        if read is _read_iterator:
            raise TypeError(_refusal(node, name))
        strays.append((node, name, [part for _, part, _ in children]))
        return
    if read is _read_module:
        for key, part in _shared(kind):
            if key not in vars(node):
                strays.append((kind, _joined(name, key), [part]))
    elif read is _read_mapping and not _PLAIN.issuperset(map(type, node)):
        strays.append((node, name, list(node)))
    for key, child, is_buffer in children:
        is_trained = trained and not is_buffer
        if not isinstance(child, Value):
            _collect(child, _joined(name, key), is_trained, places, strays, seen)
            continue
        place = places.get(id(child))
        if place is None:
            if is_trained and not _is_parameter(child, name, key):
                continue
            place = places[id(child)] = Place(_joined(name, key), child, is_trained, [])
        place.spots.append((container, key))


def _holds_more(parts: list[Any], places: dict[int, Place], seen: set[int]) -> bool:
    """Whether a parameter that is not in `places` is anywhere in these parts, at any depth."""
    rest = list(parts)
    while rest:
        part = rest.pop()
        if isinstance(part, Value):
            is_parameter = ownership.is_trainable(part)
            if is_parameter and id(part) not in places:
                return True
            continue
        kind: Any = type(part)
        read = _reader(kind)
        if read is not None and id(part) not in seen:
            seen.add(id(part))
            rest += [child for _, child, _ in read(part)[1]]
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
            " make it a list, or leave it out by a name that begins with an underscore"
        )
    return (
        f"{name} is a {kind}, not a Module, and the Values in it would not be trained: derive its"
        " class from nn.Module, or leave it out by a name that begins with an underscore"
    )


def _joined(name: str, key: object) -> str:
    """`layers` and 0 give `layers.0`; the entry of a 0-d array has no name of its own."""
    if isinstance(key, tuple):  # of an array
        return ".".join([name, *map(str, key)])
    return f"{name}.{key}" if name else str(key)


def _is_parameter(value: Value, name: str, key: object) -> bool:
    trainable = ownership.is_trainable(value)
    if trainable is None:
        where = shown(_joined(name, key))
        raise ValueError(
            f"{where} is the result of {value.op}, not a leaf, and would not be trained: make it a"
            " parameter with .detach() or Value(...), leave it out by a name that begins with an"
            " underscore, or put it in the place of a parameter by model.parameters()[i] = value"
        )
    return trainable


# --- what modules and containers hold -------------------------------------------------------------

# A container that can be assigned to by `container[key] = value`, or None if it must not hold
# parameters; and (key, child, whether it is a buffer) for each child.
_Held = tuple[Any, list[tuple[Any, Any, bool]]]

_PLAIN = frozenset([float, int, bool, str])


@functools.lru_cache(maxsize=1024)
def _reader(kind: type) -> Callable[[Any], _Held] | None:
    """The function that lists the children of an object of this type; None if it has none."""
    if issubclass(kind, Module):
        return _read_module
    if issubclass(kind, Matrix):
        return _read_matrix
    if issubclass(kind, list | tuple | deque | UserList | MappingView):
        return _read_sequence
    if issubclass(kind, Mapping):
        return _read_mapping
    if issubclass(kind, set | frozenset):
        return _read_set
    # Only built-in iterators: files and the like are iterators too, but hold no Values.
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
    # Such as an optimizer, a random.Random, a path, a function, a number.
    package = str(kind.__module__).partition(".")[0]
    known = package in ("autograd", "nn") or package in sys.stdlib_module_names
    if (known and package != "__main__") or issubclass(kind, hooks.Watched):
        return None
    return _read_object


def _read_module(module: Any) -> _Held:
    space, buffers, slots = vars(module), module.buffers, _slots(module.__class__)
    held = [(name, x, name in buffers) for name, x in space.items() if name[:1] != "_"]
    if not slots:
        return space, held
    kept = [(name, x, name in buffers) for name, x, _ in _attributes(module, slots)]
    return _Attributes(module), kept + held


@functools.lru_cache(maxsize=1024)
def _shared(kind: type) -> list[tuple[str, object]]:
    """The class attributes that hold parameters."""
    found = {name: x for base in reversed(kind.__mro__) for name, x in vars(base).items()}
    return [(n, x) for n, x in found.items() if n[:1] != "_" and _holds_more([x], {}, set())]


@functools.lru_cache(maxsize=1024)
def _slots(kind: type) -> list[str]:
    slots = [vars(base).get("__slots__", ()) for base in kind.__mro__]
    return [name for some in slots for name in ([some] if isinstance(some, str) else some)]


def _read_matrix(matrix: Matrix) -> _Held:
    return _read_sequence(matrix.rows)


def _read_sequence(sequence: Any) -> _Held:
    if _PLAIN.issuperset(map(type, sequence)):  # data: 50 times faster than entry by entry
        return sequence, []
    return sequence, [(i, part, False) for i, part in enumerate(sequence)]


def _read_mapping(table: Any) -> _Held:
    return table, [(key, part, False) for key, part in table.items()]


def _read_set(parts: Any) -> _Held:
    return None, [(i, part, False) for i, part in enumerate(parts)]


def _read_iterator(_: Any) -> _Held:
    return None, []


def _read_array(array: Any) -> _Held:
    if array.dtype != object:
        return array, []
    places = product(*map(range, array.shape))
    return array, [(place, array[place], False) for place in places]


def _read_dataclass(thing: Any) -> _Held:
    names = [field.name for field in dataclasses.fields(thing) if hasattr(thing, field.name)]
    container = thing if type(thing).__dataclass_params__.frozen else _Attributes(thing)
    return container, _attributes(thing, names)


def _read_namespace(space: Any) -> _Held:
    return _Attributes(space), _attributes(space, vars(space))


def _read_object(thing: Any) -> _Held:
    """The public attributes of an object of a user's class, in its dict and its slots."""
    space = getattr(thing, "__dict__", None)
    names = [*_slots(thing.__class__), *(space if isinstance(space, dict) else ())]
    return None, _attributes(thing, names)


def _read_callable(thing: Any) -> _Held:
    is_partial = isinstance(thing, functools.partial)
    parts = [thing.func, *thing.args, *thing.keywords.values()] if is_partial else [thing.__self__]
    return None, [(i, part, False) for i, part in enumerate(parts)]


def _attributes(thing: Any, names: Iterable[str]) -> list[tuple[Any, Any, bool]]:
    return [(name, getattr(thing, name, None), False) for name in names if name[:1] != "_"]


class _Attributes:
    """The attributes of an object as a container: assigned to by key."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __setitem__(self, name: str, content: object) -> None:
        setattr(self._thing, name, content)
