"""Fingerprint keys: one for each tenant, made once, closed to others."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leverframe.domain.errors import KeyUnsafe
from leverframe.domain.ids import TenantId
from leverframe.identity.keys import TenantKeys

ACME = TenantId("acme")


def test_a_fingerprint_survives_the_process_and_needs_the_same_key(tmp_path: Path) -> None:
    first = TenantKeys(tmp_path / "keys").fingerprint(ACME, "request", b"x")

    again = TenantKeys(tmp_path / "keys").fingerprint(ACME, "request", b"x")
    elsewhere = TenantKeys(tmp_path / "other").fingerprint(ACME, "request", b"x")

    assert (len(first), first) == (32, again)
    assert first != elsewhere


def test_tenant_domain_and_data_each_change_the_fingerprint(tmp_path: Path) -> None:
    keys = TenantKeys(tmp_path)

    found = {
        keys.fingerprint(tenant, domain, data)
        for tenant in (ACME, TenantId("globex"))
        for domain, data in (("a", b"bc"), ("ab", b"c"), ("a", b"b"), ("", b"abc"))
    }

    assert len(found) == 8


def test_the_key_file_is_closed_to_others_and_stays_what_it_was(tmp_path: Path) -> None:
    TenantKeys(tmp_path / "keys").fingerprint(ACME, "request", b"x")

    path = tmp_path / "keys" / "acme.key"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [item.name for item in path.parent.iterdir()] == ["acme.key"]


def test_processes_that_begin_together_agree_on_one_key(tmp_path: Path) -> None:
    keys = [TenantKeys(tmp_path) for _ in range(16)]

    with ThreadPoolExecutor(max_workers=16) as pool:
        found = set(pool.map(lambda one: one.fingerprint(ACME, "request", b"x"), keys))

    assert len(found) == 1


@pytest.mark.parametrize("tenant", ["../acme", "", "a/b", "ä", "x" * 300, "sha256.00"])
def test_a_strange_tenant_stays_inside_the_folder(tmp_path: Path, tenant: str) -> None:
    TenantKeys(tmp_path / "keys").fingerprint(TenantId(tenant), "request", b"x")

    assert [item.name for item in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize(("mode", "data"), [(0o640, b"k" * 32), (0o604, b"k" * 32), (0o600, b"k" * 31)])
def test_a_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path: Path, mode: int, data: bytes) -> None:
    path = tmp_path / "acme.key"
    path.write_bytes(data)
    path.chmod(mode)

    with pytest.raises(KeyUnsafe) as caught:
        TenantKeys(tmp_path).fingerprint(ACME, "request", b"x")

    assert str(path) in str(caught.value)
    assert caught.value.next_move
