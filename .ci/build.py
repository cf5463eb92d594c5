"""What would be published? An sdist and a wheel, built into a folder and checked: build.py OUT.

Nothing is published, as the package `autograd` has the name of another library's. PyPI shows the
README without the files beside it, so its links and pictures are made to lead to the repository.
Where that is, GITHUB_REPOSITORY says in a workflow; without it they stay as they are.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = "../../deployments/github-pages"  # what the README has for the address of the pages


def absolute(readme: str, repository: str, commit: str) -> str:
    """The README with addresses for its links and pictures. `repository` is owner/name."""
    owner, name = repository.split("/")
    files = f"https://github.com/{repository}/blob/{commit}/"
    pictures = f"https://raw.githubusercontent.com/{repository}/{commit}/"
    readme = readme.replace(PUBLISHED, f"https://{owner}.github.io/{name}/")
    readme = re.sub(r"(!\[[^]]*\]\()(?!https:)", rf"\1{pictures}", readme)
    return re.sub(r"(\]\()(?!https:|#)", rf"\1{files}", readme)


def build(out: Path) -> None:
    """Build both, from a copy: building leaves files beside the sources."""
    with TemporaryDirectory() as copy:
        for name in ("autograd", "nn"):
            unneeded = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, Path(copy, name), ignore=unneeded)
        for name in ("pyproject.toml", "LICENSE"):
            shutil.copy(ROOT / name, copy)
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        if repository := os.environ.get("GITHUB_REPOSITORY"):
            readme = absolute(readme, repository, os.environ.get("GITHUB_SHA", "main"))
        Path(copy, "README.md").write_text(readme, encoding="utf-8")
        command = [sys.executable, "-m", "build", "--outdir", str(out), copy]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def check(out: Path) -> None:
    """Raise if PyPI would refuse or not show one of the two, or if the wheel lacks a file."""
    made = sorted(map(str, out.glob("scalar_autograd-*")))
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *made], check=True)
    (wheel,) = out.glob("*.whl")
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = {
        path.relative_to(ROOT).as_posix()
        for name in ("autograd", "nn")
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    if packed != there:
        sys.exit(f"the wheel and the folders differ in {sorted(packed ^ there)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the folder")
    folder = parser.parse_args().out.resolve()
    build(folder)
    check(folder)
