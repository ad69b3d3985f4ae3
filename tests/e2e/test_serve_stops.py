"""What stops a call while others are under way: a kill switch, a key that is revoked, the end of the server itself."""

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bursts import burst
from tests.served import CONTRACT, Answer, ServedDesk, served_desk
from tests.waiting import until

BODY = {"model": "fast", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
FAST_S, ROUND = 1.0, 24  # so many connections at once reach each of three workers
WORDS = 40


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    with served_desk(tmp_path_factory.mktemp("stops"), CONTRACT, words=("--workers", "3")) as found:
        found.vendor.manner.output_tokens = WORDS
        yield found


@contextmanager
def streaming(desk: ServedDesk, key: str = "") -> Iterator["Future[Answer]"]:
    """A stream that is under way for the length of the block."""
    desk.vendor.manner.gap_s, before = 0.5, desk.vendor.served.output_tokens
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(desk.chat, key=key or None, stream=True, max_tokens=100)
        try:
            until(lambda: desk.vendor.served.output_tokens > before + 1, what="a stream is under way", within_s=30)
            yield call
        finally:
            desk.vendor.manner.gap_s = 0.0


def statuses(desk: ServedDesk, key: str) -> set[int]:
    return {one.status for one in burst(desk.port, key, BODY, ROUND)}


def test_a_kill_switch_stops_the_next_call_of_every_worker_within_a_second(desk: ServedDesk) -> None:
    assert statuses(desk, desk.key) == {200}
    with streaming(desk) as under_way:
        assert desk.cli("kill", "model", "vendor", "--because", "it makes things up").returncode == 0

        until(lambda: statuses(desk, desk.key) == {403}, what="every worker refuses", within_s=FAST_S)

        assert statuses(desk, desk.key) == {403}
        assert not under_way.done()
    assert under_way.result().body.endswith(b"data: [DONE]\n\n")
    assert desk.cli("unkill", "model", "vendor", "--because", "it is mended").returncode == 0
    until(lambda: statuses(desk, desk.key) == {200}, what="every worker goes on", within_s=FAST_S)


def test_a_key_that_is_revoked_is_refused_by_every_worker_within_a_second(desk: ServedDesk) -> None:
    key = desk.create_key("gone")
    assert statuses(desk, key) == {200}
    with streaming(desk, key) as under_way:
        assert desk.cli("keys", "revoke", "gone").returncode == 0

        until(lambda: statuses(desk, key) == {401}, what="every worker refuses", within_s=FAST_S)

        assert statuses(desk, key) == {401}
    assert under_way.result().body.endswith(b"data: [DONE]\n\n")
    desk.verified()


def test_whichever_worker_is_asked_tells_of_all_of_them_and_of_one_that_died(desk: ServedDesk) -> None:
    assert desk.process is not None
    served = desk.vendor.served.requests
    until(lambda: desk.counted("leverframe_first_byte_seconds_count") == served, what="every answer is counted")
    statuses(desk, desk.key)
    served += ROUND
    until(lambda: desk.counted("leverframe_first_byte_seconds_count") == served, what="those of every worker are")
    until(lambda: desk.counted("leverframe_workers") == 3, what="all three are there", within_s=30)
    with streaming(desk):
        until(lambda: desk.counted("leverframe_streams") == 1, what="the stream is seen from any worker")

    # A worker writes its counts down twice a second: what all tell, whichever is asked, is on the disk.
    until(
        lambda: {desk.counted("leverframe_first_byte_seconds_count") for _ in range(20)} == {served + 1},
        what="the stream is counted by all",
        within_s=20,
    )
    os.kill(desk.workers()[0], signal.SIGKILL)

    until(lambda: desk.counted("leverframe_workers") == 3, what="another worker serves", within_s=30)
    until(lambda: desk.counted("leverframe_first_byte_seconds_count") == served + 1, what="no counter has fallen")
    assert desk.counted("leverframe_tokens_total") > 0
    assert desk.counted("leverframe_waiting_commits") >= 0


def test_a_worker_is_started_again_though_nobody_reads_what_is_said_of_it(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT, words=("--workers", "2")) as desk:
        assert desk.process is not None
        assert desk.process.stderr is not None
        until(lambda: desk.counted("leverframe_workers") == 2, what="both are there", within_s=30)
        desk.process.stderr.close()
        first, *_ = children = desk.workers()

        os.kill(first, signal.SIGKILL)

        until(lambda: len(set(desk.workers()) - set(children)) == 1, what="another is started")
        assert desk.chat().status == 200
        assert desk.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("count", ["1", "2"])
def test_a_server_that_is_told_to_stop_ends_its_streams_first(
    tmp_path: Path, count: str, number: signal.Signals
) -> None:
    with served_desk(tmp_path, CONTRACT, words=("--workers", count)) as desk:
        desk.vendor.manner.output_tokens = WORDS
        process = desk.process
        assert process is not None
        with streaming(desk) as under_way:
            # The end of a terminal is told to all of its processes.
            for pid in desk.workers() if number is signal.SIGHUP else ():
                os.kill(pid, number)
            process.send_signal(number)

            until(lambda: _is_closed(desk), what="nobody is let in any more")

            assert process.poll() is None
        assert desk.stop() == 0
        answer = under_way.result()
        assert answer.body.count(b"lorem") == WORDS
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert desk.rows("SELECT state FROM reservations WHERE state != 'settled'") == []
        desk.verified()


def _is_closed(desk: ServedDesk) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", desk.port)) != 0


@pytest.mark.parametrize("count", ["1", "2"])
def test_what_a_worker_starts_has_neither_its_port_nor_anything_else_of_it(tmp_path: Path, count: str) -> None:
    """Or a process that a tool left behind would keep the port from the next server."""
    with served_desk(tmp_path, CONTRACT, words=("--workers", count)) as desk:
        until(lambda: desk.counted("leverframe_workers") in {0, int(count)}, what="all serve")
        process = desk.process
        assert process is not None

        for pid in desk.workers() if count == "2" else [process.pid]:
            handed_on = [
                Path(f"/proc/{pid}/fd/{fd}").readlink() for fd in open_files(pid) if not closes_at_exec(pid, fd)
            ]
            assert handed_on == []


def open_files(pid: int) -> list[int]:
    """Those beside standard input, output and error."""
    found = {int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()}
    return sorted(found - {0, 1, 2})


def closes_at_exec(pid: int, fd: int) -> bool:
    try:
        told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/fdinfo/{fd}").read_text("ascii").splitlines())
    except FileNotFoundError:
        return True  # closed since it was listed: a moment's file, which nothing that is started later can have
    return bool(int(told["flags"], 8) & os.O_CLOEXEC)
