"""The write that is measured: one allowed writing call, as the door proposes it.

Two guards (the run is open, a history rule still holds), a reservation in three windows, a step, two values of history,
a business act, and two entries, of which the first has a sealed disclosure of about 900 bytes.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from leverframe.core.disclosures import seal
from leverframe.core.redaction import redaction_of
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.evidence import Disclosure, EntryDraft, EventType
from leverframe.domain.ids import (
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
from leverframe.domain.json import Json
from leverframe.domain.policy import Reserve
from leverframe.domain.proposals import (
    HistoryLookup,
    HistoryStill,
    OnceFree,
    OpenRun,
    Proposal,
    PutOnceKey,
    PutStep,
    PutValue,
    RunIs,
    TakeReserves,
)
from leverframe.domain.runs import Run, RunState, Step, StepKind, StepState

TENANT = TenantId("acme")
TOOL = ToolName("issue_refund")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
_UNITS = {BudgetUnit.USD: 2_000, BudgetUnit.TOOL_CALLS: 1, BudgetUnit.STEPS: 1}
_REASON = "The parcel came back with the seal unbroken; the customer asked for the money and not for a voucher. "


def open_run(name: str) -> Proposal:
    """A run with its three windows, wide enough for any measurement."""
    run = Run(
        run_id=RunId(f"run_{name}"),
        tenant=TENANT,
        environment=EnvironmentName("sandbox"),
        workflow=WorkflowName("refund_request"),
        kind="agent",
        release_digest=Sha256("1" * 64),
        policy_digest=Sha256("2" * 64),
        initiator=PrincipalId("agent:refund_request"),
        launcher=PrincipalId("os:maria"),
        opened_at=AT,
        subject_digest=name.encode(),
    )
    windows = tuple(Window(window_id=_window(name), unit=unit, limit=10**12) for unit in _UNITS)
    return Proposal(tenant=TENANT, changes=(OpenRun(run=run, windows=windows),))


def write(name: str, number: int, *, is_durable: bool = True) -> Proposal:
    """Write `number` of the run `name`."""
    run_id, path = RunId(f"run_{name}"), StepPath(str(number))
    # As ids are minted: they sort by time, whichever run they belong to.
    call = f"{number:012d}_{name}"
    lookup = HistoryLookup(
        query=HistoryQuery(kind="seen", tool=TOOL, window_s=60, scope="run", arg="order_id"),
        tenant=TENANT,
        run_id=run_id,
        workflow=WorkflowName("refund_request"),
        subject_digest=name.encode(),
        value_digest=b"never",
        now=datetime(2026, 3, 2, tzinfo=UTC),
        except_path=path,
    )
    once = OnceFree(tenant=TENANT, tool=TOOL, key_digest=call.encode(), since=AT, run_id=run_id, path=path)
    values = [
        PutValue(run_id=run_id, path=path, tool=TOOL, arg=arg, amount=amount, value_digest=os.urandom(32))
        for arg, amount in (("amount", 12_500_000), ("order_id", None))
    ]
    return Proposal(
        tenant=TENANT,
        guards=(
            RunIs(run_id=run_id, state=RunState.OPEN),
            HistoryStill(lookups=(lookup,), holds=lambda values: values[lookup.query] is False),
            once,
        ),
        changes=(
            TakeReserves(
                reservation_id=ReservationId(f"rsv_{call}"),
                run_id=run_id,
                path=path,
                reserves=tuple(
                    Reserve(window_id=_window(name), unit=unit.value, amount=amount) for unit, amount in _UNITS.items()
                ),
            ),
            PutStep(step=_step(run_id, path, call), expect=None),
            *values,
            PutOnceKey(run_id=run_id, path=path, tool=TOOL, key_digest=call.encode()),
        ),
        entries=_entries(run_id, path, call),
        is_durable=is_durable,
    )


def _entries(run_id: RunId, path: StepPath, call: str) -> tuple[EntryDraft, EntryDraft]:
    decided = EntryDraft(
        entry_id=EntryId(f"ent_{call}_a"),
        at=AT,
        type=EventType.CALL_DECIDED,
        tenant=TENANT,
        environment=EnvironmentName("sandbox"),
        run_id=run_id,
        step=path,
        actor=PrincipalId("agent:refund_request"),
        tool=TOOL,
        tool_version=3,
        tool_schema_sha256=Sha256("3" * 64),
        effect_class="keyed",
        action_digest=Sha256("4" * 64),
        policy_digest=Sha256("2" * 64),
        rule=RuleId("small-refunds"),
        decision="allow",
        detail={"asker": "agent", "rules": ("small-refunds",), "reservation": f"rsv_{call}"},
        disclosures=_sealed(call),
    )
    intended = EntryDraft(
        entry_id=EntryId(f"ent_{call}_b"),
        at=AT,
        type=EventType.CALL_INTENDED,
        tenant=TENANT,
        environment=EnvironmentName("sandbox"),
        run_id=run_id,
        step=path,
        cause=decided.entry_id,
        tool=TOOL,
        tool_version=3,
        effect_class="keyed",
        action_digest=Sha256("4" * 64),
        idempotency_key=f"idem_{call}",
    )
    return decided, intended


def _sealed(call: str) -> tuple[Disclosure, ...]:
    def salts() -> Iterator[bytes]:
        while True:
            yield os.urandom(16)

    value: Json = {"args": {"order_id": call, "amount": 12, "reason": _REASON * 6}, "rules": ["small-refunds"]}
    return seal("call", value, redaction=redaction_of([]), salts=salts(), token_key=b"k" * 32)


def _step(run_id: RunId, path: StepPath, call: str) -> Step:
    return Step(
        run_id=run_id,
        path=path,
        kind=StepKind.TOOL,
        name=TOOL,
        request_digest=os.urandom(32),
        state=StepState.INTENDED,
        started_at=AT,
        call_id=CallId(f"call_{call}"),
        action_digest=Sha256("4" * 64),
        decision="allow",
        rule=RuleId("small-refunds"),
        rule_source="workflows/refund_request.yaml:31",
        args_ref="x" * 43,
        idempotency_key=f"idem_{call}",
        is_counted=True,
    )


def _window(name: str) -> WindowId:
    return WindowId(f"run/run_{name}")
