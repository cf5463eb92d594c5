"""How is a nest of numbers laid out in a row, and built again from other numbers?

Arguments and results of a recorded function are numbers and Values in lists, tuples, dicts, NumPy
arrays, and objects with `rows` and `map` (a Matrix). The rest (strings, None, bools, other objects)
is part of the structure: one program is recorded for each.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import chain
from typing import Any

from autograd.value import Value, as_operand

_NUMBERS = frozenset([float, int])


class Same:
    """An object that has no equal but itself, as part of a structure."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)


def flatten(nest: Any, numbers: array[float] | list[Any], values: list[Value]) -> Any:
    """The structure of a nest, hashable; its numbers and its Values are appended in order."""
    kind = nest.__class__
    if kind is float or kind is int:
        numbers.append(nest)
        return "number"
    if kind is list or kind is tuple:
        # Vectors and matrices of numbers, the usual ones, at the speed of C.
        kinds = set(map(type, nest))
        if kinds and _NUMBERS.issuperset(kinds):
            numbers.extend(nest)
            return (kind, len(nest))
        if kinds == {list} or kinds == {tuple}:
            widths = set(map(len, nest))
            if len(widths) == 1 and 0 not in widths:
                flat = list(chain.from_iterable(nest))
                if _NUMBERS.issuperset(map(type, flat)):
                    numbers.extend(flat)
                    return (kind, len(nest), kinds.pop(), widths.pop())
        return (kind, tuple([flatten(part, numbers, values) for part in nest]))
    if isinstance(nest, Value):
        values.append(nest)
        return "Value"
    if isinstance(nest, dict):
        return (kind, tuple([(key, flatten(part, numbers, values)) for key, part in nest.items()]))
    if isinstance(nest, list | tuple):  # a named tuple, and other kinds of list
        return (kind, tuple([flatten(part, numbers, values) for part in nest]))
    if hasattr(nest, "rows") and hasattr(nest, "map"):
        return (kind, flatten(nest.rows, numbers, values))
    if nest is None or isinstance(nest, str | bytes | bool):
        return ("static", nest)
    shape = getattr(nest, "shape", None)
    if shape is not None and hasattr(nest, "ravel"):
        if nest.dtype.kind == "O":
            return ("array", shape, flatten(nest.ravel().tolist(), numbers, values))
        if nest.dtype.kind in "fiu":
            if isinstance(numbers, array):
                numbers.frombytes(nest.astype(float).tobytes())
            else:
                numbers.extend(nest.ravel().tolist())
            return ("array", shape)
    if as_operand(nest) is not None and not isinstance(nest, bool):
        numbers.append(float(nest))
        return "number"
    return ("static", Same(nest))


def build(structure: Any, number: Callable[[], Any], value: Callable[[], Any]) -> Any:
    """A nest of this structure, from what `number` and `value` give one after the other."""
    if structure == "number":
        return number()
    if structure == "Value":
        return value()
    kind = structure[0]
    if kind == "static":
        thing = structure[1]
        return thing.thing if isinstance(thing, Same) else thing
    if kind == "array":
        import numpy as np

        size = 1
        for length in structure[1]:
            size *= length
        parts = build(structure[2], number, value) if len(structure) > 2 else None
        built = np.empty(size, dtype=object)
        built[:] = parts if parts is not None else [number() for _ in range(size)]
        return built.reshape(structure[1])
    inside = structure[1]
    if isinstance(inside, int):
        if len(structure) == 2:
            return kind([number() for _ in range(inside)])
        row, width = structure[2:]
        return kind([row([number() for _ in range(width)]) for _ in range(inside)])
    if issubclass(kind, dict):
        return kind((key, build(part, number, value)) for key, part in inside)
    if issubclass(kind, list | tuple):
        parts = [build(part, number, value) for part in inside]
        return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
    return kind(build(inside, number, value))
