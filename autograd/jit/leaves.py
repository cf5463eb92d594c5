"""Where are the numbers of a leaf that a program reads and writes? In an array, side by side.

So a program copies them all at once, and reading the leaf always gives its current number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from autograd import copies
from autograd.messages import no_gradient
from autograd.value import Value

Floats = NDArray[np.float64]


class Store:
    """The numbers of leaves that programs read and write, side by side."""

    __slots__ = ("data", "grad")

    def __init__(self, size: int) -> None:
        self.data: Floats = np.zeros(size)
        self.grad: Floats = np.zeros(size)


class Link:
    """Where the numbers of a linked leaf are. The leaf keeps it in place of a second operand."""

    __slots__ = ("__weakref__", "data", "grad", "index", "store")

    data: memoryview[float]
    grad: memoryview[float]

    def __init__(self, store: Store, index: int) -> None:
        self.store, self.index = store, index
        # Reading one float from a memoryview takes half the time of an array.
        self.data = cast("memoryview[float]", store.data.data)
        self.grad = cast("memoryview[float]", store.grad.data)


class Linked(Value):
    """A leaf that a program reads and writes: a Value like any other, its numbers in an array."""

    __slots__ = ()
    _right: Link

    @property
    def data(self) -> float:
        link = self._right
        return link.data[link.index]

    @data.setter
    def data(self, number: float) -> None:
        link = self._right
        link.data[link.index] = number

    @property
    def grad(self) -> float:
        link = self._right
        return link.grad[link.index]

    @grad.setter
    def grad(self, number: float) -> None:
        if number is None:
            raise no_gradient(self.label)
        link = self._right
        link.grad[link.index] = number

    _data, _grad = data, grad


copies.CLASSES.add(Linked)

# The descriptors of the classes themselves, in whose place capture.py may put others.
OWN = {(kind, name): vars(kind)[name] for kind in (Value, Linked) for name in ("data", "grad")}
_DATA, _GRAD = [OWN[Value, name].__get__ for name in ("data", "grad")]


def link(leaves: Sequence[Value]) -> None:
    """Give leaves that have none a place in an array."""
    plain = [leaf for leaf in leaves if leaf.__class__ is Value]
    store = Store(len(plain))
    for index, leaf in enumerate(plain):
        place = Link(store, index)
        data, grad = _copied(leaf, place)
        # In this order, so that whoever interrupts it finds a leaf of one kind or the other.
        leaf._right = place
        leaf.__class__ = Linked
        if _DATA(leaf) is not data or _GRAD(leaf) is not grad:  # another thread wrote meanwhile
            _copied(leaf, place)


def _copied(leaf: Value, link: Link) -> tuple[Any, Any]:
    """The number and gradient of a leaf that is not linked, copied to where they will be."""
    data, grad = _DATA(leaf), _GRAD(leaf)
    link.data[link.index], link.grad[link.index] = data, 0.0 if grad is None else grad
    return data, grad
