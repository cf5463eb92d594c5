"""Does an installation without extras work as promised? Run with its Python: python -I FILE.

.ci/run and tests/every_python.py do so, in a new environment and an empty folder.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import nn
from autograd import Value, draw, explain, hessian, steps

BASE = {"scalar-autograd", "graphviz", "tqdm", "colorama"}  # colorama on Windows only
TOOLS = {"pip", "setuptools", "wheel"}


def error_of(kind: type[Exception], call: Callable[[], object]) -> str:
    """Return the message of the error that a call raises."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


def check_installed() -> None:
    found = {one.metadata["Name"].lower().replace("_", "-") for one in distributions()}
    assert found <= BASE | TOOLS, found
    assert find_spec("numpy") is None


def check_texts() -> None:
    a, b = Value(2.0, label="a"), Value(3.0, label="b")
    loss = a * b + a
    loss.backward()
    assert (a.grad, b.grad) == (4.0, 2.0)
    assert [[g.data for g in row] for row in hessian(loss, [a, b])] == [[0.0, 1.0], [1.0, 0.0]]
    assert "a.grad = 4" in steps(loss).table()
    assert "the sum over 2 uses" in str(explain(loss, a))
    drawing = draw(loss, edges=True)
    assert "digraph" in drawing.source
    drawing.save("loss.dot")
    if shutil.which("dot"):
        drawing.save("loss.svg")
        drawing.save("loss.png")
        steps(loss).save("loss.html")
        assert Path("loss.html").stat().st_size > 50_000
        return
    assert "(the extra draw)" in error_of(RuntimeError, lambda: drawing.save("loss.svg"))


def check_training() -> None:
    nn.seed(1)
    data, model = nn.data.moons(20), nn.MLP(2, [4, 1])
    optimizer = nn.Adam(model, lr=0.1)
    history = nn.fit(model, data, nn.hinge, optimizer, epochs=5, progress=False)
    assert history.loss[-1] < history.loss[0]
    done = subprocess.run(
        [sys.executable, "-I", "-m", "nn", "xor", "--epochs", "2", "--out", "runs"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "each step runs in Python" in done.stdout
    assert "not drawn: loss.png, decision_boundary.png" in done.stdout
    assert Path("runs/model.json").is_file()


def check_jit() -> None:
    assert "(the extra jit)" in error_of(ImportError, lambda: import_module("autograd.jit"))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    check_installed()
    check_texts()
    check_training()
    check_jit()
    with_dot = "drawn by the system's dot" if shutil.which("dot") else "not drawn: there is no dot"
    print(f"base install: eager training and texts work, {with_dot}, jit says what it needs")
