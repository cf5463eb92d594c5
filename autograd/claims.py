"""How does a process keep a file to itself? By a lock that ends with it, however it ends.

So a file that nobody holds was left by a process that was killed. On Windows an open file can be
neither removed nor renamed by others, which is as good as a lock.
"""

from __future__ import annotations

import contextlib
import os

_POSIX = os.name == "posix"
_held: set[Claim] = set()


class Claim:
    """A new file that this process holds.

    Attributes:
        path: where it is.
        handle: its descriptor, open for writing.
    """

    def __init__(self, path: str, handle: int) -> None:
        self.path, self.handle = path, handle
        self._is_open = True
        _held.add(self)

    def move(self, target: str) -> None:
        """Rename the file; it is held no longer. Raises OSError."""
        if not _POSIX:
            self._close()
        os.replace(self.path, target)

    def release(self) -> None:
        """Remove the file, unless it was renamed, and hold it no longer."""
        with contextlib.suppress(OSError):
            if not _POSIX:
                self._close()
                os.unlink(self.path)
            elif _is_at(self.path, self.handle):  # and not what another process made there since
                os.unlink(self.path)
        self._close()
        _held.discard(self)

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self.handle)


def claimed(path: str) -> Claim | None:
    """A new file at `path`, or None if another process or thread holds the one that is there.

    A file that nobody holds is removed first. Raises OSError if the file cannot be made.
    """
    while True:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            handle = os.open(path, flags, 0o666)
        except FileExistsError:
            if not _cleared(path):
                return None
            continue
        # Until it is locked, another process may take it for one that nobody holds.
        if _locked(handle) and _is_at(path, handle):
            return Claim(path, handle)
        os.close(handle)


def release_all() -> None:
    """Remove all files that this process holds, before it ends at once."""
    for claim in list(_held):
        claim.release()


def _cleared(path: str) -> bool:
    """Remove a file that nobody holds. False if it is held, or cannot be removed."""
    try:
        if not _POSIX:
            os.unlink(path)
            return True
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not _locked(handle):
                return False
            if _is_at(path, handle):
                os.unlink(path)
            return True
        finally:
            os.close(handle)
    except FileNotFoundError:  # its process has just removed it
        return True
    except OSError:
        return False


def _locked(handle: int) -> bool:
    """Lock an open file. False if another process or thread has locked it."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # Windows; a file system without locks
        pass
    return True


def _is_at(path: str, handle: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
