"""How often is a model right? Accuracy, for whatever kind of predictions and targets a loss takes.

Of several scores the largest is the class, the first of equals. A single score stands for the
positive class (+1, or 1) where it is above a threshold. That is

- the one given, for instance by `fit`, which knows it from the loss;
- else 0, if a target is -1 (scores of -1/+1 targets) or a score lies outside 0 .. 1 (a logit, for
  it is no probability);
- else unknown: the scores may be logits (cut at 0) or probabilities (at 0.5), and `accuracy` asks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from autograd.value import as_operand
from nn import losses
from nn.losses import flattened
from nn.matrix import Matrix


def accuracy(predictions: Any, targets: Any, threshold: float | None = None) -> float:
    """The part of the examples that are classified right, from 0 to 1.

    Args:
        predictions: n scores (a vector, or n rows of one), or n rows of K scores: a Matrix, lists
            or an array, of Values or numbers.
        targets: of single scores -1/+1 or 0/1; of rows the index of each class, 0 .. K - 1, or rows
            of K numbers, the largest of which marks the class (one-hot). A number if predictions
            are those of one example.
        threshold: above which a single score stands for +1, or 1: 0.5 for probabilities, 0.0 for
            logits and for scores of -1/+1 targets. By default 0 if a target is -1 or a score lies
            outside 0 .. 1.

    nan predicts nothing and counts as wrong, also as one of several scores.

    Raises ValueError for no examples, sizes that do not fit, targets that are not classes, and
    where a threshold is needed: all scores lie within 0 .. 1, and no target is -1. TypeError for
    what is not a number.

    >>> accuracy([-3.0, -2.0, 2.0, 3.0], [0, 0, 1, 1])
    1.0
    """
    if as_operand(targets) is not None:
        predictions, targets = [predictions], [targets]
    if isinstance(targets, Iterator):
        targets = list(targets)
    rows = score_rows(predictions)
    if not len(rows) == len(targets) > 0:
        raise ValueError(f"accuracy of {len(rows)} predictions and {len(targets)} targets")
    wanted = classes(targets, len(rows[0]))
    if len(rows[0]) > 1:
        predicted = [largest(row) for row in rows]
    else:
        scores = [score for (score,) in rows]
        cut = threshold_for(scores, wanted, threshold)
        if cut is None:
            raise ValueError(
                "accuracy: all scores lie within 0 .. 1, so they may be probabilities or logits:"
                " say threshold=0.5 (probabilities) or threshold=0.0 (logits, and scores of -1/+1"
                " targets); as a metric, functools.partial(nn.accuracy, threshold=0.5)"
            )
        negative = -1 if -1 in wanted else 0
        predicted = [1 if s > cut else None if math.isnan(s) else negative for s in scores]
    return sum(p == t for p, t in zip(predicted, wanted, strict=True)) / len(rows)


def score_rows(predictions: Any) -> list[list[float]]:
    """The scores of each example; a vector of n is n rows of one."""
    if isinstance(predictions, Matrix):
        return predictions.data
    if hasattr(predictions, "__len__") and len(predictions) == 0:
        return []
    entries, shape = flattened("accuracy", predictions)
    if len(shape) not in (1, 2):
        raise ValueError(f"predictions are n scores or n rows of scores, not of shape {shape}")
    scores, size = [float(entry) for entry in entries], shape[1] if len(shape) == 2 else 1
    return [scores[i : i + size] for i in range(0, len(scores), size)]


def classes(targets: Any, outputs: int) -> list[int]:
    """The class of each example, for a model of so many outputs: -1/+1 or 0/1, or an index."""
    entries, shape = flattened("accuracy", targets)
    numbers = [float(entry) for entry in entries]
    if shape[1:] == (outputs,) and outputs > 1:
        rows = [numbers[i : i + outputs] for i in range(0, len(numbers), outputs)]
        marked = [largest(row) for row in rows]
        for row, mark in zip(rows, marked, strict=True):
            if mark is None or row.count(row[mark]) > 1:
                raise ValueError(f"the target {row} does not mark one class")
        return [mark for mark in marked if mark is not None]
    if shape[1:] not in ((), (1,)) or (shape[1:] == (1,) and outputs > 1):
        raise ValueError(
            f"targets of shape {shape} do not fit predictions of {outputs} score(s) each"
        )
    known = {-1, 0, 1} if outputs == 1 else range(outputs)
    for number in numbers:
        if number not in known:
            what, told = f"{outputs} scores", f"0 .. {outputs - 1}"
            if outputs == 1:
                what, told = "single scores", "-1/+1 or 0/1"
            raise ValueError(f"the targets of {what} are {told}, not {number:g}")
    if outputs == 1 and {-1, 0} <= set(numbers):
        raise ValueError("the targets of single scores are -1/+1 or 0/1, not both")
    return [int(number) for number in numbers]


def largest(scores: Sequence[float]) -> int | None:
    """The place of the largest score, the first of equals; None where one is nan."""
    return None if any(map(math.isnan, scores)) else scores.index(max(scores))


def threshold_for(
    scores: Sequence[float], targets: Sequence[int], threshold: float | None = None
) -> float | None:
    """Above which single scores stand for the positive class; None if it cannot be known."""
    if threshold is not None:
        if math.isnan(threshold):
            raise ValueError("accuracy: the threshold is nan")
        return threshold
    numbers = [score for score in scores if not math.isnan(score)]
    outside = any(not 0.0 <= score <= 1.0 for score in numbers)
    return 0.0 if -1 in targets or outside or not numbers else None


def threshold_of(loss: Callable[..., Any] | None, targets: Any = ()) -> float | None:
    """The threshold of single scores that are learned with a loss; None if it is not known.

    0 for `hinge` and `binary_cross_entropy_with_logits`, 0.5 for `binary_cross_entropy`, the middle
    of both targets for `mse` and `huber`; 0 for any other loss if a target is -1. A loss is known
    through functools.partial and functools.wraps, too.
    """
    while loss is not None:
        if loss in (losses.hinge, losses.binary_cross_entropy_with_logits):
            return 0.0
        if loss is losses.binary_cross_entropy:
            return 0.5
        if loss in (losses.cross_entropy, losses.cross_entropy_with_logits):
            return None
        if loss in (losses.mse, losses.huber):
            return 0.0 if _has_minus_1(targets) else 0.5
        if isinstance(loss, functools.partial):
            loss = loss.func
        else:
            loss = getattr(loss, "__wrapped__", None)
    return 0.0 if _has_minus_1(targets) else None


def with_threshold_of(loss: Callable[..., Any], metric: Any, targets: Any) -> Any:
    """`accuracy` with the threshold that its loss tells; another metric as it is."""
    if metric is not accuracy:
        return metric
    return functools.partial(accuracy, threshold=threshold_of(loss, targets))


def needs_threshold(loss: Callable[..., Any], targets: Any) -> bool:
    """Whether single scores of these targets, 0/1, need a threshold that the loss does not tell."""
    if threshold_of(loss, targets) is not None:
        return False
    return set(map(float, flattened("accuracy", targets)[0])) <= {0.0, 1.0}


def refuse_single_scores(predictions: Any, targets: Any) -> float:
    """A metric that raises ValueError for single scores, in place of a run's `accuracy`."""
    if len(score_rows(predictions)[0]) == 1:
        raise ValueError(
            "accuracy: the loss does not tell where 0/1 predictions are cut:"
            " metric=functools.partial(nn.accuracy, threshold=0.5) for probabilities, threshold=0.0"
            " for logits"
        )
    return 0.0


def _has_minus_1(targets: Any) -> bool:
    return len(targets) > 0 and -1.0 in map(float, flattened("accuracy", targets)[0])
