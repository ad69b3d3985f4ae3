"""The named places where a process may die, so that tests can kill it at each.

Knows: every name and what has happened by then; `tests/crash` enumerates them.  Never: does anything unless the
environment variable LEVERFRAME_CRASH_AT says so, which is read once, at import: `name` dies the first time,
`name:3` the third.
"""

import os
import signal
from collections.abc import Mapping
from types import MappingProxyType

CRASH_POINTS: Mapping[str, str] = MappingProxyType(
    {
        "before_begin": "The writer holds the lock between processes and has opened no transaction.",
        "after_begin": "The writer's transaction is open and nothing is in it.",
        "before_commit": "All proposals of a batch are carried out and not committed.",
        "after_commit": "A batch is committed and not flushed; nobody has been told.",
        "after_flush": "A batch is flushed; nobody who waited for that was told, its head is not signed.",
        "before_head": "The new head is signed; neither the database nor the head file has the note.",
        "after_run_opened": "A run is open and has no step.",
        "after_decided": "A call is decided and its decision is not recorded.",
        "after_held": "A held call and its approval are recorded; nobody was told.",
        "after_intended": "A write is announced durably and has not been sent.",
        "before_send": "The claim was checked again; the request is about to leave.",
        "after_answer": "The receiver answered; the outcome is not recorded.",
        "after_settled": "The outcome is recorded; the run does not know it yet.",
        "before_run_ended": "A run has its output; its end is not recorded.",
    }
)


def parse_target(text: str) -> tuple[str, int]:
    """Read `name` or `name:n` into the name and which passing of it dies; empty text is ("", 0), which nothing passes.

    Raises:
        ValueError: the name is not in CRASH_POINTS, or `n` is not a positive integer: such a test could not fail.
    """
    if not text:
        return "", 0
    name, _, times = text.partition(":")
    passing = int(times) if times.isdigit() else int(not times)
    if name not in CRASH_POINTS or passing < 1:
        names = ", ".join(CRASH_POINTS)
        raise ValueError(f"LEVERFRAME_CRASH_AT is {text!r}; expected <name> or <name>:<n> with a name of {names}")
    return name, passing


_name, _passing = parse_target(os.environ.get("LEVERFRAME_CRASH_AT", ""))
_left = [_passing]


def crash_point(name: str) -> None:
    """Die here by SIGKILL, as a power cut would, if the environment asked for it; otherwise nothing."""
    if name != _name:
        return
    _left[0] -= 1
    if _left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
