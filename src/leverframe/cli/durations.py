"""Spans of time that a person types: `90s`, `30m`, `24h`, `7d`."""

from typing import Final

from leverframe.domain.errors import UsageError
from leverframe.domain.time import duration_s

_MAX_S: Final = 36_500 * 86_400


def span_of(text: str, what: str) -> int:
    """Whole seconds.

    Raises:
        UsageError: it is no such span, or none at all.
    """
    seconds = duration_s(text)
    # Beyond a century lies the end of the calendar, and no clock counts to it.
    if seconds is None or seconds > _MAX_S:
        raise UsageError(
            f"{what} takes a span such as 90s, 30m, 24h or 7d, at most 36500d; got {text!r}.",
            next_move=f"For example: {what} 24h",
        )
    return seconds
