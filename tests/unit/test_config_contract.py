"""What a contract means: the seed and the full form, as the contract page says."""

from decimal import Decimal
from pathlib import Path

import pytest

from leverframe.config.project import check_contract_file, load_project, load_project_lenient
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.contracts import CheckStep, ModelStep, ParseStep, ToolFact, ToolStep, WorkflowKind
from leverframe.domain.ids import EnvironmentName, ToolName, WorkflowName
from leverframe.domain.labels import Integrity
from leverframe.domain.policy import Then
from tests.config_samples import CONTRACT, FILES, SEED, SMALL, told, write_files

REFUND = WorkflowName("refund_request")
ISSUE = ToolName("issue_refund")
W = "workflows/w.yaml"
ALLOWED = "workflow: w\npolicy: {allow_tools: [lookup_order, issue_refund]}\n"


def test_the_seed_on_its_own_has_one_warning_and_no_error(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"seed.yaml": SEED})

    problems = check_contract_file(root / "seed.yaml")

    assert told(problems) == []
    assert told(problems, "warning") == ["seed.yaml:15:7 threshold-has-no-effect"]
    warning = next(each for each in problems if each.severity == "warning")
    assert warning.next_move == "move issue_refund to allow_tools to let amounts below 50 through"
    assert {each.code for each in problems if each.severity == "note"} == {"tool-not-seen", "retain-days-short"}


def test_a_misspelt_key_in_the_seed_is_told_with_its_place_and_the_right_one(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"seed.yaml": SEED.replace("deny_tools", "deny_tool")})

    problems = check_contract_file(root / "seed.yaml")

    assert told(problems) == ["seed.yaml:10:3 unknown-key"]
    assert "Did you mean 'deny_tools'?" in str(problems)


def test_a_denied_tool_with_a_row_is_held_on_every_call(tmp_path: Path) -> None:
    files = {**FILES, "workflows/refund_request.yaml": SEED}

    contract = load_project(write_files(tmp_path, files)).contracts[REFUND]

    (rule,) = contract.rules
    assert (rule.then, rule.tools, rule.threshold_usd) == (Then.HOLD, frozenset({ISSUE}), None)
    assert rule.ignored is not None
    assert contract.callable_tools() == ("lookup_order", "create_refund_draft", "issue_refund")
    assert str(rule.source) == "workflows/refund_request.yaml:14"


def test_a_denied_tool_without_a_row_never_runs(tmp_path: Path) -> None:
    files = {**SMALL, W: "workflow: w\npolicy: {allow_tools: [lookup_order], deny_tools: [issue_refund]}\n"}

    contract = load_project(write_files(tmp_path, files)).contracts[WorkflowName("w")]

    (rule,) = contract.rules
    assert (rule.id, rule.then) == ("deny_tools", Then.DENY)
    assert contract.callable_tools() == ("lookup_order",)


def test_an_allowed_tool_with_a_threshold_is_held_from_there_on(tmp_path: Path) -> None:
    row = "approval: {required_for: [{tool: issue_refund, threshold_usd: 50}]}\n"

    contract = load_project(write_files(tmp_path, {**SMALL, W: ALLOWED + row})).contracts[WorkflowName("w")]

    (rule,) = contract.rules
    assert (rule.then, rule.threshold_usd) == (Then.HOLD, Decimal(50))


def test_an_approval_row_alone_makes_nothing_callable(tmp_path: Path) -> None:
    files = {**SMALL, W: "workflow: w\napproval: {required_for: [{tool: issue_refund}]}\n"}
    root = write_files(tmp_path, files)

    contract = load_project(root).contracts[WorkflowName("w")]

    assert contract.callable_tools() == ()
    assert told(load_project_lenient(root)[1], "warning") == [f"{W}:2:28 approval-has-no-effect"]


def test_the_full_contract_loads_without_a_word(tmp_path: Path) -> None:
    root = write_files(tmp_path, FILES)

    project, problems = load_project_lenient(root)

    assert problems == ()
    assert project is not None
    contract = project.contracts[REFUND]
    assert contract.kind is WorkflowKind.AGENT
    assert contract.budget.limits == {
        BudgetUnit.USD: 50_000,
        BudgetUnit.MODEL_CALLS: 8,
        BudgetUnit.TOOL_CALLS: 4,
        BudgetUnit.INPUT_TOKENS: 3000,
        BudgetUnit.OUTPUT_TOKENS: 800,
        BudgetUnit.WALL_US: 90_000_000,
        BudgetUnit.STEPS: 12,
    }
    assert contract.budget.sources[BudgetUnit.USD].line == 20
    assert (contract.budget.max_total_s, contract.budget.per_step_output_tokens) == (86_400, 300)
    assert contract.input_trust == {"attachment": Integrity.THIRD_PARTY}
    assert (contract.subject, contract.ask) == ("input.customer_id", "input.message")
    assert contract.fallback is not None
    assert contract.fallback.handoff_queue == "tier2"
    assert (contract.tier, contract.prompt) == ("fast", "Prepare a refund.\n")
    assert contract.logging.redact_fields == {"email", "address", "card_last4"}
    assert isinstance(contract.facts["order"], ToolFact)
    row = next(rule.approval for rule in contract.rules if rule.approval is not None)
    assert (row.from_groups, row.decide_within_s, row.execute_within_s) == (("payments-leads",), 1800, 600)
    assert row.distinct_from == {"initiator", "launcher"}


def test_a_chain_has_its_steps_in_order(tmp_path: Path) -> None:
    contract = load_project(write_files(tmp_path, FILES)).contracts[WorkflowName("triage")]

    assert [type(step) for step in contract.steps] == [ParseStep, ModelStep, CheckStep, ToolStep]
    assert [step.name for step in contract.steps] == ["order_id", "triage", "grounded", "order"]
    model = contract.steps[1]
    assert isinstance(model, ModelStep)
    assert model.prompt == "Name the order.\n"
    assert model.output_schema is not None


def test_without_words_the_defaults_are_the_safe_ones(tmp_path: Path) -> None:
    project = load_project(write_files(tmp_path, {**SMALL, W: "workflow: w\n"}))

    contract = project.contracts[WorkflowName("w")]
    assert contract.callable_tools() == ()
    assert contract.budget.limits == {BudgetUnit.STEPS: 50}
    assert contract.environments == ("default",)
    assert contract.tier == "fast"
    assert (project.tenants, project.durability) == (("default",), "grouped")


def test_the_artifacts_are_every_file_that_the_contract_was_made_of(tmp_path: Path) -> None:
    contracts = load_project(write_files(tmp_path, FILES)).contracts

    assert set(contracts[REFUND].artifacts) == {
        "workflows/refund_request.yaml",
        "prompts/refund.md",
        "facts.py",
        "tools/shop.py",
        "tools/draft.yaml",
        "tools.lock",
    }
    assert set(contracts[WorkflowName("triage")].artifacts) == {
        "workflows/triage.yaml",
        "prompts/triage.md",
        "schemas/triage.json",
        "checks.py",
        "tools/shop.py",
    }
    assert contracts[REFUND].artifacts["facts.py"] == FILES["facts.py"].encode()


def test_a_comment_changes_the_release_and_not_the_policy(tmp_path: Path) -> None:
    plain = load_project(write_files(tmp_path / "a", FILES)).contracts[REFUND]
    commented = {
        **FILES,
        "workflows/refund_request.yaml": "# a comment\n\n" + CONTRACT.replace("usd: 50", "usd: 50.00"),
    }

    other = load_project(write_files(tmp_path / "b", commented)).contracts[REFUND]

    assert other.policy_digest == plain.policy_digest
    assert other.release_digest != plain.release_digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("threshold_usd: 50", "threshold_usd: 51"),
        ("> 200", "> 201"),
        ("max_tool_calls: 4", "max_tool_calls: 5"),
        ("quorum: 1", "quorum: 2"),
        ("then: deny\n      effects", "then: hold\n      effects"),
        ("create_refund_draft, issue_refund]\n  rules", "issue_refund]\n  rules"),
    ],
)
def test_what_changes_a_decision_changes_the_policy_digest(tmp_path: Path, old: str, new: str) -> None:
    plain = load_project(write_files(tmp_path / "a", FILES)).contracts[REFUND]
    assert old in CONTRACT

    other = load_project(
        write_files(tmp_path / "b", {**FILES, "workflows/refund_request.yaml": CONTRACT.replace(old, new)})
    ).contracts[REFUND]

    assert other.policy_digest != plain.policy_digest


@pytest.mark.parametrize(
    ("condition", "tools", "place", "said"),
    [
        ("args.amout_usd > 5", "[issue_refund]", "3:75", "did you mean `args.amount_usd`?"),
        ("args.amount_usd >", "[issue_refund]", "3:86", ""),
        ('args.amount_usd > "5"', "[issue_refund]", "3:", "a string"),
        ("facts.ordr.customer_id == run.subject", "[issue_refund]", "3:", "not a fact of this workflow"),
        ("args.amount_usd > 5", "[lookup_order]", "3:75", "lookup_order"),
        ('history.sum("isue_refund", "amount_usd", "24h", "subject") > 5', "[issue_refund]", "3:", "issue_refund"),
        ("args.amout_usd > 5", "", "3:", "args.amount_usd"),
    ],
)
def test_a_wrong_condition_is_told_where_it_is_wrong(
    tmp_path: Path, condition: str, tools: str, place: str, said: str
) -> None:
    about = f"tools: {tools}, " if tools else ""
    contract = (
        "workflow: w\npolicy:\n"
        f"  {{allow_tools: [lookup_order, issue_refund], rules: [{{{about}id: r, then: hold, when: '{condition}'}}]}}\n"
    )
    column = contract.splitlines()[2].index(condition) + 1

    _, problems = load_project_lenient(write_files(tmp_path, {**SMALL, W: contract}))

    (found,) = [each for each in problems if each.severity == "error"]
    offset = {"3:75": len("args."), "3:86": len(condition)}.get(place)
    assert found.line == 3
    assert found.column >= column
    assert offset is None or found.column == column + offset
    assert said in found.message


@pytest.mark.parametrize(
    ("code", "severity", "rest"),
    [
        ("threshold-can-be-split", "note", "approval: {required_for: [{tool: issue_refund, threshold_usd: 5}]}"),
        ("retain-days-short", "note", "logging: {retain_days: 182}"),
        ("people-not-listed", "note", "approval: {required_for: [{tool: issue_refund, quorum: 2}]}"),
        (
            "needs-second-person",
            "warning",
            "approval: {required_for: [{tool: issue_refund, distinct_from: [launcher]}]}",
        ),
    ],
)
def test_what_is_probably_not_meant_is_said(tmp_path: Path, code: str, severity: str, rest: str) -> None:
    project, problems = load_project_lenient(write_files(tmp_path, {**SMALL, W: f"{ALLOWED}{rest}\n"}))

    assert project is not None
    assert code in {each.code for each in problems if each.severity == severity}


@pytest.mark.parametrize(
    ("code", "policy"),
    [
        ("self-asserted-owner", "{rules: [{id: r, then: deny, when: args.order_id != run.subject}]}"),
        ("rule-has-no-effect", "{rules: [{id: r, then: allow, tools: [lookup_order]}]}"),
        ("rule-has-no-effect", "{rules: [{id: r, then: hold, tools: [lookup_order]}]}"),
        ("denied-and-allowed", "{allow_tools: [lookup_order], deny_tools: [lookup_order]}"),
        ("named-twice", "{allow_tools: [lookup_order, lookup_order]}"),
    ],
)  # fmt: skip
def test_a_policy_that_says_less_than_it_seems_is_warned_of(tmp_path: Path, code: str, policy: str) -> None:
    project, problems = load_project_lenient(write_files(tmp_path, {**SMALL, W: f"workflow: w\npolicy: {policy}\n"}))

    assert project is not None
    assert code in {each.code for each in problems if each.severity == "warning"}


@pytest.mark.parametrize(
    ("people", "row", "code"),
    [
        ("{lena: {roles: [approver]}}", "quorum: 2", "unreachable-quorum"),
        ("{lena: {groups: [leads]}}", "quorum: 1", "unreachable-quorum"),
        ("{lena: {groups: [leads]}}", "from: [group:leds]", "unknown-group"),
        (
            "{lena: {groups: [leads]}, omar: {roles: [approver]}}",
            "from: [group:leads], quorum: 2",
            "unreachable-quorum",
        ),
    ],
)
def test_a_quorum_that_nobody_reaches_fails_at_load(tmp_path: Path, people: str, row: str, code: str) -> None:
    files = {
        **SMALL,
        "leverframe.yaml": f"{SMALL['leverframe.yaml']}people: {people}\n",
        W: f"{ALLOWED}approval: {{required_for: [{{tool: issue_refund, {row}}}]}}\n",
    }

    project, problems = load_project_lenient(write_files(tmp_path, files))

    assert project is None
    assert [each.code for each in problems if each.severity == "error"] == [code]


def test_a_tenant_without_enough_people_is_warned_of(tmp_path: Path) -> None:
    files = {
        **SMALL,
        "leverframe.yaml": SMALL["leverframe.yaml"]
        + "tenants: {acme: {}, globex: {}}\npeople: {lena: {roles: [approver], tenants: [acme]}}\n",
        W: f"{ALLOWED}approval: {{required_for: [{{tool: issue_refund}}]}}\n",
    }

    project, problems = load_project_lenient(write_files(tmp_path, files))

    assert project is not None
    assert "'globex'" in next(each.message for each in problems if each.code == "unreachable-quorum")


def test_an_amount_fact_that_the_contract_lacks_is_an_error(tmp_path: Path) -> None:
    tool = "tool: cancel\nfrom: {python: tools/shop.py:lookup_order}\namount: {usd: facts.refund_value}\n"
    contract = (
        "workflow: w\npolicy: {allow_tools: [cancel]}\napproval: {required_for: [{tool: cancel, threshold_usd: 5}]}\n"
    )

    _, problems = load_project_lenient(write_files(tmp_path, {**SMALL, "tools/c.yaml": tool, W: contract}))

    assert told(problems) == [f"{W}:3:42 unknown-fact"]


def test_the_environments_of_a_contract_are_each_there(tmp_path: Path) -> None:
    project = load_project(write_files(tmp_path, FILES))

    assert tuple(project.environments[REFUND]) == ("sandbox", "prod")
    assert project.contract_in(REFUND) is project.contract_in(REFUND, EnvironmentName("sandbox"))
    assert project.contract_in(REFUND, EnvironmentName("moon")) is None
