"""The guard of the streaming client: no redirect, no proxy, no second look at a name, no borrowed permission."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from leverframe.net.exchange import HttpLost
from leverframe.net.pool import HttpStream
from tests.pool_client import LIMITS, a_client, exchange, request, whole
from tests.raw_server import OK, RawServer


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    answers, server = exchange(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", OK)

    assert answers == [b""]
    assert len(server.requests) == 1


def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert exchange(OK)[0] == [b"ok"]


@pytest.mark.parametrize(
    ("addresses", "scheme", "allowed", "words"),
    [
        (["127.0.0.1"], "https", False, "a loopback address.  A private host needs `private: allowed`"),
        (["169.254.169.254"], "https", True, "metadata"),
        (["93.184.216.34", "10.0.0.7"], "https", False, "a private address"),
        (["93.184.216.34"], "http", True, "only https"),
        (["64:ff9b:1::a00:1"], "https", True, "stands for another one"),
    ],
)
def test_the_guard_is_that_of_the_other_client(
    addresses: list[str],
    scheme: str,
    allowed: bool,  # noqa: FBT001 pytest hands parameters over by position
    words: str,
) -> None:
    async def resolver(_: str, __: int) -> Sequence[str]:
        return addresses

    async def act() -> HttpStream | HttpLost:
        async with a_client(resolver=resolver) as client:
            return await client.open(request(9, scheme=scheme, host="innocent.example", allowed=allowed), LIMITS)

    lost = asyncio.run(act())

    assert isinstance(lost, HttpLost)
    assert (lost.kind, lost.has_left) == ("refused", False)
    assert words in lost.message


def test_a_name_is_resolved_once_and_that_address_is_connected_to() -> None:
    server = RawServer(OK)
    asked: list[str] = []

    async def resolver(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async def act() -> bytes:
        async with server.listening(), a_client(resolver=resolver) as client:
            return await whole(await client.open(request(server.port, host="rebind.example"), LIMITS))

    assert asyncio.run(act()) == b"ok"
    assert asked == ["rebind.example"]


def test_the_list_of_hosts_of_a_caller_holds_on_an_open_connection_too() -> None:
    server = RawServer(OK, OK)

    async def act() -> tuple[bytes, HttpStream | HttpLost]:
        async with server.listening(), a_client() as client:
            first = await whole(await client.open(request(server.port), LIMITS))
            asked = replace(request(server.port), may_reach=lambda url: url.host == "api.example")
            return first, await client.open(asked, LIMITS)

    first, lost = asyncio.run(act())

    assert first == b"ok"
    assert isinstance(lost, HttpLost)
    assert (lost.kind, lost.has_left) == ("refused", False)
    assert "not on the list of hosts" in lost.message
    assert len(server.requests) == 1


def test_a_connection_made_under_a_permission_serves_no_request_without_it() -> None:
    server = RawServer(OK, OK)

    async def act() -> HttpStream | HttpLost:
        async with server.listening(), a_client() as client:
            await whole(await client.open(request(server.port), LIMITS))
            return await client.open(request(server.port, allowed=False), LIMITS)

    assert isinstance(asyncio.run(act()), HttpLost)
    assert len(server.requests) == 1
