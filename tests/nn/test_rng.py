"""Random numbers: which generator do they come from, and what makes a run reproducible?"""

import math
import random
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest

import nn
from autograd import Value, gradcheck
from autograd.jit import TraceError, jit
from nn import rng


@pytest.fixture
def unseeded(monkeypatch):
    """nn as it is before the first call of `nn.seed`."""
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
def test_random_seed_makes_a_run_reproducible_and_another_seed_changes_it():
    runs = []
    for seed in (1337, 1337, 1338):
        random.seed(seed)
        runs.append(trained())
    assert runs[0] == runs[1] != runs[2]


def test_a_new_process_draws_from_the_random_module():
    code = "import random, nn; random.seed(1337); print(repr(nn.Neuron(1).w[0].data))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The weight is drawn first, uniformly within +-sqrt(6 / nin).
    assert float(shown.stdout) == random.Random(1337).uniform(-(6.0**0.5), 6.0**0.5)


@pytest.mark.usefixtures("unseeded")
def test_after_nn_seed_the_random_module_is_neither_used_nor_changed():
    nn.seed(5)
    random.seed(1)
    before = random.getstate()
    first = trained()
    assert random.getstate() == before
    nn.seed(5)
    random.seed(2)
    assert trained() == first


@pytest.mark.parametrize("kind", [np.int64, np.uint8, int])
def test_a_seed_may_be_a_whole_number_of_any_type(kind):
    nn.seed(3)
    expected = rng.generator.random()
    nn.seed(kind(3))
    assert rng.generator.random() == expected


@pytest.mark.usefixtures("unseeded")
def test_an_invalid_seed_changes_nothing():
    with pytest.raises(TypeError, match=r"whole number, not 1\.5"):
        nn.seed(1.5)
    assert rng.generator is random.seed.__self__


@pytest.mark.usefixtures("unseeded")
def test_a_replay_draws_the_same_numbers_from_the_random_module_as_an_eager_call():
    weights = random.Random(1)
    first = nn.Layer(4, 4, "tanh", generator=weights)
    model = nn.Sequential(first, nn.Dropout(0.5), nn.Layer(4, 1, "linear", generator=weights))
    found = []
    for call in (model, jit(lambda x: model(x), backend="numpy")):
        random.seed(7)
        found.append([call([0.1, 0.2, 0.3, 0.4])[0].data for _ in range(4)] + [random.random()])
    assert found[0] == found[1]
    assert len(set(found[0])) > 2


@pytest.mark.usefixtures("unseeded")
def test_a_resumed_run_restores_the_state_of_the_random_module(tmp_path):
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


# --- draws in user code ---------------------------------------------------------------------------


def test_uniform_needs_a_finite_width():
    assert nn.uniform(2.0, 2.0) == 2.0
    for low, high in ((1.0, 0.0), (-1e308, 1e308), (0.0, math.inf), (math.nan, 1.0)):
        with pytest.raises(ValueError, match="at most high, and high - low finite"):
            nn.uniform(low, high)


def test_gauss_and_uniform_draw_the_numbers_of_random_gauss_and_random_uniform():
    nn.seed(4)
    found = [nn.gauss(), nn.gauss(2.0, 0.5), nn.uniform(), nn.uniform(-1, 3), nn.gauss(1, 2)]
    same = random.Random(4)
    assert found == [
        same.gauss(0.0, 1.0),
        same.gauss(2.0, 0.5),
        same.uniform(0.0, 1.0),
        same.uniform(-1.0, 3.0),
        same.gauss(1.0, 2.0),
    ]
    assert {type(number) for number in found} == {float}


def test_a_given_generator_replaces_that_of_nn():
    before = rng.generator.getstate()
    found = nn.gauss(0.0, 2.0, random.Random(6)), nn.uniform(generator=random.Random(6))
    assert found == (random.Random(6).gauss(0.0, 2.0), random.Random(6).random())
    assert rng.generator.getstate() == before


def test_gradients_flow_to_the_parameters_of_a_distribution():
    mean, std = Value(1.5), Value(2.0)
    draw = nn.gauss(mean, std, random.Random(8))
    draw.backward()
    assert (mean.grad, std.grad) == (1.0, random.Random(8).gauss(0.0, 1.0))

    low, high = Value(-1.0), Value(3.0)
    nn.uniform(low, high, random.Random(8)).backward()
    share = random.Random(8).random()
    assert (low.grad, high.grad) == (1.0 - share, share)


@pytest.mark.parametrize("draw", [nn.gauss, nn.uniform])
def test_draws_are_differentiable_twice(draw):
    def f(a, b):
        return draw(a * a, a * a + b * b, random.Random(3)).tanh()

    assert gradcheck(f, [0.4, 0.7], order=2)


def test_a_std_of_0_and_an_interval_of_a_single_number_are_allowed():
    assert (nn.gauss(3.0, 0.0), nn.uniform(2.5, 2.5)) == (3.0, 2.5)


def test_numbers_of_any_type_are_computed_with_as_floats():
    third = np.float32(1 / 3)
    expected = random.Random(2).gauss(float(third), float(third))
    assert nn.gauss(third, third, random.Random(2)) == expected
    assert nn.uniform(np.int8(-100), np.int8(100), random.Random(2)) == random.Random(2).uniform(
        -100.0, 100.0
    )


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.gauss(0.0, -1.0), ValueError, r"gauss: std must be 0 or more, not -1\.0"),
        (lambda: nn.gauss(0, -1), ValueError, "gauss: std must be 0 or more, not -1$"),
        (lambda: nn.uniform(2, 1), ValueError, "uniform: low .*, not 2 and 1$"),
        (lambda: nn.gauss(0.0, Value(-2.0)), ValueError, r"gauss: std must .*, not -2\.0"),
        (lambda: nn.gauss(std=math.nan), ValueError, "gauss: std must .*, not nan"),
        (lambda: nn.gauss(std=math.inf), ValueError, "gauss: std must .*, not inf"),
        (lambda: nn.gauss("1"), TypeError, "gauss: mean must be a number or a Value, not '1'"),
        (lambda: nn.gauss(0.0, [1.0]), TypeError, r"gauss: std must be .*, not \[1\.0\]"),
        (lambda: nn.gauss(Decimal(1)), TypeError, r"gauss: mean must be .*, not Decimal\('1'\)"),
        (lambda: nn.gauss(0.0, 1.0, 5), TypeError, "generator must be a random.Random, .* not 5"),
        (
            lambda: nn.uniform(2.0, 1.0),
            ValueError,
            r"uniform: low .*, not 2\.0 and 1\.0",
        ),
        (lambda: nn.uniform(Value(2.0)), ValueError, r"uniform: low .*, not 2\.0 and 1\.0"),
        (lambda: nn.uniform(0.0, math.inf), ValueError, r"uniform: .*, not 0\.0 and inf"),
        (lambda: nn.uniform(math.nan), ValueError, r"uniform: .*, not nan and 1\.0"),
        (lambda: nn.uniform(None), TypeError, "uniform: low must be a number or a Value, not None"),
        (lambda: nn.uniform(generator=np.random), TypeError, "generator must be a random.Random"),
    ],
)
def test_invalid_arguments_are_refused_and_draw_nothing(call, kind, message):
    before = rng.generator.getstate()
    with pytest.raises(kind, match=message):
        call()
    assert rng.generator.getstate() == before


def test_the_jit_refuses_numbers_drawn_without_nn():
    noisy = jit(lambda x: Value(x) + random.random())
    with pytest.raises(TraceError):
        list(map(noisy, [1.0] * 10))
