"""The workflow contract and the project file as frozen values.

Source: docs/reference/contract.md and docs/reference/project.md.  Every key here is enforced by code of this version.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Final

from leverframe.domain.access import TokenAccess
from leverframe.domain.audiences import Audience
from leverframe.domain.budgets import BudgetLimits, SharedBudget
from leverframe.domain.context_rules import ContextRules
from leverframe.domain.credentials import CredentialIssuer
from leverframe.domain.ids import EnvironmentName, PrincipalId, Sha256, TenantId, ToolName, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.policy import Rule, SourceRef, Then
from leverframe.domain.relays import NOTHING_ADMITTED, Admitted
from leverframe.domain.tools import PythonOrigin, ToolSpec
from leverframe.domain.words import Word


class Enforce(Word):
    """Whether a contract is kept, or only watched.  Writes are always enforced."""

    FULL = "full"
    OBSERVE = "observe"


class WorkflowKind(Word):
    """The shapes of work of this version."""

    CHAIN = "chain"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFact:
    """A fact that a read tool answers; `args`: argument -> expression (`args.order_id`, `run.subject`)."""

    name: str
    tool: ToolName
    args: Mapping[str, str]
    source: SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFact:
    """A fact that a pure function of facts and arguments computes; `of` names its parameters in order."""

    name: str
    function: PythonOrigin
    of: tuple[str, ...]  # "facts.order", "args.item_ids"
    source: SourceRef


FactSpec = ToolFact | PythonFact


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What a stop condition does.  `handoff_queue` set: outcome handoff; else stopped."""

    handoff_queue: str = ""
    say: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingRules:
    """How long disclosures are kept, and which fields are never shown or exported."""

    retain_days: int = 400
    redact_fields: frozenset[str] = frozenset()


class Provenance(Word):
    """The default rules on the origin of values; the value is the key of `policy.provenance`."""

    RECIPIENTS = "recipients"
    SELECTORS = "selectors"
    AMOUNTS = "amounts"
    FREE_TEXT = "free_text"
    RULE_OF_TWO = "rule_of_two"
    SUSPICIOUS = "suspicious"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceRule:
    """What follows where one default rule on the origin of values matches; `then` None: nothing does."""

    then: Then | None = Then.HOLD
    source: SourceRef | None = None  # the line that says so; None: the default


_HELD = ProvenanceRule()
_NOT_ASKED = ProvenanceRule(then=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceRules:
    """The default rules on the origin of values, as a contract tightens or, with a reason, loosens them."""

    written: Mapping[Provenance, ProvenanceRule] = field(default_factory=dict)
    because: str = ""  # why some are off

    def of(self, name: Provenance) -> ProvenanceRule:
        """What is written, else the default: hold; hidden text alone holds nothing unless the contract says so."""
        return self.written.get(name, _NOT_ASKED if name is Provenance.SUSPICIOUS else _HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseStep:
    """Take a token out of a text, deterministically; no match: None, and the run goes on."""

    name: str  # `as`
    regex: str
    in_: str  # "input.message"
    source: SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStep:
    """One model call with a typed answer.  `output_schema` None: text."""

    name: str
    prompt_path: str
    prompt: str
    output_schema: JsonObject | None
    source: SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStep:
    """A pure function that must answer True; False ends the run as `invalid_output` by the fallback."""

    name: str
    function: PythonOrigin
    of: tuple[str, ...]
    source: SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStep:
    """One tool call; `args`: argument -> expression over names, `input.*` and literals."""

    name: str
    tool: ToolName
    args: Mapping[str, str]
    source: SourceRef


ChainStep = ParseStep | ModelStep | CheckStep | ToolStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a workflow may do, and how far.  `rules` is the compiled rule IR of policy and approval rows."""

    workflow: WorkflowName
    source: SourceRef
    kind: WorkflowKind
    rules: tuple[Rule, ...]
    allow_tools: tuple[ToolName, ...]
    deny_tools: tuple[ToolName, ...]
    tools: Mapping[ToolName, ToolSpec]  # every tool the contract can name, facts and reconcile included
    allow_sources: Mapping[ToolName, SourceRef] = field(default_factory=dict)  # the line that lists each tool
    description: str = ""
    owner: str = ""
    environments: tuple[EnvironmentName, ...] = (EnvironmentName("default"),)
    input_schema: JsonObject | None = None
    output_schema: JsonObject | None = None
    input_trust: Mapping[str, Integrity] = field(default_factory=dict)
    subject: str = ""  # "input.customer_id"; empty: the run has no subject
    ask: str = ""  # the contract key `intent`: "input.message"
    facts: Mapping[str, FactSpec] = field(default_factory=dict)
    budget: BudgetLimits = BudgetLimits()
    fallback: Fallback | None = None
    tier: str = ""  # models.default
    prompt_path: str = ""
    prompt: str = ""
    enforce: Enforce = Enforce.FULL
    admitted: Admitted = NOTHING_ADMITTED  # what relayed model calls may ask of a vendor
    logging: LoggingRules = LoggingRules()
    provenance: ProvenanceRules = ProvenanceRules()
    hold_wait_s: float = 20.0  # how long a surface waits for an answer before it says `held`
    input_confidentiality: Confidentiality = Confidentiality.TENANT
    audience: Audience | None = None  # who reads the output; None: it is not asked
    audience_source: SourceRef | None = None
    context: ContextRules = ContextRules()
    plan: SourceRef | None = None  # `plan: {declare: true}`, where it stands; None: runs need no plan
    steps: tuple[ChainStep, ...] = ()
    # every file the contract was built from: name in the project -> bytes; a run pins their digest
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    policy_text: bytes = b""  # what `policy_digest` is the SHA-256 of
    policy_digest: Sha256 = Sha256("")
    release_digest: Sha256 = Sha256("")

    def callable_tools(self) -> tuple[ToolName, ...]:
        """The tools an agent may ask for, in contract order: allowed, then denied with an approval row (held)."""
        held = {name for rule in self.rules if rule.approval is not None for name in rule.tools}
        return (*self.allow_tools, *(name for name in self.deny_tools if name in held and name not in self.allow_tools))


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone who may answer holds: groups, tenants and roles of the project file."""

    id: PrincipalId
    groups: frozenset[str] = frozenset()
    tenants: frozenset[TenantId] = frozenset()
    roles: frozenset[str] = frozenset()


class Wire(Word):
    """How a provider is spoken to."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    LOCAL = "local"
    RECORDED = "recorded"


ANY_MODEL: Final = "*"
BILLED_BY_NOBODY: Final = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A model vendor or a local stand-in.  `url` is the base up to `/v1`; `key` a secret:// reference."""

    name: str
    wire: Wire
    source: SourceRef
    url: str = ""
    key: str = ""
    allows_private_hosts: bool = False
    api_version: str = ""  # Azure with one address a deployment: what its API is asked as
    file: str = ""  # recorded: the answers, one JSON object a line
    priced_as: Mapping[str, str] = field(default_factory=dict)  # name here to name on the price list, or `free`

    def listed_as(self, model: str) -> str:
        """The name under which the price of a model is looked up."""
        return self.priced_as.get(model) or self.priced_as.get(ANY_MODEL) or model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """One candidate of a tier, `provider/model`."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """How much of the machine a server's process may have, with all that it starts, for one tenant."""

    memory_mib: int = 1024
    processes: int = 256  # threads too
    open_files: int = 1024  # of one process
    file_mib: int = 1024  # the largest file it may write


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """An MCP upstream: a `command` over stdio, or a `url`.

    A command is foreign code: it runs in a sandbox, unless `trusted_because` says why it need not.  In the sandbox it
    has the variables of `env`, sees `readable` (paths of the project or absolute ones), may write in `writable`, and
    has a network only where `has_network`.
    """

    name: str
    source: SourceRef
    command: tuple[str, ...] = ()
    trusted_because: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[str, ...] = ()
    writable: str = ""
    has_network: bool = False
    limits: ServerLimits | None = None  # None: the usual ones in a sandbox, and none of a trusted process
    url: str = ""
    allows_private_hosts: bool = False
    credential: str = ""  # a secret:// reference, sent to the host of `url` alone
    credential_header: str = ""  # empty: Authorization, as a bearer token
    shared_because: str = ""  # why all tenants may use one credential
    may_ask: frozenset[str] = frozenset()  # elicitation | sampling | roots
    resources: tuple[str, ...] = ()  # patterns of URIs, * for any text
    prompts: tuple[str, ...] = ()  # patterns of names


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project file and all contracts, loaded and checked.  `root` is the folder, absolute.

    `contracts` holds each workflow's contract for its default environment; `environments` all of them, narrowed by
    the overlay of each environment.
    """

    root: str
    contracts: Mapping[WorkflowName, Contract]
    tenants: tuple[TenantId, ...]
    people: Mapping[PrincipalId, Person]
    providers: Mapping[str, Provider]
    tiers: Mapping[str, tuple[ModelRef, ...]]
    servers: Mapping[str, McpServer]
    types: Mapping[str, str]  # semantic type -> linear-time pattern
    storage_url: str = "sqlite:.leverframe/leverframe.db"
    durability: str = "grouped"
    credential_issuers: Mapping[str, CredentialIssuer] = field(default_factory=dict)  # by reference
    access: TokenAccess | None = None  # None: API keys alone
    signer: str = ""  # "unix:/path" of the process that holds the log's key; empty: a file beside the database
    subject_keys: Mapping[TenantId, bool] = field(default_factory=dict)
    budgets: tuple[SharedBudget, ...] = ()
    zones: Mapping[TenantId, tzinfo] = field(default_factory=dict)  # in which a tenant's days and months begin
    environments: Mapping[WorkflowName, Mapping[EnvironmentName, Contract]] = field(default_factory=dict)
    tier_sources: Mapping[str, SourceRef] = field(default_factory=dict)  # the line of each tier
    tools: Mapping[ToolName, ToolSpec] = field(default_factory=dict)  # every tool of tools/, named by a contract or not

    def contract_in(self, workflow: WorkflowName, environment: EnvironmentName | None = None) -> Contract | None:
        """The contract as an environment narrows it; None without a name: the default one.  None: not there."""
        if environment is None:
            return self.contracts.get(workflow)
        return self.environments.get(workflow, {}).get(environment)

    def zone_of(self, tenant: TenantId) -> tzinfo:
        """The tenant's time zone; UTC where the project names none."""
        return self.zones.get(tenant, UTC)
