"""How is a model trained? Epoch by epoch, shown, interruptible, and resumable to the last bit."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from autograd import Value, hooks, no_grad
from autograd.collector import collector_paused
from autograd.context import scoped
from autograd.value import as_constant
from nn import checks, rng
from nn.checkpoint import Checkpoint, Progress, described, opened, settings_of
from nn.checkpoint import History as History  # where a user looks for it
from nn.checks import Data
from nn.interrupts import interrupt_deferred
from nn.matrix import Matrix, total
from nn.metrics import accuracy, needs_threshold, refuse_single_scores, with_threshold_of
from nn.module import Module
from nn.optim import Optimizer
from nn.schedules import Schedule
from nn.step import (
    Loss,
    Penalty,
    Predict,
    Recipe,
    Step,
    as_score,
    halves,
    in_pieces,
    step_in_parts,
    undone_on_error,
    warn_of_no_gradient,
    whole_loss,
    whole_step,
)

Metric = Callable[[Any, Sequence[Any]], Any]

_ONE_AT_A_TIME = (
    "the model was called on a batch, a Matrix with a row for each example; if it takes one example"
    " at a time, write predict=lambda model, inputs: [model(x) for x in inputs]"
)

SAVE_EVERY = 5.0  # seconds between checkpoints of a running fit


class DivergedError(FloatingPointError):
    """A step of `fit` could not be computed; `history` is that of the epochs before it."""

    def __init__(self, message: str, history: History | None = None) -> None:
        super().__init__(message)
        self.history = history or History()


# Most of its lines say what the arguments mean.
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

    While it runs the cyclic garbage collector is paused: graphs have no cycles. A Ctrl-C is kept
    until the step under way is complete, then ends the run; a second one ends it at once.

    Args:
        model: what is trained; switched to training mode.
        data: (inputs, targets), equally many, lists or arrays. Inputs are rows of finite numbers,
            or numbers, which are rows of one; with `predict` they may be anything.
        loss: (predictions, targets) -> Value, the mean over the examples, such as `nn.hinge`. A
            loss that divides by weights of its own returns (sum, weight): the cost of a step is
            sum / weight, and both add up over the parts of a `micro_batch` and over an epoch.
        optimizer: made for the model's parameters; or several, each for parameters of its own.
        epochs: passes over the data, those of a resumed run included.
        steps: how many steps instead, in as many passes as that takes; `every` so many, and at the
            end, an epoch is over.
        batch_size: examples in a step, in a new order each pass; None: all, in the order given.
        drop_last: leave out the examples at the end of a pass that do not fill a batch.
        micro_batch: examples of a step that are computed at once; None: all. The gradients of the
            parts add up to those of the step: for steps too large to be recorded, or to fit into
            memory, as one graph. A loss that is not a mean over examples is refused, and so is a
            model that computes across examples, such as BatchNorm, which would see a part only.
        penalty: model -> Value, added to the loss, such as `l2(1e-4)`.
        metric: (predictions, targets) -> number, such as `accuracy`, whose threshold is then that
            of the loss; for a loss that is not known, give it one (functools.partial). Higher is
            better.
        held_out: examples that are not learned from, measured by the metric, else by the loss.
        patience: stop after so many epochs in a row without an improvement on `held_out`. However
            the run ends, the model is then given back as it was after `history.best_epoch`.
        schedule: number of steps done -> learning rate; or one for each optimizer, None for none.
        clip: the largest Euclidean norm of a gradient, that of all optimizers together.
        frozen: a part of the model, or a list of parts and parameters, that no optimizer moves.
        predict: (model, inputs) -> predictions; by default the model is called on a batch Matrix.
        after_epoch: called with the history so far, when the model is in evaluation mode; the run
            ends when it returns True, and goes on for anything else.
        checkpoint: a file for the whole state of the run, written every few seconds and at the end.
        resume: continue from the checkpoint; the result equals that of an uninterrupted run. A run
            of other data, settings of the optimizers or of `fit` is refused. Of functions only
            whether they are given is compared; a learning rate that a schedule sets is not.
        settings: kept in the checkpoint; a resume with others is refused.
        progress: show a bar with loss and metric.
        jit: record a step of each batch size once and replay it (autograd.jit): the same numbers,
            hundreds of times faster. Targets must be numbers or vectors.

    Returns the history, that of the resumed run included.

    Raises:
        ValueError: data that do not fit together, a checkpoint that does not fit, parameters that
            no optimizer moves or that are not the model's.
        TypeError: arguments of another kind.
        FileNotFoundError: nothing to resume from.
        DivergedError: a FloatingPointError, where the loss became nan or infinite or could not be
            computed. The model is as after the step before (with `patience`, as after the best
            epoch), and the checkpoint as after the step before. The `history` of the epochs before
            is an attribute of this error, and of any other that a step or a measurement raises.
    """
    length, every, batch_size, micro_batch, patience = checks.counts(
        epochs, steps, every, batch_size, micro_batch, patience
    )
    if resume and checkpoint is None:
        raise ValueError("resume needs a checkpoint")
    if patience is not None and held_out is None:
        raise ValueError("patience needs held_out, which tells when learning has ended")
    vectors = predict is None
    examples = checks.examples(data, vectors)
    held = checks.held_out(held_out, examples, vectors)
    size = checks.step_size(model, len(examples[0]), batch_size, drop_last, micro_batch, vectors)
    optimizers, fixed = checks.optimizers(model, optimizer, frozen)
    recipe = Recipe(model, loss, optimizers, fixed, penalty, clip, predict or _predict_batch)
    if metric is accuracy and needs_threshold(loss, examples[1]):
        first = examples[0][:1], examples[1][:1]
        with contextlib.suppress(ArithmeticError):  # the first step tells of it
            evaluate(model, first, refuse_single_scores, recipe.predict)
    run = _Run(
        recipe,
        *examples,
        held_out=held,
        metric=with_threshold_of(loss, metric, examples[1]),
        schedules=checks.schedules(schedule, len(optimizers)),
        after_epoch=after_epoch,
        patience=patience,
        size=size,
        shuffled=batch_size is not None,
        drop_last=drop_last,
        unit="epochs" if steps is None else "steps",
        length=length,
        every=every,
    )
    if checkpoint is not None:
        run.open_checkpoint(checkpoint, batch_size, micro_batch, settings, resume)
    run.prepare(micro_batch, jit)
    try:
        return run.go(progress)
    finally:
        if patience is not None and run.so_far.best is not None:
            model.load_state_dict(run.so_far.best)


@dataclass
class _Run:
    """A call of `fit`: what it was given, how a step is computed, and how far it is."""

    recipe: Recipe
    inputs: list[Any]
    targets: list[Any]
    held_out: tuple[list[Any], list[Any]] | None
    metric: Metric | None
    schedules: Sequence[Schedule | None]
    after_epoch: Callable[[History], bool | None] | None
    patience: int | None
    size: int  # of a batch
    shuffled: bool
    drop_last: bool
    unit: str  # of its length
    length: int
    every: int
    file: Checkpoint | None = None
    so_far: Progress = field(default_factory=Progress)
    last_cost: float | None = None
    draws: Any = None  # where nn's random stream was before the step

    def open_checkpoint(
        self,
        path: str | os.PathLike[str],
        batch_size: int | None,
        micro_batch: int | None,
        settings: dict[str, Any] | None,
        resume: bool,
    ) -> None:
        """Make the checkpoint, and go to where it is if the run is to be resumed."""
        recipe = self.recipe
        made_with = {
            "data": described((self.inputs, self.targets)),
            "held_out": described(self.held_out),
            "batch_size": batch_size,
            "drop_last": self.drop_last,
            "micro_batch": micro_batch,
            "every": self.every if self.unit == "steps" else None,
            "clip": recipe.clip,
            "penalty": getattr(recipe.penalty, "strength", recipe.penalty and "a function"),
            "metric": self.metric and "a function",
            "frozen": len(recipe.frozen),
            "early stopping": self.patience is not None,
            **settings_of(recipe.optimizers, self.schedules),
        }
        self.file = opened(path, recipe, made_with, settings)
        if resume:
            self.so_far = self.file.restore(len(self.inputs))

    def prepare(self, micro_batch: int | None, jit: bool) -> None:
        """Make the functions that compute steps and predictions, replayed ones with the jit."""
        self.learn: Step = whole_step(self.recipe)
        self.predict = self.recipe.predict
        self.watched = jit  # whether the first step is looked at for gradients of 0
        (add, move), whole = halves(self.recipe), whole_loss(self.recipe)
        if jit:
            from autograd.jit import jit as jitted  # NumPy is slow to import

            self.learn, add, move = jitted(self.learn), jitted(add), jitted(move)
            whole = jitted(whole)
            self.predict = in_pieces(
                self.predict, jitted(self.predict), min(micro_batch or self.size, 32)
            )
        if micro_batch is not None and micro_batch < self.size:
            self.learn = step_in_parts(self.recipe, add, move, whole, micro_batch, jit)
            self.watched = False  # gradients are 0 after such a step
        if not jit:
            self.learn = undone_on_error(self.learn, self.recipe.optimizers)
        self.buffers = [buffer for _, buffer in self.recipe.model.named_buffers()]

    def go(self, progress: bool) -> History:
        """Train to the end."""
        from tqdm import tqdm  # half the time of `import nn`

        model, history = self.recipe.model, self.so_far.history
        saved_at = time.monotonic()
        with (
            collector_paused(),
            interrupt_deferred() as interrupt,
            tqdm(
                total=self.length, initial=self.done(), unit=self.unit[:-1], disable=not progress
            ) as bar,
        ):
            model.train()
            # A run whose last epoch could not be measured is resumed with this measurement.
            pending = self.so_far.position.examples > 0 and self.at_end_of_epoch()
            while pending or (
                self.done() < self.length and not interrupt.is_set() and not self.is_over()
            ):
                if not pending:
                    self.step(self.next_batch())
                pending = False
                if self.at_end_of_epoch():
                    bar.set_postfix(self.end_epoch(), refresh=False)
                    self.report()
                bar.update(self.done() - bar.n)
                if time.monotonic() - saved_at > SAVE_EVERY:
                    self.save()
                    saved_at = time.monotonic()
            history.interrupted = interrupt.is_set()
        self.save()
        return history

    def done(self) -> int:
        """How much of the run: epochs, or steps."""
        position = self.so_far.position
        return position.epoch if self.unit == "epochs" else position.steps

    def is_over(self) -> bool:
        """Whether it has ended early."""
        history, position = self.so_far.history, self.so_far.position
        if (
            self.patience is not None
            and len(history.loss) - (history.best_epoch or 0) >= self.patience
        ):
            return True
        return position.stopped and self.after_epoch is not None

    def next_batch(self) -> list[int]:
        """The indices of the next examples."""
        position = self.so_far.position
        self.draws = self.file and rng.generator.getstate()
        if position.seen == 0:
            position.order = list(range(len(self.inputs)))
            if self.shuffled:
                rng.generator.shuffle(position.order)
        return position.order[position.seen : position.seen + self.size]

    def step(self, batch: Sequence[int]) -> None:
        """Learn from a batch; where that fails, everything is as before."""
        position = self.so_far.position
        targets = [self.targets[i] for i in batch]
        for optimizer, schedule in zip(self.recipe.optimizers, self.schedules, strict=True):
            if schedule is not None:
                optimizer.lr = schedule(position.steps)
        statistics = [buffer.data for buffer in self.buffers]
        try:
            predictions, cost, weight = self.learn([self.inputs[i] for i in batch], targets)
        except BaseException as error:
            for buffer, number in zip(self.buffers, statistics, strict=True):
                buffer.assign(number)
            self.fail(error)
        if self.watched:
            self.watched = False
            warn_of_no_gradient(self.recipe.optimizers)
        self.last_cost = float(cost)
        position.steps += 1
        position.examples += len(batch)
        position.weight += float(weight)
        position.loss_sum += self.last_cost * float(weight)
        if self.metric is not None:
            score = as_score(self.metric(predictions, targets), len(batch))
            position.accuracy_sum += score * len(batch)
        position.seen += len(batch)
        # The next batch has to be a whole one, or has to have one example.
        if position.seen + (self.size if self.drop_last else 1) > len(self.inputs):
            position.seen = 0

    def fail(self, error: BaseException) -> NoReturn:
        """Raise an error of a step, with the history, after the state before it has been saved.

        What could not be computed is explained, as a DivergedError; other errors keep their kind.
        """
        if self.draws is not None:  # a step that is taken up again draws what this one drew
            rng.generator.setstate(self.draws)
        finite = self.is_finite()
        if finite and self.last_cost is not None and isinstance(error, Exception):
            self.save()  # something was learned
        if not isinstance(error, ArithmeticError):
            vars(error)["history"] = self.so_far.history
            raise error
        position = self.so_far.position
        rates = ", ".join(f"{float(optimizer.lr):g}" for optimizer in self.recipe.optimizers)
        clip = ", or clip=1.0" if self.recipe.clip is None else ""
        last = "" if self.last_cost is None else f", after a loss of {self.last_cost:g}"
        message = (
            f"{error} in epoch {position.epoch + 1}, step {position.steps + 1}{last}, with a"
            f" learning rate of {rates}: try a smaller one{clip};"
            " autograd.detect_anomaly() shows where it begins"
        )
        if not finite:
            message += " (a gradient was not finite in a step before, nor are the parameters now)"
        raise DivergedError(message, self.so_far.history) from error

    def is_finite(self) -> bool:
        """Whether the model is worth keeping."""
        return all(map(math.isfinite, self.recipe.model.state_dict().values()))

    def at_end_of_epoch(self) -> bool:
        """Whether the last step ended an epoch."""
        position = self.so_far.position
        if self.unit == "epochs":
            return position.seen == 0
        return position.steps == self.length or position.steps % self.every == 0

    def end_epoch(self) -> dict[str, str]:
        """Enter the finished epoch into the history; what the bar shows of it."""
        history, position = self.so_far.history, self.so_far.position
        score = self.measured()
        history.loss.append(position.loss_sum / position.weight)
        shown = {"loss": f"{history.loss[-1]:.4f}"}
        if self.metric is not None:
            history.accuracy.append(position.accuracy_sum / position.examples)
            shown["accuracy"] = f"{history.accuracy[-1]:.1%}"
        position.epoch, position.examples = position.epoch + 1, 0
        position.weight = position.loss_sum = position.accuracy_sum = 0.0
        if score is None:
            return shown
        scores = history.held_out_loss if self.metric is None else history.held_out_accuracy
        scores.append(score)
        if self.patience is not None:
            self.keep_best(scores)
        shown["held out"] = f"{score:.4f}" if self.metric is None else f"{score:.1%}"
        return shown

    def measured(self) -> float | None:
        """The metric, or the loss, of what is held out."""
        if self.held_out is None:
            return None
        measure = self.metric or self.recipe.loss
        try:
            return evaluate(self.recipe.model, self.held_out, measure, self.predict)
        except Exception as error:
            if self.is_finite():
                self.save()
            epoch, history = self.so_far.position.epoch + 1, self.so_far.history
            if isinstance(error, ArithmeticError):
                raise DivergedError(
                    f"{error}, of held-out examples after epoch {epoch}", history
                ) from error
            vars(error)["history"] = history
            raise

    def keep_best(self, scores: list[float]) -> None:
        """Keep the model if the last score is better than that of the best epoch so far."""
        history, sign = self.so_far.history, -1.0 if self.metric is None else 1.0
        best = sign * scores[history.best_epoch - 1] if history.best_epoch else -math.inf
        if sign * scores[-1] > best:  # never so for nan
            history.best_epoch = len(scores)
            self.so_far.best = self.recipe.model.state_dict()

    def report(self) -> None:
        """Show the history to the user's function, which may end the run."""
        if self.after_epoch is not None:
            self.recipe.model.eval()
            answer = self.after_epoch(self.so_far.history)
            # Nothing else that is true: a function may return what its last line gives.
            self.so_far.position.stopped = answer is True or (
                str(getattr(answer, "dtype", "")) == "bool" and bool(answer)  # of NumPy
            )
            self.recipe.model.train()

    def save(self) -> None:
        """Write the checkpoint, if there is one."""
        if self.file is not None:
            self.file.save(self.so_far, {self.unit: self.length})


def evaluate(
    model: Module,
    data: Data,
    metric: Metric | Loss,
    predict: Predict | None = None,
    jit: bool = False,
    micro_batch: int = 32,
) -> float:
    """The metric, or a loss, of a model's predictions, in evaluation mode and without a graph.

    Data as of `fit`. With the jit so many examples as `micro_batch` says are one program.
    """
    inputs, targets = checks.examples(data, predict is None)
    predict = predict or _predict_batch
    if jit:
        from autograd.jit import jit as jitted

        predict = in_pieces(predict, jitted(predict), micro_batch)
    training = model.training
    model.eval()
    try:
        with no_grad():
            return as_score(metric(predict(model, inputs), targets), len(inputs))
    finally:
        model.train(training)


def _predict_batch(model: Module, inputs: Sequence[Sequence[float]]) -> Any:
    # Inputs are constants of the graph: nobody asks for their gradients.
    batch = Matrix([as_constant(x) for x in row] for row in inputs)
    try:
        return model(batch)
    except TypeError as error:
        raise TypeError(f"{error}; {_ONE_AT_A_TIME}") from error
    except RuntimeError as error:
        if hooks.is_recording():  # a Matrix is another riddle for a recorded Value
            error.add_note(_ONE_AT_A_TIME)
        raise


def l2(strength: float) -> Callable[[Module], Value]:
    """The penalty strength * (sum of the squares of all parameters)."""

    @scoped
    def l2(model: Module) -> Value:
        return strength * total(p * p for p in model.parameters())

    vars(l2)["strength"] = float(strength)  # for a checkpoint
    return l2
