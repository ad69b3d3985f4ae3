"""The vault: what is sealed opens in its own place alone, and its keys are made once and never replaced."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.domain.errors import KeyUnsafe
from leverframe.domain.ids import TenantId
from leverframe.identity.vault import FileVault
from leverframe.ports.vault import DataKey

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


@pytest.fixture
def vault(tmp_path: Path) -> FileVault:
    return FileVault(tmp_path / "keys")


def test_what_was_sealed_opens_in_another_process(vault: FileVault, tmp_path: Path) -> None:
    key = vault.new_key(ACME)

    sealed = vault.seal(key, b"here", b"ada@example.com")

    assert FileVault(tmp_path / "keys").open(key, b"here", sealed) == b"ada@example.com"
    assert b"ada" not in sealed


def test_equal_values_are_sealed_differently_each_time(vault: FileVault) -> None:
    key = vault.new_key(ACME)

    found = {vault.seal(key, b"here", b"same") for _ in range(100)}

    assert len({one[:12] for one in found}) == 100


def test_it_opens_under_its_own_key_tenant_and_place_alone(vault: FileVault) -> None:
    key, other = vault.new_key(ACME), vault.new_key(ACME)
    sealed = vault.seal(key, b"here", b"value")

    wrong = [
        vault.open(key, b"there", sealed),
        vault.open(other, b"here", sealed),
        vault.open(replace(key, key_id=other.key_id), b"here", sealed),
        vault.open(replace(key, wrapped=other.wrapped), b"here", sealed),
        vault.open(key, b"here", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        *(vault.open(key, b"here", sealed[:length]) for length in (0, 5, 12, 27)),
    ]

    assert wrong == [None] * len(wrong)
    assert vault.open(key, b"here", sealed) == b"value"


def test_a_key_of_one_tenant_is_no_key_of_another(vault: FileVault, tmp_path: Path) -> None:
    key = vault.new_key(ACME)
    vault.new_key(GLOBEX)

    moved = replace(key, tenant=GLOBEX)

    assert not FileVault(tmp_path / "keys").can_open(moved)
    assert FileVault(tmp_path / "keys").can_open(key)


def test_a_wrapped_key_says_nothing_of_the_key(vault: FileVault) -> None:
    keys = [vault.new_key(ACME) for _ in range(50)]

    assert len({key.key_id for key in keys}) == 50
    assert {len(key.key_id) for key in keys} == {16}
    assert len({key.wrapped for key in keys}) == 50


def test_nothing_is_sealed_under_a_key_of_another_vault(vault: FileVault, tmp_path: Path) -> None:
    key = vault.new_key(ACME)
    elsewhere = FileVault(tmp_path / "elsewhere")
    elsewhere.new_key(ACME)

    with pytest.raises(KeyUnsafe, match="was not wrapped under"):
        elsewhere.seal(key, b"here", b"value")

    assert elsewhere.open(key, b"here", vault.seal(key, b"here", b"value")) is None


def test_a_missing_key_file_is_named_and_not_made_anew_to_read_with(tmp_path: Path) -> None:
    key = FileVault(tmp_path / "keys").new_key(ACME)
    file = tmp_path / "keys" / "acme.vault.key"
    file.unlink()

    with pytest.raises(KeyUnsafe, match="is missing") as caught:
        FileVault(tmp_path / "keys").can_open(key)

    assert str(file) in caught.value.message
    assert "backup" in caught.value.next_move
    assert not file.exists()


def test_a_key_that_was_forgotten_is_looked_at_again(vault: FileVault, tmp_path: Path) -> None:
    key = vault.new_key(ACME)
    vault.forget(key.key_id)
    (tmp_path / "keys" / "acme.vault.key").write_bytes(bytes(32))

    assert not FileVault(tmp_path / "keys").can_open(key)
    assert vault.can_open(key), "its wrapping key is still in memory, and so are its wrapped bytes"


def test_a_tag_needs_the_tenants_key_and_the_same_row(vault: FileVault, tmp_path: Path) -> None:
    tag = vault.tag(ACME, b"row")

    assert (len(tag), tag[:1]) == (33, b"\x01")
    assert FileVault(tmp_path / "keys").tag(ACME, b"row") == tag
    assert len({tag, vault.tag(ACME, b"other"), vault.tag(GLOBEX, b"row")}) == 3


def test_a_vault_knows_whether_a_tenant_was_ever_tagged(vault: FileVault, tmp_path: Path) -> None:
    before = vault.has_tagged(ACME)

    vault.tag(ACME, b"row")

    assert (before, vault.has_tagged(ACME), vault.has_tagged(GLOBEX)) == (False, True, False)
    assert FileVault(tmp_path / "keys").has_tagged(ACME)


def test_the_key_files_are_closed_to_others_and_refused_when_they_are_not(vault: FileVault, tmp_path: Path) -> None:
    vault.new_key(ACME)
    vault.tag(ACME, b"row")
    files = sorted((tmp_path / "keys").iterdir())

    assert [one.name for one in files] == ["acme.mac.key", "acme.vault.key"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    files[0].chmod(0o644)
    with pytest.raises(KeyUnsafe, match="can be read by others"):
        FileVault(tmp_path / "keys").tag(ACME, b"row")


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_damaged_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "keys"
    FileVault(folder).tag(ACME, b"row")
    (folder / "acme.mac.key").write_bytes(content)

    with pytest.raises(KeyUnsafe, match=f"has {len(content)} bytes, expected 32"):
        FileVault(folder).tag(ACME, b"row")


def test_processes_that_begin_together_agree_on_the_keys(tmp_path: Path) -> None:
    vaults = [FileVault(tmp_path / "keys") for _ in range(16)]

    with ThreadPoolExecutor(max_workers=16) as pool:
        keys = list(pool.map(lambda one: one.new_key(ACME), vaults))
        tags = set(pool.map(lambda one: one.tag(ACME, b"row"), vaults))

    assert len(tags) == 1
    assert all(FileVault(tmp_path / "keys").can_open(key) for key in keys)


def test_many_keys_do_not_fill_the_memory(vault: FileVault) -> None:
    first = vault.new_key(ACME)
    sealed = vault.seal(first, b"here", b"value")

    keys: list[DataKey] = [vault.new_key(ACME) for _ in range(5_000)]

    assert len(vault._ciphers) <= 4_096
    assert vault.open(first, b"here", sealed) == b"value"
    assert vault.can_open(keys[-1])
