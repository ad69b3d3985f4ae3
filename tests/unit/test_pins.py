"""What closes a tool of a server: whatever is not exactly what a person has reviewed."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from leverframe.config.lock_file import load_lock, lock_text, parse_lock, write_lock
from leverframe.core.pins import closed, known_closed, moved, with_pins
from leverframe.domain.errors import ConfigInvalid
from leverframe.domain.ids import PrincipalId, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import DRIFTED, QUARANTINED, EffectPin, LostClass, Offering, Reviewed, ToolsLock
from leverframe.domain.tools import EffectClass, McpOrigin

REVIEWED = Reviewed(by=PrincipalId("os:maria"), at=datetime(2026, 1, 2, tzinfo=UTC), because="read it")
REACHED: JsonObject = {"command": ["python", "-m", "shop_server"]}
REFUND: JsonObject = {
    "name": "refund",
    "description": "Refund an order.",
    "inputSchema": {
        "type": "object",
        "properties": {"order_id": {"type": "string"}, "amount": {"type": "number", "maximum": Decimal("49.90")}},
    },
    "outputSchema": {"type": "object"},
    "annotations": {"destructiveHint": True},
}
LOOKUP: JsonObject = {"name": "lookup", "inputSchema": {"type": "object"}}


def offering(*tools: JsonObject, name: str = "shop", version: str = "1") -> Offering:
    return Offering(info={"name": name, "version": version}, tools={str(one["name"]): one for one in tools})


SHOP = offering(REFUND, LOOKUP)
LOCK = with_pins(ToolsLock(), "shop", REACHED, SHOP, names=("refund", "lookup"), reviewed=REVIEWED)
ORIGIN = McpOrigin(server="shop", name="refund")


def changed(**keys: Json) -> JsonObject:
    return {**REFUND, **keys}


def test_a_tool_that_is_what_was_reviewed_is_open() -> None:
    assert closed(LOCK, ORIGIN, REACHED, SHOP) is None
    assert known_closed(LOCK, ORIGIN, REACHED) is None


@pytest.mark.parametrize(
    ("live", "part"),
    [
        (changed(description="Refund an order. "), "description"),
        (changed(description="Refund an order.\u200b"), "description"),
        (changed(title="Refund"), "title"),
        (changed(inputSchema={**REFUND["inputSchema"], "required": ["order_id"]}), "inputSchema"),  # type: ignore[dict-item]  # a Json
        (changed(outputSchema={"type": "object", "properties": {}}), "outputSchema"),
        (changed(annotations={"destructiveHint": False}), "annotations"),
        (changed(annotations={"destructiveHint": True, "readOnlyHint": True}), "annotations"),
        (changed(execution={"taskSupport": "required"}), "execution"),
    ],
)
def test_every_part_of_a_definition_is_pinned(live: JsonObject, part: str) -> None:
    found = closed(LOCK, ORIGIN, REACHED, offering(live, LOOKUP))

    assert found is not None
    assert found.slug == DRIFTED
    assert part in found.message
    assert len(found.seen) == 64


def test_pictures_and_notes_of_the_protocol_close_nothing() -> None:
    live = changed(_meta={"served_by": "node 7"}, icons=[{"src": "data:,x"}])

    assert closed(LOCK, ORIGIN, REACHED, offering(live, LOOKUP)) is None


def test_a_server_that_nobody_has_seen_is_quarantined_with_all_its_tools() -> None:
    found = known_closed(ToolsLock(), ORIGIN, REACHED)

    assert found is not None
    assert found.slug == QUARANTINED
    assert "'shop'" in found.message


def test_a_new_tool_of_a_known_server_is_quarantined_and_the_others_stay_open() -> None:
    live = offering(REFUND, LOOKUP, {"name": "wipe", "inputSchema": {}})

    found = closed(LOCK, McpOrigin(server="shop", name="wipe"), REACHED, live)

    assert found is not None
    assert found.slug == QUARANTINED
    assert closed(LOCK, ORIGIN, REACHED, live) is None


def test_a_rename_is_a_new_tool_and_is_named_as_what_it_looks_like() -> None:
    live = offering(changed(name="refund_order"), LOOKUP)

    gone, new = (
        closed(LOCK, McpOrigin(server="shop", name=name), REACHED, live) for name in ("refund", "refund_order")
    )

    assert gone is not None
    assert (gone.slug, "'refund_order'" in gone.message) == (DRIFTED, True)
    assert new is not None
    assert (new.slug, "'refund' under another name" in new.message) == (QUARANTINED, True)


def test_two_tools_that_take_each_others_names_are_both_closed() -> None:
    live = offering({**LOOKUP, "name": "refund"}, changed(name="lookup"))

    found = [closed(LOCK, McpOrigin(server="shop", name=name), REACHED, live) for name in ("refund", "lookup")]

    assert [one.slug for one in found if one is not None] == [DRIFTED, DRIFTED]


def test_another_command_behind_the_same_name_is_refused_before_it_starts() -> None:
    found = known_closed(LOCK, ORIGIN, {"command": ["python", "-m", "evil_server"]})

    assert found is not None
    assert found.slug == DRIFTED
    assert "evil_server" in found.message


@pytest.mark.parametrize("live", [offering(REFUND, LOOKUP, name="evil"), offering(REFUND, LOOKUP, version="2")])
def test_a_server_that_says_it_is_another_is_refused(live: Offering) -> None:
    found = closed(LOCK, ORIGIN, REACHED, live)

    assert found is not None
    assert found.slug == DRIFTED


def test_a_review_of_another_upstream_forgets_what_was_seen_of_the_old_one() -> None:
    other: JsonObject = {"command": ["npx", "shop"]}

    lock = with_pins(LOCK, "shop", other, SHOP, names=("refund",), reviewed=REVIEWED)

    assert closed(lock, ORIGIN, other, SHOP) is None
    assert known_closed(lock, McpOrigin(server="shop", name="lookup"), other) is not None


def test_the_same_pins_for_a_server_that_moved_stay_open_there_alone() -> None:
    there: JsonObject = {"command": ["python", "-m", "shop_server", "--fast"]}

    lock = moved(LOCK, "shop", there)

    assert closed(lock, ORIGIN, there, SHOP) is None
    assert closed(lock, ORIGIN, REACHED, SHOP) is not None
    assert parse_lock(lock_text(lock).encode()) == lock


def test_a_lock_reads_back_as_it_was_written_with_exact_numbers_and_visible_characters() -> None:
    hidden = changed(description="Refund.\U000e0041\u202e")
    lock = with_pins(LOCK, "shop", REACHED, offering(hidden, LOOKUP), names=("refund",), reviewed=REVIEWED)
    lock = ToolsLock(
        servers=lock.servers,
        tools=lock.tools,
        effects={ToolName("find"): EffectPin(effect=EffectClass.READ, reviewed=REVIEWED)},
        lost={ToolName("pay"): LostClass(claimed=EffectClass.KEYED, reviewed=REVIEWED)},
    )

    text = lock_text(lock)

    assert parse_lock(text.encode()) == lock
    assert "49.90" in text
    assert "\\udb40\\udc41\\u202e" in text
    assert text.isascii()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("Refund an order.", "Refund every order."),
        lambda text: text.replace('"shop/refund"', '"shop/lookup2"'),
        lambda text: text.replace('"lock": 1', '"lock": 2'),
        lambda text: text.replace('"at"', '"when"'),
        lambda text: text[:-20],
        lambda text: text.replace('"servers": {', '"servers": [], "gone": {'),
        lambda _: "[]",
    ],
)
def test_a_lock_that_was_edited_by_hand_is_refused_and_opens_nothing(
    tmp_path: Path, damage: Callable[[str], str]
) -> None:
    write_lock(tmp_path, LOCK)
    path = tmp_path / "tools.lock"
    before = path.read_text()
    path.write_text(damage(before))

    assert path.read_text() != before
    with pytest.raises(ConfigInvalid, match="lock-damaged"):
        load_lock(tmp_path)
