"""What is withheld and what is not, case by case."""

from decimal import Decimal

import pytest

from leverframe.core.disclosures import Placeholders, redact_json
from leverframe.core.redaction import Redaction, learn, redaction_of, spans
from leverframe.domain.json import Json

KEYS = ["email", "address", "card_last4"]


def shown(value: Json, redaction: Redaction | None = None) -> Json:
    return redact_json(value, redaction_of(KEYS) if redaction is None else redaction, Placeholders())


def known(*values: str) -> Redaction:
    return redaction_of([], dict.fromkeys(values, "email"))


@pytest.mark.parametrize(
    "value",
    ["ana@example.com", 1234, True, None, Decimal("1.50"), ["a", "b"], {"street": "Elm 1", "zip": 7}, ""],
)
def test_a_redacted_key_withholds_any_value_at_any_depth(value: Json) -> None:
    assert shown({"deep": [{"email": value}]}) == {"deep": [{"email": "[email withheld 1]"}]}


@pytest.mark.parametrize("key", ["email", "Email", "EMAIL", "\uff45mail", "e\u200bmail"])
def test_a_key_is_met_in_any_case_and_width(key: str) -> None:
    assert shown({key: "ana@example.com"}) == {key: f"[{key} withheld 1]"}


@pytest.mark.parametrize("key", ["emails", "my_email", "e-mail", "mail"])
def test_another_key_is_not_met(key: str) -> None:
    assert shown({key: "x"}) == {key: "x"}


def test_the_same_value_is_withheld_where_it_reappears_in_text() -> None:
    value: Json = {"email": "ana@example.com", "note": "write to Ana@Example.com, not to bob@example.com"}

    assert shown(value) == {
        "email": "[email withheld 1]",
        "note": "write to [email withheld 1], not to bob@example.com",
    }


def test_equal_values_look_equal_and_others_do_not() -> None:
    value: Json = [{"email": "a@x.org"}, {"email": "b@x.org"}, {"email": "A@X.ORG"}]

    assert shown(value) == [
        {"email": "[email withheld 1]"},
        {"email": "[email withheld 2]"},
        {"email": "[email withheld 1]"},
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1234", "order #W1234567"),
        ("1234", "w1234"),
        ("ana", "banana"),
        ("ana", "ana_2"),
        ("ab", "ab"),  # shorter than three characters
        ("Elm 1", "Elm 12"),
    ],
)
def test_only_a_whole_token_matches(value: str, text: str) -> None:
    assert spans(text, known(value)) == ()


@pytest.mark.parametrize(
    ("value", "text", "withheld"),
    [
        ("1234", "card 1234.", "1234"),
        ("1234", "#1234", "1234"),
        ("Ana Lima", "for ANA\n  LIMA now", "ANA\n  LIMA"),
        ("José", "jose", "jose"),
        ("Jose", "JOSE\u0301", "JOSE\u0301"),
        ("José", '{"n": "Jos\\u00e9"}', "Jos\\u00e9"),
        ("a@b.org", "https://x/?m=a%40b.org", "a%40b.org"),
        ("ana@b.org", "an\u200ba@b.org", "an\u200ba@b.org"),
        ("straße", "STRASSE", "STRASSE"),
        ("田中", "私は田中です", "田中"),
        ('say "x"', 'text {"q": "say \\"x\\""}', 'say \\"x\\"'),
        ("#W12", "order #W12, please", "#W12"),
    ],
)
def test_a_value_is_found_in_other_spellings(value: str, text: str, withheld: str) -> None:
    found = spans(text, known(value))

    assert [text[one.start : one.end] for one in found] == [withheld]


def test_overlapping_values_are_withheld_as_one_span() -> None:
    found = spans("to Ana Lima Street 5!", known("Ana Lima", "Lima Street", "Street 5"))

    assert [(one.start, one.end) for one in found] == [(3, 20)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"email": "a@b.org", "id": 1}', '{"email": [email withheld 1], "id": 1}'),
        ('said: {"address": {"zip": 7, "x": ["}"]}} ok', 'said: {"address": [address withheld 1]} ok'),
        ('{"card_last4":4242}', '{"card_last4":[card_last4 withheld 1]}'),
        ("{'email': 'a@b.org', 'id': 1}", "{'email': [email withheld 1], 'id': 1}"),
        ("{'card_last4': None}", "{'card_last4': [card_last4 withheld 1]}"),
        ('"{\\"email\\": \\"a@b.org\\", \\"id\\": 1}"', '"{\\"email\\": [email withheld 1], \\"id\\": 1}"'),
        ('cut off {"email": "a@b.o', 'cut off {"email": [email withheld 1]'),
        ("{'address': {'zip': 7}} and more", "{'address': [address withheld 1]"),
        ('"email" is a word, "email": ', '"email" is a word, "email": '),
    ],
)
def test_a_key_inside_a_text_withholds_what_follows_it(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_known_value_is_withheld_before_between_and_behind_what_keys_withhold() -> None:
    text = 'ada@example.com {"email": "x"} ada@example.com {"email": "y"} ada@example.com'

    withheld = str(shown(text, redaction_of(KEYS, {"ada@example.com": "email"})))

    assert "ada" not in withheld
    assert withheld.count("email") == 7


def test_a_value_learned_from_json_inside_a_text_is_withheld_everywhere() -> None:
    value: Json = {"content": '{"email": "a@b.org"}', "said": "mail a@b.org"}

    assert shown(value) == {"content": '{"email": [email withheld 1]}', "said": "mail [email withheld 2]"}


def test_what_stands_alone_only_after_a_cut_is_withheld_too() -> None:
    text = '{"card_last4": 1abc}'

    assert (
        shown(text, redaction_of(KEYS, {"abc": "email"})) == '{"card_last4": [card_last4 withheld 1][email withheld 1]}'
    )


def test_a_number_equal_to_a_withheld_text_is_withheld() -> None:
    value: Json = {"card_last4": "1234", "n": 1234, "d": Decimal("12.34"), "b": True}

    assert shown(value) == {
        "card_last4": "[card_last4 withheld 1]",
        "n": "[card_last4 withheld 1]",
        "d": Decimal("12.34"),
        "b": True,
    }


def test_a_key_that_holds_a_withheld_value_is_rewritten_and_two_stay_two() -> None:
    value: Json = {"email": "a@b.org", "a@b.org": 1, "A@B.org": 2}

    assert shown(value) == {"email": "[email withheld 1]", "[email withheld 1]": 1, "[email withheld 1] (2)": 2}


def test_nothing_to_redact_returns_the_value_itself() -> None:
    value: Json = {"a": ["b"]}

    assert shown(value, Redaction()) is value


def test_learning_nothing_new_returns_the_same_redaction() -> None:
    redaction = learn(redaction_of(KEYS), {"email": "ana@example.com"})

    assert learn(redaction, {"deep": {"email": "ANA@example.com", "x": "y"}}) is redaction
