"""Which API keys a log says there are, and until when each may be used: the check S10.

Part of the offline verifier (`leverframe.sdk.onefile`): standard library only.
"""

from datetime import datetime

from leverframe.sdk.report import Leaf
from leverframe.sdk.told import CLOCK_SLACK


class Keys:
    """The keys of one log, by the principal that acts with each."""

    def __init__(self) -> None:
        self._ends: dict[str, str] = {}  # empty: never
        self._revoked: set[str] = set()

    def tell(self, leaf: Leaf, detail: Leaf) -> None:
        """Take in what was done with a key."""
        key = f"key:{detail['key']}"
        if leaf["type"] == "key.revoked":
            self._revoked.add(key)
            return
        self._ends[key] = detail.get("expires_at", "")
        if leaf["type"] == "key.rotated":
            self._ends[f"key:{detail['replaces']}"] = detail["overlap_until"]

    def knows(self, actor: str) -> bool:
        """Whether the log says who this is."""
        return actor in self._ends or actor in self._revoked

    def problem(self, leaf: Leaf) -> str:
        """Why its actor could not act there; empty where it could."""
        actor, at = leaf["actor"], leaf["at"]
        if actor in self._revoked:
            return f"was allowed to {actor!r}, which was revoked before"
        ends = self._ends[actor]
        if ends and datetime.fromisoformat(at) - datetime.fromisoformat(ends) > CLOCK_SLACK:
            return f"was allowed to {actor!r}, which ended at {ends}"
        return ""
