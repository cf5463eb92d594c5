"""Is the state right whoever reads or changes it, and do changes from outside take effect?"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import functools
import gc
import pickle
import random
import sys
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from side_by_side import BACKENDS, HOW, comparable, same, same_or_refused, snapshot, values_of

import autograd.copies
import nn
from autograd import Primitive, Value, grad, hooks, no_grad
from autograd.jit import TraceError, jit
from autograd.jit.leaves import Linked, link
from autograd.sums import weighted_sum
from nn.matrix import total

Between = Callable[[Any], None]
XS, YS = [[1.0, -0.5], [0.3, 2.0], [-1.0, 0.7]], [1.0, -1.0, 1.0]


def training(rule: Callable[..., nn.Optimizer] = nn.Adam, **settings: Any) -> tuple[Any, Any]:
    """(a step, [model, optimizer])"""
    model = nn.MLP(2, [3, 1], "tanh")
    optimizer = rule(model, **{"lr": 0.05, **settings})

    def step(xs: Any, ys: Any) -> Value:
        loss = nn.mean((model(x) - y) ** 2 for x, y in zip(xs, ys, strict=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, [model, optimizer]


def replays(*runs: Any) -> int:
    """How often a jitted function was replayed; of several, the lowest count."""
    return min(sum(program.replays for program in run.programs) for run in runs)


def results_of(
    between: dict[int, Between],
    backend: str | None,
    check: str = "never",
    calls: int = 8,
    **how: Any,
) -> list[Any]:
    """Result and state of each call of a training step, with `between[k]` applied before call k.

    backend: None for eager, "mixed" to alternate eager and native.
    """
    nn.seed(0)
    step, state = training(**how)
    run = step
    if backend is not None:
        run = jit(step, backend="native" if backend == "mixed" else backend, check=check)
    seen = []
    for k in range(calls):
        if k in between:
            between[k](state)
        chosen = step if backend == "mixed" and k % 2 else run
        seen.append((comparable(chosen(XS, YS)), snapshot(state)))
    assert backend not in BACKENDS or replays(run) > 0
    return seen


def same_results(between: dict[int, Between], **how: Any) -> None:
    """Assert that eager, replayed and mixed calls give the same results."""
    expected = results_of(between, None, **how)
    for backend, check in (*HOW, ("mixed", "never")):
        found = results_of(between, backend, check, **how)
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert a == b, f"{backend}, {check}, call {k}"


def weight(state: Any) -> Value:
    return state[0].layers[0].neurons[0].w[0]


# --- numbers assigned from outside ----------------------------------------------------------------


def test_eager_steps_and_replays_mix_freely() -> None:
    same_results({})


def test_data_and_gradients_assigned_between_calls_take_effect() -> None:
    def change(state: Any) -> None:
        weight(state).data = 0.25
        weight(state).grad = 3.0
        weight(state).data += 1
        state[0].layers[1].neurons[0].b.assign(0.5, grad=-1.0)

    same_results({2: change, 5: change})


def test_gradients_accumulate_over_eager_and_replayed_backward() -> None:
    """Without zero_grad, a replay adds to what an eager backward left."""

    def make() -> tuple[Any, Any]:
        leaf = Value(2.0)

        def step(x: float) -> Value:
            loss = leaf * x
            loss.backward()
            return loss

        return step, leaf

    seen = {}
    for backend in (None, *BACKENDS):
        step, leaf = make()
        run = step if backend is None else jit(step, backend=backend, check="never")
        found = []
        for x in (1.0, 2.0, 3.0, -1.0, 0.5):
            run(x)
            (leaf * leaf).backward()
            found.append(leaf.grad)
            leaf.grad -= 0.5
            leaf.data += 0.125
        assert backend is None or replays(run) == 3
        seen[backend] = found
    assert seen["native"] == seen["numpy"] == seen[None]


def test_a_learning_rate_assigned_between_calls_takes_effect() -> None:
    def rate(number: Any) -> Between:
        return lambda state: setattr(state[1], "lr", number)

    same_results({2: rate(0.5), 4: rate(0.0), 5: rate(1), 6: rate(np.float64(0.1))})


def test_the_learning_rate_may_alternate_between_values_and_numbers() -> None:
    def rate(number: Any) -> Between:
        return lambda state: setattr(state[1], "lr", number)

    same_results({0: rate(Value(0.1)), 2: rate(0.5), 4: rate(Value(0.2)), 6: rate(Value(0.01))})


def test_assigning_the_learning_rate_inside_is_refused() -> None:
    def make() -> tuple[Any, Any]:
        leaf = Value(1.0)
        optimizer = nn.SGD([leaf], lr=0.5)

        def step(x: float) -> None:
            leaf.grad = x
            optimizer.lr = 0.1
            optimizer.step()
            optimizer.lr = 0.01
            optimizer.step()

        return step, [leaf, optimizer]

    same_or_refused(make, (1.0,), (2.0,), expected="refused")


def test_assigning_a_computed_learning_rate_inside_is_refused() -> None:
    def make() -> tuple[Any, Any]:
        leaf = Value(1.0)
        optimizer = nn.SGD([leaf], lr=0.5)

        def step(x: float) -> None:
            leaf.grad = 1.0
            optimizer.lr = 0.1 * x
            optimizer.step()

        return step, [leaf, optimizer]

    same_or_refused(make, (1.0,), (2.0,), expected="refused")


# --- which Values are parameters ------------------------------------------------------------------


class Keeper(nn.Module):
    """Keeps an average in a leaf that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        self.w = [Value(2.0), Value(-1.0)]
        with no_grad():
            self.average = Value(0.0, "average")

    def __call__(self, x: Any) -> Value:
        out = self.w[0] * x + self.w[1]
        with no_grad():
            self.average.assign(0.5 * self.average + 0.5 * out)
        return out


def test_writing_a_computed_leaf_does_not_make_it_a_parameter() -> None:
    def make() -> tuple[Any, Any]:
        model = Keeper()
        optimizer = nn.SGD(model, 0.1)

        def step(x: float) -> Value:
            loss = (model(x) - 1.0) ** 2 + nn.l2(0.1)(model)
            model.zero_grad()
            loss.backward()
            nn.clip_grad_norm(model, 1.0)
            optimizer.step()
            return loss

        return step, [model, optimizer, model.average]

    same(make, *[(0.5 * k,) for k in range(5)], replayed=True)
    step, (model, _, average) = make()
    run = jit(step)
    for _ in range(3):
        run(1.0)
    assert average.data != 0.0
    assert list(model.state_dict()) == ["w.0", "w.1"]


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_a_replayed_model_has_the_same_parameters(clone: Any) -> None:
    model = Keeper()
    run = jit(lambda x: model(x))
    for x in (1.0, 2.0, 3.0):
        run(x)
    assert replays(run) == 1
    for copied in (clone(model), no_grad()(clone)(model), Calls(clone)(model)):
        assert copied.state_dict() == model.state_dict()
        assert list(copied.state_dict()) == ["w.0", "w.1"]


class Calls(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def test_a_model_created_and_trained_inside_has_its_eager_parameters() -> None:
    class Fast(nn.Module):
        def __init__(self, start: Value) -> None:
            self.w, self.b = start.detach(), Value(0.5)

        def __call__(self, x: Any) -> Value:
            out = self.w * x + self.b
            self.last, self.cached = out.detach(), out
            with no_grad():
                self.average = out * 0.5
            return out

    def make() -> tuple[Any, Any]:
        start, rate = Value(2.0), Value(0.1)

        def function(x: float) -> Any:
            made = Calls(Fast)(start)
            slots = made.parameters()
            for _ in range(2):
                loss = (made(x) - 1.0) ** 2 + nn.l2(0.01)(made)
                for i, slope in enumerate(grad(loss, slots, create_graph=True)):
                    slots[i] = slots[i] - rate * slope
            end = (made(x) - 1.0) ** 2
            end.backward()
            return end, rate.grad, [name for name, _ in made.named_parameters()]

        return function, [start, rate]

    same(make, (1.0,), (2.0,), (0.25,), (0.5,), replayed=True)


# --- settings -------------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "momentum": ({"rule": nn.SGD, "momentum": 0.9}, [0.5, 0.9, 0.1]),
    "momentum from NumPy": ({"rule": nn.SGD, "momentum": 0.9}, [np.float64(0.5), np.float64(0.1)]),
    "nesterov": ({"rule": nn.SGD, "momentum": 0.9}, [True, False]),
    "weight_decay": ({"rule": nn.SGD}, [0.1, 0.0, 0.2, 1]),
    "alpha": ({"rule": nn.RMSProp}, [0.5, 0.9]),
    "eps": ({"rule": nn.RMSProp}, [1e-3, 0.1]),
    "betas": ({"rule": nn.Adam}, [(0.5, 0.5), (0.9, 0.999)]),
    "betas that are Values": ({"rule": nn.Adam}, [(Value(0.5), 0.5), (0.9, Value(0.9))]),
    "weight_decay of AdamW": ({"rule": nn.AdamW}, [0.5, 0.0]),
    "eps of Adagrad": ({"rule": nn.Adagrad}, [0.5, 0.01]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_an_optimizer_setting_changed_between_calls_takes_effect(name: str) -> None:
    how, numbers = SETTINGS[name]
    between = {
        2 * i + 2: lambda state, n=n: setattr(state[1], name.split()[0], n)
        for i, n in enumerate(numbers)
    }
    same_results(between, **how)


def test_a_momentum_that_is_a_value_is_read_at_each_call() -> None:
    momentum = Value(0.9)

    def change(number: float) -> Between:
        return lambda state: setattr(momentum, "data", number)

    same_results({0: change(0.9), 2: change(0.1), 5: change(0.5)}, rule=nn.SGD, momentum=momentum)


@pytest.mark.parametrize(
    ("rule", "name", "settings"),
    [(nn.SGD, "momentum", (0.9, 0.5)), (nn.Adam, "betas", ((0.9, 0.999), (0.5, 0.9)))],
)
def test_returning_to_earlier_settings_needs_no_re_recording(
    rule: Any, name: str, settings: tuple[Any, Any]
) -> None:
    step, (_, optimizer) = training(rule, **{name: settings[0]})
    run = jit(step)
    run(XS, YS)
    for _ in range(3):
        for setting in settings:
            setattr(optimizer, name, setting)
            run(XS, YS)
    assert [program.replays for program in run.programs] == [2, 2]


def test_a_setting_that_only_its_reader_sees_takes_effect(tmp_path: Path) -> None:
    file, w = tmp_path / "mode", Value(2.0)
    file.write_text("product")

    def step(x: float) -> Value:
        return w * x if hooks.fixed(file.read_text) == "product" else w + x

    run = jit(step, check="never")
    assert [run(x).data for x in (1.0, 2.0, 3.0)] == [2.0, 4.0, 6.0]
    file.write_text("sum")
    assert [run(x).data for x in (1.0, 2.0, 3.0)] == [3.0, 4.0, 5.0]
    assert [program.replays for program in run.programs] == [1, 2]


@pytest.mark.parametrize("usual", [0.9, 0.1])
def test_a_setting_that_is_changed_and_restored_inside_is_part_of_the_program(usual: float) -> None:
    def make() -> tuple[Any, Any]:
        nn.seed(0)
        step, state = training(nn.SGD, momentum=usual)

        def function(xs: Any, ys: Any) -> Value:
            state[1].momentum = 0.5
            loss = step(xs, ys)
            state[1].momentum = usual
            return loss

        return function, state

    same(make, *[(XS, YS)] * 6, replayed=True)


def test_settings_loaded_between_calls_take_effect() -> None:
    def load(state: Any) -> None:
        kept = state[1].state_dict()
        state[1].load_state_dict(kept | {"lr": 0.2, "settings": {"betas": [0.5, 0.6], "eps": 0.1}})

    same_results({3: load})


MODULES: dict[str, tuple[Callable[[], Any], Between]] = {
    "eval": (lambda: nn.Dropout(0.5), lambda m: m.eval()),
    "Dropout.p": (lambda: nn.Dropout(0.5), lambda m: setattr(m, "p", 0.9)),
    "Dropout.p = 0": (lambda: nn.Dropout(0.5), lambda m: setattr(m, "p", 0.0)),
    "BatchNorm.training": (lambda: nn.BatchNorm(8), lambda m: m.eval()),
    "BatchNorm.momentum": (lambda: nn.BatchNorm(8), lambda m: setattr(m, "momentum", 0.9)),
    "BatchNorm.eps": (lambda: nn.BatchNorm(8), lambda m: setattr(m, "eps", 0.5)),
    "LayerNorm.eps": (lambda: nn.LayerNorm(8), lambda m: setattr(m, "eps", 0.5)),
    "RMSNorm.eps": (lambda: nn.RMSNorm(8), lambda m: setattr(m, "eps", 0.5)),
    "Neuron.activation": (
        lambda: nn.Layer(8, 1, "tanh"),
        lambda m: setattr(m.neurons[0], "activation", Value.exp),
    ),
    "Sequential.parts": (lambda: nn.Sequential(nn.relu), lambda m: m.parts.append(nn.tanh)),
    "MLP.layers": (lambda: nn.MLP(8, [8] * 5), lambda m: m.layers.pop()),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_setting_changed_between_calls_takes_effect(name: str) -> None:
    """It triggers a new recording; replays never give the old results."""
    module, change = MODULES[name]

    def make() -> tuple[Any, Any]:
        model = module()
        return lambda rows: model(nn.Matrix(rows)), model

    rows = [[0.1 * i * j - 1.0 for i in range(8)] for j in range(4)]
    same_or_refused(make, (rows,), (rows,), expected="replayed", between=change)


def test_a_mode_changed_between_calls_holds_for_copies_made_inside() -> None:
    def make() -> tuple[Any, Any]:
        model = nn.Dropout(0.5)
        return lambda x: copy.deepcopy(model)([x])[0], model

    same_or_refused(make, (1.0,), (1.0,), expected="replayed", between=lambda m: m.eval())


def test_train_and_eval_in_turn_share_parameters_and_the_random_stream() -> None:
    def make() -> tuple[Any, Any]:
        model = nn.Sequential(nn.Layer(2, 6, "tanh"), nn.Dropout(0.5), nn.BatchNorm(6))
        return (lambda rows: model(nn.Matrix(rows))), model

    results = {}
    for backend in (None, *BACKENDS):
        nn.seed(3)
        predict, model = make()
        run = predict if backend is None else jit(predict, backend=backend, check="never")
        seen = []
        for k in range(12):
            model.train(k % 3 != 2)
            seen.append((comparable(run(XS)), snapshot(model), nn.rng.generator.random()))
        assert backend is None or replays(run) == 12 - 1 - 2
        results[backend] = seen
    assert results["native"] == results["numpy"] == results[None]


def test_dropout_draws_what_eager_calls_draw_over_many_calls() -> None:
    own = random.Random(5)
    streams = {}
    for backend, check in ((None, ""), *HOW):
        own.seed(1)
        nn.seed(1)
        layers = [nn.Dropout(0.4), nn.Dropout(0.7, generator=own)]
        leaf = Value(2.0)

        def predict(x: float, leaf: Value = leaf, layers: Any = layers) -> Any:
            return [part for layer in layers for part in layer([leaf * x] * 5)]

        run = predict if backend is None else jit(predict, backend=backend, check=check)
        streams[backend] = [comparable(run(1.0 + k)) for k in range(60)]
        assert backend is None or replays(run) == 60 - 2
        streams[backend].append([nn.rng.generator.random(), own.random()])
        assert len({str(s) for s in streams[backend][:10]}) == 10
    assert streams["native"] == streams["numpy"] == streams[None]


def test_replacing_the_generator_of_dropout_takes_effect() -> None:
    def make() -> tuple[Any, Any]:
        layer = nn.Dropout(0.5, generator=random.Random(0))
        return lambda x: layer([leaf * x for leaf in leaves]), layer

    leaves = [Value(1.0) for _ in range(8)]

    def change(layer: Any) -> None:
        layer._generator = random.Random(9)

    same_or_refused(make, (1.0,), (2.0,), expected="replayed", between=change)


# --- checkpoints ----------------------------------------------------------------------------------


def test_state_dict_and_load_state_dict_of_the_model_between_calls() -> None:
    kept: list[Any] = []

    def keep(state: Any) -> None:
        kept[:] = [state[0].state_dict()]

    same_results({2: keep, 5: lambda state: state[0].load_state_dict(kept[0])})


def test_state_dict_and_load_state_dict_of_the_optimizer_between_calls() -> None:
    """Resuming in place: moments and time go back to where they were."""
    for rule in (nn.Adam, nn.RMSProp, functools.partial(nn.SGD, momentum=0.9)):
        kept: list[Any] = []

        def keep(state: Any, kept: list[Any] = kept) -> None:
            kept[:] = [copy.deepcopy(state[1].state_dict())]

        same_results(
            {2: keep, 5: lambda state, kept=kept: state[1].load_state_dict(kept[0])}, rule=rule
        )


def test_save_and_load_between_calls(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    same_results({3: lambda state: state[0].save(path), 6: lambda state: state[0].load(path)})


def test_loading_an_invalid_state_dict_changes_nothing() -> None:
    step, state = training()
    run = jit(step)
    for _ in range(3):
        run(XS, YS)
    assert replays(run) == 1
    before = snapshot(state)
    for wrong in ({}, {"a": 1.0}, None):
        with pytest.raises(ValueError, match="state"):
            state[0].load_state_dict(wrong)
    assert snapshot(state) == before


def test_a_resumed_run_equals_an_uninterrupted_one() -> None:
    expected = results_of({}, None, calls=9)[-1]
    nn.seed(0)
    step, state = training()
    run = jit(step)
    for _ in range(4):
        run(XS, YS)
    saved, moments = state[0].state_dict(), state[1].state_dict()
    nn.seed(7)
    step, state = training()
    state[0].load_state_dict(saved)
    state[1].load_state_dict(moments)
    run = jit(step, backend="numpy", check="never")
    found = [(comparable(run(XS, YS)), snapshot(state)) for _ in range(5)]
    assert replays(run) == 3
    assert found[-1] == expected


# --- leaves that programs write to are Values like any other --------------------------------------


def replayed_leaf() -> Value:
    leaf = Value(2.0, "leaf")

    def step(x: float) -> Value:
        loss = leaf * x
        loss.backward()
        leaf.assign(leaf - 0.5 * leaf.grad)
        return loss

    run = jit(step)
    for _ in range(4):
        leaf.data, leaf.grad = 2.0, 0.0
        run(1.0)
    assert run.programs[0].replays == 2
    return leaf


def test_a_replayed_leaf_behaves_like_any_other_value() -> None:
    leaf = replayed_leaf()
    assert isinstance(leaf, Value)
    assert (leaf.data, leaf.grad, leaf.label) == (1.5, 1.0, "leaf")
    assert (type(leaf.data), type(leaf.grad)) == (float, float)
    assert (leaf.op, leaf.parents, leaf.primitive) == ("", (), None)
    assert repr(leaf) == "Value(data=1.5, grad=1.0, label='leaf')"
    assert leaf > 1.0
    assert leaf == leaf
    assert leaf != replayed_leaf()
    assert len({leaf, leaf}) == 1
    leaf.label = "renamed"
    leaf.data, leaf.grad = 3, -1
    leaf.assign(4.0, grad=np.float64(2.0))
    leaf.data += 0.5
    assert (leaf.data, leaf.grad, leaf.label) == (4.5, 2.0, "renamed")
    y = leaf * leaf + nn.relu([leaf])[0]
    y.backward()
    assert (y.data, leaf.grad) == (24.75, 12.0)
    with pytest.raises(ValueError, match=r"log\(renamed = -1.0\)"):
        leaf.assign(-1.0), leaf.log()
    assert leaf.detach().data == -1.0


def test_copies_and_pickles_of_a_replayed_leaf_are_independent() -> None:
    leaf = replayed_leaf()
    copies = [copy.copy(leaf), copy.deepcopy(leaf), pickle.loads(pickle.dumps(leaf))]
    twice = copy.deepcopy([leaf, {"leaf": leaf}])
    assert twice[0] is twice[1]["leaf"]
    for other in [*copies, twice[0]]:
        assert (other.data, other.grad, other.label) == (1.5, 1.0, "leaf")
        other.data, other.grad = 9.0, 9.0
    assert (leaf.data, leaf.grad) == (1.5, 1.0)
    graph = copy.deepcopy(leaf * leaf)
    graph.backward()
    assert (leaf.grad, graph.parents[0].grad) == (1.0, 1.0 + 3.0)


def test_a_leaf_may_be_linked_while_it_is_pickled_or_copied(monkeypatch: Any) -> None:
    state_of = autograd.copies.state_of

    def state_of_a_linked_leaf(value: Value, base: type[Value]) -> Any:
        link([value])  # as the end of a recording in another thread does
        return state_of(value, base)

    monkeypatch.setattr(autograd.copies, "state_of", state_of_a_linked_leaf)
    for cloned in (copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
        leaf = Value(1.5, "leaf")
        leaf.grad = 1.0
        clone = cloned(leaf)
        assert type(leaf) is Linked
        assert type(clone) is Value
        assert (clone.data, clone.grad, clone.label) == (1.5, 1.0, "leaf")


def test_errors_call_a_replayed_leaf_a_value() -> None:
    with pytest.raises(AttributeError, match="'Value' object has no attribute 'item'"):
        replayed_leaf().item()


def test_the_pickle_of_a_replayed_leaf_needs_no_numpy() -> None:
    assert b"jit" not in pickle.dumps(replayed_leaf())


def test_a_copy_of_a_trained_model_trains_independently() -> None:
    nn.seed(0)
    step, state = training()
    run = jit(step, check="never")
    for _ in range(4):
        run(XS, YS)
    assert replays(run) == 2
    model, optimizer = copy.deepcopy(state)
    assert snapshot([model, optimizer]) == snapshot(state)
    before = snapshot(state)
    loss = nn.mean((model(x) - y) ** 2 for x, y in zip(XS, YS, strict=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert snapshot(state) == before
    run(XS, YS)
    assert snapshot([model, optimizer]) == snapshot(state)


def test_a_model_that_holds_its_jitted_step_can_be_copied() -> None:
    model = nn.MLP(2, [2, 1])
    model.fast = jit(lambda x: model(x))
    for _ in range(3):
        model.fast([1.0, 2.0])
    assert replays(model.fast) == 1
    assert copy.deepcopy(model)([1.0, 2.0]).data == model([1.0, 2.0]).data


def test_a_leaf_labelled_inside_is_still_updated_by_replays() -> None:
    leaf = Value(2.0)

    def step(xs: list[float]) -> Value:
        leaf.label = "w"
        loss = total(leaf * x for x in xs)
        leaf.assign(leaf - 0.5)
        return loss

    run = jit(step)
    found = [[run([1.0]).data, run([1.0, 2.0]).data] for _ in range(4)]
    assert found == [[2.0, 4.5], [1.0, 1.5], [0.0, -1.5], [-1.0, -4.5]]
    assert (leaf.data, leaf.label) == (-2.0, "w")
    assert [program.replays for program in run.programs] == [2, 2]
    leaf.label = "v"
    assert run([1.0]).data == -2.0


def test_a_leaf_recovers_from_infinity_and_nan() -> None:
    def make() -> tuple[Any, Any]:
        leaf = Value(1.0)

        def step(x: float) -> Any:
            loss = leaf * x
            leaf.assign(leaf * x)
            return loss

        return step, leaf

    same(make, (1e200,), (1e200,), (0.0,), (1.0,))


# --- several functions, one state -----------------------------------------------------------------


def test_a_training_step_and_a_prediction_share_their_parameters() -> None:
    results = {}
    for backend in (None, *BACKENDS):
        nn.seed(0)
        step, state = training()
        how = {"backend": backend, "check": "never"}
        wrap = (lambda f: f) if backend is None else functools.partial(jit, **how)
        learn, predict = wrap(step), wrap(lambda xs, state=state: [state[0](x) for x in xs])
        penalty = wrap(lambda state=state: total(p * p for p in state[0].parameters()))
        seen = [comparable(predict(XS))]
        for k in (0, 1, 2, 3) * 4:
            seen.append(
                comparable([learn(XS[k:], YS[k:]) if k < 3 else None, predict(XS), penalty()])
            )
        assert backend is None or replays(learn, predict, penalty) >= 6
        results[backend] = seen, snapshot(state)
    assert results["native"] == results["numpy"] == results[None]


def test_both_backends_may_alternate_on_the_same_parameters() -> None:
    nn.seed(0)
    step, state = training()
    runs = [jit(step, backend=backend, check="never") for backend in BACKENDS]
    found = [comparable(runs[k % 2](XS, YS)) for k in range(10)]
    assert replays(*runs) == 3
    nn.seed(0)
    step, other = training()
    assert found == [comparable(step(XS, YS)) for _ in range(10)]
    assert snapshot(state) == snapshot(other)


def test_leaves_can_swap_their_data_and_gradients() -> None:
    def make() -> tuple[Any, Any]:
        a, b, c = Value(1.0), Value(2.0), Value(3.0)

        def step(x: float) -> Any:
            old = a * 1.0
            a.assign(b)
            b.assign(c)
            c.assign(old)
            old_grad = b.grad
            b.assign(grad=a * x)
            a.assign(grad=old_grad)
            c.assign(c * 1.0)
            return a, b, [c]

        return step, [a, b, c]

    same(make, (1.0,), (2.0,), (3.0,), (4.0,), replayed=True)


def test_an_assignment_affects_only_later_reads() -> None:
    def make() -> tuple[Any, Any]:
        w = Value(2.0)

        def step(x: float) -> Any:
            before = w * x
            w.assign(w + 1.0)
            after = w * x
            w.data = 10.0
            (after * w).backward()
            w.assign(grad=w.grad * 2.0)
            return before, after, w * 1.0

        return step, w

    same(make, (1.0,), (2.0,), replayed=True)


def test_results_may_be_assigned_to() -> None:
    """Later operations and slopes use the new number; the parts of a sum keep theirs."""

    def make() -> tuple[Any, Any]:
        ws = [Value(0.1 * k) for k in range(8)]

        def step(x: float) -> Any:
            y, whole = (ws[1] * x).exp(), weighted_sum(ws, [Value(x)] * 8)
            y.data, whole.data = 5.0 * x, x * x
            left, right = whole.parents
            loss = y * whole + left * right
            loss.backward()
            y.grad, whole.grad = x, x
            whole.grad = 2.0 * x
            return [y, whole, left, right], loss, [left.grad, right.grad]

        return step, ws

    same(make, (1.0,), (2.0,), replayed=True)


# --- what changes outside the Values --------------------------------------------------------------
# Captured leaves are read at each call. Other numbers that the code reads are constants of the
# recording. If the code names them, a change triggers a re-recording; the check finds the rest.

module = types.ModuleType("fooling_module")
module.scale, module.w = 2.0, Value(2.0)
sys.modules["fooling_module"] = module
GLOBAL_SCALE = 2.0
GLOBAL_LEAF = Value(2.0)
GLOBAL_LIST = [1.0, 2.0]
context: contextvars.ContextVar[Any] = contextvars.ContextVar("context")


class Settings:
    scale = 2.0
    leaf = Value(2.0)


class Holder:
    """Something with an attribute."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    @property
    def computed(self) -> Any:
        return self.thing * 2.0

    def method(self, x: Any) -> Any:
        return self.thing * x


def set_global_scale(state: Any) -> None:
    global GLOBAL_SCALE
    GLOBAL_SCALE += 1.0


def replace_global_leaf(state: Any) -> None:
    global GLOBAL_LEAF
    GLOBAL_LEAF = Value(GLOBAL_LEAF.data + 1.0)


def reset() -> None:
    global GLOBAL_SCALE, GLOBAL_LEAF
    GLOBAL_SCALE, GLOBAL_LEAF = 2.0, Value(2.0)
    GLOBAL_LIST[:] = [1.0, 2.0]
    module.scale, module.w = 2.0, Value(2.0)
    Settings.scale, Settings.leaf = 2.0, Value(2.0)


def closure_number() -> tuple[Any, Between]:
    scale = 2.0

    def change(state: Any) -> None:
        nonlocal scale
        scale += 1.0

    return lambda x: Settings.leaf * x * scale, change


def replaced_model() -> tuple[Any, Between]:
    model = nn.Neuron(1, "linear")

    def change(state: Any) -> None:
        nonlocal model
        model = nn.Neuron(1, "linear")

    return lambda x: model([x]), change


def read_through(thing: Any, read: Any, change: Any) -> Callable[[], tuple[Any, Between]]:
    def made() -> tuple[Any, Between]:
        it = thing()
        return lambda x: Settings.leaf * x * read(it), lambda state: change(it)

    return made


class Lazy:
    """A parameter that is created at the first use."""

    def __init__(self) -> None:
        self.kept: dict[str, Value] = {}

    def __call__(self, x: Any) -> Any:
        if "w" not in self.kept:
            self.kept["w"] = Value(3.0)
        return self.kept["w"] * x


def counted() -> tuple[Any, Between]:
    calls = [0]

    def function(x: float) -> Any:
        calls[0] += 1
        return Settings.leaf * x * calls[0]

    return function, lambda state: None


def appended() -> tuple[Any, Between]:
    history: list[Any] = []

    def function(x: float) -> Any:
        history.append(1.0)
        return Settings.leaf * x * len(history)

    return function, lambda state: None


def attribute_named(thing: Any, change: Any) -> Callable[[], tuple[Any, Between]]:
    def made() -> tuple[Any, Between]:
        it = Holder(thing())
        return lambda x: Settings.leaf * x * it.thing, lambda state: change(it)

    return made


def property_named() -> tuple[Any, Between]:
    it = Holder(2.0)
    return lambda x: Settings.leaf * x * it.computed, lambda state: grow(it)


def grow(it: Any) -> None:
    it.thing = it.thing + 1.0


NUMBERS: dict[str, Callable[[], tuple[Any, Between]]] = {
    "a global number": lambda: (lambda x: Settings.leaf * x * GLOBAL_SCALE, set_global_scale),
    "a global list": lambda: (
        lambda x: Settings.leaf * x * sum(GLOBAL_LIST),
        lambda state: GLOBAL_LIST.append(5.0),
    ),
    "a number in a closure": closure_number,
    "a number of a module": lambda: (
        lambda x: Settings.leaf * x * module.scale,
        lambda state: setattr(module, "scale", module.scale + 1.0),
    ),
    "a number of a class": lambda: (
        lambda x: Settings.leaf * x * Settings.scale,
        lambda state: setattr(Settings, "scale", Settings.scale + 1.0),
    ),
    "an attribute": read_through(
        lambda: Holder(2.0), lambda h: h.thing, lambda h: setattr(h, "thing", h.thing + 1.0)
    ),
    "a property": read_through(
        lambda: Holder(2.0), lambda h: h.computed, lambda h: setattr(h, "thing", h.thing + 1.0)
    ),
    "a list that grows": read_through(lambda: [1.0], sum, lambda it: it.append(2.0)),
    "a list entry": read_through(
        lambda: [1.0], lambda it: it[0], lambda it: it.__setitem__(0, it[0] + 1.0)
    ),
    "a dict entry": read_through(
        lambda: {"a": 1.0}, lambda it: it["a"], lambda it: it.update(a=it["a"] + 1.0)
    ),
    "a new dict entry": read_through(
        lambda: {"a": 1.0}, lambda it: sum(it.values()), lambda it: it.update({str(len(it)): 1.0})
    ),
    "a deque": read_through(lambda: deque([1.0]), sum, lambda it: it.append(2.0)),
    "an array": read_through(
        lambda: np.array([1.0, 2.0]), lambda it: it[0], lambda it: it.__setitem__(0, it[0] + 1.0)
    ),
    "a context variable": read_through(
        lambda: context.set(1.0) and None,
        lambda it: context.get(),
        lambda it: context.set(context.get() + 1.0),
    ),
    "an attribute that the code names": attribute_named(lambda: 2.0, grow),
    "a property that the code names": property_named,
    "a generator": read_through(
        lambda: iter([float(k) for k in range(1, 99)]), next, lambda it: None
    ),
    "a counter": counted,
    "a history": appended,
}


LEAVES: dict[str, Callable[[], tuple[Any, Between]]] = {
    "a global leaf replaced": lambda: (lambda x: GLOBAL_LEAF * x, replace_global_leaf),
    "a model replaced": replaced_model,
    "a leaf of a module replaced": lambda: (
        lambda x: module.w * x,
        lambda state: setattr(module, "w", Value(5.0)),
    ),
    "a leaf of a class replaced": lambda: (
        lambda x: Settings.leaf * x,
        lambda state: setattr(Settings, "leaf", Value(5.0)),
    ),
    "a parameter replaced": read_through(
        lambda: Holder(Value(2.0)), lambda h: h.thing, lambda h: setattr(h, "thing", Value(5.0))
    ),
    "a list of leaves that grows": read_through(
        lambda: [Value(1.0)],
        lambda it: total(p * 1.0 for p in it),
        lambda it: it.append(Value(2.0)),
    ),
    "a parameter that the code names replaced": attribute_named(
        lambda: Value(2.0), lambda h: setattr(h, "thing", Value(5.0))
    ),
    "an iterator of leaves": read_through(
        lambda: iter([Value(float(k)) for k in range(1, 99)]), next, lambda it: None
    ),
    "a parameter made at the first use": lambda: (Lazy(), lambda state: None),
}


# The others are replayed, after a re-recording if something guarded changed or a leaf is gone.
REFUSED = ("a counter", "a history", "a generator", "an iterator of leaves")


@pytest.mark.parametrize("name", [*LEAVES, *NUMBERS])
def test_a_change_outside_takes_effect_or_is_refused(name: str) -> None:
    def make() -> tuple[Any, Any]:
        reset()
        made[:] = {**LEAVES, **NUMBERS}[name]()
        return made[0], []

    made: list[Any] = []
    expected = "refused" if name in REFUSED else "replayed"
    calls = (1.5,), (2.5,)
    same_or_refused(make, *calls, expected=expected, between=lambda state: made[1](state))
    reset()


def test_a_refused_call_undoes_its_changes_to_guarded_objects() -> None:
    calls, history, settings = [0], [], {"a": 1}

    def function(x: float) -> Any:
        calls[0] += 1
        history.append(1.0)
        settings["b"] = 2
        return Settings.leaf * x

    run = jit(function)
    run(1.0)
    with pytest.raises(TraceError):
        run(1.0)
    assert (calls, history, settings) == ([1], [1.0], {"a": 1, "b": 2})


# However a leaf is reached, results follow its current number.


def indirect(leaf: Value) -> Any:
    return leaf


HIDING: dict[str, Callable[[Value], Callable[[], Value]]] = {
    "a closure": lambda leaf: lambda: leaf,
    "a list": lambda leaf: (lambda it: lambda: it[0])([leaf]),
    "a dict": lambda leaf: (lambda it: lambda: it["a"])({"a": leaf}),
    "a key of a dict": lambda leaf: (lambda it: lambda: next(iter(it)))({leaf: 1}),
    "a set": lambda leaf: (lambda it: lambda: next(iter(it)))({leaf}),
    "a deque": lambda leaf: (lambda it: lambda: it[0])(deque([leaf])),
    "an array": lambda leaf: (lambda it: lambda: it[0])(np.array([leaf])),
    "an object": lambda leaf: (lambda it: lambda: it.thing)(Holder(leaf)),
    "a method": lambda leaf: (lambda it: lambda: it.method(1.0).parents[0])(Holder(leaf)),
    "an object in an object": lambda leaf: (lambda it: lambda: it.thing.thing)(
        Holder(Holder(leaf))
    ),
    "a slot": lambda leaf: (lambda it: lambda: it.args[0])(types.SimpleNamespace(args=[leaf])),
    "a partial": lambda leaf: functools.partial(indirect, leaf),
    "a default": lambda leaf: lambda it=leaf: it,
    "a weak reference": lambda leaf: (lambda it: lambda: it().thing)(weakref.ref(kept(leaf))),
    "a module": lambda leaf: (setattr(module, "hidden", leaf), lambda: module.hidden)[1],
    "a module imported inside": lambda leaf: (setattr(module, "hidden", leaf), imported)[1],
    "sys.modules": lambda leaf: (setattr(module, "hidden", leaf), looked_up)[1],
    "a class": lambda leaf: (setattr(Settings, "hidden", leaf), lambda: Settings.hidden)[1],
    "an instance of a class": lambda leaf: (
        setattr(Settings, "hidden", leaf),
        (lambda it: lambda: it.hidden)(Settings()),
    )[1],
    "a global": lambda leaf: (globals().update(HIDDEN=leaf), lambda: HIDDEN)[1],
    "globals()": lambda leaf: (globals().update(HIDDEN=leaf), lambda: globals()["HIDDEN"])[1],
    "getattr": lambda leaf: (lambda it: lambda: getattr(it, "thi" + "ng"))(Holder(leaf)),
    "vars": lambda leaf: (lambda it: lambda: vars(it)["thing"])(Holder(leaf)),
    "a context variable": lambda leaf: (context.set(leaf), lambda: context.get())[1],
    "thread-local data": lambda leaf: (setattr(local, "leaf", leaf), lambda: local.leaf)[1],
    "the frame of a generator": lambda leaf: (lambda it: lambda: next(it))(forever(leaf)),
    "a bound method of a list": lambda leaf: [leaf].copy,
    "a default dict's factory": lambda leaf: (lambda it: lambda: it("x"))({"x": leaf}.__getitem__),
    "the cache of a function": lambda leaf: cached(leaf),
    "gc": lambda leaf: (kept(leaf), from_collector)[1],
}
HIDDEN: Any = None
local = threading.local()
keeping: list[Holder] = []


def kept(leaf: Value) -> Holder:
    keeping[:] = [Holder(leaf)]
    return keeping[0]


def imported() -> Value:
    import fooling_module

    return fooling_module.hidden


def looked_up() -> Value:
    return sys.modules["fooling_module"].hidden


def forever(leaf: Value) -> Any:
    while True:
        yield leaf


def cached(leaf: Value) -> Callable[[], Any]:
    @functools.cache
    def function() -> Any:
        return held.pop()

    held = [leaf]
    function()
    return function


def from_collector() -> Any:
    return next(o for o in gc.get_objects() if isinstance(o, Holder) and o is keeping[0]).thing


def first_leaf(found: Any) -> Value:
    return found[0] if isinstance(found, list) else found


@pytest.mark.parametrize("name", HIDING)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_leaf_is_trained_however_it_is_reached(name: str, backend: str) -> None:
    """It is trained, and changes from outside take effect."""

    def make() -> tuple[Any, Any]:
        leaf = Value(2.0)
        find = HIDING[name](leaf)

        def step(x: float) -> Any:
            found = first_leaf(find())
            loss = found * x
            found.grad = 0.0
            loss.backward()
            found.assign(found - 0.5 * found.grad)
            return loss

        return step, leaf

    def change(leaf: Value) -> None:
        leaf.data += 0.25

    calls = [(1.0,), (-2.0,)]
    same_or_refused(make, *calls, expected="replayed", between=change, backend=backend)


READS: dict[str, Callable[[Value], Any]] = {
    "data": lambda v: v.data,
    "float": float,
    "a comparison": lambda v: 1.0 if v > 2.1 else 0.0,
    "max": lambda v: max([v, 2.1], key=float),
    "a format": lambda v: float(f"{v:.2f}"),
}
WRITES: dict[str, Callable[[Value, Any], Any]] = {
    "grad = number": lambda v, x: setattr(v, "grad", 0.0),
    "data = number": lambda v, x: setattr(v, "data", 3.0),
    "assign": lambda v, x: v.assign(x * 1.0),
    "assign a gradient": lambda v, x: v.assign(grad=x * 2.0),
    "assign its gradient to another": lambda v, x: Settings.leaf.assign(grad=v.grad + x),
}


def read_case(name: str, read: str) -> Any:
    leaf = Value(2.0)
    find = HIDING[name](leaf)
    return lambda x: Settings.leaf * x * READS[read](first_leaf(find())), leaf


def write_case(name: str, write: str) -> Any:
    reset()
    leaf, other = Value(2.0), Settings.leaf
    find = HIDING[name](leaf)

    def function(x: float) -> Any:
        y = other * x
        WRITES[write](first_leaf(find()), y)
        return y

    return function, [leaf, other]


def change_all(state: Any) -> None:
    for value in values_of(state):
        value.data, value.grad = value.data + 0.25, value.grad + 0.125


@pytest.mark.parametrize("name", HIDING)
def test_reading_the_number_of_a_leaf_however_it_is_reached(name: str) -> None:
    """`data` follows the leaf; Python code that inspects the number is refused."""
    for read in READS if name in ("a closure", "a global") else ["data"]:
        make = functools.partial(read_case, name, read)
        expected = "replayed" if read == "data" else "refused"
        same_or_refused(make, (1.0,), expected=expected, between=change_all)


@pytest.mark.parametrize("name", HIDING)
def test_a_leaf_may_be_only_written_or_only_read_for_its_gradient(name: str) -> None:
    for write in WRITES if name in ("a closure", "a global") else ["grad = number"]:
        make = functools.partial(write_case, name, write)
        same_or_refused(make, (1.0,), (2.0,), expected="replayed", between=change_all)


@pytest.mark.parametrize("write", WRITES)
def test_writing_to_a_leaf_found_through_gc_leaves_a_plain_number(write: str) -> None:
    """A recorded number must never stay in it."""
    make = functools.partial(write_case, "gc", write)
    same_or_refused(make, (1.0,), (2.0,), expected="replayed", between=change_all)
    function, leaves = make()
    run = jit(function)
    for _ in range(4):
        run(1.5)
        kinds = {type(n) for leaf in leaves for n in (leaf.data, leaf.grad)}
        assert kinds <= {float, int}


class Raising:
    """Has no readable `__dict__`, like some proxies."""

    @property
    def __dict__(self) -> Any:
        raise RuntimeError("no attributes here")


class Answering:
    """Its `__dict__` is not a dict."""

    def __getattribute__(self, name: str) -> Any:
        return len if name == "__dict__" else object.__getattribute__(self, name)


class Forwarding:
    """A proxy whose target is gone."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no target to ask for {name}")


@pytest.mark.parametrize("kind", [Raising, Answering, Forwarding])
def test_a_function_may_refer_to_objects_with_unusual_attribute_access(kind: type) -> None:
    thing, leaf = kind(), Value(2.0)
    run = jit(lambda x: (thing and leaf) * x)
    assert [run(x).data for x in (1.5, 2.0, 3.0, 4.0)] == [3.0, 4.0, 6.0, 8.0]
    assert run.programs[0].replays == 2


# --- recursion, impure primitives, output ---------------------------------------------------------


def test_recursive_functions_and_closures_are_replayed() -> None:
    leaf = Value(1.5)

    def power(n: int, x: Any) -> Any:
        return x if n == 0 else power(n - 1, x) * leaf

    def nested(x: float) -> Any:
        made = Value(0.5)

        def rec(n: int) -> Any:
            return made if n == 0 else rec(n - 1) * leaf

        return rec(3) * x

    for function in (lambda x: power(4, x), nested):
        same_or_refused(lambda f=function: (f, leaf), (2.0,), (3.0,), expected="replayed")


def test_an_impure_primitive_is_refused() -> None:
    def make() -> tuple[Any, Any]:
        stream = random.Random(0)
        noisy = Primitive("noisy", lambda x: x + stream.random(), 1.0)
        leaf = Value(1.0)
        return lambda x: [noisy(leaf * x), noisy(leaf * x), noisy(leaf * x)], leaf

    same_or_refused(make, (1.0,), (2.0,), expected="refused")


@pytest.mark.parametrize(("check", "times"), [("never", 2), ("sometimes", 4), ("always", 10)])
def test_a_function_prints_once_in_each_call_that_runs_it(
    check: str, times: int, capsys: Any
) -> None:
    """In the first call, in the recorded one, and in those that are checked."""
    leaf = Value(1.0)
    model = nn.Neuron(1)

    def function(x: float, m: Any) -> Any:
        print("here")
        return m([leaf * x])

    run = jit(function, check=check)
    for k in range(10):
        run(float(k), model)
    assert capsys.readouterr().out == "here\n" * times


# --- memory ---------------------------------------------------------------------------------------


def test_functions_programs_and_models_are_freed_when_dropped() -> None:
    for backend in BACKENDS:
        step, state = training()
        run = jit(step, backend=backend)
        for _ in range(4):
            run(XS, YS)
            run(XS[:1], YS[:1])
        model, program, jitted = (weakref.ref(x) for x in (state[0], run.programs[0], run))
        memory = weakref.ref(run.programs[0]._code)
        programs, number = len(run.programs), weight(state).data
        del run
        gc.collect()
        assert jitted() is None
        assert program() is None
        assert memory() is None
        assert weight(state).data == number
        del step, state
        gc.collect()
        assert (model(), programs) == (None, 2)


def recording_parts() -> dict[int, str]:
    """Parts of recordings that are alive, by id: any of them keeps the whole graph alive."""
    from autograd.jit.graph import Graph
    from autograd.jit.recorded import Number, Whole
    from autograd.jit.recorder import Recorder
    from autograd.jit.tracer import Tracer

    gc.collect()
    # The collector does not track numbers, only what holds them.
    found = [o for o in gc.get_objects() if isinstance(o, Tracer | Graph | Recorder)]
    found += [
        n for o in gc.get_objects() for n in gc.get_referents(o) if type(n) in (Number, Whole)
    ]
    return {id(o): type(o).__name__ for o in found}


@pytest.mark.parametrize("rule", [nn.SGD, nn.RMSProp, nn.Adagrad, nn.Adam, nn.AdamW])
def test_a_finished_recording_is_freed(rule: Callable[..., nn.Optimizer]) -> None:
    before = recording_parts()
    step, state = training(rule)
    run = jit(step)
    for _ in range(3):
        loss = run(XS, YS)
        assert [kind for i, kind in recording_parts().items() if i not in before] == []
    assert type(loss.data) is float
    assert run.programs[0].replays == 1
    assert copy.deepcopy(state)[1].state_dict() == state[1].state_dict()


@pytest.mark.parametrize(
    "look", [float, lambda v: 1.0 / 0.0, lambda v: v.no, lambda v: {v}, lambda v: np.exp(v.data)]
)
def test_a_recording_that_ends_in_an_error_is_freed(look: Any) -> None:
    before = recording_parts()
    leaf = Value(2.0)
    run = jit(lambda x: look(leaf * x))
    with contextlib.suppress(Exception):
        run(1.5)  # eager
    for _ in range(2):
        with pytest.raises((TraceError, ZeroDivisionError, AttributeError)):
            run(1.5)
        assert [kind for i, kind in recording_parts().items() if i not in before] == []


def test_ten_thousand_replays_do_not_leak_memory() -> None:
    leaf, rule_state = Value(1.0), Value(0.0)

    def step(x: float, v: Value) -> Any:
        loss = (leaf * x - v) ** 2
        leaf.grad = 0.0
        loss.backward()
        rule_state.assign(0.9 * rule_state + leaf.grad)
        leaf.assign(leaf - 1e-3 * rule_state)
        return loss, [leaf]

    for backend in BACKENDS:
        run, passed = jit(step, backend=backend), Value(0.5)
        for _ in range(100):
            run(1.0, passed)
        gc.collect()
        before = sys.getallocatedblocks()
        for k in range(10_000):
            run(1.0 + k % 7, passed)
        gc.collect()
        assert sys.getallocatedblocks() - before < 500
        assert len(run.programs) == 1
        assert run.programs[0].replays == 10_100 - 2


def test_the_garbage_collector_stays_enabled_or_disabled() -> None:
    leaf = Value(1.0)
    for enable in (gc.enable, gc.disable):
        enable()
        before = gc.isenabled()
        runs = [jit(lambda x: leaf * x), jit(lambda x: float(leaf * x))]
        for _ in range(4):
            runs[0](1.0)
            assert gc.isenabled() == before
        runs[1](1.0)
        with pytest.raises(TraceError):
            runs[1](1.0)
        assert gc.isenabled() == before
    gc.enable()


# --- threads --------------------------------------------------------------------------------------


def together(*jobs: Callable[[], Any]) -> list[BaseException]:
    errors: list[BaseException] = []

    def guarded(job: Callable[[], Any]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_threads_that_call_one_function_get_their_own_results() -> None:
    leaf = Value(2.0)
    for backend in BACKENDS:
        run = jit(lambda xs: [leaf * x for x in xs], backend=backend)
        wrong: list[Any] = []

        def job(k: int, run: Any = run, wrong: list[Any] = wrong) -> None:
            for i in range(150):
                size = 1 + (k + i) % 3
                out = run([float(k * 1000 + i)] * size)
                if [v.data for v in out] != [2.0 * (k * 1000 + i)] * size:
                    wrong.append((k, i))

        assert together(*[lambda k=k: job(k) for k in range(4)]) == []
        assert wrong == []
        assert len(run.programs) == 3


def test_threads_that_train_with_one_step_lose_no_update() -> None:
    leaf = Value(0.0)

    def step(x: float) -> None:
        leaf.assign(leaf + x)

    run = jit(step)
    assert together(*[lambda: [run(1.0) for _ in range(200)]] * 4) == []
    assert leaf.data == 800.0
    assert replays(run) == 800 - 2


def test_two_threads_may_record_with_the_same_leaf() -> None:
    """The first recording begins before the second and ends within it."""
    leaf = Value(2.0, "leaf")
    begun, over = threading.Event(), threading.Event()

    def first(x: float) -> Any:
        begun.set()
        over.wait(0.3)
        return leaf * x

    def second(x: float) -> Any:
        y = leaf * x
        over.set()
        running.join(5)
        return y

    errors: list[Exception] = []

    over.set()
    runs = {function: jit(function) for function in (first, second)}
    runs[first](1.0)  # eager
    running = threading.Thread()
    running.start()
    runs[second](1.0)
    begun.clear(), over.clear()

    def guarded(function: Any, x: float) -> None:
        try:
            found.append(runs[function](x).data)
        except Exception as error:
            errors.append(error)

    found: list[float] = []
    running = threading.Thread(target=guarded, args=(first, 3.0))
    running.start()
    begun.wait(5)
    guarded(second, 5.0)
    running.join(5)
    assert type(leaf).__name__ == "Value"
    assert leaf.data == 2.0
    assert errors == []
    assert sorted(found) == [6.0, 10.0]
    assert [len(run.programs) for run in runs.values()] == [1, 1]
    over.set()
    assert [run(7.0).data for run in runs.values()] == [14.0, 14.0]


def test_a_thread_may_read_a_parameter_while_another_records() -> None:
    leaf = Value(2.0, "leaf")
    begun, over = threading.Event(), threading.Event()

    def slow(x: float) -> Any:
        y = leaf * x
        begun.set()
        over.wait(5)
        return y

    run = jit(slow)
    over.set()
    run(1.0)  # eager
    begun.clear(), over.clear()
    recording = threading.Thread(target=run, args=(1.0,))
    recording.start()
    begun.wait(5)
    try:
        assert (leaf * 3.0).data == 6.0
        assert (leaf.data, leaf.grad) == (2.0, 0.0)
        assert (type(leaf.data), type(leaf.grad)) == (float, float)
        leaf.grad = 0.5
    finally:
        over.set()
        recording.join()
    assert [run(3.0).data for _ in range(2)] == [6.0, 6.0]
    assert (leaf.grad, run.programs[0].replays) == (0.5, 2)


def test_async_tasks_may_each_use_their_own_grad_mode() -> None:
    import asyncio

    leaf = Value(2.0)
    run = jit(lambda x: leaf * x)

    async def task(k: int) -> float:
        if k % 2:
            with no_grad():
                await asyncio.sleep(0)
                return run(float(k)).data
        await asyncio.sleep(0)
        return run(float(k)).data

    async def main() -> list[float]:
        return await asyncio.gather(*[task(k) for k in range(10)])

    assert asyncio.run(main()) == [2.0 * k for k in range(10)]
    assert replays(run) == 10 - 2 - 2


def test_a_leaf_that_is_linked_while_its_state_is_read_can_be_copied() -> None:
    """As if it had been linked after `__reduce_ex__` was looked up on its old class."""
    leaf = Value(0.5, label="w")
    run = jit(lambda x: leaf * x)
    for _ in range(3):
        run(2.0)
    assert type(leaf) is Linked
    make, arguments, state = Value.__reduce_ex__(leaf, 4)
    clone = make(*arguments)
    clone.__setstate__(state)
    assert (type(clone), clone.data, clone.grad, clone.label) == (Value, 0.5, 0.0, "w")
