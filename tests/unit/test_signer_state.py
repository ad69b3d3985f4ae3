"""What a signer signs, what it refuses, and what it remembers."""

import json
from pathlib import Path

import pytest

from leverframe.core import merkle
from leverframe.core.epochs import log_and_epoch, origin_in
from leverframe.core.notes import open_checkpoint, parse_vkey
from leverframe.domain.errors import EvidenceBroken, KeyUnsafe, SignerUnavailable
from leverframe.domain.evidence import TreeState
from leverframe.signing.signer_state import SignerState
from leverframe.signing.signer_wire import STALE, Answer, AskBegin, AskLog, AskSign

LOG = "leverframe/acme"


class Tree:
    """A log in memory, of entries `<word>0`, `<word>1` …"""

    def __init__(self, word: str = "entry", size: int = 40) -> None:
        leaves = [merkle.leaf_hash(f"{word}{n}".encode()) for n in range(size)]
        self._nodes = {(one.level, one.index): one.hash for one in merkle.extend(TreeState(), leaves).nodes}

    def get(self, level: int, index: int) -> bytes:
        return self._nodes[level, index]

    def root(self, size: int) -> bytes:
        return merkle.root(merkle.state_of(size, self.get))

    def asks(self, old: int, size: int, *, epoch: int = 1) -> AskSign:
        proof = merkle.consistency_proof(old, size, self.get)
        return AskSign(log=LOG, epoch=epoch, size=size, root=self.root(size), proven_from=old, proof=proof)


@pytest.fixture
def state(tmp_path: Path) -> SignerState:
    found = SignerState(tmp_path / "signer")
    found.answer(AskLog(log=LOG, create=True))
    return found


def signed(state: SignerState, request: AskSign) -> Answer:
    answer = state.answer(request)
    assert answer.problem == "", answer.message
    return answer


def test_a_head_that_continues_the_last_one_is_signed(state: SignerState) -> None:
    tree = Tree()

    answers = [signed(state, tree.asks(old, size)) for old, size in ((0, 1), (1, 7), (7, 7), (7, 40))]

    heads = [open_checkpoint(one.note.encode(), parse_vkey(one.vkey)) for one in answers]
    assert [(head.origin, head.size) for head in heads] == [(LOG, 1), (LOG, 7), (LOG, 7), (LOG, 40)]
    assert answers[1].note == answers[2].note


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Tree().asks(0, 19), "rolled back"),
        (Tree("other").asks(20, 20), "forked or rewritten"),
        (Tree("other").asks(20, 21), "forked or rewritten"),
        (AskSign(log=LOG, epoch=1, size=30, root=Tree().root(30), proven_from=20), "forked or rewritten"),
        (Tree().asks(20, 21, epoch=2), "in epoch 1"),
    ],
    ids=["shorter", "another root", "another log", "no proof", "another epoch"],
)
def test_a_head_that_does_not_is_refused_and_forgets_nothing(state: SignerState, request_: AskSign, why: str) -> None:
    signed(state, Tree().asks(0, 20))

    answer = state.answer(request_)

    assert (answer.problem, answer.note) == (EvidenceBroken.slug, "")
    assert why in answer.message
    assert signed(state, Tree().asks(20, 21)).note


def test_a_proof_from_another_head_is_stale_and_names_the_last_one(state: SignerState) -> None:
    signed(state, Tree().asks(0, 20))

    answer = state.answer(Tree().asks(10, 30))

    assert answer.problem == STALE
    assert answer.head is not None
    assert (answer.head.size, answer.head.root) == (20, Tree().root(20))


def test_what_was_signed_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    first = SignerState(tmp_path)
    first.answer(AskLog(log=LOG, create=True))
    signed(first, Tree().asks(0, 20))
    first.close()

    answer = SignerState(tmp_path).answer(Tree().asks(0, 12))

    assert "rolled back" in answer.message


def test_a_new_epoch_closes_the_old_one_for_good(state: SignerState) -> None:
    tree = Tree()
    signed(state, tree.asks(0, 20))

    begun = state.answer(AskBegin(log=LOG, epoch=2, size=12, root=tree.root(12)))
    answer = signed(state, tree.asks(12, 15, epoch=2))

    assert [(one.epoch, one.size) for one in begun.closed] == [(1, 20)]
    assert answer.note.startswith(f"{LOG}/epoch-2\n15\n")
    assert "in epoch 2" in state.answer(tree.asks(20, 21)).message
    assert "is no later" in state.answer(AskBegin(log=LOG, epoch=2, size=1, root=tree.root(1))).message


def test_a_log_without_a_key_gets_one_only_where_it_is_asked_for(tmp_path: Path) -> None:
    state = SignerState(tmp_path)

    missing = state.answer(AskLog(log=LOG))
    unsigned = state.answer(Tree().asks(0, 1))

    assert (missing.problem, unsigned.problem) == ("not-found", "not-found")
    assert list(tmp_path.glob("*.key")) == []
    assert state.answer(AskLog(log=LOG, create=True)).vkey.startswith(f"{LOG}+")


@pytest.mark.parametrize("kind", ["key", "head"])
def test_a_key_or_a_memory_that_others_can_read_is_used_no_more(state: SignerState, tmp_path: Path, kind: str) -> None:
    signed(state, Tree().asks(0, 20))
    next((tmp_path / "signer").glob(f"*.{kind}")).chmod(0o640)

    with pytest.raises(KeyUnsafe, match="open to other users"):
        state.answer(Tree().asks(20, 21))


@pytest.mark.parametrize(
    "left", [b"", b"{}", b"{", b"\xff", b"[" * 5_000, b'{"log":"another","format":"leverframe-signer/1"}']
)
def test_a_damaged_memory_signs_nothing(state: SignerState, tmp_path: Path, left: bytes) -> None:
    signed(state, Tree().asks(0, 20))
    memory = next((tmp_path / "signer").glob("*.head"))
    assert json.loads(memory.read_bytes())["log"] == LOG
    memory.write_bytes(left)

    with pytest.raises(KeyUnsafe, match="not what a signer keeps"):
        state.answer(Tree().asks(20, 21))


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)

    with pytest.raises(KeyUnsafe, match="chmod 700"):
        SignerState(tmp_path)


def test_two_signers_never_share_a_folder(state: SignerState, tmp_path: Path) -> None:
    with pytest.raises(SignerUnavailable, match="Another signer"):
        SignerState(tmp_path / "signer")

    state.close()
    SignerState(tmp_path / "signer").close()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (LOG, (LOG, 1)),
        (f"{LOG}/epoch-2", (LOG, 2)),
        (f"{LOG}/epoch-1", (f"{LOG}/epoch-1", 1)),
        (f"{LOG}/epoch-02", (f"{LOG}/epoch-02", 1)),
        ("epoch-2", ("epoch-2", 1)),
    ],
)
def test_an_origin_names_its_log_and_its_epoch(origin: str, expected: tuple[str, int]) -> None:
    assert log_and_epoch(origin) == expected
    assert origin_in(*expected) == origin
