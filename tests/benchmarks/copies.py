"""How is the code of another commit measured beside this one? Unpacked, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def unpack(commit: str, folder: Path) -> None:
    """Put both packages as they are at a commit into a folder that exists."""
    archive = subprocess.run(
        ["git", "archive", commit, "autograd", "nn"], cwd=ROOT, check=True, capture_output=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)


def measured(script: str, code: Path, argument: str) -> list[float]:
    """The numbers that a script prints with `--child argument`, run with this copy of the code."""
    found = subprocess.run(
        [sys.executable, script, "--child", argument],
        env={**os.environ, "PYTHONPATH": str(code)},
        cwd=code,
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(number) for number in found.stdout.split()]
