"""How does a run of `fit` proceed? Batch by batch; each epoch is measured, reported and saved."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, NoReturn

from autograd import hooks
from autograd.collector import collector_paused
from autograd.context import entered
from autograd.messages import is_bool
from autograd.text import counted, fixed
from nn import rng
from nn.checkpoint import Checkpoint, History, Position, Progress, described, opened, rule_settings
from nn.data import Examples
from nn.evaluation import Metric, evaluate
from nn.frames import level_of_user
from nn.interrupts import interrupt_deferred
from nn.metrics import accuracy
from nn.predictions import Predict
from nn.schedules import Schedule
from nn.step import Recipe, Step, as_score, remembered

SAVE_EVERY = 5.0  # seconds between checkpoints of a running fit


class DivergedError(FloatingPointError):
    """Raised if a step of `fit` cannot be computed; `history` covers the epochs before it."""

    def __init__(self, *reasons: object) -> None:
        super().__init__(*reasons)
        self.history = History()


class Terminal:
    """The stream of a progress bar. What cannot be written, as after `2>&1 | head`, is dropped."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __eq__(self, other: object) -> bool:  # tqdm.write asks which bars are on its stream
        return other is self._stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # a stream needs no more than `write`
            self._stream.flush()

    def is_writable(self) -> bool:
        """Whether a bar may begin: there is a stream, unlike after 2>&-, and no output is stuck."""
        try:
            getattr(self._stream, "flush", str)()
        except (OSError, ValueError):  # ValueError: it is closed
            return False
        return self._stream is not None


@dataclass
class Batches:
    """The examples to learn from, in batches of `size`.

    Attributes:
        shuffled: whether each pass over the examples has a new random order.
        drop_last: whether a pass skips the last examples if they do not fill a batch.
    """

    inputs: list[Any]
    targets: list[Any]
    size: int
    shuffled: bool
    drop_last: bool

    def planned(self, length: int, in_steps: bool) -> Counter[int]:
        """Count the steps of a run of this length, by their number of examples."""
        full, rest = divmod(len(self.inputs), self.size)
        rest = 0 if self.drop_last else rest
        passes, more = divmod(length, full + bool(rest)) if in_steps else (length, 0)
        return Counter({self.size: passes * full + more}) + Counter({rest: passes * bool(rest)})

    def next(self, position: Position) -> Examples:
        """Return the inputs and targets of the batch at a position."""
        if position.seen == 0:
            position.order = list(range(len(self.inputs)))
            if self.shuffled:
                rng.generator.shuffle(position.order)
        batch = position.order[position.seen : position.seen + self.size]
        return [self.inputs[i] for i in batch], [self.targets[i] for i in batch]

    def is_last(self, position: Position) -> bool:
        """Whether the batch at a position is the last of its pass."""
        after = position.seen + self.size
        return after + (self.size if self.drop_last else 1) > len(self.inputs)

    def advance(self, position: Position) -> None:
        """Move on to the next batch, or to the next pass if this one is complete."""
        position.seen = 0 if self.is_last(position) else position.seen + self.size


@dataclass
class Run:
    """A call of `fit`.

    Attributes:
        step, predict: the functions that compute a step and predictions.
        every: the steps of an epoch, or None if it is a pass over the examples.
        jit: whether steps are replayed. The last replay is checked, and each one before the state
            is saved, so that a wrong state never replaces a checkpoint.
        file: the checkpoint, if there is one.
        progress: how far the run has got.
        last_cost: that of the latest step; None before the first one.
        unchecked: the batch of the latest step, if its replay was not checked.
        is_unsaved: whether the latest attempt to write the checkpoint failed.
    """

    recipe: Recipe
    step: Step
    predict: Predict
    batches: Batches
    held_out: Examples | None
    metric: Metric | None
    schedules: Sequence[Schedule | None]
    after_epoch: Callable[[History], bool | None] | None
    patience: int | None
    length: int
    every: int | None
    jit: bool
    file: Checkpoint | None = None
    progress: Progress = field(default_factory=Progress)
    last_cost: float | None = None
    unchecked: Examples | None = None
    is_unsaved: bool = False

    def open_checkpoint(
        self,
        path: str | os.PathLike[str],
        batch_size: int | None,
        micro_batch: int | None,
        settings: dict[str, Any] | None,
        resume: bool,
    ) -> None:
        """Set up the checkpoint, and restore the run from it if `resume` is set."""
        recipe, batches = self.recipe, self.batches
        made_with = {
            "data": described((batches.inputs, batches.targets)),
            "held_out": described(self.held_out),
            "batch_size": batch_size,
            "drop_last": batches.drop_last,
            "micro_batch": micro_batch,
            "every": self.every,
            "clip": recipe.clip,
            "penalty": getattr(recipe.penalty, "strength", recipe.penalty and "a function"),
            "metric": self.metric and "a function",
            "frozen": len(recipe.frozen),
            "early stopping": self.patience is not None,
            **rule_settings(recipe.model, recipe.optimizers, self.schedules),
        }
        self.file = opened(path, recipe, made_with, settings)
        if resume:
            self.progress = self.file.restore(len(batches.inputs))

    def train(self, show_progress: bool) -> History:
        """Train to the end; with `patience`, end with the model of the best epoch.

        Every error gets an attribute `history` with the epochs before it.
        """
        from tqdm import tqdm  # takes a third as long as `import nn`

        terminal = Terminal(sys.stderr)
        bar = tqdm(
            total=self.length,
            initial=self.done(),
            unit=self.unit.removesuffix("s"),
            file=terminal,
            disable=not (show_progress and terminal.is_writable()),
        )
        model = self.recipe.model
        try:
            with collector_paused(), interrupt_deferred() as interrupt, bar:
                model.train()
                # A second Ctrl-C may come while a block such as no_grad() is entered or left.
                copy_context().run(self.loop, interrupt.is_set, bar)
                self.progress.history.interrupted = interrupt.is_set()
                self.verify()
                self.save(is_last=True)
            if interrupt.is_set() and not self.progress.history.interrupted:
                raise KeyboardInterrupt  # Ctrl-C came too late to end the run
        except BaseException as error:
            vars(error)["history"] = self.progress.history
            raise
        finally:
            if self.progress.best is not None:
                model.load_state_dict(self.progress.best)
        return self.progress.history

    def loop(self, is_interrupted: Callable[[], bool], bar: Any) -> None:
        """Run step by step, ending epochs and saving in between."""
        saved_at = time.monotonic()
        # If the evaluation failed after an epoch, a resumed run begins by ending that epoch.
        if self.progress.position.examples and self.is_end_of_epoch():
            self.end_epoch(bar)
        while self.done() < self.length and not is_interrupted() and not self.is_over():
            saves = self.file is not None and time.monotonic() - saved_at > SAVE_EVERY
            self.learn(checked=saves or self.is_last_step())
            if self.is_end_of_epoch():
                self.end_epoch(bar)
            bar.update(self.done() - bar.n)
            if saves:
                self.save()
                saved_at = time.monotonic()
        if self.every and self.progress.position.examples and self.done() >= self.length:
            self.save(is_last=True)
            self.file = None  # a longer run resumes within this epoch, as if it had not been cut
            self.end_epoch(bar)

    # --- where the run is ---

    @property
    def unit(self) -> str:
        """What `length` counts."""
        return "steps" if self.every else "epochs"

    def done(self) -> int:
        """Return how many epochs or steps are done."""
        position = self.progress.position
        return position.steps if self.every else position.epoch

    def is_end_of_epoch(self) -> bool:
        """Whether the latest step completed an epoch."""
        position = self.progress.position
        return position.steps % self.every == 0 if self.every else position.seen == 0

    def is_last_step(self) -> bool:
        """Whether the next step is the last one, unless the run ends early."""
        position = self.progress.position
        if self.every:
            return position.steps + 1 == self.length
        return position.epoch + 1 == self.length and self.batches.is_last(position)

    def is_over(self) -> bool:
        """Whether `after_epoch` or `patience` ends the run."""
        if self.progress.position.stopped and self.after_epoch is not None:
            return True
        history = self.progress.history
        since_best = len(history.loss) - (history.best_epoch or 0)
        return self.patience is not None and since_best >= self.patience

    def is_finite(self) -> bool:
        """Whether all numbers of the model are finite, so that it is worth saving."""
        return all(map(math.isfinite, self.recipe.model.state_dict().values()))

    # --- a step ---

    def learn(self, checked: bool) -> None:
        """Learn from the next batch; if `checked`, compare a replay with the eager step.

        If the step fails, everything stays as it was, except a learning rate set by a schedule. If
        the check fails, the results of the eager step are kept.
        """
        position = self.progress.position
        draws = None if self.file is None else rng.generator.getstate()
        inputs, targets = self.batches.next(position)
        for optimizer, schedule in zip(self.recipe.optimizers, self.schedules, strict=True):
            if schedule is not None:
                optimizer.lr = schedule(position.steps)
        try:
            with entered(hooks.checking, checked):
                predictions, cost, weight = self.step(inputs, targets)
        except BaseException as error:
            if draws is not None:  # so that a resumed run repeats the step with the same numbers
                rng.generator.setstate(draws)
            self.fail(error)
        self.unchecked = None if checked else (inputs, targets)
        self.last_cost = float(cost)
        position.steps += 1
        position.examples += len(inputs)
        position.weight += float(weight)
        position.loss_sum += self.last_cost * float(weight)
        if self.metric is not None:
            score = as_score(self.metric(predictions, targets), len(inputs))
            position.accuracy_sum += score * len(inputs)
        self.batches.advance(position)

    def verify(self) -> None:
        """Check the replay of the last step, if there is one and it was not yet checked.

        Repeat the step, compare it with the eager step, and undo it.
        """
        if self.unchecked is None or not self.jit:
            return
        put_back, draws = remembered(self.recipe), rng.generator.getstate()
        try:
            with entered(hooks.checking, True):
                self.step(*self.unchecked)
        except hooks.TraceError:
            raise
        except Exception:  # an error of the repeated step is not an error of the run
            pass
        finally:
            put_back()
            rng.generator.setstate(draws)

    def rescue(self, error: BaseException) -> None:
        """Save what was learned before an error, and raise it unless it is an ArithmeticError."""
        # After a TraceError the state may be wrong; a second Ctrl-C does not wait for a file.
        is_safe = isinstance(error, Exception) and not isinstance(error, hooks.TraceError)
        if is_safe and self.last_cost is not None and self.is_finite():
            self.save(is_last=True)
        if not isinstance(error, ArithmeticError):
            raise error

    def fail(self, error: BaseException) -> NoReturn:
        """Save the state before a failed step, and raise its error.

        An ArithmeticError becomes a DivergedError with advice; other errors keep their type.
        """
        self.rescue(error)
        position = self.progress.position
        rates = ", ".join(f"{float(optimizer.lr):g}" for optimizer in self.recipe.optimizers)
        clip = ", or clip=1.0 in fit()" if self.recipe.clip is None else ""
        last = "" if self.last_cost is None else f", after a loss of {self.last_cost:g}"
        message = (
            f"{error} in epoch {position.epoch + 1}, step {position.steps + 1}{last}, with a"
            f" learning rate of {rates}: try a smaller one{clip};"
            " autograd.detect_anomaly() shows where it begins"
        )
        if not self.is_finite():
            message += " (the parameters are not finite, because an earlier gradient was not)"
        raise DivergedError(message) from error

    # --- the end of an epoch ---

    def end_epoch(self, bar: Any) -> None:
        """Evaluate the epoch, add it to the history, and show and report it."""
        history, position = self.progress.history, self.progress.position
        score = self.measured()
        history.loss.append(position.loss_sum / position.weight)
        shown = {"loss": fixed(history.loss[-1])}
        is_accuracy = getattr(self.metric, "func", self.metric) is accuracy
        form = "{:.1%}".format if is_accuracy else fixed
        if self.metric is not None:
            history.accuracy.append(position.accuracy_sum / position.examples)
            shown["accuracy" if is_accuracy else "metric"] = form(history.accuracy[-1])
        position.epoch, position.examples = position.epoch + 1, 0
        position.weight = position.loss_sum = position.accuracy_sum = 0.0
        if score is not None:
            scores = history.held_out_loss if self.metric is None else history.held_out_accuracy
            scores.append(score)
            if self.patience is not None:
                self.keep_best(scores)
            shown["held out"] = form(score)
        bar.set_postfix(shown, refresh=False)
        bar.update(self.done() - bar.n)
        self.report()

    def measured(self) -> float | None:
        """Return the metric, or else the loss, of the held-out examples."""
        if self.held_out is None:
            return None
        measure = self.metric or self.recipe.loss
        try:
            return evaluate(self.recipe.model, self.held_out, measure, self.predict)
        except Exception as error:
            self.rescue(error)
            epoch = self.progress.position.epoch + 1
            raise DivergedError(f"{error} on held-out examples after epoch {epoch}") from error

    def keep_best(self, scores: list[float]) -> None:
        """Keep the model if its score is better than that of the best epoch so far."""
        history, sign = self.progress.history, -1.0 if self.metric is None else 1.0
        best = sign * scores[history.best_epoch - 1] if history.best_epoch else -math.inf
        if sign * scores[-1] > best:  # false for nan
            history.best_epoch = len(scores)
            self.progress.best = self.recipe.model.state_dict()

    def report(self) -> None:
        """Pass the history to `after_epoch`, which may end the run."""
        if self.after_epoch is not None:
            self.recipe.model.eval()
            answer = self.after_epoch(self.progress.history)
            # Only True, also NumPy's, ends the run: a lambda may return any object.
            is_single = getattr(answer, "shape", ()) == ()
            self.progress.position.stopped = is_bool(answer) and is_single and bool(answer)
            self.recipe.model.train()

    def save(self, is_last: bool = False) -> None:
        """Write the checkpoint, if there is one. If that fails, warn, and let the run go on.

        The disk may be full for a moment only, and the next save tries again.
        """
        if self.file is None:
            return
        try:
            self.file.save(self.progress, {self.unit: self.length})
        except OSError as error:
            if is_last or not self.is_unsaved:  # warn once about a disk that stays full
                advice = (
                    "what was learned is only in memory: model.save(path) stores it"
                    if is_last
                    else "the next save, in a few seconds or at the end, tries again"
                )
                steps = counted(self.progress.position.steps, "step")
                message = f"cannot write the checkpoint after {steps}: {error}; {advice}"
                warnings.warn(message, stacklevel=level_of_user())
            self.is_unsaved = True
        else:
            self.is_unsaved = False
