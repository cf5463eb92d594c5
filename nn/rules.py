"""Which update rules are there? SGD, RMSProp, Adagrad, Adam and AdamW, written in Values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from autograd import Value, greater
from autograd.hooks import require
from autograd.messages import require_flag
from autograd.text import quoted
from nn.module import Module
from nn.optim import Optimizer
from nn.scalars import is_plain
from nn.settings import Number, require_range


class SGD(Optimizer):
    """p := p - lr g; with momentum, v := momentum v + g takes the place of g.

    Args:
        parameters, lr, differentiable: the model and the learning rate; see Optimizer.
        momentum: 0 for none.
        nesterov: step by g + momentum v (Sutskever et al. 2013).
        weight_decay: adds weight_decay p to g.

    >>> p = Value(1.0)
    >>> optimizer = SGD([p], lr=0.1)  # SGD(model, lr=0.1) for all parameters of a model
    >>> optimizer.zero_grad()
    >>> ((p - 3.0) ** 2).backward()
    >>> optimizer.step()
    >>> p.data
    1.4
    """

    _optional = ("velocity",)

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number,
        momentum: Number = 0.0,
        nesterov: bool = False,
        weight_decay: Number = 0.0,
        *,
        differentiable: bool = False,
    ) -> None:
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        require_range("momentum", momentum)  # the moments depend on it
        self.moments = ("velocity",) if self._uses_momentum() else ()
        self.check()
        super().__init__(parameters, lr, differentiable)

    def check(self) -> None:
        require_range("momentum", self.momentum)
        require_range("weight_decay", self.weight_decay)
        require_flag("nesterov", self.nesterov)
        if self._uses_momentum() and not self.moments:
            raise ValueError(
                "this SGD was made without momentum and has no velocity: make it with a momentum,"
                " such as SGD(parameters, lr, momentum=0.9)"
            )
        if self.nesterov:
            error = ValueError("nesterov needs a momentum above 0")
            require(greater(self.momentum, 0.0), lambda: error)

    def _uses_momentum(self) -> bool:
        return not is_plain(self.momentum) or self.momentum != 0.0

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        g = _decayed(gradient, parameter, self.weight_decay)
        if self.moments:
            velocity = state["velocity"] = self.momentum * state["velocity"] + g
            g = g + self.momentum * velocity if self.nesterov else velocity
        return parameter - self.lr * g


class RMSProp(Optimizer):
    """p := p - lr g / (sqrt(s) + eps), with s := alpha s + (1 - alpha) g^2 (Hinton 2012).

    Args:
        parameters, lr, differentiable: as for SGD.
        alpha: the decay rate of the mean square.
        eps: keeps the division finite.
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
        *,
        differentiable: bool = False,
    ) -> None:
        self.alpha, self.eps, self.weight_decay = alpha, eps, weight_decay
        self.check()
        super().__init__(parameters, lr, differentiable)

    def check(self) -> None:
        require_range("alpha", self.alpha, 1.0)
        require_range("eps", self.eps)
        require_range("weight_decay", self.weight_decay)

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        g = _decayed(gradient, parameter, self.weight_decay)
        square = state["square"] = self.alpha * state["square"] + (1.0 - self.alpha) * g * g
        return parameter - self.lr * g / (self._root(square) + self.eps)


class Adagrad(Optimizer):
    """p := p - lr g / (sqrt(s) + eps), with s := s + g^2 (Duchi et al. 2011).

    Args:
        parameters, lr, differentiable: as for SGD.
        eps: keeps the division finite.
        weight_decay: adds weight_decay p to g.
        initial_accumulator: the initial s, a number. A larger one makes the first steps smaller.
    """

    moments = ("square",)

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number = 1e-2,
        *,
        eps: Number = 1e-10,
        weight_decay: Number = 0.0,
        initial_accumulator: float = 0.0,
        differentiable: bool = False,
    ) -> None:
        self.eps, self.weight_decay = eps, weight_decay
        self.initial_accumulator = initial_accumulator
        self.check()
        super().__init__(parameters, lr, differentiable)
        self._state["square"] = tuple([Value(initial_accumulator) for _ in self.parameters])

    def check(self) -> None:
        require_range("eps", self.eps)
        require_range("weight_decay", self.weight_decay)
        require_range("initial_accumulator", self.initial_accumulator, plain=True)

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        g = _decayed(gradient, parameter, self.weight_decay)
        square = state["square"] = state["square"] + g * g
        return parameter - self.lr * g / (self._root(square) + self.eps)


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015, algorithm 1).

    m := beta1 m + (1 - beta1) g, v := beta2 v + (1 - beta2) g^2, each divided by 1 - beta^t, where
    t counts steps; p := p - lr m / (sqrt(v) + eps).

    Args:
        parameters, lr, differentiable: as for SGD.
        betas: (beta1, beta2), each at least 0 and below 1.
        eps: keeps the division finite.
        weight_decay: adds weight_decay p to g; see AdamW for decoupled weight decay.
    """

    moments = ("mean", "square")

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        *,
        differentiable: bool = False,
    ) -> None:
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.check()
        self.betas = betas[0], betas[1]
        super().__init__(parameters, lr, differentiable)

    def check(self) -> None:
        betas: Any = self.betas
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            kind = ValueError if isinstance(betas, tuple | list) else TypeError
            raise kind(f"betas must be two numbers, such as (0.9, 0.999), not {quoted(betas)}")
        for i, beta in enumerate(betas, 1):
            require_range(f"beta{i}", beta, below=1.0)
        require_range("eps", self.eps)
        require_range("weight_decay", self.weight_decay)

    def prepare(self, time: Value) -> tuple[Number, ...]:
        """Return what all parameters share: lr, betas, 1 - beta, and the corrections 1 - beta^t."""
        beta1, beta2 = self.betas
        rest = 1.0 - beta1, 1.0 - beta2
        return self.lr, beta1, beta2, *rest, 1.0 - beta1**time, 1.0 - beta2**time

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        return self._moved(parameter, _decayed(gradient, parameter, self.weight_decay), state)

    def _moved(self, parameter: Value, g: Value, state: dict[str, Value]) -> Value:
        lr, beta1, beta2, rest1, rest2, correction1, correction2 = self._shared
        m = state["mean"] = beta1 * state["mean"] + rest1 * g
        v = state["square"] = beta2 * state["square"] + rest2 * g * g
        moved: Value = lr * (m / correction1) / (self._root(v / correction2) + self.eps)
        return parameter - moved


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    p := p - lr weight_decay p before the update of Adam. Arguments as for Adam.
    """

    def __init__(
        self,
        parameters: Module | Iterable[Value | Module],
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 1e-2,
        *,
        differentiable: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, differentiable=differentiable)

    def update(self, parameter: Value, gradient: Value, state: dict[str, Value]) -> Value:
        decayed = parameter * (1.0 - self._shared[0] * self.weight_decay)
        return self._moved(decayed, gradient, state)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSProp,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
}


def _decayed(gradient: Value, parameter: Value, weight_decay: Number) -> Value:
    if is_plain(weight_decay) and weight_decay == 0.0:
        return gradient
    return gradient + weight_decay * parameter
