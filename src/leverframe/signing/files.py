"""Small files that must be exactly right: created once, replaced whole, and safe from other users.

Knows: POSIX permissions and how a file is replaced so that a crash leaves the old one or the new one.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from leverframe.domain.descriptors import is_out_of_descriptors, out_of_descriptors
from leverframe.domain.errors import AlreadyExists, KeyUnsafe

_MAX_BYTES = 65_536
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_MAY_ANYTHING = stat.S_IRWXG | stat.S_IRWXO


def create_secret(path: Path, content: bytes) -> None:
    """Write a new file that only this user can read (0600).

    Raises:
        AlreadyExists: there is one; a key is never overwritten.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as err:
        raise AlreadyExists(f"{str(path)!r} is there already, and a key is never overwritten.") from err
    with os.fdopen(handle, "wb") as file:
        # An unusual umask may have taken bits away, never added any; the owner must be able to read the key again.
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_secret(path: Path) -> bytes:
    """Read a file that only this user can read.

    Raises:
        KeyUnsafe: it is missing, a link, someone else's, or open to other users.
    """
    return _read(path, _OTHERS_MAY_ANYTHING, "chmod 600")


def private_folder(path: Path) -> None:
    """Make a folder that only this user can enter, or see to it that the one that is there is one.

    Raises:
        KeyUnsafe: it is no folder, someone else's, or open to other users.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise KeyUnsafe(f"{str(path)!r} is not a folder of this user.", next_move="Name one, or run as its owner.")
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS_MAY_ANYTHING:
        raise KeyUnsafe(f"{str(path)!r} is open to other users (mode {mode:03o}).", next_move=f"chmod 700 {path}")


def read_trusted(path: Path) -> bytes:
    """Read a file that everyone may read and only this user or root may write.

    Raises:
        KeyUnsafe: it is missing, a link, someone else's, or other users may change it.
    """
    return _read(path, _OTHERS_MAY_WRITE, "chmod 644")


def replace(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Put a new file in the place of the old one, on disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path, forbidden: int, remedy: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as err:
        if is_out_of_descriptors(err):
            raise out_of_descriptors(repr(str(path)), err) from err
        raise KeyUnsafe(
            f"{str(path)!r} cannot be opened as a file of its own ({err.strerror}).",
            next_move="Restore it from a backup, or point the configuration at where it is.",
        ) from err
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.getuid(), 0):
            raise KeyUnsafe(f"{str(path)!r} is not a file of this user.", next_move="Make it one, or run as its owner.")
        if mode & forbidden:
            raise KeyUnsafe(f"{str(path)!r} is open to other users (mode {mode:03o}).", next_move=f"{remedy} {path}")
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise KeyUnsafe(f"{str(path)!r} has more than {_MAX_BYTES} bytes, which no key has.")
    return content
