"""Do replays draw the random numbers that eager calls draw? Noise from nn's stream in a step."""

import random

import pytest

import nn
from autograd import Value
from autograd.jit import jit
from nn import Matrix, rng
from nn.matrix import total

CALLS = 12


class Noise(nn.Module):
    """A user-defined layer: gaussian noise in training, the identity in evaluation."""

    def __init__(self, std):
        self.std = std

    def __call__(self, x):
        return [v + nn.gauss(0.0, self.std) for v in x] if self.training else x


def denoising():
    """An autoencoder that learns to remove the noise from its inputs."""
    model = nn.MLP(3, [4, 3], "tanh")
    optimizer = nn.Adam(model, 0.01)

    def step(rows):
        seen = Matrix([[x + nn.gauss(std=0.3) for x in row] for row in rows])
        loss = nn.mse(model(seen), rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, seen

    return step, [model, optimizer], lambda i: ([[0.1 * i, -0.5, 0.2], [0.3, 0.1 - i, 0.4]],)


def autoencoder():
    """A variational autoencoder: its code is drawn, and gradients flow to mean and spread."""
    encoder, decoder = nn.Linear(3, 4), nn.Linear(2, 3)
    optimizer = nn.SGD([encoder, decoder], 0.05, momentum=0.5)

    def step(x):
        out = encoder(x)
        means, logs = out[:2], out[2:]
        code = [nn.gauss(m, (0.5 * v).exp()) for m, v in zip(means, logs, strict=True)]
        divergence = total(v.exp() + m * m - 1.0 - v for m, v in zip(means, logs, strict=True))
        loss = nn.mse(decoder(code), x) + 0.05 * divergence
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, code

    return step, [encoder, decoder, optimizer], lambda i: ([0.2 * i, -0.1, 1.0 / (i + 1)],)


def layer():
    """A user-defined noise layer among layers of nn."""
    model = nn.Sequential(nn.Linear(2, 5), Noise(0.5), nn.tanh, nn.Dropout(0.3), nn.Linear(5, 1))
    optimizer = nn.SGD(model, 0.1)

    def step(x, y):
        loss = nn.mse(model(x), [y])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, [model, optimizer], lambda i: ([0.5 * i, 1.0], float(i % 3))


def arguments():
    """Distributions that depend on arguments and Values, some with their own generator."""
    w, stream = Value(0.5, "w"), random.Random(7)

    def step(mean, std):
        draws = [
            nn.gauss(mean, std, stream),
            nn.gauss(mean * w, w * w),
            nn.uniform(mean, mean + std, stream),
            nn.uniform(-w * w, w * mean * mean),
        ]
        loss = total(draw * w for draw in draws)
        loss.backward()
        w.assign(w - 0.001 * w.grad)
        return draws, loss

    return step, [w, stream], lambda i: (0.1 * i - 0.3, 0.5 + i)


def numbers_of(thing):
    """All numbers and gradients in nested containers, modules and optimizers, to the last bit."""
    if isinstance(thing, Value):
        return repr(thing.data), repr(thing.grad + 0.0)
    if isinstance(thing, nn.Module):
        return [numbers_of(value) for value in thing.parameters()]
    if isinstance(thing, nn.Optimizer):
        return repr(thing.state_dict())
    if isinstance(thing, list | tuple | Matrix):
        return [numbers_of(part) for part in thing]
    if isinstance(thing, random.Random):
        return hash(thing.getstate())
    return repr(thing)


def outcomes(make, call):
    """What each of CALLS calls returns and leaves behind, including the state of the generator."""
    nn.seed(3)
    step, state, arguments = make()
    run = call(step)
    found = []
    for i in range(CALLS):
        returned = numbers_of(run(*arguments(i)))
        found.append((returned, numbers_of(state), hash(rng.generator.getstate())))
    return found, run


@pytest.mark.parametrize("backend", ["numpy", None])
@pytest.mark.parametrize("make", [denoising, autoencoder, layer, arguments])
def test_noise_in_a_replayed_step_matches_eager_calls(make, backend):
    expected, _ = outcomes(make, lambda step: step)
    found, jitted = outcomes(make, lambda step: jit(step, backend=backend))
    assert found == expected
    assert len({stream for *_, stream in expected}) == CALLS
    assert [program.unsure for program in jitted.programs] == [0]
    assert jitted.programs[0].replays >= CALLS - 2


def test_each_replay_draws_new_numbers():
    draw = jit(lambda: [nn.gauss(), nn.uniform(2.0, 3.0)])
    found = [draw() for _ in range(5)]
    nn.seed(0)
    assert found == [[rng.generator.gauss(0.0, 1.0), rng.generator.uniform(2, 3)] for _ in range(5)]


def test_seeding_between_replays_takes_effect():
    draw = jit(lambda: nn.gauss() + nn.uniform())
    for _ in range(3):
        draw()
    found = []
    for _ in range(2):
        nn.seed(5)
        found.append(draw())
    nn.seed(5)
    assert found == [nn.gauss() + nn.uniform()] * 2


def test_a_failed_replay_draws_what_a_failed_eager_call_draws():
    root = jit(lambda x: (Value(x) + 0.0 * nn.gauss()).sqrt())
    for _ in range(3):
        root(4.0)
    before = rng.generator.getstate()
    with pytest.raises(ValueError, match="sqrt"):
        root(-1.0)
    drawn = rng.generator.getstate()
    rng.generator.setstate(before)
    nn.gauss()
    assert drawn == rng.generator.getstate()  # like a failed eager call


def test_an_invalid_spread_raises_the_eager_error_in_a_replay():
    w = Value(1.0)
    draw = jit(lambda low: [nn.gauss(0.0, w), nn.uniform(low, 1.0)])
    for _ in range(3):
        draw(0.0)
    with pytest.raises(ValueError, match=r"at most high, and high - low finite, not 2\.0"):
        draw(2.0)
    w.data = -1.0
    with pytest.raises(ValueError, match=r"std must be 0 or more, not -1\.0"):
        draw(0.0)
