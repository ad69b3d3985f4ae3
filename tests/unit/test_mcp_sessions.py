"""What a session of the older protocols said lately comes again where it was lost, within bounds, to nobody else."""

import asyncio

from mcp.server.streamable_http import EventMessage
from mcp_types import JSONRPCMessage, JSONRPCNotification, JSONRPCResponse

from leverframe.mcp.sessions import SessionEvents

NOTE = JSONRPCNotification(jsonrpc="2.0", method="notifications/message")


def answer(number: int) -> JSONRPCResponse:
    return JSONRPCResponse(jsonrpc="2.0", id=number, result={"n": number})


async def said(events: SessionEvents, stream: str, *messages: JSONRPCMessage | None) -> list[str]:
    return [await events.store_event(stream, message) for message in messages]


async def again(events: SessionEvents, last: str) -> tuple[list[JSONRPCMessage | None], str | None]:
    sent: list[JSONRPCMessage | None] = []

    async def send(event: EventMessage) -> None:
        sent.append(event.message)

    return sent, await events.replay_events_after(last, send)


def test_what_came_after_an_event_comes_again_and_the_stream_goes_on_until_its_answer() -> None:
    async def play() -> None:
        events = SessionEvents()
        first, second = await said(events, "7", None, NOTE)
        await said(events, "8", None, answer(8))

        assert await again(events, first) == ([NOTE], "7")
        assert await again(events, second) == ([], "7")
        await said(events, "7", answer(7))
        assert await again(events, second) == ([answer(7)], None)

    asyncio.run(play())


def test_an_answer_that_comes_while_a_client_is_coming_back_is_kept() -> None:
    async def play() -> None:
        events = SessionEvents()
        (first,) = await said(events, "7", None)
        assert await again(events, first) == ([], "7")
        # The mark of the stream that was taken up again comes after the answer.
        await said(events, "7", answer(7), None)
        assert await again(events, first) == ([answer(7)], None)

    asyncio.run(play())


def test_a_request_with_a_number_that_was_used_before_is_another_stream() -> None:
    async def play() -> None:
        events = SessionEvents()
        await said(events, "7", None, answer(7))
        (mark,) = await said(events, "7", None)
        assert await again(events, mark) == ([], "7")
        assert await again(events, "1.7") == ([], "7")

    asyncio.run(play())


def test_an_event_that_nobody_knows_brings_nothing_back() -> None:
    async def play() -> None:
        events = SessionEvents()
        await said(events, "7", None, NOTE)
        for unknown in ("", "x", "1", "1.8", "-1.7", "x.7", "9" * 400 + ".7"):
            sent, _ = await again(events, unknown)
            assert sent == []
        # Each session has its own: the same id means nothing in another one.
        assert await again(SessionEvents(), "1.7") == ([], None)

    asyncio.run(play())


def test_streams_that_were_answered_are_forgotten_before_those_that_wait() -> None:
    async def play() -> None:
        events = SessionEvents()
        (waiting,) = await said(events, "waits", None)
        for number in range(50):
            await said(events, str(number), None, answer(number))
        (_, known) = await said(events, "flood", *[NOTE] * 2)
        await said(events, "flood", *[NOTE] * 1_000)

        assert await again(events, waiting) == ([], "waits")
        assert await again(events, "2.0") == ([], None)
        assert len((await again(events, known))[0]) == 256

    asyncio.run(play())
