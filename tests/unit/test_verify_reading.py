"""How the offline verifier reads bundles and trust files, and what it says on the command line."""

import base64
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from leverframe.core.bundles import zipped
from leverframe.sdk.report import BROKEN, SELF_CONSISTENT, Leaf
from leverframe.sdk.verify import Unreadable, main, read_bundle, read_trust, verify
from tests.evidence_log import honest

Files = dict[str, bytes]


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_bundle_on_disk_reads_back_from_folder_and_zip(tmp_path: Path, *, as_zip: bool) -> None:
    files = honest().bundle()
    path = tmp_path / "bundle"
    write(files, path, as_zip=as_zip)

    assert read_bundle(path) == files


def write(files: Files, path: Path, *, as_zip: bool = False) -> None:
    if as_zip:
        path.write_bytes(zipped(files))
        return
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


def zip_of(*entries: tuple[str, bytes], mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, mode << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def nameless() -> bytes:
    """A zip whose one file has a name of no letter: that of the directory's entry has become its comment."""
    data = bytearray(zip_of(("x", b"{}")))
    entry = data.index(b"PK\x01\x02")
    data[entry + 28 : entry + 34] = b"\0\0" + b"\0\0" + b"\1\0"
    return bytes(data)


def misspelled() -> bytes:
    """A zip that says of a name that it is UTF-8, and it is not."""
    data = bytearray(zip_of(("x", b"{}")))
    entry = data.index(b"PK\x01\x02")
    data[entry + 9] |= 0x08
    data[entry + 46] = 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        nameless(),
        misspelled(),
        b"PK\x03\x04 no zip",
        zip_of(("../evil", b"x")),
        zip_of(("/etc/evil", b"x")),
        zip_of(("policy/../x", b"x")),
        zip_of(("a\\b", b"x")),
        zip_of(("leaves.jsonl", b"x"), ("LEAVES.jsonl", b"y")),
        zip_of(("link", b"manifest.json"), mode=0o120777),
        zip_of(("leaves.jsonl", b"\0" * 30_000_000)),
        zip_of(("manifest.json", b"{}"))[:-30],
        zip_of(("manifest.json", b"[1]" * 99)).replace(b"[1]", b"[2]"),
    ],
    ids=[
        "empty",
        "nameless",
        "misspelled",
        "not-zip",
        "up",
        "root",
        "inner-up",
        "backslash",
        "twice",
        "link",
        "bomb",
        "cut",
        "crc",
    ],
)
def test_a_zip_that_plays_tricks_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(data)

    with pytest.raises(Unreadable):
        verify(read_bundle(path), None)


def test_a_folder_with_a_link_is_refused(tmp_path: Path) -> None:
    write(honest().bundle(), tmp_path / "bundle")
    (tmp_path / "bundle" / "extra").symlink_to("/etc/hostname")

    with pytest.raises(Unreadable, match="links or devices"):
        read_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "leverframe-trust/1", "origin": "a", "vkey": "b+0+A"}',
        '{"head": {"size": -1, "root": ""}}',
    ],
)
def test_what_is_no_trust_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text(text)

    with pytest.raises(Unreadable, match="trust file"):
        read_trust(tmp_path / "trust.json")


def run_verifier(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # -I: nothing of this project can be imported, as on an auditor's machine.
    return subprocess.run(
        [sys.executable, "-I", "verify.py", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_one_file_of_the_bundle_verifies_it_alone(tmp_path: Path) -> None:
    log = honest()
    folder, trust = tmp_path / "bundle", tmp_path / "trust.json"
    write(log.bundle(), folder)
    trust.write_text(json.dumps(log.trust(4)))

    trusted = run_verifier([".", "--trust", str(trust)], folder)
    alone, strict = run_verifier(["."], folder), run_verifier([".", "--strict"], folder)
    (folder / "leaves.jsonl").write_bytes(b"{}\n")
    broken = run_verifier([".", "--trust", str(trust), "--json"], folder)

    assert (trusted.returncode, trusted.stdout.splitlines()[-1]) == (0, "verdict: OK")
    assert (alone.returncode, alone.stdout.splitlines()[-1]) == (0, "verdict: self-consistent")
    assert strict.returncode == 1
    assert (broken.returncode, json.loads(broken.stdout)["verdict"]) == (1, BROKEN)


def test_the_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.zip").write_bytes(b"x")

    assert main([str(tmp_path / "none")]) == 2
    assert main([str(tmp_path / "x.zip")]) == 1
    assert "is not there" in (said := capsys.readouterr().err)
    assert "verdict: BROKEN" in said


@pytest.mark.needs(program="openssl")
def test_openssl_verifies_the_signature_of_a_head(tmp_path: Path) -> None:
    log = honest()
    body, _, line = log.bundle()["checkpoint"].decode().rpartition("\n\n")
    (tmp_path / "body").write_text(body + "\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(line.split()[2])[4:])
    public_key = base64.b64decode(log.signer().vkey.split("+", 2)[2])[1:]
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + public_key)

    command = "pkeyutl -verify -rawin -pubin -keyform DER -inkey key.der -in body -sigfile signature"
    answer = subprocess.run(["openssl", *command.split()], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (answer.returncode, answer.stdout.strip()) == (0, "Signature Verified Successfully")


def test_a_report_as_json_names_every_check() -> None:
    log = honest()

    said: Leaf = json.loads(verify(log.bundle(), None).json())

    assert said["verdict"] == SELF_CONSISTENT
    assert len(said["checks"]) == 20
