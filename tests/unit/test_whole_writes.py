"""The head of an answer leaves with the first of its body, and waits for nothing else."""

import asyncio

from leverframe.asgi.whole_writes import WholeWrites

HEAD, BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"ok"


class Wire(asyncio.Transport):
    """A transport that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.told: list[bytes | str] = []
        self.is_lost = False

    def is_closing(self) -> bool:
        return self.is_lost

    def lose(self) -> None:
        self.is_lost = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append("closed")

    def pause_reading(self) -> None:
        self.told.append("paused")


def told(*acts: bytes | str, turns: int = 0) -> list[bytes | str]:
    """What the wire hears of writes and calls, and of so many turns of the loop after them."""

    async def act() -> list[bytes | str]:
        wire = Wire()
        writes = WholeWrites(wire, asyncio.get_running_loop())
        for one in acts:
            if isinstance(one, bytes):
                writes.write(one)
            else:
                getattr(writes, one)()
        for _ in range(turns):
            await asyncio.sleep(0)
        return list(wire.told)

    return asyncio.run(act())


def test_a_head_and_the_first_of_its_body_are_one_write() -> None:
    assert told(HEAD, BODY, turns=2) == [HEAD + BODY]
    assert told(HEAD, BODY, BODY) == [HEAD + BODY, BODY]


def test_a_head_without_a_body_leaves_in_the_next_turn() -> None:
    assert told(HEAD) == []
    assert told(HEAD, turns=1) == [HEAD]


def test_the_answers_of_one_connection_keep_their_order() -> None:
    assert b"".join(one for one in told(HEAD, HEAD, BODY, HEAD, turns=1) if isinstance(one, bytes)) == (
        HEAD + HEAD + BODY + HEAD
    )


def test_what_waits_is_sent_before_the_connection_is_closed() -> None:
    assert told(HEAD, "close") == [HEAD, "closed"]
    assert told("close") == ["closed"]


def test_a_client_that_went_away_in_between_is_sent_nothing() -> None:
    assert told(HEAD, "lose", turns=1) == []


def test_all_else_is_the_transport_s_own() -> None:
    async def ask() -> tuple[object, list[bytes | str]]:
        wire = Wire()
        writes = WholeWrites(wire, asyncio.get_running_loop())
        writes.pause_reading()
        writes.pause_reading()
        return writes.get_extra_info("peername"), wire.told

    assert asyncio.run(ask()) == (("127.0.0.1", 1), ["paused", "paused"])
