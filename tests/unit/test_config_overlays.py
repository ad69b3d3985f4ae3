"""Overlays of an environment: each key has a meet, and what widens is an error with its place."""

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from leverframe.config.project import load_project, load_project_lenient
from leverframe.core.policy import Question, compile_contract, decide
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import Problem
from leverframe.domain.ids import EnvironmentName, ToolName, WorkflowName
from leverframe.domain.policy import Decision, Deny, Hold, Then
from tests.config_samples import SMALL, told, write_files
from tests.policy_samples import RUN

PROD = "environments/prod.yaml"
BASE = """\
workflow: w
environments: [sandbox, prod]
budget: {max_usd: 1, max_tool_calls: 4, max_total_s: 100, per_step: {max_output_tokens: 300}}
policy:
  allow_tools: [lookup_order, issue_refund]
  deny_tools: [send_mail, wipe]
  rules: [{id: own, then: deny, tools: [issue_refund], when: args.order_id == ""}]
approval:
  required_for:
    - tool: issue_refund
      threshold_usd: 50
      quorum: 2
      from: [group:a, group:b]
      decide_within: 1h
      execute_within: 1h
    - {tool: send_mail}
logging: {retain_days: 200, redact_fields: [email]}
"""
DENIES = "policy: {deny_tools: [issue_refund]}\n"
MORE = """\
from leverframe.sdk.tool import tool

@tool()
def send_mail(to: str): ...

@tool()
def wipe(): ...
"""


def loaded(root: Path, overlay: str, base: str = BASE) -> tuple[Contract | None, tuple[Problem, ...]]:
    files = {**SMALL, "tools/more.py": MORE, "workflows/w.yaml": base, PROD: overlay}
    project, problems = load_project_lenient(write_files(root, files))
    prod = None if project is None else project.contract_in(WorkflowName("w"), EnvironmentName("prod"))
    return prod, problems


def _as_a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere.yaml")


def _as_a_link_out_of_the_project(path: Path) -> None:
    path.symlink_to(__file__)


def _as_a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _as_a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["prod.yaml", "prod/w.yml"])
@pytest.mark.parametrize(
    ("put", "code"),
    [
        (_as_a_link_to_nowhere, "missing-file"),
        (_as_a_link_out_of_the_project, "outside-project"),
        (_as_a_link_to_itself, "unreadable-file"),
        (_as_a_pipe, "unreadable-file"),
    ],
)
def test_an_overlay_that_cannot_be_read_is_an_error_and_never_the_wider_contract(
    tmp_path: Path, name: str, put: Callable[[Path], None], code: str
) -> None:
    root = write_files(tmp_path / "project", {**SMALL, "tools/more.py": MORE, "workflows/w.yaml": BASE})
    overlay = root / "environments" / name
    overlay.parent.mkdir(parents=True)
    put(overlay)

    project, problems = load_project_lenient(root)

    assert project is None
    assert code in {problem.code for problem in problems if problem.path == f"environments/{name}"}


def test_an_overlay_narrows_however_its_ending_is_written(tmp_path: Path) -> None:
    files = {**SMALL, "tools/more.py": MORE, "workflows/w.yaml": BASE, "environments/prod.YAML": DENIES}

    prod = load_project(write_files(tmp_path, files)).contract_in(WorkflowName("w"), EnvironmentName("prod"))

    assert prod is not None
    assert ToolName("issue_refund") in prod.deny_tools


def test_overlays_whose_folder_cannot_be_listed_are_not_passed_over(tmp_path: Path) -> None:
    root = write_files(tmp_path, {**SMALL, "tools/more.py": MORE, "workflows/w.yaml": BASE, "environments": DENIES})

    with pytest.raises(NotADirectoryError):
        load_project_lenient(root)


def test_an_environment_without_an_overlay_has_the_contract_as_it_is(tmp_path: Path) -> None:
    prod, _ = loaded(tmp_path, "budget: {max_usd: 0.5}\n")

    sandbox = load_project(tmp_path).contracts[WorkflowName("w")]

    assert prod is not None
    assert sandbox.budget.limits[BudgetUnit.USD] == 1_000_000
    assert prod.budget.limits[BudgetUnit.USD] == 500_000
    assert str(prod.budget.sources[BudgetUnit.USD]) == f"{PROD}:1"
    assert PROD in prod.artifacts
    assert PROD not in sandbox.artifacts
    assert prod.policy_digest != sandbox.policy_digest


def test_each_key_takes_the_narrower_of_both(tmp_path: Path) -> None:
    overlay = """\
budget: {max_tool_calls: 2, max_model_calls: 3, max_total_s: 50, per_step: {max_output_tokens: 100}}
policy: {allow_tools: [issue_refund], deny_tools: [wipe]}
approval:
  required_for:
    - {tool: issue_refund, threshold_usd: 20, quorum: 3, from: [group:b], distinct_from: [launcher], decide_within: 5m}
logging: {retain_days: 190, redact_fields: [address]}
"""

    prod, problems = loaded(tmp_path, overlay)

    assert told(problems) == []
    assert prod is not None
    assert prod.budget.limits[BudgetUnit.TOOL_CALLS] == 2
    assert prod.budget.limits[BudgetUnit.MODEL_CALLS] == 3
    assert (prod.budget.max_total_s, prod.budget.per_step_output_tokens) == (50, 100)
    assert prod.callable_tools() == ("issue_refund", "send_mail")
    rule = next(rule for rule in prod.rules if "issue_refund" in rule.tools and rule.then is Then.HOLD)
    assert rule.approval is not None
    assert rule.threshold_usd == Decimal(20)
    assert (rule.approval.quorum, rule.approval.from_groups) == (3, ("b",))
    assert (rule.approval.decide_within_s, rule.approval.execute_within_s) == (300, 3600)
    assert rule.approval.distinct_from == {"initiator", "launcher"}
    assert prod.logging.retain_days == 190
    assert prod.logging.redact_fields == {"email", "address"}


def test_what_an_overlay_denies_never_runs_there_though_the_contract_would_hold_it(tmp_path: Path) -> None:
    prod, _ = loaded(tmp_path, "policy: {deny_tools: [send_mail, issue_refund]}\n")

    assert prod is not None
    assert prod.callable_tools() == ("lookup_order", "issue_refund")
    denied = {tool for rule in prod.rules if rule.then is Then.DENY and rule.when is None for tool in rule.tools}
    assert denied == {"send_mail", "issue_refund", "wipe"}


def test_a_row_for_an_allowed_tool_is_a_narrowing(tmp_path: Path) -> None:
    prod, problems = loaded(tmp_path, "approval: {required_for: [{tool: lookup_order}]}\n")

    assert told(problems) == []
    assert prod is not None
    assert any(rule.then is Then.HOLD and "lookup_order" in rule.tools for rule in prod.rules)


ONLY_SMALL = BASE.replace(
    "rules: [{", "rules: [{id: small, then: allow, tools: [issue_refund], when: args.amount_usd < 20}, {"
)


@pytest.mark.parametrize(
    "overlay",
    [
        "approval: {required_for: [{tool: issue_refund, threshold_usd: 20}]}\n",
        "policy: {deny_tools: [issue_refund]}\napproval: {required_for: [{tool: issue_refund}]}\n",
        "policy: {rules: [{id: ask, then: hold, tools: [issue_refund]}]}\n",
    ],
)
@pytest.mark.parametrize(("amount", "asked"), [("30", Deny), ("60", Hold)])
def test_what_an_overlay_holds_does_not_lift_what_its_contract_denies(
    tmp_path: Path, overlay: str, amount: str, asked: type[Decision]
) -> None:
    prod, problems = loaded(tmp_path, overlay, ONLY_SMALL)
    assert told(problems) == []
    assert prod is not None
    refund = ToolName("issue_refund")
    question = Question(
        tool=refund, spec=prod.tools[refund], args={"order_id": "#W1", "amount_usd": Decimal(amount)}, run=RUN
    )

    assert type(decide(question, compile_contract(prod))) is asked


def test_a_first_row_in_an_overlay_has_no_longer_clocks_than_none(tmp_path: Path) -> None:
    _, problems = loaded(tmp_path, "approval: {required_for: [{tool: lookup_order, execute_within: 24h}]}\n")

    assert told(problems) == [f"{PROD}:1:48 overlay-widens"]


def test_rules_of_an_overlay_are_added(tmp_path: Path) -> None:
    prod, _ = loaded(tmp_path, "policy: {rules: [{id: freeze, then: deny, tools: [issue_refund]}]}\n")

    assert prod is not None
    assert [rule.id for rule in prod.rules if "/" not in rule.id] == ["deny_tools", "own", "freeze"]


ROW = "approval: {{required_for: [{{tool: issue_refund, {}}}]}}\n"


@pytest.mark.parametrize(
    ("overlay", "place"),
    [
        ("budget: {max_usd: 2}\n", "1:10"),
        ("budget: {max_tool_calls: 5}\n", "1:10"),
        ("budget: {max_total_s: 101}\n", "1:10"),
        ("budget: {per_step: {max_output_tokens: 301}}\n", "1:21"),
        ("logging: {retain_days: 201}\n", "1:11"),
        ("policy: {allow_tools: [lookup_order, wipe]}\n", "1:38"),
        ("approval: {required_for: [{tool: wipe}]}\n", "1:28"),
        (ROW.format("threshold_usd: 51"), "1:48"),
        (ROW.format("quorum: 1"), "1:48"),
        (ROW.format("from: [group:a, group:z]"), "1:48"),
        (ROW.format("decide_within: 2h"), "1:48"),
        (ROW.format("execute_within: 2h"), "1:48"),
        ("approval: {required_for: [{tool: send_mail, threshold_usd: 10}]}\n", "1:45"),
        ("policy: {rules: [{id: r, then: allow, tools: [wipe]}]}\n", "1:19"),
        ("policy: {rules: [{id: r, then: allow}]}\n", "1:19"),
    ],
)
def test_what_widens_is_an_error_with_its_place(tmp_path: Path, overlay: str, place: str) -> None:
    prod, problems = loaded(tmp_path, overlay)

    assert prod is None
    assert told(problems) == [f"{PROD}:{place} overlay-widens"]


def test_a_second_allow_rule_about_a_tool_would_widen(tmp_path: Path) -> None:
    one = "{id: small, then: allow, tools: [issue_refund], when: args.amount_usd < 10}"
    base = BASE.replace("rules: [", f"rules: [{one}, ")

    _, problems = loaded(tmp_path, "policy: {rules: [{id: big, then: allow, tools: [issue_refund]}]}\n", base)

    assert told(problems) == [f"{PROD}:1:19 overlay-widens"]


@pytest.mark.parametrize(
    ("name", "overlay", "code"),
    [
        (PROD, "models: {default: fast}\n", "overlay-key"),
        (PROD, "workflow: w\n", "overlay-key"),
        (PROD, "budgt: {}\n", "unknown-key"),
        (PROD, "policy: {rules: [{id: own, then: deny}]}\n", "duplicate-rule"),
        (PROD, "policy: {deny_tools: [wype]}\n", "unknown-tool"),
        (
            PROD,
            "policy: {rules: [{id: r, then: deny, tools: [issue_refund], when: args.amout > 1}]}\n",
            "condition-type",
        ),
        ("environments/prd.yaml", "budget: {}\n", "unknown-environment"),
        ("environments/prod/x.yaml", "budget: {}\n", "unknown-workflow"),
    ],
)
def test_an_overlay_that_is_wrong_is_refused(tmp_path: Path, name: str, overlay: str, code: str) -> None:
    files = {**SMALL, "tools/more.py": MORE, "workflows/w.yaml": BASE, name: overlay}

    project, problems = load_project_lenient(write_files(tmp_path, files))

    assert project is None
    assert [(each.path, each.code) for each in problems if each.severity == "error"] == [(name, code)]


def test_the_overlay_of_one_workflow_comes_after_that_of_all(tmp_path: Path) -> None:
    files = {
        **SMALL,
        "tools/more.py": MORE,
        "workflows/w.yaml": BASE,
        "workflows/v.yaml": BASE.replace("workflow: w", "workflow: v"),
        PROD: "budget: {max_tool_calls: 3}\n",
        "environments/prod/w.yaml": "budget: {max_tool_calls: 2}\n",
    }

    project = load_project(write_files(tmp_path, files))

    prod = EnvironmentName("prod")
    limits = {name: project.environments[WorkflowName(name)][prod].budget.limits for name in ("w", "v")}
    assert limits["w"][BudgetUnit.TOOL_CALLS] == 2
    assert limits["v"][BudgetUnit.TOOL_CALLS] == 3


def test_the_default_environment_is_narrowed_too(tmp_path: Path) -> None:
    files = {
        **SMALL,
        "tools/more.py": MORE,
        "workflows/w.yaml": BASE,
        "environments/sandbox.yaml": "budget: {max_tool_calls: 1}\n",
    }

    project = load_project(write_files(tmp_path, files))

    assert project.contracts[WorkflowName("w")].budget.limits[BudgetUnit.TOOL_CALLS] == 1
