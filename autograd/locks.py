"""How do threads take turns, and what becomes of a lock in a forked process?"""

from __future__ import annotations

import os
import threading
from typing import Any
from weakref import WeakSet


class Lock:
    """A re-entrant lock. It is free in a forked process, which lacks the threads that held it.

    Attributes:
        lock: that of this process. Its `with` is C code, which a Ctrl-C cannot leave half done.
        notes: a list that its holders share; empty in a forked process.
    """

    def __init__(self) -> None:
        self.renew()
        _locks.add(self)

    def renew(self) -> None:
        """Make the lock free."""
        self.lock = threading.RLock()
        self.notes: list[Any] = []


_locks: WeakSet[Lock] = WeakSet()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: list(map(Lock.renew, _locks)))
