"""Notes, keys and checkpoints, held against the published examples of `sumdb/note`."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leverframe.core.merkle import EMPTY_ROOT
from leverframe.core.notes import (
    VerifierKey,
    compose_note,
    is_key_name,
    open_checkpoint,
    open_note,
    parse_vkey,
    tlog_proof,
)
from leverframe.domain.errors import AlreadyExists, EvidenceBroken, KeyUnsafe
from leverframe.domain.evidence import Checkpoint
from leverframe.domain.time import from_us
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.signing.trust import Trust, load_trust, save_trust

ORIGIN = "leverframe.example/acme"
ROOT = bytes(range(32))
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def checkpoint(size: int, root: bytes = ROOT) -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=size, root=root, at=from_us(0))


@pytest.fixture
def signer(tmp_path: Path) -> Ed25519FileSigner:
    return Ed25519FileSigner.create(tmp_path / "keys" / "log.key", ORIGIN)


@pytest.mark.parametrize("text", [PETER, "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"])
def test_the_published_verifier_keys_are_read_and_written_as_they_are(text: str) -> None:
    assert str(parse_vkey(text)) == text


def test_the_published_note_verifies_and_its_text_is_returned() -> None:
    body = open_note(PETER_NOTE, parse_vkey(PETER))

    assert body.startswith("If you think cryptography")
    assert body.endswith("your problem is.\n")


def test_a_changed_note_does_not_verify() -> None:
    with pytest.raises(EvidenceBroken, match="does not hold"):
        open_note(PETER_NOTE.replace(b"your problem,", b"our problem,"), parse_vkey(PETER))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "a b+00000000+AQ==",
        PETER[:-9] + "!" + PETER[-9:],
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER[:-4],
        "+c74f20a3+" + PETER[-44:],
    ],
)
def test_what_is_no_verifier_key_is_named(text: str) -> None:
    with pytest.raises(EvidenceBroken, match="not a verifier key"):
        parse_vkey(text)


@pytest.mark.parametrize(("name", "is_one"), [("a.example/log", True), ("", False), ("a+b", False), ("a b", False)])
def test_a_key_name_has_neither_space_nor_plus(name: str, *, is_one: bool) -> None:
    assert is_key_name(name) is is_one


def test_a_checkpoint_reads_back_under_its_key(signer: Ed25519FileSigner) -> None:
    note = signer.sign(checkpoint(20_852_163))

    head = open_checkpoint(note, parse_vkey(signer.vkey))

    assert (head.origin, head.size, head.root) == (ORIGIN, 20_852_163, ROOT)
    assert note.decode().splitlines()[:4] == [ORIGIN, "20852163", base64.b64encode(ROOT).decode(), ""]


def test_a_checkpoint_of_another_key_of_the_same_name_is_refused(signer: Ed25519FileSigner, tmp_path: Path) -> None:
    other = Ed25519FileSigner.create(tmp_path / "other.key", ORIGIN)

    with pytest.raises(EvidenceBroken, match="not signed by the key"):
        open_checkpoint(other.sign(checkpoint(3)), parse_vkey(signer.vkey))


def test_signatures_of_unknown_keys_are_ignored(signer: Ed25519FileSigner) -> None:
    note = signer.sign(checkpoint(3)) + "\u2014 witness.example AAAAAAAA\n".encode()

    assert open_checkpoint(note, parse_vkey(signer.vkey)).size == 3


def signed_by(body: str) -> tuple[bytes, VerifierKey]:
    """A note of any text under a fresh key of the log's name."""
    key = Ed25519PrivateKey.generate()
    vkey = VerifierKey(name=ORIGIN, public_key=key.public_key().public_bytes_raw())
    return compose_note(body, vkey, key.sign(body.encode())), vkey


def test_a_checkpoint_of_another_log_is_refused_though_the_key_signed_it() -> None:
    note, vkey = signed_by(f"other.example/log\n3\n{base64.b64encode(ROOT).decode()}\n")

    with pytest.raises(EvidenceBroken, match=r"is of the log 'other\.example/log'"):
        open_checkpoint(note, vkey)


@pytest.mark.parametrize(
    "line",
    [
        "no signature",
        "\u2014 witness.example AAAAAA==",  # a key id and no signature
        "\u2014 wit+ness AAAAAAAA",
        "\u2014  AAAAAAAA",
        "\u2014 witness.example AAAA!AAAA",
        "- witness.example AAAAAAAA",
        "",
    ],
)
def test_one_malformed_line_beside_a_good_signature_spoils_the_note(line: str) -> None:
    note, vkey = signed_by("text\n")
    body, good = note.decode().split("\n\n")

    with pytest.raises(EvidenceBroken, match=r"A signature line is|A signed note is text"):
        open_note(f"{body}\n\n{good}{line}\n".encode(), vkey)


def test_a_note_without_a_text_or_without_its_last_line_feed_is_refused() -> None:
    empty, vkey = signed_by("\n")
    signature = empty.decode().rpartition("\n\n")[2]

    for note in (signature.encode(), PETER_NOTE[:-1]):
        with pytest.raises(EvidenceBroken, match="A signed note is text, a blank line"):
            open_note(note, vkey)


def test_a_note_may_have_65536_bytes_and_no_more() -> None:
    room = 65_536 - len(signed_by("\n")[0]) + 1
    (fits, vkey), (too_large, other) = signed_by("x" * (room - 1) + "\n"), signed_by("x" * room + "\n")

    assert (len(fits), len(too_large)) == (65_536, 65_537)
    assert open_note(fits, vkey).startswith("xxx")
    with pytest.raises(EvidenceBroken, match="A signed note is text"):
        open_note(too_large, other)


def test_a_size_has_at_most_19_digits() -> None:
    root = base64.b64encode(ROOT).decode()
    fits, vkey = signed_by(f"{ORIGIN}\n{'9' * 19}\n{root}\n")
    too_long, other = signed_by(f"{ORIGIN}\n{'9' * 20}\n{root}\n")

    assert open_checkpoint(fits, vkey).size == 10**19 - 1
    with pytest.raises(EvidenceBroken, match="A checkpoint is origin, size"):
        open_checkpoint(too_long, other)


@pytest.mark.parametrize(
    "body",
    [
        f"\n3\n{'A' * 43}=\n",
        f"{ORIGIN}\n3\n{'A' * 20}!{'A' * 23}=\n",
        f"{ORIGIN}\n03\n{'A' * 43}=\n",
        f"{ORIGIN}\n-1\n{'A' * 43}=\n",
        f"{ORIGIN}\n3\nAAAA\n",
        f"{ORIGIN}\n3\n",
        f"{ORIGIN}\n{'9' * 30}\n{'A' * 43}=\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(body: str) -> None:
    key = Ed25519PrivateKey.generate()
    vkey = VerifierKey(name=ORIGIN, public_key=key.public_key().public_bytes_raw())

    with pytest.raises(EvidenceBroken, match="A checkpoint is origin, size"):
        open_checkpoint(compose_note(body, vkey, key.sign(body.encode())), vkey)


@pytest.mark.parametrize("note", [b"", b"\xff\xfe", b"text\n", b"text\n\nno signature\n", b"x" * 70_000])
def test_bytes_that_are_no_note_are_refused(note: bytes) -> None:
    with pytest.raises(EvidenceBroken):
        open_note(note, parse_vkey(PETER))


def test_a_signer_refuses_a_rollback_a_fork_and_another_log(signer: Ed25519FileSigner) -> None:
    signer.sign(checkpoint(5))

    for refused in (checkpoint(4), checkpoint(5, EMPTY_ROOT)):
        with pytest.raises(EvidenceBroken, match="rolled back or forked"):
            signer.sign(refused)
    with pytest.raises(EvidenceBroken, match="does not sign a checkpoint of"):
        signer.sign(Checkpoint(origin="other.example", size=6, root=ROOT, at=from_us(0)))


def test_a_key_is_private_loads_again_and_is_never_overwritten(signer: Ed25519FileSigner, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "log.key"

    again = Ed25519FileSigner.load(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert again.vkey == signer.vkey
    assert again.sign(checkpoint(7)) == signer.sign(checkpoint(7))
    with pytest.raises(AlreadyExists, match="never overwritten"):
        Ed25519FileSigner.create(path, ORIGIN)


def test_a_key_that_others_can_read_is_refused_with_the_remedy(signer: Ed25519FileSigner, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "log.key"
    path.chmod(0o640)

    with pytest.raises(KeyUnsafe, match=r"open to other users \(mode 640\).*chmod 600"):
        Ed25519FileSigner.load(path)

    assert signer.origin == ORIGIN


def test_a_missing_a_linked_and_a_garbled_key_are_refused(signer: Ed25519FileSigner, tmp_path: Path) -> None:
    path, garbled = tmp_path / "keys" / "log.key", tmp_path / "garbled.key"
    (tmp_path / "link.key").symlink_to(path)
    garbled.write_text(path.read_text().replace(ORIGIN, "other.example"))
    garbled.chmod(0o600)

    for unsafe in (tmp_path / "none.key", tmp_path / "link.key", garbled):
        with pytest.raises(KeyUnsafe):
            Ed25519FileSigner.load(unsafe)

    assert Ed25519FileSigner.load(path).vkey == signer.vkey


def test_a_trust_file_reads_back_and_only_moves_forward(signer: Ed25519FileSigner, tmp_path: Path) -> None:
    path, vkey = tmp_path / "trust.json", parse_vkey(signer.vkey)
    trust = Trust(vkey=vkey).advanced(open_checkpoint(signer.sign(checkpoint(5)), vkey))

    save_trust(path, trust)

    assert load_trust(path) == trust
    for behind in (checkpoint(4), checkpoint(5, EMPTY_ROOT)):
        head = open_checkpoint(Ed25519FileSigner.load(tmp_path / "keys" / "log.key").sign(behind), vkey)
        with pytest.raises(EvidenceBroken, match="rolled back or forked"):
            trust.advanced(head)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "leverframe-trust/1"}', "\x00"])
def test_what_is_no_trust_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_text(text)

    with pytest.raises(KeyUnsafe, match="not a trust file"):
        load_trust(path)


def test_a_tlog_proof_is_header_index_hashes_and_the_checkpoint(signer: Ed25519FileSigner) -> None:
    note = signer.sign(checkpoint(3))

    text = tlog_proof(1, [ROOT], note)

    assert text == f"c2sp.org/tlog-proof@v1\nindex 1\n{base64.b64encode(ROOT).decode()}\n\n".encode() + note
