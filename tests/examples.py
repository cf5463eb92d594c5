"""How many random examples does a test try? Fewer in the ordinary run than in a thorough one."""

from collections.abc import Sequence
from typing import Any

from hypothesis import settings

ORDINARY = 25  # of 100, as each run draws others; all of them with `python -m pytest --thorough`


def examples(thorough: int) -> int:
    """The number for this run, of the number for a thorough one."""
    return max(1, thorough * settings().max_examples // 100)


def sample(cases: Sequence[Any], every: int) -> Sequence[Any]:
    """Every third of the cases, say, the same ones in each run; in a thorough run all of them."""
    return cases if settings().max_examples == 100 else cases[::every]
