"""Losses: values worked out by hand, closed forms of gradients, stability, bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from autograd import Value, grad

LN2, LN3 = math.log(2.0), math.log(3.0)
FLOOR = 34.538776394910684  # -log(1e-15): what a probability of exactly 0 costs

ELEMENTWISE = [nn.mse, nn.binary_cross_entropy, nn.binary_cross_entropy_with_logits, nn.hinge]
CLASSIFYING = [nn.cross_entropy, nn.cross_entropy_with_logits]


def numbers(values):
    return [value.data for value in values]


# --- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        (3.0, 1.0, 4.0),
        ([1.0, 3.0, 5.0], [0.0, 1.0, 6.0], 2.0),  # (1 + 4 + 1) / 3
        ([[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], 7.5),  # (1 + 4 + 9 + 16) / 4
        ([[1.0], [5.0]], [0.0, 2.0], 5.0),  # a column beside a vector: (1 + 9) / 2
    ],
)
def test_mse_by_hand(predicted, target, expected):
    assert nn.mse(predicted, target).data == expected
    assert nn.mse(np.array(predicted), np.array(target)).data == expected
    if isinstance(predicted, list) and isinstance(predicted[0], list):
        assert nn.mse(nn.Matrix(predicted), target).data == expected


def test_binary_cross_entropy_by_hand():
    loss = nn.binary_cross_entropy([0.25, 0.25, 0.5], [1, 0, 0.3])
    # -log(1/4), -log(3/4), and log 2 whatever the target is
    assert loss.data == pytest.approx((2 * LN2 + 2 * LN2 - LN3 + LN2) / 3, rel=1e-13)


def test_binary_cross_entropy_with_logits_by_hand():
    loss = nn.binary_cross_entropy_with_logits([-LN3, -LN3, 0.0], [1, 0, 0.3])
    assert loss.data == pytest.approx((5 * LN2 - LN3) / 3, rel=1e-14)


def test_hinge_by_hand():
    # 1 - 2 < 0 costs nothing; 1 + 0.5; 1 + 1
    scores = [Value(2.0), Value(0.5), Value(-1.0)]
    loss = nn.hinge(scores, [1, -1, 1])
    assert loss.data == 3.5 / 3
    loss.backward()
    assert [s.grad for s in scores] == pytest.approx([0.0, 1 / 3, -1 / 3], rel=1e-15)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (1, 2 * LN2 - LN3),  # -log(3/4)
        (np.int64(1), 2 * LN2 - LN3),
        ([0, 1], 2 * LN2 - LN3),
        (np.array([0.0, 1.0]), 2 * LN2 - LN3),
        ([0.5, 0.5], 2 * LN2 - LN3 / 2),  # half of -log(1/4), half of -log(3/4)
        ([Value(0.5), Value(0.5)], 2 * LN2 - LN3 / 2),
    ],
)
def test_cross_entropy_by_hand(target, expected):
    assert nn.cross_entropy([0.25, 0.75], target).data == pytest.approx(expected, rel=1e-13)
    from_logits = nn.cross_entropy_with_logits([5.0, 5.0 + LN3], target)
    assert from_logits.data == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("rows", [list, np.array, nn.Matrix])
@pytest.mark.parametrize("targets", [[1, 0], [[0, 1], [1, 0]], np.array([1, 0])])
def test_cross_entropy_of_a_batch_is_the_mean_over_its_examples(rows, targets):
    batch = rows([[0.25, 0.75], [0.5, 0.5]])
    # (-log(3/4) - log(1/2)) / 2
    assert nn.cross_entropy(batch, targets).data == pytest.approx((3 * LN2 - LN3) / 2, rel=1e-13)


# --- closed forms of gradients --------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=6))
def test_the_gradient_of_mse_is_2_over_n_times_p_minus_y(pairs):
    predicted = [Value(p) for p, _ in pairs]
    target = [Value(y) for _, y in pairs]
    loss = nn.mse(predicted, target)
    expected = [2 / len(pairs) * (p - y) for p, y in pairs]
    assert numbers(grad(loss, predicted)) == pytest.approx(expected, rel=1e-14, abs=1e-300)
    assert numbers(grad(loss, target)) == pytest.approx([-g for g in expected], rel=1e-14)


LOGITS = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3)


@given(LOGITS, LOGITS)
@pytest.mark.parametrize(
    "target", [[0, 2], [[1, 0, 0], [0, 0, 1]], [[0.2, 0.3, 0.5], [0.6, 0.4, 0]]]
)
def test_the_gradient_of_softmax_and_cross_entropy_is_p_minus_y(target, first, second):
    logits = nn.Matrix([first, second])
    entries = [z for row in logits for z in row]
    y = np.eye(3)[target] if isinstance(target[0], int) else np.array(target)
    p = np.exp([first, second])
    p = p / p.sum(axis=1, keepdims=True)
    expected = list(((p - y) / 2).ravel())
    direct = grad(nn.cross_entropy_with_logits(logits, target), entries)
    assert numbers(direct) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    # The eps inside the plain loss moves this a little.
    composed = grad(nn.cross_entropy(nn.softmax(logits), target), entries)
    assert numbers(composed) == pytest.approx(expected, rel=1e-9, abs=1e-11)


@given(st.lists(st.tuples(st.floats(-6, 6), st.floats(0, 1)), min_size=1, max_size=4))
def test_the_gradient_of_binary_cross_entropy_by_the_logit_is_p_minus_y(pairs):
    logits, target = [Value(z) for z, _ in pairs], [y for _, y in pairs]
    expected = [(1 / (1 + math.exp(-z)) - y) / len(pairs) for z, y in pairs]
    direct = nn.binary_cross_entropy_with_logits(logits, target)
    composed = nn.binary_cross_entropy(nn.sigmoid(logits), target)
    assert direct.data == pytest.approx(composed.data, rel=1e-10)
    assert numbers(grad(direct, logits)) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert numbers(grad(composed, logits)) == pytest.approx(expected, rel=1e-9, abs=1e-11)


@given(st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=5), st.data())
def test_cross_entropy_with_logits_is_cross_entropy_of_softmax(logits, data):
    target = data.draw(st.integers(0, len(logits) - 1))
    plain = nn.cross_entropy(nn.softmax(logits), target).data
    assert nn.cross_entropy_with_logits(logits, target).data == pytest.approx(plain, abs=1e-10)


# --- stability ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logit", "target", "loss", "slope"),
    [
        (1000, 0, 1000, 1),
        (-1000, 1, 1000, -1),
        (1000, 1, 0, 0),
        (-1000, 0, 0, 0),
        (0, 1, LN2, -0.5),
    ],
)
def test_binary_cross_entropy_with_logits_is_exact_far_out(logit, target, loss, slope):
    z = Value(logit)
    found = nn.binary_cross_entropy_with_logits(z, target)
    found.backward()
    assert (found.data, z.grad) == (loss, slope)


@pytest.mark.parametrize(("target", "loss", "slopes"), [(0, 0.0, [0, 0]), (1, 2000.0, [1, -1])])
def test_cross_entropy_with_logits_is_exact_far_out(target, loss, slopes):
    logits = [Value(1000.0), Value(-1000.0)]
    found = nn.cross_entropy_with_logits(logits, target)
    found.backward()
    assert found.data == loss
    assert [z.grad for z in logits] == slopes


def test_a_probability_of_exactly_0_costs_the_floor_and_no_error():
    p = [Value(0.0), Value(1.0)]
    loss = nn.cross_entropy(p, 0)
    loss.backward()
    assert loss.data == pytest.approx(FLOOR, rel=1e-15)
    assert [x.grad for x in p] == pytest.approx([-1e15, 0.0], rel=1e-12)
    assert nn.cross_entropy(nn.softmax([0.0, 1000.0]), 0).data == pytest.approx(FLOOR, rel=1e-15)
    assert nn.cross_entropy(p, [1.0, 0.0]).data == pytest.approx(FLOOR, rel=1e-15)


@pytest.mark.parametrize(("p", "y"), [(0.0, 1), (1.0, 0)])
def test_a_certain_and_wrong_probability_costs_the_floor_and_no_error(p, y):
    p = Value(p)
    loss = nn.binary_cross_entropy(p, y)
    loss.backward()
    assert loss.data == pytest.approx(FLOOR, rel=1e-15)
    assert abs(p.grad) == pytest.approx(1e15, rel=1e-12)


def test_a_certain_and_right_prediction_costs_nothing():
    assert nn.cross_entropy([0.0, 1.0], 1).data == pytest.approx(0.0, abs=2e-15)
    assert nn.binary_cross_entropy([0.0, 1.0], [0, 1]).data == pytest.approx(0.0, abs=2e-15)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ELEMENTWISE)
@pytest.mark.parametrize(
    ("predicted", "target", "message"),
    [
        ([0.5, 0.5], [1], r"\(2,\).*\(1,\)"),
        ([0.5], [[1, 1]], r"\(1,\).*\(1, 2\)"),
        ([[0.5, 0.5]], [1, 1], r"\(1, 2\).*\(2,\)"),
        (0.5, [1], r"\(\).*\(1,\)"),
        ([[0.5, 0.5], [0.5]], [[1, 1], [1, 1]], "ragged"),
        ([0.5, [0.5]], [1, 1], "ragged"),
        ([[0.5, 0.5], [0.5, 0.5]], [[1, 1], [1]], "ragged"),
        ([], [], "empty"),
        ([[]], [[]], "empty"),
        ([0.5, 0.5], [1, math.nan], "nan"),
        ([0.5, 0.5], [1, math.inf], "inf"),
    ],
)
def test_shapes_that_do_not_fit_and_targets_that_are_not_finite_are_value_errors(
    loss, predicted, target, message
):
    with pytest.raises(ValueError, match=message):
        loss(predicted, target)


@pytest.mark.parametrize("loss", ELEMENTWISE)
@pytest.mark.parametrize("wrong", ["ab", None, 1j, ["a"], [None], [1j]])
def test_what_is_not_a_number_is_a_type_error(loss, wrong):
    with pytest.raises(TypeError, match=loss.__name__):
        loss(wrong, 1)
    with pytest.raises(TypeError, match=loss.__name__):
        loss(0.5, wrong)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.hinge, 0),
        (nn.hinge, 2),
        (nn.hinge, 0.5),
        (nn.binary_cross_entropy, -0.1),
        (nn.binary_cross_entropy, 1.1),
        (nn.binary_cross_entropy_with_logits, -1),
        (nn.binary_cross_entropy_with_logits, 2),
    ],
)
def test_a_target_outside_the_range_of_the_loss_is_named(loss, target):
    with pytest.raises(ValueError, match=f"{loss.__name__}.*{target}"):
        loss([0.5], [target])


@pytest.mark.parametrize("loss", ELEMENTWISE)
def test_a_value_as_a_target_is_taken_as_it_is(loss):
    assert math.isnan(loss([Value(0.5)], [Value(math.nan)]).data)


@pytest.mark.parametrize("loss", CLASSIFYING)
@pytest.mark.parametrize(
    ("predicted", "target", "message"),
    [
        ([0.5, 0.5], 2, "no class 2"),
        ([0.5, 0.5], -1, "no class -1"),
        ([0.5, 0.5], True, "no class True"),
        ([0.5, 0.5], [1, 0, 0], r"2 classes.*\(3,\)"),
        ([0.5, 0.5], [[1, 0]], r"2 classes.*\(1, 2\)"),
        ([0.5, 0.5], [], "empty"),
        ([0.5, 0.5], [0.5, 0.4], "sum to 1, not to 0.9"),
        ([0.5, 0.5], [0, 0], "sum to 1, not to 0"),
        ([0.5, 0.5], [1.5, -0.5], "between 0 and 1"),
        ([0.5, 0.5], [math.nan, 1.0], "must be finite, not nan"),
        ([[0.5, 0.5], [0.5, 0.5]], [0], "2 examples, but 1 targets"),
        ([[0.5, 0.5]], [0, 1], "1 examples, but 2 targets"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, 2], "no class 2"),
        ([[0.5, 0.5], [0.5]], [0, 0], "ragged"),
        ([], 0, "empty"),
        ([[]], [0], "empty"),
        (0.5, 0, r"not shape \(\)"),
        ([[[0.5, 0.5]]], [[0]], r"not shape \(1, 1, 2\)"),
    ],
)
def test_bad_examples_and_classes_are_value_errors(loss, predicted, target, message):
    with pytest.raises(ValueError, match=message):
        loss(predicted, target)


@pytest.mark.parametrize("loss", CLASSIFYING)
@pytest.mark.parametrize(
    ("predicted", "target"),
    [
        ([0.5, 0.5], 1.0),
        ([0.5, 0.5], None),
        ([0.5, 0.5], "01"),
        ([0.5, 0.5], [None, 1]),
        ([[0.5, 0.5]], 0),
        ([[0.5, 0.5]], "0"),
        ([[0.5, 0.5]], [0.0]),
        ("ab", 0),
        (None, 0),
        ([None, 0.5], 0),
    ],
)
def test_targets_and_predictions_of_a_wrong_kind_are_type_errors(loss, predicted, target):
    with pytest.raises(TypeError, match=loss.__name__):
        loss(predicted, target)


def test_a_negative_probability_is_outside_the_logarithm():
    with pytest.raises(ValueError, match="log"):
        nn.cross_entropy([-0.5, 1.5], 0)


@pytest.mark.parametrize("loss", [nn.cross_entropy, nn.cross_entropy_with_logits])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_the_index_of_a_class_may_be_a_value(loss, k):
    ways = []
    for target in (k, Value(float(k))):
        scores = [Value(0.2), Value(0.5), Value(0.3)]
        cost = loss(scores, target)
        cost.backward()
        ways.append([cost.data, *(score.grad for score in scores)])
    assert ways[0] == ways[1]
