"""What a served project does when its disk is full for a while, and when its workers or their parent are killed."""

import resource
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.served import CONTRACT, Answer, ServedDesk, served_desk
from tests.waiting import until

CAP = "budgets:\n  - {tenant: default, key: desk, window: day, max_usd: 1}\n"
PER_OUTPUT, PER_INPUT = 60, 30  # micro-dollars a token of gpt-4


@contextmanager
def full_disk(desk: ServedDesk) -> Iterator[None]:
    """No file of the serving process grows any more: what SQLite then says is that the disk took no more."""
    assert desk.process is not None
    pid, wal = desk.process.pid, desk.folder / ".leverframe" / "leverframe.db-wal"
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, unlimited[1]))
    try:
        yield
    finally:
        if desk.process.pid == pid:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


@contextmanager
def calls_under_way(desk: ServedDesk, *, is_stream: bool, count: int = 1) -> Iterator[list[Future[Answer]]]:
    """Calls that have reached the vendor and are not answered yet."""
    manner, before = desk.vendor.manner, desk.vendor.served.requests
    manner.gap_s = 0.1
    with ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(desk.chat, stream=is_stream, max_tokens=10) for _ in range(count)]
        until(lambda: desk.vendor.served.requests == before + count, what="the vendor is asked")
        yield calls


def open_reservations(desk: ServedDesk) -> int:
    ((count,),) = desk.rows("SELECT count(*) FROM reservations WHERE state = 'open'")
    return int(count)


def test_a_stream_whose_end_the_disk_could_not_take_says_so_and_is_settled_once_it_can(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT, CAP) as desk:
        desk.chat(max_tokens=10)
        with calls_under_way(desk, is_stream=True, count=3) as calls, full_disk(desk):
            ended = [one.result() for one in calls]
            assert desk.chat(max_tokens=10).status == 503

        # Whole, with a word of what happened, and not cut off.
        assert all(b"store-unavailable" in one.body for one in ended), ended
        until(lambda: open_reservations(desk) == 0, what="they are settled")

        # At what the vendor counted, since that is known, and not at the bound.
        ((settled, reserved),) = desk.rows(
            "SELECT settled, reserved FROM windows WHERE unit = 'usd' AND window_id LIKE 'key/%'"
        )
        assert (settled, reserved) == (4 * (10 * PER_INPUT + 10 * PER_OUTPUT), 0)
        assert desk.rows("SELECT DISTINCT state FROM steps") == [("ok",)]
        desk.verified()


def readiness(desk: ServedDesk) -> Answer:
    return desk.ask("/readyz", None, method="GET")


def test_who_can_record_nothing_is_not_ready_until_it_can_again_by_itself(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT, CAP) as desk:
        desk.chat(max_tokens=10)
        with full_disk(desk):
            assert desk.chat(max_tokens=10).status == 503
            told = readiness(desk)
            assert (told.status, told.json) == (503, {"status": "store-unavailable"})

        # Nobody calls what is not ready, so no call tells that the disk has room again.
        until(lambda: readiness(desk).status == 200, what="it is ready")
        assert desk.chat(max_tokens=10).status == 200
        desk.verified()


def test_what_could_not_be_written_until_the_end_is_settled_by_the_next_process(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT, CAP) as desk:
        desk.chat(max_tokens=10)
        with calls_under_way(desk, is_stream=True) as calls, full_disk(desk):
            calls[0].result()
            desk.kill()
            desk.start()

        until(lambda: open_reservations(desk) == 0, what="it is settled")
        desk.verified()


@pytest.mark.parametrize("enforce", ["", "enforce: observe\n"])
def test_a_call_without_any_limit_that_a_killed_worker_had_under_way_gets_its_end(tmp_path: Path, enforce: str) -> None:
    with served_desk(tmp_path, CONTRACT + enforce) as desk:
        with calls_under_way(desk, is_stream=True) as calls:
            desk.kill()
            assert calls[0].exception() is not None
        desk.start()

        until(lambda: desk.rows("SELECT state, error FROM steps") == [("error", "model-abandoned")], what="its end")
        answered = desk.rows("SELECT count(*) FROM leaves WHERE type = 'model.answered'")
        assert answered == [(1,)]
        ((spent,),) = desk.rows("SELECT settled FROM windows WHERE unit = 'usd'")
        assert spent >= 10 * PER_OUTPUT
        desk.verified()


def test_workers_whose_parent_was_killed_finish_what_they_have_and_leave_the_port_to_the_next(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT, CAP, words=("--workers", "2")) as desk:
        assert desk.process is not None
        pids = Path(f"/proc/{desk.process.pid}/task/{desk.process.pid}/children").read_text().split()
        with calls_under_way(desk, is_stream=True) as calls:
            desk.kill()
            assert calls[0].result().body.endswith(b"data: [DONE]\n\n")

        until(lambda: not any(_is_there(pid) for pid in pids), what="they have stopped")
        desk.start("--workers", "2")
        assert desk.chat(max_tokens=10).status == 200
        desk.verified()


def _is_there(pid: str) -> bool:
    """A dead process that nobody has waited for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
