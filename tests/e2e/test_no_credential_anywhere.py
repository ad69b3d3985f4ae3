"""No credential appears in any log, record, error or result: searched by value after every other test (conftest)."""

import zipfile
from base64 import b64encode
from pathlib import Path

import pytest

from tests.leaks import credentials, leaks_in, leaks_of

VALUE = "sk-canary-0123456789"
API_KEY = "lf_" + "a" * 22 + "_" + "b" * 43


def test_the_search_finds_what_is_there_in_every_spelling(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(f"it said {VALUE} twice")
    (tmp_path / "db").write_bytes(b"\x00\x01" + b64encode(VALUE.encode()))
    (tmp_path / "key.json").write_text(f'{{"key": "{API_KEY}"}}')
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("leaves.jsonl", f"{VALUE}\n" * 9)
    (tmp_path / "the.secret").write_text(f"{VALUE}\n")
    (tmp_path / "innocent.txt").write_text("sk-canary")

    found = sorted({place.rpartition("/")[2].split(":")[0] for place in leaks_in(tmp_path, frozenset({VALUE}))})

    assert found == ["bundle.zip!leaves.jsonl", "db", "key.json", "log.txt"]
    assert list(leaks_of(f"error: {VALUE}", frozenset({VALUE}))) == [VALUE]
    for path in tmp_path.iterdir():
        path.unlink()


def test_a_damaged_archive_ends_no_search_and_hides_none_of_its_other_entries(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w") as bundle:
        bundle.writestr("first", "x" * 99)
        bundle.writestr("second", f"it said {VALUE}")
    whole = (tmp_path / "damaged.zip").read_bytes()
    (tmp_path / "damaged.zip").write_bytes(whole.replace(b"x" * 99, b"y" * 99))
    (tmp_path / "misspelled.zip").write_bytes(_with_a_name_that_is_no_utf8(whole))

    found = sorted(set(leaks_in(tmp_path, frozenset({VALUE}))))

    assert found == [
        f"{tmp_path}/damaged.zip!second: {VALUE}",
        f"{tmp_path}/damaged.zip: {VALUE}",
        f"{tmp_path}/misspelled.zip: {VALUE}",
    ]
    for path in tmp_path.iterdir():
        path.unlink()


def test_exempt_is_the_api_key_that_a_person_saved_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "agent.env").write_text(f"export OPENAI_API_KEY={API_KEY}\n")
    (tmp_path / "other.env").write_text(f"export OPENAI_API_KEY={API_KEY}\n")
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("agent.env", f"{API_KEY}\n" * 9)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "agent.env").write_text(f"export OPENAI_API_KEY={API_KEY} VENDOR={VALUE}\n")

    found = sorted(set(leaks_in(tmp_path, frozenset({VALUE}))))

    assert found == [
        f"{tmp_path}/below/agent.env: {VALUE}",
        f"{tmp_path}/bundle.zip!agent.env: an API key, lf_aaaa…",
        f"{tmp_path}/other.env: an API key, lf_aaaa…",
    ]
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.unlink()


def test_in_the_middle_of_other_text_a_key_is_one_whose_id_is_named_there(tmp_path: Path) -> None:
    digests = f"\x06a\x85n1Lc6u0{API_KEY}0309281kU\x01".encode()
    (tmp_path / "of-digests.db").write_bytes(digests)
    (tmp_path / "of-keys.db").write_bytes(digests + b"default" + b"key_" + b"a" * 22)

    found = list(leaks_in(tmp_path, frozenset()))

    assert found == [f"{tmp_path}/of-keys.db: an API key, lf_aaaa…"]
    for path in tmp_path.iterdir():
        path.unlink()


def _with_a_name_that_is_no_utf8(archive: bytes) -> bytes:
    utf8_names = 0x800
    entry = archive.rindex(b"PK\x01\x02")
    flags, name = entry + 8, entry + 46
    damaged = bytearray(archive)
    damaged[flags : flags + 2] = utf8_names.to_bytes(2, "little")
    damaged[name] = 0xFF
    return bytes(damaged)


def test_there_are_credentials_to_look_for() -> None:
    assert {"sk-test-0123456789", VALUE} <= credentials()


@pytest.mark.last
def test_no_credential_is_in_anything_that_the_tests_wrote_or_printed(
    tmp_path_factory: pytest.TempPathFactory, printed: list[str]
) -> None:
    known = credentials()

    written = list(leaks_in(tmp_path_factory.getbasetemp(), known))

    assert not written, "\n".join(written[:20])
    assert not printed, "\n".join(printed[:20])
