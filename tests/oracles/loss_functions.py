"""The losses and vector functions of nn, with random settings, in three systems.

Each is a function of six numbers: ours takes Values, PyTorch's a tensor, and a third one, in
mpmath, is written from the formula. The three share only the settings.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import mpmath
from mpmath import mp, mpf
from parts import torch

import nn
from autograd import Value

F = torch.nn.functional


class Case(NamedTuple):
    """A loss with its settings, in each system, and the bounds of its inputs."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    exact: Callable[..., Any]
    low: float
    high: float


def exactly_second(function: Callable[..., Any], point: Sequence[float], which: int) -> Any:
    """Return a function's value (`which` 0), a slope, or a slope of the sum of its squared slopes.

    By central differences, nested for the last of these: their errors are near 1e-60 and 1e-30.
    """

    def slope(f: Callable[..., Any], x: Sequence[Any], i: int, step: Any) -> Any:
        above, below = list(x), list(x)
        above[i] += step
        below[i] -= step
        return (f(above) - f(below)) / (2 * step)

    count = len(point)
    with mp.workdps(150):
        x = [mpf(number) for number in point]
        small, larger = mpmath.ldexp(1, -100), mpmath.ldexp(1, -60)

        def squares(x: Sequence[Any]) -> Any:
            return sum(slope(function, x, i, small) ** 2 for i in range(count))

        if which == 0:
            return +function(x)
        if which <= count:
            return slope(function, x, which - 1, small)
        return slope(squares, x, which - 1 - count, larger)


def tensor(numbers: Any) -> Any:
    return torch.tensor(numbers, dtype=torch.float64)


def rows(numbers: Sequence[Any]) -> list[list[Any]]:
    return [list(numbers[:3]), list(numbers[3:])]


def mean(terms: Any) -> Any:
    terms = list(terms)
    return sum(terms) / len(terms)


# --- losses ---------------------------------------------------------------------------------------


def of_targets(
    ours: Any, theirs: Any, term: Any, low: float, high: float, choose: Any
) -> Callable[[random.Random], Case]:
    """Return a maker of a loss that is the mean of `term(prediction, target)`."""

    def make(draw: random.Random) -> Case:
        targets = [choose(draw) for _ in range(6)]
        there = tensor(targets)
        return Case(
            lambda x: ours(x, targets),
            lambda x: theirs(x, there),
            lambda x: mean(map(term, x, map(mpf, targets))),
            *(low, high),
        )

    return make


def huber(draw: random.Random) -> Case:
    delta = draw.uniform(0.3, 2.0)

    def term(x: Any, y: Any) -> Any:
        d = abs(x - y)
        return d * d / 2 if d <= delta else delta * (d - mpf(delta) / 2)

    ours, theirs = partial(nn.huber, delta=delta), partial(F.huber_loss, delta=delta)
    return of_targets(ours, theirs, term, -3.0, 3.0, lambda draw: draw.gauss(0.0, 1.0))(draw)


def with_logits(draw: random.Random) -> Case:
    weight = draw.uniform(0.2, 3.0)

    def term(x: Any, y: Any) -> Any:
        return weight * mpmath.log(1 + mpmath.exp(-x)) if y else mpmath.log(1 + mpmath.exp(x))

    ours = partial(nn.binary_cross_entropy_with_logits, pos_weight=weight)
    theirs = partial(F.binary_cross_entropy_with_logits, pos_weight=tensor(weight))
    return of_targets(ours, theirs, term, -20.0, 20.0, lambda draw: draw.choice([0.0, 1.0]))(draw)


def of_classes(draw: random.Random) -> Case:
    targets, smoothing = [draw.randrange(3), draw.randrange(3)], draw.choice([0.0, draw.random()])
    weight = draw.choice([None, [draw.uniform(0.2, 2.0) for _ in range(3)]])
    settings = {"weight": weight, "label_smoothing": smoothing}
    there = settings | {"weight": None if weight is None else tensor(weight)}

    def exact(x: Any) -> Any:
        w, total = [mpf(1) if weight is None else mpf(weight[c]) for c in range(3)], mpf(0)
        for row, target in zip(rows(x), targets, strict=True):
            spread = mpmath.log(sum(map(mpmath.exp, row)))
            even = sum(w[c] * (spread - row[c]) for c in range(3)) / 3
            total += (1 - mpf(smoothing)) * w[target] * (spread - row[target]) + smoothing * even
        return total / sum(w[target] for target in targets)

    return Case(
        lambda x: nn.cross_entropy_with_logits(rows(x), targets, **settings),
        lambda x: F.cross_entropy(x.reshape(2, 3), torch.tensor(targets), **there),
        exact,
        *(-20.0, 20.0),
    )


def of_probabilities(draw: random.Random) -> Case:
    targets = [draw.randrange(3), draw.randrange(3)]
    return Case(
        lambda x: nn.cross_entropy(rows(x), targets),
        lambda x: F.nll_loss(x.reshape(2, 3).log(), torch.tensor(targets)),
        lambda x: mean(-mpmath.log(row[k]) for row, k in zip(rows(x), targets, strict=True)),
        *(0.05, 0.9),
    )


# --- vector functions -----------------------------------------------------------------------------


def of_vectors(ours: Any, theirs: Any, exact: Any) -> Callable[[random.Random], Case]:
    """Return a maker of a weighted sum of a function's results."""

    def make(draw: random.Random) -> Case:
        weights = [draw.gauss(0.0, 1.0) for _ in range(6)]

        def weighed(function: Any, x: Any) -> Any:
            y = function(x)
            y = [y] if isinstance(y, Value | mpf) else y
            return sum(w * entry for w, entry in zip(weights, y, strict=False))

        return Case(
            partial(weighed, ours),
            lambda x: (tensor(weights)[: (y := theirs(x)).numel()] * y).sum(),
            partial(weighed, exact),
            *(-10.0, 10.0),
        )

    return make


def logsumexp(x: Any) -> Any:
    return mpmath.log(sum(map(mpmath.exp, x)))


LOSSES: dict[str, Callable[[random.Random], Case]] = {
    "mse": of_targets(
        nn.mse, F.mse_loss, lambda x, y: (x - y) ** 2, -3.0, 3.0, lambda draw: draw.gauss(0.0, 1.0)
    ),
    "huber": huber,
    "hinge": of_targets(
        nn.hinge,
        lambda x, y: F.relu(1 - y * x).mean(),
        lambda x, y: max(mpf(0), 1 - y * x),
        *(-3.0, 3.0),
        lambda draw: draw.choice([-1, 1]),
    ),
    "binary_cross_entropy": of_targets(
        nn.binary_cross_entropy,
        F.binary_cross_entropy,
        lambda x, y: -mpmath.log(x if y else 1 - x),
        *(0.05, 0.9),
        lambda draw: draw.choice([0.0, 1.0]),
    ),
    "binary_cross_entropy_with_logits": with_logits,
    "cross_entropy": of_probabilities,
    "cross_entropy_with_logits": of_classes,
    "softmax": of_vectors(
        nn.softmax,
        partial(torch.softmax, dim=0),
        lambda x: [mpmath.exp(each - logsumexp(x)) for each in x],
    ),
    "log_softmax": of_vectors(
        nn.log_softmax,
        partial(torch.log_softmax, dim=0),
        lambda x: [each - logsumexp(x) for each in x],
    ),
    "logsumexp": of_vectors(nn.logsumexp, partial(torch.logsumexp, dim=0), logsumexp),
    "norm": of_vectors(
        nn.norm, torch.linalg.vector_norm, lambda x: mpmath.sqrt(sum(each * each for each in x))
    ),
}
