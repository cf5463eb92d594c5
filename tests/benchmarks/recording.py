"""How much CPU time does it take to record a training step, and to replay it? Also at a commit.

    python tests/benchmarks/recording.py [COMMIT [TURNS]]

The steps are those of jit_step.py and gpt_step.py. Each turn runs a process for each copy of the
code and each step, which records the step several times; the first recording, which may compile
kernels, does not count. Then it replays the step, compiled, in loops. The table has milliseconds of
CPU time for a recording and its stages, microseconds for a replay, the least of all turns, and the
ratios to the commit. Other processes affect CPU time less than wall-clock time.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from copies import ROOT, measured, unpack

CASES = ("moons", "gpt", "digits")
STAGES = ("trace", "simplify", "schedule", "compile")
RECORDINGS = 3  # per process, after the first
REPLAYS, LOOP, LOOPS = 1_000, 50, 60  # before the first loop, in a loop, loops


def step_of(case: str) -> Callable[[], float]:
    """Return a new jitted step that has been called once, eagerly."""
    import gpt_step
    import jit_step

    step = gpt_step.ours(jit=True) if case == "gpt" else jit_step.ours(case, backend=None)
    step()
    return step


def recorded(case: str) -> list[float]:
    """Return the seconds of one recording: of the whole call, and of the program's stages."""
    from autograd.jit import jitted

    programs = []

    class Program(jitted.Program):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)
            programs.append(self)

    original, jitted.Program = jitted.Program, Program
    step = step_of(case)
    gc.collect()
    start = time.process_time()
    step()
    whole = time.process_time() - start
    jitted.Program = original
    return [whole, *(programs[0].seconds[stage] for stage in STAGES)]


def replayed(case: str) -> float:
    """Return the seconds of one replay, in the fastest loop."""
    step = step_of(case)
    for _ in range(REPLAYS):  # to record, check and compile
        step()
    loops = []
    for _ in range(LOOPS):
        start = time.process_time()
        for _ in range(LOOP):
            step()
        loops.append(time.process_time() - start)
    return min(loops) / LOOP


def child(case: str) -> list[float]:
    """Return the least seconds of several recordings, and of a replay."""
    time.perf_counter = time.process_time  # so that programs time their stages in CPU seconds
    recorded(case)
    return [*map(min, *[recorded(case) for _ in range(RECORDINGS)]), replayed(case)]


def compared(copies: dict[str, Path], turns: int) -> None:
    """Measure all cases, and print the table."""
    columns = ["recording", *STAGES, "replay us"]
    print(f"{'CPU ms':24}", *[f"{column:>10}" for column in columns])
    for case in CASES:
        best = {name: [float("inf")] * len(columns) for name in copies}
        for _ in range(turns):
            for name, code in copies.items():
                best[name] = list(map(min, best[name], measured(__file__, code, case)))
        for name, seconds in best.items():
            *recording, replay = seconds
            cells = [*[f"{1e3 * each:.0f}" for each in recording], f"{1e6 * replay:.1f}"]
            print(f"{case + ', ' + name:24}", *[f"{cell:>10}" for cell in cells], flush=True)
        if len(copies) > 1:
            ratios = [ours / theirs for ours, theirs in zip(*best.values(), strict=True)]
            print(f"{'    ratio':24}", *[f"{ratio:10.2f}" for ratio in ratios], flush=True)


def main(commit: str | None, turns: int) -> None:
    """Measure this code, and the commit beside it."""
    with tempfile.TemporaryDirectory() as folder:
        copies = {"this code": ROOT}
        if commit is not None:
            before = copies["the commit"] = Path(folder)
            unpack(commit, before)
        compared(copies, turns)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(*child(sys.argv[2]))
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("commit", nargs="?")
        parser.add_argument("turns", type=int, nargs="?", default=3)
        main(**vars(parser.parse_args()))
