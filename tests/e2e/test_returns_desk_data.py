"""The recorded cases are what design, contract and demo say they are, and the tool files fit the shop they bound."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from examples.returns_desk import cases, facts
from examples.returns_desk.checks import grounded
from examples.returns_desk.shop_server import ShopError

DESK = Path(cases.__file__).parent
# Written by hand, in the order of the file: the shop's own refusals among the recorded writes.
REFUSED_WRITES = {
    "12": "Payment method should be the original payment method",
    "13": "Payment method should be the original payment method",
    "64": "Non-delivered order cannot be exchanged",
    "105": "Insufficient gift card balance to pay for the price difference",
}


# Any: YAML of this repository.
def tool_files() -> dict[str, Any]:
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((DESK / "tools").glob("*.yaml"))}


def test_the_recorded_work_has_the_size_that_the_design_states() -> None:
    calls = [call for case in cases.load() for call in case.calls]

    writes = sum(map(cases.is_write, calls))

    assert (len(cases.load()), len(calls), writes) == (114, 553, 178)
    assert max(len(case.calls) for case in cases.load()) == 13
    assert len({call.call_id for call in calls}) == 553


def test_every_call_is_about_the_customer_of_its_case() -> None:
    cases.shop().open()
    foreign = []

    for case in cases.load():
        for call in case.calls:
            user_id = call.arguments.get("user_id", case.customer)
            if "order_id" in call.arguments:
                try:
                    user_id = cases.order(call.arguments["order_id"])["user_id"]
                except ShopError:
                    assert call.arguments["order_id"] in {"#9502126", "#9502127"}
            if user_id != case.customer:
                foreign.append(call)

    assert foreign == []


def test_refunds_and_refusals_are_those_that_the_design_states() -> None:
    played = {case.case_id: cases.play(case) for case in cases.load()}

    values = [value for each in played.values() for value in each.values.values()]
    large = [value for value in values if value >= cases.LARGE_USD]
    refused_writes = {
        case.case_id: why
        for case in cases.load()
        for call in case.calls
        if cases.is_write(call) and (why := played[case.case_id].refused.get(call.call_id))
    }

    assert (len(values), sum(values)) == (68, Decimal("63272.36"))
    assert (len(large), sum(large)) == (38, Decimal("56091.05"))
    assert refused_writes == REFUSED_WRITES


def test_no_tenant_does_the_same_act_to_one_order_twice() -> None:
    acts = Counter(
        (case.tenant, act)
        for case in cases.load()
        for act in {(call.tool, call.arguments["order_id"]) for call in case.calls if call.tool in cases.ONCE_PER_ORDER}
    )

    assert max(acts.values()) == 1
    assert {tenant for tenant, _ in acts} < set(yaml.safe_load((DESK / "leverframe.yaml").read_text())["tenants"])


def test_the_tool_files_name_every_tool_of_the_shop_with_its_arguments() -> None:
    files = tool_files()
    contract = yaml.safe_load((DESK / "workflows/returns_desk.yaml").read_text())

    assert set(files) == set(cases.shop().forms) == set(contract["policy"]["allow_tools"])
    for name, form in cases.shop().forms.items():
        served = form.arguments.model_json_schema()
        declared = files[name]["input"]
        assert set(declared.get("properties", {})) == set(served.get("properties", {})), name
        assert sorted(declared.get("required", [])) == sorted(served.get("required", [])), name
        assert (files[name]["effect"] in {"reconcilable", "idempotent"}) == (
            form.is_write or name == "transfer_to_human_agents"
        ), name


def test_recorded_calls_and_their_answers_fit_the_tool_files() -> None:
    files = tool_files()
    takes = {name: jsonschema_rs.validator_for(spec["input"]) for name, spec in files.items()}
    answers = {name: jsonschema_rs.validator_for(spec["output"]) for name, spec in files.items()}
    desk = cases.shop()

    for case in cases.load():
        desk.open()
        for call in case.calls:
            takes[call.tool].validate(call.arguments)
            try:
                answer = desk.call(call.tool, call.arguments)
            except ShopError:
                continue
            answers[call.tool].validate(answer)


def test_reconcile_sees_a_write_after_it_happened_and_not_before() -> None:
    files = tool_files()
    desk = cases.shop()
    seen = Counter[str]()

    for case in cases.load():
        desk.open()
        for call in case.calls:
            reconcile = files[call.tool].get("reconcile")
            done = getattr(facts, reconcile["done"].rpartition(":")[2]) if reconcile else None
            before = done(call.arguments, cases.order(call.arguments["order_id"])) if done else False
            try:
                desk.call(call.tool, call.arguments)
            except ShopError:
                continue
            if done is not None:
                assert before is False
                assert done(call.arguments, cases.order(call.arguments["order_id"])) is True
                seen[call.tool] += 1

    assert set(seen) == cases.ONCE_PER_ORDER | {"modify_pending_order_payment"}


def test_an_item_named_twice_counts_twice_and_one_too_many_has_no_value() -> None:
    order = {
        "order_id": "#W0000001",
        "items": [
            {"item_id": "1", "price": Decimal("10.10")},
            {"item_id": "1", "price": Decimal("12.00")},
            {"item_id": "2", "price": Decimal("0.05")},
        ],
        "payment_history": [
            {"transaction_type": "payment", "amount": Decimal("22.15")},
            {"transaction_type": "refund", "amount": Decimal("22.15")},
        ],
    }

    assert facts.refund_value(order, ["1", "1", "2"]) == Decimal("22.15")
    assert facts.refund_value(order, ["1"]) == Decimal("12.00")
    assert facts.refund_value(order, None) == Decimal("22.15")
    with pytest.raises(ValueError, match=r"Order '#W0000001' has no \(further\) item '2' to give back"):
        facts.refund_value(order, ["2", "2"])


def test_an_order_number_is_grounded_only_where_it_stands_in_the_words() -> None:
    assert grounded({"order_id": "#W2378156"}, "You received your order #W2378156 and wish to exchange it.")
    assert not grounded({"order_id": "#W1234567"}, "You received your order #W2378156.")
    assert not grounded({"order_id": "#W1234567"}, "My number is #W12345678.")
    assert not grounded({"order_id": ""}, "I want my money back.")
