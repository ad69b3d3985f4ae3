"""Instants and durations: aware UTC `datetime` in Python, integer microseconds in SQL, RFC 3339 with `Z` in JSON."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MAX_DIGITS = 9
# below this many seconds: divide by, decimals, word
_SPANS = ((10, 1, 1, "s"), (120, 1, 0, "s"), (7_200, 60, 0, "min"), (172_800, 3_600, 1, "h"))


def to_us(at: datetime) -> int:
    """Microseconds since the Unix epoch.  Raises ValueError for a naive time, whose zone nobody knows."""
    if at.tzinfo is None:
        msg = f"A time needs a zone, got the naive {at!r}"
        raise ValueError(msg)
    return (at - _EPOCH) // _MICROSECOND


def from_us(time_us: int) -> datetime:
    """The aware UTC time of a count of microseconds since the Unix epoch."""
    return _EPOCH + timedelta(microseconds=time_us)


# The entries of one call carry the same instant.
@lru_cache(maxsize=256)
def rfc3339(at: datetime) -> str:
    """`2026-01-02T03:04:05.000006Z`; always six decimals, so that text order is time order."""
    # isoformat leaves the decimals out of a whole second unless it is asked for them, and ends in "+00:00".
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def rfc3339_s(at: datetime) -> str:
    """`2026-01-02T03:04:05Z`: for instants that a person reads and that fall on whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration_s(text: str) -> int | None:
    """Seconds of a literal such as `90s`, `30m`, `24h` or `7d`; None where it is not one, is zero or is absurd."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNIT_S or not number.isascii() or not number.isdigit() or len(number) > _MAX_DIGITS:
        return None
    return int(number) * _UNIT_S[unit] or None


def duration_text(seconds: float) -> str:
    """A span for a person: `0.4 s`, `41 s`, `12 min`, `3.5 h`, `2 d`."""
    for below_s, unit_s, places, word in _SPANS:
        if seconds < below_s:
            return f"{seconds / unit_s:.{places}f} {word}"
    return f"{seconds / _UNIT_S['d']:.0f} d"
