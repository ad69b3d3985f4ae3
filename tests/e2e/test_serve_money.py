"""Limits and books of relayed calls that are not one plain answer: several candidates, several choices, a crash."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.served import CONTRACT, ServedDesk, ServedProject, served_desk
from tests.troubled import CHAT, troubled_desk
from tests.waiting import until

TWO = "[vendor/gpt-4, vendor/gpt-4o]"
OF_ONE_MODEL = """\
budgets:
  - {tenant: default, model: vendor/gpt-4o, window: total, max_model_calls: 2}
  - {tenant: default, model: vendor, window: total, max_model_calls: 9}
  - {tenant: default, window: total, max_usd: 5}
"""


def served_by_two(desk: ServedDesk, budgets: str) -> None:
    """Serve it anew with a second candidate, and with budgets that name it."""
    project = desk.folder / "leverframe.yaml"
    project.write_text(project.read_text().replace("[vendor/gpt-4]", TWO) + budgets)
    desk.stop()
    desk.start()


def settled(desk: ServedProject, window: str, unit: str) -> int:
    sql = "SELECT settled, reserved FROM windows WHERE window_id LIKE ? AND unit = ?"
    ((found, reserved),) = desk.rows(sql, window, unit)
    assert reserved == 0
    return int(found)


def test_a_call_that_came_by_failover_counts_in_the_limit_of_the_model_that_answered(tmp_path: Path) -> None:
    with served_desk(tmp_path) as desk:
        served_by_two(desk, OF_ONE_MODEL)
        statuses = []
        for _ in range(4):
            desk.vendor.manner.failures = 1
            statuses.append(desk.chat(max_tokens=10).status)

        # Of the last two the second candidate has no room, so the client gets the first one's error.
        assert statuses == [200, 200, 503, 503]
        assert settled(desk, "model/default/vendor/gpt-4o/%", "model_calls") == 2
        # Where both candidates count, and in the run, each call counts once.
        assert settled(desk, "model/default/vendor/total/%", "model_calls") == 4
        assert settled(desk, "run/%", "model_calls") == 4
        desk.verified()


def test_the_limit_of_a_step_is_that_of_all_its_answers(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT + "budget: {per_step: {max_output_tokens: 30}}\n") as desk:
        assert (desk.chat(n=5).status, desk.chat(n=5, max_tokens=30).status) == (200, 200)
        assert [one["max_tokens"] for one in desk.vendor.served.bodies] == [6, 6]

        refused = desk.chat(n=31)

        assert (refused.status, refused.json["error"]["param"]) == (400, "n")
        assert desk.vendor.served.requests == 2


def test_a_long_question_without_a_maximum_is_not_answered_in_a_few_words_while_the_money_is_there(
    tmp_path: Path,
) -> None:
    with served_desk(tmp_path, CONTRACT + "budget: {max_usd: 0.27}\n") as desk:
        asked = [[{"role": "user", "content": "x" * length}] for length in (10, 900, 1_100, 5_000)]
        assert [desk.chat(messages=one).status for one in asked] == [200] * 4

        # gpt-4, $30 a million read and $60 written: of $0.27 a ninth is 1,000 tokens that are read, or 500 written.
        limits = [one["max_tokens"] for one in desk.vendor.served.bodies]
        assert 400 < limits[0] < 500
        assert all(240 < one < 280 for one in limits[1:])


def test_what_a_killed_worker_had_on_its_way_is_in_the_books_of_its_run_too(tmp_path: Path) -> None:
    with served_desk(tmp_path, more="budgets: [{tenant: default, window: total, max_usd: 5}]") as desk:
        desk.vendor.manner.gap_s = 0.2
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(desk.chat, stream=True, max_tokens=100)
            until(lambda: desk.vendor.served.output_tokens > 2, what="a stream is under way")
            desk.kill()
            assert call.exception() is not None
        desk.start()
        until(
            lambda: desk.rows("SELECT count(*) FROM reservations WHERE state = 'open'") == [(0,)], what="it is settled"
        )

        cost = settled(desk, "tenant/default/%", "usd")

        assert cost >= 100 * 60
        assert settled(desk, "run/%", "usd") == cost
        assert (settled(desk, "run/%", "output_tokens"), settled(desk, "run/%", "model_calls")) == (100, 1)
        assert f"${cost / 1_000_000:.4f}" in desk.cli("why").stdout
        desk.verified()


def test_what_a_candidate_cost_that_gave_up_is_in_every_account_of_the_run(tmp_path: Path) -> None:
    both = ["vendor/fake-0ms-e504", "vendor/fake-0ms-i10-o10"]
    with troubled_desk(tmp_path / "desk", both, more="budgets: [{tenant: default, window: total, max_usd: 5}]") as desk:
        assert desk.call(CHAT, "fast").status == 200
        bound, took = 200 * 10, 10 * 10

        cost = settled(desk, "tenant/default/%", "usd")

        # gpt-4o, $10 a million written: the first may have been billed for all of its maximum.
        assert cost > bound + took
        ((run_id,),) = desk.rows("SELECT run_id FROM runs")
        assert settled(desk, "run/%", "usd") == cost
        assert f"${cost / 1_000_000:.4f}" in desk.cli("why").stdout
        assert f"${cost / 1_000_000:.4f}" in desk.cli("runs", "show", run_id).stdout.splitlines()[0]


def test_each_answer_tells_what_is_left_after_it(tmp_path: Path) -> None:
    limits = "budgets:\n  - {tenant: default, window: day, max_model_calls: 5, max_usd: 1}\n"
    with served_desk(tmp_path, CONTRACT, limits) as desk:
        left = []
        for number in range(6):
            answer = desk.chat(max_tokens=10, stream=number == 3)
            told = answer.headers
            calls = told["x-ratelimit-remaining-requests"]
            left.append((answer.status, calls, told.get("leverframe-budget-tenant-day-usd-left", "")))
            assert told["leverframe-budget-tenant-day-model-calls-left"] == calls

        served = desk.vendor.served
        spent = (served.input_tokens * 30 + served.output_tokens * 60) // 5
        plain = [f"0.{1_000_000 - spent * number:06d}".rstrip("0") for number in (1, 2, 3)]
        assert [one[:2] for one in left] == [(200, "4"), (200, "3"), (200, "2"), (200, "1"), (200, "0"), (429, "0")]
        assert [one[2] for one in left[:3]] == plain
        # The head of a stream leaves before anybody knows what it takes, so it counts with its bound.
        assert left[3][2] < f"0.{1_000_000 - spent * 4:06d}".rstrip("0")
        assert left[4][2] == f"0.{1_000_000 - spent * 5:06d}".rstrip("0")
