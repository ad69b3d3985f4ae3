"""Values that tests of the store build on, and the implementations that share one contract."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from leverframe.core import merkle
from leverframe.core.disclosures import digest_of
from leverframe.domain.approvals import Answer, AnswerWord, Approval, ApprovalState
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.conditions import HistoryKind, HistoryQuery, HistoryScope
from leverframe.domain.evidence import Disclosure, EntryDraft, EventType, TreeState
from leverframe.domain.ids import (
    ApprovalId,
    CallId,
    EntryId,
    EnvironmentName,
    PrincipalId,
    ReservationId,
    RuleId,
    RunId,
    Sha256,
    StepPath,
    TenantId,
    ToolName,
    WindowId,
    WorkflowName,
)
from leverframe.domain.policy import ApprovalRequirement, Reserve, SourceRef
from leverframe.domain.proposals import (
    AnswerApproval,
    Change,
    CommitResult,
    Committed,
    Guard,
    GuardFailed,
    HistoryLookup,
    OpenRun,
    Proposal,
    PutStep,
    TakeReserves,
)
from leverframe.domain.records import replace
from leverframe.domain.runs import Run, Step, StepKind, StepState
from leverframe.ports.signing import Signer
from leverframe.store import Store, open_sqlite
from tests.vaults import vault_beside

T = TypeVar("T")

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
REFUND = ToolName("issue_refund")
RUN = RunId("run_1")
WORKFLOW = WorkflowName("refund_request")
ACTION = Sha256("a" * 64)
SOURCE = SourceRef(file="workflows/refund_request.yaml", line=12)

Opener = Callable[[Path, Mapping[TenantId, Signer]], Store]


def _sqlite(folder: Path, signers: Mapping[TenantId, Signer]) -> Store:
    return open_sqlite(
        folder / "leverframe.db", create=True, vault=vault_beside(folder / "leverframe.db"), signers=signers
    )


# PostgreSQL joins here, and the contract suite stays as it is.
IMPLEMENTATIONS: Mapping[str, Opener] = {"sqlite": _sqlite}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An open store, a loop to run its coroutines in, and the few words that every test of it says."""

    store: Store
    runner: asyncio.Runner
    is_durable: bool = True

    # Any: a coroutine neither yields nor takes anything of interest to its runner.
    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def propose(
        self, *changes: Change, guards: tuple[Guard, ...] = (), entries: tuple[EntryDraft, ...] = ()
    ) -> CommitResult:
        proposal = Proposal(tenant=ACME, guards=guards, changes=changes, entries=entries, is_durable=self.is_durable)
        return self.do(self.store.writer.commit(proposal))

    def commit(
        self, *changes: Change, guards: tuple[Guard, ...] = (), entries: tuple[EntryDraft, ...] = ()
    ) -> Committed:
        outcome = self.propose(*changes, guards=guards, entries=entries)
        assert isinstance(outcome, Committed), outcome
        return outcome

    def refuse(
        self, *changes: Change, guards: tuple[Guard, ...] = (), entries: tuple[EntryDraft, ...] = ()
    ) -> GuardFailed:
        outcome = self.propose(*changes, guards=guards, entries=entries)
        assert isinstance(outcome, GuardFailed), outcome
        return outcome

    def open_run(self, run: Run | None = None, *windows: Window) -> Run:
        opened = a_run() if run is None else run
        self.commit(OpenRun(run=opened, windows=windows))
        return opened


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# Any: the fields of a Run, by name
def a_run(run_id: str = RUN, **changes: Any) -> Run:
    run = Run(
        run_id=RunId(run_id),
        tenant=ACME,
        environment=EnvironmentName("sandbox"),
        workflow=WORKFLOW,
        kind="agent",
        release_digest=Sha256("1" * 64),
        policy_digest=Sha256("2" * 64),
        initiator=PrincipalId("agent:refund_request"),
        launcher=PrincipalId("os:maria"),
        opened_at=NOW,
        subject_digest=b"subject 1",
    )
    return replace(run, **changes)


# Any: the fields of a Step, by name
def a_step(path: str = "1", **changes: Any) -> Step:
    step = Step(
        run_id=RUN,
        path=StepPath(path),
        kind=StepKind.TOOL,
        name=REFUND,
        request_digest=b"request",
        state=StepState.INTENDED,
        started_at=NOW,
        call_id=CallId(f"call_{path}"),
    )
    return replace(step, **changes)


# Any: the fields of a Step, by name
def new_step(path: str = "1", **changes: Any) -> PutStep:
    return PutStep(step=a_step(path, **changes), expect=None)


# Any: the fields of an Approval, by name
def an_approval(approval_id: str = "apr_1", **changes: Any) -> Approval:
    approval = Approval(
        approval_id=ApprovalId(approval_id),
        tenant=ACME,
        run_id=RUN,
        path=StepPath("1"),
        tool=REFUND,
        action_digest=ACTION,
        rules=(RuleId("big-refunds"), RuleId("first-refund")),
        requirement=ApprovalRequirement(
            from_groups=("finance",),
            quorum=2,
            distinct_from=frozenset({"initiator", "launcher"}),
            decide_within_s=600,
            execute_within_s=60,
            source=SOURCE,
        ),
        initiator=PrincipalId("agent:refund_request"),
        launcher=PrincipalId("os:maria"),
        selector_digest=b"selector",
        asked_at=NOW,
        decide_by=after(600),
        subject_digest=b"subject 1",
    )
    return replace(approval, **changes)


# Any: the fields of an Answer, by name
def an_answer(principal: str = "person:lena", word: AnswerWord = AnswerWord.GRANT, **changes: Any) -> Answer:
    answer = Answer(principal=PrincipalId(principal), word=word, at=after(5), reason="checked", proof="os-user")
    return replace(answer, **changes)


def answering(
    state: ApprovalState = ApprovalState.GRANTED,
    *,
    answer: Answer | None = None,
    approval_id: str = "apr_1",
    answers_before: int = 0,
) -> AnswerApproval:
    return AnswerApproval(
        approval_id=ApprovalId(approval_id),
        action_digest=ACTION,
        answer=an_answer() if answer is None else answer,
        answers_before=answers_before,
        state=state,
        execute_by=after(65) if state is ApprovalState.GRANTED else None,
    )


def a_window(limit: int = 10, unit: BudgetUnit = BudgetUnit.TOOL_CALLS, window_id: str = "run/run_1") -> Window:
    return Window(window_id=WindowId(window_id), unit=unit, limit=limit, source=SOURCE, key="max_tool_calls")


def taking(
    reservation_id: str, amount: int = 1, unit: BudgetUnit = BudgetUnit.TOOL_CALLS, window_id: str = "run/run_1"
) -> TakeReserves:
    return TakeReserves(
        reservation_id=ReservationId(reservation_id),
        run_id=RUN,
        path=StepPath("1"),
        reserves=(Reserve(window_id=WindowId(window_id), unit=unit.value, amount=amount),),
    )


# Any: the fields of an EntryDraft, by name
def an_entry(entry_id: str, **changes: Any) -> EntryDraft:
    draft = EntryDraft(entry_id=EntryId(entry_id), at=NOW, type=EventType.CALL_DECIDED, tenant=ACME, run_id=RUN)
    return replace(draft, **changes)


def a_disclosure(name: str = "reason", value_bytes: bytes = b'"late parcel"', salt: str = "c2FsdA") -> Disclosure:
    return Disclosure(digest=digest_of(salt, name, value_bytes), salt=salt, name=name, value_bytes=value_bytes)


# Any: the fields of a HistoryLookup, by name
def lookup(kind: HistoryKind = "count", scope: HistoryScope = "run", **changes: Any) -> HistoryLookup:
    asked = HistoryLookup(
        query=HistoryQuery(kind=kind, tool=REFUND, window_s=3600, scope=scope, arg="amount"),
        tenant=ACME,
        run_id=RUN,
        workflow=WORKFLOW,
        subject_digest=b"subject 1",
        value_digest=b"value",
        now=NOW,
        except_path=StepPath("99"),
    )
    return replace(asked, **changes)


async def assert_log_verifies(store: Store, tenant: TenantId = ACME) -> int:
    """The tree over the leaves as they are kept is the tree that the store grew; returns its size."""
    found = await store.evidence.leaves(tenant, 0, 1_000_000)
    hashes = [merkle.leaf_hash(one.leaf) for one in found]
    assert [one.index for one in found] == list(range(len(found)))
    assert await store.evidence.tree(tenant) == merkle.extend(TreeState(), hashes).state
    return len(found)
