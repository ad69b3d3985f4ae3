"""One scalar against the type that its key takes.

Knows: the bounds of each type and how a wrong value is told.  Never: looks at lists or maps.
"""

import re
from decimal import Decimal

from leverframe.config.findings import Findings, did_you_mean
from leverframe.config.registry import SECRET_SOURCES
from leverframe.config.value_types import AnyValue, Money, Seconds, Span, Text, ValueType, Whole, Words, describe
from leverframe.config.yaml_nodes import Scalar, kind_of
from leverframe.domain.time import duration_s

_USD_PLACES = 6


def checked_scalar(scalar: Scalar, type_: ValueType, path: str, findings: Findings) -> Scalar | None:
    """Return the scalar where it fits its key, else None with the reason in `findings`."""
    if isinstance(type_, AnyValue):
        return scalar
    if isinstance(type_, Words):
        return _word(scalar, type_, path, findings)
    if _has_type(scalar, type_):
        problem = _out_of_bounds(scalar, type_)
        if not problem:
            return scalar
        findings.error(
            scalar.at, "bad-value", f"The key {path!r} is {_told(scalar, type_)}, expected {describe(type_)}.", problem
        )
        return None
    findings.error(
        scalar.at,
        "wrong-type",
        f"The key {path!r} is {_told(scalar, type_)}, expected {describe(type_)}.",
        _type_help(scalar, type_),
    )
    return None


def _told(scalar: Scalar, type_: ValueType) -> str:
    """What stands there.  Where it may be a credential its kind alone: findings are printed by CI and pasted."""
    if isinstance(type_, Text) and type_.may_be_secret and scalar.value is not None:
        return "a text, not shown here," if isinstance(scalar.value, str) else "no text"
    return kind_of(scalar)


def _has_type(scalar: Scalar, type_: ValueType) -> bool:
    value = scalar.value
    match type_:
        case Text() | Span():
            return isinstance(value, str)
        case Whole():
            return isinstance(value, int) and not isinstance(value, bool)
        case _:
            return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _type_help(scalar: Scalar, type_: ValueType) -> str:
    match type_:
        case Text() if scalar.value is not None:
            return "Quote it." if type_.may_be_secret else f'Quote it: "{scalar.text}".'
        case Span() if isinstance(scalar.value, int):
            return f"Give it a unit: {scalar.value}s, {scalar.value}m, {scalar.value}h or {scalar.value}d."
        case Whole() | Money() | Seconds() if isinstance(scalar.value, str):
            return "Write the number without quotes, unit or sign."
        case _:
            return f"Write {describe(type_)}."


def _out_of_bounds(scalar: Scalar, type_: ValueType) -> str:
    """Why a value of the right type is not taken; empty where it is."""
    value = scalar.value
    if isinstance(value, str):
        return _bad_text(value, type_)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return ""
    match type_:
        case Whole() if not type_.minimum <= value <= type_.maximum:
            return f"Write a number from {type_.minimum:,} to {type_.maximum:,}."
        case Money() if value < 0 or value > _MOST_USD:
            return "Write a number of dollars from 0 to 1,000,000,000."
        case Money() if Decimal(value) != round(Decimal(value), _USD_PLACES):
            return "A fraction below a millionth of a dollar would be lost; write at most six decimals."
        case Seconds() if not 0 < value <= type_.maximum:
            return f"Write a number of seconds above 0, at most {type_.maximum:,}."
        case _:
            return ""


_MOST_USD = 1_000_000_000


def _bad_text(value: str, type_: ValueType) -> str:
    match type_:
        case Span():
            return "" if duration_s(value) is not None else "Write a whole number and one of s, m, h, d: 30m, 24h, 7d."
        case Text() if not value.strip():
            return "Write a text that is not empty."
        case Text() if len(value) > type_.max_chars:
            return f"It has {len(value):,} characters; the limit is {type_.max_chars:,}."
        case Text() if type_.pattern and not re.fullmatch(type_.pattern, value):
            return _source_help(value) if value.startswith(_REFERENCE) else f"Write {type_.form}."
        case _:
            return ""


_REFERENCE = "secret://"


def _source_help(value: str) -> str:
    """The next move for a reference that is none: its source is unknown, or what follows is not written so."""
    source = value.removeprefix(_REFERENCE).partition("/")[0]
    if source not in SECRET_SOURCES:
        return did_you_mean(source, SECRET_SOURCES)
    return "Write secret://SOURCE/NAME or secret://SOURCE/NAME#FIELD, in letters, digits and _ . / -."


def _word(scalar: Scalar, type_: Words, path: str, findings: Findings) -> Scalar | None:
    # By the text and not the value: `429` is a word in a list of failures, `on` is a word too.
    if scalar.text in type_.known:
        return scalar
    if scalar.text in type_.later:
        findings.error(
            scalar.at,
            "not-in-this-version",
            f"Nothing in this version enforces {path!r}: {scalar.text!r}, so it is refused rather than ignored.",
            f"This version knows {', '.join(type_.known)}.",
        )
        return None
    findings.error(
        scalar.at,
        "bad-value",
        f"The key {path!r} is {kind_of(scalar)}, expected {describe(type_)}.",
        did_you_mean(scalar.text, type_.known),
    )
    return None
