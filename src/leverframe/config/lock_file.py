"""`tools.lock`: what a person has reviewed of tools and servers; JSON, written by `leverframe tools pin`, kept in git.

Trusted as every file of the project is: whoever can edit it, or `leverframe.yaml` beside it, can open a tool.  What a
hand edit does wrong (a definition that does not give its digest) is an error, never a guess.
"""

import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from leverframe.config.findings import Findings, Mark
from leverframe.config.project_files import ProjectFiles
from leverframe.core import canonical
from leverframe.core.json_lines import spread
from leverframe.core.pins import definition_digest, pinned_part, server_info
from leverframe.domain.errors import ConfigInvalid, JsonInvalid, StoreUnavailable
from leverframe.domain.ids import PrincipalId, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import EffectPin, LostClass, Reviewed, ServerPin, ToolPin, ToolsLock, pin_key
from leverframe.domain.time import rfc3339
from leverframe.domain.tools import EffectClass

LOCK_FILE: Final = "tools.lock"
_VERSION: Final = 1
_UNFORMED = (KeyError, TypeError, ValueError, AttributeError)


def read_lock(files: ProjectFiles, findings: Findings) -> ToolsLock:
    """The lock of a project; an empty one where there is none, or with an error in `findings` where it is damaged."""
    if not files.exists(LOCK_FILE):
        return ToolsLock()
    content = files.read(LOCK_FILE, Mark(LOCK_FILE), findings)
    if content is None:
        return ToolsLock()
    try:
        return parse_lock(content)
    except (JsonInvalid, *_UNFORMED) as err:
        findings.error(
            Mark(LOCK_FILE),
            "lock-damaged",
            f"The lock cannot be read: {_reason(err)}.",
            "Take it back from git, or delete it and review every tool anew: leverframe tools pin",
        )
        return ToolsLock()


def load_lock(root: Path) -> ToolsLock:
    """The lock of a project folder, now.

    Raises:
        ConfigInvalid: it cannot be read.
    """
    findings = Findings()
    lock = read_lock(ProjectFiles(root), findings)
    if findings.has_errors:
        raise ConfigInvalid(findings.problems)
    return lock


def write_lock(root: Path, lock: ToolsLock) -> None:
    """Put a lock in its place, in one move.

    Raises:
        StoreUnavailable: the folder cannot be written to; the old lock stands.
    """
    path = root / LOCK_FILE
    try:
        handle, staged = tempfile.mkstemp(prefix=f".{LOCK_FILE}.", dir=root)
        with os.fdopen(handle, "wb") as file:
            file.write(lock_text(lock).encode())
            file.flush()
            os.fsync(file.fileno())
        Path(staged).chmod(0o644)
        Path(staged).replace(path)
    except OSError as err:
        raise StoreUnavailable(
            f"{str(path)!r} cannot be written: {err.strerror}.", next_move="Mend that and pin again."
        ) from err


def lock_text(lock: ToolsLock) -> str:
    """The file's text: indented and sorted, so that a pull request shows what changed line by line."""
    value: JsonObject = {
        "lock": _VERSION,
        "servers": {
            name: {"reached_by": one.reached_by, "info": one.info, "reviewed": _review(one.reviewed)}
            for name, one in lock.servers.items()
        },
        "tools": {
            key: {
                "server": one.server,
                "sha256": one.sha256,
                "definition": one.definition,
                "reviewed": _review(one.reviewed),
            }
            for key, one in lock.tools.items()
        },
        "effects": {
            name: {"effect": one.effect.value, "reviewed": _review(one.reviewed)} for name, one in lock.effects.items()
        },
        "lost": {
            name: {"claimed": one.claimed.value, "reviewed": _review(one.reviewed)} for name, one in lock.lost.items()
        },
    }
    return spread(value) + "\n"


def parse_lock(content: bytes) -> ToolsLock:
    """The lock that a text says.

    Raises:
        JsonInvalid: it is no JSON.
        ValueError: it is no lock of this version, or a definition does not give its digest.
        KeyError, TypeError, AttributeError: something is missing or of another type.
    """
    value = _object(canonical.decode(content))
    if value["lock"] != _VERSION:
        raise ValueError(f"it is of version {value['lock']!r}, and this software reads version {_VERSION}")
    servers = {name: _server(_object(one)) for name, one in _object(value["servers"]).items()}
    tools = {key: _tool(key, _object(one), servers) for key, one in _object(value["tools"]).items()}
    return ToolsLock(
        servers=servers,
        tools=tools,
        effects={
            ToolName(name): EffectPin(effect=EffectClass(str(_object(one)["effect"])), reviewed=_reviewed(one))
            for name, one in _object(value["effects"]).items()
        },
        lost={
            ToolName(name): LostClass(claimed=EffectClass(str(_object(one)["claimed"])), reviewed=_reviewed(one))
            for name, one in _object(value["lost"]).items()
        },
    )


def _server(one: JsonObject) -> ServerPin:
    return ServerPin(
        reached_by=_object(one["reached_by"]), info=server_info(_object(one["info"])), reviewed=_reviewed(one)
    )


def _tool(key: str, one: JsonObject, servers: Mapping[str, ServerPin]) -> ToolPin:
    definition, server = pinned_part(_object(one["definition"])), _text(one["server"])
    name, upstream = _text(definition["name"]), servers[server]
    if key != pin_key(server, name):
        raise ValueError(f"{key!r} stands for {pin_key(server, name)!r}")
    digest = definition_digest(server, upstream.reached_by, upstream.info, definition)
    if digest != one["sha256"]:
        raise ValueError(f"the definition of {key!r} does not give its sha256, so one of them was edited by hand")
    return ToolPin(server=server, name=name, sha256=digest, definition=definition, reviewed=_reviewed(one))


def _review(one: Reviewed) -> JsonObject:
    found: dict[str, Json] = {"by": one.by, "at": rfc3339(one.at)}
    return {**found, "because": one.because} if one.because else found


def _reviewed(one: Json) -> Reviewed:
    found = _object(_object(one)["reviewed"])
    return Reviewed(
        by=PrincipalId(_text(found["by"])),
        at=datetime.fromisoformat(_text(found["at"])),
        because=_text(found.get("because", "")),
    )


def _object(value: Json) -> JsonObject:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    return value


def _reason(err: Exception) -> str:
    return f"it lacks {err}" if isinstance(err, KeyError) else str(err).removesuffix(".")
