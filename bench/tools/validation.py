"""Arguments and a result against their schemas, as the door checks each call."""

import time
from typing import Final

from bench.report import Row, at_most
from bench.tools.orders import INPUT, OUTPUT, order
from leverframe.core import canonical
from leverframe.domain.json import Json, JsonObject
from leverframe.runtime.schemas import schema_error

_ROUNDS: Final = 5
_CALLS: Final = 5_000


def measure() -> list[Row]:
    """One row: the median round, on the processor time of this thread."""
    wants, gives = _object(canonical.encode(INPUT)), _object(canonical.encode(OUTPUT))
    args = _object(b'{"order_id": "W1", "with_items": true}')
    # As a server's answer comes in: its numbers are exact decimals.
    result = _object(str(order("W1")).replace("'", '"').encode())
    rounds = sorted(_round(((wants, args), (gives, result))) for _ in range(_ROUNDS))
    return [at_most("arguments and a result of 12 items validated", rounds[_ROUNDS // 2], "us", 10)]


def _round(pairs: tuple[tuple[JsonObject, Json], ...]) -> float:
    began = time.thread_time_ns()
    for _ in range(_CALLS):
        for schema, value in pairs:
            if schema_error(schema, value):
                raise RuntimeError("What is measured is a good call, and this one is none.")
    return (time.thread_time_ns() - began) / _CALLS / 1000


def _object(text: bytes) -> JsonObject:
    found = canonical.decode(text)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found
