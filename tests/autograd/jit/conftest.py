"""What every test of the jit starts from: a helper whose assertions speak, one random stream."""

import pytest

import nn

pytest.register_assert_rewrite("side_by_side")


@pytest.fixture(autouse=True, scope="session")
def _warm():
    """Compile the kernels before any test is timed."""
    from autograd.jit import jit

    run = jit(lambda x: x)
    for _ in range(3):
        run(1.0)


@pytest.fixture(autouse=True)
def _seeded():
    nn.seed(0)
