"""How does `python -m nn` train on a task? From settings or a checkpoint to results in a folder."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograd.files import replaceable, temporary
from autograd.text import counted, fixed, quoted, shown
from nn import data as datasets
from nn import plot, pytorch
from nn.checkpoint import History
from nn.evaluation import evaluate
from nn.files import read_json, reserved, write_json
from nn.layers import MLP
from nn.metrics import accuracy
from nn.module import Module
from nn.rng import seed
from nn.rules import OPTIMIZERS
from nn.tasks import GPT_SETTINGS, SETTINGS, TASKS, VALID
from nn.train import fit, l2

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(name: str, out: Path, options: argparse.Namespace, given: dict[str, Any]) -> int:
    """Train on a task and write the results to the folder `out`.

    Args:
        given: the settings given on the command line.
    """
    kept = kept_settings(out, name, given) if options.resume else TASKS[name].settings
    settings = {**SETTINGS, **kept, **given}
    require_exportable(options.export)
    with only_run_in(out):
        return _train(name, out, options, settings)


def _train(name: str, out: Path, options: argparse.Namespace, settings: dict[str, Any]) -> int:
    task = TASKS[name]
    seed(settings["seed"])
    examples, held_out = task.load(settings), None
    if task.held_out:
        training, held_out = datasets.split(examples, task.held_out)
        held_out = datasets.standardized(held_out, like=training)
        examples = datasets.standardized(training)
    sizes = [len(examples.inputs[0]), *settings["hidden"], task.outputs]
    model = MLP(sizes[0], sizes[1:], settings["activation"])
    print(
        f"{name}: {task.about}; {counted(len(examples.inputs), 'example')}, a"
        f" {'-'.join(map(str, sizes))}"
        f" {settings['activation']} network with {counted(len(model.parameters()), 'parameter')}"
    )
    start = time.perf_counter()
    history = fit(
        model,
        examples,
        task.loss,
        OPTIMIZERS[settings["optimizer"]](model, lr=settings["lr"]),
        epochs=settings["epochs"],
        batch_size=settings["batch_size"] or None,
        penalty=l2(settings["l2"]) if settings["l2"] else None,
        metric=accuracy,
        held_out=held_out,
        checkpoint=out / "checkpoint.json",
        resume=options.resume,
        settings={"task": name, **{k: v for k, v in settings.items() if k != "epochs"}},
        progress=not options.quiet,
        jit=options.jit,
    )
    seconds = time.perf_counter() - start

    model.save(out / "model.json")
    scores = {"accuracy": history.accuracy, "held_out_accuracy": history.held_out_accuracy}
    plots = {"loss.png": lambda: plot.loss_curve(history)}
    if len(examples.inputs[0]) == 2:
        plots["decision_boundary.png"] = lambda: plot.decision_boundary(model, examples)
    write_history(out, name, settings, {"loss": history.loss, **scores}, plots)

    score = evaluate(model, examples, accuracy, jit=options.jit)
    loss = f"loss {fixed(history.loss[-1])}, " if history.loss else ""
    print(
        f"{ended(history)} {counted(len(history.loss), 'epoch')} in {seconds:.1f} s:"
        f" {loss}accuracy {score:.1%}"
    )
    if held_out is not None:
        score = evaluate(model, held_out, accuracy, jit=options.jit)
        print(f"accuracy on {len(held_out.inputs)} held-out examples: {score:.1%}")
    return finish(out, name, model, history, options.export)


# --- what all tasks share -------------------------------------------------------------------------


def kept_settings(out: Path, task: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the run to resume; the command line may repeat, not change them.

    Only the length (epochs, or the steps of the gpt) may change, and where the text is: `fit`
    compares its lines.
    """
    path = out / "checkpoint.json"
    try:
        content = read_json(path, "checkpoint")
    except FileNotFoundError:
        raise ValueError(f"nothing to resume: there is no {path}") from None
    settings = content.get("settings")
    if not isinstance(settings, dict):
        raise ValueError(f"{path} is damaged: it has no settings")
    if settings.get("task") != task:
        raise ValueError(f"{path} is not a checkpoint of {task}")
    defaults, length = (GPT_SETTINGS, "steps") if task == "gpt" else (SETTINGS, "epochs")
    kept = {**settings, length: content.get(length)}
    del kept["task"]
    if unknown := sorted(set(kept) - set(defaults)):
        raise ValueError(f"{path} is damaged: there is no setting {quoted(unknown[0])}")
    for key in defaults:
        if not VALID[key](kept.get(key)):
            raise ValueError(f"{path} is damaged: {key} is {quoted(kept.get(key))}")
    for key, value in given.items():
        if key not in (length, "text") and kept[key] != value:
            option = "--" + key.replace("_", "-")
            was, now = (
                " ".join(map(str, setting)) if isinstance(setting, list) else setting
                for setting in (kept[key], value)
            )
            raise ValueError(f"{path} was made with {option} {was}, not {now}")
    return {key: kept[key] for key in defaults}


def make_writable(out: Path) -> None:
    """Create the folder and write to it, so that a failure comes before the training."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        temporary(os.fspath(out), "writable").release()
    except OSError as error:
        raise OSError(f"cannot write to {out}: {error.strerror}") from None


def write_history(
    out: Path,
    task: str,
    settings: dict[str, Any],
    lists: dict[str, Any],
    plots: dict[str, Callable[[], Figure]],
) -> None:
    """Write history.json and the plots, or print a note if matplotlib is missing."""
    content = {"kind": "history", "task": task, "settings": settings, **lists}
    write_json(out / "history.json", content)
    try:
        plot.require_matplotlib()
    except ImportError as error:
        print(f"not drawn: {', '.join(plots)}; {error}")
        return
    for name, made in plots.items():
        plot.save(made(), out / name)


@contextlib.contextmanager
def only_run_in(out: Path) -> Iterator[None]:
    """Reserve the folder for the results of this run.

    Raises OSError if it cannot be created or written to, or if another run is using it.
    """
    make_writable(out)
    with reserved(out, "choose another folder with --out"):
        yield


def require_exportable(path: str | None) -> None:
    """Raise ImportError or OSError if weights cannot be exported to the path of --export."""
    if path is None:
        return
    pytorch.require_torch()
    replaceable(path)
    make_writable(Path(path).parent)


def ended(history: History) -> str:
    """Return how the run ended, for a message that continues with its length."""
    return "stopped after" if history.interrupted else "trained for"


def finish(out: Path, name: str, model: Module, history: History, export: str | None) -> int:
    """Print where the results are and how to resume, and export the weights if --export is given.

    Returns the exit code: 0, or that of an interrupt if the run was stopped.
    """
    print(f"results are in {shown(str(out))}{os.sep}")
    if history.interrupted:
        # The shells of Windows know double quotes, which no file name there has.
        place = f'"{out}"' if os.name == "nt" else shlex.quote(str(out))
        print(f"continue with: python -m nn {name} --resume --out {shown(place)}")
    if export is not None:
        pytorch.export(model, export)
        print(f"weights for torch.load are in {shown(export)}")
    return 130 if history.interrupted else 0
