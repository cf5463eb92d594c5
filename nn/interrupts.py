"""How does a Ctrl-C end a running `fit`? It waits until the step is complete."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def interrupt_deferred() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets instead of raising; the second one raises as usual."""
    interrupt = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # Python delivers signals to the main thread only
        return
    previous = signal.getsignal(signal.SIGINT)

    def keep(number: int, frame: Any) -> None:
        interrupt.set()
        signal.signal(signal.SIGINT, previous)

    # None is a handler that was not installed from Python, and could not be restored.
    if previous is None or previous is signal.SIG_IGN:
        yield interrupt
        return
    signal.signal(signal.SIGINT, keep)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
