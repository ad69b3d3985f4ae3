"""What a vendor keeps of one run is looked up in that run alone, by whichever worker and however the answer came."""

import json
from pathlib import Path

import pytest

from tests.troubled import RESPONSES, TroubledDesk, troubled_desk

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
