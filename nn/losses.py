"""How wrong is a prediction? Losses; over a batch each is the mean over its entries or examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from autograd import Value, modes
from autograd.modes import scoped
from autograd.ops import greater
from autograd.value import as_operand, is_value
from nn.activations import log_normalised
from nn.matrix import Matrix, as_values, mean, one_hot, total

Number = Value | float


@scoped
def mse(predicted: Any, target: Any) -> Value:
    """The mean squared error, (1/n) sum_i (target_i - predicted_i)^2.

    Args:
        predicted, target: both a number, a vector or a Matrix (rows of numbers), of one shape; a
            column Matrix also goes with a vector.

    Raises ValueError for shapes that differ, an empty batch, or a target that is nan or infinite;
    here as in the other losses a target that is a Value is taken as it is.

    >>> mse([Value(1.0), Value(3.0)], [0.0, 1.0]).data
    2.5
    """
    return mean((t - p) ** 2 for p, t in _pairs("mse", predicted, target))


@scoped
def binary_cross_entropy(probabilities: Any, target: Any, eps: float = 1e-15) -> Value:
    """The mean of -(y log p + (1 - y) log(1 - p)), for targets y between 0 and 1.

    `eps` is added inside each logarithm, so that a probability of exactly 0 costs about 34.5 and no
    error. Shapes and errors as of `mse`; ValueError for a target outside 0 .. 1.
    """
    pairs = _pairs("binary_cross_entropy", probabilities, target, _PROBABILITY)
    return mean(-(y * (p + eps).log() + (1.0 - y) * (1.0 - p + eps).log()) for p, y in pairs)


@scoped
def binary_cross_entropy_with_logits(logits: Any, target: Any) -> Value:
    """`binary_cross_entropy` of sigmoid(z), as the mean of softplus(z) - y z: no overflow, no eps.

    Shapes and errors as of `binary_cross_entropy`.
    """
    pairs = _pairs("binary_cross_entropy_with_logits", logits, target, _PROBABILITY)
    return mean(z.softplus() - y * z for z, y in pairs)


@scoped
def hinge(scores: Any, target: Any) -> Value:
    """The mean of max(0, 1 - y s), for targets y of -1 and +1.

    Shapes and errors as of `mse`; ValueError for another target.

    >>> hinge([Value(2.0), Value(0.5)], [1, -1]).data
    0.75
    """
    return mean((1.0 - y * s).relu() for s, y in _pairs("hinge", scores, target, _SIGN))


@scoped
def cross_entropy(probabilities: Any, target: Any, eps: float = 1e-15) -> Value:
    """-sum_i y_i log(p_i): how surprising the target is under the probabilities.

    Args:
        probabilities: K numbers for one example, or n rows of K for a batch (the mean is taken).
        target: for each example the index of its class, or K weights y_i that sum to 1 (one-hot);
            an index may be a Value.
        eps: added inside the logarithm, so that a probability of exactly 0 is no error.

    Raises ValueError for lengths that do not fit, an index outside 0 .. K - 1, weights that are
    negative or do not sum to 1, or an empty batch; TypeError for another kind of target.

    >>> round(cross_entropy([Value(0.25), Value(0.75)], 1).data, 6)
    0.287682
    """
    examples = _examples("cross_entropy", probabilities, target)
    return mean(_weighted(w, {i: -(p[i] + eps).log() for i in w}) for p, w in examples)


@scoped
def cross_entropy_with_logits(logits: Any, target: Any) -> Value:
    """`cross_entropy` of softmax(logits), through log-softmax: exact where softmax is 0.

    Its gradient by the logits is softmax(logits) - y. Arguments and errors as of `cross_entropy`.
    """
    examples = _examples("cross_entropy_with_logits", logits, target)
    return mean(_surprise_of_logits(z, w) for z, w in examples)


def _surprise_of_logits(logits: Sequence[Value], weights: dict[int, Number]) -> Value:
    """sum_i y_i (log sum_j exp(z_j) - z_i)."""
    shifted, log_normaliser = log_normalised(logits)
    return _weighted(weights, {i: log_normaliser - shifted[i] for i in weights})


def _weighted(weights: dict[int, Number], surprises: dict[int, Value]) -> Value:
    """sum_i y_i s_i, over the i with a weight; a weight of 1 needs no product."""
    return total(s if isinstance(weights[i], int) else weights[i] * s for i, s in surprises.items())


# --- arguments ------------------------------------------------------------------------------------


class _Allowed(NamedTuple):
    """Which targets a loss takes: `holds` gives 1 for them, else 0, also of a recorded number."""

    holds: Callable[[Any], Any]
    text: str

    def check(self, loss: str, y: Number) -> None:
        """Raise ValueError for another target."""
        if is_value(y):
            return  # the graph is not looked at
        if isinstance(y, Value):
            modes.demand(self.holds(y))
        elif not math.isfinite(y):
            raise ValueError(f"{loss}: a target must be finite, not {y}")
        elif not self.holds(y):
            raise ValueError(f"{loss}: a target must be {self.text}, not {y}")


_FINITE = _Allowed(lambda y: 1.0, "finite")
_PROBABILITY = _Allowed(lambda y: 1.0 - greater(0.0, y) - greater(y, 1.0), "between 0 and 1")
_SIGN = _Allowed(lambda y: 1.0 - greater(y * y, 1.0) - greater(1.0, y * y), "-1 or +1")


def _pairs(
    loss: str, predicted: Any, target: Any, allowed: _Allowed = _FINITE
) -> list[tuple[Value, Number]]:
    """(prediction, target) entry by entry, after a look at their shapes and kinds."""
    predictions, shape = _flat(loss, predicted)
    targets, target_shape = _flat(loss, target)
    column = len(shape) == 2 and shape[1] == 1 and target_shape == shape[:1]
    if shape != target_shape and not column:
        raise ValueError(f"{loss}: shapes {shape} of predictions and {target_shape} of targets")
    for y in targets:
        allowed.check(loss, y)
    return list(zip(as_values(predictions), targets, strict=True))


def _flat(loss: str, x: Any) -> tuple[list[Any], tuple[int, ...]]:
    """All entries in a row, and the shape they came in: (), (n,) or (rows, columns)."""
    if isinstance(x, Value) or as_operand(x) is not None:
        return [x], ()
    if isinstance(x, str | bytes) or not isinstance(x, Iterable):
        raise TypeError(f"{loss} takes numbers, vectors and matrices, not {x!r}")
    parts = [_flat(loss, part) for part in x]
    if not parts:
        raise ValueError(f"{loss} of an empty batch")
    shape = parts[0][1]
    for i, (_, part_shape) in enumerate(parts):
        if part_shape != shape:
            raise ValueError(f"{loss}: ragged: entry 0 has shape {shape}, entry {i} {part_shape}")
    return [entry for part, _ in parts for entry in part], (len(parts), *shape)


def _examples(
    loss: str, predicted: Any, target: Any
) -> list[tuple[list[Value], dict[int, Number]]]:
    """For each example its K predictions and the weights of the classes that have one."""
    entries, shape = _flat(loss, predicted)
    if len(shape) not in (1, 2):
        raise ValueError(f"{loss} takes K numbers or n rows of K, not shape {shape}")
    values = as_values(entries)
    classes = shape[-1]
    rows = [values[i : i + classes] for i in range(0, len(values), classes)]
    targets = [target] if len(shape) == 1 else target
    if isinstance(targets, str | bytes) or not isinstance(targets, Iterable):
        raise TypeError(f"{loss}: the target of a batch is a sequence, not {targets!r}")
    targets = list(targets)
    if len(targets) != len(rows):
        raise ValueError(f"{loss}: {len(rows)} examples, but {len(targets)} targets")
    return [(row, _class_weights(loss, t, classes)) for row, t in zip(rows, targets, strict=True)]


def _class_weights(loss: str, target: Any, classes: int) -> dict[int, Number]:
    """{class: weight} of one example's target, without the classes of weight 0."""
    if isinstance(target, Value):  # the index of a class, known when the graph is computed
        ones = one_hot(target, classes)
        if not is_value(target):
            modes.demand(sum(ones))
        return dict(enumerate(ones))
    if hasattr(target, "__index__") and getattr(target, "shape", ()) == ():
        if isinstance(target, bool) or not 0 <= target < classes:
            raise ValueError(f"{loss}: no class {target!r} among {classes}")
        return {int(target): 1}
    if not isinstance(target, Sequence | Matrix) and not hasattr(target, "__len__"):
        raise TypeError(f"{loss}: a target is a class index or {classes} weights, not {target!r}")
    weights, shape = _flat(loss, target)
    if shape != (classes,):
        raise ValueError(f"{loss}: {classes} classes, but a target of shape {shape}")
    if not any(is_value(y) for y in weights):
        for y in weights:
            _PROBABILITY.check(loss, y)
        if any(isinstance(y, Value) for y in weights):
            modes.demand(greater(1e-6, abs(sum(weights) - 1.0)))
        elif not abs(math.fsum(weights) - 1.0) < 1e-6:
            raise ValueError(
                f"{loss}: the weights of a target sum to 1, not to {math.fsum(weights)}"
            )
    # A one-hot 1 is an int here, which asks for no product; a Value always takes part.
    return {
        i: 1 if not isinstance(y, Value) and y == 1 else y
        for i, y in enumerate(weights)
        if isinstance(y, Value) or y != 0
    }
