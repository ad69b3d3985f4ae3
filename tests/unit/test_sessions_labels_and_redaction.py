"""What the record says of where values come from, from the first entry on; and what it never says in clear."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from leverframe.core.canonical import decode, encode
from leverframe.domain.ids import RunId
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Integrity
from leverframe.runtime.outcomes import Answered, Failed
from tests.door_desk import CONTRACT, PROJECT_FILE, Desk, open_desk, rules, write_desk
from tests.shop_tools import SHOP_TOOLS

TYPES = PROJECT_FILE + "types: {order_id: {pattern: 'W[0-9]{5}'}}\n"
EMAIL = "jane@example.com"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path, project=TYPES)
    with open_desk(tmp_path) as opened:
        yield opened


def labels_of(desk: Desk, run_id: str, step: str) -> JsonObject:
    """The argument labels of a call's decision, as they stand in the log."""
    leaves = desk.leaves(RunId(run_id), "call.decided")
    found = [leaf for leaf in leaves if leaf["step"] == step]
    labels: JsonObject = found[-1].get("argument_labels", {})
    return labels


def test_a_value_of_the_users_own_text_is_user(desk: Desk) -> None:
    run = desk.open(message="please cancel W00001, thanks")

    outcome = desk.call(run, "set_status", {"order_id": "W00001", "status": "cancelled"})

    assert labels_of(desk, run.run_id, outcome.path) == {"order_id": "user", "status": "third-party"}


def test_a_part_of_the_users_text_that_is_no_whole_token_is_third_party(desk: Desk) -> None:
    run = desk.open(message="please cancel W000012, thanks")

    outcome = desk.call(run, "set_status", {"order_id": "W00001", "status": "please"})

    assert labels_of(desk, run.run_id, outcome.path) == {"order_id": "third-party", "status": "third-party"}


def holds(desk: Desk, column: str, value: str) -> None:
    """Let order W00002 hold a value in a column that the shop's tool reads."""
    desk.shop(f"UPDATE orders SET {column} = ? WHERE order_id = 'W00002'", value)  # noqa: S608 our own names


def test_a_value_that_a_tool_returned_has_the_trust_of_its_field(desk: Desk) -> None:
    holds(desk, "email", "W00001")
    holds(desk, "note", "W00003")
    run = desk.open(message="my order, please")
    desk.call(run, "look_up", {"order_id": "W00002"})

    known = desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"})
    planted = desk.call(run, "set_status", {"order_id": "W00003", "status": "paid"})

    assert labels_of(desk, run.run_id, known.path)["order_id"] == "tenant-record"
    assert labels_of(desk, run.run_id, planted.path)["order_id"] == "third-party"


def test_what_an_answer_repeats_of_its_own_call_is_nobodys_also_in_a_run_that_is_taken_up_again(desk: Desk) -> None:
    run = desk.open(message="my order, please")
    desk.call(run, "look_up", {"order_id": "W00001"})

    here = desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"})
    again = desk.do(desk.runner.reopen_outside(run.run_id))
    there = desk.call(again, "set_status", {"order_id": "W00001", "status": "sent"})

    assert labels_of(desk, run.run_id, here.path)["order_id"] == "third-party"
    assert labels_of(desk, run.run_id, there.path)["order_id"] == "third-party"


def test_what_is_written_and_read_back_is_nobodys_again_also_in_a_run_that_is_taken_up_again(desk: Desk) -> None:
    holds(desk, "email", "W00001")
    run = desk.open(message="my order, please")
    desk.call(run, "set_status", {"order_id": "W00003", "status": "W00001"})
    desk.call(run, "look_up", {"order_id": "W00002"})

    here = desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"})
    again = desk.do(desk.runner.reopen_outside(run.run_id))
    there = desk.call(again, "set_status", {"order_id": "W00001", "status": "sent"})

    assert labels_of(desk, run.run_id, here.path)["order_id"] == "third-party"
    assert labels_of(desk, run.run_id, there.path)["order_id"] == "third-party"


def test_a_record_that_is_known_before_it_is_written_somewhere_stays_one_and_so_does_the_users_word(
    desk: Desk,
) -> None:
    holds(desk, "email", "W00001")
    run = desk.open(message="set W00004")
    desk.call(run, "look_up", {"order_id": "W00002"})
    for order_id in ("W00001", "W00004"):
        desk.call(run, "set_status", {"order_id": order_id, "status": "paid"})
    desk.call(run, "look_up", {"order_id": "W00002"})

    labels = {
        order_id: labels_of(
            desk, run.run_id, desk.call(run, "set_status", {"order_id": order_id, "status": "sent"}).path
        )["order_id"]
        for order_id in ("W00001", "W00004")
    }

    assert labels == {"W00001": "tenant-record", "W00004": "user"}


def test_a_write_that_was_denied_has_put_nothing_anywhere(desk: Desk) -> None:
    holds(desk, "email", "W00001")
    run = desk.open(message="my order, please")
    desk.call(run, "set_status", {"order_id": "W00003", "status": ["W00001"]})
    desk.call(run, "look_up", {"order_id": "W00002"})

    known = desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"})

    assert labels_of(desk, run.run_id, known.path)["order_id"] == "tenant-record"


def test_several_equal_values_give_the_lowest_unless_the_users_own_text_holds_it(desk: Desk) -> None:
    desk.shop("UPDATE orders SET note = 'W00001' WHERE order_id = 'W00001'")
    run = desk.open(message="my order, please")
    desk.call(run, "look_up", {"order_id": "W00001"})
    asked = desk.open(message="W00001 please")
    desk.call(asked, "look_up", {"order_id": "W00001"})

    lowest = desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"})
    users = desk.call(asked, "set_status", {"order_id": "W00001", "status": "paid"})

    assert labels_of(desk, run.run_id, lowest.path)["order_id"] == "third-party"
    assert labels_of(desk, asked.run_id, users.path)["order_id"] == "user"


def test_what_the_door_read_for_itself_raises_no_label(desk: Desk) -> None:
    run = desk.open(message="my order, please")

    refund = desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 5})
    again = desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"})

    assert isinstance(refund, Answered)
    assert labels_of(desk, run.run_id, again.path)["order_id"] == "third-party"


def test_the_labels_of_a_resumed_run_are_those_that_it_had(desk: Desk) -> None:
    run = desk.open(message="W00001 please")
    desk.call(run, "look_up", {"order_id": "W00002"})

    reopened = desk.do(desk.runner.reopen_outside(run.run_id))

    assert dict(reopened.ctx.values.known) == dict(run.ctx.values.known)
    assert reopened.ctx.values.union == run.ctx.values.union


def test_the_words_of_a_refusal_lower_the_run_that_reads_them_and_the_record_says_what_was_taken_out(
    tmp_path: Path,
) -> None:
    hiding = SHOP_TOOLS.replace("not today", "not\u200b today")
    write_desk(tmp_path, project=TYPES, **{"tools/shop.py": hiding})
    with open_desk(tmp_path) as desk:
        desk.shop("INSERT INTO moods VALUES ('peek', 'before:refuse', 1)")
        run = desk.open(message="W00001 please")
        before = run.ctx.values.union.integrity

        outcome = desk.call(run, "peek", {"order_id": "W00001"})
        reopened = desk.do(desk.runner.reopen_outside(run.run_id))

        assert isinstance(outcome, Failed)
        assert (before, run.ctx.values.union.integrity) == (Integrity.USER, Integrity.THIRD_PARTY)
        assert reopened.ctx.values.union == run.ctx.values.union
        assert (run.ctx.is_suspicious, reopened.ctx.is_suspicious) == (True, True)
        (settled,) = desk.leaves(run.run_id, "call.settled")
        assert settled["detail"]["removed"] == ["zero-width=1"]


def test_rules_read_labels(tmp_path: Path) -> None:
    rule = "{id: traced, then: hold, tools: [set_status], when: 'integrity(args.order_id) == \"third-party\"'}"
    write_desk(tmp_path, CONTRACT.replace("approval:\n", f"    - {rule}\napproval:\n"), project=TYPES)
    with open_desk(tmp_path) as desk:
        run = desk.open(message="W00001 please")

        assert isinstance(desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"}), Answered)
        assert rules(desk.call(run, "set_status", {"order_id": "W00002", "status": "paid"})) == ("traced",)


@pytest.mark.parametrize(
    ("of", "expected"), [("[facts.order]", "tenant-record"), ("[facts.order, args.status]", "third-party")]
)
def test_what_is_computed_is_as_trusted_as_the_least_of_what_it_is_computed_from(
    tmp_path: Path, of: str, expected: str
) -> None:
    function = "def half_of(order, amount=None):\n    return len(order)\n"
    rule = "{id: sure, then: deny, tools: [set_status], when: 'integrity(facts.half) == \"" + expected + "\"'}"
    contract = CONTRACT.replace("approval:\n", f"    - {rule}\napproval:\n").replace(
        "budget:", f"  half: {{python: 'facts.py:half_of', of: {of}}}\nbudget:"
    )
    write_desk(tmp_path, contract, project=TYPES, **{"facts.py": function})
    with open_desk(tmp_path) as desk:
        outcome = desk.call(desk.open(), "set_status", {"order_id": "W00001", "status": "paid"})

        assert rules(outcome) == ("sure",)


def in_clear(folder: Path, text: str) -> list[str]:
    """The tables of the database that hold a text in clear, disclosures marked as redacted aside."""
    found = []
    with closing(sqlite3.connect(folder / ".leverframe/leverframe.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            where = " AND is_redacted = 0" if "is_redacted" in columns else ""
            hits = " OR ".join(f"instr(CAST({column} AS BLOB), CAST(:text AS BLOB)) > 0" for column in columns)
            rows = database.execute(f"SELECT count(*) FROM {table} WHERE ({hits}){where}", {"text": text})  # noqa: S608 names of our own tables
            if rows.fetchone()[0]:
                found.append(table)
    return found


def test_a_redacted_value_stands_nowhere_in_clear_whoever_brought_it(desk: Desk) -> None:
    run = desk.open(message=f"write to {EMAIL}", email=EMAIL)
    desk.call(run, "look_up", {"order_id": "W00001"})
    desk.call(run, "send_letter", {"order_id": "W00001", "text": f"Dear {EMAIL.upper()}!"})
    desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 60, "note": EMAIL})
    desk.call(run, f"tool of {EMAIL}", {"email": EMAIL, EMAIL: 1})

    assert in_clear(desk.folder, EMAIL) == []
    assert in_clear(desk.folder, EMAIL.upper()) == []


def test_a_value_that_only_a_fact_brought_is_redacted_from_then_on(desk: Desk) -> None:
    run = desk.open(message="refund, please")
    desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 5})

    desk.call(run, "send_letter", {"order_id": "W00001", "text": f"Dear {EMAIL}"})

    assert in_clear(desk.folder, EMAIL) == []


def test_what_a_run_learned_to_redact_it_still_knows_in_the_next_process(desk: Desk) -> None:
    run = desk.open(message="refund, please")
    desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 5})
    reopened = desk.do(desk.runner.reopen_outside(run.run_id))

    desk.call(reopened, "send_letter", {"order_id": "W00001", "text": f"Dear {EMAIL}"})

    assert in_clear(desk.folder, EMAIL) == []


def test_a_quarantined_answer_is_redacted_as_well(desk: Desk) -> None:
    desk.mood("send_letter", "garbage")
    run = desk.open(message="hello", email=EMAIL)

    desk.call(run, "send_letter", {"order_id": "W00001"})

    assert in_clear(desk.folder, EMAIL) == []


def test_the_exact_bytes_come_back_for_the_tool_although_they_are_redacted(desk: Desk) -> None:
    run = desk.open(message="hello", email=EMAIL)
    args: JsonObject = {"order_id": "W00001", "amount_usd": 60, "note": f"tell {EMAIL}"}
    held = desk.call(run, "issue_refund", args)
    desk.grant(held)

    reopened = desk.do(desk.runner.reopen_outside(run.run_id))
    advanced = desk.do(desk.runner.resume(run.run_id))

    assert desk.effects() == {"issue_refund": 1}
    step = desk.steps(run.run_id)[held.path]
    envelope = desk.disclosed(run.run_id, step.args_ref)["envelope"]
    assert decode(encode(envelope["args"])) == decode(encode(args))
    assert reopened.ctx.values.union.integrity is Integrity.USER
    assert advanced.run.run_id == run.run_id
