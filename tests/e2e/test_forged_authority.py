"""Keys, kill switches and raised budgets that were changed with SQL: `evidence verify` says so, as the door does."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.typed import Shell

CHANGES = {
    "a key that was revoked works again": "UPDATE api_keys SET revoked_us = NULL",
    "a key that does not end": "UPDATE api_keys SET expires_us = NULL",
    "a key that is gone": "DELETE FROM api_keys",
    "a switch that was cleared": "DELETE FROM kill_switches",
    "a raise that is larger": "UPDATE budget_raises SET amount = amount * 10",
    "all of it taken away": "DELETE FROM authority",
    "an older generation": "UPDATE authority SET generation = generation - 1",
    "an entry of it that nobody can read": "UPDATE leaves SET leaf = zeroblob(3) WHERE type = 'killswitch.set'",
}


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    path = shell.root / "leverframe.yaml"
    more = "budgets:\n  - {tenant: default, window: day, max_usd: 1}\n"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    for words in (
        ("keys", "create", "bot", "--workflow", "refund_request"),
        ("keys", "revoke", "bot"),
        ("budgets", "raise", "tenant/default/day", "--usd", "5", "--for", "2h", "--because", "a test"),
        ("kill", "everything", "--because", "a test"),
    ):
        assert shell.type(*words).code == 0, words
    return shell


def test_what_was_written_is_believed(shell: Shell) -> None:
    assert shell.type("evidence", "verify").code == 0


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_grants_something_and_was_changed_with_sql_is_named(shell: Shell, change: str) -> None:
    with closing(sqlite3.connect(shell.root / ".leverframe" / "leverframe.db")) as db, db:
        assert db.execute(change).rowcount > 0

    told = shell.type("evidence", "verify")

    assert told.code == 1, told.out
    assert "S10: " in told.out
