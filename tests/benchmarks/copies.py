"""How is the code of another commit measured? It is unpacked and runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def unpack(commit: str, folder: Path) -> None:
    """Put both packages, as of a commit, into an existing folder."""
    archive = subprocess.run(
        ["git", "archive", commit, "autograd", "nn"], cwd=ROOT, check=True, capture_output=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)


def measured(script: str, code: Path, argument: str) -> list[float]:
    """Return the numbers that `script --child argument` prints, run with this copy of the code."""
    found = subprocess.run(
        [sys.executable, script, "--child", argument],
        env={**os.environ, "PYTHONPATH": str(code)},
        cwd=code,
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(number) for number in found.stdout.split()]
