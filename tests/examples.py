"""Which random examples does a test try, and how many? Fewer in an ordinary run."""

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

ORDINARY = 25  # percent, as each run draws new ones; 100 with `python -m pytest --thorough`


def examples(thorough: int) -> int:
    """Return the number of examples for this run, given the number for a thorough run."""
    return max(1, thorough * settings().max_examples // 100)


def sample(cases: Sequence[Any], every: int) -> Sequence[Any]:
    """Return every n-th case, the same ones in each run; in a thorough run return all cases."""
    return cases if settings().max_examples == 100 else cases[::every]


def any_text(min_size: int = 0, max_size: int | None = None) -> st.SearchStrategy[str]:
    """Draw text from all characters of Unicode except surrogates.

    `st.text()` would first look up the categories of a million characters, which takes seconds.
    """
    codes = st.integers(32, 126) | st.integers(0, 0x2FF)
    codes = codes | st.integers(0x300, 0xD7FF) | st.integers(0xE000, 0x10FFFF)
    return st.lists(codes.map(chr), min_size=min_size, max_size=max_size).map("".join)
