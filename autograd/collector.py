"""When is the garbage collector paused? While many objects, but no cycles, are created."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector inside the block, and restore its state at the end.

    Graphs have no cycles, so reference counting frees them. The collector would only traverse their
    many nodes again and again. A block that finds it paused leaves it to who paused it, maybe
    another thread.
    """
    enabled = gc.isenabled()
    try:
        if enabled:
            gc.disable()
        yield
    finally:
        if enabled:
            gc.enable()
