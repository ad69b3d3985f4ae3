"""What is known of runs, actions and approvals while the entries of a log are told one by one.

Part of the offline verifier (`leverframe.sdk.onefile`): standard library only.
"""

from dataclasses import dataclass, field
from datetime import timedelta

TOTALS = ("cost_microusd", "input_tokens", "output_tokens")
CLOCK_SLACK = timedelta(seconds=60)


@dataclass(slots=True)
class Run:
    """What is known of a run so far."""

    seq: int = 0
    workflow: str = ""
    barred: set[str] = field(default_factory=set)
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))
    models: set[str] = field(default_factory=set)
    has_ended: bool = False
    is_summed: bool = True


@dataclass(slots=True)
class Action:
    """What is known of one frozen call of one run."""

    decided: str = ""
    approval_id: str = ""
    was_held: bool = False
    was_denied: bool = False
    intended: tuple[int, str] | None = None
    outcome: str = ""


@dataclass(slots=True)
class Approval:
    """What is known of one question to people.  `why_not` says why an answer does not count."""

    run_id: str
    action: str
    quorum: int
    barred: set[str]
    decide_by: str
    groups: set[str]
    uses: int
    granted: set[str] = field(default_factory=set)
    why_not: list[str] = field(default_factory=list)
    execute_by: str = ""
    closed: str = ""
    consumed: int = 0
    effects: int = 0


def windows_of(items: list[str]) -> list[tuple[str, int, int | None]]:
    """`window=amount` or `window=amount/limit`; the name of a window may hold anything but `=`."""
    found = []
    for item in items:
        window, _, amounts = item.partition("=")
        amount, _, limit = amounts.partition("/")
        found.append((window, int(amount), int(limit) if limit else None))
    return found
