"""Problems on our own routes.  Source: RFC 9457."""

from leverframe.core.canonical import encode
from leverframe.domain.errors import LeverframeError, WireRefused
from leverframe.domain.json import Json
from leverframe.gateway.asgi_types import Send
from leverframe.gateway.exchange import PROBLEM, Headers, answer


async def problem(
    send: Send, *, status: int, slug: str, detail: str, next_move: str = "", headers: Headers = ()
) -> None:
    """Answer with a problem document."""
    document: dict[str, Json] = {
        "type": f"/problems/{slug}",
        "title": slug.replace("-", " "),
        "status": status,
        "detail": detail,
    }
    if next_move:
        document["next_move"] = next_move
    await answer(send, status, encode(document), (PROBLEM, *headers))


async def problem_of(send: Send, err: LeverframeError) -> None:
    """The same of an error of ours."""
    status = err.http_status if isinstance(err, WireRefused) else err.status
    await problem(send, status=status, slug=err.slug, detail=err.message, next_move=err.next_move)
