"""What do all benchmarks share? A table of measurements, printed at the end of the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROWS: list[tuple[str, str, str]] = []


def pytest_xdist_auto_num_workers(config):
    """Run benchmarks in one process, as tests that run in parallel disturb each other's times."""
    return 0


@pytest.fixture
def report():
    """`report(what, measured, asked)` adds a row to the final table."""
    return lambda what, measured, asked: ROWS.append((what, measured, asked))


@pytest.fixture
def run():
    """`run(program, *arguments)` returns what a Python program prints, in its own process."""

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
