"""A weighted sum is one node until it is looked into: then it is what the operators make."""

import copy
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter

import pytest

from autograd import Value, detect_anomaly, grad, no_grad
from autograd.backward import topological_order
from autograd.value import Constant, weighted_sum


def by_operators(weights, inputs, start=None):
    if start is None:
        start, weights, inputs = weights[0] * inputs[0], weights[1:], inputs[1:]
    for w, x in zip(weights, inputs, strict=True):
        start = start + w * x
    return start


def random_graph(seed, make):
    """Leaves and nodes in the order they were made; operands are anything made before."""
    draws = random.Random(seed)
    nodes = [Value(draws.uniform(-2, 2)) for _ in range(draws.randint(1, 5))]
    plain = [Constant(draws.uniform(-1, 1)) for _ in range(2)]
    for _ in range(draws.randint(1, 12)):
        kind = draws.random()
        if kind < 0.6:
            size = draws.randint(1, 6)
            weights = [draws.choice(nodes) for _ in range(size)]
            inputs = [draws.choice(nodes + plain) for _ in range(size)]
            start = draws.choice(nodes) if draws.random() < 0.5 else None
            nodes.append(make(weights, inputs, start))
        elif kind < 0.8:
            nodes.append(draws.choice(nodes).tanh())
        else:
            nodes.append(draws.choice(nodes) * draws.choice(nodes) + draws.choice(nodes))
    return nodes


def whole(output):
    """Everything about a graph but the identity of its nodes, to the last bit."""
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


@pytest.mark.parametrize("part", range(8))
def test_order_numbers_and_gradients_are_those_of_the_operators_to_the_bit(part):
    for seed in range(200 * part, 200 * part + 200):
        graphs = [random_graph(seed, make) for make in (by_operators, weighted_sum)]
        for nodes in graphs:
            nodes[-1].backward()
            if seed % 3 == 0:  # leaves accumulate, inner nodes do not
                nodes[seed % len(nodes)].backward()
                nodes[-1].backward()
        expected, found = ([node.grad.hex() for node in nodes] for nodes in graphs)
        assert found == expected
        expected, found = (whole(nodes[-1]) for nodes in graphs)
        assert found == expected


def test_higher_derivatives_and_anomalies_see_every_node():
    x, y = Value(0.5), Value(2.0)

    def curvature(make):
        (slope,) = grad(make([x, y], [x, x], y).tanh(), [x], create_graph=True)
        return grad(slope, [x, y])

    assert [g.data for g in curvature(weighted_sum)] == [g.data for g in curvature(by_operators)]
    out = weighted_sum([Value(1e-200), x], [Value(1e200), x]) * 1e150
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"mul\(1e-200, 1e\+200\)"):
        out.backward()


def test_the_numbers_stay_those_of_the_forward_pass():
    w, x, b = [Value(2.0), Value(3.0)], [Value(5.0), Value(7.0)], Value(1.0)
    out = weighted_sum(w, x, b)
    for leaf in (*w, *x, b):
        leaf.data = 0.0
    first, last = out.parents
    assert (out.data, first.data, last.data, first.parents[1].data) == (32.0, 11.0, 21.0, 10.0)
    assert first.parents[0] is b
    assert last.parents == (w[1], x[1])


def test_what_is_made_of_a_list_does_not_follow_it():
    w, x = [Value(2.0), Value(3.0)], [Value(5.0), Value(7.0)]
    first = w[0]
    out = weighted_sum(w, x)
    w[0] = Value(100.0)
    out.backward()
    assert (first.grad, w[0].grad) == (5.0, 0.0)


def test_a_label_stays_and_the_parts_have_none():
    out = weighted_sum([Value(1.0)] * 3, [Value(2.0)] * 3)
    out.label = "sum"
    assert [node.label for node in topological_order(out)] == [""] * 6 + ["sum"]
    assert {node.mode for node in topological_order(out) if node.op} == {out.mode}


def test_without_recording_there_is_a_number():
    with no_grad():
        out = weighted_sum([Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)])
    assert (out.data, out.parents) == (11.0, ())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copy_is_a_graph_of_its_own(again):
    out = weighted_sum([Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)], Value(5.0))
    assert whole(again(out)) == whole(out)


def test_a_wide_sum_of_nodes_that_were_not_seen_takes_time_in_proportion():
    """Each operand interrupts the sum: walking on from the start would take minutes."""
    size = 200_000
    out = weighted_sum([Value(1.0)] * size, [Value(1.0).tanh() for _ in range(size)])
    out.backward()
    assert out.data == pytest.approx(size * 0.7615941559557649)
    assert len(topological_order(out)) == 1 + size + size + size + size - 1


def test_threads_that_look_into_one_sum_find_one_graph():
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            out = weighted_sum([Value(1.0)] * 20, [Value(2.0)] * 20)
            assert len(set(pool.map(attrgetter("parents"), [out] * 8))) == 1
