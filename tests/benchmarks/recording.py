"""How much CPU time does it take to record a training step? By stage, also at another commit.

    python tests/benchmarks/recording.py [COMMIT [TURNS]]

The steps are those of jit_step.py and gpt_step.py. Each turn runs a process for each copy of the
code and each step, which records the step several times; the first recording, which may compile
kernels, does not count. The table has milliseconds of CPU time, the least of all turns, and the
ratio to the commit. Other processes affect CPU time less than wall-clock time.
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


def child(case: str) -> list[float]:
    """Return the least seconds of several recordings."""
    time.perf_counter = time.process_time  # so that programs time their stages in CPU seconds
    recorded(case)
    return list(map(min, *[recorded(case) for _ in range(RECORDINGS)]))


def compared(copies: dict[str, Path], turns: int) -> None:
    """Measure all cases, and print the table."""
    print(f"{'CPU ms':24}{'recording':>11}", *[f"{stage:>9}" for stage in STAGES])
    for case in CASES:
        best = {name: [float("inf")] * (1 + len(STAGES)) for name in copies}
        for _ in range(turns):
            for name, code in copies.items():
                best[name] = list(map(min, best[name], measured(__file__, code, case)))
        for name, seconds in best.items():
            whole, *stages = [f"{1e3 * each:.0f}" for each in seconds]
            ratio = f"{seconds[0] / best['the commit'][0]:8.2f}" if len(copies) > 1 else ""
            line = f"{case + ', ' + name:24}{whole:>11}"
            print(line, *[f"{each:>9}" for each in stages], ratio, flush=True)


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
