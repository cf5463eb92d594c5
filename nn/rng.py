"""Where do random numbers come from? One stream for all of nn: weights, shuffles, dropout.

Until `nn.seed` is called it is the stream of Python's `random` module, and from then on one of its
own. Checkpoints store its state.
"""

from __future__ import annotations

import operator
import random
from typing import SupportsIndex

_own = random.Random()
generator: random.Random = random._inst


def seed(number: SupportsIndex) -> None:
    """Seed the random numbers of nn, which from now on come from a stream of its own.

    Until `seed` is called, nn draws from Python's `random` module, so `random.seed(1337)` makes a
    run repeatable.

    Raises TypeError unless `number` is an integer (of any kind, also NumPy's).
    """
    global generator
    try:
        _own.seed(operator.index(number))
    except TypeError:
        raise TypeError(f"seed() takes a whole number, not {number!r}") from None
    generator = _own
