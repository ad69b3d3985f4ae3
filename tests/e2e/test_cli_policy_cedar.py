"""`policy export` and `policy import`: a workflow's rules as Cedar, and back as a contract that loads."""

from pathlib import Path

import pytest

from tests.typed import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    return shell


RULES = """\
workflow: with_rules
policy:
  allow_tools: [lookup_order, issue_refund]
  rules:
    - id: velocity
      then: hold
      tools: [issue_refund]
      when: history.sum("issue_refund", "amount_usd", "24h", "workflow") + args.amount_usd > 200
approval:
  required_for:
    - tool: issue_refund
      threshold_usd: 50
"""


def test_an_exported_policy_imports_as_a_contract_that_exports_the_same(shell: Shell) -> None:
    shell.write("workflows/with_rules.yaml", RULES)
    first = shell.type("policy", "export", "with_rules")
    shell.write("rules.cedar", first.out)

    contract = shell.type("policy", "import", "rules.cedar")

    assert (first.code, contract.code) == (0, 0)
    shell.write("workflows/with_rules.yaml", contract.out)
    again = shell.type("policy", "export", "with_rules")
    assert without_places(again.out) == without_places(first.out)
    assert shell.type("check").code == 0


def without_places(text: str) -> list[str]:
    """The lines less where each rule stands, in whatever order."""
    return sorted(line for line in text.splitlines() if not line.startswith("@source"))


def test_the_export_says_what_its_context_must_carry(shell: Shell) -> None:
    shell.write("workflows/with_rules.yaml", RULES)

    fields = shell.type("policy", "export", "with_rules", "--json").json["context"]

    assert {
        "tool": "issue_refund",
        "field": ["args", "amount_usd"],
        "type": "Long",
        "reads": "number(args.amount_usd)",
        "places": 2,
    } in fields


def test_a_policy_that_cannot_be_said_here_is_named_and_nothing_is_printed(shell: Shell) -> None:
    shell.write(
        "x.cedar", '@id("friends") permit (principal in Group::"x", action == Action::"lookup_order", resource);'
    )

    told = shell.type("policy", "import", "x.cedar")

    assert (told.code, told.out) == (1, "")
    assert "The policy 'friends' of x.cedar does not import: its principal is not one `Principal`" in told.err


def test_several_workflows_need_a_name(shell: Shell) -> None:
    shell.write("workflows/with_rules.yaml", RULES)

    told = shell.type("policy", "export")

    assert told.code == 2
    assert "refund_request, with_rules" in told.err
