"""Is a weighted sum one node until it is unfolded, and then the graph that operators create?"""

import copy
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from operator import attrgetter

import numpy as np
import pytest

from autograd import Primitive, Value, detect_anomaly, grad, no_grad
from autograd.backward import topological_order
from autograd.sums import WEIGHTED_SUM, _between, weighted_sum
from autograd.value import constant
from tests.examples import examples


def by_operators(weights, inputs, start=None):
    if start is None:
        start, weights, inputs = weights[0] * inputs[0], weights[1:], inputs[1:]
    for w, x in zip(weights, inputs, strict=True):
        start = start + w * x
    return start


def random_graph(seed, make):
    """Return leaves and nodes in order of creation; operands are any earlier nodes."""
    draws = random.Random(seed)
    nodes = [Value(draws.uniform(-2, 2)) for _ in range(draws.randint(1, 5))]
    plain = [constant(draws.uniform(-1, 1)) for _ in range(2)]
    for _ in range(draws.randint(1, 12)):
        kind = draws.random()
        if kind < 0.6:
            size = draws.randint(1, 12)
            weights = [draws.choice(nodes) for _ in range(size)]
            inputs = [draws.choice(nodes + plain) for _ in range(size)]
            start = draws.choice(nodes) if draws.random() < 0.5 else None
            nodes.append(make(weights, inputs, start))
        elif kind < 0.8:
            nodes.append(draws.choice(nodes).tanh())
        else:
            nodes.append(draws.choice(nodes) * draws.choice(nodes) + draws.choice(nodes))
    return nodes


def described(output):
    """Return everything about a graph except the identity of its nodes, to the last bit."""
    order = topological_order(output)
    place = {node: i for i, node in enumerate(order)}
    return [
        (
            type(node),
            node.op,
            node.label,
            node.data.hex(),
            node.grad.hex(),
            [place[p] for p in node.parents],
        )
        for node in order
    ]


def test_order_data_and_gradients_equal_those_of_operators_to_the_last_bit():
    for seed in range(examples(1600)):
        graphs = [random_graph(seed, make) for make in (by_operators, weighted_sum)]
        for nodes in graphs:
            nodes[-1].backward()
            if seed % 3 == 0:  # leaves accumulate, inner nodes do not
                nodes[seed % len(nodes)].backward()
                nodes[-1].backward()
        expected, found = ([node.grad.hex() for node in nodes] for nodes in graphs)
        assert found == expected, seed
        expected, found = (described(nodes[-1]) for nodes in graphs)
        assert found == expected, seed


def eight():
    """Return weights, inputs and start of a sum that is wide enough to be one node."""
    return [Value(i + 1.0) for i in range(8)], [Value(0.5 * i) for i in range(8)], Value(3.0)


def test_higher_derivatives_and_anomaly_detection_see_every_node():
    def curvature(make):
        weights, inputs, start = eight()
        x = inputs[3]
        (slope,) = grad((make([*weights, x], [*inputs, x], start) * 0.01).tanh(), [x], True)
        return grad(slope, [x, *weights])

    assert [g.data for g in curvature(weighted_sum)] == [g.data for g in curvature(by_operators)]
    weights, inputs, start = eight()
    weights[2].data, inputs[2].data = 1e-200, 1e200
    out = weighted_sum(weights, inputs, start) * 1e150
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"mul\(1e-200, 1e\+200\)"):
        out.backward()


def test_an_unfolded_sum_keeps_the_numbers_of_the_forward_pass():
    weights, inputs, start = eight()
    expected = by_operators(weights, inputs, start)
    out = weighted_sum(weights, inputs, start)
    for leaf in (*weights, *inputs, start):
        leaf.data = 0.0
    before = [node.data for node in topological_order(expected) if node.op]
    assert [node.data for node in topological_order(out) if node.op] == before
    assert out.parents[1].parents == (weights[7], inputs[7])


def test_a_sum_is_not_affected_by_later_changes_of_its_lists():
    weights, inputs, _ = eight()
    first = weights[0]
    inputs[0].data = 5.0
    out = weighted_sum(weights, inputs)
    weights[0] = Value(100.0)
    out.backward()
    assert (first.grad, weights[0].grad) == (5.0, 0.0)


def test_unfolding_keeps_the_label_and_gives_the_parts_none():
    out = weighted_sum(*eight())
    out.label = "sum"
    assert [node.label for node in topological_order(out)] == [""] * (17 + 15) + ["sum"]
    assert {node.context for node in topological_order(out) if node.op} == {out.context}


@pytest.mark.parametrize("operands", [eight(), eight()[:2], ([Value(-0.0)], [Value(1.0)])])
def test_inside_no_grad_the_sum_is_a_leaf(operands):
    with no_grad():
        out = weighted_sum(*operands)
    assert (str(out.data), out.parents) == (str(by_operators(*operands).data), ())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_deep_copy_equals_the_sum(again):
    out = weighted_sum(*eight())
    assert described(again(out)) == described(out)


def test_a_shallow_copy_has_the_same_parents():
    out = weighted_sum(*eight())
    assert copy.copy(out).parents == out.parents


@pytest.mark.parametrize("make", [weighted_sum, by_operators])
def test_the_parents_of_a_sum_receive_the_gradients_of_all_its_copies(make):
    out = make(*eight())
    (out + 2.0 * copy.copy(out)).backward()
    assert [parent.grad for parent in out.parents] == [3.0, 3.0]


def test_assigning_the_gradient_of_a_sum_does_not_change_those_of_its_parts():
    """As in a sweep written by hand, from the output down, in lessons about backpropagation."""
    out = weighted_sum(*eight())
    out.grad = 1.0
    assert [parent.grad for parent in out.parents] == [0.0, 0.0]
    out = weighted_sum(*eight())
    out.backward()
    out.grad = 0.0
    assert [parent.grad for parent in out.parents] == [1.0, 1.0]


def test_unfolding_during_a_backward_pass_changes_nothing():
    weights, inputs, start = eight()
    out = weighted_sum(weights, inputs, start)

    def slope(y, x):
        assert len(out.parents) == 2
        return 2.0

    Primitive("probe", lambda x: 2.0 * x, slope)(out).backward()
    assert [w.grad for w in weights] == [2.0 * x.data for x in inputs]
    assert start.grad == 2.0


def test_an_error_in_a_backward_pass_changes_no_gradient_of_the_parts():
    weights, inputs, start = eight()
    out = weighted_sum(weights, inputs, start)
    (out * 3.0).backward()
    with pytest.raises(ZeroDivisionError):
        (out * 5.0 + weighted_sum(weights, inputs, Value(0.0).sqrt())).backward()
    assert {node.grad for node in topological_order(out) if node.op} == {3.0}
    assert start.grad == 3.0


def test_numbers_of_other_types_become_floats_as_with_operators():
    graphs = [eight() for _ in range(2)]
    for weights, _, start in graphs:
        weights[1].data, start.data = np.float32(0.1), np.float32(0.3)
    expected, found = (
        make(*graph) for make, graph in zip((by_operators, weighted_sum), graphs, strict=True)
    )
    assert [float(n.data).hex() for n in topological_order(found)] == [
        float(n.data).hex() for n in topological_order(expected)
    ]
    assert type(found.data) is float


def test_a_wide_sum_of_unvisited_nodes_takes_linear_time():
    """Each operand interrupts the walk of the sum: starting over each time would take minutes."""
    size = 100_000
    out = weighted_sum([Value(1.0)] * size, [Value(1.0).tanh() for _ in range(size)])
    out.backward()
    assert out.data == pytest.approx(size * 0.7615941559557649)
    assert len(topological_order(out)) == 1 + size + size + size + size - 1


def test_threads_that_unfold_one_sum_get_the_same_nodes():
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            out = weighted_sum(*eight())
            assert len(set(pool.map(attrgetter("parents"), [out] * 8))) == 1


class Doubled(Value):
    """A subclass with its own product and sum."""

    def __mul__(self, other):
        return super().__mul__(other) * 2.0

    __rmul__ = __mul__

    def __add__(self, other):
        return super().__add__(other) + 1.0


@pytest.mark.parametrize("recording", [nullcontext, no_grad])
@pytest.mark.parametrize("foreign", ["weights", "inputs", "start", "none"])
def test_operators_of_a_subclass_are_called_wherever_it_is_an_operand(foreign, recording):
    def operands():
        weights, inputs, start = eight()
        if foreign == "start":
            return weights, inputs, Doubled(3.0)
        if foreign != "none":
            {"weights": weights, "inputs": inputs}[foreign][4] = Doubled(7.0)
        return weights, inputs, start

    with recording():
        assert weighted_sum(*operands()).data == by_operators(*operands()).data


@pytest.mark.parametrize("recording", [nullcontext, no_grad])
@pytest.mark.parametrize("number", [300, 7])
def test_weights_and_inputs_must_have_the_same_length(number, recording):
    ones = [Value(1.0) for _ in range(number)]
    with recording():
        total = weighted_sum(ones, ones)
        assert total.data == number
        assert total._primitive is WEIGHTED_SUM or recording is no_grad
        for weights, inputs in ((ones[1:], ones), (ones, ones[1:])):
            with pytest.raises(ValueError, match="zip"):
                weighted_sum(weights, inputs)


@pytest.mark.parametrize("made", [1, 2**20, 2**49, 2**53, 2**70])
@pytest.mark.parametrize("count", [11, 64, 1001])
def test_creation_numbers_of_parts_increase_up_to_that_of_the_sum(made, count):
    """Even if the number of the sum is so large that floats near it are integers, or even ones."""
    found = _between(made, count)
    assert len(found) == len(set(found)) == count
    assert found == sorted(found)
    assert made - 1 < found[0]
    assert found[-1] == made
