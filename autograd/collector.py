"""When is the garbage collector paused? While many objects are made, and no cycles."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector inside; afterwards it is as it was, whatever happened.

    Graphs have no cycles, so reference counting frees them; the collector would only visit each of
    their many nodes, again and again.
    """
    enabled = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if enabled:
            gc.enable()
