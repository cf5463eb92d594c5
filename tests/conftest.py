"""What does every test start from? No garbage, and Ctrl-C raises KeyboardInterrupt."""

import gc
import os
import signal

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

from tests.examples import ORDINARY

# The longest files start first, or one worker would wait for another at the end. An idle worker
# takes tests from the end of another's list.
LONG = ["test_notebooks", "test_site", "test_types", "test_player_firefox"]

# Workers, and the many processes that tests start, share the bytecode that one has compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser):
    parser.addoption(
        "--thorough", action="store_true", help="more random examples, every case of large tables"
    )


@pytest.hookimpl(wrapper=True, optionalhook=True)  # mutation testing runs without xdist
def pytest_xdist_auto_num_workers():
    """Start one worker more than there are cores, as some wait for browsers and processes."""
    return (yield) + 1


def pytest_configure(config):
    """Set how many examples hypothesis tries, and allow them to be slow on a busy machine."""
    count = 100 if config.getoption("thorough") else ORDINARY
    unhurried = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("this run", max_examples=count, **unhurried)
    settings.load_profile("this run")
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Worker(config.workerinput["workerid"]))


class Worker:
    """Hooks that save a worker of pytest-xdist some work and messages."""

    def __init__(self, name):
        self.backwards = int(name.removeprefix("gw")) % 2 == 1

    def pytest_collect_directory(self, path, parent):
        """Collect from the last file to the first in every other worker.

        Each half of the workers then finds half of the files compiled by the other.
        """
        return Backwards.from_parent(parent, path=path) if self.backwards else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items):
        """Restore the order, which must be the same in all workers."""
        items.sort(key=lambda item: item.path)

    def pytest_runtest_protocol(self, item, nextitem):
        """Send one report per passed test, as sending three takes longer than most tests.

        Reports of passed setups and teardowns are used by `--durations` only.
        """
        where = {"nodeid": item.nodeid, "location": item.location}
        item.ihook.pytest_runtest_logstart(**where)
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if report.when == "call" or not report.passed:
                item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(**where)
        return True


class Backwards(pytest.Dir):
    """A directory collected from its last file to its first."""

    def collect(self):
        return reversed(list(super().collect()))


def pytest_collection_modifyitems(items):
    """Put the long files first."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Pause the garbage collector while tests are collected, and let it run rarely after that.

    Ten thousand tests are not garbage, and graphs have no cycles.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.set_threshold(50_000, 20, 100)
        gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _small_heap():
    """Hide the objects of pytest and of earlier tests from the collector: most objects are theirs.

    A test that collects garbage, or looks at all objects, then takes a tenth of the time.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """Free tracebacks that the previous test caught, and let Ctrl-C raise KeyboardInterrupt.

    Processes in the background of a shell ignore SIGINT, and those of nohup SIGHUP; child processes
    inherit that, but no handler. A fixture for this would take longer than some tests.
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
