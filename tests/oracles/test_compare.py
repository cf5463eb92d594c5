"""Does the comparison with PyTorch find wrong numbers? Its random cases also run, and agree."""

from __future__ import annotations

import math
import random

import compare
import programs
import pytest
from compare import Found, layer, loss, optimizer, scalar_program
from loss_functions import LOSSES

import nn
from autograd import ops


@pytest.mark.parametrize("kind", [scalar_program, loss, layer, optimizer])
def test_random_cases_agree(kind):
    found, draw = Found(), random.Random(kind.__name__)
    assert [list(kind(draw, found)) for _ in range(4)] == [[]] * 4
    assert compare.numbers_in(found) > 100
    assert found["replays", "left to the eager call"] == 0


@pytest.mark.parametrize("kind", [loss, layer, optimizer])
def test_a_number_that_is_wrong_by_1e_10_is_found(kind, monkeypatch):
    ways = compare.ways
    monkeypatch.setattr(
        compare, "ways", lambda *args: [[1.0000000001 * x for x in way] for way in ways(*args)]
    )
    found, draw = Found(), random.Random(1)
    assert list(kind(draw, found))
    assert found[kind.__name__, "wrong"] > 0


def test_a_slope_that_is_wrong_by_1e_6_is_found(monkeypatch):
    wrong = ops.tanh.backward[0]
    monkeypatch.setattr(ops.tanh, "backward", (lambda out, x: 1.000001 * wrong(out, x),))
    program = programs.Program([programs.Line("tanh", (2,))], [[0.3, 0.4, 0.5]] * 3)
    monkeypatch.setattr(compare, "random_program", lambda draw: program)
    found = Found()
    (first, *_) = scalar_program(random.Random(1), found)
    assert "number 3" in first
    assert f"{1 - math.tanh(0.5) ** 2:.12}"[:12] in first


def test_random_programs_use_every_operation():
    draw = random.Random(1)
    lines = [line for _ in range(60) for line in programs.random_program(draw).lines]
    assert {line.operation for line in lines} == set(programs.ENGINE)
    public = set(ops.TABLE) - {"exponent", "lowered_power", "log_of_base", "sech", "gaussian"}
    indirect = {"pow", "greater", "less"}  # in square, cube, inverse and root; where; gate
    assert public - indirect <= set(programs.ENGINE)


def test_every_loss_of_nn_is_compared():
    found = {
        name for name in nn.__all__ if getattr(getattr(nn, name), "__module__", "") == "nn.losses"
    }
    assert found <= set(LOSSES)


def test_the_command_compares_at_least_the_numbers_requested():
    found, wrong = compare.compared(500, seed=1)
    assert 500 <= compare.numbers_in(found) < 10_000
    assert wrong == []
