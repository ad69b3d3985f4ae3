"""The body that goes to the vendor: the client's bytes with few members set.

Knows: what must be set so that a call is bounded, counted and kept by nobody.  Never: touches a message.
"""

from typing import Final

import msgspec

from leverframe.core.wires.strict import encoded, with_fields
from leverframe.domain.relays import Dialect, RelayCall, WireFormat

_LIMITS: Final = ("max_tokens", "max_completion_tokens")
_OPTIONS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_USAGE_ON: Final = b'{"include_usage":true}'


def upstream_body(
    call: RelayCall,
    *,
    model: str,
    max_output_tokens: int | None = None,
    dialect: Dialect = Dialect.OPENAI,
    is_observed: bool = False,
) -> bytes:
    """The bytes to send for a call.

    Args:
        call: as it was read.
        model: the name that the vendor knows it by.
        max_output_tokens: the most that each choice may have; the client's own limit stays where it is lower.
        dialect: whom it is for.
        is_observed: nothing but the model's name is set, whatever that costs.
    """
    changes: dict[str, bytes] = {}
    if model != call.model:
        changes["model"] = encoded(model)
    if is_observed:
        return with_fields(call.body, changes, call.fields)
    if max_output_tokens is not None and call.wire.has_answer:
        given = call.max_output_tokens
        if given is None or max_output_tokens < given:
            changes |= dict.fromkeys(_limit_names(call, dialect), b"%d" % max_output_tokens)
    if call.wire is WireFormat.CHAT:
        if call.is_stream and not call.wants_usage:
            changes["stream_options"] = _with_usage(call)
        is_said = dialect is Dialect.OPENAI or "store" in call.fields
        if is_said and "store" not in call.keeps:
            changes["store"] = b"false"
    elif call.wire is WireFormat.RESPONSES and "store" not in call.keeps:
        # Here the vendor stores what it is not told to forget.
        changes["store"] = b"false"
    return with_fields(call.body, changes, call.fields)


def _limit_names(call: RelayCall, dialect: Dialect) -> tuple[str, ...]:
    if call.wire is WireFormat.RESPONSES:
        return ("max_output_tokens",)
    if call.wire is WireFormat.MESSAGES:
        return ("max_tokens",)
    if call.max_output_tokens is not None:
        return tuple(name for name in _LIMITS if name in call.fields)
    return ("max_tokens",) if dialect is Dialect.COMPATIBLE else ("max_completion_tokens",)


def _with_usage(call: RelayCall) -> bytes:
    if "stream_options" not in call.fields:
        return _USAGE_ON
    given = _OPTIONS.decode(call.body)["stream_options"]
    if bytes(given) == b"null":
        return _USAGE_ON
    return with_fields(bytes(given), {"include_usage": b"true"}, _OPTIONS.decode(given))
