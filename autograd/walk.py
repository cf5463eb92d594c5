"""Which nodes does an output depend on, and in which order does a backward pass visit them?

A node may be visited when all nodes made from it have been. A node is made after its operands, so
the reverse of the order in which nodes were made is such an order: newest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

_newness = attrgetter("_made")
_latest_walk: object = None


def ancestors(output: Any) -> tuple[list[Any], list[Any]]:
    """What an output depends on, itself included: leaves, and inner nodes, the newest first.

    A weighted sum that nobody has looked into is one node; see sums.py. Depth is limited by memory
    only.
    """
    global _latest_walk
    leaves: list[Any] = []
    inner: list[Any] = []
    # Marks on the nodes take less time than a set of them.
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
            if node._primitive.is_folded:
                # From here on, a sum that somebody has looked into is its last addition.
                node._primitive.settle(node)
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
    if _latest_walk is not walk:  # a signal handler has walked meanwhile, and changed marks
        return ancestors(output)
    # The walk found the newer operands first: little is left to sort.
    inner.sort(key=_newness, reverse=True)
    return leaves, inner


def newest_first(outputs: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Leaves and inner nodes, both the newest first, with the parts of every weighted sum.

    This walk looks into the sums and marks nothing, so it needs no lock.
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
