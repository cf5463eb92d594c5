"""How long does it take to get from a link to the player of its formula, with an empty cache?

    python -m pytest tests/benchmarks/test_site_page.py

The page of notebooks/site is built and served on this machine, so times exclude the network; bytes
are reported instead. Chromium has an empty profile, and presses Run once the page has loaded.
"""

from __future__ import annotations

import gzip
import os
from functools import partial
from statistics import median
from time import perf_counter
from urllib.parse import quote

from tests.chromium import chromium
from tests.test_site import PATIENCE, Quiet, build, served

FORMULA = "x = 3; y = 2; tanh(x*y) + x"
TIMES = 5


def test_from_a_link_to_a_player(report, tmp_path):
    build.build(tmp_path)
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    seconds = []
    with served(partial(Quiet, directory=str(tmp_path))) as address:
        for _ in range(TIMES):
            with chromium() as browser:
                tab = browser.new_page()
                start = perf_counter()
                tab.goto(f"{address}#code={quote(FORMULA)}")
                tab.click("#run")
                player = tab.frame_locator("#frame").locator(".stage .node").first
                player.wait_for(timeout=PATIENCE)
                seconds.append(perf_counter() - start)
    load = f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores" if os.name == "posix" else ""
    each = f"{median(seconds):.1f} s, at most {max(seconds):.1f} ({load})"
    report("from a link to the player of its formula", each, "under 10 s")
    size, sent = (sum(map(len, some)) / 1e6 for some in (files, map(gzip.compress, files)))
    report("files of the page", f"{size:.1f} MB, {sent:.1f} MB sent with gzip", "-")
    assert median(seconds) < 10.0
