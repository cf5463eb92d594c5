"""What is a part of a network? Parameters, found by name wherever they are kept, and a call."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple
from weakref import ref

from autograd import Value, modes
from nn.files import as_number, read_json, write_json
from nn.matrix import Matrix


class Place(NamedTuple):
    """A Value of a module: its first name, and every `container[key]` where it is kept."""

    name: str
    value: Value
    trained: bool
    spots: list[tuple[Any, Any]]


class Parameters(list[Value]):
    """The parameters of a module; an assignment to an entry puts the new Value into the module.

    This is how a differentiable optimizer moves a module on to parameters that have a history.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = list(places)
        super().__init__(place.value for place in self._places)

    def __setitem__(self, i: Any, value: Any) -> None:
        if not isinstance(i, int) or not isinstance(value, Value):
            raise TypeError("parameters are replaced one by one, by Values")
        for container, key in self._places[i].spots:
            container[key] = value
        super().__setitem__(i, value)

    def require_replaceable(self) -> None:
        """Raise TypeError if a parameter is kept in a tuple, where nothing can be replaced."""
        for place in self._places:
            if any(isinstance(container, tuple) for container, _ in place.spots):
                raise TypeError(f"{place.name} is kept in a tuple and cannot be replaced")


class Module(modes.Watched):
    """The base of every layer and model.

    A subclass sets attributes and defines `__call__`. Every Value among its attributes is a
    parameter, also in lists, tuples, dicts, Matrices and Modules among them, except in attributes
    whose names begin with an underscore. Attributes named in `buffers` are saved, not trained.

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
    _mode: ref[modes.Mode] | None = None  # the mode of the last call

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            type.__setattr__(cls, "__call__", _scoped(vars(cls)["__call__"]))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; each subclass defines its own."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    # --- parameters ---------------------------------------------------------------------------

    def parameters(self) -> list[Value]:
        """Every trained Value, each once, in the order of the attributes."""
        return Parameters(place for place in _places(self) if place.trained)

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """(name, parameter) pairs, such as ("layers.0.neurons.3.w.1", Value(...))."""
        return ((place.name, place.value) for place in _places(self) if place.trained)

    def named_buffers(self) -> Iterator[tuple[str, Value]]:
        """(name, Value) pairs of what is saved but not trained."""
        return ((place.name, place.value) for place in _places(self) if not place.trained)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0.0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def train(self, mode: bool = True) -> Module:
        """Switch to training (Dropout drops, BatchNorm looks at the batch); returns the module."""
        for _, module in _modules(self):
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch to evaluation (Dropout and BatchNorm are fixed functions); returns the module."""
        return self.train(False)

    def modules(self) -> Iterator[Module]:
        """This module, and every module inside it, each after the one around it."""
        return (module for _, module in _modules(self))

    def child_name(self, child: object) -> str | None:
        """The name of a module kept in this one, such as "layers.0"; None if it is not there."""
        return next((name for name, module in _modules(self) if module is child), None)

    # --- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, float]:
        """The number of every parameter and buffer, by name."""
        return {place.name: place.value.data for place in _places(self)}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over the numbers that `state_dict` gave.

        Raises ValueError if names are missing, unknown, or not numbers; nothing is then changed.
        """
        if not isinstance(state, dict):
            raise ValueError(f"a state is a dict of numbers by name, not {type(state).__name__}")
        places = _places(self)
        names = {place.name for place in places}
        missing, unknown = sorted(names - set(state)), sorted(set(state) - names, key=str)
        if missing or unknown:
            problems = [f"lacks {missing[0]!r}"] if missing else []
            problems += [f"has {unknown[0]!r}, which the model has not"] if unknown else []
            raise ValueError(
                f"the state does not fit {type(self).__name__}: it {' and '.join(problems)}"
                f" ({len(missing)} missing, {len(unknown)} unknown)"
            )
        numbers = [as_number(state[place.name], place.name) for place in places]
        for place, number in zip(places, numbers, strict=True):
            place.value.assign(number)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a JSON file, atomically. Raises OSError where that is impossible."""
        content = {"kind": "model", "model": type(self).__name__, "state": self.state_dict()}
        write_json(path, content)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take over the state from a file that `save` wrote; nothing in it is executed.

        Raises FileNotFoundError, and ValueError for a damaged file or one of another model, naming
        the file; the model is then as it was.
        """
        content = read_json(path, "model")
        try:
            self.load_state_dict(content.get("state", {}))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def __getstate__(self) -> dict[str, object]:
        # For copies and pickles. The mode of the last call is this module's, and no part of it.
        return {name: kept for name, kept in vars(self).items() if name != "_mode"}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.parameters())} parameters)"


def _scoped(call: Callable[..., Any]) -> Callable[..., Any]:
    """A `__call__` whose results know that they were made in this module."""

    current, enter, leave = modes.current.get, modes.current.set, modes.current.reset

    @functools.wraps(call)
    def scoped(self: Module, *args: Any, **kwargs: Any) -> Any:
        outer = current()
        if outer.owner is self:  # super().__call__()
            return call(self, *args, **kwargs)
        # Calls in the same place share a mode for as long as a node made in it lives.
        mode = None if self._mode is None else self._mode()
        if mode is None or mode.outer is not outer or mode.owner is not self:
            mode = outer.within(self)
            vars(self)["_mode"] = ref(mode)
        token = enter(mode)
        try:
            return call(self, *args, **kwargs)
        finally:
            leave(token)

    return scoped


# These walks are no closures: one that calls itself by name is a reference cycle, and training runs
# with the cyclic garbage collector paused.


def _modules(
    node: object, name: str = "", seen: set[int] | None = None
) -> Iterator[tuple[str, Module]]:
    """The module itself and every module inside it, by name."""
    seen = set() if seen is None else seen
    if isinstance(node, Value | Matrix | str) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Module):
        yield name, node
    for key, child, _ in _children(node):
        yield from _modules(child, f"{name}.{key}" if name else str(key), seen)


def _places(module: Module) -> list[Place]:
    """Every Value kept in a module, once each, in the order of the attributes."""
    places: dict[int, Place] = {}
    for name, value, trained, spot in _spots(module, "", True, set()):
        places.setdefault(id(value), Place(name, value, trained, [])).spots.append(spot)
    return list(places.values())


def _spots(
    node: object, name: str, trained: bool, seen: set[int]
) -> Iterator[tuple[str, Value, bool, tuple[Any, Any]]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    for key, child, is_buffer in _children(node):
        child_name = f"{name}.{key}" if name else str(key)
        if isinstance(child, Value):
            container = vars(node) if isinstance(node, Module) else node
            yield child_name, child, trained and not is_buffer, (container, key)
        else:
            yield from _spots(child, child_name, trained and not is_buffer, seen)


def _children(node: object) -> Iterator[tuple[Any, object, bool]]:
    """(key, child, is it a buffer) for what a module, a Matrix or a container holds."""
    if isinstance(node, Module):
        for key, child in vars(node).items():
            if not key.startswith("_"):
                yield key, child, key in node.buffers
    elif isinstance(node, Matrix):
        yield from ((i, row, False) for i, row in enumerate(node.rows))
    elif isinstance(node, list | tuple):
        yield from ((i, child, False) for i, child in enumerate(node))
    elif isinstance(node, dict):
        yield from ((key, child, False) for key, child in node.items())
