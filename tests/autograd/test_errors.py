"""Does bad input raise the right error, and does it name the operation, operands and labels?"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from contextlib import nullcontext
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from autograd import (
    Primitive,
    Value,
    draw,
    grad,
    gradcheck,
    hessian,
    jacobian,
    maximum,
    no_grad,
    ops,
    steps,
    where,
)
from autograd.backward import topological_order

x = Value(0.0, label="x")
v = Value(2.0, label="v")


def raises_exactly(kind: type[Exception], message: str, compute: Callable[[], Any]) -> None:
    with pytest.raises(kind) as caught:
        compute()
    assert type(caught.value) is kind
    assert str(caught.value) == message


POSITIVE = "it takes numbers above 0"
WHOLE = "a base below 0 takes whole exponents only"
LARGE = "the result is too large for a float"


@pytest.mark.parametrize(
    ("compute", "kind", "message"),
    [
        (lambda: x.log(), ValueError, f"log(x = 0.0): {POSITIVE}"),
        (lambda: Value(0.0).log(), ValueError, f"log(0.0): {POSITIVE}"),
        (lambda: Value(-1).log(), ValueError, f"log(-1.0): {POSITIVE}"),
        (lambda: ops.log(Value(-1)), ValueError, f"log(-1.0): {POSITIVE}"),
        (lambda: Value(-1, "p").log1p(), ValueError, "log1p(p = -1.0): it takes numbers above -1"),
        (lambda: Value(-1).sqrt(), ValueError, "sqrt(-1.0): it takes 0 and above"),
        (lambda: Value(math.inf).sin(), ValueError, "sin(inf): it takes finite numbers"),
        (lambda: Value(-math.inf).cos(), ValueError, "cos(-inf): it takes finite numbers"),
        (lambda: Value(-8.0) ** 0.5, ValueError, f"pow(-8.0, 0.5): {WHOLE}"),
        (
            lambda: Value(-8.0, "b") ** Value(0.5, "e"),
            ValueError,
            f"power(b = -8.0, e = 0.5): {WHOLE}",
        ),
        (lambda: (-8.0) ** Value(0.5), ValueError, f"power(-8.0, 0.5): {WHOLE}"),
        (lambda: 1 / x, ZeroDivisionError, "div(1.0, x = 0.0): division by zero"),
        (lambda: v / x, ZeroDivisionError, "div(v = 2.0, x = 0.0): division by zero"),
        (lambda: x**-1, ZeroDivisionError, "pow(x = 0.0, -1.0): division by zero"),
        (lambda: 0 ** Value(-1), ZeroDivisionError, "power(0.0, -1.0): division by zero"),
        (lambda: Value(1000).exp(), OverflowError, f"exp(1000.0): {LARGE}"),
        (lambda: Value(1e3, "big").expm1(), OverflowError, f"expm1(big = 1000.0): {LARGE}"),
        (lambda: Value(10.0) ** 400, OverflowError, f"pow(10.0, 400.0): {LARGE}"),
    ],
)
def test_out_of_domain(compute: Callable[[], Any], kind: type[Exception], message: str) -> None:
    raises_exactly(kind, message, compute)


@pytest.mark.parametrize(("base", "exponent"), [(-1e-300, -2.5), (-1e300, 1.5), (-8.0, 1e-3)])
def test_a_fractional_power_of_a_negative_base_of_any_size_is_rejected(
    base: float, exponent: float
) -> None:
    """Even where Python's complex power would overflow."""
    raises_exactly(ValueError, f"pow({base}, {exponent}): {WHOLE}", lambda: Value(base) ** exponent)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("a", "'a' (str)"),
        ("1.5", "'1.5' (str)"),
        (b"1", "b'1' (bytes)"),
        (1 + 2j, "(1+2j) (complex)"),
        (np.complex128(1), "(1+0j) (complex)"),
        (np.complex64(1 + 2j), "(1+2j) (complex)"),
        (np.array(1j), "1j (complex)"),
        (np.str_("1"), "'1' (str)"),
        (np.bytes_(b"1"), "b'1' (bytes)"),
        (np.array("1"), "'1' (str)"),
        (np.array(None), "None (NoneType)"),
        (np.ma.masked, "None (NoneType)"),
        (None, "None (NoneType)"),
        ([1.0], "[1.0] (list): make a Value of each of its numbers"),
        (Value(1), "Value(data=1.0, grad=0.0) (Value): take its .data"),
        (np.array([1.0, 2.0]), "array([1., 2.]): make a Value of each of its numbers"),
    ],
    ids=repr,
)
def test_value_rejects_non_numbers(data: Any, shown: str) -> None:
    raises_exactly(TypeError, f"a Value holds a real number, not {shown}", lambda: Value(data))


@pytest.mark.parametrize("number", [None, "a", [1.0], Value(1.0)], ids=repr)
def test_a_non_number_cannot_be_assigned(number: Any) -> None:
    """`p.data = p - rate * p.grad` assigns a Value, as the second `.data` is missing."""
    v = Value(2.0)
    # A gradient may be None, as PyTorch's zero_grad() leaves it, or a Value, as grad() returns it.
    for name in ["data", "grad"] if isinstance(number, str | list) else ["data"]:
        with pytest.raises(TypeError, match=r"^a Value holds a real number, not "):
            setattr(v, name, number)
    assert (v.data, v.grad) == (2.0, 0.0)


@pytest.mark.parametrize("make", [Value, lambda n: v + n, lambda n: n * v])
def test_an_integer_too_large_for_a_float_is_rejected(make: Callable[[int], Value]) -> None:
    message = "a Value holds a float, and this int is too large"
    raises_exactly(OverflowError, message, lambda: make(10**400))


def test_a_decimal_too_large_for_a_float_is_rejected_and_infinity_is_not() -> None:
    """float(Decimal("1e400")) is inf, where that of an int or a Fraction raises."""
    for large in (Decimal("1e400"), Decimal("-1e400")):
        message = "a Value holds a float, and this Decimal is too large"
        raises_exactly(OverflowError, message, lambda large=large: Value(large))
    assert Value(Decimal("-inf")).data == -math.inf
    assert Value(np.longdouble("inf")).data == math.inf


@pytest.mark.parametrize("operand", ["a", None, 1j, [1.0], object()])
def test_operators_reject_non_numbers(operand: Any) -> None:
    for compute in (
        lambda: v + operand,
        lambda: v - operand,
        lambda: operand / v,
        lambda: v**operand,
        lambda: operand - v,
        lambda: v < operand,
        lambda: v >= operand,
    ):
        with pytest.raises(TypeError, match=r"unsupported operand|not supported between"):
            compute()


@pytest.mark.parametrize("thing", [2.0, "a", [Value(1.0)], None])
@pytest.mark.parametrize("switch", [nullcontext, no_grad])
def test_a_method_called_on_something_else_says_that_it_takes_a_value(
    thing: Any, switch: Any
) -> None:
    message = f"Value.tanh takes a single Value, not {thing!r}"
    with switch():
        raises_exactly(TypeError, message, lambda: Value.tanh(thing))


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (
            lambda: maximum(v, "a"),
            "maximum() takes Values and real numbers, not (Value, str)",
        ),
        (lambda: maximum(v), "maximum() takes 2 operands, got 1"),
        (lambda: where(v, 1), "where() takes 3 operands, got 2"),
        (lambda: where(1, 2, 3, v), "where() takes 3 operands, got 4"),
        (lambda: ops.exp(v, v), "exp() takes 1 operand, got 2"),
    ],
)
def test_functions_reject_a_wrong_number_or_type_of_operands(
    compute: Callable[[], Any], message: str
) -> None:
    raises_exactly(TypeError, message, compute)


RULE = (
    "Primitive 'f': backward must be a function of (out, *operands), a number or None, or a"
    " sequence with one of these for each operand, not "
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", abs, 1.0), "a Primitive's name must be a non-empty string, not ''"),
        ((3, abs, 1.0), "a Primitive's name must be a non-empty string, not 3"),
        (("f", 3, 1.0), "Primitive 'f': forward must be callable, not 3"),
        (("f", abs, 1.0, None), "Primitive 'f': symbol must be a string, not None"),
        (("f", abs, 1.0, "", 3), "Primitive 'f': domain must be a string, not 3"),
        (("f", abs, "g"), RULE + "'g'"),
        (("f", abs, [1.0, "g"]), RULE + "'g'"),
        (("f", abs, []), RULE + "[]"),
        (("f", abs, 1j), RULE + "1j"),
        (("f", abs, lambda x: 2 * x), RULE + "a function of (x)"),
        (
            ("f", math.hypot, lambda out, a, b: (a / out, b / out)),
            RULE
            + "a function of (out, a, b): write [lambda out, a, b: ..., lambda out, a, b: ...]",
        ),
        (("f", math.hypot, [lambda out: 1.0, 1.0]), RULE + "a function of (out)"),
    ],
)
def test_primitive_rejects_wrong_arguments(arguments: Any, message: str) -> None:
    raises_exactly(TypeError, message, lambda: Primitive(*arguments))


@pytest.mark.parametrize("returned", ["a", None])
def test_a_forward_that_returns_a_non_number_is_named(returned: Any) -> None:
    f = Primitive("f", lambda a: returned, 1.0)
    raises_exactly(
        TypeError, f"f(v = 2.0): forward must return a float, not {returned!r}", lambda: f(v)
    )


def test_a_forward_that_returns_a_complex_number_is_outside_its_domain() -> None:
    root = Primitive("root", lambda a: a**0.5, lambda out, a: 0.5 / out)
    raises_exactly(ValueError, "root(-4.0): outside the domain", lambda: root(Value(-4.0)))


NON_NUMBERS = [(2.0,), [1.0, 2.0], None, "a", 2j, np.complex64(2j), np.array(2j), array("d", [2.0])]


@pytest.mark.parametrize("returned", NON_NUMBERS)
def test_a_backward_that_returns_a_non_number_is_named(returned: Any) -> None:
    f = Primitive("f", lambda a: a, lambda out, a: returned)
    x = Value(2.0)
    message = (
        f"backward of f must return a number or a Value, not {returned!r}; with several operands,"
        " backward is a sequence with a rule for each"
    )
    for output in (f(x), 3.0 * f(x)):
        raises_exactly(TypeError, message, output.backward)
        for create_graph in (False, True):
            raises_exactly(TypeError, message, partial(grad, output, [x], create_graph))
    assert x.grad == 0.0


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.array, Value])
def test_a_slope_of_any_type_gives_a_float64_gradient(kind: Any) -> None:
    f = Primitive("f", lambda a: a, lambda out, a: kind(0.5))
    x = Value(2.0)
    output = 0.1 * f(x)
    output.backward()
    assert (x.grad, type(x.grad)) == (0.05, float)
    assert [slope.data for slope in grad(output, [x])] == [0.05]


@pytest.mark.parametrize("slope", [2, 2.0, np.float32(2.0), np.int64(2), Fraction(2)])
def test_a_number_of_any_kind_is_a_constant_derivative(slope: Any) -> None:
    x = Value(3.0)
    Primitive("twice", lambda x: 2.0 * x, slope)(x).backward()
    assert x.grad == 2.0
    assert type(x.grad) is float


@pytest.mark.parametrize("returned", [np.float64(2.0), np.array(2.0), Fraction(2), Value(2.0)])
def test_a_rule_may_return_any_type_of_number(returned: Any) -> None:
    f, x = Primitive("f", lambda a: a, lambda out, a: returned), Value(3.0)
    f(x).backward()
    assert float(x.grad) == grad(f(x), [x])[0].data == 2.0


@pytest.mark.parametrize(
    "rule", [lambda out, a, factor=3.0: factor, partial(lambda factor, out, a: factor, 3.0)]
)
def test_a_rule_may_keep_a_number_as_a_default_or_in_a_partial(rule: Any) -> None:
    """As in a loop, where a lambda must keep the number of its own round."""
    f, x = Primitive("f", lambda a: 3.0 * a, rule), Value(2.0)
    f(x).backward()
    assert x.grad == 3.0


def test_an_error_raised_by_a_users_forward_keeps_its_message_unless_there_is_a_domain() -> None:
    def forward(a: float) -> float:
        raise ValueError("only on Sundays")

    f = Primitive("f", forward, 1.0)
    raises_exactly(ValueError, "f(v = 2.0): only on Sundays", lambda: f(v))
    f = Primitive("f", forward, 1.0, domain="it takes Sundays")
    raises_exactly(ValueError, "f(v = 2.0): it takes Sundays", lambda: f(v))


FUNCTION = " and inputs to differentiate with respect to, not a function: "
INPUTS = "inputs must be a sequence of Values; write [inputs]"


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: grad(3.0, [v]), "grad() takes a Value to differentiate, not 3.0"),
        (lambda: grad(v, v), INPUTS),
        (
            lambda: grad(v, 3),
            "inputs must be a sequence of Values, such as model.parameters(), not 3",
        ),
        (
            lambda: grad(v, ""),
            "inputs must be a sequence of Values, such as model.parameters(), not ''",
        ),
        (
            lambda: grad(v, set()),  # it has no order
            "inputs must be a sequence of Values, such as model.parameters(), not set()",
        ),
        (
            lambda: jacobian(np.array(1), [v]),
            "outputs must be a sequence of Values, such as model.parameters(), not array(1)",
        ),
        (lambda: grad(v, [v, 1.0]), "inputs[1] must be a Value, not 1.0"),
        (lambda: jacobian([v], v), INPUTS),
        (lambda: jacobian(v, [v]), "outputs must be a sequence of Values; write [outputs]"),
        (lambda: jacobian([1.0], [v]), "outputs[0] must be a Value, not 1.0"),
        (lambda: hessian(3, [v]), "hessian() takes a Value to differentiate, not 3"),
        (lambda: hessian(v, v), INPUTS),
        (lambda: hessian(v, [v, 2]), "inputs[1] must be a Value, not 2"),
        (
            lambda: grad(v, [[1.0]]),
            "inputs[0] must be a Value, not [1.0]:"
            " list its Values, as in [v for row in W for v in row] of a Matrix W",
        ),
        (lambda: grad(abs), "grad() takes a Value" + FUNCTION + "grad(f(x), [x])"),
        (lambda: grad(abs, [v]), "grad() takes a Value" + FUNCTION + "grad(f(x), [x])"),
        (
            lambda: grad(v),
            "grad() takes a Value and inputs to differentiate with respect to: grad(f(x), [x])",
        ),
        (lambda: hessian(abs), "hessian() takes a Value" + FUNCTION + "hessian(f(x), [x])"),
        (lambda: jacobian(abs), "jacobian() takes Values" + FUNCTION + "jacobian([f(x)], [x])"),
        (lambda: ops.greater("a", "b"), "greater() takes Values and real numbers, not (str, str)"),
        (
            lambda: ops.greater(1.0, [2]),
            "greater() takes Values and real numbers, not (float, list)",
        ),
        (lambda: v.assign("a"), "a Value holds a real number, not 'a' (str)"),
    ],
)
def test_derivatives_reject_non_values(compute: Callable[[], Any], message: str) -> None:
    raises_exactly(TypeError, message, compute)


def test_topological_order_rejects_non_values() -> None:
    with pytest.raises(TypeError, match="Value"):
        topological_order(v, 3)


@pytest.mark.parametrize("text", ["2.0", "a"])
def test_gradcheck_rejects_a_string_as_an_input(text: Any) -> None:
    """As Value does, even where float() could parse the string."""
    with pytest.raises(TypeError, match="real number"):
        gradcheck(lambda a: a * a, [text])


def test_the_error_of_an_undefined_derivative_names_the_operand() -> None:
    root = Value(0.0, label="r").sqrt()
    message = "backward of sqrt(r = 0.0): division by zero"
    raises_exactly(ZeroDivisionError, message, root.backward)
    raises_exactly(ZeroDivisionError, message, lambda: grad(root, root.parents))


def test_the_error_of_a_higher_derivative_of_a_power_says_that_it_is_of_a_power() -> None:
    x, y = Value(0.0, label="x"), Value(1.5, label="y")
    (slope,) = grad(x**y, [x], create_graph=True)
    message = "backward of lowered_power(x = 0.0, y = 1.5, 1.0): division by zero"
    raises_exactly(ZeroDivisionError, message, slope.backward)


def test_a_backward_that_raises_leaves_every_gradient_unchanged() -> None:
    a, r = Value(3.0), Value(0.0)
    root = r.sqrt()
    output = a * a + root
    for i, node in enumerate((a, r, root, output), start=1):
        node.grad = float(i)
    with pytest.raises(ZeroDivisionError):
        output.backward()
    assert [node.grad for node in (a, r, root, output)] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("flag", ["no", 1, None, Value(0.0)])
def test_create_graph_must_be_a_bool(flag: Any) -> None:
    a = Value(2.0)
    message = f"create_graph must be True or False, not {flag!r}"
    raises_exactly(TypeError, message, lambda: grad(a * a, [a], create_graph=flag))
    raises_exactly(TypeError, message, lambda: jacobian([a * a], [a], create_graph=flag))
    raises_exactly(TypeError, message, lambda: hessian(a * a, [a], create_graph=flag))


@pytest.mark.parametrize("fact", ["commutes", "total"])
def test_facts_of_a_primitive_must_be_bools(fact: str) -> None:
    message = f"Primitive 'twice': {fact} must be True or False, not 'no'"

    options: dict[str, Any] = {fact: "no"}

    def make() -> Primitive:
        return Primitive("twice", lambda x: 2 * x, lambda out, x: 2.0, **options)

    raises_exactly(TypeError, message, make)


@pytest.mark.parametrize(
    "call",
    [
        Value,
        partial(Value, 1.0),
        v.assign,
        partial(grad, inputs=[v]),
        partial(gradcheck, inputs=[v]),
        steps(v).explain,
        lambda long: draw(v, format=long),
        lambda long: Primitive("twice", lambda x: 2 * x, lambda out, x: 2.0, text=long),
    ],
)
@pytest.mark.parametrize("long", [[0.5] * 10_000, [[[0.5] * 100] * 100] * 100, {"a" * 10_000: v}])
def test_an_error_message_shortens_long_arguments(call: Callable[[Any], Any], long: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call(long)
    assert len(str(caught.value)) < 600
