"""`import autograd.numpy`, of HIPS's autograd, says which library this is."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

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
def test_what_the_other_library_has_is_not_found_and_the_message_says_whose_it_is(
    line: str,
) -> None:
    with pytest.raises(
        ModuleNotFoundError, match=r"HIPS.*scalar-autograd.*an environment of its own"
    ):
        exec(line)
    with pytest.raises(ImportError):
        exec(line)


def test_a_reload_adds_no_second_finder() -> None:
    code = "import importlib, sys, autograd; n = len(sys.meta_path); importlib.reload(autograd)"
    subprocess.run([sys.executable, "-c", f"{code}; assert len(sys.meta_path) == n"], check=True)


def test_what_neither_has_is_not_found_in_pythons_own_words() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'autograd\.nothing'$"):
        importlib.import_module("autograd.nothing")
    with pytest.raises(ImportError, match=r"^cannot import name 'nothing' from 'autograd'"):
        exec("from autograd import nothing")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'nowhere'$"):
        importlib.import_module("nowhere")


def test_there_are_no_such_modules_and_attributes() -> None:
    found = {module.name for module in pkgutil.iter_modules(autograd.__path__)}
    assert {"value", "ops", "jit"} <= found
    assert "numpy" not in found
    assert not hasattr(autograd, "numpy")
    for name in found:
        importlib.import_module(f"autograd.{name}")
