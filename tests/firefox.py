"""How do tests get Firefox? They share one, which Node drives with npm's puppeteer-core.

Needs firefox-esr, node and npm, which downloads puppeteer-core once, into the user's cache.
Without them the tests are skipped; in CI they fail.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.chromium import missing

PUPPETEER = "24.43.1"
SECONDS = 300  # for a busy machine; a minute is more than enough otherwise


def seen(script: Path, *arguments: str) -> dict[str, Any]:
    """Run a script in a new tab and return what it saw; firefox.mjs says what a script is."""
    node = started()
    assert node.stdin is not None
    assert node.stdout is not None
    print(json.dumps([str(script), *arguments]), file=node.stdin, flush=True)
    ready, _, _ = select.select([node.stdout], [], [], SECONDS)
    assert ready, f"{script.name} has not ended in {SECONDS} seconds"
    found: dict[str, Any] = json.loads(node.stdout.readline())
    assert "failed" not in found, found["failed"]
    return found


@cache
def started() -> subprocess.Popen[str]:
    """Start Firefox once, as that takes seconds; it ends when this process closes the pipe."""
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    if firefox is None:
        missing("needs Firefox: apt-get install firefox-esr")
    if not (shutil.which("node") and shutil.which("npm")):
        missing("needs Node: apt-get install nodejs npm")
    script = str(Path(__file__).with_suffix(".mjs"))
    command = ["node", script, str(puppeteer()), str(firefox)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8")


def puppeteer() -> Path:
    """Return the folder of puppeteer-core, installed completely even if workers compete."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scalar-autograd"
    folder = cache / f"puppeteer-core-{PUPPETEER}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as made:
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
            command += ["--prefix", f"{made}/whole", f"puppeteer-core@{PUPPETEER}"]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            if ran.returncode:
                missing(f"needs puppeteer-core: {ran.stderr.strip()[-300:]}")
            with suppress(OSError):  # another worker was faster
                Path(made, "whole").rename(folder)
    return folder
