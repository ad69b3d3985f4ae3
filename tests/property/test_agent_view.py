"""What an agent is shown: trusted parts untouched, nothing visible lost, and of hidden text not one word."""

from collections.abc import Iterator, Mapping

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.agent_view import Source, Viewed, handle_in, resolve_handles, unmarked, view
from leverframe.core.places import label_at
from leverframe.domain.context_rules import Untrusted
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity, Label

MARK = "\ue123"
WORDS = st.text(alphabet=st.sampled_from("abc \n\u200b<!->é\ufb01\ue123"), max_size=12)
KEYS = st.sampled_from(["id", "note", "from", "two words", "a\u200bb", "ab"])
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
LEVELS = st.sampled_from([Integrity.THIRD_PARTY, Integrity.TENANT_RECORD])
LABELS = st.dictionaries(
    st.sampled_from(["", "/id", "/note", "/0", "/0/note", "/from/id"]),
    LEVELS.map(lambda level: Label(integrity=level)),
)
SCHEMAS: st.SearchStrategy[Json] = st.sampled_from(
    [
        None,
        {"type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}}},
        {"type": "array", "items": {"type": "object", "properties": {"note": {"type": "string"}}}},
    ]
)


def shown(value: Json, labels: Mapping[str, Label], how: Untrusted, schema: Json = None) -> Viewed:
    return view(
        value,
        labels,
        Source(name="read_mail", schema=schema),
        how=how,
        is_cleaned=True,
        marker=MARK,
        handle=lambda place: "h_" + place.encode().hex().ljust(24, "0")[:24],
    )


def texts(value: Json, place: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield place, value
        case Mapping():
            for key, item in value.items():
                yield from texts(item, f"{place}/{key}")
        case list():
            for at, item in enumerate(value):
                yield from texts(item, f"{place}/{at}")
        case _:
            pass


@given(VALUES, LABELS)
def test_what_is_trusted_is_shown_as_it_came(value: Json, labels: dict[str, Label]) -> None:
    trusted = {"": Label(integrity=Integrity.TENANT_RECORD)}

    for how in Untrusted:
        assert shown(value, trusted, how).shown == value
    for how in (Untrusted.PLAIN, Untrusted.QUOTE):
        kept = dict(texts(shown(value, labels, how).shown))
        for place, text in texts(value):
            if label_at(labels, place).integrity is not Integrity.THIRD_PARTY:
                assert text in kept.values()


@given(VALUES, LABELS)
def test_quoted_text_is_unmarked_to_what_was_cleaned(value: Json, labels: dict[str, Label]) -> None:
    untrusted = {"": Label(integrity=Integrity.THIRD_PARTY)}
    all_of_it = shown(value, untrusted, Untrusted.QUOTE)

    seen = shown(value, labels, Untrusted.QUOTE)
    assert unmarked(all_of_it.shown, MARK) == all_of_it.cleaned
    assert unmarked(seen.shown, MARK) == unmarked(seen.cleaned, MARK)
    for place, text in texts(all_of_it.shown):
        assert " " not in text, place


@given(VALUES, LABELS)
def test_every_character_that_goes_is_counted(value: Json, labels: dict[str, Label]) -> None:
    seen = shown(value, labels, Untrusted.QUOTE)

    before = sum(len(text) for _, text in texts(value)) + _chars_of_keys(value)
    after = sum(len(text) for _, text in texts(seen.shown)) + _chars_of_keys(seen.shown)
    gone = sum(one.count for one in seen.removed)
    # Composition alone shortens without a removal: a letter and its accent become one.
    assert after <= before + _stars(seen.shown)
    assert before - after <= gone + before * ("\u0301" in str(value)) + _stars(seen.shown)


@given(VALUES, LABELS, SCHEMAS)
def test_nothing_of_hidden_text_is_shown_and_every_handle_gives_it_back(
    value: Json, labels: dict[str, Label], schema: Json
) -> None:
    labels = {"": Label(integrity=Integrity.THIRD_PARTY), **labels}
    labels = {place: Label(integrity=Integrity.THIRD_PARTY) for place in labels}

    seen = shown(value, labels, Untrusted.HIDE, schema)

    known = {"id", "note", "string", "value", "array", "object", "read_mail"}
    for _, text in texts(_without_refs(seen.shown)):
        assert text in known
    for ref, hidden in seen.hidden.items():
        assert resolve_handles({"a": {"$ref": ref}}, seen.hidden).args == {"a": hidden.value}
        assert resolve_handles({"a": [ref]}, seen.hidden).args == {"a": [hidden.value]}
        assert "name of a key" in resolve_handles({"a": {ref: 1}}, seen.hidden).unknown


@given(VALUES, VALUES, SCHEMAS)
def test_what_is_shown_of_untrusted_answers_does_not_depend_on_them(one: Json, other: Json, schema: Json) -> None:
    labels = {"": Label(integrity=Integrity.THIRD_PARTY)}
    first, second = (shown(value, labels, Untrusted.HIDE, schema).shown for value in (one, other))

    if isinstance(one, Mapping) == isinstance(other, Mapping):
        assert first == second


@given(st.text(alphabet="0123456789abcdef", min_size=24, max_size=24))
def test_a_handle_that_was_never_given_resolves_to_nothing(digits: str) -> None:
    found = resolve_handles({"to": f"h_{digits}", "cc": {"$ref": f"h_{digits}"}}, {})

    assert found.args == {"to": f"h_{digits}", "cc": {"$ref": f"h_{digits}"}}
    assert "/to: " in found.unknown
    assert "/cc: " in found.unknown
    assert not found.used


def _without_refs(node: Json) -> Json:
    if handle_in(node) is not None and isinstance(node, Mapping):
        return [str(node["type"]), str(node["from"])]
    match node:
        case Mapping():
            return [*node, *(_without_refs(item) for item in node.values())]
        case list():
            return [_without_refs(item) for item in node]
        case _:
            return node


def _chars_of_keys(node: Json) -> int:
    match node:
        case Mapping():
            return sum(len(key) + _chars_of_keys(item) for key, item in node.items())
        case list():
            return sum(_chars_of_keys(item) for item in node)
        case _:
            return 0


def _stars(node: Json) -> int:
    return str(node).count("*")


def test_keys_that_look_alike_are_told_apart_without_making_more_text_than_came() -> None:
    # Zero-width signs alone tell these keys apart; each is longer than what is shown of it.
    keys = ["two words" + "\u200b" * count for count in range(2_000)]
    value: dict[str, Json] = {key: place for place, key in enumerate(keys)}

    found = shown(value, {}, Untrusted.PLAIN).shown

    assert isinstance(found, dict)
    assert list(found.values()) == list(range(2_000))
    assert list(found)[:4] == ["two words", "two words*", "two words*2", "two words*3"]
    assert max(map(len, found)) <= len("two words*1999")


@given(
    digits=st.text("0123456789abcdef", min_size=24, max_size=24),
    around=st.sampled_from(["{}", "see {}.", "({})", "a:{}"]),
)
def test_a_handle_within_a_text_or_a_key_is_refused_whoever_gave_it(digits: str, around: str) -> None:
    text = around.format(f"h_{digits}")

    assert "handle" in resolve_handles({"text": text}, {}).unknown
    assert "name of a key" in resolve_handles({"a": {text: 1}}, {}).unknown
    assert "within a text" in resolve_handles({"a": [f"first {text}"]}, {}).unknown


@given(digits=st.text("0123456789abcdef", min_size=24, max_size=24))
def test_a_part_of_a_longer_word_that_this_run_never_gave_is_no_handle(digits: str) -> None:
    for text in (f"batch_{digits}", f"h_{digits}0", f"xh_{digits}", f"h_{digits[:-1]}"):
        assert not resolve_handles({"text": text, "a": {text: 1}}, {}).unknown
