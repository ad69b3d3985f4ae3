"""Whether the journal says what the evidence says: approvals, runs and steps against their entries.

Knows: which state of a row follows from which entries.  Whoever edits a row (grants an approval, revives a run, marks a
write as done) without the log is named here.  Never: says which of the two is right about the world.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from leverframe.domain.approvals import AnswerWord, ApprovalState
from leverframe.domain.ids import TenantId
from leverframe.domain.runs import RunState, StepKind, StepState
from leverframe.domain.time import from_us, rfc3339
from leverframe.ports.audit import EvidenceAudit, StoredApproval, StoredRun, StoredStep, Unreadable
from leverframe.runtime.agreeing_books import check_books
from leverframe.runtime.door.modelling import ABANDONED
from leverframe.sdk.report import Check, Leaf
from leverframe.sdk.told import CLOCK_SLACK

_MOVES: Mapping[str, ApprovalState] = {
    "approval.consumed": ApprovalState.CONSUMED,
    "approval.expired": ApprovalState.EXPIRED,
    "approval.cancelled": ApprovalState.CANCELLED,
    "approval.superseded": ApprovalState.SUPERSEDED,
    "approval.revoked": ApprovalState.REVOKED,
}
_WORDS = {"granted": AnswerWord.GRANT, "denied": AnswerWord.DENY}
# A read, or a model, that was lost is asked anew; the log says `unknown`, and the journal that it came to nothing.
_OUTCOMES: Mapping[str, frozenset[StepState]] = {
    "ok": frozenset({StepState.OK}),
    "error": frozenset({StepState.ERROR}),
    "unknown": frozenset({StepState.UNKNOWN, StepState.ERROR}),
}


_SETTLED = frozenset({"call.settled", "model.answered"})
_DECIDING = frozenset({"call.decided", "model.called"})
# Whose calls no rule counts.
_UNCOUNTED = frozenset({"door", "run"})
# The key is in the log from the announcement on.
_UNANNOUNCED = (StepState.HELD, StepState.DENIED)


@dataclass(slots=True, kw_only=True)
class _Told:
    """What the log says of one approval."""

    requested: Leaf
    state: ApprovalState = ApprovalState.PENDING
    answers: list[tuple[str, AnswerWord, str, str]] = field(default_factory=list)  # who, word, when, proof
    execute_by: str = ""


def check_journal(audit: EvidenceAudit, tenant: TenantId, entries: Sequence[Leaf], checks: Mapping[str, Check]) -> None:
    """Hold every row of a tenant's journal against the entries of its log."""
    approvals, runs, told = audit.approvals(tenant), audit.runs(tenant), _approvals(entries)
    for row in (one for one in approvals if isinstance(one, Unreadable)):
        checks["S3"].fail(f"the row of {row.key} in the journal cannot be read: {row.why}")
        told.pop(row.key, None)
    for row in (one for one in runs if isinstance(one, Unreadable)):
        checks["S6"].fail(f"the row of {row.key} in the journal cannot be read: {row.why}")
    _check_approvals([one for one in approvals if not isinstance(one, Unreadable)], told, checks["S3"])
    _check_runs([one for one in runs if not isinstance(one, Unreadable)], entries, checks["S6"])
    _check_steps(audit.steps(tenant), entries, checks["S1"])
    windows, reservations = audit.books(tenant)
    for row in (one for one in reservations if isinstance(one, Unreadable)):
        checks["S7"].fail(f"the row of {row.key} in the journal cannot be read: {row.why}")
    check_books(windows, [one for one in reservations if not isinstance(one, Unreadable)], entries, checks["S7"])


def _approvals(entries: Iterable[Leaf]) -> dict[str, _Told]:
    told: dict[str, _Told] = {}
    for entry in entries:
        approval_id, kind, detail = str(entry.get("approval_id", "")), entry.get("type"), _detail(entry)
        if kind == "approval.requested":
            told.setdefault(approval_id, _Told(requested=entry))
        one = told.get(approval_id)
        if one is None:
            continue
        if kind in _MOVES:
            one.state = _MOVES[str(kind)]
        elif kind == "approval.decided":
            word = _WORDS.get(str(detail.get("answer")))
            if word is not None:
                one.answers.append((str(entry.get("actor")), word, str(entry.get("at")), str(detail.get("proof"))))
            one.execute_by = str(detail.get("execute_by", one.execute_by))
            one.state = _after_answers(one)
    return told


def _after_answers(told: _Told) -> ApprovalState:
    if any(word is AnswerWord.DENY for _, word, _, _ in told.answers):
        return ApprovalState.DENIED
    granters = {who for who, word, _, _ in told.answers if word is AnswerWord.GRANT}
    quorum = _detail(told.requested).get("quorum", 1)
    return ApprovalState.GRANTED if len(granters) >= quorum else ApprovalState.PENDING


def _check_approvals(stored: Sequence[StoredApproval], told: Mapping[str, _Told], check: Check) -> None:
    rows = [one.approval for one in stored]
    for forged in (one.approval for one in stored if not one.is_tagged):
        check.fail(f"{forged.approval_id} does not carry the MAC of its row: something else than Leverframe wrote it")
    for row in rows:
        one = told.get(row.approval_id)
        if one is None:
            check.fail(f"{row.approval_id} is in the journal, and no entry asked for it")
            continue
        detail = _detail(one.requested)
        same = {
            "state": (row.state.value, one.state.value),
            "action digest": (row.action_digest, one.requested.get("action_digest")),
            "run": (row.run_id, one.requested.get("run_id")),
            "step": (row.path, one.requested.get("step")),
            "quorum": (row.requirement.quorum, detail.get("quorum")),
            "groups": (list(row.requirement.from_groups), detail.get("from")),
            "initiator": (row.initiator, detail.get("initiator")),
            "launcher": (row.launcher, detail.get("launcher")),
            "decide_by": (rfc3339(row.decide_by), detail.get("decide_by")),
            "execute_by": (rfc3339(row.execute_by) if row.execute_by is not None else "", one.execute_by),
            "answers": ([(a.principal, a.word, rfc3339(a.at), a.proof) for a in row.answers], one.answers),
        }
        wrong = [name for name, (journal, log) in same.items() if journal != log]
        if wrong:
            states = f" ({row.state.value}, the log says {one.state.value})" if "state" in wrong else ""
            check.fail(f"{row.approval_id} has another {', '.join(wrong)} in the journal than in the log{states}")
    for approval_id in told.keys() - {row.approval_id for row in rows}:
        check.fail(f"{approval_id} was asked for in the log and is not in the journal")


def _check_runs(stored: Sequence[StoredRun], entries: Iterable[Leaf], check: Check) -> None:
    rows = [one.run for one in stored]
    for forged in (one.run for one in stored if not one.is_tagged):
        check.fail(f"{forged.run_id} does not carry the MAC of its row: something else than Leverframe wrote it")
    started = {str(one.get("run_id")): one for one in entries if one.get("type") == "run.started"}
    ended = {str(one.get("run_id")): one for one in entries if one.get("type") == "run.ended"}
    committed: dict[str, set[str]] = {}
    for entry in entries:
        committed.setdefault(str(entry.get("run_id")), set()).update(entry.get("_sd", ()))
    for row in rows:
        first, last = started.get(row.run_id), ended.get(row.run_id)
        if first is None:
            check.fail(f"{row.run_id} is in the journal, and no entry says that it began")
            continue
        same = {
            "release": (row.release_digest, first.get("release_digest")),
            "policy": (row.policy_digest, first.get("policy_digest")),
            "initiator": (row.initiator, first.get("actor")),
            "launcher": (row.launcher, _detail(first).get("launcher")),
            "workflow": (row.workflow, _detail(first).get("workflow")),
            "kind": (row.kind, _detail(first).get("kind")),
            "environment": (row.environment, first.get("environment")),
            "beginning": (rfc3339(row.opened_at), first.get("at")),
            "input": (row.input_ref in first.get("_sd", ()), bool(row.input_ref)),
            "output": (row.output_ref in committed[row.run_id], bool(row.output_ref)),
            "time of its end": (rfc3339(row.ended_at) if row.ended_at else None, last.get("at") if last else None),
            "end": (row.state is RunState.ENDED, last is not None),
            "outcome": (row.outcome.value if row.outcome else None, last.get("outcome") if last else None),
        }
        wrong = [name for name, (journal, log) in same.items() if journal != log]
        if wrong:
            check.fail(f"{row.run_id} has another {', '.join(wrong)} in the journal than in the log")
    for run_id in started.keys() - {row.run_id for row in rows}:
        check.fail(f"{run_id} began in the log and is not in the journal")


@dataclass(slots=True, kw_only=True)
class _ToldStep:
    """What the log says of one step: all that its entries ever said of each, and what the last of them means."""

    states: frozenset[StepState] = frozenset()
    said: dict[str, set[object]] = field(default_factory=dict)
    last: dict[str, object] = field(default_factory=dict)
    settled: Leaf = field(default_factory=dict)
    decided_at: list[str] = field(default_factory=list)
    asker: object = ""

    def tell(self, entry: Leaf) -> None:
        """Take in its next entry."""
        if entry.get("type") == "approval.superseded":
            # The call was frozen anew: the question that people had is of other bytes, and no longer of this step.
            if self.last.get("approval_id") == entry.get("approval_id"):
                del self.last["approval_id"]
            return
        if entry.get("type") == "approval.revoked" and entry.get("action_digest") != self.last.get("action_digest"):
            # The same of a grant: the call was decided anew on other facts, and what it is now stands before this.
            return
        self.states = _states(entry) or self.states
        self.last |= entry
        if entry.get("type") in _SETTLED:
            self.settled = entry
        elif entry.get("type") == "model.called":
            self.settled = {}  # another candidate is asked
        detail = _detail(entry)
        facts = entry | {"rule_source": detail.get("rule_source")}
        for key in ("decision", "rule", "rule_source"):
            self.said.setdefault(key, set()).add(facts.get(key))
        if entry.get("type") in _DECIDING:
            self.decided_at.append(str(entry.get("at")))
            self.asker = detail.get("asker", self.asker)
        self.said.setdefault("_sd", set()).update(entry.get("_sd", ()))

    def differences(self, row: StoredStep) -> list[str]:
        """What the journal says otherwise."""
        last, said = self.last, self.said
        same = {
            "action": row.action_digest == last.get("action_digest", ""),
            "kind": row.kind in self._kinds,
            "name": row.name == self._name(row.name),
            "cost": self._took("cost_microusd", row.cost_microusd),
            "tokens": self._took("input_tokens", row.input_tokens) and self._took("output_tokens", row.output_tokens),
            "approval": row.approval_id == last.get("approval_id", ""),
            "idempotency key": row.state in _UNANNOUNCED or row.idempotency_key == last.get("idempotency_key", ""),
            "values": said["_sd"].issuperset(row.refs),
            "decision": row.decision in said["decision"],
            "rule": row.rule in said["rule"],
            "place of the rule": row.rule_source in said["rule_source"],
            "beginning": self._began(row),
            "end": self._ended(row),
            "error": self._erred(row.error),
            "count": row.is_counted == (self.asker not in _UNCOUNTED),
        }
        return [name for name, is_same in same.items() if not is_same]

    @property
    def _kinds(self) -> tuple[StepKind, ...]:
        is_model = "model" in self.last or self.last.get("type") == "model.called"
        return (StepKind.MODEL,) if is_model else (StepKind.TOOL, StepKind.FACT)

    def _began(self, row: StoredStep) -> bool:
        """Whether it began when it was decided; a call that is sent again after a crash does so later, unsaid."""
        began, last = _at(row.started_us), max(self.decided_at, default="")
        if began in self.decided_at or row.kind == StepKind.MODEL or not (began and last):
            return began in self.decided_at
        # The clock of the process that sends it again may be a little behind.
        try:
            return datetime.fromisoformat(last) - datetime.fromisoformat(began) < CLOCK_SLACK
        except (ValueError, TypeError):
            return False  # no entry of ours has such a time

    def _ended(self, row: StoredStep) -> bool:
        ended = None if row.finished_us is None else _at(row.finished_us)
        if self.settled:
            return ended == self.settled.get("at")
        # Of a model that our own loop was denied nothing was begun.
        return ended is None or (row.state == StepState.DENIED and ended in self.decided_at)

    def _erred(self, error: str) -> bool:
        said = _detail(self.settled).get("error", "")
        # Whoever finds a call of a model that nobody heard to its end calls it so, and the entry says `unknown`.
        is_lost = self.settled.get("outcome") == "unknown" and "model" in self.last
        return error == said or (is_lost and error == ABANDONED)

    def _name(self, unsaid: str) -> object:
        if "model" in self.last:
            return f"{self.last.get('provider')}/{self.last['model']}"
        return self.last.get("tool", unsaid)

    def _took(self, key: str, amount: int) -> bool:
        """Whether a step took what its last outcome says; of a model nobody heard to the end of, no entry says it.

        What never left took nothing.  One on its way is owed its bound, which no entry says either.
        """
        if not self.settled:
            return amount == 0 or not self.states.issubset(_UNANNOUNCED)
        is_said = key in self.settled or "model" not in self.last or self.settled.get("outcome") != "unknown"
        return not is_said or amount == self.settled.get(key, 0)


def _check_steps(rows: Sequence[StoredStep], entries: Iterable[Leaf], check: Check) -> None:
    told: dict[tuple[str, str], _ToldStep] = {}
    for entry in entries:
        key = str(entry.get("run_id", "")), str(entry.get("step", ""))
        if key in told or _states(entry):
            told.setdefault(key, _ToldStep()).tell(entry)
    for row in rows:
        one = told.pop((row.run_id, row.path), None)
        where = f"step {row.path} of {row.run_id}"
        if one is None:
            check.fail(f"{where} is in the journal, and no entry is of it")
        elif row.state not in one.states:
            said = " or ".join(sorted(one.states))
            check.fail(f"{where} is {row.state} in the journal, the log says {said}")
        elif wrong := one.differences(row):
            check.fail(f"{where} has another {', '.join(wrong)} in the journal than in the log")
    for run_id, path in told:
        check.fail(f"step {path} of {run_id} is in the log and not in the journal")


def _states(entry: Leaf) -> frozenset[StepState]:
    """What a step may be once this entry is its last; empty where an entry says nothing of it."""
    match entry.get("type"), entry.get("decision"):
        case ("call.decided" | "model.called", "deny"):
            return frozenset({StepState.DENIED})
        case "call.decided", "hold":
            return frozenset({StepState.HELD})
        case "call.decided", "allow":
            is_read = entry.get("effect_class") == "read"
            return frozenset({StepState.STARTED if is_read else StepState.INTENDED})
        case "model.called", "allow":
            return frozenset({StepState.STARTED})
        case "call.intended", _:
            return frozenset({StepState.INTENDED})
        case (("call.settled" | "model.answered"), _):
            return _OUTCOMES.get(str(entry.get("outcome")), frozenset())
        case _:
            return frozenset()


def _at(time_us: int) -> str:
    """A stored time as entries write it; empty for one that no clock ever showed."""
    try:
        return rfc3339(from_us(time_us))
    except OverflowError:
        return ""


def _detail(entry: Leaf) -> Leaf:
    detail = entry.get("detail")
    return detail if isinstance(detail, dict) else {}
