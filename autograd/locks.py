"""What does one thread do at a time, and what becomes of its lock in a forked process?"""

from __future__ import annotations

import os
import threading
from typing import Any


class Lock:
    """A re-entrant lock. A forked process has none of the threads that held it: there it is free.

    Attributes:
        lock: that of this process. `with` of it is C code, which a Ctrl-C cannot leave half done.
        notes: what its holders have to tell each other; empty in a forked process.
    """

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.lock = threading.RLock()
        self.notes: list[Any] = []
