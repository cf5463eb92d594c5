"""What does `python -m nn` do? It trains a network of scalar Values on a small task, or a GPT."""

from __future__ import annotations

import argparse
import io
import math
import os
import random
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
from nn import plot, rng, text
from nn.activations import ACTIVATIONS
from nn.data import Dataset
from nn.files import read_json, write_json
from nn.metrics import accuracy
from nn.module import Module
from nn.rules import OPTIMIZERS
from nn.step import Loss
from nn.train import evaluate, fit, l2

EPILOG = """\
It writes loss.png, decision_boundary.png (tasks with two inputs), history.json, model.json and
checkpoint.json to runs/<task>/. Ctrl-C stops it and saves what was learned; --resume continues.
--text FILE gives the gpt other lines to learn from than the names of the chemical elements, and
--generate N writes N new ones with the model in runs/gpt/.
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

# Those of the gpt: the size of microgpt, and what it learns with.
GPT_SETTINGS: dict[str, Any] = {
    "text": None,
    "steps": 1000,
    "lr": 0.01,
    "seed": 0,
    "batch_size": 1,
    "block_size": 16,
    "embedding": 16,
    "heads": 4,
    "layers": 1,
    "base_width": 16,
}
BETAS = (0.85, 0.99)
HELD_OUT = 10, 1000  # one line of so many, and not more than this
REPORT = 100  # steps
GPT_ABOUT = "a small GPT that learns the lines of a text, and writes new ones"


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
    "text": lambda path: path is None or isinstance(path, str),
    "steps": _is_whole(0),
    "block_size": _is_whole(1),
    "embedding": _is_whole(1),
    "heads": _is_whole(1),
    "layers": _is_whole(1),
    "base_width": _is_whole(1),
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
    parser = _parser()
    options = parser.parse_args(arguments)
    out = Path(options.out or Path("runs") / options.task)
    given = {key: value for key in VALID if (value := getattr(options, key)) is not None}
    _refuse_stray(parser, options, given)
    try:
        if options.generate is not None:
            return write_text(out, options)
        if options.task == "gpt":
            return learn_text(out, options, given)
        return run(options.task, out, options, given)
    except (OSError, ValueError, ImportError, ArithmeticError) as error:
        message = " ".join(str(error).split())
        print(f"python -m nn {options.task}: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run(name: str, out: Path, options: argparse.Namespace, given: dict[str, Any]) -> int:
    """Train on a task and write the results to the folder `out`."""
    task = TASKS[name]
    checkpoint = out / "checkpoint.json"
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
    _say_where(out, name, history)
    return 0


def learn_text(out: Path, options: argparse.Namespace, given: dict[str, Any]) -> int:
    """Train a GPT on the lines of a text and write the results to the folder `out`."""
    checkpoint = out / "checkpoint.json"
    kept = _kept_settings(checkpoint, "gpt", given) if options.resume else {}
    settings = {**GPT_SETTINGS, **kept, **given}
    source, block_size = settings["text"], settings["block_size"]
    plot.require_matplotlib()
    documents = text.read(source) if source else text.elements()
    _make_writable(out)

    nn.seed(settings["seed"])
    rng.generator.shuffle(documents)
    tokenizer = nn.Tokenizer(documents)
    part, most = HELD_OUT
    held = min(len(documents) // part, most)
    learned, held_out = (
        text.examples(lines, tokenizer, block_size)
        for lines in (documents[held:], documents[:held])
    )
    names = ("block_size", "embedding", "heads", "layers", "base_width")
    model = nn.GPT(tokenizer.vocabulary, **{name: settings[name] for name in names})
    optimizer = nn.Adam(model, lr=settings["lr"], betas=BETAS)
    print(
        f"gpt: {len(documents) - held} lines of {source or 'the chemical elements'}, {held} held"
        f" out; {tokenizer.vocabulary} tokens, {len(model.parameters())} parameters"
    )
    if cut := sum(len(document) >= block_size for document in documents):
        print(f"of {cut} lines only what fits into a block of {block_size} tokens is learned from")

    from tqdm import tqdm  # as in fit

    def show_samples(history: nn.History) -> None:
        draws = random.Random(len(history.loss))  # what is shown changes nothing that is learned
        lines = [text.sample(model, tokenizer, temperature=0.5, generator=draws) for _ in range(3)]
        tqdm.write(f"loss {history.loss[-1]:.4f}: {', '.join(lines)}")

    start = time.perf_counter()
    history = fit(
        model,
        text.with_mean_counts(learned),
        text.nll_per_character,
        optimizer,
        steps=settings["steps"],
        every=REPORT,
        batch_size=settings["batch_size"] or None,
        micro_batch=1,
        held_out=held_out if held else None,
        schedule=nn.linear_decay(settings["lr"], max(settings["steps"], 1)),
        predict=text.nlls,
        after_epoch=None if options.quiet else show_samples,
        checkpoint=checkpoint,
        resume=options.resume,
        settings={"task": "gpt", **{k: v for k, v in settings.items() if k != "steps"}},
        progress=not options.quiet,
        jit=options.jit,
    )
    seconds = time.perf_counter() - start

    text.save(out / "model.json", model, tokenizer)
    content = {
        "kind": "history",
        "task": "gpt",
        "settings": settings,
        "every": REPORT,
        "loss": history.loss,
        "held_out_loss": history.held_out_loss,
    }
    write_json(out / "history.json", content)
    plot.save(plot.loss_curve(history, steps=REPORT), out / "loss.png")
    ended = "stopped" if history.interrupted else "trained"
    print(f"{ended} after {optimizer.time.data:.0f} steps in {seconds:.1f} s", end="")
    for what, losses in (("loss", history.loss), ("held out", history.held_out_loss)):
        print(f", {what} {losses[-1]:.4f}" if losses else "", end="")
    print(" nats a character" if history.loss else "")
    _say_where(out, "gpt", history)
    return 0


def write_text(out: Path, options: argparse.Namespace) -> int:
    """Write lines with the model that was saved in the folder `out`."""
    try:
        model, tokenizer = text.load(out / "model.json")
    except FileNotFoundError:
        raise ValueError(f"there is no {out / 'model.json'}: train one first") from None
    if options.seed is not None:
        nn.seed(options.seed)
    temperature = 0.5 if options.temperature is None else options.temperature
    for _ in range(options.generate):
        prompt, top_k, top_p = options.prompt or "", options.top_k, options.top_p
        print(text.sample(model, tokenizer, prompt, temperature, top_k, top_p))
    return 0


def _say_where(out: Path, name: str, history: nn.History) -> None:
    print(f"results are in {out}{os.sep}")
    if history.interrupted:
        print(f"continue with: python -m nn {name} --resume --out {shlex.quote(str(out))}")


def _refuse_stray(
    parser: argparse.ArgumentParser, options: argparse.Namespace, given: dict[str, Any]
) -> None:
    """End with exit code 2 if an option does not go with the task, or with --generate."""
    keys = ("temperature", "top_k", "top_p", "prompt")
    writing = {key for key in keys if getattr(options, key) is not None}
    if options.generate is not None and options.task == "gpt":
        stray, place = set(given) - {"seed"}, "--generate"
    else:
        generate = {"generate"} if options.generate is not None else set()
        known = GPT_SETTINGS if options.task == "gpt" else SETTINGS
        stray = (set(given) - set(known)) | writing | generate
        place = f"the task {options.task}"
    if stray:
        option = "--" + min(stray).replace("_", "-")
        parser.error(f"{option} does not go with {place}")


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
    defaults, length = (GPT_SETTINGS, "steps") if task == "gpt" else (SETTINGS, "epochs")
    kept = {**settings, length: content.get(length)}
    del kept["task"]
    if unknown := sorted(set(kept) - set(defaults)):
        raise ValueError(f"{path} is damaged: there is no setting {reprlib.repr(unknown[0])}")
    for key in defaults:
        if not VALID[key](kept.get(key)):
            raise ValueError(f"{path} is damaged: {key} is {reprlib.repr(kept.get(key))}")
    for key, value in given.items():
        if key != length and kept[key] != value:
            option = "--" + key.replace("_", "-")
            raise ValueError(f"{path} was made with {option} {kept[key]}, not {value}")
    return {key: kept[key] for key in defaults}


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
    tasks += f"\n  {'gpt':10}{GPT_ABOUT}"
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
        choices=[*TASKS, "gpt"],
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
    gpt = parser.add_argument_group("of the gpt")
    gpt.add_argument("--text", metavar="FILE", help="what to learn from: UTF-8, a document a line")
    gpt.add_argument("--steps", type=_whole(0), help="steps of training")
    gpt.add_argument("--block-size", type=_whole(1), help="tokens it looks at, at most")
    gpt.add_argument("--embedding", type=_whole(1), help="numbers a token becomes")
    gpt.add_argument("--base-width", type=_whole(1), help="the embedding that --lr is meant for")
    gpt.add_argument("--heads", type=_whole(1), help="of attention")
    gpt.add_argument("--layers", type=_whole(1), help="transformer blocks")
    gpt.add_argument("--generate", type=_whole(0), metavar="N", help="write N lines, do not train")
    gpt.add_argument(
        "--temperature", type=_real, help="of writing: 0.5 if left out, 0 for no chance"
    )
    gpt.add_argument("--top-k", type=_whole(1), help="write with the so many likeliest characters")
    gpt.add_argument(
        "--top-p",
        type=_part,
        help="write with the fewest likeliest ones that have this probability",
    )
    gpt.add_argument("--prompt", help="how each line begins")
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


def _part(text: str) -> float:
    """A number above 0 and at most 1, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number <= 1.0:
        raise argparse.ArgumentTypeError(f"takes a number above 0, at most 1, not {text!r}")
    return number


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):  # generated text has signs that no one foresaw
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
