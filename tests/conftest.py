"""What every test starts from: no garbage, and Ctrl-C raises KeyboardInterrupt."""

import gc
import os
import signal

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

from tests.examples import ORDINARY

# What takes longest begins first, or at the end one worker would wait for another; a worker that
# has nothing to do takes tests from the end of another's list.
LONG = ["test_notebooks", "test_site", "test_types", "test_player_firefox"]

# What one process has compiled, the workers and the many processes that tests start need not.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser):
    parser.addoption(
        "--thorough", action="store_true", help="all examples of random tests, and all of each kind"
    )


@pytest.hookimpl(wrapper=True, optionalhook=True)  # without pytest-xdist, as for mutants
def pytest_xdist_auto_num_workers():
    """One worker more than there are cores: now and then some wait for browsers and processes."""
    return (yield) + 1


def pytest_configure(config):
    """Set how many examples hypothesis tries; on a busy machine they may be slow."""
    count = 100 if config.getoption("thorough") else ORDINARY
    unhurried = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("this run", max_examples=count, **unhurried)
    settings.load_profile("this run")
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Worker(config.workerinput["workerid"]))


class Worker:
    """What a worker of pytest-xdist does in another way: less work, told in fewer messages."""

    def __init__(self, name):
        self.backwards = int(name.removeprefix("gw")) % 2 == 1

    def pytest_collect_directory(self, path, parent):
        """Begin with the last file in every other worker.

        The first half then finds the second half compiled, and the second half the first.
        """
        return Backwards.from_parent(parent, path=path) if self.backwards else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items):
        """Make the order that of the other workers again."""
        items.sort(key=lambda item: item.path)

    def pytest_runtest_protocol(self, item, nextitem):
        """Send one report of a test that passes, as sending three takes longer than most tests.

        The others, of setups and teardowns that passed, would tell `--durations` only.
        """
        where = {"nodeid": item.nodeid, "location": item.location}
        item.ihook.pytest_runtest_logstart(**where)
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if report.when == "call" or not report.passed:
                item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(**where)
        return True


class Backwards(pytest.Dir):
    """A directory, from its last file to its first."""

    def collect(self):
        return reversed(list(super().collect()))


def pytest_collection_modifyitems(items):
    """Put the long files first."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Collect the tests without the garbage collector, and let it run seldom after that.

    Ten thousand tests are no garbage, and graphs have no cycles.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.set_threshold(50_000, 20, 100)
        gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _small_heap():
    """Hide from the collector what pytest and tests before hold, which is more than a test makes.

    Then a test that collects, or looks at all objects, takes a tenth of the time.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """Free the tracebacks that the test before has caught, and let Ctrl-C raise KeyboardInterrupt.

    A shell that starts the tests in the background ignores SIGINT, and nohup SIGHUP; child
    processes inherit that, but no handler. Not in fixtures, which would take more time than some
    tests.
    """
    gc.collect(0)
    previous = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    if os.name == "posix" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        return (yield)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
