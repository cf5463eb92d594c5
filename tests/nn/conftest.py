"""What every test of nn starts from: one stream of random numbers, at one place."""

import pytest

import nn


@pytest.fixture(autouse=True)
def _seeded():
    nn.seed(0)


@pytest.fixture(autouse=True)
def _short_runs_are_recorded_too(monkeypatch):
    """What the tests say of `jit=True` they say of replays, which short runs would do without."""
    monkeypatch.setattr("nn.step.WORTH_RECORDING", 0)
