"""The one form of JSON: what is read, what is refused, what bytes a value has."""

import time
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.canonical import MAX_DEPTH, decode, encode
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(),
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=4), inner)), max_leaves=20
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"49.99", Decimal("49.99")),
        (b"1E+2", Decimal("1E+2")),
        (b"1e400", Decimal("1E+400")),
        (b"9" * 4300, int("9" * 4300)),
        (b"-0", 0),
        (b' {"a": [true, null]} ', {"a": [True, None]}),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
    ],
)
def test_json_is_read_exactly(text: bytes, value: Json) -> None:
    read = decode(text)

    assert value is None or (read == value and type(read) is type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Not JSON at line 1, column 1"),
        (b"{'a': 1}", "Not JSON at line 1, column 2"),
        (b"[1,]", "Not JSON"),
        (b"01", "Not JSON"),
        (b"1.", "Not JSON"),
        (b"[1] 2", "Not JSON at line 1, column 5"),
        (b'"\x01"', "Not JSON"),
        (b"\xef\xbb\xbf1", "Not JSON"),
        (b'"\xff"', "Not UTF-8 at byte 1"),
        (b"NaN", "JSON has no NaN"),
        (b"[-Infinity]", "JSON has no -Infinity"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "The key 'c' stands twice"),
        (b'{"a": 1, "\\u0061": 2}', "The key 'a' stands twice"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b"1e99999999999999999999", "held exactly"),
        (b"9" * 4301, "held exactly"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "more than 128 levels"),
        (b'{"a":' * 200_000, "more than 128 levels"),
    ],
)
def test_what_is_not_strict_json_is_refused_by_name(text: bytes, message: str) -> None:
    with pytest.raises(JsonInvalid, match=message):
        decode(text)


def test_a_large_object_with_one_double_key_is_refused_in_linear_time() -> None:
    text = b"{" + b",".join(b'"k%d":0' % number for number in range(100_000)) + b',"k99999":1}'
    started = time.process_time()

    with pytest.raises(JsonInvalid, match="'k99999' stands twice"):
        decode(text)

    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}'),
        ({"\uffff": 1, "\N{GRINNING FACE}": 2}, '{"\uffff":1,"\N{GRINNING FACE}":2}'.encode()),
        (Decimal("1.50"), b"1.50"),
        (Decimal("1E+5"), b"1E+5"),
        (2**70, b"1180591620717411303424"),
        (MappingProxyType({"a": (1, 2)}), b'{"a":[1,2]}'),
        ("\u2028</script>", '"\u2028</script>"'.encode()),
    ],
)
def test_a_value_has_one_spelling(value: Json, text: bytes) -> None:
    assert encode(value) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "'float' is not JSON"),
        (float("nan"), "'float' is not JSON"),
        ([Decimal("NaN")], "JSON has no NaN"),
        (Decimal("-Infinity"), "JSON has no -Infinity"),
        (b"x", "'bytes' is not JSON"),
        ({1: 2}, "The key 1 of an object"),
        ({"a": "\ud800"}, "half of a surrogate pair"),
        pytest.param(10**5000, "more than 4,300 digits", id="an integer that Python will not spell"),
        ({1, 2}, "'set' is not JSON"),
    ],
)
def test_what_json_cannot_hold_is_never_written(value: Json, message: str) -> None:
    with pytest.raises(JsonInvalid, match=message):
        encode(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Json] = []
    loop.append(loop)

    with pytest.raises(JsonInvalid, match="more than 128 levels"):
        encode(loop)


@given(value=VALUES)
def test_what_is_written_reads_back_equal_and_is_written_the_same(value: Json) -> None:
    written = encode(value)

    read = decode(written)

    assert read == value
    assert encode(read) == written


@given(data=st.binary(max_size=200))
def test_no_bytes_raise_anything_but_json_invalid(data: bytes) -> None:
    try:
        value = decode(data)
    except JsonInvalid:
        return

    assert decode(encode(value)) == value
