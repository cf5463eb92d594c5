"""Does `python -m nn` keep its promises: results, resuming, Ctrl-C, and errors of one line?"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import PureWindowsPath
from types import SimpleNamespace

import pytest

import nn
from nn import plot, runs
from nn.__main__ import main
from nn.checkpoint import Checkpoint
from nn.files import reserved, write_bytes
from nn.tasks import GPT_SETTINGS, SETTINGS, TASKS

FILES = {"loss.png", "history.json", "model.json", "checkpoint.json"}
INPUTS = {"moons": 2, "circles": 2, "spiral": 2, "xor": 2, "iris": 4, "digits": 64}
OUTPUTS = {"moons": 1, "circles": 1, "spiral": 3, "xor": 1, "iris": 3, "digits": 10}
PNG = b"\x89PNG\r\n\x1a\n"
STORED = ("--hidden", "3", "--seed", "0", "--quiet")  # for data that are not generated
SMALL = (*STORED, "--examples", "12")


def small(task):
    """The options for a quick run."""
    return STORED if TASKS[task].held_out else SMALL


def command(*arguments):
    return [sys.executable, "-m", "nn", *map(str, arguments)]


def nn_run(folder, *arguments):
    """Run `python -m nn` with these arguments in a folder."""
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=300
    )


def run_here(folder, *arguments):
    """(exit code, stdout, stderr) of the same run in this process, which is ten times as fast."""
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as wrong_usage:
            code = wrong_usage.code
    return code, out.getvalue(), err.getvalue()


def content(folder):
    """The bytes of every file below a folder, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def numbers(folder):
    """The bytes of the files that hold what was learned."""
    return [(folder / name).read_bytes() for name in ("model.json", "history.json")]


def refused(folder, *arguments, code=1):
    """The one line on stderr of a run that fails and changes no file in the folder."""
    before = content(folder)
    found, _, err = run_here(folder, *arguments)
    assert found == code
    assert content(folder) == before
    lines = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert len(lines) == 1
    assert lines[0].startswith("python -m nn")
    assert len(lines[0]) < len(str(folder)) + 400
    return lines[0]


@pytest.fixture(autouse=True)
def _quick_pictures(request, monkeypatch):
    """Draw small plots of few points in tests that use `drawn`, and empty files in the others.

    This affects runs in this process only. Plots take most of the time of a small run.
    """
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(plot, "loss_curve", lambda history: None)
        monkeypatch.setattr(plot, "decision_boundary", lambda model, examples: None)
        monkeypatch.setattr(plot, "save", lambda figure, path: write_bytes(path, b""))
        return

    def figure(width, height):
        return plot.require_matplotlib()(figsize=(width / 4, height / 4))

    boundary = functools.partial(plot.decision_boundary, resolution=5)
    monkeypatch.setattr(plot, "_figure", figure)
    monkeypatch.setattr(plot, "decision_boundary", boundary)


@pytest.fixture
def drawn():
    """Marks a test that looks at plots."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the results of a small run in runs/moons; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("finished")
    done = nn_run(folder, "moons", "--epochs", 3, *SMALL)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, for one test."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


# --- results --------------------------------------------------------------------------------------


def test_moons_is_the_default_task_and_reaches_full_accuracy_by_default(tmp_path):
    done = nn_run(tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "moons"
    assert {path.name for path in folder.iterdir()} == FILES | {"decision_boundary.png"}
    assert done.stdout.startswith("moons:")
    assert "accuracy 100.0%" in done.stdout
    assert "loss=" in done.stderr
    assert "accuracy=" in done.stderr

    # The saved model has this accuracy on the data of the same seed.
    history = json.loads((folder / "history.json").read_text())
    settings = history["settings"]
    nn.seed(settings["seed"])
    examples = TASKS["moons"].load(settings)
    model = nn.MLP(2, [*settings["hidden"], 1], settings["activation"])
    model.load(folder / "model.json")
    assert len(examples.inputs) == 100
    assert settings["noise"] == 0.1
    assert nn.evaluate(model, examples, nn.accuracy) == 1.0


def test_help_lists_every_task_and_names_the_default(tmp_path):
    done = nn_run(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert set(INPUTS) == set(TASKS)
    assert {*TASKS, "gpt"} <= set(listed)
    assert "moons by default" in done.stdout
    for option in ("--out", "--epochs", "--lr", "--seed", "--hidden", "--optimizer", "--resume"):
        assert option in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_help_fits_a_terminal_of_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_help_lists_apart_the_options_that_do_not_apply_to_gpt(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    (group,) = re.findall(
        r"options for all tasks but gpt:\n(.*?)\n\n", capsys.readouterr().out, re.S
    )
    listed = {option.replace("-", "_") for option in re.findall(r"^  --([\w-]+)", group, re.M)}
    assert listed == SETTINGS.keys() - GPT_SETTINGS.keys()


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("task", INPUTS)
def test_each_task_writes_its_results(task, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if task == "digits":  # 100 of the 1797 examples, to be quick
        inputs, targets = nn.data.digits()
        monkeypatch.setattr(nn.data, "digits", lambda: nn.data.Dataset(inputs[:100], targets[:100]))
        monkeypatch.setitem(TASKS, task, dataclasses.replace(TASKS[task], held_out=30))
    assert main([task, "--epochs", "2", *small(task)]) == 0
    folder = tmp_path / "runs" / task
    pictures = {"loss.png"} | ({"decision_boundary.png"} if INPUTS[task] == 2 else set())
    assert {path.name for path in folder.iterdir()} == FILES | pictures
    assert all((folder / name).read_bytes().startswith(PNG) for name in pictures)

    history = json.loads((folder / "history.json").read_text())
    held_out = 2 if task in ("iris", "digits") else 0
    assert history["task"] == task
    assert len(history["loss"]) == len(history["accuracy"]) == 2
    assert len(history["held_out_accuracy"]) == held_out
    assert all(0.0 <= part <= 1.0 for part in history["accuracy"] + history["held_out_accuracy"])

    model = nn.MLP(INPUTS[task], [3, OUTPUTS[task]])
    model.load(folder / "model.json")
    kept = json.loads((folder / "checkpoint.json").read_text())
    assert model.state_dict() == kept["model"]

    out, err = capsys.readouterr()
    assert err == ""
    assert f"loss {history['loss'][-1]:.4f}" in out
    assert "accuracy" in out
    assert ("held-out" in out) is (task in ("iris", "digits"))
    assert os.path.join("runs", task) in out


def test_out_names_the_folder_and_nothing_is_written_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["xor", "--epochs", "0", "--out", "a/new place", *SMALL]) == 0
    results = tmp_path / "a" / "new place"
    assert {path.name for path in results.iterdir()} == FILES | {"decision_boundary.png"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_options_reach_the_run(tmp_path):
    out = tmp_path / "out"
    options = {
        "epochs": 1,
        "lr": 0.25,
        "seed": -3,
        "hidden": [3, 2],
        "activation": "tanh",
        "optimizer": "sgd",
        "batch_size": 5,
        "l2": 0.0,
        "examples": 11,
        "noise": 0.5,
    }
    written = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        written += ["--" + name.replace("_", "-"), *map(str, values)]
    assert main(["moons", *written, "--out", str(out), "--quiet"]) == 0
    assert json.loads((out / "history.json").read_text())["settings"] == options
    kept = json.loads((out / "checkpoint.json").read_text())
    assert kept["position"]["steps"] == 3
    assert kept["optimizers"][0]["rule"] == "SGD"
    assert kept["optimizers"][0]["lr"] == 0.25
    nn.MLP(2, [3, 2, 1]).load(out / "model.json")


def test_same_seed_gives_identical_files_and_another_seed_does_not(finished, tmp_path, monkeypatch):
    run = ["--epochs", "3", *SMALL]
    assert main([*run, "--seed", "1", "--out", str(tmp_path / "other")]) == 0
    monkeypatch.undo()  # draw full plots, as `finished` did
    assert main([*run, "--out", str(tmp_path / "same")]) == 0
    # `finished` ran in another process, so the files do not depend on the process.
    assert content(tmp_path / "same") == content(finished / "runs" / "moons")
    assert numbers(tmp_path / "other")[0] != numbers(tmp_path / "same")[0]


# --- resuming and Ctrl-C --------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["moons", "iris"])
def test_a_resumed_run_equals_an_uninterrupted_one(task, tmp_path):
    for arguments in (
        ("--out", "whole", "--epochs", 6),
        ("--out", "parts", "--epochs", 3),
        ("--out", "parts", "--epochs", 6, "--resume"),
    ):
        code, _, err = run_here(tmp_path, task, *arguments, *small(task))
        assert code == 0, err
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_resuming_needs_no_option_repeated(copied):
    out = copied / "runs" / "moons"
    whole = copied / "whole"
    assert main(["--epochs", "5", *SMALL, "--out", str(whole)]) == 0
    assert main(["--epochs", "5", "--resume", "--quiet", "--out", str(out)]) == 0
    assert numbers(out) == numbers(whole)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
def test_ctrl_c_saves_what_was_learned_and_a_resume_finishes_it(tmp_path):
    options = ("spiral", "--hidden", "3", "--examples", "40", "--batch-size", "4")
    with subprocess.Popen(
        command(*options, "--epochs", 10**6, "--out", "parts"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            bar = ""
            while "loss=" not in bar:
                read = process.stderr.read(1)
                assert read, f"ended before the first epoch: {bar}"
                bar += read
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in bar + err
    assert "--resume" in out
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    assert {path.name for path in parts.iterdir()} == FILES | {"decision_boundary.png"}
    done = len(json.loads((parts / "history.json").read_text())["loss"])
    assert done > 0
    assert f"stopped after {done} epoch{'s' * (done != 1)} in" in out

    more = (*options, "--quiet", "--epochs", str(done + 2))
    assert main([*more, "--out", str(whole)]) == 0
    assert main([*more, "--out", str(parts), "--resume"]) == 0
    assert content(parts) == content(whole)


@pytest.mark.parametrize("name", ["results", "my results"])
def test_the_command_printed_after_ctrl_c_finishes_the_run(name, tmp_path, monkeypatch, capsys):
    interrupts = iter([signal.SIGINT])  # only one, however often the penalty is called

    def interrupting(model):
        for number in interrupts:
            signal.raise_signal(number)
        return nn.l2(1e-4)(model)

    interrupting.strength = 1e-4  # the checkpoint then fits the penalty of the resumed run
    monkeypatch.chdir(tmp_path)
    run = ["moons", "--epochs", "4", "--l2", "1e-4", *SMALL, "--out"]
    assert main([*run, "whole"]) == 0
    with monkeypatch.context() as stopping:
        stopping.setattr(runs, "l2", lambda strength: interrupting)
        assert main([*run, name]) == 130
    assert len(json.loads((tmp_path / name / "history.json").read_text())["loss"]) == 1
    printed = capsys.readouterr().out.splitlines()[-1]
    assert "python -m nn " in printed
    again = shlex.split(printed.partition("python -m nn ")[2])
    assert main(again) == 0
    assert numbers(tmp_path / name) == numbers(tmp_path / "whole")


def test_the_command_printed_after_ctrl_c_is_quoted_as_the_shells_of_windows_do(
    monkeypatch, capsys
):
    """cmd.exe takes single quotes, which shlex puts around any backslash, for part of the name."""
    monkeypatch.setattr(runs, "os", SimpleNamespace(name="nt", sep="\\"))
    history = nn.History(interrupted=True)
    assert runs.finish(PureWindowsPath("my runs", "moons"), "moons", None, history, None) == 130
    assert capsys.readouterr().out.endswith(' --resume --out "my runs\\moons"\n')


def test_a_second_ctrl_c_prints_one_line_and_exits_with_130(copied, monkeypatch, capsys):
    def twice(predictions, targets):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(runs, "accuracy", twice)
    before = content(copied)
    assert main(["--epochs", "3", *SMALL, "--out", str(copied / "runs" / "moons")]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert content(copied) == before


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_a_second_run_in_the_same_folder_is_refused(resume, copied):
    out = copied / "runs" / "moons"
    with reserved(out, ""):
        line = refused(copied, "--epochs", "5", *SMALL, *resume)
    place = os.path.join("runs", "moons")
    assert f"{place} is in use by another run (process {os.getpid()})" in line
    assert "--out" in line
    assert main(["--epochs", "5", *SMALL, *resume, "--out", str(out)]) == 0


def test_leftovers_of_a_killed_run_are_removed_and_block_no_run(tmp_path):
    names = (".lock", ".checkpoint.json.lock", ".checkpoint.json.0.part", ".model.json.0.part")
    for name in (*names, ".history.json.0.part", ".loss.png.0.part"):
        (tmp_path / name).write_text("123")
    assert main(["iris", "--epochs", "0", *STORED, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES


@pytest.fixture
def _full_disk(monkeypatch):
    """No checkpoint can be written."""

    def save(self, *arguments):
        raise OSError(28, "No space left on device", str(self.path))

    monkeypatch.setattr(Checkpoint, "save", save)


@pytest.mark.usefixtures("_full_disk")
def test_a_failed_checkpoint_is_a_one_line_warning_and_the_results_are_saved(tmp_path):
    code, _, err = run_here(tmp_path, "iris", "--epochs", "1", *STORED)
    (line,) = err.splitlines()
    assert line.startswith("python -m nn: warning: cannot write the checkpoint after 6 steps: ")
    assert os.path.join("runs", "iris", "checkpoint.json") in line
    assert code == 0
    folder = tmp_path / "runs" / "iris"
    assert {path.name for path in folder.iterdir()} == FILES - {"checkpoint.json"}


@pytest.mark.usefixtures("_full_disk")
def test_a_warning_that_cannot_be_printed_does_not_end_the_run(tmp_path, monkeypatch):
    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Broken())
    assert main(["iris", "--epochs", "1", *STORED, "--out", str(tmp_path)]) == 0


# --- errors: one clear line, nothing overwritten --------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["mooons"], ["mooons", "moons", "iris"]),
        (["moons", "iris"], ["iris"]),
        (["--epochs", "-1"], ["--epochs", "'-1'"]),
        (["--epochs", "1.5"], ["--epochs", "'1.5'"]),
        (["--epochs", ""], ["--epochs"]),
        (["--epochs", "²"], ["--epochs"]),
        (["--lr", "nan"], ["--lr", "'nan'"]),
        (["--lr", "-0.1"], ["--lr", "'-0.1'"]),
        (["--lr", "inf"], ["--lr", "'inf'"]),
        (["--lr", "fast"], ["--lr", "'fast'"]),
        (["--lr"], ["--lr"]),
        pytest.param(
            ["--epochs", "1" * 5000], ["takes a whole number, 0 or more"], id="--epochs 1.."
        ),
        (["--seed", "1.5"], ["--seed", "takes a whole number, not '1.5'"]),
        (["--out", ""], ["--out", "takes a path, not ''"]),
        (["--export", ""], ["--export", "takes a path, not ''"]),
        (["gpt", "--text", ""], ["--text", "takes a path, not ''"]),
        (["--hidden", "0"], ["--hidden", "'0'"]),
        (["--hidden", "1" + "0" * 30], ["--hidden", "a whole number from 1 to 1,000,000"]),
        (["--hidden", "8", "x"], ["--hidden", "'x'"]),
        (["--activation", "nope"], ["--activation", "nope", "tanh"]),
        (["--optimizer", "nope"], ["--optimizer", "nope", "adam"]),
        (["--batch-size", "-1"], ["--batch-size", "'-1'"]),
        (["--l2", "nan"], ["--l2", "'nan'"]),
        (["--examples", "0"], ["--examples", "'0'"]),
        (["--noise", "-0.1"], ["--noise", "'-0.1'"]),
        (["--depth=3"], ["--depth=3"]),
        (["gpt", "--generate", "1", "--resume"], ["--resume does not apply to --generate"]),
    ],
    ids=" ".join,
)
def test_a_usage_error_is_one_line_that_names_the_argument(arguments, named, copied):
    line = refused(copied, *arguments, code=2)
    assert all(name in line for name in named)


def test_a_usage_error_sets_the_exit_code_of_the_process(tmp_path):
    done = nn_run(tmp_path, "gpt", "--hidden", "3")
    assert done.returncode == 2
    _, error = done.stderr.splitlines()  # after one line of usage
    assert "--hidden does not apply to the task gpt" in error
    assert content(tmp_path) == {}


@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below"])
def test_an_unwritable_path_is_refused_before_training(place, copied):
    (copied / "file").write_text("not a folder")
    line = refused(copied, "--out", place, *SMALL)
    assert "cannot write to" in line
    assert place in line


@pytest.mark.skipif(os.name != "posix", reason="a FIFO")
def test_an_export_to_a_fifo_is_refused(copied, monkeypatch):
    monkeypatch.setattr("nn.pytorch.require_torch", lambda: None)
    os.mkfifo(copied / "weights.pt")
    assert "weights.pt is not a regular file" in refused(copied, "--export", "weights.pt", *SMALL)


def test_a_folder_that_refuses_files_is_asked_once_and_not_by_tempfile(copied, monkeypatch):
    """Python 3.12's tempfile tries 2 ** 31 names where Windows denies access, which takes hours."""
    asked = []

    def refusing(path, flags, *mode):
        if flags & os.O_CREAT:
            asked.append(path)
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opened(path, flags, *mode)

    opened = os.open
    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(tempfile, "_os", SimpleNamespace(**vars(os) | {"name": "nt"}))
    monkeypatch.setattr(tempfile, "TMP_MAX", 100)
    monkeypatch.setattr(tempfile, "_O_TMPFILE_WORKS", False, raising=False)
    assert "cannot write to" in refused(copied, *SMALL)
    assert len(asked) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs POSIX, and not root")
def test_a_folder_without_write_permission_is_refused(copied):
    folder = copied / "runs" / "moons"
    folder.chmod(0o555)
    try:
        line = refused(copied, *SMALL)
    finally:
        folder.chmod(0o755)
    assert "cannot write to" in line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--lr", "0.5"),
        ("--seed", "7"),
        ("--hidden", "4"),
        ("--activation", "tanh"),
        ("--optimizer", "sgd"),
        ("--batch-size", "4"),
        ("--l2", "0.5"),
        ("--examples", "13"),
        ("--noise", "0.5"),
    ],
)
def test_resuming_with_a_different_setting_is_refused(option, value, copied):
    history = json.loads((copied / "runs" / "moons" / "history.json").read_text())
    kept = history["settings"][option.removeprefix("--").replace("-", "_")]
    line = refused(copied, "--resume", option, value)
    shown = " ".join(map(str, kept)) if isinstance(kept, list) else kept
    assert f"{option} {shown}, not {value}" in line
    assert os.path.join("runs", "moons", "checkpoint.json") in line


def test_resuming_without_an_earlier_run_is_refused_and_makes_no_folder(tmp_path):
    assert "nothing to resume" in refused(tmp_path, "--resume")
    assert "nothing to resume" in refused(tmp_path, "--resume", "--out", "a/b")
    assert list(tmp_path.iterdir()) == []


def test_resuming_another_task_is_refused(copied):
    line = refused(copied, "xor", "--resume", "--out", os.path.join("runs", "moons"))
    assert "not a checkpoint of xor" in line


def test_a_folder_in_place_of_the_checkpoint_is_refused(copied):
    checkpoint = copied / "runs" / "moons" / "checkpoint.json"
    checkpoint.unlink()
    checkpoint.mkdir()
    assert "checkpoint.json" in refused(copied, "--resume")


def edited(path, value):
    """A function that sets one entry of a checkpoint, or removes it if value is `...`."""

    def edit(text):
        whole = json.loads(text)
        *outer, last = path
        entry = whole
        for key in outer:
            entry = entry[key]
        if value is ...:
            del entry[last]
        else:
            entry[last] = value
        return json.dumps(whole).encode()

    return edit


DAMAGE = {
    "empty": lambda text: b"",
    "cut short": lambda text: text[: len(text) // 2],
    "last brace missing": lambda text: text.rstrip()[:-1],
    "not text": lambda text: b"\xff\xfe\x00" * 100,
    "not an object": lambda text: b"[1, 2, 3]",
    "deeply nested": lambda text: b"[" * 200_000,
    "of another kind": edited(("kind",), "history"),
    "no settings": edited(("settings",), ...),
    "settings a list": edited(("settings",), []),
    "a setting missing": edited(("settings", "lr"), ...),
    "a setting too many": edited(("settings", "depth"), 3),
    "lr a string": edited(("settings", "lr"), "fast"),
    "lr negative": edited(("settings", "lr"), -1.0),
    "hidden of strings": edited(("settings", "hidden"), ["a"]),
    "hidden of fractions": edited(("settings", "hidden"), [1.5]),
    "hidden of 0": edited(("settings", "hidden"), [0]),
    "hidden huge": edited(("settings", "hidden"), [10**30]),
    "activation unknown": edited(("settings", "activation"), "nope"),
    "optimizer unknown": edited(("settings", "optimizer"), "nope"),
    "batch_size negative": edited(("settings", "batch_size"), -1),
    "no examples": edited(("settings", "examples"), 0),
    "task a list": edited(("settings", "task"), ["moons"]),
    "no model": edited(("model",), ...),
    "another model": edited(("settings", "hidden"), [2]),
    "a weight a string": edited(("model", "layers.0.neurons.0.w.0"), "x"),
    "no moments": edited(("optimizers", 0, "moments"), {}),
    "no generator": edited(("generator",), ...),
    "history a number": edited(("history",), 3),
    "position a list": edited(("position",), []),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_resuming_from_a_damaged_checkpoint_is_refused(damage, copied):
    checkpoint = copied / "runs" / "moons" / "checkpoint.json"
    text = checkpoint.read_bytes()
    checkpoint.write_bytes(DAMAGE[damage](text))
    assert checkpoint.read_bytes() != text
    assert "checkpoint.json" in refused(copied, "--resume", "--epochs", 3, "--quiet")


def test_a_diverging_run_keeps_its_last_good_state_and_earlier_results(copied):
    folder = copied / "runs" / "moons"
    before = content(folder)
    done = nn_run(copied, *SMALL, "--lr", "1e300", "--optimizer", "sgd")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "with a learning rate of 1e+300: try a smaller one" in line
    after = content(folder)
    kept = json.loads(after.pop("checkpoint.json"))
    del before["checkpoint.json"]
    assert after == before
    assert kept["position"]["steps"] == 1


def test_counts_of_1_are_printed_in_the_singular(tmp_path, drawn, capsys):
    options = ["--quiet", "--no-jit", "--out", str(tmp_path)]
    assert main(["moons", "--examples", "1", "--epochs", "1", *options]) == 0
    assert main(["gpt", "--steps", "1", "--block-size", "1", *options]) == 0
    out = capsys.readouterr().out
    for phrase in ("1 example, a ", "for 1 epoch in", "a block of 1 token:", "for 1 step in"):
        assert phrase in out


def test_the_error_for_a_missing_extra_is_one_line_that_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(["iris", "--epochs", "1", *STORED, "--out", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the iris data come with scikit-learn: pip install" in line
    assert "(the extra train)" in line


@pytest.mark.parametrize(
    ("arguments", "plots"),
    [
        (["xor", "--epochs", "1", *SMALL], "loss.png, decision_boundary.png"),
        (["gpt", "--steps", "1", "--embedding", "4", "--heads", "1", "--quiet"], "loss.png"),
    ],
    ids=["xor", "gpt"],
)
def test_a_run_without_matplotlib_trains_and_says_which_plots_are_missing(
    arguments, plots, tmp_path, monkeypatch, capsys
):
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"not drawn: {plots}; plots need matplotlib: pip install" in out
    assert "(the extra train)" in out
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"model.json", "history.json", "checkpoint.json"}


def test_a_run_without_numpy_is_eager_and_gives_the_same_model(tmp_path, monkeypatch, capsys):
    arguments = ["xor", "--epochs", "3", *SMALL, "--out"]
    assert main([*arguments, str(tmp_path / "jit")]) == 0
    assert "no NumPy" not in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.setattr(runs, "write_history", lambda *given: None)  # matplotlib needs NumPy
    assert main([*arguments, str(tmp_path / "eager")]) == 0
    out = capsys.readouterr().out
    assert "no NumPy, so each step runs in Python" in out
    assert "(the extra jit)" in out
    model = (tmp_path / "jit/model.json").read_bytes()
    assert (tmp_path / "eager/model.json").read_bytes() == model


@pytest.mark.parametrize("name", ["model.json", "history.json", "loss.png"])
def test_a_result_that_cannot_be_written_is_a_one_line_error(name, tmp_path, capsys):
    (tmp_path / name).mkdir()
    assert main(["xor", "--epochs", "1", *SMALL, "--out", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
