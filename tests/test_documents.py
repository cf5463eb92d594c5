"""Do the formulas of the two documents implemented here give the numbers worked out by hand?

Formulas that are tested with their function, such as softmax, are not repeated here. The tests
are in the order of the documents, as in `notebooks/0_the_two_documents.ipynb`. The last one checks
the table of formula, function and test at the end of that notebook and in the README.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

import autograd
import nn
from autograd import Value, grad
from nn import Matrix

ROOT = Path(__file__).parent.parent


def layer(weights: list[list[float]], bias: list[float], activation: str) -> nn.Layer:
    """Return a layer with these numbers; as in the documents, a column of `weights` is a neuron."""
    made = nn.Layer(len(weights), len(bias), activation)
    put(made, weights, bias)
    return made


def put(made: nn.Layer, weights: list[list[float]], bias: list[float]) -> None:
    for neuron, column, b in zip(made.neurons, zip(*weights, strict=True), bias, strict=True):
        neuron.b.data = b
        for w, number in zip(neuron.w, column, strict=True):
            w.data = number


def weights_of(made: nn.Layer, what: str = "data") -> list[list[float]]:
    """Return the weights of a layer, or their gradients, with a column for each neuron."""
    columns = [[getattr(w, what) for w in neuron.w] for neuron in made.neurons]
    return [list(row) for row in zip(*columns, strict=True)]


def bias_of(made: nn.Layer, what: str = "data") -> list[float]:
    return [getattr(neuron.b, what) for neuron in made.neurons]


# --- Introduction to Neural Network Mathematics ---------------------------------------------------


def test_forward_propagation():
    """z = W a + b and a = g(z), twice: (3, -1) -> relu -> (3, 0) -> 2 * 3 + 5 * 0 + 1."""
    first = layer([[1, 1], [1, -1]], [0, 0], "relu")
    second = layer([[2], [5]], [1], "linear")
    hidden = first([1.0, 2.0])
    assert [a.data for a in hidden] == [3.0, 0.0]
    assert [a.data for a in second(hidden)] == [7.0]


def test_gradient_descent():
    """L = (W - 3)^2 at W = 1 has the slope -4, so W := 1 + 0.25 * 4."""
    w = Value(1.0)
    ((w - 3.0) ** 2).backward()
    nn.SGD([w], lr=0.25).step()
    assert w.data == 2.0


def test_the_chain_rule_through_two_layers():
    """Both z are 0, where sigmoid is 1/2 and its slope 1/4.

    dL/dW1 = dL/da2 da2/dz2 dz2/da1 da1/dz1 dz1/dW1 = -1 * 1/4 * 4 * 1/4 * 2.
    """
    x, W1, W2 = Value(2.0), Value(1.0), Value(4.0)
    z1 = W1 * x + Value(-2.0)
    a1 = z1.sigmoid()
    z2 = W2 * a1 + Value(-2.0)
    a2 = z2.sigmoid()
    L = (a2 - 1.0) ** 2
    L.backward()
    pairs = [(L, a2), (a2, z2), (z2, a1), (a1, z1), (z1, W1)]
    factors = [grad(out, [by])[0].data for out, by in pairs]
    assert factors == [-1.0, 0.25, 4.0, 0.25, 2.0]
    assert W1.grad == math.prod(factors) == -0.5


# --- The Mathematics Behind Neural Networks -------------------------------------------------------

X = [[1, 2], [3, -1]]
W = [[1, 0, -1], [2, 1, 1]]
B = [1, 0, -2]
Z = [[6, 2, -1], [2, -1, -6]]  # X W = [[5, 2, 1], [1, -1, -4]]


def test_matrix_multiply():
    assert (Matrix(X) @ Matrix(W)).data == [[5, 2, 1], [1, -1, -4]]


def test_matrix_add():
    assert (Matrix(X) + Matrix([[10, 20], [30, 40]])).data == [[11, 22], [33, 39]]
    bias = [10, 20]
    assert (Matrix(X) + bias).data == [[11, 22], [13, 19]]


def test_z_is_x_w_plus_b():
    assert (Matrix(X) @ Matrix(W) + B).data == Z
    assert layer(W, B, "linear")(Matrix(X)).data == Z


def test_the_chain_rule_of_a_composite():
    """sin(x^2) has the derivative cos(x^2) * 2x. At x^2 = pi/3 the cosine is 1/2, which gives x."""
    x = Value(math.sqrt(math.pi / 3.0))
    (x * x).sin().backward()
    assert x.grad == pytest.approx(x.data, rel=1e-14)


def test_the_gradients_of_a_two_layer_network():
    """y = 7 where 5 is right: dL/dy = 4. The second hidden neuron is inactive and gets 0."""
    first = layer([[1, 1], [1, -1]], [0, 0], "relu")
    second = layer([[2], [5]], [1], "linear")
    x = [Value(1.0), Value(2.0)]
    (y,) = second(first(x))
    L = (y - 5.0) ** 2
    L.backward()
    assert (L.data, y.grad) == (4.0, 4.0)
    assert (weights_of(second, "grad"), bias_of(second, "grad")) == ([[12.0], [0.0]], [4.0])
    assert (weights_of(first, "grad"), bias_of(first, "grad")) == (
        [[8.0, 0.0], [16.0, 0.0]],
        [8.0, 0.0],
    )
    assert [entry.grad for entry in x] == [8.0, 8.0]


def test_a_dense_layer_forward_and_backward():
    """dZ = dY * relu'(Z), dW = X^T dZ, db = the sum over the rows of dZ, dX = dZ W^T."""
    dY = [[1, 2, 3], [4, 5, 6]]
    inputs, dense = Matrix(X), layer(W, B, "relu")
    outputs = dense(inputs)
    assert outputs.data == [[6, 2, 0], [2, 0, 0]]
    (outputs * dY).sum().backward()  # a loss whose gradient by the outputs is dY
    # dZ = [[1, 2, 0], [4, 0, 0]]
    assert weights_of(dense, "grad") == [[13, 2, 0], [-2, 4, 0]]
    assert bias_of(dense, "grad") == [5, 2, 0]
    assert inputs.grad == [[1, 4], [4, 8]]


def test_a_complete_forward_and_backward_pass():
    """Predictions 7 and 3 where 5 and 4 are right; then a step of 0.01 against the gradients.

    dY = (2, -1), dW2 = (4, -2), db2 = 1, dZ1 = ((4, 0), (-2, 1)), dW1 = ((0, 2), (8, 0)),
    db1 = (2, 1). After the step the errors are 1.5172 and -1.0402.
    """
    model = nn.MLP(2, [2, 1])
    first, second = model.layers
    put(first, [[1, 1], [1, -1]], [0, 0])
    put(second, [[2], [-1]], [1])
    inputs, target = Matrix([[1, 2], [2, 0]]), Matrix([[5], [4]])
    loss = nn.mse(model(inputs), target)
    loss.backward()
    assert loss.data == 2.5
    assert (weights_of(second, "grad"), bias_of(second, "grad")) == ([[4], [-2]], [1])
    assert (weights_of(first, "grad"), bias_of(first, "grad")) == ([[0, 2], [8, 0]], [2, 1])
    nn.SGD(model, lr=0.01).step()
    assert nn.mse(model(inputs), target).data == pytest.approx(1.69195594, rel=1e-14)


# --- formula -> function -> test ------------------------------------------------------------------

HEADER = "| formula | function | test |"


def rows(text: str) -> list[list[str]]:
    """Return the cells of the only table with this header."""
    (table,) = re.findall(re.escape(HEADER) + r"\n\|[-| ]+\|\n((?:\|.*\|\n?)+)", text)
    return [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in table.splitlines()]


def in_the_notebook() -> str:
    content = (ROOT / "notebooks" / "0_the_two_documents.ipynb").read_text(encoding="utf-8")
    cells = json.loads(content)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def in_the_readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [in_the_notebook, in_the_readme])
def test_every_function_and_test_of_the_table_exists(text):
    table = rows(text())
    assert len(table) >= 16
    for formula, functions, tests in table:
        names = re.findall(r"\b(autograd|nn|Value)\.([\w.]*\w)", functions)
        assert names, f"{formula} names no function"
        for package, path in names:
            found: object = {"autograd": autograd, "nn": nn, "Value": Value}[package]
            for name in path.split("."):
                found = getattr(found, name)
        links = re.findall(r"\[`(\w+)`\]\((?:\.\./)?(tests/[\w/]+\.py)\)", tests)
        assert links, f"{formula} names no test"
        for name, file in links:
            assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), name
