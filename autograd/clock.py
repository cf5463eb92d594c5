"""In which order were nodes made? Each has a number, larger than those of its operands."""

from __future__ import annotations

from itertools import count

from autograd.locks import Lock

_setting = Lock()


class Clock:
    """Numbers nodes in the order in which they are made: `next(clock.numbers)`."""

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        self.numbers = count()

    def pass_by(self, number: float) -> None:
        """From now on give larger numbers than this one, which a copied or unpickled node has."""
        with _setting.lock:
            if number >= next(self.numbers):
                # Far beyond: what another thread takes from the old count meanwhile is smaller.
                self.numbers = count(int(number) + 2**32)


clock = Clock()
