"""How a value enters a run: labelled, its parts known for later calls, and in the form in which an agent is shown it.

Knows: that what was cleaned is indexed beside what came, since an agent passes on what it saw; and that the form that
is shown is made again from the journal, the same for the same run.  Never: shows or sends anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from leverframe.core.agent_view import Source, Viewed, view
from leverframe.core.hygiene import Removed, clean_entry, is_suspicious
from leverframe.core.provenance import asked_with, index_result, label_input, label_output
from leverframe.domain.ids import StepPath
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity, Label, join
from leverframe.domain.policy import Then
from leverframe.domain.runs import Step, StepKind
from leverframe.domain.tools import McpOrigin, McpPart, ToolSpec
from leverframe.runtime.context import RunContext, recorded_args

INPUT = StepPath("input")
REFUSED, UNKNOWN = "tool-refused", "effect-unknown"
# How a step ended whose words the receiver wrote, all or in part: a server that ends says last words.  A person who
# settled an unknown call said so after its agent had read why.
_WORDS_OF_OTHERS = frozenset({REFUSED, UNKNOWN, "tool-unavailable", "did-not-happen"})
# What a server asks of the agent's side: the answer is the agent's.
_ASKED_OF_THE_AGENT = frozenset({McpPart.ELICITATION, McpPart.SAMPLING, McpPart.ROOTS})


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
    if isinstance(spec.origin, McpOrigin) and spec.origin.part in _ASKED_OF_THE_AGENT:
        # The server has it from the agent from now on, and may say it back in the answer to the call that it asked in.
        ctx.values = replace(ctx.values, written=ctx.values.written | asked_with(value))
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


def enter_words(ctx: RunContext, spec: ToolSpec, step: Step, error: str, value: Json) -> tuple[Removed, ...]:
    """Why a call came to nothing, which the agent is shown: as trusted as its answers are, and it names no value.

    Returns what hygiene takes out of it; nothing enters where the words are ours alone.
    """
    if step.kind is not StepKind.TOOL or error not in _WORDS_OF_OTHERS:
        return ()
    label = label_output(None, spec, step=step.path)[""]
    ctx.values = replace(ctx.values, union=join((ctx.values.union, label)))
    words = value.get("message") if isinstance(value, Mapping) else None
    removed = clean_entry(str(words or "")).removed if ctx.contract.context.is_cleaned else ()
    ctx.is_suspicious = ctx.is_suspicious or is_suspicious(removed)
    return removed


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
