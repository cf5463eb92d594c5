"""When is a thing still the same? If its mark is: plain things by value, all others by identity."""

from __future__ import annotations

from types import MethodType
from typing import Any

PLAIN = frozenset([bool, int, float, complex, str, bytes, type(None)])


def mark(thing: Any) -> tuple[Any, Any]:
    """Something to compare later: 1, 1.0, True and -0.0 are different, and nan is nan."""
    kind = type(thing)
    if kind in PLAIN:
        return kind, repr(thing) if kind is float or kind is complex else thing
    if issubclass(kind, tuple):
        return kind, tuple(map(mark, tuple.__iter__(thing)))
    if kind is MethodType:  # another object each time that it is looked up
        return kind, (id(thing.__func__), id(thing.__self__))
    return object, id(thing)  # whatever its class is: that of a leaf changes once
