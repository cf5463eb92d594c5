"""What works without the optional packages, and does each error say what to install?"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import autograd
from autograd.extras import EXTRAS, to_install

PROJECT = tomllib.loads((Path(autograd.__file__).parents[1] / "pyproject.toml").read_text())
BASE = {"graphviz", "tqdm"}
OPTIONAL = ("numpy", "llvmlite", "pygraphviz", "matplotlib", "sklearn", "torch")


def run_without(packages: tuple[str, ...], code: str, folder: Path) -> str:
    """Return what code prints in a new process in which these packages are missing."""
    without = f"import sys; sys.modules.update(dict.fromkeys({packages}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{without}\n{code}"],
        cwd=folder,
        env={**os.environ, "PATH": "", "PYTHONPATH": str(Path(autograd.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_advice_to_install_an_extra_matches_pyproject(extra: str) -> None:
    assert PROJECT["project"]["optional-dependencies"][extra] == list(EXTRAS[extra])
    assert to_install(extra).endswith(f"(the extra {extra})")


def test_the_base_install_needs_two_small_packages() -> None:
    assert {need.partition(">")[0] for need in PROJECT["project"]["dependencies"]} == BASE


def test_without_any_extra_everything_eager_works(tmp_path: Path) -> None:
    printed = run_without(
        OPTIONAL,
        """
from autograd import *
import nn

assert "jit" not in globals()
nn.seed(1)
data = nn.data.moons(8)
model = nn.MLP(2, [3, 1])
optimizer = nn.Adam(model, lr=0.1)
history = nn.fit(model, data, nn.hinge, optimizer, epochs=3, metric=nn.accuracy, progress=False)
assert history.loss[-1] < history.loss[0]
a, b = Value(2.0, label="a"), Value(3.0, label="b")
loss = a * b + a
print(steps(loss).table())
print(explain(loss, a))
assert "digraph" in draw(loss).source
draw(loss).save("loss.dot")
assert [g.data for row in hessian(loss, [a, b]) for g in row] == [0.0, 1.0, 1.0, 0.0]
""",
        tmp_path,
    )
    assert "a.grad = 4    b.grad = 2" in printed
    assert "the sum over 2 uses" in printed
    assert (tmp_path / "loss.dot").stat().st_size


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("from autograd import jit", "jit computes with NumPy"),
        ("import autograd.jit", "jit computes with NumPy"),
        ("import nn; nn.evaluate(nn.MLP(1, [1]), ([[1.0]], [1.0]), nn.mse, jit=True)", "NumPy"),
        ("from autograd import Value, draw; draw(Value(1.0)).svg()", "a drawing needs Graphviz"),
        ("from autograd import Value, steps; steps(-Value(1.0)).save('x.html')", "needs Graphviz"),
        ("import nn; nn.data.iris()", "the iris data come with scikit-learn"),
        ("import nn; nn.to_torch(nn.MLP(1, [1]))", "PyTorch is missing"),
        (
            "import nn; nn.plot.decision_boundary(nn.MLP(2, [1]), nn.data.moons(8))",
            "plots need matplotlib",
        ),
    ],
)
def test_one_error_says_what_to_install(code: str, error: str, tmp_path: Path) -> None:
    printed = run_without(
        OPTIONAL,
        f"""
try:
    exec({code!r})
except (ImportError, RuntimeError) as error:
    assert error.__suppress_context__ or error.__context__ is None
    print(error)
""",
        tmp_path,
    )
    (line,) = printed.splitlines()
    assert error in line
    assert "pip install" in line
    assert "(the extra " in line


@pytest.mark.parametrize(
    ("package", "code", "error"),
    [
        (
            "pygraphviz",
            "from autograd import Value, draw; draw(Value(1.0)).svg()",
            "a drawing needs Graphviz: install what pygraphviz needs (libx.so: no such file), or"
            " the system's program dot",
        ),
        ("torch", "import nn; nn.to_torch(nn.MLP(1, [1]))", "libx.so: no such file"),
        ("matplotlib", "import nn; nn.plot.require_matplotlib()", "libx.so: no such file"),
    ],
)
def test_a_package_that_lacks_a_library_of_the_system_is_not_called_missing(
    package: str, code: str, error: str, tmp_path: Path
) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError('libx.so: no such file')")
    printed = run_without(
        (),
        f"try: exec({code!r})\nexcept (ImportError, RuntimeError) as error: print(error)",
        tmp_path,
    )
    assert printed == f"{error}\n"


def test_without_llvmlite_alone_the_native_backend_names_the_extra(tmp_path: Path) -> None:
    printed = run_without(
        ("llvmlite",),
        """
from autograd import jit
try:
    jit(abs, backend="native")
except ImportError as error:
    print(error)
""",
        tmp_path,
    )
    assert printed == f"the native backend needs llvmlite: {to_install('jit')}\n"


def test_the_shell_prints_its_table_and_says_what_a_picture_needs(tmp_path: Path) -> None:
    printed = run_without(
        OPTIONAL,
        """
import contextlib
from autograd.__main__ import main
assert main(["x * x", "x=3", "--table"]) == 0
with contextlib.redirect_stderr(sys.stdout):
    assert main(["x * x", "x=3", "--out", "x.svg"]) == 1
""",
        tmp_path,
    )
    assert printed.splitlines()[-1].startswith("python -m autograd: a drawing needs Graphviz: pip")
