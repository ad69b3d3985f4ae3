"""What a decision is asked: one call and everything the door read about it, frozen.

Knows: the inputs of `decide`.  They are recorded with the decision, so that it can be decided again.
Never: reads anything by itself, and never holds a clock: clocks of approvals and denials are judged by the caller.
Source: docs/reference/contract.md, "Meaning, where it matters".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from leverframe.domain.authority import KillSwitch
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.ids import ApprovalId, PrincipalId, RuleId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Label
from leverframe.domain.pins import Closed
from leverframe.domain.plans import PlanState
from leverframe.domain.policy import Fact, RunFacts
from leverframe.domain.tools import ToolSpec

# int for count, int or Decimal for sum, bool for seen; None or no answer is unknown
HistoryAnswers = Mapping[HistoryQuery, object]


class Asker(StrEnum):
    """On whose account a call is asked.

    AGENT: the agent's own call, asked for the first time; it counts in `max_tool_calls` and `max_steps`.
    REENTRY: the same call after its hold was granted; it was counted when it was held, and now reserves its money.
    RUN: the run's own output, on its way to its audience; it counts nowhere.
    DOOR: the door's own read for a fact or a reconcile; it counts nowhere, and its cost counts in `max_usd`.
    """

    AGENT = "agent"
    REENTRY = "reentry"
    RUN = "run"
    DOOR = "door"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedApproval:
    """A granted, unused approval of this very action digest, still within its execute clock.

    It satisfies the rules that the hold named and no other: a newly matching rule holds again.
    """

    approval_id: ApprovalId
    rules: frozenset[RuleId]


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyDenial:
    """An earlier denial of the same tool with the same selector and recipient values.

    `is_same_run`: the same run, which denies; else another run of that subject within 24 h, which holds.
    """

    approval_id: ApprovalId
    denied_by: PrincipalId
    denied_at: datetime
    is_same_run: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One tool call, as the door asks about it.

    Args:
        tool: the name that was asked for, known or not.
        spec: the tool as the release pins it; None where the contract does not know it.
        args: the parsed arguments; fractions are exact decimals.
        run: what conditions read as `run.*`.
        schema_error: why the arguments break the tool's input schema, with a JSON pointer; empty where they are valid.
        facts: every fact of `needed_facts`, known or unreadable; a missing one is unknown.
        history: an answer to every query of `needed_history`; a missing one is unknown.
        windows: the run's budget windows, as the door read them.
        cost: the worst case of the call per unit, counts included; what `asker` does not count is left out here.
        arg_labels: the label of each argument by name (`core.provenance.label_args`).
        closed: why the tool waits for a review of what its server offers; None where it is what was reviewed.
        granted: the approval under which the call is asked again.
        once_per_seen: whether the values of `once_per_values` were seen within the tool's `once_per`; None is unknown.
        denied_before: the latest sticky denial, if any.
        asker: on whose account.
        union: the join of all that the run has seen, the label of what its model writes; None: recorded before the
            default rules on labels were there, which are then not asked.
        killed: the kill switch that stops the call; then nothing else was looked at.
        is_suspicious: something was hidden in a text that the run has read; it can only raise caution.
        plan: where the run's plan stands; None where the contract asks for none.
    """

    tool: ToolName
    spec: ToolSpec | None
    args: JsonObject
    run: RunFacts
    schema_error: str = ""
    closed: Closed | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    history: HistoryAnswers = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    cost: Mapping[BudgetUnit, int] = field(default_factory=dict)
    arg_labels: Mapping[str, Label] = field(default_factory=dict)
    granted: GrantedApproval | None = None
    once_per_seen: bool | None = False
    denied_before: StickyDenial | None = None
    asker: Asker = Asker.AGENT
    union: Label | None = None
    killed: KillSwitch | None = None
    plan: PlanState | None = None
    is_suspicious: bool = False


class ModelQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """One model call: it is bounded by budgets, kill switches, and whether the contract has a model at all."""

    model: str  # "openai/gpt-5-mini"
    run: RunFacts
    windows: tuple[Window, ...] = ()
    cost: Mapping[BudgetUnit, int] = msgspec.field(default_factory=dict)
    killed: KillSwitch | None = None
