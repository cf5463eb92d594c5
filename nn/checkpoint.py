"""How is a run of `fit` saved, so that a resumed run equals an uninterrupted one bit for bit?"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autograd import Value
from autograd.files import replaceable
from autograd.text import counted, quoted
from nn import rng
from nn.data import Examples, as_lists
from nn.files import as_number, as_stored, read_json, reserved, write_json
from nn.module import Module
from nn.optim import Optimizer
from nn.schedules import Schedule
from nn.step import Recipe, remembered

State = dict[str, float]


@dataclass
class History:
    """The losses and scores of a run, one entry per epoch; `accuracy` holds any metric's scores.

    Training loss and accuracy are averages over the steps of the epoch. Held-out examples are
    evaluated at its end, in evaluation mode, by the metric or else the loss. `interrupted` tells
    whether Ctrl-C ended the run. `best_epoch` is the one that `patience` keeps, counted from 1.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    held_out_accuracy: list[float] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)
    interrupted: bool = False
    best_epoch: int | None = None


@dataclass
class Position:
    """How far a run has got.

    Attributes:
        epoch, steps: how many are done.
        seen: examples used so far in this pass over the data; `order` is the order of the pass.
        examples, weight: the number of examples in this epoch, and their weight in its loss.
        loss_sum, accuracy_sum: sums over this epoch, each step weighted by its examples.
        stopped: whether `after_epoch` ended the run.
    """

    epoch: int = 0
    steps: int = 0
    seen: int = 0
    examples: int = 0
    order: list[int] = field(default_factory=list)
    weight: float = 0.0
    loss_sum: float = 0.0
    accuracy_sum: float = 0.0
    stopped: bool = False


@dataclass
class Progress:
    """The state of a run, apart from its model and optimizers."""

    history: History = field(default_factory=History)
    position: Position = field(default_factory=Position)
    best: State | None = None  # the model after the best epoch


@dataclass
class Checkpoint:
    """The file of a run.

    Args:
        made_with: by name, what must be the same in a resumed run as in the one that is saved.
        settings: the same for the user's settings; None accepts those in the file.
    """

    path: Path
    recipe: Recipe
    made_with: dict[str, Any]
    settings: dict[str, Any] | None

    def save(self, progress: Progress, length: dict[str, int]) -> None:
        """Write everything, atomically."""
        content = {
            "kind": "checkpoint",
            "settings": self.settings or {},
            "made_with": self.made_with,
            **length,
            "position": asdict(progress.position),
            "history": asdict(progress.history),
            "model": self.recipe.model.state_dict(),
            "best": progress.best,
            "optimizers": [optimizer.state_dict() for optimizer in self.recipe.optimizers],
            "generator": rng.generator.getstate(),
        }
        write_json(self.path, content)

    def restore(self, examples: int) -> Progress:
        """Restore everything from the file.

        Raises FileNotFoundError, or ValueError for a damaged file or one of another run; an error
        leaves everything as it was.
        """
        content = read_json(self.path, "checkpoint")
        settings, made_with = content.get("settings"), content.get("made_with")
        if not isinstance(settings, dict) or not isinstance(made_with, dict):
            raise ValueError(f"{self.path} is damaged: it has no settings")
        self._compare(settings, self.settings or {})
        self._compare(made_with, self.made_with)
        put_back = remembered(self.recipe)
        try:
            progress = self._load(content, examples)
        except BaseException as error:  # such as Ctrl-C
            put_back()
            if not isinstance(error, KeyError | TypeError | ValueError | OverflowError):
                raise
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{self.path} is damaged or of another run: {what}") from None
        self.settings = settings
        return progress

    def _compare(self, kept: dict[str, Any], now: dict[str, Any]) -> None:
        for name, setting in now.items():
            if name not in kept or kept[name] != setting:
                found = quoted(kept[name]) if name in kept else "nothing"
                raise ValueError(
                    f"{self.path} was made with {name} = {found}, not {quoted(setting)}"
                )

    def _load(self, content: dict[str, Any], examples: int) -> Progress:
        position = _position(content["position"], examples)
        history = _history(content["history"], position.epoch)
        best = content["best"]
        if (best is None) is not (history.best_epoch is None):
            raise ValueError("it has a best epoch without its model, or vice versa")
        generator = _generator(*content["generator"])
        model, optimizers, states = self.recipe.model, self.recipe.optimizers, content["optimizers"]
        if len(states) != len(optimizers):
            raise ValueError(f"it does not have {counted(len(optimizers), 'optimizer state')}")
        if best is not None:
            model.load_state_dict(best)
        model.load_state_dict(content["model"])
        for optimizer, state in zip(optimizers, states, strict=True):
            optimizer.load_state_dict(state)
        rng.generator.setstate(generator.getstate())
        return Progress(history, position, best)


@contextlib.contextmanager
def kept(path: str | os.PathLike[str]) -> Iterator[None]:
    """Reserve a checkpoint file for one run, after checking that it can be written.

    Raises OSError if it cannot, BlockingIOError if another run is using it.
    """
    place = Path(path)
    if not place.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {place.parent} for a checkpoint")
    replaceable(place)
    with reserved(place, "use another checkpoint file"):
        yield


def opened(
    path: str | os.PathLike[str],
    recipe: Recipe,
    made_with: dict[str, Any],
    settings: dict[str, Any] | None,
) -> Checkpoint:
    """Return the checkpoint at a path, whether or not the file exists."""
    try:
        stored = as_stored(settings)
    except TypeError as error:
        raise TypeError(f"settings= must be storable as JSON: {error}") from None
    return Checkpoint(Path(path), recipe, as_stored(made_with), stored)


def _generator(version: Any, numbers: Any, gauss: Any) -> random.Random:
    if not (gauss is None or isinstance(gauss, float)):
        raise ValueError("its random stream is invalid")
    generator = random.Random()
    generator.setstate((version, tuple(numbers), gauss))
    return generator


def _history(content: dict[str, Any], epochs: int) -> History:
    loss, accuracy, held_out_accuracy, held_out_loss = (
        [as_number(x, name) for x in content[name]]
        for name in ("loss", "accuracy", "held_out_accuracy", "held_out_loss")
    )
    others = accuracy, held_out_accuracy, held_out_loss
    if len(loss) != epochs or any(len(x) not in (0, epochs) for x in others):
        raise ValueError(f"its history does not have {counted(epochs, 'epoch')}")
    best = content["best_epoch"]
    if best is not None and not (type(best) is int and 1 <= best <= epochs):
        raise ValueError(f"its best epoch is not within 1 .. {epochs}")
    return History(loss, *others, best_epoch=best)


def _position(content: dict[str, Any], examples: int) -> Position:
    counts = {name: content[name] for name in ("epoch", "steps", "seen", "examples")}
    order, stopped = content["order"], content["stopped"]
    if not all(type(n) is int and n >= 0 for n in counts.values()):
        raise ValueError("its counts are not whole numbers")
    whole = all(type(i) is int for i in order)
    if counts["seen"] and not (whole and sorted(order) == list(range(examples))):
        raise ValueError(f"its order is not a permutation of {examples} examples")
    if counts["seen"] >= examples:
        raise ValueError(f"it has seen {counts['seen']} of {examples} examples")
    if not isinstance(stopped, bool):
        raise ValueError("it does not say whether it was stopped")
    sums = ("weight", "loss_sum", "accuracy_sum")
    counts |= {name: as_number(content[name], name) for name in sums}
    return Position(**counts, order=order, stopped=stopped)


# --- what a run was made with ---------------------------------------------------------------------


def rule_settings(
    model: Module, optimizers: Sequence[Optimizer], schedules: Sequence[Schedule | None]
) -> dict[str, Any]:
    """Return the settings of optimizers by name: their states without what each step changes.

    They include which model parameters each one has, in the order in which moments are stored.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    settings: dict[str, Any] = {"optimizers": len(optimizers)}
    for i, (optimizer, schedule) in enumerate(zip(optimizers, schedules, strict=True)):
        name = "optimizer" if len(optimizers) == 1 else f"optimizers[{i}]"
        settings[f"{name} schedule"] = schedule and "a function"
        state = optimizer.state_dict()
        for moving in ("time", "moments", *([] if schedule is None else ["lr"])):
            state.pop(moving, None)
        settings |= _flat(name, state)
        moved = [names[parameter] for parameter in optimizer.parameters]
        count = f"{len(moved)} of {type(model).__name__}"
        settings[f"{name} parameters"] = f"{count}, first {moved[0]}, {_digest(moved)}"
    return settings


def _flat(name: str, state: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, setting in state.items():
        where = f"{name} {key}"
        flat |= _flat(where, setting) if isinstance(setting, dict) else {where: setting}
    return flat


def described(data: Examples | None) -> str | None:
    """Return the number of examples and a digest of their numbers and strings."""
    if data is None:
        return None
    return f"{len(data[0])} examples, {_digest(data)}"


def _digest(things: Iterable[Any]) -> str:
    """Return the first twelve digits of a SHA-256 of nested numbers and strings."""
    digest = hashlib.sha256()
    for thing in things:
        _add(digest, thing)
    return f"sha256 {digest.hexdigest()[:12]}"


def _add(digest: Any, thing: Any) -> None:
    """Add nested numbers and strings to a digest; other objects add only their type."""
    if isinstance(thing, str | bytes):
        digest.update(b"text" + (thing.encode() if isinstance(thing, str) else thing) + b"\0")
        return
    if isinstance(thing, dict):
        thing = [part for item in thing.items() for part in item]
    thing = as_lists(thing)
    if isinstance(thing, Iterable) and not isinstance(thing, Value):
        parts = list(thing)
        digest.update(f"list {len(parts)} ".encode())
        try:  # the common case, many times faster
            digest.update(array("d", parts).tobytes())
        except (TypeError, ValueError, OverflowError):
            for part in parts:
                _add(digest, part)
        return
    try:
        digest.update(array("d", [thing]).tobytes())
    except (TypeError, ValueError, OverflowError):
        digest.update((repr(thing) if isinstance(thing, int) else type(thing).__name__).encode())
