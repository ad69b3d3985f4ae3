"""Endorsing a value: a person says that one value which entered a run is to be trusted more.

Knows: who may, what may be endorsed, and what is recorded of it.  Never: changes a recorded label or answer, nor what
an agent is shown: the label of an equal argument is another from the next decision on, in every process.
"""

from dataclasses import dataclass
from typing import NoReturn

from leverframe.core.approvals import APPROVER_ROLE
from leverframe.core.disclosures import redaction_from, seal
from leverframe.core.endorsements import HIGHEST, Named, named_at
from leverframe.core.redaction import redaction_of
from leverframe.domain.authority import Authority, Endorsement
from leverframe.domain.contracts import Contract, Person
from leverframe.domain.errors import ApprovalRefused, NotFound, RefusedError, UsageError
from leverframe.domain.evidence import Disclosure, EntryDraft, EventType
from leverframe.domain.ids import RunId, StepPath
from leverframe.domain.labels import Integrity
from leverframe.domain.proposals import Proposal, PutEndorsement, RunIs
from leverframe.domain.runs import Run, RunState
from leverframe.runtime.advance import Runner
from leverframe.runtime.amending import Amendment, amend
from leverframe.runtime.eased import Entered, Record, eased_by, record_of, standing
from leverframe.runtime.resolving import PersonsWord
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import find_run

BY_A_PERSON = "person"
_WANTED = "labels-endorse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One value that entered a run: the step whose answer holds it (`input` for the input), and its JSON pointer."""

    step: StepPath
    pointer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """What was endorsed, and how trusted it was before."""

    endorsement: Endorsement
    pointer: str
    before: Integrity
    run: Run


async def endorse(runner: Runner, run_id: RunId, place: Place, integrity: Integrity, word: PersonsWord) -> Endorsed:
    """Endorse one value of a run that has not ended.

    Raises:
        NotFound: there is no such run, step or value.
        ApprovalRefused: this person may not; the attempt is recorded.
        RefusedError: the run has ended, or no argument could ever equal the value.
        UsageError: the value is that trusted already, or would be more than a user's.
        Contended: the run or the authority was changed by others just now.
    """
    services = runner.services
    run = await find_run(services, run_id)
    contract = await runner.pinned_contract(run)
    await _refuse_person(services, contract, run, word.person)
    if run.state is RunState.ENDED:
        raise RefusedError(
            f"Run {run_id!r} has ended: no call is decided in it any more.",
            next_move=f"See: leverframe why {run_id}",
        )
    if integrity > HIGHEST:
        raise UsageError(f"A value is endorsed up to {HIGHEST.word!r}, not {integrity.word!r}.", next_move="Say so.")
    record = await record_of(services, contract, run)
    entered, found = await _find(record, place)
    await services.authority.reload()
    eased = await eased_by(record, services.authority.current().endorsed(run_id))
    before, pairs = standing(record, entered, found, place.pointer, eased)
    _refuse_value(place, before, integrity, is_traced=bool(pairs))
    sealed = _seal(record, place, word)
    endorsement = Endorsement(
        run_id=run_id,
        tenant=run.tenant,
        step=place.step,
        integrity=integrity,
        value_digest=record.digest(place.step, found.value),
        detail_ref=sealed[0].digest,
        by=word.person.id,
        at=services.mint.now(),
    )
    made = Amendment(
        changes=(PutEndorsement(endorsement=endorsement),),
        event=EventType.LABEL_ENDORSED,
        detail={
            "reason": BY_A_PERSON,
            "before": before.word,
            "integrity": integrity.word,
            "value": endorsement.value_digest.hex()[:32],
        },
        disclosures=sealed,
        run=run,
        step=place.step,
        guards=(RunIs(run_id=run_id, state=run.state),),
    )

    def make(authority: Authority) -> Amendment:
        del authority  # what others endorse in this moment takes nothing from it
        return made

    await amend(services, run.tenant, word.person, word.proof, make)
    return Endorsed(endorsement=endorsement, pointer=place.pointer, before=before, run=run)


async def _find(record: Record, place: Place) -> tuple[Entered, Named]:
    run_id = record.run.run_id
    entered = await record.entered(place.step)
    if entered is None:
        raise NotFound(
            f"Nothing entered {run_id!r} at step {place.step!r}: it is no tool's good answer, and not 'input'.",
            next_move=f"Its steps: leverframe runs show {run_id}",
        )
    found = named_at(entered.value, place.pointer)
    if found is None:
        raise NotFound(
            f"The answer of step {place.step!r} of {run_id!r} has nothing at {place.pointer!r}; a JSON pointer, such as"
            " /orders/0/email, was expected.",
            next_move=f"Where values came from: leverframe why {run_id}/STEP",
        )
    return entered, found


def _refuse_value(place: Place, before: Integrity, integrity: Integrity, *, is_traced: bool) -> None:
    if not is_traced:
        raise RefusedError(
            f"What stands at {place.pointer!r} of step {place.step!r} is never traced: an object, a list, a boolean, a"
            " whole number or a nameless text; one text or fraction was expected.",
            next_move="Name one value within it; or answer the held call: leverframe approvals list",
        )
    if integrity <= before:
        raise UsageError(
            f"What stands at {place.pointer!r} of step {place.step!r} is {before.word!r} already; to call it"
            f" {integrity.word!r} raises nothing.",
            next_move="Nothing has to be done.",
        )


async def _refuse_person(services: Services, contract: Contract, run: Run, person: Person) -> None:
    """An approver of the tenant, and never who is behind the run: as with the answer to a held call."""
    if APPROVER_ROLE not in person.roles or run.tenant not in person.tenants:
        await _refuse(services, run, person, "not-an-approver", f"is no approver of {run.tenant!r}")
    if person.id == run.initiator:
        await _refuse(services, run, person, "is-initiator", "is the initiator of the run")
    asked = [rule.approval for rule in contract.rules if rule.approval is not None]
    if person.id == run.launcher and any("launcher" in one.distinct_from for one in asked):
        await _refuse(services, run, person, "is-launcher", "launched the run, whose contract wants another person")


async def _refuse(services: Services, run: Run, person: Person, code: str, text: str) -> NoReturn:
    entry = EntryDraft(
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        type=EventType.AUTH_REFUSED,
        tenant=run.tenant,
        environment=run.environment,
        run_id=run.run_id,
        actor=person.id,
        detail={"reason": code, "wanted": _WANTED},
    )
    await services.writer.commit(Proposal(tenant=run.tenant, entries=(entry,)))
    raise ApprovalRefused(
        f"{person.id!r} may not endorse a value of {run.run_id!r}: {person.id!r} {text}.",
        next_move="Ask another approver: `people` in leverframe.yaml, with `roles: [approver]`.",
    )


def _seal(record: Record, place: Place, word: PersonsWord) -> tuple[Disclosure, ...]:
    """Place and words, under what the run redacts: either may hold what others wrote."""
    services, run = record.services, record.run
    return seal(
        "endorsement",
        {"pointer": place.pointer, "because": word.because},
        redaction=redaction_from(redaction_of(record.contract.logging.redact_fields), record.kept.values()),
        salts=services.mint.salts(),
        token_key=services.fingerprints.fingerprint(run.tenant, "redaction-token", run.run_id.encode()),
    )
