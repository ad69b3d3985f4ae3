"""However an answer is cut into pieces, its head, body and end are the same."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from leverframe.net.http1 import Garbled
from leverframe.net.parsing import AnswerParser
from tests.raw_server import GARBLED_ANSWERS, WHOLE_ANSWERS

MAX_BODY_BYTES = 1000


def parsed(raw: bytes, cuts: list[int]) -> tuple[bytes, bool, bool] | str:
    parser = AnswerParser(MAX_BODY_BYTES)
    places = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    body = b""
    try:
        for start, end in pairwise(places):
            body += parser.feed(raw[start:end])
        parser.end()
    except Garbled as err:
        return str(err)
    return body, parser.is_done, parser.is_reusable


@given(
    st.sampled_from([raw for raw, _ in WHOLE_ANSWERS])
    | st.sampled_from([raw for raw, _ in GARBLED_ANSWERS if len(raw) < 2_000]),
    st.lists(st.integers(0, 1_200), max_size=12),
)
def test_pieces_do_not_change_an_answer(raw: bytes, cuts: list[int]) -> None:
    found, whole = parsed(raw, cuts), parsed(raw, [])

    # What is wrong may be noticed sooner, and so be said otherwise, but it is wrong either way.
    assert found == whole or (isinstance(found, str) and isinstance(whole, str))


@given(st.sampled_from([raw for raw, _ in WHOLE_ANSWERS]))
def test_a_byte_at_a_time_is_the_same(raw: bytes) -> None:
    assert parsed(raw, list(range(len(raw)))) == parsed(raw, [])


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_garbage_is_garbled_and_nothing_else(raw: bytes, cuts: list[int]) -> None:
    for begin in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        parsed(begin + raw, cuts)
