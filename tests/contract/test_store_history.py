"""The contract of history: what counts, in which window and scope, and when nobody can know."""

from decimal import Decimal
from typing import Any

import pytest

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.conditions import HistoryScope
from leverframe.domain.ids import ApprovalId, RunId, StepPath, TenantId, ToolName, WorkflowName
from leverframe.domain.proposals import (
    HistoryLookup,
    HistoryStill,
    HistoryValues,
    MoveApproval,
    OnceFree,
    PutApproval,
    PutOnceKey,
    PutValue,
)
from leverframe.domain.records import replace
from leverframe.domain.runs import StepKind, StepState
from tests.store_samples import (
    ACME,
    GLOBEX,
    NOW,
    REFUND,
    RUN,
    Bench,
    a_run,
    after,
    an_approval,
    lookup,
    new_step,
)

SCOPES: tuple[HistoryScope, ...] = ("run", "subject", "workflow", "tenant")
ONCE = OnceFree(tenant=ACME, tool=REFUND, key_digest=b"order 1", since=after(-3600), run_id=RUN, path=StepPath("9"))


# Any: the fields of a Step, by name.
def call(bench: Bench, path: str, *, amount: int | None = 1_000_000, run_id: str = RUN, **changes: Any) -> None:
    """One refund, with its amount in millionths."""
    value = PutValue(
        run_id=RunId(run_id), path=StepPath(path), tool=REFUND, arg="amount", amount=amount, value_digest=b"value"
    )
    bench.commit(new_step(path, run_id=RunId(run_id), **changes), value)


def ask(bench: Bench, asked: HistoryLookup) -> object:
    return bench.do(bench.store.journal.history([asked]))[asked.query]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    ("state", "counts"),
    [
        (StepState.STARTED, True),
        (StepState.INTENDED, True),
        (StepState.OK, True),
        (StepState.UNKNOWN, True),
        (StepState.HELD, False),
        (StepState.DENIED, False),
        (StepState.ERROR, False),
    ],
)
def test_calls_in_flight_done_and_unknown_count_in_full(
    bench: Bench, scope: HistoryScope, state: StepState, *, counts: bool
) -> None:
    bench.open_run()
    call(bench, "1", state=state)

    found = [ask(bench, lookup(kind, scope)) for kind in ("count", "sum", "seen")]

    assert found == ([1, Decimal(1), True] if counts else [0, Decimal(0), False])


@pytest.mark.parametrize("scope", SCOPES)
def test_a_held_call_counts_from_its_grant_on(bench: Bench, scope: HistoryScope) -> None:
    bench.open_run()
    bench.commit(PutApproval(approval=an_approval()))
    call(bench, "1", state=StepState.HELD, approval_id=ApprovalId("apr_1"))
    pending = ask(bench, lookup("count", scope))

    for expect, to in [
        (ApprovalState.PENDING, ApprovalState.GRANTED),
        (ApprovalState.GRANTED, ApprovalState.REVOKED),
    ]:
        bench.commit(MoveApproval(approval_id=ApprovalId("apr_1"), expect=expect, to=to))
        if to is ApprovalState.GRANTED:
            granted = ask(bench, lookup("count", scope))

    assert (pending, granted, ask(bench, lookup("count", scope))) == (0, 1, 0)


def test_each_scope_reaches_as_far_as_it_says(bench: Bench) -> None:
    others = [
        a_run("run_2"),
        a_run("run_3", subject_digest=b"subject 2"),
        a_run("run_4", subject_digest=b"subject 2", workflow=WorkflowName("triage")),
        a_run("run_5", tenant=GLOBEX),
    ]
    for run in (a_run(), *others):
        bench.open_run(run)
        call(bench, "1", run_id=run.run_id)

    found = {scope: ask(bench, lookup("count", scope)) for scope in SCOPES}

    assert found == {"run": 1, "subject": 2, "workflow": 3, "tenant": 4}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("started_s", "counts"), [(-3601, False), (-3600, True), (0, True), (86_400, True)])
def test_the_window_looks_back_and_a_clock_that_jumped_frees_nothing(
    bench: Bench, scope: HistoryScope, started_s: float, *, counts: bool
) -> None:
    bench.open_run()

    call(bench, "1", started_at=after(started_s))

    assert ask(bench, lookup("count", scope)) == int(counts)


@pytest.mark.parametrize("scope", SCOPES)
def test_the_call_itself_other_tools_and_the_doors_own_reads_are_left_out(bench: Bench, scope: HistoryScope) -> None:
    bench.open_run()
    bench.open_run(a_run("run_2"))
    call(bench, "1")
    call(bench, "2", name=ToolName("lookup_order"))
    call(bench, "3", kind=StepKind.FACT)
    call(bench, "9")
    call(bench, "9", run_id="run_2")

    found = ask(bench, lookup("count", scope, except_path=StepPath("9")))

    assert found == (1 if scope == "run" else 2)


def test_sums_are_exact_beyond_64_bits(bench: Bench) -> None:
    bench.open_run()
    huge = 2**63 - 1
    for path in range(4):
        call(bench, str(path), amount=huge)
    call(bench, "4", amount=-1)

    assert ask(bench, lookup("sum")) == Decimal(4 * huge - 1) / 1_000_000


@pytest.mark.parametrize("amount", [None, 2**63])
def test_a_sum_over_an_amount_that_is_not_exact_is_unknown(bench: Bench, amount: int | None) -> None:
    bench.open_run()
    call(bench, "1")
    call(bench, "2", amount=amount)

    assert ask(bench, lookup("sum")) is None
    assert ask(bench, lookup("count")) == 2


def test_a_sum_over_a_call_that_never_named_the_argument_is_unknown(bench: Bench) -> None:
    bench.open_run()
    bench.commit(new_step("1"))

    assert ask(bench, lookup("sum")) is None


def test_a_call_decided_anew_replaces_its_value(bench: Bench) -> None:
    bench.open_run()
    call(bench, "1")

    bench.commit(
        PutValue(run_id=RUN, path=StepPath("1"), tool=REFUND, arg="amount", amount=2_500_000, value_digest=b"new value")
    )

    assert ask(bench, lookup("sum")) == Decimal("2.5")
    assert ask(bench, lookup("seen")) is False


@pytest.mark.parametrize("kind", ["count", "sum", "seen"])
def test_what_nobody_can_know_is_none(bench: Bench, kind: Any) -> None:  # Any: a literal of the query
    bench.open_run(a_run(subject_digest=b""))
    call(bench, "1")

    assert ask(bench, lookup(kind, "subject", subject_digest=b"")) is None
    assert ask(bench, lookup(kind, "key")) is None


def test_a_value_without_a_digest_was_neither_seen_nor_unseen(bench: Bench) -> None:
    bench.open_run()
    call(bench, "1")

    assert ask(bench, lookup("seen", value_digest=b"")) is None
    assert ask(bench, lookup("seen", value_digest=b"other")) is False


def test_the_guard_asks_again_inside_the_transaction(bench: Bench) -> None:
    bench.open_run()
    asked = lookup("count", "subject")

    def at_most_one(values: HistoryValues) -> bool:
        return values[asked.query] == 0

    guard = HistoryStill(lookups=(asked,), holds=at_most_one)
    bench.commit(new_step("1"), guards=(guard,))
    failed = bench.refuse(new_step("2"), guards=(guard,))

    assert failed.guard == "HistoryStill"
    assert ask(bench, asked) == 1


@pytest.mark.parametrize(
    ("state", "is_seen"),
    [(StepState.INTENDED, True), (StepState.UNKNOWN, True), (StepState.ERROR, False), (StepState.DENIED, False)],
)
def test_a_business_act_is_done_once(bench: Bench, state: StepState, *, is_seen: bool) -> None:
    bench.open_run()
    key = PutOnceKey(run_id=RUN, path=StepPath("1"), tool=REFUND, key_digest=b"order 1")
    bench.commit(new_step("1", state=state), key)

    outcome = bench.propose(new_step("9"), guards=(ONCE,))

    assert bench.do(bench.store.journal.once_seen(ONCE)) is is_seen
    assert getattr(outcome, "guard", None) == ("OnceFree" if is_seen else None)


@pytest.mark.parametrize(
    "other",
    [
        replace(ONCE, key_digest=b"order 2"),
        replace(ONCE, tool=ToolName("send_email")),
        replace(ONCE, tenant=TenantId("globex")),
        replace(ONCE, since=after(1)),
        replace(ONCE, path=StepPath("1")),
    ],
    ids=["another order", "another tool", "another tenant", "later", "the call itself"],
)
def test_another_act_is_another_act(bench: Bench, other: OnceFree) -> None:
    bench.open_run()
    key = PutOnceKey(run_id=RUN, path=StepPath("1"), tool=REFUND, key_digest=b"order 1")
    bench.commit(new_step("1", started_at=NOW), key)

    assert bench.do(bench.store.journal.once_seen(ONCE))
    assert not bench.do(bench.store.journal.once_seen(other))
