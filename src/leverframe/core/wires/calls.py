"""A call of any format, read from the bytes that a client sent."""

from collections.abc import Callable
from typing import Final

from leverframe.core.wires import chat, embeddings, messages, responses
from leverframe.core.wires.strict import Fields, read_object
from leverframe.domain.relays import NOTHING_ADMITTED, Admitted, RelayCall, WireFormat

Reader = Callable[[bytes, Fields, Admitted], RelayCall]


def read_call(wire: WireFormat, body: bytes, admitted: Admitted = NOTHING_ADMITTED) -> RelayCall:
    """Read a call.

    Raises:
        WireRefused: the body is not one JSON object, has a key twice, or holds a field that is unknown, of the wrong
            type, or asks the vendor for what the contract does not admit; the error names the field.
    """
    return _READERS[wire](body, read_object(body), admitted)


_READERS: Final[dict[WireFormat, Reader]] = {
    WireFormat.CHAT: chat.read,
    WireFormat.RESPONSES: responses.read,
    WireFormat.EMBEDDINGS: embeddings.read,
    WireFormat.MESSAGES: messages.read,
    WireFormat.COUNT: messages.read_count,
}
