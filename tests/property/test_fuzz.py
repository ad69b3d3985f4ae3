"""Whatever bytes a parser is given, it gives a value or an error that it declares; `make fuzz` takes longer over it."""

import base64
import random

import pytest

from fuzz.mutating import mutated
from fuzz.parser import Parser
from fuzz.running import fuzz, tried
from fuzz.targets import TARGETS
from tests.sampling import IS_LONG, SEED

SECONDS = 10.0 if IS_LONG else 0.3

# What fuzzing found, kept so that it stays found.
FOUND = [
    ("vkey", b"leverframe/a+00000000+AZ\xffA"),
    ("log key", b"PRIVATE+KEY+leverframe/a+00000000+AQAA\xffAAA"),
    ("head file", b'{"acme":{"size":1,"root":"\xce","note":"x"}}'),
    ("head file", b'{"acme":{"size":1,"root":"not base64","note":"x"}}'),
    ("head file", b"[" * 4_000),
    ("trust file", b'{"a":' * 4_000),
    ("values to decide again", b'{"disclosure":"A"}'),
    ("npm package", b"[]"),
    ("npm package", b'{"bin": "%s"}' % (b"m" * 300)),
    ("npm package", b'{"bin": "a\\u0000b"}'),
    ("bundle checkpoint", base64.b64decode("YQoxCkFBPT0KCuKAlCBhIEFB")),
]


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_a_value_or_a_declared_error_comes_out(name: str) -> None:
    outcome = fuzz(TARGETS[name], SECONDS, SEED)

    assert outcome.finding is None, f"{outcome.finding.data!r}\n{outcome.finding.what}"
    assert outcome.runs >= len(TARGETS[name].samples())


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_once_is_answered_now(name: str, data: bytes) -> None:
    assert tried(TARGETS[name], data) is None


def test_an_error_that_nobody_declared_is_found() -> None:
    def strict(data: bytes) -> None:
        if b"{" in data:
            raise KeyError("nobody declared this")

    outcome = fuzz(Parser(name="broken", given=lambda: [b"plain"], parse=strict), 10.0, "seed")

    assert outcome.finding is not None
    assert b"{" in outcome.finding.data
    assert "nobody declared this" in outcome.finding.what


def test_one_seed_gives_one_sequence_of_inputs() -> None:
    def inputs() -> list[bytes]:
        dice = random.Random("seed")  # noqa: S311 - chosen, not secret
        return [mutated([b"a sample", b"another"], dice) for _ in range(50)]

    one, other = inputs(), inputs()

    assert one == other
    assert len(set(one)) > 40
