"""Files that only their owner may read: how they are written and read.

Trusted: whoever can read one can act as its owner.  Never: repairs permissions by itself, since a file that others
could read may have been read already.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from leverframe.domain.descriptors import is_out_of_descriptors, out_of_descriptors
from leverframe.domain.errors import KeyUnsafe, LeverframeError

_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MAX_BYTES: Final = 1 << 20


def create_private(path: Path, data: bytes) -> bool:
    """Write a new file, durable and readable by its owner alone; False where one is there already.

    Whoever finds the file finds it whole: it gets its name after its bytes are on the disk.

    Raises:
        KeyUnsafe: it cannot be written.
        StoreUnavailable: no descriptor is left for it just now.
    """
    try:
        with _written_beside(path, data) as part:
            # A link never replaces what is there, as a rename would.
            os.link(part, path)
            _sync_folder(path.parent)
    except FileExistsError:
        return False
    except OSError as err:
        raise _unwritable(path, err) from err
    return True


def replace_private(path: Path, data: bytes) -> None:
    """Write a file, durable and readable by its owner alone, in place of what is there: readers see old or new.

    Raises:
        KeyUnsafe: it cannot be written.
        StoreUnavailable: no descriptor is left for it just now.
    """
    try:
        with _written_beside(path, data) as part:
            part.replace(path)
            _sync_folder(path.parent)
    except OSError as err:
        raise _unwritable(path, err) from err


@contextmanager
def _written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """A file with these bytes, flushed, beside `path` under a name that nobody else uses; gone at the end."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, err: OSError) -> LeverframeError:
    if is_out_of_descriptors(err):
        return out_of_descriptors(f"The key file {str(path)!r}", err)
    return KeyUnsafe(
        f"The key file {str(path)!r} cannot be written: {err.strerror}.", next_move="Make its folder writable for you."
    )


def read_private(path: Path, what: str) -> bytes:
    """Read a file that only we may read.

    Raises:
        KeyUnsafe: it is missing, not a plain file, larger than 1 MiB, another user's, or readable by others.
        StoreUnavailable: no descriptor is left for it just now.
    """
    # Asked before it is opened, since opening a pipe waits for a writer.
    if path.exists() and not path.is_file():
        raise KeyUnsafe(f"{what} {str(path)!r} is not a plain file.", next_move="Put a file there.")
    try:
        # Judged by its descriptor, so that the file cannot be exchanged between the look and the read.
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            _judge(path, what, status)
            data = file.read(_MAX_BYTES + 1)
    except OSError as err:
        if is_out_of_descriptors(err):
            raise out_of_descriptors(f"{what} {str(path)!r}", err) from err
        raise KeyUnsafe(
            f"{what} {str(path)!r} cannot be read: {err.strerror}.", next_move="Run `leverframe init`, or restore it."
        ) from err
    if len(data) > _MAX_BYTES:
        raise KeyUnsafe(f"{what} {str(path)!r} is larger than 1 MiB.", next_move="Put the right file there.")
    return data


def _judge(path: Path, what: str, status: os.stat_result) -> None:
    if status.st_uid not in {os.getuid(), 0}:
        raise KeyUnsafe(
            f"{what} {str(path)!r} belongs to user id {status.st_uid}, and you are {os.getuid()}.",
            next_move="Use your own.",
        )
    if status.st_mode & _OTHERS:
        raise KeyUnsafe(
            f"{what} {str(path)!r} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}, expected 0600).",
            next_move=f"Replace what is in it, then: chmod 600 {path}",
        )
