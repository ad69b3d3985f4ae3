"""The fakes that users get: they count, answer and keep time as they say."""

import json
import threading
import urllib.request
from datetime import UTC, datetime

import pytest

from leverframe.testing import CountingReceiver, FakeClock, FakeEntropy, ScriptedModel, say, use_tool
from tests.waiting import until


def post(url: str, effect: dict[str, object], key: str = "") -> dict[str, object]:
    headers = {"Idempotency-Key": key} if key else {}
    # The address is the fake's own, on loopback.
    request = urllib.request.Request(url, data=json.dumps(effect).encode(), headers=headers)  # noqa: S310
    # As above.
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, object] = json.loads(answer.read())
        return found


def get(url: str) -> dict[str, object]:
    # As above.
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        found: dict[str, object] = json.loads(answer.read())
        return found


def test_a_repeat_with_the_same_key_is_one_effect_with_the_same_answer() -> None:
    with CountingReceiver() as receiver:
        first, again = post(receiver.url, {"order": "#1"}, "k1"), post(receiver.url, {"order": "#1"}, "k1")
        post(receiver.url, {"order": "#1"}, "k2")

    assert first == again == {"effect": 1}
    assert (len(receiver.effects), receiver.request_count) == (2, 3)


def test_a_repeat_without_a_key_is_a_second_effect() -> None:
    with CountingReceiver() as receiver:
        post(receiver.url, {"order": "#1"})
        post(receiver.url, {"order": "#1"})

    assert len(receiver.effects) == 2


def test_a_reconcile_finds_what_was_done() -> None:
    with CountingReceiver() as receiver:
        post(receiver.url, {"order": "#1"})

        assert get(f"{receiver.url}?order=%231") == {"effects": [{"order": "#1"}]}
        assert get(f"{receiver.url}?order=%232") == {"effects": []}


def test_a_held_receiver_does_the_effect_and_keeps_the_answer_until_released() -> None:
    answers: list[object] = []
    with CountingReceiver() as receiver:
        receiver.hold()
        asking = threading.Thread(target=lambda: answers.append(post(receiver.url, {"order": "#1"})))
        asking.start()
        until(lambda: receiver.effects, what="the effect")
        assert answers == []
        receiver.release()
        asking.join(timeout=10)

    assert answers == [{"effect": 1}]


def test_a_script_is_played_in_order_and_its_last_line_stays() -> None:
    with ScriptedModel(use_tool("lookup", {"id": "#1"}), say("Done.")) as model:
        answers = [post(f"{model.url}/chat/completions", {"model": "m"}) for _ in range(3)]

    finishes = [answer["choices"][0]["finish_reason"] for answer in answers]  # type: ignore[index]  # a JSON answer
    assert finishes == ["tool_calls", "stop", "stop"]
    assert model.requests == [{"model": "m"}] * 3


def test_time_stands_until_it_is_told_to_go() -> None:
    clock = FakeClock()
    start = clock.now()

    clock.advance(90)
    clock.jump(datetime(2020, 1, 1, tzinfo=UTC))

    assert start == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.now() == datetime(2020, 1, 1, tzinfo=UTC)
    assert clock.monotonic() == 90
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_fake_entropy_repeats_with_its_seed_and_never_within_it() -> None:
    one, same, other = FakeEntropy(1), FakeEntropy(1), FakeEntropy(2)

    drawn = [one.token(10) for _ in range(50)]

    assert drawn == [same.token(10) for _ in range(50)]
    assert len(set(drawn)) == 50
    assert other.token(10) != drawn[0]
    assert len(one.token(100)) == 100
