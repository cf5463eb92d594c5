"""Learning-rate schedules: rates worked out by hand, and bad input."""

import math

import numpy as np
import pytest

import nn

ROOT = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (nn.linear_decay(1.0, 4), [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        (nn.linear_decay(1.0, 2, final=0.5), [1.0, 0.75, 0.5, 0.5]),
        (nn.cosine_decay(1.0, 4), [1.0, (1 + ROOT) / 2, 0.5, (1 - ROOT) / 2, 0.0, 0.0]),
        (nn.cosine_decay(3.0, 2, final=1.0), [3.0, 2.0, 1.0, 1.0]),
        (nn.step_decay(1.0, 2, 0.5), [1.0, 1.0, 0.5, 0.5, 0.25]),
        (nn.step_decay(2.0, 1), [2.0, 0.2, 0.02]),
        (nn.exponential_decay(0.5, 0.5), [0.5, 0.25, 0.125, 0.0625]),
        (nn.exponential_decay(2.0, 1.0), [2.0, 2.0]),
        (nn.with_warmup(lambda step: 8.0, 4), [2.0, 4.0, 6.0, 8.0, 8.0]),
        (nn.with_warmup(nn.linear_decay(1.0, 4), 2), [0.5, 0.75, 0.5, 0.25, 0.0]),
    ],
)
def test_schedules_by_hand(schedule, rates):
    found = [schedule(step) for step in range(len(rates))]
    assert found == pytest.approx(rates, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("number", [np.float32(0.7), np.int8(3), np.array(3, np.uint8)])
def test_arguments_of_any_number_type_act_like_floats(number):
    def rates(x):
        made = [nn.linear_decay(x, 4, x / 4), nn.cosine_decay(x, 4), nn.step_decay(x, 2, x)]
        made += [nn.exponential_decay(x, x), nn.with_warmup(made[1], max(x, 1))]
        made += [make(0.1, max(x, 1)) for make in (nn.linear_decay, nn.cosine_decay, nn.step_decay)]
        return [schedule(step) for schedule in made for step in (0, 1, 7, 300)]

    assert rates(number) == rates(number.item())


@pytest.mark.parametrize("steps", [0, -1])
def test_a_schedule_without_steps_is_a_value_error(steps):
    for make in (nn.linear_decay, nn.cosine_decay, nn.step_decay):
        with pytest.raises(ValueError, match="1 step or more"):
            make(1.0, steps)
    with pytest.raises(ValueError, match="1 step or more"):
        nn.with_warmup(lambda step: 1.0, steps)


@pytest.mark.parametrize("make", [nn.linear_decay, nn.cosine_decay, nn.step_decay])
def test_invalid_arguments_of_a_schedule_are_rejected(make):
    with pytest.raises(TypeError, match="steps of a schedule must be a number, not 'a'"):
        make(0.1, "a")
    with pytest.raises(TypeError, match="lr of a schedule must be a number, not None"):
        make(None, 5)
    with pytest.raises(TypeError, match="final of a schedule must be a number, not True"):
        nn.linear_decay(0.1, 5, True)
    with pytest.raises(TypeError, match="factor of a schedule must be a number"):
        nn.exponential_decay(0.1, "a")
    with pytest.raises(TypeError, match=r"takes a schedule, as in with_warmup\(.*, not 0.1$"):
        nn.with_warmup(0.1, 5)
    with pytest.raises(ValueError, match="1 step or more"):
        make(0.1, math.nan)


def test_the_error_for_a_rate_too_large_for_a_float_shows_the_formula():
    with pytest.raises(OverflowError, match=r"exponential_decay: .* step 5000, 0.1 \* 2.0\*\*5000"):
        nn.exponential_decay(0.1, 2.0)(5000)
    with pytest.raises(OverflowError, match=r"step_decay: .* step 5000, 0.1 \* 10.0\*\*500"):
        nn.step_decay(0.1, 10, 10.0)(5000)
