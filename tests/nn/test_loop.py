"""Which steps of `fit` are checked, and what happens to a run when a check fails?"""

import gc
import itertools
import json
import os
import random
import signal

import pytest

import nn
from autograd import Value, hooks, no_grad
from autograd.jit import TraceError
from nn import checkpoint, data, loop, optim, rng, train

EXAMPLES = data.moons(10, noise=0.1, generator=random.Random(3))


def made():
    """A model with buffers and random numbers, and its optimizer."""
    nn.seed(5)
    model = nn.Sequential(
        nn.Layer(2, 4, "tanh"), nn.BatchNorm(4), nn.Dropout(0.3), nn.Layer(4, 1, "linear")
    )
    return model, nn.Adam(model, lr=0.05)


def run(model, optimizer, **options):
    options = {"epochs": 4, "batch_size": 4, "progress": False, "loss": nn.hinge} | options
    return nn.fit(model, EXAMPLES, optimizer=optimizer, **options)


def bits(model, optimizer, history):
    """Everything that a run leaves behind, to the last bit."""
    gradients = [p.grad for p in model.parameters()]
    states = model.state_dict(), optimizer.state_dict(), rng.generator.getstate()
    return repr((*states, gradients, history.loss, history.held_out_loss))


def fail_check():
    raise hooks.TraceError("step: layers.0.neurons.3.w.1 differs since call 8")


@pytest.fixture
def asked(monkeypatch):
    """For each step that was computed, whether its replay should be checked."""
    return stand_in(monkeypatch, lambda calls: None)


def stand_in(monkeypatch, after):
    """Make each step note whether it should be checked, and call `after(number of steps)`."""
    calls = []
    original = train.step_for

    def noting(*arguments):
        step = original(*arguments)

        def noted(inputs, targets):
            calls.append(hooks.checking.get())
            answer = step(inputs, targets)
            after(len(calls))
            return answer

        return noted

    monkeypatch.setattr(train, "step_for", noting)
    return calls


# --- which steps are checked ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"epochs": 3}, 9),
        ({"epochs": 3, "drop_last": True}, 6),
        ({"epochs": 2, "batch_size": 5}, 4),
        ({"epochs": 2, "batch_size": 5, "drop_last": True}, 4),
        ({"epochs": 3, "batch_size": None}, 3),
        ({"epochs": None, "steps": 7}, 7),
        ({"epochs": None, "steps": 4, "every": 2}, 4),
        ({"epochs": 1, "batch_size": None}, 1),
    ],
)
def test_the_last_step_of_a_run_is_checked_and_no_other(options, steps, asked):
    run(*made(), **options)
    assert asked == [False] * (steps - 1) + [True]
    assert hooks.checking.get() is False


def test_the_last_step_of_a_resumed_run_is_checked(asked, tmp_path):
    file = tmp_path / "run.json"
    run(*made(), epochs=2, checkpoint=file)
    run(*made(), epochs=3, checkpoint=file, resume=True)
    assert asked == ([False] * 5 + [True]) + ([False] * 2 + [True])


def test_every_step_before_a_save_is_checked(monkeypatch, asked, tmp_path):
    seconds = itertools.count()  # a second passes with each look at the clock
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(loop, "SAVE_EVERY", 3.5)
    saved = []
    original = checkpoint.Checkpoint.save

    def save(self, progress, length):
        saved.append(len(asked))
        original(self, progress, length)

    monkeypatch.setattr(checkpoint.Checkpoint, "save", save)
    run(*made(), checkpoint=tmp_path / "run.json")
    assert saved == [4, 8, 12, 12]  # and at the end
    assert [i + 1 for i, checked in enumerate(asked) if checked] == [4, 8, 12]


def test_without_a_checkpoint_no_step_is_checked_before_the_last(monkeypatch, asked):
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    run(*made())
    assert asked == [False] * 11 + [True]


# --- runs that end early --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"after_epoch": lambda history: len(history.loss) == 2},
        {"patience": 2, "held_out": EXAMPLES, "metric": lambda predictions, targets: 0.0},
        {"after_epoch": lambda history: True, "micro_batch": 2},
    ],
)
def test_a_run_that_ends_early_repeats_its_last_step_to_check_it(options, asked):
    def ended(jit):
        if "micro_batch" in options:  # which BatchNorm does not allow
            nn.seed(5)
            model = nn.MLP(2, [4, 1], "tanh")
            optimizer = nn.Adam(model, lr=0.05)
        else:
            model, optimizer = made()
        return bits(model, optimizer, run(model, optimizer, jit=jit, **options))

    expected = ended(jit=False)
    steps = len(asked)
    assert not any(asked)
    assert ended(jit=True) == expected
    assert asked[steps:] == [False] * steps + [True]


def test_an_interrupted_run_is_checked_too(monkeypatch, tmp_path):
    expected = made()
    run(*expected, epochs=None, steps=2)

    calls = stand_in(
        monkeypatch, lambda calls: signal.raise_signal(signal.SIGINT) if calls == 2 else None
    )
    found = made()
    history = run(*found, jit=True, checkpoint=tmp_path / "run.json")
    assert history.interrupted
    assert calls == [False, False, True]
    assert found[0].state_dict() == expected[0].state_dict()
    assert found[1].state_dict() == expected[1].state_dict()
    assert json.loads((tmp_path / "run.json").read_text())["position"]["steps"] == 2


def test_a_run_that_ends_early_and_fails_its_check_is_not_saved(monkeypatch, tmp_path):
    calls = stand_in(monkeypatch, lambda calls: fail_check() if calls == 7 else None)
    file = tmp_path / "run.json"
    with pytest.raises(hooks.TraceError, match="since call 8") as caught:
        run(*made(), jit=True, checkpoint=file, after_epoch=lambda h: len(h.loss) == 2)
    assert len(caught.value.history.loss) == 2
    assert calls == [False] * 6 + [True]
    assert not file.exists()


def test_an_error_in_the_repeated_step_does_not_fail_the_run(monkeypatch, tmp_path):
    def fail(calls):
        if calls == 7:
            raise ValueError("only in the repeated step")

    stand_in(monkeypatch, fail)
    file = tmp_path / "run.json"
    history = run(*made(), jit=True, checkpoint=file, after_epoch=lambda h: len(h.loss) == 2)
    assert len(history.loss) == 2
    assert json.loads(file.read_text())["position"]["steps"] == 6


def test_a_run_without_steps_checks_nothing(asked):
    run(*made(), epochs=0, jit=True)
    assert asked == []


# --- a check that fails ---------------------------------------------------------------------------


def test_a_state_that_fails_its_check_does_not_replace_a_checkpoint(monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    file = tmp_path / "run.json"
    kept = []

    def after(calls):
        if calls > 1:
            kept.append(file.read_bytes())
        if calls == 5:
            fail_check()

    stand_in(monkeypatch, after)
    with pytest.raises(hooks.TraceError, match=r"layers\.0\.neurons\.3\.w\.1") as caught:
        run(*made(), checkpoint=file)
    assert file.read_bytes() == kept[-1]
    assert json.loads(kept[-1])["position"]["steps"] == 4
    assert len(caught.value.history.loss) == 1


def test_a_failed_check_keeps_the_eager_results(monkeypatch):
    expected = made()
    run(*expected, epochs=None, steps=5)
    stand_in(monkeypatch, lambda calls: fail_check() if calls == 5 else None)
    found = made()
    with pytest.raises(hooks.TraceError):
        run(*found)
    assert found[0].state_dict() == expected[0].state_dict()  # running averages included
    assert found[1].state_dict() == expected[1].state_dict()


def test_an_epoch_whose_predictions_fail_their_check_is_not_saved(tmp_path):
    def predict(model, inputs):
        if not model.training and len(inputs) == 10:
            fail_check()
        return model(nn.Matrix([[Value(x) for x in row] for row in inputs]))

    file = tmp_path / "run.json"
    with pytest.raises(hooks.TraceError) as caught:
        run(*made(), held_out=EXAMPLES, predict=predict, checkpoint=file)
    assert caught.value.history.loss == []
    assert not file.exists()


def test_fit_handles_the_trace_error_of_a_jitted_function():
    model, optimizer = made()

    def loss(predictions, targets):
        optimizer.lr = 0.1  # refused while the step is recorded
        return nn.hinge(predictions, targets)

    with pytest.raises(TraceError, match="learning rate") as caught:
        run(model, optimizer, loss=loss, jit=True)
    assert isinstance(caught.value, hooks.TraceError)
    assert caught.value.history.loss == []


@pytest.mark.parametrize("jit", [False, True])
def test_a_step_makes_no_cyclic_garbage(jit):
    """A run pauses the garbage collector, so that garbage would fill the memory."""
    garbage = []
    run(*made(), epochs=8, jit=jit, after_epoch=lambda history: garbage.append(gc.collect()))
    assert garbage[4:] == [0] * 4


# --- saves that fail, and Ctrl-C during a save ----------------------------------------------------


@pytest.fixture
def disk(monkeypatch):
    """A disk that is full if `disk.full(number of saves)` is true, and a save after each step."""

    class Disk:
        saves = 0
        full = staticmethod(lambda save: False)

        def fsync(self, handle):
            self.saves += 1
            if self.full(self.saves):
                raise OSError(28, "No space left on device")

    disk = Disk()
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


@pytest.mark.parametrize("full", [(2,), (2, 3, 4), (12,), range(1, 13)])
def test_a_failed_save_warns_once_and_the_next_save_is_complete(full, disk, tmp_path):
    whole = made()
    history = run(*whole, checkpoint=tmp_path / "whole.json")
    disk.saves, disk.full = 0, lambda save: save in full
    again = made()
    message = (
        rf"cannot write the checkpoint after {full[0]} steps?: \[Errno 28\] No space left on"
        r" device: '.*again\.json'; the next save, in a few seconds or at the end, tries again"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        assert bits(*again, run(*again, checkpoint=tmp_path / "again.json")) == bits(
            *whole, history
        )
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_a_disk_that_fills_up_again_warns_again(disk, tmp_path):
    disk.full = lambda save: save % 3 == 0
    with pytest.warns(UserWarning, match="No space left") as caught:
        run(*made(), checkpoint=tmp_path / "run.json")
    assert len(caught) == 4


@pytest.mark.parametrize("length", [{}, {"epochs": None, "steps": 12, "every": 5}])
def test_a_failed_last_save_leaves_the_trained_model_in_memory(length, disk, tmp_path):
    whole = made()
    history = run(*whole, **length)
    disk.full = lambda save: save > 5
    model, optimizer = made()
    with pytest.warns(UserWarning, match="cannot write the checkpoint") as caught:
        again = run(model, optimizer, checkpoint=tmp_path / "run.json", **length)
    assert bits(model, optimizer, again) == bits(*whole, history)
    assert "after 6 steps" in str(caught[0].message)
    assert "after 12 steps" in str(caught[1].message)
    assert "model.save(path) stores it" in str(caught[1].message)
    assert len(caught) == 2
    assert json.loads((tmp_path / "run.json").read_text())["position"]["steps"] == 5
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.parametrize("broken", [3, 4])
def test_a_failed_save_does_not_hide_the_error_of_a_step_or_evaluation(broken, disk, tmp_path):
    disk.full = lambda save: save > 2
    calls = itertools.count(1)

    def loss(predictions, targets):
        if next(calls) == broken:
            raise RuntimeError("a broken loss")
        return nn.hinge(predictions, targets)

    with pytest.warns(UserWarning, match="model.save"), pytest.raises(RuntimeError, match="broken"):
        run(*made(), loss=loss, held_out=EXAMPLES, checkpoint=tmp_path / "run.json")


def test_a_ctrl_c_during_the_last_save_is_raised_after_it(disk, tmp_path):
    whole = made()
    run(*whole, checkpoint=tmp_path / "whole.json")
    disk.saves = 0
    disk.full = lambda save: signal.raise_signal(signal.SIGINT) if save == 13 else None
    again = made()
    with pytest.raises(KeyboardInterrupt):
        run(*again, checkpoint=tmp_path / "run.json")
    assert (tmp_path / "run.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["run.json", "whole.json"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ctrl_c_between_two_assignments_undoes_the_step(monkeypatch):
    model, optimizer = made()
    before = model.state_dict(), optimizer.state_dict()
    put, calls = optim._put, itertools.count()

    def interrupted(leaves, numbers):
        put(leaves, numbers)
        if next(calls) == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(optim, "_put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(model, optimizer)
    assert (model.state_dict(), optimizer.state_dict()) == before


def test_a_ctrl_c_that_keeps_a_block_from_being_left_does_not_outlast_the_run():
    def loss(predictions, targets):
        no_grad().__enter__()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(*made(), loss=loss)
    assert (Value(2.0) * 3.0).parents
