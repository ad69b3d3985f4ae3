"""What a vendor keeps of one run is looked up in that run alone, by whichever worker and however the answer came."""

import json
from pathlib import Path

import pytest

from tests.troubled import MESSAGES, RESPONSES, USER, TroubledDesk, troubled_desk

MODEL = "fake-0ms-i10-o10-c2"
CONTRACT = "workflow: desk\nmodels: {default: fast, vendor_state: [store, previous_response_id]}\n"


def asked(desk: TroubledDesk, run: str, **fields: object) -> int:
    body = {"model": MODEL, "input": "Hello", "max_output_tokens": 20, "store": True, **fields}
    return desk.ask(RESPONSES, body, **{"Leverframe-Run": run}).status


@pytest.mark.parametrize("stream", [False, True])
def test_an_id_is_good_in_the_run_that_it_was_answered_in_and_in_no_other(tmp_path: Path, *, stream: bool) -> None:
    with troubled_desk(tmp_path / "desk", [f"vendor/{MODEL}"], CONTRACT) as desk:
        assert asked(desk, "mine", stream=stream) == 200

        assert asked(desk, "mine", previous_response_id="resp_1") == 200
        assert asked(desk, "mine", input=[{"type": "item_reference", "id": "msg_1"}]) == 200
        served = desk.vendor.served.requests
        assert asked(desk, "other", previous_response_id="resp_1") == 404
        assert asked(desk, "mine", previous_response_id="resp_of_somebody") == 404
        assert asked(desk, "other", input=[{"type": "item_reference", "id": "msg_1"}]) == 404
        assert desk.vendor.served.requests == served
        # Another process knows it from the record.
        desk.stop()
        desk.start()
        assert asked(desk, "mine", previous_response_id="resp_1") == 200
        assert json.loads(desk.vendor.bodies[-1])["store"] is True
        desk.verified()


@pytest.mark.parametrize("stream", [False, True])
def test_a_thread_is_gone_on_with_in_the_run_that_began_it_and_in_no_other(tmp_path: Path, *, stream: bool) -> None:
    def said(run: str, thread: dict[str, str]) -> tuple[int, bytes]:
        body = {"model": MODEL, "messages": USER, "max_tokens": 20, "thread": thread, "stream": stream}
        headers = {"Leverframe-Run": run, "anthropic-beta": "message-threads-2026-08-12"}
        answer = desk.ask(MESSAGES, body, **headers)
        return answer.status, answer.body

    contract = "workflow: desk\nmodels: {default: fast, vendor_state: [threads]}\n"
    with troubled_desk(tmp_path / "desk", [f"claude/{MODEL}"], contract) as desk:
        assert said("mine", {"type": "create"})[0] == 200

        gone_on = {"type": "continue", "previous_message_id": "msg_1"}
        assert said("mine", gone_on)[0] == 200
        assert json.loads(desk.vendor.bodies[-1])["thread"] == gone_on
        served = desk.vendor.served.requests
        status, body = said("other", gone_on)
        # The words by which the vendor's SDKs begin a thread anew.
        assert (status, json.loads(body)["error"]["details"]["error_code"]) == (404, "thread_not_found")
        assert desk.vendor.served.requests == served
        desk.verified()
