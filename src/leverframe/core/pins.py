"""Whether a tool is still the one that a person has seen.

Knows: what a digest covers, and which differences close a tool: another upstream behind a server's name, another
definition, a name that nobody has seen.  A rename is a new name, so it is quarantined whatever stood there before.
Never: judges whether a change is harmless; a person does, with `core.definitions` beside them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256

from leverframe.core import canonical
from leverframe.domain.contracts import McpServer
from leverframe.domain.ids import Sha256
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import (
    DRIFTED,
    QUARANTINED,
    Closed,
    Offering,
    Reviewed,
    ServerPin,
    ToolPin,
    ToolsLock,
    pin_key,
)
from leverframe.domain.tools import McpOrigin

_NOT_SEEN = Sha256("")
# What no model reads and a server may change at every offering.
_NOT_PINNED = frozenset({"_meta", "icons"})


def reached_by(server: McpServer) -> JsonObject:
    """How an upstream is reached, as the project file writes it: the first half of its identity."""
    return {"command": list(server.command)} if server.command else {"url": server.url}


def pinned_part(definition: JsonObject) -> JsonObject:
    """The part of a tool's definition that is pinned: all of it but pictures and the protocol's own notes."""
    return {key: value for key, value in definition.items() if key not in _NOT_PINNED}


def server_info(info: JsonObject) -> JsonObject:
    """The part of `serverInfo` that is pinned: its name and version."""
    return {key: info[key] for key in ("name", "version") if key in info}


def definition_digest(server: str, reached: JsonObject, info: JsonObject, definition: JsonObject) -> Sha256:
    """The SHA-256 of the canonical form of a tool's full definition and of the upstream that it is from."""
    upstream: JsonObject = {"server": server, "reached_by": reached, "info": server_info(info)}
    whole: JsonObject = {"definition": pinned_part(definition), "upstream": upstream}
    return Sha256(sha256(canonical.encode(whole)).hexdigest())


def server_closed(lock: ToolsLock, server: str, reached: JsonObject | None, offering: Offering | None) -> Closed | None:
    """Why nothing of a server may be asked for that is no tool: a resource, a prompt; None where it was reviewed.

    Args:
        lock: the project's pins.
        server: its name.
        reached: how the project file reaches it now; None where it has no such server.
        offering: what it says of itself; None where it was not asked.
    """
    pin = lock.servers.get(server)
    if pin is None:
        return _quarantined(f"Nobody has reviewed the server {server!r} and its tools yet")
    if reached is not None and reached != pin.reached_by:
        was, now = _words(pin.reached_by), _words(reached)
        return _drifted(f"Behind the name {server!r} stands another upstream: it was {was}, and now is {now}")
    if offering is not None and server_info(offering.info) != pin.info:
        was, now = _words(pin.info), _words(server_info(offering.info))
        return _drifted(f"The server {server!r} says that it is {now}, and was reviewed as {was}")
    return None


def known_closed(lock: ToolsLock, origin: McpOrigin, reached: JsonObject | None) -> Closed | None:
    """What the lock alone says against a call, without asking the server.

    Args:
        lock: the project's pins.
        origin: whose call.
        reached: how the project file reaches the server now; None where it has no such server.
    """
    found = server_closed(lock, origin.server, reached, None)
    if found is not None:
        return found
    if pin_key(origin.server, origin.name) not in lock.tools:
        return _quarantined(f"Nobody has reviewed the tool {origin.name!r} of server {origin.server!r} yet")
    return None


def closed(lock: ToolsLock, origin: McpOrigin, reached: JsonObject, offering: Offering) -> Closed | None:
    """Why a tool may not be called, now that its server has listed itself; None where it is what was pinned."""
    found = known_closed(lock, origin, reached)
    live = offering.tools.get(origin.name)
    seen = _NOT_SEEN if live is None else definition_digest(origin.server, reached, offering.info, live)
    if found is not None:
        hint = _rename_hint(lock, origin, offering) if found.slug == QUARANTINED else ""
        return Closed(slug=found.slug, message=f"{found.message.removesuffix('.')}{hint}.", seen=seen)
    pin, server = lock.tools[pin_key(origin.server, origin.name)], lock.servers[origin.server]
    info = server_info(offering.info)
    if info != server.info:
        was, now = _words(server.info), _words(info)
        return _drifted(f"The server {origin.server!r} says that it is {now}, and was reviewed as {was}", seen)
    if live is None:
        hint = _vanished_hint(pin, offering)
        return _drifted(f"The server {origin.server!r} no longer lists the tool {origin.name!r}{hint}", seen)
    if seen != pin.sha256:
        parts = ", ".join(changed_parts(pin.definition, live))
        return _drifted(f"The tool {origin.name!r} of server {origin.server!r} has another {parts} than reviewed", seen)
    return None


def with_pins(
    lock: ToolsLock,
    server: str,
    reached: JsonObject,
    offering: Offering,
    *,
    names: Iterable[str],
    reviewed: Reviewed,
) -> ToolsLock:
    """The lock after a person saw these tools of a server, as it offers them now.

    Another upstream than before takes the pins of all its other tools with it: they were seen of the old one.
    """
    info = server_info(offering.info)
    before = lock.servers.get(server)
    is_same = before is not None and (before.reached_by, before.info) == (reached, info)
    kept = {key: pin for key, pin in lock.tools.items() if pin.server != server or is_same}
    for name in names:
        definition = pinned_part(offering.tools[name])
        digest = definition_digest(server, reached, info, definition)
        old = kept.get(pin_key(server, name))
        if old is None or old.sha256 != digest:
            kept[pin_key(server, name)] = ToolPin(
                server=server, name=name, sha256=digest, definition=definition, reviewed=reviewed
            )
    pin = before if before is not None and is_same else ServerPin(reached_by=reached, info=info, reviewed=reviewed)
    return replace(lock, servers={**lock.servers, server: pin}, tools=kept)


def moved(lock: ToolsLock, server: str, reached: JsonObject) -> ToolsLock:
    """The same pins for a server that is reached in another way: what was reviewed stays, its digests are new."""
    old = lock.servers[server]
    tools = {
        key: replace(pin, sha256=definition_digest(server, reached, old.info, pin.definition))
        if pin.server == server
        else pin
        for key, pin in lock.tools.items()
    }
    return replace(lock, servers={**lock.servers, server: replace(old, reached_by=reached)}, tools=tools)


def changed_parts(old: JsonObject, new: JsonObject) -> tuple[str, ...]:
    """Which keys of a definition differ, sorted."""
    before, after = pinned_part(old), pinned_part(new)
    return tuple(key for key in sorted({*before, *after}) if before.get(key) != after.get(key))


def _rename_hint(lock: ToolsLock, origin: McpOrigin, offering: Offering) -> str:
    """Whether an unknown name carries what a reviewed tool was, that is not there any more."""
    live = offering.tools.get(origin.name)
    if live is None:
        return ""
    gone = (pin for pin in lock.tools.values() if pin.server == origin.server and pin.name not in offering.tools)
    was = next((pin.name for pin in gone if _is_same(pin.definition, live)), None)
    return f"; it looks like {was!r} under another name, which is reviewed as a new tool" if was else ""


def _vanished_hint(pin: ToolPin, offering: Offering) -> str:
    now = next((name for name, live in offering.tools.items() if _is_same(pin.definition, live)), None)
    return f"; it lists the same tool as {now!r}" if now else ""


def _is_same(one: JsonObject, other: JsonObject) -> bool:
    return {**pinned_part(one), "name": ""} == {**pinned_part(other), "name": ""}


def _words(value: Mapping[str, Json]) -> str:
    """An identity as a person reads it: `npx -y server 1.0`."""

    def words(item: Json) -> Iterable[str]:
        return map(str, item) if isinstance(item, list | tuple) else (str(item),)

    return repr(" ".join(word for item in value.values() for word in words(item)))


def _quarantined(message: str) -> Closed:
    return Closed(slug=QUARANTINED, message=f"{message}.")


def _drifted(message: str, seen: Sha256 = _NOT_SEEN) -> Closed:
    return Closed(slug=DRIFTED, message=f"{message}.", seen=seen)
