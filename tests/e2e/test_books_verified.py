"""The books of calls that two workers relay, some killed in the middle of them: the log holds them to be honest."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from threading import Event
from typing import Final

import pytest

from tests.sampling import sample
from tests.served import CONTRACT, ServedDesk, served_desk

_LIMITED: Final = "budget: {max_usd: 500, max_model_calls: 100000, max_output_tokens: 10000000}\n"
_OBSERVED: Final = "enforce: observe\nbudget: {max_usd: 0.01}\n"
_BUDGETS: Final = (
    "budgets: [{tenant: default, window: day, max_usd: 1000}, {workflow: desk, window: hour, max_usd: 900}]"
)


def _asked(desk: ServedDesk, over: Event, *, is_stream: bool) -> int:
    answered = 0
    while not over.is_set():
        try:
            answered += desk.chat(stream=is_stream).status == 200
        except (OSError, HTTPException):
            continue  # its worker was killed
    return answered


@pytest.mark.parametrize(("contract", "more"), sample([("", ""), (_LIMITED, _BUDGETS), (_OBSERVED, _BUDGETS)], 1))
def test_the_books_verify_while_workers_are_at_work_and_after_one_is_killed(
    tmp_path: Path, contract: str, more: str
) -> None:
    with served_desk(tmp_path, CONTRACT + contract, more, words=("--workers", "2")) as desk:
        over = Event()
        with ThreadPoolExecutor(4) as threads:
            asking = [threads.submit(_asked, desk, over, is_stream=number % 2 == 0) for number in range(4)]
            desk.verified()
            os.kill(desk.workers()[-1], signal.SIGKILL)
            desk.verified()
            desk.verified()
            over.set()
            answered = sum(one.result() for one in asking)
        desk.stop()
        desk.verified()
        desk.start("--workers", "2")
        assert desk.chat().status == 200
        desk.verified()

    assert answered > 10
