"""Runs: opened, taken up again, parked, ended.

Knows: how a run's row, windows and entries begin and end, and how its context is rebuilt from the journal.
Never: decides about a call; that is the door's.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from leverframe.core.agent_view import marker_of
from leverframe.core.canonical import encode
from leverframe.core.disclosures import redaction_from
from leverframe.core.policy import CompiledPolicy, compile_contract
from leverframe.core.provenance import bringing, index_input
from leverframe.core.redaction import learn, redaction_of
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import AuthorityForged, Contended, InputInvalid, NotFound
from leverframe.domain.evidence import Disclosure, EventType
from leverframe.domain.ids import (
    EnvironmentName,
    KeyId,
    PrincipalId,
    RunId,
    Sha256,
    StepPath,
    TenantId,
    ToolName,
)
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, Confidentiality, Integrity
from leverframe.domain.proposals import (
    Change,
    GuardFailed,
    OpenRun,
    Proposal,
    PutArtifact,
)
from leverframe.domain.runs import Run, RunState, Step, StepKind, StepState
from leverframe.ports.crash_points import crash_point
from leverframe.runtime.closing import put_run
from leverframe.runtime.context import RunContext, input_value
from leverframe.runtime.entering import enter_input, enter_result, enter_sent, enter_words
from leverframe.runtime.entries import run_entry, taken_out
from leverframe.runtime.run_limits import fresh_windows, is_of_a_key
from leverframe.runtime.schemas import schema_error
from leverframe.runtime.services import Services

SHARED = "@"  # begins a step's name that is the same in every worker
UNFINISHED = frozenset({StepState.HELD, StepState.STARTED, StepState.INTENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Who opens a run, and on what.

    `item` names the line of a file that a backfill works through; empty otherwise.  `is_outside`: the loop is not
    ours, so a held call does not park the run.
    """

    tenant: TenantId
    environment: EnvironmentName
    initiator: PrincipalId
    launcher: PrincipalId
    input: JsonObject
    subject: str | None = None  # given by whoever opens an outside agent's run; else read from the input
    opener_integrity: Integrity = Integrity.USER
    item: str = ""
    opened_with: KeyId | None = None  # the opener's key, where the initiator does not name it
    is_outside: bool = False
    inherits: Confidentiality = Confidentiality.PUBLIC  # what the opener has seen elsewhere, and could bring along
    is_bare: bool = False  # opened by an agent's own key: nobody gave an input or a subject, and none is asked for


async def open_run(services: Services, contract: Contract, opening: Opening) -> RunContext:
    """Open a run: its row, its windows, the bytes of its release, and `run.started`, in one transaction.

    Raises:
        InputInvalid: the input breaks the contract's schema, or lacks the subject that the contract names.
        Contended: another run that goes by the name in `item` has not ended.
    """
    _check_opening(contract, opening)
    subject = opening.subject or (None if opening.is_bare else _subject(contract, opening.input))
    now = services.mint.now()
    run = Run(
        run_id=services.mint.run_id(),
        tenant=opening.tenant,
        environment=opening.environment,
        workflow=contract.workflow,
        kind=contract.kind.value,
        release_digest=contract.release_digest,
        policy_digest=contract.policy_digest,
        initiator=opening.initiator,
        launcher=opening.launcher,
        opened_at=now,
        subject_digest=_subject_digest(services, opening.tenant, subject),
        item=opening.item,
    )
    ctx = _context(services, contract, run, given=opening.input, subject=subject, opener=opening.opener_integrity)
    ctx.values = bringing(ctx.values, opening.opener_integrity, opening.inherits)
    ctx.is_outside, ctx.opened_with = opening.is_outside, opening.opened_with
    sealed = _seal_input(ctx, opening, subject)
    ctx.run = run = replace(run, input_ref=sealed[0].digest)
    entry = run_entry(
        run,
        entry_id=services.mint.entry_id(),
        at=now,
        event=EventType.RUN_STARTED,
        detail={
            "workflow": run.workflow,
            "kind": run.kind,
            "launcher": run.launcher,
            **_opened_with(opening),
            **taken_out(ctx.input_removed),
        },
        disclosures=sealed,
    )
    changes: tuple[Change, ...] = (
        OpenRun(run=run, windows=fresh_windows(contract, ctx.window_id, is_a_task=not is_of_a_key(run))),
        *_artifacts(contract),
    )
    result = await services.writer.commit(Proposal(tenant=run.tenant, changes=changes, entries=(entry,)))
    if isinstance(result, GuardFailed):
        raise Contended(f"No run was opened: {result.detail}.", next_move="Use that one, or end it first.")
    crash_point("after_run_opened")
    return ctx


def _seal_input(ctx: RunContext, opening: Opening, subject: str | None) -> tuple[Disclosure, ...]:
    """The opener's integrity and key are kept with the input: a resumed run labels its values, and counts, alike."""
    return ctx.seal(
        "input",
        {
            "input": opening.input,
            "subject": subject,
            "opener": opening.opener_integrity.word,
            "outside": opening.is_outside,
            **_opened_with(opening),
            **({} if opening.inherits is Confidentiality.PUBLIC else {"inherits": opening.inherits.word}),
        },
    )


def _opened_with(opening: Opening) -> dict[str, str]:
    return {} if opening.opened_with is None else {"opened_with": opening.opened_with}


def _check_opening(contract: Contract, opening: Opening) -> None:
    complaint = "" if opening.is_bare else schema_error(contract.input_schema, opening.input)
    if complaint:
        raise InputInvalid(
            f"The input of workflow {contract.workflow!r} is not what its contract asks for: {complaint}.",
            next_move=f"The schema stands at `input:` in {contract.source.file}.",
        )
    if opening.environment not in contract.environments:
        known = ", ".join(contract.environments)
        raise InputInvalid(
            f"Workflow {contract.workflow!r} has no environment {opening.environment!r}; it has {known}.",
            next_move="Choose one with --environment.",
        )


async def take_up(
    services: Services, contract: Contract, run: Run, *, today: CompiledPolicy | None = None
) -> RunContext:
    """Rebuild a run's context from the journal, so that its loop can be run again from the start.

    `contract` is the one of the run's release.  A parked run becomes open again.

    Raises:
        AuthorityForged: its row names another person as its subject than its recorded input does.
    """
    payloads = {one.digest: one for one in await services.evidence.disclosures_of_run(run.tenant, run.run_id)}
    ctx = _rebuilt(services, contract, run, payloads, today=today)
    for step in await services.journal.steps(run.run_id):
        ctx.steps[step.path] = step
        _relearn(ctx, step)
    if run.state is RunState.PARKED:
        await _reopen(ctx)
    return ctx


async def take_up_lightly(
    services: Services, contract: Contract, run: Run, *, today: CompiledPolicy | None = None
) -> RunContext:
    """The same without any step and with no payload but the input: enough to pass model calls on in it."""
    given = await services.evidence.inputs(run.tenant, (run.run_id,))
    return _rebuilt(services, contract, run, given, today=today)


def _rebuilt(
    services: Services,
    contract: Contract,
    run: Run,
    payloads: Mapping[str, Disclosure],
    *,
    today: CompiledPolicy | None,
) -> RunContext:
    shell = _context(services, contract, run, given={}, subject=None, opener=Integrity.USER)
    shell.payloads = dict(payloads)
    opened = shell.payload(run.input_ref)
    recorded = opened if isinstance(opened, dict) else {}
    given = recorded.get("input")
    opener = Integrity[str(recorded.get("opener", "third-party")).upper().replace("-", "_")]
    subject = str(recorded["subject"]) if recorded.get("subject") else None
    if run.subject_digest != _subject_digest(services, run.tenant, subject):
        raise AuthorityForged(
            f"Run {run.run_id!r} was changed outside of Leverframe: its row has another subject than its sealed input.",
            next_move="Keep the database as it is, and find what else was changed: leverframe evidence verify",
        )
    ctx = _context(
        services,
        contract,
        run,
        given=given if isinstance(given, dict) else {},
        subject=subject,
        opener=opener,
    )
    inherits = CONFIDENTIALITY_WORDS.get(str(recorded.get("inherits")), Confidentiality.PUBLIC)
    ctx.values = bringing(ctx.values, opener, inherits)
    ctx.payloads = dict(payloads)
    # Also what arguments, facts and models taught, of which no value is indexed.
    ctx.redaction = redaction_from(ctx.redaction, payloads.values())
    ctx.today = today
    ctx.is_outside = recorded.get("outside") is True
    ctx.opened_with = KeyId(str(recorded["opened_with"])) if recorded.get("opened_with") else None
    return ctx


async def current(ctx: RunContext, path: StepPath) -> Step | None:
    """A step as the journal has it now.

    An outside agent's run is carried on by others as well: a grant executes its call in the process that gave it, and
    what has the same name in every worker may have been recorded by another.
    """
    step = ctx.steps.get(path)
    is_elsewhere = path.startswith(SHARED) if step is None else step.state in UNFINISHED
    # One row tells whether there is anything to learn; a long run has very many.
    if ctx.is_outside and is_elsewhere and await ctx.services.journal.step(ctx.run.run_id, path) != step:
        await catch_up(ctx)
    return ctx.steps.get(path)


async def learn_others(ctx: RunContext) -> None:
    """Learn what other processes did in this run, where there is anything to learn.

    A call that an agent asks for after it saw an answer is decided on the labels of that answer, whichever worker it
    came through: an answer is recorded before it is given.
    """
    journal, run_id = ctx.services.journal, ctx.run.run_id
    ours = [one for one in ctx.steps.values() if one.kind is StepKind.TOOL]
    is_behind = await journal.tool_call_count(run_id) != len(ours)
    for one in () if is_behind else [each for each in ours if each.state in UNFINISHED]:
        is_behind = is_behind or await journal.step(run_id, one.path) != one
    if is_behind:
        await catch_up(ctx)


async def catch_up(ctx: RunContext) -> None:
    """Learn what other processes did in this run since it was read."""
    moved = [one for one in await ctx.services.journal.steps(ctx.run.run_id) if ctx.steps.get(one.path) != one]
    if not moved:
        return
    kept = await ctx.services.evidence.disclosures_of_run(ctx.run.tenant, ctx.run.run_id)
    ctx.payloads.update((one.digest, one) for one in kept)
    ctx.redaction = redaction_from(ctx.redaction, kept)
    for step in moved:
        ctx.steps[step.path] = step
        _relearn(ctx, step)


async def find_run(services: Services, run_id: RunId) -> Run:
    """A run by its id.

    Raises:
        NotFound: there is none of that id.
    """
    run = await services.journal.run(run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id!r} here.", next_move="List them: leverframe runs list")
    return run


def _context(
    services: Services,
    contract: Contract,
    run: Run,
    *,
    given: JsonObject,
    subject: str | None,
    opener: Integrity,
) -> RunContext:
    redaction = redaction_of(contract.logging.redact_fields)
    ctx = RunContext(
        services=services,
        run=run,
        contract=contract,
        policy=compile_contract(contract),
        input=given,
        subject=subject,
        values=index_input(
            given,
            opener=opener,
            trust=contract.input_trust,
            types=services.types,
            confidentiality=contract.input_confidentiality,
        ),
        redaction=learn(redaction, given),
        token_key=services.fingerprints.fingerprint(run.tenant, "redaction-token", run.run_id.encode()),
        opener=opener,
        marker=marker_of(services.fingerprints.fingerprint(run.tenant, "marker", run.run_id.encode())),
        active_since=services.clock.monotonic(),
    )
    ctx.input_integrity = ctx.values.union.integrity
    enter_input(ctx)
    return ctx


def _relearn(ctx: RunContext, step: Step) -> None:
    """What a recorded call taught the run: where its values came from."""
    spec = ctx.contract.tools.get(ToolName(step.name)) if step.kind is StepKind.TOOL else None
    enter_sent(ctx, spec, step)
    if spec is None or step.result_ref not in ctx.payloads:
        return
    value = ctx.payload(step.result_ref)
    enter_words(ctx, spec, step, step.error, value)
    if step.state is StepState.OK and step.error != "output-invalid":
        enter_result(ctx, spec, step, value)


async def _reopen(ctx: RunContext) -> None:
    await put_run(ctx, replace(ctx.run, state=RunState.OPEN, stop_reason=""), expect=RunState.PARKED)


def _artifacts(contract: Contract) -> tuple[PutArtifact, ...]:
    """The files of the release, the manifest that its digest is over, and the policy that decides in it."""
    digests = {name: Sha256(hashlib.sha256(data).hexdigest()) for name, data in sorted(contract.artifacts.items())}
    manifest = encode([{"name": name, "sha256": digest} for name, digest in digests.items()])
    files = [(name, digests[name], contract.artifacts[name]) for name in digests]
    files.append(("manifest", contract.release_digest, manifest))
    if contract.policy_text:
        # By its digest, since the contract of each environment of a release has another one.
        files.append((f"policy:{contract.policy_digest}", contract.policy_digest, contract.policy_text))
    return tuple(
        PutArtifact(release_digest=contract.release_digest, sha256=digest, name=name, content=content)
        for name, digest, content in files
    )


def _subject(contract: Contract, given: JsonObject) -> str | None:
    if not contract.subject:
        return None
    value = input_value(given, contract.subject)
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise InputInvalid(
            f"Workflow {contract.workflow!r} takes its subject from {contract.subject!r}, which the input lacks.",
            next_move="Give it, or drop `subject:` from the contract.",
        )
    return str(value)


def _subject_digest(services: Services, tenant: TenantId, subject: str | None) -> bytes:
    return services.fingerprints.fingerprint(tenant, "subject", subject.encode()) if subject else b""
