"""Does a signal end `python -m nn` at any time without a traceback, with the right exit code?"""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from autograd.files import write_bytes
from nn.interrupts import Command, interrupt_deferred

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
SIGNALS = [signal.SIGINT, signal.SIGTERM] + ([signal.SIGHUP] if os.name == "posix" else [])


# --- processes ------------------------------------------------------------------------------------


def python(folder, *arguments, before=""):
    """Run Python in a folder, with the code in `before` first."""
    (folder / "before").mkdir()
    (folder / "before" / "sitecustomize.py").write_text(textwrap.dedent(before))
    path = os.pathsep.join([str(folder / "before"), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


AT_IMPORT = """
    import signal, sys

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == {module!r}:
                signal.raise_signal({number:d})

    sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(("module", "number"), [("nn.data", 2), ("nn.__main__", 15), ("tqdm", 1)])
def test_a_signal_during_an_import_ends_the_command_at_once(module, number, tmp_path):
    code = AT_IMPORT.format(module=module, number=number)
    done = python(tmp_path, "-m", "nn", "iris", "--out", "out", before=code)
    assert (done.returncode, done.stderr) == (128 + number, "interrupted\n")
    assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("argv", ["[]", "['-m']", "['-m'] * 9"])
def test_a_script_that_imports_nn_keeps_the_signal_handlers_of_python(argv, tmp_path):
    code = AT_IMPORT.format(module="nn.data", number=2)
    done = python(tmp_path, "-c", f"import sys; sys.argv = {argv}; import nn", before=code)
    assert done.stderr.endswith("KeyboardInterrupt\n")


IN_A_TERMINAL = """
import fcntl, os, pty, struct, sys, termios
child, terminal = pty.fork()
if not child:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # room for a bar
    os.execv(sys.executable, [sys.executable, "-m", "nn", *sys.argv[1:]])
shown = b""
while b"loss=" not in shown:
    shown += os.read(terminal, 1000)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_run_whose_terminal_is_closed_saves_what_it_has_learned(tmp_path):
    options = ("iris", "--hidden", 3, "--epochs", 10**5, "--out", "out")
    done = python(tmp_path, "-c", IN_A_TERMINAL, *options)
    assert (done.stdout, done.stderr) == ("129\n", "")
    names = {"checkpoint.json", "history.json", "loss.png", "model.json"}
    assert set(os.listdir(tmp_path / "out")) == names


# --- a command in this process --------------------------------------------------------------------


@pytest.fixture
def ends(monkeypatch):
    """The exit codes with which the command would have ended this process."""
    codes = []

    def end(code):
        codes.append(code)
        raise SystemExit

    monkeypatch.setattr(os, "_exit", end)
    return codes


@pytest.fixture
def command(ends, monkeypatch):
    """A command that handles the signals of this process."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    command = Command()
    monkeypatch.setattr("nn.interrupts.command", command)
    yield command
    for number, handler in before.items():
        signal.signal(number, handler)


def survived(*numbers):
    """How many of these signals, raised one after another, the process survives."""
    for i, number in enumerate(numbers):
        try:
            signal.raise_signal(number)
        except SystemExit:
            return i
    return len(numbers)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_outside_training_ends_the_process(number, command, ends):
    command.take_signals()
    assert survived(number) == 0
    assert ends == [128 + number]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_training_ends_it_and_sets_the_exit_code(number, command, ends):
    def main():
        with interrupt_deferred() as interrupt:
            assert survived(number) == 1
            assert interrupt.is_set()
        return 130

    assert command.run(main) == 128 + number
    assert ends == []


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_only_ctrl_c_ends_a_stopping_run_at_once(first, second, command, ends):
    command.take_signals()
    with interrupt_deferred():
        assert survived(first, second) == (1 if second == signal.SIGINT else 2)
    assert ends == ([128 + first] if second == signal.SIGINT else [])


def test_signals_after_the_end_are_ignored(command, ends):
    assert command.run(lambda: 0) == 0
    assert survived(*SIGNALS) == len(SIGNALS)
    assert ends == []


def test_fit_runs_where_no_handler_can_be_set(monkeypatch):
    """A subinterpreter has a main thread, but gets no signals."""

    def refuse(number, handler):
        raise ValueError("signal only works in main thread of the main interpreter")

    monkeypatch.setattr(signal, "signal", refuse)
    with interrupt_deferred() as interrupt:
        assert not interrupt.is_set()


def test_ignored_signals_stay_ignored(command, ends):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for background jobs
    command.take_signals()
    with interrupt_deferred() as interrupt:
        assert survived(signal.SIGINT) == 1
        assert not interrupt.is_set()
        assert survived(signal.SIGTERM) == 1
        assert interrupt.is_set()
    assert ends == []


def test_a_signal_removes_the_file_being_written(command, ends, tmp_path, monkeypatch):
    command.take_signals()
    monkeypatch.setattr(os, "fsync", lambda handle: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit):
        write_bytes(tmp_path / "x.bin", b"new")
    assert ends == [143]
    assert os.listdir(tmp_path) == []
