"""Does typical user code type-check? `test_types.py` gives it to mypy and pyright, and runs it.

Both check `assert_type`. Wrong calls have `type: ignore`; both type checkers report one that is not
needed, so it proves that the mistake is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sinh
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np

import autograd
import nn
from autograd import (
    Primitive,
    Value,
    detect_anomaly,
    draw,
    explain,
    grad,
    gradcheck,
    greater,
    hessian,
    jacobian,
    jit,
    maximum,
    no_grad,
    steps,
    where,
)

# --- values ---------------------------------------------------------------------------------------

x, w, b = Value(2.0, label="x"), Value(np.float32(-1.5), "w"), Value(3, "b")
loss = (x * w + b).tanh() ** 2
loss.backward()
assert_type(2 * x - 1 / w + (-b) ** 2 + 2**x + abs(x) / np.float64(3.0) - x.exp().log(), Value)
assert_type(x < 2, bool)
assert_type(x.grad, float)
assert_type(grad(loss, [w, b], create_graph=True), list[Value])
assert_type(jacobian((loss, x), (w, b)), list[list[Value]])
assert_type(hessian(loss, [w]), list[list[Value]])
with no_grad(), detect_anomaly():
    w.assign(w - 0.1 * w.grad)
draw([loss, x], edges=True).svg()
print(steps(loss)[0].name, explain(loss, "w"))

# --- primitives -----------------------------------------------------------------------------------

cube = Primitive("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
product = Primitive("product", lambda a, b: a * b, (lambda out, a, b: b, lambda out, a, b: a))
choice = Primitive("choice", lambda c, a, b: a if c else b, [None, lambda out, c, a, b: c, 1.0])
hyperbolic = Primitive("sinh", sinh, lambda out, x: (1.0 + out * out) ** 0.5)
assert_type(cube(x), Value)
assert_type(cube(2), float)
assert_type(product(2.0, cube(x)) * 2, Value)
assert_type(choice(1, 2.0, x), Value)
assert_type(where(greater(x, 0), x, 0.0) + maximum(1.0, w), Value)
assert_type(maximum(1.0, 2), float)
gradcheck(hyperbolic, [0.7], order=2)
gradcheck(lambda a, b: a * b.exp(), (0.7, x))

# --- the jit --------------------------------------------------------------------------------------

model = nn.MLP(2, [4, 1], activation=cube)
optimizer = nn.Adam(model, lr=0.03)
data = nn.data.moons(10)


@jit
def train_step(
    inputs: Sequence[Sequence[float]], targets: Sequence[int], *, scale: float = 1.0
) -> Value:
    """A training step."""
    loss = scale * nn.hinge([model(x) for x in inputs], targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@jit(check="always", static="n")
def power(v: Value, n: int) -> tuple[Value, float]:
    """A Value and a number."""
    return v**n, v.data


assert_type(train_step(data.inputs, data.targets), Value)
assert_type(train_step(((1.0, 2.0), (0.5, x.data)), (1, -1), scale=2), Value)
assert_type(power(x, n=2), tuple[Value, float])
assert_type(jit(lambda: x * 2)(), Value)
print(train_step.programs, train_step.__name__)

if TYPE_CHECKING:
    train_step("a text", [1])  # type: ignore
    train_step([[1.0]], [1], factor=2.0)  # type: ignore
    power(x)  # type: ignore
    power(x, 2).append(x)  # type: ignore
    jit(3)  # type: ignore
    cube("x")  # type: ignore
    x + "x"  # type: ignore

# --- networks -------------------------------------------------------------------------------------


class Line(nn.Module):
    """A user's module."""

    def __init__(self) -> None:
        self.slope, self.offset = Value(2.0), Value(1.0)

    def __call__(self, x: Value | float) -> Value:
        return self.slope * x + self.offset


assert_type(Line()(3), Value)
for name, parameter in Line().named_parameters():
    print(name.upper(), parameter.data)

vector = np.array([0.5, -1.0])
rows = np.ones((3, 2))
model([0.5, x]).backward()  # one output: a Value
first, second = nn.MLP(2, [3, 2])((0.5, -1.0))  # several: a list
nn.Sequential(nn.Linear(2, 3), nn.tanh, nn.LayerNorm(3))(vector)[0].backward()
assert_type(model([[0.5, -1.0], [1.0, x]]), nn.Matrix)
assert_type(nn.Neuron(2)(vector), Value)
linear = nn.Linear(2, 3)
assert_type(linear([1.0, 2]), list[Value])
assert_type(linear([(1.0, x)]), nn.Matrix)
assert_type(linear(nn.Matrix(rows)), nn.Matrix)
assert_type(linear(vector), Any)  # a list, or a Matrix for rows: the array's type is the same
assert_type(nn.relu(-1), Value)
assert_type(nn.relu([1.0, x]), list[Value])
assert_type(nn.relu([[1.0, x]]), nn.Matrix)
assert_type(nn.softmax((1.0, x)), list[Value])
assert_type(nn.norm([3.0, 4.0]), Value)
nn.softmax(rows).sum().backward()
assert_type(nn.Matrix(rows) @ np.ones((2, 4)) - np.ones(4) + [1, 2, 3, 4] * 1, nn.Matrix)
assert_type(rows.T @ nn.Matrix(rows), nn.Matrix)
assert_type(nn.mse(model(rows), np.ones((3, 1))), Value)
assert_type(nn.cross_entropy_with_logits(linear([0.0, 1.0]), 2), Value)
assert_type(nn.mean([x, w]), Value)
history = nn.fit(model, (rows, [1, 1, -1]), nn.hinge, optimizer, epochs=1, progress=False)
assert_type(history.loss, list[float])

if TYPE_CHECKING:
    linear("a text")  # type: ignore
    linear([1.0, 2.0]).backward()  # type: ignore
    autograd.valeu(3)  # type: ignore
    nn.relUU(3)  # type: ignore
