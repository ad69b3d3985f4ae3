"""What a client is told of a vendor's error beside its status: the words, and whether and when to ask again."""

import json

import pytest

from leverframe.domain.relays import RelayRefusal
from leverframe.testing.loopback import Served
from tests.unit.test_models_relay import KEY, itself, sent

QUOTA = {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}


def refused(served: Served) -> RelayRefusal:
    found, _ = sent(served, itself)
    assert isinstance(found, RelayRefusal)
    return found


def test_an_error_in_a_list_is_told_as_the_object_that_it_is() -> None:
    told = refused(Served(status=429, body=json.dumps([{"error": QUOTA}]).encode()))

    assert json.loads(told.body) == {"error": QUOTA}


@pytest.mark.parametrize("listed", [[], ["lorem"], [{"error": QUOTA}, {"error": QUOTA}], [[{"error": QUOTA}]]])
def test_any_other_list_is_no_error_of_a_vendor(listed: list[object]) -> None:
    told = refused(Served(status=429, body=json.dumps(listed).encode()))

    assert "no error of its own" in json.loads(told.body)["error"]["message"]


def test_a_key_is_taken_out_of_an_error_in_a_list_too() -> None:
    told = refused(Served(status=400, body=json.dumps([{"error": {"message": f"not {KEY}"}}]).encode()))

    assert KEY.encode() not in told.body


def test_the_vendors_word_whether_and_when_to_ask_again_reaches_the_libraries_that_heed_it() -> None:
    told = {"x-should-retry": "false", "retry-after-ms": "700"}

    assert refused(Served(status=429, body=b'{"error": {}}', headers=told)).headers.items() >= told.items()
