"""How does an error name the operation, the operands with their labels, and the module?"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from numbers import Complex, Real
from typing import TYPE_CHECKING, Any

from autograd.text import LONGEST_QUOTED, clipped, for_stream, quoted

if TYPE_CHECKING:
    from autograd.context import Context
    from autograd.primitive import Primitive
    from autograd.value import Value


OWN_OPERATION = (
    'an operation of your own is a Primitive, such as Primitive("atan", math.atan, lambda out, x:'
    " 1 / (1 + x * x)), called on Values"
)
LEAF_OR_OPERATION = f'a leaf is Value(2.0) or Value(2.0, "x"), and {OWN_OPERATION}'
NO_BACKWARD = (
    "a Value has no _backward: loss.backward() computes all gradients, steps(loss) shows how they"
    f" flow back through each node, and {OWN_OPERATION}"
)


def named(label: str) -> str:
    """Return a label as errors show it, without its middle if it is long."""
    return clipped(label, LONGEST_QUOTED)


def no_gradient(name: str) -> TypeError:
    """Return the error for a `.grad` that is None, as PyTorch's zero_grad() leaves it."""
    return TypeError(
        for_stream(
            f"the gradient of {named(name) or 'a Value'} is None, not a number: write p.grad = 0.0,"
            " or zero_grad()"
        )
    )


def described(primitive: Primitive, operands: Sequence[Value]) -> str:
    """Return an operation with its operands and their labels, such as `div(x = 1.0, 0.0)`."""
    names = [f"{named(o.label)} = {o._data!r}" if o.label else repr(o._data) for o in operands]
    return for_stream(f"{primitive.name}({', '.join(names)})")


def happened_in(context: Context) -> str:
    """Return a suffix such as `, in MLP.layers.0`; "" outside any module."""
    path = context.path()
    return for_stream(f", in {path}") if path else ""


def explained(
    error: Exception, primitive: Primitive, operands: Sequence[Value], context: Context
) -> Exception:
    """Return the same kind of error, with a message that names the operation and its operands."""
    kind: type[Exception] = ValueError
    reason = primitive.domain or str(error) or "outside the domain"
    if isinstance(error, ZeroDivisionError):
        kind, reason = ZeroDivisionError, "division by zero"
    elif isinstance(error, OverflowError):
        kind, reason = OverflowError, "the result is too large for a float"
    return kind(for_stream(f"{described(primitive, operands)}: {reason}{happened_in(context)}"))


def explained_backward(error: Exception, node: Value) -> Exception:
    """Return the same for an error that the local derivative of a node raised."""
    assert node.primitive is not None
    inner = explained(error, node.primitive, node.parents, node.context)
    return type(inner)(f"backward of {inner}")


def as_slope(
    primitive: Primitive, slope: Any, number_of: Callable[[Any], Any] | None = None
) -> Any:
    """Return a rule's slope as a float, a Value or a recorded number; else raise TypeError.

    NumPy scalars become floats, as products with a float32 would be rounded to 32 bits.

    number_of: returns the number of a Value; without it, a Value is returned as it is.
    """
    if hasattr(slope, "_primitive"):
        return slope if number_of is None else number_of(slope)
    if hasattr(slope, "tape"):
        return slope
    is_scalar = getattr(slope, "shape", None) == () and not isinstance(slope, Complex)
    with suppress(TypeError, ValueError):  # an array of one string or complex number
        if isinstance(slope, Real) or is_scalar:
            return float(slope)
    raise TypeError(
        for_stream(
            f"backward of {primitive.name} must return a number or a Value, not {quoted(slope)};"
            " with several operands, backward is a sequence with a rule for each"
        )
    )


def require_flag(name: str, flag: object, or_none: bool = False) -> None:
    """Raise TypeError unless an option is True or False, or None if that is allowed.

    Any other object, even "no", has a truth value, and may have been meant for another argument.
    """
    if not isinstance(flag, bool) and not (or_none and flag is None):
        choices = "True, False or None" if or_none else "True or False"
        raise TypeError(for_stream(f"{name} must be {choices}, not {quoted(flag)}"))


def is_bool(number: object) -> bool:
    """Whether it is a bool, also of NumPy, which Python would count as 0 or 1."""
    return isinstance(number, bool) or getattr(number, "dtype", "") == "bool"


def require_whole(name: str, number: Any, least: int = 1) -> int:
    """Return an integer of any type as an int. Raises TypeError, or ValueError below `least`."""
    try:
        count = None if is_bool(number) else operator.index(number)
    except TypeError:
        count = None
    if count is None:
        raise TypeError(f"{name} must be a whole number, not {quoted(number)}")
    if count < least:
        raise ValueError(f"{name} must be {least} or more, not {count}")
    return count


def is_series(thing: object) -> bool:
    """Return whether it can be iterated over in a fixed order: not a string, and not a set.

    Nor is a 0-d array a series, although its class is Iterable.
    """
    if isinstance(thing, (str, bytes, set, frozenset)) or getattr(thing, "shape", None) == ():
        return False
    return isinstance(thing, Iterable)


def not_differentiable_again(primitive: Primitive) -> TypeError:
    """Return the error for a rule that converted a Value to a float, as `math.cos(x)` does."""
    return TypeError(
        f"the rule of {for_stream(primitive.name)} turned a Value into a float, which has no"
        " derivatives of higher order: write it in arithmetic and primitives, such as"
        " autograd.ops.cos(x) in place of math.cos(x)"
    )
