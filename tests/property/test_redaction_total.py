"""Redaction is total: no redacted value survives in anything that is shown or exported."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from leverframe.core.canonical import encode
from leverframe.core.disclosures import Placeholders, encoded, must_withhold, open_, placeholders, redact_json, seal
from leverframe.core.redaction import fold, learn, redaction_of, spans
from leverframe.domain.json import Json

# Not dots nor words of a placeholder, which stand in what is sealed and shown and are ours.
SECRETS = st.one_of(
    st.sampled_from(
        ["ana@b.org", "1234", "Ana Lima", "Lima Street", "Straße 5", "田中太郎", "a-a", "José", 'q"x\\y', "#W9"]
    ),
    st.text(alphabet='abcXYZ019 -#@\u00e9\u00df\u7530"\\', min_size=3, max_size=12),
).filter(lambda text: len(fold(text).strip()) >= 3)
GLUE = st.sampled_from([" ", ", ", "(", ")", "-", "\n", "word", "#", "9", "x", "", '"', "é", '{"email": ', '"}', "'"])
KEYS = redaction_of(["email"])


@st.composite
def payloads(draw: st.DrawFn) -> tuple[list[str], Json]:
    secrets = draw(st.lists(SECRETS, min_size=1, max_size=4))
    pieces = st.one_of(st.sampled_from(secrets), st.sampled_from(secrets).map(str.upper), GLUE)
    texts = st.lists(pieces, max_size=8).map("".join)
    leaves = st.one_of(texts, st.integers(0, 20_000), st.booleans(), st.none())
    keys = st.one_of(st.sampled_from(["email", "note", "...", "...cut", "id"]), texts)
    value = draw(
        st.recursive(
            leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=10
        )
    )
    return secrets, {"customers": [{"email": secret} for secret in secrets], "rest": value}


def salts() -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield number.to_bytes(16, "big")


def strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        # A digest is random text, in which anything may stand by chance.
        for key, one in () if list(value) == ["..."] else value.items():
            yield key
            yield from strings(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from strings(one)
    else:
        yield json.dumps(value)


def assert_none_survives(secrets: list[str], value: Json) -> None:
    """By the independent and simpler reading of the promise: no secret stands anywhere as a whole token."""
    only_values = redaction_of([], dict.fromkeys(secrets, "email"))
    for text in strings(value):
        for secret in secrets:
            at = text.find(secret)
            while at >= 0:
                before, after = text[:at], text[at + len(secret) :]
                is_inside = (before[-1:].isalnum() and secret[0].isalnum()) or (
                    after[:1].isalnum() and secret[-1].isalnum()
                )
                is_inside = is_inside or (before[-1:] == "_" or after[:1] == "_")
                assert is_inside, (secret, text)
                at = text.find(secret, at + 1)
        outside = text.replace("[email withheld", "[").replace("withheld", "")
        assert not spans(outside, only_values), (secrets, text)


@given(payload=payloads())
@example(payload=(["abc"], {"email": "abc", "rest": '"email": 1abc'}))
def test_no_redacted_value_survives_in_what_is_shown(payload: tuple[list[str], Json]) -> None:
    secrets, value = payload

    shown = redact_json(value, KEYS, Placeholders())

    assert_none_survives(secrets, shown)


@given(payload=payloads())
def test_no_redacted_value_survives_in_what_is_exported_and_all_of_it_opens_again(
    payload: tuple[list[str], Json],
) -> None:
    secrets, value = payload

    top, *parts = seal("result", value, redaction=KEYS, salts=salts(), token_key=b"key")

    exported = json.loads(encoded_json(encoded(top)))
    assert_none_survives(secrets, exported[1:])
    assert_none_survives(secrets, open_(top, {}, placeholders(parts)))
    assert encode(open_(top, {one.digest: one for one in parts}, {})) == encode(value)
    assert not must_withhold(top, learn(KEYS, value))


@given(payload=payloads())
def test_what_was_sealed_before_a_value_was_known_is_withheld_as_a_whole_if_it_holds_it(
    payload: tuple[list[str], Json],
) -> None:
    secrets, value = payload
    late = learn(KEYS, [{"email": secret} for secret in secrets])

    top, *_ = seal("result", {"rest": value}, redaction=redaction_of([]), salts=salts(), token_key=b"key")

    if not must_withhold(top, late):
        assert_none_survives(secrets, json.loads(top.value_bytes))


def encoded_json(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
