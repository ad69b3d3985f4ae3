"""Which kill switches a log says are on, and which calls they stop: a part of the check S10.

Part of the offline verifier (`leverframe.sdk.onefile`): standard library only.  A switch is on from the entry that was
committed with it.  One that several tenants share is one row, committed with the entry of one of them: the others are
told that it was thrown only afterwards (`elsewhere`), so nothing is held against that, and that it is cleared before.
"""

from leverframe.sdk.report import Leaf


class Switches:
    """The kill switches of one log."""

    def __init__(self) -> None:
        self._on: set[tuple[str, str, str]] = set()  # scope, name, tenant
        self._key_names: dict[str, str] = {}

    def tell(self, detail: Leaf) -> None:
        """Take in that one was thrown or cleared."""
        place = detail["scope"], detail.get("name", ""), detail.get("of_tenant", "")
        if not detail["is_on"]:
            self._on.discard(place)
        elif not detail.get("elsewhere"):
            self._on.add(place)

    def tell_key(self, detail: Leaf) -> None:
        """Take in which name a key has: what stops the name stops its successors too."""
        self._key_names[f"key:{detail['key']}"] = detail.get("name", "")

    @property
    def is_any_on(self) -> bool:
        """Whether a call may be stopped at all."""
        return bool(self._on)

    def problem(self, leaf: Leaf, workflow: str) -> str:
        """Which switch stops an allowed call; empty where none does."""
        for scope, name, of_tenant in sorted(self._on):
            if of_tenant in ("", leaf["tenant"]) and self._stops(scope, name, leaf, workflow):
                return f"was allowed while the kill switch {f'{scope} {name}'.strip()!r} was on"
        return ""

    def _stops(self, scope: str, name: str, leaf: Leaf, workflow: str) -> bool:
        if scope == "everything":
            return True
        if scope == "model":
            model = f"{leaf['provider']}/{leaf['model']}" if "model" in leaf else ""
            return model == name or model.startswith(f"{name}/")
        if scope == "key":
            # The actor of a tool call is whom its run is of, and a person's answer may let it go on without the key.
            key = leaf["actor"] if leaf["type"] == "model.called" else ""
            return key.startswith("key:") and name in (key.removeprefix("key:"), self._key_names.get(key))
        found = {"tenant": leaf["tenant"], "workflow": workflow, "tool": leaf.get("tool")}.get(scope)
        return bool(found) and found == name
