"""How is a model trained? Epoch by epoch, shown, interruptible, and resumable to the last bit."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import random
import reprlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autograd import Value, modes, no_grad
from autograd.modes import scoped
from autograd.value import as_constant
from nn import rng
from nn.data import Dataset
from nn.files import as_number, as_stored, read_json, write_json
from nn.matrix import Matrix, total
from nn.metrics import with_threshold_of
from nn.module import Module
from nn.optim import Optimizer, Schedule, clip_grad_norm

Loss = Callable[[Any, Sequence[Any]], Value]
Metric = Callable[[Any, Sequence[Any]], float]
Predict = Callable[[Module, Sequence[Any]], Any]

SAVE_EVERY = 5.0  # seconds between checkpoints of a running fit


@dataclass
class History:
    """What happened, one entry for each epoch; `accuracy` stands for whatever the metric is.

    Training loss and accuracy are those seen while learning; what is held out is measured at the
    end of an epoch, in evaluation mode: by the metric, without one by the loss. `interrupted` says
    whether a Ctrl-C ended the run.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    held_out_accuracy: list[float] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)
    interrupted: bool = False


@dataclass
class Position:
    """Where a run stands: epochs and steps done, examples seen in this pass and in this epoch."""

    epoch: int = 0
    steps: int = 0
    seen: int = 0
    examples: int = 0
    order: list[int] = field(default_factory=list)
    loss_sum: float = 0.0
    accuracy_sum: float = 0.0


def fit(
    model: Module,
    data: Dataset | tuple[Sequence[Any], Sequence[Any]],
    loss: Loss,
    optimizer: Optimizer,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    every: int = 100,
    batch_size: int | None = None,
    together: int | None = None,
    penalty: Callable[[Module], Value] | None = None,
    metric: Metric | None = None,
    held_out: Dataset | tuple[Sequence[Any], Sequence[Any]] | None = None,
    schedule: Schedule | None = None,
    clip: float | None = None,
    predict: Predict | None = None,
    after_epoch: Callable[[History], None] | None = None,
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
        data: (inputs, targets), equally many. Inputs are vectors of finite numbers, unless
            `predict` is given.
        loss: (predictions, targets) -> Value, such as `nn.hinge`.
        optimizer: made for the model's parameters.
        epochs: passes over the data, those of a resumed run included.
        steps: how many steps instead, in as many passes as that takes; `every` so many, and at the
            end, an epoch is over.
        batch_size: examples in a step, in a new order each pass; None: all, in the order given.
        together: examples of a step that are computed at once; None: all. The gradients of the
            parts add up, each loss counting by its share of the examples: for steps too large to
            be recorded, or to fit into memory, as one graph.
        penalty: model -> Value, added to the loss, such as `l2(1e-4)`.
        metric: (predictions, targets) -> number, such as `accuracy`, whose threshold is then that
            of the loss, where the loss is known.
        held_out: examples that are not learned from, measured by the metric, else by the loss.
        schedule: number of steps done -> learning rate.
        clip: the largest Euclidean norm of a gradient.
        predict: (model, inputs) -> predictions; by default the model is called on a batch Matrix.
        after_epoch: called with the history so far, when the model is in evaluation mode.
        checkpoint: a file for the whole state of the run, written every few seconds and at the end.
        resume: continue from the checkpoint; the result equals that of an uninterrupted run.
        settings: kept in the checkpoint; a resume with others is refused.
        progress: show a bar with loss and metric.
        jit: record a step of each batch size once and replay it (autograd.jit): the same numbers,
            hundreds of times faster. Targets must be numbers or vectors.

    Returns the history, that of the resumed run included.

    Raises:
        ValueError: data that do not fit together, or a checkpoint that does not fit.
        FileNotFoundError: nothing to resume from.
        FloatingPointError: the loss became nan or infinite; the model is as after the step before.
    """
    from tqdm import tqdm  # half the time of `import nn`

    predict = predict or _predict_batch
    inputs, targets = _checked(data, predict is _predict_batch)
    if held_out is not None:
        held_out = _checked(held_out, predict is _predict_batch)
        if predict is _predict_batch and len(held_out[0][0]) != len(inputs[0]):
            raise ValueError(
                f"examples have {len(inputs[0])} numbers, held-out ones {len(held_out[0][0])}"
            )
    metric = with_threshold_of(loss, metric, targets)
    if (epochs is None) == (steps is None):
        raise ValueError("fit takes either epochs or steps")
    for name, count, low in (
        ("epochs", epochs, 0),
        ("steps", steps, 0),
        ("every", every, 1),
        ("batch_size", batch_size, 1),
        ("together", together, 1),
    ):
        if count is not None and count < low:
            raise ValueError(f"{name} must be {low} or more, not {count}")
    if resume and checkpoint is None:
        raise ValueError("resume needs a checkpoint")
    if checkpoint is not None and not Path(checkpoint).parent.is_dir():
        raise FileNotFoundError(f"there is no folder {Path(checkpoint).parent} for a checkpoint")
    settings = as_stored(settings) if settings is not None else None
    history, position = History(), Position()
    if resume and checkpoint is not None:
        history, position, settings = _restore(checkpoint, model, optimizer, settings, len(inputs))
    buffers = [buffer for _, buffer in model.named_buffers()]
    size = batch_size or len(inputs)
    unit, length = ("epochs", epochs or 0) if steps is None else ("steps", steps)
    learn = _step_of(model, loss, optimizer, penalty, clip, predict)
    add, move = _halves_of(model, loss, optimizer, penalty, clip, predict)
    if jit:
        from autograd.jit import jit as jitted  # NumPy is slow to import

        learn, add, move = jitted(learn), jitted(add), jitted(move)
        predict = _in_pieces(jitted(predict), min(together or size, 32))
    if together is not None and together < size:
        optimizer.zero_grad()
        learn = _added_up(add, move, together)

    def save() -> None:
        if checkpoint is not None:
            run = {unit: length}
            _save(checkpoint, model, optimizer, history, position, run, settings or {})

    def guarded(batch: Sequence[int]) -> None:
        """One step; where it fails, the statistics that its forward pass moved are put back."""
        before = [buffer.data for buffer in buffers]
        try:
            step(batch)
        except BaseException:
            for buffer, number in zip(buffers, before, strict=True):
                buffer.assign(number)
            raise

    def step(batch: Sequence[int]) -> None:
        batch_targets = [targets[i] for i in batch]
        if schedule is not None:
            optimizer.lr = schedule(position.steps)
        try:
            predictions, cost = learn([inputs[i] for i in batch], batch_targets)
        except FloatingPointError as error:
            raise FloatingPointError(
                f"{error} in epoch {position.epoch + 1}: try a smaller learning rate, or"
                " autograd.detect_anomaly() to see where"
            ) from None
        position.steps += 1
        position.seen += len(batch)
        position.examples += len(batch)
        position.loss_sum += float(cost) * len(batch)
        if metric is not None:
            position.accuracy_sum += metric(predictions, batch_targets) * len(batch)

    def end_epoch() -> dict[str, str]:
        """Enter the finished epoch into the history; what the bar shows of it."""
        history.loss.append(position.loss_sum / position.examples)
        shown = {"loss": f"{history.loss[-1]:.4f}"}
        if metric is not None:
            history.accuracy.append(position.accuracy_sum / position.examples)
            shown["accuracy"] = f"{history.accuracy[-1]:.1%}"
        if held_out is not None and metric is not None:
            score = evaluate(model, held_out, metric, predict)
            history.held_out_accuracy.append(score)
            shown["held out"] = f"{score:.1%}"
        elif held_out is not None:
            score = evaluate(model, held_out, lambda p, t: float(loss(p, t)), predict)
            history.held_out_loss.append(score)
            shown["held out"] = f"{score:.4f}"
        position.epoch, position.examples = position.epoch + 1, 0
        position.loss_sum = position.accuracy_sum = 0.0
        return shown

    def done() -> int:
        """How much of the run: epochs, or steps."""
        return position.epoch if steps is None else position.steps

    saved_at = time.monotonic()
    with (
        _collector_paused(),
        _interrupt_kept() as interrupt,
        tqdm(total=length, initial=done(), unit=unit[:-1], disable=not progress) as bar,
    ):
        model.train()
        while done() < length and not interrupt.is_set():
            if position.seen == 0:
                position.order = list(range(len(inputs)))
                if batch_size is not None:
                    rng.generator.shuffle(position.order)
            guarded(position.order[position.seen : position.seen + size])
            passed = position.seen == len(inputs)
            if passed:
                position.seen = 0
            if passed if steps is None else position.steps == steps or position.steps % every == 0:
                bar.set_postfix(end_epoch(), refresh=False)
                if after_epoch is not None:
                    model.eval()
                    after_epoch(history)
                    model.train()
            bar.update(done() - bar.n)
            if time.monotonic() - saved_at > SAVE_EVERY:
                save()
                saved_at = time.monotonic()
        history.interrupted = interrupt.is_set()
    save()
    return history


def _step_of(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    penalty: Callable[[Module], Value] | None,
    clip: float | None,
    predict: Predict,
) -> Callable[[Any, Any], tuple[Any, Value]]:
    """(inputs, targets) -> (predictions, cost) of one step."""

    def step(inputs: Any, targets: Any) -> tuple[Any, Value]:
        predictions = predict(model, inputs)
        cost = loss(predictions, targets)
        if penalty is not None:
            cost = cost + penalty(model)
        _check_finite(cost)
        optimizer.zero_grad()
        cost.backward()
        if clip is not None:
            clip_grad_norm(optimizer.parameters, clip)
        optimizer.step()
        return predictions, cost

    return step


def _halves_of(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    penalty: Callable[[Module], Value] | None,
    clip: float | None,
    predict: Predict,
) -> tuple[Callable[[Any, Any, float], tuple[Any, Value]], Callable[[], Value]]:
    """The same step in two: one that adds to the gradients, and the one that moves by them.

    (inputs, targets, share) -> (predictions, cost), and () -> cost of the penalty.
    """

    def add(inputs: Any, targets: Any, share: float) -> tuple[Any, Value]:
        predictions = predict(model, inputs)
        cost = loss(predictions, targets) * share
        _check_finite(cost)
        cost.backward()
        return predictions, cost

    def move() -> Value:
        cost = as_constant(0.0)
        if penalty is not None:
            cost = penalty(model)
            cost.backward()
        if clip is not None:
            clip_grad_norm(optimizer.parameters, clip)
        optimizer.step()
        optimizer.zero_grad()
        return cost

    return add, move


def _added_up(
    add: Callable[[Any, Any, float], tuple[Any, Value]], move: Callable[[], Value], together: int
) -> Callable[[Any, Any], tuple[Any, Value]]:
    """(inputs, targets) -> (predictions, cost) of a step whose gradients are added up."""

    def step(inputs: Any, targets: Any) -> tuple[Any, Value]:
        predictions: list[Any] = []
        costs = []
        for start in range(0, len(inputs), together):
            part = slice(start, start + together)
            share = len(inputs[part]) / len(inputs)
            predicted, part_cost = add(inputs[part], targets[part], share)
            predictions.extend(predicted)
            costs.append(part_cost)
        costs.append(move())
        with no_grad():
            return predictions, total(costs)

    return step


def _check_finite(cost: Value) -> None:
    # A recorded step has no numbers to look at; where one is not finite, it is run eagerly.
    if not modes.is_traced() and not math.isfinite(float(cost)):
        raise FloatingPointError(f"the loss became {float(cost)}")


def _in_pieces(predict: Predict, size: int = 32) -> Predict:
    """The same predictions, a few examples at a time: one small program serves them all."""

    def pieces(model: Module, inputs: Any) -> list[Any]:
        return [
            prediction
            for start in range(0, len(inputs), size)
            for prediction in predict(model, inputs[start : start + size])
        ]

    return pieces


def evaluate(
    model: Module,
    data: Dataset | tuple[Sequence[Any], Sequence[Any]],
    metric: Metric,
    predict: Predict | None = None,
    jit: bool = False,
    together: int = 32,
) -> float:
    """The metric of a model's predictions, in evaluation mode and without a graph.

    With the jit so many examples `together` are one program.
    """
    predict = predict or _predict_batch
    inputs, targets = _checked(data, predict is _predict_batch)
    if jit:
        from autograd.jit import jit as jitted

        predict = _in_pieces(jitted(predict), together)
    training = model.training
    model.eval()
    try:
        with no_grad():
            return metric(predict(model, inputs), targets)
    finally:
        model.train(training)


def l2(strength: float) -> Callable[[Module], Value]:
    """The penalty strength * (sum of the squares of all parameters)."""

    @scoped
    def l2(model: Module) -> Value:
        return strength * total(p * p for p in model.parameters())

    return l2


# --- data -----------------------------------------------------------------------------------------


def _predict_batch(model: Module, inputs: Sequence[Sequence[float]]) -> Any:
    # Inputs are constants of the graph: nobody asks for their gradients.
    return model(Matrix([as_constant(x) for x in row] for row in inputs))


def _checked(
    data: Dataset | tuple[Sequence[Any], Sequence[Any]], vectors: bool
) -> tuple[list[Any], list[Any]]:
    """Inputs and targets as lists, after a look at their sizes and numbers."""
    inputs, targets = (list(part) for part in data)
    if not inputs:
        raise ValueError("no examples to learn from")
    if len(inputs) != len(targets):
        raise ValueError(f"{len(inputs)} inputs, but {len(targets)} targets")
    for i, row in enumerate(inputs if vectors else ()):
        if len(row) != len(inputs[0]):
            raise ValueError(f"input 0 has {len(inputs[0])} numbers, input {i} has {len(row)}")
        for x in row:
            if not math.isfinite(x):
                raise ValueError(f"input {i} has a number that is not finite: {x}")
    return inputs, targets


# --- checkpoints ----------------------------------------------------------------------------------


def _save(
    path: str | os.PathLike[str],
    model: Module,
    optimizer: Optimizer,
    history: History,
    position: Position,
    length: dict[str, int],
    settings: dict[str, Any],
) -> None:
    content = {
        "kind": "checkpoint",
        "settings": settings,
        **length,
        "position": asdict(position),
        "history": asdict(history),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": rng.generator.getstate(),
    }
    write_json(path, content)


def _restore(
    path: str | os.PathLike[str],
    model: Module,
    optimizer: Optimizer,
    settings: dict[str, Any] | None,
    examples: int,
) -> tuple[History, Position, dict[str, Any]]:
    """Bring everything to where the checkpoint was written, or change nothing and raise.

    The settings come back as they were written.
    """
    content = read_json(path, "checkpoint")
    kept = content.get("settings")
    if not isinstance(kept, dict):
        raise ValueError(f"{path} is damaged: its settings are not there")
    for name, setting in (settings or {}).items():
        if name not in kept or kept[name] != setting:
            found = reprlib.repr(kept.get(name))
            raise ValueError(f"{path} was made with {name} = {found}, not {setting!r}")
    before = model.state_dict()
    try:
        position = _position(content["position"], examples)
        history = _history(content["history"], position.epoch)
        version, numbers, gauss = content["generator"]
        if not (gauss is None or isinstance(gauss, float)):
            raise ValueError("its random stream is not one")
        generator = random.Random()
        generator.setstate((version, tuple(numbers), gauss))
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        model.load_state_dict(before)
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is damaged or of another run: {what}") from None
    rng.generator.setstate(generator.getstate())
    return history, position, kept


def _history(content: dict[str, Any], epochs: int) -> History:
    loss, accuracy, held_out_accuracy, held_out_loss = (
        [as_number(x, name) for x in content[name]]
        for name in ("loss", "accuracy", "held_out_accuracy", "held_out_loss")
    )
    others = accuracy, held_out_accuracy, held_out_loss
    if len(loss) != epochs or any(len(x) not in (0, epochs) for x in others):
        raise ValueError(f"its history is not one of {epochs} epochs")
    return History(loss, *others)


def _position(content: dict[str, Any], examples: int) -> Position:
    counts = {name: content[name] for name in ("epoch", "steps", "seen", "examples")}
    order = content["order"]
    if not all(type(n) is int and n >= 0 for n in counts.values()):
        raise ValueError("its counts are not whole numbers")
    whole = isinstance(order, list) and all(type(i) is int for i in order)
    if counts["seen"] and not (whole and sorted(order) == list(range(examples))):
        raise ValueError(f"its order is not one of {examples} examples")
    if counts["seen"] >= examples:
        raise ValueError(f"it has seen {counts['seen']} of {examples} examples")
    return Position(
        **counts,
        order=order,
        loss_sum=as_number(content["loss_sum"], "loss_sum"),
        accuracy_sum=as_number(content["accuracy_sum"], "accuracy_sum"),
    )


# --- while it runs --------------------------------------------------------------------------------


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """No cyclic garbage collection inside; afterwards as it was, whatever happened."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _interrupt_kept() -> Iterator[threading.Event]:
    """An event that a first Ctrl-C sets instead of raising; a second one raises as usual."""
    interrupt = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # signals reach the main thread only
        return
    previous = signal.getsignal(signal.SIGINT)

    def keep(number: int, frame: Any) -> None:
        interrupt.set()
        signal.signal(signal.SIGINT, previous)

    # A handler that was not set from Python (None) could not be put back; leave that one alone.
    if previous is None or previous is signal.SIG_IGN:
        yield interrupt
        return
    signal.signal(signal.SIGINT, keep)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
