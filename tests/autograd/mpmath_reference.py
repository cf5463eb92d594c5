"""What are the exact values and derivatives of each primitive? Computed with mpmath."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any

import mpmath
from mpmath import mp, mpf

from autograd import Primitive, ops

PRIMITIVES: dict[str, Primitive] = {
    row.name: row for row in vars(ops).values() if isinstance(row, Primitive)
}

# One line per row of the table: the function only, as derivatives are taken numerically.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda x: -x,
    "pow": lambda x, y: mpmath.power(x, y),
    "power": lambda x, y: mpmath.power(x, y),
    "exponent": lambda y, x: y,
    "lowered_power": lambda x, y, k: (
        1 if x == 0 <= y < k and y == int(y) else mpmath.power(x, y - k)
    ),
    "log_of_base": lambda x: mpmath.log(x) if x else mpf(0),
    "exp": mpmath.exp,
    "expm1": lambda x: mpmath.exp(x) - 1,
    "log": mpmath.log,
    "log1p": lambda x: mpmath.log(1 + x),
    "sqrt": mpmath.sqrt,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tanh": mpmath.tanh,
    "sech": mpmath.sech,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "gaussian": lambda x: mpmath.exp(-x * x),
    "erf": mpmath.erf,
    "greater": lambda a, b: mpf(a > b),
    "less": lambda a, b: mpf(a < b),
    "relu": lambda x: x if x > 0 else mpf(0),
    "abs": lambda x: abs(x),
    "maximum": lambda a, b: max(a, b),
    "minimum": lambda a, b: min(a, b),
    "where": lambda condition, a, b: a if condition else b,
}


def reference(name: str) -> Callable[..., Any]:
    """Return the mpmath function of a row, or fail and say how to add one."""
    if name not in FUNCTIONS:
        raise AssertionError(
            f"the primitive {name!r} has no reference: add a line {name!r}: <the same function in"
            f" mpmath> to FUNCTIONS in {__file__}"
        )
    return FUNCTIONS[name]


def exact(name: str, point: Sequence[float], by: Sequence[int] = ()) -> Any:
    """Return the value, or the partial derivative by the operands listed, to 50 digits.

    None where the function is undefined or not real. Derivatives are central differences with a
    step of 2^-140 times the scale of the operand (an error near 1e-80), with enough digits that
    rounding errors are 700 places below the value; a smaller result counts as 0.
    """
    return _exact(name, tuple(point), tuple(sorted(by)))


@cache
def _exact(name: str, point: tuple[float, ...], by: tuple[int, ...]) -> Any:
    function = reference(name)
    orders = [by.count(i) for i in range(len(point))]
    spread = max(abs(math.log10(abs(x))) if x else 0.0 for x in point)
    with mp.workdps(int(700 + spread + (45 + 1.05 * spread) * len(by))):
        steps = [mpmath.ldexp(min(1.0, abs(x)) or 1.0, -140) for x in point]
        total, largest = mpf(0), mpf(0)
        for taken in product(*[range(order + 1) for order in orders]):
            at, weight = [], 1
            for x, order, k, step in zip(point, orders, taken, steps, strict=True):
                at.append(x + (mpf(order) / 2 - k) * step)
                weight *= (-1) ** k * math.comb(order, k)
            try:
                y = function(*at)
            except (ZeroDivisionError, ValueError):
                return None
            if not mpmath.isfinite(y) or mpmath.im(y) != 0:
                return None
            total += weight * mpmath.re(y)
            largest = max(largest, abs(y))
        if by and abs(total) <= 1000 * largest * mp.eps:
            total = mpf(0)
        for order, step in zip(orders, steps, strict=True):
            total /= step**order
    with mp.workdps(50):
        return +total
