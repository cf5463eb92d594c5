"""How are plain numbers, recorded ones and Values told apart, or treated alike?"""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import Any

from autograd import Value
from autograd.hooks import is_recorded, number_of
from autograd.ops import greater
from autograd.primitive import without_array
from autograd.value import constant


def is_plain(number: object) -> bool:
    """Whether a number is neither a Value nor recorded, so that code may branch on it.

    A Value or a recorded number can only select by arithmetic, as in `one_hot` or `where`.
    """
    return not isinstance(number, Value) and not is_recorded(number)


def own_number(number: Any) -> Any:
    """Return a plain number, or an array's scalar, as Python's own: an int, a bool or a float.

    With a float32, NumPy would compute in float32, and the negative of a uint8 is positive.
    Anything else is returned unchanged.
    """
    number = without_array(number)
    if isinstance(number, float | int) or not isinstance(number, Real) or is_recorded(number):
        return number
    return int(number) if isinstance(number, Integral) else float(number)


def labelled_constant(x: Value, label: str) -> Value:
    """Return a labelled constant with the number of a Value: not a leaf, and without a gradient."""
    number = constant(number_of(x))
    number.label = label
    return number


def one_hot(index: Value | float, count: int) -> list[Any]:
    """Return 1 at the index and 0 elsewhere, by arithmetic: Values if the index is a Value.

    All entries are 0 for an index that is outside 0 .. count - 1 or not an integer, such as nan.
    """
    # Not the floats next to 0, which are subnormal: libraries may make a process take them for 0.
    tiny = sys.float_info.min
    near = [(math.nextafter(i, -math.inf), math.nextafter(i, math.inf)) for i in range(1, count)]
    bounds = [(-tiny, tiny), *near][:count]
    return [greater(index, below) * greater(above, index) for below, above in bounds]
