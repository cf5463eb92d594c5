"""Without PyTorch installed, do only the functions that need it and its names fail, and clearly?

The tests that need PyTorch are in tests/oracles/test_torch.py.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import autograd
import nn
from autograd import Value
from nn.__main__ import main
from nn.torch_names import HERE


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # `import torch` then raises ImportError


def test_importing_nn_does_not_import_torch():
    code = "import nn, sys; print('torch' in sys.modules, 'nn.torch_parts' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_error_without_torch_names_the_extra(without_torch):
    model = nn.MLP(2, [1])
    for call in (lambda: nn.to_torch(model), lambda: nn.from_torch(None, model)):
        with pytest.raises(ImportError, match=r'pip install "torch>=.*extra torch'):
            call()


@pytest.mark.parametrize("task", ["moons", "gpt"])
def test_an_export_without_torch_fails_before_training(task, without_torch, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([task, "--out", str(out), "--export", str(tmp_path / "weights.pt")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"python -m nn {task}: PyTorch is missing: pip install ")
    assert not captured.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", HERE)
def test_the_error_for_a_name_of_pytorch_says_what_to_write(name):
    with pytest.raises(AttributeError, match=f"'nn' has no attribute '{name}': write ") as error:
        getattr(nn, name)
    for found in re.findall(r"nn\.(\w+)", str(error.value)):
        assert found in nn.__all__
    assert not hasattr(nn, "relUU")


@pytest.mark.parametrize("name", ["Value", "no_grad", "grad", "where"])
def test_the_error_for_a_name_of_autograd_says_where_it_is(name):
    with pytest.raises(AttributeError, match=f"attribute '{name}': write autograd.{name}$"):
        getattr(nn, name)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin"])
@pytest.mark.parametrize("module", [nn, autograd])
def test_the_error_for_a_function_of_a_value_says_that_it_is_a_method(module, name):
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}': write x\.{name}\(\)$"):
        getattr(module, name)
    assert getattr(Value(2.0), name)().op == name
    assert not hasattr(autograd, "expp")
    assert not hasattr(autograd, "detach")


def test_an_optimizer_is_not_in_nn_optim():
    with pytest.raises(AttributeError, match=r"'nn.optim' has no attribute 'Adam': write nn.Adam$"):
        assert nn.optim.Adam


def test_export_does_not_apply_to_generate(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["gpt", "--generate", "1", "--export", str(tmp_path / "weights.pt")])
    assert exit.value.code == 2
    assert "--export does not apply to --generate" in capsys.readouterr().err
