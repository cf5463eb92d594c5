"""How is a graph pickled and copied at any depth? Node after node, each after all of its parents.

`pickle` and `copy.deepcopy` recurse into whatever an object holds: into a parent, its parents, and
so on. So the state of a node begins with a list of its ancestors, parents first. When the pickler
reaches a node of that list, it has pickled the parents of that node before, and only refers to
them. Each node is an object of the pickle, so whatever several Values share stays shared.

The list leaves out nodes that were pickled before; otherwise all states of a recurrence together
would take quadratic time. Python does not tell which pickler is asking, so every state holds a
`Known`, the set of nodes met so far. A pickler asks an object to reduce itself only once and keeps
it alive until the end: a Known that is asked a second time is being asked by another pickler, and
one that is gone belonged to a pickle that is finished. A wrong guess costs depth or time, never
correctness, since each node refers to its parents in any case.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any
from weakref import ref

from autograd.value import Constant, Terms, Value, operands_of, unfold


class Known:
    """The nodes that one pickle or deep copy has met so far."""

    __slots__ = ("__weakref__", "_met", "nodes")

    def __init__(self) -> None:
        self.nodes: set[int] = set()  # their ids: whoever made the pickle keeps them alive
        self._met = False
        _known.all.append(ref(self))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._met:  # this is another pickler, started during the first one's work or beside it
            return tuple, (Known(),)
        self._met = True
        return tuple, ()


class _Known(threading.local):
    """The `Known`s of a thread: the last one still alive belongs to the innermost pickle."""

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
    """Pickled as the list of a node's ancestors that are not known yet, parents first."""

    __slots__ = ("_node",)

    def __init__(self, node: Value) -> None:
        self._node = node

    def __reduce__(self) -> tuple[Any, ...]:
        known = _known.latest().nodes
        order: list[Value] = []
        seen: set[int] = set()
        # Each node is visited twice: to push its operands, and after them to join the list.
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
    # Known comes first: a new pickler must get its own before Ancestors looks at the latest one.
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
            return right.first, right  # consistent even if another thread unfolds the node now
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
