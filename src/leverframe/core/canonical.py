"""JSON in and out in the one form that digests rest on.

Knows: how bytes become `Json` and how `Json` becomes bytes: keys sorted by code point, no spaces, UTF-8, fractions
written as the exact decimals they were.  Never: lets a float, a NaN, an infinity or a key that stands twice through,
since two readers of one text would then see two values.  Source: RFC 8259; RFC 7493 (I-JSON) for duplicate keys and
lone surrogates.
"""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from json import JSONDecodeError, JSONDecoder
from typing import Final, NoReturn

import msgspec

from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json

MAX_DEPTH: Final = 128
"""Arrays and objects within one another; deeper ones are refused, so that no value exhausts a later walk."""

_AS_THEY_ARE: Final = frozenset({str, int, bool, type(None)})
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")


def decode(data: bytes) -> Json:
    """Read JSON text: integers of up to 4,300 digits as `int`, other numbers as `Decimal`, never a float.

    Raises:
        JsonInvalid: not UTF-8, not JSON, a key twice in one object, a lone surrogate, NaN or infinity, nested deeper
            than `MAX_DEPTH`, or a number beyond what can be held exactly.
    """
    try:
        value: Json = _DECODER.decode(data.decode("utf-8"))
    except JSONDecodeError as err:
        raise JsonInvalid(f"Not JSON at line {err.lineno}, column {err.colno}: {err.msg}.") from err
    except UnicodeDecodeError as err:
        raise JsonInvalid(f"Not UTF-8 at byte {err.start}.", next_move="Send JSON text encoded as UTF-8.") from err
    except RecursionError as err:
        raise _too_deep() from err
    except (ValueError, DecimalException) as err:
        raise JsonInvalid(
            "A number in the JSON has too many digits or too large an exponent to be held exactly.",
            next_move="Send it as a string.",
        ) from err
    # Both walks are skipped where counting bytes shows that there is nothing to find.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH or b"\\u" in data:
        encode(value)
    return value


def encode(value: Json) -> bytes:
    r"""Write JSON in its canonical form: `{"a":1,"b":[true,1.50]}`.

    Equal values have equal bytes but for the trailing zeros of decimals, which are kept: 1.50 is not 1.5 to a digest.

    Raises:
        JsonInvalid: the value holds a float or another type that is not JSON, a non-finite decimal, a lone surrogate,
            an integer of more than 4,300 digits, or is nested deeper than `MAX_DEPTH`.
    """
    try:
        return _ENCODER.encode(_plain(value, MAX_DEPTH))
    except UnicodeEncodeError as err:
        raise JsonInvalid(
            "A string holds half of a surrogate pair, which UTF-8 cannot write.", next_move="Send whole characters."
        ) from err
    except ValueError as err:
        raise JsonInvalid("An integer has more than 4,300 digits.", next_move="Send it as a string.") from err


def _plain(value: object, levels: int) -> object:
    """Copy into dicts and lists, refusing what the encoder would quietly turn into something else.

    Nearly every value is of a type that needs no more than to be seen; every call of a tool is written several times.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if levels and kind is dict:
        return {
            key if type(key) is str else _key(key): item if type(item) in _AS_THEY_ARE else _plain(item, levels - 1)
            for key, item in value.items()  # type: ignore[attr-defined]  # a dict, which `kind is dict` does not tell
        }
    if levels and kind is list:
        return [
            item if type(item) in _AS_THEY_ARE else _plain(item, levels - 1)
            for item in value  # type: ignore[attr-defined]  # a list, likewise
        ]
    return _rarer(value, levels)


def _rarer(value: object, levels: int) -> object:
    match value:
        case str() | None:
            return value
        case int() | Decimal() if type(value) in {int, bool, Decimal}:
            if isinstance(value, Decimal) and not value.is_finite():
                raise JsonInvalid(f"JSON has no {value}.", next_move="Leave the field out, or send null.")
            return value
        case Mapping() | list() | tuple() if not levels:
            raise _too_deep()
        case Mapping():
            return {_key(key): _plain(item, levels - 1) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, levels - 1) for item in value]
        case _:
            raise JsonInvalid(
                f"A value of type {type(value).__name__!r} is not JSON.",
                next_move="Use a string, an int, a Decimal, a bool, None, a list or a dict with string keys.",
            )


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise JsonInvalid(f"The key {key!r} of an object is not a string.", next_move="Write it as a string.")
    return key


def _too_deep() -> JsonInvalid:
    return JsonInvalid(f"The JSON is nested more than {MAX_DEPTH} levels deep.", next_move="Send a flatter value.")


def _object(pairs: list[tuple[str, Json]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise JsonInvalid(f"The key {twice!r} stands twice in one object.", next_move="Send each key once.")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise JsonInvalid(f"JSON has no {word}.", next_move="Leave the field out, or send null.")


# The standard decoder, since msgspec keeps the last of two equal keys without a word; its scanner is C too.
_DECODER = JSONDecoder(object_pairs_hook=_object, parse_float=Decimal, parse_constant=_refuse_constant)
