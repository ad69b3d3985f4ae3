"""Tool specs: what a tool does to the world, what its arguments are for, how it is called.

Source: the tool spec of the contract reference (docs/reference/tool.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from leverframe.domain.ids import EnvironmentName, Sha256, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.money import MicroUsd
from leverframe.domain.policy import SourceRef
from leverframe.domain.words import Word


class EffectClass(Word):
    """What a tool does to the world, and so what a crash between sending and answer allows."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    KEYED = "keyed"
    RECONCILABLE = "reconcilable"
    IRREVERSIBLE = "irreversible"

    @property
    def is_write(self) -> bool:
        """Everything but a read; a write is announced durably before it leaves."""
        return self is not EffectClass.READ


class ArgRole(Word):
    """What an argument is for."""

    RECIPIENT = "recipient"
    SELECTOR = "selector"
    AMOUNT = "amount"
    FREE_TEXT = "free_text"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgSpec:
    """One argument: its role, its semantic type (default: its name), the lowest integrity taken unasked."""

    role: ArgRole | None = None
    type: str = ""
    accepts: Integrity = Integrity.USER
    currency: str = ""  # for role amount; empty: USD
    unit: str = "major"  # major | minor


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonOrigin:
    """A typed Python function of the project: `python: tools/shop.py:lookup_order`."""

    file: str
    function: str


class McpPart(Word):
    """What of an MCP server a call is for.  All but a tool are made from the `servers` of the project file."""

    TOOL = "tool"
    RESOURCE = "resource"
    PROMPT = "prompt"
    COMPLETION = "completion"
    # What the server itself asks for, in the middle of a call.
    ELICITATION = "elicitation"
    SAMPLING = "sampling"
    ROOTS = "roots"


@dataclass(frozen=True, slots=True, kw_only=True)
class McpOrigin:
    """A tool, or another part, of an MCP server that the project file names."""

    server: str
    name: str
    part: McpPart = McpPart.TOOL


class BuiltIn(Word):
    """What the runtime itself does when it is called like a tool."""

    PLAN = "plan"  # what was declared is the answer
    EXTRACT = "extract"  # a model without tools reads hidden text
    OUTPUT = "output"  # the run's output is given to its audience; no agent calls it


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltInOrigin:
    """A tool of the runtime itself.  No rule of a contract is about it, and it counts as a step alone."""

    name: BuiltIn


ToolOrigin = PythonOrigin | McpOrigin | BuiltInOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """How to ask the receiver whether a write happened.

    `args`: argument of the reconcile tool -> expression of the write's arguments (`args.order_id`).
    Either `match`: field of the answer -> expression that must equal it, or `done`: `file.py:function`, a pure
    function `(args, result) -> bool`.
    """

    tool: ToolName
    args: Mapping[str, str] = field(default_factory=dict)
    match: Mapping[str, str] = field(default_factory=dict)
    done: PythonOrigin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OncePer:
    """The same business act again, in other words or another run, is held."""

    keys: tuple[str, ...]
    within_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a call may be tried again, and on what; the effect class may forbid it all the same."""

    max: int = 0
    on: frozenset[str] = frozenset()  # timeout | 429 | 5xx | connect


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """What keeps a tool in trouble small, for each tenant in each process."""

    max_parallel: int = 32  # requests at once; more wait
    breaker_failures: int = 5  # in a row, then it rests
    breaker_rest_s: float = 30.0  # the first time; longer each time after
    retry_percent: int = 20  # retries in a hundred requests, beside the first ten


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One tool as the project declares it.  `schema_sha256` is over the canonical input and output schemas."""

    name: ToolName
    version: int
    origin: ToolOrigin
    effect: EffectClass
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None
    schema_sha256: Sha256
    source: SourceRef
    args: Mapping[str, ArgSpec] = field(default_factory=dict)
    idempotency_argument: str = ""  # the argument that carries the key; for `keyed` only
    reconcile: Reconcile | None = None
    once_per: OncePer | None = None
    cost: MicroUsd = MicroUsd(0)
    timeout_s: float = 10.0
    retries: Retries = Retries()
    # JSON pointer ("" = the whole answer) -> integrity; the longest prefix wins
    output_trust: Mapping[str, Integrity] = field(default_factory=dict)
    output_confidentiality: Confidentiality = Confidentiality.TENANT
    output_types: Mapping[str, str] = field(default_factory=dict)  # pointer -> semantic type, where the name is another
    endorse: Mapping[str, str] = field(default_factory=dict)  # pointer -> the type whose pattern makes it tenant-record
    environments: frozenset[EnvironmentName] = frozenset()  # empty: all
    credential: str = ""  # a secret:// reference
    scopes: tuple[str, ...] = ()  # what the credential needs
    cache_s: float = 0.0  # how long a read's answer may be used again
    limits: ToolLimits = ToolLimits()
    summary: str = ""
    amount_fact: str = ""  # "facts.refund_value": dollars that a threshold reads, beside any argument of role amount
    broad_because: str = ""

    def type_of(self, arg_name: str) -> str:
        """The semantic type of an argument: the declared one, else its name."""
        arg = self.args.get(arg_name)
        return arg.type if arg is not None and arg.type else arg_name
