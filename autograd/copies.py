"""How is a graph pickled and copied at any depth? Node after node, each after all of its parents.

`pickle` and `copy.deepcopy` recurse into what an object holds, which of a deep graph would be all
of it. So the state of a node begins with a list of those it is made from, parents first. When the
list comes to a node, the parents of that one are known by then and only referred to; and what
several Values of one pickle share is one object in it.

Which nodes are known? Those whose state was asked for since this pickle was begun. That depends on
who asks, which Python does not tell. So each state holds a `Known`, too. A pickler asks a Known for
its own state only when it meets it for the first time, and keeps it until it is done.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any
from weakref import ref

from autograd.value import Constant, Terms, Value, operands_of, unfold


class Known:
    """The nodes that one pickle, or one deep copy, has come to so far."""

    __slots__ = ("__weakref__", "_met", "nodes")

    def __init__(self) -> None:
        self.nodes: set[int] = set()  # their ids: whoever made the pickle keeps them alive
        self._met = False
        _known.all.append(ref(self))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._met:  # by another pickler, within whose work, or beside it, this one has begun
            return tuple, (Known(),)
        self._met = True
        return tuple, ()


class _Known(threading.local):
    """Those of a thread: the last one that is still alive is of the innermost pickle."""

    def __init__(self) -> None:
        self.all: list[ref[Known]] = []

    def latest(self) -> Known:
        while self.all:
            known = self.all[-1]()
            if known is not None:
                return known
            self.all.pop()
        return Known()


_known = _Known()


class Ancestors:
    """The nodes that a node is made from and that are not known yet, as a list, parents first."""

    __slots__ = ("_node",)

    def __init__(self, node: Value) -> None:
        self._node = node

    def __reduce__(self) -> tuple[Any, ...]:
        known = _known.latest().nodes
        order: list[Value] = []
        seen: set[int] = set()
        # Each node comes twice: to be opened, then, after its operands, to be put into the list.
        waiting = [(self._node, False)]
        while waiting:
            node, opened = waiting.pop()
            if opened:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                waiting.append((node, True))
                waiting += [(p, False) for p in _unknown(_slots(node), known) if id(p) not in seen]
        order.pop()  # the node itself
        return list, (), None, iter(order)


def state_of(value: Value) -> tuple[Any, ...]:
    """What is pickled and copied of a Value; see `restore`."""
    left, right = _slots(value)
    known = ancestors = None
    if left is not None:
        known = _known.latest()
        known.nodes.add(id(value))
        if _unknown((left, right), known.nodes):
            ancestors = Ancestors(value)
    added = None if value.__class__ in (Value, Constant) else _added(value)
    # In this order: `known` tells whose work it is before `ancestors` looks what is known there.
    return known, ancestors, value._origin, left, right, value.data, value.grad, added


def restore(value: Value, state: tuple[Any, ...]) -> None:
    """Make a new Value what another was."""
    _, _, value._origin, value._left, value._right, value.data, value.grad, added = state
    value._mark = None
    for name, thing in (added or {}).items():
        setattr(value, name, thing)


def _slots(node: Value) -> tuple[Value | None, Any]:
    """The two slots of the operands; a weighted sum stays whole if nobody has looked inside."""
    right = node._right
    if right.__class__ is Terms:
        if right.whole is None:
            return right.first, right  # whatever `unfold` makes of the node meanwhile
        unfold(node)
    return node._left, node._right


def _unknown(slots: tuple[Any, Any], known: set[int]) -> list[Value]:
    """The operands that are no leaves, and not known."""
    left, right = slots
    operands: Sequence[Value] = ()
    if right.__class__ is Terms:
        operands = (*right.weights, *right.inputs, left)
    elif left is not None:
        operands = operands_of(left, right)
    return [p for p in operands if p._left is not None and id(p) not in known]


def _added(value: Value) -> dict[str, Any]:
    """The attributes that a subclass brings."""
    state: Any = object.__getstate__(value)
    attributes, slots = state
    own = {name: thing for name, thing in slots.items() if name not in Value.__slots__}
    return {**(attributes or {}), **own}
