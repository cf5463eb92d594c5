"""What does `python -m nn` do? It trains a network of scalar Values on a small task, or a GPT."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from autograd.extras import to_install
from autograd.text import print_error, quoted, shown
from nn.activations import ACTIVATIONS
from nn.interrupts import run_command
from nn.rules import OPTIMIZERS
from nn.runs import run
from nn.tasks import (
    GPT_ABOUT,
    GPT_SETTINGS,
    LARGEST,
    SETTINGS,
    TASKS,
    VALID,
    is_real,
    is_size,
    is_whole,
)
from nn.writing import learn_text, write_text

EPILOG = """\
Results go to runs/<task>/: loss.png, decision_boundary.png (tasks with two
inputs), history.json, model.json and checkpoint.json. Ctrl-C stops the
training, saves it and exits with code 130; --resume continues it with its
settings. The defaults depend on the task. The gpt learns the names of the
chemical elements, or the lines of --text FILE; --generate N writes N new lines
with the model in runs/gpt/.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a task from the command line and return the exit code.

    0: success; 1: failure; 130: stopped by Ctrl-C. After a single Ctrl-C during the training the
    results are complete. Wrong usage raises SystemExit with exit code 2.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    out = Path(options.out or Path("runs") / options.task)
    given = {key: value for key in VALID if (value := getattr(options, key)) is not None}
    _refuse_stray(parser, options, given)
    if options.jit is None:
        options.jit = find_spec("numpy") is not None
        if not options.jit and options.generate is None:
            print(f"no NumPy, so each step runs in Python; to use the jit: {to_install('jit')}")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            if options.generate is not None:
                code = write_text(out, options)
            elif options.task == "gpt":
                code = learn_text(out, options, given)
            else:
                code = run(options.task, out, options, given)
        print(end="", flush=True)  # not sys.stdout.flush(): a process may have no stdout
        return code
    except (OSError, ValueError, ImportError, ArithmeticError) as error:
        print_error(f"python -m nn {options.task}", error)
        return 1
    except MemoryError:
        print(f"python -m nn {options.task}: not enough memory", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning on one line, above the progress bar."""
    from tqdm import tqdm

    told = shown(" ".join(str(message).split()))
    with contextlib.suppress(OSError):  # standard error may be a file on the disk that is full
        tqdm.write(f"python -m nn: warning: {told}", file=sys.stderr)


def _refuse_stray(
    parser: argparse.ArgumentParser, options: argparse.Namespace, given: dict[str, Any]
) -> None:
    """Exit with code 2 if an option does not apply to the task, or to --generate."""
    keys = ("temperature", "top_k", "top_p", "prompt")
    writing = {key for key in keys if getattr(options, key) is not None}
    if options.generate is not None and options.task == "gpt":
        training = {key for key in ("export", "resume") if getattr(options, key)}
        stray = (set(given) - {"seed"}) | training
        place = "--generate, which uses the model that an earlier run saved in --out"
    else:
        generate = {"generate"} if options.generate is not None else set()
        known = set(GPT_SETTINGS if options.task == "gpt" else SETTINGS)
        if options.task in TASKS and TASKS[options.task].held_out:  # its data set is fixed
            known -= {"examples", "noise"}
        stray = (set(given) - known) | writing | generate
        place = f"the task {options.task}"
    if stray:
        option = "--" + min(stray).replace("_", "-")
        parser.error(f"{option} does not apply to {place}")


def _parser() -> argparse.ArgumentParser:
    tasks = "\n".join(f"  {name:10}{task.about}" for name, task in TASKS.items())
    tasks += f"\n  {'gpt':10}{GPT_ABOUT}"
    parser = argparse.ArgumentParser(
        prog="python -m nn",
        usage="%(prog)s [-h] [task] [option ...]",  # the full list would bury an error below it
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
        help="one of the above; moons by default",
    )
    parser.add_argument("--lr", type=_real, help="learning rate")
    parser.add_argument("--seed", type=_seed, help="seed for all random numbers")
    parser.add_argument("--batch-size", type=_whole(0), help="examples per step; 0 for all")
    others = parser.add_argument_group("options for all tasks but gpt")
    others.add_argument("--epochs", type=_whole(0), help="passes over the examples")
    others.add_argument("--hidden", type=_size, nargs="*", help="neurons in each hidden layer")
    others.add_argument("--activation", choices=ACTIVATIONS)
    others.add_argument("--optimizer", choices=OPTIMIZERS)
    others.add_argument("--l2", type=_real, help="weight of the L2 penalty")
    others.add_argument("--examples", type=_size, help="size of a generated data set")
    others.add_argument("--noise", type=_real, help="standard deviation of noise in generated data")
    _add_gpt_options(parser)
    parser.add_argument("--out", type=_path, help="folder for the results; runs/<task> by default")
    parser.add_argument(
        "--export",
        type=_path,
        metavar="FILE",
        help="also write the weights to FILE, for torch.load",
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument(
        "--jit",
        action=argparse.BooleanOptionalAction,
        help="replay a recorded step (default if NumPy is installed), or run each one in Python",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _add_gpt_options(parser: argparse.ArgumentParser) -> None:
    gpt = parser.add_argument_group("options for gpt")
    gpt.add_argument(
        "--text", type=_path, metavar="FILE", help="training text: UTF-8, one document per line"
    )
    gpt.add_argument("--steps", type=_whole(0), help="training steps")
    gpt.add_argument("--block-size", type=_size, help="context length, in tokens")
    gpt.add_argument("--embedding", type=_size, help="size of a token's embedding")
    gpt.add_argument("--base-width", type=_size, help="the embedding size that --lr is tuned for")
    gpt.add_argument("--heads", type=_size, help="attention heads")
    gpt.add_argument("--layers", type=_size, help="transformer blocks")
    gpt.add_argument(
        "--generate", type=_whole(0), metavar="N", help="write N new lines instead of training"
    )
    gpt.add_argument(
        "--temperature",
        type=_real,
        help="sampling temperature, 0.5 by default; 0 always picks the most likely character",
    )
    gpt.add_argument(
        "--top-k", type=_whole(1), metavar="K", help="sample from the K most likely characters"
    )
    gpt.add_argument(
        "--top-p",
        type=_part,
        help="sample from the fewest most likely characters with this total probability",
    )
    gpt.add_argument("--prompt", help="text that each line begins with")


def _option(
    what: str, is_valid: Callable[[Any], bool], kind: Callable[[str], Any] = float
) -> Callable[[str], Any]:
    """Return an argparse type that reads a string by `kind` and accepts only `what`."""

    def read(text: str) -> Any:
        with contextlib.suppress(ValueError):
            if is_valid(content := kind(text)):
                return content
        raise argparse.ArgumentTypeError(f"takes {what}, not {quoted(text)}")

    return read


def _whole(low: int) -> Callable[[str], Any]:
    return _option(f"a whole number, {low} or more", is_whole(low), int)


_size = _option(f"a whole number from 1 to {LARGEST:,}", is_size, int)
_real = _option("a number, 0 or more", is_real)
_part = _option("a number above 0, at most 1", lambda x: 0.0 < x <= 1.0)
_seed = _option("a whole number", is_whole(-math.inf), int)
_path = _option("a path", bool, str)  # not '', the value of an unset shell variable


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):  # generated text may contain any character
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run_command(main))
