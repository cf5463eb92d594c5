"""What does every jit test start from? Compiled kernels, one seed, explained assertions."""

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
    """Run each test of test_disturbances.py in a forked process, to protect the tests after it.

    An interrupt at any instant may leave pytest, the standard library or NumPy half way.
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
    assert status == 0, "the test failed in its forked process: see stderr"
    return True
