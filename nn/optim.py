"""How does a network learn from its gradients? Update rules, each an expression in Values."""

from __future__ import annotations

import contextlib
import math
import random
import reprlib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import reduce
from itertools import repeat
from typing import Any, cast

from autograd import Value, maximum, minimum, modes, no_grad, ops, where
from autograd.ops import Primitive
from autograd.value import as_constant, as_operand
from nn import rng
from nn.files import as_number
from nn.matrix import as_values, total
from nn.module import Module, Parameters, Place

Number = Value | float
Setting = bool | float | tuple[Any, ...]


class Optimizer(modes.Watched):
    """What all update rules share. A rule names its moments and defines `update`.

    >>> class Lion(Optimizer):  # Chen et al. 2023
    ...     moments = ("mean",)
    ...     def __init__(self, parameters, lr=1e-4, beta1=0.9, beta2=0.99):
    ...         super().__init__(parameters, lr)
    ...         self.beta1, self.beta2 = beta1, beta2
    ...     def update(self, parameter, gradient, state):
    ...         mean = state["mean"]
    ...         moved = self.beta1 * mean + (1 - self.beta1) * gradient
    ...         state["mean"] = self.beta2 * mean + (1 - self.beta2) * gradient
    ...         return parameter - self.lr * moved / (abs(moved) + 1e-30)

    Its settings are the public attributes that are numbers, Values, bools or tuples of these: they
    are shown, saved and loaded.

    Where `update` is arithmetic only, it is called once for all parameters, with a column of
    numbers in the place of each Value. The first two steps are done Value by Value and compared
    with columns to the last bit. A rule that does anything else (a comparison, a `.data`, a random
    number, an attribute that changes) is called for one parameter after the other, as it is where
    Values are needed: by a differentiable optimizer, in a jit recording, in `detect_anomaly`.

    Args:
        parameters: a Module, what `model.parameters()` gives, or Values and Modules: the parts of
            a model. For other settings for another part, use an optimizer for each.
        lr: the learning rate, 0 or more; a Value to differentiate by it. Assignable between steps.
        differentiable: False: `step` writes new numbers into the parameters. True: `step` replaces
            the parameters, in `self.parameters` and in the model they came from, by Values that
            remember the update, so that a later loss can be differentiated through it.

    Raises:
        ValueError: no parameters, a repeated one, or a setting out of range.
        TypeError: a parameter that is not a Value.
    """

    moments: tuple[str, ...] = ()  # the names of what is kept for each parameter

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number,
        differentiable: bool = False,
    ) -> None:
        given = _gathered(parameters)
        if differentiable and isinstance(given, Parameters):
            given.require_replaceable()
        # A list is kept where parameters get replaced, so that this shows where it came from.
        self.parameters = given if differentiable else list(given)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__} got no parameters")
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError(f"{type(self).__name__} got a parameter twice")
        _check("lr", lr, 0.0, math.inf)
        self._lr = lr
        self.differentiable = differentiable
        self.time = Value(0.0, "time")  # steps taken, one for all parameters
        self._state = {name: [Value(0.0) for _ in self.parameters] for name in self.moments}
        self._shared: Any = None
        # How many steps have shown that columns serve; -1 where they do not.
        self._proofs = _PROOFS if type(self) in OPTIMIZERS.values() else 0
        self._has_warned = False

    @property
    def lr(self) -> Number:
        """The learning rate, a number or a Value; assignable between steps, also of a jit."""
        if not modes.is_traced():
            return self._lr
        return cast(Number, modes.varying(lambda: self._lr, key=(self, "lr")))

    @lr.setter
    def lr(self, lr: Number) -> None:
        modes.refuse("a learning rate cannot be assigned", "assign it before the call")
        self._lr = lr

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """The new parameter; moments are read from `state` and put back there."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0.0."""
        for parameter in self.parameters:
            parameter.grad = 0.0

    def step(self, gradients: Sequence[Value] | None = None) -> None:
        """Move every parameter by one update.

        Args:
            gradients: one for each parameter; by default what `backward()` left in `.grad`. A
                differentiable optimizer needs gradients that are graphs, that is
                `step(grad(loss, optimizer.parameters, create_graph=True))`.

        Raises ValueError if the gradients are not as many as the parameters, or missing where they
        are needed; nothing is then changed.
        """
        if gradients is None and self.differentiable:
            raise ValueError(
                "a differentiable optimizer needs gradients with a history: write"
                " step(grad(loss, optimizer.parameters, create_graph=True))"
            )
        if gradients is not None and len(gradients) != len(self.parameters):
            raise ValueError(f"{len(self.parameters)} parameters, but {len(gradients)} gradients")
        modes.fixed(self._fixed_settings)
        if not self._has_warned and not modes.is_traced():
            self._warn_if_still(gradients)
        # All updates are computed before any is made: an error leaves everything as it was.
        with contextlib.nullcontext() if self.differentiable else no_grad():
            time, updated, moments = self._updated(gradients)
        self._shared = None
        if self.differentiable:
            self.time = time
            for i, new in enumerate(updated):
                modes.adopt(new)
                self.parameters[i] = new  # and in the model
            self._state = {name: list(values) for name, values in moments.items()}
            return
        self.time.assign(time)
        _put(self.parameters, updated)
        for name, values in moments.items():
            _put(self._state[name], values)

    def _warn_if_still(self, gradients: Sequence[Value] | None) -> None:
        """Warn, once, if every gradient is exactly 0."""
        if gradients is None:
            still = not any(parameter.grad for parameter in self.parameters)
        else:
            still = not any(g.data if isinstance(g, Value) else g for g in gradients)
        if still:
            self._has_warned = True
            warnings.warn(
                f"every gradient of this step of {type(self).__name__} is 0: was backward() called,"
                " on a loss of these parameters? Dead units, and a loss that is at its minimum,"
                " have such gradients too",
                stacklevel=3,
            )

    # --- one update for all parameters ---

    def _updated(
        self, gradients: Sequence[Value] | None
    ) -> tuple[Value, Iterable[Any], dict[str, Iterable[Any]]]:
        """The time, the parameters and the moments after a step."""
        if self._proofs < 0 or not self._is_plain(gradients):
            return self._by_values(gradients)
        if self._proofs < _PROOFS:
            found = self._by_values(gradients)
            self._proofs = self._proofs + 1 if self._columns_give(found, gradients) else -1
            return found
        try:
            return self._by_columns(gradients)
        except (ArithmeticError, ValueError):  # a Value says more of an error
            return self._by_values(gradients)
        except Exception:  # no arithmetic any more
            self._proofs = -1
            return self._by_values(gradients)

    def _is_plain(self, gradients: Sequence[Value] | None) -> bool:
        """Whether numbers are all that a step needs."""
        mode = modes.current.get()
        settings = [part for _, setting in self._settings() for part in _parts(setting)]
        return (
            not self.differentiable
            and mode.tracer is None
            and not mode.checking
            and not any(isinstance(setting, Value) for setting in [self._lr, *settings])
            and all(isinstance(gradient, Value) for gradient in gradients or ())
        )

    def _by_values(
        self, gradients: Sequence[Value] | None
    ) -> tuple[Value, list[Value], dict[str, Iterable[Any]]]:
        """A step, one parameter after the other."""
        if gradients is None:
            gradients = [as_constant(parameter.grad) for parameter in self.parameters]
        time = self.time + 1.0
        self._shared = self.prepare(time)
        states = [
            {name: values[i] for name, values in self._state.items()}
            for i in range(len(self.parameters))
        ]
        updated = list(map(self.update, self.parameters, gradients, states))
        return time, updated, {name: [state[name] for state in states] for name in self._state}

    def _by_columns(
        self, gradients: Sequence[Value] | None
    ) -> tuple[Value, list[float], dict[str, Iterable[Any]]]:
        """The same expressions and the same bits on floats, in a fiftieth of the time."""
        columns: Any = {name: _Column.of(values) for name, values in self._state.items()}
        slopes = [parameter.grad for parameter in self.parameters]
        gradient: Any = _Column(slopes) if gradients is None else _Column.of(gradients)
        time = self.time + 1.0
        self._shared = self.prepare(time)
        new: Any = self.update(cast(Any, _Column.of(self.parameters)), gradient, columns)
        moments = {name: columns[name] for name in self._state}
        if not all(isinstance(column, _Column) for column in [new, *moments.values()]):
            raise _NotArithmetic
        return time, new.numbers, {name: column.numbers for name, column in moments.items()}

    def _columns_give(
        self,
        found: tuple[Value, Iterable[Any], dict[str, Iterable[Any]]],
        gradients: Sequence[Value] | None,
    ) -> bool:
        """Whether columns give what was found Value by Value, and `update` has no other effect."""
        trial = copy(self)
        for name, content in vars(self).items():
            if type(content) in _CHANGEABLE:
                vars(trial)[name] = copy(content)
        streams = list({id(s): s for s in (random._inst, rng.generator)}.values())
        before = [stream.getstate() for stream in streams]
        try:
            _, new, moments = trial._by_columns(gradients)
        except Exception:  # it asked for more than arithmetic
            return False
        finally:
            moved = [s.getstate() for s in streams] != before
            for stream, state in zip(streams, before, strict=True):
                stream.setstate(state)
        vars(trial)["_shared"] = self._shared
        _, values, states = found
        return (
            not moved
            and vars(trial).keys() == vars(self).keys()
            and all(_is_unchanged(vars(trial)[name], was) for name, was in vars(self).items())
            and _bits(new) == _bits(values)
            and all(_bits(moments[name]) == _bits(states[name]) for name in moments)
        )

    # --- settings ---

    def _settings(self) -> Iterator[tuple[str, Any]]:
        """The name and content of every setting but the learning rate."""
        for name, content in vars(self).items():
            if name[0] != "_" and name not in _NO_SETTINGS and _as_setting(content) is not None:
                yield name, content

    def _fixed_settings(self) -> list[Any]:
        """Those that are part of a recording: plain ones."""
        return [content for _, content in self._settings() if not isinstance(content, Value)]

    def settings(self) -> dict[str, Setting]:
        """What the rule computes with beside the learning rate, by name: numbers, bools, tuples.

        A Value is given by its number.
        """
        return {name: _plain(content) for name, content in self._settings()}

    def check(self) -> None:
        """Raise ValueError or TypeError if a setting is out of range; a rule defines its own."""

    def __repr__(self) -> str:
        shown = {"lr": _plain(self._lr), **self.settings()}
        if self.differentiable:
            shown["differentiable"] = True
        settings = "".join(f", {name}={content!r}" for name, content in shown.items())
        count = len(self.parameters)
        return f"{type(self).__name__}({count} parameter{'s' * (count != 1)}{settings})"

    def prepare(self, time: Value) -> Any:
        """What one step uses for all parameters, kept in `self._shared` until they are updated.

        `time` counts this step already.
        """
        return None

    def _root(self, square: Value) -> Value:
        """The square root; where it gets differentiated, with slope 0 at 0 (a dead unit)."""
        if not self.differentiable:
            return square.sqrt()
        root: Value = where(square, where(square, square, 1.0).sqrt(), 0.0)
        return root

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as JSON can hold it; see `load_state_dict`."""
        moments = {name: [v.data for v in values] for name, values in self._state.items()}
        return {
            "rule": type(self).__name__,
            "lr": float(self.lr),
            "time": self.time.data,
            "settings": {name: _plain(content, list) for name, content in self._settings()},
            "moments": moments,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, settings included, for a resume to the last bit.

        A setting that the state lacks stays as it is. A setting that is a Value becomes a number,
        unless it has that number. Raises ValueError for a state of another rule or number of
        parameters, and for a setting of a wrong kind or range; nothing changes then.
        """
        rule, size = type(self).__name__, len(self.parameters)
        if not isinstance(state, dict) or state.get("rule") != rule:
            raise ValueError(f"this is not the state of {rule}")
        moments = state.get("moments")
        if not isinstance(moments, dict) or set(moments) != set(self._state):
            raise ValueError(f"the state of {rule} needs the moments {sorted(self._state)}")
        loaded: dict[str, list[float]] = {}
        for name, numbers in moments.items():
            if not isinstance(numbers, list) or len(numbers) != size:
                raise ValueError(f"the state of {rule} does not fit {size} parameters")
            loaded[name] = [as_number(number, name) for number in numbers]
        time = as_number(state.get("time"), "time")
        lr = _restored("lr", self._lr, state.get("lr"))
        _check("lr", lr, 0.0, math.inf)
        _check("time", time, 0.0, math.inf)
        settings = self._restored_settings(state.get("settings", {}))
        self.lr = lr
        for name, content in settings.items():
            setattr(self, name, content)
        if self.differentiable:  # what is there may be part of a graph
            self.time = Value(time, "time")
            self._state = {name: as_values(numbers) for name, numbers in loaded.items()}
            return
        self.time.assign(time)
        for name, numbers in loaded.items():
            for moment, number in zip(self._state[name], numbers, strict=True):
                moment.assign(number)

    def _restored_settings(self, stored: Any) -> dict[str, Any]:
        """The settings of a state, as the attributes they are to be."""
        rule, known = type(self).__name__, dict(self._settings())
        if not isinstance(stored, dict):
            raise ValueError(f"the settings of {rule} should be a dict, not {reprlib.repr(stored)}")
        for name in stored:
            if name not in known:
                raise ValueError(f"the state has a setting {name!r}, which this {rule} has not")
        settings = {name: _restored(name, known[name], stored[name]) for name in stored}
        trial = copy(self)
        vars(trial).update(settings)
        trial.check()
        return settings


class SGD(Optimizer):
    """p := p - lr g, with momentum v := momentum v + g taking the place of g.

    Args:
        momentum: 0 for none. nesterov: step by g + momentum v (Sutskever et al. 2013).
        weight_decay: adds weight_decay p to g.
    """

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number,
        momentum: Number = 0.0,
        nesterov: bool = False,
        weight_decay: Number = 0.0,
        differentiable: bool = False,
    ) -> None:
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self.check()
        self._has_momentum = isinstance(momentum, Value) or momentum != 0.0
        self.moments = ("velocity",) if self._has_momentum else ()
        super().__init__(parameters, lr, differentiable)

    def check(self) -> None:
        """See the class."""
        _check("momentum", self.momentum, 0.0, math.inf)
        _check("weight_decay", self.weight_decay, 0.0, math.inf)
        if self.nesterov and not isinstance(self.momentum, Value) and self.momentum == 0.0:
            raise ValueError("nesterov needs a momentum above 0")

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        g = _decayed(gradient, parameter, self.weight_decay)
        if self._has_momentum:
            velocity = state["velocity"] = self.momentum * state["velocity"] + g
            g = g + self.momentum * velocity if self.nesterov else velocity
        return parameter - self.lr * g


class RMSProp(Optimizer):
    """p := p - lr g / (sqrt(s) + eps), with s := alpha s + (1 - alpha) g^2 (Hinton 2012).

    Args:
        alpha: how much of the mean square is kept. eps: keeps the division finite.
        weight_decay: adds weight_decay p to g.
    """

    moments = ("square",)

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number = 1e-2,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        differentiable: bool = False,
    ) -> None:
        self.alpha, self.eps, self.weight_decay = alpha, eps, weight_decay
        self.check()
        super().__init__(parameters, lr, differentiable)

    def check(self) -> None:
        """See the class."""
        _check("alpha", self.alpha, 0.0, 1.0)
        _check("eps", self.eps, 0.0, math.inf)
        _check("weight_decay", self.weight_decay, 0.0, math.inf)

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        g = _decayed(gradient, parameter, self.weight_decay)
        square = state["square"] = self.alpha * state["square"] + (1.0 - self.alpha) * g * g
        return parameter - self.lr * g / (self._root(square) + self.eps)


class Adagrad(Optimizer):
    """p := p - lr g / (sqrt(s) + eps), with s := s + g^2 (Duchi et al. 2011).

    Args:
        eps: keeps the division finite. weight_decay: adds weight_decay p to g.
        initial_accumulator: where s starts, a number: a larger one makes the first steps smaller.
    """

    moments = ("square",)

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number = 1e-2,
        eps: Number = 1e-10,
        weight_decay: Number = 0.0,
        initial_accumulator: float = 0.0,
        differentiable: bool = False,
    ) -> None:
        self.eps, self.weight_decay = eps, weight_decay
        self.initial_accumulator = initial_accumulator
        self.check()
        super().__init__(parameters, lr, differentiable)
        self._state["square"] = [Value(initial_accumulator) for _ in self.parameters]

    def check(self) -> None:
        """See the class."""
        _check("eps", self.eps, 0.0, math.inf)
        _check("weight_decay", self.weight_decay, 0.0, math.inf)
        _check("initial_accumulator", self.initial_accumulator, 0.0, math.inf)
        if isinstance(self.initial_accumulator, Value):
            raise TypeError("initial_accumulator must be a number, not a Value")

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        g = _decayed(gradient, parameter, self.weight_decay)
        square = state["square"] = state["square"] + g * g
        return parameter - self.lr * g / (self._root(square) + self.eps)


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015, algorithm 1).

    m := beta1 m + (1 - beta1) g, v := beta2 v + (1 - beta2) g^2, each divided by 1 - beta^t, where
    t counts steps; p := p - lr m / (sqrt(v) + eps).

    Args:
        betas: (beta1, beta2), each at least 0 and below 1. eps: keeps the division finite.
        weight_decay: adds weight_decay p to g; see AdamW for the other kind.
    """

    moments = ("mean", "square")

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        differentiable: bool = False,
    ) -> None:
        if not isinstance(betas, tuple | list):
            raise TypeError(f"betas must be two numbers, such as (0.9, 0.999), not {betas!r}")
        if len(betas) != 2:
            raise ValueError(f"betas must be two numbers, such as (0.9, 0.999), not {betas!r}")
        self.betas, self.eps, self.weight_decay = tuple(betas), eps, weight_decay
        self.check()
        super().__init__(parameters, lr, differentiable)

    def check(self) -> None:
        """See the class."""
        for i, beta in enumerate(self.betas, 1):
            _check(f"beta{i}", beta, 0.0, math.nextafter(1.0, 0.0))
        _check("eps", self.eps, 0.0, math.inf)
        _check("weight_decay", self.weight_decay, 0.0, math.inf)

    def prepare(self, time: Value) -> tuple[Number, ...]:
        """What all parameters share: lr, the betas, 1 - beta, the bias corrections 1 - beta^t."""
        beta1, beta2 = self.betas
        rest = 1.0 - beta1, 1.0 - beta2
        return self.lr, beta1, beta2, *rest, 1.0 - beta1**time, 1.0 - beta2**time

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        return self._moved(parameter, _decayed(gradient, parameter, self.weight_decay), state)

    def _moved(self, parameter: Value, g: Value, state: dict[str, Value]) -> Value:
        lr, beta1, beta2, rest1, rest2, correction1, correction2 = self._shared
        m = state["mean"] = beta1 * state["mean"] + rest1 * g
        v = state["square"] = beta2 * state["square"] + rest2 * g * g
        moved: Value = lr * (m / correction1) / (self._root(v / correction2) + self.eps)
        return parameter - moved


class AdamW(Adam):
    """Adam with the weights decayed apart from the gradient (Loshchilov and Hutter 2019, alg. 2).

    p := p - lr weight_decay p before Adam's update; arguments as of Adam.
    """

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 1e-2,
        differentiable: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, differentiable)

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        decayed = parameter * (1.0 - self._shared[0] * self.weight_decay)
        return self._moved(decayed, gradient, state)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSProp,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
}


def _gathered(parameters: Module | Iterable[Value | Module]) -> list[Value]:
    """The Values of a Module, or of an iterable of Values and Modules; a list of Values itself."""
    if isinstance(parameters, Module):
        return parameters.parameters()
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


# --- settings -------------------------------------------------------------------------------------

_USUAL = frozenset([float, int, bool])
_NO_SETTINGS = frozenset(["differentiable", "moments", "parameters", "time"])


def _as_setting(content: Any) -> Any:
    """The content of an attribute that is a setting; None for any other."""
    if content.__class__ in _USUAL:
        return content
    if isinstance(content, tuple):
        return content if all(_as_setting(part) is not None for part in content) else None
    return content if as_operand(content) is not None else None


def _plain(setting: Any, group: Callable[[Iterable[Any]], Any] = tuple) -> Any:
    """A setting as numbers and bools; in a state with lists, which JSON has, for tuples."""
    if isinstance(setting, tuple):
        return group(_plain(part, group) for part in setting)
    return setting if isinstance(setting, int) else float(setting)


def _parts(setting: Any) -> Iterator[Any]:
    if isinstance(setting, tuple):
        for part in setting:
            yield from _parts(part)
    else:
        yield setting


def _restored(name: str, current: Any, stored: Any) -> Any:
    """A setting read from a state, of the kind of the current one."""
    if isinstance(current, tuple):
        if not isinstance(stored, list | tuple) or len(stored) != len(current):
            found = reprlib.repr(stored)
            raise ValueError(f"{name} should be {len(current)} settings, not {found}")
        return tuple([_restored(name, *pair) for pair in zip(current, stored, strict=True)])
    if isinstance(current, bool):
        if not isinstance(stored, bool):
            raise ValueError(f"{name} should be True or False, not {reprlib.repr(stored)}")
        return stored
    number = as_number(stored, name)
    if isinstance(current, Value) and current.data == number:
        return current
    return stored if isinstance(current, int) and isinstance(stored, int) else number


# --- columns --------------------------------------------------------------------------------------

_PROOFS = 2  # steps that must show that columns serve a rule: moments are 0 in the first one
# What an update may change without assigning to it.
_CHANGEABLE = frozenset([list, dict, set, deque, bytearray, random.Random])


class _NotArithmetic(Exception):
    """A rule asked a column for something that is no arithmetic."""


class _Column:
    """The numbers of all parameters, side by side in a rule's expression.

    It has the arithmetic of a Value, with the same primitives, and refuses everything else.
    """

    __slots__ = ("numbers",)
    __array_ufunc__ = None  # NumPy leaves the operators to this class
    shape = None  # no scalar of an array library; see as_operand

    def __init__(self, numbers: Iterable[float]) -> None:
        self.numbers = list(numbers)

    @classmethod
    def of(cls, values: Iterable[Value]) -> _Column:
        return cls([value.data for value in values])

    def apply_primitive(self, primitive: Primitive, operands: Sequence[Any]) -> _Column:
        """The results of a primitive, number by number; see `Primitive.__call__`."""
        numbers = list(map(primitive.forward, *map(_numbers, operands)))
        if set(map(type, numbers)) != {float}:  # a complex power, a forward of another kind
            raise _NotArithmetic
        return _Column(numbers)

    @staticmethod
    def _operators(primitive: Primitive) -> tuple[Any, Any]:
        f = primitive.forward

        def method(left: _Column, right: Any) -> _Column:
            return _Column(map(f, left.numbers, _numbers(right)))

        def reflected(right: _Column, left: Any) -> _Column:
            return _Column(map(f, _numbers(left), right.numbers))

        return method, reflected

    @staticmethod
    def _method(primitive: Primitive) -> Any:
        return lambda column: _Column(map(primitive.forward, column.numbers))

    __add__, __radd__ = _operators(ops.add)
    __sub__, __rsub__ = _operators(ops.sub)
    __mul__, __rmul__ = _operators(ops.mul)
    __truediv__, __rtruediv__ = _operators(ops.div)
    __neg__, __abs__ = _method(ops.neg), _method(ops.abs)
    exp, expm1, log, log1p = map(_method, (ops.exp, ops.expm1, ops.log, ops.log1p))
    sqrt, sin, cos, tanh = map(_method, (ops.sqrt, ops.sin, ops.cos, ops.tanh))
    sigmoid, relu, softplus, erf = map(_method, (ops.sigmoid, ops.relu, ops.softplus, ops.erf))

    def __pow__(self, exponent: Any) -> _Column:
        return self.apply_primitive(ops.power, (self, exponent))

    def __rpow__(self, base: Any) -> _Column:
        return self.apply_primitive(ops.power, (base, self))

    def __pos__(self) -> _Column:
        return self

    detach = __pos__

    def _refused(self, *others: object) -> Any:
        raise _NotArithmetic

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refused
    __bool__ = __float__ = __int__ = __index__ = __iter__ = __len__ = _refused
    __format__ = __str__ = __repr__ = __getattr__ = _refused


def _numbers(operand: Any) -> Iterable[float]:
    """The numbers of an operand, one for each parameter."""
    if operand.__class__ is _Column:
        column: _Column = operand
        return column.numbers
    if operand.__class__ is float:
        return repeat(operand)
    number = as_operand(operand)
    if number is None:
        raise _NotArithmetic
    return repeat(number.data)


def _is_unchanged(now: Any, was: Any) -> bool:
    if isinstance(now, random.Random) and type(now) is type(was):
        return bool(now.getstate() == was.getstate())
    return now is was or (type(now) in _CHANGEABLE and bool(now == was))


def _bits(numbers: Iterable[Any]) -> list[str]:
    return [float(number).hex() for number in numbers]


def _put(leaves: Iterable[Value], numbers: Iterable[Any]) -> None:
    for leaf, number in zip(leaves, numbers, strict=True):
        if number.__class__ is float:  # nothing to check
            leaf.data = number
        else:
            leaf.assign(number)


def _decayed(gradient: Value, parameter: Value, weight_decay: Number) -> Value:
    if not isinstance(weight_decay, Value) and weight_decay == 0.0:
        return gradient
    return gradient + weight_decay * parameter


def _check(name: str, number: Number, low: float, high: float) -> None:
    if as_operand(number) is None:
        raise TypeError(f"{name} must be a number or a Value, not {number!r}")
    if isinstance(number, Value) and modes.is_traced():
        return  # there is no number to look at
    if not low <= float(number) <= high or math.isinf(float(number)):
        raise ValueError(f"{name} must be between {low} and {high}, not {float(number)}")


# --- gradient clipping ----------------------------------------------------------------------------


def clipped(gradients: Sequence[Value], max_norm: Number) -> tuple[list[Value], Value]:
    """The gradients scaled down together to at most `max_norm` in Euclidean norm; their norm."""
    if not gradients:
        raise ValueError("clipping no gradients")
    _check("max_norm", max_norm, 0.0, math.inf)
    norm = total(g * g for g in gradients).sqrt()
    larger = maximum(norm, max_norm)
    scale = max_norm / where(larger, larger, 1.0)  # exactly 1 below the limit
    return [g * scale for g in gradients], norm


def clip_grad_norm(
    parameters: Module | Iterable[Value | Module],
    max_norm: float,
    error_if_nonfinite: bool = True,
) -> Value:
    """Scale the `.grad` of all parameters together to at most `max_norm`; returns the norm before.

    Raises ValueError for no parameters or a negative limit, and FloatingPointError if the norm is
    nan or infinite; no gradient is then changed. With `error_if_nonfinite=False` a norm that is nan
    makes all gradients nan, and one that is infinite all finite gradients 0, as in PyTorch.
    """
    listed = _gathered(parameters)
    with no_grad():
        scaled, norm = clipped(as_values(parameter.grad for parameter in listed), max_norm)
        if error_if_nonfinite:
            _require_finite("clip_grad_norm", listed, norm)
    for parameter, gradient in zip(listed, scaled, strict=True):
        parameter.assign(grad=gradient)
    return norm


def clip_grad_value(
    parameters: Module | Iterable[Value | Module],
    limit: float,
    error_if_nonfinite: bool = True,
) -> None:
    """Bring the `.grad` of each parameter into -limit .. limit.

    Raises ValueError for no parameters or a negative limit, and FloatingPointError for a gradient
    that is nan or infinite; no gradient is then changed. With `error_if_nonfinite=False` nan stays
    nan, and an infinity becomes the limit, as in PyTorch.
    """
    listed = _gathered(parameters)
    _check("limit", limit, 0.0, math.inf)
    if not listed:
        raise ValueError("clipping no gradients")
    with no_grad():
        gradients = as_values(parameter.grad for parameter in listed)
        if error_if_nonfinite:
            _require_finite("clip_grad_value", listed, reduce(maximum, map(abs, gradients)))
        limited = [minimum(maximum(gradient, -limit), limit) for gradient in gradients]
    for parameter, gradient in zip(listed, limited, strict=True):
        parameter.assign(grad=gradient)


def _require_finite(function: str, parameters: list[Value], size: Value) -> None:
    """Raise FloatingPointError if the size of the gradients, 0 or more, is nan or infinite."""
    if modes.is_traced():
        modes.demand(ops.greater(math.inf, size))  # if not, the eager call raises
        return
    if math.isfinite(size.data):
        return
    instead = "try a smaller learning rate, or error_if_nonfinite=False"
    for i, parameter in enumerate(parameters):
        if not math.isfinite(parameter.grad):
            place = parameters.places[i].name if isinstance(parameters, Parameters) else ""
            name = place or parameter.label or f"parameters[{i}]"
            raise FloatingPointError(
                f"{function}: the gradient of {name} is {parameter.grad}: {instead}"
            )
    raise FloatingPointError(
        f"{function}: the norm of the gradients is {size.data}, for their squares are too large:"
        f" {instead}"
    )


# --- learning-rate schedules ----------------------------------------------------------------------
# A schedule is a function of the number of steps taken: `optimizer.lr = schedule(step)`.

Schedule = Callable[[int], float]


def linear_decay(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """From `lr` in a straight line to `final` after `steps` steps, and constant from there.

    >>> [linear_decay(1.0, 4)(step) for step in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    _check_steps(steps)
    return lambda step: final + (lr - final) * (1.0 - min(step / steps, 1.0))


def cosine_decay(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """From `lr` along half a cosine wave to `final` (Loshchilov and Hutter 2017, eq. 5)."""
    _check_steps(steps)
    return lambda step: (
        final + (lr - final) * (1.0 + math.cos(math.pi * min(step / steps, 1.0))) / 2.0
    )


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """`lr`, multiplied by `factor` after each `every` steps."""
    _check_steps(every)
    return lambda step: lr * factor ** (step // every)


def exponential_decay(lr: float, factor: float) -> Schedule:
    """`lr`, multiplied by `factor` after each step.

    >>> [exponential_decay(1.0, 0.5)(step) for step in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    return lambda step: lr * factor**step


def with_warmup(schedule: Schedule, steps: int) -> Schedule:
    """A schedule whose first `steps` steps rise in a straight line to where it stands then."""
    _check_steps(steps)
    return lambda step: schedule(step) * min((step + 1) / steps, 1.0)


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a schedule needs 1 step or more, not {steps}")
