"""Where are the numbers of a leaf that a program reads and writes? In an array, side by side.

So a program moves them all at once, and whoever looks at the leaf sees what is there now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from autograd.modes import Origin
from autograd.value import INPUTS, NO_GRADIENT, WEIGHTS, Value, as_label

Floats = NDArray[np.float64]


class Store:
    """The numbers of leaves that programs read and write, side by side."""

    __slots__ = ("data", "grad")

    def __init__(self, size: int) -> None:
        self.data: Floats = np.zeros(size)
        self.grad: Floats = np.zeros(size)


class Link(Origin):
    """The origin of a linked leaf: its label, and where its numbers are."""

    __slots__ = ("data", "grad", "index", "store")

    data: memoryview[float]
    grad: memoryview[float]

    def __init__(self, before: Origin, store: Store, index: int) -> None:
        super().__init__(None, None, before.label, before.trainable)
        self.store, self.index = store, index
        # Reading one float from a memoryview takes half the time of an array.
        self.data = cast("memoryview[float]", store.data.data)
        self.grad = cast("memoryview[float]", store.grad.data)


class Linked(Value):
    """A leaf that a program reads and writes: a Value like any other, its numbers in an array."""

    __slots__ = ()
    _origin: Link

    @property
    def data(self) -> float:
        link = self._origin
        return link.data[link.index]

    @data.setter
    def data(self, number: float) -> None:
        link = self._origin
        link.data[link.index] = number

    @property
    def grad(self) -> float:
        link = self._origin
        return link.grad[link.index]

    @grad.setter
    def grad(self, number: float) -> None:
        if number is None:
            raise TypeError(NO_GRADIENT.format(self.label or "a Value"))
        link = self._origin
        link.grad[link.index] = number

    @property
    def label(self) -> str:
        return self._origin.label

    @label.setter
    def label(self, label: str) -> None:
        self._origin.label = as_label(label)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unlinked, (self.data, self.grad, self.label, self._origin.trainable)


WEIGHTS.add(Linked)
INPUTS.add(Linked)


def _unlinked(data: float, grad: float, label: str, trainable: bool) -> Value:
    value = Value(data)
    value.grad = grad
    value._origin = Origin(None, None, label, trainable)
    return value


def link(leaves: Sequence[Value]) -> None:
    """Give leaves that have none a place in an array."""
    plain = [leaf for leaf in leaves if leaf.__class__ is Value]
    store = Store(len(plain))
    for index, leaf in enumerate(plain):
        data, grad, origin = leaf.data, leaf.grad, leaf._origin
        leaf.__class__ = Linked
        leaf._origin = Link(origin, store, index)
        leaf.data, leaf.grad = data, 0.0 if grad is None else grad


def put_back(holder: Value | Store, data: Any, grad: Any) -> None:
    """Give a leaf, or all leaves of a store, the numbers they had."""
    if isinstance(holder, Store):
        holder.data[:], holder.grad[:] = data, grad
    else:
        holder.data, holder.grad = data, grad
