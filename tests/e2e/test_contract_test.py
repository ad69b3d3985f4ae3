"""`tools contract-test`: recorded calls against a changed server, and keyed writes sent twice with one key."""

import json
import shutil
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.domain.ids import ToolName
from leverframe.domain.tools import EffectClass
from tests.e2e.test_cli_tools import FIXTURES, LOOKUP, called, offer
from tests.e2e.test_cli_tools import shell as desk
from tests.typed import Shell

__all__ = ["desk"]

PROJECT = 'servers: {pay: {mcp: [python, mcp_refunds.py, ONCE], trusted_process: {because: "a test"}}}\n'
REFUND = """\
tool: refund
from: {mcp: pay, name: refund}
effect: keyed
idempotency: {argument: key}
input:
  type: object
  properties: {order_id: {type: string}, amount: {type: number}, key: {type: string}}
reconcile: {tool: find_refunds, args: {order_id: args.order_id}, match: {amount: args.amount}}
"""
FIND = """\
tool: find_refunds
from: {mcp: pay, name: find_refunds}
effect: read
input: {type: object, properties: {order_id: {type: string}}}
"""
CONTRACT = "workflow: pay\nenvironments: [sandbox, prod]\npolicy: {allow_tools: [refund]}\n"
ARGS = '{"order_id": "W1", "amount": 5}'


@pytest.fixture
def pay(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    root = tmp_path / "pay"
    for folder in ("tools", "workflows"):
        (root / folder).mkdir(parents=True)
    shutil.copy(FIXTURES / "mcp_refunds.py", root)
    (root / "tools" / "refund.yaml").write_text(REFUND)
    (root / "tools" / "find_refunds.yaml").write_text(FIND)
    (root / "workflows" / "pay.yaml").write_text(CONTRACT)
    return Shell(root, capsys, monkeypatch)


def receiver(shell: Shell, *, is_once: bool) -> None:
    """The receiver is this one from now on, reviewed."""
    (shell.root / "leverframe.yaml").write_text(PROJECT.replace("ONCE", "once" if is_once else "each"))
    shell.type("tools", "pin", "refund", "find_refunds", "--because", "a test")


def effect(shell: Shell) -> EffectClass:
    return load_project(shell.root).tools[ToolName("refund")].effect


TWICE = ("tools", "contract-test", "refund", "--twice", "--environment", "sandbox", "--args", ARGS)


def test_a_receiver_that_knows_its_keys_keeps_its_class(pay: Shell) -> None:
    receiver(pay, is_once=True)

    typed = pay.type("--json", *TWICE)

    assert typed.code == 0, typed.out + typed.err
    (found,) = typed.json
    assert (found["found"], found["seen"]) == ("one effect", [0, 1, 1])
    assert effect(pay) is EffectClass.KEYED
    assert pay.type("evidence", "verify").code == 0


def test_a_receiver_that_does_it_again_loses_its_class_until_it_passes(pay: Shell) -> None:
    receiver(pay, is_once=False)

    failed = pay.type(*TWICE)
    after = effect(pay)
    checked = pay.type("check")
    receiver(pay, is_once=True)
    passed = pay.type(*TWICE)

    assert failed.code == 1
    assert "two effects" in failed.out
    assert after is EffectClass.IRREVERSIBLE
    assert "lost-its-class" in checked.out
    assert passed.code == 0
    assert effect(pay) is EffectClass.KEYED
    assert pay.type("evidence", "verify").code == 0


@pytest.mark.parametrize(
    "words", [(), ("--environment", "prod"), ("--environment", "Production"), ("--environment", "default")]
)
def test_nothing_is_sent_twice_in_production_or_nowhere(pay: Shell, words: tuple[str, ...]) -> None:
    receiver(pay, is_once=True)

    typed = pay.type("tools", "contract-test", "refund", "--twice", *words, "--args", ARGS)

    assert typed.code == 1
    assert "runs" not in typed.out


def test_a_receiver_whose_effects_are_not_listed_is_not_judged(pay: Shell) -> None:
    text = REFUND.replace("match: {amount: args.amount}", "match: {status: args.order_id}")
    (pay.root / "tools" / "refund.yaml").write_text(text)
    receiver(pay, is_once=False)

    typed = pay.type("--json", *TWICE)

    assert typed.code == 1
    assert typed.json[0]["found"] == "not to be told"
    assert effect(pay) is EffectClass.KEYED


def test_an_unreviewed_tool_is_not_tested(pay: Shell) -> None:
    (pay.root / "leverframe.yaml").write_text(PROJECT.replace("ONCE", "once"))

    typed = pay.type(*TWICE)

    assert typed.code == 1
    assert "reviewed" in typed.err


@pytest.mark.parametrize(
    "words", [("--twice", "--environment", "sandbox"), ("refund", "--environment", "sandbox"), ("rfund",)]
)
def test_words_that_name_no_test_are_refused(pay: Shell, words: tuple[str, ...]) -> None:
    receiver(pay, is_once=True)

    assert pay.type("tools", "contract-test", *words).code == 2


def test_recorded_calls_are_held_against_a_changed_server(desk: Shell) -> None:
    desk.type("tools", "pin")
    called(desk.root, times=2)

    same = desk.type("--json", "tools", "contract-test")
    schema = {"type": "object", "properties": {"order_id": {"type": "string", "pattern": "^X"}}}
    answers = {"type": "object", "required": ["total"]}
    offer(desk.root, {**LOOKUP, "inputSchema": schema, "outputSchema": answers})
    other = desk.type("--json", "tools", "contract-test", "find_order")

    assert (same.code, same.json[0]["calls"], same.json[0]["problems"]) == (0, 2, [])
    assert other.code == 1
    told = json.dumps(other.json)
    assert "pattern" in told
    assert "total" in told


def test_recorded_calls_of_a_keyed_function_fit_its_own_definition(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tmp_path / "shop", capsys, monkeypatch)
    shell.init()
    shell.type("run", "refund_request", "--input", "inputs/refund_request.json")

    typed = shell.type("--json", "tools", "contract-test", "create_refund_draft")

    assert typed.code == 0, typed.out
    assert typed.json == [{"tool": "create_refund_draft", "calls": 1, "problems": []}]
