"""Where do random numbers come from? One stream for all of nn: weights, shuffles, dropout, noise.

Until `nn.seed` is called, it is the stream of Python's `random` module, and afterwards one of its
own. Checkpoints store its state. `gauss` and `uniform` draw from it in a user's code.
"""

from __future__ import annotations

import math
import operator
import random
from dataclasses import dataclass
from typing import Any, SupportsIndex

from autograd.hooks import number_of, refuse, require, varying
from autograd.ops import greater
from autograd.text import quoted
from autograd.value import as_operand
from nn.scalars import is_plain
from nn.settings import Number, require_range

_own = random.Random()
generator: random.Random = random._inst


def seed(number: SupportsIndex) -> None:
    """Seed the random numbers of nn, which from now on come from a stream of its own.

    Until `seed` is called, nn draws from Python's `random` module, so `random.seed(1337)` makes a
    run repeatable.

    Raises TypeError unless `number` is an integer (Python's or NumPy's), and TraceError in a jitted
    function, whose replays continue the stream.
    """
    global generator
    refuse("nn.seed() cannot be called", "call it outside, or use a random.Random made outside")
    try:
        _own.seed(operator.index(number))
    except TypeError:
        raise TypeError(f"seed() takes a whole number, not {quoted(number)}") from None
    generator = _own


def source(given: random.Random | None) -> random.Random:
    """Return the given generator, or else nn's own stream. Raises TypeError as `Stream` does."""
    return Stream(given)()


def gauss(mean: Number = 0.0, std: Number = 1.0, generator: random.Random | None = None) -> Any:
    """Draw a number from the normal distribution: mean + std z with a standard normal z.

    In a jitted function each replay draws new numbers, as an eager call does: for noise in a
    training step or in a module of your own, or for the reparameterization trick of a variational
    autoencoder, `nn.gauss(mu, sigma)`. Other random numbers, such as `random.random()`, would be
    constants of the recording: jit raises TraceError for them, at the latest when it checks a
    replay. Use `gauss` and `uniform` instead, or pass the numbers as arguments.

    Args:
        mean, std: numbers or Values, which receive gradients; std is 0 or more.
        generator: the source of random numbers; nn's own stream by default (see `nn.seed`).

    Returns a Value if the mean or std is one, else a float.

    Raises ValueError for a std that is negative or not finite, TypeError for arguments of the wrong
    type.

    >>> seed(1)
    >>> inputs = [0.5, -1.0]
    >>> noisy = [x + gauss(std=0.1) for x in inputs]
    >>> [round(x, 3) for x in noisy]
    [0.629, -0.855]
    """
    require_range("gauss: std", std)
    mean, std = _parameter("gauss", "mean", mean), _parameter("gauss", "std", std)
    stream = Stream(generator)
    return mean + std * varying(stream.normal, stream=stream)


def uniform(low: Number = 0.0, high: Number = 1.0, generator: random.Random | None = None) -> Any:
    """Draw a number from the uniform distribution: low + (high - low) u with u in [0, 1).

    In a jitted function each replay draws a new number; see `gauss`.

    Args:
        low, high: numbers or Values, which receive gradients; low is at most high.
        generator: the source of random numbers; nn's own stream by default (see `nn.seed`).

    Returns a Value if low or high is one, else a float; write `Value(uniform()).log()` for a
    function of it that a jitted function can replay.

    Raises ValueError if low is above high, or high - low is not finite, TypeError for arguments of
    the wrong type.

    >>> seed(1)
    >>> round(uniform(-1.0, 1.0), 3)
    -0.731
    """
    given = low, high
    low, high = _parameter("uniform", "low", low), _parameter("uniform", "high", high)
    width = high - low
    size = number_of(width)
    require(
        greater(math.inf, size) * (1.0 - greater(0.0, size)),  # finite, and 0 or more
        lambda: ValueError(
            "uniform: low must be at most high, and high - low finite, not {} and {}".format(
                *(x if is_plain(x) else float(x) for x in given)
            )
        ),
    )
    stream = Stream(generator)
    return low + width * varying(stream.unit, stream=stream)


@dataclass(frozen=True)
class Stream:
    """A given generator, or else nn's own stream at the time a number is drawn.

    Raises TypeError for anything else, such as a seed: write `random.Random(1)` instead of 1.
    """

    given: random.Random | None

    def __post_init__(self) -> None:
        if self.given is not None and not isinstance(self.given, random.Random):
            raise TypeError(
                "generator must be a random.Random, such as random.Random(1), not"
                f" {quoted(self.given)}"
            )

    def __call__(self) -> random.Random:
        return self.given or generator

    def normal(self) -> float:
        """Draw a standard normal number."""
        return self().gauss(0.0, 1.0)

    def unit(self) -> float:
        """Draw a number from [0, 1)."""
        return self().random()


def _parameter(function: str, name: str, number: Any) -> Any:
    """Return a Value or a recorded number unchanged, another number as a float."""
    if number.__class__ is float:  # a fast path for the common case
        return number
    operand = as_operand(number)
    if operand is None:
        raise TypeError(f"{function}: {name} must be a number or a Value, not {quoted(number)}")
    return operand.data if is_plain(number) else number
