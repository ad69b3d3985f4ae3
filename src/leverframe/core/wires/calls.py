"""A call of any format, read from the bytes that a client sent."""

from collections.abc import Callable
from typing import Final

from leverframe.core.wires import chat, embeddings, messages, responses
from leverframe.core.wires.reading import PER_REQUEST, text_at
from leverframe.core.wires.strict import Fields, read_loosely, read_object
from leverframe.domain.relays import NOTHING_ADMITTED, Admitted, RelayCall, WireFormat

Reader = Callable[[bytes, Fields, Admitted], RelayCall]


def read_call(wire: WireFormat, body: bytes, admitted: Admitted = NOTHING_ADMITTED) -> RelayCall:
    """Read a call.

    Raises:
        WireRefused: the body is not one JSON object, has a key twice, or holds a field that is unknown, of the wrong
            type, or asks the vendor for what the contract does not admit; the error names the field.
    """
    return _READERS[wire](body, read_object(body), admitted)


def watch_call(wire: WireFormat, body: bytes) -> RelayCall:
    """What is known of a call that is passed on whatever it asks for, since its workflow is only watched.

    Where nobody here can say what all of it means, it is counted by its bytes: no token is shorter than one.

    Raises:
        WireRefused: the body is no JSON object, or names no model, so that nobody could be asked.
    """
    top = read_loosely(body)
    model = text_at(top, "model")
    return RelayCall(
        wire=wire,
        body=body,
        model=model,
        is_stream=top.get("stream") is True,
        input_bound=PER_REQUEST + len(body),
        has_cache_writes=True,
        fields=frozenset(top),
    )


_READERS: Final[dict[WireFormat, Reader]] = {
    WireFormat.CHAT: chat.read,
    WireFormat.RESPONSES: responses.read,
    WireFormat.EMBEDDINGS: embeddings.read,
    WireFormat.MESSAGES: messages.read,
    WireFormat.COUNT: messages.read_count,
}
