"""Is a run resumed only with its own data and settings, and then to the last bit?"""

import json
import os
import random

import numpy as np
import pytest

import nn
from autograd import Value
from nn import data
from nn.checkpoint import described

EXAMPLES = data.moons(12, generator=random.Random(3))
OTHERS = data.moons(12, generator=random.Random(4))
BASE = {"batch_size": 4, "clip": 1.0, "penalty": nn.l2(1e-3), "held_out": OTHERS}


def made(rule=nn.Adam, lr=0.05, **settings):
    nn.seed(5)
    model = nn.MLP(2, [4, 1], "tanh")
    return model, rule(model, lr=lr, **settings)


def fit(model, optimizer, examples=EXAMPLES, **options):
    options = {"epochs": 2, "metric": nn.accuracy, "progress": False} | BASE | options
    return nn.fit(model, examples, nn.hinge, optimizer, **options)


def state(model, optimizer):
    return repr((model.state_dict(), optimizer.state_dict(), nn.rng.generator.getstate()))


@pytest.fixture
def file(tmp_path):
    """The checkpoint of a run of two epochs."""
    path = tmp_path / "checkpoint.json"
    fit(*made(), checkpoint=path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 3}, "batch_size = 4, not 3"),
        ({"batch_size": None}, "batch_size = 4, not None"),
        ({"drop_last": True}, "drop_last = False, not True"),
        ({"micro_batch": 2}, "micro_batch = None, not 2"),
        ({"clip": 2.0}, "clip = 1.0, not 2.0"),
        ({"clip": None}, "clip = 1.0, not None"),
        ({"penalty": nn.l2(1e-2)}, "penalty = 0.001, not 0.01"),
        ({"penalty": None}, "penalty = 0.001, not None"),
        ({"penalty": lambda model: Value(0.0)}, "penalty = 0.001, not 'a function'"),
        ({"epochs": None, "steps": 8}, "every = None, not 100"),
        ({"metric": None}, "metric = 'a function', not None"),
        ({"schedule": lambda step: 0.05}, "optimizer schedule = None, not 'a function'"),
        ({"patience": 3}, "early stopping = False, not True"),
        ({"held_out": None}, "held_out = '12 examples, sha256 [0-9a-f]{12}', not None"),
        ({"held_out": EXAMPLES}, "held_out = '12 examples, sha256 .*', not '12 examples, sha256"),
    ],
)
def test_different_options_of_fit_are_refused_and_both_values_named(options, message, file):
    model, optimizer = made()
    before, content = state(model, optimizer), file.read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint.json was made with {message}"):
        fit(model, optimizer, checkpoint=file, resume=True, **options)
    assert state(model, optimizer) == before
    assert file.read_bytes() == content


@pytest.mark.parametrize("jit", [False, True])
def test_different_data_of_the_same_size_are_refused(jit, file):
    changed = data.Dataset([list(row) for row in EXAMPLES.inputs], list(EXAMPLES.targets))
    fit(*made(), changed, checkpoint=file, resume=True, jit=jit)  # equal, though another object
    changed.inputs[7][1] += 1e-15
    with pytest.raises(ValueError, match=r"made with data = '12 examples, sha256 .*, not '12"):
        fit(*made(), changed, checkpoint=file, resume=True, jit=jit)
    targets = [-EXAMPLES.targets[0], *EXAMPLES.targets[1:]]
    with pytest.raises(ValueError, match="made with data = "):
        fit(*made(), (EXAMPLES.inputs, targets), checkpoint=file, resume=True, jit=jit)


def test_a_different_learning_rate_is_refused_unless_a_schedule_sets_it(file):
    with pytest.raises(ValueError, match=r"made with optimizer lr = 0\.05, not 0\.01"):
        fit(*made(lr=0.01), checkpoint=file, resume=True)
    fit(*made(), checkpoint=file, schedule=lambda step: 0.05)
    model, optimizer = made(lr=0.01)
    fit(model, optimizer, checkpoint=file, resume=True, epochs=3, schedule=lambda step: 0.02)
    assert optimizer.lr == 0.02
    with pytest.raises(ValueError, match="made with optimizer schedule = 'a function', not None"):
        fit(*made(), checkpoint=file, resume=True)
    with pytest.raises(ValueError, match="made with metric = 'a function', not None"):
        fit(*made(), checkpoint=file, resume=True, metric=None, schedule=lambda step: 0.05)


def test_a_different_rule_or_number_of_optimizers_is_refused(file):
    with pytest.raises(ValueError, match="made with optimizer rule = 'Adam', not 'SGD'"):
        fit(*made(nn.SGD), checkpoint=file, resume=True)
    model, _ = made()
    both = [nn.Adam(layer, lr=0.05) for layer in model.layers]
    with pytest.raises(ValueError, match="made with optimizers = 1, not 2"):
        fit(model, both, checkpoint=file, resume=True)


def test_optimizers_of_different_parameters_are_refused(tmp_path):
    """Otherwise two optimizers would silently swap their moments."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    parts, file = [nn.Adam(part) for part in model.parts], tmp_path / "checkpoint.json"
    fit(model, parts, checkpoint=file)
    message = (
        r"made with optimizers\[0\] parameters = '6 of Sequential, first parts\.0\.weights\.0\.0,"
        r" sha256 .*', not '6 of Sequential, first parts\.1\.weights\.0\.0, "
    )
    with pytest.raises(ValueError, match=message):
        fit(model, [parts[1], parts[0], parts[2]], checkpoint=file, resume=True)
    fit(model, parts, checkpoint=file, resume=True, epochs=3)
    backwards = nn.Adam(model.parameters()[::-1])
    fit(model, nn.Adam(model), checkpoint=file)
    with pytest.raises(ValueError, match="made with optimizer parameters = "):
        fit(model, backwards, checkpoint=file, resume=True)


@pytest.mark.parametrize(
    ("rule", "settings", "others", "message"),
    [
        (nn.SGD, {"momentum": 0.9}, {"momentum": 0.8}, r"momentum = 0\.9, not 0\.8"),
        (nn.SGD, {}, {"weight_decay": 0.1}, r"weight_decay = 0\.0, not 0\.1"),
        (nn.Adam, {}, {"betas": (0.9, 0.99)}, r"betas = \[0\.9, 0\.999\], not \[0\.9, 0\.99\]"),
        (nn.Adam, {}, {"eps": 1e-6}, "eps = 1e-08, not 1e-06"),
    ],
)
def test_different_settings_of_an_optimizer_are_refused(tmp_path, rule, settings, others, message):
    path = tmp_path / "checkpoint.json"
    fit(*made(rule, **settings), checkpoint=path)
    fit(*made(rule, **settings), checkpoint=path, resume=True, epochs=3)
    with pytest.raises(ValueError, match=f"optimizer settings {message}"):
        fit(*made(rule, **others), checkpoint=path, resume=True)


def test_a_learning_rate_changed_during_training_is_resumed(tmp_path):
    def learned(*epochs):
        path = tmp_path / f"{len(epochs)}.json"
        for i, n in enumerate(epochs):
            model, optimizer = made()

            def halve(history, optimizer=optimizer):
                optimizer.lr = optimizer.lr / 2.0

            fit(model, optimizer, epochs=n, after_epoch=halve, checkpoint=path, resume=i > 0)
        return state(model, optimizer)

    assert learned(4) == learned(2, 4)


def several(lr=(0.05, 0.1)):
    nn.seed(5)
    model = nn.MLP(2, [4, 1], "tanh")
    rules = nn.Adam(model.layers[0], lr=lr[0]), nn.SGD(model.layers[1], lr=lr[1], momentum=0.9)
    return model, rules


def test_the_state_of_every_optimizer_is_saved(tmp_path):
    path = tmp_path / "checkpoint.json"
    whole = several()
    history = fit(*whole, epochs=4)
    fit(*several(), epochs=2, checkpoint=path)
    again = several()
    assert fit(*again, epochs=4, checkpoint=path, resume=True) == history
    assert [o.state_dict() for o in again[1]] == [o.state_dict() for o in whole[1]]
    assert again[0].state_dict() == whole[0].state_dict()
    with pytest.raises(ValueError, match=r"optimizers\[1\] lr = 0.1, not 0.2"):
        fit(*several((0.05, 0.2)), checkpoint=path, resume=True)


def test_a_damaged_state_of_the_second_optimizer_leaves_the_first_unchanged(tmp_path):
    path = tmp_path / "checkpoint.json"
    fit(*several(), checkpoint=path)
    content = json.loads(path.read_text())
    content["optimizers"][1]["moments"]["velocity"] = [0.0]
    path.write_text(json.dumps(content))
    model, rules = several()
    before = repr((model.state_dict(), [rule.state_dict() for rule in rules]))
    with pytest.raises(ValueError, match="damaged or of another run"):
        fit(model, rules, checkpoint=path, resume=True)
    assert repr((model.state_dict(), [rule.state_dict() for rule in rules])) == before


def test_a_ctrl_c_during_a_resume_leaves_everything_unchanged(file, monkeypatch):
    model, optimizer = made()
    before, load = state(model, optimizer), model.load_state_dict

    def interrupted(content):
        load(content)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "load_state_dict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(model, optimizer, checkpoint=file, resume=True)
    assert state(model, optimizer) == before


def test_different_frozen_parameters_are_refused(tmp_path):
    path = tmp_path / "checkpoint.json"
    model, _ = made()
    fit(model, nn.Adam(model.layers[1]), frozen=model.layers[0], checkpoint=path)
    whole, optimizer = made(lr=1e-3)
    with pytest.raises(ValueError, match="made with frozen = 12, not 0"):
        fit(whole, optimizer, checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (([[1.0, 2.0]], [1]), ([[1.0], [2.0]], [1])),
        ((["ab"], [1]), (["ba"], [1])),
        ((["ab", "c"], [1]), (["a", "bc"], [1])),
        (([{"a": 1}], [1]), ([{"a": 2}], [1])),
        (([[1.0]], [0.0]), ([[1.0]], [-0.0])),
        (([10**400], [1]), ([10**400 + 1], [1])),
        (([Value(1.0)], [1]), ([Value(2.0)], [1])),
        (([np.eye(2)], [1]), ([np.ones((2, 2))], [1])),
        (([None], [1]), ([True], [1])),
    ],
)
def test_different_examples_have_different_digests(one, other):
    assert described(one) == described(one)
    assert described(one) != described(other)


def test_the_digest_depends_on_the_numbers_not_on_their_types():
    lists = [[1.0, 2.0], [3.0, 4.0]], [1, 0]
    assert described((np.array(lists[0]), np.array([1.0, 0.0]))) == described(lists)


# --- before a run: no other run, and a writable path ----------------------------------------------


def test_a_second_run_on_a_checkpoint_is_refused_during_the_first(tmp_path):
    path = tmp_path / "checkpoint.json"
    refusals = []

    def second(history):
        model, optimizer = made()
        before = state(model, optimizer)
        for resume in (False, True):
            with pytest.raises(BlockingIOError) as refusal:
                fit(model, optimizer, checkpoint=path, resume=resume)
            refusals.append(str(refusal.value))
        assert state(model, optimizer) == before

    fit(*made(), checkpoint=path, after_epoch=second)
    assert refusals == 4 * [
        f"{path} is in use by another run (process {os.getpid()}): wait until it has ended, or"
        " use another checkpoint file"
    ]
    assert os.listdir(tmp_path) == ["checkpoint.json"]
    fit(*made(), checkpoint=path, resume=True, epochs=3)


def test_runs_with_different_checkpoints_in_one_folder_do_not_conflict(tmp_path):
    def second(history):
        fit(*made(), checkpoint=tmp_path / "b.json")

    fit(*made(), checkpoint=tmp_path / "a.json", after_epoch=second)
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_fails_releases_its_checkpoint(error, tmp_path):
    path = tmp_path / "checkpoint.json"

    def fail(history):
        raise error

    with pytest.raises(error):
        fit(*made(), checkpoint=path, after_epoch=fail)
    fit(*made(), checkpoint=path)
    assert os.listdir(tmp_path) == ["checkpoint.json"]


def test_leftovers_of_a_killed_run_are_removed_and_block_no_run(tmp_path):
    for name in (".checkpoint.json.lock", ".checkpoint.json.0.part"):
        (tmp_path / name).write_text("123")
    fit(*made(), checkpoint=tmp_path / "checkpoint.json")
    assert os.listdir(tmp_path) == ["checkpoint.json"]


FIFO = pytest.param("fifo", marks=pytest.mark.skipif(os.name != "posix", reason="a FIFO"))


@pytest.mark.parametrize("place", ["folder", FIFO, "missing", "not writable", "full disk"])
def test_an_unusable_path_for_a_checkpoint_is_refused_before_training(place, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.json"
    error, message = OSError, f"cannot write to {tmp_path}: "

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    if place == "folder":
        path.mkdir()
        error, message = IsADirectoryError, f"{path} is a folder, not a file"
    elif place == "fifo":
        os.mkfifo(path)
        message = f"{path} is not a regular file"
    elif place == "missing":
        path = tmp_path / "a" / "checkpoint.json"
        error, message = FileNotFoundError, f"there is no folder {tmp_path / 'a'} for a checkpoint"
    elif place == "not writable":
        monkeypatch.setattr(os, "open", refuse)
        error, message = PermissionError, message + "Permission denied"
    else:
        monkeypatch.setattr(os, "write", full)
        message += "No space left on device"
    model, optimizer = made()
    before, content = state(model, optimizer), os.listdir(tmp_path)
    with pytest.raises(error) as refusal:
        fit(model, optimizer, checkpoint=path)
    assert str(refusal.value) == message
    assert state(model, optimizer) == before
    assert os.listdir(tmp_path) == content
