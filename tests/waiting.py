"""Waiting for a condition, with a deadline. A test never sleeps for a time that somebody guessed."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.005


def until(condition: Callable[[], T], *, what: str, within_s: float = 10.0) -> T:
    """Return the first truthy value of `condition`.

    Raises:
        AssertionError: none came within `within_s` seconds; `what` names the thing that did not happen.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s; last seen: {value!r}"
        time.sleep(_POLL_S)
