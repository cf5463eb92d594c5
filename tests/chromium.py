"""How do tests and measurements get a browser? Chromium, through the Python package playwright.

Chromium's headless shell is the same engine without browser windows, which take a quarter of the
time of a test; without it, Chromium itself is used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    # Paint a window in one tile, not in twenty; compile WebAssembly once, not twice.
    *["--default-tile-width=1280", "--default-tile-height=1024", "--js-flags=--liftoff-only"],
]
BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser"]


def missing(what: str) -> None:
    """Skip a test because something is missing; in CI, fail it."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)


@contextmanager
def chromium() -> Iterator[Any]:
    """Open a browser, closed at the end; without one skip the test, or fail it in CI."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("needs playwright: pip install playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()
