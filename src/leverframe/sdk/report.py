"""The report of the offline verifier: each check passed, failed or not checkable here, and the verdict.

Part of the offline verifier (`leverframe.sdk.onefile`): standard library only.
"""

import json
import textwrap
from dataclasses import dataclass, field
from typing import Any

# Entries and manifests are JSON of others; what they hold is only known once it is looked at.
Leaf = dict[str, Any]

OK, SELF_CONSISTENT, BROKEN = "OK", "self-consistent", "BROKEN"
NO_TRUST = "No trust file: the log vouches for its own key, and a log rewritten as a whole looks the same."
MAX_SHOWN, WIDTH = 10, 100
CHECKS = {
    "files": "every file is the one that the manifest names",
    "entries": "every entry can be read, is of one tenant, stands once and follows its cause",
    "tree": "the entries give the signed root",
    "signature": "the head is signed by the key of the log",
    "head": "the log holds all that was seen of it before",
    "disclosures": "every value is the one committed to; every missing one is explained",
    "policy": "the policies that decided are there",
    "clock": "time does not run backwards",
    "S1": "every settled effect was announced once, before, as the same action",
    "S2": "no effect without an allow under a policy of the log",
    "S3": "a held call had its quorum of distinct people, none its initiator, in time",
    "S4": "no approval was used more often than it allows",
    "S5": "nothing denied ran anyway",
    "S6": "the entries of each run are without a gap, and its totals add up",
    "S7": "no budget was exceeded",
    "S8": "untrusted arguments ran only with an endorsement or an approval",
    "S9": "rules and roles were changed by two people",
    "S10": "nothing was allowed to a key that was revoked or had ended, nor under a kill switch",
    "S11": "no silence longer than the heartbeat allows",
    "S12": "no announced effect is left without an outcome",
}
NOT_HERE = {
    "S8": "needs the tool specifications",
    "S9": "changes of roles are not in this record",
}


@dataclass(slots=True)
class Check:
    """One line of the report."""

    name: str
    checked: int = 0
    failed: int = 0
    places: list[str] = field(default_factory=list)
    not_here: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        """What the report says of it."""
        return "failed" if self.failed else "not checkable here" if self.not_here else "passed"

    def fail(self, what: str, index: int | None = None, kind: str = "") -> None:
        """Record a failure and where it is; the first ten are kept."""
        self.failed += 1
        if len(self.places) < MAX_SHOWN:
            self.places.append(what if index is None else f"entry {index} ({kind or 'unreadable'}): {what}")


def new_checks() -> dict[str, Check]:
    """All checks, of which some are never for a bundle to pass."""
    return {name: Check(name, not_here=NOT_HERE.get(name, "")) for name in CHECKS}


@dataclass(slots=True)
class Report:
    """All checks, and the verdict they add up to."""

    has_trust: bool
    about: str = ""
    checks: dict[str, Check] = field(default_factory=new_checks)

    @property
    def verdict(self) -> str:
        """BROKEN if anything failed; OK only against a trust file."""
        if any(check.failed for check in self.checks.values()):
            return BROKEN
        return OK if self.has_trust else SELF_CONSISTENT

    def text(self) -> str:
        """The report for a person."""
        lines = [self.about]
        for one in self.checks.values():
            notes = [f"{one.checked} checked"] * bool(one.checked) + one.notes + [one.not_here] * bool(one.not_here)
            line = CHECKS[one.name] + (f" ({'; '.join(notes)})" if notes else "")
            lines += _hung(f"{one.status:<18}  {one.name:<11}  ", line)
            for place in one.places:
                lines += _hung(" " * 20, place)
            if one.failed > len(one.places):
                lines.append(f"{'':20}and {one.failed - len(one.places)} more")
        if not self.has_trust:
            lines += _hung("", NO_TRUST)
        return "\n".join([*lines, f"verdict: {self.verdict}", ""])

    def json(self) -> str:
        """The report for a program."""
        checks = [
            {
                "name": one.name,
                "status": one.status,
                "checked": one.checked,
                "failed": one.failed,
                "places": one.places,
                "notes": one.notes + [one.not_here] * bool(one.not_here),
            }
            for one in self.checks.values()
        ]
        return json.dumps({"verdict": self.verdict, "about": self.about, "checks": checks}, indent=1) + "\n"


def _hung(start: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
