"""How does one test check many small cases, and still say which one failed?"""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*what: object) -> Iterator[None]:
    """Let a failure name its case. This takes less time than a test for each case."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(f"in the case {', '.join(map(repr, what))}")
        raise
