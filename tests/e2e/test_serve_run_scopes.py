"""Runs of others through `/api/v1/runs`: what a key is not for is not there, in the words of no run at all."""

from collections.abc import Iterator

import pytest

from tests.served import Answer, ServedDesk, served_desk

CONTRACT = "workflow: desk\nmodels: {default: fast}\nenvironments: [sandbox, prod]\n"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    with served_desk(tmp_path_factory.mktemp("scopes"), CONTRACT) as found:
        yield found


def asked(desk: ServedDesk, run_id: str, key: str) -> list[Answer]:
    """Everything that can be asked of a run."""
    return [
        desk.ask(f"/api/v1/runs/{run_id}", None, key=key, method="GET"),
        desk.ask(f"/api/v1/runs/{run_id}/end", {"outcome": "failed"}, key=key),
        desk.ask(f"/api/v1/runs/{run_id}/outcome", {"amendment": "refunded", "reason": "because"}, key=key),
        desk.ask(f"/api/v1/runs/{run_id}/plan", {"tools": {}}, key=key),
    ]


def test_a_key_of_one_environment_finds_no_run_of_another(desk: ServedDesk) -> None:
    prod = desk.create_key("prod", "--environment", "prod", "--open-runs")
    sandbox = desk.create_key("sandbox", "--environment", "sandbox", "--open-runs")
    run_id = desk.ask("/api/v1/runs", {}, key=prod).json["run_id"]

    found, nothing = asked(desk, run_id, sandbox), asked(desk, "run_" + "0" * 26, sandbox)

    assert [one.status for one in found] == [404] * len(found), [one.body for one in found]
    assert [one.body.replace(run_id.encode(), b"") for one in found] == [
        one.body.replace(b"run_" + b"0" * 26, b"") for one in nothing
    ]
    assert desk.ask(f"/api/v1/runs/{run_id}", None, key=prod, method="GET").json["state"] == "open"


@pytest.mark.parametrize(
    "person", ["person:", "person:" + "x" * 300, "os:\u2003", "os:\u202e", "person:a b", "key:lena"]
)
def test_who_a_run_is_for_is_a_name_that_a_record_can_hold(desk: ServedDesk, person: str) -> None:
    backend = desk.create_key(f"backend-{abs(hash(person))}", "--open-runs")

    answer = desk.ask("/api/v1/runs", {"on_behalf_of": person}, key=backend)

    assert (answer.status, "on_behalf_of" in answer.json["detail"]) == (422, True)
    assert desk.ask("/api/v1/runs", {"on_behalf_of": "person:" + "x" * 193}, key=backend).status == 201
