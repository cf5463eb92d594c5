"""What are the settings of an optimizer, besides the learning rate? Numbers, bools and tuples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import Any

from autograd import Value
from autograd.hooks import number_of, require
from autograd.messages import is_bool
from autograd.ops import greater, less
from autograd.text import quoted
from autograd.value import as_operand
from nn.files import as_number
from nn.scalars import is_plain, own_number

Number = Value | float
Setting = bool | float | tuple[Any, ...]

_USUAL = frozenset([float, int, bool])
_NO_SETTINGS = frozenset(["differentiable", "moments", "parameters", "time"])


def settings_of(optimizer: object) -> Iterator[tuple[str, Any]]:
    """Yield (name, content) of each setting except lr: the public attributes that hold numbers."""
    for name, content in vars(optimizer).items():
        if name[0] != "_" and name not in _NO_SETTINGS and _is_setting(content):
            yield name, content


def _is_setting(content: Any) -> bool:
    if content.__class__ in _USUAL:
        return True
    if isinstance(content, tuple | list):
        # An empty list is not a setting; it may be a log that has no entries yet.
        return (bool(content) or isinstance(content, tuple)) and all(map(_is_setting, content))
    return as_operand(content) is not None


def plain(setting: Any, group: Callable[[Iterable[Any]], Any] = tuple) -> Any:
    """Return a setting with numbers for Values; `group=list` turns tuples into lists, for JSON."""
    if isinstance(setting, tuple | list):
        return group(plain(part, group) for part in setting)
    return setting if isinstance(setting, int) else float(setting)


def owned(setting: Any) -> Any:
    """Return a setting with Python's own numbers; see `own_number`.

    An array without dimensions is kept, as a rule may write to it.
    """
    if setting.__class__ is tuple:
        return tuple(map(owned, setting))
    return own_number(setting) if isinstance(setting, Real) else setting


def restored(name: str, current: Any, stored: Any) -> Any:
    """Return a setting read from a state, converted to the type of the current one."""
    if isinstance(current, tuple | list):
        if not isinstance(stored, list | tuple) or len(stored) != len(current):
            raise ValueError(f"{name} should be {len(current)} settings, not {quoted(stored)}")
        found = [restored(name, *pair) for pair in zip(current, stored, strict=True)]
        return found if isinstance(current, list) else tuple(found)
    if isinstance(current, bool):
        if not isinstance(stored, bool):
            raise ValueError(f"{name} should be True or False, not {quoted(stored)}")
        return stored
    number = as_number(stored, name)
    if isinstance(current, Value) and current.data == number:
        return current
    return stored if isinstance(current, int) and isinstance(stored, int) else number


def restored_settings(optimizer: object, stored: Any) -> dict[str, Any]:
    """Return the settings in a state, each converted to the type that it has in the optimizer.

    Raises ValueError for an unknown setting or one of the wrong type.
    """
    rule, known = type(optimizer).__name__, dict(settings_of(optimizer))
    if not isinstance(stored, dict):
        raise ValueError(f"the settings of {rule} should be a dict, not {quoted(stored)}")
    for name in stored:
        if name not in known:
            raise ValueError(f"the state has a setting {name!r}, which this {rule} does not have")
    return {name: restored(name, known[name], stored[name]) for name in stored}


def require_range(
    name: str,
    number: Number,
    high: float = math.inf,
    *,
    below: float = math.inf,
    positive: bool = False,
    plain: bool = False,
) -> float:
    """Return a number, 0 or more, as a float. Raises ValueError if out of range, or TypeError.

    A bool is not a number here: SGD(model, 0.1, True) may be meant to set `nesterov`.

    high: the largest allowed number. below: an exclusive bound. positive: whether to reject 0.
    plain: whether to reject a Value, which would get no gradient.
    """
    wrong = is_bool(number) or (plain and isinstance(number, Value))
    if wrong or as_operand(number) is None:
        advice = ": write it without quotes" if isinstance(number, str) else ""
        what = "a number" if plain else "a number or a Value"
        raise TypeError(f"{name} must be {what}, not {quoted(number)}{advice}")
    x: float = number_of(own_number(number))  # an array may hold a recorded number
    limit = below if below < math.inf else math.nextafter(high, math.inf)
    inside = (greater(x, 0.0) if positive else 1.0 - greater(0.0, x)) * less(x, limit)  # 0 for nan
    given = number if is_plain(number) else x
    require(inside, lambda: _out_of_range(name, given, high, below, positive))
    return x


def _out_of_range(name: str, x: Any, high: float, below: float, positive: bool) -> ValueError:
    if not math.isfinite(x):
        return ValueError(f"{name} must be finite, not {x}")
    allowed = "above 0" if positive else "0 or more"
    if high < math.inf:
        allowed = f"{allowed} and at most {high:g}" if positive else f"between 0 and {high:g}"
    allowed += f" and below {below:g}" if below < math.inf else ""
    return ValueError(f"{name} must be {allowed}, not {x}")
