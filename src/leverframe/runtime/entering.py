"""How a value enters a run: labelled, its parts known for later calls, and in the form in which an agent is shown it.

Knows: that what was cleaned is indexed beside what came, since an agent passes on what it saw; and that the form that
is shown is made again from the journal, the same for the same run.  Never: shows or sends anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from leverframe.core.agent_view import Source, Viewed, view
from leverframe.core.hygiene import Cleaned, clean_entry, is_suspicious
from leverframe.core.provenance import asked_with, index_result, label_input, label_output
from leverframe.domain.ids import StepPath
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity, Label, join
from leverframe.domain.policy import Then
from leverframe.domain.runs import Step
from leverframe.domain.tools import ToolSpec
from leverframe.runtime.context import RunContext, recorded_args

INPUT = StepPath("input")
# How a step ended whose words the receiver wrote.
REFUSED, UNKNOWN = "tool-refused", "effect-unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What became of a value that entered."""

    labels: Mapping[str, Label]
    viewed: Viewed


def enter_result(ctx: RunContext, spec: ToolSpec, step: Step, value: Json) -> Entered:
    """A tool's good answer, which the agent is shown."""
    path = step.path
    labels = label_output(value, spec, step=path, types=ctx.values.types)
    asked = asked_with(recorded_args(ctx, step))
    ctx.values = index_result(ctx.values, value, labels, step=path, spec=spec, asked=asked)
    source = Source(name=spec.name, schema=spec.output_schema, types=spec.output_types)
    viewed = _viewed(ctx, path, value, labels, source)
    if viewed.cleaned is not value:
        ctx.values = index_result(ctx.values, viewed.cleaned, labels, step=path, spec=spec, asked=asked)
    ctx.shown[path] = viewed.shown
    return Entered(labels=labels, viewed=viewed)


def enter_sent(ctx: RunContext, spec: ToolSpec | None, step: Step) -> None:
    """What an allowed write is sent with and nobody vouches for: where it is read back, it is nobody's again.

    By the labels that were recorded, so that every worker of the run says the same.
    """
    if spec is None or not spec.effect.is_write or step.decision != Then.ALLOW or step.args_ref not in ctx.payloads:
        return
    recorded = ctx.payload(step.args_ref)
    listed = recorded.get("labels") if isinstance(recorded, dict) else None
    told = {one.get("argument"): one.get("integrity") for one in listed or () if isinstance(one, dict)}
    args = recorded_args(ctx, step)
    theirs = [{name: value} for name, value in args.items() if told.get(name) == Integrity.THIRD_PARTY.word]
    ctx.values = replace(ctx.values, written=ctx.values.written | asked_with(*theirs))


def enter_words(ctx: RunContext, spec: ToolSpec, path: StepPath, words: str) -> Viewed:
    """Why a receiver refused, which the agent is shown: as trusted as its answers are, and it names no value."""
    label = label_output(None, spec, step=path)[""]
    ctx.values = replace(ctx.values, union=join((ctx.values.union, label)))
    cleaned = clean_entry(words) if ctx.contract.context.is_cleaned else Cleaned(text=words)
    ctx.is_suspicious = ctx.is_suspicious or cleaned.is_suspicious
    return Viewed(shown=words, cleaned=cleaned.text, removed=cleaned.removed)


def enter_input(ctx: RunContext) -> Entered:
    """The run's input, which is indexed already as it came."""
    labels = label_input(
        opener=ctx.opener, trust=ctx.contract.input_trust, confidentiality=ctx.contract.input_confidentiality
    )
    viewed = _viewed(ctx, INPUT, ctx.input, labels, Source(name=INPUT, schema=ctx.contract.input_schema))
    if viewed.cleaned is not ctx.input:
        ctx.values = index_result(ctx.values, viewed.cleaned, labels, step=INPUT)
    ctx.shown[INPUT], ctx.input_removed = viewed.shown, viewed.removed
    return Entered(labels=labels, viewed=viewed)


def token_shown(ctx: RunContext, name: str, token: Json) -> Json:
    """What a chain took out of an untrusted text, as its models are shown it."""
    labels = {"": Label(integrity=Integrity.THIRD_PARTY, origin=name)}
    return _viewed(ctx, StepPath(name), token, labels, Source(name=name)).shown


def _viewed(ctx: RunContext, path: StepPath, value: Json, labels: Mapping[str, Label], source: Source) -> Viewed:
    rules = ctx.contract.context

    def handle(place: str) -> str:
        return "h_" + ctx.fingerprint("handle", [ctx.run.run_id, path, place]).hex()[:24]

    viewed = view(
        value,
        labels,
        source,
        how=rules.untrusted,
        is_cleaned=rules.is_cleaned,
        marker=ctx.marker,
        handle=handle,
    )
    ctx.hidden.update(viewed.hidden)
    ctx.is_suspicious = ctx.is_suspicious or is_suspicious(viewed.removed)
    return viewed
