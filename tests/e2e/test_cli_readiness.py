"""`show` and `check --ready`: the three parts of a card, and the part that is missing."""

from pathlib import Path

import pytest

from tests.typed import Shell

READY = """\
workflow: refund_request
description: Decide and prepare a refund for one order.
owner: person:lena
input:
  type: object
  required: [customer_id, message]
  additionalProperties: false
  properties: {customer_id: {type: string}, message: {type: string}}
budget: {max_tool_calls: 4, max_usd: 0.05, max_wall_s: 90}
fallback: {handoff: "queue:tier2", say: A colleague will take this over.}
policy:
  allow_tools: [lookup_order, create_refund_draft, issue_refund]
  rules:
    - {id: no-drafts-at-night, then: deny, tools: [create_refund_draft], when: args.amount_usd > 500}
approval:
  required_for:
    - {tool: issue_refund, threshold_usd: 50, from: [group:leads], quorum: 1}
logging: {retain_days: 400, redact_fields: [email]}
"""
PEOPLE = """\
people:
  lena: {groups: [leads], roles: [approver]}
providers: {recorded: {wire: recorded, file: recordings/refund_request.jsonl}}
models: {fast: [recorded/refund_request]}
"""


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    shell.write("leverframe.yaml", PEOPLE)
    shell.write("workflows/refund_request.yaml", READY)
    return shell


def test_a_whole_contract_is_ready(shell: Shell) -> None:
    told = shell.type("check", "--ready")

    assert told.code == 0, told.out
    assert "refund_request  READY" in told.out


@pytest.mark.parametrize(
    ("taken_out", "part", "code"),
    [
        ("owner: person:lena\n", 1, "no-owner"),
        ('fallback: {handoff: "queue:tier2", say: A colleague will take this over.}\n', 2, "no-fallback"),
        (", max_wall_s: 90", 2, "no-limit"),
        ("max_tool_calls: 4, ", 2, "no-limit"),
        ("max_usd: 0.05, ", 2, "no-limit"),
    ],
)
def test_what_is_missing_is_named_with_its_part(shell: Shell, taken_out: str, part: int, code: str) -> None:
    assert taken_out in READY
    shell.write("workflows/refund_request.yaml", READY.replace(taken_out, ""))

    told = shell.type("check", "--ready", "--json")

    assert told.code == 1
    assert [(gap["part"], gap["code"]) for gap in told.json["ready"]["refund_request"]] == [(part, code)]


def test_a_workflow_without_an_input_schema_is_not_ready(shell: Shell) -> None:
    lines = READY.splitlines()
    kept = [
        line
        for line in lines
        if line != "input:" and not line.startswith(("  type:", "  required: [c", "  addi", "  prop"))
    ]
    shell.write("workflows/refund_request.yaml", "\n".join(kept))

    told = shell.type("check", "--ready")

    assert told.code == 1
    assert "part 1, what it may do: any input opens a run" in told.out


def test_a_hold_that_nobody_can_answer_is_not_ready(shell: Shell) -> None:
    # A hold by rule asks for the role approver, which nobody has here; the group of the row is another matter.
    shell.write("leverframe.yaml", PEOPLE.replace("roles: [approver]", "roles: []"))
    rule = "    - {id: big-drafts, then: hold, tools: [create_refund_draft], when: args.amount_usd > 100}\n"
    shell.write("workflows/refund_request.yaml", READY.replace("approval:\n", f"{rule}approval:\n"))

    told = shell.type("check", "--ready")

    assert told.code == 1
    assert "a held create_refund_draft of tenant default needs 1 to answer, and 0 can" in told.out


def test_the_person_at_this_machine_alone_can_answer_the_seed_contract(shell: Shell, tmp_path: Path) -> None:
    shell.root = tmp_path / "seed"
    shell.init()

    gaps = shell.type("check", "--ready", "--json").json["ready"]["refund_request"]

    assert "no-approver" not in {gap["code"] for gap in gaps}
    assert {gap["code"] for gap in gaps} == {"no-owner", "no-input-schema", "no-fallback", "no-limit"}


def test_the_card_says_what_may_run_what_is_asked_where_it_stops_and_what_it_leaves(shell: Shell) -> None:
    told = shell.type("show", "refund_request")

    said = " ".join(told.out.split())
    assert told.code == 0
    for part in (
        "1  What it may do, and nothing else",
        "issue_refund: asked for when $50 or more  issue_refund/over-50  workflows/refund_request.yaml:17",
        "by one person of group:leads, never the initiator",
        "create_refund_draft: never when args.amount_usd > 500  no-drafts-at-night  workflows/refund_request.yaml:14",
        "2  Where it stops",
        "max_tool_calls 4 workflows/refund_request.yaml:9",
        "then: a person of queue:tier2 gets the case, who is told: A colleague will take this over.",
        "3  What it leaves: values for 400 days, email withheld",
    ):
        assert " ".join(part.split()) in said


@pytest.mark.parametrize(
    ("keys", "words", "code"),
    [
        ("network: allowed", "server far has the network of this machine (leverframe.yaml:", "network-unguarded"),
        ("trusted_process: {because: ours}", "server far is a process without a sandbox (leverframe.yaml:", ""),
    ],
)
def test_a_way_around_the_egress_guard_is_on_the_card(shell: Shell, keys: str, words: str, code: str) -> None:
    shell.write("leverframe.yaml", f"{PEOPLE}servers: {{far: {{mcp: [python, far.py], {keys}}}}}\n")
    shell.write(
        "tools/ask_far.yaml", "tool: ask_far\nfrom: {mcp: far, name: ask}\neffect: read\ninput: {type: object}\n"
    )
    contract = READY.replace("allow_tools: [", "allow_tools: [ask_far, ")
    shell.write("workflows/refund_request.yaml", contract)

    told, checked = shell.type("show", "refund_request"), shell.type("check")

    assert f"ask_far: past the egress guard: {words}" in " ".join(told.out.split())
    assert code in checked.out + checked.err


def test_the_record_is_that_of_a_dry_run_through_the_door(shell: Shell) -> None:
    card = shell.type("show", "refund_request", "--json").json

    assert card["record_of"] == "issue_refund"
    assert [entry["type"] for entry in card["record"]] == [
        "run.started",
        "call.decided",
        "approval.requested",
        "approval.decided",
        "call.decided",
        "approval.consumed",
        "call.intended",
        "call.settled",
        "run.ended",
    ]
    decided = card["record"][1]["fields"]
    assert {"rule", "decision", "policy_digest", "action_digest", "detail.rule_source"} <= set(decided)


def test_a_dry_run_touches_neither_the_shop_nor_the_projects_own_record(shell: Shell) -> None:
    shell.type("show", "refund_request")

    assert not (shell.root / "shop.db").exists()
    assert not (shell.root / ".leverframe" / "leverframe.db").exists()


def test_an_unknown_workflow_is_refused_by_its_nearest_name(shell: Shell) -> None:
    told = shell.type("show", "refund_reqest")

    assert told.code == 2
    assert "Did you mean 'refund_request'?" in told.err


def test_check_of_the_seed_contract_warns_of_its_threshold_and_passes(shell: Shell, tmp_path: Path) -> None:
    shell.root = tmp_path / "seed"
    shell.init()

    whole = shell.type("check")
    alone = shell.type("check", str(shell.root / "workflows/refund_request.yaml"))

    assert (whole.code, alone.code) == (0, 0)
    assert "workflows/refund_request.yaml:16:7: WARNING threshold-has-no-effect" in whole.out
    assert "WARNING threshold-has-no-effect" in alone.out
    assert "NOTE tool-not-seen" in alone.out


def test_check_exits_1_with_place_and_nearest_key(shell: Shell) -> None:
    shell.write("workflows/refund_request.yaml", READY.replace("max_tool_calls", "max_tool_cals"))

    told = shell.type("check")

    assert told.code == 1
    assert "workflows/refund_request.yaml:9:10: ERROR unknown-key" in told.out
    assert "max_tool_calls" in told.out


def test_a_workflow_that_is_only_observed_is_not_ready_and_says_so(shell: Shell) -> None:
    shell.write("workflows/refund_request.yaml", READY + "enforce: observe\n")

    told, shown = shell.type("check", "--ready"), shell.type("show", "refund_request")

    assert told.code == 1, told.out
    assert "it is only observed" in told.out
    assert "only observed: model calls and reads go on" in shown.out
    assert shell.type("show", "refund_request", "--json").json["enforce"] == "observe"
