"""Are the steps of a backward pass right? Their texts, their numbers, and the data for a page."""

from __future__ import annotations

import json
import math
import operator
import random
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from autograd import (
    Primitive,
    Value,
    detect_anomaly,
    maximum,
    minimum,
    topological_order,
    where,
)
from autograd.ops import TABLE
from autograd.steps import BackwardStep, ForwardStep, explain, steps
from autograd.steps.folds import PLAYER_NODES
from autograd.value import constant, is_constant
from tests.examples import examples


def named(**values: Value) -> tuple[Value, ...]:
    """The Values, each labelled with its keyword."""
    for label, value in values.items():
        value.label = label
    return tuple(values.values())


def neuron() -> Value:
    """The neuron of the micrograd lecture, tanh(x1 w1 + x2 w2 + b), where tanh' is 1/2."""
    x1, x2, w1, w2 = named(x1=Value(2), x2=Value(0), w1=Value(-3), w2=Value(1))
    b = Value(6.8813735870195432, label="b")
    (n,) = named(n=x1 * w1 + x2 * w2 + b)
    return named(o=n.tanh())[0]


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip("\n").splitlines()]


# --- what is printed ------------------------------------------------------------------------------


def test_a_neuron_is_printed_as_a_table() -> None:
    assert (
        str(steps(neuron()))
        == """\
forward, from the leaves to o
step  node               data  in numbers
   1    v1  = x1 * w1      -6  = 2 * (-3)
   2    v2  = x2 * w2       0  = 0 * 1
   3    v3  = v1 + v2      -6  = -6 + 0
   4     n  = v3 + b   0.8814  = -6 + 6.8814
   5     o  = tanh(n)  0.7071  = tanh(0.8814)

backward, from o to the leaves
step  node  gradient  passes to  local derivative  contribution       gradient so far
   6  o            1  n          sech(n)² = 0.5    1 * 0.5 = 0.5      0.5
   7  n          0.5  v3         1                 0.5 * 1 = 0.5      0.5
                      b          1                 0.5 * 1 = 0.5      0.5
   8  v3         0.5  v1         1                 0.5 * 1 = 0.5      0.5
                      v2         1                 0.5 * 1 = 0.5      0.5
   9  v2         0.5  x2         w2 = 1            0.5 * 1 = 0.5      0.5
                      w2         x2 = 0            0.5 * 0 = 0        0
  10  v1         0.5  x1         w1 = -3           0.5 * (-3) = -1.5  -1.5
                      w1         x1 = 2            0.5 * 2 = 1        1

gradients of the leaves
x1.grad = -1.5    x2.grad = 0.5    w1.grad = 1    w2.grad = 0    b.grad = 0.5"""
    )


def test_a_neuron_is_printed_step_by_step() -> None:
    assert (
        "\n".join(map(str, steps(neuron())))
        == """\
v1 = x1 * w1 = 2 * (-3) = -6
v2 = x2 * w2 = 0 * 1 = 0
v3 = v1 + v2 = -6 + 0 = -6
n = v3 + b = -6 + 6.8814 = 0.8814
o = tanh(n) = tanh(0.8814) = 0.7071
o.grad = 1, back through o = tanh(n): n.grad = 1 * sech(n)² = 1 * 0.5 = 0.5
n.grad = 0.5, back through n = v3 + b: v3.grad = 0.5 * 1 = 0.5; b.grad = 0.5 * 1 = 0.5
v3.grad = 0.5, back through v3 = v1 + v2: v1.grad = 0.5 * 1 = 0.5; v2.grad = 0.5 * 1 = 0.5
v2.grad = 0.5, back through v2 = x2 * w2: x2.grad = 0.5 * w2 = 0.5 * 1 = 0.5; \
w2.grad = 0.5 * x2 = 0.5 * 0 = 0
v1.grad = 0.5, back through v1 = x1 * w1: x1.grad = 0.5 * w1 = 0.5 * (-3) = -1.5; \
w1.grad = 0.5 * x1 = 0.5 * 2 = 1"""
    )


def last(output: Value) -> str:
    """The text of the last step, from the gradients of its parents onwards."""
    return str(steps(output)[-1]).partition(": ")[2]


a, b, p = named(a=Value(3), b=Value(-2), p=Value(1))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: a + a, "a.grad = 1 * 1 = 1; a.grad = 1 + 1 * 1 = 1 + 1 = 2"),
        (
            lambda: a * a,
            "a.grad = 1 * a = 1 * 3 = 3; a.grad = 3 + 1 * a = 3 + 1 * 3 = 3 + 3 = 6",
        ),
        (lambda: a - b, "a.grad = 1 * 1 = 1; b.grad = 1 * (-1) = -1"),
        (
            lambda: a / b,
            "a.grad = 1 * (1 / b) = 1 * (-0.5) = -0.5;"
            " b.grad = 1 * (-out / b) = 1 * (-0.75) = -0.75",
        ),
        (lambda: 2 * a, "a.grad = 1 * 2 = 2"),
        (lambda: a**2, "a.grad = 1 * (2 * a) = 1 * 6 = 6"),
        (lambda: a**3, "a.grad = 1 * (3 * a²) = 1 * 27 = 27"),
        (lambda: b**-1, "b.grad = 1 * (-1 * b⁻²) = 1 * (-0.25) = -0.25"),
        (lambda: 2**a, "a.grad = 1 * (out * 0.6931) = 1 * 5.545 = 5.545"),
        (
            lambda: a**b,
            "a.grad = 1 * (b * a ** (b - 1)) = 1 * (-0.07407) = -0.07407;"
            " b.grad = 1 * (out * log(a)) = 1 * 0.1221 = 0.1221",
        ),
        (lambda: a.exp(), "a.grad = 1 * out = 1 * 20.09 = 20.09"),
        (
            lambda: where(p, a, b),
            "a.grad = 1 * where(p, 1, 0) = 1 * 1 = 1; b.grad = 1 * where(p, 0, 1) = 1 * 0 = 0",
        ),
        (lambda: maximum(a, 1), "a.grad = 1 * (0.5 + 0.5 * ([a > 1] - [1 > a])) = 1 * 1 = 1"),
        (lambda: b.relu(), "b.grad = 1 * [b > 0] = 1 * 0 = 0"),
        (
            lambda: Primitive("cube", lambda x: x**3, lambda out, x: 3 * x * x)(a),
            "a.grad = 1 * (3 * a * a) = 1 * 27 = 27",
        ),
        (
            lambda: Primitive("sinh", math.sinh, lambda out, x: math.cosh(x))(b),
            "b.grad = 1 * sinh'(b) = 1 * 3.762 = 3.762",
        ),
        (
            lambda: Primitive("step", lambda x: x, lambda out, x: 2.0 if x > 0 else 0.0)(a),
            "a.grad = 1 * step'(a) = 1 * 2 = 2",
        ),
    ],
)
def test_each_operation_in_symbols_and_in_numbers(make: Callable[[], Value], expected: str) -> None:
    assert last(named(out=make())[0]) == expected


def test_the_contributions_to_a_reused_node_add_up_visibly() -> None:
    """f = e d with e = a b and d = a + a: each use of a adds to its gradient so far."""
    (d,) = named(d=a + a)
    (e,) = named(e=a * b)
    (f,) = named(f=e * d)
    received = [
        (str(passed), passed.before, passed.contribution, passed.total)
        for step in steps(f)
        if isinstance(step, BackwardStep)
        for passed in step.contributions
        if passed.parent is a
    ]
    assert received == [
        ("a.grad = 6 * b = 6 * (-2) = -12", None, -12.0, -12.0),
        ("a.grad = -12 + (-6) * 1 = -12 + (-6) = -18", -12.0, -6.0, -18.0),
        ("a.grad = -18 + (-6) * 1 = -18 + (-6) = -24", -18.0, -6.0, -24.0),
    ]
    table = lines(str(steps(f)))
    assert "a          1                 -6 * 1 = -6     -18 + (-6) = -24" in " ".join(table)


def test_a_gradient_of_exactly_0_passes_nothing_on_and_the_step_says_so() -> None:
    (r,) = named(r=b.relu())
    (s,) = named(s=r * a)
    (zero,) = named(zero=s * 0.0)
    silent = steps(zero)[-2]
    assert isinstance(silent, BackwardStep)
    assert silent.contributions == ()
    assert str(silent) == (
        "s.grad = 0, back through s = r * a: nothing is passed on, as the gradient is exactly 0"
    )
    assert "6  r            0  nothing is passed on, as the gradient is exactly 0" in str(
        steps(zero)
    )


def test_plain_numbers_receive_no_gradient() -> None:
    node = constant(2.0) * constant(3.0)
    assert str(steps(node)[-1]) == (
        "v1.grad = 1, back through v1 = 2 * 3: nothing is passed on, as no operand takes a gradient"
    )
    assert str(steps(node)).endswith("gradients of the leaves\nevery leaf is a constant")
    passed = steps(2 * a)[-1]
    assert isinstance(passed, BackwardStep)
    assert [each.operand for each in passed.contributions] == [1]


def test_a_name_of_several_words_stays_one_operand() -> None:
    (s,) = named(**{"a + b": a + b})
    assert str(steps(s * a)[1]) == "v1 = (a + b) * a = 1 * 3 = 3"
    assert str(steps(s * a)[3]) == (
        "(a + b).grad = 3, back through a + b = a + b:"
        " a.grad = 1 + 3 * 1 = 1 + 3 = 4; b.grad = 3 * 1 = 3"
    )


HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\r\n\x00\u2028\u202e"


def test_labels_cannot_send_control_codes_to_a_terminal() -> None:
    x = Value(2.0, label=f"x{HOSTILE}")
    evil = Primitive(f"f{HOSTILE}", lambda x: x, lambda out, x: math.exp(x))
    y = evil(x) * x
    s = steps(y)
    with pytest.raises(ValueError, match="no node is called") as unknown:
        s.gradient(HOSTILE)
    texts = [str(s), *map(str, s), str(s.explain(x)), repr(s), str(unknown.value)]
    for text in texts:
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)
    assert "␛[2J" in texts[0]


def test_a_long_name_is_shown_without_its_middle() -> None:
    x = Value(2.0, label="begin" + "-" * 1000 + "end")
    assert re.fullmatch(r"v1 = 2 \* \(begin-+…-+end\) = 2 \* 2 = 4", str(steps(2 * x)[0]))


def test_wide_letters_do_not_break_the_columns() -> None:
    x, y = Value(1.0, label="重み"), Value(2.0, label="e\u0301😀")
    table = str(steps(x * y))
    first, second = lines(table)[6:8]
    assert first == "2  v1           1  重み       e\u0301😀 = 2           1 * 2 = 2     2"
    assert second == "e\u0301😀        重み = 1          1 * 1 = 1     1"


def test_the_terms_of_a_sum_have_enough_digits_to_add_up() -> None:
    w, x = named(w=Value(1.0), x=Value(100.01))
    s = steps(w * x - w * 100)
    assert str(s[2]) == "v3 = v1 - v2 = 100.01 - 100 = 0.01"
    assert "w.grad = -100 + 1 * x = -100 + 1 * 100.01 = -100 + 100.01 = 0.01" in str(s[-1])
    for line in ("= 100.01 - 100\n", "  -100 + 100.01 = 0.01\n"):
        assert line in str(s)
    difference, x.data = x - 100, 100 / 3  # no number of digits makes these add up
    with pytest.warns(UserWarning, match="^v1 was computed from other numbers"):
        assert str(steps(difference)[0]) == "v1 = x - 100 = 33.33 - 100 = 0.01"
    product, x.data = x * 3, 10 / 3  # nor gives this one its result
    with pytest.warns(UserWarning, match="^v1 was computed from other numbers"):
        assert str(steps(product)[0]) == "v1 = x * 3 = 3.333 * 3 = 100"


@pytest.mark.parametrize(
    ("build", "equation"),
    [
        (lambda: named(x=Value(1.000123))[0].log(), "v1 = log(x) = log(1.000123) = 0.000123"),
        (lambda: named(x=Value(1.0004))[0] ** 1000, "v1 = x ** 1000 = 1.0004 ** 1000 = 1.492"),
        (lambda: named(x=Value(12.345678))[0].exp(), "v1 = exp(x) = exp(12.346) = 2.3e+05"),
        (
            lambda: named(x=Value(math.pi))[0].sin(),
            "v1 = sin(x) = sin(3.141592653589793) = 1.225e-16",
        ),
        (
            lambda: named(x=Value(math.nextafter(1.0, 2.0)))[0].log(),
            "v1 = log(x) = log(1.0000000000000002) = 2.22e-16",
        ),
        (lambda: named(x=Value(-0.99999))[0].log1p(), "v1 = log1p(x) = log1p(-0.99999) = -11.51"),
        (lambda: named(x=Value(0.1234567))[0].tanh(), "v1 = tanh(x) = tanh(0.1235) = 0.1228"),
    ],
)
def test_an_operand_has_enough_digits_to_give_the_result(
    build: Callable[[], Value], equation: str
) -> None:
    assert str(steps(build())[0]) == equation


def test_conditions_in_brackets_are_explained_once_where_there_are_any() -> None:
    x = Value(-2.0, label="x")
    about = "a condition in brackets is 1 if it holds, and 0 otherwise"
    for y, count in ((x.relu() * abs(x), 1), (x.exp() * x, 0)):
        explanation = explain(y, x)
        for shown in (str(steps(y)), str(explanation), explanation._repr_latex_()):
            assert shown.count(about) == count


def test_a_long_table_shows_its_ends_and_counts_the_steps_left_out() -> None:
    x = Value(1.0, label="x")
    y = x
    for _ in range(100):
        y = y + x
    short, long = str(steps(y)), steps(y).table()
    assert short.count("... 60 steps left out; .table() has them all") == 2
    assert long.count("left out") == 0
    rows = [line for line in lines(long) if re.match(r"\d", line)]
    assert [int(row.split()[0]) for row in rows] == list(range(1, 201))
    kept = [int(line.split()[0]) for line in lines(short) if re.match(r"\d", line)]
    assert kept == [*range(1, 21), *range(81, 121), *range(181, 201)]


def test_ordinary_tables_fit_in_100_columns() -> None:
    nn.seed(1)
    model = nn.Neuron(3, activation="tanh")
    loss = nn.mse([model([1.0, -2.0, 0.5])], [0.25])
    for table in (str(steps(neuron())), str(steps(loss)), str(steps(neuron()).explain("w1"))):
        assert max(map(len, table.splitlines())) <= 100


def test_parameters_are_found_by_their_short_names_and_by_those_of_the_model() -> None:
    nn.seed(1)
    model = nn.MLP(2, [2, 1])
    output = model([1.0, 2.0])
    assert str(steps(output)[0]).startswith("v1 = w₀₀₀ * 1 = ")
    for name in ("layers.1.neurons.0.b", "b₁₀", "b10", "b_10", model.layers[1].neurons[0].b):
        assert steps(output).gradient(name) == 1.0
    assert str(steps(output).explain("layers.1.neurons.0.b")).startswith("d v14 / d b₁₀ = 1")
    x, y = model.layers[0].neurons[0].w
    assert str(steps(x * y, model)[0]).startswith("v1 = w₀ * w₁ = ")
    entry = steps(x * y, model).data()["nodes"][0]
    assert (entry["name"], entry["label"]) == ("w₀", "layers.0.neurons.0.w.0")


def test_two_nodes_with_the_same_label_are_numbered() -> None:
    w, same = Value(2.0, label="w"), Value(3.0, label="w")
    output = w * same + w
    assert [step.symbols for step in steps(output)[:2]] == ["v1 = w₁ * w₂", "v2 = v1 + w₁"]
    assert steps(output).gradient("w₁") == steps(output).gradient(w) == 4.0
    assert steps(output).explain("w2").name == "w₂"
    alike = steps(
        sum((Value(1.0, label=label) for label in ("t1", "t1.", "t1.")), same * Value(2.0, "t1"))
    )
    assert len(set(alike.names.values())) == len(alike.names)  # not "t1.₁" for both kinds
    (peak,) = named(peak=nn.softmax([w, same])[0] + nn.softmax([same * 2, w])[0] * 2 + 2)
    names = sorted(steps(peak).names.values())
    assert ({"max₁", "max₂", "w₁", "w₂"} <= {*names}, names.count("2")) == (True, 3)


def test_parameters_whose_names_differ_only_in_the_middle_are_numbered() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            for middle in "ab":
                setattr(self, f"{'left' * 9}_{middle}_{'right' * 9}", Value(2.0))

        def __call__(self) -> Value:
            first, second = self.parameters()
            return first * second

    first, second, _ = steps(Model()()).names.values()
    assert re.fullmatch(r"left.*….*right₁", first)
    assert second == first.replace("₁", "₂")


def test_a_label_that_looks_like_a_path_changes_no_name_of_a_parameter() -> None:
    nn.seed(1)
    model = nn.MLP(2, [2, 1])
    names = []
    for label in ("x", "layers.2.neurons.1.w.2", "w"):
        s = steps(model([Value(1.0, label=label), 2.0]))
        assert label in s.names.values()
        names.append([s.names[parameter] for parameter in model.parameters()])
    assert names[0] == names[1] == names[2]


def test_the_maximum_of_a_softmax_is_a_plain_number_with_a_name() -> None:
    s = steps(nn.softmax([Value(1.0, label="a"), Value(3.0, label="b")])[0])
    (peak,) = (entry for entry in s.data()["nodes"] if entry["name"] == "max")
    assert (peak["kind"], peak["data"], peak["movable"]) == ("constant", 3.0, False)
    assert peak["lines"] == ["max", "3"]
    assert str(s[0]) == "v1 = a - max = 1 - 3 = -2"
    assert {s.names[node] for node in s.gradients} >= {"a", "b", "v1"}
    assert "max" not in {s.names[node] for node in s.gradients}


def test_a_leaf_has_no_steps() -> None:
    s = steps(a)
    assert (len(s), s.gradient("a"), list(s)) == (0, 1.0, [])
    assert str(s) == "a is a leaf: there are no steps, and its gradient is 1"
    assert s.data()["gradients"] == [1.0]
    assert s.data()["nodes"][0]["kind"] == "leaf"
    two = constant(2.0)
    assert steps(two).gradients == {two: 1.0}  # as with backward()


# --- steps as a sequence --------------------------------------------------------------------------


def test_forward_steps_in_topological_order_then_backward_steps_in_reverse() -> None:
    output = neuron()
    inner = [node for node in topological_order(output) if node.op]
    s = steps(output)
    assert len(s) == 2 * len(inner)
    assert [step.node for step in s] == [*inner, *reversed(inner)]
    assert [type(step) for step in s] == [ForwardStep] * 5 + [BackwardStep] * 5


def test_indices_and_slices_work_as_in_a_list() -> None:
    s = steps(neuron())
    whole = list(s)
    for i in range(-10, 10):
        assert s[i] == whole[i]
    assert s[2:5] == tuple(whole[2:5])
    assert s[::-3] == tuple(whole[::-3])
    assert (s[-1] in s, s.index(s[3])) == (True, 3)
    for i in (10, -11):
        with pytest.raises(IndexError, match=f"no step {i}: there are 10"):
            s[i]
    with pytest.raises(TypeError, match=r"picked by its number or a slice, not 'a'; explain\(\)"):
        s["a"]


def test_a_step_holds_what_it_shows() -> None:
    s = steps(neuron())
    forward, back = s[0], s[-1]
    assert isinstance(forward, ForwardStep)
    assert isinstance(back, BackwardStep)
    assert (forward.symbols, forward.numbers) == ("v1 = x1 * w1", "-6 = 2 * (-3)")
    assert (forward.name, forward.data, back.name, back.formula) == ("v1", -6.0, "v1", "x1 * w1")
    assert back.upstream == pytest.approx(0.5, rel=1e-15)
    first, second = back.contributions
    assert (first.name, first.operand, first.symbols, first.local) == ("x1", 0, "w1", -3.0)
    assert (second.parent.label, second.contribution) == ("w1", back.upstream * 2.0)


def test_assigning_data_after_the_output_was_computed_warns() -> None:
    x, y = named(x=Value(2.0), y=Value(math.nan))
    (z,) = named(z=x * 3 + y)
    assert not recorded_warnings(z)
    x.data = 1.9  # as a step of gradient descent does
    (warning,) = recorded_warnings(z)
    assert str(warning.message).startswith("v1 was computed from other numbers than its operands")
    assert warning.filename == __file__
    with pytest.warns(UserWarning, match="^v1 was computed from other numbers"):
        explain(z, x)
    assert not recorded_warnings(x * 3 + y)
    y.data = 1.0  # for a nan
    assert recorded_warnings(z)
    (root,) = named(root=x.sqrt())
    for number in (math.nan, -1.0):
        x.data = number
        assert recorded_warnings(root)
    own = Primitive("own", lambda x: next(numbers), lambda out, x: 1.0)
    numbers = iter([1.0])  # a second run would raise
    assert not recorded_warnings(own(x))


def recorded_warnings(output: Value) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        steps(output)
    return found


def test_steps_change_no_gradient_and_keep_their_numbers() -> None:
    """Later assignments to .data and .grad, even of plain numbers, do not affect them."""
    x, y = named(x=Value(2.0), y=Value(3.0))
    z = x * y**2 + 1
    for node in topological_order(z):
        node.grad = 7.0
    s = steps(z)
    first, page = str(s), s.data()
    assert [node.grad for node in topological_order(z)] == [7.0] * 7
    for node in topological_order(z):
        node.data = node.grad = -100.0
    assert (str(s), s.data()) == (first, page)
    assert (s.gradient(x), s.gradient(y), s.explain(y).total) == (9.0, 12.0, 12.0)


@pytest.mark.parametrize("model", ["model", nn.MLP])
def test_a_model_that_is_no_module_is_rejected_at_once(model: Any) -> None:
    for shown in (steps, lambda output, model: explain(output, a, model)):
        with pytest.raises(TypeError, match=r"^model= takes a module with named_parameters\(\)"):
            shown(a.exp(), model)


def test_invalid_arguments_are_rejected() -> None:
    number: Any = 3
    function: Any = a.exp
    for shown in (steps, lambda number: explain(number, "a")):
        with pytest.raises(TypeError, match=r"^output must be a Value, not 3"):
            shown(number)
    with pytest.raises(TypeError, match=r"<bound method .*: call it, as in steps\(model\(x"):
        steps(function)


# --- the gradients --------------------------------------------------------------------------------

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 700.0, 1e-300, 1e200, math.inf, -math.inf]
UNARY: list[Callable[[Any], Any]] = [
    *[operator.attrgetter(name) for name in ("exp", "log", "sqrt", "sin", "tanh", "sigmoid")],
    *[operator.attrgetter(name) for name in ("relu", "softplus", "erf", "log1p", "expm1")],
]
OPERATIONS: list[Callable[[Any, Any, Any], Any]] = [
    lambda x, y, z: x + y,
    lambda x, y, z: x - y,
    lambda x, y, z: x * y,
    lambda x, y, z: x / y,
    lambda x, y, z: -x,
    lambda x, y, z: x**2,
    lambda x, y, z: x**-1,
    lambda x, y, z: x**y,
    lambda x, y, z: 2**x,
    lambda x, y, z: 0.0 * x,
    lambda x, y, z: abs(x),
    lambda x, y, z: maximum(x, y),
    lambda x, y, z: minimum(x, 0.5),
    lambda x, y, z: where(x, y, z),
    *[lambda x, y, z, method=method: method(x)() for method in UNARY],
    lambda x, y, z: CUBE(x),
    lambda x, y, z: SINH(x),
]
CUBE = Primitive("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
SINH = Primitive("sinh", math.sinh, lambda out, x: math.cosh(x))

Program = list[tuple[int, int, int, int]]
programs = st.lists(
    st.tuples(st.integers(0, len(OPERATIONS) - 1), *[st.integers(0, 5)] * 3),
    min_size=1,
    max_size=14,
)
moderate = st.lists(st.integers(-24, 24).map(lambda n: n / 8), min_size=3, max_size=3)
points = st.lists(st.sampled_from(SPECIAL) | st.floats(-3, 3), min_size=3, max_size=3)


def run(program: Program, leaves: Sequence[Value]) -> Value:
    """The last result of a program, which skips operations undefined for their operands."""
    results = list(leaves)
    for operation, i, j, k in program:
        operands = [results[-1 - at % len(results)] for at in (i, j, k)]
        try:
            results.append(OPERATIONS[operation](*operands))
        except (ValueError, ZeroDivisionError, OverflowError):
            continue
    return results[-1]


def outcome(compute: Callable[[], Any]) -> Any:
    """The result, or the type and message of the error."""
    try:
        return compute()
    except (ValueError, ZeroDivisionError, OverflowError, FloatingPointError) as error:
        return type(error), str(error)


def spelled(numbers: Sequence[float]) -> list[str]:
    """Floats to the last bit, including nan and -0.0."""
    return [repr(float(number)) for number in numbers]


@settings(max_examples=examples(300), deadline=None)
@given(programs, points, st.booleans())
def test_gradients_and_errors_equal_those_of_backward_to_the_last_bit(
    program: Program, point: list[float], checking: bool
) -> None:
    output = run(program, [Value(x, label=f"x{i}") for i, x in enumerate(point)])
    nodes = [node for node in topological_order(output) if not is_constant(node)]

    def by_steps() -> list[str]:
        return spelled([steps(output).gradients[node] for node in nodes])

    def by_backward() -> list[str]:
        output.backward()
        return spelled([node.grad for node in nodes])

    if checking:
        with detect_anomaly():
            got = outcome(by_steps)
            expected = outcome(by_backward)
        # The sweep that checks for anomalies may give -0.0 where the other gives 0.0.
        assert got == expected or [float(x) for x in got] == [float(x) for x in expected]
    else:
        assert outcome(by_steps) == outcome(by_backward)


@settings(max_examples=examples(150), deadline=None)
@given(programs, points)
def test_the_contributions_add_up_to_the_gradients(program: Program, point: list[float]) -> None:
    """A contribution is upstream * local, a total the sum so far, the last total the gradient."""
    output = run(program, [Value(x) for x in point])
    s = outcome(lambda: steps(output))
    if isinstance(s, tuple):
        return
    totals: dict[Value, float] = {}
    for step in s[len(s) // 2 :]:
        if step.node is not output:
            assert spelled([step.upstream]) == spelled([totals.get(step.node, 0.0)])
        for passed in step.contributions:
            contribution = step.upstream * passed.local
            assert passed.before == totals.get(passed.parent) or math.isnan(passed.before)
            totals[passed.parent] = totals.get(passed.parent, 0.0) + contribution
            assert spelled([passed.contribution, passed.total]) == spelled(
                [contribution, totals[passed.parent]]
            )
    for node, total in totals.items():
        assert spelled([s.gradients[node]]) == spelled([total])


def test_an_error_in_a_derivative_is_the_same_as_in_backward() -> None:
    x = Value(0.0, label="x")
    with pytest.raises(ZeroDivisionError) as caught:
        steps(2 * x.sqrt() + x)
    assert str(caught.value) == "backward of sqrt(x = 0.0): division by zero"


def test_anomalies_are_detected_as_in_backward() -> None:
    x = Value(1e200, label="x")
    y = (x * x) * 0.0
    with detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        steps(Value(1e300) * (Value(1e200, label="w") * x.tanh()).tanh() * 1e300 * x)
    assert str(caught.value).startswith("mul(1e+300, ")
    assert math.isnan(steps(y).nodes[-1].data)


def test_gradients_are_found_by_node_and_by_name() -> None:
    output = neuron()
    s = steps(output)
    w1 = next(node for node in s.nodes if node.label == "w1")
    assert s.gradient("w1") == s.gradient(w1) == s.gradients[w1]
    assert "".join(node.label for node in s.gradients) == "x1x2w1w2bno"
    gradients: Any = s.gradients
    with pytest.raises(TypeError):
        gradients[w1] = 1.0


def test_unknown_nodes_are_rejected_with_the_names_that_exist() -> None:
    (c,) = named(c=a * b + 2)
    s = steps(c)
    for ask in (s.gradient, s.explain):
        with pytest.raises(ValueError, match=r"^no node is called 'q'; there are a, b, v1, c$"):
            ask("q")
        with pytest.raises(ValueError, match=r"^c does not depend on Value\(data=1.0, .*'p'\)$"):
            ask(p)
        with pytest.raises(ValueError, match=r"is a constant, which receives no gradient$"):
            ask(c.parents[1])
        with pytest.raises(TypeError, match="a node is given as a Value or by its name, not as 3"):
            ask(3)
    many = steps(sum((Value(1.0) for _ in range(50)), Value(0.0)))
    with pytest.raises(ValueError, match=r"there are x1, .*, x30 and 71 more$"):
        many.gradient("q")
    twins = steps(Value(1.0, label="t") * Value(2.0, label="t"))
    with pytest.raises(ValueError, match="2 nodes are called 't': give one of t₁, t₂, or"):
        twins.gradient("t")
    three = steps(twins.output * Value(3.0, label="t1"))
    assert (three.gradient("t₁"), three.gradient("t1")) == (6.0, 2.0)  # each as it is shown
    with pytest.raises(ValueError, match="2 nodes are called 't_1': give one of t₁, t1, or"):
        three.gradient("t_1")


# --- the data for a page --------------------------------------------------------------------------


def number(entry: Any) -> float:
    """A number as the page reads it."""
    return float(entry)


class Page:
    """What the page does with the data, in Python: the contract between the two."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = json.loads(json.dumps(data, allow_nan=False))
        self.slots = [math.nan] * self.data["slots"]
        for i, node in enumerate(self.data["nodes"]):
            self.slots[i] = number(node["data"])
        for slot, fixed in self.data["constants"]:
            self.slots[slot] = number(fixed)

    def run(self, program: list[Any]) -> None:
        for slot, name, operands in program:
            self.slots[slot] = TABLE[name].forward(*[self.slots[o] for o in operands])

    def backward(self) -> list[float | None]:
        nodes = self.data["nodes"]
        gradients = [0.0] * len(nodes)
        gradients[self.data["output"]] = 1.0
        for entry in self.data["backward"]:
            upstream = gradients[entry["node"]]
            for edge in entry["edges"] if upstream else ():
                if edge["program"] is None:
                    local = math.nan if edge["local_value"] is None else number(edge["local_value"])
                else:
                    self.run(edge["program"])
                    local = self.slots[edge["local"]]
                gradients[edge["parent"]] += upstream * local
        constant = [node["kind"] == "constant" for node in nodes]
        return [None if fixed else g for fixed, g in zip(constant, gradients, strict=True)]

    def text(self, template: list[Any], in_numbers: bool) -> str:
        """A formula as the page writes it."""
        written = ""
        for item in template:
            if isinstance(item, str):
                written += item
            elif in_numbers:
                shown = format(self.slots[item["slot"]], ".4g")
                written += f"({shown})" if item["grouped"] and shown[0] == "-" else shown
            else:
                written += item.get("name", self.data["nodes"][item["slot"]]["name"])
        return written


@settings(max_examples=examples(200), deadline=None)
@given(programs, points)
def test_the_page_computes_the_gradients_to_the_last_bit(
    program: Program, point: list[float]
) -> None:
    output = run(program, [Value(x, label=f"x{i}") for i, x in enumerate(point)])
    s = outcome(lambda: steps(output))
    if isinstance(s, tuple):
        return
    page = Page(s.data())
    recorded = [None if g is None else number(g) for g in page.data["gradients"]]
    assert str(page.backward()) == str(recorded)
    expected = [s.gradients.get(node) for node in s.nodes]
    assert str(recorded) == str(expected)


@settings(max_examples=examples(200), deadline=None)
@given(programs, points, points)
def test_the_page_follows_a_moved_leaf_to_the_last_bit(
    program: Program, point: list[float], moved: list[float]
) -> None:
    """Forward and backward with other leaves give what Python recomputes for them."""
    leaves = [Value(x, label=f"x{i}") for i, x in enumerate(point)]
    output = run(program, leaves)
    s = outcome(lambda: steps(output))
    if isinstance(s, tuple):
        return
    page = Page(s.data())
    for i, node in enumerate(s.nodes):
        if page.data["nodes"][i]["movable"]:
            node.data = page.slots[i] = moved[leaves.index(node)]

    def fresh() -> list[str]:
        for node in topological_order(output):
            node.grad = 0.0
            if node.primitive:
                node.data = node.primitive.forward(*[parent.data for parent in node.parents])
        output.backward()
        return spelled([node.grad for node in s.gradients] + [node.data for node in s.nodes])

    def on_the_page() -> list[str]:
        page.run(page.data["forward"])
        gradients = [g for g in page.backward() if g is not None]
        return spelled(gradients + page.slots[: len(s.nodes)])

    expected, got = outcome(fresh), outcome(on_the_page)
    if isinstance(expected, list):
        assert got == expected
    else:
        assert got[0] is expected[0]  # the same type of error


def test_the_data_of_a_small_graph() -> None:
    x, w = named(x=Value(2.0), w=Value(-0.0))
    (y,) = named(y=(x * w - 3.0).tanh())
    data = steps(y).data()
    assert set(data) == {
        *("version", "title", "nodes", "output", "constants", "slots"),
        *("forward", "backward", "gradients"),
    }
    assert (data["version"], data["title"], data["output"]) == (1, "The backward pass of y", 5)
    assert [n["name"] for n in data["nodes"]] == ["x", "w", "3", "v1", "v2", "y"]
    assert [n["kind"] for n in data["nodes"]] == [
        *("leaf", "leaf", "constant", "inner", "inner", "output")
    ]
    assert [n["parents"] for n in data["nodes"]] == [[], [], [], [0, 1], [3, 2], [4]]
    assert [n["data"] for n in data["nodes"]] == [2.0, "-0", 3.0, "-0", -3.0, math.tanh(-3.0)]
    assert [n["movable"] for n in data["nodes"]] == [True, True, False, False, False, False]
    assert [n["lines"] for n in data["nodes"]] == [
        *(["x"], ["w"], ["3"], ["*  v1"], ["-  v2"], ["tanh  y"])
    ]
    assert data["nodes"][2]["fixed_because"] == "it is a constant"
    assert data["nodes"][4]["formula"] == [{"slot": 3, "grouped": False}, " - 3"]
    assert data["constants"] == [[6, 3.0], *data["constants"][1:]]
    assert [operation[:2] for operation in data["forward"]] == [[3, "mul"], [4, "sub"], [5, "tanh"]]
    first = data["backward"][0]
    assert (first["node"], [edge["parent"] for edge in first["edges"]]) == (5, [4])
    assert first["edges"][0]["symbols"] == ["sech(", {"slot": 4, "grouped": False}, ")²"]
    assert [operation[1] for operation in first["edges"][0]["program"]] == ["sech", "mul"]
    assert data["backward"][2]["edges"][0] == {
        "operand": 0,
        "parent": 0,
        "symbols": [{"slot": 1, "grouped": False}],
        "program": [],
        "local": 1,
        "local_value": "-0",
    }
    assert [g is None for g in data["gradients"]] == [False, False, True, False, False, False]


def test_templates_give_the_texts_of_the_steps() -> None:
    (s,) = named(**{"a + b": a + b})
    output = (s * b - 2.5) / s.exp() * (s**2).sigmoid()
    all_steps = steps(output)
    page = Page(all_steps.data())
    half = len(all_steps) // 2
    for i, step in enumerate(all_steps[:half], start=page.data["output"] + 1 - half):
        assert isinstance(step, ForwardStep)
        template = page.data["nodes"][i]["formula"]
        assert page.text(template, False) == step.formula
        assert page.text(template, True) == step.in_numbers
    for entry, back in zip(page.data["backward"], all_steps[half:], strict=True):
        assert isinstance(back, BackwardStep)
        for edge, passed in zip(entry["edges"], back.contributions, strict=True):
            assert page.text(edge["symbols"], False) == passed.symbols


def test_a_leaf_that_python_code_depends_on_is_not_movable_and_says_why() -> None:
    x, y, z = named(x=Value(0.5), y=Value(2.0), z=Value(3.0))
    branch = Primitive("branch", lambda x: x * x, lambda out, x: 2 * x if x > 0 else 0.0)
    data = steps(SINH(x * y) + CUBE(z) + branch(z * 1.0) * y).data()
    nodes = {node["name"]: node for node in data["nodes"] if node["label"]}
    assert [nodes[name]["movable"] for name in "xyz"] == [False, False, False]
    assert nodes["x"]["fixed_because"] == "v2 = sinh(v1) runs Python code, which a page cannot run"
    assert nodes["z"]["fixed_because"].startswith("v6 = branch(v5) runs Python code")
    edges = {e["node"]: e["edges"] for e in data["backward"]}
    by_op = {node["op"]: i for i, node in enumerate(data["nodes"])}
    (edge,) = edges[by_op["sinh"]]
    assert (edge["program"], edge["local_value"]) == (None, math.cosh(1.0))
    assert edge["symbols"] == ["sinh'(", {"slot": by_op["sinh"] - 1, "grouped": False}, ")"]
    assert by_op["sinh"] not in [slot for slot, _, _ in data["forward"]]
    assert by_op["branch"] in [slot for slot, _, _ in data["forward"]]
    assert steps(CUBE(z)).data()["nodes"][0]["movable"] is True


def test_a_local_derivative_that_raises_is_unknown() -> None:
    x = Value(0.5, label="x")
    reciprocal = Primitive("reciprocal", lambda x: x, lambda out, x: 1.0 / math.floor(x))
    (edge,) = steps(reciprocal(x) * 0.0).data()["backward"][1]["edges"]
    assert (edge["program"], edge["local_value"]) == (None, None)
    (edge,) = steps(SINH(x) * 0.0).data()["backward"][1]["edges"]
    assert edge["local_value"] == math.cosh(0.5)


def test_a_local_derivative_that_the_pass_did_not_need_is_left_to_its_program() -> None:
    (edge,) = steps(Value(0.5, label="x").tanh() * 0.0).data()["backward"][1]["edges"]
    assert edge["local_value"] is None
    assert [operation[1] for operation in edge["program"]] == ["sech", "mul"]


def test_parameters_are_distinguished_from_other_leaves() -> None:
    nn.seed(1)
    model = nn.Neuron(1)
    x = Value(1.0, label="x")
    kinds = {n["name"]: n["kind"] for n in steps(model([x])).data()["nodes"]}
    assert (kinds["w"], kinds["b"], kinds["x"]) == ("parameter", "parameter", "leaf")
    data = steps(model([x]) * x.log()).data()
    assert "it takes numbers above 0" in [n["domain"] for n in data["nodes"]]


def test_the_data_of_a_graph_of_300_nodes_is_small() -> None:
    nn.seed(1)
    model = nn.MLP(2, [4, 4, 1], activation="tanh")
    loss = nn.mse([model([0.1 * i, 1.0]) for i in range(3)], [0.0, 1.0, 2.0])
    s = steps(loss)
    assert len(s.nodes) > 250
    assert len(json.dumps(s.data())) < 300_000


# --- in a notebook and in a file ------------------------------------------------------------------


def test_a_notebook_gets_the_player_and_the_table() -> None:
    s = steps(neuron())
    bundle = s._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == str(s)
    assert "The backward pass of o" in bundle["text/html"]
    text_only = {"text/plain": str(s)}
    assert s._repr_mimebundle_(include=["text/plain"]) == text_only
    assert s._repr_mimebundle_(exclude=["text/html"]) == text_only


def chain(length: int) -> Value:
    x = Value(1.0, label="x")
    for _ in range(length):
        x = x * 1.0000001
    return x


def test_a_graph_too_large_for_the_player_is_a_table_that_says_so(tmp_path: FilePath) -> None:
    s = steps(chain(PLAYER_NODES))
    bundle = s._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    assert PLAYER_NODES == 1_000
    message = "2,001 nodes are too many for the player, which takes 1,000"
    assert bundle["text/plain"] == f"{bundle['text/plain'].splitlines()[0]}\n\n{s}"
    assert bundle["text/plain"].startswith(message)
    with pytest.raises(ValueError, match=message):
        s.save(tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_saving_writes_one_html_file(tmp_path: FilePath) -> None:
    path = tmp_path / "pass.html"
    path.write_text("old")
    steps(neuron()).save(path)
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "The backward pass of o" in page
    assert [entry.name for entry in tmp_path.iterdir()] == ["pass.html"]
    steps(neuron()).save(str(tmp_path / "again.HTML"))
    assert (tmp_path / "again.HTML").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("name", ["pass.svg", "pass", "html", "pass.html.png"])
def test_other_file_extensions_are_rejected(tmp_path: FilePath, name: str) -> None:
    with pytest.raises(ValueError, match=f"steps are saved as .html, not as '{name}'"):
        steps(neuron()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("predict", ["no", 1, None])
def test_predict_must_be_true_or_false(tmp_path: FilePath, predict: Any) -> None:
    with pytest.raises(TypeError, match=f"^predict must be True or False, not {predict!r}$"):
        steps(neuron()).save(tmp_path / "pass.html", predict=predict)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        steps(neuron()).save(tmp_path / "missing" / "pass.html")
    path = tmp_path / "pass.html"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        steps(neuron()).save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# --- size -----------------------------------------------------------------------------------------


def test_a_very_long_chain_is_stepped_through_without_recursion() -> None:
    length = 50_000
    s = steps(chain(length))
    assert len(s) == 2 * length
    assert str(s[length - 1]) == f"v{length} = v{length - 1} * 1 = 1.005 * 1 = 1.005"
    assert str(s[-1]) == "v1.grad = 1.005, back through v1 = x * 1: x.grad = 1.005 * 1 = 1.005"
    assert len(str(s)) < 20_000


def test_the_gradients_of_a_training_loss_equal_those_of_backward() -> None:
    nn.seed(1)
    rng = random.Random(1)
    model = nn.MLP(2, [16, 16, 1])
    inputs = [[rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in range(20)]
    loss = nn.hinge([model(x) for x in inputs], [rng.choice([-1, 1]) for _ in inputs])
    s = steps(loss)
    loss.backward()
    assert spelled([s.gradient(p) for p in model.parameters()]) == spelled(
        [p.grad for p in model.parameters()]
    )
