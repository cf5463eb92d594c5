"""Are gradients, Jacobians and Hessians right, and do only leaves accumulate gradients?"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest

from autograd import (
    Primitive,
    Value,
    detect_anomaly,
    grad,
    hessian,
    jacobian,
    no_grad,
    ops,
    topological_order,
    where,
)


def test_backward_twice_doubles_leaf_gradients_exactly_and_nothing_else() -> None:
    """f = (a b + a) sin b: inner nodes keep the gradient of the latest pass."""
    a, b = Value(1.7), Value(-0.3)
    product = a * b
    total = product + a
    f = total * b.sin()
    nodes = topological_order(f)
    f.backward()
    first = [node.grad for node in nodes]
    f.backward()
    for node, before in zip(nodes, first, strict=True):
        assert node.grad == (before if node.parents else 2 * before)
    assert a.grad == pytest.approx(2 * (b.data + 1) * math.sin(b.data), rel=1e-15)


def test_leaves_accumulate_over_different_graphs() -> None:
    a, b = Value(2.0), Value(5.0)
    (a * b).backward()
    (a * a).backward()
    assert (a.grad, b.grad) == (5.0 + 4.0, 2.0)


def test_a_shared_inner_node_holds_the_latest_pass_only() -> None:
    x = Value(3.0)
    shared = x * x
    (2 * shared).backward()
    assert (shared.grad, x.grad) == (2.0, 12.0)
    (5 * shared).backward()
    assert (shared.grad, x.grad) == (5.0, 12.0 + 30.0)


def test_nodes_the_output_does_not_depend_on_keep_their_gradients() -> None:
    x, other = Value(3.0), Value(1.0)
    later = x * other
    other.grad = later.grad = 7.0
    (x * x).backward()
    assert (other.grad, later.grad) == (7.0, 7.0)


def test_the_same_node_as_both_operands_receives_both_contributions() -> None:
    x = Value(3.0)
    for y, slope in [(x + x, 2.0), (x * x, 6.0), (x - x, 0.0), (x / x, 0.0)]:
        x.grad = 0.0
        y.backward()
        assert x.grad == slope
    assert grad(x**x, [x])[0].data == pytest.approx(27 * (1 + math.log(3)), rel=1e-15)


def test_contributions_of_1000_uses_add_up() -> None:
    """x used by 1000 terms k x: the slope is 1 + 2 + ... + 1000."""
    x = Value(1.0)
    sum(k * x for k in range(1, 1001)).backward()
    assert x.grad == 500_500.0


def test_a_diamond_counts_each_path_once() -> None:
    """y = x^2, f = y * (y + x) = x^4 + x^3; at 2: 32 + 12."""
    x = Value(2.0)
    y = x * x
    (y * (y + x)).backward()
    assert (x.grad, y.grad) == (44.0, 10.0)


def test_backward_on_a_leaf_gives_it_gradient_one() -> None:
    x = Value(3.0)
    x.backward()
    assert x.grad == 1.0
    x.backward()
    assert x.grad == 2.0


def test_the_output_has_gradient_one() -> None:
    y = Value(3.0) * 2
    y.backward()
    y.backward()
    assert y.grad == 1.0


def test_plain_numbers_in_the_graph_receive_no_gradient() -> None:
    x = Value(3.0)
    y = 2 * x**3 + 1 / x
    y.backward()
    constants = [node for node in topological_order(y) if not node.parents and node is not x]
    assert sorted(node.data for node in constants) == [1.0, 2.0, 3.0]
    assert [node.grad for node in constants] == [0.0, 0.0, 0.0]
    assert x.grad == pytest.approx(54 - 1 / 9, rel=1e-15)


def test_backward_uses_data_assigned_after_the_graph_was_built() -> None:
    """backward() reads the data that the nodes hold when it runs."""
    x, w = Value(2.0), Value(10.0)
    y = x * w
    w.data = 7.0
    y.backward()
    assert x.grad == 7.0


# --- zero upstream --------------------------------------------------------------------------------


def test_a_branch_not_taken_contributes_0_even_if_its_slope_is_undefined() -> None:
    x = Value(0.0)
    y = where(x > 0, x.sqrt(), 0.0)
    y.backward()
    assert (y.data, x.grad) == (0.0, 0.0)
    assert grad(y, [x])[0].data == 0.0
    assert grad(y, [x], create_graph=True)[0].data == 0.0


def test_the_taken_branch_keeps_its_slope_if_the_other_has_none() -> None:
    x = Value(0.0)
    y = where(1.0, 3 * x, x.sqrt())
    y.backward()
    assert x.grad == 3.0


def test_an_inactive_relu_blocks_an_undefined_slope() -> None:
    x = Value(0.0)
    (x.sqrt() - 1).relu().backward()
    assert x.grad == 0.0


# --- grad -----------------------------------------------------------------------------------------


def test_grad_jacobian_and_hessian_touch_no_grad_attribute() -> None:
    x, y = Value(2.0), Value(3.0)
    f = x * x * y
    nodes = topological_order(f)
    for i, node in enumerate(nodes):
        node.grad = float(i)
    grad(f, [x, y])
    grad(f, [x, y], create_graph=True)
    jacobian([f], [x, y])
    hessian(f, [x, y])
    assert [node.grad for node in nodes] == [float(i) for i in range(len(nodes))]


def test_an_input_the_output_does_not_depend_on_has_gradient_zero() -> None:
    x, unused = Value(2.0), Value(5.0)
    later = x * unused
    for create_graph in (False, True):
        gradients = grad(x * x, [unused, x, later], create_graph)
        assert [g.data for g in gradients] == [0.0, 4.0, 0.0]


def test_inputs_of_grad_may_be_inner_nodes_the_output_or_repeated() -> None:
    x = Value(3.0)
    square = x * x
    y = square * 2
    assert [g.data for g in grad(y, [square, y, x, x])] == [2.0, 1.0, 12.0, 12.0]


def test_an_inner_node_as_input_does_not_block_gradients_of_its_ancestors() -> None:
    x = Value(3.0)
    y = x * x
    z = y * x
    assert [g.data for g in grad(z, [y, x])] == [3.0, 27.0]


def test_grad_without_create_graph_returns_leaves() -> None:
    x = Value(3.0)
    assert grad(x * x * x, [x])[0].parents == ()
    assert grad(x * x * x, [x], create_graph=True)[0].parents != ()


def test_create_graph_records_inside_no_grad() -> None:
    x = Value(2.0)
    y = x**3
    with no_grad():
        (slope,) = grad(y, [x], create_graph=True)
        assert (x * x).parents == ()  # no_grad still holds
    assert grad(slope, [x])[0].data == 12.0


@pytest.mark.parametrize(
    "cosine", [math.cos, lambda x: 1.0 * float(x), lambda x: np.float64(x)], ids=["cos", "*", "np"]
)
def test_create_graph_rejects_a_rule_that_computes_floats(cosine: Callable[..., float]) -> None:
    """The float would be a constant of the gradient graph, with a second derivative of 0."""
    sn = Primitive("sn", math.sin, lambda out, x: cosine(x))
    x = Value(0.5)
    assert grad(sn(x), [x])[0].data == cosine(0.5)
    with pytest.raises(
        TypeError,
        match=r"^the rule of sn turned a Value into a float, .* autograd\.ops\.cos\(x\)",
    ):
        grad(sn(x), [x], create_graph=True)
    assert math.cos(x) == math.cos(0.5)  # elsewhere a Value still converts
    assert hessian(Primitive("sn", math.sin, lambda out, x: ops.cos(x))(x), [x])[0][0].data == (
        -math.sin(0.5)
    )


def test_a_rule_may_compare_its_operand_and_return_a_constant() -> None:
    ramp = Primitive("ramp", lambda x: max(x, 0.0), lambda out, x: 1.0 if x > 0.0 else 0.0)
    x = Value(2.0)
    with detect_anomaly():
        assert hessian(ramp(x) * ramp(x), [x])[0][0].data == 2.0


def test_grad_of_no_inputs_is_empty() -> None:
    assert grad(Value(1.0) * 2, []) == []


def test_a_gradient_graph_can_be_part_of_another_loss() -> None:
    """A gradient penalty: d/dw of (d/dx of w x^2)^2 = 8 w x^2; at w = 3, x = 2: 96."""
    w, x = Value(3.0), Value(2.0)
    (slope,) = grad(w * x * x, [x], create_graph=True)
    (slope * slope).backward()
    assert w.grad == 96.0


def test_tenth_derivative_of_a_power_is_ten_factorial() -> None:
    x = Value(1.5)
    y = x**10
    for _ in range(10):
        (y,) = grad(y, [x], create_graph=True)
    assert y.data == math.factorial(10)


# --- jacobian and hessian -------------------------------------------------------------------------


def test_jacobian_of_polar_coordinates() -> None:
    """(r cos t, r sin t) at r = 2, t = pi/6: cos t = sqrt(3)/2, sin t = 1/2."""
    r, t = Value(2.0), Value(math.pi / 6)
    rows = jacobian([r * t.cos(), r * t.sin()], [r, t])
    c, s = math.sqrt(3) / 2, 0.5
    assert [[entry.data for entry in row] for row in rows] == [
        pytest.approx([c, -2 * s], rel=1e-14),
        pytest.approx([s, 2 * c], rel=1e-14),
    ]


def test_hessian_of_a_cubic_by_hand() -> None:
    """f = x^2 y + y^3 z at (2, 3, 5): rows (2y, 2x, 0), (2x, 6yz, 3y^2), (0, 3y^2, 0)."""
    x, y, z = Value(2.0), Value(3.0), Value(5.0)
    rows = hessian(x * x * y + y**3 * z, [x, y, z])
    assert [[entry.data for entry in row] for row in rows] == [
        [6.0, 4.0, 0.0],
        [4.0, 90.0, 27.0],
        [0.0, 27.0, 0.0],
    ]


def test_a_hessian_with_create_graph_is_differentiable() -> None:
    """d/dx of the trace of the hessian of x^4 + x^2 y^2: of 12x^2 + 2y^2 + 2x^2, at 2: 56."""
    x, y = Value(2.0), Value(3.0)
    rows = hessian(x**4 + x**2 * y**2, [x, y], create_graph=True)
    assert grad(rows[0][0] + rows[1][1], [x])[0].data == 56.0


def test_rows_of_a_jacobian_are_independent() -> None:
    x, y = Value(2.0), Value(3.0)
    rows = jacobian([3 * x, x - y, Value(1.0)], [x, y])
    assert [[entry.data for entry in row] for row in rows] == [[3.0, 0.0], [1.0, -1.0], [0.0, 0.0]]


# --- a gradient of None ---------------------------------------------------------------------------


def graph_with_a_gradient_of_none(kind: str) -> tuple[Value, Value, Value, Value]:
    """Return w, x, their product and a loss; w (a leaf) or the product has a gradient of None."""
    w, x = Value(2.0, "w"), Value(3.0, "x")
    product = w * x
    product.label = "product"
    loss = product.tanh() + x
    loss.backward()
    w.grad, x.grad = 5.0, 7.0
    {"leaf": w, "inner": product}[kind].grad = None  # type: ignore[assignment]
    return w, x, product, loss


@pytest.mark.parametrize(
    ("kind", "name", "checked"),
    [("leaf", "w", False), ("leaf", "w", True), ("inner", "product", False)],
)
def test_a_gradient_of_none_is_rejected_and_no_gradient_changes(
    kind: str, name: str, checked: bool
) -> None:
    """PyTorch users write `p.grad = None` instead of zero_grad()."""
    nodes = graph_with_a_gradient_of_none(kind)
    before = [node.grad for node in nodes]
    message = f"the gradient of {name} is None, not a number: write p.grad = 0.0, or zero_grad"
    with detect_anomaly() if checked else nullcontext(), pytest.raises(TypeError, match=message):
        nodes[-1].backward()
    assert [node.grad for node in nodes] == before
    nodes[0].grad = nodes[2].grad = 0.0
    nodes[-1].backward()
    assert nodes[0].grad == pytest.approx(3.0 / math.cosh(6.0) ** 2)


# --- order ----------------------------------------------------------------------------------------


def test_topological_order_lists_leaves_first_and_each_node_once_after_its_parents() -> None:
    a, b = Value(1.0), Value(2.0)
    c = a * b
    d = c + a
    order = topological_order(d * c, c)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order) == 5
    assert all(place[parent] < place[node] for node in order for parent in node.parents)
    assert set(order[:2]) == {a, b}


def test_topological_order_lists_every_operand_of_where_before_it() -> None:
    a, b = Value(1.0), Value(2.0)
    output = where(a + b, a * b, a - b) * where(a * a, b * b, a * b)
    order = topological_order(output)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order) == 11
    assert all(place[parent] < place[node] for node in order for parent in node.parents)


def test_a_gradient_of_none_is_rejected_on_every_leaf() -> None:
    """Even if the leaf would receive 0, or is the output."""
    x = Value(2.0, "x")
    for output in (x, x * 1.0 * Value(0.0)):
        x.grad = None
        with pytest.raises(TypeError, match="the gradient of x is None"):
            output.backward()
        assert x.grad is None


@pytest.mark.parametrize("before", [-1.0, 0.0, 1.0, 2.5])
def test_a_leaf_adds_the_total_of_a_pass_to_its_gradient(before: float) -> None:
    x = Value(3.0)
    x.grad = before
    (x * 4e-17 + x * 4e-17).backward()
    assert x.grad == before + 8e-17  # added one by one, both are lost: -1 + 4e-17 is -1


@pytest.mark.parametrize("x", [-1.0, 0.0, 1.0])
def test_a_plain_number_receives_a_gradient_only_as_the_output(x: float) -> None:
    y = Value(x) * 5.0
    y.backward()
    assert y.parents[1].grad == 0.0
    constant = y.parents[1]
    constant.backward()
    assert constant.grad == 1.0


def test_a_failed_pass_leaves_no_gradients() -> None:
    x, w = Value(0.0), Value(2.0)
    root = x.sqrt()
    y = root * w + w
    with pytest.raises(ZeroDivisionError):
        y.backward()
    assert [node.grad for node in (x, w, root, *y.parents, y)] == [0.0] * 6


def test_a_type_error_raised_by_a_rule_is_passed_on() -> None:
    def rule(out: float, x: float) -> float:
        raise TypeError("of the rule")

    with pytest.raises(TypeError, match="of the rule"):
        Primitive("wrong", lambda x: x, rule)(Value(1.0)).backward()


def test_the_error_names_the_node_whose_gradient_is_none() -> None:
    x = Value(1.0)
    first = x * 2.0
    second = first * 3.0
    first.label, second.label = "first", "second"
    first.grad = second.grad = None  # type: ignore[assignment]
    with pytest.raises(TypeError, match="second"):
        (second * 4.0).backward()


def test_jacobian_and_hessian_have_a_graph_only_with_create_graph() -> None:
    x = Value(2.0)
    assert jacobian([x * x * x], [x])[0][0].parents == ()
    assert hessian(x * x * x, [x])[0][0].parents == ()


def test_gradient_graphs_omit_factors_and_exponents_of_1() -> None:
    x, y = Value(2.0), Value(3.0)
    assert [g.parents[0] for g in grad(x * y, [x, y], create_graph=True)] == [y, x]
    assert grad(x + y, [x], create_graph=True)[0].parents == ()
    assert grad(x**1.0, [x], create_graph=True)[0].parents == ()
    (slope,) = grad(x**2.0, [x], create_graph=True)
    assert (slope.op, slope.data) == ("mul", 4.0)


def test_a_gradient_that_equals_a_leaf_is_a_separate_node() -> None:
    """d(a b)/da has the data of b, and keeps it when b changes."""
    a, b = Value(3.0, "a"), Value(2.0, "b")
    (slope,) = grad(a * b, [a], create_graph=True)
    b.data, b.grad, slope.label = 5.0, 7.0, "slope"
    assert (slope.data, slope.grad, b.label) == (2.0, 0.0, "b")
    assert grad(slope, [a, b])[1].data == 1.0


@pytest.mark.parametrize("create_graph", [False, True])
def test_grad_turns_negative_zero_into_zero_as_backward_does(create_graph: bool) -> None:
    a, b = Value(3.0), Value(-0.0)
    (a * b).backward()
    (slope,) = grad(a * b, [a], create_graph)
    assert str(slope.data) == str(a.grad) == "0.0"


def test_topological_order_lists_leaves_in_order_of_creation() -> None:
    a, b, c = Value(1.0), Value(2.0), Value(3.0)
    product = c * a
    output = product + b
    assert topological_order(output) == [a, b, c, product, output]


def test_a_gradient_near_the_largest_float_does_not_overflow() -> None:
    x, w = Value(1.0), Value(1.5e308)
    (slope,) = grad(x * w, [x], create_graph=True)
    assert slope.data == 1.5e308
