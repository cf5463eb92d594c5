"""How is a file written? Whole or not at all."""

from __future__ import annotations

import os


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Put `content` at `path` in one step: a reader sees the old file or the new, never a part.

    Raises OSError where the folder does not exist or cannot be written.
    """
    import tempfile  # a third of the time of `import autograd`

    folder, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no folder {folder} to write {name} to")
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)  # mkstemp makes private files; the result gets ordinary rights
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, os.path.join(folder, name))
    except BaseException:
        os.unlink(temporary)
        raise
