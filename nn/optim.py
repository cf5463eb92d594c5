"""How does a network learn from its gradients? Update rules, each an expression in Values."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, cast

from autograd import Value, maximum, modes, no_grad, where
from autograd.value import as_constant, as_operand
from nn.files import as_number
from nn.matrix import as_values, total
from nn.module import Module, Parameters

Number = Value | float


class Optimizer(modes.Watched):
    """What all update rules share. A rule names its moments and defines `update`.

    Args:
        parameters: what `model.parameters()` gives, a Module, or Values of the user's own.
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
        self, parameters: Module | Iterable[Value], lr: Number, differentiable: bool = False
    ) -> None:
        given = parameters.parameters() if isinstance(parameters, Module) else parameters
        if differentiable and isinstance(given, Parameters):
            given.require_replaceable()
        # A list is kept where parameters get replaced, so that this shows where it came from.
        self.parameters = given if differentiable and isinstance(given, list) else list(given)
        for i, parameter in enumerate(self.parameters):
            if not isinstance(parameter, Value):
                raise TypeError(f"parameters[{i}] must be a Value, not {parameter!r}")
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
        modes.fixed(self._settings)
        # All updates are computed before any is made: an error leaves everything as it was.
        with contextlib.nullcontext() if self.differentiable else no_grad():
            time, updated, moments = self._updated(gradients)
        self._shared = None
        if self.differentiable:
            self.time = time
            for i, new in enumerate(updated):
                self.parameters[i] = new  # and in the model
            self._state = {name: list(values) for name, values in moments.items()}
            return
        self.time.assign(time)
        _put(self.parameters, updated)
        for name, values in moments.items():
            _put(self._state[name], values)

    def _updated(
        self, gradients: Sequence[Value] | None
    ) -> tuple[Any, Iterable[Any], dict[str, Iterable[Any]]]:
        """The time, the parameters and the moments after a step."""
        if self._plain() and all(isinstance(gradient, Value) for gradient in gradients or ()):
            # The same expressions and the same bits on floats, in a fiftieth of the time.
            with contextlib.suppress(ArithmeticError, ValueError):  # a Value says more of an error
                columns: Any = {name: _Column.of(values) for name, values in self._state.items()}
                slopes = [parameter.grad for parameter in self.parameters]
                gradient: Any = _Column(slopes) if gradients is None else _Column.of(gradients)
                time: Any = self.time.data + 1.0
                self._shared = self.prepare(time)
                new: Any = self.update(cast(Any, _Column.of(self.parameters)), gradient, columns)
                return time, new, columns
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

    def _plain(self) -> bool:
        """Whether numbers are all there is to a step: a rule of this file, and nobody looks on."""
        mode = modes.current.get()
        return (
            type(self) in OPTIMIZERS.values()
            and not self.differentiable
            and mode.tracer is None
            and not mode.checking
            and not any(isinstance(setting, Value) for setting in self._numbers())
        )

    def _numbers(self) -> Iterator[Any]:
        """Every setting that may be a number or a Value."""
        yield self._lr
        for name, setting in vars(self).items():
            if name[0] != "_" and name != "time":
                yield from setting if isinstance(setting, tuple) else (setting,)

    def _settings(self) -> list[Any]:
        """The plain numbers that a rule computes with, but for the learning rate."""
        return [
            setting
            for name, setting in vars(self).items()
            if setting.__class__ in (float, int, bool, tuple) and name[0] != "_"
        ]

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
        """All that the next step depends on, as plain numbers; see `load_state_dict`."""
        moments = {name: [v.data for v in values] for name, values in self._state.items()}
        return {
            "rule": type(self).__name__,
            "lr": float(self.lr),
            "time": self.time.data,
            "moments": moments,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, for a resume to the last bit.

        Raises ValueError for a state of another rule or number of parameters; nothing changes then.
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
        time, lr = as_number(state.get("time"), "time"), as_number(state.get("lr"), "lr")
        _check("lr", lr, 0.0, math.inf)
        _check("time", time, 0.0, math.inf)
        self.lr = lr
        if self.differentiable:  # what is there may be part of a graph
            self.time = Value(time, "time")
            self._state = {name: as_values(numbers) for name, numbers in loaded.items()}
            return
        self.time.assign(time)
        for name, numbers in loaded.items():
            for moment, number in zip(self._state[name], numbers, strict=True):
                moment.assign(number)


class SGD(Optimizer):
    """p := p - lr g, with momentum v := momentum v + g taking the place of g.

    Args:
        momentum: 0 for none. nesterov: step by g + momentum v (Sutskever et al. 2013).
        weight_decay: adds weight_decay p to g.
    """

    def __init__(
        self,
        parameters: Module | Iterable[Value],
        lr: Number,
        momentum: Number = 0.0,
        nesterov: bool = False,
        weight_decay: Number = 0.0,
        differentiable: bool = False,
    ) -> None:
        _check("momentum", momentum, 0.0, math.inf)
        _check("weight_decay", weight_decay, 0.0, math.inf)
        self.has_momentum = isinstance(momentum, Value) or momentum != 0.0
        if nesterov and not self.has_momentum:
            raise ValueError("nesterov needs a momentum above 0")
        self.moments = ("velocity",) if self.has_momentum else ()
        super().__init__(parameters, lr, differentiable)
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        g = _decayed(gradient, parameter, self.weight_decay)
        if self.has_momentum:
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
        parameters: Module | Iterable[Value],
        lr: Number = 1e-2,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        differentiable: bool = False,
    ) -> None:
        _check("alpha", alpha, 0.0, 1.0)
        _check("eps", eps, 0.0, math.inf)
        _check("weight_decay", weight_decay, 0.0, math.inf)
        super().__init__(parameters, lr, differentiable)
        self.alpha, self.eps, self.weight_decay = alpha, eps, weight_decay

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        g = _decayed(gradient, parameter, self.weight_decay)
        square = state["square"] = self.alpha * state["square"] + (1.0 - self.alpha) * g * g
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
        parameters: Module | Iterable[Value],
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        differentiable: bool = False,
    ) -> None:
        if len(betas) != 2:
            raise ValueError(f"betas must be two numbers, not {betas!r}")
        for i, beta in enumerate(betas, 1):
            _check(f"beta{i}", beta, 0.0, math.nextafter(1.0, 0.0))
        _check("eps", eps, 0.0, math.inf)
        _check("weight_decay", weight_decay, 0.0, math.inf)
        super().__init__(parameters, lr, differentiable)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def prepare(self, time: Value) -> tuple[Number, ...]:
        """What all parameters share: lr, the betas, 1 - beta, the bias corrections 1 - beta^t."""
        beta1, beta2 = self.betas
        rest = 1.0 - beta1, 1.0 - beta2
        return self.lr, beta1, beta2, *rest, 1.0 - beta1**time, 1.0 - beta2**time

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        lr, beta1, beta2, rest1, rest2, correction1, correction2 = self._shared
        g = _decayed(gradient, parameter, self.weight_decay)
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
        parameters: Module | Iterable[Value],
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 1e-2,
        differentiable: bool = False,
    ) -> None:
        _check("weight_decay", weight_decay, 0.0, math.inf)
        super().__init__(parameters, lr, betas, eps, 0.0, differentiable)
        self.decoupled_decay = weight_decay

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """See the class."""
        decayed = parameter * (1.0 - self._shared[0] * self.decoupled_decay)
        return super().update(decayed, gradient, state)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
}


class _Column:
    """The numbers of all parameters, side by side in a rule's expression."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Iterable[float]) -> None:
        self.numbers = list(numbers)

    @classmethod
    def of(cls, values: Iterable[Value]) -> _Column:
        return cls([value.data for value in values])

    def __iter__(self) -> Iterator[float]:
        return iter(self.numbers)

    def sqrt(self) -> _Column:
        return _Column(map(math.sqrt, self.numbers))

    @staticmethod
    def _operators(f: Callable[[float, float], float]) -> tuple[Any, Any]:
        def method(left: _Column, right: Any) -> _Column:
            return _Column(map(f, left, right if isinstance(right, _Column) else repeat(right)))

        return method, lambda right, left: _Column(map(f, repeat(left), right))

    __add__, __radd__ = _operators(operator.add)
    __sub__, __rsub__ = _operators(operator.sub)
    __mul__, __rmul__ = _operators(operator.mul)
    __truediv__, __rtruediv__ = _operators(operator.truediv)


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


def clip_grad_norm(parameters: Module | Iterable[Value], max_norm: float) -> Value:
    """Scale the `.grad` of all parameters together to at most `max_norm`; returns the norm before.

    Raises ValueError for no parameters or a negative limit.
    """
    listed = list(parameters.parameters() if isinstance(parameters, Module) else parameters)
    if not all(isinstance(parameter, Value) for parameter in listed):
        raise TypeError("clip_grad_norm() takes a Module or Values")
    with no_grad():
        scaled, norm = clipped(as_values(parameter.grad for parameter in listed), max_norm)
    for parameter, gradient in zip(listed, scaled, strict=True):
        parameter.assign(grad=gradient)
    return norm


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


def with_warmup(schedule: Schedule, steps: int) -> Schedule:
    """A schedule whose first `steps` steps rise in a straight line to where it stands then."""
    _check_steps(steps)
    return lambda step: schedule(step) * min((step + 1) / steps, 1.0)


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a schedule needs 1 step or more, not {steps}")
