"""How are nested numbers flattened into a row, and rebuilt from other numbers?

Arguments and results of a recorded function are numbers and Values in lists, tuples, dicts, deques,
NumPy arrays, and objects with `rows` and `map` (a Matrix). Their structure is everything but the
numbers, and a function is recorded once for each structure. It includes strings, bools, None,
functions, models and static arguments. Anything that may hide numbers (a set, an iterator, an
object) is refused.

A structure is "number" (a float), "whole" (an int), "Value", a Static (compared by content), an
Identical (compared by identity), or a tuple that begins with a class or a tag. If only some of the
numbers in a list of arguments are ints, all are "mixed", and floats in a replay, so that the order
of ints and floats does not matter.

    (list, 3, part)             3 entries of the same structure; also (tuple, 3, part)
    (list, (part, ...))         entries of different structures; also (tuple, (part, ...))
    (dict, keys, parts)         keys, parts: the structures of the tuples of its keys and values
    (deque, entries, maxlen)    entries: the structure of the tuple of its entries
    (kind, entries)             kind: a class of named tuples
    (Matrix, rows)              rows: the structure of its rows
    (method, self, function)    a bound method, which is a new object at each lookup: both Identical
    ("array", (shape, order), entries)  entries: the structure of the list of its entries
    ("like", class, structure)  an argument whose class resembles list, deque, tuple, float or int
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import chain, islice
from struct import pack
from types import MethodType, ModuleType
from typing import Any, NamedTuple, TypeAlias
from weakref import ref

import numpy as np

from autograd.copies import CLASSES
from autograd.hooks import Watched
from autograd.jit.recorded import Array, Number, Whole
from autograd.jit.refusal import TraceError
from autograd.primitive import is_number
from autograd.text import quoted
from autograd.value import Value

Numbers: TypeAlias = "list[Any] | bytearray"

_NUMBERS = frozenset([float, int])
_ALIKE: dict[type, type] = {np.float64: float, Whole: int}
EXACT = 2**53  # floats hold all ints up to this one exactly
_BUILT_IN = (list, tuple, set, frozenset, dict, deque, np.ndarray, str, bytes, float, int, complex)
_STATIC = (str, bytes, bool, type(None), Enum, type, ModuleType, range, slice)


class Call(NamedTuple):
    """The arguments of a call, as given and flattened.

    structure: (position or name, structure, end of its bytes in `numbers`) of each argument.
    numbers: the plain numbers, as the bytes of floats. passed: the Values.
    number: 1 for the first call of the function, and so on.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    structure: Any
    numbers: bytearray
    passed: list[Value]
    number: int


class Identical:
    """A function or a model in a structure: equal to itself only; if possible, not kept alive."""

    __slots__ = ("_hash", "built")

    def __init__(self, thing: Any) -> None:
        self.built = ref(thing) if type(thing).__weakrefoffset__ else lambda: thing
        self._hash = id(thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identical) and other.built() is self.built()

    def __hash__(self) -> int:
        return self._hash


class Static:
    """A constant, such as a static argument: equal if type and content, or an object's `==`, agree.

    built: makes the thing for a result; by default it returns the thing itself.
    """

    __slots__ = ("_key", "built")

    def __init__(self, thing: Any, built: Callable[[], Any] | None = None) -> None:
        self.built = built or (lambda: thing)
        self._key = _key(thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)


def _key(thing: Any) -> Any:
    """Return a hashable key that tells different things apart, also 1, 1.0 and True."""
    kind = type(thing)
    if kind is str:  # as most keys of dicts are
        return thing
    if kind not in _BUILT_IN and isinstance(thing, _BUILT_IN) and object.__getstate__(thing):
        thing = MethodType(id, thing)  # has attributes: equal to itself only
    elif kind in (slice, range):
        thing = (thing.start, thing.stop, thing.step)
    elif isinstance(thing, dict):
        thing = (getattr(thing, "default_factory", None), *thing.items())
    elif isinstance(thing, deque):
        thing = (thing.maxlen, *thing)
    if isinstance(thing, list | tuple | set | frozenset):  # of a set, the order, too
        return kind, tuple([_key(part) for part in thing])
    if hasattr(thing, "tobytes") and hasattr(thing, "dtype") and not thing.dtype.hasobject:
        return kind, str(thing.dtype), thing.shape, getattr(thing, "strides", ()), thing.tobytes()
    if isinstance(thing, (float, complex)):
        return kind, repr(complex(thing))
    if isinstance(thing, Value):
        raise TraceError("a Value cannot be a static argument: its number may change")
    try:
        hash(thing)
    except Exception:  # an object with settings, which is watched like a global
        thing = MethodType(id, thing)  # keeps it alive, and is equal for the same object only
    return kind, thing


def _fixed(key: Any) -> Any:
    """Make constants of what is in a key of a dict, except for Values."""
    try:
        return Static(key)
    except TraceError:
        return tuple(map(_fixed, key)) if type(key) is tuple else key


def flatten(nest: Any, numbers: Numbers, values: list[Value]) -> Any:
    """Return the hashable structure of nested numbers; append its numbers and Values in order.

    Args:
        numbers: for arguments a bytearray, which takes numbers as floats; for results a list, which
            takes them as they are. Other numbers are refused as arguments. In results, a Fraction
            or an array of bytes is part of the structure; float32 and complex are refused, too.

    Raises TraceError for what cannot be flattened.
    """
    kind = nest.__class__
    if kind is float:
        numbers.extend([nest] if isinstance(numbers, list) else pack("d", nest))
        return "number"
    if kind is list or kind is tuple:
        # Vectors and matrices are the most common: flatten them without a call for each entry.
        size, kinds = len(nest), set(map(type, nest))
        if kinds in ({list}, {tuple}):
            widths = set(map(len, nest))
            if len(widths) == 1:
                flat = list(chain.from_iterable(nest))
                if entries := _flatten_row(flat, set(map(type, flat)), numbers, values):
                    return (kind, size, (kinds.pop(), widths.pop(), entries))
        if entries := _flatten_row(nest, kinds, numbers, values):
            return (kind, size, entries)
        return (kind, tuple([flatten(part, numbers, values) for part in nest]))
    if kind is int:
        return _extend(numbers, [nest], {int})
    if isinstance(nest, Value):
        values.append(nest)
        return "Value"
    if kind is np.ndarray:
        return _flatten_array(nest, nest.dtype, numbers, values)
    if kind is dict or kind is OrderedDict:
        keys = flatten(_fixed(tuple(nest)), numbers, values)
        return (kind, keys, (tuple, tuple([flatten(x, numbers, values) for x in nest.values()])))
    return _flatten_rarer(nest, numbers, values)


def _flatten_row(row: Any, kinds: set[type], numbers: Numbers, values: list[Value]) -> str:
    """Flatten a row whose entries share a structure, and return it; else do nothing, return ""."""
    if not _NUMBERS.issuperset(kinds):
        users = float if isinstance(numbers, list) else Number  # of arguments, the class is noted
        kinds = {_ALIKE.get(k) or (float if issubclass(k, users) else k) for k in kinds}
    if _NUMBERS.issuperset(kinds):
        return _extend(numbers, row, kinds)
    if kinds <= CLASSES:
        values.extend(row)
        return "Value"
    return ""


def _flatten_rarer(nest: Any, numbers: Numbers, values: list[Value]) -> Any:
    """Flatten anything but floats, ints, lists, tuples, dicts and Values."""
    kind = nest.__class__
    if kind is Static:
        return nest
    if isinstance(nest, _STATIC):
        return Static(nest)
    if isinstance(nest, list | array):
        return _like(kind, flatten(list(nest), numbers, values), numbers)
    if isinstance(nest, tuple | deque):
        entries = (tuple, tuple([flatten(part, numbers, values) for part in nest]))
        if hasattr(kind, "_make"):  # a named tuple
            return (kind, entries)
        many = (deque, entries, nest.maxlen) if isinstance(nest, deque) else entries
        return _like(kind, many, numbers)
    if hasattr(nest, "rows") and hasattr(nest, "map"):
        return (kind, flatten(nest.rows, numbers, values))
    if isinstance(nest, float | int):
        single = _extend(numbers, [nest], {float if isinstance(nest, float) else int})
        return _like(kind, single, numbers)
    dtype = getattr(nest, "dtype", None)
    if isinstance(nest, np.generic | np.memmap):
        return _flatten_array(nest, dtype, numbers, values)
    if isinstance(dtype, np.dtype) and hasattr(nest, "ravel"):  # masked, a matrix, a column of data
        raise TraceError(f"a {kind.__name__} computes in its own way: pass np.asarray() of it")
    if is_number(nest):
        if isinstance(numbers, list):
            return Static(nest)
        raise TraceError(
            f"a {kind.__name__} computes in its own way: pass float() of it, or name it static"
        )
    if kind is MethodType:
        return (kind, Identical(nest.__self__), Identical(nest.__func__))
    # A function, a model, an optimizer.
    if (callable(nest) and not hasattr(nest, "__next__")) or isinstance(nest, Watched):
        return Identical(nest)
    raise TraceError(
        f"an object of class {kind.__name__} cannot be split into numbers: pass and return"
        " numbers, Values, and lists, tuples, dicts or arrays of them, or name it a static argument"
    )


def _like(kind: type, structure: Any, numbers: Numbers) -> Any:
    """Note the class of an argument that resembles a list or a number, as code may ask for it."""
    return ("like", kind, structure) if isinstance(numbers, bytearray) else structure


def _flatten_array(nest: Any, dtype: Any, numbers: Numbers, values: list[Value]) -> Any:
    kind, order = dtype.kind, "CF"[nest.flags.fnc]  # NumPy may add in the order of memory
    row, layout = nest.T if order == "F" else nest, (nest.shape, order)
    if kind == "O":
        return ("array", layout, flatten(row.ravel().tolist(), numbers, values))
    if kind == "f" and dtype.itemsize == 8:
        if isinstance(numbers, bytearray):
            numbers.extend(np.ascontiguousarray(row, np.float64))
        else:
            numbers.extend(row.ravel().tolist())
        return ("array", layout, (list, nest.size, "number"))
    # The ints of an array may have been computed; a scalar of NumPy is a constant.
    if dtype == np.int64 and isinstance(numbers, list) and nest.size and nest.ndim:
        numbers.extend(row.ravel().tolist())
        return ("array", layout, (list, nest.size, "whole"))
    if kind == "b" or (kind in "iu" and isinstance(numbers, list)):
        return Static(nest, nest.copy().copy)
    way = ".real and .imag" if kind == "c" else ".astype(float)" if kind in "fiu" else ".tolist()"
    raise TraceError(
        f"NumPy's {dtype} computes in its own way: pass {way} of it"
        f"{', .tolist() of class indices' * (kind in 'iu')}, or name it static"
    )


def _extend(numbers: Numbers, plain: Any, kinds: set[type]) -> str:
    """Append floats and ints; return the structure: "whole" if all are ints, "mixed" if some."""
    if isinstance(numbers, list):
        numbers.extend(plain)
    else:
        if int in kinds:
            whole = plain if kinds == {int} else [n for n in plain if isinstance(n, int)]
            if max(whole) > EXACT or min(whole) < -EXACT:
                raise TraceError(
                    f"{quoted(max(whole, key=abs))} is an int beyond 2**53, which a float may not"
                    " hold exactly: pass float() of it, or name it static"
                )
        numbers.extend(pack(f"{len(plain)}d", *plain))
    if kinds == {int}:
        return "whole"
    return "mixed" if int in kinds and isinstance(numbers, bytearray) else "number"


def objects_in(structure: Any, kind: Any = Identical) -> Iterator[Any]:
    """Yield what is Identical, or of another kind, in a structure; None if it no longer exists."""
    if isinstance(structure, kind):
        yield structure.built()
    elif isinstance(structure, tuple):
        for part in structure:
            yield from objects_in(part, kind)


def build(structure: Any, single: dict[str, Iterator[Any]]) -> Any:
    """Rebuild something of this structure; its lists, dicts and arrays are new.

    single: iterators over each "number", "mixed", "whole" and "Value", by that name.
    """
    if structure.__class__ is str:
        return next(single[structure])
    if structure.__class__ is not tuple:  # a Static or an Identical
        return structure.built()
    kind, inside = structure[:2]
    if kind is list or kind is tuple:  # the most common ones
        if len(structure) == 2:
            return kind([build(part, single) for part in inside])
        part = structure[2]
        if part.__class__ is str:
            return kind(islice(single[part], inside))
        return kind([build(part, single) for _ in range(inside)])
    if kind == "like":
        return build(structure[2], single)
    if kind is MethodType:
        return kind(structure[2].built(), inside.built())
    if kind == "array":
        entries = build(structure[2], single)
        is_plain = _NUMBERS.issuperset(map(type, entries))
        row = np.array(entries) if is_plain else Array.of(np.fromiter(entries, object))
        return np.reshape(row, *inside)
    if issubclass(kind, dict):
        return kind(zip(build(inside, single), build(structure[2], single), strict=True))
    make: Any = getattr(kind, "_make", kind)
    return make(build(inside, single), *structure[2:])
