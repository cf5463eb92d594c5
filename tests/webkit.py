"""How do tests get WebKit, the engine of Safari? By its WebDriver, on a screen of its own.

Needs WebKitWebDriver and xvfb-run, which few systems have: without them the tests are skipped,
also in CI.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

SECONDS = 60  # to start, or to answer; a busy machine needs a few
# A user in a container has no rights to build WebKit's sandbox.
CALM = {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "LIBGL_ALWAYS_SOFTWARE": "1"}


class Tab:
    """A browser window, driven as https://www.w3.org/TR/webdriver2 says."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + SECONDS
        while True:
            try:
                opened = self._asked("/session", {"capabilities": {}})
                break
            except URLError:  # it does not listen yet
                assert time.monotonic() < end, "WebKitWebDriver does not start"
                time.sleep(0.05)
        self._url += f"/session/{opened['sessionId']}"

    def _asked(self, path: str, what: dict[str, Any]) -> Any:
        request = Request(self._url + path, json.dumps(what).encode())
        with urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)["value"]

    def go(self, address: str) -> None:
        """Open a page."""
        self._asked("/url", {"url": address})

    def evaluate(self, code: str, *arguments: Any) -> Any:
        """Return what the body of a JavaScript function returns."""
        return self._asked("/execute/sync", {"script": code, "args": arguments})

    def press(self, key: str) -> None:
        """Press and release a key."""
        self._act("key", [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")])

    def drag(self, start: list[float], end: list[float]) -> None:
        """Press the mouse at a place of the window, move it to another one, and release it."""
        places = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in (start, end)]
        down, up = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        self._act("pointer", [places[0], down, places[1], up])

    def _act(self, device: str, actions: list[dict[str, Any]]) -> None:
        self._asked("/actions", {"actions": [{"type": device, "id": device, "actions": actions}]})


@contextmanager
def webkit() -> Iterator[Tab]:
    """Open a window, closed at the end; without WebKit skip the test."""
    if not (shutil.which("WebKitWebDriver") and shutil.which("xvfb-run")):
        pytest.skip("needs WebKit: apt-get install webkit2gtk-driver xvfb")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = ["xvfb-run", "--auto-servernum", "WebKitWebDriver", f"--port={port}"]
    driver = subprocess.Popen(command, env=os.environ | CALM, start_new_session=True)
    try:
        yield Tab(port)
    finally:
        os.killpg(driver.pid, signal.SIGTERM)  # with the screen and the browser
        driver.wait(SECONDS)
