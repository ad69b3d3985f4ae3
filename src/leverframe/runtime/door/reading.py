"""Room 5 for reads that may be answered by an earlier answer: the tool's `cache_s`, and who may share.

Never: for what the door reads for itself (a fact must be true now), a read in the middle of a server's questions, or
an answer that broke its schema.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from leverframe.core import canonical
from leverframe.domain.calls import ToolOk
from leverframe.domain.json import JsonObject
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.domain.tools import ToolSpec
from leverframe.ports.conversation import exchange
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.executing import Attempted, judge
from leverframe.runtime.door.read_cache import Kept, ReadCache, read_key
from leverframe.runtime.door.recording import Outcome
from leverframe.runtime.door.taking_in import taken_in

Attempt = Callable[[], Awaitable[Attempted]]


@dataclass(frozen=True, slots=True)
class Reads:
    """The reads of one door."""

    cache: ReadCache = field(default_factory=ReadCache)

    async def outcome(
        self, ctx: RunContext, spec: ToolSpec, step: Step, args: JsonObject, *, pin: str, attempt: Attempt
    ) -> tuple[Outcome, Attempted | None]:
        """What came of a call; without attempts where an earlier answer is this one's too."""
        if spec.effect.is_write:
            self.cache.wrote(ctx.run.tenant, spec)
            try:
                attempted = await attempt()
            finally:
                self.cache.wrote(ctx.run.tenant, spec)
            return judge(ctx, spec, step, attempted), attempted
        if not _may_share(spec, step):
            attempted = await attempt()
            return judge(ctx, spec, step, attempted), attempted
        key = read_key(ctx.run.tenant, ctx.run.subject_digest, spec, args, pin)
        now = ctx.services.clock.monotonic()
        async with self.cache.turn(key, now=now, within_s=spec.timeout_s) as turn:
            if turn.found is not None:
                found = taken_in(ctx, spec, step, turn.found.value, how=turn.how)
                return replace(found, is_free=True, given_to=turn.found.call_id), None
            attempted = await attempt()
            outcome = judge(ctx, spec, step, attempted)
            if outcome.state is StepState.OK and not outcome.error and isinstance(attempted.answer, ToolOk):
                data = canonical.encode(attempted.answer.value)
                until = ctx.services.clock.monotonic() + spec.cache_s
                turn.made = Kept(data=data, call_id=step.call_id, until=until)
            return outcome, attempted


def _may_share(spec: ToolSpec, step: Step) -> bool:
    round_ = exchange.get()
    is_plain = round_ is None or not (round_.answers or round_.state)
    return spec.cache_s > 0 and step.kind is StepKind.TOOL and is_plain
