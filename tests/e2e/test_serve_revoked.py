"""A key that is taken back while a call of it is on its way: what was sent ends, and nobody else is asked for it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.troubled import CHAT, TroubledDesk, troubled_desk
from tests.waiting import until

SLOW, NEXT = "fake-3000ms-e503", "fake-0ms-i70-o33"


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledDesk]:
    models = [f"vendor/{SLOW}", f"vendor/{NEXT}"]
    with troubled_desk(tmp_path_factory.mktemp("revoked") / "desk", models) as found:
        yield found


def test_the_next_candidate_is_not_asked_for_a_key_that_was_revoked_meanwhile(desk: TroubledDesk) -> None:
    called = "SELECT CAST(leaf AS TEXT) FROM leaves WHERE type = 'model.called'"
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(desk.call, CHAT, "fast")
        until(lambda: desk.rows(called), what="the first candidate is asked")
        assert desk.cli("keys", "revoke", "desk").returncode == 0
        answer = call.result()

    assert answer.status == 401, answer.body
    assert [json.loads(leaf)["model"] for (leaf,) in desk.rows(called)] == [SLOW]
    desk.verified()
