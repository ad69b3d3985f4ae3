"""Kill switches that people flip while two workers relay: whatever the order was, the log of it verifies."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Final

from tests.served import ServedDesk, served_desk

_FLIPS: Final = (("model", "vendor"), ("everything",), ("workflow", "desk"), ("key", "desk"))


def _asked(desk: ServedDesk, over: Event) -> list[int]:
    found = []
    while not over.is_set():
        found.append(desk.chat().status)
    return found


def test_a_log_of_calls_around_every_switch_verifies(tmp_path: Path) -> None:
    with served_desk(tmp_path, words=("--workers", "2")) as desk, ThreadPoolExecutor(4) as threads:
        over = Event()
        asking = [threads.submit(_asked, desk, over) for _ in range(4)]
        for words in _FLIPS:
            assert desk.cli("kill", *words, "--because", "a drill").returncode == 0
            assert desk.cli("unkill", *words, "--because", "a drill").returncode == 0
        over.set()
        answers = [status for one in asking for status in one.result()]

        told = desk.cli("evidence", "verify", "--json")

    assert {200, 403} <= set(answers)
    (held,) = [one for one in json.loads(told.stdout)["logs"]["default"]["checks"] if one["name"] == "S10"]
    assert (held["status"], held["checked"] > answers.count(200) / 2) == ("passed", True), told.stdout
