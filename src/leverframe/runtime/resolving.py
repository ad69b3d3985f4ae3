"""A person's word where no program can tell: whether a lost call happened, and that a run is over.

Knows: who may say so, and what is recorded of it: who, what they said, and why.  Never: sends anything; the run is
taken up by the caller.  The word settles the journal and the log; the money of the lost call was settled before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leverframe.core.approvals import APPROVER_ROLE
from leverframe.core.policy import compile_contract
from leverframe.core.provenance import index_input
from leverframe.core.redaction import redaction_of
from leverframe.domain.contracts import Contract, Person
from leverframe.domain.errors import Contended, NotFound, RefusedError
from leverframe.domain.evidence import DetailValue
from leverframe.domain.ids import RunId, StepPath, ToolName
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity
from leverframe.domain.money import MicroUsd
from leverframe.domain.proposals import GuardFailed, Proposal, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import Run, RunOutcome, RunState, Step, StepState
from leverframe.domain.tools import ToolSpec
from leverframe.runtime.advance import Runner
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.recording import Outcome
from leverframe.runtime.door.recovering import ok_outcome
from leverframe.runtime.entries import settled_entry
from leverframe.runtime.leftovers import finish_run
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import find_run

BY_HAND = "ended-by-hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsWord:
    """What a person says and why.  `proof` names how they proved who they are, e.g. `os-user`."""

    person: Person
    because: str
    proof: str


async def resolve(runner: Runner, run_id: RunId, path: StepPath, word: PersonsWord, *, happened: bool) -> None:
    """Settle a step of which nobody could tell whether it happened.

    Raises:
        NotFound: there is no such run or step.
        RefusedError: the step is not unknown, or this person may not say.
        Contended: another process advances the run just now.
    """
    services = runner.services
    with services.claims.claim(run_id) as is_ours:
        run = await find_run(services, run_id)
        _refuse_busy(run, is_ours=is_ours)
        _refuse_person(run, word.person)
        _refuse_step(run, path, await services.journal.steps(run_id))
        ctx = await runner.context(run)
        step = ctx.steps[path]
        spec = ctx.contract.tools[ToolName(step.name)]
        outcome = _outcome(ctx, step, spec, word, happened=happened)
        result = await services.writer.commit(_settlement(ctx, step, spec, outcome, word))
        if isinstance(result, GuardFailed):
            raise Contended(
                f"Step {path} of {run_id} was settled by someone else ({result.detail}); theirs stands.",
                next_move=f"See: leverframe runs show {run_id}",
            )


async def end_by_hand(runner: Runner, run_id: RunId, word: PersonsWord) -> Run:
    """End a run that nobody wants to go on; held calls of it never run.

    Works also where the run's recorded values are gone, which keeps it from being resumed.

    Raises:
        NotFound: there is no such run.
        RefusedError: it has ended, a call of it may be on its way, or this person may not end it.
        Contended: another process advances it just now.
    """
    services = runner.services
    with services.claims.claim(run_id) as is_ours:
        run = await find_run(services, run_id)
        _refuse_busy(run, is_ours=is_ours)
        if run.state is RunState.ENDED:
            raise RefusedError(f"Run {run_id!r} has ended already.", next_move=f"See: leverframe runs show {run_id}")
        _refuse_person(run, word.person)
        steps = {step.path: step for step in await services.journal.steps(run_id)}
        on_its_way = [step.path for step in steps.values() if step.state is StepState.INTENDED]
        if on_its_way:
            raise RefusedError(
                f"Step {on_its_way[0]} of {run_id!r} was sent and has no outcome yet; ending the run would lose it.",
                next_move=f"Let it be settled first: leverframe runs resume {run_id}",
            )
        ctx = _bare_context(services, await runner.pinned_contract(run), run, steps)
        output: Json = {"stopped_by": BY_HAND, "by": word.person.id, "proof": word.proof, "message": word.because}
        return await finish_run(ctx, RunEnd(outcome=RunOutcome.STOPPED, output=output, stop_reason=BY_HAND))


def _outcome(ctx: RunContext, step: Step, spec: ToolSpec, word: PersonsWord, *, happened: bool) -> Outcome:
    said: Json = {"done": True, "confirmed_by": word.person.id, "because": word.because}
    if happened:
        return ok_outcome(ctx, spec, step, said, how="by-a-person")
    text = f"{word.person.id} says that it did not happen: {word.because}"
    return Outcome(
        state=StepState.ERROR, value={"message": text}, error="did-not-happen", attempts=0, how="by-a-person"
    )


def _settlement(ctx: RunContext, step: Step, spec: ToolSpec, outcome: Outcome, word: PersonsWord) -> Proposal:
    """The step and its entry.  The entry costs nothing: what the call cost was in the entry that said `unknown`."""
    at = ctx.services.mint.now()
    sealed = ctx.seal("result", outcome.value)
    done = replace(step, state=outcome.state, finished_at=at, result_ref=sealed[0].digest, error=outcome.error)
    detail: dict[str, DetailValue] = {"attempts": done.attempts, "how": outcome.how, "proof": word.proof}
    if outcome.error:
        detail["error"] = outcome.error
    entry = settled_entry(
        ctx,
        at=at,
        step=done,
        spec=spec,
        outcome="ok" if outcome.state is StepState.OK else "error",
        cost=MicroUsd(0),
        labels=outcome.label,
        disclosures=sealed,
        detail=detail,
    )
    change = PutStep(step=done, expect=frozenset({StepState.UNKNOWN}))
    return Proposal(tenant=ctx.run.tenant, changes=(change,), entries=(replace(entry, actor=word.person.id),))


def _bare_context(services: Services, contract: Contract, run: Run, steps: dict[StepPath, Step]) -> RunContext:
    """A context that ends a run and does nothing else: its recorded input is not needed for that."""
    return RunContext(
        services=services,
        run=run,
        contract=contract,
        policy=compile_contract(contract),
        input={},
        subject=None,
        values=index_input({}, opener=Integrity.THIRD_PARTY, trust={}, types=services.types),
        redaction=redaction_of(contract.logging.redact_fields),
        token_key=services.fingerprints.fingerprint(run.tenant, "redaction-token", run.run_id.encode()),
        active_since=services.clock.monotonic(),
        steps=steps,
    )


def _refuse_busy(run: Run, *, is_ours: bool) -> None:
    if not is_ours:
        raise Contended(
            f"Another process advances {run.run_id!r} just now.", next_move="Wait for it, then run this command again."
        )


def _refuse_person(run: Run, person: Person) -> None:
    """An approver of the tenant, and never who is behind the run."""
    if person.id == run.initiator:
        raise RefusedError(
            f"{person.id!r} is behind {run.run_id!r} and may not speak for it.", next_move="Ask another."
        )
    if run.tenant not in person.tenants or APPROVER_ROLE not in person.roles:
        raise RefusedError(
            f"{person.id!r} is no approver of the tenant {run.tenant!r}.",
            next_move="Who is: `roles` under `people` in leverframe.yaml.",
        )


def _refuse_step(run: Run, path: StepPath, steps: Sequence[Step]) -> None:
    found = next((step for step in steps if step.path == path), None)
    if found is None:
        raise NotFound(
            f"Run {run.run_id!r} has no step {path!r}.", next_move=f"Its steps: leverframe runs show {run.run_id}"
        )
    if found.state is not StepState.UNKNOWN:
        raise RefusedError(
            f"Step {path} of {run.run_id!r} is {found.state.value}, and only an unknown one takes a person's word.",
            next_move=f"Its steps: leverframe runs show {run.run_id}",
        )
