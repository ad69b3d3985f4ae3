"""Runs and steps: the journal's rows as values.

A run is one execution of a workflow; a step is one durable unit of it, keyed `(run_id, path)`.  Resume re-reads
the steps instead of doing them again.  Source: docs/adr on the journal; docs/journal.md.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from leverframe.domain.ids import (
    ApprovalId,
    CallId,
    EnvironmentName,
    PrincipalId,
    RuleId,
    RunId,
    Sha256,
    StepPath,
    TenantId,
    WorkflowName,
)
from leverframe.domain.money import MicroUsd
from leverframe.domain.words import Word


class RunState(Word):
    """Whether a run can go on: open (someone may advance it), parked (waits for a person or resolution), ended."""

    OPEN = "open"
    PARKED = "parked"
    ENDED = "ended"


class RunOutcome(Word):
    """How a run ended."""

    SUCCESS = "success"
    HANDOFF = "handoff"  # its fallback gave it to a person
    STOPPED = "stopped"  # a stop condition without such a fallback
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a workflow.  `active_us` is wall time without the waits for people.

    `subject_digest` is a keyed hash (never leaves the store); `item` names the line of a `--file` it came from.
    `input_ref`, `output_ref` and `reason_ref` are digests of disclosures.
    """

    run_id: RunId
    tenant: TenantId
    environment: EnvironmentName
    workflow: WorkflowName
    kind: str
    release_digest: Sha256
    policy_digest: Sha256
    initiator: PrincipalId
    launcher: PrincipalId
    opened_at: datetime
    state: RunState = RunState.OPEN
    outcome: RunOutcome | None = None
    stop_reason: str = ""  # a slug or limit, e.g. "max_tool_calls"; never personal text
    handoff_queue: str = ""
    ended_at: datetime | None = None
    active_us: int = 0
    waited_us: int = 0
    subject_digest: bytes = b""
    item: str = ""
    input_ref: str = ""
    output_ref: str = ""
    is_recorded_model: bool = False  # its model answers came from a recording


class StepKind(Word):
    """What a step did."""

    TOOL = "tool"
    MODEL = "model"
    FACT = "fact"  # the door's own read
    RECONCILE = "reconcile"
    LOCAL = "local"  # parse and check steps of a chain


class StepState(Word):
    """Where a step stands."""

    HELD = "held"
    STARTED = "started"  # a read or model call is on its way
    INTENDED = "intended"  # a write is announced durably and may have left
    OK = "ok"
    ERROR = "error"  # the receiver refused, proven without effect
    UNKNOWN = "unknown"  # nobody can tell; a person resolves it
    DENIED = "denied"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One durable unit of a run.  `request_digest` is a keyed hash of the logical request.

    `args_ref`, `result_ref`: digests of the disclosures that hold the payloads (stored once, there).
    `is_counted`: it counts in the run's tool or model calls (the door's own reads do not).
    """

    run_id: RunId
    path: StepPath
    kind: StepKind
    name: str
    request_digest: bytes
    state: StepState
    started_at: datetime
    call_id: CallId
    attempts: int = 0
    finished_at: datetime | None = None
    action_digest: Sha256 = Sha256("")
    decision: str = ""
    rule: RuleId = RuleId("")
    rule_source: str = ""
    args_ref: str = ""
    result_ref: str = ""
    detail_ref: str = ""  # reasons of the decision, envelope and labels as one disclosure
    approval_id: ApprovalId = ApprovalId("")
    idempotency_key: str = ""
    cost: MicroUsd = MicroUsd(0)
    input_tokens: int = 0
    output_tokens: int = 0
    error: str = ""  # a slug
    is_counted: bool = True
