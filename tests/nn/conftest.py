"""What every test of nn starts from: one stream of random numbers, at one place."""

import pytest

import nn


@pytest.fixture(autouse=True)
def _seeded():
    nn.seed(0)
