"""Do runs survive kills at random instants? A few kills here, many in kills.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(os.name != "posix", reason="needs fork, and signals")
def test_runs_survive_20_kills():
    script = Path(__file__).with_name("kills.py")
    done = subprocess.run(
        [sys.executable, script, "20", "--typed", "0"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("20 kills (")
