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
