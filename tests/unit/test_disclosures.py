"""Sealing and opening values."""

import base64
import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from leverframe.core.canonical import encode
from leverframe.core.disclosures import encoded, must_withhold, open_, placeholders, seal
from leverframe.core.leaves import encode_leaf, is_cleartext
from leverframe.core.redaction import Redaction, redaction_of
from leverframe.domain.evidence import Disclosure, EntryDraft, EventType
from leverframe.domain.ids import EntryId, RunId, TenantId, ToolName
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity
from leverframe.domain.time import from_us

TOKEN_KEY = b"k" * 32
KEYS = redaction_of(["email", "address"])


def salts() -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield number.to_bytes(16, "big")


def sealed(value: Json, redaction: Redaction = KEYS, name: str = "arguments") -> tuple[Disclosure, ...]:
    return seal(name, value, redaction=redaction, salts=salts(), token_key=TOKEN_KEY)


def draft(**fields: object) -> EntryDraft:
    known: dict[str, object] = {
        "entry_id": EntryId("ent_1"),
        "at": from_us(1_000_000),
        "type": EventType.CALL_DECIDED,
        "tenant": TenantId("acme"),
    }
    # A table of fields is what these tests vary; the dataclass still refuses an unknown one.
    return EntryDraft(**{**known, **fields})  # type: ignore[arg-type]


def test_a_digest_is_that_of_rfc_9901_over_the_encoded_disclosure() -> None:
    (only,) = sealed({"order_id": "#W1", "amount": Decimal("49.90")})

    raw = base64.urlsafe_b64decode(encoded(only) + "==")
    assert json.loads(raw) == [only.salt, "arguments", {"order_id": "#W1", "amount": 49.9}]
    expected = base64.urlsafe_b64encode(hashlib.sha256(encoded(only).encode()).digest()).rstrip(b"=").decode()
    assert only.digest == expected
    assert len(base64.urlsafe_b64decode(only.salt + "==")) == 16


def test_equal_values_have_different_digests_and_equal_tokens() -> None:
    _, first, second = sealed([{"email": "a@b.org"}, {"email": "A@B.org"}])

    assert first.digest != second.digest
    assert first.token == second.token


def test_the_token_of_another_run_is_another() -> None:
    first = seal("x", {"email": "a@b.org"}, redaction=KEYS, salts=salts(), token_key=b"one")
    second = seal("x", {"email": "a@b.org"}, redaction=KEYS, salts=salts(), token_key=b"two")

    assert first[1].token != second[1].token


VALUES: list[Json] = [
    None,
    "text",
    {"email": "a@b.org", "note": "to a@b.org, from a@b.org!"},
    {"email": {"of": ["a@b.org"]}, "n": [1, True, None, Decimal("1.5")]},
    {"a@b.org": {"email": "a@b.org"}, "x": "y"},
    {"...": "digest", "email": "abc"},
    {"...cut": ["a"], "...=x": 1, "...pairs": [[1, 2]]},
    {"email": {"...": "digest"}},
    [{"...=...": 1, "email": "a@b.org", "...=a@b.org": 2, "a@b.org": 3}],
    'text with {"email": "a@b.org"} in it',
    {"email": "a@b.org", "": ""},
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_opens_exactly_with_all_its_parts(value: Json) -> None:
    top, *parts = sealed(value)

    assert encode(open_(top, {one.digest: one for one in parts}, {})) == encode(value)


def test_without_its_parts_a_value_shows_what_is_withheld() -> None:
    top, *parts = sealed({"email": "a@b.org", "note": "to a@b.org!", "a@b.org": 1})

    value = open_(top, {}, placeholders(parts))

    assert value == {"email": "[email withheld 1]", "note": "to [email withheld 1]!", "[email withheld 1]": 1}


def test_a_placeholder_planted_by_outside_text_stays_text() -> None:
    secret, part = sealed({"email": "a@b.org"})
    planted, *_ = sealed({"answer": {"...": part.digest}})

    assert open_(planted, {part.digest: part, secret.digest: secret}, {}) == {"answer": {"...": part.digest}}


def test_a_disclosure_named_like_a_redacted_field_is_withheld_as_a_whole() -> None:
    top, part = sealed("a@b.org", name="email")

    assert (top.is_redacted, part.is_redacted) == (False, True)
    assert b"a@b.org" not in top.value_bytes
    assert open_(top, {part.digest: part}, {}) == "a@b.org"


def test_a_value_learned_later_withholds_what_was_sealed_before() -> None:
    early, *_ = sealed({"said": "I am a@b.org", "email": "other@b.org"})

    assert not must_withhold(early, redaction_of(["email"]))
    assert not must_withhold(early, redaction_of(["email"], {"c@b.org": "email"}))
    assert must_withhold(early, redaction_of(["email"], {"a@b.org": "email"}))
    assert must_withhold(early, redaction_of(["said"]))


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 random bytes, got 4"):
        seal("x", 1, redaction=KEYS, salts=iter([b"1234"]), token_key=TOKEN_KEY)


def test_a_leaf_commits_to_whole_values_only_and_in_sorted_order() -> None:
    one, two = sealed({"email": "a@b.org"}), sealed("result")

    leaf = json.loads(encode_leaf(draft(disclosures=(*one, *two)), None))

    assert leaf["_sd"] == sorted([one[0].digest, two[0].digest])


def test_a_leaf_has_a_fixed_order_and_leaves_out_what_is_absent() -> None:
    leaf = encode_leaf(
        draft(
            run_id=RunId("run_1"),
            tool=ToolName("issue_refund"),
            tool_version=0,
            argument_labels={"b": Integrity.USER, "a": Integrity.THIRD_PARTY},
            detail={"quorum": 2, "initiators": ("agent:x",)},
        ),
        3,
    )

    assert leaf == (
        b'{"v":1,"entry_id":"ent_1","at":"1970-01-01T00:00:01.000000Z","type":"call.decided","tenant":"acme",'
        b'"run_id":"run_1","run_seq":3,"tool":"issue_refund","tool_version":0,'
        b'"argument_labels":{"a":"third-party","b":"user"},"detail":{"initiators":["agent:x"],"quorum":2}}'
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"tool": "free text"},
        {"rule": "a\nb"},
        {"idempotency_key": "x" * 257},
        {"detail": {"note": "two words"}},
        {"detail": {"Bad-Key": 1}},
        {"detail": {"list": ("ok", "not ok")}},
        {"argument_labels": {"a b": Integrity.USER}},
        {"run_id": "run_1"},
    ],
)
def test_free_text_never_gets_into_a_leaf(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"logged in clear|lower_snake_case|exactly if it has a run"):
        encode_leaf(draft(**fields), None)


def test_a_leaf_that_is_too_large_is_refused() -> None:
    ids = ["x" * 256 for _ in range(252)]
    room = 65_535 - len(encode_leaf(draft(detail={"ids": (*ids, "y")}), None)) + 1
    fits = encode_leaf(draft(detail={"ids": (*ids, "y" * room)}), None)

    assert len(fits) == 65_535
    with pytest.raises(ValueError, match="has 65536 bytes, a leaf holds at most 65535"):
        encode_leaf(draft(detail={"ids": (*ids, "y" * (room + 1))}), None)


@pytest.mark.parametrize(
    ("text", "is_one"), [("run_1", True), ("größe/2", True), ("", False), ("a b", False), ("\x7f", False)]
)
def test_cleartext_is_an_id_and_not_a_sentence(text: str, *, is_one: bool) -> None:
    assert is_cleartext(text) is is_one
