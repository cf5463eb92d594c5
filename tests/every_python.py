"""Which versions of Python and of the dependencies does the project work with?

    python tests/every_python.py [--install base|all|oldest]... [--python PYTHON]... [TEST ...]

Each interpreter, by default pyenv's and those in PATH, gets a new environment for each way to
install, in which its tests run; a table is printed at the end. "base" installs no extra and runs
tests/base_install.py. "all" installs the extras "all" and "test" in their newest versions and runs
the given tests, by default every one. "oldest" does the same with the oldest versions that
pyproject.toml allows; a Python without wheels for these is reported, but is not a failure. Tests
that need a browser are skipped if there is none.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
INSTALLS = ("base", "all", "oldest")
NO_WHEELS = "no wheels of the oldest versions"


def interpreters() -> dict[str, Path]:
    """Return the Pythons found, by version, such as 3.11."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found: dict[str, Path] = {}
    for version in VERSIONS:
        named = [str(path / "bin/python") for path in sorted(pyenv.glob(f"{version}.*"))]
        named += [path for path in (shutil.which(f"python{version}"), sys.executable) if path]
        for name in named:
            if version_of(name) == version:
                found[version] = Path(name)
    return found


def version_of(python: str) -> str:
    """Return a version such as 3.11, or "" if no Python starts: pyenv leaves such names in PATH."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def oldest() -> list[str]:
    """Return the requirements of a user, each at its oldest allowed version."""
    extras = PROJECT["optional-dependencies"]
    needed = [*PROJECT["dependencies"], *extras["draw"], *extras["jit"], *extras["train"]]
    return [need.replace(">=", "==") for need in needed]


def tried(python: Path, install: str, tests: list[str]) -> tuple[bool, str]:
    """Return whether an installation works, and a summary of its tests."""
    start = perf_counter()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        subprocess.run([python, "-m", "venv", f"{folder}/venv"], check=True)
        own = Path(
            folder, "venv", *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python"))
        )
        pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        source = Path(folder, "source")  # building leaves files beside the sources
        kept = shutil.ignore_patterns(".git", ".venv", "__pycache__", "build", "*.egg-info")
        shutil.copytree(ROOT, source, ignore=kept)
        if install == "oldest":
            wheels = ["--only-binary", ":all:", *oldest()]
            if subprocess.run([*pip, *wheels], capture_output=True).returncode:
                return True, NO_WHEELS
        what = [f"{source}[test]", *(oldest() if install == "oldest" else [])]
        done = subprocess.run(
            [*pip, *([str(source)] if install == "base" else what)], capture_output=True, text=True
        )
        if done.returncode:
            return False, f"pip: {done.stderr.strip().splitlines()[-1]}"
        if install == "base":
            command, place = [own, "-I", source / "tests/base_install.py"], Path(folder)
        else:
            command, place = [own, "-m", "pytest", "--quiet", *tests], source
        calm = {
            name: value for name, value in os.environ.items() if name not in ("CI", "PYTHONPATH")
        }
        done = subprocess.run(command, cwd=place, env=calm, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing"]
        if done.returncode:
            print(done.stdout, done.stderr)
        said = re.sub(r"[= ]*(.*?) in [\d.]+s.*", r"\1", lines[-1]).partition(":")[0]
        return done.returncode == 0, f"{said}, {perf_counter() - start:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description="Install and test on every Python that is found.")
    parser.add_argument("tests", nargs="*", help="files or folders of tests; all by default")
    parser.add_argument("--install", action="append", choices=INSTALLS, help="by default each")
    parser.add_argument("--python", action="append", help="version or path; all by default")
    options = parser.parse_args()
    found = interpreters()
    chosen = [found.get(python, Path(python)) for python in options.python or found]
    for python in chosen:
        if not version_of(str(python)):
            parser.error(f"{python} is no Python that starts; found were {', '.join(found)}")
    rows, works = [], True
    for python in chosen:
        version = version_of(str(python))
        for install in options.install or INSTALLS:
            good, said = tried(python, install, options.tests)
            works &= good
            rows.append(f"| {version} | {install} | {'works' if good else 'FAILS'} | {said} |")
            print(rows[-1], flush=True)
    missing = [] if options.python else [v for v in VERSIONS if v not in found]
    print("\n| Python | installed | | tests |", "| --- | --- | --- | --- |", *rows, sep="\n")
    print(*[f"no Python {version} was found" for version in missing], sep="\n")
    return 0 if works else 1


if __name__ == "__main__":
    sys.exit(main())
