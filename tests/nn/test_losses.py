"""Losses: values worked out by hand, closed-form gradients, stability, bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from autograd import Value, grad, topological_order
from autograd.jit import jit
from tests.cases import case

LN2, LN3 = math.log(2.0), math.log(3.0)
FLOOR = 34.538776394910684  # -log(1e-15): the loss of a probability of exactly 0

ELEMENTWISE = [
    nn.mse,
    nn.huber,
    nn.binary_cross_entropy,
    nn.binary_cross_entropy_with_logits,
    nn.hinge,
]
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
        ([[1.0], [5.0]], [0.0, 2.0], 5.0),  # a column and a vector: (1 + 9) / 2
    ],
)
def test_mse_by_hand(predicted, target, expected):
    assert nn.mse(predicted, target).data == expected
    assert nn.mse(np.array(predicted), np.array(target)).data == expected
    if isinstance(predicted, list) and isinstance(predicted[0], list):
        assert nn.mse(nn.Matrix(predicted), target).data == expected


def test_binary_cross_entropy_by_hand():
    loss = nn.binary_cross_entropy([0.25, 0.25, 0.5], [1, 0, 0.3])
    # -log(1/4), -log(3/4), and log 2 for any target
    assert loss.data == pytest.approx((2 * LN2 + 2 * LN2 - LN3 + LN2) / 3, rel=1e-13)


def test_binary_cross_entropy_with_logits_by_hand():
    loss = nn.binary_cross_entropy_with_logits([-LN3, -LN3, 0.0], [1, 0, 0.3])
    assert loss.data == pytest.approx((5 * LN2 - LN3) / 3, rel=1e-14)


def test_hinge_by_hand():
    # 0, as 1 - 2 < 0; then 1 + 0.5 and 1 + 1
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


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y, w: nn.cross_entropy_with_logits(z, y, label_smoothing=w, weight=[w, w]),
        lambda z, y, w: nn.binary_cross_entropy_with_logits(z, y, pos_weight=w),
        lambda z, y, w: nn.binary_cross_entropy(nn.sigmoid(z), y),
    ],
)
def test_float32_numbers_are_computed_with_in_float64(loss):
    logits, target = [Value(0.5), Value(-1.0)], np.array([0.1, 0.9], np.float32)
    weight = np.float32(0.1)
    expected = loss(logits, target.tolist(), float(weight))
    assert loss(logits, target, weight).data == expected.data


# --- values from torch 2.13.0 (float64, torch.nn.functional) --------------------------------------

LOGITS_3 = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 3.0, 0.0]]
INDICES_3, ONE_HOT_3 = [2, 0, 2], [[0, 0, 1], [1, 0, 0], [0, 0, 1]]
SOFT_3 = [[0.2, 0.3, 0.5], [0.6, 0.4, 0.0], [0.0, 0.0, 1.0]]
WEIGHT_3 = [0.5, 2.0, 3.0]


@pytest.mark.parametrize("kind", [list, np.array, lambda w: [Value(x) for x in w]])
@pytest.mark.parametrize("target", [INDICES_3, ONE_HOT_3, np.array(INDICES_3)])
def test_class_weights_match_torch(kind, target):
    logits = nn.Matrix(LOGITS_3)
    loss = nn.cross_entropy_with_logits(logits, target, weight=kind(WEIGHT_3))
    loss.backward()
    assert loss.data == pytest.approx(1.5468039847394655, rel=1e-14)
    assert np.array(logits.grad).ravel() == pytest.approx(
        [
            *[0.08090325791078617, 0.01805195689416344, -0.0989552148049496],
            *[-0.02165843529607193, 0.01583358492289627, 0.00582485037317566],
            *[0.00294344350266568, 0.4368457488705664, -0.43978919237323194],
        ],
        rel=1e-12,
    )
    plain = nn.cross_entropy(nn.softmax(logits), target, weight=kind(WEIGHT_3))
    assert plain.data == pytest.approx(loss.data, rel=1e-10)


@pytest.mark.parametrize(
    ("target", "settings", "expected"),
    [
        (INDICES_3, {"label_smoothing": 0.1}, 1.2867674915916207),
        (ONE_HOT_3, {"label_smoothing": 0.1}, 1.2867674915916207),
        (SOFT_3, {"label_smoothing": 0.1}, 1.7967674915916207),
        (INDICES_3, {"label_smoothing": 0.1, "weight": WEIGHT_3}, 1.5508329723061776),
        (INDICES_3, {"label_smoothing": Value(0.1)}, 1.2867674915916207),
    ],
)
def test_label_smoothing_matches_torch(target, settings, expected):
    loss = nn.cross_entropy_with_logits(LOGITS_3, target, **settings)
    assert loss.data == pytest.approx(expected, rel=1e-14)
    plain = nn.cross_entropy(nn.softmax(nn.Matrix(LOGITS_3)), target, **settings)
    assert plain.data == pytest.approx(expected, rel=1e-10)


def test_with_soft_targets_the_loss_is_divided_by_the_weights_of_the_targets():
    # torch divides the sum by n = 3 here, which gives 4.336526809708378; the weights of the
    # targets are 0.1 + 0.6 + 1.5, 0.3 + 0.8 and 3.
    loss = nn.cross_entropy_with_logits(LOGITS_3, SOFT_3, weight=WEIGHT_3)
    assert loss.data == pytest.approx(4.336526809708378 * 3 / (2.2 + 1.1 + 3.0), rel=1e-14)


@pytest.mark.parametrize("loss", CLASSIFYING)
def test_a_one_hot_target_makes_the_same_graph_as_its_index(loss):
    predicted = [Value(p) for p in (0.2, 0.3, 0.5)]
    by_index = loss(predicted, 1)
    one_hot = loss(predicted, [0.0, 1.0, 0.0])
    assert one_hot.data == by_index.data
    assert len(topological_order(one_hot)) == len(topological_order(by_index))


def test_a_batch_may_have_many_examples():
    assert nn.cross_entropy([[0.5, 0.5]] * 300, [0] * 300).data == pytest.approx(LN2, rel=1e-13)


def test_equal_class_weights_change_nothing():
    for target in (INDICES_3, SOFT_3):
        plain = nn.cross_entropy_with_logits(LOGITS_3, target).data
        weighed = nn.cross_entropy_with_logits(LOGITS_3, target, weight=[2, 2, 2]).data
        assert weighed == pytest.approx(plain, rel=1e-15)


@pytest.mark.parametrize(
    ("loss", "of"),
    [(nn.binary_cross_entropy_with_logits, list), (nn.binary_cross_entropy, nn.sigmoid)],
)
def test_pos_weight_matches_torch(loss, of):
    z = [Value(x) for x in (0.5, -1.0, 2.0, -3.0)]
    cost = loss(of(z), [1, 0, 0.3, 1], pos_weight=2.5)
    cost.backward()
    assert cost.data == pytest.approx(2.6759920357287887, rel=1e-12)
    assert [v.grad for v in z] == pytest.approx(
        [-0.2359629179988409, 0.06723535534249878, 0.13178894076698233, -0.5953588292640207],
        rel=1e-11,
    )
    same = loss(of(z), [1, 0, 0.3, 1], pos_weight=1)
    assert same.data == pytest.approx(loss(of(z), [1, 0, 0.3, 1]).data, rel=1e-14)


@pytest.mark.parametrize(("logit", "target"), [(-1000.0, 1), (1000.0, 0)])
def test_pos_weight_is_exact_for_extreme_logits(logit, target):
    loss = nn.binary_cross_entropy_with_logits([logit], [target], pos_weight=3.0)
    assert loss.data == (3000.0 if target else 1000.0)


@pytest.mark.parametrize(
    ("delta", "expected", "slopes"),
    [
        (1.0, 1.78125, [0.125, -0.25, 0.25, -0.25]),
        (0.25, 0.53125, [0.0625, -0.0625, 0.0625, -0.0625]),
        (3, 3.53125, [0.125, -0.25, 0.75, -0.75]),
    ],
)
def test_huber_matches_torch(delta, expected, slopes):
    p = [Value(x) for x in (0.5, -1.0, 2.0, -3.5)]
    loss = nn.huber(p, [0, 0, -1, 1], delta=delta)
    loss.backward()
    assert loss.data == expected
    assert [v.grad for v in p] == slopes


@pytest.mark.parametrize("delta", [np.uint8(2), np.array(2, np.uint8), np.float32(0.1)])
def test_a_delta_of_any_number_type_acts_like_a_float(delta):
    p = [Value(0.05), Value(-1.0), Value(3.0)]
    assert nn.huber(p, [0, 0, 0], delta).data == nn.huber(p, [0, 0, 0], float(delta)).data


def test_huber_at_delta_has_the_derivatives_of_the_squared_error():
    for error, slope, curvature in ((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (-1.0, -1.0, 1.0)):
        p = Value(error)
        (first,) = grad(nn.huber(p, 0.0), [p], create_graph=True)
        assert (first.data, grad(first, [p])[0].data) == (slope, curvature)
    assert nn.huber([1e200, -math.inf], [0.0, 0.0]).data == math.inf
    assert nn.huber(1e200, 0.0).data == 1e200


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.huber([1.0], [1.0], delta=0.0), "huber: delta must be above 0, not 0.0"),
        (lambda: nn.huber([1.0], [1.0], delta=-1), "huber: delta must be above 0, not -1"),
        (lambda: nn.huber([1.0], [1.0], delta=Value(0.0)), "huber: delta must be above 0, not 0.0"),
        (lambda: nn.huber([1.0], [1.0], delta=math.inf), "huber: delta must be finite, not inf"),
        (lambda: nn.binary_cross_entropy([0.5], [1], pos_weight=-1.0), "pos_weight must be 0 or"),
        (
            lambda: nn.binary_cross_entropy_with_logits([0.5], [1], pos_weight=math.nan),
            "pos_weight must be finite, not nan",
        ),
        *[
            (lambda loss=loss, s=settings: loss([0.4, 0.6], 1, **s), f"{loss.__name__}: {message}")
            for loss in CLASSIFYING
            for settings, message in (
                ({"label_smoothing": 1.5}, "label_smoothing must be between 0 and 1, not 1.5"),
                ({"label_smoothing": -0.1}, "label_smoothing must be between 0 and 1, not -0.1"),
                ({"weight": [1.0]}, r"2 classes, but a weight of shape \(1,\)"),
                ({"weight": [1.0] * 3}, r"2 classes, but a weight of shape \(3,\)"),
                ({"weight": 2.0}, r"2 classes, but a weight of shape \(\)"),
                ({"weight": [1.0, -1.0]}, "a class weight must be 0 or more, not -1.0"),
                ({"weight": [1.0, math.nan]}, "a class weight must be finite, not nan"),
                ({"weight": [1.0, 0.0]}, "the classes of all targets have weight 0"),
            )
        ],
    ],
)
def test_a_setting_out_of_range_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.huber([1.0], [1.0], delta="1"),
        lambda: nn.binary_cross_entropy([0.5], [1], pos_weight=[1.0]),
        lambda: nn.cross_entropy([0.4, 0.6], 1, label_smoothing="0.1"),
        lambda: nn.cross_entropy([0.4, 0.6], 1, weight="ab"),
        lambda: nn.cross_entropy([0.4, 0.6], 1, eps="1e-9"),
        lambda: nn.binary_cross_entropy([0.5], [1], eps=None),
    ],
)
def test_a_setting_that_is_not_a_number_is_a_type_error(call):
    with pytest.raises(TypeError, match=r"delta|pos_weight|label_smoothing|eps must|_entropy t"):
        call()


# --- errors that suggest the loss that fits -------------------------------------------------------

SIGNS = r"-1/\+1 targets: use hinge, or \(y \+ 1\) / 2"
BITS = r"0/1 targets: use binary_cross_entropy_with_logits, or 2 \* y - 1 with hinge"
INDICES = "class indices: use cross_entropy_with_logits, with one output for each class"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *[(lambda y=y: nn.cross_entropy_with_logits([[0.3]], [y]), SIGNS) for y in (-1, 1)],
        *[(lambda y=y: nn.cross_entropy_with_logits([0.3], y), BITS) for y in (0, 1, [1.0])],
        (lambda: nn.cross_entropy([[1.0], [1.0]], [0, 1]), BITS),
        (lambda: nn.cross_entropy_with_logits([[0.3, 0.1]], [-1]), f"no class -1 among 2; {SIGNS}"),
        (lambda: nn.cross_entropy_with_logits([0.3, -0.1, 2.0], [1, 0, 1]), f"not to 2.*{BITS}"),
        (lambda: nn.cross_entropy([0.4, 0.6], [-1, 1]), SIGNS),
        (
            lambda: nn.cross_entropy([[0.4, 0.6], [0.5, 0.5]], [[0], [1]]),
            r"target of shape \(1,\); class indices are a vector",
        ),
        (lambda: nn.hinge([0.3, 0.1], [0, 1]), f"must be -1 or \\+1, not 0; {BITS}"),
        (lambda: nn.hinge([0.3, 0.1], [2, 1]), f"not 2; {INDICES}"),
        (lambda: nn.binary_cross_entropy([0.3], [-1]), f"between 0 and 1, not -1; {SIGNS}"),
        (lambda: nn.binary_cross_entropy_with_logits([0.3], [-1.0]), f"not -1.0; {SIGNS}"),
        (lambda: nn.binary_cross_entropy_with_logits([0.3], [2]), f"not 2; {INDICES}"),
        *[
            (lambda loss=loss: loss([[0.3, 0.1], [0.2, 0.4]], [0, 1]), f"{INDICES}, or one-hot")
            for loss in ELEMENTWISE
        ],
        (lambda: nn.mse([0.3, 0.1], 1), f"{INDICES}, or one-hot"),
        (lambda: nn.mse([[0.3, 0.1]], [1]), f"{INDICES}, or one-hot"),
        (lambda: nn.hinge([0.3], [2.0]), f"not 2.0; {INDICES}"),
        (
            lambda: nn.cross_entropy_with_logits([[0.3, 0.1]], [[0, 2]]),
            "not 2; class indices are a vector, not rows of them",
        ),
        (lambda: nn.cross_entropy([0.5, 0.5], [1, 1]), f"not to 2.*{BITS}"),
    ],
)
def test_the_error_suggests_the_loss_that_fits_the_targets(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        *[lambda y=y: nn.hinge([0.3], [y]) for y in (-3, -2, -0.5, 0.5, 1.5)],
        lambda: nn.huber([1.0], [1.0], delta=-1),
        lambda: nn.binary_cross_entropy([0.5], [1], pos_weight=-1),
        lambda: nn.cross_entropy([0.5, 0.5], 1, weight=[1, -1]),
        lambda: nn.cross_entropy([0.5, 0.5], -2),
        lambda: nn.cross_entropy([0.5, 0.5], 5),
        lambda: nn.cross_entropy([0.2, 0.3, 0.5], [0.0, 1.0, 0.5]),
        lambda: nn.cross_entropy([0.5, 0.5], [0.2, 0.3, 0.5]),
        *[lambda y=y: nn.mse([[1.0, 2.0], [3.0, 4.0]], y) for y in ([1.0], [1.0] * 5, 1.0)],
        lambda: nn.mse([[[1.0], [2.0]]], [[1.0, 2.0]]),
    ],
)
def test_no_loss_is_suggested_where_none_fits(call):
    with pytest.raises(ValueError, match=r"must be|no class|sum to 1|shape") as raised:
        call()
    assert ";" not in str(raised.value)


def test_the_suggested_losses_and_conversions_work():
    scores, signs = [Value(2.0), Value(0.5)], [1, -1]
    assert nn.hinge(scores, signs).data == 0.75
    bits = [(y + 1) / 2 for y in signs]
    assert nn.binary_cross_entropy_with_logits(scores, bits).data > 0.0
    assert nn.hinge(scores, [2 * y - 1 for y in bits]).data == 0.75


# --- closed-form gradients ------------------------------------------------------------------------


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
    # The eps of cross_entropy changes its gradient slightly.
    composed = grad(nn.cross_entropy(nn.softmax(logits), target), entries)
    assert numbers(composed) == pytest.approx(expected, rel=1e-9, abs=1e-11)


@given(st.lists(st.tuples(st.floats(-6, 6), st.floats(0, 1)), min_size=1, max_size=4))
def test_the_gradient_of_binary_cross_entropy_in_the_logit_is_p_minus_y(pairs):
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
def test_binary_cross_entropy_is_exact_for_extreme_logits(logit, target, loss, slope):
    z = Value(logit)
    found = nn.binary_cross_entropy_with_logits(z, target)
    found.backward()
    assert (found.data, z.grad) == (loss, slope)


@pytest.mark.parametrize(("target", "loss", "slopes"), [(0, 0.0, [0, 0]), (1, 2000.0, [1, -1])])
def test_cross_entropy_is_exact_for_extreme_logits(target, loss, slopes):
    logits = [Value(1000.0), Value(-1000.0)]
    found = nn.cross_entropy_with_logits(logits, target)
    found.backward()
    assert found.data == loss
    assert [z.grad for z in logits] == slopes


def test_a_probability_of_exactly_0_has_a_finite_loss():
    p = [Value(0.0), Value(1.0)]
    loss = nn.cross_entropy(p, 0)
    loss.backward()
    assert loss.data == pytest.approx(FLOOR, rel=1e-15)
    assert [x.grad for x in p] == pytest.approx([-1e15, 0.0], rel=1e-12)
    assert nn.cross_entropy(nn.softmax([0.0, 1000.0]), 0).data == pytest.approx(FLOOR, rel=1e-15)
    assert nn.cross_entropy(p, [1.0, 0.0]).data == pytest.approx(FLOOR, rel=1e-15)


@pytest.mark.parametrize(("p", "y"), [(0.0, 1), (1.0, 0)])
def test_a_certain_and_wrong_probability_has_a_finite_loss(p, y):
    p = Value(p)
    loss = nn.binary_cross_entropy(p, y)
    loss.backward()
    assert loss.data == pytest.approx(FLOOR, rel=1e-15)
    assert abs(p.grad) == pytest.approx(1e15, rel=1e-12)


def test_a_certain_and_right_prediction_has_a_loss_of_0():
    assert nn.cross_entropy([0.0, 1.0], 1).data == pytest.approx(0.0, abs=2e-15)
    assert nn.binary_cross_entropy([0.0, 1.0], [0, 1]).data == pytest.approx(0.0, abs=2e-15)


# --- bad input ------------------------------------------------------------------------------------


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
        ([0.5, 0.5], [1, math.nan], "finite, not nan"),
        ([0.5, 0.5], [1, math.inf], "finite, not inf"),
    ],
)
def test_mismatched_shapes_and_non_finite_targets_are_value_errors(predicted, target, message):
    for loss in ELEMENTWISE:
        with case(loss), pytest.raises(ValueError, match=message):
            loss(predicted, target)


@pytest.mark.parametrize("loss", ELEMENTWISE)
def test_non_numbers_raise_a_type_error(loss):
    for wrong in ("ab", None, 1j, ["a"], [None], [1j]):
        with case(wrong, 1), pytest.raises(TypeError, match=loss.__name__):
            loss(wrong, 1)
        with case(0.5, wrong), pytest.raises(TypeError, match=loss.__name__):
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


@pytest.mark.parametrize(
    ("predicted", "target"),
    [
        ([1.0], 1.0),
        ([1.0, 1.0], [1.0] * 3),
        ([1.0] * 4, [1.0] * 3),
        ([[[1.0], [1.0]]], [[1.0, 1.0]]),
    ],
)
def test_a_vector_of_targets_fits_only_a_single_column(predicted, target):
    with pytest.raises(ValueError, match="mse: shapes"):
        nn.mse(predicted, target)


def test_the_first_ragged_row_is_named():
    with pytest.raises(ValueError, match=r"entry 0 has shape \(2,\), entry 1 \(3,\)"):
        nn.mse([[1.0, 2.0], [1.0, 2.0, 3.0]], [1.0])


@pytest.mark.parametrize("loss", ELEMENTWISE + CLASSIFYING)
def test_arguments_may_be_named_and_the_context_knows_its_loss(loss):
    first = "logits" if loss.__name__.endswith("_with_logits") else "probabilities"
    if loss in (nn.mse, nn.huber, nn.hinge):
        first = "scores" if loss is nn.hinge else "predicted"
    predicted = [Value(0.25), Value(0.75)]
    found = loss(**{first: predicted, "target": [0, 1] if loss is not nn.hinge else [-1, 1]})
    assert found.context.owner is loss
    if "cross_entropy" in loss.__name__:
        with pytest.raises(TypeError, match="positional"):
            loss(predicted, [0, 1], 1e-15, 1.0)


@pytest.mark.parametrize("loss", ELEMENTWISE)
def test_the_range_of_a_value_as_a_target_is_not_checked(loss):
    assert math.isnan(loss([Value(0.5)], [Value(math.nan)]).data)


@pytest.mark.parametrize(
    ("predicted", "target", "message"),
    [
        ([0.5, 0.5], 2, "no class 2"),
        ([0.5, 0.5], 3, "no class 3"),
        ([0.5, 0.5], -1, "no class -1"),
        ([0.5, 0.5], True, "no class True"),
        ([0.5, 0.5], [1, 0, 0], r"2 classes.*\(3,\)"),
        ([0.5, 0.5], [[1, 0]], r"2 classes.*\(1, 2\)"),
        ([0.5, 0.5], [], "empty"),
        ([0.5, 0.5], [0.5, 0.4], "sum to 1, not to 0.9"),
        ([0.5, 0.5], [0, 0], "sum to 1, not to 0"),
        ([0.5, 0.5], [1.5, -0.5], "between 0 and 1"),
        ([0.5, 0.5], [math.nan, 1.0], "must be finite, not nan"),
        ([[0.5, 0.5], [0.5, 0.5]], [0], "2 examples, but 1 target"),
        ([[0.5, 0.5]], [0, 1], "1 example, but 2 targets"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, 2], "no class 2"),
        ([[0.5, 0.5], [0.5]], [0, 0], "ragged"),
        ([], 0, "empty"),
        ([[]], [0], "empty"),
        (0.5, 0, r"not shape \(\)"),
        ([[[0.5, 0.5]]], [[0]], r"not shape \(1, 1, 2\)"),
    ],
)
def test_bad_examples_and_classes_are_value_errors(predicted, target, message):
    for loss in CLASSIFYING:
        with case(loss), pytest.raises(ValueError, match=message):
            loss(predicted, target)


def test_a_replay_names_an_unknown_class_as_an_eager_call_does():
    for loss in CLASSIFYING:
        recorded = jit(lambda index, loss=loss: loss([Value(0.5), Value(0.25)], index))
        with case(loss):
            for index in (0, 1, 0):
                with pytest.raises(ValueError, match="no class 2 among 2"):
                    recorded(2)
                recorded(index)


def test_the_classes_of_a_batch_may_come_from_an_iterator():
    for loss in CLASSIFYING:
        with case(loss):
            found = loss([[0.5, 0.25], [0.75, 0.5]], iter([0, 1]))
            assert found.data == loss([[0.5, 0.25], [0.75, 0.5]], [0, 1]).data


@pytest.mark.parametrize("loss", CLASSIFYING)
@pytest.mark.parametrize(
    ("predicted", "target"),
    [
        ([0.5, 0.5], 1.0),
        ([0.5, 0.5], np.array(0.5)),
        ([0.5, 0.5], np.array(math.nan)),
        ([0.5, 0.5], None),
        ([0.5, 0.5], "01"),
        ([0.5, 0.5], [None, 1]),
        ([[0.5, 0.5]], 0),
        ([[0.5, 0.5]], "0"),
        ([[0.5, 0.5]], np.array(0)),
        ([[0.5, 0.5]], [0.0]),
        ("ab", 0),
        (None, 0),
        ([None, 0.5], 0),
    ],
)
def test_targets_and_predictions_of_the_wrong_type_are_type_errors(loss, predicted, target):
    with pytest.raises(TypeError, match=loss.__name__):
        loss(predicted, target)


@pytest.mark.parametrize("wrong", [2.5, -1e-9, 1.0 + 1e-8])
@pytest.mark.parametrize(
    ("loss", "predicted", "target"),
    [
        (nn.cross_entropy, lambda p: [0.5, p], 1),
        (nn.cross_entropy, lambda p: [0.5, p], 0),  # also an entry that the target does not use
        (nn.cross_entropy, lambda p: [[0.5, 0.5], [p, 0.5]], [1, 1]),
        (nn.binary_cross_entropy, lambda p: p, 1),
        (nn.binary_cross_entropy, lambda p: [0.5, p], [0, 1]),
    ],
)
def test_logits_instead_of_probabilities_are_refused(loss, predicted, target, wrong):
    name = loss.__name__
    message = f"{name} takes probabilities, not {wrong}; for logits use {name}_with_logits"
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        loss(predicted(Value(wrong)), target)
    recorded = jit(lambda p: loss(predicted(p), target))
    assert recorded(0.25).data == recorded(0.25).data == loss(predicted(0.25), target).data
    with pytest.raises(ValueError, match="takes probabilities"):
        recorded(wrong)


def test_probabilities_need_not_sum_to_1_and_may_exceed_1_by_rounding():
    assert nn.cross_entropy([0.25, 0.25], 1).data == pytest.approx(2 * LN2, rel=1e-13)
    assert nn.cross_entropy([0.0, 1.0 + 2.0**-52], 1).data == pytest.approx(0.0, abs=2e-15)
    assert math.isnan(nn.cross_entropy([0.5, math.nan], 1).data)


@pytest.mark.parametrize(
    "call",
    [
        lambda table: nn.cross_entropy_with_logits([[0.0, 1.0]] * 2, [0, 1], weight=table),
        lambda table: nn.cross_entropy_with_logits([[0.0, 1.0]] * 2, table),
        lambda table: nn.cross_entropy([0.5, 0.5], table),
        lambda table: nn.cross_entropy(table, 0),
        lambda table: nn.mse([1.0, 2.0], table),
        lambda table: nn.hinge(table, [1, -1]),
        lambda table: nn.accuracy([1.0, -2.0], table),
        lambda table: nn.accuracy(table, [0, 1]),
        lambda table: nn.softmax(table),
    ],
)
def test_dicts_and_sets_are_rejected_as_vectors(call):
    for table in ({0: 1.0, 1: 5.0}, {0, 1}, frozenset([0, 1]), {0: 0, 1: 1}.keys()):
        with case(table), pytest.raises(TypeError, match=r"takes|is a sequence"):
            call(table)


def test_the_error_says_what_to_write_instead_of_a_dict_or_a_set():
    logits = [[Value(0.0), Value(1.0)]] * 2
    with pytest.raises(TypeError, match="write its values as a list, in the order of the classes"):
        nn.cross_entropy_with_logits(logits, [0, 1], weight={0: 1.0, 1: 5.0})
    with pytest.raises(TypeError, match="a set has no order, write a list"):
        nn.mse([1.0, 2.0], {3.0, 1.0})
    # (1 (1 + log(1 + 1/e)) + 5 log(1 + 1/e)) / 6
    weighted = nn.cross_entropy_with_logits(logits, [0, 1], weight=[1.0, 5.0])
    assert weighted.data == pytest.approx(1 / 6 + math.log1p(math.exp(-1.0)), rel=1e-13)


@pytest.mark.parametrize("loss", [nn.cross_entropy, nn.cross_entropy_with_logits])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_class_index_may_be_a_value(loss, k):
    ways = []
    for target in (k, Value(float(k))):
        scores = [Value(0.2), Value(0.5), Value(0.3)]
        cost = loss(scores, target)
        cost.backward()
        ways.append([cost.data, *(score.grad for score in scores)])
    assert ways[0] == ways[1]
