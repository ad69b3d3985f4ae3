"""The edges of sealing: nothing to redact, keys of ours in the text of others, numbers, and what cannot be opened."""

import json
from decimal import Decimal

import pytest

from leverframe.core.disclosures import Placeholders as Numbers
from leverframe.core.disclosures import must_withhold, open_, redact_json, redaction_from, seal, seal_bytes
from leverframe.core.redaction import Redaction, redaction_of
from leverframe.domain.evidence import Disclosure
from leverframe.domain.json import Json
from tests.unit.test_disclosures import TOKEN_KEY, salts, sealed

NOTHING = Redaction()


@pytest.mark.parametrize(
    "value", [{"...": "x"}, {"...cut": ["x"]}, {"...pairs": []}, {"...=": 1}, {"a": [{"...": {}}]}]
)
def test_a_key_of_ours_in_a_value_is_text_also_where_nothing_is_redacted(value: Json) -> None:
    (only,) = seal("result", value, redaction=NOTHING, salts=salts(), token_key=TOKEN_KEY)

    assert open_(only, {}, {}) == value


@pytest.mark.parametrize(
    "key", [r"\u002e..", r".\u002E.cut", r"\u002e\u002e\u002epairs", r"..\u002e=more", "...", "...cut"]
)
@pytest.mark.parametrize("value", ['"AAAA"', '["in", "nocent"]', '[["a", 1]]', "[1]"])
def test_a_key_of_ours_in_text_that_an_agent_wrote_is_text_however_it_is_spelt(key: str, value: str) -> None:
    text = f'{{"metadata": {{"{key}": {value}}}}}'.encode()

    top, *_ = seal_bytes("call", text, redaction=Redaction(), salts=salts(), token_key=TOKEN_KEY)

    assert open_(top, {}, {}) == json.loads(text)


def test_what_a_run_has_taught_is_its_redacted_parts_and_nothing_else() -> None:
    top, *parts = sealed({"email": "a@b.org", "note": "to a@b.org", "other": "c@d.org"})

    learned = redaction_from(redaction_of(["address"]), [top, *parts])
    nothing_new = redaction_of(["address"])

    assert learned.keys == {"address", "email"}
    assert learned.values["a@b.org"] == "email"
    assert not any("c@d.org" in value for value in learned.values)
    assert redaction_from(nothing_new, [top]) is nothing_new


def test_without_anything_to_redact_nothing_is_withheld() -> None:
    (only,) = seal("result", {"a": "b"}, redaction=NOTHING, salts=salts(), token_key=TOKEN_KEY)

    assert must_withhold(only, NOTHING) is False
    assert must_withhold(only, redaction_of(["email"])) is False


@pytest.mark.parametrize("value", [12345, Decimal(12345), [{"n": 12345}]])
def test_a_number_that_was_learned_as_a_text_withholds_what_holds_it(value: Json) -> None:
    (only,) = seal("result", {"x": value}, redaction=NOTHING, salts=salts(), token_key=TOKEN_KEY)

    assert must_withhold(only, redaction_of(["card"], {"12345": "card"})) is True
    assert must_withhold(only, redaction_of(["card"], {"123456": "card"})) is False


@pytest.mark.parametrize("value", [{"home": "a"}, ["a"], "a", 1, None])
def test_a_field_that_is_redacted_only_later_withholds_the_whole_whatever_it_holds(value: Json) -> None:
    (only,) = seal("result", {"email": value}, redaction=NOTHING, salts=salts(), token_key=TOKEN_KEY)

    assert must_withhold(only, redaction_of(["email"])) is True


def test_keys_that_look_alike_once_they_are_withheld_stay_apart() -> None:
    value = {"a@b.org": 1, "A@b.org": 2, "a@B.org": 3}

    shown = redact_json({"email": "a@b.org", "by": value}, redaction_of(["email"]), Numbers())

    assert isinstance(shown, dict)
    withheld = "[email withheld 1]"
    assert shown["by"] == {withheld: 1, f"{withheld} (2)": 2, f"{withheld} (3)": 3}


@pytest.mark.parametrize("pairs", [b'["x"]', b"[[1,2,3]]", b'[["a"]]', b"[{}]"])
def test_pairs_that_are_none_are_refused(pairs: bytes) -> None:
    broken = Disclosure(digest="d", salt="s", name="n", value_bytes=b'{"...pairs":%s}' % pairs)

    with pytest.raises(ValueError, match="is a key and a value"):
        open_(broken, {}, {})
