"""The vendor that agents are tested with answers as a vendor does."""

import json
import re
from http.client import HTTPConnection

import pytest

from leverframe.testing import ConversingVendor

ID = re.compile(rb'"(?:id|item_id|call_id)": "([^"]+)"')
HI = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "name": "look_up", "parameters": {}}
ASKED: list[tuple[str, dict[str, object]]] = [
    ("/v1/chat/completions", {"messages": HI}),
    ("/v1/chat/completions", {"messages": HI, "tools": [{"type": "function", "function": TOOL}]}),
    ("/v1/responses", {"input": "Hi"}),
    ("/v1/responses", {"input": "Hi", "tools": [TOOL]}),
    ("/v1/messages", {"messages": HI, "max_tokens": 50}),
    ("/v1/messages", {"messages": HI, "max_tokens": 50, "tools": [{"name": "look_up", "input_schema": {}}]}),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "fields"), ASKED)
def test_no_two_answers_have_an_id_in_common(path: str, fields: dict[str, object], *, stream: bool) -> None:
    data = json.dumps({"model": "gpt-5-mini", "stream": stream, **fields}).encode()
    with ConversingVendor() as vendor:
        one, other = (set(ID.findall(answered(vendor, path, data))) for _ in range(2))

    assert one
    assert one & other == set()


def answered(vendor: ConversingVendor, path: str, data: bytes) -> bytes:
    connection = HTTPConnection(vendor.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", path, data)
        return connection.getresponse().read()
    finally:
        connection.close()
