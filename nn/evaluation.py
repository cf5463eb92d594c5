"""How good are the predictions of a model? Measure any metric or loss of them, without a graph."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from autograd import hooks, no_grad
from autograd.messages import require_flag, require_whole
from autograd.value import as_constant
from nn import checks
from nn.data import Data
from nn.matrix import Matrix
from nn.metrics import accuracy, outputs_of, require_classes, threshold_of
from nn.module import Module
from nn.optim import is_ours
from nn.step import PIECE, Loss, Predict, Recipe, as_score, in_pieces

Metric = Callable[[Any, Sequence[Any]], Any]
Examples = tuple[Sequence[Any], Sequence[Any]]  # inputs and targets

_ONE_AT_A_TIME = (
    "the model was called on a batch, a Matrix with a row for each example; if it takes one example"
    " at a time, write predict=lambda model, inputs: [model(x) for x in inputs]"
)


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


def predict_batch(model: Module, inputs: Sequence[Sequence[float]]) -> Any:
    """Return the predictions of a model that is called on a batch Matrix."""
    # The inputs are constants of the graph, because their gradients are not needed.
    batch = Matrix([as_constant(x) for x in row] for row in inputs)
    try:
        return model(batch)
    except TypeError as error:
        raise TypeError(f"{error}; {_ONE_AT_A_TIME}") from error
    except (AttributeError, LookupError, ValueError, hooks.TraceError) as error:
        # Unpacking rows as numbers is a ValueError. One that the library raises, such as that of a
        # layer of another size, says itself what is wrong.
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if not (is_ours(frame) and isinstance(error, ValueError)):
            error.add_note(_ONE_AT_A_TIME)
        raise


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
