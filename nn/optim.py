"""How does a network learn from its gradients? An `Optimizer` applies one of the rules of rules.py.

It holds what all rules share: the parameters, their moments, a step, settings and state.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any, cast

from autograd import Value, context, eager, hooks, no_grad, where
from autograd.value import as_constant
from nn.clipping import require_gradients
from nn.columns import (
    Column,
    Moments,
    NotArithmetic,
    Updated,
    attributes_read,
    is_constant,
    update_all,
)
from nn.files import as_number
from nn.matrix import as_values
from nn.module import Module, Parameters, gathered
from nn.settings import (
    Number,
    Setting,
    parts,
    plain,
    require_flag,
    require_range,
    restored,
    restored_settings,
    settings_of,
)


class Optimizer(hooks.Watched):
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

    Its settings are the public attributes that are numbers, Values, bools, or tuples or lists of
    these: they are shown, saved and loaded, and checked by `check` at each step.

    Where `update` is plain arithmetic it is called once for all parameters, with a column of
    numbers in the place of each Value: the same numbers, many times faster. Plain arithmetic has
    operators, methods such as `sqrt`, Primitives such as `maximum`, `abs`, `math`, the learning
    rate, settings, what `prepare` returned, and functions and methods of the same kind. With
    anything else (a comparison of a parameter, `is` or `in`, a random number, a list, an assignment
    to an attribute) `update` is called for one parameter after the other, as it is where Values are
    needed: by a differentiable optimizer, in a jit recording, in `detect_anomaly`.

    What changes from step to step is computed in `prepare`, called once a step: a number, a Value,
    or a tuple of these, where `update` is to be fast.

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
        given = gathered(parameters)
        if differentiable and isinstance(given, Parameters):
            given.require_replaceable()
        # A list is kept where parameters get replaced, so that this shows where it came from.
        self.parameters = given if differentiable else list(given)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__} got no parameters")
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError(f"{type(self).__name__} got a parameter twice")
        require_flag("differentiable", differentiable)
        if isinstance(self.moments, str):
            raise TypeError(f"moments are a tuple of names: write moments = ({self.moments!r},)")
        require_range("lr", lr, 0.0, math.inf)
        self._lr = lr
        self.differentiable = differentiable
        self.time = Value(0.0, "time")  # steps taken, one for all parameters
        self._state = {name: [Value(0.0) for _ in self.parameters] for name in self.moments}
        self._shared: Any = None
        self._in_columns = True  # until the rule turns out to be more than arithmetic
        self._reads: frozenset[str] | None = None  # the attributes that `update` reads
        self._has_warned = False

    @property
    def lr(self) -> Number:
        """The learning rate, a number or a Value; assignable between steps, also of a jit."""
        return cast(Number, hooks.varying(lambda: self._lr, key=(self, "lr")))

    @lr.setter
    def lr(self, lr: Number) -> None:
        hooks.refuse("a learning rate cannot be assigned", "assign it before the call")
        require_range("lr", lr, 0.0, math.inf)
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
        are needed, for a setting out of range, and for a moment that is not declared; TypeError
        for a gradient that is None. Nothing is then changed.
        """
        require_range("lr", self._lr, 0.0, math.inf)
        self.check()
        if gradients is None and self.differentiable:
            raise ValueError(
                "a differentiable optimizer needs gradients with a history: write"
                " step(grad(loss, optimizer.parameters, create_graph=True))"
            )
        if gradients is not None and len(gradients) != len(self.parameters):
            raise ValueError(f"{len(self.parameters)} parameters, but {len(gradients)} gradients")
        # In a jit, plain settings are part of the recording.
        hooks.fixed(lambda: [x for _, x in settings_of(self) if not isinstance(x, Value)])
        if gradients is None:
            require_gradients(self.parameters)
        if not hooks.is_recording():
            self.warn_if_no_gradient(gradients, stacklevel=3)
        # All updates are computed before any is made: an error leaves everything as it was.
        with contextlib.nullcontext() if self.differentiable else no_grad():
            time, updated, moments = self._updated(gradients)
        self._shared = None
        if self.differentiable:
            self.time = time
            for i, new in enumerate(updated):
                context.adopt(new)
                self.parameters[i] = new  # and in the model
            self._state = {name: list(values) for name, values in moments.items()}
            return
        self.time.assign(time)
        _put(self.parameters, updated)
        for name, values in moments.items():
            _put(self._state[name], values)

    def warn_if_no_gradient(
        self, gradients: Sequence[Value] | None = None, stacklevel: int = 2
    ) -> None:
        """Warn, once, if every gradient is exactly 0; a step does this, except in a replay."""
        if self._has_warned:
            return
        if gradients is None:
            found = any(parameter.grad for parameter in self.parameters)
        else:
            found = any(g.data if isinstance(g, Value) else g for g in gradients)
        if not found:
            self._has_warned = True
            warnings.warn(
                f"every gradient of this step of {type(self).__name__} is 0: was backward() called,"
                " on a loss of these parameters? Dead units, and a loss that is at its minimum,"
                " have such gradients too",
                stacklevel=stacklevel,
            )

    # --- one update for all parameters ---

    def _updated(self, gradients: Sequence[Value] | None) -> Updated:
        """The time, the parameters and the moments after a step."""
        time = self.time + 1.0
        self._shared = self.prepare(time)
        if self._in_columns and self._is_plain(gradients):
            try:
                return self._by_columns(time, gradients)
            except (ArithmeticError, ValueError):  # the error of a Value says where
                pass
            except Exception:  # more than arithmetic
                self._in_columns = False
        return self._by_values(time, gradients)

    def _is_plain(self, gradients: Sequence[Value] | None) -> bool:
        """Whether numbers are all that a step needs."""
        settings = [part for _, setting in settings_of(self) for part in parts(setting)]
        return (
            not self.differentiable
            and context.current.get().interpreter is eager.NUMBERS
            and not any(isinstance(setting, Value) for setting in [self._lr, *settings])
            and all(isinstance(gradient, Value) for gradient in gradients or ())
        )

    def _by_values(self, time: Value, gradients: Sequence[Value] | None) -> Updated:
        """A step, one parameter after the other."""
        if gradients is None:
            gradients = [as_constant(parameter.grad) for parameter in self.parameters]
        states = [
            Moments(self, {name: values[i] for name, values in self._state.items()})
            for i in range(len(self.parameters))
        ]
        new = list(map(self.update, self.parameters, gradients, states))
        for state in states:
            state.require_declared()
        return Updated(time, new, {name: [s[name] for s in states] for name in self._state})

    def _by_columns(self, time: Value, gradients: Sequence[Value] | None) -> Updated:
        """The same expressions and the same bits on floats, in a fiftieth of the time."""
        if self._reads is None:
            self._reads = attributes_read(self.update, self)
        if self._reads is None or not all(is_constant(vars(self)[name]) for name in self._reads):
            raise NotArithmetic
        moments = Moments(self, {name: Column.of(vs) for name, vs in self._state.items()})
        slopes = [parameter.grad for parameter in self.parameters]
        gradient = Column(slopes) if gradients is None else Column.of(gradients)
        new, columns = update_all(self.update, Column.of(self.parameters), gradient, moments)
        return Updated(time, new, columns)

    # --- settings ---

    def settings(self) -> dict[str, Setting]:
        """What the rule computes with beside the learning rate, by name: numbers, bools, tuples.

        A Value is given by its number.
        """
        return {name: plain(content) for name, content in settings_of(self)}

    def check(self) -> None:
        """Raise ValueError or TypeError if a setting is out of range; a rule defines its own."""

    def __repr__(self) -> str:
        shown = {"lr": plain(self._lr), **self.settings()}
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
            "settings": {name: plain(content, list) for name, content in settings_of(self)},
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
        lr = restored("lr", self._lr, state.get("lr"))
        require_range("lr", lr, 0.0, math.inf)
        require_range("time", time, 0.0, math.inf)
        settings = restored_settings(self, state.get("settings", {}))
        trial = copy(self)
        vars(trial).update(settings)
        trial.check()
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


def _put(leaves: Iterable[Value], numbers: Iterable[Any]) -> None:
    for leaf, number in zip(leaves, numbers, strict=True):
        if number.__class__ is float:  # nothing to check
            leaf.data = number
        else:
            leaf.assign(number)
