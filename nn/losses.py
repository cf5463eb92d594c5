"""How wrong is a prediction? Losses, each of them a mean over entries or examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Any, NamedTuple

from autograd import Value, where
from autograd.hooks import number_of, require
from autograd.ops import greater
from autograd.ownership import scoped
from autograd.text import counted, quoted
from autograd.value import as_operand
from nn.activations import log_sum_exp, shifted
from nn.matrix import as_values, is_vector, mean, total
from nn.scalars import is_plain, one_hot, own_number
from nn.settings import Number, require_range


@scoped
def mse(predicted: Any, target: Any) -> Value:
    """The mean squared error, (1/n) sum_i (target_i - predicted_i)^2.

    Args:
        predicted, target: two numbers, vectors or matrices (a Matrix or rows of numbers) of the
            same shape; a column Matrix also matches a vector.

    Raises ValueError for different shapes, an empty batch, or a target that is nan or infinite. In
    all losses, a target that is a Value is not checked.

    >>> loss = mse([Value(1.0), Value(3.0)], [0.0, 1.0])
    >>> loss.data
    2.5
    """
    return mean((t - p) ** 2 for p, t in _pairs("mse", predicted, target))


@scoped
def huber(predicted: Any, target: Any, delta: Number = 1.0) -> Value:
    """The mean of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2), with e = p - y.

    Quadratic for small errors and linear for large ones (Huber 1964; PyTorch's HuberLoss). The
    first derivative is continuous; the second jumps at |e| = delta, where that of the quadratic
    part is used. Arguments and errors as for `mse`; ValueError unless delta > 0.

    >>> loss = huber([Value(0.5), Value(3.0)], [0.0, 0.0])
    >>> loss.data  # (0.125 + 2.5) / 2
    1.3125
    """
    require_range("huber: delta", delta, positive=True)
    delta = own_number(delta)
    errors = [p - y for p, y in _pairs("huber", predicted, target)]
    # With c = e clipped to -delta .. delta, both cases are c (e - c / 2).
    cut = [where(greater(e, delta), delta, where(greater(-delta, e), -delta, e)) for e in errors]
    return mean(c * (e - 0.5 * c) for e, c in zip(errors, cut, strict=True))


@scoped
def binary_cross_entropy(
    probabilities: Any, target: Any, eps: float = 1e-15, *, pos_weight: Number | None = None
) -> Value:
    """The mean of -(w y log p + (1 - y) log(1 - p)), for targets y between 0 and 1.

    Args:
        probabilities, target: as for `mse`.
        eps: added inside each logarithm, so that a probability of exactly 0 gives a loss of about
            34.5 instead of an error.
        pos_weight: w, 1 by default; above 1 it gives positive examples more weight, such as
            (number of negatives) / (number of positives).

    Errors as for `mse`; ValueError for a probability or target outside 0 .. 1 or a negative
    pos_weight.
    """
    require_range("binary_cross_entropy: eps", eps)
    pairs = _pairs("binary_cross_entropy", probabilities, target, _PROBABILITY)
    _check_probabilities("binary_cross_entropy", (p for p, _ in pairs))
    positive = _positive("binary_cross_entropy", pos_weight)
    return mean(
        -(positive(y) * (p + eps).log() + (1.0 - y) * (1.0 - p + eps).log()) for p, y in pairs
    )


@scoped
def binary_cross_entropy_with_logits(
    logits: Any, target: Any, *, pos_weight: Number | None = None
) -> Value:
    """`binary_cross_entropy` of sigmoid(z), as the mean of softplus(z) - y z: no overflow, no eps.

    With a pos_weight w it is the mean of w y softplus(-z) + (1 - y) softplus(z). Arguments and
    errors as for `binary_cross_entropy`.
    """
    pairs = _pairs("binary_cross_entropy_with_logits", logits, target, _PROBABILITY)
    if pos_weight is None:
        return mean(z.softplus() - y * z for z, y in pairs)
    positive = _positive("binary_cross_entropy_with_logits", pos_weight)
    return mean(positive(y) * (-z).softplus() + (1.0 - y) * z.softplus() for z, y in pairs)


def _positive(loss: str, pos_weight: Number | None) -> Callable[[Number], Number]:
    """Return the function y -> pos_weight * y, or y -> y without a pos_weight."""
    if pos_weight is None:
        return lambda y: y
    require_range(f"{loss}: pos_weight", pos_weight)
    factor = own_number(pos_weight)
    return lambda y: factor * y


@scoped
def hinge(scores: Any, target: Any) -> Value:
    """The mean of max(0, 1 - y s), for targets y of -1 and +1.

    Shapes and errors as for `mse`; ValueError for any other target.

    >>> loss = hinge([Value(2.0), Value(0.5)], [1, -1])
    >>> loss.data
    0.75
    """
    return mean((1.0 - y * s).relu() for s, y in _pairs("hinge", scores, target, _SIGN))


@scoped
def cross_entropy(
    probabilities: Any,
    target: Any,
    eps: float = 1e-15,
    *,
    weight: Sequence[Number] | None = None,
    label_smoothing: Number = 0.0,
) -> Value:
    """-sum_i y_i log(p_i), the negative log-likelihood (nll) of the target.

    Args:
        probabilities: K numbers for one example, or n rows of K for a batch; K is 2 or more.
        target: for each example the index of its class, or K weights y_i that sum to 1 (one-hot);
            an index may be a Value, which is not checked.
        eps: added inside the logarithm, so that a probability of exactly 0 raises no error.
        weight: class weights, K numbers w_i, 0 or more. Each term is multiplied by its w_i, and the
            sum over the batch is divided by the sum of w_i y_i, as in PyTorch for indices. One-hot
            targets give the same loss as indices (PyTorch divides by n for them).
        label_smoothing: e, from 0 to 1: the targets become (1 - e) y_i + e / K, as in PyTorch
            (Szegedy et al. 2016, section 7).

    Without weights the loss of a batch is the mean over its examples.

    Raises ValueError for mismatched lengths, a probability outside 0 .. 1 (their sum is not
    checked), an index outside 0 .. K - 1, targets that are negative or do not sum to 1, settings
    out of range, targets whose classes all have weight 0, or an empty batch; TypeError for a target
    of another type.

    >>> loss = cross_entropy([Value(0.25), Value(0.75)], 1)
    >>> round(loss.data, 6)
    0.287682
    """
    require_range("cross_entropy: eps", eps)

    def nll(p: Sequence[Value], classes: Iterable[int]) -> dict[int, Value]:
        _check_probabilities("cross_entropy", p)
        return {i: -(p[i] + eps).log() for i in classes}

    return _mean_nll("cross_entropy", probabilities, target, nll, weight, label_smoothing)


@scoped
def cross_entropy_with_logits(
    logits: Any,
    target: Any,
    *,
    weight: Sequence[Number] | None = None,
    label_smoothing: Number = 0.0,
) -> Value:
    """`cross_entropy` of softmax(logits) by log-softmax, accurate even if softmax underflows.

    Its gradient with respect to the logits is softmax(logits) - y. Arguments and errors as for
    `cross_entropy`, and errors as for `softmax`.
    """
    loss = "cross_entropy_with_logits"

    def nll(z: Sequence[Value], classes: Iterable[int]) -> dict[int, Value]:
        values, _ = shifted(z, loss)
        log_sum = log_sum_exp(values)
        return {i: log_sum - values[i] for i in classes}

    return _mean_nll(loss, logits, target, nll, weight, label_smoothing)


def _mean_nll(
    loss: str,
    predicted: Any,
    target: Any,
    nll: Callable[[Sequence[Value], Iterable[int]], dict[int, Value]],
    weight: Sequence[Number] | None,
    label_smoothing: Number,
) -> Value:
    """sum_n sum_i w_i y_i nll_i / sum_n sum_i w_i y_i, with smoothed y_i in the numerator."""
    examples = _examples(loss, predicted, target)
    classes = len(examples[0][0])
    require_range(f"{loss}: label_smoothing", label_smoothing, 1.0)
    label_smoothing = own_number(label_smoothing)
    factors = None if weight is None else _class_weights(loss, weight, classes)
    costs, weights = [], []
    for row, ys in examples:
        if factors is not None:
            weights += [y * factors[i] for i, y in ys.items()]
        if not is_plain(label_smoothing) or label_smoothing:
            kept, spread = 1.0 - label_smoothing, label_smoothing / classes
            ys = {i: kept * ys[i] + spread if i in ys else spread for i in range(classes)}
        if factors is not None:
            ys = {i: y * factors[i] for i, y in ys.items()}
        # A one-hot 1 is an int, which needs no product; a recorded int has another type.
        terms = nll(row, ys).items()
        costs.append(total(s if type(ys[i]) is int else ys[i] * s for i, s in terms))
    if factors is None:
        return mean(costs)
    whole = total(weights)
    require(whole, lambda: ValueError(f"{loss}: the classes of all targets have weight 0"))
    return total(costs) / whole


# --- arguments ------------------------------------------------------------------------------------


class _Allowed(NamedTuple):
    """Which targets are valid: `holds` returns 1 for them, else 0, by arithmetic, for the jit."""

    holds: Callable[[Any], Any]
    text: str

    def check(self, loss: str, y: Number) -> None:
        """Raise ValueError, naming the loss, for an invalid target."""
        if not isinstance(y, (Value, int)) and not math.isfinite(y):
            require(False, lambda: ValueError(f"{loss}: a target must be finite, not {y}"))
        require(self.holds(y), lambda: self._error(loss, y))

    def _error(self, loss: str, y: Any) -> ValueError:
        instead = _instead_for(y)
        if loss.startswith("cross_entropy"):
            instead = instead.replace(_FOR_INDICES, "class indices are a vector, not rows of them")
        return ValueError(f"{loss}: a target must be {self.text}, not {y}{instead}")


_SCALARS = frozenset([float, int, Value])
_FINITE = _Allowed(lambda y: 1.0, "finite")
_PROBABILITY = _Allowed(lambda y: 1.0 - greater(0.0, y) - greater(y, 1.0), "between 0 and 1")
_SIGN = _Allowed(lambda y: 1.0 - greater(abs(y), 1.0) - greater(1.0, abs(y)), "-1 or +1")

_FOR_SIGNS = "-1/+1 targets: use hinge, or (y + 1) / 2 with binary_cross_entropy_with_logits"
_FOR_BITS = "0/1 targets: use binary_cross_entropy_with_logits, or 2 * y - 1 with hinge"
_FOR_INDICES = "class indices: use cross_entropy_with_logits, with one output for each class"


def _instead_for(y: float) -> str:
    """Return the end of an error message: which loss takes a target that this one does not."""
    if y == -1:
        return f"; {_FOR_SIGNS}"
    if y == 0:
        return f"; {_FOR_BITS}"
    return f"; {_FOR_INDICES}" if y > 1 and y == int(y) else ""


def _check_probabilities(loss: str, probabilities: Iterable[Value]) -> None:
    """Raise ValueError for a number outside 0 .. 1 (up to rounding), most likely a logit.

    nan is accepted and makes the loss nan.
    """

    def not_one(x: float) -> ValueError:
        return ValueError(f"{loss} takes probabilities, not {x}; for logits use {loss}_with_logits")

    for x in map(number_of, probabilities):
        require(1.0 - greater(0.0, x) - greater(x, 1.0 + 1e-9), partial(not_one, x))


def _pairs(
    loss: str, predicted: Any, target: Any, allowed: _Allowed = _FINITE
) -> list[tuple[Value, Number]]:
    """Return the (prediction, target) pairs, after checking shapes and types."""
    predictions, shape = flattened(loss, predicted)
    targets, target_shape = flattened(loss, target)
    column = len(target_shape) == 1 and shape == (*target_shape, 1)
    if shape != target_shape and not column:
        several = shape and shape[-1] > 1 and target_shape == shape[:-1]
        instead = f"; {_FOR_INDICES}, or one-hot rows" if several else ""
        raise ValueError(
            f"{loss}: shapes {shape} of predictions and {target_shape} of targets{instead}"
        )
    for y in targets:
        allowed.check(loss, y)
    return list(zip(as_values(predictions), targets, strict=True))


def flattened(loss: str, x: Any) -> tuple[list[Any], tuple[int, ...]]:
    """Return all entries in one list, and their shape: (), (n,) or (rows, columns)."""
    if x.__class__ is list and x and _SCALARS.issuperset(map(type, x)):  # no call for each entry
        return x.copy(), (len(x),)
    if as_operand(x) is not None:
        return [own_number(x)], ()
    if not is_vector(x):
        raise TypeError(f"{loss} takes numbers, vectors and matrices, not {quoted(x)}{_as_list(x)}")
    parts = [flattened(loss, part) for part in x]
    if not parts:
        raise ValueError(f"{loss} of an empty batch")
    shape = parts[0][1]
    for i, (_, part_shape) in enumerate(parts):
        if part_shape != shape:
            raise ValueError(f"{loss}: ragged: entry 0 has shape {shape}, entry {i} {part_shape}")
    return [entry for part, _ in parts for entry in part], (len(parts), *shape)


def _as_list(x: Any) -> str:
    """Return the end of an error message: what to write instead of a dict or a set."""
    if isinstance(x, Mapping):
        return ": write its values as a list, in the order of the classes or examples"
    return ": a set has no order, write a list" if isinstance(x, Set) else ""


def _examples(
    loss: str, predicted: Any, target: Any
) -> list[tuple[list[Value], dict[int, Number]]]:
    """Return each example's K predictions, and the nonzero weights of its target by class."""
    entries, shape = flattened(loss, predicted)
    if len(shape) not in (1, 2):
        raise ValueError(f"{loss} takes K numbers or n rows of K, not shape {shape}")
    values = as_values(entries)
    classes = shape[-1]
    if classes == 1:
        raise ValueError(
            f"{loss} takes one output for each class, but got a single one, whose softmax is always"
            f" 1; {_FOR_SIGNS}; {_FOR_BITS}"
        )
    rows = [values[i : i + classes] for i in range(0, len(values), classes)]
    targets = [target] if len(shape) == 1 else target
    if not is_vector(targets):
        told = f"{quoted(targets)}{_as_list(targets)}"
        raise TypeError(f"{loss}: the target of a batch is a sequence, not {told}")
    targets = list(targets)
    if len(targets) != len(rows):
        given = counted(len(rows), "example"), counted(len(targets), "target")
        raise ValueError(f"{loss}: {', but '.join(given)}")
    return [(row, _target_weights(loss, t, classes)) for row, t in zip(rows, targets, strict=True)]


def _class_weights(loss: str, weight: Any, classes: int) -> list[Number]:
    """Check the class weights and return them."""
    factors, shape = flattened(loss, weight)
    if shape != (classes,):
        raise ValueError(f"{loss}: {classes} classes, but a weight of shape {shape}")
    for w in factors:
        require_range(f"{loss}: a class weight", w)
    return [float(w) if is_plain(w) else w for w in factors]


def _wrong_sum(loss: str, weights: Sequence[float]) -> ValueError:
    """Return the error for target weights that do not sum to 1."""
    single = set(weights) <= {0, 1}  # perhaps targets of n single scores, not one example's K
    instead = f"; single scores with {_FOR_BITS}" if single else ""
    return ValueError(
        f"{loss}: the weights of a target must sum to 1, not to {math.fsum(weights)}{instead}"
    )


def _target_weights(loss: str, target: Any, classes: int) -> dict[int, Number]:
    """Return {class: weight} for one example's target, without classes of weight 0."""
    if not is_plain(target):  # a class index that is a Value or is recorded
        ones = one_hot(target, classes)
        require(total(ones), lambda: _no_class(loss, target, classes))  # does not check a Value
        return dict(enumerate(ones))
    if hasattr(target, "__index__") and getattr(target, "shape", ()) == ():
        if isinstance(target, bool) or target % 1 != 0 or not 0 <= target < classes:
            raise _no_class(loss, target, classes)
        return {int(target): 1}
    if not hasattr(target, "__len__"):
        raise _no_target(loss, target, classes)
    weights, shape = flattened(loss, target)
    if shape != (classes,):
        instead = "; class indices are a vector, not rows of one" if shape == (1,) else ""
        raise ValueError(f"{loss}: {classes} classes, but a target of shape {shape}{instead}")
    for y in weights:
        _PROBABILITY.check(loss, y)
    require(greater(1e-6, abs(sum(weights) - 1.0)), lambda: _wrong_sum(loss, weights))
    # A one-hot 1 becomes an int, which needs no product. Weights that are not plain are kept.
    return {
        i: 1 if is_plain(y) and y == 1 else y
        for i, y in enumerate(weights)
        if not is_plain(y) or y != 0
    }


def _no_target(loss: str, target: Any, classes: int) -> TypeError:
    return TypeError(
        f"{loss}: a target is a class index (a whole number) or {classes}"
        f" weights, not {quoted(target)}"
    )


def _no_class(loss: str, target: Any, classes: int) -> Exception:
    if target % 1 != 0:  # a recorded number or a 0-d array
        return _no_target(loss, target, classes)
    instead = f"; {_FOR_SIGNS}" if target == -1 else ""
    return ValueError(f"{loss}: no class {target!r} among {classes}{instead}")
