"""Do scripts print their help and reject unknown options, before they do anything?

The last test checks the list of mutants that mutation testing explains.
"""

from __future__ import annotations

import os
import runpy
import sys
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".ci", "tests", "notebooks")
    for path in ROOT.glob(f"{folder}/**/*.py")
    if '\nif __name__ == "__main__":\n' in path.read_text(encoding="utf-8")
    if path.parent.name != "mutation"  # imports a tool that no test needs
)


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--nothing", 2)])
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_has_a_help_and_rejects_unknown_options(script, option, code, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, option])
    monkeypatch.syspath_prepend(str((ROOT / script).parent))
    with patch.dict(os.environ), pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert ended.value.code == code
    assert f"usage: {Path(script).name}" in "".join(capsys.readouterr())


def test_the_explained_mutants_are_of_lines_that_exist():
    explained = (ROOT / "tests" / "mutation" / "explained.toml").read_text(encoding="utf-8")
    for file, mutants in tomllib.loads(explained).items():
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        code = " ".join(filter(None, map(str.strip, lines)))
        assert [mutant["line"] for mutant in mutants if mutant["line"] not in code] == [], file
