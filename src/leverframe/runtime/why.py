"""The five questions about one run or call: what was called, on what data, which rule, who approved, what it cost.

Knows: how journal, evidence and approvals answer them together.  Each part says what it knows, or why it knows nothing.
Never: shows a redacted value, and never takes the word of the journal for what the evidence says.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leverframe.core.canonical import decode
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import NotFound
from leverframe.domain.ids import ApprovalId, CallId, RunId, StepPath, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.money import MicroUsd
from leverframe.domain.runs import Run, RunState, Step, StepKind, StepState
from leverframe.ports.store import LoggedLeaf
from leverframe.runtime.answers import find_approval
from leverframe.runtime.origins import Argument, arguments_of, called_with
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import find_run
from leverframe.runtime.showing import RunValues, effect_sentence, values_of, word
from leverframe.runtime.verifying import check_inclusion
from leverframe.runtime.why_answers import (
    AnswerSeen,
    ApprovalSeen,
    Asked,
    CallSeen,
    DecisionSeen,
    FactSeen,
    ModelRuled,
    ModelUse,
    Spent,
    Why,
)
from leverframe.runtime.why_plan import endorsed_seen, plan_seen, removed_seen


async def why(services: Services, wanted: str) -> Why:
    """Explain a run, or one call of it.

    Args:
        services: the runtime's.
        wanted: `run_…`, `run_…/2.0` (a step of it), `call_…`, or `apr_…`.

    Raises:
        NotFound: there is no such thing.
    """
    run, focus = await _find(services, wanted)
    steps = await services.journal.steps(run.run_id)
    if focus is not None and not any(step.path == focus for step in steps):
        raise NotFound(
            f"Run {run.run_id!r} has no step {focus!r}.", next_move=f"Its steps: leverframe runs show {run.run_id}"
        )
    leaves = await services.evidence.leaves_of_run(run.tenant, run.run_id)
    told = _Told(
        services=services,
        run=run,
        contract=services.project.contract_in(run.workflow, run.environment)
        or services.project.contracts.get(run.workflow),
        values=await values_of(services, run),
        steps=steps,
        entries=tuple((leaf.index, _entry(leaf)) for leaf in leaves),
    )
    windows = {window.unit.value: window for window in await services.journal.windows(run.run_id)}
    ended = run.state is RunState.ENDED
    active_s = (run.active_us if ended else windows["wall_us"].settled) / 1_000_000
    total_s = ((run.ended_at or services.mint.now()) - run.opened_at).total_seconds()
    calls = [step for step in steps if step.kind is StepKind.TOOL and focus in (None, step.path)]
    counted = windows["tool_calls"]
    made = tuple([await told.call(step) for step in calls])
    origins = {one.origin for call in made for one in call.arguments}
    endorsed = endorsed_seen(told.entries, told.values)
    return Why(
        run=run,
        cost=MicroUsd(windows["usd"].settled),
        active_s=active_s,
        waited_s=max(0.0, total_s - active_s),
        has_asked=any(step.approval_id for step in steps),
        asked=told.asked(),
        calls=made,
        models=told.models(focus),
        tool_calls=Spent(used=counted.settled, limit=counted.limit if counted.key and counted.limit < 2**53 else None),
        first_index=leaves[0].index if leaves else -1,
        last_index=leaves[-1].index if leaves else -1,
        inclusion=await check_inclusion(services, run.tenant, leaves),
        focus=focus,
        plan=plan_seen(steps, told.values),
        removed=removed_seen(entry for _, entry in told.entries if focus in (None, entry.get("step"))),
        endorsed=tuple(one for one in endorsed if focus is None or one.place in origins),
    )


async def _find(services: Services, wanted: str) -> tuple[Run, StepPath | None]:
    name, _, path = wanted.partition("/")
    if name.startswith("apr_"):
        approval = await find_approval(services, ApprovalId(name))
        return await find_run(services, approval.run_id), approval.path
    if name.startswith("call_"):
        step = await services.journal.step_of_call(CallId(name))
        if step is None:
            raise NotFound(f"There is no call {name!r} here.", next_move="A run's calls: leverframe runs show RUN")
        return await find_run(services, step.run_id), step.path
    return await find_run(services, RunId(name)), StepPath(path) if path else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What was recorded of a run, while it is put together."""

    services: Services
    run: Run
    contract: Contract | None
    values: RunValues
    steps: Sequence[Step]
    entries: tuple[tuple[int, JsonObject], ...]

    def asked(self) -> Asked:
        """The person's words, from the disclosed input."""
        recorded = self.values.fields(self.run.input_ref)
        if not recorded:
            return Asked(missing=self._gone("the input"))
        given = recorded.get("input")
        field = self.contract.ask if self.contract is not None else ""
        words = _at(given, field) if field else given
        if words is None:
            return Asked(subject=_text(recorded.get("subject")), missing=f"the input has no {field}")
        return Asked(
            words=words if isinstance(words, str) else _text(words),
            field=field or "input",
            label=self._label(field, str(recorded.get("opener", ""))),
            subject=_text(recorded.get("subject")),
        )

    def models(self, focus: StepPath | None) -> tuple[ModelUse, ...]:
        """The model calls by model, in the order of their first one; one of them alone where that was asked about."""
        asked: dict[str, list[Step]] = {}
        steps = [step for step in self.steps if step.kind is StepKind.MODEL]
        for step in [one for one in steps if one.path == focus] or steps:
            asked.setdefault(step.name, []).append(step)
        recorded = {
            f"{entry.get('provider')}/{entry.get('model')}"
            for _, entry in self.entries
            if entry.get("type") == "model.answered" and _detail(entry).get("recorded") is True
        }
        return tuple(
            ModelUse(
                model=name,
                calls=len(steps),
                failed=sum(step.state not in {StepState.OK, StepState.DENIED} for step in steps),
                refused=sum(step.state is StepState.DENIED for step in steps),
                ruled=self._ruled(steps),
                input_tokens=sum(step.input_tokens for step in steps),
                output_tokens=sum(step.output_tokens for step in steps),
                cost=MicroUsd(sum(step.cost for step in steps)),
                is_recorded=name in recorded,
            )
            for name, steps in asked.items()
        )

    def _ruled(self, steps: Sequence[Step]) -> tuple[ModelRuled, ...]:
        """The rules that decided on model calls, with how many each."""
        observed = {
            entry.get("step")
            for _, entry in self.entries
            if entry.get("type") == "model.called" and _detail(entry).get("would") is not None
        }
        counts = Counter((step.decision, step.rule, step.rule_source) for step in steps if step.decision)
        would = Counter((step.decision, step.rule, step.rule_source) for step in steps if step.path in observed)
        return tuple(
            ModelRuled(decision=one[0], rule=one[1], source=one[2], calls=count, would=would[one])
            for one, count in counts.items()
        )

    async def call(self, step: Step) -> CallSeen:
        """One tool call with everything it rested on."""
        spec = self.contract.tools.get(ToolName(step.name)) if self.contract is not None else None
        recorded = self.values.fields(step.args_ref)
        envelope = recorded.get("envelope")
        frozen: JsonObject = envelope if isinstance(envelope, Mapping) else {}
        args = called_with(recorded)
        return CallSeen(
            path=step.path,
            call_id=step.call_id,
            tool=ToolName(str(recorded.get("tool", step.name))),
            is_write=self._is_write(step),
            state=step.state,
            error=step.error,
            attempts=step.attempts,
            sentence=effect_sentence(spec, step.name, args) if recorded else step.name,
            action_digest=step.action_digest,
            arguments=self._arguments(args, recorded.get("labels")),
            facts=self._facts(frozen.get("facts")),
            decisions=tuple(self._decisions(step)),
            approval=await self._approval(step),
            cost=step.cost,
            missing="" if recorded else self._gone("what it was called with"),
        )

    def _is_write(self, step: Step) -> bool:
        effects = [entry["effect_class"] for _, entry in self.entries_of(step) if "effect_class" in entry]
        return any(effect != "read" for effect in effects)

    def entries_of(self, step: Step) -> tuple[tuple[int, JsonObject], ...]:
        """The evidence entries of one step, in order."""
        return tuple((index, entry) for index, entry in self.entries if entry.get("step") == step.path)

    def _arguments(self, args: JsonObject, labels: Json) -> tuple[Argument, ...]:
        steps = {step.path: step for step in self.steps}
        return arguments_of(args, labels, steps, lambda step: self.values.fields(step.args_ref))

    def _facts(self, facts: Json) -> tuple[FactSeen, ...]:
        found = []
        for name, fact in facts.items() if isinstance(facts, Mapping) else ():
            known: JsonObject = fact if isinstance(fact, Mapping) else {}
            spec = self.contract.facts.get(name) if self.contract is not None else None
            read_by = getattr(spec, "tool", "") or str(getattr(getattr(spec, "function", None), "function", ""))
            found.append(
                FactSeen(
                    name=name,
                    value=known.get("value"),
                    integrity=_text(known.get("integrity")),
                    read_by=read_by,
                    unreadable=_text(known.get("unreadable")),
                )
            )
        return tuple(found)

    def _decisions(self, step: Step) -> list[DecisionSeen]:
        found = []
        for index, entry in self.entries_of(step):
            if entry["type"] != "call.decided":
                continue
            sealed = entry.get("_sd")
            digests = [str(one) for one in sealed] if isinstance(sealed, list) else []
            reasons = [self.values.fields(digest).get("reasons") for digest in digests]
            found.append(
                DecisionSeen(
                    index=index,
                    decision=str(entry["decision"]),
                    rule=_text(entry.get("rule")),
                    source=_text(_detail(entry).get("rule_source")),
                    policy_digest=_text(entry.get("policy_digest")),
                    text="; ".join(_reason_text(one) for one in reasons if one),
                )
            )
        return found

    async def _approval(self, step: Step) -> ApprovalSeen | None:
        if not step.approval_id:
            return None
        approval = await find_approval(self.services, step.approval_id)
        uses = sum(
            entry["type"] == "approval.consumed" and entry.get("approval_id") == approval.approval_id
            for _, entry in self.entries
        )
        answers = tuple(
            AnswerSeen(
                principal=one.principal,
                word=one.word.value,
                at=one.at,
                proof=one.proof,
                reason=self.values.text(one.reason),
                viewed_at=one.viewed_at,
            )
            for one in approval.answers
        )
        return ApprovalSeen(approval=approval, answers=answers, uses=uses)

    def _label(self, field: str, opener: str) -> str:
        trust = self.contract.input_trust if self.contract is not None else {}
        parts = field.split(".")[1:]
        level = trust.get(".".join(parts)) or trust.get("/" + "/".join(parts)) if parts else None
        return level.word if level is not None else opener

    def _gone(self, what: str) -> str:
        """Why a value is not there: its retention is over, or nothing explains it."""
        days = self.contract.logging.retain_days if self.contract is not None else None
        ended = self.run.ended_at
        if days is not None and ended is not None and (self.services.mint.now() - ended).days >= days:
            return f"{what} was deleted after its {days} days (retain_days); its digest and every proof stay"
        return f"{what} is not kept any more; leverframe evidence verify says whether that is explained"


def _entry(leaf: LoggedLeaf) -> JsonObject:
    entry = decode(leaf.leaf)
    return entry if isinstance(entry, Mapping) else {}


def _detail(entry: JsonObject) -> JsonObject:
    detail = entry.get("detail")
    return detail if isinstance(detail, Mapping) else {}


def _at(values: Json, field: str) -> Json:
    for key in field.split(".")[1:]:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _reason_text(reasons: Json) -> str:
    first = reasons[0] if isinstance(reasons, list) and reasons else None
    return _text(first.get("text")) if isinstance(first, Mapping) else ""


def _text(value: Json) -> str:
    return "" if value is None else word(value)
