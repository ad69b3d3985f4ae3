"""No file descriptor is left: whatever opens a file says that it passes, and of the limit, and nothing of the file."""

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leverframe.domain.descriptors import out_of_descriptors
from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.relays import WireFormat
from leverframe.gateway.refusing import of_error
from leverframe.identity.keys import TenantKeys
from leverframe.identity.private_files import create_private, read_private
from leverframe.identity.vault import FileVault
from leverframe.signing.files import read_secret
from leverframe.store import open_sqlite
from leverframe.store.claims import FileClaims
from leverframe.store.sqlite.connection import open_reader, open_writer
from tests.vaults import vault_beside


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """The first three are in use, and there is no fourth."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def claim(folder: Path) -> None:
    with FileClaims(folder / "claims").claim(RunId("run_1")):
        pass


OPENING: dict[str, Callable[[Path], object]] = {
    "a key": lambda folder: read_private(folder / "key", "The key"),
    "a new key": lambda folder: create_private(folder / "new", b"x"),
    "the key of a log": lambda folder: read_secret(folder / "key"),
    "a tenant's key": lambda folder: TenantKeys(folder / "keys").fingerprint(TenantId("acme"), "x", b""),
    "the vault": lambda folder: FileVault(folder / "keys").new_key(TenantId("acme")),
    "claims": claim,
    "a reader": lambda folder: open_reader(folder / "store.db"),
    "a writer": lambda folder: open_writer(folder / "store.db"),
    "a store": lambda folder: open_sqlite(folder / "store.db", create=False, vault=vault_beside(folder / "store.db")),
    "a new store": lambda folder: open_sqlite(folder / "new.db", create=True, vault=vault_beside(folder / "new.db")),
}


@pytest.mark.parametrize("what", OPENING)
def test_whatever_cannot_be_opened_for_want_of_a_descriptor_is_told_as_passing(tmp_path: Path, what: str) -> None:
    assert create_private(tmp_path / "key", b"x")
    a_store_at(tmp_path / "store.db")

    with no_descriptor_left(), pytest.raises(StoreUnavailable, match="as many files and connections open") as told:
        OPENING[what](tmp_path)

    assert told.value.is_retryable
    assert "limit of open files" in told.value.next_move


def a_store_at(path: Path) -> None:
    path.touch(0o600)
    open_writer(path).close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("wire", WireFormat)
def test_a_caller_is_told_to_ask_again(wire: WireFormat, number: int) -> None:
    told = of_error(wire, out_of_descriptors("The key", OSError(number, "x")))

    assert told.status == 503
    assert b"x-should-retry" not in dict(told.headers)
