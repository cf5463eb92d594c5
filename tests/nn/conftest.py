"""What every test of nn starts from: one stream of random numbers at one place, and the jit."""

import pytest

import nn


@pytest.fixture(autouse=True)
def _start(monkeypatch):
    """What the tests say of `jit=True` they say of replays, which short runs would do without."""
    nn.seed(0)
    monkeypatch.setattr("nn.step.WORTH_RECORDING", 0)
