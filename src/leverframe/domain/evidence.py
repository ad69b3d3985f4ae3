"""The evidence log as values: what an entry says, what is disclosed of it, how large the tree is.

Knows: the types of entries and the fields of a leaf.  Never: encodes, hashes or signs; that is `core.leaves`,
`core.merkle` and `core.notes`.  Which field each type carries is written in docs/evidence-record.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from leverframe.domain.ids import (
    ApprovalId,
    EntryId,
    EnvironmentName,
    PrincipalId,
    RuleId,
    RunId,
    Sha256,
    StepPath,
    TenantId,
    ToolName,
)
from leverframe.domain.labels import Integrity, Label
from leverframe.domain.money import MicroUsd
from leverframe.domain.words import Word

LEAF_VERSION = 1


class EventType(Word):
    """What an entry records.  A type never changes its meaning; see `EVENT_DOCS`."""

    LOG_OPENED = "log.opened"
    LOG_CLOSED = "log.closed"
    LOG_RECOVERED = "log.recovered"
    HEARTBEAT = "heartbeat"
    CONFIG_CHANGED = "config.changed"
    RUN_STARTED = "run.started"
    RUN_ENDED = "run.ended"
    RUN_AMENDED = "run.amended"
    RUN_GAP = "run.gap"
    MODEL_CALLED = "model.called"
    MODEL_ANSWERED = "model.answered"
    CALL_DECIDED = "call.decided"
    CALL_INTENDED = "call.intended"
    CALL_SETTLED = "call.settled"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_VIEWED = "approval.viewed"
    APPROVAL_DECIDED = "approval.decided"
    APPROVAL_CONSUMED = "approval.consumed"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_CANCELLED = "approval.cancelled"
    APPROVAL_SUPERSEDED = "approval.superseded"
    APPROVAL_REVOKED = "approval.revoked"
    BUDGET_RESERVED = "budget.reserved"
    BUDGET_SETTLED = "budget.settled"
    BUDGET_VOIDED = "budget.voided"
    BUDGET_OVERRUN = "budget.overrun"
    BUDGET_FORFEITED = "budget.forfeited"
    LABEL_ENDORSED = "label.endorsed"
    TOOL_DRIFTED = "tool.drifted"
    BUDGET_RAISED = "budget.raised"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    KILLSWITCH_SET = "killswitch.set"
    TOOL_PINNED = "tool.pinned"
    AUTH_REFUSED = "auth.refused"
    EXPORT_CREATED = "export.created"
    RETENTION_PRUNED = "retention.pruned"
    DISCLOSURE_ERASED = "disclosure.erased"


EVENT_DOCS: Mapping[EventType, str] = MappingProxyType(
    {
        EventType.LOG_OPENED: "A process began to write to the log.",
        EventType.LOG_CLOSED: "That process stopped in good order; until then a silence is a finding.",
        EventType.LOG_RECOVERED: "The log goes on from a backup, in a new epoch; names the head that was given up.",
        EventType.HEARTBEAT: "Nothing else happened for a while; the log was alive.",
        EventType.CONFIG_CHANGED: "Other files of the project are in force from here on; names their digests.",
        EventType.RUN_STARTED: "A run was opened: its release, its policy and everyone who counts as its initiator.",
        EventType.RUN_ENDED: "A run ended, with its outcome and its totals; no new call of that run follows.",
        EventType.RUN_AMENDED: "Somebody said afterwards what became of a run: reworked, refunded, a complaint.",
        EventType.RUN_GAP: "What happened in a run since may be lost; written when a backup was restored.",
        EventType.MODEL_CALLED: "A model call was decided, by which rule; where it was allowed it is about to be sent.",
        EventType.MODEL_ANSWERED: "A model call came back or failed: its outcome, tokens and cost.",
        EventType.CALL_DECIDED: "Policy answered for one call: allow, hold or deny, with rule and policy digest.",
        EventType.CALL_INTENDED: "A writing call is about to leave the process; durable before it does.",
        EventType.CALL_SETTLED: "A tool call came back: ok, error, or unknown where nobody can tell if it happened.",
        EventType.APPROVAL_REQUESTED: "A held call waits for people: how many, until when, over which action digest.",
        EventType.APPROVAL_VIEWED: "Someone who may answer opened the held call.",
        EventType.APPROVAL_DECIDED: "One person answered one held call: granted or denied.",
        EventType.APPROVAL_CONSUMED: "A granted approval was used for the call that it was given for.",
        EventType.APPROVAL_EXPIRED: "Nobody answered in time, or the grant was not used in time; the call never runs.",
        EventType.APPROVAL_CANCELLED: "The run went away before anyone answered.",
        EventType.APPROVAL_SUPERSEDED: "The call was frozen anew, so earlier answers no longer count.",
        EventType.APPROVAL_REVOKED: "A grant was taken back before it was used.",
        EventType.BUDGET_RESERVED: "The worst case of a call was set aside in its windows.",
        EventType.BUDGET_SETTLED: "A reservation became spending.",
        EventType.BUDGET_VOIDED: "A reservation was given back, as its call never left the process.",
        EventType.BUDGET_OVERRUN: "A vendor billed above the maximum it declared; the truth is in the books.",
        EventType.BUDGET_FORFEITED: "After a crash a window counts as used up to its last flushed bound.",
        EventType.LABEL_ENDORSED: "A person or a declared validator eased the label of a value.",
        EventType.TOOL_DRIFTED: "A tool answered or describes itself in another way than its specification says.",
        EventType.BUDGET_RAISED: "A person raised a budget for a while: by how much and until when.",
        EventType.KEY_CREATED: "An API key was made: for which workflows and environments, until when, by whom.",
        EventType.KEY_ROTATED: "An API key was replaced by another of its name; both work until the overlap ends.",
        EventType.KEY_REVOKED: "An API key was taken back; no call is made with it from here on.",
        EventType.KILLSWITCH_SET: "A kill switch was thrown or cleared: what it stops, where, and by whom.",
        EventType.AUTH_REFUSED: "Someone tried what they may not do, or with a key that is not good any more.",
        EventType.TOOL_PINNED: "A person reviewed a tool: its definition, or what it does to the world, is pinned.",
        EventType.EXPORT_CREATED: "A bundle was made: of what, and its sha256.",
        EventType.RETENTION_PRUNED: "Disclosures older than their retention were deleted; every proof still holds.",
        EventType.DISCLOSURE_ERASED: "Single disclosures were deleted on request; every proof still holds.",
    }
)


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """One salted value, stored apart from its leaf.  Made by `core.disclosures.seal`.

    `digest` is base64url(sha-256(base64url(JSON [salt, name, value]))), RFC 9901 section 4.2.3.  A redacted one is
    never shown or exported and stands in its parent as a placeholder; all others stand in the leaf's `_sd`.
    """

    digest: str
    salt: str  # base64url of 16 random bytes
    name: str
    value_bytes: bytes  # JSON, exactly as digested
    is_redacted: bool = False
    token: str = ""  # of redacted ones: equal within a run for equal values, meaningless elsewhere


class KeptValue(NamedTuple):
    """Where a disclosure is kept: with the entry that commits to it."""

    entry_id: EntryId
    digest: str


class WithheldReason(Word):
    """Why a disclosure is not in a bundle or no longer in the store."""

    REDACTED = "redacted"  # `redact_fields` of the contract
    CONTAINS_REDACTED = "contains-redacted"  # its text holds a value that was learned to be redacted only later
    RETENTION = "retention"  # a `retention.pruned` entry
    ERASED = "erased"  # a `disclosure.erased` entry
    OUT_OF_SCOPE = "out-of-scope"  # the export was asked for hashes only


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A disclosure that exists, or existed, and is not given."""

    digest: str
    name: str
    reason: WithheldReason
    token: str = ""


DetailValue = str | int | bool | tuple[str, ...]


class EntryDraft(msgspec.Struct, frozen=True, kw_only=True):
    """All that the runtime knows of an entry; the store's writer adds `run_seq` and the position in the tree.

    Every string here is logged in clear: an id, a hash or an enum without white space, at most 256 characters.
    Free text and personal values go into `disclosures`.  Empty and None mean absent.
    """

    entry_id: EntryId
    at: datetime
    type: EventType
    tenant: TenantId
    environment: EnvironmentName | None = None
    run_id: RunId | None = None
    step: StepPath | None = None
    cause: EntryId | None = None
    actor: PrincipalId | None = None
    actor_version: str = ""
    on_behalf_of: str = ""  # the pseudonym of the subject: an HMAC, never the name
    tool: ToolName | None = None
    tool_version: int | None = None
    tool_schema_sha256: Sha256 | None = None
    effect_class: str = ""
    action_digest: Sha256 | None = None
    idempotency_key: str = ""
    policy_digest: Sha256 | None = None
    rule: RuleId | None = None
    decision: str = ""  # allow | hold | deny
    labels: Label | None = None
    argument_labels: Mapping[str, Integrity] = msgspec.field(default_factory=dict)
    approval_id: ApprovalId | None = None
    release_digest: Sha256 | None = None
    provider: str = ""
    model: str = ""
    region: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_microusd: MicroUsd | None = None
    outcome: str = ""
    detail: Mapping[str, DetailValue] = msgspec.field(default_factory=dict)
    disclosures: tuple[Disclosure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeState:
    """The head of a tree: the roots of its perfect subtrees, largest first, one for each 1 bit of `size`."""

    size: int = 0
    frontier: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A tree head to be signed: `size` leaves whose RFC 6962 root is `root` (32 bytes).

    `at` is not signed: C2SP advises against extension lines, and the last entry's own time is in the tree.
    """

    origin: str
    size: int
    root: bytes
    at: datetime
