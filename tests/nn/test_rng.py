"""Random numbers: whose stream they come from, and what makes a run repeatable."""

import random
import subprocess
import sys

import numpy as np
import pytest

import nn
from autograd.jit import jit
from nn import rng


@pytest.fixture
def unseeded(monkeypatch):
    """nn as it is before `nn.seed` is called."""
    monkeypatch.setattr(rng, "generator", random.seed.__self__)
    state = random.getstate()
    yield
    random.setstate(state)


def trained():
    """A run that draws data, weights, dropout and the order of examples."""
    data = nn.data.moons(8)
    model = nn.Sequential(nn.Layer(2, 3), nn.Dropout(0.5), nn.Layer(3, 1, "linear"))
    nn.fit(model, data, nn.hinge, nn.SGD(model, 0.1), epochs=2, batch_size=4, progress=False)
    return model.state_dict()


@pytest.mark.usefixtures("unseeded")
def test_a_seed_of_pythons_own_makes_a_run_repeatable_and_another_one_differs():
    runs = []
    for seed in (1337, 1337, 1338):
        random.seed(seed)
        runs.append(trained())
    assert runs[0] == runs[1] != runs[2]


def test_a_new_process_follows_pythons_own_stream():
    code = "import random, nn; random.seed(1337); print(repr(nn.Neuron(1).w[0].data))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The weight is uniform in +-sqrt(6 / nin), and drawn first.
    assert float(shown.stdout) == random.Random(1337).uniform(-(6.0**0.5), 6.0**0.5)


@pytest.mark.usefixtures("unseeded")
def test_after_a_seed_of_nn_pythons_own_neither_counts_nor_moves():
    nn.seed(5)
    random.seed(1)
    before = random.getstate()
    first = trained()
    assert random.getstate() == before
    nn.seed(5)
    random.seed(2)
    assert trained() == first


@pytest.mark.parametrize("kind", [np.int64, np.uint8, int])
def test_any_whole_number_is_a_seed(kind):
    nn.seed(3)
    expected = rng.generator.random()
    nn.seed(kind(3))
    assert rng.generator.random() == expected


@pytest.mark.usefixtures("unseeded")
def test_a_wrong_seed_changes_nothing():
    with pytest.raises(TypeError, match=r"whole number, not 1\.5"):
        nn.seed(1.5)
    assert rng.generator is random.seed.__self__


@pytest.mark.usefixtures("unseeded")
def test_a_replay_draws_what_the_eager_call_draws_from_pythons_own_stream():
    model = nn.Sequential(nn.Layer(4, 4), nn.Dropout(0.5), nn.Layer(4, 1, "linear"))
    found = []
    for call in (model, jit(lambda x: model(x), backend="numpy")):
        random.seed(7)
        found.append([call([0.1, 0.2, 0.3, 0.4])[0].data for _ in range(4)] + [random.random()])
    assert found[0] == found[1]
    assert len(set(found[0])) > 2


@pytest.mark.usefixtures("unseeded")
def test_a_resumed_run_goes_on_with_pythons_own_stream(tmp_path):
    def run(epochs, **kept):
        model = nn.Sequential(nn.Layer(2, 3, "tanh", generator=random.Random(1)), nn.Dropout(0.5))
        data = nn.data.moons(8, generator=random.Random(2))
        optimizer = nn.SGD(model, 0.1)
        settings = {"epochs": epochs, "batch_size": 4, "progress": False, **kept}
        nn.fit(model, data, lambda p, t: nn.hinge([row[0] for row in p], t), optimizer, **settings)
        return model.state_dict(), random.random()

    random.seed(9)
    whole = run(4)
    random.seed(9)
    run(2, checkpoint=tmp_path / "run.json")
    random.seed(10)
    assert run(4, checkpoint=tmp_path / "run.json", resume=True) == whole
