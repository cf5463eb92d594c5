"""In which order were nodes created? Each has a number larger than those of its operands."""

from __future__ import annotations

from itertools import count

from autograd.locks import Lock

_setting = Lock()


class Clock:
    """Numbers nodes in the order of their creation: `next(clock.numbers)`."""

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        self.numbers = count()

    def pass_by(self, number: float) -> None:
        """From now on, give larger numbers than this one, that of a copied or unpickled node."""
        with _setting.lock:
            if number >= next(self.numbers):
                # Far ahead of any number that another thread may still take from the old count.
                self.numbers = count(int(number) + 2**32)


clock = Clock()
