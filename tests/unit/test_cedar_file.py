"""A Cedar file is read within bounds, and printed as a contract that loads."""

from pathlib import Path

import pytest

from leverframe.config.cedar_file import contract_text, parse_cedar, read_cedar
from leverframe.core.cedar import export_policy
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.policy import Then
from tests.policy_samples import REFUND, TOOLS, policy, row, rule, seed_policy


@pytest.mark.parametrize("opening", ["(", "!(true && ", "[", "{a: "])
def test_brackets_that_would_take_the_process_with_them_are_refused(opening: str) -> None:
    closing = {"(": ")", "!(true && ": ")", "[": "]", "{a: ": "}"}[opening]
    text = f"permit (principal, action, resource) when {{ {opening * 20_000}true{closing * 20_000} }};"

    with pytest.raises(CedarUnsupported, match=r"deep\.cedar is nested more than 500 brackets deep"):
        parse_cedar(text, file="deep.cedar")


@pytest.mark.parametrize("link", [" && true", " || true", " + 1", ".a"])
def test_long_chains_are_refused_or_read_and_never_crash(link: str) -> None:
    text = f"permit (principal, action, resource) when {{ context{link * 40_000} }};"

    with pytest.raises(CedarUnsupported, match="too many parts"):
        parse_cedar(text, file="long.cedar")


def test_what_is_no_cedar_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.cedar").write_text("permit everything;", encoding="utf-8")

    with pytest.raises(CedarUnsupported, match=r"^x\.cedar is not Cedar: "):
        read_cedar(tmp_path / "x.cedar")


def test_what_is_no_text_is_told_with_the_byte(tmp_path: Path) -> None:
    (tmp_path / "x.cedar").write_bytes(b"permit \xff")

    with pytest.raises(CedarUnsupported, match="not UTF-8 at byte 7"):
        read_cedar(tmp_path / "x.cedar")


def test_an_export_comes_back_as_the_contract_it_was(tmp_path: Path) -> None:
    made = policy(rule("own", Then.DENY, "facts.order.customer_id != run.subject"), rows=(row("49.99"),))
    path = tmp_path / "x.cedar"
    path.write_text(export_policy(made, workflow="refund_request").text, encoding="utf-8")

    text = contract_text(read_cedar(path, tools=TOOLS), tools=TOOLS)

    assert text == (
        'workflow: "refund_request"\n'
        "policy:\n"
        '  allow_tools: ["lookup_order", "create_refund_draft", "issue_refund"]\n'
        "  rules:\n"
        '    - id: "own"\n'
        "      then: deny\n"
        '      tools: ["issue_refund"]\n'
        '      when: "facts.order.customer_id != run.subject"\n'
        "approval:\n"
        "  required_for:\n"
        '    - tool: "issue_refund"\n'
        "      threshold_usd: 49.99\n"
        "      quorum: 1\n"
        '      distinct_from: ["initiator"]\n'
        "      decide_within: 86400s\n"
        "      execute_within: 3600s\n"
    )


def test_a_held_tool_comes_back_in_the_list_of_denied_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.cedar"
    path.write_text(export_policy(seed_policy()).text, encoding="utf-8")

    text = contract_text(read_cedar(path, tools=TOOLS), workflow="shop", tools=TOOLS)

    assert text.startswith('workflow: "shop"\n')
    assert f'  deny_tools: ["{REFUND}"]' in text
    assert f'    - tool: "{REFUND}"\n      quorum: 1' in text


def test_a_threshold_that_was_edited_is_no_row_any_more(tmp_path: Path) -> None:
    edited = export_policy(policy(rows=(row(),))).text.replace(">= 5000", ">= 6000")
    path = tmp_path / "x.cedar"
    path.write_text(edited, encoding="utf-8")

    with pytest.raises(CedarUnsupported, match="who must approve under a condition"):
        contract_text(read_cedar(path, tools=TOOLS), tools=TOOLS)
