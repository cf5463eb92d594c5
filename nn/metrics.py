"""How often is a model right? Accuracy, for all predictions and targets that losses take."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from autograd.messages import is_series
from autograd.text import counted, quoted
from autograd.value import as_operand
from nn import losses
from nn.losses import flattened
from nn.matrix import Matrix


def accuracy(predictions: Any, targets: Any, threshold: float | None = None) -> float:
    """The fraction of examples that are classified correctly, from 0 to 1.

    Several scores predict the class with the largest score, the first one of a tie. A single score
    predicts the positive class (+1, or 1) if it is above a threshold.

    Args:
        predictions: n scores (a vector, or n rows of one), or n rows of K scores: a Matrix, lists
            or an array, of Values or numbers.
        targets: for single scores -1/+1 or 0/1; for rows class indices 0 .. K - 1, or rows of K
            numbers, the largest of which marks the class (one-hot). For one example, a number.
        threshold: 0.5 for probabilities, 0.0 for logits and for scores of -1/+1 targets. `fit`
            derives it from the loss. By default 0 if a target is -1, or if a score is outside
            0 .. 1 and so a logit.

    A prediction with a nan among its scores counts as wrong.

    Raises ValueError for no examples, mismatched sizes, targets that are not classes, or a missing
    threshold if all scores are within 0 .. 1, which may be logits or probabilities, and no target
    is -1; TypeError for entries that are not numbers.

    >>> accuracy([-3.0, -2.0, 2.0, 3.0], [0, 0, 1, 1])
    1.0
    """
    if as_operand(targets) is not None:
        predictions, targets = [predictions], [targets]
    if not is_series(targets):
        raise TypeError(f"accuracy takes a target for each example, not {quoted(targets)}")
    if isinstance(targets, Iterator):
        targets = list(targets)
    rows = score_rows(predictions)
    if len(rows) != len(targets):
        given = counted(len(rows), "prediction"), counted(len(targets), "target")
        raise ValueError(f"accuracy: {' and '.join(given)}")
    wanted = classes(targets, len(rows[0]))
    if len(rows[0]) > 1:
        predicted = [largest(row) for row in rows]
    else:
        scores = [score for (score,) in rows]
        cut = threshold_for(scores, wanted, threshold)
        if cut is None:
            raise ValueError(
                "accuracy: all scores lie within 0 .. 1, so they may be probabilities or logits:"
                " pass threshold=0.5 (probabilities) or threshold=0.0 (logits, and scores of -1/+1"
                " targets); as a metric, functools.partial(nn.accuracy, threshold=0.5)"
            )
        negative = -1 if -1 in wanted else 0
        predicted = [1 if s > cut else None if math.isnan(s) else negative for s in scores]
    return sum(p == t for p, t in zip(predicted, wanted, strict=True)) / len(rows)


def score_rows(predictions: Any) -> list[list[float]]:
    """Return the scores of each example; a vector of n counts as n rows of one."""
    if isinstance(predictions, Matrix):
        return predictions.data
    entries, shape = flattened("accuracy", predictions)
    if len(shape) not in (1, 2):
        raise ValueError(f"predictions are n scores or n rows of scores, not of shape {shape}")
    scores, size = [float(entry) for entry in entries], shape[1] if len(shape) == 2 else 1
    return [scores[i : i + size] for i in range(0, len(scores), size)]


def classes(targets: Any, outputs: int) -> list[int]:
    """Return the class of each example: -1/+1 or 0/1 for one output, an index for several."""
    entries, shape = flattened("accuracy", targets)
    numbers = [float(entry) for entry in entries]
    if shape[1:] == (outputs,) and outputs > 1:
        rows = [numbers[i : i + outputs] for i in range(0, len(numbers), outputs)]
        marked = [largest(row) for row in rows]
        for row, mark in zip(rows, marked, strict=True):
            if mark is None or row.count(row[mark]) > 1:
                raise ValueError(f"the target {row} does not mark one class")
        return [mark for mark in marked if mark is not None]
    if shape[1:] not in ((), (outputs,)):
        raise ValueError(
            f"targets of shape {shape} do not fit predictions of {counted(outputs, 'score')} each"
        )
    known = {-1, 0, 1} if outputs == 1 else range(outputs)
    for number in numbers:
        if number not in known:
            what, told, advice = f"{outputs} scores", f"0 .. {outputs - 1}", ""
            if outputs == 1:
                what, told = "single scores", "-1/+1 or 0/1"
                advice = "; with more classes, a prediction is a row with a score for each"
            raise ValueError(f"the targets of {what} are {told}, not {number:g}{advice}")
    if {-1, 0} <= set(numbers):
        raise ValueError("the targets of single scores are -1/+1 or 0/1, not both")
    return [int(number) for number in numbers]


def largest(scores: Sequence[float]) -> int | None:
    """Return the index of the largest score, the first one of a tie; None if one is nan."""
    return None if any(map(math.isnan, scores)) else scores.index(max(scores))


def threshold_for(
    scores: Sequence[float], targets: Sequence[int], threshold: float | None = None
) -> float | None:
    """Return the threshold of single scores for the positive class; None if it is unknown."""
    if threshold is not None:
        if as_operand(threshold) is None:
            raise TypeError(f"accuracy: the threshold must be a number, not {quoted(threshold)}")
        if math.isnan(threshold):
            raise ValueError("accuracy: the threshold is nan")
        return threshold
    numbers = [score for score in scores if not math.isnan(score)]
    outside = any(not 0.0 <= score <= 1.0 for score in numbers)
    return 0.0 if -1 in targets or outside or not numbers else None


def threshold_of(loss: Callable[..., Any] | None, targets: Any = ()) -> float | None:
    """Return the threshold of single scores trained with a loss; None if it is unknown.

    0 for `hinge` and `binary_cross_entropy_with_logits`, 0.5 for `binary_cross_entropy`, the mean
    of both targets for `mse` and `huber`; 0 for any other loss if a target is -1. Losses wrapped by
    functools.partial or functools.wraps are recognized.
    """
    while loss is not None:
        if loss in (losses.hinge, losses.binary_cross_entropy_with_logits):
            return 0.0
        if loss is losses.binary_cross_entropy:
            return 0.5
        if loss in (losses.mse, losses.huber):
            return 0.0 if _has_minus_1(targets) else 0.5
        if isinstance(loss, functools.partial):
            loss = loss.func
        else:
            loss = getattr(loss, "__wrapped__", None)
    return 0.0 if _has_minus_1(targets) else None


def outputs_of(predictions: Any, _: Any) -> int:
    """The number of scores of each prediction, as a metric."""
    return len(score_rows(predictions)[0])


def require_classes(targets: Any, outputs: int, threshold: float | None) -> None:
    """Raise ValueError if `accuracy` cannot compare these targets with this many outputs."""
    if -1 not in classes(targets, outputs) and outputs == 1 and threshold is None:
        raise ValueError(
            "accuracy: the loss does not determine the threshold for 0/1 targets: write"
            " metric=functools.partial(nn.accuracy, threshold=0.5) for probabilities,"
            " threshold=0.0 for logits"
        )


def _has_minus_1(targets: Any) -> bool:
    return len(targets) > 0 and -1.0 in map(float, flattened("accuracy", targets)[0])
