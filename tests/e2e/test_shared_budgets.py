"""Budgets that span runs, through the whole door: what fits runs, what does not is refused until the window resets."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from leverframe.cli.main import main
from leverframe.core.canonical import decode
from leverframe.domain.budgets import Window
from leverframe.domain.ids import WindowId
from leverframe.domain.runs import RunOutcome, RunState
from leverframe.domain.time import rfc3339_s
from leverframe.runtime.loops.ending import Ended
from leverframe.runtime.outcomes import Answered, Exhausted, HeldBack
from leverframe.testing import FakeClock, ScriptedModel, say
from tests.door_desk import Desk, open_desk, write_desk

MORNING = datetime(2026, 11, 22, 8, tzinfo=UTC)
WRITER = """\
workflow: writer
input: {type: object, properties: {customer_id: {type: string}, message: {type: string}}}
subject: input.customer_id
budget: {max_usd: 1}
fallback: {handoff: "queue:tier2", say: Later.}
models: {default: strong}
policy: {allow_tools: []}
"""
PEEK = {"order_id": "W00001"}


def project(budgets: str, vendor_url: str = "", zone: str = "UTC") -> str:
    lines = [
        "people: {lena: {groups: [leads], roles: [approver]}}",
        f"tenants: {{default: {{timezone: {zone}}}}}",
        f"budgets: [{budgets}]",
    ]
    if vendor_url:
        lines.append(f"providers: {{vendor: {{wire: openai, url: '{vendor_url}', private: allowed}}}}")
        lines.append("models: {strong: [vendor/gpt-4]}")
    return "\n".join(lines) + "\n"


def window(desk: Desk, window_id: str, unit: str) -> Window:
    found = desk.do(desk.runner.services.journal.shared_windows([WindowId(window_id)]))
    return next(one for one in found if one.unit.value == unit)


# Any: a leaf is JSON whose shape each test knows.
def leaf_of(leaves: Any, **wanted: str) -> Mapping[str, Any]:
    return next(leaf for leaf in leaves if all(leaf.get(key) == value for key, value in wanted.items()))


def test_a_workflow_stops_at_its_day_budget_says_when_it_resets_and_goes_on_the_next_day(tmp_path: Path) -> None:
    # 100 tokens in and 300 out of gpt-4 cost $0.021: two calls fit into $0.05, and no third one does.
    with ScriptedModel(say("Done.", input_tokens=100, output_tokens=300)) as vendor:
        budget = "{workflow: writer, window: day, max_usd: 0.05}"
        files = {"workflows/writer.yaml": WRITER}
        write_desk(tmp_path, project=project(budget, vendor.url, "Europe/Berlin"), **files)
        clock = FakeClock(MORNING)
        with open_desk(tmp_path, clock) as desk:
            first, second, third = (desk.start("writer", message="Write.") for _ in range(3))
            clock.advance(15 * 3600)  # 23:00 in UTC is the next day in Berlin
            fourth = desk.start("writer", message="Write.")
            spent = window(desk, "workflow/default/writer/day/2026-11-22", "usd")
            begun = window(desk, "workflow/default/writer/day/2026-11-23", "usd")
            assert isinstance(third, Ended)
            denied = leaf_of(desk.leaves(third.run.run_id, "model.called"), decision="deny")

    assert [one.run.outcome for one in (first, second, fourth) if isinstance(one, Ended)] == [RunOutcome.SUCCESS] * 3
    assert (third.run.outcome, third.run.handoff_queue) == (RunOutcome.HANDOFF, "tier2")
    assert third.run.stop_reason == "budget-exhausted workflow/default/writer/day"
    assert isinstance(third.output, dict)
    said = str(third.output["message"])
    assert "budget workflow/default/writer/day has 0.008 left of max_usd 0.05, and this call needs 0.0" in said
    assert "It resets at 2026-11-22T23:00:00Z" in said
    assert (denied["rule"], denied["detail"]["exhausted"]) == ("budget-exhausted", "workflow/default/writer/day")
    assert len(vendor.requests) == 3
    assert (spent.settled, spent.reserved, begun.settled, begun.reserved) == (42_000, 0, 21_000, 0)


def test_an_outside_agent_is_refused_and_may_ask_again_after_the_reset_in_the_same_run(tmp_path: Path) -> None:
    write_desk(tmp_path, project=project("{tenant: default, window: hour, max_tool_calls: 2}"))
    clock = FakeClock(MORNING)
    with open_desk(tmp_path, clock) as desk:
        one, other = desk.open(), desk.open()
        answered = [desk.call(run, "peek", PEEK) for run in (one, other)]
        refused = desk.call(one, "peek", PEEK)
        state = desk.run_row(one.run_id).state
        clock.advance(3600)
        again = desk.call(one, "peek", PEEK)
        denied = leaf_of(desk.leaves(one.run_id, "call.decided"), decision="deny")

    assert all(isinstance(each, Answered) for each in (*answered, again))
    assert isinstance(refused, Exhausted)
    assert (refused.budget, refused.reason) == ("tenant/default/hour", "budget-exhausted tenant/default/hour")
    assert refused.resets_at is not None
    assert rfc3339_s(refused.resets_at) == "2026-11-22T09:00:00Z"
    assert state is RunState.OPEN
    assert denied["detail"]["exhausted"] == "tenant/default/hour"


def test_the_evidence_of_a_call_names_what_it_set_aside_in_each_shared_window(tmp_path: Path) -> None:
    month_budget = "{tenant: default, window: month, max_tool_calls: 9}"
    day_budget = "{workflow: desk, window: day, max_usd: 1, max_tool_calls: 5}"
    write_desk(tmp_path, project=project(f"{month_budget}, {day_budget}"))
    with open_desk(tmp_path, FakeClock(MORNING)) as desk:
        run = desk.open()
        desk.call(run, "peek", PEEK)
        held = desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 60})
        month = window(desk, "tenant/default/month/2026-11", "tool_calls")
        decided = desk.leaves(run.run_id, "call.decided")

    assert isinstance(held, HeldBack)
    assert (month.settled, month.reserved) == (2, 0)
    reserved = leaf_of(decided, decision="allow", tool="peek")["detail"]["reserved"]
    assert "tenant/default/month/2026-11/tool_calls=1/9" in reserved
    assert "workflow/default/desk/day/2026-11-22/tool_calls=1/5" in reserved
    held_counts = leaf_of(decided, decision="hold")["detail"]
    assert "tenant/default/month/2026-11/tool_calls=1/9" in held_counts["reserved"]


def test_a_call_settles_in_the_window_it_was_reserved_in_although_the_day_has_ended(tmp_path: Path) -> None:
    with ScriptedModel(say("Done.", input_tokens=100, output_tokens=300)) as vendor:
        write_desk(
            tmp_path,
            project=project("{tenant: default, window: day, max_usd: 1}", vendor.url),
            **{"workflows/writer.yaml": WRITER},
        )
        clock = _MidnightAfterTheQuestion(vendor)
        with open_desk(tmp_path, clock) as desk:
            desk.start("writer", message="Write.")
            before = window(desk, "tenant/default/day/2026-11-22", "usd")
            after = desk.do(desk.runner.services.journal.shared_windows([WindowId("tenant/default/day/2026-11-23")]))

    assert (before.settled, before.reserved) == (21_000, 0)
    assert list(after) == []


class _MidnightAfterTheQuestion(FakeClock):
    """It is the next day as soon as the vendor was asked."""

    def __init__(self, vendor: ScriptedModel) -> None:
        super().__init__(MORNING)
        self._vendor = vendor

    def now(self) -> datetime:
        return super().now().replace(day=23) if self._vendor.requests else super().now()


def test_a_vendor_that_bills_above_its_bound_closes_every_window_it_was_reserved_in(tmp_path: Path) -> None:
    with ScriptedModel(say("Done.", input_tokens=100, output_tokens=90_000)) as vendor:
        budgets = (
            "{tenant: default, window: total, max_usd: 5}, {workflow: writer, window: day, max_output_tokens: 50000}"
        )
        write_desk(tmp_path, project=project(budgets, vendor.url), **{"workflows/writer.yaml": WRITER})
        with open_desk(tmp_path, FakeClock(MORNING)) as desk:
            desk.start("writer", message="Write.")
            again = desk.start("writer", message="Write.")
            total = window(desk, "tenant/default/total/all", "usd")
            tokens = window(desk, "workflow/default/writer/day/2026-11-22", "output_tokens")

    assert (total.settled, total.reserved) == (5_403_000, 0)
    assert (tokens.settled, tokens.reserved) == (90_000, 0)
    assert isinstance(again, Ended)
    assert again.run.stop_reason == "budget-exhausted tenant/default/total"  # what never resets is named
    assert len(vendor.requests) == 1


def test_a_limit_that_is_raised_in_the_file_holds_for_the_window_that_is_open(tmp_path: Path) -> None:
    clock = FakeClock(MORNING)
    write_desk(tmp_path, project=project("{tenant: default, window: day, max_tool_calls: 1}"))
    with open_desk(tmp_path, clock) as desk:
        run = desk.open()
        first, full = desk.call(run, "peek", PEEK), desk.call(run, "peek", PEEK)

    write_desk(tmp_path, project=project("{tenant: default, window: day, max_tool_calls: 2}"))
    with open_desk(tmp_path, clock, seed=1) as desk:
        run = desk.open()
        second, full_again = desk.call(run, "peek", PEEK), desk.call(run, "peek", PEEK)
        raised = window(desk, "tenant/default/day/2026-11-22", "tool_calls")

    assert [type(each) for each in (first, full, second, full_again)] == [Answered, Exhausted, Answered, Exhausted]
    assert (raised.limit, raised.settled, raised.reserved) == (2, 2, 0)


def test_budgets_list_shows_what_is_left_in_each_open_window_and_when_it_resets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    month_budget = "{tenant: default, window: month, max_tool_calls: 9}"
    day_budget = "{workflow: desk, window: total, max_usd: 0.5}"
    write_desk(tmp_path, project=project(f"{month_budget}, {day_budget}"))
    with open_desk(tmp_path, FakeClock(datetime.now(UTC))) as desk:
        desk.call(desk.open(), "look_up", PEEK)

    code = main(["-C", str(tmp_path), "--json", "budgets", "list"])

    # Any: JSON of the shape that this test is about.
    shown: Any = decode(capsys.readouterr().out.encode())
    month, total = shown
    assert code == 0
    assert (month["budget"], month["limit"], month["settled"], month["left"]) == ("tenant/default/month", 9, 1, 8)
    assert month["resets_at"].endswith("-01T00:00:00Z")
    assert (total["budget"], total["left"]) == ("workflow/default/desk/total", Decimal("0.499"))
    assert total["resets_at"] is None
    assert month["source"] == "leverframe.yaml:3"


def test_budgets_list_without_a_budget_says_how_to_write_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        desk.open()

    code = main(["-C", str(tmp_path), "budgets", "list"])

    assert code == 0
    assert "budgets: [{tenant: default, window: month, max_usd: 200}]" in capsys.readouterr().out


def test_the_card_of_a_workflow_names_the_budgets_that_others_spend_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant_budget = "{tenant: default, window: month, max_usd: 200}"
    other_budget = "{workflow: writer, window: day, max_usd: 1}"
    own_budget = "{workflow: desk, window: day, max_tool_calls: 1000}"
    files = {"workflows/writer.yaml": WRITER.replace("models: {default: strong}\n", "")}
    write_desk(tmp_path, project=project(f"{tenant_budget}, {other_budget}, {own_budget}"), **files)

    main(["-C", str(tmp_path), "show", "desk"])

    said = capsys.readouterr().out
    assert "budget tenant/default/month: max_usd $200.00" in said
    assert "budget workflow/*/desk/day: max_tool_calls 1,000" in said
    assert "writer" not in said


def test_a_step_that_was_refused_for_its_budget_is_refused_alike_when_it_is_asked_for_again(tmp_path: Path) -> None:
    write_desk(tmp_path, project=project("{tenant: default, window: day, max_tool_calls: 0}"))
    with open_desk(tmp_path, FakeClock(MORNING)) as desk:
        run = desk.open()
        refused = desk.call(run, "peek", PEEK, step="first")
        again = desk.call(run, "peek", PEEK, step="first")

    assert isinstance(refused, Exhausted)
    assert isinstance(again, Exhausted)
    assert (again.budget, again.resets_at, again.reason) == (refused.budget, refused.resets_at, refused.reason)
