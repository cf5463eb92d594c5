"""Do runs survive kills? `python tests/nn/kills.py 500` kills 500 times and prints a summary.

Each run is started, killed at a random instant by SIGKILL, SIGTERM, SIGINT or SIGHUP, and resumed,
up to four times, and then resumed to its end. After each kill every file must load or be absent. At
the end the folder must hold the files of an uninterrupted run, byte for byte, and no others.

Runs are forked processes, which start in a tenth of the time of new ones. They save after every
step, on small data sets and with stand-ins for the plots. Every ninth run (`--typed`) is a real
`python -m nn` command, which may be killed while Python is still starting. Needs POSIX.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import nn
from autograd.files import write_bytes
from nn import interrupts, loop, plot, tasks
from nn.__main__ import main
from nn.files import read_json

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
SMALL = ("--hidden", "2", "--quiet")
FEW = (*SMALL, "--examples", "8")
TASKS: dict[str, tuple[str, ...]] = {
    "fit": (),  # a script that calls nn.fit and installs no signal handlers
    "moons": ("--epochs", "4", "--batch-size", "4", *FEW),
    "circles": ("--epochs", "12", *FEW),
    "xor": ("--epochs", "4", *FEW),
    "spiral": ("--epochs", "3", "--batch-size", "3", "--optimizer", "sgd", *FEW),
    "gpt": ("--steps", "5", "--embedding", "4", "--heads", "2", "--block-size", "4"),
    "iris": ("--epochs", "3", *SMALL),
    "digits": ("--epochs", "1", *SMALL),
}
KINDS = {"checkpoint.json": "checkpoint", "history.json": "history", "model.json": "model"}
PICTURES = {"loss.png", "decision_boundary.png"}
PNG = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"  # the first and last bytes of a complete PNG


# --- one run --------------------------------------------------------------------------------------


def command(task: str, folder: Path) -> list[str]:
    """The arguments of `python -m nn` that start or resume a task."""
    resume = ["--resume"] if (folder / "checkpoint.json").exists() else []
    return [task, *TASKS[task], "--seed", "3", "--out", str(folder), *resume]


def typed(task: str, folder: Path, printed: Path) -> int:
    """Start a task in a new process that prints to a file, and return the process id."""
    with open(printed, "w") as file:
        arguments = [sys.executable, "-m", "nn", *command(task, folder)]
        return subprocess.Popen(arguments, stdout=file, stderr=file).pid


def forked(task: str, folder: Path, printed: Path) -> int:
    """Start a task in a fork of this process, and return the process id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        if task == "fit":
            code = script(folder)
        else:
            arguments = [*command(task, folder), "--no-jit"]
            code = interrupts.run_command(lambda: main(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def script(folder: Path) -> int:
    """A user's own script: fit with early stopping, then save the model."""
    nn.seed(5)
    folder.mkdir(exist_ok=True)
    model = nn.Sequential(nn.Layer(2, 3, "tanh"), nn.BatchNorm(3), nn.Layer(3, 1, "linear"))
    history = nn.fit(
        model,
        nn.data.moons(10),
        nn.hinge,
        nn.Adam(model, lr=0.05),
        epochs=4,
        batch_size=4,
        held_out=nn.data.moons(6),
        patience=2,
        schedule=nn.cosine_decay(0.05, 12),
        checkpoint=folder / "checkpoint.json",
        resume=(folder / "checkpoint.json").exists(),
        progress=False,
    )
    model.save(folder / "model.json")
    return 130 if history.interrupted else 0


def no_picture(*arguments: Any, **options: Any) -> Any:
    """Stand in for the functions of nn.plot."""


def make_quick() -> None:
    """Save after every step, and need neither scikit-learn nor matplotlib."""

    def few(inputs: int, classes: int) -> Any:
        draws = random.Random(7)
        rows = [[draws.random() for _ in range(inputs)] for _ in range(3 * classes)]
        return lambda: nn.data.Dataset(rows, [i % classes for i in range(3 * classes)])

    loop.SAVE_EVERY = -1.0
    nn.data.iris, nn.data.digits = few(4, 3), few(64, 10)
    for task, held_out in (("iris", 3), ("digits", 10)):
        tasks.TASKS[task] = dataclasses.replace(tasks.TASKS[task], held_out=held_out)
    plot.require_matplotlib = plot.loss_curve = plot.decision_boundary = no_picture
    plot.save = lambda figure, path: write_bytes(path, b"".join(PNG))


# --- what must hold -------------------------------------------------------------------------------


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of each file in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def require_loadable(folder: Path) -> None:
    """Raise an error unless every file is complete or temporary."""
    for name, found in content(folder).items():
        if name in KINDS:
            read_json(folder / name, KINDS[name])
        elif name in PICTURES:
            assert found.startswith(PNG[0]), name
            assert found.endswith(PNG[1]), name
        else:
            assert name.endswith((".part", ".lock")), name


def require_clean_end(code: int, number: int, printed: str, task: str) -> None:
    """Raise an error unless the exit code and the output fit the signal."""
    if number == signal.SIGKILL:
        assert code == -number, (code, printed)
        return
    if "Traceback" in printed and task != "fit":
        # Python itself reports a Ctrl-C that comes before nn starts.
        assert f"{os.sep}nn{os.sep}" not in printed, printed
        return
    assert code in (128 + number, -number), (code, printed)


# --- many runs ------------------------------------------------------------------------------------


class Kills:
    """Kills runs, and counts the outcomes.

    Attributes:
        signals: the number of kills by signal. tasks: the number of kills by task.
        finished: runs that were resumed to their end.
        left: kills that left temporary files.
    """

    def __init__(self, folder: Path, draws: random.Random) -> None:
        self.folder, self.draws = folder, draws
        self.signals: collections.Counter[str] = collections.Counter()
        self.tasks: collections.Counter[str] = collections.Counter()
        self.finished = self.left = 0
        self._whole: dict[tuple[Any, str], dict[str, bytes]] = {}
        self._seconds: dict[tuple[Any, str], float] = {}  # estimated from the runs before

    def survive(self, start: Any, task: str, most: int) -> None:
        """Kill a run up to `most` times, then let it finish and compare its files."""
        whole = self.whole(start, task)
        folder = Path(tempfile.mkdtemp(dir=self.folder)) / task
        for _ in range(most):
            self.kill(start, task, folder)
        code, printed = self.end(start(task, folder, self.printed))
        assert code == 0, printed
        found = content(folder)
        assert found.keys() == whole.keys(), found.keys() ^ whole.keys()
        assert found == whole, [name for name in whole if found[name] != whole[name]]
        self.finished += 1

    def kill(self, start: Any, task: str, folder: Path) -> None:
        """Start or resume a run, send it a signal at a random moment, and check what it leaves."""
        number = self.draws.choice(SIGNALS)
        process = start(task, folder, self.printed)
        time.sleep(self.draws.uniform(0.0, self._seconds[start, task]))
        os.kill(process, number)  # valid until os.waitpid, even if the run has ended
        code, printed = self.end(process)
        self._seconds[start, task] *= 0.8 if code == 0 else 1.1
        if code == 0:
            return  # the signal came too late
        require_clean_end(code, number, printed, task)
        require_loadable(folder)
        self.signals[signal.Signals(number).name] += 1
        self.tasks[task] += 1
        self.left += any(name.startswith(".") for name in content(folder))

    def whole(self, start: Any, task: str) -> dict[str, bytes]:
        """The files of an uninterrupted run."""
        if (start, task) not in self._whole:
            folder = Path(tempfile.mkdtemp(dir=self.folder)) / task
            begun = time.monotonic()
            code, printed = self.end(start(task, folder, self.printed))
            assert code == 0, printed
            self._whole[start, task] = content(folder)
            self._seconds[start, task] = time.monotonic() - begun
        return self._whole[start, task]

    @property
    def printed(self) -> Path:
        """The file that the current run prints to."""
        return self.folder / "printed.txt"

    def end(self, process: int) -> tuple[int, str]:
        """Wait for a run to end, and return its exit code and output."""
        _, status = os.waitpid(process, 0)
        return os.waitstatus_to_exitcode(status), self.printed.read_text(errors="replace")

    def __str__(self) -> str:
        total = self.signals.total()
        kinds, names = (
            ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))
            for counter in (self.signals, self.tasks)
        )
        return (
            f"{total} kills ({kinds}; {names}): after each, every file was whole or absent;"
            f" {self.finished} runs ended with the files of an uninterrupted run, bit for bit;"
            f" {self.left} kills left temporary files, all of which were cleared"
        )


def run(arguments: list[str] | None = None) -> int:
    """Kill the given number of runs, print a summary, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=500)
    parser.add_argument("--typed", type=int, default=9, help="every Nth run; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    make_quick()
    # Runs inherit ignored signals, and a shell ignores SIGINT in background jobs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with tempfile.TemporaryDirectory() as folder:
        kills = Kills(Path(folder), random.Random(options.seed))
        turn = 0
        while (missing := options.kills - kills.signals.total()) > 0:
            task = list(TASKS)[turn % len(TASKS)]
            is_typed = options.typed and task != "fit" and turn % options.typed == 0
            most = min(missing, kills.draws.randint(1, 4))
            try:
                kills.survive(typed if is_typed else forked, task, most)
            except (AssertionError, OSError, ValueError) as error:
                print(f"seed {options.seed}, turn {turn}, {task}: {error!r}; so far {kills}")
                return 1
            turn += 1
        print(kills)
    return 0


if __name__ == "__main__":
    sys.exit(run())
