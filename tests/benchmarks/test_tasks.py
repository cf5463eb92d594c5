"""How well do the tasks of `python -m nn` perform with their defaults?

python -m pytest tests/benchmarks/test_tasks.py
"""

from __future__ import annotations

import re
import time


def held_out(printed: str) -> float:
    return float(re.search(r"held-out examples: ([\d.]+)%", printed)[1])


def test_moons(run, report, tmp_path):
    start = time.perf_counter()
    printed = run("-m", "nn", "moons", "--quiet", "--out", str(tmp_path))
    seconds = time.perf_counter() - start
    accuracy = float(re.search(r"accuracy ([\d.]+)%", printed)[1])
    report("moons", f"{accuracy} % in {seconds:.1f} s", "100 % in 30 s")
    assert accuracy == 100.0
    assert seconds < 30.0


def test_iris(run, report, tmp_path):
    """Measure held-out accuracy over seeds 0 to 4, and over 20 seeds to see how much is luck."""
    scores = [
        held_out(run("-m", "nn", "iris", "--quiet", "--seed", str(k), "--out", str(tmp_path)))
        for k in range(20)
    ]
    five, twenty = sum(scores[:5]) / 5, sum(scores) / 20
    report("iris, held out, seeds 0 to 4", f"{five:.1f} %", "96 %")
    report("iris, held out, seeds 0 to 19", f"{twenty:.1f} %", "-")
    assert five >= 96.0
