"""The contract of the journal: runs, steps and the files of releases."""

import pytest

from leverframe.domain.ids import ApprovalId, RuleId, RunId, Sha256, WorkflowName
from leverframe.domain.money import MicroUsd
from leverframe.domain.proposals import OpenRun, PutArtifact, PutRun, PutStep, RunIs
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, RunState, StepKind, StepState
from leverframe.ports.store import RunFilter
from tests.store_samples import NOW, RUN, Bench, a_run, a_step, after, an_entry, new_step

FULL_STEP = a_step(
    "4.0.1",
    kind=StepKind.MODEL,
    state=StepState.OK,
    attempts=2,
    finished_at=after(1.5),
    action_digest=Sha256("b" * 64),
    decision="allow",
    rule=RuleId("small-refunds"),
    rule_source="workflows/refund_request.yaml:12",
    args_ref="args",
    result_ref="result",
    detail_ref="detail",
    approval_id=ApprovalId("apr_1"),
    idempotency_key="key",
    cost=MicroUsd(1_234),
    input_tokens=50,
    output_tokens=7,
    error="tool-failed",
    is_counted=False,
)
ENDED = a_run(
    state=RunState.ENDED,
    outcome=RunOutcome.HANDOFF,
    stop_reason="max_tool_calls",
    handoff_queue="refunds",
    ended_at=after(9),
    active_us=2_000_000,
    waited_us=7_000_000,
    item="tickets.jsonl:3",
    input_ref="input",
    output_ref="output",
    is_recorded_model=True,
)


def test_a_run_comes_back_as_it_was_written(bench: Bench) -> None:
    bench.open_run(ENDED)

    assert bench.do(bench.store.journal.run(RUN)) == ENDED


def test_an_unknown_run_is_none(bench: Bench) -> None:
    assert bench.do(bench.store.journal.run(RunId("run_9"))) is None


def test_a_second_run_of_the_same_id_is_raised_and_changes_nothing(bench: Bench) -> None:
    bench.open_run()

    with pytest.raises(ValueError, match="there already"):
        bench.propose(OpenRun(run=ENDED, windows=()))

    assert bench.do(bench.store.journal.run(RUN)) == a_run()


def test_a_run_is_replaced_only_out_of_the_expected_state(bench: Bench) -> None:
    bench.open_run()

    bench.commit(PutRun(run=ENDED, expect=RunState.OPEN))
    failed = bench.refuse(PutRun(run=a_run(state=RunState.PARKED), expect=RunState.OPEN))

    assert (failed.guard, failed.detail) == ("PutRun", "run run_1 is ended, expected open")
    assert bench.do(bench.store.journal.run(RUN)) == ENDED


def test_a_guard_on_the_runs_state_fails_with_what_it_found(bench: Bench) -> None:
    bench.open_run()

    bench.commit(new_step("1"), guards=(RunIs(run_id=RUN, state=RunState.OPEN),))
    parked = bench.refuse(new_step("2"), guards=(RunIs(run_id=RUN, state=RunState.PARKED),))
    absent = bench.refuse(new_step("3"), guards=(RunIs(run_id=RunId("run_9"), state=RunState.OPEN),))

    assert (parked.guard, parked.detail) == ("RunIs", "run run_1 is open, expected parked")
    assert absent.detail == "run run_9 is not there, expected open"
    assert [step.path for step in bench.do(bench.store.journal.steps(RUN))] == ["1"]


def test_runs_are_listed_newest_first_and_filtered(bench: Bench) -> None:
    for number, (workflow, state, item) in enumerate(
        [("triage", RunState.OPEN, ""), ("refund", RunState.OPEN, "a.jsonl:1"), ("refund", RunState.ENDED, "a.jsonl:2")]
    ):
        run = a_run(f"run_{number}", workflow=WorkflowName(workflow), state=state, item=item)
        bench.open_run(replace(run, opened_at=after(number)))

    def listed(wanted: RunFilter) -> list[str]:
        return [run.run_id for run in bench.do(bench.store.journal.runs(wanted))]

    assert listed(RunFilter()) == ["run_2", "run_1", "run_0"]
    assert listed(RunFilter(limit=1)) == ["run_2"]
    assert listed(RunFilter(workflow=WorkflowName("refund"))) == ["run_2", "run_1"]
    assert listed(RunFilter(state=RunState.OPEN)) == ["run_1", "run_0"]
    assert listed(RunFilter(item_prefix="a.jsonl:")) == ["run_2", "run_1"]
    assert listed(RunFilter(item_prefix="%")) == []


def test_a_step_comes_back_as_it_was_written(bench: Bench) -> None:
    bench.open_run()

    bench.commit(PutStep(step=FULL_STEP, expect=None))

    assert bench.do(bench.store.journal.steps(RUN)) == [FULL_STEP]


def test_steps_keep_the_order_in_which_they_were_first_written(bench: Bench) -> None:
    bench.open_run()
    for path in ("2", "10", "1"):
        bench.commit(new_step(path))

    done = a_step("10", state=StepState.OK, started_at=after(-60))
    bench.commit(PutStep(step=done, expect=frozenset({StepState.INTENDED})))

    assert [step.path for step in bench.do(bench.store.journal.steps(RUN))] == ["2", "10", "1"]
    assert bench.do(bench.store.journal.tool_call_count(RUN)) == 3
    assert bench.do(bench.store.journal.tool_call_count(RunId("run_other"))) == 0


def test_a_step_that_is_there_is_not_written_as_new(bench: Bench) -> None:
    bench.open_run()
    bench.commit(new_step("1"))

    failed = bench.refuse(new_step("1", state=StepState.OK))

    assert (failed.guard, failed.detail) == ("PutStep", "step 1 of run_1 is intended, expected absent")
    assert bench.do(bench.store.journal.steps(RUN)) == [a_step("1")]


@pytest.mark.parametrize(
    ("expect", "is_replaced"),
    [
        (frozenset({StepState.INTENDED}), True),
        (frozenset(StepState), True),
        (frozenset({StepState.HELD, StepState.STARTED}), False),
        (frozenset[StepState](), False),
    ],
)
def test_a_step_is_replaced_only_out_of_an_expected_state(
    bench: Bench, *, expect: frozenset[StepState], is_replaced: bool
) -> None:
    bench.open_run()
    bench.commit(new_step("1"))
    done = a_step("1", state=StepState.OK)

    outcome = bench.propose(PutStep(step=done, expect=expect))

    assert getattr(outcome, "guard", None) == (None if is_replaced else "PutStep")
    assert bench.do(bench.store.journal.steps(RUN)) == [done if is_replaced else a_step("1")]


def test_an_outcome_for_a_step_that_is_not_there_is_refused(bench: Bench) -> None:
    bench.open_run()

    failed = bench.refuse(PutStep(step=a_step("7"), expect=frozenset({StepState.INTENDED})))

    assert failed.detail == "step 7 of run_1 is absent, expected intended"


def test_a_step_of_no_run_is_raised(bench: Bench) -> None:
    with pytest.raises(ValueError, match="there already"):
        bench.propose(new_step("1"), entries=(an_entry("e1"),))

    assert bench.do(bench.store.evidence.leaves_of_run(a_run().tenant, RUN)) == []


def test_the_files_of_a_release_are_kept_once_and_found_by_its_digest(bench: Bench) -> None:
    release, other = Sha256("1" * 64), Sha256("2" * 64)
    kept = PutArtifact(release_digest=release, sha256=Sha256("c" * 64), name="prompts/a.md", content=b"\x00Hello")
    same_bytes = replace(kept, name="prompts/b.md")

    bench.commit(kept, same_bytes)
    bench.commit(kept)

    assert bench.do(bench.store.journal.artifacts(release)) == {
        "prompts/a.md": b"\x00Hello",
        "prompts/b.md": b"\x00Hello",
    }
    assert bench.do(bench.store.journal.artifacts(other)) == {}


def test_times_keep_their_microseconds(bench: Bench) -> None:
    exact = NOW.replace(microsecond=123_457)
    bench.open_run(a_run(opened_at=exact))

    found = bench.do(bench.store.journal.run(RUN))

    assert found is not None
    assert found.opened_at == exact
