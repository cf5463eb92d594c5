"""Where do random numbers come from? One stream for all of nn: weights, shuffles, dropout.

`nn.seed(1)` makes everything after it repeatable; its state goes into checkpoints.
"""

from __future__ import annotations

import random

generator = random.Random()


def seed(number: int) -> None:
    """Start the stream anew, at a place that depends on `number` only."""
    if not isinstance(number, int):
        raise TypeError(f"seed() takes a whole number, not {number!r}")
    generator.seed(number)
