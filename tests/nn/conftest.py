"""What does every test of nn start from? The same random numbers, and a jit for short runs too."""

import pytest

import nn


@pytest.fixture(autouse=True)
def _start(monkeypatch):
    """Seed nn, and let `jit=True` record short runs as well, so that tests of it test replays."""
    nn.seed(0)
    monkeypatch.setattr("nn.predictions.WORTH_RECORDING", 0)


@pytest.fixture
def recordings(monkeypatch):
    """The names of the functions that were recorded, with the usual limit for short runs."""
    from autograd.jit import jitted

    monkeypatch.setattr("nn.predictions.WORTH_RECORDING", 20)
    names, original = [], jitted.record

    def noted(function, *arguments):
        names.append(function.__name__)
        return original(function, *arguments)

    monkeypatch.setattr(jitted, "record", noted)
    return names
