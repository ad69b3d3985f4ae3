"""Where `secret://` references become values.

    secret://env/SHOP_API_KEY        a variable of the environment
    secret://file/keys/shop.txt      a file, relative to the project folder
    secret://file//etc/shop.txt      a file, absolute
    secret://vault/secret/shop#key   and keyring, aws, aws-kms: `identity.secret_sources`

`{tenant}` in a reference is the tenant of the call (in capitals for a variable), so that none is given another's.

Knows: every value it has given out, so that results and errors can be scrubbed of them.  Never: logs a value, and never
puts one into a message; a message names the reference.
"""

import asyncio
import math
import os
import stat
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from leverframe.core.tenant_references import TENANT, of_tenant
from leverframe.domain.errors import SecretUnavailable
from leverframe.identity.secret_sources import AwsSource, KeyringSource, KmsSource, SecretSource, VaultSource
from leverframe.ports.secrets import Secrets

_SCHEME: Final = "secret://"
_MAX_BYTES: Final = 64 << 10
# A shorter value stands in too many texts by chance to be taken out of them.
MIN_CHARS: Final = 4
_FRESH_S: Final = 300.0
_LONGEST_S: Final = 3600.0


class ProjectSecrets(Secrets):
    """The secrets of one project, from its environment and its files.

    A file is read anew each time, so that a rotated secret takes effect; what another machine gave is kept for five
    minutes, then asked for anew beside the calls, and for an hour at most where it cannot be.  A value once given out
    is scrubbed for good.
    """

    def __init__(
        self,
        root: Path,
        environment: Mapping[str, str] | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._environment = os.environ if environment is None else environment
        self._known: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._kept: dict[str, tuple[str, float]] = {}
        self._asking: set[str] = set()
        self._waiting: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._sources: Mapping[str, SecretSource] = {
            "keyring": KeyringSource(),
            "vault": VaultSource(self._environment),
            "aws": AwsSource(),
            "aws-kms": KmsSource(root),
        }

    def resolve(self, reference: str, *, tenant: str = "") -> str:
        """The value, without the line break that ends a file.

        Raises:
            SecretUnavailable: no such source, variable or file; a file that others may read; a value that is shorter
                than four characters or has a line break in it.
        """
        reference = _for_tenant(reference, tenant)
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
            case _ if source in self._sources:
                value = self._from_afar(reference, source, name)
            case _:
                raise SecretUnavailable(
                    f"{reference!r} names the source {source!r}, which this version does not have.",
                    next_move=f"Use env, file or {', '.join(self._sources)}.",
                )
        _judge(reference, value)
        self._learn(value)
        return value

    async def resolved(self, reference: str, *, tenant: str = "") -> str:
        """As `resolve`, and whoever asks for the same at once shares one question to another machine.

        Raises:
            SecretUnavailable: as `resolve`.
        """
        if not self._is_asked_afar(_for_tenant(reference, tenant)):
            return self.resolve(reference, tenant=tenant)
        key = (reference, tenant)
        task = self._waiting.get(key)
        if task is None or task.done():
            # The packages that ask Vault and AWS block; a thread of its own leaves the other calls their loop.
            task = asyncio.create_task(asyncio.to_thread(self.resolve, reference, tenant=tenant))
            self._waiting[key] = task
            task.add_done_callback(partial(self._answered, key))
        # Shielded: a caller that is cancelled leaves the others their answer.
        return await asyncio.shield(task)

    def _answered(self, key: tuple[str, str], task: "asyncio.Task[str]") -> None:
        if self._waiting.get(key) is task:
            del self._waiting[key]
        if not task.cancelled():
            # Looked at, also where whoever asked has gone.
            task.exception()

    def _is_asked_afar(self, reference: str) -> bool:
        """Whether `resolve` would wait for another machine now."""
        if reference.removeprefix(_SCHEME).partition("/")[0] not in self._sources:
            return False
        kept = self._kept.get(reference)
        return kept is None or self._monotonic() - kept[1] > _LONGEST_S

    def known_values(self) -> frozenset[str]:
        """Every value resolved so far."""
        return self._known

    def _learn(self, *values: str) -> None:
        with self._lock:
            self._known |= {value for value in values if len(value) >= MIN_CHARS}

    def _from_afar(self, reference: str, source: str, name: str) -> str:
        """A kept value, asked for anew in a thread of its own once it is old; the first time it is waited for."""
        kept = self._kept.get(reference)
        age_s = self._monotonic() - kept[1] if kept is not None else math.inf
        if kept is None or age_s > _LONGEST_S:
            return self._fetched(reference, source, name)
        if age_s > _FRESH_S:
            with self._lock:
                is_first = reference not in self._asking
                self._asking.add(reference)
            if is_first:
                threading.Thread(target=self._refresh, args=(reference, source, name), daemon=True).start()
        return kept[0]

    def _refresh(self, reference: str, source: str, name: str) -> None:
        # What cannot be asked now is asked again with the next call; the old value stays until it is an hour old.
        with suppress(SecretUnavailable):
            self._fetched(reference, source, name)
        with self._lock:
            self._asking.discard(reference)

    def _fetched(self, reference: str, source: str, name: str) -> str:
        path, _, field = name.partition("#")
        found = self._sources[source].fetch(path, field)
        # Known before it is judged: whatever came from there is kept out of everything.
        self._learn(found.value, *found.opened_by)
        self._kept[reference] = (found.value, self._monotonic())
        return found.value

    def _from_environment(self, reference: str, name: str) -> str:
        value = self._environment.get(name)
        if value is None:
            raise SecretUnavailable(
                f"{reference!r} does not resolve: the variable {name!r} is not set where Leverframe runs.",
                next_move=f"Set it there and start it anew: export {name}=...",
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


def _for_tenant(reference: str, tenant: str) -> str:
    if TENANT not in reference:
        return reference
    if not tenant:
        raise SecretUnavailable(
            f"{_shown(reference)} is of a tenant, and this is asked for none.", next_move="Name one without {tenant}."
        )
    return of_tenant(reference, tenant)


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
