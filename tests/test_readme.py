"""Does the README say what is so?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.S))
def test_every_python_block_runs_as_it_stands(block, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # some write files
    exec(compile(block, "README.md", "exec"), {})
    for expected in re.findall(r"# (-?\d\S*)\.\.\., (-?\d\S*)\.\.\.$", block, re.M):
        printed = capsys.readouterr().out.split()
        assert all(p.startswith(e) for p, e in zip(printed, expected, strict=True))


def test_there_are_two_set_up_commands_of_one_line_each():
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.S)
    assert len(commands) == 2
    assert all(
        "\n" not in command and command.startswith("python3 -m venv") for command in commands
    )


def test_every_file_and_name_it_mentions_exists():
    import autograd
    import nn

    for name in re.findall(r"`((?:autograd|nn|tests|notebooks)/[\w/.]*)`", README):
        assert (ROOT / name).exists(), name
    api = README.split("## The API")[1].split("Conventions")[0]
    for name in re.findall(r"\b[A-Za-z]\w+(?=\()", api.split("`nn`:")[0]):
        assert hasattr(autograd, name) or hasattr(autograd.Value, name), name
    for line in ("layers", "activations", "losses", "optimizers", "training"):
        cell = re.search(rf"\| {line} \| (.*) \|", api)[1]
        names = " ".join(re.findall(r"`(.*?)`", cell)).split()
        missing = [n for n in names if n[0].isalpha() and "=" not in n and not _found(nn, n)]
        assert not missing, missing


def _found(package, name):
    return name.startswith("nn.") or hasattr(package, name)
