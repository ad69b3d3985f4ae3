"""Changed copies of samples: bits, bytes, tokens, pieces of other samples, depth and length.

The same seed gives the same inputs on every machine.
"""

import random
from collections.abc import Callable, Sequence

MAX_BYTES = 20_000
# What parsers trip over: their own punctuation, numbers at the edges, odd Unicode, and the beginnings of others.
TOKENS = (
    *(b"{", b"}", b"[", b"]", b'"', b"'", b":", b",", b"\\", b"\n", b"\r\n", b"\x00", b"\xff", b"\t", b" ", b"-", b"#"),
    *(b"&a ", b"*a", b"!!str ", b"<<: ", b"%YAML 1.1\n", b"---\n", b"...", b"|\n", b"? ", b"null", b"true", b"NaN"),
    *(b"1e999", b"-0", b"0x1f", b"1_000", b".5", b"18446744073709551616", b"9" * 400, b"0" * 50, b"1." + b"0" * 90),
    *("\u2028".encode(), "\ufeff".encode(), "\u0130".encode(), "\u2014 ".encode(), b"\\ud800", b"\\u0000", b"\xc0\x80"),
    *(b"\xed\xa0\x80", b"+", b"==", b"=", b"AAAA", b"PK\x03\x04", b"PK\x05\x06", b"../", b"/etc/", b"\x1b[31m"),
    *(b"0\r\n\r\n", b"transfer-encoding: chunked\r\n", b"content-length: -1\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    *(b"(", b")", b"&&", b"||", b"!", b" in ", b"==", b"matches", b"history.count(", b"args.", b"facts.", b"permit("),
)

_Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def mutated(samples: Sequence[bytes], dice: random.Random) -> bytes:
    """A sample, changed one to eight times; at most MAX_BYTES long."""
    data = dice.choice(samples)
    for _ in range(1 << dice.randrange(4)):
        data = dice.choice(_CHANGES)(data, dice, samples)[:MAX_BYTES]
    return data


def _place(data: bytes, dice: random.Random) -> int:
    return dice.randrange(len(data) + 1)


def _span(data: bytes, dice: random.Random) -> tuple[int, int]:
    start = _place(data, dice)
    return start, min(len(data), start + (1 << dice.randrange(9)))


def _flip(data: bytes, dice: random.Random, _samples: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x00"
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def _put(data: bytes, dice: random.Random, _samples: Sequence[bytes]) -> bytes:
    at = _place(data, dice)
    return data[:at] + dice.choice(TOKENS) + data[at:]


def _instead(data: bytes, dice: random.Random, _samples: Sequence[bytes]) -> bytes:
    start, end = _span(data, dice)
    return data[:start] + dice.choice(TOKENS) + data[end:]


def _drop(data: bytes, dice: random.Random, _samples: Sequence[bytes]) -> bytes:
    start, end = _span(data, dice)
    return data[:start] + data[end:]


def _double(data: bytes, dice: random.Random, _samples: Sequence[bytes]) -> bytes:
    start, end = _span(data, dice)
    return data[:end] + data[start:end] * (1 << dice.randrange(3)) + data[end:]


def _splice(data: bytes, dice: random.Random, samples: Sequence[bytes]) -> bytes:
    other = dice.choice(samples)
    return data[: _place(data, dice)] + other[_place(other, dice) :]


def _cut(data: bytes, dice: random.Random, _samples: Sequence[bytes]) -> bytes:
    return data[: _place(data, dice)]


def _swap_lines(data: bytes, dice: random.Random, _samples: Sequence[bytes]) -> bytes:
    lines = data.splitlines(keepends=True)
    dice.shuffle(lines)
    return b"".join(lines)


def _deepen(data: bytes, dice: random.Random, _samples: Sequence[bytes]) -> bytes:
    start, end = _span(data, dice)
    opening, closing = dice.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"!", b""), (b"- ", b"")])
    depth = 1 << dice.randrange(12)
    return data[:start] + opening * depth + data[start:end] + closing * depth + data[end:]


_CHANGES: tuple[_Change, ...] = (_flip, _put, _instead, _drop, _double, _splice, _cut, _swap_lines, _deepen)
