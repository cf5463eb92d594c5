"""Does a Value behave as promised, as a number and as an object?"""

from __future__ import annotations

import copy
import math
import operator
import pickle
import pydoc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from autograd import Value, copies, grad, ops
from autograd.value import as_constant, is_constant

NUMBERS = [2, 2.0, True, Fraction(5, 2), np.float64(2.5), np.float32(2.5), np.int64(2)]


def test_a_leaf_holds_a_float_a_zero_gradient_and_no_history() -> None:
    v = Value(3, label="v")
    assert (v.data, v.grad, v.label, v.op, v.parents) == (3.0, 0.0, "v", "", ())
    assert type(v.data) is float
    assert type(v.grad) is float


def test_a_node_names_its_operation_and_its_parents_in_operand_order() -> None:
    a, b = Value(2.0), Value(5.0)
    assert ((a - b).op, (a - b).parents) == ("sub", (a, b))
    reflected = 1 - a
    assert (reflected.parents[0].data, reflected.parents[1]) == (1.0, a)


@pytest.mark.parametrize("number", [*NUMBERS, np.array(2.5)], ids=repr)
def test_real_numbers_of_any_type_become_floats(number: Any) -> None:
    v, assigned = Value(number), Value(0.0)
    assigned.data = number
    assert type(v.data) is type(assigned.data) is float
    assert v.data == number


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


@pytest.mark.parametrize("operate", OPERATORS)
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_operators_take_plain_numbers_on_either_side(
    operate: Callable[[Any, Any], Any], number: Any
) -> None:
    v = Value(3.0)
    for result, expected in [
        (operate(v, number), operate(3.0, float(number))),
        (operate(number, v), operate(float(number), 3.0)),
    ]:
        assert type(result) is Value
        assert result.data == expected


@pytest.mark.parametrize("number", [*NUMBERS, np.array(2.5), np.float32(0.1)], ids=repr)
def test_primitives_of_plain_numbers_return_the_floats_that_values_hold(number: Any) -> None:
    for primitive in (ops.mul, ops.sub, ops.maximum, ops.pow):
        found = primitive(number, 3)
        assert type(found) is float
        assert found == primitive(Value(number), 3).data


def test_derivatives_through_reflected_operators() -> None:
    """d/dx at 3 of 5 - x, 6 / x, 2 ** x, 4 + x and 7 * x."""
    x = Value(3.0)
    slopes = [grad(y, [x])[0].data for y in (5 - x, 6 / x, 2**x, 4 + x, 7 * x)]
    assert slopes == pytest.approx([-1.0, -6 / 9, 8 * math.log(2), 1.0, 7.0], rel=1e-15)


def test_unary_operators() -> None:
    x = Value(-3.0)
    assert ((-x).data, (+x).data, abs(x).data) == (3.0, -3.0, 3.0)
    assert [grad(y, [x])[0].data for y in (-x, +x, abs(x))] == [-1.0, 1.0, -1.0]


def test_data_and_grad_are_assignable_and_the_next_pass_uses_them() -> None:
    x = Value(2.0)
    x.data, x.grad = 5.0, 100.0
    (x * x).backward()
    assert x.grad == 110.0


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_assigned_data_and_gradients_are_floats(number: Any) -> None:
    x = Value(2.0)
    x.data = x.grad = number
    (x * 0.1).backward()
    assert type(x.data) is type(x.grad) is float
    assert (x.data, x.grad) == (float(number), float(number) + 0.1)
    x.grad = Value(number)
    assert x.grad == float(number)


def test_assign_takes_the_number_but_not_the_history() -> None:
    x = Value(2.0)
    x.assign(Value(3.0) * 2)
    assert (x.data, x.parents) == (6.0, ())
    x.assign(7)
    assert type(x.data) is float
    assert x.data == 7.0


def test_equality_and_hash_go_by_identity() -> None:
    a, b = Value(1.0), Value(1.0)
    assert a != b
    same = a
    assert a == same
    assert a != 1.0
    assert len({a, b, a}) == 2


@pytest.mark.parametrize("other", [2, 2.0, Value(2.0), np.float64(2.0), Fraction(2)], ids=repr)
def test_comparisons_use_the_data_on_either_side(other: Any) -> None:
    small, equal, large = Value(1.0), Value(2.0), Value(3.0)
    assert small < other < large
    assert small <= other <= large
    assert large > other > small
    assert large >= other >= small
    assert equal <= other <= equal
    assert not equal < other
    assert not equal > other


def test_comparisons_with_nan_are_false() -> None:
    x, y = Value(math.nan), Value(1.0)
    assert [x < y, x <= y, x > y, x >= y] == [False] * 4


TRUTHS: dict[str, Callable[[Value], object]] = {
    "bool": bool,
    "not": lambda v: not v,
    "if": lambda v: 1 if v else 2,
    "and": lambda v: v and 1.0,
    "or": lambda v: v or 1.0,
    "any": lambda v: any([v]),
    "all": lambda v: all([v]),
    "filter": lambda v: list(filter(None, [v])),
    "an array": lambda v: bool(np.array([v])),
}


@pytest.mark.parametrize("look", TRUTHS.values(), ids=TRUTHS.keys())
@pytest.mark.parametrize("number", [0.0, 2.0])
def test_a_value_is_neither_true_nor_false(look: Callable[[Value], object], number: float) -> None:
    """Its truth would be ambiguous: `where` tests the number, but most objects are always true."""
    message = r"label='v'.*write `v.data != 0` .*`v is not None` .*where\(v, a, b\)"
    for v in (Value(number, "v"), Value(number, "v") + 0.0):
        v.label = "v"
        with pytest.raises(TypeError, match=message):
            look(v)


OPERATORS_OF_A_CLASS = [
    name
    for operation in ("add", "sub", "mul", "truediv", "pow")
    for name in (f"__{operation}__", f"__r{operation}__")
]


@pytest.mark.parametrize("name", OPERATORS_OF_A_CLASS)
def test_each_operator_has_a_name_and_a_docstring(name: str) -> None:
    method = getattr(Value, name)
    assert (method.__name__, method.__qualname__) == (name, f"Value.{name}")
    assert method.__module__ == "autograd.value"
    assert method.__doc__
    assert pickle.loads(pickle.dumps(method)) is method
    bound = pickle.loads(pickle.dumps(getattr(Value(3.0), name)))
    assert bound(2.0).data == getattr(3.0, name)(2.0)


def test_help_says_what_each_method_does() -> None:
    shown = pydoc.plain(pydoc.render_doc(Value)).replace("'", "")  # which Python 3.14 leaves out
    assert " |  __sub__(left: Value, right: Any) -> Value\n |      `left - right`" in shown
    assert "<locals>" not in shown
    public = [n for n in vars(Value) if not n.startswith("_") and n not in Value.__slots__]
    assert [n for n in public if not getattr(Value, n).__doc__] == []


def test_float_int_and_format_give_the_number() -> None:
    v = Value(2.71828, label="e")
    assert float(v) == 2.71828
    assert int(v) == 2
    assert f"{v:.3f}" == "2.718"
    assert f"{v:>8.1f}" == "     2.7"


def test_numpys_variance_and_deviation_of_values_have_gradients() -> None:
    """d var/dx_i = 2/n (x_i - mean), and d std/dx_i is that by 2 std."""
    numbers = [1.0, 2.0, 6.0]
    values = [Value(x) for x in numbers]
    var, std = np.var(values), np.std(values)
    assert (var.data, std.data) == (np.var(numbers), np.std(numbers))
    slopes = [2 / 3 * (x - 3.0) for x in numbers]
    assert [g.data for g in grad(var, values)] == pytest.approx(slopes, rel=1e-14)
    by_std = [slope / (2 * std.data) for slope in slopes]
    assert [g.data for g in grad(std, values)] == pytest.approx(by_std, rel=1e-14)


def test_repr_shows_data_gradient_and_label() -> None:
    assert repr(Value(2)) == "Value(data=2.0, grad=0.0)"
    assert repr(Value(2, "x")) == "Value(data=2.0, grad=0.0, label='x')"


def test_detach_gives_a_leaf_that_passes_no_gradient_back() -> None:
    x = Value(3.0, "x")
    y = x * x
    cut = y.detach()
    assert (cut.data, cut.parents) == (9.0, ())
    (cut * x).backward()
    assert (x.grad, cut.grad, y.grad) == (9.0, 3.0, 0.0)


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]
)
def test_a_copied_or_pickled_leaf_is_independent(clone: Callable[[Value], Value]) -> None:
    v = Value(1.5, label="w")
    v.grad = 0.25
    other = clone(v)
    assert (other.data, other.grad, other.label, other.parents) == (1.5, 0.25, "w", ())
    (other * other).backward()
    assert (other.grad, v.grad) == (3.25, 0.25)


class Moved(Value):
    """Another class for a leaf, as the jit assigns to the leaves it captures."""

    __slots__ = ()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_leaf_whose_class_changes_while_it_is_copied_keeps_its_old_class(
    clone: Callable[[Value], Value], monkeypatch: pytest.MonkeyPatch
) -> None:
    state_of = copies.state_of

    def state_of_one_that_moves(value: Value, base: type[Value]) -> Any:
        value.__class__ = Moved
        return state_of(value, base)

    monkeypatch.setattr(copies, "state_of", state_of_one_that_moves)
    other = clone(Value(1.5, "w"))
    assert (type(other), other.data, other.label) == (Value, 1.5, "w")
    assert type(clone(Moved(1.5))) is Moved


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copied_or_pickled_graph_can_be_differentiated(clone: Callable[[Any], Any]) -> None:
    x = Value(2.0)
    other_x, other_y = clone((x, x.exp() * x))
    other_y.backward()
    assert other_x.grad == pytest.approx(3 * math.exp(2), rel=1e-15)
    assert x.grad == 0.0


def test_plain_numbers_become_constants_and_values_do_not() -> None:
    x = Value(2.0)
    product = x * 3.0
    assert [is_constant(node) for node in (x, product, product.parents[1])] == [False, False, True]
    assert as_constant(x) is x
    assert is_constant(as_constant(3.0))


def test_apply_primitive_takes_any_number_of_operands() -> None:
    a, b = Value(1.0), Value(3.0)
    assert a.apply_primitive(ops.exp, [a]).parents == (a,)
    assert a.apply_primitive(ops.maximum, [a, b]).parents == (a, b)
    assert a.apply_primitive(ops.where, [a, b, a]).parents == (a, b, a)


def test_assign_takes_the_number_and_the_gradient_by_name() -> None:
    x = Value(1.0)
    x.assign(number=2.0, grad=3.0)
    assert (x.data, x.grad) == (2.0, 3.0)
    with pytest.raises(TypeError, match="positional"):
        x.assign(1.0, 1.0)  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [{"number": "1"}, {"grad": "1"}, {"number": 10**400}])
def test_an_assignment_that_fails_changes_neither_the_number_nor_the_gradient(wrong: Any) -> None:
    x = Value(1.0)
    with pytest.raises((TypeError, OverflowError), match="a Value holds"):
        x.assign(**({"number": 2.0, "grad": 3.0} | wrong))
    assert (x.data, x.grad) == (1.0, 0.0)
