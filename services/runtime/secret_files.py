"""Read and write files that hold secrets: mode 0600, and refused if others can read them.

Every secret of every service - keys, credentials, challenge keys - is read here, so that a file
open to others is refused in the same words everywhere.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from services.runtime.settings import CannotStart

# A PEM chain with its key has some kilobytes; a larger file is another one.
SECRET_LIMIT_BYTES = 64 * 1024
# Permissions of the group and of others.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretRefused(CannotStart):
    """The file of a secret is missing, open to others, or malformed.

    The message names the file and what to do, and nothing of its content.
    """


def read_secret(path: Path, limit: int = SECRET_LIMIT_BYTES) -> bytes:
    """Return the file's bytes.

    Raises SecretRefused if the file cannot be read, is longer than the limit, or gives any
    permission to the group or to others. The mode is that of the open file, not of its path, which
    could be exchanged in between.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if mode & _OTHERS:
                raise SecretRefused(f"{path} has mode {mode:04o}: chmod 0600 it")
            content = file.read(limit + 1)
    except OSError as error:
        raise SecretRefused(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise SecretRefused(f"{path} is longer than {limit} bytes")
    return content


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600. Raises FileExistsError if the path exists.

    The file is created with that mode, so others cannot read it at any moment.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


@contextmanager
def replacing_secret(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file of mode 0600, which takes the place of path's at once when the block ends: a
    process that reads path meanwhile gets the one content or the other, whole.

    Both the file and its folder are synchronized to disk. If the block raises, path stays. Raises
    OSError before the block runs if the folder cannot be written, so that the block may do what
    must not be lost.
    """
    # A link stays one.
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    replacement = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replacement.replace(target)
    except BaseException:
        replacement.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_private_folder(path: Path) -> Path:
    """Make the folder, or take an existing one, with mode 0700, and return it."""
    path.mkdir(mode=0o700, exist_ok=True)
    # A mounted folder may be right already, and cannot be changed where its root is read-only.
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        path.chmod(0o700)
    return path
