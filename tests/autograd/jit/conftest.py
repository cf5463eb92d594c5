"""What every test of the jit starts from: a helper whose assertions speak, one random stream."""

from pathlib import Path

import pytest

import nn

pytest.register_assert_rewrite("side_by_side")


@pytest.fixture(autouse=True, scope="session")
def _warm():
    """Compile the kernels before any test is timed."""
    from autograd.jit import jit

    jit(lambda x: x)(1.0)


@pytest.fixture(autouse=True)
def _seeded():
    nn.seed(0)


def pytest_collection_modifyitems(items):
    """What the jit does not do yet is listed in open.txt; these tests run, and may fail."""
    listed = set((Path(__file__).parent / "open.txt").read_text().splitlines())
    for item in items:
        name = item.nodeid.partition("/jit/")[2]
        if name and name in listed:
            item.add_marker(pytest.mark.xfail(reason="not yet: see open.txt", strict=False))
