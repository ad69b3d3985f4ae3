"""`budgets` and `tenants.*.timezone` of the project file: what loads, and what is told of the rest."""

from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from leverframe.config.project import load_project, load_project_lenient
from leverframe.domain.budgets import BudgetPeriod, BudgetUnit, SharedBudget
from leverframe.domain.ids import TenantId, WorkflowName
from leverframe.domain.policy import SourceRef

PROJECT = "leverframe.yaml"
CONTRACT = "workflow: refund\npolicy: {allow_tools: []}\n"
ACME, GLOBEX = TenantId("acme"), TenantId("globex")


def write(folder: Path, text: str) -> Path:
    (folder / "workflows").mkdir()
    (folder / "workflows" / "refund.yaml").write_text(CONTRACT, encoding="utf-8")
    (folder / PROJECT).write_text(text, encoding="utf-8")
    return folder


def test_a_budget_is_read_with_the_line_of_each_limit(tmp_path: Path) -> None:
    text = (
        "tenants: {acme: {}}\nbudgets:\n  - tenant: acme\n    window: month\n    max_usd: 0.05\n    max_tool_calls: 7\n"
    )

    (budget,) = load_project(write(tmp_path, text)).budgets

    assert budget == SharedBudget(
        period=BudgetPeriod.MONTH,
        source=SourceRef(file=PROJECT, line=3),
        tenant=ACME,
        limits={BudgetUnit.USD: 50_000, BudgetUnit.TOOL_CALLS: 7},
        sources={
            BudgetUnit.USD: SourceRef(file=PROJECT, line=5),
            BudgetUnit.TOOL_CALLS: SourceRef(file=PROJECT, line=6),
        },
    )


def test_overlapping_budgets_all_load(tmp_path: Path) -> None:
    text = (
        "tenants: {acme: {}}\n"
        "budgets:\n"
        "  - {tenant: acme, window: month, max_usd: 200}\n"
        "  - {tenant: acme, window: day, max_usd: 20}\n"
        "  - {workflow: refund, window: day, max_usd: 10}\n"
        "  - {tenant: acme, workflow: refund, window: day, max_usd: 5}\n"
    )

    budgets = load_project(write(tmp_path, text)).budgets

    assert [(each.tenant, each.workflow) for each in budgets] == [
        (ACME, None),
        (ACME, None),
        (None, WorkflowName("refund")),
        (ACME, WorkflowName("refund")),
    ]


def test_a_budget_of_a_team_key_or_model_loads_and_what_is_at_work_has_a_window_of_its_own(tmp_path: Path) -> None:
    text = (
        "providers: {vendor: {wire: local}}\n"
        "models: {fast: [vendor/small]}\n"
        "budgets:\n"
        "  - {team: support, window: hour, max_usd: 5, max_in_flight: 3}\n"
        "  - {key: bot, max_in_flight: 2}\n"
        "  - {model: vendor/small, window: minute, max_model_calls: 60}\n"
        "  - {model: vendor, workflow: refund, window: total, max_output_tokens: 9}\n"
    )

    budgets = load_project(write(tmp_path, text)).budgets

    assert [(each.period.value, each.team, each.key, each.model, dict(each.limits)) for each in budgets] == [
        ("hour", "support", None, None, {BudgetUnit.USD: 5_000_000}),
        ("now", "support", None, None, {BudgetUnit.IN_FLIGHT: 3}),
        ("now", None, "bot", None, {BudgetUnit.IN_FLIGHT: 2}),
        ("minute", None, None, "vendor/small", {BudgetUnit.MODEL_CALLS: 60}),
        ("total", None, None, "vendor", {BudgetUnit.OUTPUT_TOKENS: 9}),
    ]
    assert budgets[1].sources == {BudgetUnit.IN_FLIGHT: SourceRef(file=PROJECT, line=4)}


def test_a_tenant_has_its_time_zone_and_else_utc(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, "tenants: {acme: {timezone: Europe/Berlin}, globex: {}}\n"))

    assert project.zone_of(ACME) == ZoneInfo("Europe/Berlin")
    assert project.zone_of(GLOBEX) is UTC


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("tenants: {a: {timezone: Europe/Berlim}}", "1:25 unknown-timezone", "'Europe/Berlin'"),
        ("tenants: {a: {timezone: Europe}}", "1:25 unknown-timezone", "'Europe'"),
        ("tenants: {a: {timezone: ../etc/passwd}}", "1:25 bad-value", "a time zone, such as"),
        ("tenants: {a: {timezone: 2}}", "1:25 wrong-type", "Quote it"),
        ("budgets: {tenant: a}", "1:10 wrong-type", "a list"),
        ("budgets: [{tenant: default, max_usd: 1}]", "1:11 missing-key", "Add window: minute, hour"),
        ("budgets: [{window: day, max_usd: 1}]", "1:11 missing-key", "neither a tenant nor a workflow, team, key or"),
        ("budgets: [{tenant: default, window: day, max_in_flight: 3}]", "1:29 key-without-effect", "has no window"),
        ("budgets: [{team: a, max_in_flight: 3, max_usd: 1}]", "1:11 missing-key", "`max_usd` says not over how long"),
        ("budgets: [{model: local/x, window: day, max_usd: 1}]", "1:19 unknown-model", "`models` and `providers`"),
        (
            "budgets: [{model: p, window: day, max_usd: 1, max_tool_calls: 1}]\nproviders: {p: {wire: local}}",
            "1:47 key-without-effect",
            "a tool call has no model",
        ),
        ("budgets: [{tenant: default, window: day}]", "1:11 missing-key", "Add one of max_usd"),
        ("budgets: [{tenant: defualt, window: day, max_usd: 1}]", "1:20 unknown-tenant", "Did you mean 'default'?"),
        ("budgets: [{workflow: refnud, window: day, max_usd: 1}]", "1:12 unknown-workflow", "Did you mean 'refund'?"),
        ("budgets: [{tenant: default, window: week, max_usd: 1}]", "1:37 bad-value", "minute, hour, day, month, total"),
        ("budgets: [{tenant: default, window: day, max_usd: 0.0000001}]", "1:51 bad-value", "six decimals"),
        ("budgets: [{tenant: default, window: day, max_usd: -1}]", "1:51 bad-value", "from 0"),
        ("budgets: [{tenant: default, window: day, max_steps: 9}]", "1:42 unknown-key", "'max_steps'"),
        ("budgets: [{team: a b, window: day, max_usd: 1}]", "1:18 bad-value", "a name of letters"),
        ("budgets: [{key: '*', window: day, max_usd: 1}]", "1:17 bad-value", "a name of letters"),
        (
            "budgets: [{key: k, max_in_flight: 1}, {key: k, max_in_flight: 2}]",
            "1:39 duplicate-budget",
            "leverframe.yaml:1",
        ),
        (
            "budgets: [{workflow: refund, window: day, max_usd: 1}, {workflow: refund, window: day, max_usd: 2}]",
            "1:56 duplicate-budget",
            "leverframe.yaml:1",
        ),
    ],
)
def test_a_wrong_budget_is_one_error_with_its_place(tmp_path: Path, text: str, place: str, said: str) -> None:
    project, problems = load_project_lenient(write(tmp_path, text + "\n"))

    assert project is None
    errors = [each for each in problems if each.severity == "error"]
    assert [f"{each.line}:{each.column} {each.code}" for each in errors] == [place]
    assert said in str(errors[0])
