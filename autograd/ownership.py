"""In which module was a Value made, and does a module that holds it count it as a parameter?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from autograd.context import OUTSIDE, current, entered
from autograd.value import Value

P = ParamSpec("P")
R = TypeVar("R")


def scoped(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function the owner of what is computed in it: drawings show it as one box."""

    @functools.wraps(function)
    def owner(*args: P.args, **kwargs: P.kwargs) -> R:
        with entered(current, current.get().within(owner)):
            return function(*args, **kwargs)

    return owner  # the wrapper itself is the owner: drawings show its name


def is_trainable(value: Value) -> bool | None:
    """Return whether a module that holds this Value counts it as a parameter.

    None for the result of an operation outside any module's call, such as `Value(3.0) * 0.1` in a
    constructor: it looks like a parameter, but training would not reach it.
    """
    context = value._context
    if context.adopted:
        return True
    if context.leaf is not OUTSIDE:
        return False
    return None if value.op else True


def adopt(value: Value) -> None:
    """Let modules that hold this Value count it as a parameter, even if it has a history."""
    value._context = value._context.labelled(value.label, adopted=True)
