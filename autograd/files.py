"""How are files read and written? Only regular ones of bounded size are read; writes are atomic."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat

from autograd.claims import Claim, claimed

LARGEST = 2**30  # the size limit of files to read, in bytes: 1 GiB
LONGEST = 60  # characters of a name in that of a temporary file, as most systems allow 255 bytes


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a regular UTF-8 file of at most 1 GiB.

    Raises OSError if it is missing, unreadable or not a regular file (a FIFO or a device), and
    ValueError if it is larger or not UTF-8.
    """
    # Check the file that was opened: the one at the path may be replaced at any time.
    with open(os.fspath(path), "rb", opener=_opened_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
        if status.st_size > LARGEST:
            raise ValueError(
                f"{path} has {status.st_size:,} bytes, more than the {LARGEST:,} allowed"
            )
        content = file.read(status.st_size)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        content, start = error.object, error.start  # both without a byte order mark
        line = content.count(b"\n", 0, start) + 1
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{content[start]:02x} in line {line}"
        ) from None


def _opened_at_once(path: str, flags: int) -> int:
    """Call `os.open` without waiting for the writer of a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new, never a part.

    As with `open`, a link leads to the file that is written, which keeps its permissions. Raises
    OSError, naming the file, if the folder does not exist or cannot be written, or if the file
    cannot be replaced.
    """
    folder, name = os.path.split(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no folder {folder} to write {name} to")
    mode = replaceable(path)
    try:
        claim = temporary(folder, name)
        try:
            if mode is not None:
                with contextlib.suppress(OSError):  # a file system without permissions
                    os.chmod(claim.path, mode)
            with os.fdopen(claim.handle, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(claim.handle)
            claim.move(os.path.join(folder, name))
        finally:
            claim.release()
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def replaceable(path: str | os.PathLike[str]) -> int | None:
    """Return the permissions of the file at a path, None if there is none.

    Raises OSError if it is write-protected or not a regular file: a rename, which needs only a
    writable folder, would replace even /dev/null.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise OSError(f"{path} is not a regular file")
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    return stat.S_IMODE(mode)


def temporary(folder: str, name: str) -> Claim:
    """Create a temporary file beside `name`, replacing one that a killed process may have left.

    Its number is 0, unless another thread or process is writing the same file at this moment, or
    that name belongs to something that cannot be removed. `tempfile` would try names for hours in a
    folder that refuses them, with Python 3.12 on Windows.
    """
    start = os.path.join(folder, f".{name[:LONGEST]}")
    paths = (f"{start}.{number}.part" for number in itertools.count())
    return next(filter(None, map(claimed, paths)))
