"""A fresh run of an agent's key launders no label: it has third-party values alone, and the key's secrecy of a day."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.config_samples import write_files
from tests.property.test_labels_of_runs import FILES
from tests.served import ServedDesk, served_folder

META = "io.modelcontextprotocol/"
ERA = "2026-07-28"


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    files = {**FILES, "leverframe.yaml": FILES["leverframe.yaml"].replace("people: {lena: {roles: [approver]}}\n", "")}
    hasty = files["workflows/desk.yaml"] + "approval: {hold_wait_s: 0.01}\n"
    folder = write_files(tmp_path_factory.mktemp("keyed"), {**files, "workflows/desk.yaml": hasty})
    with served_folder(folder) as found:
        yield found


# Any: the result of a call, as MCP has it.
def call(desk: ServedDesk, run: str, tool: str, key: str = "", **arguments: str) -> Any:
    meta = {f"{META}protocolVersion": ERA, f"{META}clientInfo": {"name": "t", "version": "1"}}
    params = {"name": tool, "arguments": arguments, "_meta": {**meta, f"{META}clientCapabilities": {}}}
    answer = desk.ask(
        "/mcp",
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
        key=key or desk.key,
        Accept="application/json, text/event-stream",
        MCP_Protocol_Version=ERA,
        Mcp_Method="tools/call",
        Mcp_Name=tool,
        Leverframe_Run=run,
    )
    assert answer.status == 200, answer.body
    return answer.json["result"]


def held_by(desk: ServedDesk, run: str, key: str = "", text: str = "see www.place.example") -> str:
    """What holds a message to somebody of our own records, whom this run has looked up."""
    assert not call(desk, run, "read_record", key, name="ann")["isError"]
    told = call(desk, run, "send", key, to="ann@place.example", text=text)
    assert told["structuredContent"]["status"] == "held", told
    return str(told["structuredContent"]["message"])


def test_a_run_of_a_key_takes_over_what_the_key_has_seen_and_another_key_nothing(desk: ServedDesk) -> None:
    first = held_by(desk, "one")
    assert not call(desk, "two", "read_vault", name="bob")["isError"]

    third = held_by(desk, "three")
    other = held_by(desk, "four", desk.create_key("other"))

    # What its model has read elsewhere nobody knows: its words are anybody's before it has read anything here.
    assert "third-party-link" in first
    assert "rule-of-two" not in first
    assert "rule-of-two" in third
    assert "rule-of-two" not in other
    desk.verified()


def test_what_was_taken_over_is_passed_on_and_known_after_a_restart(desk: ServedDesk) -> None:
    call(desk, "one", "read_vault", name="bob")
    held_by(desk, "two")
    desk.stop()
    desk.start()

    assert "rule-of-two" in held_by(desk, "two", text="see www.place.example now")
    assert "rule-of-two" in held_by(desk, "three")


def test_a_run_that_is_open_already_knows_what_the_key_has_seen_in_another_since(desk: ServedDesk) -> None:
    plain = {"to": "ann@place.example", "text": "Hello"}
    assert not call(desk, "old", "read_record", name="ann")["isError"]
    assert not call(desk, "old", "send", **plain)["isError"]

    assert not call(desk, "other", "read_vault", name="bob")["isError"]
    again = call(desk, "old", "send", **plain | {"text": "Good day"})
    desk.stop()
    desk.start()
    after = call(desk, "old", "send", **plain | {"text": "Good night"})

    assert [one["structuredContent"]["status"] for one in (again, after)] == ["held", "held"]
    assert all("rule-of-two" in one["structuredContent"]["message"] for one in (again, after))
