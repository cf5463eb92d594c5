"""Which faults would no test notice? This command inserts faults one at a time, and counts.

    python tests/mutation/run.py [--list] [FILE ...]

cosmic-ray makes the mutants: a + becomes a -, a 1 a 2, an `if` its opposite. The tests for each one
are named in config.toml; it is killed if one fails or does not end. A survivor is a gap in the
tests, or behaves as the code does: explained.toml lists these, and says why. The score is the share
of killed mutants among those that are not explained.

Mutants are made in a copy of the tree, never in the tree. Results are kept in build/mutation, one
file per source text: an interrupted run continues, and later runs try the survivors again, since
tests may have been added. Remove the folder to start over. Two runs for different files may run
side by side. POSIX only, as each mutant is tried in a fork.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import hashlib
import os
import re
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from importlib import import_module
from importlib.util import cache_from_source
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a fork keeps only the thread that forked

import pytest
from _pytest.config import default_plugins
from cosmic_ray.commands import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KEPT = ROOT / "build" / "mutation"
CONFIG = tomllib.loads((HERE / "config.toml").read_text(encoding="utf-8"))
REASONS = tomllib.loads((HERE / "explained.toml").read_text(encoding="utf-8"))
LEFT_OUT = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "runs")
# What tests import besides the project, imported once instead of for each mutant.
SHARED = (
    *("_hypothesis_pytestplugin", "asyncio", "concurrent.futures", "hypothesis.strategies"),
    *("hypothesis.internal.conjecture.engine", "llvmlite.binding", "mpmath", "numpy.random"),
    *("numpy.typing", "pydoc", "unittest.mock", *(f"_pytest.{name}" for name in default_plugins)),
)
# One process, no plugin but hypothesis's, and the same random examples each time.
PYTEST = (
    *("-x", "-q", "-o", "addopts=", "--assert=plain", "-p", "no:cacheprovider"),
    *("-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0"),
)
MEMORY = 4 << 30  # bytes that an endless loop may fill
FORKS = get_context("fork")


def run_tests(tests: str, limit: float) -> str:
    """Run tests in a fork of this process: "" if they pass, or the last line of what they print."""
    with tempfile.TemporaryFile() as output:
        child = FORKS.Process(target=_be_pytest, args=(shlex.split(tests), output.fileno()))
        child.start()
        try:
            child.join(limit)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # and the processes it started
            child.join()
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return "" if child.exitcode == 0 else [f"exit code {child.exitcode}", *lines[-1:], *failed][-1]


def _be_pytest(tests: Sequence[str], output: int) -> None:
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os._exit(pytest.main([*PYTEST, *tests]))


def limits(file: str) -> list[tuple[str, float]]:
    """Return the tests for a file, in order, and after how many seconds each counts as endless."""
    found = []
    for tests in CONFIG["tests"][file]:
        start = perf_counter()
        failure = run_tests(tests, limit=3600.0)
        if failure:
            sys.exit(f"the tests fail without a mutant: {failure}")
        found.append((tests, 20.0 + 5.0 * (perf_counter() - start)))
    return found


def tried(item: WorkItem, tests: Sequence[tuple[str, float]]) -> WorkResult:
    """Make one mutant, and run the tests until one of them notices it."""
    (mutation,) = item.mutations
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    with use_mutation(mutation.module_path, operator, mutation.occurrence) as (before, after):
        if not _is_worth_trying(before, after):
            return WorkResult(WorkerOutcome.SKIPPED)
        notices = (run_tests(names, limit) for names, limit in tests)
        notice = next(filter(None, notices), "")
    outcome = TestOutcome.KILLED if notice else TestOutcome.SURVIVED
    return WorkResult(WorkerOutcome.NORMAL, notice, outcome, "\n".join(change(before, after)))


def _is_worth_trying(before: str, after: str) -> bool:
    """Whether a mutant is Python, and differs in more than what config.toml excludes."""
    try:
        compile(after, "", "exec")  # the `*` before keyword arguments must not become a `+`
    except SyntaxError:
        return False
    rest = [re.sub(CONFIG["excluded-text"], "", source) for source in (before, after)]
    return rest[0] != rest[1]


def change(before: str, after: str) -> tuple[str, str]:
    """Return the lines that differ, without blank ones, and what the mutant has instead."""
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    same = next(i for i, (a, b) in enumerate(zip_longest(old, new)) if a != b)
    return _one_line(old[same:]), _one_line(new[same:])


def _one_line(lines: Sequence[str]) -> str:
    return " ".join(filter(None, map(str.strip, lines)))


def open_session(file: str) -> WorkDB:
    """Open the results for the present text of a file; at first nothing is tried."""
    text = Path(file).read_bytes()
    path = KEPT / f"{Path(file).stem}-{hashlib.sha256(text).hexdigest()[:12]}.sqlite"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with use_db(path.with_suffix(".new")) as new:
            init([Path(file)], new, {})
        path.with_suffix(".new").rename(path)
    return WorkDB(path, WorkDB.Mode.open)


def reasons(file: str) -> set[str]:
    """Return the changes that explained.toml explains, as `tried` writes them."""
    known = REASONS.get(file, ())
    return {f"{each['line']}\n{new}" for each in known for new in each["becomes"]}


def mutate(file: str) -> None:
    """Try every mutant that is neither killed nor explained, and keep the results."""
    excluded = re.compile("|".join(CONFIG["excluded-operators"]))
    with contextlib.closing(open_session(file)) as db:
        known = reasons(file)
        done = {job for job, result in db.results if result.is_killed or result.diff in known}
        items = [item for item in db.work_items if item.job_id not in done]
        items = [x for x in items if not excluded.search(x.mutations[0].operator_name)]
        tests = limits(file) if items else []
        Path(cache_from_source(file)).unlink()  # Python would take it for the mutant's bytecode
        for i, item in enumerate(items, 1):
            # Not a bar of tqdm: a fork would inherit it, and tests of such bars would fail.
            print(f"{file}: mutant {i} of {len(items)}", end="\r", file=sys.stderr)
            db.set_result(item.job_id, tried(item, tests))


def report(files: Sequence[str], listed: bool) -> None:
    """Print a row of figures for each file, and with `listed` the survivors."""
    row = "{:<30}{:>9}{:>9}{:>10}{:>10}{:>9}"
    print(row.format("file", "mutants", "killed", "explained", "survived", "score"))
    whole = [0, 0, 0, 0]
    for file in files:
        with contextlib.closing(open_session(file)) as db:
            results = [x for _, x in db.results if x.worker_outcome == WorkerOutcome.NORMAL]
        alive = [result.diff for result in results if not result.is_killed]
        known = reasons(file)
        survived = [diff for diff in alive if diff not in known]
        explained = len(alive) - len(survived)
        counts = [len(results), len(results) - len(alive), explained, len(survived)]
        whole = [x + y for x, y in zip(whole, counts, strict=True)]
        print(row.format(file, *counts, score(counts)))
        if listed:
            for diff in survived:
                print(f"- {diff}".replace("\n", "\n+ "))
            for diff in known.difference(alive):
                print(f"explained, but not alive:\n- {diff}".replace("\n", "\n+ "))
    print(row.format("all", *whole, score(whole)))


def score(counts: Sequence[int]) -> str:
    """Return the share of killed mutants among those that are not explained."""
    mutants, killed, explained, _ = counts
    return f"{100 * killed / max(1, mutants - explained):.1f} %"


def main() -> None:
    """Make the mutants of the files named, or of all, and print what the tests noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="show the survivors")
    parser.add_argument("--report", action="store_true", help="print results, try no mutants")
    parser.add_argument("files", nargs="*", metavar="FILE", help="of those in config.toml")
    arguments = parser.parse_args()
    files = arguments.files or list(CONFIG["tests"])
    for name in SHARED:
        import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(ROOT, Path(folder) / "copy", ignore=LEFT_OUT)
        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy)  # for processes that tests start
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.dont_write_bytecode = True
        compileall.compile_dir(copy, quiet=1)
        if not arguments.report:
            for file in files:
                mutate(file)
        report(files, arguments.list)


if __name__ == "__main__":
    main()
