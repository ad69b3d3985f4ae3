"""What a tool returned, as JSON without floats.

Knows: how dataclasses, enums, dates and the like become plain values, and how large an answer may be.
Never: guesses; what is not JSON is `JsonInvalid`, which the executors report as a garbled answer.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from leverframe.core import canonical
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json

MAX_RESULT_BYTES: Final = 1 << 20


def plain(value: object, *, max_bytes: int = MAX_RESULT_BYTES) -> Json:
    """Turn what a function returned into JSON; a float becomes the decimal that Python prints for it.

    Raises:
        JsonInvalid: a type that is not JSON, a NaN or infinity, or more than `max_bytes` of canonical JSON.
    """
    try:
        built = msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True)
    except (TypeError, ValueError, RecursionError) as err:
        raise JsonInvalid(
            f"A value of type {type(value).__name__!r} cannot be written as JSON: {err}",
            next_move="Return plain values, dataclasses, dates or Decimals.",
        ) from err
    return within(_exact(built), max_bytes)


def within(value: Json, max_bytes: int) -> Json:
    """The value itself, where it is JSON of at most `max_bytes`.

    Raises:
        JsonInvalid: it is larger, or is not JSON.
    """
    size_bytes = len(canonical.encode(value))
    if size_bytes > max_bytes:
        raise JsonInvalid(
            f"The answer has {size_bytes:,} bytes of JSON; at most {max_bytes:,} are taken.",
            next_move="Return less: a page, or a reference to what is large.",
        )
    return value


def _exact(value: object) -> Json:
    """Copy a builtin value with its floats as decimals."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {str(key): _exact(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(one) for one in value]
    if value is None or isinstance(value, bool | int | Decimal | str):
        return value
    raise JsonInvalid(f"A value of type {type(value).__name__!r} is not JSON.")
