"""What every benchmark shares: a table of what was measured, printed at the end of the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROWS: list[tuple[str, str, str]] = []


def pytest_xdist_auto_num_workers(config):
    """Run benchmarks in one process: tests that run side by side disturb each other's times."""
    return 0


@pytest.fixture
def report():
    """report(what, measured, asked): one row of the final table."""
    return lambda what, measured, asked: ROWS.append((what, measured, asked))


@pytest.fixture
def run():
    """run(program, *arguments): what a Python program prints, in a process of its own."""

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def pytest_terminal_summary(terminalreporter):
    if ROWS:
        terminalreporter.section("measured")
        for what, measured, asked in ROWS:
            terminalreporter.write_line(f"{what:<48} {measured:<36} asked: {asked}")
