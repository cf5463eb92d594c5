"""Which tasks does `python -m nn` have? Data, a loss, and settings that suit each of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nn import data as datasets
from nn.activations import ACTIVATIONS
from nn.data import Dataset
from nn.losses import cross_entropy_with_logits, hinge
from nn.rules import OPTIMIZERS
from nn.step import Loss


@dataclass(frozen=True)
class Task:
    """A data set to classify.

    Attributes:
        about: one line for the help text.
        load: settings -> the examples.
        outputs: the number of outputs of the network.
        loss: what is minimized.
        settings: the settings that differ from SETTINGS.
        held_out: the number of held-out examples.
    """

    about: str
    load: Callable[[dict[str, Any]], Dataset]
    outputs: int
    loss: Loss
    settings: dict[str, Any]
    held_out: int = 0


SETTINGS: dict[str, Any] = {
    "epochs": 100,
    "lr": 0.03,
    "seed": 0,
    "hidden": [16, 16],
    "activation": "relu",
    "optimizer": "adam",
    "batch_size": 0,
    "l2": 1e-4,
    "examples": 100,
    "noise": 0.1,
}

# The GPT task: the size and the training of microgpt.
GPT_SETTINGS: dict[str, Any] = {
    "text": None,
    "steps": 1000,
    "lr": 0.01,
    "seed": 0,
    "batch_size": 1,
    "block_size": 16,
    "embedding": 16,
    "heads": 4,
    "layers": 1,
    "base_width": 16,
}
GPT_ABOUT = "a small GPT that learns from the lines of a text and writes new ones"


LARGEST = 1_000_000  # of the numbers of neurons, examples, ...: more would fill any memory


def is_whole(low: float, most: float = math.inf) -> Callable[[Any], bool]:
    """Return the function that tells whether a setting is an int from low to most."""
    return lambda setting: type(setting) is int and low <= setting <= most


is_size = is_whole(1, LARGEST)


def is_real(setting: Any) -> bool:
    """Whether a setting is a finite float, 0 or more."""
    return type(setting) is float and 0.0 <= setting < math.inf


# Checks of the settings in a checkpoint. The parser uses the same checks of numbers.
VALID: dict[str, Callable[[Any], bool]] = {
    "epochs": is_whole(0),
    "lr": is_real,
    "seed": is_whole(-math.inf),
    "hidden": lambda sizes: isinstance(sizes, list) and all(map(is_size, sizes)),
    "activation": lambda name: isinstance(name, str) and name in ACTIVATIONS,
    "optimizer": lambda name: isinstance(name, str) and name in OPTIMIZERS,
    "batch_size": is_whole(0),
    "l2": is_real,
    "examples": is_size,
    "noise": is_real,
    "text": lambda path: path is None or isinstance(path, str),
    "steps": is_whole(0),
    "block_size": is_size,
    "embedding": is_size,
    "heads": is_size,
    "layers": is_size,
    "base_width": is_size,
}


def _points(make: Callable[..., Dataset]) -> Callable[[dict[str, Any]], Dataset]:
    return lambda settings: make(settings["examples"], noise=settings["noise"])


TASKS = {
    "moons": Task("two interleaved half circles", _points(datasets.moons), 1, hinge, {}),
    "circles": Task("a circle inside a circle", _points(datasets.circles), 1, hinge, {}),
    "spiral": Task(
        "three arms of a spiral",
        _points(datasets.spiral),
        3,
        cross_entropy_with_logits,
        {"examples": 150, "noise": 0.03, "batch_size": 25, "epochs": 60, "lr": 0.01},
    ),
    "xor": Task("the corners of a square", _points(datasets.xor), 1, hinge, {"hidden": [8]}),
    "iris": Task(
        "Fisher's irises: three species from four measurements",
        lambda settings: datasets.iris(),
        3,
        cross_entropy_with_logits,
        {"activation": "tanh", "epochs": 60, "batch_size": 20, "lr": 0.01, "l2": 3e-3},
        held_out=30,
    ),
    "digits": Task(
        "handwritten digits of 8 x 8 pixels",
        lambda settings: datasets.digits(),
        10,
        cross_entropy_with_logits,
        {"hidden": [32], "epochs": 30, "batch_size": 32, "lr": 0.005},
        held_out=360,
    ),
}
