"""Where is the code of another commit, to be measured beside this one? Unpacked into a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def unpack(commit: str, folder: Path) -> None:
    """Put both packages as they are at a commit into a folder that exists."""
    archive = subprocess.run(
        ["git", "archive", commit, "autograd", "nn"], cwd=ROOT, check=True, capture_output=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
