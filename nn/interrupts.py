"""How does a signal end a run? `fit` completes its step; `python -m nn` can end at any time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # `python -m nn` imports this file first, to handle signals early: import little
    import threading
    from collections.abc import Callable, Iterator
    from typing import Any

# SIGHUP: the terminal was closed; SIGBREAK: Ctrl-Break on Windows.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Command:
    """The process of `python -m nn`; a signal ends it with exit code 128 + the signal's number.

    During training, the first signal stops it, and what was learned is saved. At any other time,
    and if Ctrl-C is pressed again, the process ends at once. It does so without an exception, which
    would be printed or lost in a callback or the import of a library. Only temporary files need
    cleaning up, because each file is written completely or not at all.

    Attributes:
        number: the first signal that arrived, or None.
        training: while `fit` runs, the event that ends it.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.training: threading.Event | None = None
        self._terminals: list[int] = []

    def take_signals(self) -> None:
        """Handle all signals that end a process, except those that are ignored, as by nohup."""
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def run(self, main: Callable[[], int]) -> int:
        """Call `main` and return its exit code, or that of the signal that stopped it."""
        self.take_signals()
        code = main()
        for number in _SIGNALS:  # all is done: a signal could only disturb Python's shutdown
            signal.signal(number, signal.SIG_IGN)
        return 128 + self.number if code == 130 and self.number is not None else code

    def _handle(self, number: int, frame: Any) -> None:
        is_first, self.number = self.number is None, self.number or number
        if number == getattr(signal, "SIGHUP", None):
            self._leave_terminal()
        if self.training is not None and not self.training.is_set():
            self.training.set()
        elif is_first or number == signal.SIGINT:  # other signals often come in groups
            self._end()

    def _leave_terminal(self) -> None:
        """Discard all further output, because printing to a closed terminal is an error."""
        for descriptor in self._terminals:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)

    def _end(self) -> None:
        with contextlib.suppress(Exception):  # the signal may have interrupted a print
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.write(2, b"interrupted\n")
        if "autograd.claims" in sys.modules:
            sys.modules["autograd.claims"].release_all()
        os._exit(128 + (self.number or 0))


@contextlib.contextmanager
def interrupt_deferred() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets instead of raising; a second one raises."""
    import threading

    interrupt = threading.Event()
    if command is not None and threading.current_thread() is threading.main_thread():
        command.training = interrupt
        try:
            yield interrupt
        finally:
            command.training = None
        return
    previous = signal.getsignal(signal.SIGINT)

    def keep(number: int, frame: Any) -> None:
        interrupt.set()
        signal.signal(signal.SIGINT, previous)

    # None is a handler that was not installed from Python, so it could not be restored.
    is_kept = previous is not None and previous is not signal.SIG_IGN
    try:
        if is_kept:
            signal.signal(signal.SIGINT, keep)
    except ValueError:  # Python delivers signals to the main thread of the main interpreter only
        is_kept = False
    try:
        yield interrupt
    finally:
        if is_kept:
            signal.signal(signal.SIGINT, previous)


def _is_command() -> bool:
    """Whether nn is being imported for `python -m nn`, before its `__main__` runs."""
    if sys.argv[:1] != ["-m"]:  # "-m" is there only while Python locates the module
        return False
    return sys.orig_argv[-len(sys.argv) :][:1] in (["nn"], ["-mnn"])


def run_command(main: Callable[[], int]) -> int:
    """Run `main` as `python -m nn` and return the exit code of the process."""
    global command
    command = command or Command()
    return command.run(main)


command: Command | None = None
if _is_command():
    command = Command()
    command.take_signals()
