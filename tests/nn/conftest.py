"""What does every test of nn start from? The same random numbers, and a jit for short runs too."""

import pytest

import nn


@pytest.fixture(autouse=True)
def _start(monkeypatch):
    """Seed nn, and let `jit=True` record short runs as well, so that tests of it test replays."""
    nn.seed(0)
    monkeypatch.setattr("nn.step.WORTH_RECORDING", 0)
