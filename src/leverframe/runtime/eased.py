"""What people endorsed in a run, as its labels.

Knows: that an endorsement counts for the very value that it was given for, found again in the run's record.  Never:
takes the word of a row alone: it carries a MAC, and its value must have the keyed hash that it names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from leverframe.core.canonical import encode
from leverframe.core.disclosures import open_
from leverframe.core.endorsements import HIGHEST, Named, named_at, traced_as
from leverframe.core.places import label_at, place_of
from leverframe.core.provenance import label_input, label_output
from leverframe.domain.authority import Authority, Endorsement
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import AuthorityForged
from leverframe.domain.evidence import Disclosure
from leverframe.domain.ids import StepPath, ToolName
from leverframe.domain.json import Json
from leverframe.domain.labels import INTEGRITY_WORDS, Integrity, Label
from leverframe.domain.runs import Run, StepKind, StepState
from leverframe.runtime.context import RunContext
from leverframe.runtime.entering import INPUT
from leverframe.runtime.services import Services

Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """All that entered a run at one step: a tool's good answer, or the input."""

    value: Json
    labels: Mapping[str, Label]
    types: Mapping[str, str]  # the tool's `output_types`


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The disclosures of a run, to find a value that entered it."""

    services: Services
    run: Run
    contract: Contract
    kept: Mapping[str, Disclosure]

    async def entered(self, path: StepPath) -> Entered | None:
        """What entered at a step; None where nothing did, or it is not kept any more."""
        contract, types = self.contract, self.services.types
        if path == INPUT:
            opened = self.opened(self.run.input_ref)
            recorded = opened if isinstance(opened, Mapping) else {}
            opener = INTEGRITY_WORDS.get(str(recorded.get("opener")), Integrity.THIRD_PARTY)
            labels = label_input(
                opener=opener, trust=contract.input_trust, confidentiality=contract.input_confidentiality
            )
            return Entered(value=recorded.get("input"), labels=labels, types={}) if recorded else None
        step = await self.services.journal.step(self.run.run_id, path)
        if step is None or step.kind is not StepKind.TOOL or step.state is not StepState.OK:
            return None
        spec = contract.tools.get(ToolName(step.name))
        if spec is None or step.error == "output-invalid" or step.result_ref not in self.kept:
            return None
        value = self.opened(step.result_ref)
        return Entered(value=value, labels=label_output(value, spec, step=path, types=types), types=spec.output_types)

    def opened(self, digest: str) -> Json:
        """A recorded value; None where it is gone."""
        top = self.kept.get(digest)
        return None if top is None else open_(top, self.kept, {})

    def digest(self, path: StepPath, value: Json) -> bytes:
        """The keyed hash by which a value of a step is endorsed."""
        said = encode([self.run.run_id, path, value])
        return self.services.fingerprints.fingerprint(self.run.tenant, "endorsement", said)


async def record_of(services: Services, contract: Contract, run: Run) -> Record:
    """Read what a run disclosed."""
    kept = await services.evidence.disclosures_of_run(run.tenant, run.run_id)
    return Record(services=services, run=run, contract=contract, kept={one.digest: one for one in kept})


async def eased_by(record: Record, endorsements: Iterable[Endorsement]) -> Mapping[tuple[str, str], Label]:
    """The label that an equal argument has at least, by type and normal form.

    Raises:
        AuthorityForged: what stands at the place of an endorsement is not the value that a person endorsed.
    """
    eased: dict[tuple[str, str], Label] = {}
    for one in endorsements:
        said, entered = record.opened(one.detail_ref), await record.entered(one.step)
        if not isinstance(said, Mapping) or entered is None:
            continue  # deleted since: nothing is eased
        pointer = str(said.get("pointer"))
        found = named_at(entered.value, pointer)
        if found is None or one.tenant != record.run.tenant or record.digest(one.step, found.value) != one.value_digest:
            raise AuthorityForged(
                f"Step {one.step} of {one.run_id!r} was changed outside of Leverframe: it holds another value than the"
                f" one that {one.by} endorsed.  No call of this run is decided.",
                next_move="Keep the database as it is, and find what else was changed: leverframe evidence verify",
            )
        secrecy = label_at(entered.labels, place_of(pointer)).confidentiality
        label = Label(integrity=min(one.integrity, HIGHEST), confidentiality=secrecy, origin=f"{one.step}{pointer}")
        for pair in _pairs(record, entered, found, pointer):
            old = eased.get(pair)
            eased[pair] = label if old is None or old.integrity < label.integrity else old
    return eased


def standing(
    record: Record, entered: Entered, found: Named, pointer: str, eased: Mapping[tuple[str, str], Label]
) -> tuple[Integrity, Pairs]:
    """How trusted a value is now, and under what it is traced."""
    pairs = _pairs(record, entered, found, pointer)
    known = [eased[pair].integrity for pair in pairs if pair in eased]
    return max([label_at(entered.labels, place_of(pointer)).integrity, *known]), pairs


async def learn_endorsements(ctx: RunContext, authority: Authority) -> None:
    """Bring a run's labels to what people have endorsed in it, where the authority is another one than last time.

    Raises:
        AuthorityForged: as `eased_by`.
    """
    if ctx.eased_under == authority.generation:
        return
    mine = authority.endorsed(ctx.run.run_id)
    eased = await eased_by(await record_of(ctx.services, ctx.contract, ctx.run), mine) if mine else {}
    ctx.values = replace(ctx.values, eased=eased)
    ctx.eased_under = authority.generation


def _pairs(record: Record, entered: Entered, found: Named, pointer: str) -> Pairs:
    return traced_as(found, pointer, record.services.types, entered.types)
