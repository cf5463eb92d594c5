"""How are large gradients limited? By clipping their common norm, or each one by value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce

from autograd import Value, maximum, minimum, no_grad, where
from autograd.hooks import number_of, plain, require
from autograd.messages import named, no_gradient, require_flag
from autograd.ops import greater
from autograd.text import shown
from autograd.value import as_operand
from nn.matrix import as_values, total
from nn.module import Module, Parameters, gathered
from nn.scalars import own_number
from nn.settings import Number, require_range


def clipped(gradients: Sequence[Value], max_norm: Number) -> tuple[list[Value], Value]:
    """Return the gradients scaled to a Euclidean norm of at most max_norm, and the norm before."""
    if not gradients:
        raise ValueError("there are no gradients to clip")
    is_unlimited = is_no_limit(max_norm)
    if is_unlimited:
        require(1.0 - greater(math.inf, max_norm))  # holds now, but perhaps not in each replay
    else:
        require_range("max_norm", max_norm)
    norm = total(g * g for g in gradients).sqrt()
    if is_unlimited:
        return list(gradients), norm
    larger = maximum(norm, max_norm)
    scale = max_norm / where(larger, larger, 1.0)  # exactly 1 below the limit
    return [g * scale for g in gradients], norm


def is_no_limit(limit: object) -> bool:
    """Whether a limit is an infinite number; never for an array, where `==` is ambiguous."""
    return as_operand(limit) is not None and plain(limit) == math.inf


def clip_grad_norm(
    parameters: Module | Iterable[Value | Module],
    max_norm: float,
    *,
    error_if_nonfinite: bool = True,
) -> Value:
    """Scale the `.grad` of all parameters to a common norm of at most `max_norm`.

    Returns the norm before clipping. `max_norm=math.inf` only measures it.

    Raises ValueError for no parameters or a negative limit, TypeError if a gradient is None, and
    FloatingPointError if the norm is nan or infinite; gradients are then unchanged. With
    `error_if_nonfinite=False` a norm of nan makes all gradients nan, and an infinite one makes all
    finite gradients 0, as in PyTorch.
    """
    require_flag("error_if_nonfinite", error_if_nonfinite)
    listed = gathered(parameters)
    require_gradients(listed)
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
    *,
    error_if_nonfinite: bool = True,
) -> None:
    """Clip the `.grad` of each parameter to -limit .. limit.

    Raises ValueError for no parameters or a limit that is negative or infinite, TypeError if a
    gradient is None, and FloatingPointError if one is nan or infinite; gradients are then
    unchanged. With `error_if_nonfinite=False` nan stays nan, and an infinite gradient becomes limit
    or -limit, as in PyTorch.
    """
    require_flag("error_if_nonfinite", error_if_nonfinite)
    listed = gathered(parameters)
    require_gradients(listed)
    require_range("limit", limit)
    limit = own_number(limit)
    if not listed:
        raise ValueError("there are no gradients to clip")
    with no_grad():
        gradients = as_values(parameter.grad for parameter in listed)
        if error_if_nonfinite:
            _require_finite("clip_grad_value", listed, reduce(maximum, map(abs, gradients)))
        limited = [minimum(maximum(gradient, -limit), limit) for gradient in gradients]
    for parameter, gradient in zip(listed, limited, strict=True):
        parameter.assign(grad=gradient)


def require_gradients(parameters: Sequence[Value]) -> None:
    """Raise TypeError for a parameter whose `.grad` is None."""
    for i, parameter in enumerate(parameters):
        if parameter.grad is None:
            raise no_gradient(_name(parameters, i))


def _name(parameters: Sequence[Value], i: int) -> str:
    place = parameters.places[i].name if isinstance(parameters, Parameters) else ""
    return shown(place) or named(parameters[i].label) or f"parameters[{i}]"


def _require_finite(function: str, parameters: list[Value], size: Value) -> None:
    """Raise FloatingPointError if the size of the gradients, which is >= 0, is nan or infinite."""
    number = number_of(size)
    require(greater(math.inf, number), lambda: _not_finite(function, parameters, number))


def _not_finite(function: str, parameters: list[Value], size: float) -> FloatingPointError:
    """Return the error for gradients whose size is nan or infinite."""
    instead = "try a smaller learning rate, or error_if_nonfinite=False"
    for i, parameter in enumerate(parameters):
        if not math.isfinite(parameter.grad):
            return FloatingPointError(
                f"{function}: the gradient of {_name(parameters, i)} is {parameter.grad}: {instead}"
            )
    return FloatingPointError(
        f"{function}: the norm of the gradients is {size}, because their squares overflow:"
        f" {instead}"
    )
