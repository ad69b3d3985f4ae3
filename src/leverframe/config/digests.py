"""Digests of what a run pins: its policy, and every file that it was made of.

The policy digest is over meaning and not over text: comments, spaces and line numbers are not in it.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from hashlib import sha256

from leverframe.config.contract_flow import Flow
from leverframe.core import canonical
from leverframe.domain.budgets import BudgetLimits
from leverframe.domain.contracts import Enforce, ProvenanceRules
from leverframe.domain.ids import Sha256, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.policy import Rule

_NOT_MEANING = frozenset({"source", "sources", "at", "keys_at", "names_at", "ignored", "because"})
# Left out where it is false, as it is of all rules but an overlay's, so that earlier digests stay what they were.
_SILENT = frozenset({"only_narrows"})


def policy_text(
    rules: tuple[Rule, ...],
    allow_tools: tuple[ToolName, ...],
    deny_tools: tuple[ToolName, ...],
    budget: BudgetLimits,
    provenance: ProvenanceRules,
    *,
    enforce: Enforce = Enforce.FULL,
    flow: Flow | None = None,
) -> bytes:
    """What is allowed, held and denied, and the budget: the canonical JSON that the policy digest is over."""
    value: JsonObject = {
        "allow_tools": sorted(allow_tools),
        "deny_tools": sorted(deny_tools),
        "rules": [_plain(rule) for rule in rules],
        "budget": _plain(budget),
        "provenance": _plain(provenance),
    }
    if enforce is not Enforce.FULL:
        # Left out where all is enforced, so that the digests of earlier versions stay what they were.
        value = {**value, "enforce": enforce.value}
    if flow is not None and flow.plan is not None:
        value = {**value, "plan": "declared"}
    if flow is not None and flow.audience is not None:
        value = {**value, "audience": flow.audience.value}
    return canonical.encode(value)


def release_digest(artifacts: Mapping[str, bytes]) -> Sha256:
    """The digest of the manifest `[{"name": ..., "sha256": ...}]`, sorted by name."""
    manifest: list[Json] = [
        {"name": name, "sha256": sha256(content).hexdigest()} for name, content in sorted(artifacts.items())
    ]
    return Sha256(sha256(canonical.encode(manifest)).hexdigest())


def _plain(value: object) -> Json:
    """A frozen value as JSON; sets are sorted, and 50 and 50.00 are one amount."""
    match value:
        case Enum():
            return str(value.value)
        case Decimal():
            return f"{value.normalize():f}"
        case None | bool() | int() | str():
            return value
        case frozenset() | set():
            return sorted(str(_plain(item)) for item in value)
        case tuple() | list():
            return [_plain(item) for item in value]
        case Mapping():
            return {str(_plain(key)): _plain(item) for key, item in value.items()}
        case _ if is_dataclass(value):
            kept = {
                each.name: _plain(getattr(value, each.name))
                for each in fields(value)
                if each.name not in _NOT_MEANING and (each.name not in _SILENT or getattr(value, each.name))
            }
            return {"": type(value).__name__, **kept}
        case _:
            msg = f"A rule holds a value of type {type(value).__name__!r}, which has no canonical form"
            raise TypeError(msg)
