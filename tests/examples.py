"""What random examples does a test try, and how many? Fewer in the ordinary run."""

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

ORDINARY = 25  # of 100, as each run draws others; all of them with `python -m pytest --thorough`


def examples(thorough: int) -> int:
    """The number for this run, of the number for a thorough one."""
    return max(1, thorough * settings().max_examples // 100)


def sample(cases: Sequence[Any], every: int) -> Sequence[Any]:
    """Every third of the cases, say, the same ones in each run; in a thorough run all of them."""
    return cases if settings().max_examples == 100 else cases[::every]


def any_text(min_size: int = 0, max_size: int | None = None) -> st.SearchStrategy[str]:
    """Any text, of characters from all of Unicode but surrogates.

    Those of `st.text()` are known by their categories, and to look up a million takes seconds.
    """
    codes = st.integers(32, 126) | st.integers(0, 0x2FF)
    codes = codes | st.integers(0x300, 0xD7FF) | st.integers(0xE000, 0x10FFFF)
    return st.lists(codes.map(chr), min_size=min_size, max_size=max_size).map("".join)
