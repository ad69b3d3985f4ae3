"""The five questions, asked of real runs."""

from pathlib import Path

import pytest

from leverframe.cli.accounts import waited_text
from leverframe.cli.origins import lines_of
from leverframe.cli.why_data import document
from leverframe.core.canonical import encode
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.errors import NotFound
from leverframe.domain.runs import StepState
from leverframe.runtime.why import why
from leverframe.runtime.why_answers import CallSeen, Why
from leverframe.wiring.assembly import Assembly
from tests.evidence_project import EMAIL, edit_leaf, finished, granted, held, hostile, new_project, within


def told(root: Path, wanted: str) -> Why:
    async def ask(assembly: Assembly) -> Why:
        return await why(assembly.services, wanted)

    return within(root, ask, create=False)


def call(answers: Why, tool: str) -> CallSeen:
    return next(one for one in answers.calls if one.tool == tool)


def test_a_finished_run_answers_all_five_questions(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    run_id = finished(root)

    answers = told(root, run_id)

    refund = call(answers, "issue_refund")
    assert [one.tool for one in answers.calls] == ["lookup_order", "create_refund_draft", "issue_refund"]
    assert "arrived with a broken jar" in answers.asked.words
    assert (answers.asked.label, answers.tool_calls.used, answers.tool_calls.limit) == ("user", 3, 4)
    assert {one.name: (one.integrity, one.origin) for one in refund.arguments}["order_id"] == ("user", "input/message")
    assert [(one.decision, one.rule, one.source) for one in refund.decisions] == [
        ("hold", "issue_refund/approval", "workflows/refund_request.yaml:15"),
        ("allow", "issue_refund/approval", "workflows/refund_request.yaml:15"),
    ]
    assert refund.approval is not None
    assert [(one.word, one.proof) for one in refund.approval.answers] == [("grant", "os-user")]
    assert (refund.approval.uses, answers.cost) == (1, 0)
    assert (answers.inclusion.problem, answers.inclusion.checked) == ("", 22)


def test_a_value_is_traced_to_the_answer_that_it_came_from(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")

    answers = told(root, finished(root))

    amount = next(one for one in call(answers, "issue_refund").arguments if one.name == "amount_usd")
    assert (amount.origin, amount.origin_tool) == ("1.0/amount_usd", "create_refund_draft")


def test_the_way_of_a_value_goes_back_to_what_the_run_was_opened_on(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")

    refund = call(told(root, finished(root)), "issue_refund")

    lines = list(lines_of(refund.arguments))
    at = next(place for place, line in enumerate(lines) if line.startswith("amount_usd "))
    way = [line for line in lines[at + 1 :] if line.startswith("  asked with ")]
    assert lines[at].endswith(", from create_refund_draft's answer, step 1.0, at /amount_usd")
    assert any("order_id #W" in line and line.endswith(": user, tenant, from the input, at /message") for line in way)
    assert any("amount_usd " in line and ", no source found" in line for line in way)


def test_a_recorded_model_is_named_as_recorded(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")

    (model,) = told(root, finished(root)).models

    assert (model.model, model.calls, model.is_recorded) == ("recorded/refund_request", 4, True)
    assert (model.input_tokens, model.output_tokens) == (1816, 132)


def test_a_held_run_says_who_is_waited_for(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    run_id, approval_id = held(root)

    of_run, of_approval = told(root, run_id), told(root, approval_id)

    seen = call(of_run, "issue_refund")
    assert (seen.state, [one.decision for one in seen.decisions]) == (StepState.HELD, ["hold"])
    assert seen.approval is not None
    assert (seen.approval.answers, seen.approval.uses) == ((), 0)
    assert (of_approval.run.run_id, of_approval.focus) == (run_id, seen.path)


def test_a_run_waits_for_a_person_only_where_one_was_asked(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    asked, unasked = told(root, held(root)[0]), told(root, hostile(root))

    words = [waited_text(one_s, has_asked=one.has_asked) for one_s, one in ((720, asked), (8.5, unasked))]

    assert words == ["and 12 min waiting for a person", "and 8.5 s between its calls"]


def test_one_call_is_found_by_its_id_and_by_its_step(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    run_id = finished(root)
    draft = call(told(root, run_id), "create_refund_draft")

    by_id, by_step = told(root, draft.call_id), told(root, f"{run_id}/{draft.path}")

    assert [one.tool for one in by_id.calls] == [one.tool for one in by_step.calls] == ["create_refund_draft"]


def test_denied_calls_say_by_which_rule(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")

    answers = told(root, hostile(root))

    unknown, wrong = call(answers, "delete_customer"), call(answers, "create_refund_draft")
    assert [(one.decision, one.rule) for one in unknown.decisions] == [("deny", "unknown-tool")]
    assert [(one.decision, one.rule) for one in wrong.decisions] == [("deny", "invalid-arguments")]
    assert "/order_id: expected string" in wrong.decisions[0].text


def test_a_person_who_said_no_is_named_with_their_reason(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    run_id, approval_id = held(root)
    granted(root, approval_id, AnswerWord.DENY)

    seen = call(told(root, run_id), "issue_refund")

    assert seen.state is StepState.DENIED
    assert seen.approval is not None
    assert [(one.word, one.reason) for one in seen.approval.answers] == [("deny", "checked")]


def test_how_long_a_person_looked_is_known_where_they_opened_the_call(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    run_id, approval_id = held(root)
    granted(root, approval_id, looks=True)

    seen = call(told(root, run_id), "issue_refund").approval

    assert seen is not None
    (answer,) = seen.answers
    assert answer.viewed_at is not None
    assert answer.viewed_at <= answer.at


def test_a_redacted_value_is_shown_nowhere_though_it_was_learned_later(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk", message=f" Write to {EMAIL}, please.")
    run_id = finished(root)

    answers = told(root, run_id)

    assert "Write to [email withheld 1], please." in answers.asked.words
    assert EMAIL.encode() not in encode(document(answers))


def test_an_entry_that_was_changed_is_named(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    run_id = finished(root)
    index = call(told(root, run_id), "issue_refund").decisions[0].index
    edit_leaf(root, index, b'"decision":"hold"', b'"decision":"deny"')

    answers = told(root, run_id)

    assert answers.inclusion.problem == f"entry {index} is not what was signed"


@pytest.mark.parametrize("wanted", ["run_nope", "call_nope", "apr_nope", "nothing"])
def test_what_is_not_there_is_said(tmp_path: Path, wanted: str) -> None:
    root = new_project(tmp_path / "desk")
    held(root)

    with pytest.raises(NotFound):
        told(root, wanted)


def test_a_step_that_is_not_there_is_said(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    run_id, _ = held(root)

    with pytest.raises(NotFound, match=r"has no step '9\.9'"):
        told(root, f"{run_id}/9.9")
