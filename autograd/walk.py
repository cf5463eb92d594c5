"""Which nodes does an output depend on, and in which order does a backward pass visit them?

A node may be visited once all nodes made from it have been. Nodes are made after their operands, so
the reverse of the order of creation, newest first, is such an order.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

_newness = attrgetter("_made")
_latest_walk: object = None


def ancestors(output: Any) -> tuple[list[Any], list[Any]]:
    """Return the nodes an output depends on, itself included: leaves; inner nodes, newest first.

    A weighted sum whose parents nobody has asked for is one node; see sums.py. The depth of the
    graph is limited only by memory.
    """
    global _latest_walk
    leaves: list[Any] = []
    inner: list[Any] = []
    # Marking nodes is faster than collecting them in a set.
    _latest_walk = walk = output._visitor = object()
    waiting = [output]
    while waiting:
        node = waiting.pop()
        left = node._left
        if left is None:
            leaves.append(node)
            continue
        inner.append(node)
        right = node._right
        if right.__class__ is tuple or node._primitive.is_folded:
            node._primitive.settle(node)  # a sum whose parents are known is now its last addition
            for operand in node._primitive.operands(node):
                if operand._visitor is not walk:
                    operand._visitor = walk
                    waiting.append(operand)
            continue
        if left._visitor is not walk:
            left._visitor = walk
            waiting.append(left)
        if right is not None and right._visitor is not walk:
            right._visitor = walk
            waiting.append(right)
    if _latest_walk is not walk:  # a signal handler's walk has changed marks meanwhile
        return ancestors(output)
    # The walk met newer operands first, so little is left to sort.
    inner.sort(key=_newness, reverse=True)
    return leaves, inner


def newest_first(outputs: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Return leaves and inner nodes, both newest first, with the parts of every weighted sum.

    This walk asks sums for their parents and marks nothing, so it needs no lock.
    """
    leaves: list[Any] = []
    inner: list[Any] = []
    seen: set[Any] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            parents = node.parents
            (inner if parents else leaves).append(node)
            waiting += parents
    leaves.sort(key=_newness, reverse=True)
    inner.sort(key=_newness, reverse=True)
    return leaves, inner
