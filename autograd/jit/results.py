"""What does a jitted function return? The same kind of result from every call.

Eager calls, recorded ones and replays all return Values without a history, because no gradient
flows out of a jitted function. Leaves from outside are returned as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from autograd.hooks import plain
from autograd.jit.refusal import TraceError
from autograd.jit.structure import build, flatten
from autograd.primitive import Opaque
from autograd.value import Value


class Output(NamedTuple):
    """A returned number or Value that the function computed.

    data, grad: the nodes of its number and gradient; a plain number has no gradient.
    history: whether it has parents. whole: whether it is an int.
    """

    data: int
    grad: int | None = None
    label: str = ""
    history: bool = False
    whole: bool = False


class Returned(NamedTuple):
    """What a function returned.

    numbers: for each an Output, or the number itself if it is the same in each replay.
    values: for each an Output, a leaf from outside, or its position among the Values passed.
    """

    structure: Any
    numbers: list[Output | float]
    values: list[Output | Value | int]

    def nodes(self) -> list[tuple[int, str]]:
        """Return (node, "data" or "grad") of what was computed, in the order of `rebuilt`."""
        return [
            (node, kind)
            for part in (*self.numbers, *self.values)
            if isinstance(part, Output)
            for node, kind in ((part.data, "data"), (part.grad, "grad"))
            if node is not None
        ]

    def rebuilt(self, computed: Sequence[float], passed: Sequence[Value]) -> Any:
        """Rebuild what was returned from the numbers, and gradients if any, of its Outputs."""
        rest = iter(computed)
        numbers = [
            (int(next(rest)) if part.whole else next(rest)) if isinstance(part, Output) else part
            for part in self.numbers
        ]
        values = [
            _value(next(rest), next(rest), part.label, part.history)
            if isinstance(part, Output)
            else (passed[part] if isinstance(part, int) else part)
            for part in self.values
        ]
        return filled(self.structure, numbers, values)


def laid_out(nest: Any) -> tuple[Any, list[Any], list[Value]]:
    """Return the structure of something, and the numbers and Values in it; see `flatten`."""
    numbers, values = list[Any](), list[Value]()
    return flatten(nest, numbers, values), numbers, values


def filled(structure: Any, numbers: Iterable[Any], values: Iterable[Value]) -> Any:
    """Rebuild what `laid_out` has taken apart, from other numbers and Values."""
    number, value = iter(numbers), iter(values)
    return build(structure, {"number": number, "mixed": number, "whole": number, "Value": value})


def as_replayed(returned: Any, since: float) -> Any:
    """Return what an eager call returned, in the form in which a replay would return it.

    since: the number of the clock when the call began.
    """
    try:
        structure, numbers, values = laid_out(returned)
    except TraceError:  # a recording will refuse it
        return returned
    computed = [value._left is not None and value._made >= since for value in values]
    cut = [
        _value(value.data, value.grad, value.label, True) if new else value
        for value, new in zip(values, computed, strict=True)
    ]
    return filled(structure, map(plain, numbers), cut)


def _no_gradient(out: Any, x: Any) -> Any:
    raise ValueError(
        "no gradient flows out of a jitted function: take it inside, with backward() or grad(), or"
        " use .detach() of what it returned"
    )


_JIT = Opaque("jit", lambda x: x, _no_gradient)
_INSIDE = Value(0.0, "inside a jitted function")


def _value(data: float, grad: float, label: str, history: bool) -> Value:
    value = Value(data, label)
    value._grad = grad
    if history:
        value._primitive, value._left = _JIT, _INSIDE
    return value
