"""What is a part of a network? Parameters, found by name in its attributes, and a call."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self
from weakref import ref

from autograd import Value, context, switches
from autograd.hooks import fixed, plain
from autograd.messages import is_series, require_flag
from autograd.ownership import is_trainable
from autograd.text import counted, quoted
from nn.files import as_number, read_json, write_json
from nn.matrix import Matrix
from nn.parameters import Parameters as Parameters
from nn.parameters import Place
from nn.search import Searched, modules_in, places_in


class Module(Searched):
    """The base class of all layers and models.

    A subclass sets attributes and defines `__call__`. A parameter is a leaf that was made outside
    any module's call and outside `no_grad()`, or in a module's constructor, wherever that is
    called. Parameters are found in attributes, and in ordered containers there: lists, tuples,
    deques, dicts and other mappings and their views, Matrices, NumPy arrays of objects, dataclass
    instances, SimpleNamespaces, and Modules. Attributes whose names begin with an underscore are
    skipped. Attributes named in `buffers` are saved, but not trained.

    Values that a call computes and keeps (`self.last = y`, `self.average = y.detach()`) are not
    parameters. Finding the parameters raises ValueError for an attribute such as
    `Value(3.0) * 0.1`, the result of an operation outside any call, and for two Values of the same
    name (keys 1 and "1" of a dict). It raises TypeError for Values in a set, which has no order,
    in the keys of a dict, in a class attribute, which all instances would share, or in an object
    that is not a Module, such as a functools.partial, for plain numbers in a buffer, which would
    not be saved, and for an iterator (map, zip, a generator), which would be consumed. So does a
    constructor that hides a method with an attribute (`self.parameters = [...]`). Closures are not
    searched: `lambda x: w * x` has no parameters.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    ...     def __call__(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> y = line(3)
    >>> y.data
    7.0
    >>> [(name, p.data) for name, p in line.named_parameters()]
    [('slope', 2.0), ('offset', 1.0)]
    """

    training: bool = True
    _context: ref[context.Context] | None = None  # the context of the last call

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Not only in __init_subclass__, because @dataclass adds its __init__ after that.
        if cls.__init__ is not object.__init__ and not hasattr(cls.__init__, "constructs"):
            type.__setattr__(cls, "__init__", _constructor(cls.__init__))
        if cls.__hash__ is None:  # as @dataclass sets it, but models are hashed by identity
            type.__setattr__(cls, "__hash__", object.__hash__)
        return super().__new__(cls)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(cls.buffers, str):
            raise TypeError(f"buffers are a tuple of names: write buffers = ({cls.buffers!r},)")
        if "__init__" in vars(cls):  # at once, too, as %autoreload compares it with the old class's
            type.__setattr__(cls, "__init__", _constructor(cls.__init__))
        if "__call__" in vars(cls):
            type.__setattr__(cls, "__call__", _scoped(cls.__call__))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the module; each subclass defines this."""
        instead = ", which is where its forward belongs" * hasattr(self, "forward")
        raise NotImplementedError(f"{type(self).__name__} does not define __call__{instead}")

    def __setattr__(self, name: str, content: Any) -> None:
        old = None if name[:1] == "_" else vars(self).get(name)
        if isinstance(content, int | float) and isinstance(old, Value) and is_trainable(old):
            number = plain(content)
            warnings.warn(
                f"{type(self).__name__}.{name} was a parameter, and is now {number}, which is not"
                f" trained: to change its number, write .{name}.data = {number}",
                stacklevel=2,
            )
        super().__setattr__(name, content)

    # --- parameters ---------------------------------------------------------------------------

    def parameters(self) -> Parameters:
        """Return all parameters, each once, in the order of the attributes."""
        return Parameters(place for place in places_in(self) if place.trained)

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Return (name, parameter) pairs, such as ("layers.0.neurons.3.w.1", Value(...))."""
        return ((place.name, place.value) for place in places_in(self) if place.trained)

    def named_buffers(self) -> Iterator[tuple[str, Value]]:
        """Return (name, Value) pairs of the Values that are saved, but not trained."""
        return ((place.name, place.value) for place in places_in(self) if not place.trained)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0.0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def train(self, mode: bool = True) -> Module:
        """Set training mode (Dropout drops, BatchNorm uses the batch), or evaluation mode if False.

        Returns the module.
        """
        require_flag("mode", mode)
        for _, module in modules_in(self):
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set evaluation mode (Dropout and BatchNorm are fixed functions). Returns the module."""
        return self.train(False)

    def modules(self) -> Iterator[Module]:
        """Return this module and all modules inside it, each after the one that contains it."""
        return (module for _, module in modules_in(self))

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Return their (name, module) pairs, such as ("layers.0", Layer(...)); "" is this one."""
        return modules_in(self)

    # --- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, float]:
        """Return the numbers of all parameters and buffers by name."""
        return {place.name: place.value.data for place in places_in(self)}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore the numbers that `state_dict` returned.

        Raises ValueError for missing or unknown names and for entries that are not numbers; an
        error leaves the module unchanged.
        """
        if not isinstance(state, dict):
            raise ValueError(f"a state is a dict of numbers by name, not {type(state).__name__}")
        places = places_in(self)
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
        is damaged, larger than 1 GiB or of another model; an error leaves the module unchanged.
        """
        content = read_json(path, "model")
        try:
            self.load_state_dict(content.get("state", {}))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def __getstate__(self) -> object:
        # Copies and pickles have no weak reference to the context of the last call.
        space = vars(self) | {"_context": None}
        fixed(lambda: self.training, of=self)  # a copy that a jitted function makes inherits it
        state = super().__getstate__()
        return (space, state[1]) if isinstance(state, tuple) else space  # with __slots__, a pair

    def __repr__(self) -> str:
        return f"{type(self).__name__}({counted(len(self.parameters()), 'parameter')})"


def gathered(
    parameters: Module | Iterable[Value | Module], name: str = "parameters"
) -> list[Value]:
    """Return the parameters of a Module, or of Values and Modules; a list of Values unchanged.

    Raises TypeError for anything else; `name` is the argument's name in the message.
    """
    if isinstance(parameters, Module):
        return parameters.parameters()
    if not is_series(parameters):
        raise TypeError(
            f"{name} must be a Module, model.parameters(), or a list of Values and Modules, not"
            f" {quoted(parameters)}"
        )
    given: list[Any] = parameters if isinstance(parameters, list) else list(parameters)
    for i, part in enumerate(given):
        if not isinstance(part, Value | Module):
            listed = isinstance(part, list | Matrix)
            instead = ": list its Values, as in [v for row in M for v in row]" * listed
            raise TypeError(f"{name}[{i}] must be a Value or a Module, not {quoted(part)}{instead}")
    if not any(isinstance(part, Module) for part in given):
        return given
    places: list[Place] = []
    for part in given:
        whole = isinstance(part, Module)
        places += part.parameters().places if whole else [Place(part.label, part, True, [])]
    return Parameters(places)


def _constructor(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap an `__init__`, so that its leaves are parameters wherever it is called."""

    @functools.wraps(init)
    def constructor(self: Module, *args: Any, **kwargs: Any) -> None:
        with switches.constructing():
            init(self, *args, **kwargs)
        for name in _METHODS.intersection(vars(self)):
            if not callable(vars(self)[name]):
                raise TypeError(
                    f"{type(self).__name__}: the attribute {name} hides the method {name}() of"
                    " Modules: choose another name"
                )

    vars(constructor)["constructs"] = True
    return constructor


def _scoped(call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a `__call__`, so that its results remember that they were made in this module."""

    current, enter, leave = context.current.get, context.current.set, context.current.reset

    @functools.wraps(call)
    def scoped(self: Module, *args: Any, **kwargs: Any) -> Any:
        outer = current()
        if outer.owner is self:  # super().__call__()
            return call(self, *args, **kwargs)
        # Calls from the same outer context share an inner one while a node made in it is alive.
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


_METHODS = {name for name, part in vars(Module).items() if callable(part)}
