"""Laws of text hygiene: it never adds, never loses without saying so, and a clean text stays as it is."""

from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.hygiene import clean_entry, clean_output

_PIECES = st.sampled_from(
    [
        "<!--", "-->", "<", ">", "</", "script", "<div hidden>", "</div>", "<span style='display:none'>",
        "</span>",
        "![", "[", "](", "]", ")", "https://evil.test", "data:text/html,x", "[r]: ",
        "\n", " ", "obey", "\u200b",
        "\u202e", "\U000e0041", "\uff1c", "\uff1e", "ﬁ", "①", "e\u0301",
        "\U0001f468\u200d\U0001f469", "\x00", "\u1112\u1161", "\ufe00\ufe01",
    ]
)  # fmt: skip
HOSTILE = st.lists(st.one_of(_PIECES, st.text(max_size=8)), max_size=40).map("".join)
HOSTS = frozenset({"example.com"})


@given(HOSTILE)
def test_no_transformation_adds_a_character(text: str) -> None:
    assert len(clean_entry(text).text) <= len(text)
    assert len(clean_output(text, HOSTS).text) <= len(text)


@given(HOSTILE)
def test_a_clean_text_stays_as_it_is(text: str) -> None:
    once, shown = clean_entry(text), clean_output(text, HOSTS)

    assert clean_entry(once.text).text == once.text
    assert clean_output(shown.text, HOSTS).text == shown.text


@given(HOSTILE)
def test_whatever_goes_is_told(text: str) -> None:
    for cleaned in (clean_entry(text), clean_output(text, HOSTS)):
        told = sum(one.count for one in cleaned.removed)
        assert told <= len(text) - len(cleaned.text)
        if not cleaned.removed:
            # Canonical composition shortens too, and loses nothing that is seen.
            assert normalize("NFC", cleaned.text) == normalize("NFC", text)


@given(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="<>[]():-"), max_size=200)
)
def test_plain_text_is_untouched(text: str) -> None:
    assert clean_entry(text).text == text
    assert clean_entry(text).removed == ()
