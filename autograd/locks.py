"""How do threads take turns, and what becomes of a lock in a forked process?"""

from __future__ import annotations

import os
import threading
from typing import Any


class Lock:
    """A re-entrant lock. It is free in a forked process, which lacks the threads that held it.

    Attributes:
        lock: that of this process. Its `with` is C code, which a Ctrl-C cannot leave half done.
        notes: a list that its holders share; empty in a forked process.
    """

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.lock = threading.RLock()
        self.notes: list[Any] = []
