"""An overlay narrows by construction: whatever it says, the narrowed contract never allows what its base does not."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leverframe.config.contract import read_contract
from leverframe.config.findings import Findings
from leverframe.config.overlays import Overlays
from leverframe.config.project_files import ProjectFiles
from leverframe.config.python_source import PythonSources
from leverframe.config.surroundings import Surroundings
from leverframe.config.tool_files import ToolFiles
from leverframe.core.policy import GrantedApproval, Question, compile_contract, decide
from leverframe.core.policy.reasons import NO_ALLOW_RULE
from leverframe.domain.contracts import Contract, McpServer
from leverframe.domain.ids import ApprovalId, EnvironmentName, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Confidentiality, Integrity, Label
from leverframe.domain.policy import Allow, ApprovalRequirement, Decision, Deny, Hold, SourceRef
from tests.config_samples import write_files
from tests.policy_samples import RUN

TOOLS = ("lookup", "refund", "mail")
TOOL = """\
tool: {name}
from: {{mcp: shop}}
effect: {effect}
input:
  type: object
  additionalProperties: false
  properties: {{order_id: {{type: string}}, amount_usd: {{type: number}}}}
args: {{amount_usd: {{role: amount}}}}
"""
SHOP = McpServer(name="shop", command=("shop",), trusted_because="a test", source=SourceRef(file="leverframe.yaml"))
AMOUNTS: tuple[JsonObject, ...] = ({}, {"amount_usd": 20}, {"amount_usd": Decimal("50.00")}, {"amount_usd": 1000})
ARGS = tuple({**amount, **order} for amount, order in itertools.product(AMOUNTS, ({}, {"order_id": "#1"})))

some_tools = st.lists(st.sampled_from(TOOLS), max_size=3, unique=True)
conditions = st.sampled_from(
    [
        "args.amount_usd > 40",
        'args.order_id == "#1"',
        'run.subject != "c_1"',
        "has(args.order_id)",
        "!has(args.amount_usd)",
    ]
)
spans = st.sampled_from(["5m", "30m", "24h", "3d"])


@st.composite
def policies(draw: st.DrawFn, prefix: str) -> dict[str, str]:
    """The parts of a contract or an overlay that decide, as YAML by key; any of them may be absent."""
    rows = []
    for name in draw(some_tools):
        keys = {"tool": name}
        optional = {
            "threshold_usd": st.sampled_from(["0", "20", "50", "99.99"]),
            "quorum": st.sampled_from(["1", "2", "3"]),
            "from": st.sampled_from(["[group:a]", "[group:a, group:b]", "[group:c]"]),
            "distinct_from": st.sampled_from(["[initiator]", "[initiator, launcher]"]),
            "decide_within": spans,
            "execute_within": spans,
        }
        keys |= {key: draw(value) for key, value in optional.items() if draw(st.booleans())}
        rows.append("{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}")
    rules = [
        f"{{id: {prefix}{number}, then: {draw(st.sampled_from(['deny', 'hold', 'allow']))}, "
        f"{draw(st.sampled_from(['', 'effects: [keyed], ']))}tools: [{name}], when: '{draw(conditions)}'}}"
        for number, name in enumerate(draw(st.lists(st.sampled_from(TOOLS), max_size=2)))
    ]
    policy = {"rules": f"[{', '.join(rules)}]"}
    for key in ("allow_tools", "deny_tools"):
        if draw(st.booleans()):
            policy[key] = f"[{', '.join(draw(some_tools))}]"
    if draw(st.booleans()):
        policy["provenance"] = draw(
            st.sampled_from(["{amounts: off, because: a test}", "{amounts: hold}", "{amounts: deny}"])
        )
    budget = {
        key: str(draw(st.integers(0, 9)))
        for key in ("max_tool_calls", "max_usd", "max_model_calls")
        if draw(st.booleans())
    }
    parts = {
        "policy": "{" + ", ".join(f"{key}: {value}" for key, value in policy.items()) + "}",
        "approval": f"{{required_for: [{', '.join(rows)}]}}",
        "budget": "{" + ", ".join(f"{key}: {value}" for key, value in budget.items()) + "}",
        "logging": f"{{retain_days: {draw(st.integers(1, 400))}, redact_fields: [{draw(st.sampled_from('ab'))}]}}",
    }
    return {key: value for key, value in parts.items() if draw(st.booleans())}


def yaml_of(parts: dict[str, str]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in parts.items())


@dataclass(frozen=True)
class Shop:
    """A project folder whose tools are read once."""

    around: Surroundings

    def load(self, contract: str, overlay: str) -> tuple[Contract, Contract, Findings]:
        """The contract without and with its overlay, and what was said of the overlay."""
        root = self.around.files.root
        write_files(root, {"workflows/w.yaml": contract, "environments/prod.yaml": overlay})
        findings = Findings()
        files = ProjectFiles(root)
        around = Surroundings(
            files=files,
            sources=PythonSources(files=files, findings=findings),
            tools=self.around.tools,
            project=None,
            findings=findings,
        )
        draft = read_contract("workflows/w.yaml", around)
        assert draft is not None
        assert not findings.has_errors
        both = Overlays(around=around).by_environment(draft)
        return both[EnvironmentName("sandbox")], both[EnvironmentName("prod")], findings


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    effects = dict(zip(TOOLS, ("read", "irreversible", "irreversible"), strict=True))
    root = write_files(
        tmp_path_factory.mktemp("shop"),
        {f"tools/{name}.yaml": TOOL.format(name=name, effect=effect) for name, effect in effects.items()},
    )
    findings = Findings()
    files = ProjectFiles(root)
    sources = PythonSources(files=files, findings=findings)
    tools = ToolFiles(files=files, sources=sources, servers={"shop": SHOP}, findings=findings).read()
    assert not findings.has_errors
    return Shop(Surroundings(files=files, sources=sources, tools=tools, project=None, findings=findings))


def decisions(base: Contract, narrowed: Contract) -> Iterator[tuple[Decision, Decision, Question]]:
    """Both contracts asked the same, with and without a grant for every rule there is."""
    policies_of = compile_contract(base), compile_contract(narrowed)
    # A person who grants what no allow rule lets through is shown that as well.
    rules = frozenset((NO_ALLOW_RULE, *(rule.id for rule in (*base.rules, *narrowed.rules))))
    grants = (None, GrantedApproval(approval_id=ApprovalId("apr_1"), rules=rules))
    for name, args, grant in itertools.product(TOOLS, ARGS, grants):
        tool = ToolName(name)
        question = Question(tool=tool, spec=base.tools.get(tool), args=args, run=RUN, granted=grant, union=SEEN)
        yield decide(question, policies_of[0]), decide(question, policies_of[1]), question


SEEN = Label(integrity=Integrity.THIRD_PARTY, confidentiality=Confidentiality.TENANT)
RANK = {Deny: 0, Hold: 1, Allow: 2}


@settings(max_examples=150, deadline=None)
@given(base=policies("base"), overlay=policies("over"))
def test_an_overlay_never_allows_what_its_contract_holds_or_denies(
    shop: Shop, base: dict[str, str], overlay: dict[str, str]
) -> None:
    contract = f"workflow: w\nenvironments: [sandbox, prod]\n{yaml_of(base)}"

    before, after, _ = shop.load(contract, yaml_of(overlay) or "logging: {}\n")

    for wide, narrow, question in decisions(before, after):
        assert RANK[type(narrow)] <= RANK[type(wide)], (question, wide, narrow)
        if isinstance(wide, Hold) and isinstance(narrow, Hold):
            assert_asks_at_least(narrow.requirement, wide.requirement)
    assert set(after.callable_tools()) <= set(before.callable_tools())


@settings(max_examples=80, deadline=None)
@given(base=policies("base"), overlay=policies("over"))
def test_an_overlay_lowers_limits_and_shows_no_more(shop: Shop, base: dict[str, str], overlay: dict[str, str]) -> None:
    contract = f"workflow: w\nenvironments: [sandbox, prod]\n{yaml_of(base)}"

    before, after, _ = shop.load(contract, yaml_of(overlay) or "logging: {}\n")

    for unit, limit in before.budget.limits.items():
        assert after.budget.limits[unit] <= limit
    assert after.logging.retain_days <= before.logging.retain_days
    assert after.logging.redact_fields >= before.logging.redact_fields


@settings(max_examples=80, deadline=None)
@given(base=policies("base"))
def test_a_contract_is_a_narrowing_of_itself(shop: Shop, base: dict[str, str]) -> None:
    # Its rules are left out: an id stands once, and a second allow rule about a tool could widen.
    kept = {key: value for key, value in base.items() if key != "policy"}
    contract = f"workflow: w\nenvironments: [sandbox, prod]\n{yaml_of(base)}"

    before, after, findings = shop.load(contract, yaml_of(kept) or "logging: {}\n")

    assert not findings.has_errors
    assert (before.budget.limits, before.logging) == (after.budget.limits, after.logging)
    assert before.policy_digest == after.policy_digest


def assert_asks_at_least(narrow: ApprovalRequirement, wide: ApprovalRequirement) -> None:
    assert narrow.quorum >= wide.quorum
    assert narrow.distinct_from >= wide.distinct_from
    assert narrow.decide_within_s <= wide.decide_within_s
    assert narrow.execute_within_s <= wide.execute_within_s
    if wide.from_groups:
        assert narrow.from_groups
        for each in narrow.from_groups:
            assert any(set(each.split("+")) >= set(other.split("+")) for other in wide.from_groups)
