"""Does the C code compute the same step as the replays it is measured against, and how fast?"""

from __future__ import annotations

import shutil

import pytest
from beside_c import moons_in_c
from jit_step import ours

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")


def test_c_in_exact_order_equals_a_replay_bit_for_bit():
    """The losses of 200 steps are equal. Each depends on all parameters and moments before it."""
    replay, exact = ours("moons"), moons_in_c("exact")
    assert [exact() for _ in range(200)] == [replay() for _ in range(200)]


def test_c_with_fast_math_computes_the_same_step():
    replay, fast = ours("moons"), moons_in_c("fast")
    assert [fast() for _ in range(50)] == pytest.approx([replay() for _ in range(50)], rel=1e-9)


def test_c_with_fast_math_leaves_subnormal_numbers_to_python(run):
    program = "from beside_c import moons_in_c; moons_in_c('fast')(); print(5e-324 > 0.0)"
    assert run("-c", program).split() == ["True"]


def test_speed_beside_c(report, run):
    for line in run("beside_c.py").splitlines():
        report(line.strip(), "", "-")
