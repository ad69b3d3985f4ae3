"""Two hundred calls at once on a cap that affords ten: the vendor's own count is the referee, however they end."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leverframe.testing.vendor import Served
from tests.bursts import burst
from tests.served import CONTRACT, ServedDesk, served_desk
from tests.waiting import until

CALLS, CAP_USD = 200, 0.10
CASES = ("plain", "streamed", "aborted", "nomax", "slow", "crashed", "few")
CAPS = "budgets:\n" + "".join(
    f"  - {{tenant: default, key: {case}, window: day, max_usd: {CAP_USD:.2f}}}\n" for case in CASES
)
# gpt-4 is $30 and $60 a million tokens, so 133 in and 100 out are a cent; no vendor bills more tokens than bytes.
LONG = [{"role": "user", "content": "Hello " * 25}]
BODY = {"model": "fast", "messages": LONG, "max_tokens": 100}


class CappedDesk:
    """A desk with a key for each case, each with a cap of its own."""

    def __init__(self, desk: ServedDesk, workers: int) -> None:
        self.desk, self.workers = desk, workers
        self.keys = {case: desk.create_key(case) for case in CASES}
        self.desk.vendor.manner.input_tokens, self.desk.vendor.manner.output_tokens = 133, 100

    def begin(self) -> None:
        self.desk.vendor.served = Served()

    @property
    def spent_usd(self) -> float:
        served = self.desk.vendor.served
        return (served.input_tokens * 30 + served.output_tokens * 60) / 1_000_000

    def settled_usd(self, case: str) -> float:
        sql = "SELECT settled, reserved FROM windows WHERE unit = 'usd' AND window_id LIKE ?"
        ((settled, reserved),) = self.desk.rows(sql, f"key/default/{case}/%")
        assert reserved == 0
        return float(settled) / 1_000_000

    def await_settled(self) -> None:
        until(
            lambda: self.desk.rows("SELECT count(*) FROM reservations WHERE state = 'open'") == [(0,)],
            what="nothing is set aside any more",
            within_s=30,
        )


@pytest.fixture(scope="module", params=[1, 3])
def capped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CappedDesk]:
    workers = int(request.param)
    with served_desk(tmp_path_factory.mktemp("burst"), CONTRACT, CAPS, words=("--workers", str(workers))) as desk:
        yield CappedDesk(desk, workers)


@pytest.mark.parametrize("case", ["plain", "streamed"])
def test_a_burst_spends_the_cap_and_no_more(capped: CappedDesk, case: str) -> None:
    capped.begin()

    ended = burst(capped.desk.port, capped.keys[case], {**BODY, "stream": case == "streamed"}, CALLS)

    statuses = [one.status for one in ended]
    assert set(statuses) == {200, 429}
    assert all(json.loads(one.body)["error"]["resets_at"] for one in ended if one.status == 429)
    # It is spent, too: what was set aside for a worst case goes to those who wait.
    assert statuses.count(200) >= 3
    assert 0.02 < capped.spent_usd <= CAP_USD
    capped.await_settled()
    assert capped.settled_usd(case) == pytest.approx(capped.spent_usd)


def test_calls_whose_clients_went_away_are_paid_for(capped: CappedDesk) -> None:
    capped.begin()
    capped.desk.vendor.manner.gap_s = 0.002

    ended = burst(capped.desk.port, capped.keys["aborted"], {**BODY, "stream": True}, CALLS, leaves=True)

    capped.await_settled()
    capped.desk.vendor.manner.gap_s = 0.0
    assert {one.status for one in ended} == {200, 429}
    assert 0.02 < capped.spent_usd <= CAP_USD
    assert capped.settled_usd("aborted") == pytest.approx(capped.spent_usd)


def test_without_a_maximum_nine_of_ten_affordable_calls_pass_clamped(capped: CappedDesk) -> None:
    capped.begin()
    unbounded = {name: value for name, value in BODY.items() if name != "max_tokens"}

    ended = burst(capped.desk.port, capped.keys["nomax"], unbounded, CALLS)

    assert [one.status for one in ended].count(200) >= 9
    assert capped.spent_usd <= CAP_USD
    asked = capped.desk.vendor.served.bodies
    assert all(0 < one.get("max_tokens", one.get("max_completion_tokens", 0)) < 4_096 for one in asked)


def test_nine_of_ten_pass_also_where_the_vendor_takes_longer_than_anybody_waits_for_room(capped: CappedDesk) -> None:
    capped.begin()
    capped.desk.vendor.manner.latency_s = 0.5
    unbounded = {name: value for name, value in BODY.items() if name != "max_tokens"}

    ended = burst(capped.desk.port, capped.keys["slow"], unbounded, CALLS)

    capped.desk.vendor.manner.latency_s = 0.0
    # What the first ones set aside is not free again before the others are told, so nine have to fit at once.
    assert [one.status for one in ended].count(200) >= 9
    assert capped.spent_usd <= CAP_USD


def test_of_a_few_calls_that_fit_one_after_the_other_none_is_refused(capped: CappedDesk) -> None:
    capped.begin()

    # Their worst cases do not fit at once; where nobody is refused for want of room, there is time to wait for it.
    ended = burst(capped.desk.port, capped.keys["few"], BODY, 9)

    assert [one.status for one in ended] == [200] * 9
    assert capped.spent_usd <= CAP_USD


def test_a_worker_that_is_killed_in_a_burst_leaves_nothing_free_and_nothing_held(capped: CappedDesk) -> None:
    capped.begin()
    capped.desk.vendor.manner.gap_s = 0.05
    body = {**BODY, "stream": True}
    first = threading.Thread(target=burst, args=(capped.desk.port, capped.keys["crashed"], body, CALLS))
    first.start()
    until(lambda: capped.desk.vendor.served.output_tokens > 10, what="streams are under way", within_s=30)

    _kill_one(capped)

    first.join()
    again = burst(capped.desk.port, capped.keys["crashed"], body, CALLS)
    assert {one.status for one in again} <= {200, 429}
    capped.await_settled()
    assert capped.spent_usd <= capped.settled_usd("crashed") <= CAP_USD
    capped.desk.verified()


def _kill_one(capped: CappedDesk) -> None:
    """One worker of several; the only one with its parent, and then it is started again."""
    process = capped.desk.process
    assert process is not None
    if capped.workers == 1:
        capped.desk.kill()
        capped.desk.start()
        return
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    busy = max(children, key=_sockets)
    os.kill(int(busy), signal.SIGKILL)


def _sockets(pid: str) -> int:
    """How many sockets a process has open: one for each call in its hands."""
    files = Path(f"/proc/{pid}/fd").iterdir()
    return sum(str(one.readlink()).startswith("socket:") for one in files if one.is_symlink())
