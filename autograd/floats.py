"""How are functions computed on floats if `math` lacks them, or loses accuracy?"""

from __future__ import annotations

import math


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x)."""
    # Never take exp of a positive number: it may overflow.
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def softplus(x: float) -> float:
    """log(1 + e^x)."""
    # log(1 + e^x) = x + log(1 + e^-x). Again, never take exp of a positive number.
    return x + math.log1p(math.exp(-x)) if x > 0.0 else math.log1p(math.exp(x))


def sech(x: float) -> float:
    """1 / cosh(x)."""
    e = math.exp(-math.fabs(x))
    return 2.0 * e / (1.0 + e * e)


def power(x: float, y: float) -> float:
    """x ** y. Raises ZeroDivisionError for a negative power of 0, ValueError for (-8) ** 0.5."""
    if x == 0.0 and -math.inf < y < 0.0:
        raise ZeroDivisionError  # math.pow raises ValueError here; x ** y is complex if x < 0
    return math.pow(x, y)


def gaussian(x: float) -> float:
    """e^(-x^2)."""
    # exp magnifies the rounding error of x*x by a factor of x*x; Dekker's split recovers it.
    square = x * x
    if not square < 750.0:  # exp(-750) is 0; nan passes through
        return math.exp(-square)
    high = x * 134217729.0  # 2^27 + 1
    high -= high - x
    low = x - high
    rest = ((high * high - square) + 2.0 * high * low) + low * low
    e = math.exp(-square)
    return e - e * rest


def lowered_power(x: float, y: float, k: float) -> float:
    """x ** (y - k), but 1 at x = 0 if y is one of 0, 1, ..., k - 1; see `ops.power`."""
    if x == 0.0 <= y < k and y % 1.0 == 0.0:
        return 1.0
    less = y - k
    result = power(x, less)
    rest = (y - (less + k)) * log_of_base(x)  # a power magnifies the rounding of y - k by log x
    return result + result * rest if math.isfinite(rest) else result


def log_of_base(x: float) -> float:
    """log x where it exists, 0 at 0, nan below; see `ops.power`."""
    return math.log(x) if x > 0.0 else 0.0 if x == 0.0 else math.nan
