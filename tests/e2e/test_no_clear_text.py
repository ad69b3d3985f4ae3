"""A copy of the database shows no argument, prompt, result, reason, name or e-mail; its keys are elsewhere."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from leverframe.config.project import load_project
from leverframe.core.canonical import decode
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.json import Json
from leverframe.runtime import answers
from leverframe.wiring.assembly import Assembly
from leverframe.wiring.evidence import open_logs
from tests.evidence_project import TENANT, approver, database, held, hostile, new_project, within

NAME, EMAIL, PHONE = "Grace Hopper", "grace@navy.example", "+44 20 7946 0958"
REASON = "I rang her and she sounded cross"


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """The project after real runs, and what lay in its database: while it was open, and after it was closed."""
    root = new_project(tmp_path_factory.mktemp("clear") / "desk", message=f" I am {NAME}, {EMAIL}, {PHONE}.")
    _, approval_id = held(root)

    async def answer(assembly: Assembly) -> bytes:
        services = assembly.services
        given = await answers.answer(
            services, approval_id, approver(assembly), AnswerWord.GRANT, reason=REASON, proof="os-user"
        )
        await assembly.runner.resume(given.run_id)
        return lying(root)

    while_open = within(root, answer)
    hostile(root)
    return root, [while_open, lying(root)]


def lying(root: Path) -> bytes:
    """All bytes of the state folder but its keys: the database, its log, and what stands beside them."""
    files = [one for one in (root / ".leverframe").rglob("*") if one.is_file() and one.parent.name != "keys"]
    assert database(root) in files
    return b"\0".join(one.read_bytes() for one in files)


def texts(value: Json) -> Iterator[str]:
    """Every text in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from (key, *texts(one))
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


def disclosed(root: Path) -> set[str]:
    with open_logs(load_project(root)) as logs:
        found = [one.disclosure for one in logs.audit.disclosures(TENANT)]
    return {text for one in found if one is not None for text in texts(decode(one.value_bytes))}


def released(root: Path) -> str:
    """The files of the release, which are nobody's person and stay in clear."""
    with closing(connect(database(root))) as db:
        return "\n".join(content.decode() for (content,) in db.execute("SELECT content FROM artifacts"))


def test_nothing_that_the_customer_or_the_approver_said_is_in_the_files(copies: tuple[Path, list[bytes]]) -> None:
    root, lies = copies
    given = json.loads((root / "inputs" / "refund_request.json").read_text(encoding="utf-8"))
    words = [NAME, EMAIL, PHONE, REASON, given["message"], "delete everything"]

    said = disclosed(root)

    assert all(any(word in text for text in said) for word in words), "what is looked for was really recorded"
    assert [word for word in words if word in released(root)] == []
    assert [word for word in words for lie in lies if word.encode() in lie] == []


def test_no_disclosed_text_is_in_the_files_unless_the_release_says_it_too(copies: tuple[Path, list[bytes]]) -> None:
    root, lies = copies
    release = released(root)

    prose = {text for text in disclosed(root) if " " in text or "@" in text or "#" in text}
    found = {text for text in prose for lie in lies if json.dumps(text)[1:-1].encode() in lie}

    assert len(prose) > 10
    assert {text for text in found if text not in release} == set()


def test_the_same_search_finds_the_text_where_it_is_not_sealed(copies: tuple[Path, list[bytes]]) -> None:
    root, _ = copies

    with open_logs(load_project(root)) as logs:
        opened = b"".join(one.disclosure.value_bytes for one in logs.audit.disclosures(TENANT) if one.disclosure)

    assert all(word.encode() in opened for word in (NAME, EMAIL, REASON))
