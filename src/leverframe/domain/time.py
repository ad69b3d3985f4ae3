"""Instants and durations: aware UTC `datetime` in Python, integer microseconds in SQL, RFC 3339 with `Z` in JSON."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def to_us(at: datetime) -> int:
    """Microseconds since the Unix epoch.  Raises ValueError for a naive time, whose zone nobody knows."""
    if at.tzinfo is None:
        msg = f"A time needs a zone, got the naive {at!r}"
        raise ValueError(msg)
    return (at - _EPOCH) // _MICROSECOND


def from_us(time_us: int) -> datetime:
    """The aware UTC time of a count of microseconds since the Unix epoch."""
    return _EPOCH + timedelta(microseconds=time_us)


def rfc3339(at: datetime) -> str:
    """`2026-01-02T03:04:05.000006Z`; always six decimals, so that text order is time order."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def duration_s(text: str) -> int | None:
    """Seconds of a literal such as `90s`, `30m`, `24h` or `7d`; None where it is not one or is zero."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNIT_S or not number.isascii() or not number.isdigit() or len(number) > 9 or int(number) == 0:
        return None
    return int(number) * _UNIT_S[unit]


def duration_text(seconds: float) -> str:
    """A span for a person: `0.4 s`, `41 s`, `12 min`, `3.5 h`, `2 d`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} d"
