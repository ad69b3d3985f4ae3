"""`workflows/NAME.yaml`: one workflow contract, from its file to a frozen value.

Knows: the order in which the parts are read, since conditions need the types of tools and facts.
Source: docs/reference/contract.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from leverframe.config.built_in_tools import built_in_names, with_built_in
from leverframe.config.conditions import ConditionReader
from leverframe.config.contract_context import read_context
from leverframe.config.contract_facts import Facts, read_facts
from leverframe.config.contract_flow import read_flow
from leverframe.config.contract_limits import read_admitted, read_budget, read_fallback, read_logging
from leverframe.config.contract_steps import StepReader
from leverframe.config.digests import policy_text, release_digest
from leverframe.config.findings import Mark, did_you_mean
from leverframe.config.policy_draft import PolicyDraft, read_policy
from leverframe.config.sections import Section, check_file
from leverframe.config.surroundings import Surroundings
from leverframe.config.tool_specs import LoadedTool
from leverframe.config.yaml_nodes import Scalar
from leverframe.core.conditions import ANY, type_of_schema
from leverframe.core.conditions.schema_types import members
from leverframe.domain.budgets import BudgetLimits
from leverframe.domain.conditions import MapType
from leverframe.domain.context_rules import ContextRules
from leverframe.domain.contracts import ChainStep, Contract, Enforce, LoggingRules, WorkflowKind
from leverframe.domain.ids import EnvironmentName, Sha256, ToolName, WorkflowName
from leverframe.domain.labels import INTEGRITY_WORDS
from leverframe.domain.tools import ToolSpec

DEFAULT_ENVIRONMENT = EnvironmentName("default")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractDraft:
    """A contract that was read and checked, before an environment's overlay narrows it."""

    section: Section
    at: Mark
    workflow: WorkflowName
    kind: WorkflowKind
    environments: tuple[EnvironmentName, ...]
    policy: PolicyDraft
    budget: BudgetLimits
    logging: LoggingRules
    facts: Facts
    steps: tuple[ChainStep, ...]
    prompt: str
    tier: str
    tools: Mapping[ToolName, LoadedTool]
    reader: ConditionReader
    context: ContextRules
    files: tuple[str, ...]  # what it was made of, its own file first


def read_contract(name: str, around: Surroundings) -> ContractDraft | None:
    """Read one contract; None where its file is no map of keys or names no workflow."""
    node = around.files.yaml(name, around.findings)
    section = None if node is None else check_file(node, "contract", around.findings, needs=("workflow",))
    if section is None or "workflow" not in section:
        return None
    return _draft(name, section, around)


def _draft(name: str, section: Section, around: Surroundings) -> ContractDraft:
    callable_names = _named_tools(section)
    facts = read_facts(section, callable_names, around)
    steps = StepReader(around=around)
    for each in section.sections("steps"):
        steps.read(each)
    seen = None if around.tools is None else _visible(callable_names, facts, steps.tools, around.tools)
    reader = ConditionReader(
        tools=seen, facts=facts.types, input_schema=section.schema("input"), findings=around.findings
    )
    policy = read_policy(section, reader, around)
    environments = tuple(EnvironmentName(each) for each in section.texts("environments"))
    tools = {} if around.tools is None else _visible(policy.tools(), facts, steps.tools, around.tools)
    prompt, prompt_files = _prompt(section, around)
    context = read_context(section, around)
    draft = ContractDraft(
        section=section,
        at=section.place("workflow"),
        workflow=WorkflowName(section.text("workflow")),
        kind=WorkflowKind(section.text("kind", "agent")),
        environments=environments or (DEFAULT_ENVIRONMENT,),
        policy=policy,
        budget=read_budget(section, defaults=True),
        logging=read_logging(section),
        facts=facts,
        steps=tuple(steps.steps),
        prompt=prompt,
        tier=_tier(section, around),
        tools=tools,
        reader=reader,
        context=context.rules,
        files=(name, *prompt_files, *context.files, *facts.files, *steps.files, *_files_of(tools.values())),
    )
    _check_kind(draft, around)
    _check_input(section, around)
    return draft


_HOLD_WAIT_S = 20


def contract_of(
    draft: ContractDraft,
    around: Surroundings,
    *,
    policy: PolicyDraft,
    budget: BudgetLimits,
    logging: LoggingRules,
    overlay_files: tuple[str, ...] = (),
) -> Contract:
    """Make the frozen value, with the policy, budget and logging of one environment."""
    section = draft.section
    rules = policy.compiled()
    allow, deny = tuple(policy.allow), tuple(policy.deny)
    artifacts = _artifacts((*draft.files, *overlay_files), around)
    enforce = Enforce(section.text("enforce", "full"))
    flow = read_flow(section)
    text = policy_text(rules, allow, deny, budget, policy.provenance, enforce=enforce, flow=flow)
    contract = Contract(
        workflow=draft.workflow,
        source=draft.at.ref,
        kind=draft.kind,
        enforce=enforce,
        rules=rules,
        allow_tools=allow,
        deny_tools=deny,
        tools={name: tool.spec for name, tool in draft.tools.items()},
        allow_sources={tool: at.ref for tool, at in policy.allow.items()},
        description=section.text("description"),
        owner=section.text("owner"),
        environments=draft.environments,
        input_schema=section.schema("input"),
        output_schema=section.schema("output"),
        input_trust={name: INTEGRITY_WORDS[each.text] for name, each in section.named_scalars("input_trust").items()},
        subject=section.text("subject"),
        ask=section.text("intent"),
        facts=draft.facts.specs,
        budget=budget,
        fallback=read_fallback(section),
        tier=draft.tier,
        prompt_path=section.section("models").text("prompt"),
        prompt=draft.prompt,
        admitted=read_admitted(section),
        logging=logging,
        provenance=policy.provenance,
        hold_wait_s=float(section.section("approval").decimal("hold_wait_s") or _HOLD_WAIT_S),
        context=draft.context,
        plan=flow.plan,
        audience=flow.audience,
        audience_source=flow.audience_source,
        input_confidentiality=flow.input_confidentiality,
        steps=draft.steps,
        artifacts=artifacts,
        policy_text=text,
        policy_digest=Sha256(sha256(text).hexdigest()),
        release_digest=release_digest(artifacts),
    )
    return with_built_in(contract)


def _artifacts(names: Iterable[str], around: Surroundings) -> dict[str, bytes]:
    """Every file that the contract was made of, once."""
    return {
        name: content
        for name in dict.fromkeys(names)
        if (content := around.files.read(name, Mark(name), around.findings)) is not None
    }


def _named_tools(section: Section) -> tuple[str, ...]:
    """The tools that the contract lets be called or held, before any of it is judged."""
    policy = section.section("policy")
    rows = (each.text("tool") for each in section.section("approval").sections("required_for"))
    return tuple(dict.fromkeys((*policy.texts("allow_tools"), *policy.texts("deny_tools"), *rows)))


def _visible(
    names: Iterable[str], facts: Facts, steps: Iterable[ToolName], tools: Mapping[ToolName, LoadedTool]
) -> dict[ToolName, LoadedTool]:
    """Every tool that the contract can name: its own, those of facts and steps, and what those reconcile by."""
    of_facts = (tool for fact in facts.specs.values() if (tool := getattr(fact, "tool", None)) is not None)
    found: dict[ToolName, LoadedTool] = {}
    waiting = [ToolName(name) for name in (*names, *of_facts, *steps)]
    while waiting:
        name = waiting.pop(0)
        if name in found or name not in tools:
            continue
        found[name] = tools[name]
        if tools[name].spec.reconcile is not None:
            waiting.append(_reconciler(tools[name].spec))
    return found


def _reconciler(spec: ToolSpec) -> ToolName:
    return spec.reconcile.tool if spec.reconcile is not None else spec.name


def _files_of(tools: Iterable[LoadedTool]) -> tuple[str, ...]:
    return tuple(sorted({name for tool in tools for name in tool.files}))


def _prompt(section: Section, around: Surroundings) -> tuple[str, tuple[str, ...]]:
    models = section.section("models")
    path = models.text("prompt")
    if not path:
        return "", ()
    text = around.files.text(path, models.place("prompt"), around.findings)
    return (text or "", (path,)) if text is not None else ("", ())


def _tier(section: Section, around: Surroundings) -> str:
    """The tier of the contract; without one, the first of the project file."""
    models = section.section("models")
    wanted = models.text("default")
    if around.project is None:
        if wanted:
            around.findings.note(
                models.place("default"),
                "tier-not-seen",
                f"Whether there is a tier {wanted!r} cannot be seen from this file alone.",
                "leverframe check, without a file, checks the whole project.",
            )
        return wanted
    tiers = around.project.tiers
    if wanted and wanted not in tiers:
        around.findings.error(
            models.place("default"),
            "unknown-tier",
            f"There is no tier {wanted!r} in `models` of leverframe.yaml.",
            did_you_mean(wanted, tiers),
        )
    return wanted or next(iter(tiers), "")


def _check_kind(draft: ContractDraft, around: Surroundings) -> None:
    is_chain = draft.kind is WorkflowKind.CHAIN
    if is_chain and "steps" not in draft.section:
        around.findings.error(
            draft.section.place("kind"),
            "missing-key",
            "A contract of `kind: chain` has no `steps`.",
            "For example: steps: [{model: {prompt: prompts/triage.md, as: triage}}]",
        )
    if not is_chain and "steps" in draft.section:
        around.findings.error(
            draft.section.place("steps"),
            "key-without-effect",
            "The steps of an agent are its own; `steps` belongs to a chain.",
            "Write kind: chain, or delete `steps`.",
        )
    if is_chain and "plan" in draft.section:
        around.findings.error(
            draft.section.place("plan"),
            "key-without-effect",
            "The steps of a chain are its plan: it calls nothing else.",
            "Delete `plan`.",
        )
    for name in built_in_names(draft.context).intersection(draft.tools):
        around.findings.error(
            draft.tools[name].at,
            "reserved-name",
            f"{name!r} is the name of a tool of Leverframe itself.",
            "Give the project's tool another.",
        )
    if is_chain and "prompt" in draft.section.section("models"):
        around.findings.error(
            draft.section.section("models").place("prompt"),
            "key-without-effect",
            "The prompts of a chain stand in its steps, so nothing reads `models.prompt`.",
            "Delete it.",
        )
    if len(set(draft.environments)) != len(draft.environments):
        around.findings.error(
            draft.section.place("environments"), "named-twice", "An environment is named twice.", "Delete one of them."
        )


def _check_input(section: Section, around: Surroundings) -> None:
    """Check that `subject`, `intent` and `input_trust` name fields that the input schema has."""
    schema = section.schema("input")
    found = ANY if schema is None else type_of_schema(schema)
    fields = [each.fields for each in members(found) if isinstance(each, MapType) and each.extra is None]
    if not fields:
        return
    known = tuple(fields[0])
    for key in ("subject", "intent"):
        scalar = section.scalar(key)
        if scalar is not None:
            _check_field(scalar.text.split(".")[1], scalar, known, around)
    for name, place in section.named("input_trust").places.items():
        head = name.lstrip("/").split("/")[0]
        _check_field(head, Scalar(value=name, text=name, source=name, at=place), known, around)


def _check_field(name: str, scalar: Scalar, known: tuple[str, ...], around: Surroundings) -> None:
    if name not in known:
        around.findings.error(
            scalar.at, "unknown-field", f"The input has no field {name!r}.", did_you_mean(name, known)
        )
