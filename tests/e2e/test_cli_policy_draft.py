"""`leverframe policy draft`: what was seen decides what is bounded, and what a person must answer stays theirs."""

from pathlib import Path

import pytest

from tests.typed import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    return shell


def test_a_call_that_a_person_granted_is_held_by_the_draft_too(shell: Shell) -> None:
    contract = shell.root / "workflows" / "refund_request.yaml"
    contract.write_text(contract.read_text() + "enforce: observe\n")
    shell.type("run", "refund_request", "--input", "inputs/refund_request.json")
    waiting = shell.type("approvals", "list", "--ids").out.strip()
    assert shell.type("approvals", "grant", waiting).code == 0

    draft = shell.type("policy", "draft", "--from-runs", "7d").out

    contract.write_text(draft)
    assert shell.type("check").code == 0, draft
    explained = shell.type("policy", "explain", "issue_refund", "--args", '{"order_id": "W1", "amount_usd": 1}').out
    assert "HOLD" in explained, draft
    assert 'redact_fields: ["email","address","card_last4"]' in draft


def test_a_draft_of_no_runs_is_refused_with_what_is_missing(shell: Shell) -> None:
    shell.type("keys", "create", "desk", "--workflow", "refund_request")

    typed = shell.type("policy", "draft", "--from-runs", "7d")

    assert typed.code == 1
    assert "workflow:" not in typed.out
    assert "No run of 'refund_request' within 7d" in typed.err
    assert "enforce: observe" in typed.err


def test_a_draft_of_one_run_says_so(shell: Shell) -> None:
    shell.type("run", "refund_request", "--input", "inputs/refund_request.json")

    typed = shell.type("policy", "draft", "--from-runs", "7d")

    assert typed.out.startswith("# From 1 run of refund_request within 7d\n")
