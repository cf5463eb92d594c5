"""Do scripts print their help and reject unknown options, before they do anything?"""

from __future__ import annotations

import os
import runpy
import sys
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
