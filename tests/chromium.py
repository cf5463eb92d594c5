"""How do tests and measurements get a browser? Chromium, through the Python package playwright.

Chromium's headless shell is the same engine without the windows of a browser, which take a quarter
of the time of a test; Chromium itself serves where there is none.
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
    # A window is painted in one tile, not in twenty; WebAssembly is compiled once, not once more.
    *["--default-tile-width=1280", "--default-tile-height=1024", "--js-flags=--liftoff-only"],
]
BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser"]


def missing(what: str) -> None:
    """There is no browser to test in: in CI that is an error."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, closed at the end; without one the test skips, in CI it fails."""
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
