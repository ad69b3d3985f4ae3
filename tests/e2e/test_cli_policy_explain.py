"""`policy explain`: allow, deny and hold for calls that nobody made, with nothing read and nothing called."""

import json
from pathlib import Path

import pytest

from tests.typed import Shell

IN_ALLOW = """\
workflow: refund_request
policy:
  allow_tools: [lookup_order, issue_refund]
approval:
  required_for:
    - tool: issue_refund
      threshold_usd: 50
"""
RULES = """\
workflow: with_rules
subject: input.customer_id
facts:
  order: {tool: lookup_order, args: {order_id: args.order_id}}
policy:
  allow_tools: [lookup_order, issue_refund]
  rules:
    - id: own-orders-only
      then: deny
      tools: [issue_refund]
      when: facts.order.customer_id != run.subject
    - id: velocity
      then: hold
      tools: [issue_refund]
      when: history.sum("issue_refund", "amount_usd", "24h", "workflow") + args.amount_usd > 200
"""
EUROS = '''\

@tool(
    effect="keyed",
    idempotency="idempotency_key",
    args={"order_id": {"role": "selector"}, "amount": {"role": "amount", "currency": "EUR"}},
)
def issue_refund_in_euros(order_id: str, amount: Decimal | None = None, *, idempotency_key: str) -> Refund:
    """Refund in euros."""
    raise ToolRefused(f"{order_id} {amount} {idempotency_key}: only explained, never called.")
'''


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    return shell


def args(amount: str) -> str:
    return f'{{"order_id": "#W2378156", "amount_usd": {amount}}}'


@pytest.mark.parametrize(
    ("call", "decision", "rule"),
    [
        (("lookup_order", "--args", '{"order_id": "#W2378156"}'), "ALLOW", "allow_tools"),
        (("issue_refund", "--args", args("49.99")), "HOLD", "issue_refund/approval"),
        (("issue_refund", "--args", args("50")), "HOLD", "issue_refund/approval"),
        (("delete_customer",), "DENY", "unknown-tool"),
        (("lookup_order", "--args", "{}"), "DENY", "invalid-arguments"),
        (("lookup_order", "--args", '{"order_id": 7}'), "DENY", "invalid-arguments"),
    ],
)
def test_the_seed_contract_is_explained(shell: Shell, call: tuple[str, ...], decision: str, rule: str) -> None:
    told = shell.type("policy", "explain", *call)

    assert told.code == 0
    assert f"\n{decision} by {rule} " in told.out


def test_a_threshold_beside_deny_tools_is_shown_as_ignored(shell: Shell) -> None:
    told = shell.type("policy", "explain", "issue_refund", "--args", args("10"))

    assert "ignored" in told.out
    assert "workflows/refund_request.yaml:16" in told.out
    assert "move issue_refund to allow_tools" in told.out


@pytest.mark.parametrize(
    ("amount", "decision"), [("49.99", "ALLOW"), ("50", "HOLD"), ("50.00", "HOLD"), ("1000000", "HOLD")]
)
def test_a_threshold_beside_allow_tools_holds_at_and_above_it(shell: Shell, amount: str, decision: str) -> None:
    shell.write("workflows/refund_request.yaml", IN_ALLOW)

    told = shell.type("policy", "explain", "issue_refund", "--args", args(amount))

    assert f"\n{decision} by " in told.out
    assert f"args.amount_usd is {amount}; the threshold is $50" in told.out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"order_id": "#W1", "amount": 10}', "args.amount is 10 EUR, which is never compared with dollars"),
        ('{"order_id": "#W1"}', "args.amount is not there"),
    ],
)
def test_another_currency_and_an_absent_amount_are_held(shell: Shell, given: str, said: str) -> None:
    shop = shell.root / "tools/shop.py"
    shop.write_text(shop.read_text(encoding="utf-8") + EUROS, encoding="utf-8")
    shell.write("workflows/refund_request.yaml", IN_ALLOW.replace("issue_refund", "issue_refund_in_euros"))

    told = shell.type("policy", "explain", "issue_refund_in_euros", "--args", given)

    assert "\nHOLD by " in told.out
    assert said in told.out


def with_rules(shell: Shell, subject: str, facts: str | None, amount: str = "20") -> str:
    shell.write("workflows/with_rules.yaml", RULES)
    words = ["policy", "explain", "issue_refund", "--workflow", "with_rules", "--args", args(amount)]
    told = shell.type(*words, "--subject", subject, *(["--facts", facts] if facts else []))
    assert told.code == 0, told.err
    return told.out


def test_facts_decide_and_an_empty_history_is_supposed_and_said(shell: Shell) -> None:
    order = '{"order": {"customer_id": "cus_1042"}}'

    own = with_rules(shell, "cus_1042", order)
    foreign = with_rules(shell, "cus_9", order)
    much = with_rules(shell, "cus_1042", order, amount="200.01")

    assert "\nALLOW by " in own
    assert "supposed  no earlier call (sum of issue_refund)" in own
    assert "\nDENY by own-orders-only workflows/with_rules.yaml:8" in foreign
    assert "\nHOLD by velocity workflows/with_rules.yaml:12" in much


def test_a_fact_that_is_not_given_is_unknown_and_said_so(shell: Shell) -> None:
    told = with_rules(shell, "cus_1042", None)

    assert "\nDENY by own-orders-only" in told
    assert "facts.order could not be read (not given; explaining makes no call)" in told
    assert "unknown   facts.order: not given" in told


def test_a_fact_that_the_contract_lacks_is_refused_by_its_nearest_name(shell: Shell) -> None:
    shell.write("workflows/with_rules.yaml", RULES)

    told = shell.type("policy", "explain", "issue_refund", "--workflow", "with_rules", "--facts", '{"ordr": {}}')

    assert told.code == 2
    assert "has no fact 'ordr'" in told.err
    assert "Did you mean 'order'?" in told.err


def test_a_call_may_be_written_as_json_or_in_a_file(shell: Shell) -> None:
    shell.write("workflows/with_rules.yaml", RULES)
    call = {
        "workflow": "with_rules",
        "tool": "issue_refund",
        "args": {"order_id": "#W2378156", "amount_usd": 20},
        "run": {"subject": "cus_9"},
        "facts": {"order": {"customer_id": "cus_1042"}},
    }
    file = shell.write("call.json", json.dumps(call))

    inline = shell.type("policy", "explain", json.dumps(call), "--json").json
    from_file = shell.type("policy", "explain", str(file), "--json").json

    assert inline == from_file
    assert inline["decision"] == "deny"
    assert inline["reasons"][0]["source"] == "workflows/with_rules.yaml:8"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('{"tool": "lookup_order", "arg": {}}', "Did you mean 'args'?"),
        ('{"tol": "lookup_order"}', "Did you mean 'tool'?"),
        ('{"args": {}}', "names no tool"),
        ('{"tool": "lookup_order", "args": []}', "'args' of the call is no object"),
        ('{"tool": "lookup_order", "run": {"subjet": "x"}}', "Did you mean 'subject'?"),
        ('{"tool": "lookup_order"', "is not JSON we accept"),
        ("call.json", "There is no file 'call.json'"),
    ],
)
def test_a_call_that_is_written_wrongly_is_refused(shell: Shell, call: str, said: str) -> None:
    told = shell.type("policy", "explain", call)

    assert (told.code, told.out) in {(2, ""), (1, "")}
    assert said in told.err


def test_explaining_reads_no_store_and_makes_none(shell: Shell) -> None:
    shell.type("policy", "explain", "lookup_order", "--args", '{"order_id": "#W2378156"}')

    assert not (shell.root / ".leverframe" / "leverframe.db").exists()
    assert not (shell.root / "shop.db").exists()


def test_each_argument_is_traced_in_the_input_that_is_given_or_has_plainly_no_source(shell: Shell) -> None:
    said = ("--input", '{"message": "Refund #W2378156"}')

    supposed = shell.type("policy", "explain", "issue_refund", "--args", args("10"))
    traced = shell.type("policy", "explain", "issue_refund", "--args", args("10"), *said)
    planted = shell.type("policy", "explain", "issue_refund", "--args", args("10").replace("2378156", "9999999"), *said)
    data = json.loads(shell.type("policy", "explain", "issue_refund", "--args", args("10"), *said, "--json").out)

    assert "supposed  that each value may go where it goes" in supposed.out
    assert "value     order_id #W2378156: user, tenant, from the input, at /message" in traced.out
    assert "untraced-selector" not in traced.out
    assert "value     order_id #W9999999: third-party, tenant, no source found" in planted.out
    assert "untraced-selector" in planted.out
    assert {one["name"]: one["origin"] for one in data["arguments"]}["order_id"] == "input/message"


def test_a_plan_with_room_for_the_call_is_supposed_and_said(shell: Shell) -> None:
    shell.write("workflows/refund_request.yaml", IN_ALLOW + "plan: {declare: true}\n")

    call = shell.type("policy", "explain", "issue_refund", "--args", args("10"))
    plan = shell.type("policy", "explain", "declare_plan", "--args", '{"tools": {"issue_refund": 1}}')

    assert "supposed  a plan that has room for this call" in call.out
    assert "plan-missing" not in call.out + plan.out
    assert "allow" in plan.out.lower()
