"""Do gradients of random graphs agree with forward mode, which shares no code with them?"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import Value, grad, hessian, maximum, minimum, topological_order, where
from tests.examples import examples

# --- forward mode: Taylor series along a line, to second order ------------------------------------


@dataclass
class Taylor:
    """f(t) = c[0] + c[1] t + c[2] t^2 / 2, with the derivatives c, and the size of their terms.

    `size` sums the absolute terms of each derivative: rounding errors are relative to it.
    """

    c: tuple[float, float, float]
    size: tuple[float, float, float]

    @staticmethod
    def of(x: float, direction: float = 0.0) -> Taylor:
        return Taylor((x, direction, 0.0), (abs(x), abs(direction), 0.0))

    def through(self, f0: float, f1: float, f2: float) -> Taylor:
        """Compose with a function of value f0, slope f1 and second derivative f2.

        A rounding error of the argument is multiplied by f1 in f0, by f2 in f1, and in f2 by the
        third derivative, which for the functions below is of the size of the first two.
        """
        (_, u, w), (s, su, sw) = self.c, self.size
        g0, g1 = abs(f0) + abs(f1) * s, abs(f1) + abs(f2) * s
        g2 = abs(f2) + (abs(f1) + abs(f2)) * s
        size = (g0, g1 * su, g2 * su * su + g1 * sw)
        return Taylor((f0, f1 * u, f2 * u * u + f1 * w), size)

    def scaled(self, k: float) -> Taylor:
        return Taylor(tuple(k * a for a in self.c), tuple(abs(k) * a for a in self.size))

    def plus(self, other: Taylor) -> Taylor:
        return Taylor(
            tuple(a + b for a, b in zip(self.c, other.c, strict=True)),
            tuple(a + b for a, b in zip(self.size, other.size, strict=True)),
        )

    def times(self, other: Taylor) -> Taylor:
        def leibniz(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
            return (
                a[0] * b[0],
                a[1] * b[0] + a[0] * b[1],
                a[2] * b[0] + 2 * a[1] * b[1] + a[0] * b[2],
            )

        return Taylor(leibniz(self.c, other.c), leibniz(self.size, other.size))


def t_tanh(x: Taylor) -> Taylor:
    t, slope = math.tanh(x.c[0]), math.cosh(min(abs(x.c[0]), 350.0)) ** -2
    return x.through(t, slope, -2 * t * slope)


def t_sigmoid(x: Taylor) -> Taylor:
    """(1 + tanh(x / 2)) / 2"""
    return t_shift(t_tanh(x.scaled(0.5)), 1).scaled(0.5)


def t_softplus(x: Taylor) -> Taylor:
    s = 1 / (1 + math.exp(-x.c[0]))
    return x.through(math.log(1 + math.exp(x.c[0])), s, s * (1 - s))


def t_erf(x: Taylor) -> Taylor:
    slope = 2 / math.sqrt(math.pi) * math.exp(-(x.c[0] ** 2))
    return x.through(math.erf(x.c[0]), slope, -2 * x.c[0] * slope)


def t_power(x: Taylor, p: float) -> Taylor:
    a = x.c[0]
    return x.through(a**p, p * a ** (p - 1), p * (p - 1) * a ** (p - 2))


def t_log(x: Taylor) -> Taylor:
    a = x.c[0]
    return x.through(math.log(a), 1 / a, -1 / a**2)


def t_exp(x: Taylor) -> Taylor:
    e = math.exp(x.c[0])
    return x.through(e, e, e)


def t_choice(first: bool, tie: bool, a: Taylor, b: Taylor) -> Taylor:
    if tie:
        return a.scaled(0.5).plus(b.scaled(0.5))
    return a if first else b


# Each operation on Values and on Taylor series. All take two operands; those that grow fast are
# wrapped so that numbers stay moderate in expressions of any length.
OPERATIONS: list[tuple[Callable[[Any, Any], Any], Callable[[Taylor, Taylor], Taylor]]] = [
    (lambda a, b: a + b, lambda a, b: a.plus(b)),
    (lambda a, b: a - 0.5 * b, lambda a, b: a.plus(b.scaled(-0.5))),
    (lambda a, b: -b, lambda a, b: b.scaled(-1)),
    (lambda a, b: a * b.sin(), lambda a, b: a.times(t_sin(b))),
    (lambda a, b: (a * b).tanh(), lambda a, b: t_tanh(a.times(b))),
    (lambda a, b: a / (2 + b.cos()), lambda a, b: a.times(t_power(t_shift(t_cos(b), 2), -1))),
    (lambda a, b: (a + b).sigmoid(), lambda a, b: t_sigmoid(a.plus(b))),
    (lambda a, b: a.tanh().softplus() * b, lambda a, b: t_softplus(t_tanh(a)).times(b)),
    (lambda a, b: (1 + b * b).sqrt(), lambda a, b: t_power(t_shift(b.times(b), 1), 0.5)),
    (lambda a, b: (a * a).log1p(), lambda a, b: t_log(t_shift(a.times(a), 1))),
    (
        lambda a, b: (2 + a.sin()).log() - b,
        lambda a, b: t_log(t_shift(t_sin(a), 2)).plus(b.scaled(-1)),
    ),
    (lambda a, b: a.tanh().exp(), lambda a, b: t_exp(t_tanh(a))),
    (lambda a, b: b.sin().expm1(), lambda a, b: t_shift(t_exp(t_sin(b)), -1)),
    (lambda a, b: a.erf(), lambda a, b: t_erf(a)),
    (lambda a, b: a.tanh() ** 3, lambda a, b: t_power(t_tanh(a), 3)),
    (
        lambda a, b: (1.5 + a.sin()) ** b.tanh(),
        lambda a, b: t_exp(t_log(t_shift(t_sin(a), 1.5)).times(t_tanh(b))),
    ),
    (lambda a, b: a.relu(), lambda a, b: a if a.c[0] > 0 else a.scaled(0.0)),
    (lambda a, b: abs(b), lambda a, b: b.scaled((b.c[0] > 0) - (b.c[0] < 0))),
    (maximum, lambda a, b: t_choice(a.c[0] > b.c[0], a.c[0] == b.c[0], a, b)),
    (minimum, lambda a, b: t_choice(a.c[0] < b.c[0], a.c[0] == b.c[0], a, b)),
    (lambda a, b: where(a > b, a, 2 * b), lambda a, b: a if a.c[0] > b.c[0] else b.scaled(2)),
]


def t_sin(x: Taylor) -> Taylor:
    s, c = math.sin(x.c[0]), math.cos(x.c[0])
    return x.through(s, c, -s)


def t_cos(x: Taylor) -> Taylor:
    s, c = math.sin(x.c[0]), math.cos(x.c[0])
    return x.through(c, -s, -c)


def t_shift(x: Taylor, k: float) -> Taylor:
    return x.plus(Taylor.of(k))


# --- random programs ------------------------------------------------------------------------------

Step = tuple[
    int, int, int
]  # operation, and the two earlier results it takes, counted from the last

steps = st.tuples(
    st.integers(0, len(OPERATIONS) - 1), st.integers(0, 30), st.integers(0, 30) | st.just(-1)
)
programs = st.lists(steps, min_size=1, max_size=25)
numbers = st.integers(-40, 40).map(lambda n: n / 16)  # coarse, so that ties and zeros occur
points = st.tuples(numbers, numbers, numbers)


def run(program: Sequence[Step], leaves: Sequence[Any], which: int) -> Any:
    """Return the last result. A second operand of -1 means the same node as the first."""
    results = list(leaves)
    for operation, i, j in program:
        a = results[-1 - i % len(results)]
        b = a if j == -1 else results[-1 - j % len(results)]
        results.append(OPERATIONS[operation][which](a, b))
    return results[-1]


def along(direction: Sequence[float], rows: Sequence[Sequence[Value]]) -> float:
    """d^T H d"""
    return sum(
        d * entry.data * e
        for d, row in zip(direction, rows, strict=True)
        for e, entry in zip(direction, row, strict=True)
    )


def check_against_forward_mode(
    program: Sequence[Step], point: Sequence[float], direction: Sequence[float]
) -> None:
    """Check value, gradient (axis by axis), and d^T H d for a direction d."""
    leaves = [Value(x) for x in point]
    output = run(program, leaves, 0)
    gradients = grad(output, leaves)
    tolerance = 1e-13 * (10 + len(program))
    for i, gradient in enumerate(gradients):
        axis = [1.0 if j == i else 0.0 for j in range(len(point))]
        series = run(program, [Taylor.of(*xd) for xd in zip(point, axis, strict=True)], 1)
        assert abs(output.data - series.c[0]) <= tolerance * (1 + series.size[0])
        assert abs(gradient.data - series.c[1]) <= tolerance * (series.size[1] + 1e-300)
    rows = hessian(output, leaves)
    series = run(program, [Taylor.of(*xd) for xd in zip(point, direction, strict=True)], 1)
    curvature = along(direction, rows)
    # Entries may cancel along the direction: the size is that of all their terms.
    size = (
        run(program, [Taylor.of(x, 1.0) for x in point], 1).size[2]
        * max(1.0, *map(abs, direction)) ** 2
    )
    assert abs(curvature - series.c[2]) <= tolerance * (size + 1e-300)


@settings(max_examples=examples(300), deadline=None)
@given(programs, points, points)
def test_gradient_and_hessian_agree_with_forward_mode(
    program: list[Step], point: tuple[float, ...], direction: tuple[float, ...]
) -> None:
    check_against_forward_mode(program, point, direction)


@settings(max_examples=examples(150), deadline=None)
@given(programs, points)
def test_the_hessian_is_symmetric_and_equals_the_gradient_of_the_gradient(
    program: list[Step], point: tuple[float, ...]
) -> None:
    leaves = [Value(x) for x in point]
    output = run(program, leaves, 0)
    rows = [[entry.data for entry in row] for row in hessian(output, leaves)]
    size = run(program, [Taylor.of(x, 1.0) for x in point], 1).size[2]
    for i, slope in enumerate(grad(output, leaves, create_graph=True)):
        for j in range(len(leaves)):
            assert abs(rows[i][j] - rows[j][i]) <= 1e-12 * (size + 1e-300)
            leaves[j].grad = 0.0
        slope.backward()  # the float sweep, on a graph made by the sweep on Values
        assert [leaf.grad for leaf in leaves] == rows[i]


@settings(max_examples=examples(150), deadline=None)
@given(programs, points)
def test_backward_and_grad_agree_to_the_last_bit_at_every_node(
    program: list[Step], point: tuple[float, ...]
) -> None:
    leaves = [Value(x) for x in point]
    output = run(program, leaves, 0)
    output.backward()
    # By all nodes, then by the leaves only: the choice of inputs must not change the numbers.
    nodes = [n for n in topological_order(output) if n.parents or n in leaves]
    for inputs in (nodes, leaves):
        for create_graph in (False, True):
            gradients = grad(output, inputs, create_graph)
            assert [g.data for g in gradients] == [node.grad for node in inputs]


@settings(max_examples=examples(100), deadline=None)
@given(programs, points)
def test_differentiating_does_not_change_the_graph(
    program: list[Step], point: tuple[float, ...]
) -> None:
    leaves = [Value(x) for x in point]
    output = run(program, leaves, 0)
    order = topological_order(output)
    before = [node.data for node in order]
    output.backward()
    hessian(output, leaves)
    assert topological_order(output) == order
    assert [node.data for node in order] == before


def test_deep_graphs_agree_with_forward_mode() -> None:
    """Chains of 3000 steps, each on the last result and an input or a recent result.

    The operations are those that neither explode nor vanish along a chain.
    """
    rng = random.Random(0)
    lasting = [1, 3, 4, 5, 16, 17, 18, 19]
    for _ in range(3):
        program = []
        for done in range(3000):
            far = done + rng.randrange(3)  # one of the three inputs, which keeps the chain alive
            program.append((0, 0, far) if done % 2 else (3, far, 0))
            if done % 7 == 0:
                program[-1] = (rng.choice(lasting), rng.randrange(2), 0)
        point = [rng.uniform(-2, 2) for _ in range(3)]
        direction = [0.5, -1.0, 0.25]
        leaves = [Value(x) for x in point]
        output = run(program, leaves, 0)
        slope = sum(d * g.data for d, g in zip(direction, grad(output, leaves), strict=True))
        curvature = along(direction, hessian(output, leaves))
        series = run(program, [Taylor.of(*xd) for xd in zip(point, direction, strict=True)], 1)
        assert abs(series.c[1]) > 0.1  # the chain is alive
        assert (output.data, slope, curvature) == pytest.approx(series.c, rel=1e-11)


def test_wide_graphs_agree_with_forward_mode() -> None:
    """A sum of 3000 terms, each a random operation on two of the inputs: fan-out of thousands."""
    rng = random.Random(1)
    smooth = [i for i in range(len(OPERATIONS)) if i not in (0, 1, 2)]
    chosen = [(rng.choice(smooth), rng.randrange(3), rng.randrange(3)) for _ in range(3000)]
    point = [0.7, -1.3, 0.4]
    direction = [1.0, 0.5, -2.0]

    def total(leaves: Sequence[Any], which: int) -> Any:
        terms = [OPERATIONS[k][which](leaves[i], leaves[j]) for k, i, j in chosen]
        result = terms[0]
        for term in terms[1:]:
            result = OPERATIONS[0][which](result, term)
        return result

    leaves = [Value(x) for x in point]
    output = total(leaves, 0)
    series = total([Taylor.of(*xd) for xd in zip(point, direction, strict=True)], 1)
    gradient = [g.data for g in grad(output, leaves)]
    slope = sum(g * d for g, d in zip(gradient, direction, strict=True))
    assert abs(slope - series.c[1]) <= 1e-12 * series.size[1]
    curvature = along(direction, hessian(output, leaves))
    assert abs(curvature - series.c[2]) <= 1e-12 * series.size[2]
