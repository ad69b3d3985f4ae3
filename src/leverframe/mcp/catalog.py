"""Resources and prompts of all servers that a contract opens, in one list without collisions.

Knows: a name or URI that one server alone has stays as it is; one that several have is listed as `shop.name` and
`shop+uri`, and that longer form is understood for every one.  A server that does not answer is named beside the list.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from leverframe.domain.contracts import Contract
from leverframe.domain.errors import ToolUnavailable
from leverframe.domain.ids import TenantId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.tools import McpOrigin, McpPart
from leverframe.ports.upstreams import Listing, Upstreams

_PARTS: Final = {
    Listing.RESOURCES: (McpPart.RESOURCE, "uri", "+"),
    Listing.TEMPLATES: (McpPart.RESOURCE, "uriTemplate", "+"),
    Listing.PROMPTS: (McpPart.PROMPT, "name", "."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The entries of one list, and the servers that gave none, with their reasons."""

    entries: Sequence[JsonObject]
    owners: Mapping[str, tuple[str, str]]  # as listed -> server, its own name there
    missing: Mapping[str, str]


def servers_of(contract: Contract, part: McpPart) -> Sequence[str]:
    """The servers whose part a contract opens."""
    specs = (contract.tools.get(name) for name in contract.callable_tools())
    origins = [spec.origin for spec in specs if spec is not None]
    return tuple(dict.fromkeys(one.server for one in origins if isinstance(one, McpOrigin) and one.part is part))


async def catalog(upstreams: Upstreams, contract: Contract, listing: Listing, tenant: TenantId) -> Catalog:
    """One list over all servers, as it is for a tenant."""
    part, key, joint = _PARTS[listing]
    servers = servers_of(contract, part)
    missing: dict[str, str] = {}

    async def listed(server: str) -> Sequence[JsonObject]:
        try:
            return await upstreams.listed(server, listing, tenant)
        except ToolUnavailable as err:
            missing[server] = err.message
            return ()

    lists = await asyncio.gather(*(listed(server) for server in servers))
    found = [
        (server, one)
        for server, entries in zip(servers, lists, strict=True)
        for one in entries
        if isinstance(one.get(key), str)
        and (listing is Listing.TEMPLATES or _is_open(contract, server, part, one, key))
    ]
    counts = Counter(str(one[key]) for _, one in found)
    entries: list[JsonObject] = []
    owners: dict[str, tuple[str, str]] = {}
    for server, one in found:
        name = str(one[key])
        shown = name if counts[name] == 1 else f"{server}{joint}{name}"
        owners[shown] = owners[f"{server}{joint}{name}"] = server, name
        entries.append({**one, key: shown})
    return Catalog(entries=entries, owners=owners, missing=missing)


def owner_of(catalog_: Catalog, contract: Contract, part: McpPart, name: str) -> tuple[str, str]:
    """Whose a name is: the one that lists it, the one it is written with, or the only one that there is.

    A resource of a template is in no list, so its pattern in `servers` decides.  Empty where nobody has it.
    """
    found = catalog_.owners.get(name)
    if found is not None:
        return found
    joint = "+" if part is McpPart.RESOURCE else "."
    servers = servers_of(contract, part)
    for server in servers:
        if name.startswith(f"{server}{joint}"):
            return server, name.removeprefix(f"{server}{joint}")
    key = "uri" if part is McpPart.RESOURCE else "name"
    fitting = [server for server in servers if _is_open(contract, server, part, {key: name}, key)]
    return (fitting[0], name) if len(fitting) == 1 else ("", name)


def _is_open(contract: Contract, server: str, part: McpPart, entry: JsonObject, key: str) -> bool:
    spec = contract.tools.get(ToolName(f"{server}.{part.value}"))
    properties = spec.input_schema.get("properties") if spec is not None else None
    rule = properties.get(key) if isinstance(properties, Mapping) else None
    pattern = rule.get("pattern") if isinstance(rule, Mapping) else None
    return isinstance(pattern, str) and re.match(pattern, str(entry.get(key))) is not None
