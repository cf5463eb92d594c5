"""Is the cyclic garbage collector paused inside the block, and restored afterwards?"""

import contextlib
import gc

import pytest

from autograd.collector import collector_paused


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_paused_and_then_restored_even_after_an_error(enabled):
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with contextlib.suppress(RuntimeError), collector_paused():
            seen = gc.isenabled()
            raise RuntimeError
        assert (seen, gc.isenabled()) == (False, enabled)
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_a_pause_that_ends_within_another_threads_pause_leaves_the_collector_on(monkeypatch):
    """The other thread's pause ends just after this one has found the collector off."""
    was_enabled, isenabled = gc.isenabled(), gc.isenabled
    gc.enable()
    try:
        outer = collector_paused()
        outer.__enter__()

        def looks() -> bool:
            found = isenabled()
            monkeypatch.undo()
            outer.__exit__(None, None, None)
            return found

        monkeypatch.setattr(gc, "isenabled", looks)
        with collector_paused():
            pass
        assert gc.isenabled()
    finally:
        (gc.enable if was_enabled else gc.disable)()
