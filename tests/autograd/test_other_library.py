"""Do imports from HIPS's autograd, such as `autograd.numpy`, fail and say which library this is?"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import autograd


@pytest.mark.parametrize(
    "line",
    [
        "import autograd.numpy",
        "import autograd.numpy as np",
        "import autograd.numpy.random as npr",
        "import autograd.scipy.stats",
        "from autograd import numpy",
        "from autograd import numpy as np, grad",
        "from autograd import elementwise_grad",
        "from autograd import grad, value_and_grad",
        "from autograd.numpy import sin",
        "from autograd.extend import primitive",
        "from autograd.misc.optimizers import adam",
        "from autograd.misc.flatten import flatten",
        "from autograd.core import vspace",
        "from autograd.tracer import getval",
        "from autograd.wrap_util import unary_to_nary",
        "from autograd.util import func",
    ],
)
def test_imports_from_hips_autograd_fail_and_name_both_libraries(line: str) -> None:
    with pytest.raises(
        ModuleNotFoundError, match=r"HIPS.*scalar-autograd.*an environment of its own"
    ):
        exec(line)
    with pytest.raises(ImportError):
        exec(line)


def test_a_reload_adds_no_second_finder() -> None:
    code = "import importlib, sys, autograd; n = len(sys.meta_path); importlib.reload(autograd)"
    subprocess.run([sys.executable, "-c", f"{code}; assert len(sys.meta_path) == n"], check=True)


def test_names_that_neither_library_has_raise_pythons_own_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'autograd\.nothing'$"):
        importlib.import_module("autograd.nothing")
    with pytest.raises(ImportError, match=r"^cannot import name 'nothing' from 'autograd'"):
        exec("from autograd import nothing")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'nowhere'$"):
        importlib.import_module("nowhere")


def test_modules_of_hips_autograd_are_neither_listed_nor_attributes() -> None:
    found = {module.name for module in pkgutil.iter_modules(autograd.__path__)}
    assert {"value", "ops", "jit"} <= found
    assert "numpy" not in found
    assert not hasattr(autograd, "numpy")
    for name in found:
        importlib.import_module(f"autograd.{name}")


def printed_error(code: str, *folders: Path) -> str:
    """Return the last line that a failing program prints, with these folders on its path."""
    paths = os.pathsep.join(map(str, folders))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=folders[0],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("code", ["import autograd", "from autograd import Value", "import nn"])
def test_hips_autograd_in_another_folder_is_reported(code: str, tmp_path: Path) -> None:
    (tmp_path / "autograd").mkdir()
    (tmp_path / "autograd/tracer.py").touch()
    error = printed_error(code, Path(autograd.__file__).parents[1], tmp_path)
    assert error.startswith(f"ImportError: the autograd of HIPS is also installed, in {tmp_path}")
    assert "install scalar-autograd in a new environment of its own" in error


def test_files_of_hips_autograd_in_the_same_folder_are_reported(tmp_path: Path) -> None:
    package = Path(autograd.__file__).parent
    shutil.copytree(package, tmp_path / "autograd", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "autograd/tracer.py").touch()
    error = printed_error("import autograd", tmp_path)
    assert error.startswith(f"ImportError: the autograd of HIPS is also installed, in {tmp_path}")


def test_nn_reports_that_autograd_is_another_library(tmp_path: Path) -> None:
    """The other library was installed last, or is found first."""
    (tmp_path / "autograd").mkdir()
    (tmp_path / "autograd/__init__.py").touch()
    error = printed_error("import nn", tmp_path, Path(autograd.__file__).parents[1])
    assert error.startswith("ImportError: the package autograd that is imported here is not scalar")
    assert "install scalar-autograd in a new environment of its own" in error
