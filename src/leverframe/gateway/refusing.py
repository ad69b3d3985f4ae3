"""Refusals on the vendors' routes, in the shape that each vendor's own clients parse.

Knows: the status, the words and the headers of each outcome that is no answer.  A client of either vendor retries 429
and 5xx by itself; where asking again is in vain it is told so (`x-should-retry`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from math import ceil
from typing import Final

from leverframe.core.budget_headers import budget_headers, retry_headers
from leverframe.core.wires import error_body
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.calls import ModelLost
from leverframe.domain.errors import BudgetExhausted, CallDenied, Killed, LeverframeError, WireRefused
from leverframe.domain.ids import StepPath, WindowId
from leverframe.domain.records import replace
from leverframe.domain.relays import RelayBroken, RelayRefusal, WireFormat
from leverframe.domain.time import rfc3339_s
from leverframe.gateway.exchange import JSON
from leverframe.runtime.door.relaying import Unanswered
from leverframe.runtime.outcomes import Exhausted, Refused, Stopped

_ANY: Final = StepPath("")  # no refusal tells the step
_KILL_SWITCH: Final = "kill-switch"
_SERVED: Final = "chat/completions, responses, embeddings, messages, models"
_NO_RETRY: Final = (b"x-should-retry", b"false")
_STATUS_OF_LOST: Final[Mapping[str, int]] = {"timeout": 504, "refused": 502}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is none: what goes to the client, and the slug for the counts."""

    status: int
    slug: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    status: int
    slug: str
    message: str
    code: str = ""
    param: str = ""
    more: Mapping[str, str | int] = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()


def of_error(wire: WireFormat, err: LeverframeError) -> Refusal:
    """A problem of ours."""
    status, code, param = err.status, "", ""
    if isinstance(err, WireRefused):
        status, code, param = err.http_status, err.code, err.param
    more = {"next_move": err.next_move} if err.next_move else {}
    headers = () if err.is_retryable else (_NO_RETRY,)
    message = f"{err.message} {err.next_move}".strip()
    words = _Words(status=status, slug=err.slug, message=message, code=code, param=param, more=more, headers=headers)
    return _refusal(wire, words)


def of_outcome(wire: WireFormat, outcome: Refused | Stopped | Exhausted | Unanswered, now: datetime) -> Refusal:
    """What the door said."""
    match outcome:
        case Exhausted():
            # Whole seconds: finer than what is told, and a burst is told the same.
            return _exhausted(wire, replace(outcome, path=_ANY), now.replace(microsecond=0))
        case Stopped():
            words = _Words(
                status=429,
                slug=BudgetExhausted.slug,
                message=f"{outcome.message.rstrip('.')}. A limit of a run does not reset; go on in a new run.",
                code="insufficient_quota",
                more={"limit": outcome.limit},
                headers=(_NO_RETRY,),
            )
            return _refusal(wire, words)
        case Refused():
            is_killed = outcome.reasons[0].rule == _KILL_SWITCH
            slug = Killed.slug if is_killed else CallDenied.slug
            words = _Words(
                status=403,
                slug=slug,
                message=outcome.message,
                more={"rule": outcome.reasons[0].rule},
                headers=(_NO_RETRY,),
            )
            return _refusal(wire, words)
        case Unanswered():
            return _of_unanswered(wire, outcome.lost)


def _of_unanswered(wire: WireFormat, lost: RelayRefusal | ModelLost) -> Refusal:
    if isinstance(lost, RelayRefusal):
        return _of_vendor(lost)
    status = _STATUS_OF_LOST.get(lost.kind, 502)
    # A key that the vendor refuses, or an address that leads nowhere, is mended by a person.
    headers = (_NO_RETRY,) if lost.kind == "refused" else ()
    return _refusal(wire, _Words(status=status, slug="provider-unavailable", message=lost.message, headers=headers))


def no_model(wire: WireFormat, name: str, known: Sequence[str]) -> Refusal:
    """A model that the key may not ask for."""
    message = f"The model {name[:100]!r} is not one of this key's. It has: {', '.join(known)}."
    return _refusal(wire, _Words(status=404, slug="not-found", message=message, code="model_not_found", param="model"))


def no_method(wire: WireFormat, method: str, allowed: str = "POST") -> Refusal:
    """A route of a vendor, asked in another way than it is."""
    message = f"{method[:20]} is not served here; it takes {allowed}."
    return _refusal(wire, _Words(status=405, slug="usage", message=message, headers=((b"allow", allowed.encode()),)))


def no_route(path: str) -> Refusal:
    """A route that some vendor has and this door has not."""
    wire = WireFormat.MESSAGES if path.startswith("/v1/messages") else WireFormat.CHAT
    message = (
        f"There is nothing at {path[:200]!r}. Served are chat/completions, responses, embeddings, messages, models."
    )
    return _refusal(wire, _Words(status=404, slug="not-found", message=message))


def of_broken(wire: WireFormat, err: RelayBroken) -> Refusal:
    """The vendor's answer has no proper end."""
    status = 504 if err.kind == "timeout" else 502
    return _refusal(wire, _Words(status=status, slug="provider-unavailable", message=err.message))


def unstreamed(wire: WireFormat, model: str) -> Refusal:
    """A plain answer to a call for a stream."""
    return of_failed(wire, f"{model} answered a call for a stream with a plain answer. Ask it without `stream`.")


def of_failed(wire: WireFormat, message: str) -> Refusal:
    """An answer that came whole and is of no use; asked again it would be paid for again.

    Of the vendor itself, which gave it the status of an answer, no client would ask it again either.
    """
    return _refusal(wire, _Words(status=502, slug="provider-unavailable", message=message, headers=(_NO_RETRY,)))


@lru_cache(maxsize=256)
def _exhausted(wire: WireFormat, outcome: Exhausted, now: datetime) -> Refusal:
    more: dict[str, str | int] = {"budget": outcome.budget}
    if outcome.resets_at is not None:
        more["resets_at"] = rfc3339_s(outcome.resets_at)
    told = retry_headers(outcome.resets_at, outcome.unit, now, fits_ever=outcome.fits_ever)
    if outcome.unit:
        # Of a refusal that an earlier version recorded nothing more is known.
        more |= {"unit": outcome.unit, "limit": outcome.limit, "left": outcome.left}
        told |= budget_headers((_window(outcome),), now)
    words = _Words(
        status=429,
        slug=BudgetExhausted.slug,
        message=outcome.message,
        code="insufficient_quota",
        more=more,
        headers=tuple((name.encode(), value.encode()) for name, value in told.items()),
    )
    return _refusal(wire, words)


def _window(outcome: Exhausted) -> Window:
    """The window that had no room, as far as its refusal tells of it."""
    return Window(
        window_id=WindowId(outcome.budget),
        unit=BudgetUnit(outcome.unit),
        limit=outcome.limit,
        settled=outcome.limit - outcome.left,
        budget=outcome.budget,
        resets_at=outcome.resets_at,
    )


def _of_vendor(lost: RelayRefusal) -> Refusal:
    """The vendor's own error, as it came."""
    passed = {**lost.headers, "content-type": lost.content_type}
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in passed.items()]
    if lost.retry_after_s is not None:
        headers.append((b"retry-after", str(max(0, ceil(lost.retry_after_s))).encode()))
    return Refusal(status=lost.status, slug=f"vendor-{lost.kind}", body=lost.body, headers=tuple(headers))


def _refusal(wire: WireFormat, words: _Words) -> Refusal:
    body = error_body(
        wire,
        status=words.status,
        slug=words.slug,
        message=words.message,
        code=words.code,
        param=words.param,
        more=words.more,
    )
    return Refusal(status=words.status, slug=words.slug, body=body, headers=(JSON, *words.headers))
