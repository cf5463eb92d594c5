"""Activations: values compared with mpmath, closed-form derivatives, stability, bad input."""

import math
import re

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from autograd import Value, grad, jacobian
from autograd.backward import topological_order
from autograd.value import is_constant
from nn.activations import activation_named
from nn.matrix import total

POINTS = [-700.0, -40.0, -3.0, -1.0, -1e-3, -1e-300, 0.0, 1e-300, 1e-3, 0.5, 1.0, 3.0, 40.0, 700.0]

EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,  # 0.01 is a float, as in the definition
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
}


def exactly(function, x):
    with mpmath.workdps(400):
        return float(function(mpmath.mpf(x)))


@pytest.mark.parametrize("name", EXACT)
def test_values_agree_with_mpmath(name):
    for x in POINTS:
        found = getattr(nn, name)(Value(x)).data
        assert found == pytest.approx(exactly(EXACT[name], x), rel=1e-15, abs=0.0), x


@pytest.mark.parametrize("x", POINTS)
def test_gelu_is_x_times_the_normal_distribution_function(x):
    # 1 + erf cancels for x << 0: the error is small relative to x, not relative to the result.
    expected = exactly(lambda x: x * mpmath.ncdf(x), x)
    assert nn.gelu(x).data == pytest.approx(expected, rel=1e-15, abs=2e-16 * abs(x))


@given(st.floats(-30.0, 30.0))
def test_the_derivative_of_sigmoid_is_s_times_1_minus_s(number):
    x = Value(number)
    s = 1.0 / (1.0 + math.exp(-number))
    (slope,) = grad(nn.sigmoid(x), [x])
    assert slope.data == pytest.approx(s * (1.0 - s), rel=1e-12, abs=2e-16)


@pytest.mark.parametrize(
    ("x", "value", "slope"), [(-2.0, 0.0, 0.0), (0.0, 0.0, 0.0), (3.0, 3.0, 1.0)]
)
def test_relu_and_its_slope_which_is_0_at_the_kink(x, value, slope):
    x = Value(x)
    out = nn.relu(x)
    out.backward()
    assert (out.data, x.grad) == (value, slope)


# torch 2.13.0: F.leaky_relu and F.elu, and the gradients of their sums.
@pytest.mark.parametrize(
    ("f", "values", "slopes"),
    [
        (nn.leaky_relu, [-0.02, -0.005, 0.0, 1.5], [0.01, 0.01, 0.01, 1.0]),
        (
            lambda x: nn.leaky_relu(x, negative_slope=0.2),
            [-0.4, -0.1, 0.0, 1.5],
            [0.2, 0.2, 0.2, 1.0],
        ),
        (
            nn.elu,
            [-0.8646647167633873, -0.3934693402873666, 0.0, 1.5],
            [0.1353352832366127, 0.6065306597126334, 1.0, 1.0],
        ),
        (
            lambda x: nn.elu(x, alpha=2.0),
            [-1.7293294335267746, -0.7869386805747332, 0.0, 1.5],
            [0.2706705664732254, 1.2130613194252668, 2.0, 1.0],
        ),
    ],
    ids=["leaky_relu", "leaky_relu 0.2", "elu", "elu 2"],
)
def test_leaky_relu_and_elu_and_their_derivatives_match_torch(f, values, slopes):
    x = [Value(number) for number in (-2.0, -0.5, 0.0, 1.5)]
    out = f(x)
    total(out).backward()
    assert [y.data for y in out] == pytest.approx(values, rel=1e-15)
    assert [v.grad for v in x] == pytest.approx(slopes, rel=1e-15)


def test_elu_does_not_overflow_and_has_a_second_derivative_at_0():
    x = [Value(1e3), Value(-1e3), Value(0.0)]
    assert [nn.elu(v).data for v in x] == [1e3, -1.0, 0.0]
    (slope,) = grad(nn.elu(x[2]), [x[2]], create_graph=True)
    assert (slope.data, grad(slope, [x[2]])[0].data) == (1.0, 1.0)  # the derivatives of exp(x) - 1


def test_settings_may_be_passed_by_position():
    assert nn.leaky_relu(Value(-1.0), 0.2).data == -0.2
    assert [y.data for y in nn.leaky_relu([-1.0, 2.0], 0.5)] == [-0.5, 2.0]
    assert nn.elu(nn.Matrix([[-1.0]]), 2.0).data == [[pytest.approx(2.0 * math.expm1(-1.0))]]
    for wrong in ("0.2", None, [0.2]):
        message = re.escape(f"negative_slope must be a number or a Value, not {wrong!r}")
        for call in (
            lambda wrong=wrong: nn.leaky_relu([-1.0], wrong),
            lambda wrong=wrong: nn.leaky_relu([-1.0], negative_slope=wrong),
        ):
            with pytest.raises(TypeError, match=f"^leaky_relu: {message}$"):
                call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: nn.relu(x, 0.2), "relu takes x, but got 0.2 after x"),
        (lambda x: nn.relu(x, negative_slope=1), "relu takes x, but got negative_slope=1 after x"),
        (lambda x: nn.gelu(x, approximate="tanh"), "gelu takes x, but got approximate='tanh'"),
        (lambda x: nn.leaky_relu(x, 0.1, True), "leaky_relu takes x and negative_slope, but got"),
        (
            lambda x: nn.leaky_relu(x, 0.1, negative_slope=0.1),
            "takes x and negative_slope, but got",
        ),
        (lambda x: nn.elu(x, slope=0.1), r"^elu takes x and alpha, but got slope=0\.1 after x$"),
    ],
)
def test_the_error_for_an_unknown_setting_names_those_there_are(call, message):
    for x in (Value(1.0), [1.0, 2.0], nn.Matrix([[1.0]])):
        with pytest.raises(TypeError, match=message):
            call(x)


def test_linear_is_the_identity():
    x = Value(-1.5)
    assert nn.linear(x) is x


# --- one Value, a number, a sequence, a Matrix ----------------------------------------------------


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu", "silu", "linear"]
)
def test_activations_are_elementwise(name):
    f = getattr(nn, name)
    one, two = f(Value(-0.5)).data, f(2.0).data
    assert [y.data for y in f([-0.5, Value(2.0)])] == [one, two]
    assert [y.data for y in f((-0.5, 2.0))] == [one, two]
    assert f(nn.Matrix([[-0.5, 2.0], [2.0, 2.0]])).data == [[one, two], [two, two]]
    assert activation_named(name)(Value(2.0)).data == two


@pytest.mark.parametrize("f", [nn.relu, nn.elu, nn.softmax, nn.log_softmax, nn.logsumexp])
@pytest.mark.parametrize("wrong", ["abc", None, 1j, ["a"], [None]])
def test_non_numbers_raise_a_type_error(f, wrong):
    with pytest.raises(TypeError):
        f(wrong)


def test_nan_propagates():
    assert math.isnan(nn.gelu(math.nan).data)
    assert all(math.isnan(p.data) for p in nn.softmax([1.0, math.nan]))


# --- softmax --------------------------------------------------------------------------------------


def test_softmax_of_0_and_log_3_is_a_quarter_and_three_quarters():
    logits = [0.0, math.log(3.0)]
    assert [p.data for p in nn.softmax(logits)] == pytest.approx([0.25, 0.75], rel=1e-15)
    logs = [p.data for p in nn.log_softmax(logits)]
    assert logs == pytest.approx([math.log(0.25), math.log(0.75)], rel=1e-15)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e5, 1e100, 1e300])
def test_softmax_of_huge_logits_sums_to_1(size):
    rows = nn.softmax(nn.Matrix([[size, -size, 0.0], [-size, -size, -size], [size, size, -size]]))
    for row in rows.data:
        assert math.fsum(row) == pytest.approx(1.0, rel=1e-15)
    assert rows.data[1] == pytest.approx([1 / 3] * 3, rel=1e-15)
    if size > 1e2:
        assert rows.data[0] == [1.0, 0.0, 0.0]
        assert rows.data[2] == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("size", [1e3, 1e100, 1e300])
def test_log_softmax_is_finite_where_softmax_is_0(size):
    assert [p.data for p in nn.log_softmax([0.0, size])] == [-size, 0.0]


@given(st.lists(st.floats(-8.0, 8.0), min_size=1, max_size=6), st.floats(-100.0, 100.0))
def test_adding_a_constant_to_every_logit_does_not_change_softmax(logits, shift):
    plain = [p.data for p in nn.softmax(logits)]
    shifted = [p.data for p in nn.softmax([z + shift for z in logits])]
    assert shifted == pytest.approx(plain, rel=1e-12)


@given(st.lists(st.floats(-8.0, 8.0), min_size=1, max_size=5))
def test_the_jacobian_of_softmax_is_diag_p_minus_p_pt(numbers):
    logits = [Value(z) for z in numbers]
    found = jacobian(nn.softmax(logits), logits)
    exponentials = [math.exp(z) for z in numbers]
    p = [e / sum(exponentials) for e in exponentials]
    for i, row in enumerate(found):
        expected = [p[i] * ((i == j) - p[j]) for j in range(len(p))]
        assert [entry.data for entry in row] == pytest.approx(expected, rel=1e-10, abs=1e-15)


def test_a_logit_of_minus_infinity_has_zero_probability_and_zero_gradient():
    logits = [Value(-math.inf), Value(0.0), Value(0.0)]
    probabilities = nn.softmax(logits)
    assert [p.data for p in probabilities] == [0.0, 0.5, 0.5]
    probabilities[1].backward()
    assert [z.grad for z in logits] == [0.0, 0.25, -0.25]


@pytest.mark.parametrize("f", [nn.softmax, nn.log_softmax, nn.logsumexp])
@pytest.mark.parametrize("wrap", [lambda row: row, lambda row: [[0.0, 0.0], row], nn.Matrix])
def test_a_row_of_only_minus_infinity_is_rejected(f, wrap):
    row = [-math.inf, -math.inf]
    if wrap is nn.Matrix:
        row = [[0.0, 0.0], row]
    with pytest.raises(ValueError, match=f"{f.__name__}: every logit of the row is -inf .*masked"):
        f(wrap(row))
    with pytest.raises(ValueError, match="every logit of the row is -inf"):
        f([-math.inf])


@pytest.mark.parametrize("f", [nn.softmax, nn.log_softmax, nn.logsumexp])
def test_plus_infinity_is_an_error_and_nan_passes_through(f):
    with pytest.raises(FloatingPointError, match=f"{f.__name__}: a logit is inf"):
        f([0.0, math.inf])
    for row in ([math.nan, 0.0], [math.inf, math.nan], [math.nan, -math.inf], [math.nan]):
        out = f(row)
        assert all(math.isnan(x.data) for x in (out if isinstance(out, list) else [out]))


def test_logsumexp_by_hand_and_of_extreme_logits():
    # torch 2.13.0: torch.logsumexp
    rows = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 3.0, 0.0]]
    expected = [[2.241311296657157], [1.830672609407224], [3.0549852353771474]]
    for kind in (nn.Matrix, list):
        out = nn.logsumexp(kind(rows))
        assert out.shape == (3, 1)
        assert [x for (x,) in out.data] == pytest.approx([x for (x,) in expected], rel=1e-15)
    assert nn.logsumexp([1000.0, 1000.0]).data == 1000.0 + math.log(2.0)
    assert nn.logsumexp([-1000.0, -1000.0]).data == -1000.0 + math.log(2.0)
    assert nn.logsumexp([1e300, -math.inf]).data == 1e300
    assert nn.logsumexp([7.0]).data == 7.0


@given(st.lists(st.floats(-8.0, 8.0), min_size=1, max_size=5))
def test_the_gradient_of_logsumexp_is_softmax(numbers):
    x = [Value(number) for number in numbers]
    slopes = [g.data for g in grad(nn.logsumexp(x), x)]
    assert slopes == pytest.approx([p.data for p in nn.softmax(x)], rel=1e-14)


@pytest.mark.parametrize("f", [nn.softmax, nn.log_softmax, nn.logsumexp])
def test_softmax_of_no_logits_is_a_value_error(f):
    with pytest.raises(ValueError, match="at least one logit"):
        f([])


# --- by name --------------------------------------------------------------------------------------


def test_the_error_for_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'rely'.*relu, leaky_relu, elu, .*, linear"):
        activation_named("rely")
    for wrong in (["relu"], {}):
        with pytest.raises(ValueError, match=r"there is no activation .*, only relu, leaky_"):
            activation_named(wrong)
    with pytest.raises(ValueError, match=r"'softmax', .*; call nn\.softmax on what the layer ret"):
        nn.Layer(2, 3, "softmax")


def test_a_function_can_serve_as_an_activation():
    assert activation_named(Value.sin) is Value.sin


@pytest.mark.parametrize(
    "function",
    [
        lambda x: nn.softmax(x)[0],
        lambda x: nn.log_softmax(x)[0],
        nn.logsumexp,
        lambda x: nn.cross_entropy_with_logits(x, 1),
        nn.norm,
    ],
)
def test_the_subtracted_maximum_is_a_constant_labelled_max(function):
    x = [Value(1.0), Value(3.0), Value(2.0)]
    out = function(x)
    nodes = topological_order(out)
    assert {node for node in nodes if not node.op and not is_constant(node)} <= set(x)
    (peak,) = (node for node in nodes if node.label)
    assert (peak.label, peak.data, is_constant(peak)) == ("max", 3.0, True)
    out.backward()
    assert peak.grad == 0.0
