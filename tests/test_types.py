"""Do type checkers accept typical user code, and find the mistakes in it?"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
USER = ROOT / "tests" / "typed_user.py"
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Write the user's file and the README's examples, whose functions have no types."""
    paths = [tmp_path / "typed_user.py"]
    text = USER.read_text(encoding="utf-8")
    if np.lib.NumpyVersion(np.__version__) < "2.2.0":  # in whose types float64 is not a float
        text = text.replace("np.float64(3.0)", "3.0")
    paths[0].write_text(text, encoding="utf-8")
    for i, block in enumerate(BLOCKS):
        paths.append(tmp_path / f"readme_{i}.py")
        loose = "# mypy: allow-untyped-defs, allow-untyped-calls\n# pyright: basic\n"
        paths[-1].write_text(loose + block, encoding="utf-8")
    return [path.name for path in paths]


def program(name: str) -> str:
    """Return the path of a working type checker; without one skip the test, or fail in CI."""
    found = shutil.which(name, path=os.path.dirname(sys.executable)) or shutil.which(name)
    try:  # pyright downloads itself when it first runs
        subprocess.run([found or name, "--version"], check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"{name} does not run: pip install -e '.[test]' ({error})"
        )
    return found


def complaints(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def test_mypy_strict_is_quiet(files, tmp_path):
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nstrict = true\n[mypy-sklearn.*,graphviz.*,pygraphviz.*,llvmlite.*,torch.*]\n"
        "ignore_missing_imports = true\n"
        "[mypy-autograd.*,nn.*]\nfollow_imports = silent\n"  # as for an installed package
        # Drawings and plots import these: following them takes longer than all the rest.
        "[mypy-IPython.*,matplotlib.*]\nfollow_imports = skip\nfollow_imports_for_stubs = true\n"
    )
    command = [program("mypy"), f"--cache-dir={ROOT / '.mypy_cache' / 'user'}"]
    assert not complaints([*command, f"--python-executable={sys.executable}", *files], tmp_path)


def test_pyright_strict_is_quiet(files, tmp_path):
    settings = {
        "include": files,
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": True,
        "extraPaths": [str(ROOT)],
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [program("pyright"), "--pythonpath", sys.executable]
    assert not complaints([*command, "--project", str(tmp_path)], tmp_path)


def test_the_users_file_runs():
    runpy.run_path(str(USER))
