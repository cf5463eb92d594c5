"""What keeps a running `fit` undisturbed? No garbage collection, and a Ctrl-C that waits."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection inside; afterwards as it was, whatever happened."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def interrupt_kept() -> Iterator[threading.Event]:
    """An event that a first Ctrl-C sets instead of raising; a second one raises as usual."""
    interrupt = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # signals reach the main thread only
        return
    previous = signal.getsignal(signal.SIGINT)

    def keep(number: int, frame: Any) -> None:
        interrupt.set()
        signal.signal(signal.SIGINT, previous)

    # A handler that was not set from Python (None) could not be put back; leave that one alone.
    if previous is None or previous is signal.SIG_IGN:
        yield interrupt
        return
    signal.signal(signal.SIGINT, keep)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
