"""Accuracy: correct for every input of the losses, and an error where it is ambiguous."""

import functools
import math

import numpy as np
import pytest

import nn
from autograd import Value
from nn import Matrix
from nn.metrics import threshold_of
from tests.cases import case

NAN = math.nan


def values(x):
    return [values(part) for part in x] if isinstance(x, list) else Value(x)


FORMS = {
    "floats": lambda x: x,
    "Values": values,
    "array": np.array,
    "Matrix": lambda x: Matrix(x if isinstance(x[0], list) else [[number] for number in x]),
    "rows of one": lambda x: x if isinstance(x[0], list) else [[number] for number in x],
}


@pytest.mark.parametrize(
    ("predictions", "targets", "threshold", "part"),
    [
        ([-3.0, -2.0, 2.0, 3.0], [0, 0, 1, 1], None, 1.0),
        ([-3.0, -2.0, 2.0, 3.0], [-1, -1, 1, 1], None, 1.0),
        ([0.1, -3.0, 0.0, 2.0], [1, -1, -1, -1], None, 0.75),  # 0 is not above 0
        ([0.1, -3.0, 0.0, 2.0], [1, 0, 0, 0], None, 0.75),
        ([0.1, 0.9], [-1, 1], None, 0.5),  # -1/+1 targets: both scores are above 0
        ([0.1, 0.9, 0.5, 0.6], [0, 1, 0, 0], 0.5, 0.75),
        ([0.1, 0.9, 0.5, 0.6], [0, 1, 0, 0], 0.0, 0.25),
        ([0.1, 0.9, 2.0], [1, 1, 0], None, 2 / 3),  # 2 is a logit, so 0.1 means 1
        ([-0.1, 0.9], [1, 1], None, 0.5),
        ([0.1, 0.9], [1, 1], 0.5, 0.5),
        ([0.1, 0.9], [1, 1], 0.0, 1.0),
        ([0.1, 0.9], [-1, 1], 0.5, 1.0),
        ([1.0, math.inf], [0, 1], None, 0.5),
        ([NAN, -1.0, NAN, 2.0], [0, 0, 1, 1], None, 0.5),
        ([NAN, -1.0, NAN, 2.0], [-1, -1, 1, 1], None, 0.5),
        ([NAN, NAN], [0, 1], None, 0.0),
        ([NAN, 0.25], [0, 0], 0.5, 0.5),
        ([[1, 3, 2], [5, 3, 4], [0, 1, 2], [0, 1, 2]], [1, 0, 2, 1], None, 0.75),
        ([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]], [0, 1], None, 1.0),  # the first of equal scores
        ([[-1.0, -2.0]], [1], None, 0.0),
        ([[0.2, 0.8], [0.3, 0.7]], [1, 0], 0.5, 0.5),  # several scores need no threshold
        ([[NAN, 1.0], [1.0, NAN], [1.0, 0.0]], [1, 0, 0], None, 1 / 3),
    ],
)
def test_accuracy_by_hand(predictions, targets, threshold, part):
    for name, form in FORMS.items():
        with case(name):
            check_accuracy(form(predictions), targets, threshold, part)


def check_accuracy(predictions, targets, threshold, part):
    ways = [targets, tuple(targets), np.array(targets), [float(t) for t in targets]]
    for given in (*ways, values(targets)):
        assert nn.accuracy(predictions, given, threshold) == part
    if not isinstance(predictions, Matrix):  # the targets of a column may be a column
        return
    if predictions.shape[1] == 1:
        assert nn.accuracy(predictions, [[t] for t in targets], threshold) == part
    else:  # one-hot rows
        rows = np.eye(predictions.shape[1])[targets]
        for given in (rows, rows.tolist(), Matrix(rows), rows.astype(int)):
            assert nn.accuracy(predictions, given) == part


def test_accuracy_of_one_example():
    assert nn.accuracy(Value(-2.0), -1) == nn.accuracy(Value(-2.0), 0) == 1.0
    assert nn.accuracy([0.1, 0.7, 0.2], 1) == 1.0
    assert nn.accuracy([Value(0.1), Value(0.7)], np.int64(0)) == 0.0
    assert nn.accuracy(0.7, 1, threshold=0.5) == 1.0


def test_accuracy_of_hundreds_of_examples_and_of_classes():
    assert nn.accuracy([-2.0, 2.0] * 200, [0, 1] * 200) == 1.0
    assert nn.accuracy([[0.0] * 399 + [1.0]], [399]) == 1.0


def test_accuracy_takes_generators():
    targets = (t for t in [0, 1, 1])
    assert nn.accuracy((Value(s) for s in [-3.0, 2.0, -1.0]), targets) == pytest.approx(2 / 3)


def test_accuracy_takes_bools_and_soft_rows():
    assert nn.accuracy([-1.0, 2.0], [False, True]) == 1.0
    assert nn.accuracy([[1.0, 2.0], [3.0, 0.0]], [[0.4, 0.6], [0.3, 0.7]]) == 0.5


@pytest.mark.parametrize("targets", [[0, 1], [1, 1], [0, 0]])
@pytest.mark.parametrize("scores", [[0.1, 0.9], [0.0, 1.0], [0.7, NAN]])
def test_scores_that_may_be_probabilities_or_logits_need_a_threshold(scores, targets):
    with pytest.raises(ValueError, match=r"threshold=0\.5 \(prob.*threshold=0\.0 \(logits"):
        nn.accuracy(scores, targets)


@pytest.mark.parametrize(
    ("predictions", "targets", "message"),
    [
        ([], [], "an empty batch"),
        ([1.0], [1, 1], "1 prediction and 2 targets"),
        ([1.0, 2.0], [1], "2 predictions and 1 target"),
        ([[1.0, 2.0]], [1, 0], "1 prediction and 2 targets"),
        ([1.0, 2.0], [1, 2], r"single scores are -1/\+1 or 0/1, not 2; with more classes, a pred"),
        ([1.0, 2.0], [1, 0.5], r"-1/\+1 or 0/1, not 0\.5"),
        ([1.0, 2.0, 3.0], [1, 0, -1], r"-1/\+1 or 0/1, not both"),
        ([1.0, 2.0], [0, -1], r"-1/\+1 or 0/1, not both"),
        ([1.0, 2.0], [1, NAN], "not nan"),
        ([[1.0, 2.0]], [2], r"2 scores are 0 \.\. 1, not 2"),
        ([[1.0, 2.0]], [-1], r"2 scores are 0 \.\. 1, not -1"),
        ([[1.0, 2.0]], [0.5], r"0 \.\. 1, not 0\.5"),
        ([[1.0, 2.0]], [[0]], r"targets of shape \(1, 1\) do not fit predictions of 2"),
        ([[1.0, 2.0]], [[0, 0, 1]], r"targets of shape \(1, 3\) do not fit predictions of 2"),
        ([1.0], [[0, 1]], r"targets of shape \(1, 2\) do not fit predictions of 1"),
        ([[1.0, 2.0]], [[0, 0]], "does not mark one class"),
        ([[1.0, 2.0]], [[1, 1]], "does not mark one class"),
        ([[1.0, 2.0]], [[NAN, 1]], "does not mark one class"),
        ([[[1.0, 2.0]]], [0], r"not of shape \(1, 1, 2\)"),
        ([[1.0, 2.0], [1.0]], [0, 0], "ragged"),
        ([[1.0, 2.0], [1.0, 2.0]], [[0, 1], [1]], "ragged"),
    ],
)
def test_mismatched_sizes_and_non_class_targets_are_rejected(predictions, targets, message):
    with pytest.raises(ValueError, match=message):
        nn.accuracy(predictions, targets)


@pytest.mark.parametrize("wrong", ["ab", [None], ["a"], [1j]])
def test_non_numbers_raise_a_type_error(wrong):
    with pytest.raises(TypeError):
        nn.accuracy(wrong, [1] * len(wrong))
    with pytest.raises(TypeError):
        nn.accuracy([2.0] * len(wrong), wrong)
    with pytest.raises(TypeError, match=r"the threshold must be a number, not '0\.5'"):
        nn.accuracy([2.0], [1], "0.5")
    with pytest.raises(ValueError, match="threshold is nan"):
        nn.accuracy([2.0], [1], NAN)
    with pytest.raises(TypeError, match="accuracy takes a target for each example, not None"):
        nn.accuracy([2.0], None)


# --- the threshold of a loss ----------------------------------------------------------------------


@functools.wraps(nn.binary_cross_entropy)
def wrapped(predictions, targets):
    return nn.binary_cross_entropy(predictions, targets) * 2.0


def custom(predictions, targets):
    return 2.0 * nn.mse(predictions, targets)


@pytest.mark.parametrize(
    ("loss", "targets", "threshold"),
    [
        (nn.hinge, [1, 1], 0.0),
        (nn.binary_cross_entropy_with_logits, [0, 1], 0.0),
        (nn.binary_cross_entropy, [0, 1], 0.5),
        (functools.partial(nn.binary_cross_entropy, pos_weight=2.0), [0, 1], 0.5),
        (functools.partial(functools.partial(nn.hinge)), [1], 0.0),
        (wrapped, [0, 1], 0.5),
        (nn.mse, [0, 1], 0.5),
        (nn.mse, [-1.0, 1.0], 0.0),
        (nn.mse, [-1], 0.0),
        (nn.huber, np.array([0, 1]), 0.5),
        (functools.partial(nn.huber, delta=0.1), np.array([1, -1]), 0.0),
        (nn.mse, [[0, 1], [1, 0]], 0.5),
        (nn.cross_entropy, [0, 2], None),
        (nn.cross_entropy_with_logits, [0, 2], None),
        (custom, [0, 1], None),
        (custom, [-1, 1], 0.0),
        (custom, (), None),
        (None, (), None),
    ],
)
def test_the_threshold_that_a_loss_implies(loss, targets, threshold):
    assert threshold_of(loss, targets) == threshold


BITS = ([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


def fitted(model, data, loss, **options):
    options = {"epochs": 1, "metric": nn.accuracy, "progress": False} | options
    return nn.fit(model, data, loss, nn.SGD(model, lr=0.0), **options)


def line(slope, offset, activation="linear"):
    model = nn.MLP(1, [1], [activation])
    model.layers[0].neurons[0].w[0].data = slope
    model.layers[0].neurons[0].b.data = offset
    return model


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    ("model", "loss", "signs"),
    [
        # All of these scores lie within 0 .. 1, so the threshold depends on the loss.
        (lambda: line(1.0, -1.5, "sigmoid"), nn.binary_cross_entropy, False),
        (lambda: line(0.1, 0.35), nn.mse, False),
        (lambda: line(0.1, 0.35), nn.huber, False),
        (lambda: line(0.1, -0.15), nn.binary_cross_entropy_with_logits, False),
        (lambda: line(0.1, -0.15), nn.hinge, True),
        (lambda: line(0.1, -0.15), custom, True),
    ],
    ids=["probabilities", "mse", "huber", "logits", "hinge", "custom"],
)
def test_fit_uses_the_threshold_of_its_loss(model, loss, signs, jit):
    inputs, targets = BITS
    targets = [2 * t - 1 for t in targets] if signs else targets
    model = model()
    held_out = (inputs[:2], targets[:2])
    history = fitted(model, (inputs, targets), loss, batch_size=1, held_out=held_out, jit=jit)
    assert (history.accuracy, history.held_out_accuracy) == ([1.0], [1.0])


def test_fit_with_a_custom_loss_and_probabilities_asks_for_the_threshold():
    model = line(1.0, -1.5, "sigmoid")
    with pytest.raises(ValueError, match=r"functools\.partial\(nn\.accuracy, threshold=0\.5\)"):
        fitted(model, BITS, custom)
    at_half = functools.partial(nn.accuracy, threshold=0.5)
    assert fitted(model, BITS, custom, metric=at_half).accuracy == [1.0]
    assert nn.evaluate(model, BITS, at_half) == 1.0


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        *[
            (bits, "does not determine the threshold for 0/1")
            for bits in ([0, 0, 1, 1], [0] * 4, [1] * 4)
        ],
        ([0, 0, 1, 2], r"single scores are -1/\+1 or 0/1, not 2"),
    ],
)
def test_fit_asks_for_the_threshold_of_0_and_1_before_the_first_step(targets, message):
    called = []

    def counted(predictions, targets):
        called.append(targets)
        return custom(predictions, targets)

    with pytest.raises(ValueError, match=message):
        fitted(line(1.0, -1.5, "sigmoid"), (BITS[0], targets), counted)
    assert not called


def test_fit_compares_held_out_targets_before_the_first_step():
    model = line(1.0, -1.4)
    with pytest.raises(ValueError, match="not 2"):
        fitted(model, BITS, nn.mse, held_out=(BITS[0], [0, 0, 1, 2]))
    assert [p.grad for p in model.parameters()] == [0.0, 0.0]


def test_fit_measures_a_model_that_needs_all_examples_at_once():
    neighbours = nn.Matrix([[2, 1, 0, 0], [1, 2, 1, 0], [0, 1, 2, 1], [0, 0, 1, 2]])
    history = fitted(line(0.2, -0.6), BITS, nn.mse, predict=lambda model, x: model(neighbours @ x))
    assert history.accuracy == [1.0]


def test_fit_asks_for_no_threshold_among_several_scores():
    def custom_of_classes(logits, targets):
        return 2.0 * nn.cross_entropy_with_logits(logits, targets)

    model = nn.Linear(1, 2)
    for parameter, number in zip(model.parameters(), [0.0, 1.0, 1.5, 0.0], strict=True):
        parameter.data = number  # scores 1.5 and x
    assert fitted(model, BITS, custom_of_classes).accuracy == [1.0]
