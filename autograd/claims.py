"""How does a process keep a file to itself? With a lock that is released even if it is killed.

So an unlocked file was left behind by a process that was killed. On Windows, others can neither
remove nor rename an open file, which serves as the lock.
"""

from __future__ import annotations

import contextlib
import os

_POSIX = os.name == "posix"
_held: set[Claim] = set()


class Claim:
    """A new file that is locked by this process.

    Attributes:
        path: where the file was created.
        handle: its file descriptor, open for writing.
    """

    def __init__(self, path: str, handle: int) -> None:
        self.path, self.handle = path, handle
        self._is_open = True
        _held.add(self)

    def move(self, target: str) -> None:
        """Rename the file, so that `release` no longer removes it. Raises OSError."""
        if not _POSIX:
            self._close()
        os.replace(self.path, target)

    def release(self) -> None:
        """Remove the file, unless it was renamed, and release the lock."""
        try:
            with contextlib.suppress(OSError):
                if not _POSIX:
                    self._close()
                    os.unlink(self.path)
                elif _is_at(self.path, self.handle):  # not a file made there since
                    os.unlink(self.path)
        finally:  # also after Ctrl-C: what is locked until the process ends blocks its next run
            self._close()
            _held.discard(self)

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self.handle)


def claimed(path: str) -> Claim | None:
    """Create and lock a file at `path`. Return None if something there cannot be removed.

    That is a file that another process or thread has locked, or a folder, for instance. An unlocked
    file is removed first. Raises OSError if the file cannot be created.
    """
    while True:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            handle = os.open(path, flags, 0o666)
        except FileExistsError:
            if not _cleared(path):
                return None
            continue
        claim = None
        try:  # before it was locked, another process may have taken it for an abandoned one
            if _locked(handle) and _is_at(path, handle):
                claim = Claim(path, handle)
                return claim
        finally:
            if claim is None:
                os.close(handle)


def release_all() -> None:
    """Remove all files that this process has locked, just before it exits."""
    for claim in list(_held):
        claim.release()


def _cleared(path: str) -> bool:
    """Remove an unlocked file. Return False if it is locked or cannot be removed."""
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
    except FileNotFoundError:  # its owner has just removed it
        return True
    except OSError:
        return False


def _locked(handle: int) -> bool:
    """Lock an open file. Return False if another process or thread has locked it."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # Windows, or a file system without locks
        pass
    return True


def _is_at(path: str, handle: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
