"""Where do random numbers come from? One stream for all of nn: weights, shuffles, dropout.

Until `nn.seed` is called it is that of Python's `random` module, so `random.seed(1)` makes a run
repeatable; from then on it is a stream of nn's own. Its state goes into checkpoints.
"""

from __future__ import annotations

import operator
import random
from typing import SupportsIndex

_own = random.Random()
generator: random.Random = random._inst


def seed(number: SupportsIndex) -> None:
    """Use a stream of nn's own from now on, started at a place that depends on `number` only.

    Raises TypeError unless `number` is an integer (of any kind, also NumPy's).
    """
    global generator
    try:
        _own.seed(operator.index(number))
    except TypeError:
        raise TypeError(f"seed() takes a whole number, not {number!r}") from None
    generator = _own
