"""Where `secret://` references become values.

    secret://env/SHOP_API_KEY        a variable of the environment
    secret://file/keys/shop.txt      a file, relative to the project folder
    secret://file//etc/shop.txt      a file, absolute

Knows: every value it has given out, so that results and errors can be scrubbed of them.  Never: logs a value, and never
puts one into a message; a message names the reference.
"""

import os
import stat
import threading
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from leverframe.domain.errors import SecretUnavailable
from leverframe.ports.secrets import Secrets

_SCHEME: Final = "secret://"
_MAX_BYTES: Final = 64 << 10
# A shorter value stands in too many texts by chance to be taken out of them.
MIN_CHARS: Final = 4


class ProjectSecrets(Secrets):
    """The secrets of one project, from its environment and its files.

    A file is read anew each time, so that a rotated secret takes effect; a value once given out is scrubbed for good.
    """

    def __init__(self, root: Path, environment: Mapping[str, str] | None = None) -> None:
        self._root = root
        self._environment = os.environ if environment is None else environment
        self._known: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def resolve(self, reference: str) -> str:
        """The value, without the line break that ends a file.

        Raises:
            SecretUnavailable: no such source, variable or file; a file that others may read; a value that is shorter
                than four characters or has a line break in it.
        """
        source, _, name = reference.removeprefix(_SCHEME).partition("/")
        if not reference.startswith(_SCHEME) or not name:
            raise SecretUnavailable(
                f"{_shown(reference)} is not a secret reference.",
                next_move="Write secret://env/NAME or secret://file/PATH.",
            )
        match source:
            case "env":
                value = self._from_environment(reference, name)
            case "file":
                value = self._from_file(reference, name)
            case _:
                raise SecretUnavailable(
                    f"{reference!r} names the source {source!r}, which this version does not have.",
                    next_move="Use secret://env/NAME or secret://file/PATH.",
                )
        _judge(reference, value)
        with self._lock:
            self._known |= {value}
        return value

    def known_values(self) -> frozenset[str]:
        """Every value resolved so far."""
        return self._known

    def _from_environment(self, reference: str, name: str) -> str:
        value = self._environment.get(name)
        if value is None:
            raise SecretUnavailable(
                f"{reference!r} does not resolve: the variable {name!r} is not set.", next_move=f"export {name}=..."
            )
        return value

    def _from_file(self, reference: str, name: str) -> str:
        path = self._root / name
        # Asked before it is opened, since opening a pipe waits for a writer.
        if path.exists() and not path.is_file():
            raise SecretUnavailable(f"{reference!r} is no plain file.", next_move="Name the right one.")
        try:
            with path.open("rb") as file:
                # Judged by its descriptor, so that the file cannot be exchanged between the look and the read.
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(_MAX_BYTES + 1)
        except OSError as err:
            raise SecretUnavailable(
                f"{reference!r} does not resolve: {err.strerror}.", next_move=f"Write the secret to {str(path)!r}."
            ) from err
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SecretUnavailable(
                f"{reference!r} can be read by others (mode {stat.S_IMODE(mode):04o}, expected 0600).",
                next_move=f"Replace the secret, then: chmod 600 {path}",
            )
        if len(data) > _MAX_BYTES:
            raise SecretUnavailable(f"{reference!r} is larger than 64 KiB.", next_move="Name the right file.")
        try:
            return data.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as err:
            raise SecretUnavailable(f"{reference!r} is not UTF-8.", next_move="Store it as text.") from err


def _judge(reference: str, value: str) -> None:
    if len(value) < MIN_CHARS:
        raise SecretUnavailable(
            f"{reference!r} has {len(value)} characters; one of fewer than {MIN_CHARS} cannot be kept out of results.",
            next_move="Use a longer secret.",
        )
    # A header or a variable with a line break in it would become two; half of a surrogate pair can be sent nowhere.
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in value):
        raise SecretUnavailable(
            f"{reference!r} has a control character or a line break in it.",
            next_move="Store the bare value on one line.",
        )


def _shown(reference: str) -> str:
    """What may be shown of a text that is no reference: it may be the secret itself, pasted in its place."""
    return repr(reference) if reference.startswith(_SCHEME) else f"A text of {len(reference)} characters"
