"""What does a primitive compute, as LLVM code? `EMIT` has a function for each that builds it.

The branches are those of `forward` in autograd/ops.py, and both call the same C library, so the
results are the same to the last bit. Primitives that are not in `EMIT` run in Python. Those that
are also in `VECTORISED` (numpy.py) take vectors as well as single numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from autograd import ops
from autograd.jit.graph import OUTPUT
from autograd.primitive import Primitive

FLOAT = ir.DoubleType()
Emit = Callable[..., Any]  # (builder, operands...) -> result


def _call(name: str) -> Emit:
    """Return a function that calls one of the C library, or an LLVM intrinsic for the same type."""

    def emit(b: ir.IRBuilder, *numbers: Any) -> Any:
        kind = numbers[0].type
        full = name
        if name.startswith("llvm."):
            full += f".v{kind.count}f64" if isinstance(kind, ir.VectorType) else ".f64"
        signature = ir.FunctionType(kind, [kind] * len(numbers))
        known = b.module.globals.get(full)
        return b.call(known or ir.Function(b.module, signature, full), numbers)

    return emit


def like(x: Any, number: float) -> ir.Constant:
    """Return a constant of the type of x: the number, or a vector of it."""
    kind = x.type
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


def _choose(b: ir.IRBuilder, sign: str, left: Any, right: float, a: Any, c: Any) -> Any:
    """a where left `sign` right, else c."""
    return b.select(b.fcmp_ordered(sign, left, like(left, right)), a, c)


def _greater(b: ir.IRBuilder, x: Any, y: Any) -> Any:
    return b.select(b.fcmp_ordered(">", x, y), like(x, 1.0), like(x, 0.0))


_exp, _abs, _floor = _call("exp"), _call("llvm.fabs"), _call("llvm.floor")


def _decay(b: ir.IRBuilder, x: Any) -> Any:
    return _exp(b, b.fneg(_abs(b, x)))


def _sigmoid(b: ir.IRBuilder, x: Any) -> Any:
    e = _decay(b, x)
    top = _choose(b, ">=", x, 0.0, like(x, 1.0), e)
    return b.fdiv(top, b.fadd(like(x, 1.0), e))


def _softplus(b: ir.IRBuilder, x: Any) -> Any:
    rest = _call("log1p")(b, _decay(b, x))
    return _choose(b, ">", x, 0.0, b.fadd(x, rest), rest)


def _sech(b: ir.IRBuilder, x: Any) -> Any:
    e = _decay(b, x)
    return b.fdiv(b.fmul(like(x, 2.0), e), b.fadd(like(x, 1.0), b.fmul(e, e)))


def _gaussian(b: ir.IRBuilder, x: Any) -> Any:
    square = b.fmul(x, x)
    e = _exp(b, b.fneg(square))
    high = b.fmul(x, like(x, 134217729.0))
    high = b.fsub(high, b.fsub(high, x))
    low = b.fsub(x, high)
    rest = b.fsub(b.fmul(high, high), square)
    rest = b.fadd(rest, b.fmul(b.fmul(like(x, 2.0), high), low))
    rest = b.fadd(rest, b.fmul(low, low))
    corrected = b.fsub(e, b.fmul(e, rest))
    return _choose(b, "<", square, 750.0, corrected, e)


def _log_of_base(b: ir.IRBuilder, x: Any) -> Any:
    logarithm = _call("log")(b, _choose(b, "<=", x, 0.0, like(x, 1.0), x))
    return _choose(b, "<", x, 0.0, like(x, math.nan), logarithm)


def _lowered(b: ir.IRBuilder, x: Any, y: Any, k: Any) -> Any:
    less = b.fsub(y, k)
    result = _call("pow")(b, x, less)
    rest = b.fmul(b.fsub(y, b.fadd(less, k)), _log_of_base(b, x))
    corrected = b.fadd(result, b.fmul(result, rest))
    result = _choose(b, "<", _abs(b, rest), math.inf, corrected, result)
    is_1 = b.fcmp_ordered("==", x, like(x, 0.0))
    for sign, left, right in ((">=", y, like(y, 0.0)), ("<", y, k), ("==", y, _floor(b, y))):
        is_1 = b.and_(is_1, b.fcmp_ordered(sign, left, right))
    return b.select(is_1, like(x, 1.0), result)


def _either(sign: str) -> Emit:
    """x where x `sign` y or x is nan, else y."""

    def emit(b: ir.IRBuilder, x: Any, y: Any) -> Any:
        left = b.or_(b.fcmp_ordered(sign, x, y), b.fcmp_unordered("uno", x, x))
        return b.select(left, x, y)

    return emit


EMIT: dict[Primitive, Emit] = {
    ops.add: lambda b, x, y: b.fadd(x, y),
    ops.sub: lambda b, x, y: b.fsub(x, y),
    ops.mul: lambda b, x, y: b.fmul(x, y),
    ops.div: lambda b, x, y: b.fdiv(x, y),
    ops.neg: lambda b, x: b.fneg(x),
    OUTPUT: lambda b, x: x,
    ops.pow: _call("pow"),
    ops.power: _call("pow"),
    ops.exponent: lambda b, y, x: y,
    ops.lowered_power: _lowered,
    ops.log_of_base: _log_of_base,
    ops.exp: _exp,
    ops.expm1: _call("expm1"),
    ops.log: _call("log"),
    ops.log1p: _call("log1p"),
    ops.sqrt: _call("llvm.sqrt"),
    ops.sin: _call("sin"),
    ops.cos: _call("cos"),
    ops.tanh: _call("tanh"),
    ops.sech: _sech,
    ops.sigmoid: _sigmoid,
    ops.softplus: _softplus,
    ops.gaussian: _gaussian,
    ops.erf: _call("erf"),
    ops.greater: _greater,
    ops.less: lambda b, x, y: _greater(b, y, x),
    ops.relu: lambda b, x: _choose(b, "<=", x, 0.0, like(x, 0.0), x),
    ops.abs: _abs,
    ops.maximum: _either(">="),
    ops.minimum: _either("<="),
    ops.where: lambda b, c, x, y: b.select(b.fcmp_unordered("!=", c, like(c, 0.0)), x, y),
}
