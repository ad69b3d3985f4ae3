"""The known name that a misspelt one was probably meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches

_CUTOFF = 0.65  # a share of equal letters: "amout" finds "amount_usd" at 0.67, "user" must not find "secret" at 0.6


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` closest to `name`, or None where none is close."""
    lowered: dict[str, str] = {}
    for candidate in sorted(known):
        lowered.setdefault(candidate.lower(), candidate)
    found = get_close_matches(name.lower()[:100], lowered, n=1, cutoff=_CUTOFF)
    return lowered[found[0]] if found else None
