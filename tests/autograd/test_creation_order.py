"""Does the backward pass visit nodes newest first, in order of creation, also in copies?"""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from autograd import Primitive, Value, grad, steps, topological_order
from autograd.clock import clock
from autograd.sums import weighted_sum

# The sum of 1e16, 1 and -1e16 depends on the order of addition: 1e16 + 1 is 1e16.
BIG, ONE = 1e16, 1.0


def three_uses(x: Value) -> list[Value]:
    """Return nodes, created in this order, that contribute 1e16, 1 and -1e16 to x."""
    return [x * BIG, x * ONE, x * -BIG]


def test_the_newest_node_contributes_first() -> None:
    """In whatever order the nodes are used: (-1e16 + 1) + 1e16 is 0."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        x = Value(1.0)
        uses = three_uses(x)
        total = uses[order[0]] + uses[order[1]] + uses[order[2]]
        total.backward()
        assert x.grad == (-BIG + ONE) + BIG == 0.0
        assert grad(total, [x])[0].data == 0.0
        assert [node.op for node in topological_order(total)[4:7]] == ["mul"] * 3


def test_nodes_and_steps_are_in_order_of_creation() -> None:
    x = Value(1.0)
    a = x.tanh()
    b = x.exp()
    c = a * 2.0
    total = b + c
    assert [node.op for node in topological_order(total)] == ["", "", "tanh", "exp", "mul", "add"]
    assert [step.name for step in steps(total)] == [
        *("v1", "v2", "v3", "v4"),
        *("v4", "v3", "v2", "v1"),
    ]
    assert topological_order(total)[2:] == [a, b, c, total]


def graph(seed: int) -> tuple[list[Value], Value]:
    """Return leaves and the output of a graph whose gradients depend on the order of addition."""
    draws = random.Random(seed)
    leaves = [Value(draws.uniform(0.5, 2.0)) for _ in range(4)]
    nodes = list(leaves)
    for _ in range(30):
        kind = draws.random()
        if kind < 0.2:
            weights = [draws.choice(nodes) for _ in range(8)]
            nodes.append(weighted_sum(weights, [draws.choice(nodes) for _ in range(8)]).tanh())
        elif kind < 0.6:
            nodes.append((draws.choice(nodes) * draws.choice(nodes)).tanh())
        else:
            nodes.append(draws.choice(nodes) - draws.choice(nodes) * draws.uniform(1e-9, 1e9))
    draws.shuffle(nodes)
    return leaves, weighted_sum(nodes, nodes)


def gradients(leaves: list[Value], output: Value) -> list[str]:
    for leaf in leaves:
        leaf.grad = 0.0
    output.backward()
    return [leaf.grad.hex() for leaf in leaves]


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_copies_have_the_same_gradients_to_the_last_bit(clone: Callable[..., object]) -> None:
    for seed in range(30):
        original = graph(seed)
        copied = clone(original)
        expected = gradients(*original)
        assert gradients(*copied) == expected  # type: ignore[misc]
        # Also after all weighted sums of the copy are unfolded.
        topological_order(copied[1])  # type: ignore[index]
        assert gradients(*copied) == expected  # type: ignore[misc]


MAKE = """
import pickle, sys
sys.path[:0] = [{tests!r}]
from test_creation_order import clock, gradients, graph
clock.pass_by({ahead})
leaves, output = graph({seed})
data = pickle.dumps((leaves, output))
print(data.hex(), *gradients(leaves, output))
"""


@pytest.mark.parametrize("ahead", [0, 10**6, 2**53, 10**30])
def test_a_pickle_from_another_process_has_the_same_gradients(ahead: int) -> None:
    """Also if its clock is far ahead; nodes computed from it here are newer."""
    made = Value(1.0)
    tests = __file__.rpartition("/")[0]
    found = subprocess.run(
        [sys.executable, "-c", MAKE.format(tests=tests, ahead=ahead, seed=3)],
        check=True,
        capture_output=True,
        text=True,
    )
    data, *expected = found.stdout.split()
    leaves, output = pickle.loads(bytes.fromhex(data))
    assert gradients(leaves, output) == expected
    assert clock.pass_by(-1.0) is None
    newer = output * made
    assert newer._made > output._made
    topological_order(newer)  # unfolds the sums
    assert gradients(leaves, newer) == expected
    assert made.grad == output.data
    # In the sum of a graph created here and the pickled one, each keeps its order.
    here, there = graph(3), (leaves, output)
    (here[1] + there[1]).backward()
    assert [leaf.grad.hex() for leaf in here[0]] == expected


def test_a_sum_with_a_huge_creation_number_unfolds_in_order() -> None:
    """The numbers are so large that there are no floats between two of them."""
    x = [Value(float(i)) for i in range(8)]
    out = weighted_sum(x, x, x[0])
    out._made = 2**60
    parts = [node for node in topological_order(out) if node.op]
    assert [node.op for node in parts] == ["mul", "add"] * 8
    assert len({node._made for node in parts}) == 16
    assert parts[-1] is out


def test_threads_that_share_a_leaf_lose_no_gradient() -> None:
    """Each thread differentiates its own graphs; `leaf.grad += ...` is not atomic in Python."""
    leaf = Value(1.0)
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(60):
            y = leaf
            for _ in range(20):
                y = y + leaf
            y.backward()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert leaf.grad == 4 * 60 * 21


def test_nodes_of_an_unfolded_sum_that_are_used_elsewhere_get_their_gradients() -> None:
    """An unfolded sum is the last of its additions, as if computed by operators, bit for bit."""

    def outcome(make: Callable[..., Value]) -> list[str]:
        weights = [Value(0.1 * i) for i in range(1, 9)]
        inputs = [Value(0.7 / i) for i in range(1, 9)]
        out = make(weights, inputs, Value(0.3))
        out.backward()
        product = out.parents[1]
        (out * product + out.parents[0].tanh()).backward()
        return [v.grad.hex() for v in (*weights, *inputs, out, product, *out.parents)]

    def by_operators(weights: list[Value], inputs: list[Value], start: Value) -> Value:
        for w, x in zip(weights, inputs, strict=True):
            start = start + w * x
        return start

    assert outcome(weighted_sum) == outcome(by_operators)


def test_nodes_unfolded_during_a_pass_have_its_gradients_afterwards() -> None:
    weights = [Value(float(i)) for i in range(8)]
    out = weighted_sum(weights, weights)
    looked = []

    def slope(y: float, x: float) -> float:
        looked.append(out.parents)
        return 2.0

    Primitive("probe", lambda x: 2.0 * x, slope)(out).backward()
    assert [node.grad for node in looked[0]] == [2.0, 2.0]
    assert [w.grad for w in weights] == [4.0 * w.data for w in weights]


def test_a_rule_may_run_backward_on_another_graph() -> None:
    x = Value(3.0)

    def slope(out: float, number: float) -> float:
        inner = Value(number)
        (inner * inner).backward()
        return inner.grad

    square = Primitive("square", lambda number: number * number, slope)
    square(x * 1.0).backward()
    assert x.grad == 6.0


def test_a_rule_that_runs_backward_on_its_own_graph_is_rejected() -> None:
    """It would reset gradients that the outer pass still needs."""
    x = Value(3.0, "x")
    middle = x * 2.0
    rule = Primitive("rule", lambda number: number, lambda out, number: middle.backward() or 1.0)
    output = rule(middle)
    with pytest.raises(RuntimeError, match=r"use grad\(\), which touches no .grad"):
        output.backward()
    assert (x.grad, middle.grad, output.grad) == (0.0, 0.0, 0.0)


def test_a_rejected_nested_pass_leaves_unfolded_sums_of_the_outer_pass_intact() -> None:
    weights = [Value(float(i)) for i in range(8)]
    out = weighted_sum(weights, weights)

    def slope(y: float, x: float) -> float:
        assert len(out.parents) == 2
        with pytest.raises(RuntimeError, match="use grad"):
            (out * 1.0).backward()
        return 1.0

    Primitive("rule", lambda x: x, slope)(out).backward()
    assert [w.grad for w in weights] == [2.0 * w.data for w in weights]


@pytest.mark.parametrize("operands", [1, 2, 3])
def test_a_rule_may_add_to_the_gradient_of_a_leaf_of_its_graph(operands: int) -> None:
    """6 from p * p inside the rule, and 1 through the rule, for each operand."""
    p = Value(3.0)

    def rule(out: float, *numbers: float) -> float:
        (p * p).backward()
        return 1.0

    first = Primitive("first", lambda *numbers: numbers[0], [rule] * operands)
    first(*[p] * operands).backward()
    assert p.grad == 7.0 * operands


def test_threads_that_advance_the_clock_never_turn_it_back() -> None:
    """One thread is stopped between reading the clock and setting it."""
    inside, go = threading.Event(), threading.Event()

    class Slow(int):
        def __int__(self) -> int:
            inside.set()
            go.wait(0.3)  # the other thread waits for us, or has finished already
            return int.__int__(self)

    far = next(clock.numbers) + 10**12
    slow = threading.Thread(target=lambda: clock.pass_by(Slow(far)))
    slow.start()
    inside.wait()
    fast = threading.Thread(target=lambda: (clock.pass_by(far * 1000), go.set()))
    fast.start()
    slow.join()
    fast.join()
    assert next(clock.numbers) > far * 1000


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs SIGALRM")
def test_a_signal_handler_may_run_backward_and_unfold_sums_at_any_time() -> None:
    """A walk is repeated if another one interrupted it and marked its nodes."""
    x = Value(1.0)
    graphs, passes, looks = [x], [0], [0]

    def handler(*_: object) -> None:
        with contextlib.suppress(RuntimeError):  # if that pass is under way
            graphs[0].backward()
            passes[0] += 1
        weighted_sum([x] * 500, [x] * 500).parents[0].parents[0]
        looks[0] += 1
        if looks[0] < 150:
            signal.setitimer(signal.ITIMER_REAL, 1e-3)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-3)
        while looks[0] < 150:
            y = x
            for _ in range(1000):
                y = (y + x) * 0.5
            graphs[0] = y
            x.grad, passes[0] = 0.0, 0
            y.backward()
            assert x.grad == 1.0 + passes[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_can_run_backward_though_a_pass_was_under_way() -> None:
    waiting, done = threading.Event(), threading.Event()

    def rule(out: float, x: float) -> float:
        waiting.set()
        done.wait()
        return 1.0

    slow = Primitive("slow", lambda x: x, rule)
    thread = threading.Thread(target=slow(Value(1.0)).backward)
    thread.start()
    waiting.wait()
    child = os.fork()
    if child == 0:
        x = Value(3.0)
        (x * x).backward()
        os._exit(0 if x.grad == 6.0 else 1)
    for _ in range(200):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        status = -1
    done.set()
    thread.join()
    assert status == 0


def test_a_thread_may_read_parents_while_a_pass_settles_the_sum() -> None:
    found: list[tuple[Value, ...]] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            weights = [Value(float(i)) for i in range(8)]
            out = weighted_sum(weights, weights)
            assert len(out.parents) == 2  # unfolds the sum, so that the next pass settles it
            looks = threading.Thread(target=lambda out=out: found.extend([out.parents] * 20))
            looks.start()
            out.backward()
            looks.join()
            assert [w.grad for w in weights] == [2.0 * w.data for w in weights]
            assert set(found[-20:]) == {out.parents}
    finally:
        sys.setswitchinterval(interval)
    assert len(found) == 200 * 20
