"""The answers to the five questions about a run or a call, as values.

Knows: what each answer consists of, and that a part that is not known says why.  Never: finds an answer; `why` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from leverframe.domain.approvals import Approval
from leverframe.domain.ids import ApprovalId, CallId, PrincipalId, RuleId, Sha256, StepPath, ToolName
from leverframe.domain.json import Json
from leverframe.domain.money import MicroUsd
from leverframe.domain.runs import Run, StepState
from leverframe.runtime.origins import Argument
from leverframe.runtime.verifying import Inclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the person asked: the contract's `intent`, or the whole input where it names none.

    `missing` says why there are no words.
    """

    words: str = ""
    field: str = ""  # "input.message"; "input" for all of it
    label: str = ""
    subject: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One unit of the run's budget."""

    used: int
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRuled:
    """What one rule decided on calls of a model.  `would`: how many of them are refused once that is enforced."""

    decision: str
    rule: RuleId
    source: str
    calls: int
    would: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """How often a model was asked for, and what it took.  `is_recorded`: a recording answered, no model did.

    `refused` calls were denied and never sent; `failed` are those that were sent and got no answer.
    """

    model: str
    calls: int
    failed: int
    refused: int
    ruled: tuple[ModelRuled, ...]
    input_tokens: int
    output_tokens: int
    cost: MicroUsd
    is_recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSeen:
    """A value that the door read itself before it decided.  `unreadable` says why it could not."""

    name: str
    value: Json
    integrity: str
    read_by: str  # the tool or function it comes from
    unreadable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSeen:
    """One answer of policy about a call, as its evidence entry says; a held call has another after its grant."""

    index: int
    decision: str
    rule: str
    source: str
    policy_digest: str
    text: str  # what the rule looked at; empty where the values are gone


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSeen:
    """One person's word.  `viewed_at` None: nobody recorded when they opened it."""

    principal: PrincipalId
    word: str
    at: datetime
    proof: str
    reason: str
    viewed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSeen:
    """What became of a held call.  `uses`: how many entries say that it was used."""

    approval: Approval
    answers: tuple[AnswerSeen, ...]
    uses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeen:
    """One tool call of a run: what it was, what it rested on, and what came of it.

    `missing` says why arguments and facts are not shown.
    """

    path: StepPath
    call_id: CallId
    tool: ToolName
    is_write: bool
    state: StepState
    error: str
    attempts: int
    sentence: str
    action_digest: Sha256
    arguments: tuple[Argument, ...]
    facts: tuple[FactSeen, ...]
    decisions: tuple[DecisionSeen, ...]
    approval: ApprovalSeen | None
    cost: MicroUsd
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedSeen:
    """What hygiene took out of one text: the input, an answer that the agent was shown, or the output."""

    of: str  # "input", a tool's name, "output"
    step: StepPath
    counts: tuple[str, ...]  # "zero-width=3"
    is_suspicious: bool  # something was hidden there


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsedSeen:
    """A person's word on one value that entered the run, at `place` ("input/note"; the step alone where it is gone)."""

    index: int
    place: str
    before: str
    integrity: str
    by: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSeen:
    """The plan that stands: of each tool the calls that were made and the most that it has.

    `outside`: calls that people let through beyond it.  `planner`: the lowest integrity of what its planner had seen.
    `granted`: the approvals under which it was declared or made wider.
    """

    tools: Mapping[ToolName, tuple[int, int]]
    outside: Mapping[str, int]
    planner: str
    step: StepPath
    declared: int
    granted: tuple[ApprovalId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """All answers about one run.  `focus` names the one call that was asked about; None: the whole run."""

    run: Run
    cost: MicroUsd
    active_s: float
    waited_s: float  # in which nothing of it ran
    has_asked: bool  # a person, of one of its calls at least
    asked: Asked
    calls: tuple[CallSeen, ...]
    models: tuple[ModelUse, ...]
    tool_calls: Spent
    first_index: int
    last_index: int
    inclusion: Inclusion
    focus: StepPath | None = None
    plan: PlanSeen | None = None
    removed: tuple[RemovedSeen, ...] = ()
    endorsed: tuple[EndorsedSeen, ...] = ()
