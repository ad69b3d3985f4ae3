"""Refusals in the shape that each vendor's clients parse.

Knows: the error objects of both vendors, plain and in a stream.  A client's own library reads type and message; what
is ours stands beside them under names of its own (`slug`, `next_move`, `resets_at`).
Source: API references of OpenAI and Anthropic, errors.
"""

from collections.abc import Mapping
from typing import Final

from leverframe.core.wires.frames import apart
from leverframe.core.wires.messages import THREAD
from leverframe.core.wires.strict import encoded
from leverframe.domain.relays import WireFormat

_OPENAI: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_SERVER: Final = 500
# By these words the vendor's own SDKs, whose tool runners ask for a thread unasked, go on with the whole conversation:
# without a thread, or in a new one.
_THREADLESS: Final[Mapping[int, Mapping[str, object]]] = {
    400: {"error_code": "thread_unsupported_request", "unsupported": ["thread"]},
    404: {"error_code": "thread_not_found"},
}


def error_body(
    wire: WireFormat,
    *,
    status: int,
    slug: str,
    message: str,
    code: str = "",
    param: str = "",
    more: Mapping[str, str | int] | None = None,
) -> bytes:
    """The body of an answer with this HTTP status; `more` stands beside the message (`resets_at`, `next_move`)."""
    ours: dict[str, object] = {"slug": slug, **(more or {})}
    if wire.is_anthropic:
        if param == THREAD and code == "vendor_state" and status in _THREADLESS:
            ours["details"] = _THREADLESS[status]
        kind = _ANTHROPIC.get(status, "api_error" if status >= _SERVER else "invalid_request_error")
        return encoded({"type": "error", "error": {"type": kind, "message": message, **ours}, "request_id": None})
    kind = _OPENAI.get(status, "server_error" if status >= _SERVER else "invalid_request_error")
    error = {"message": message, "type": kind, "param": param or None, "code": code or slug, **ours}
    return encoded({"error": error})


def error_frame(wire: WireFormat, *, status: int, slug: str, message: str, code: str = "", after: bytes = b"") -> bytes:
    """The last frame of a stream that cannot go on, as it is written behind the last bytes of it that were sent."""
    between = apart(after)
    if wire is WireFormat.RESPONSES:
        value = {"type": "error", "code": code or slug, "message": message, "param": None, "sequence_number": 0}
        return between + b"event: error\ndata: " + encoded(value) + b"\n\n"
    body = error_body(wire, status=status, slug=slug, message=message, code=code)
    return between + (b"event: error\ndata: " if wire.is_anthropic else b"data: ") + body + b"\n\n"
