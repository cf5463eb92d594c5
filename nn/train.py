"""How is a model trained? `fit` takes a model, data, a loss and an optimizer, and runs the loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autograd import Value
from autograd.messages import require_flag
from autograd.ownership import scoped
from autograd.text import quoted
from autograd.value import as_operand
from nn import checks
from nn.checkpoint import History as History  # public here, beside fit
from nn.checkpoint import kept
from nn.data import Data
from nn.evaluation import Metric, accuracy_for
from nn.loop import Batches, Run
from nn.loop import DivergedError as DivergedError
from nn.matrix import total
from nn.metrics import accuracy
from nn.module import Module, gathered
from nn.optim import Optimizer
from nn.predictions import PIECE, Predict, in_pieces, predict_batch
from nn.schedules import Schedule
from nn.settings import require_range
from nn.step import Loss, Penalty, Recipe, step_for


# Longer than other functions because of its many arguments and their descriptions.
def fit(
    model: Module,
    data: Data,
    loss: Loss,
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    epochs: int | None = None,
    steps: int | None = None,
    every: int = 100,
    batch_size: int | None = None,
    drop_last: bool = False,
    micro_batch: int | None = None,
    penalty: Penalty | None = None,
    metric: Metric | None = None,
    held_out: Data | None = None,
    patience: int | None = None,
    schedule: Schedule | Sequence[Schedule | None] | None = None,
    clip: float | None = None,
    frozen: Module | Iterable[Value | Module] = (),
    predict: Predict | None = None,
    after_epoch: Callable[[History], bool | None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    settings: dict[str, Any] | None = None,
    progress: bool = True,
    jit: bool = False,
) -> History:
    """Train a model on data.

    The cyclic garbage collector is paused during the run, because graphs have no cycles. The first
    Ctrl-C ends the run after the current step; a second one ends it at once. If the first comes
    after the last step, KeyboardInterrupt is raised once the last checkpoint is written.

    Args:
        model: the module to train. It is put in training mode.
        data: (inputs, targets), lists or arrays of equal length. An input is a row of finite
            numbers, or a number, which counts as a row of one; with `predict` it may be anything.
        loss: (predictions, targets) -> Value, the mean over the examples, such as `nn.hinge`.
            Layers and MLPs predict a Matrix, with a row for each example even of one output. A loss
            with weights of its own returns (sum, weight) instead. The loss is sum / weight; both
            are added up over the parts of a `micro_batch` and over an epoch.
        optimizer: an optimizer of the model's parameters, or several, each for different ones.

        epochs: the length of the run in passes over the data, including those before a resume.
        steps: the length in steps instead, over as many passes as needed.
        every: steps per epoch, if the length is given in steps. The last epoch may be shorter; if a
            longer run resumes it, its entry in the history is that of the whole epoch.
        batch_size: examples per step, shuffled in each pass. None: all examples, in their order.
        drop_last: whether to skip the last examples of a pass if they do not fill a batch.
        micro_batch: compute a step in parts of this many examples and accumulate their gradients,
            for steps too large for memory or for a recording. Needs a loss that is a mean over
            examples, a prediction for each example, and a model that (unlike BatchNorm) does not
            compute across examples.

        penalty: model -> Value, added to the loss, such as `l2(1e-4)`.
        schedule: number of steps taken -> learning rate, or a list with one for each optimizer,
            None for a constant rate.
        clip: the largest allowed Euclidean norm of the gradients of all optimizers together.
        frozen: a part of the model, or a list of parts and parameters, that no optimizer updates.
        predict: (model, inputs) -> predictions. By default the model is called on a batch Matrix.

        metric: (predictions, targets) -> number, higher is better, such as `accuracy`. The loss
            sets the threshold of `accuracy`; for a loss of your own, set it with functools.partial.
        held_out: (inputs, targets) to evaluate after each epoch, by the metric or else the loss.
        patience: stop after this many epochs without an improvement on `held_out`. However the run
            ends, the model is then that of `history.best_epoch`.
        after_epoch: called with the history, while the model is in evaluation mode. The run ends if
            it returns True; any other result is ignored.

        checkpoint: a file for the state of the run, written every few seconds and at the end. If a
            write fails, as on a full disk, there is a UserWarning, and the next write tries again;
            even if the last one fails, `fit` returns, and the model is trained.
        resume: whether to continue from the checkpoint. The result equals that of an uninterrupted
            run. Data and settings must be those of the interrupted run. Functions are only compared
            by whether they are given; a learning rate set by a schedule is not compared.
        settings: stored in the checkpoint and compared on resume.
        progress: whether to show a progress bar with loss and metric.
        jit: whether to record a step of each batch size once and replay it (autograd.jit): the same
            numbers, and a replay is hundreds of times faster than an eager step. A batch size with
            too few steps to pay for a recording is not recorded. Targets must be numbers or
            vectors. The last step, and each step before a write of the checkpoint, is checked
            against an eager call.

    Returns the history, including that before a resume.

    Raises:
        ValueError: data that do not match, a checkpoint of another run, parameters that no
            optimizer updates or that are not the model's.
        TypeError: arguments of the wrong type.
        FileNotFoundError: no checkpoint to resume from.
        OSError: before training, if the checkpoint cannot be written to its folder.
        BlockingIOError: another run is using the checkpoint.
        nn.DivergedError (a FloatingPointError): a loss or another number became nan or infinite or
            could not be computed. Model and checkpoint are as after the previous step (with
            `patience` the model is that of the best epoch). As on every error that a step or an
            evaluation raises, the attribute `history` has the epochs before it.
        TraceError: with jit, a step cannot be recorded, or a check found that a replay differs from
            the eager step. The checkpoint is then not written, because the state may be wrong.

    >>> import nn
    >>> nn.seed(1)
    >>> data, model = nn.data.moons(100, noise=0.1), nn.MLP(2, [16, 16, 1])
    >>> optimizer = nn.Adam(model, lr=0.03)
    >>> history = nn.fit(model, data, nn.hinge, optimizer, epochs=50, jit=True, progress=False)
    >>> len(history.loss), nn.evaluate(model, data, nn.accuracy)
    (50, 1.0)
    """
    for name, flag in {"resume": resume, "progress": progress, "jit": jit}.items():
        require_flag(name, flag)
    checks.functions(
        model,
        {"loss": loss},
        {"penalty": penalty, "metric": metric, "predict": predict, "after_epoch": after_epoch},
    )
    checks.limits(clip, settings)
    length, every, batch_size, micro_batch, patience = checks.counts(
        epochs, steps, every, batch_size, micro_batch, patience
    )
    if resume and checkpoint is None:
        raise ValueError("resume needs a checkpoint")
    if patience is not None and held_out is None:
        raise ValueError("patience needs held_out, to see when the model stops improving")
    vectors = predict is None
    inputs, targets = checks.examples(data, vectors)
    held = checks.held_out(held_out, (inputs, targets), vectors)
    size = checks.step_size(model, len(inputs), batch_size, drop_last, micro_batch, vectors)
    optimizers, fixed = checks.optimizers(model, optimizer, frozen)
    predict, scored = predict or predict_batch, metric is not None
    buffers = [buffer for _, buffer in model.named_buffers()]
    recipe = Recipe(model, loss, optimizers, fixed, penalty, clip, predict, scored, buffers)
    if metric is accuracy:
        metric = accuracy_for(recipe, (inputs, targets), held)
    batches = Batches(inputs, targets, size, batch_size is not None, drop_last)
    planned = batches.planned(length, in_steps=steps is not None)
    if jit:
        measured = length if steps is None else -(-length // every)  # epochs
        predict = in_pieces(predict, min(micro_batch or PIECE, PIECE), measured)
    run = Run(
        recipe,
        step_for(recipe, planned, micro_batch, jit),
        predict,
        batches,
        held_out=held,
        metric=metric,
        schedules=checks.schedules(schedule, len(optimizers)),
        after_epoch=after_epoch,
        patience=patience,
        length=length,
        every=None if steps is None else every,
        jit=jit,
    )
    if checkpoint is None:
        return run.train(progress)
    with kept(checkpoint):
        run.open_checkpoint(checkpoint, batch_size, micro_batch, settings, resume)
        return run.train(progress)


def l2(strength: float) -> Callable[[Module], Value]:
    """Return the penalty model -> strength * (sum of the squares of all parameters).

    Raises ValueError for a strength that is negative, nan or infinite, TypeError for one that is
    not a number. The penalty raises ValueError if there are no parameters.
    """
    if as_operand(strength) is None:
        raise TypeError(f"l2 takes a strength, as in penalty=nn.l2(1e-4), not {quoted(strength)}")
    require_range("l2: strength", strength)

    @scoped
    def l2(model: Module | Iterable[Value | Module]) -> Value:
        parameters = gathered(model, "model")
        if not parameters:
            raise ValueError("l2 of a model without parameters")
        return strength * total(p * p for p in parameters)

    vars(l2)["strength"] = float(strength)  # for a checkpoint
    return l2
