"""A relayed answer on its way to the client, and its end in the books.

Knows: when an answer has ended well, said that it failed, broken off or been given up, and what each costs: what the
vendor said it took, or the whole bound where nobody can tell.  Whoever reads it to its end has settled it.
"""

from collections.abc import Mapping
from typing import Final

from leverframe.core.wires import UsageReader, estimated_usage
from leverframe.core.wires.answered import NO_ANSWER
from leverframe.domain.calls import ModelBound, ModelLost
from leverframe.domain.errors import ProviderUnavailable
from leverframe.domain.evidence import DetailValue
from leverframe.domain.money import MicroUsd
from leverframe.domain.relays import RelayBroken, RelayRefusal, Usage
from leverframe.domain.runs import StepState
from leverframe.ports.acting import ModelRelay, RelayStream
from leverframe.ports.crash_points import crash_point
from leverframe.runtime.door import relay_ids
from leverframe.runtime.door.relay_outcomes import Outcomes
from leverframe.runtime.door.relay_record import NOTHING, Attempt
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun
from leverframe.runtime.door.relay_settling import Settlement, answer_bytes, lost_bytes

_MICRO: Final = 1_000_000
_UNSTREAMED: Final = "a plain answer to a call for a stream"
_FAILED: Final = "failed"  # by an error within an answer, whatever its status was


class Relayed:
    """One answer.  `read` gives its bytes for the client, and None at its end, when it is settled.

    Invariant: it is settled once, whatever happens: at its end, when it breaks off, or by `give_up`; later, by
    `Outcomes`, where it cannot be written then.
    """

    def __init__(
        self,
        *,
        run: RelayRun,
        ask: RelayAsk,
        attempt: Attempt,
        stream: RelayStream,
        relays: ModelRelay,
        outcomes: Outcomes,
        sent_at: float,
    ) -> None:
        self._run = run
        self._ask = ask
        self._attempt = attempt
        self._stream = stream
        self._relays = relays
        self._outcomes = outcomes
        self._sent_at = sent_at
        self._reader = UsageReader.of(ask.call, is_stream=stream.is_stream, is_observed=run.is_observed)
        self._first_at = 0.0
        self._has_ended = False
        self._is_settled = False
        self.cost_microusd = 0
        self.usage: Usage | None = None

    @property
    def status(self) -> int:
        """The vendor's status."""
        return self._stream.status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What goes with the answer, names in lower case: the vendor's headers, and what is left of our budgets.

        Where both speak of a rate, ours does: it is what stops the caller first.  This call is counted in it: with what
        it took where that is settled, and else with its bound.
        """
        ours = self._attempt.decision.books.headers
        passed = [
            (name.encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in self._stream.headers.items()
            if name not in ours.names
        ]
        passed += ours.raw(self._run.books.used)
        return passed

    @property
    def is_stream(self) -> bool:
        """Whether the body is a stream of events."""
        return self._stream.is_stream

    @property
    def first_byte_s(self) -> float | None:
        """How long the vendor's first byte took; None where none came."""
        return max(0.0, self._first_at - self._sent_at) if self._first_at else None

    @property
    def error(self) -> str:
        """Why an answer that was read to its end is none, for its client; empty where it is one."""
        is_one = self._reader.is_complete and self._reader.is_answer and not self.is_unstreamed
        return "" if is_one else self._said_wrong()

    @property
    def is_unstreamed(self) -> bool:
        """Whether a call for a stream got a plain answer, which its client would read as a stream without a word.

        To one that is only observed it passes as it came.
        """
        return self._ask.call.is_stream and not self.is_stream and not self._run.is_observed

    @property
    def model(self) -> str:
        """Who answers: `provider/model`."""
        return str(self._attempt.model)

    @property
    def _is_silent_end(self) -> bool:
        """Whether a stream was cut short and nobody has told the client; one that is only observed is left as it is."""
        return self.is_stream and not self._reader.is_told and not self._run.is_observed

    async def read(self) -> bytes | None:
        """The next bytes for the client; None at the end.

        Raises:
            RelayBroken: the vendor broke off, or let its stream end without a word of its end; what is known is
                settled, the rest at its bound.
        """
        while not self._has_ended:
            try:
                raw = await self._stream.read()
            except RelayBroken as err:
                if self._reader.is_complete:
                    # It has said its last word, and what its connection does after that takes nothing from it.
                    break
                await self._settle(self._broken(f"broken-{err.kind}"))
                raise
            if not self._first_at:
                self._first_at = self._run.ctx.services.clock.monotonic()
            self._has_ended = not raw
            piece = self._reader.feed(raw) if raw else self._reader.end()
            if self._reader.is_broken:
                await self.give_up("garbage")
                raise RelayBroken(self._error, kind="garbage")
            if piece:
                return piece
        await self._settle(self._ended())
        if self._is_silent_end:
            why = self._said_wrong() or f"{self.model} ended its stream before the answer was whole."
            raise RelayBroken(why, kind="garbage")
        return None

    async def give_up(self, why: str) -> None:
        """Stop reading, and settle at the bound: nobody saw the end, and the vendor may bill it."""
        self._stream.close()
        if self._is_settled:
            return
        try:
            settlement = self._broken(why)
        except BaseException:
            self._is_settled = True
            self._outcomes.abandon(self._run, self._ask, self._attempt)
            raise
        await self._settle(settlement)

    @property
    def _error(self) -> str:
        """What went wrong, as it may be told and recorded."""
        return self._stream.shown(self._reader.error) if self._reader.error else ""

    def _said_wrong(self) -> str:
        error = self._error
        if not error:
            return ""
        said = f"{error}." if error == NO_ANSWER else f"an error: {error}"
        return f"{self.model} answered with {said}"

    def _ended(self) -> Settlement:
        usage, attempt, error = self._reader.usage, self._attempt, self._error
        if not self._reader.is_complete or (error and usage is None and not self._run.is_observed):
            return self._broken(_FAILED if error else "cut-short")
        if self.is_unstreamed:
            error = error or _UNSTREAMED
        if usage is None:
            # No tokens are free, where the vendor does not count them either.
            usage = estimated_usage(
                self._ask.call, attempt.bound, self._reader.said_bytes, is_observed=self._run.is_observed
            )
        try:
            cost, price = self._relays.cost(attempt.model, usage)
        except ProviderUnavailable:
            # Only of an observed workflow: any other has refused it before it was sent.
            cost, price = MicroUsd(0), "unpriced"
        self.usage, self.cost_microusd = usage, int(cost)
        used = ModelBound(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cost=cost)
        if usage.is_estimated and not self._run.is_observed:
            # The bound knows which tokens may be dear ones; an estimate does not.
            used = attempt.bound
            self.cost_microusd = int(used.cost)
        detail: dict[str, DetailValue] = {**self._timing(), "price": price}
        if self._ask.call.keeps and self._reader.ids:
            self._run.vendor_ids.update(self._reader.ids)
            detail[relay_ids.FIELD] = self._reader.ids
        if usage.cached_input_tokens:
            detail["cached_input_tokens"] = usage.cached_input_tokens
        if usage.is_estimated:
            detail["estimated"] = True
        return Settlement(
            state=StepState.ERROR if error else StepState.OK,
            outcome="error" if error else "ok",
            used=used,
            error=f"model-{_FAILED}" if error else "",
            answer=answer_bytes(self._reader.answer, _FAILED, error),
            detail=detail,
        )

    def _broken(self, why: str) -> Settlement:
        """What was seen of it is recorded; what it took beyond is unknown, and so the bound is spent."""
        usage = self._reader.usage
        detail: dict[str, DetailValue] = dict(self._timing())
        if usage is not None:
            detail |= {"seen_input_tokens": usage.input_tokens, "seen_output_tokens": usage.output_tokens}
        return Settlement(
            state=StepState.ERROR,
            outcome="unknown",
            used=None,
            error=f"model-{why}",
            answer=answer_bytes(self._reader.answer, why, self._error),
            detail=detail,
        )

    def _timing(self) -> Mapping[str, DetailValue]:
        return timing(self._run, self._ask, sent_at=self._sent_at, first_at=self._first_at)

    async def _settle(self, settlement: Settlement) -> None:
        if self._is_settled:
            return
        self._is_settled = True
        crash_point("after_answer")
        await self._outcomes.write(self._run, self._ask, self._attempt, settlement)
        crash_point("after_settled")


async def settle_lost(
    outcomes: Outcomes,
    run: RelayRun,
    ask: RelayAsk,
    attempt: Attempt,
    lost: ModelLost | RelayRefusal,
    *,
    sent_at: float,
) -> None:
    """Settle an attempt that got no answer: nothing where the vendor bills nothing, the bound where it may."""
    settlement = Settlement(
        state=StepState.ERROR,
        outcome="error",
        used=attempt.bound if lost.is_billed else NOTHING,
        error=f"model-{lost.kind}",
        answer=lost_bytes(lost.message, lost.kind),
        detail=timing(run, ask, sent_at=sent_at, first_at=0.0),
    )
    await outcomes.write(run, ask, attempt, settlement)


def timing(run: RelayRun, ask: RelayAsk, *, sent_at: float, first_at: float) -> dict[str, DetailValue]:
    """The latency split in microseconds: until it was sent, until its first byte, in all."""
    now = run.ctx.services.clock.monotonic()
    told: dict[str, DetailValue] = {
        "queue_us": max(0, int((sent_at - ask.began_at) * _MICRO)),
        "total_us": max(0, int((now - ask.began_at) * _MICRO)),
    }
    if first_at:
        told["first_byte_us"] = max(0, int((first_at - sent_at) * _MICRO))
    return told
