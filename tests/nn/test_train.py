"""Is training what it promises: reproducible, resumable, interruptible, safe on bad input?"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import io
import itertools
import json
import math
import os
import pickle
import random
import signal
import statistics
import subprocess
import sys
import textwrap
import threading
import types
import warnings

import numpy as np
import pytest
from tqdm import tqdm

import nn
from autograd import Value
from nn import data, loop, plot, rng
from nn.data import Dataset

EXAMPLES = data.moons(10, noise=0.1, generator=random.Random(3))
SETTINGS = {"hidden": [4], "lr": 0.05}
RULES = {
    "adam": lambda model: nn.Adam(model, lr=0.05),
    "momentum": lambda model: nn.SGD(model, lr=0.05, momentum=0.9),
}
EXTRA = r"\(the extra train\)"


def made(rule="adam", seed=5):
    """A model with buffers and random numbers, and its optimizer."""
    nn.seed(seed)
    model = nn.Sequential(
        nn.Layer(2, 4, "tanh"), nn.BatchNorm(4), nn.Dropout(0.3), nn.Layer(4, 1, "linear")
    )
    return model, RULES[rule](model)


def plain(seed=5):
    """A model whose only state is its parameters, and its optimizer."""
    nn.seed(seed)
    model = nn.MLP(2, [4, 1], "tanh")
    return model, nn.Adam(model, lr=0.05)


def run(model, optimizer, examples=EXAMPLES, loss=nn.hinge, **options):
    options = {"epochs": 4, "metric": nn.accuracy, "progress": False} | options
    return nn.fit(model, examples, loss, optimizer, **options)


def learned(model, optimizer):
    """Everything that training changes, as a text that shows every bit."""
    return repr((model.state_dict(), optimizer.state_dict()))


def bits(model, optimizer, history=None):
    """What was learned, the history, and the state of nn's random generator."""
    seen = history and (history.loss, history.accuracy, history.held_out_accuracy)
    return learned(model, optimizer) + repr((seen, rng.generator.getstate()))


def at_call(number, action, function):
    """The function, with an action inside the call of that number."""
    calls = itertools.count(1)

    def acting(*arguments):
        if next(calls) == number:
            action()
        return function(*arguments)

    return acting


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def fail():
    raise RuntimeError("a broken loss")


# --- steps, micro-batches, held-out examples ------------------------------------------------------


@pytest.mark.parametrize("jit", [False, True])
def test_steps_take_as_many_passes_as_they_need(jit):
    model, optimizer = plain()
    lengths = []
    history = run(
        model,
        optimizer,
        epochs=None,
        steps=11,
        every=4,
        batch_size=3,
        jit=jit,
        after_epoch=lambda history: lengths.append(len(history.loss)),
    )
    assert optimizer.time.data == 11.0  # a pass over 10 examples is 4 steps
    assert len(history.loss) == len(history.accuracy) == 3
    assert lengths == [1, 2, 3]  # after steps 4, 8 and 11
    again, others = plain()
    passes = run(again, others, epochs=2, batch_size=3)
    assert history.loss[:2] == pytest.approx(passes.loss, rel=1e-12)


@pytest.mark.parametrize("every", [4, 10])
def test_a_run_of_steps_resumes_to_the_last_bit_within_a_pass_or_epoch(every, tmp_path):
    options = {"epochs": None, "batch_size": 4, "held_out": EXAMPLES, "metric": None}
    options |= {"every": every, "after_epoch": lambda history: rng.generator.random()}
    whole = made()
    history = run(*whole, **options, steps=17)
    parts = made()
    checkpoint = tmp_path / "checkpoint.json"
    first = run(*parts, **options, steps=10, checkpoint=checkpoint)
    assert run(*made(), **options, steps=9, checkpoint=checkpoint, resume=True) == first
    parts = made(seed=9)
    resumed = run(*parts, **options, steps=17, checkpoint=checkpoint, resume=True)
    assert learned(*parts) == learned(*whole)
    assert resumed == history
    assert len(history.held_out_loss) == -(-17 // every)
    assert len(first.loss) == -(-10 // every)


def test_without_a_metric_held_out_examples_are_measured_by_the_loss():
    model, optimizer = plain()
    history = run(model, optimizer, metric=None, held_out=EXAMPLES)
    assert history.held_out_accuracy == []
    assert len(history.held_out_loss) == 4
    scores = [model(x) for x in EXAMPLES.inputs]
    assert history.held_out_loss[-1] == nn.hinge(scores, EXAMPLES.targets).data


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("micro_batch", [1, 2, 3, 4])
def test_gradients_of_micro_batches_add_up_to_those_of_the_batch(micro_batch, jit):
    options = {"epochs": 2, "batch_size": 4, "penalty": nn.l2(0.1), "clip": 0.5, "jit": jit}
    whole = plain()
    expected = run(*whole, **options)
    parts = plain()
    for parameter in parts[0].parameters():
        parameter.grad = 7.0  # left over from before
    history = run(*parts, **options, micro_batch=micro_batch)
    assert history.loss == pytest.approx(expected.loss, rel=1e-9)
    assert history.accuracy == expected.accuracy
    numbers = list(whole[0].state_dict().values())
    assert list(parts[0].state_dict().values()) == pytest.approx(numbers, rel=1e-7)


def test_after_epoch_is_called_in_evaluation_mode():
    model, optimizer = made()
    modes = []
    run(model, optimizer, after_epoch=lambda history: modes.append(model.training))
    assert modes == [False] * 4
    assert model.training


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 3}, "either epochs or steps"),
        ({"epochs": None}, "either epochs or steps"),
        ({"epochs": None, "steps": -1}, "steps must be 0 or more, not -1"),
        ({"epochs": None, "steps": 1, "every": 0}, "every must be 1 or more, not 0"),
        ({"micro_batch": 0}, "micro_batch must be 1 or more, not 0"),
    ],
)
def test_invalid_lengths_of_a_run_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run(*plain(), **options)


# --- reproducible and resumable -------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch_size", [None, 4])
def test_the_same_seed_gives_the_same_numbers_to_the_last_bit(rule, batch_size):
    def result(seed):
        model, optimizer = made(rule, seed)
        return bits(model, optimizer, run(model, optimizer, batch_size=batch_size))

    assert result(5) == result(5)
    assert result(5) != result(6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("inside", ["loss", "metric"])
@pytest.mark.parametrize(
    ("batch_size", "steps", "seen"),
    [(None, 2, 0), (4, 3, 0), (4, 4, 4), (4, 5, 8), (4, 12, 0)],
    ids=["full batch", "epoch end", "epoch begun", "mid epoch", "last step"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, rule, inside, batch_size, steps, seen):
    file = tmp_path / "checkpoint.json"
    model, optimizer = made(rule)
    whole = bits(model, optimizer, run(model, optimizer, batch_size=batch_size))

    model, optimizer = made(rule)
    function = {"loss": nn.hinge, "metric": nn.accuracy}[inside]
    stopped = {inside: at_call(steps, ctrl_c, function)}
    first = run(model, optimizer, batch_size=batch_size, checkpoint=file, **stopped)
    position = json.loads(file.read_text())["position"]
    assert first.interrupted
    assert (position["steps"], position["seen"]) == (steps, seen)

    model, optimizer = made(rule, seed=99)
    second = run(model, optimizer, batch_size=batch_size, checkpoint=file, resume=True)
    assert not second.interrupted
    assert bits(model, optimizer, second) == whole


def test_a_run_stopped_at_every_step_equals_an_uninterrupted_one(tmp_path):
    file = tmp_path / "checkpoint.json"
    options = {
        "batch_size": 4,
        "held_out": EXAMPLES,
        "schedule": nn.cosine_decay(0.1, 9),
        "clip": 0.5,
        "penalty": nn.l2(1e-3),
        "checkpoint": file,
        "settings": SETTINGS,
    }
    model, optimizer = made()
    whole = bits(model, optimizer, run(model, optimizer, epochs=3, **options))

    file.unlink()
    for step in range(9):
        model, optimizer = made(seed=5 + step)  # only the first seed matters
        loss = at_call(1, ctrl_c, nn.hinge)
        history = run(model, optimizer, loss=loss, epochs=3, resume=step > 0, **options)
        assert len(history.loss) == len(history.held_out_accuracy) == (step + 1) // 3
    assert bits(model, optimizer, history) == whole


def test_a_failed_run_resumes_from_its_last_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    file = tmp_path / "checkpoint.json"
    model, optimizer = made()
    whole = bits(model, optimizer, run(model, optimizer, batch_size=4))

    model, optimizer = made()
    with pytest.raises(RuntimeError, match="broken"):
        run(model, optimizer, loss=at_call(8, fail, nn.hinge), batch_size=4, checkpoint=file)
    assert json.loads(file.read_text())["position"]["steps"] == 7

    options = {"batch_size": 4, "checkpoint": file, "resume": True}
    assert len(run(*made(), epochs=2, **options).loss) == 2  # not the third, which has begun
    model, optimizer = made(seed=99)
    history = run(model, optimizer, **options)
    assert bits(model, optimizer, history) == whole


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    file = tmp_path / "checkpoint.json"
    model, optimizer = made()
    whole = bits(model, optimizer, run(model, optimizer, checkpoint=file))
    content = file.read_bytes()
    model, optimizer = made(seed=99)
    assert bits(model, optimizer, run(model, optimizer, checkpoint=file, resume=True)) == whole
    assert file.read_bytes() == content
    shorter = run(model, optimizer, epochs=2, checkpoint=file, resume=True)
    assert bits(model, optimizer, shorter) == whole


def test_a_finished_run_can_be_resumed_for_more_epochs(tmp_path):
    file = tmp_path / "checkpoint.json"
    model, optimizer = made()
    whole = bits(model, optimizer, run(model, optimizer, batch_size=4, epochs=5))
    model, optimizer = made()
    run(model, optimizer, batch_size=4, epochs=2, checkpoint=file)
    model, optimizer = made(seed=99)
    history = run(model, optimizer, batch_size=4, epochs=5, checkpoint=file, resume=True)
    assert bits(model, optimizer, history) == whole


def test_a_resumed_run_continues_with_the_second_of_two_normal_numbers(tmp_path):
    file = tmp_path / "checkpoint.json"
    model, optimizer = made()
    nn.gauss()  # Python makes two at a time and keeps the second
    run(model, optimizer, checkpoint=file)
    expected = nn.gauss()
    run(*made(seed=99), checkpoint=file, resume=True)
    assert nn.gauss() == expected


# --- Ctrl-C, threads and the garbage collector ----------------------------------------------------


def test_a_second_ctrl_c_raises_at_once():
    def both():
        ctrl_c()
        ctrl_c()

    def never(predictions, targets):
        pytest.fail("the step went on")

    model, optimizer = plain()
    before = learned(model, optimizer)
    with pytest.raises(KeyboardInterrupt):
        run(model, optimizer, loss=at_call(1, both, never))
    assert learned(model, optimizer) == before


def test_a_second_ctrl_c_does_not_wait_for_a_checkpoint(tmp_path):
    def both():
        ctrl_c()
        ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        run(*made(), loss=at_call(2, both, nn.hinge), checkpoint=tmp_path / "run.json")
    assert os.listdir(tmp_path) == []


def test_only_a_second_ctrl_c_reaches_the_handler_of_the_user():
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))

    def twice():
        ctrl_c()
        assert seen == []
        ctrl_c()
        assert seen == [signal.SIGINT]

    history = run(*made(), loss=at_call(2, twice, nn.hinge))
    assert history.interrupted
    assert len(history.loss) == 2


def test_an_ignored_ctrl_c_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    history = run(*made(), loss=at_call(1, ctrl_c, nn.hinge))
    assert len(history.loss) == 4
    assert not history.interrupted
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize(
    ("action", "error"),
    [
        (lambda: None, None),
        (ctrl_c, None),
        (fail, RuntimeError),
        (lambda: (ctrl_c(), ctrl_c()), KeyboardInterrupt),
    ],
    ids=["end", "interrupt", "error", "second interrupt"],
)
def test_fit_restores_the_collector_and_the_handler_however_it_ends(enabled, action, error):
    def own(number, frame):
        raise KeyboardInterrupt

    def loss(predictions, targets):
        paused.append(not gc.isenabled())
        return nn.hinge(predictions, targets)

    paused = []
    signal.signal(signal.SIGINT, own)
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(error) if error else contextlib.nullcontext():
            run(*made(), loss=at_call(2, action, loss))
        after = gc.isenabled()
    finally:
        (gc.enable if was_enabled else gc.disable)()
    assert after == enabled
    assert paused
    assert all(paused)
    assert signal.getsignal(signal.SIGINT) is own


def test_fit_in_another_thread_gives_the_same_numbers():
    model, optimizer = made()
    whole = bits(model, optimizer, run(model, optimizer))
    found = []

    def work():
        model, optimizer = made()
        found.append(bits(model, optimizer, run(model, optimizer)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [whole]


# --- errors leave the model unchanged -------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"micro_batch": 2}])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_keeps_the_model_of_the_step_before(number, options):
    model, optimizer = plain()
    run(model, optimizer, epochs=2, **options)
    two_steps = learned(model, optimizer)

    model, optimizer = plain()
    factors = [1.0, 1.0, number]

    def loss(predictions, targets):
        return (nn.hinge(predictions, targets) + 1.0) * factors[int(optimizer.time.data)]

    told = f"the loss became {number} in epoch 3, step 3, .* shows where it begins$"
    with pytest.raises(FloatingPointError, match=told):
        run(model, optimizer, loss=loss, **options)
    assert learned(model, optimizer) == two_steps


def test_a_loss_that_is_not_finite_keeps_the_running_averages_of_the_step_before():
    model, optimizer = made()
    run(model, optimizer, epochs=1)
    one_step = learned(model, optimizer)

    model, optimizer = made()
    factors = iter([1.0, math.nan])
    with pytest.raises(FloatingPointError):
        run(model, optimizer, loss=lambda p, t: nn.hinge(p, t) * next(factors))
    assert learned(model, optimizer) == one_step


def diverging(lr, steps=200, **options):
    """Train with steps that overshoot by a constant factor; return the model and the error."""
    nn.seed(5)
    model = nn.Linear(1, 1, bias=False)
    with pytest.raises(FloatingPointError) as caught:
        nn.fit(
            model,
            ([1.0, 2.0], [1.0, -1.0]),
            nn.mse,
            nn.SGD(model, lr=lr),
            epochs=steps,
            progress=False,
            **options,
        )
    return model, caught.value


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("micro_batch", [None, 1])
def test_a_squared_error_that_overflows_raises_the_documented_error(micro_batch, jit, tmp_path):
    # w moves by -lr (5 w + 1): at lr = 2 each step multiplies its distance from -0.2 by 9.
    path = tmp_path / "checkpoint.json"
    model, error = diverging(2.0, jit=jit, micro_batch=micro_batch, checkpoint=path)
    assert isinstance(error, nn.DivergedError)
    assert isinstance(error.__cause__, ArithmeticError)
    done = len(error.history.loss)
    assert 155 < done < 165  # 9^160 is about 5e152
    assert f"in epoch {done + 1}, step {done + 1}, after a loss of" in str(error)
    assert f"{error.history.loss[-1]:g}" in str(error)
    assert "with a learning rate of 2: try a smaller one, or clip=" in str(error)
    content = json.loads(path.read_text())
    assert content["model"] == model.state_dict()
    assert content["position"]["steps"] == done
    assert content["history"]["loss"] == error.history.loss


def test_a_diverged_error_made_by_hand_has_an_empty_history():
    error = pickle.loads(pickle.dumps(nn.DivergedError("too large")))
    assert (str(error), error.history) == ("too large", nn.History())


def test_a_run_whose_loss_became_nan_resumes_from_the_step_before(tmp_path):
    path = tmp_path / "checkpoint.json"
    model, optimizer = plain()
    whole = bits(model, optimizer, run(model, optimizer, epochs=5))
    model, optimizer = plain()
    factors = iter([1.0, 1.0, 1.0, math.nan])
    with pytest.raises(nn.DivergedError) as caught:
        run(model, optimizer, loss=lambda p, t: nn.hinge(p, t) * next(factors), checkpoint=path)
    assert len(caught.value.history.loss) == 3
    model, optimizer = plain(seed=99)
    history = run(model, optimizer, epochs=5, checkpoint=path, resume=True)
    assert bits(model, optimizer, history) == whole


def test_an_error_on_held_out_examples_has_the_history_too():
    model, optimizer = plain()
    losses = itertools.count(1)

    def loss(predictions, targets):
        if len(targets) == 3 and next(losses) == 3:
            raise OverflowError("too large")
        return nn.hinge(predictions, targets)

    held_out = INPUTS[:3], TARGETS[:3]
    with pytest.raises(nn.DivergedError, match="large on held-out examples after epoch 3") as e:
        run(model, optimizer, loss=loss, metric=None, held_out=held_out)
    assert len(e.value.history.loss) == len(e.value.history.held_out_loss) == 2
    again = pickle.loads(pickle.dumps(e.value))
    assert (str(again), again.history) == (str(e.value), e.value.history)


def test_a_domain_error_in_a_step_keeps_its_type_and_has_the_history(tmp_path):
    path = tmp_path / "checkpoint.json"
    model, optimizer = made()
    whole = bits(model, optimizer, run(model, optimizer, epochs=5, batch_size=4))
    model, optimizer = made()
    loss = at_call(8, lambda: Value(0.0).log(), nn.hinge)
    with pytest.raises(ValueError, match="log") as caught:
        run(model, optimizer, loss=loss, epochs=5, batch_size=4, checkpoint=path)
    assert type(caught.value) is ValueError
    assert len(caught.value.history.loss) == 2  # three steps each
    assert not caught.value.history.interrupted
    assert json.loads(path.read_text())["position"]["steps"] == 7
    model, optimizer = made(seed=99)
    history = run(model, optimizer, epochs=5, batch_size=4, checkpoint=path, resume=True)
    assert bits(model, optimizer, history) == whole


@pytest.mark.parametrize("kind", [ValueError, OverflowError])
@pytest.mark.parametrize("length", [{"epochs": 4}, {"epochs": None, "steps": 4, "every": 2}])
def test_a_run_whose_measurement_failed_resumes_with_that_measurement(length, kind, tmp_path):
    path, held_out = tmp_path / "checkpoint.json", (INPUTS[:3], TARGETS[:3])
    options = {"loss": nn.hinge, "held_out": held_out, "checkpoint": path} | length
    whole = bits(*(made_one := made()), run(*made_one, **options))

    def metric(predictions, targets):
        if len(targets) == 3 and next(measured) == 2:
            raise kind("broken")
        return nn.accuracy(predictions, targets)

    measured = itertools.count(1)
    error = nn.DivergedError if kind is OverflowError else kind
    with pytest.raises(error, match="broken") as caught:
        run(*made(), **options, metric=metric)
    assert len(caught.value.history.loss) == 1
    model, optimizer = made(seed=99)
    history = run(model, optimizer, **options, metric=metric, resume=True)
    assert bits(model, optimizer, history) == whole


def test_a_run_whose_first_step_fails_writes_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.json"
    model, optimizer = plain()
    with pytest.raises(nn.DivergedError, match=r"the loss became inf in epoch 1, step 1, with"):
        run(model, optimizer, loss=lambda p, t: nn.hinge(p, t) + math.inf, checkpoint=path)
    assert not path.exists()


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
    # At w = 0 the loss 1e200 * 1e200 w is finite, its slope is not: only the next step notices.
    path = tmp_path / "checkpoint.json"
    model = nn.Linear(1, 1, bias=False)
    model.weights[0][0].data = 0.0
    with pytest.raises(FloatingPointError, match="parameters are not finite"):
        nn.fit(
            model,
            ([0.0], [0.0]),
            lambda p, t: p[0][0] * 1e200 * 1e200,
            nn.SGD(model, lr=0.1),
            epochs=3,
            checkpoint=path,
            progress=False,
            predict=lambda model, inputs: [model.weights[0]],
        )
    assert not path.exists()


def test_parameters_that_are_not_finite_are_not_saved_by_a_failed_measurement(tmp_path):
    path = tmp_path / "checkpoint.json"
    model = nn.Linear(1, 1, bias=False)
    model.weights[0][0].data = 0.0

    def metric(predictions, targets):
        if not predictions[0][0].parents:  # those of held-out examples have no graph
            raise ValueError("broken")
        return 0.0

    options = {"held_out": ([0.0], [0.0]), "checkpoint": path, "progress": False, "epochs": 1}
    for slope, saved in ((1e200, False), (1.0, True)):
        model.weights[0][0].data = 0.0
        with pytest.raises(ValueError, match="broken"):
            nn.fit(
                model,
                ([0.0], [0.0]),
                lambda p, t, slope=slope: p[0][0] * slope * slope,
                nn.SGD(model, lr=0.1),
                metric=metric,
                predict=lambda model, inputs: [[model.weights[0][0] * 1.0]],
                **options,
            )
        assert path.exists() is saved


# --- early stopping -------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [False, True])
def test_after_epoch_may_end_the_run(jit):
    model, optimizer = plain()
    history = run(model, optimizer, epochs=9, jit=jit, after_epoch=lambda h: len(h.loss) == 3)
    assert len(history.loss) == 3
    assert not history.interrupted


@pytest.mark.parametrize("answer", [True, np.True_])
def test_true_of_any_type_ends_the_run(answer):
    assert len(run(*plain(), after_epoch=lambda h: answer).loss) == 1


@pytest.mark.parametrize(
    "answer", [None, False, np.False_, np.ones(2) > 0.0, 1, "text", [0], Value(1.0)]
)
def test_nothing_but_true_ends_the_run(answer):
    assert len(run(*plain(), after_epoch=lambda h: answer).loss) == 4


def test_a_run_ended_by_after_epoch_stays_ended_when_resumed(tmp_path):
    path = tmp_path / "checkpoint.json"

    def enough(history):
        return len(history.loss) == 3

    for resume in (False, True):
        history = run(*plain(), epochs=9, after_epoch=enough, checkpoint=path, resume=resume)
        assert len(history.loss) == 3
    history = run(*plain(), epochs=9, checkpoint=path, resume=True)
    assert len(history.loss) == 9


SCORES = [0.5, 0.7, 0.6, 0.7, 0.9, 0.1, math.nan, 0.8, 0.95]


def scored(scores, sign=1.0, **options):
    """Run with these scores on held-out examples; the model, the history, a state per epoch."""
    made_up, states = iter(scores), []

    def measure(predictions, targets):
        return sign * next(made_up) if len(targets) == 3 else 0.0

    def loss(predictions, targets):
        if len(targets) == 3:
            return Value(1.0 + sign * next(made_up))  # above 0, as most losses are
        return nn.hinge(predictions, targets)

    model, optimizer = made()
    history = run(
        model,
        optimizer,
        loss=loss,
        metric=measure if sign > 0 else None,
        epochs=9,
        held_out=(INPUTS[:3], TARGETS[:3]),
        after_epoch=lambda history: states.append(model.state_dict()),
        **options,
    )
    return model, history, states


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["metric", "loss"])
@pytest.mark.parametrize(
    ("patience", "epochs", "best"), [(1, 3, 2), (2, 4, 2), (3, 8, 5), (4, 9, 9), (9, 9, 9)]
)
def test_patience_restores_the_best_epoch(sign, patience, epochs, best):
    # An equal score is no improvement, and nan never is one. A lower loss is better.
    model, history, states = scored(SCORES, sign, patience=patience)
    assert (len(history.loss), history.best_epoch) == (epochs, best)
    assert model.state_dict() == states[best - 1]
    assert any("running_mean" in name for name in states[0])  # buffers as well


def test_patience_keeps_the_last_epoch_if_every_score_is_nan():
    model, history, states = scored([math.nan] * 9, patience=3)
    assert (len(history.loss), history.best_epoch) == (3, None)
    assert model.state_dict() == states[-1]


def test_patience_restores_the_best_epoch_of_a_run_that_diverged():
    model, optimizer = plain()
    scores, states = iter([0.5, 0.7, 0.6, 0.6]), []
    factors = iter([1.0, 1.0, 1.0, math.nan])
    with pytest.raises(nn.DivergedError) as caught:
        run(
            model,
            optimizer,
            loss=lambda p, t: nn.hinge(p, t) * next(factors),
            metric=lambda p, t: next(scores) if len(t) == 3 else 0.0,
            held_out=(INPUTS[:3], TARGETS[:3]),
            patience=4,
            after_epoch=lambda history: states.append(model.state_dict()),
        )
    assert (caught.value.history.best_epoch, len(states)) == (2, 3)
    assert model.state_dict() == states[1] != states[2]


def test_patience_needs_held_out_examples():
    with pytest.raises(ValueError, match="patience needs held_out"):
        run(*plain(), patience=3)
    with pytest.raises(ValueError, match="patience must be 1 or more, not 0"):
        run(*plain(), patience=0, held_out=EXAMPLES)


@pytest.mark.parametrize("stop", [1, 2, 4, 5, 6, 7])
def test_early_stopping_resumes_to_the_last_bit(stop, tmp_path):
    path = tmp_path / "checkpoint.json"
    whole, expected, _ = scored(SCORES, patience=3)
    stopping = at_call(stop, ctrl_c, nn.accuracy)
    # The metric of a training step interrupts: the step and the epoch are then completed.
    model, optimizer = made()
    scores = iter(SCORES)

    def measure(predictions, targets):
        if len(targets) == 3:
            return next(scores)
        return stopping(predictions, targets) * 0.0

    options = {"held_out": (INPUTS[:3], TARGETS[:3]), "patience": 3, "epochs": 9}
    first = run(model, optimizer, metric=measure, checkpoint=path, **options)
    assert first.interrupted
    assert model.state_dict() != json.loads(path.read_text())["model"] or first.best_epoch == stop
    again, optimizer = made(seed=99)
    rest = iter(SCORES[stop:])

    def measure_rest(predictions, targets):
        return next(rest) if len(targets) == 3 else 0.0

    second = run(again, optimizer, metric=measure_rest, checkpoint=path, resume=True, **options)
    assert repr(second) == repr(expected)  # nan is not equal to itself
    assert again.state_dict() == whole.state_dict()
    content = path.read_bytes()
    options["patience"] = 1  # less than have passed
    run(again, optimizer, metric=measure_rest, checkpoint=path, resume=True, **options)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("best", ...),
        ("best", None),
        ("best", {}),
        ("best", "x"),
        ("history.best_epoch", ...),
        ("history.best_epoch", None),
        ("history.best_epoch", 0),
        ("history.best_epoch", 5),
        ("history.best_epoch", 1.0),
        ("history.best_epoch", True),
        ("position.stopped", 1),
    ],
)
def test_a_checkpoint_with_a_damaged_best_epoch_is_refused(key, value, tmp_path):
    path = tmp_path / "checkpoint.json"
    options = {"held_out": EXAMPLES, "patience": 9, "checkpoint": path}
    run(*made(), **options)
    path.write_bytes(changed(path.read_bytes(), key.split("."), value))
    model, optimizer = made(seed=99)
    before = bits(model, optimizer)
    with pytest.raises(ValueError, match="damaged or of another run"):
        run(model, optimizer, resume=True, **options)
    assert bits(model, optimizer) == before


INPUTS, TARGETS = EXAMPLES
WIDE = [[*row, 1.0] for row in INPUTS]


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        (([], []), {}, "no examples"),
        ((INPUTS, TARGETS[1:]), {}, "10 inputs, but 9 targets"),
        (([*INPUTS[1:], [1.0]], TARGETS), {}, "input 9 has 1"),
        (([*INPUTS[1:], [1.0, math.nan]], TARGETS), {}, "input 9 .* not finite: nan"),
        (([*INPUTS[1:], [-math.inf, 1.0]], TARGETS), {}, "input 9 .* not finite: -inf"),
        ((WIDE, TARGETS), {}, "2 inputs got 3"),
        ((INPUTS, [*TARGETS[1:], math.nan]), {"metric": None}, "target must be finite, not nan"),
        ((INPUTS, [*TARGETS[1:], 3]), {"metric": None}, "target must be -1 or [+]1, not 3"),
        ((INPUTS, [*TARGETS[1:], 3]), {"loss": nn.mse}, "single scores .*, not 3; with more"),
        (EXAMPLES, {"epochs": -1}, "epochs must be 0 or more, not -1"),
        (EXAMPLES, {"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        (EXAMPLES, {"batch_size": -3}, "batch_size must be 1 or more, not -3"),
        (EXAMPLES, {"resume": True}, "resume needs a checkpoint"),
        (EXAMPLES, {"clip": -1.0}, "clip must be 0 or more, not -1.0"),
        (EXAMPLES, {"held_out": ([], [])}, "no examples"),
        (EXAMPLES, {"held_out": (INPUTS, TARGETS[1:])}, "10 inputs, but 9 targets"),
        (EXAMPLES, {"held_out": (WIDE, TARGETS)}, "2 numbers, held-out ones 3"),
    ],
)
def test_invalid_arguments_are_named_and_leave_the_model_unchanged(examples, options, message):
    model, optimizer = plain()
    before = bits(model, optimizer)
    with pytest.raises(ValueError, match=message):
        run(model, optimizer, examples, **options)
    assert bits(model, optimizer) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "hinge"}, "loss must be a function, not 'hinge'"),
        ({"loss": None}, "loss must be a function, not None"),
        ({"metric": "accuracy"}, "metric must be a function, not 'accuracy'"),
        ({"penalty": 0.1}, "penalty must be a function, not 0.1"),
        ({"penalty": nn.l2}, r"as in penalty=nn.l2\(1e-4\), not "),
        ({"predict": 3}, "predict must be a function, not 3"),
        ({"after_epoch": True}, "after_epoch must be a function, not True"),
        ({"clip": "1"}, "clip must be a number or a Value, not '1'"),
        ({"clip": np.ones(2)}, r"clip must be a number or a Value, not array\("),
        ({"settings": "s"}, "settings must be a dict, not 's'"),
    ],
)
def test_arguments_of_the_wrong_type_are_named_and_leave_the_model_unchanged(options, message):
    model, optimizer = plain()
    before = bits(model, optimizer)
    with pytest.raises(TypeError, match=message):
        nn.fit(model, EXAMPLES, optimizer=optimizer, **{"loss": nn.hinge, "epochs": 1} | options)
    assert bits(model, optimizer) == before


@pytest.mark.parametrize("model", ["model", None, nn.Neuron(2).__call__])
def test_a_model_must_be_a_module(model):
    optimizer = nn.SGD(nn.Neuron(2), lr=0.1)
    with pytest.raises(TypeError, match="model must be a Module, not "):
        nn.fit(model, EXAMPLES, nn.hinge, optimizer, epochs=1)
    with pytest.raises(TypeError, match="model must be a Module, not "):
        nn.evaluate(model, EXAMPLES, nn.hinge)


def test_a_model_that_is_a_dataclass_can_be_evaluated_replayed_and_drawn():
    @dataclasses.dataclass
    class Model(nn.Module):  # which is not hashable
        size: int

        def __post_init__(self):
            self.first, self.last = nn.Linear(2, self.size), nn.Linear(self.size, 1)

        def __call__(self, rows):
            return self.last(nn.tanh(self.first(rows)))

    models, many = [Model(3), Model(3)], data.moons(200)
    assert models[0] == models[1]
    for _ in range(4):
        for model in models:
            found = nn.evaluate(model, many, nn.hinge, jit=True)
            assert found == nn.evaluate(model, many, nn.hinge)
        plot.decision_boundary(model, many, resolution=4)


def test_0_epochs_change_nothing():
    model, optimizer = made()
    before = bits(model, optimizer)
    history = run(model, optimizer, epochs=0)
    assert (history.loss, history.accuracy) == ([], [])
    assert bits(model, optimizer) == before


# --- checkpoints ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The content of a checkpoint written in the middle of the second epoch."""
    file = tmp_path_factory.mktemp("kept") / "checkpoint.json"
    stopped = at_call(4, ctrl_c, nn.hinge)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    run(*made(), loss=stopped, batch_size=4, checkpoint=file, settings=SETTINGS)
    signal.signal(signal.SIGINT, previous)
    return file.read_bytes()


def refusal(file, content, build=made, settings=SETTINGS, examples=EXAMPLES):
    """The message of the ValueError that resuming from this content raises, changing nothing."""
    file.write_bytes(content)
    model, optimizer = build(seed=99)
    before = bits(model, optimizer)
    with pytest.raises(ValueError, match=r".") as caught:
        # No epochs: this ends quickly where damage goes unnoticed.
        run(
            model,
            optimizer,
            examples,
            epochs=0,
            batch_size=4,
            checkpoint=file,
            resume=True,
            settings=settings,
        )
    message = str(caught.value)
    assert str(file) in message
    assert len(message.splitlines()) == 1
    assert len(message) < len(str(file)) + 300
    assert bits(model, optimizer) == before
    assert file.read_bytes() == content
    assert list(file.parent.iterdir()) == [file]
    return message


def changed(content, path, value):
    """The JSON text with the entry at the path replaced, or removed if value is `...`."""
    whole = json.loads(content)
    *outer, last = path
    entry = whole
    for key in outer:
        entry = entry[key]
    assert last in entry if isinstance(entry, dict) else last < len(entry)
    if value is ...:
        del entry[last]
    else:
        assert entry[last] != value or type(entry[last]) is not type(value)
        entry[last] = value
    return json.dumps(whole).encode()


def test_the_checkpoint_of_these_tests_is_valid(checkpoint, tmp_path):
    file = tmp_path / "checkpoint.json"
    file.write_bytes(checkpoint)
    model, optimizer = made(seed=99)
    run(model, optimizer, epochs=0, batch_size=4, checkpoint=file, resume=True, settings=SETTINGS)
    assert model.state_dict() == json.loads(checkpoint)["model"]
    assert optimizer.state_dict() == json.loads(checkpoint)["optimizers"][0]


def test_a_checkpoint_truncated_anywhere_is_refused(checkpoint, tmp_path):
    whole = checkpoint.rstrip()
    for length in [*range(0, len(whole), 199), len(whole) - 2, len(whole) - 1]:
        assert "damaged" in refusal(tmp_path / "checkpoint.json", whole[:length])


@pytest.mark.parametrize(
    "content",
    [
        b"null",
        b"[]",
        b"{}",
        b'"checkpoint"',
        b'{"kind": "checkpoint"}',
        b'{"kind": ["checkpoint"]}',
        b"\xff\xfe{",
        b'{"kind": "checkpoint", "settings": "\xe9"}',
        b"\x00" * 4096,
        b"\x89PNG\r\n\x1a\n",
        b"[" * 100_000,
        b'{"kind":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"kind": "checkpoint", "settings": ' + b"9" * 10_000 + b"}",
    ],
    ids=range(14),
)
def test_content_that_is_not_a_checkpoint_is_refused(content, tmp_path):
    refusal(tmp_path / "checkpoint.json", content)


def test_a_model_file_is_refused_as_a_checkpoint(tmp_path):
    file = tmp_path / "model.json"
    made()[0].save(file)
    assert "not a checkpoint" in refusal(file, file.read_bytes())


WEIGHT = "parts.0.neurons.0.w.0"


@pytest.mark.parametrize(
    "path",
    [
        ("kind",),
        ("settings",),
        ("settings", "lr"),
        ("made_with",),
        ("made_with", "data"),
        ("made_with", "batch_size"),
        ("made_with", "optimizer lr"),
        ("position",),
        ("position", "epoch"),
        ("position", "steps"),
        ("position", "seen"),
        ("position", "order"),
        ("position", "order", 3),
        ("position", "loss_sum"),
        ("position", "accuracy_sum"),
        ("position", "weight"),
        ("position", "stopped"),
        ("history",),
        ("history", "loss"),
        ("history", "accuracy"),
        ("history", "held_out_accuracy"),
        ("model",),
        ("model", WEIGHT),
        ("model", "parts.1.running_mean.0"),
        ("optimizers",),
        ("optimizers", 0),
        ("optimizers", 0, "rule"),
        ("optimizers", 0, "lr"),
        ("optimizers", 0, "time"),
        ("optimizers", 0, "moments"),
        ("optimizers", 0, "moments", "mean"),
        ("optimizers", 0, "moments", "square"),
        ("optimizers", 0, "moments", "mean", 0),
        ("generator",),
        ("generator", 0),
        ("generator", 1),
        ("generator", 1, 0),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_an_entry_missing_or_of_the_wrong_type_is_refused(checkpoint, tmp_path, path):
    for value in (..., None, "x", {"x": 1}, [[]]):
        refusal(tmp_path / "checkpoint.json", changed(checkpoint, path, value))


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        (("settings",), [], "it has no settings"),
        (("position", "epoch"), -1, "its counts are not whole numbers"),
        (("position", "epoch"), True, "its counts are not whole numbers"),
        (("position", "steps"), 1.5, "its counts are not whole numbers"),
        (("position", "seen"), 10, "it has seen 10 of 10 examples"),
        (("position", "seen"), 11, "it has seen 11 of 10 examples"),
        (("position", "order"), list(range(9)), "its order is not a permutation of 10"),
        (("position", "order"), list(range(1, 11)), "its order is not a permutation of 10"),
        (("position", "order"), [0] * 10, "its order is not a permutation of 10"),
        (("position", "order"), [float(i) for i in range(10)], "its order is not a permutation"),
        (("position", "order"), ..., "it lacks 'order'"),
        (("history", "loss"), [], "its history does not have 1 epoch"),
        (("history", "loss"), [0.5] * 7, "its history does not have 1 epoch"),
        (("history", "accuracy"), [0.5] * 7, "its history does not have 1 epoch"),
        (("model", WEIGHT), True, f"{WEIGHT} should be a number, not True"),
        (("model", WEIGHT), 10**400, f"{WEIGHT} is too large for a float"),
        (("optimizers",), [], "it does not have 1 optimizer state"),
        (("optimizers",), [{}, {}], "it does not have 1 optimizer state"),
        (("optimizers", 0, "rule"), "SGD", "this is not the state of Adam"),
        (("optimizers", 0, "lr"), 10**400, "lr is too large for a float"),
        (("optimizers", 0, "moments"), {}, "the state of Adam needs the moments"),
        (("optimizers", 0, "moments", "mean"), [0.0], "does not fit 25 parameters"),
        (("generator",), [], ""),
        (("generator", 0), 4, "version 4"),
        (("generator", 1), [1, 2, 3], ""),
        (("generator", 1, 624), 625, ""),
        (("generator", 2), "x", "its random stream is invalid"),
    ],
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else repr(part)[:12],
)
def test_an_entry_of_the_wrong_size_or_out_of_range_is_refused(
    checkpoint, tmp_path, path, value, what
):
    assert what in refusal(tmp_path / "checkpoint.json", changed(checkpoint, path, value))


@pytest.mark.parametrize("depth", [100, 600, 900])
@pytest.mark.parametrize(
    "path", [("model", WEIGHT), ("optimizers", 0, "lr"), ("position", "order")]
)
def test_a_deeply_nested_entry_is_refused(checkpoint, tmp_path, path, depth):
    marked = changed(checkpoint, path, "here")
    content = marked.replace(b'"here"', b"[" * depth + b"]" * depth)
    refusal(tmp_path / "checkpoint.json", content)


def test_a_damaged_byte_raises_a_value_error_or_nothing(checkpoint, tmp_path):
    file = tmp_path / "checkpoint.json"
    model, optimizer = made()
    draw = random.Random(1)
    messages = []
    for _ in range(300):
        content = bytearray(checkpoint)
        content[draw.randrange(len(content))] = draw.randrange(256)
        file.write_bytes(content)
        try:
            run(
                model,
                optimizer,
                epochs=0,
                batch_size=4,
                checkpoint=file,
                resume=True,
                settings=SETTINGS,
            )
        except ValueError as error:
            messages.append(str(error))
    assert 0 < len(messages) < 300
    assert all(str(file) in message for message in messages)


def test_a_checkpoint_of_another_run_is_refused(checkpoint, tmp_path):
    def larger(seed):
        nn.seed(seed)
        model = nn.MLP(2, [5, 1])
        return model, nn.Adam(model, lr=0.05)

    file = tmp_path / "checkpoint.json"
    fewer = Dataset(INPUTS[2:], TARGETS[2:])
    assert "lr = 0.05, not 0.1" in refusal(file, checkpoint, settings=SETTINGS | {"lr": 0.1})
    assert "depth" in refusal(file, checkpoint, settings={"depth": 3})
    message = refusal(file, checkpoint, examples=fewer)
    assert "data = '10 examples" in message
    assert "not '8 examples" in message
    assert "MLP" in refusal(file, checkpoint, larger)
    assert "SGD" in refusal(file, checkpoint, lambda seed: made("momentum", seed))


def test_settings_survive_a_round_trip_through_the_file(tmp_path):
    settings = {"hidden": (16, 16), "limit": math.inf}
    file = tmp_path / "checkpoint.json"
    run(*made(), epochs=1, checkpoint=file, settings=settings)
    history = run(*made(), epochs=2, checkpoint=file, settings=settings, resume=True)
    assert len(history.loss) == 2
    run(*made(), epochs=3, checkpoint=file, resume=True)  # with the settings in the file
    assert json.loads(file.read_text())["settings"] == {"hidden": [16, 16], "limit": "inf"}


def test_settings_that_cannot_be_stored_as_json_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"^settings= must be storable as JSON: .* set "):
        run(*made(), checkpoint=tmp_path / "checkpoint.json", settings={"sizes": {16}})
    assert list(tmp_path.iterdir()) == []


def test_resuming_without_a_checkpoint_is_a_file_not_found_error(tmp_path):
    model, optimizer = made()
    before = bits(model, optimizer)
    with pytest.raises(FileNotFoundError, match=r"checkpoint\.json"):
        run(model, optimizer, checkpoint=tmp_path / "checkpoint.json", resume=True)
    assert bits(model, optimizer) == before
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_replaced_only_by_a_complete_one(tmp_path, monkeypatch):
    file = tmp_path / "checkpoint.json"
    run(*made(), epochs=1, checkpoint=file)
    old = file.read_bytes()
    replace = os.replace
    moved = []

    def watched(source, target):
        assert file.read_bytes() == old
        with open(source, "rb") as new:
            moved.append(json.loads(new.read())["position"]["epoch"])
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    run(*made(), epochs=2, checkpoint=file)
    assert moved == [2]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch, function):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    file = tmp_path / "checkpoint.json"
    run(*made(), epochs=1, checkpoint=file)
    old = file.read_bytes()
    monkeypatch.setattr(os, function, full)
    with pytest.warns(UserWarning, match="No space left"):
        run(*made(), epochs=2, checkpoint=file)
    assert file.read_bytes() == old
    assert list(tmp_path.iterdir()) == [file]


# --- what a step does -----------------------------------------------------------------------------


def test_each_epoch_sees_every_example_once_in_a_new_order():
    batches = []

    def loss(predictions, targets):
        batches.append([row[0].data for row in predictions])
        return nn.hinge(predictions, targets)

    # The model returns its first input, which shows the examples in a batch.
    model = nn.Neuron(2, "linear")
    model.w[0].data, model.w[1].data = 1.0, 0.0
    nn.seed(1)
    run(
        model,
        nn.SGD(model, lr=0.0),
        loss=loss,
        epochs=2,
        batch_size=4,
        predict=lambda model, inputs: [[model(x)] for x in inputs],
    )
    assert [len(batch) for batch in batches] == [4, 4, 2] * 2
    first, second = ([*itertools.chain(*part)] for part in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == sorted(x for x, _ in INPUTS)
    assert first != second


def test_without_a_batch_size_examples_come_in_the_given_order():
    seen = []

    def loss(predictions, targets):
        seen.append(targets)
        return nn.hinge(predictions, targets)

    run(*made(), loss=loss, epochs=2)
    assert seen == [TARGETS, TARGETS]


def test_arrays_give_the_same_numbers_as_lists():
    def result(examples):
        model, optimizer = made()
        history = run(model, optimizer, examples, batch_size=4)
        return learned(model, optimizer), history.loss, history.accuracy

    assert result((np.array(INPUTS), np.array(TARGETS))) == result(EXAMPLES)


def test_epoch_loss_and_accuracy_are_means_over_examples_not_batches():
    nn.seed(1)
    model = nn.MLP(2, [4, 1])
    scores = [model(x) for x in INPUTS]
    right = sum((float(s) > 0) == (t > 0) for s, t in zip(scores, TARGETS, strict=True))
    history = run(model, nn.SGD(model, lr=0.0), epochs=1, batch_size=4)
    assert history.loss == [pytest.approx(nn.hinge(scores, TARGETS).data, rel=1e-12)]
    assert history.accuracy == [pytest.approx(right / 10, rel=1e-12)]


def test_the_penalty_is_part_of_the_loss_and_of_the_gradient():
    # One weight w = 3 on an input of 0: the loss is 0 + 0.5 w^2 = 4.5, its slope 3.
    model = nn.Neuron(1, "linear")
    model.w[0].data = 3.0
    history = run(
        model,
        nn.SGD(model, lr=0.1),
        ([[0.0]], [0.0]),
        nn.mse,
        epochs=1,
        penalty=nn.l2(0.5),
        metric=None,
        predict=lambda model, inputs: [model(x) for x in inputs],
    )
    assert history.loss == [4.5]
    assert model.w[0].data == pytest.approx(2.7, rel=1e-15)


@pytest.mark.parametrize(
    ("strength", "error"),
    [(-1.0, ValueError), (math.nan, ValueError), (math.inf, ValueError), (True, TypeError)],
)
def test_l2_rejects_a_strength_that_is_not_a_finite_number_from_0_up(strength, error):
    with pytest.raises(error, match="l2: strength must be"):
        nn.l2(strength)


def test_l2_of_no_parameters_is_an_error():
    with pytest.raises(ValueError, match="l2 of a model without parameters"):
        nn.l2(1.0)(nn.Sequential(nn.relu))


def test_the_schedule_sets_the_rate_of_each_step():
    model, optimizer = plain()
    used = []

    def metric(predictions, targets):
        used.append(optimizer.lr)
        return 0.0

    run(model, optimizer, epochs=2, batch_size=4, metric=metric, schedule=lambda k: 2.0**-k)
    assert used == [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]


@pytest.mark.parametrize(("clip", "norm"), [(1e-3, 1e-3), (5.0, 5.0), (1e6, 10.0), (None, 10.0)])
def test_the_gradient_is_clipped_in_norm(clip, norm):
    # The slopes of (6 w_1 + 8 w_2 - 0.5)^2 at w = 0 are -6 and -8, a vector of length 10.
    model = nn.Neuron(2, "linear", bias=False)
    model.w[0].data = model.w[1].data = 0.0
    run(
        model,
        nn.SGD(model, lr=1.0),
        ([[6.0, 8.0]], [0.5]),
        nn.mse,
        epochs=1,
        clip=clip,
        metric=None,
        predict=lambda model, inputs: [model(x) for x in inputs],
    )
    step = [w.data for w in model.w]
    assert step == [pytest.approx(0.6 * norm, rel=1e-12), pytest.approx(0.8 * norm, rel=1e-12)]


def test_steps_run_in_training_mode_and_held_out_examples_in_evaluation_mode():
    model, optimizer = made()
    model.eval()
    modes = []

    def loss(predictions, targets):
        modes.append(("loss", model.training, model.parts[2].training))
        return nn.hinge(predictions, targets)

    def metric(predictions, targets):
        held_out = len(targets) == 3
        modes.append(("held out" if held_out else "metric", model.training, None))
        assert bool(predictions[0][0].parents) is not held_out
        return 0.5

    held_out = Dataset(INPUTS[:3], TARGETS[:3])
    history = run(model, optimizer, loss=loss, metric=metric, held_out=held_out, epochs=2)
    epoch = [("loss", True, True), ("metric", True, None), ("held out", False, None)]
    assert modes == epoch * 2
    assert history.held_out_accuracy == [0.5, 0.5]
    assert model.training


def test_held_out_examples_do_not_affect_training():
    def result(held_out):
        model, optimizer = made()
        history = run(model, optimizer, batch_size=4, held_out=held_out)
        history.held_out_accuracy = []
        return bits(model, optimizer, history)

    assert result(EXAMPLES) == result(None)


@pytest.mark.parametrize("training", [True, False])
def test_evaluate_restores_the_mode_even_after_an_error(training):
    model, _ = made()
    model.train(training)
    score = nn.evaluate(model, EXAMPLES, lambda p, t: int(model.training))
    assert score == 0
    assert type(score) is float
    assert model.training is model.parts[2].training is training
    with pytest.raises(RuntimeError, match="broken"):
        nn.evaluate(model, EXAMPLES, lambda p, t: fail())
    assert model.training is model.parts[2].training is training


def test_evaluate_and_plots_leave_a_part_in_evaluation_mode():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3), nn.Linear(3, 1))
    model.parts[1].eval()
    nn.evaluate(model, EXAMPLES, nn.hinge)
    plot.decision_boundary(model, EXAMPLES, resolution=4)
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_a_custom_predict_may_take_inputs_of_any_type():
    nn.seed(1)
    words = nn.Embedding(3, 1)
    history = run(
        words,
        nn.SGD(words, lr=0.5),
        ([0, 1, 2], [1, -1, 1]),
        epochs=20,
        predict=lambda model, indices: model(indices),
    )
    assert history.accuracy[-1] == 1.0


def test_without_progress_nothing_is_printed(capfd):
    run(*made(), held_out=EXAMPLES)
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.fixture
def wide_screen(monkeypatch):
    """A terminal of 200 columns, whatever other tests have set: tqdm cuts longer lines."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LINES", "50")


@pytest.mark.usefixtures("wide_screen")
def test_progress_shows_loss_and_accuracy_on_stderr(capfd):
    history = run(*made(), held_out=EXAMPLES, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "4/4" in err
    assert f"loss={history.loss[-1]:.4f}" in err
    assert f"accuracy={history.accuracy[-1]:.1%}" in err
    assert f"held out={history.held_out_accuracy[-1]:.1%}" in err


@pytest.mark.usefixtures("wide_screen")
def test_progress_shows_a_custom_metric_as_a_short_number(capfd):
    run(*made(), held_out=EXAMPLES, metric=lambda predictions, targets: -2.5, progress=True)
    assert "metric=-2.5000, held out=-2.5000" in capfd.readouterr().err
    run(*made(), metric=lambda predictions, targets: -1e300, progress=True)
    assert "metric=-1e+300]" in capfd.readouterr().err


class Unwritable(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


class Stuck(Unwritable):
    """What could not be written is still in its buffer."""

    def flush(self):
        raise BrokenPipeError


@pytest.mark.parametrize(
    "stream",
    [Unwritable(), Stuck(), types.SimpleNamespace(write=len, encoding="utf-8"), None],
    ids=["broken", "stuck", "without flush", "missing"],
)
def test_a_bar_that_cannot_be_shown_does_not_end_the_run(stream, monkeypatch):
    hidden = run(*made())
    monkeypatch.setattr(sys, "stderr", stream)
    assert run(*made(), progress=True) == hidden


def test_a_line_is_written_above_the_bar(capfd):
    def report(history):
        tqdm.write("a line", file=sys.stderr)

    run(*made(), after_epoch=report, progress=True)
    bars = capfd.readouterr().err.split("\ra line\n")[1:]
    assert [bar.partition("/4 ")[0][-1] for bar in bars] == ["1", "2", "3", "4"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_memory_is_flat_over_two_thousand_steps():
    # The moons step with few examples and neurons, to be quick. Two lists of 2,000 numbers take
    # 200 kB; a leak of one of the step's graphs, lists or programs would show above 1 MB.
    program = """
        import os
        import nn
        from nn import data

        sizes = []

        def metric(predictions, targets):
            with open("/proc/self/statm") as file:
                sizes.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            return nn.accuracy(predictions, targets)

        nn.seed(0)
        examples = data.moons(4)
        model = nn.MLP(2, [4, 1])
        nn.fit(
            model, examples, nn.hinge, nn.Adam(model, lr=0.001), epochs=2000,
            penalty=nn.l2(1e-4), metric=metric, progress=False,
        )
        print(len(sizes), sizes[49], max(sizes[49:]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    steps, after_fifty, largest = map(int, done.stdout.split())
    assert steps == 2000
    assert largest - after_fifty < 1_000_000


# --- data -----------------------------------------------------------------------------------------

MADE = {"moons": data.moons, "circles": data.circles, "spiral": data.spiral, "xor": data.xor}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("n", [1, 12, 101])
def test_generated_examples_have_two_floats_and_a_class(name, n):
    inputs, targets = MADE[name](n)
    assert len(inputs) == len(targets) == n
    assert all(len(row) == 2 and all(type(x) is float for x in row) for row in inputs)
    assert set(targets) <= ({0, 1, 2} if name == "spiral" else {-1, 1})


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("n", [12, 100, 101])
def test_generated_classes_are_balanced(name, n):
    counts = [MADE[name](n).targets.count(c) for c in ((0, 1, 2) if name == "spiral" else (-1, 1))]
    assert sum(counts) == n
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("n", [2, 50, 51])
def test_moons_without_noise_match_scikit_learn(n):
    from sklearn.datasets import make_moons

    points, labels = make_moons((n - n // 2, n // 2), shuffle=False)
    inputs, targets = data.moons(n, noise=0.0)
    assert np.allclose(inputs, points, rtol=0.0, atol=1e-15)
    assert targets == [2 * label - 1 for label in labels]


def test_circles_without_noise_lie_on_their_radii():
    for (x, y), label in zip(*data.circles(31, noise=0.0, factor=0.25), strict=True):
        assert math.hypot(x, y) == pytest.approx(1.0 if label == -1 else 0.25, rel=1e-15)


def test_a_spiral_without_noise_turns_by_four_radians_from_each_arms_start():
    inputs, targets = data.spiral(40, noise=0.0, arms=4)
    assert set(targets) == {0, 1, 2, 3}
    for (x, y), arm in zip(inputs, targets, strict=True):
        radius = math.hypot(x, y)
        angle = 2.0 * math.pi * arm / 4 + 4.0 * radius
        assert 0.0 < radius <= 1.0 + 1e-15
        assert (x, y) == (
            pytest.approx(radius * math.sin(angle), abs=1e-14),
            pytest.approx(radius * math.cos(angle), abs=1e-14),
        )


def test_xor_without_noise_is_its_table():
    inputs, targets = data.xor(8, noise=0.0)
    table = {(0.0, 0.0): -1, (0.0, 1.0): 1, (1.0, 0.0): 1, (1.0, 1.0): -1}
    assert {tuple(row) for row in inputs} == set(table)
    assert targets == [table[tuple(row)] for row in inputs]


@pytest.mark.parametrize("name", MADE)
def test_the_added_noise_has_the_given_standard_deviation(name):
    clean = MADE[name](4000, noise=0.0)
    noisy = MADE[name](4000, noise=0.2, generator=random.Random(1))
    added = np.array(noisy.inputs) - np.array(clean.inputs)
    assert noisy.targets == clean.targets
    assert np.abs(added.mean(axis=0)).max() < 0.02
    assert added.std(axis=0) == pytest.approx([0.2, 0.2], rel=0.05)


@pytest.mark.parametrize("name", MADE)
def test_generated_data_follow_the_seed_or_a_given_generator(name):
    nn.seed(4)
    first = MADE[name](20)
    assert MADE[name](20) != first
    nn.seed(4)
    assert MADE[name](20) == first
    state = rng.generator.getstate()
    assert MADE[name](20, generator=random.Random(4)) == first
    assert rng.generator.getstate() == state


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be 1 or more, not 0"),
        ({"n": -5}, "n must be 1 or more, not -5"),
        ({"noise": -0.1}, "noise must be 0 or more, not -0.1"),
        ({"noise": math.nan}, "noise must be finite, not nan"),
        ({"noise": math.inf}, "noise must be finite, not inf"),
    ],
)
def test_invalid_sizes_and_noise_of_generated_data_are_errors(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        MADE[name](**arguments)


def test_a_spiral_without_arms_is_an_error():
    with pytest.raises(ValueError, match="arm"):
        data.spiral(10, arms=0)


def test_iris_and_digits_match_scikit_learn():
    from sklearn import datasets

    for ours, theirs in (
        (data.iris(), datasets.load_iris()),
        (data.digits(), datasets.load_digits()),
    ):
        assert ours.inputs == theirs.data.tolist()
        assert ours.targets == theirs.target.tolist()
        assert all(type(t) is int for t in ours.targets)


@pytest.mark.parametrize("load", [data.iris, data.digits])
def test_the_error_without_scikit_learn_names_the_extra(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=EXTRA):
        load()


def numbered(*sizes):
    """Distinct examples, as many of each class as its size says."""
    targets = [c for c, size in enumerate(sizes) for _ in range(size)]
    return Dataset([[float(i)] for i in range(len(targets))], targets)


@pytest.mark.parametrize("sizes", [(10, 10, 10), (50, 20, 7), (1, 30), (9,)])
@pytest.mark.parametrize("held_out", [0, 1, 8])
def test_split_parts_are_disjoint_complete_and_in_proportion(sizes, held_out):
    whole = numbered(*sizes)
    parts = data.split(whole, held_out)
    assert [len(part.inputs) for part in parts] == [sum(sizes) - held_out, held_out]
    pairs = [(x, t) for part in parts for (x,), t in zip(*part, strict=True)]
    assert sorted(pairs) == [(x, t) for (x,), t in zip(*whole, strict=True)]
    for c, size in enumerate(sizes):
        assert abs(parts[1].targets.count(c) - held_out * size / sum(sizes)) <= 1.0


def test_split_draws_at_random_from_the_seed():
    def drawn(seed):
        nn.seed(seed)
        return data.split(numbered(20, 20), 10)[1].inputs

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    generator = random.Random(1)
    assert data.split(numbered(20, 20), 10, generator)[1].inputs == drawn(1)


@pytest.mark.parametrize("held_out", [9, 10])
def test_holding_out_too_many_examples_is_an_error(held_out):
    with pytest.raises(ValueError, match=f"cannot hold out {held_out} of 9"):
        data.split(numbered(9), held_out)


def test_standardized_columns_have_mean_0_and_deviation_1():
    scaled = data.standardized(data.iris())
    for column in zip(*scaled.inputs, strict=True):
        assert statistics.fmean(column) == pytest.approx(0.0, abs=1e-12)
        assert statistics.pstdev(column) == pytest.approx(1.0, rel=1e-12)
    assert scaled.targets == data.iris().targets


def test_standardized_uses_the_means_and_deviations_of_like():
    # A column of mean 2 and deviation 1, and one of mean 10 and deviation 0.
    like = Dataset([[1.0, 10.0], [3.0, 10.0]], [0, 1])
    scaled = data.standardized(Dataset([[5.0, 12.0], [2.0, 10.0]], [1, 0]), like=like)
    assert scaled == Dataset([[3.0, 2.0], [0.0, 0.0]], [1, 0])


# --- plots ----------------------------------------------------------------------------------------

HISTORY = nn.History([1.0, 0.5, 0.25], [0.5, 0.75, 1.0], [0.25, 0.5, 0.75])
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml"}


def boundary(outputs=1, examples=EXAMPLES):
    nn.seed(1)
    model = nn.MLP(2, [3, outputs], "tanh")
    return plot.decision_boundary(model, examples, resolution=12)


FIGURES = {
    "loss": lambda: plot.loss_curve(HISTORY),
    "loss alone": lambda: plot.loss_curve(nn.History([1.0, 0.5])),
    "no epoch": lambda: plot.loss_curve(nn.History()),
    "one score": boundary,
    "classes": lambda: boundary(3, data.spiral(9)),
    "one example": lambda: boundary(1, Dataset([[1.0, 2.0]], [1])),
    "activations": plot.activations,
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_saved_as_png_and_svg(name, tmp_path, monkeypatch):
    make = plot._figure  # smaller figures are saved in less time
    monkeypatch.setattr(plot, "_figure", lambda width, height: make(width / 2, height / 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of Matplotlib's own code
        figure = FIGURES[name]()
        for ending, magic in MAGIC.items():
            plot.save(figure, tmp_path / f"figure.{ending}")
            assert (tmp_path / f"figure.{ending}").read_bytes().startswith(magic)
            figure.set_layout_engine("none")  # lay it out only once
    assert b"</svg>" in (tmp_path / "figure.svg").read_bytes()


def test_the_loss_curve_shows_the_history_from_epoch_1():
    left, right = plot.loss_curve(HISTORY).axes
    drawn = [line.get_xydata().tolist() for line in (*left.lines, *right.lines)]
    assert drawn == [
        [[1, 1.0], [2, 0.5], [3, 0.25]],
        [[1, 0.5], [2, 0.75], [3, 1.0]],
        [[1, 0.25], [2, 0.5], [3, 0.75]],
    ]


def test_the_loss_curve_by_steps_ends_at_the_last_step():
    (axes,) = plot.loss_curve(nn.History([1.0, 0.5, 0.25]), steps=100, total=220).axes
    assert axes.lines[0].get_xdata().tolist() == [100, 200, 220]


def test_the_loss_curve_shows_every_number_of_any_sign_and_size():
    history = nn.History(loss=[-1.0, -2.5], accuracy=[-3.0, 7.5], held_out_accuracy=[0.5, 8.0])
    for axes, (low, high) in zip(plot.loss_curve(history).axes, [(-2.5, -1), (-3, 8)], strict=True):
        bottom, top = axes.get_ylim()
        assert bottom < low < high < top
        assert axes.get_ylabel() in ("loss", "metric")  # not "accuracy", which is from 0 to 1
    left, right = plot.loss_curve(HISTORY).axes
    assert (left.get_ylim()[0], right.get_ylim()) == (0.0, (0.0, 1.02))
    assert right.get_ylabel() == "accuracy"


def test_the_loss_curve_of_one_epoch_is_a_point_and_ticks_are_whole_epochs():
    (axes,) = plot.loss_curve(nn.History(loss=[0.5])).axes
    assert axes.lines[0].get_marker() == "o"
    assert not axes.lines[0].get_clip_on()  # it is whole, even at the top
    left, _ = plot.loss_curve(HISTORY).axes
    assert left.lines[0].get_marker() == "None"
    assert all(tick == round(tick) for tick in [*axes.get_xticks(), *left.get_xticks()])


def test_a_loss_that_hardly_changes_is_not_drawn_on_the_frame():
    for losses in ([2.3026, 2.3025, 2.3024], [2.3026] * 3):
        (axes,) = plot.loss_curve(nn.History(losses)).axes
        assert axes.get_ylim() == (0.0, pytest.approx(2.3026 * 1.05))


def test_a_number_between_nans_is_a_point_of_the_loss_curve():
    history = nn.History([3.0, 2.0, 1.0], held_out_loss=[4.0, math.nan, 2.0])
    (axes,) = plot.loss_curve(history).axes
    assert [line.get_markevery() for line in axes.lines] == [None, [0, 2]]
    assert [line.get_marker() for line in axes.lines] == ["None", "o"]


@pytest.mark.parametrize("size", [1e-6, 0.0039, 0.39, 3900.0, 3.9e7])
def test_all_text_of_a_loss_curve_is_inside_the_figure_and_legible(size):
    scores = [-size, -size / 3]  # such as the negative of an error
    for history in (nn.History([size, size / 3], scores, scores), nn.History([-size], [-size])):
        figure = plot.loss_curve(history)
        figure.draw_without_rendering()
        box, edge = figure.get_tightbbox(), figure.bbox_inches
        assert edge.x0 <= box.x0 < box.x1 <= edge.x1
        assert edge.y0 <= box.y0 < box.y1 <= edge.y1
        legend = figure.axes[0].get_legend().get_window_extent()
        for axes in figure.axes:
            power = axes.yaxis.get_offset_text()
            assert not (power.get_text() and power.get_window_extent().overlaps(legend))


def test_no_line_runs_through_the_legend_of_a_loss_curve():
    for history in (
        nn.History(loss=[0.9, 0.4], accuracy=[0.5, 0.6], held_out_accuracy=[0.4, 0.7]),
        nn.History(loss=[3.0, 1.5], held_out_loss=[3.1, 0.1]),
        nn.History(loss=[3e6, 2e6]),
    ):
        figure = plot.loss_curve(history)
        figure.draw_without_rendering()
        axes = figure.axes[0]
        legend = axes.get_legend().get_window_extent()
        assert legend.y0 >= axes.get_window_extent().y1
        assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
        assert legend.y1 <= figure.bbox.y1


def test_the_legend_of_a_boundary_covers_no_example_if_a_corner_is_free():
    corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.9, 1.1], [1.1, 1.1]]
    figure = boundary(1, (corners, [-1, 1, 1, 1, -1]))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    legend = axes.get_legend().get_window_extent()
    for x, y in axes.transData.transform(corners):
        assert not legend.contains(x, y)


def test_the_boundary_shows_every_example_and_names_every_class():
    for figure, names in (
        (boundary(), ["class -1", "class +1"]),
        (boundary(3, data.spiral(9)), ["class 0", "class 1", "class 2"]),
    ):
        axes = figure.axes[0]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == names
    shown = [list(p) for points in axes.collections[1:] for p in points.get_offsets().tolist()]
    assert len(shown) == 9


class Side(nn.Module):
    """Scores that depend on the first input only: positive right of 0.3, plus an offset."""

    def __init__(self, outputs=1, offset=0.0):
        self.outputs, self.offset = outputs, offset
        self.modes = []

    def __call__(self, rows):
        self.modes.append(self.training)
        scores = [row[0] - 0.3 + self.offset for row in rows]
        return nn.Matrix([s, -s, Value(-9.0)][: self.outputs] for s in scores)


def test_the_boundary_of_one_score_is_where_it_is_0():
    lines = plot.decision_boundary(Side(), EXAMPLES).axes[0].collections[1]
    points = np.concatenate([path.vertices for path in lines.get_paths()])
    assert len(points) > 1
    assert points[:, 0] == pytest.approx(np.full(len(points), 0.3), abs=1e-9)


def test_the_regions_are_the_classes_of_the_largest_score():
    examples = Dataset([[-1.0, 0.0], [1.0, 1.0]], [0, 1])
    mesh = plot.decision_boundary(Side(3), examples, resolution=10).axes[0].collections[0]
    cells = mesh.get_array().reshape(10, 10)
    assert (cells == cells[0]).all()
    # Of ten points from -1.3 to 1.3 the last four are right of 0.3.
    assert cells[0].tolist() == [1.0] * 6 + [0.0] * 4


def test_a_model_that_predicts_a_single_class_is_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of Matplotlib's own code
        plot.decision_boundary(Side(offset=100.0), EXAMPLES, resolution=12)


@pytest.mark.parametrize("training", [True, False])
def test_the_boundary_is_drawn_in_evaluation_mode_and_the_mode_restored(training):
    model = Side()
    model.train(training)
    plot.decision_boundary(model, EXAMPLES, resolution=12)
    assert set(model.modes) == {False}
    assert model.training is training


@pytest.mark.parametrize("inputs", [[[1.0, 2.0, 3.0]], [[1.0]]])
def test_the_boundary_needs_exactly_two_inputs(inputs):
    with pytest.raises(ValueError, match="two inputs"):
        plot.decision_boundary(Side(), Dataset(inputs, [1] * len(inputs)))


@pytest.mark.parametrize("functions", ["relu", ["relu"], nn.relu, []])
def test_plots_reject_arguments_of_the_wrong_type(functions):
    with pytest.raises(TypeError, match=r"activations takes a list of functions .* \[nn\.relu\]"):
        plot.activations(functions)
    with pytest.raises(TypeError, match="loss_curve takes what fit returns, a History, not"):
        plot.loss_curve(functions)
    with pytest.raises(TypeError, match="steps must be a whole number, not "):
        plot.loss_curve(HISTORY, functions)


def test_activations_are_drawn_with_their_derivatives():
    figure = plot.activations((nn.relu, nn.sigmoid, functools.partial(nn.elu, alpha=2.0)))
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in shown] == ["relu", "sigmoid", "elu(alpha=2.0)"]
    curves = {line.get_label(): line for line in shown[1].lines}
    xs, slopes = curves["g'(x)"].get_data()
    s = 1.0 / (1.0 + np.exp(-np.asarray(xs)))
    assert curves["g(x)"].get_ydata() == pytest.approx(s, rel=1e-14)
    assert slopes == pytest.approx(s * (1.0 - s), rel=1e-12)


def test_the_settings_of_activations_are_inside_the_figure_and_apart():
    function = functools.partial(nn.leaky_relu, negative_slope=0.125)
    figure = plot.activations([function] * 3)
    figure.draw_without_rendering()
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    ends = [0.0, *(x for title in titles for x in (title.x0, title.x1)), figure.bbox.x1]
    assert ends == sorted(ends)


def test_a_figure_that_cannot_be_saved_leaves_the_folder_unchanged(tmp_path):
    figure = plot.loss_curve(HISTORY)
    old = tmp_path / "figure.unknown"
    old.write_bytes(b"old")
    with pytest.raises(ValueError, match="unknown"):
        plot.save(figure, old)
    with pytest.raises(OSError, match="missing"):
        plot.save(figure, tmp_path / "missing" / "figure.png")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("figure.unknown", b"old")]


@pytest.mark.parametrize("name", ["loss", "one score", "activations"])
def test_the_error_without_matplotlib_names_the_extra(name, monkeypatch):
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=EXTRA):
        FIGURES[name]()
