"""What every test of the jit starts from: a helper whose assertions speak, one random stream."""

import os
import traceback

import pytest

import nn

pytest.register_assert_rewrite("side_by_side")


@pytest.fixture(autouse=True, scope="session")
def _warm():
    """Compile the kernels before any test is timed."""
    from autograd.jit import jit

    run = jit(lambda x: x, backend="native")
    for _ in range(3):
        run(1.0)


@pytest.fixture(autouse=True)
def _seeded():
    nn.seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run each test of disturbances in a process of its own: what it disturbs is not the next one.

    A Ctrl-C at any instant may hit pytest, Python's own library or NumPy half way.
    """
    if pyfuncitem.module.__name__ != "test_disturbances":
        return None
    child = os.fork()
    if child == 0:
        code = 1
        try:
            names = pyfuncitem._fixtureinfo.argnames
            pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0, "it failed in its process: see its stderr"
    return True
