"""Does code written for `micrograd.engine.Value` run unchanged and give micrograd's numbers?

The expressions are from micrograd's README and tests; the docstrings work out the expected numbers
by hand, as exact fractions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autograd import Primitive, Value


def test_the_example_of_micrograds_readme() -> None:
    """g = f/2 + 10/f with f = e^2 and e = -7: 24.5 + 10/49.

    dg/de = (1/2 - 10/49^2) 2 e = -2381/343. By a: dc = 4 - 1 = 3, dd = 12 b - 1 = 23, de = -20.
    By b: dc = 4, dd = 12 (a + 3 b^2) + 1 = 97, de = -93.
    """
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"
    assert g.data == pytest.approx(24.5 + 10 / 49, rel=1e-15)
    assert a.grad == pytest.approx(20 * 2381 / 343, rel=1e-14)
    assert b.grad == pytest.approx(93 * 2381 / 343, rel=1e-14)


def test_sanity_check() -> None:
    """At x = -4: z = -10, q = 40, h = 100, y = -20; dz = 3, dq = -22, dh = -60, dy = 46."""
    x = Value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    assert (y.data, x.grad) == (-20.0, 46.0)


def trace(root: Value) -> tuple[set[Value], set[tuple[Value, Value]]]:
    """As in micrograd's trace_graph.ipynb."""
    nodes, edges = set(), set()

    def build(v: Value) -> None:
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def test_micrograds_trace_finds_every_node_and_edge() -> None:
    x = Value(1.0)
    y = (x * 2 + 1).relu()
    nodes, edges = trace(y)
    shown = sorted(f"{{ data {n.data:.4f} | grad {n.grad:.4f} }}{n._op}" for n in nodes)
    assert shown == [
        "{ data 1.0000 | grad 0.0000 }",
        "{ data 1.0000 | grad 0.0000 }",
        "{ data 2.0000 | grad 0.0000 }",
        "{ data 2.0000 | grad 0.0000 }*",
        "{ data 3.0000 | grad 0.0000 }+",
        "{ data 3.0000 | grad 0.0000 }ReLU",
    ]
    assert len(edges) == 5


def test_a_node_used_as_both_operands_is_one_child() -> None:
    x = Value(2.0)
    assert (x * x)._prev == {x}
    assert (x._prev, x._op) == (set(), "")


def test_sum_of_values_and_generators() -> None:
    """act = sum(w x, b), as in micrograd's Neuron, and sum((1 - y s).relu()) as in its demo."""
    w, x, b = [Value(1.0), Value(-2.0)], [3.0, 4.0], Value(0.5)
    act = sum((wi * xi for wi, xi in zip(w, x, strict=True)), b)
    assert act.data == -4.5
    loss = sum([(1 + -yi * s).relu() for yi, s in zip([1, -1], [act, act], strict=True)])
    loss *= 1.0 / 2
    loss.backward()
    assert loss.data == 2.75  # (5.5 + 0) / 2
    assert [p.grad for p in (*w, b)] == [-1.5, -2.0, -0.5]


def test_numpy_scalars_on_either_side() -> None:
    """The demo multiplies Values by labels from NumPy arrays."""
    x = Value(3.0)
    labels = np.array([-1, 1])
    y = labels[0] * x + x * labels[1].astype(float) - np.float32(0.5) * x + np.float64(2) / x
    assert type(y) is Value
    assert y.data == pytest.approx(-1.5 + 2 / 3, rel=1e-15)
    y.backward()
    assert x.grad == pytest.approx(-0.5 - 2 / 9, rel=1e-15)


def test_a_step_of_gradient_descent_by_assignment() -> None:
    """p.data -= learning_rate * p.grad; p.grad = 0."""
    p = Value(4.0)
    for _ in range(2):
        p.grad = 0
        (p * p).backward()
        p.data -= 0.25 * p.grad
    assert (p.data, p.grad) == (1.0, 4.0)


# --- code that cannot run unchanged gets an error that says what to write -------------------------


@pytest.mark.parametrize(
    "node",
    [
        lambda a, b: Value(math.atan(a.data), (a,)),
        lambda a, b: Value(math.atan(a.data), ()),
        lambda a, b: Value(a.data + b.data, (a, b), "+"),
        lambda a, b: Value(a.data + b.data, (a, b), "+", "sum"),
        lambda a, b: Value(a.data + b.data, "sum", "+"),
        lambda a, b: Value(a.data, label=a),
        lambda a, b: Value(a.data, None),
        lambda a, b: Value(a.data, 3),
    ],
)
def test_creating_a_value_from_operands_is_rejected(node: Callable[..., Value]) -> None:
    """The graph would silently end there."""
    with pytest.raises(TypeError, match=r"a leaf is Value\(2.0\).*Primitive\(.*called on Values"):
        node(Value(1.0), Value(2.0))


def test_operands_given_by_keyword_are_rejected() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument '_children'"):
        Value(0.5, _children=(Value(1.0),))


def test_the_error_shows_what_was_given_as_a_label() -> None:
    with pytest.raises(
        TypeError, match=r"a label is text, not \(Value\(data=1.0.*\(tuple\); a leaf"
    ):
        Value(0.5, (Value(1.0),))


def test_the_primitive_that_the_error_suggests_works() -> None:
    """d atan(x)/dx = 1 / (1 + x^2), 1/5 at 2."""
    atan = Primitive("atan", math.atan, lambda out, x: 1 / (1 + x * x))
    x = Value(2.0)
    y = atan(x)
    y.backward()
    assert (y.data, x.grad) == (math.atan(2.0), 0.2)


@pytest.mark.parametrize("label", [3, None, ("a",), Value(1.0), b"a"])
@pytest.mark.parametrize("make", [lambda: Value(1.0), lambda: Value(1.0, "w") * 2.0])
def test_a_label_that_is_not_a_string_is_rejected(make: Callable[[], Value], label: Any) -> None:
    v = make()
    v.label = "before"
    with pytest.raises(TypeError, match="a label is text"):
        v.label = label
    assert v.label == "before"
    v.label = np.str_("text")
    assert v.label == "text"


def test_reading_or_setting_backward_of_a_node_is_rejected() -> None:
    out = Value(2.0) * 3.0
    advice = r"loss.backward\(\).*steps\(loss\).*Primitive"
    with pytest.raises(AttributeError, match=advice):
        out._backward()
    with pytest.raises(AttributeError, match=advice):
        out._backward = lambda: None
    assert not hasattr(Value(1.0), "_backward")
