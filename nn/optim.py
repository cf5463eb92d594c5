"""How does a network learn from its gradients? An `Optimizer` moves parameters by an update rule.

Here is what all rules share: parameters, moments, steps, settings and state; see also rules.py.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, NoReturn, cast

from autograd import Value, context, eager, hooks, no_grad, ownership, where
from autograd.messages import is_series, require_flag
from autograd.text import counted, quoted
from autograd.value import as_constant, as_operand
from nn.clipping import require_gradients
from nn.columns import Column, Moments, NotArithmetic, attributes_read, is_constant
from nn.files import as_number
from nn.frames import level_of_user
from nn.module import Module, Parameters, gathered
from nn.scalars import is_plain
from nn.settings import (
    Number,
    Setting,
    owned,
    plain,
    require_range,
    restored,
    restored_settings,
    settings_of,
)
from nn.torch_names import missing

if not TYPE_CHECKING:  # `nn.optim.Adam`, as in PyTorch

    def __getattr__(name: str) -> NoReturn:
        missing(__name__, name)


# The new parameters and moments of a step: Values, or plain numbers if columns were used.
Updated = tuple[Sequence[Any], Mapping[str, Sequence[Any]]]


class Optimizer(hooks.Watched):
    """The base class of all optimizers. A subclass names its moments and defines `update`.

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

    Settings are the public attributes that are numbers, Values, bools, or tuples or lists of these.
    The repr shows them, `state_dict` stores them, and each step calls `check`, which may reject
    them.

    If `update` is plain arithmetic, it is called once for all parameters, with a column of numbers
    in place of each Value: the same results, many times faster. Plain arithmetic consists of
    operators, methods such as `sqrt`, Primitives such as `maximum`, `abs`, `math`, the learning
    rate, settings, the result of `prepare`, and functions and methods made of these. With anything
    else (a comparison of a parameter, `is` or `in`, a random number, a list, an assignment to an
    attribute) `update` is called for each parameter in turn. The same holds where Values are
    needed: in a differentiable optimizer or `detect_anomaly`.

    Compute what changes from step to step in `prepare(self, time)`, which is called once per step;
    `update` reads its result as `self._shared`. For a fast `update` it must be a number, a Value,
    or a tuple of these.

    Args:
        parameters: a Module, the result of `model.parameters()`, or Values and Modules. To train
            parts of a model with different settings, use an optimizer for each part.
        lr: the learning rate, 0 or more; a Value, if differentiable, to take derivatives with
            respect to it. It can be assigned between steps.
        differentiable: if False, `step` assigns new numbers to the parameters. If True, it replaces
            the parameters, in `self.parameters` and in the model, with Values that remember the
            update, so that a later loss can be differentiated through it. Pass the model or
            `model.parameters()`: a copy, `list(model.parameters())`, does not know the model.

    Raises:
        ValueError: no parameters, a repeated one, one that is the result of an operation (unless
            differentiable), or a setting out of range.
        TypeError: a parameter that is not a Value, or a setting of the wrong type.
    """

    moments: tuple[str, ...] = ()  # names of what the rule remembers for each parameter
    _optional: tuple[str, ...] = ()  # moments that only some settings need

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number,
        differentiable: bool = False,
    ) -> None:
        require_flag("differentiable", differentiable)
        given = gathered(parameters)
        if differentiable and isinstance(given, Parameters):
            for place in given.places:
                place.require_replaceable()
        # A differentiable step assigns to the given list, and thereby to the model. Otherwise
        # parameters and moments are in tuples, which a jitted function need not compare each time.
        self.parameters: Sequence[Value] = given if differentiable else tuple(given)
        if not self.parameters:
            raise ValueError(
                f"{type(self).__name__} got no parameters: they are Values, which a Module keeps in"
                " attributes whose names do not begin with an underscore"
            )
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError(f"{type(self).__name__} got a parameter twice")
        for i, p in enumerate(self.parameters):
            if p.op and not differentiable:
                raise ValueError(
                    f"parameters[{i}] of {type(self).__name__} is the result of {p.op}, not a leaf:"
                    " its update is lost when it is computed again, and gradients do not add up in"
                    " it. Pass the leaves that it is made from, or make it a leaf before it is"
                    " used, with .detach(). After a differentiable optimizer, with parameters ="
                    " model.parameters(): for i, p in enumerate(parameters): parameters[i] ="
                    " p.detach()"
                )
        if isinstance(self.moments, str):
            raise TypeError(f"moments are a tuple of names: write moments = ({self.moments!r},)")
        require_range("lr", lr)
        self._lr = lr
        self.differentiable = differentiable
        self.time = Value(0.0, "time")  # the number of steps taken
        self._state = {name: tuple([Value(0.0) for _ in self.parameters]) for name in self.moments}
        self._shared: Any = None
        self._in_columns = True  # until the rule turns out to be more than arithmetic
        self._reads: frozenset[str] | None = None  # the attributes that `update` reads
        self._has_warned = False

    @property
    def lr(self) -> Number:
        """The learning rate, a number or a Value; assignable between steps, jitted or not."""
        return cast(Number, hooks.varying(lambda: self._lr, key=(self, "lr")))

    @lr.setter
    def lr(self, lr: Number) -> None:
        hooks.refuse("a learning rate cannot be assigned", "assign it before the call")
        require_range("lr", lr)
        self._lr = lr

    def __setattr__(self, name: str, content: Any) -> None:
        super().__setattr__(name, owned(content))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property failed: raise its own error
                return super().__getattribute__(name)
            told = f"{type(self).__name__!r} object has no attribute {name!r}"
            if "_lr" not in vars(self):
                told += ": its __init__ must call super().__init__(parameters, lr)"
            elif name == "param_groups":
                told += ": write optimizer.lr; each optimizer has one rate for its parameters"
            raise AttributeError(told)

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        """Return the new parameter; read the moments from `state` and assign new ones there."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0.0."""
        for parameter in self.parameters:
            parameter.grad = 0.0

    def step(self, gradients: Sequence[Value] | None = None) -> None:
        """Move every parameter by one update.

        Args:
            gradients: one for each parameter; by default the `.grad` that `backward()` wrote. A
                differentiable optimizer needs gradients with a history:
                `step(grad(loss, optimizer.parameters, create_graph=True))`.

        Raises ValueError for a wrong number of gradients, or none where they are needed, a setting
        out of range, or an undeclared moment; TypeError if a gradient is None, or `update` does not
        return a number. An error leaves everything as it was.
        """
        require_range("lr", self._lr)
        self.check()
        if gradients is not None:
            if is_series(gradients):
                gradients = list(gradients)
            if not isinstance(gradients, list) or None in map(as_operand, gradients):
                raise TypeError(
                    "step() takes a list with a gradient for each parameter, such as grad(loss,"
                    f" optimizer.parameters), not {quoted(gradients)}"
                )
            if len(gradients) != len(self.parameters):
                told = counted(len(self.parameters), "parameter")
                raise ValueError(f"{told}, but {counted(len(gradients), 'gradient')}")
        elif self.differentiable:
            raise ValueError(
                "a differentiable optimizer needs gradients with a history: write"
                " step(grad(loss, optimizer.parameters, create_graph=True))"
            )
        else:
            require_gradients(self.parameters)
        # Plain settings are constants of a recording.
        hooks.fixed(lambda: [x for _, x in settings_of(self) if is_plain(x)], of=self)
        self._warn_if_no_gradient(gradients)
        # Compute all updates before assigning any, so that an error leaves everything as it was.
        try:
            with contextlib.nullcontext() if self.differentiable else no_grad():
                time = self.time + 1.0
                self._shared = self.prepare(time)
                updated, moments = self._updated(gradients)
        finally:
            self._shared = None
        if self.differentiable:
            self.time = time
            if isinstance(self.parameters, tuple):  # made when the optimizer was not differentiable
                self.parameters = list(self.parameters)
            parameters: Any = self.parameters
            for i, new in enumerate(updated):
                ownership.adopt(new)
                parameters[i] = new  # and in the model
            self._state = {name: tuple(values) for name, values in moments.items()}
            return
        self.time.assign(time)
        _put(self.parameters, updated)
        for name, values in moments.items():
            _put(self._state[name], values)

    def _warn_if_no_gradient(self, gradients: Sequence[Value] | None) -> None:
        """Warn once, at the user's line that led to the step, if every gradient is exactly 0.

        A recording need not warn, because the first call of a jitted function is eager.
        """
        if self._has_warned or hooks.is_recording():
            return
        slopes: Iterable[Any] = gradients or (parameter.grad for parameter in self.parameters)
        # One with a history may be 0 on purpose, as where the weights of a loss are learned from 0.
        if not any((g.data or g.op) if isinstance(g, Value) else g for g in slopes):
            self._has_warned = True
            warnings.warn(
                f"every gradient of this step of {type(self).__name__} is 0: was backward() called,"
                " on a loss of these parameters? Gradients are also 0 for dead units, and at a"
                " minimum of the loss",
                stacklevel=level_of_user(),
            )

    # --- one update for all parameters ---

    def _updated(self, gradients: Sequence[Value] | None) -> Updated:
        """Return the parameters and the moments after a step."""
        if self._in_columns and self._needs_only_numbers(gradients):
            try:
                return self._by_columns(gradients)
            except (ArithmeticError, ValueError):  # errors raised by Values have more details
                pass
            except Exception:  # more than arithmetic, or not allowed in a recording
                self._in_columns = hooks.is_recording()
        return self._by_values(gradients)

    def _needs_only_numbers(self, gradients: Sequence[Value] | None) -> bool:
        """Whether a step needs no Values: nothing is differentiated or checked."""
        return (
            not self.differentiable
            and (hooks.is_recording() or context.current.get().interpreter is eager.NUMBERS)
            and all(isinstance(gradient, Value) for gradient in gradients or ())
        )

    def _by_values(self, gradients: Sequence[Value] | None) -> Updated:
        """Compute a step parameter by parameter."""
        if gradients is None:
            gradients = [as_constant(parameter.grad) for parameter in self.parameters]
        states = [
            Moments(self, {name: values[i] for name, values in self._state.items()})
            for i in range(len(self.parameters))
        ]
        new = list(map(self.update, self.parameters, gradients, states))
        for state in states:
            state.require_declared()
        moments = {name: [s[name] for s in states] for name in self._state}
        for what, results in {"the new parameter": new, **moments}.items():
            for result in results:
                if as_operand(result) is None:
                    raise TypeError(
                        f"{type(self).__name__}.update gave {quoted(result)} for {what}, not a"
                        " Value or a number: does it return the new parameter?"
                    )
        return new, moments

    def _by_columns(self, gradients: Sequence[Value] | None) -> Updated:
        """Compute the same step with columns of floats: equal to the last bit, 8 times faster."""
        update: Callable[..., Any] = self.update  # of Values, for type checkers
        if self._reads is None:
            self._reads = attributes_read(update, self)
        if not all(is_constant(vars(self)[name]) for name in self._reads):
            raise NotArithmetic
        moments = Moments(self, {name: Column.of(vs) for name, vs in self._state.items()})
        slopes = [parameter.grad for parameter in self.parameters]
        gradient = Column(slopes) if gradients is None else Column.of(gradients)
        new = update(Column.of(self.parameters), gradient, moments)
        moments.require_declared()
        # Only a Column has numbers. Any other error, too, leads to a step parameter by parameter.
        return new.numbers, {name: column.numbers for name, column in moments.items()}

    # --- settings ---

    def settings(self) -> dict[str, Setting]:
        """Return the settings by name, without the learning rate: numbers, bools and tuples.

        A setting that is a Value is given as its number.
        """
        return {name: plain(content) for name, content in settings_of(self)}

    def check(self) -> None:
        """Raise ValueError or TypeError for a setting out of range. Each rule defines its own."""

    def __repr__(self) -> str:
        shown = {"lr": plain(self._lr), **self.settings()}
        if self.differentiable:
            shown["differentiable"] = True
        settings = "".join(f", {name}={content!r}" for name, content in shown.items())
        return f"{type(self).__name__}({counted(len(self.parameters), 'parameter')}{settings})"

    def prepare(self, time: Value) -> Any:
        """Return what all parameters share in a step; `self._shared` has it during the updates.

        `time` is the number of steps, including this one.
        """
        return None

    def _root(self, square: Value) -> Value:
        """Return the square root, with derivative 0 at 0 (a dead unit) if differentiable."""
        if not self.differentiable:
            return square.sqrt()
        root: Value = where(square, where(square, square, 1.0).sqrt(), 0.0)
        return root

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next step depends on, as JSON types; see `load_state_dict`."""
        moments = {name: [v.data for v in values] for name, values in self._state.items()}
        return {
            "rule": type(self).__name__,
            "lr": float(self.lr),
            "time": self.time.data,
            "settings": {name: plain(content, list) for name, content in settings_of(self)},
            "moments": moments,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, settings included, to the last bit.

        A setting that is not in the state is unchanged. A setting that is a Value becomes a number,
        unless it has that number. A moment that only some settings need, such as the velocity of
        SGD, may be missing on either side, and is 0 there. Raises ValueError for a state of another
        rule, moments of another number of parameters, or a setting of a wrong type or out of range;
        an error leaves the optimizer unchanged.
        """
        rule, size = type(self).__name__, len(self.parameters)
        if not isinstance(state, dict) or state.get("rule") != rule:
            raise ValueError(f"this is not the state of {rule}")
        moments, optional = state.get("moments"), set(self._optional)
        known = optional.union(self.moments)
        if not isinstance(moments, dict) or not known - optional <= set(moments) <= known:
            raise ValueError(f"the state of {rule} needs the moments {sorted(known)}")
        loaded: dict[str, list[float]] = {}
        for name, numbers in moments.items():
            if not isinstance(numbers, list) or len(numbers) != size:
                raise ValueError(f"the state of {rule} does not fit {counted(size, 'parameter')}")
            loaded[name] = [as_number(number, name) for number in numbers]
        time = as_number(state.get("time"), "time")
        lr = restored("lr", self._lr, state.get("lr"))
        require_range("time", time)
        settings = restored_settings(self, state.get("settings", {}))
        # Check that the moments of the state suffice for its settings. If the state leaves out some
        # settings, count all moments of the rule.
        trial = copy(self)
        as_stored = {n: x.data if isinstance(x, Value) else x for n, x in settings.items()}
        is_complete = settings.keys() == self.settings().keys()
        vars(trial).update(as_stored, moments=tuple(moments if is_complete else known))
        trial.check()
        self.lr = lr  # first, because this may raise
        for name, content in settings.items():
            setattr(self, name, content)
        loaded = {name: [0.0] * size for name in self.moments} | loaded
        if len(loaded) > len(self.moments):
            self.moments = tuple(loaded)
        if self.differentiable:  # do not assign to the old Values, which may be part of a graph
            self.time = Value(time, "time")
            self._state = {name: tuple(map(Value, numbers)) for name, numbers in loaded.items()}
            return
        self.time.assign(time)
        for name, numbers in loaded.items():
            _put(self._state.setdefault(name, tuple(map(Value, numbers))), numbers)


def _put(leaves: Iterable[Value], numbers: Iterable[Any]) -> None:
    for leaf, number in zip(leaves, numbers, strict=True):
        if number.__class__ is float:  # nothing to check
            leaf.data = number
        else:
            leaf.assign(number)
