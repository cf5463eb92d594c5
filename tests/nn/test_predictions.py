"""Are replayed predictions those of the model, of the same kind, with as many draws?"""

import pytest

import nn
from autograd import Value


def test_predictions_are_eager_until_a_recording_would_have_paid_off(recordings):
    nn.seed(1)
    model, examples = nn.MLP(2, [5, 1], "tanh"), nn.data.moons(30, noise=0.1)
    expected = nn.evaluate(model, examples, nn.hinge)
    for call in range(22):  # one piece each, and the first of a jitted function is eager
        assert recordings == (["predict_batch"] if call == 21 else [])
        assert nn.evaluate(model, examples, nn.hinge, jit=True) == expected


@pytest.mark.parametrize(
    "predict",
    [
        None,
        lambda model, x: [y for (y,) in model(nn.Matrix(x))],
        lambda model, x: tuple(model(nn.Matrix(x)).rows),
        lambda model, x: (model(nn.Matrix(x)).rows,),
        lambda model, x: {"scores": model(nn.Matrix(x)).rows},
    ],
)
def test_a_metric_gets_the_same_kind_of_predictions_with_the_jit(predict):
    model, data = nn.Linear(2, 1), ([[0.1 * i, 1.0] for i in range(45)], [0.0] * 45)
    found = []

    def metric(predictions, targets):
        found.append(repr(predictions))
        return 0.0

    for jit in (False, True):
        nn.evaluate(model, data, metric, predict, jit, micro_batch=2)
    assert found[0] == found[1]


def test_an_incomplete_last_piece_may_consist_of_values():
    data = [[Value(x)] for x in range(7)], [0.0] * 7
    found = [
        nn.evaluate(nn.Linear(1, 1), data, nn.mse, lambda model, x: [row[0] for row in x], *jit)
        for jit in ((True, 4), ())
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", [2, 5])  # the first draws raise or lower its state
def test_an_incomplete_last_piece_draws_as_many_numbers_as_without_the_jit(seed):
    class Noisy(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(2, 1)

        def __call__(self, rows):
            return self.inner(rows).map(lambda x: x + nn.gauss())

    model = Noisy()
    inputs = [[0.1 * i, 1.0] for i in range(33)]
    found = []
    for jit in (True, False):
        nn.seed(seed)
        score = nn.evaluate(model, (inputs, [1.0] * 33), nn.hinge, jit=jit, micro_batch=8)
        found.append((score, float(nn.gauss())))
    assert found[0] == found[1]
