"""Does the engine on one screen, which opens notebook 1, agree with the real one?

The test runs the notebook's cell. Both engines then build the same random graphs:
values must be equal, and gradients up to the rounding of their sums, because the order in which
contributions are added may differ.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import autograd

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "1_value_and_graph.ipynb"


def first_code_cell() -> str:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "code"))


CELL = first_code_cell()
SCREEN: dict[str, Any] = {}
exec(compile(CELL, "notebook 1", "exec"), SCREEN)

Node = Any  # a Value of either engine
Operation = Callable[[Node, Node], Node]

# Integers stay small integers: no rounding, so any order of addition gives the same gradient.
EXACT: list[Operation] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: -a,
    lambda a, b: (a - 1.0).relu() + b,
    lambda a, b: 2.0 * a,
    lambda a, b: 3.0 - a,
    lambda a, b: 1.0 + a,
    lambda a, b: a * b if abs(a.data * b.data) < 100.0 else -b,
    lambda a, b: (a - b) ** 2 if abs(a.data - b.data) < 10.0 else b,
]
# Operands are kept moderate, so that neither a number nor a derivative loses its digits.
ROUNDED: list[Operation] = [
    lambda a, b: a + b,
    lambda a, b: a - 0.5 * b,
    lambda a, b: 1.5 - a,
    lambda a, b: (a * b).tanh(),
    lambda a, b: (0.5 * a.tanh()).exp(),
    lambda a, b: a / (2.0 + b.tanh()),
    lambda a, b: 2.0 / (3.0 + (a + b).tanh()),
    lambda a, b: (a.tanh() + 2.0) ** -1.5,
    lambda a, b: a.tanh() ** 3 + (b - a).relu(),
    lambda a, b: -a * b.tanh() * a.tanh(),
]


class Pair:
    """The same graph in both engines; any node may be an operand of several later ones."""

    def __init__(self, rng: random.Random, whole: bool) -> None:
        self.rng, self.operations = rng, EXACT if whole else ROUNDED
        numbers = [float(rng.randint(-3, 3)) if whole else rng.uniform(-1, 1) for _ in range(3)]
        self.screen: list[Node] = [SCREEN["Value"](number) for number in numbers]
        self.real: list[Node] = [autograd.Value(number) for number in numbers]
        self.sizes = dict.fromkeys(self.screen, 0.0)

    def grow(self, count: int) -> None:
        for _ in range(count):
            operation = self.rng.choice(self.operations)
            i, j = (self.rng.randrange(len(self.real)) for _ in range(2))
            for nodes in (self.screen, self.real):
                nodes.append(operation(nodes[i], nodes[j]))

    def backward(self) -> None:
        """Run backward from the same node in both engines."""
        i = self.rng.randrange(len(self.real))
        self.screen[i].backward()
        self.real[i].backward()
        for node, size in sizes_of_sums(self.screen[i]).items():
            self.sizes[node] = size + (0.0 if node.parents else self.sizes.get(node, 0.0))

    def zero_leaves(self) -> None:
        for nodes in (self.screen, self.real):
            for leaf in nodes[:3]:
                leaf.grad = 0.0

    def gradients(self) -> list[tuple[float, float, float]]:
        """Return (gradient on one screen, in the real engine, size of its sum) for each node."""
        return [
            (node.grad, other.grad, self.sizes.get(node, 0.0))
            for node, other in zip(self.screen, self.real, strict=True)
        ]


def sizes_of_sums(output: Node) -> dict[Node, float]:
    """Return for each node the sum of its absolute contributions, the scale of rounding errors."""
    sizes = dict.fromkeys(SCREEN["ancestors"](output), 0.0)
    sizes[output] = 1.0
    for node in sorted(sizes, key=lambda node: node.made, reverse=True):
        numbers = [parent.data for parent in node.parents]
        for k, parent in enumerate(node.parents):
            local = node.primitive.backward[k](node.data, *numbers)
            sizes[parent] += sizes[node] * abs(local)
    return sizes


def differentiated(seed: int, whole: bool) -> Pair:
    """Return a graph differentiated from several nodes, some twice, and extended in between."""
    rng = random.Random(seed)
    pair = Pair(rng, whole)
    for _ in range(4):
        pair.grow(rng.randint(1, 8))
        for _ in range(rng.randint(1, 2)):
            pair.backward()
        if rng.random() < 0.25:
            pair.zero_leaves()
            pair.sizes.update(dict.fromkeys(pair.screen[:3], 0.0))
    return pair


def test_integers_and_their_gradients_are_equal():
    for seed in range(100):
        pair = differentiated(seed, whole=True)
        assert [node.data for node in pair.screen] == [node.data for node in pair.real]
        for found, expected, size in pair.gradients():
            assert size < 2**53
            assert found == expected


def test_numbers_are_equal_and_gradients_up_to_the_rounding_of_their_sums():
    for seed in range(100):
        pair = differentiated(seed, whole=False)
        assert [node.data for node in pair.screen] == [node.data for node in pair.real]
        for found, expected, size in pair.gradients():
            assert math.isfinite(expected)
            assert abs(found - expected) <= 1e-12 * size


def test_the_random_graphs_share_nodes_and_use_every_primitive():
    """Otherwise the tests above could pass with a sweep that visits a node once for each use."""
    used, shared = set(), 0
    for whole in (True, False):
        nodes = [node for seed in range(100) for node in differentiated(seed, whole).screen]
        found = set().union(*(SCREEN["ancestors"](node) for node in nodes))
        used |= {node.primitive.name for node in found if node.parents}
        uses = [parent for node in found if node.parents for parent in node.parents]
        shared += len(uses) - len(set(uses))
    rows = [row.name for row in SCREEN.values() if isinstance(row, SCREEN["Primitive"])]
    assert sorted(used) == sorted(rows)
    assert shared > 1000


def test_backward_from_a_leaf_and_repeated_backward_agree():
    """d x / d x = 1, accumulated; (x * x) * (x * x) has the slope 4 x^3 = 32 at 2, and then 64."""
    for Value in (SCREEN["Value"], autograd.Value):
        x = Value(2.0)
        x.backward()
        x.backward()
        assert x.grad == 2.0
        x.grad = 0.0
        square = x * x
        fourth = square * square
        fourth.backward()
        assert (fourth.grad, square.grad, x.grad) == (1.0, 8.0, 32.0)
        fourth.backward()
        assert (fourth.grad, square.grad, x.grad) == (1.0, 8.0, 64.0)


def test_each_node_is_visited_once():
    """60 doublings have 2^60 paths to the leaf: a sweep along each of them would never end."""
    for Value in (SCREEN["Value"], autograd.Value):
        x = doubled = Value(1.0)
        for _ in range(60):
            doubled = doubled + doubled
        doubled.backward()
        assert x.grad == 2.0**60


def test_names_are_those_of_the_real_engine():
    """`data`, `grad`, `parents` and `primitive`, and the names of primitives."""
    x, y = SCREEN["Value"](3.0), autograd.Value(3.0)
    ours, theirs = ((v * 2.0).tanh() for v in (x, y))
    for word in ("data", "grad", "parents", "primitive"):
        assert hasattr(ours, word)
        assert hasattr(theirs, word)
    assert ours.primitive.name == theirs.primitive.name == "tanh"
    assert [parent.data for parent in ours.parents] == [parent.data for parent in theirs.parents]


def test_it_fits_on_one_screen():
    assert len(CELL.splitlines()) <= 75
    assert max(map(len, CELL.splitlines())) <= 100
