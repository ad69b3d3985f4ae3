"""Every key of the three files that a user writes: the one place where keys are named.

From here come the strict reading (`config.sections`), the published JSON Schemas (`config.json_schemas`), the nearest
key of an error and the reference pages.  A key is `enforced`, and then some code of this version does what it says, or
it is `not-in-this-version` and refused.  There is no third state.
"""

from collections.abc import Mapping

from leverframe.config.keys_contract import CONTRACT_KEYS
from leverframe.config.keys_project import PROJECT_KEYS
from leverframe.config.keys_tool import TOOL_KEYS
from leverframe.config.registry import FileKind, Key

__all__ = ["KEYS", "FileKind", "Key", "keys_below"]

KEYS: tuple[Key, ...] = (*PROJECT_KEYS, *CONTRACT_KEYS, *TOOL_KEYS)


def _by_parent() -> dict[tuple[FileKind, str], dict[str, Key]]:
    found: dict[tuple[FileKind, str], dict[str, Key]] = {}
    for key in KEYS:
        found.setdefault((key.file, key.parent), {})[key.name] = key
    return found


_BY_PARENT = _by_parent()


def keys_below(file: FileKind, path: str) -> Mapping[str, Key]:
    """The keys that may stand in the map at `path`: `""`, `budget`, `policy.rules[]`, `facts.*`."""
    return _BY_PARENT.get((file, path), {})
