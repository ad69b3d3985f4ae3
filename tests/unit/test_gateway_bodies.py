"""What is wrong with a body is named: that it is compressed, or which field it lacks."""

import asyncio
import gzip

import pytest

from leverframe.core.wires import read_call
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import Admitted, WireFormat
from leverframe.gateway.asgi_types import Message
from leverframe.gateway.exchange import read_body

BODY = b'{"model": "m", "messages": []}'


def read(body: bytes, encoding: str) -> bytes:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return asyncio.run(read_body({}, receive, {"content-encoding": encoding}))


def test_a_compressed_body_is_said_to_be_compressed() -> None:
    with pytest.raises(WireRefused) as caught:
        read(gzip.compress(BODY), "gzip")

    assert (caught.value.code, caught.value.http_status) == ("content_encoding", 415)
    assert "'gzip'" in caught.value.message
    assert caught.value.next_move == "Send it uncompressed."


def test_an_encoding_that_changes_nothing_is_read() -> None:
    assert read(BODY, "Identity") == BODY


@pytest.mark.parametrize("wire", list(WireFormat))
def test_a_field_that_is_not_there_is_not_called_one_of_the_wrong_kind(wire: WireFormat) -> None:
    with pytest.raises(WireRefused) as caught:
        read_call(wire, b"{}", Admitted())

    assert (caught.value.code, caught.value.param) == ("wrong_type", "model")
    assert caught.value.message == "There is no field 'model'."
