"""What does `python -m nn` do? It trains a network of scalar Values on a small task."""

from __future__ import annotations

import argparse
import math
import os
import reprlib
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nn
from nn import data as datasets
from nn import plot
from nn.activations import ACTIVATIONS
from nn.data import Dataset
from nn.files import read_json, write_json
from nn.module import Module
from nn.optim import OPTIMIZERS
from nn.train import Loss, accuracy, evaluate, fit, l2

EPILOG = """\
It writes loss.png, decision_boundary.png (tasks with two inputs), history.json, model.json and
checkpoint.json to runs/<task>/. Ctrl-C stops it and saves what was learned; --resume continues.
"""


@dataclass(frozen=True)
class Task:
    """Where examples come from, and the settings that suit them. held_out counts examples."""

    about: str
    load: Callable[[dict[str, Any]], Dataset]
    outputs: int
    loss: Loss
    settings: dict[str, Any]
    held_out: int = 0


SETTINGS: dict[str, Any] = {
    "epochs": 100,
    "lr": 0.03,
    "seed": 0,
    "hidden": [16, 16],
    "activation": "relu",
    "optimizer": "adam",
    "batch_size": 0,
    "l2": 1e-4,
    "examples": 100,
    "noise": 0.1,
}


def _is_whole(low: float) -> Callable[[Any], bool]:
    return lambda setting: type(setting) is int and setting >= low


def _is_real(setting: Any) -> bool:
    return type(setting) is float and 0.0 <= setting < math.inf


# What a setting read from a checkpoint must be; the command line is checked by its parser.
VALID: dict[str, Callable[[Any], bool]] = {
    "epochs": _is_whole(0),
    "lr": _is_real,
    "seed": _is_whole(-math.inf),
    "hidden": lambda sizes: isinstance(sizes, list) and all(map(_is_whole(1), sizes)),
    "activation": lambda name: isinstance(name, str) and name in ACTIVATIONS,
    "optimizer": lambda name: isinstance(name, str) and name in OPTIMIZERS,
    "batch_size": _is_whole(0),
    "l2": _is_real,
    "examples": _is_whole(1),
    "noise": _is_real,
}


def _points(make: Callable[..., Dataset]) -> Callable[[dict[str, Any]], Dataset]:
    return lambda settings: make(settings["examples"], noise=settings["noise"])


TASKS = {
    "moons": Task("two interleaved half circles", _points(datasets.moons), 1, nn.hinge, {}),
    "circles": Task("a circle inside a circle", _points(datasets.circles), 1, nn.hinge, {}),
    "spiral": Task(
        "three arms of a spiral",
        _points(datasets.spiral),
        3,
        nn.cross_entropy_with_logits,
        {"examples": 150, "noise": 0.03, "batch_size": 25, "epochs": 60, "lr": 0.01},
    ),
    "xor": Task("the corners of a square", _points(datasets.xor), 1, nn.hinge, {"hidden": [8]}),
    "iris": Task(
        "Fisher's irises: three species from four measurements",
        lambda settings: datasets.iris(),
        3,
        nn.cross_entropy_with_logits,
        {"activation": "tanh", "epochs": 60, "batch_size": 20, "lr": 0.01, "l2": 3e-3},
        held_out=30,
    ),
    "digits": Task(
        "handwritten digits of 8 x 8 pixels",
        lambda settings: datasets.digits(),
        10,
        nn.cross_entropy_with_logits,
        {"hidden": [32], "epochs": 30, "batch_size": 32, "lr": 0.005},
        held_out=360,
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a task from the command line. 0: done or stopped by Ctrl-C, 1: failed, 2: wrong usage."""
    options = _parser().parse_args(arguments)
    out = Path(options.out or Path("runs") / options.task)
    try:
        return run(options.task, out, options)
    except (OSError, ValueError, ImportError, ArithmeticError) as error:
        message = " ".join(str(error).split())
        print(f"python -m nn {options.task}: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run(name: str, out: Path, options: argparse.Namespace) -> int:
    """Train on a task and write the results to the folder `out`."""
    task = TASKS[name]
    checkpoint = out / "checkpoint.json"
    given = {key: value for key in SETTINGS if (value := getattr(options, key)) is not None}
    kept = _kept_settings(checkpoint, name, given) if options.resume else task.settings
    settings = {**SETTINGS, **kept, **given}
    plot.require_matplotlib()
    _make_writable(out)

    nn.seed(settings["seed"])
    examples = task.load(settings)
    held_out = None
    if task.held_out:
        training, held_out = datasets.split(examples, task.held_out)
        held_out = datasets.standardized(held_out, like=training)
        examples = datasets.standardized(training)
    model = nn.MLP(
        len(examples.inputs[0]), [*settings["hidden"], task.outputs], settings["activation"]
    )
    optimizer = OPTIMIZERS[settings["optimizer"]](model, lr=settings["lr"])
    size = "-".join(map(str, [len(examples.inputs[0]), *settings["hidden"], task.outputs]))
    print(
        f"{name}: {task.about}; {len(examples.inputs)} examples, a {size}"
        f" {settings['activation']} network of {len(model.parameters())} parameters"
    )
    start = time.perf_counter()
    history = fit(
        model,
        examples,
        task.loss,
        optimizer,
        epochs=settings["epochs"],
        batch_size=settings["batch_size"] or None,
        penalty=l2(settings["l2"]) if settings["l2"] else None,
        metric=accuracy,
        held_out=held_out,
        checkpoint=checkpoint,
        resume=options.resume,
        settings={"task": name, **{k: v for k, v in settings.items() if k != "epochs"}},
        progress=not options.quiet,
        jit=options.jit,
    )
    seconds = time.perf_counter() - start

    _write_results(out, name, model, history, examples, settings)
    score = evaluate(model, examples, accuracy, jit=options.jit)
    ended = "stopped" if history.interrupted else "trained"
    loss = f"loss {history.loss[-1]:.4f}, " if history.loss else ""
    print(
        f"{ended} after {len(history.loss)} epochs in {seconds:.1f} s: {loss}accuracy {score:.1%}"
    )
    if held_out is not None:
        score = evaluate(model, held_out, accuracy, jit=options.jit)
        print(f"accuracy on {len(held_out.inputs)} held-out examples: {score:.1%}")
    print(f"results are in {out}{os.sep}")
    if history.interrupted:
        print(f"continue with: python -m nn {name} --resume --out {shlex.quote(str(out))}")
    return 0


def _write_results(
    out: Path,
    name: str,
    model: Module,
    history: nn.History,
    examples: Dataset,
    settings: dict[str, Any],
) -> None:
    model.save(out / "model.json")
    content = {
        "kind": "history",
        "task": name,
        "settings": settings,
        "loss": history.loss,
        "accuracy": history.accuracy,
        "held_out_accuracy": history.held_out_accuracy,
    }
    write_json(out / "history.json", content)
    plot.save(plot.loss_curve(history), out / "loss.png")
    if len(examples.inputs[0]) == 2:
        plot.save(plot.decision_boundary(model, examples), out / "decision_boundary.png")


def _kept_settings(path: Path, task: str, given: dict[str, Any]) -> dict[str, Any]:
    """The settings of the run to be resumed, which options may repeat but not change."""
    try:
        content = read_json(path, "checkpoint")
    except FileNotFoundError:
        raise ValueError(f"nothing to resume: there is no {path}") from None
    settings = content.get("settings")
    if not isinstance(settings, dict):
        raise ValueError(f"{path} is damaged: its settings are not there")
    if settings.get("task") != task:
        raise ValueError(f"{path} is not a checkpoint of {task}")
    kept = {**settings, "epochs": content.get("epochs")}
    del kept["task"]
    if unknown := sorted(set(kept) - set(SETTINGS)):
        raise ValueError(f"{path} is damaged: there is no setting {reprlib.repr(unknown[0])}")
    for key in SETTINGS:
        if not VALID[key](kept.get(key)):
            raise ValueError(f"{path} is damaged: {key} is {reprlib.repr(kept.get(key))}")
    for key, value in given.items():
        if key != "epochs" and kept[key] != value:
            option = "--" + key.replace("_", "-")
            raise ValueError(f"{path} was made with {option} {kept[key]}, not {value}")
    return {key: kept[key] for key in SETTINGS}


def _make_writable(out: Path) -> None:
    """Make the folder and try it, before an hour of training finds out."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(f"cannot write to {out}: {error.strerror}") from None


def _parser() -> argparse.ArgumentParser:
    tasks = "\n".join(f"  {name:10}{task.about}" for name, task in TASKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m nn",
        description=f"Train a network made of nothing but scalar Values.\n\ntasks:\n{tasks}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "task",
        nargs="?",
        default="moons",
        choices=TASKS,
        metavar="task",
        help="one of the above; moons if left out",
    )
    parser.add_argument("--epochs", type=_whole(0), help="passes over the examples")
    parser.add_argument("--lr", type=_real, help="learning rate")
    parser.add_argument("--seed", type=int, help="start of all random numbers")
    parser.add_argument("--hidden", type=_whole(1), nargs="*", help="neurons of each hidden layer")
    parser.add_argument("--activation", choices=ACTIVATIONS)
    parser.add_argument("--optimizer", choices=OPTIMIZERS)
    parser.add_argument("--batch-size", type=_whole(0), help="examples in a step; 0 for all")
    parser.add_argument("--l2", type=_real, help="weight of the L2 penalty")
    parser.add_argument("--examples", type=_whole(1), help="size of a made data set")
    parser.add_argument("--noise", type=_real, help="noise of a made data set")
    parser.add_argument("--out", help="folder for the results; runs/<task> if left out")
    parser.add_argument("--resume", action="store_true", help="continue a stopped run")
    parser.add_argument(
        "--jit",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="replay a recorded training step (the default), or compute each one in Python",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _whole(low: int) -> Callable[[str], int]:
    """A reader of whole numbers from `low` up, for argparse."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= low):
            raise argparse.ArgumentTypeError(f"takes a whole number, {low} or more, not {text!r}")
        return int(text)

    return read


def _real(text: str) -> float:
    """A finite number, 0 or more, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"takes a number, 0 or more, not {text!r}")
    return number


if __name__ == "__main__":
    sys.exit(main())
