"""How are results stored? As JSON: read as data, written atomically, and by one run at a time."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any

from autograd.claims import Claim, claimed
from autograd.files import read_text, write_bytes
from autograd.text import quoted


def write_json(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write a JSON object atomically. Floats keep every bit; nan and inf become strings."""
    text = json.dumps(_spelled(content), indent=1)
    write_bytes(path, (text + "\n").encode())


def read_json(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Read an object that `write_json` wrote with `"kind": kind`.

    Raises FileNotFoundError, another OSError if it is not a regular file, or ValueError, with the
    path, if it holds anything else or is larger than 1 GiB.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError, MemoryError) as error:
        what = str(error) or "it does not fit into memory"
        raise ValueError(f"{path} is damaged or not a {kind} file: {what}") from None
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise ValueError(f"{path} is not a {kind} file")
    return content


def as_number(content: Any, what: str) -> float:
    """Return a number, or "nan", "inf" or "-inf", as a float; ValueError for anything else."""
    if isinstance(content, str) and content in ("nan", "inf", "-inf"):
        return float(content)
    if isinstance(content, bool) or not isinstance(content, Real):
        raise ValueError(f"{what} should be a number, not {quoted(content)}")
    try:
        return float(content)
    except OverflowError:
        raise ValueError(f"{what} is too large for a float") from None


def as_stored(content: Any) -> Any:
    """Return content as it would be read back. Raises TypeError if JSON cannot represent it."""
    return json.loads(json.dumps(_spelled(content)))


def _spelled(content: Any) -> Any:
    """Return content with nan and inf as strings and NumPy's numbers as floats, as JSON needs."""
    if not isinstance(content, int) and isinstance(content, Real):
        number = float(content)
        return number if math.isfinite(number) else repr(number)
    if isinstance(content, dict):
        return {key: _spelled(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_spelled(value) for value in content]
    return content


# --- one run at a time ----------------------------------------------------------------------------


@contextlib.contextmanager
def reserved(path: Path, instead: str) -> Iterator[None]:
    """Reserve a file or a folder for this run until it ends, however it ends.

    Args:
        instead: advice to the user of a second run, besides waiting.

    Raises BlockingIOError if another run is using it, OSError if its folder is not writable.
    """
    place = path.resolve()  # of a link, so that two names of a file share a lock
    lock = place / ".lock" if place.is_dir() else place.with_name(f".{place.name}.lock")
    try:
        claim = _locked(lock)
    except OSError as error:
        raise type(error)(f"cannot write to {lock.parent}: {error.strerror}") from None
    if claim is None:
        raise BlockingIOError(
            f"{path} is in use by another run{_process(lock)}: wait until it has ended, or"
            f" {instead}"
        )
    try:
        yield
    finally:
        claim.release()


def _locked(lock: Path) -> Claim | None:
    """Claim the lock file and write the process id to it; None if another run has it."""
    claim = claimed(os.fspath(lock))
    if claim is not None:
        try:
            os.write(claim.handle, str(os.getpid()).encode())
        except BaseException:
            claim.release()
            raise
    return claim


def _process(lock: Path) -> str:
    """Return ` (process 123)`, if the lock file has a process id."""
    try:
        number = read_text(lock)
    except (OSError, ValueError):
        return ""
    return f" (process {number})" if number.isdigit() else ""
