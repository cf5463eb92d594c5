"""Many small cases in one test, which takes less time than a test for each."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*what: object) -> Iterator[None]:
    """Let a failure say which case it is of."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(f"in the case {', '.join(map(repr, what))}")
        raise
