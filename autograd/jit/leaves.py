"""Where are the numbers of a leaf that a program reads and writes? In an array, side by side.

So a program copies them all at once, and reading the leaf always gives its current number. The
numbers of several leaves are written in one step that no signal can interrupt.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, starmap
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from autograd import copies
from autograd.messages import no_gradient
from autograd.value import Value

Floats = NDArray[np.float64]


class Store:
    """The data and gradients of leaves that programs read and write, side by side.

    views: memoryviews of both arrays, from which reading one float takes half the time.
    """

    __slots__ = ("data", "grad", "views")

    def __init__(self, size: int) -> None:
        self.data: Floats = np.zeros(size)
        self.grad: Floats = np.zeros(size)
        self.views = cast("list[memoryview[float]]", [self.data.data, self.grad.data])


class Link:
    """Where the numbers of a linked leaf are. The leaf keeps it as its `_right`."""

    __slots__ = ("__weakref__", "data", "grad", "index", "store")

    def __init__(self, store: Store, index: int) -> None:
        self.store, self.index = store, index
        self.data, self.grad = store.views


class Linked(Value):
    """A leaf that a program reads and writes: a Value whose numbers are in an array."""

    __slots__ = ()
    _right: Link

    @property
    def _data(self) -> float:
        link = self._right
        return link.data[link.index]

    @_data.setter
    def _data(self, number: float) -> None:
        link = self._right
        link.data[link.index] = number

    @property
    def _grad(self) -> float:
        link = self._right
        return link.grad[link.index]

    @_grad.setter
    def _grad(self, number: float) -> None:
        if number is None:
            raise no_gradient(self.label)
        link = self._right
        link.grad[link.index] = number


Linked.__name__ = Value.__name__  # in errors
copies.CLASSES.add(Linked)


def link(leaves: Sequence[Value]) -> None:
    """Link the leaves that are not linked yet: give them a place in an array."""
    plain = [leaf for leaf in leaves if leaf.__class__ is Value]
    store = Store(len(plain))
    for index, leaf in enumerate(plain):
        place = Link(store, index)
        # No call from here on: no signal handler nor, with a GIL, another thread comes between.
        if leaf.__class__ is Value:  # not linked meanwhile
            data, grad = leaf._data, leaf._grad
            place.data[index], place.grad[index] = data, 0.0 if grad is None else grad
            leaf._right = place
            leaf.__class__ = Linked


# --- writing many numbers in one step -----------------------------------------------------------


def writes(name: str, values: Iterable[Value], numbers: Iterable[float]) -> Iterator[None]:
    """Return an iterator in C whose steps each write a Value's data or grad, as `name` says."""
    steps: list[Any] = [  # a gradient that was None has been 0.0 since its leaf was linked
        (getattr(value._right, name).__setitem__, value._right.index, 0.0 if n is None else n)
        if isinstance(value, Linked)
        else (partial(setattr, value), f"_{name}", n)  # it may be linked before the step is taken
        for value, n in zip(values, numbers, strict=True)
    ]
    return starmap(operator.call, steps)


def undoing(values: Sequence[Value], stores: Iterable[Store] = ()) -> list[Iterator[None]]:
    """Return steps that restore the current data and grad of Values and of all leaves of stores."""
    arrays = [numbers for store in stores for numbers in (store.data, store.grad)]
    return [
        starmap(operator.setitem, [(numbers, slice(None), numbers.copy()) for numbers in arrays]),
        writes("data", values, [value._data for value in values]),
        writes("grad", values, [value._grad for value in values]),
    ]


def at_once(steps: Iterable[Iterator[Any]]) -> None:
    """Take all steps in one call of C code: a signal handler, or a Ctrl-C, sees all or none."""
    any(chain.from_iterable(steps))  # each gives None, so any() takes all
