"""How are nested numbers laid out in a row, and built again from other numbers?

Arguments and results of a recorded function are numbers and Values in lists, tuples, dicts, deques,
NumPy arrays, and objects with `rows` and `map` (a Matrix). Their structure is what is left without
the numbers; a function is recorded once for each structure. Strings, bools, None, functions, models
and arguments that are named static are part of it. What may hold numbers that cannot be seen (a
set, an iterator, an object) is refused.

A structure is "number", "int", "Value", or a tuple that begins with what kind of thing it is:

    (list, 3)                   3 floats; also (tuple, 3)
    (list, 3, int)              3 ints
    (list, 3, tuple, 2)         3 rows of 2 floats; with a fifth entry, int, of 2 ints
    (list, (part, ...))         the structures of the entries; also other sequences
    (dict, ((key, part), ...))  of the values
    (Matrix, rows)              the structure of its rows
    ("array", shape)            numbers; with a third entry, the structure of other entries
    ("static", Static)          compared by what it holds
    ("identical", Identical)    compared by identity
"""

from __future__ import annotations

import math
import reprlib
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import chain
from numbers import Real
from struct import pack
from types import ModuleType
from typing import Any, TypeAlias
from weakref import ref

import numpy as np

from autograd.jit.refusal import TraceError
from autograd.value import Value, as_operand

Numbers: TypeAlias = "list[Any] | array[float]"

_FLOATS, _INTS = frozenset([float]), frozenset([int])
_EXACT = 2**53  # not every larger int is a float
_STATIC = (str, bytes, bool, type(None), Enum, type, ModuleType, range, slice)


class Identical:
    """A function or a model, as part of a structure: equal to itself only, and not kept alive."""

    __slots__ = ("_hash", "thing")

    def __init__(self, thing: Any) -> None:
        self.thing = ref(thing)
        self._hash = id(thing)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identical):
            return False
        thing = self.thing()
        return thing is not None and other.thing() is thing

    def __hash__(self) -> int:
        return self._hash


class Static:
    """Part of a structure, such as an argument named static: equal if kind and content are."""

    __slots__ = ("_key", "thing")

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self._key = _key(thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)


def _key(thing: Any) -> Any:
    """Something hashable that differs wherever the thing does, also between 1, 1.0 and True."""
    kind = type(thing)
    if isinstance(thing, dict):
        return kind, tuple([(_key(name), _key(part)) for name, part in thing.items()])
    if isinstance(thing, list | tuple | deque):
        return kind, tuple([_key(part) for part in thing])
    if isinstance(thing, set | frozenset):
        return kind, frozenset([_key(part) for part in thing])
    if hasattr(thing, "tobytes") and hasattr(thing, "dtype") and thing.dtype.kind != "O":
        return kind, str(thing.dtype), thing.shape, thing.tobytes()
    if kind is float or kind is complex:
        return kind, repr(thing)
    if isinstance(thing, Value):
        raise TraceError("a Value cannot be a static argument: its number may change")
    try:
        hash(thing)
    except TypeError:
        raise TraceError(f"a static argument must be hashable, not {kind.__name__}") from None
    return kind, thing


def flatten(nest: Any, numbers: Numbers, values: list[Value]) -> Any:
    """The structure of nested numbers, hashable; numbers and Values are appended in order.

    Args:
        numbers: an array, which takes them as floats, or a list, which takes them as they are.

    Raises TraceError for what cannot be laid out, OverflowError for an int too large for a float.
    """
    kind = nest.__class__
    if kind is float:
        numbers.append(nest)
        return "number"
    if kind is list or kind is tuple:
        # Vectors and matrices of numbers are the usual arguments: without a call for each number.
        kinds = set(map(type, nest))
        if kinds == _FLOATS or kinds == _INTS:
            _extend(numbers, nest, kinds)
            return (kind, len(nest)) if kinds == _FLOATS else (kind, len(nest), int)
        if kinds == {list} or kinds == {tuple}:
            widths = set(map(len, nest))
            if len(widths) == 1 and 0 not in widths:
                flat = list(chain.from_iterable(nest))
                within = set(map(type, flat))
                if within == _FLOATS or within == _INTS:
                    _extend(numbers, flat, within)
                    rows = kind, len(nest), kinds.pop(), widths.pop()
                    return rows if within == _FLOATS else (*rows, int)
        return (kind, tuple([flatten(part, numbers, values) for part in nest]))
    if kind is int:
        _extend(numbers, [nest], _INTS)
        return "int"
    if isinstance(nest, Value):
        values.append(nest)
        return "Value"
    if kind is dict or kind is OrderedDict:
        return (kind, tuple([(key, flatten(part, numbers, values)) for key, part in nest.items()]))
    return _flatten_rarer(nest, numbers, values)


def _flatten_rarer(nest: Any, numbers: Numbers, values: list[Value]) -> Any:
    """`flatten` for everything but floats, ints, lists, tuples, dicts and Values."""
    kind = nest.__class__
    if isinstance(nest, list):
        return flatten(list(nest), numbers, values)
    if isinstance(nest, tuple):
        named = kind if hasattr(kind, "_fields") else tuple
        return (named, tuple([flatten(part, numbers, values) for part in nest]))
    if kind is deque:
        return (kind, tuple([flatten(part, numbers, values) for part in nest]))
    if hasattr(nest, "rows") and hasattr(nest, "map"):
        return (kind, flatten(nest.rows, numbers, values))
    if isinstance(nest, _STATIC):
        return ("static", Static(nest))
    if isinstance(nest, array):
        return flatten(nest.tolist(), numbers, values)
    dtype = getattr(nest, "dtype", None)
    if dtype is not None and hasattr(nest, "ravel"):
        return _flatten_array(nest, dtype, numbers, values)
    if as_operand(nest) is not None:
        numbers.append(nest if isinstance(numbers, list) else float(nest))
        return "number"
    if isinstance(nest, Static):
        return ("static", nest)
    if callable(nest) and not hasattr(nest, "__next__"):  # a function, a model, an activation
        return ("identical", Identical(nest))
    raise TraceError(
        f"a {kind.__name__} cannot be taken apart into numbers: pass and return numbers, Values,"
        " and lists, tuples, dicts or arrays of them, or name it a static argument"
    )


def objects_in(structure: Any) -> Iterator[Any]:
    """The functions and models in a structure; None for one that no longer exists."""
    if isinstance(structure, Identical):
        yield structure.thing()
    elif isinstance(structure, tuple):
        for part in structure:
            yield from objects_in(part)


def _extend(numbers: Numbers, plain: Any, kinds: set[type]) -> None:
    if int in kinds and (max(plain) > _EXACT or min(plain) < -_EXACT):
        for number in plain:
            if type(number) is int and abs(number) > _EXACT and float(number) != number:
                shown = reprlib.repr(number)
                raise TraceError(
                    f"no float is exactly {shown}: pass float() of it, or name it static"
                )
    if isinstance(numbers, list):
        numbers.extend(plain)
    else:  # takes half the time of extend
        numbers.frombytes(pack(f"{len(plain)}d", *plain))


def _flatten_array(nest: Any, dtype: Any, numbers: Numbers, values: list[Value]) -> Any:
    shape, kind = nest.shape, dtype.kind
    if (
        shape == ()
        and isinstance(nest, Real)
        and (dtype.itemsize >= 4 if kind in "iu" else dtype.itemsize == 8)
    ):
        return flatten(dtype.type(nest).tolist(), numbers, values)
    if kind == "O":
        return ("array", shape, flatten(nest.ravel().tolist(), numbers, values))
    if type(nest) is np.ndarray and dtype == np.float64 and isinstance(numbers, array):
        numbers.frombytes(nest.tobytes())
        return ("array", shape)
    if kind in "iu" and dtype.itemsize < 4:
        raise TraceError(
            f"an array of {dtype} overflows in its own way: pass .astype(int) or .astype(float)"
        )
    if kind in "iu" or (kind == "f" and dtype.itemsize == 8):
        flat = nest.ravel().tolist()
        _extend(numbers, flat, _INTS if kind in "iu" and flat else _FLOATS)
        return ("array", shape, (list, len(flat), int)) if kind in "iu" else ("array", shape)
    if kind == "b":
        return ("static", Static(nest))
    raise TraceError(
        f"an array of {dtype} rounds in its own way: pass .astype(float) of it, or name it static"
    )


def build(structure: Any, number: Callable[[], Any], value: Callable[[], Any]) -> Any:
    """Something of this structure, from what `number` and `value` give one after the other."""
    if structure == "number":
        return number()
    if structure == "int":
        return _whole(number())
    if structure == "Value":
        return value()
    kind = structure[0]
    if kind == "static":
        return structure[1].thing
    if kind == "identical":
        return structure[1].thing()
    if kind == "array":
        size = math.prod(structure[1])
        parts = build(structure[2] if len(structure) > 2 else (list, size), number, value)
        kinds = set(map(type, parts))
        # An array of plain numbers, as eagerly; of anything else an array of objects.
        dtype = float if kinds <= {float} else int if kinds == {int} else object
        built = np.empty(size, dtype=dtype)
        built[:] = parts
        return built.reshape(structure[1])
    inside = structure[1]
    if isinstance(inside, int):
        if structure[-1] is int:
            return build(structure[:-1], lambda: _whole(number()), value)
        if len(structure) == 2:
            return kind([number() for _ in range(inside)])
        row, width = structure[2:]
        return kind([row([number() for _ in range(width)]) for _ in range(inside)])
    if issubclass(kind, dict):
        return kind((key, build(part, number, value)) for key, part in inside)
    if issubclass(kind, list | tuple | deque):
        parts = [build(part, number, value) for part in inside]
        return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
    return kind(build(inside, number, value))


def _whole(number: Any) -> Any:
    """A number that was an int; a number of a recording knows that itself."""
    return int(number) if type(number) is float else number
