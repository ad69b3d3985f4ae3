"""What is printed obeys nobody but us."""

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverframe.cli.screen import Screen, Word, neutral, neutral_json

HOSTILE = [
    ("\x1b[2J\x1b[1;1Hgranted", r"\x1b[2J\x1b[1;1Hgranted"),
    ("\x9b31mred", r"\x9b31mred"),
    ("a\nRun again as root", r"a\nRun again as root"),
    ("a\rGRANTED", r"a\rGRANTED"),
    ("a\tb", r"a\tb"),
    ("pay\u202e05.94\u202c", r"pay\u202e05.94\u202c"),
    ("\u2066hidden\u2069", r"\u2066hidden\u2069"),
    ("zero\u200bwidth", r"zero\u200bwidth"),
    ("tag\U000e0041", r"tag\U000e0041"),
    ("line\u2028end", r"line\u2028end"),
    ("bell\x07", r"bell\x07"),
    ("del\x7f", r"del\x7f"),
    ("null\x00", r"null\x00"),
    ("half\ud800", r"half\ud800"),
]


def is_visible(text: str) -> bool:
    return all(char.isprintable() or unicodedata.category(char) == "Zs" for char in text)


@pytest.mark.parametrize(("text", "shown"), HOSTILE)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert neutral(text) == shown


@pytest.mark.parametrize("text", ["plain", "Grüße, 東京, ñandú", "price: 49,99 €", "emoji-free …"])
def test_what_a_person_reads_stays_as_it_is(text: str) -> None:
    assert neutral(text) == text


@given(st.text())
def test_a_printed_line_is_one_line_of_visible_characters(text: str) -> None:
    out = io.StringIO()

    Screen(out, out, is_json=False, has_color=False).line(text)

    assert out.getvalue().count("\n") == 1
    assert is_visible(out.getvalue().removesuffix("\n"))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_neutral_json_means_the_same_value(text: str) -> None:
    written = neutral_json(json.dumps({text: text}, ensure_ascii=False))

    assert json.loads(written) == {text: text}
    assert is_visible(written)


def test_a_word_is_coloured_and_the_text_beside_it_is_not() -> None:
    out = io.StringIO()

    Screen(out, out, is_json=False, has_color=True).line("run_1  ", Word("denied"), "  \x1b[32mgranted")

    assert out.getvalue() == "run_1  \x1b[31mDENIED\x1b[0m  \\x1b[32mgranted\n"


def test_a_hostile_word_gets_no_escape_of_its_own() -> None:
    out = io.StringIO()

    Screen(out, out, is_json=False, has_color=False).line(Word("de\x1bnied"))

    assert "\x1b" not in out.getvalue()


def test_columns_line_up_under_wide_and_combining_characters() -> None:
    out = io.StringIO()

    Screen(out, out, is_json=False, has_color=False).table(("A", "B"), [("東京", "x"), ("e\u0301", "x"), ("abc", "x")])

    heads, *rows = out.getvalue().splitlines()
    assert heads == "A     B"
    assert rows == ["東京  x", "e\u0301     x", "abc   x"]


def test_a_stream_that_cannot_write_it_gets_ascii() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")

    Screen(out, out, is_json=False, has_color=False).line("cut… 東")

    assert raw.getvalue() == b"cut... \\u6771\n"
