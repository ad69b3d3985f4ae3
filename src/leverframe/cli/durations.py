"""Spans of time that a person types: `90s`, `30m`, `24h`, `7d`."""

from leverframe.domain.errors import UsageError
from leverframe.domain.time import duration_s


def span_of(text: str, what: str) -> int:
    """Whole seconds.

    Raises:
        UsageError: it is no such span, or none at all.
    """
    seconds = duration_s(text)
    if seconds is None:
        raise UsageError(
            f"{what} takes a span such as 90s, 30m, 24h or 7d; got {text!r}.", next_move=f"For example: {what} 24h"
        )
    return seconds
