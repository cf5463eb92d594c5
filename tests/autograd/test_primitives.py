"""Does every primitive agree with mpmath, with a table of edge values and with the conventions?

A new row is tested automatically. It needs one line in `mpmath_reference.FUNCTIONS` and its edge
values in `UNARY_EDGES` or `BINARY_EDGES`; the tests fail until these exist.
"""

from __future__ import annotations

import math
import pydoc
import sys
from itertools import product
from typing import Any

import pytest
from mpmath import mp, mpf
from mpmath_reference import PRIMITIVES, exact

from autograd import Primitive, Value, grad, greater, less, maximum, minimum, ops, where
from tests.cases import case

inf, nan = math.inf, math.nan
MAX, TINY = sys.float_info.max, 5e-324

# --- values and derivatives to third order --------------------------------------------------------

ORDINARY = (0.3, 0.75, 1.0, 2.5, 3.7, 6.0, 20.3, 100.0, 650.0)
POINTS: dict[tuple[int, str], list[tuple[float, ...]]] = {
    (1, "ordinary"): [(sign * x,) for x in ORDINARY for sign in (1, -1)],
    (1, "tiny"): [(1e-10,), (-1e-10,), (1e-300,), (-1e-300,)],
    (1, "huge"): [(1e10,), (-1e10,), (1e300,), (-1e300,)],
    (2, "ordinary"): [
        *[(0.7, 4.5), (3.0, 0.75), (2.5, -2.5), (-0.75, -2.0), (-2.5, 3.0), (-6.0, 2.0)],
        *[(20.25, -1.0), (0.3, 0.5), (6.0, 1.0), (-3.0, 0.5), (3.7, -0.3)],
    ],
    (2, "tiny"): [
        *[(1e-10, 0.7), (-1e-10, 3.0), (0.7, 1e-10), (-1e-10, 1e-10), (1e-300, 0.7)],
        *[(1e-300, -1.0), (3.0, -1e-300), (1e-300, 1e-10), (1e-300, 2.0), (1e-40, -3.4)],
    ],
    (2, "huge"): [
        *[(1e10, 0.7), (-1e10, 3.0), (1e10, -2.5), (1e300, 0.7), (1e300, 0.3), (0.7, 1e10)],
        *[(0.7, 1e300), (2.5, 1e300), (-2.5, 1e300), (1e300, -1e300), (1e10, -1e-10)],
        *[(1e200, 1.1), (1e40, -3.4)],
    ],
    (3, "ordinary"): [(1.0, 0.3, 2.0), (0.0, 0.3, 2.0), (-2.5, -6.0, 0.75)],
    (3, "tiny"): [(1e-300, 0.3, 1e-10), (0.0, 0.3, 1e-300)],
    (3, "huge"): [(1e300, 0.3, 1e10), (0.0, 0.3, 1e300), (-1e10, 1e300, 2.0)],
}

# The operand that has no derivative: the condition of a choice, a plain exponent, a whole number.
FIXED = {"where": 0, "pow": 1, "lowered_power": 2}

# Largest error in units in the last place, for the value and the three derivatives. Measured at the
# points above: at most 1.1, 2.7, 3.8 and 4.7, except for pow.
ULPS = (2, 4, 6, 8)

# (name, order, point) where a factor of the chain rule overflows or underflows although the product
# does not. Reverse mode multiplies y * y * y, which is inf, by a later 0 (nan), subtracts two
# infinite slopes (nan), or loses the term of x ** y * log x that contains 1 / x**2, or the x ** y
# itself, to underflow (a finite number, wrong in the leading digits).
BEYOND_FLOATS = {
    ("pow", 2, (1e-300, 1e-10)),
    ("pow", 3, (1e-300, 1e-10)),
    ("pow", 3, (0.7, 1e300)),
    ("pow", 3, (1e300, -1e300)),
    ("power", 3, (0.7, 1e300)),
    ("power", 3, (1e300, -1e300)),
    ("power", 3, (1e200, 1.1)),
    ("power", 2, (1e-300, 2.0)),
    ("power", 3, (1e-300, 2.0)),
}


def ulps_allowed(name: str, order: int, point: tuple[float, ...]) -> float:
    if name not in ("power", "lowered_power"):
        return ULPS[order]
    # Mixed derivatives are sums of terms of both signs, such as x ** (y - 1) * (1 + y log x).
    return (2, 4, 16, 32)[order]


def derivative(name: str, point: tuple[float, ...], by: tuple[int, ...]) -> float:
    """Return a partial derivative by repeated `grad`, one operand at a time."""
    operands = [x if FIXED.get(name) == i else Value(x) for i, x in enumerate(point)]
    result = PRIMITIVES[name](*operands)
    for i in by:
        (result,) = grad(result, [operands[i]], create_graph=True)
    return result.data


def as_float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf


def complaint(name: str, point: tuple[float, ...], by: tuple[int, ...]) -> str | None:
    """Say what is wrong with a value (by == ()) or a derivative; None if it is right."""
    expected = exact(name, point, by)
    what = f"{name}{point} by {by}: "
    try:
        got = derivative(name, point, by)
    except OverflowError:
        return (
            None if expected is not None and math.isinf(as_float(expected)) else what + "overflow"
        )
    except (ValueError, ZeroDivisionError) as error:
        return None if expected is None else f"{what}{error!r} instead of {as_float(expected)}"
    if expected is None:  # an undefined derivative is nan; the others stay usable
        gives_nan = by or name == "log_of_base"
        return None if gives_nan and math.isnan(got) else f"{what}{got} where there is none"
    rounded = as_float(expected)
    if math.isinf(rounded) or not math.isfinite(got):
        return None if got == rounded else f"{what}{got} instead of {rounded}"
    with mp.workdps(50):
        error = abs(mpf(got) - expected) / mpf(math.ulp(rounded))
    if error <= ulps_allowed(name, len(by), point):
        return None
    return f"{what}{got!r} instead of {rounded!r}, {float(error):.1f} ulp off"


@pytest.mark.parametrize("kind", ["ordinary", "tiny", "huge"])
@pytest.mark.parametrize("name", PRIMITIVES)
def test_values_and_all_partial_derivatives_agree_with_mpmath(name: str, kind: str) -> None:
    operands = range(len(PRIMITIVES[name].backward))
    points = POINTS.get((len(operands), kind))
    assert points, f"{name!r} has {len(operands)} operands: add points for that many to POINTS"
    if name == "lowered_power":  # for power, in the derivatives that it is made for
        within = [p for p in POINTS[2, kind] if ("power", 3, p) not in BEYOND_FLOATS]
        points = [(*point, k) for point in within for k in (1.0, 2.0)]
    complaints = []
    for order, point in product(range(4), points):
        try:
            PRIMITIVES[name](*[Value(x) for x in point])
        except (ValueError, ZeroDivisionError, OverflowError):
            if order:
                continue  # there is no node to differentiate; order 0 checks the error
        free = [i for i in operands if FIXED.get(name) != i]
        found = [complaint(name, point, by) for by in product(free, repeat=order)]
        if (name, order, point) in BEYOND_FLOATS:
            assert any(found), f"{name} at {point} is right now: remove it from BEYOND_FLOATS"
        else:
            complaints += [text for text in found if text]
    assert not complaints, "\n".join(complaints)


def test_a_row_without_a_reference_fails_and_says_what_to_add() -> None:
    with pytest.raises(AssertionError, match=r"'cbrt' has no reference: add a line .* FUNCTIONS"):
        exact("cbrt", (8.0,))


# --- edge values ----------------------------------------------------------------------------------

DOMAIN, OVER, DIV0 = ValueError, OverflowError, ZeroDivisionError
NONE = "no node"  # where the value raises there is nothing to differentiate

EDGES = (0.0, -0.0, inf, -inf, nan, MAX, -MAX, TINY, -TINY)
SIN_MAX, COS_MAX = 0.004961954789184062, -0.9999876894265599
LOG_MAX, LOG_TINY = 709.782712893384, -744.4400719213812
LOG2, ERF_SLOPE = 0.6931471805599453, 1.1283791670955126

# For each of EDGES in order: the values, and below them the first derivatives.
UNARY_EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "neg": (
        [-0.0, 0.0, -inf, inf, nan, -MAX, MAX, -TINY, TINY],
        [-1.0] * 9,
    ),
    "exp": (
        [1.0, 1.0, inf, 0.0, nan, OVER, 0.0, 1.0, 1.0],
        [1.0, 1.0, inf, 0.0, nan, NONE, 0.0, 1.0, 1.0],
    ),
    "expm1": (
        [0.0, -0.0, inf, -1.0, nan, OVER, -1.0, TINY, -TINY],
        [1.0, 1.0, inf, 0.0, nan, NONE, 0.0, 1.0, 1.0],
    ),
    "log": (
        [DOMAIN, DOMAIN, inf, DOMAIN, nan, LOG_MAX, DOMAIN, LOG_TINY, DOMAIN],
        [NONE, NONE, 0.0, NONE, nan, 1 / MAX, NONE, inf, NONE],
    ),
    "log_of_base": (
        [0.0, 0.0, inf, nan, nan, LOG_MAX, nan, LOG_TINY, nan],
        [0.0, 0.0, 0.0, nan, nan, 1 / MAX, nan, inf, nan],
    ),
    "log1p": (
        [0.0, -0.0, inf, DOMAIN, nan, LOG_MAX, DOMAIN, TINY, -TINY],
        [1.0, 1.0, 0.0, NONE, nan, 1 / MAX, NONE, 1.0, 1.0],
    ),
    "sqrt": (
        [0.0, -0.0, inf, DOMAIN, nan, math.sqrt(MAX), DOMAIN, math.sqrt(TINY), DOMAIN],
        [DIV0, DIV0, 0.0, NONE, nan, 2.0**-513, NONE, 2.0**536, NONE],
    ),
    "sin": (
        [0.0, -0.0, DOMAIN, DOMAIN, nan, SIN_MAX, -SIN_MAX, TINY, -TINY],
        [1.0, 1.0, NONE, NONE, nan, COS_MAX, COS_MAX, 1.0, 1.0],
    ),
    "cos": (
        [1.0, 1.0, DOMAIN, DOMAIN, nan, COS_MAX, COS_MAX, 1.0, 1.0],
        [-0.0, 0.0, NONE, NONE, nan, -SIN_MAX, SIN_MAX, -TINY, TINY],
    ),
    "tanh": (
        [0.0, -0.0, 1.0, -1.0, nan, 1.0, -1.0, TINY, -TINY],
        [1.0, 1.0, 0.0, 0.0, nan, 0.0, 0.0, 1.0, 1.0],
    ),
    "sech": (
        [1.0, 1.0, 0.0, 0.0, nan, 0.0, 0.0, 1.0, 1.0],
        [-0.0, 0.0, -0.0, 0.0, nan, -0.0, 0.0, -TINY, TINY],
    ),
    "sigmoid": (
        [0.5, 0.5, 1.0, 0.0, nan, 1.0, 0.0, 0.5, 0.5],
        [0.25, 0.25, 0.0, 0.0, nan, 0.0, 0.0, 0.25, 0.25],
    ),
    "softplus": (
        [LOG2, LOG2, inf, 0.0, nan, MAX, 0.0, LOG2, LOG2],
        [0.5, 0.5, 1.0, 0.0, nan, 1.0, 0.0, 0.5, 0.5],
    ),
    "gaussian": (
        [1.0, 1.0, 0.0, 0.0, nan, 0.0, 0.0, 1.0, 1.0],
        [-0.0, 0.0, -0.0, 0.0, nan, -0.0, 0.0, -2 * TINY, 2 * TINY],
    ),
    "erf": (
        [0.0, -0.0, 1.0, -1.0, nan, 1.0, -1.0, TINY, -TINY],
        [ERF_SLOPE, ERF_SLOPE, 0.0, 0.0, nan, 0.0, 0.0, ERF_SLOPE, ERF_SLOPE],
    ),
    # For choices, nan is on neither side of the kink and has the slope of the kink.
    "relu": (
        [0.0, 0.0, inf, 0.0, nan, MAX, 0.0, TINY, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0],
    ),
    "abs": (
        [0.0, 0.0, inf, inf, nan, MAX, MAX, TINY, TINY],
        [0.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0, 1.0, -1.0],
    ),
}

# Operands, then the value and the derivative by each operand.
BINARY_EDGES: dict[str, list[tuple[float, float, Any, Any, Any]]] = {
    "add": [
        (0.0, -0.0, 0.0, 1.0, 1.0),
        (-0.0, -0.0, -0.0, 1.0, 1.0),
        (inf, 1.0, inf, 1.0, 1.0),
        (inf, -inf, nan, 1.0, 1.0),
        (nan, 1.0, nan, 1.0, 1.0),
        (MAX, MAX, inf, 1.0, 1.0),
        (TINY, -TINY, 0.0, 1.0, 1.0),
        (1.0, TINY, 1.0, 1.0, 1.0),
    ],
    "sub": [
        (0.0, 0.0, 0.0, 1.0, -1.0),
        (-0.0, 0.0, -0.0, 1.0, -1.0),
        (inf, inf, nan, 1.0, -1.0),
        (-inf, 1.0, -inf, 1.0, -1.0),
        (1.0, nan, nan, 1.0, -1.0),
        (-MAX, MAX, -inf, 1.0, -1.0),
        (TINY, TINY, 0.0, 1.0, -1.0),
    ],
    "mul": [
        (0.0, -0.0, -0.0, -0.0, 0.0),
        (-0.0, -2.0, 0.0, -2.0, -0.0),
        (inf, 0.0, nan, 0.0, inf),
        (inf, -2.0, -inf, -2.0, inf),
        (nan, 2.0, nan, 2.0, nan),
        (MAX, 2.0, inf, 2.0, MAX),
        (TINY, 0.25, 0.0, 0.25, TINY),
        (-TINY, MAX, -TINY * MAX, MAX, -TINY),
    ],
    "div": [
        (0.0, 0.0, DIV0, NONE, NONE),
        (1.0, -0.0, DIV0, NONE, NONE),
        (inf, 0.0, DIV0, NONE, NONE),
        (0.0, -2.0, -0.0, -0.5, -0.0),
        (1.0, inf, 0.0, 0.0, -0.0),
        (inf, inf, nan, 0.0, nan),
        (inf, 2.0, inf, 0.5, -inf),
        (nan, 2.0, nan, 0.5, nan),
        (2.0, nan, nan, nan, nan),
        (MAX, 0.5, inf, 2.0, -inf),
        (1.0, MAX, 1 / MAX, 1 / MAX, -0.0),
        (TINY, 2.0, 0.0, 0.5, -0.0),
        (TINY, TINY, 1.0, inf, -inf),
    ],
    "power": [
        (0.0, 0.0, 1.0, 0.0, 0.0),
        (0.0, 1.0, 0.0, 1.0, 0.0),
        (-0.0, 1.0, -0.0, 1.0, 0.0),
        (0.0, 2.0, 0.0, 0.0, 0.0),
        (0.0, 0.5, 0.0, DIV0, 0.0),
        (0.0, TINY, 0.0, DIV0, 0.0),
        (0.0, -1.0, DIV0, NONE, NONE),
        (-0.0, -2.0, DIV0, NONE, NONE),
        (0.0, MAX, 0.0, 0.0, 0.0),
        (-1.0, 2.0, 1.0, -2.0, nan),
        (-1.0, 0.5, DOMAIN, NONE, NONE),
        (-inf, 3.0, -inf, inf, nan),
        (inf, 2.0, inf, inf, inf),
        (inf, 1.0, inf, 1.0, inf),
        (inf, 0.5, inf, 0.0, inf),
        (inf, 0.0, 1.0, 0.0, inf),
        (nan, 0.0, 1.0, nan, nan),
        (nan, 2.0, nan, nan, nan),
        (2.0, nan, nan, nan, nan),
        (1.0, nan, 1.0, nan, 0.0),
        (1.0, inf, 1.0, inf, 0.0),
        (2.0, inf, inf, inf, inf),
        (2.0, MAX, OVER, NONE, NONE),
        (MAX, 2.0, OVER, NONE, NONE),
        (MAX, 1.0, MAX, 1.0, inf),
        (TINY, -1.0, OVER, NONE, NONE),
        (TINY, 1.0, TINY, 1.0, -744 * TINY),
        (TINY, TINY, 1.0, OVER, LOG_TINY),
        (TINY, 0.0, 1.0, OVER, LOG_TINY),
        (MAX, 0.0, 1.0, 0.0, LOG_MAX),
    ],
    "exponent": [
        (0.0, 0.0, 0.0, 0.0, 0.0),
        (-0.0, -0.0, -0.0, 0.0, 0.0),
        (2.0, 0.0, 2.0, 0.0, 0.0),
        (2.0, TINY, 2.0, 1.0, 0.0),
        (inf, 1.0, inf, 1.0, 0.0),
        (nan, 0.0, nan, 0.0, 0.0),
        (0.0, nan, 0.0, 1.0, 0.0),
    ],
    "greater": [
        (0.0, -0.0, 0.0, 0.0, 0.0),
        (inf, inf, 0.0, 0.0, 0.0),
        (inf, MAX, 1.0, 0.0, 0.0),
        (TINY, 0.0, 1.0, 0.0, 0.0),
        (nan, 0.0, 0.0, 0.0, 0.0),
        (0.0, nan, 0.0, 0.0, 0.0),
    ],
    "less": [
        (-0.0, 0.0, 0.0, 0.0, 0.0),
        (inf, inf, 0.0, 0.0, 0.0),
        (MAX, inf, 1.0, 0.0, 0.0),
        (0.0, TINY, 1.0, 0.0, 0.0),
        (nan, 0.0, 0.0, 0.0, 0.0),
        (0.0, nan, 0.0, 0.0, 0.0),
    ],
    "maximum": [
        (0.0, -0.0, 0.0, 0.5, 0.5),
        (-0.0, 0.0, -0.0, 0.5, 0.5),
        (inf, inf, inf, 0.5, 0.5),
        (-inf, -inf, -inf, 0.5, 0.5),
        (inf, -inf, inf, 1.0, 0.0),
        (MAX, inf, inf, 0.0, 1.0),
        (TINY, 0.0, TINY, 1.0, 0.0),
        (nan, 1.0, nan, 0.5, 0.5),
        (1.0, nan, nan, 0.5, 0.5),
    ],
    "minimum": [
        (0.0, -0.0, 0.0, 0.5, 0.5),
        (-0.0, 0.0, -0.0, 0.5, 0.5),
        (inf, inf, inf, 0.5, 0.5),
        (-inf, -inf, -inf, 0.5, 0.5),
        (inf, -inf, -inf, 0.0, 1.0),
        (MAX, inf, MAX, 1.0, 0.0),
        (TINY, 0.0, 0.0, 0.0, 1.0),
        (nan, 1.0, nan, 0.5, 0.5),
        (1.0, nan, nan, 0.5, 0.5),
    ],
}

# Condition and two operands, then the value and the derivative by each of the three.
TERNARY_EDGES: dict[str, list[tuple[Any, ...]]] = {
    "where": [
        (0.0, 1.0, 2.0, 2.0, 0.0, 0.0, 1.0),
        (-0.0, 1.0, 2.0, 2.0, 0.0, 0.0, 1.0),
        (TINY, 1.0, 2.0, 1.0, 0.0, 1.0, 0.0),
        (-inf, 1.0, nan, 1.0, 0.0, 1.0, 0.0),
        (nan, 1.0, 2.0, 1.0, 0.0, 1.0, 0.0),
        (0.0, nan, -0.0, -0.0, 0.0, 0.0, 1.0),
        (1.0, inf, nan, inf, 0.0, 1.0, 0.0),
    ],
    "lowered_power": [
        (0.0, 0.0, 1.0, 1.0, -1.0, 0.0, 0.0),
        (-0.0, 1.0, 2.0, 1.0, -1.0, 0.0, 0.0),
        (0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0),
        (0.0, 3.0, 1.0, 0.0, 0.0, 0.0, 0.0),
        (0.0, 1.5, 1.0, 0.0, DIV0, 0.0, 0.0),
        (0.0, 0.5, 1.0, DIV0, NONE, NONE, NONE),
        (0.0, -1.0, 1.0, DIV0, NONE, NONE, NONE),
        (0.0, nan, 1.0, nan, nan, nan, 0.0),
        (-1.0, 3.0, 1.0, 1.0, -2.0, nan, 0.0),
        (-1.0, 0.5, 1.0, DOMAIN, NONE, NONE, NONE),
        (2.0, 3.0, 1.0, 4.0, 4.0, 4.0 * LOG2, 0.0),
        (inf, 0.5, 1.0, 0.0, -0.0, nan, 0.0),
        (inf, inf, 1.0, inf, inf, inf, 0.0),
        (2.0, inf, 1.0, inf, inf, inf, 0.0),
        (1.0, nan, 1.0, 1.0, nan, 0.0, 0.0),
        (TINY, 0.0, 1.0, OVER, NONE, NONE, NONE),
    ],
}

# A plain exponent of 0 gives a slope of 0; for one near 0, the rule does not round n - 1 to -1.
PLAIN = {(TINY, 0.0): 0.0, (TINY, TINY): 1.0}
BINARY_EDGES["pow"] = [
    (x, y, value, 0.0 if math.isnan(x) and y == 0.0 else PLAIN.get((x, y), slope), NONE)
    for x, y, value, slope, _ in BINARY_EDGES["power"]
]

EDGE_CASES = [
    *[
        (name, (x,), value, (slope,))
        for name, (values, slopes) in UNARY_EDGES.items()
        for x, value, slope in zip(EDGES, values, slopes, strict=True)
    ],
    *[(name, row[:2], row[2], row[3:]) for name, rows in BINARY_EDGES.items() for row in rows],
    *[(name, row[:3], row[3], row[4:]) for name, rows in TERNARY_EDGES.items() for row in rows],
]


def same(got: Any, expected: Any, signed: bool = True) -> bool:
    """Whether the table says this: the same error, both nan, or the same number and sign."""
    if isinstance(got, Exception):
        return type(got) is expected
    if not isinstance(expected, float) or math.isnan(expected):
        return isinstance(expected, float) and math.isnan(got)
    zero_signs_agree = not signed or math.copysign(1, got) == math.copysign(1, expected)
    close = math.isclose(got, expected, rel_tol=4e-16)
    return close and (expected != 0.0 or zero_signs_agree)


def outcome(compute: Any) -> Any:
    try:
        return compute()
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        return error


def slope_by_backward(row: Any, point: tuple[float, ...], i: int) -> float:
    """Return the slope by the float sweep; the other operands are plain numbers."""
    operands = [Value(x) if j == i else x for j, x in enumerate(point)]
    row(*operands).backward()
    return operands[i].grad


@pytest.mark.parametrize("name", sorted({name for name, *_ in EDGE_CASES}))
def test_edge_values_follow_the_table(name: str) -> None:
    """In the forward pass, in the sweep on floats and in the sweep on Values."""
    for _, point, value, slopes in (edge for edge in EDGE_CASES if edge[0] == name):
        with case(point):
            check_edge(name, point, value, slopes)


def check_edge(name: str, point: tuple[float, ...], value: Any, slopes: tuple[Any, ...]) -> None:
    row = PRIMITIVES[name]
    forward = outcome(lambda: row(*[Value(x) for x in point]).data)
    assert same(forward, value), f"value {forward!r} instead of {value}"
    if isinstance(forward, Exception):
        assert set(slopes) == {NONE}
        return
    for i, slope in enumerate(slopes):
        if FIXED.get(name) == i:
            continue
        floats = outcome(lambda i=i: slope_by_backward(row, point, i))
        values = outcome(lambda i=i: derivative(name, point, (i,)))
        # A contribution is added to 0.0, which turns -0.0 into 0.0: ignore the sign of zero.
        assert same(floats, slope, signed=False), f"by {i}: {floats!r} instead of {slope}"
        assert same(values, slope, signed=False), f"by {i}: {values!r} instead of {slope}"


@pytest.mark.parametrize("x", [1e-300, 1e-10, 0.7, 1e10, 1e300])
@pytest.mark.parametrize("y", [0.3, -0.1, 1e-10, 1 / 3, 0.75, 1.01])
def test_the_slope_of_a_power_with_a_plain_exponent_is_right_to_4_ulp(x: float, y: float) -> None:
    got = slope_by_backward(PRIMITIVES["pow"], (x, y), 0)
    expected = exact("pow", (x, y), (0,))
    assert abs(mpf(got) - expected) <= 4 * math.ulp(float(expected))


def test_every_row_has_edge_values_in_the_table() -> None:
    written = set(UNARY_EDGES) | set(BINARY_EDGES) | set(TERNARY_EDGES)
    assert set(PRIMITIVES) == written, "add the edge values of the new row to the table here"


# --- conventions at kinks -------------------------------------------------------------------------


@pytest.mark.parametrize("x", [0.0, -0.0])
def test_relu_and_abs_have_slope_zero_at_zero(x: float) -> None:
    for f in (Value.relu, abs):
        v = Value(x)
        f(v).backward()
        assert v.grad == 0.0


@pytest.mark.parametrize("choice", [maximum, minimum])
@pytest.mark.parametrize("x", [0.0, -3.5, inf, -inf])
def test_a_tie_shares_the_gradient_equally(choice: Any, x: float) -> None:
    a, b = Value(x), Value(x)
    (7.0 * choice(a, b)).backward()
    assert (a.grad, b.grad) == (3.5, 3.5)


@pytest.mark.parametrize("choice", [maximum, minimum])
def test_a_node_tied_with_itself_receives_the_whole_gradient(choice: Any) -> None:
    a = Value(2.0)
    choice(a, a).backward()
    assert a.grad == 1.0


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0])
def test_zero_to_a_power_has_slope_zero_by_the_exponent_to_every_order(exponent: float) -> None:
    y = Value(exponent)
    slope = Value(0.0) ** y
    for _ in range(3):
        (slope,) = grad(slope, [y], create_graph=True)
        assert slope.data == 0.0


@pytest.mark.parametrize(
    ("exponent", "derivatives"),
    [(0, [0.0, 0.0, 0.0]), (1, [1.0, 0.0, 0.0]), (2, [0.0, 2.0, 0.0]), (3, [0.0, 0.0, 6.0])],
)
def test_integer_powers_of_zero_have_every_derivative(
    exponent: int, derivatives: list[float]
) -> None:
    """x ** n is a polynomial: its derivatives divide nothing by 0."""
    x = Value(0.0)
    result = x**exponent
    for expected in derivatives:
        (result,) = grad(result, [x], create_graph=True)
        assert result.data == expected


def test_where_passes_the_gradient_to_the_chosen_operand_only() -> None:
    a, b, condition = Value(3.0), Value(5.0), Value(1.0)
    (2.0 * where(condition, a, b)).backward()
    assert (condition.grad, a.grad, b.grad) == (0.0, 2.0, 0.0)


# --- choices by comparison ------------------------------------------------------------------------


def huber(error: Value, delta: float) -> Value:
    """Half the square up to delta, linear beyond."""
    size = abs(error)
    return where(less(size, delta), 0.5 * error * error, delta * (size - 0.5 * delta))


def pinball(error: Value, quantile: float) -> Value:
    """quantile * e above 0, (quantile - 1) * e below."""
    return where(greater(error, 0.0), quantile * error, (quantile - 1.0) * error)


@pytest.mark.parametrize(
    ("error", "value", "slope"),
    [(0.5, 0.125, 0.5), (-0.5, 0.125, -0.5), (3.0, 4.0, 2.0), (-5.0, 8.0, -2.0), (0.0, 0.0, 0.0)],
)
def test_the_huber_loss_by_hand(error: float, value: float, slope: float) -> None:
    """With delta = 2: 3 gives 2 (3 - 1) = 4 with slope 2."""
    x = Value(error)
    loss = huber(x, 2.0)
    loss.backward()
    assert (loss.data, x.grad) == (value, slope)


@pytest.mark.parametrize(
    ("error", "value", "slope"), [(2.0, 1.8, 0.9), (-2.0, 0.2, -0.1), (0.0, 0.0, -0.1)]
)
def test_the_pinball_loss_by_hand(error: float, value: float, slope: float) -> None:
    x = Value(error)
    loss = pinball(x, 0.9)
    loss.backward()
    assert loss.data == pytest.approx(value, rel=1e-15)
    assert x.grad == pytest.approx(slope, rel=1e-15)


def test_comparisons_are_nodes_that_pass_no_gradient_back() -> None:
    a, b = Value(1.0, "a"), Value(2.0, "b")
    for comparison, number, op in ((less(a, b), 1.0, "less"), (greater(a, b), 0.0, "greater")):
        assert (comparison.data, comparison.op, comparison.parents) == (number, op, (a, b))
        (comparison * a).backward()
        assert (a.grad, b.grad) == (number, 0.0)
        a.grad = 0.0
    assert [less(1.0, 2.0), greater(1.0, 2.0), less(2, b).data, greater(b, 1).data] == [1, 0, 0, 1]


def test_where_takes_the_bool_of_a_comparison() -> None:
    x = Value(3.0)
    assert where(x > 0, x * x, -x).data == 9.0
    assert where(x < 0, x * x, -x).data == -3.0


def test_a_users_primitive_with_the_name_of_a_row_is_not_a_row() -> None:
    assert all(ops.is_row(row) for row in ops.TABLE.values())
    assert not ops.is_row(Primitive("exp", math.exp, lambda out, x: out))


@pytest.mark.parametrize("function", [greater, less, maximum, minimum, where])
def test_the_help_of_a_function_says_how_it_is_called(function: Any) -> None:
    operands = "condition, a, b" if function is where else "a, b"
    shown = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert f"{function.name}({operands}): " in shown
    assert "forward" not in shown
