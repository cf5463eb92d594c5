"""How good are the predictions of a model? Measure any metric or loss of them, without a graph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from autograd import no_grad
from autograd.messages import require_flag, require_whole
from nn import checks
from nn.data import Data, Examples
from nn.metrics import accuracy, outputs_of, require_classes, threshold_of
from nn.module import Module
from nn.predictions import PIECE, Predict, in_pieces, predict_batch
from nn.step import Loss, Recipe, as_score

Metric = Callable[[Any, Sequence[Any]], Any]


def evaluate(
    model: Module,
    data: Data,
    metric: Metric | Loss,
    predict: Predict | None = None,
    jit: bool = False,
    micro_batch: int = PIECE,
) -> float:
    """Return the metric, or a loss, of a model's predictions, in evaluation mode without a graph.

    Args:
        model: put in evaluation mode; afterwards each part returns to its previous mode.
        data, predict: as for `fit`.
        metric: (predictions, targets) -> number, or a loss.
        jit: record the predictions of `micro_batch` examples once and replay them. `fit` and plots
            share the recording. With too few examples to be worth it, all are predicted eagerly.
    """
    require_flag("jit", jit)
    micro_batch = require_whole("micro_batch", micro_batch)
    checks.functions(model, {"metric": metric}, {"predict": predict})
    inputs, targets = checks.examples(data, predict is None)
    predict = predict or predict_batch
    if jit:
        predict = in_pieces(predict, micro_batch)
    with evaluating(model):
        return as_score(metric(predict(model, inputs), targets), len(inputs))


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Put the model in evaluation mode, without a graph; then restore the mode of each part."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def accuracy_for(recipe: Recipe, examples: Examples, held_out: Examples | None) -> Metric:
    """Return `accuracy` with the threshold of single scores trained with the recipe's loss.

    Raises ValueError, before a step changes the model, if it cannot compare the targets with what
    the model predicts.
    """
    (inputs, targets), outputs = examples, 0.0
    threshold = threshold_of(recipe.loss, targets)
    # A model may need a whole batch. Any other error is raised again by the first step.
    with contextlib.suppress(Exception):
        one = inputs[:1], targets[:1]
        outputs = evaluate(recipe.model, one, outputs_of, recipe.predict)
    if outputs:
        for each in (targets,) if held_out is None else (targets, held_out[1]):
            require_classes(each, int(outputs), threshold)
    return partial(accuracy, threshold=threshold)
