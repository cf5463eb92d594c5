"""How is a graph pickled and copied at any depth? One node at a time, each after all its parents.

`pickle` and `copy.deepcopy` recurse into whatever an object holds: into a parent, its parents, and
so on. So the state of a node begins with a list of its ancestors, parents first. When the pickler
reaches a node in that list, it has already pickled the node's parents and only refers to them. Each
node is an object of its own in the pickle, so nodes that Values share stay shared.

The list leaves out nodes that were pickled before; otherwise pickling all states of a recurrence
would take quadratic time. Python does not say which pickler is asking, so every state holds a
`Known`, the set of nodes met so far. A pickler reduces an object only once and keeps it alive until
the end. So if a Known is reduced a second time, another pickler is asking; if it has been freed,
its pickle is finished. A wrong guess costs depth or time, never correctness, since each node refers
to its parents anyway.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from autograd.value import Value


# Value, and the jit's class for leaves, whose pickles and copies are plain Values.
CLASSES: set[type[Value]] = set()


class Known:
    """The nodes that one pickle or deep copy has met so far."""

    __slots__ = ("__weakref__", "_met", "nodes")

    def __init__(self) -> None:
        self.nodes: set[int] = set()  # their ids: the pickler keeps them alive
        self._met = False
        _known.all.append(ref(self))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._met:  # another pickler asks, which runs inside the first one or beside it
            return tuple, (Known(),)
        self._met = True
        return tuple, ()


class _Known(threading.local):
    """The `Known`s of a thread: the last one alive belongs to the innermost pickle."""

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
        # Each node is visited twice: first to push its operands, then to be appended.
        waiting = [(self._node, False)]
        while waiting:
            node, opened = waiting.pop()
            if opened:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                waiting.append((node, True))
                waiting += [(p, False) for p in _unknown(node, known) if id(p) not in seen]
        order.pop()  # the node itself
        return list, (), None, iter(order)


def state_of(value: Value, base: type[Value]) -> tuple[Any, ...]:
    """Return the state of a Value for `restore`, with attributes that a subclass of `base` adds."""
    primitive, left, right = value._primitive, value._left, value._right
    known = ancestors = None
    if left is not None and primitive is not None:
        primitive, left, right = primitive.kept(value)
        known = _known.latest()
        known.nodes.add(id(value))
        if _unknown(value, known.nodes):
            ancestors = Ancestors(value)
    added = None if value.__class__ is base else _added(value, base)
    right = None if left is None else right  # in a leaf, the jit's link to its numbers
    kept = primitive, value._context, left, right, value.data, value.grad, value._made
    # Known comes first: a new pickler must get its own before Ancestors looks at the latest one.
    return known, ancestors, *kept, added


def blank(kind: type[Value]) -> Value:
    """Make a Value without state, which `restore` sets."""
    return kind.__new__(kind)


def restore(value: Value, state: tuple[Any, ...]) -> float:
    """Set the state of a new Value. Return its number on the clock, which it keeps."""
    _, _, value._primitive, value._context, left, right, *numbers, added = state
    value._left, value._right, value._visitor = left, right, None
    value.data, value.grad, value._made = numbers
    for name, thing in (added or {}).items():
        setattr(value, name, thing)
    return value._made


def _unknown(node: Value, known: set[int]) -> list[Value]:
    """Return the operands of an inner node that are neither leaves nor known."""
    assert node._primitive is not None
    operands = node._primitive.operands(node)
    return [p for p in operands if p._left is not None and id(p) not in known]


def _added(value: Value, base: type[Value]) -> dict[str, Any]:
    """Return the attributes that a subclass adds."""
    state: Any = object.__getstate__(value)
    attributes, slots = state
    own = {name: thing for name, thing in slots.items() if name not in base.__slots__}
    return {**(attributes or {}), **own}


# --- primitives, pickled by name as functions are -------------------------------------------------


def place_of(primitive: Any) -> tuple[str, str]:
    """Return the module that holds a primitive, `forward`'s if possible, and its name there."""
    home = getattr(primitive.forward, "__module__", None)
    modules = list(sys.modules.items())
    # `multiprocessing` has a name of its own for the main module, unknown to processes without it.
    rank = {"autograd.ops": 0, home: 1, "__main__": 3, "__mp_main__": 4}
    modules.sort(key=lambda entry: rank.get(entry[0], 2))
    for module, content in modules:
        for name, thing in list(getattr(content, "__dict__", {}).items()):
            if thing is primitive:
                return module, name
    from pickle import PicklingError

    raise PicklingError(
        f"the Primitive {primitive.name!r} cannot be pickled: no module holds it; define it at"
        " module level, like a function that is to be pickled"
    )


def primitive_at(module: str, name: str) -> Any:
    """Return the primitive that a pickle names."""
    found = getattr(import_module(module), name, None)
    if not hasattr(found, "backward"):
        raise AttributeError(f"a pickled Value needs Primitive {name!r}, which {module!r} lacks")
    return found
