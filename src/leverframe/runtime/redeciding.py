"""Deciding recorded calls again: the same inputs, under the pinned release, must give the same answer (I9).

Knows: which entries are decisions of policy, and where each of their inputs was recorded.  A decision whose values are
gone (retention, erasure) or were never recorded is undecidable, and counted apart.  Never: calls anything, writes
anything, or guesses a value.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from leverframe.core.canonical import decode
from leverframe.core.disclosures import open_, places_in
from leverframe.core.policy import CompiledPolicy, compile_contract, decide
from leverframe.core.policy.recorded import (
    NotRecordedError,
    OtherHistoryError,
    reason_json,
    recorded_model_question,
    recorded_question,
)
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import EvidenceBroken, NotFound
from leverframe.domain.evidence import Disclosure, EventType
from leverframe.domain.ids import EnvironmentName, PrincipalId, RunId, Sha256, TenantId, ToolName, WorkflowName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.policy import Allow, Decision, Deny, Hold, RunFacts
from leverframe.ports.releases import Releases
from leverframe.runtime.door.holding import BYTES_RULE
from leverframe.runtime.services import Services

_DECISIONS = frozenset({EventType.CALL_DECIDED.value, EventType.MODEL_CALLED.value})
_COMPARED = ("rule", "then", "source", "text", "is_unknown")


class Standing(StrEnum):
    """What came of deciding one call again."""

    SAME = "same"
    DIFFERENT = "different"
    UNDECIDABLE = "undecidable"
    NOT_POLICY = "not-policy"  # a clock or a person ended a hold, or other bytes were asked for: nothing to decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Redecided:
    """One recorded decision, decided again.  `why` says what differs, or what is missing."""

    run_id: RunId
    step: str
    entry_id: str
    call: str  # the tool or model
    recorded: str  # allow | hold | deny
    standing: Standing
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What is kept of one run: its entries in order, its values, and the files of its release."""

    run_id: RunId
    entries: Sequence[JsonObject]
    disclosures: Mapping[str, Disclosure]
    files: Mapping[str, bytes]


@dataclass(slots=True)
class Contracts:
    """The contracts of releases, each loaded once from the bytes that were kept."""

    releases: Releases
    _known: dict[tuple[str, str, str], tuple[Contract, CompiledPolicy]] = field(default_factory=dict)

    def of(self, started: JsonObject, files: Mapping[str, bytes]) -> tuple[Contract, CompiledPolicy]:
        """The contract that a run pinned, compiled.

        Raises:
            EvidenceBroken: its files are not kept, or do not load any more as they did.
        """
        workflow, digest = str(_detail(started).get("workflow")), str(started.get("release_digest"))
        key = workflow, str(started.get("environment")), digest
        if key not in self._known:
            contract = self.releases.contract(WorkflowName(workflow), EnvironmentName(key[1]), Sha256(digest), files)
            self._known[key] = contract, compile_contract(contract)
        return self._known[key]


async def redecide_all(
    services: Services, releases: Releases, tenant: TenantId, run_id: RunId | None
) -> AsyncIterator[Redecided]:
    """Decide every recorded call of one run, or of all runs of a tenant, again; in the order of the log.

    Raises:
        NotFound: there is no entry of that run.
    """
    contracts = Contracts(releases)
    run_ids = [run_id] if run_id is not None else await _runs_of(services, tenant)
    for one in run_ids:
        for found in redecide(await _record(services, tenant, one), contracts):
            yield found


def redecide(record: RunRecord, contracts: Contracts) -> list[Redecided]:
    """Decide every recorded call of one run again."""
    decisions = [entry for entry in record.entries if entry.get("type") in _DECISIONS]
    started = next((entry for entry in record.entries if entry.get("type") == EventType.RUN_STARTED.value), None)
    if started is None:
        return [_found(record, entry, Standing.UNDECIDABLE, "the run's first entry is not here") for entry in decisions]
    try:
        contract, policy = contracts.of(started, record.files)
    except EvidenceBroken as err:
        return [_found(record, entry, Standing.UNDECIDABLE, err.message) for entry in decisions]
    if contract.policy_digest != started.get("policy_digest"):
        why = "the release compiles to another policy than its run recorded"
        return [_found(record, entry, Standing.DIFFERENT, why) for entry in decisions]
    found = []
    for entry in decisions:
        try:
            found.append(_again(record, entry, started, contract, policy))
        except NotRecordedError as err:
            found.append(_found(record, entry, Standing.UNDECIDABLE, str(err)))
        except OtherHistoryError as err:
            found.append(_found(record, entry, Standing.DIFFERENT, str(err)))
    return found


def _again(
    record: RunRecord, entry: JsonObject, started: JsonObject, contract: Contract, policy: CompiledPolicy
) -> Redecided:
    recorded = _value(record, entry)
    call = str(recorded.get("tool") or recorded.get("model") or entry.get("tool") or "")
    is_model = entry.get("type") == EventType.MODEL_CALLED.value
    if not is_model and "tool" not in recorded:
        return _found(record, entry, Standing.NOT_POLICY, "a clock or a person ended the hold", call)
    if is_model and "unasked" in recorded:
        return _found(record, entry, Standing.NOT_POLICY, "refused as it came, before any rule was asked", call)
    if entry.get("rule") == BYTES_RULE:
        return _found(record, entry, Standing.NOT_POLICY, "other bytes were asked for than were frozen", call)
    if "by_policy_of" in recorded:
        why = "denied by the policy that the project had on that day, which this run's release does not hold"
        return _found(record, entry, Standing.UNDECIDABLE, why, call)
    run = _run_facts(record, started)
    if is_model:
        decision = decide(recorded_model_question(recorded, run), policy)
    else:
        spec = contract.tools.get(ToolName(call))
        decision = decide(recorded_question(recorded, run, spec, policy), policy)
    differs = _differs(entry, recorded, decision)
    return _found(record, entry, Standing.DIFFERENT if differs else Standing.SAME, differs, call)


def _differs(entry: JsonObject, recorded: JsonObject, decision: Decision) -> str:
    """What is another in the decision of now; empty where nothing is."""
    word, rule = _word(decision), decision.reasons[0].rule
    if (word, rule) != (entry.get("decision"), entry.get("rule")):
        return f"recorded {entry.get('decision')} by {entry.get('rule')}, decided now {word} by {rule}"
    kept = recorded.get("reasons")
    before = [_compared(one) for one in kept] if isinstance(kept, list) else []
    now = [_compared(reason_json(one)) for one in decision.reasons]
    if before != now:
        return f"the reasons differ: recorded {_texts(before)}, now {_texts(now)}"
    return ""


def _compared(reason: Json) -> tuple[Json, ...]:
    return tuple(reason.get(key) for key in _COMPARED) if isinstance(reason, Mapping) else ()


def _texts(reasons: Sequence[tuple[Json, ...]]) -> str:
    return "; ".join(f"{one[0]} ({one[2]}): {one[3]}" for one in reasons if one) or "none"


def _word(decision: Decision) -> str:
    match decision:
        case Allow():
            return "allow"
        case Hold():
            return "hold"
        case Deny():
            return "deny"
        case _:
            assert_never(decision)


def _run_facts(record: RunRecord, started: JsonObject) -> RunFacts:
    opened = _value(record, started)
    given, subject = opened.get("input"), opened.get("subject")
    return RunFacts(
        run_id=record.run_id,
        tenant=str(started.get("tenant")),
        environment=str(started.get("environment")),
        workflow=str(_detail(started).get("workflow")),
        initiator=PrincipalId(str(started.get("actor"))),
        subject=subject if isinstance(subject, str) and subject else None,
        input=given if isinstance(given, Mapping) else {},
    )


def _value(record: RunRecord, entry: JsonObject) -> JsonObject:
    """What an entry disclosed, whole.

    Raises:
        NotRecordedError: it is not kept any more, or a part of it is not.
    """
    sealed = entry.get("_sd")
    digest = str(sealed[0]) if isinstance(sealed, list) and sealed else ""
    top = record.disclosures.get(digest)
    if top is None:
        raise NotRecordedError(f"the values of {entry.get('type')} {entry.get('entry_id')} are not kept any more")
    if any(part not in record.disclosures for part in places_in(top.value_bytes)):
        raise NotRecordedError(f"a part of the values of {entry.get('entry_id')} is not kept any more")
    value = open_(top, record.disclosures, {})
    if not isinstance(value, dict):
        raise NotRecordedError(f"{entry.get('entry_id')} was recorded by a version that kept no inputs")
    return value


def _found(record: RunRecord, entry: JsonObject, standing: Standing, why: str, call: str = "") -> Redecided:
    return Redecided(
        run_id=record.run_id,
        step=str(entry.get("step", "")),
        entry_id=str(entry.get("entry_id", "")),
        call=call or str(entry.get("tool") or entry.get("model") or ""),
        recorded=str(entry.get("decision", "")),
        standing=standing,
        why=why,
    )


def _detail(entry: JsonObject) -> JsonObject:
    detail = entry.get("detail")
    return detail if isinstance(detail, dict) else {}


async def _runs_of(services: Services, tenant: TenantId) -> list[RunId]:
    """Every run that has an entry, in the order of its first."""
    found: dict[RunId, None] = {}
    first, size = 0, (await services.evidence.tree(tenant)).size
    while first < size:
        page = await services.evidence.leaves(tenant, first, _PAGE)
        if not page:
            break
        for leaf in page:
            run_id = _entry(leaf.leaf).get("run_id")
            if isinstance(run_id, str):
                found[RunId(run_id)] = None
        first = page[-1].index + 1
    return list(found)


_PAGE = 1_000


async def _record(services: Services, tenant: TenantId, run_id: RunId) -> RunRecord:
    leaves = await services.evidence.leaves_of_run(tenant, run_id)
    if not leaves:
        raise NotFound(f"There is no run {run_id!r} of {tenant!r}.", next_move="List them: leverframe runs list")
    entries = [_entry(one.leaf) for one in leaves]
    release = str(entries[0].get("release_digest", ""))
    return RunRecord(
        run_id=run_id,
        entries=entries,
        disclosures={one.digest: one for one in await services.evidence.disclosures_of_run(tenant, run_id)},
        files=await services.journal.artifacts(Sha256(release)),
    )


def _entry(leaf: bytes) -> JsonObject:
    value = decode(leaf)
    return value if isinstance(value, dict) else {}
