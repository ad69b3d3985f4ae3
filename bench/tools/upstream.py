"""A tool server on the protocol's own package, both eras: `python -m bench.tools.upstream PORT TOOLS`.

Each of its TOOLS tools answers with an order of about a kilobyte.
"""

import sys
from typing import Any, Final

import uvicorn
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel.server import Server

from bench.tools.orders import INPUT, OUTPUT, names, order

_CACHED: Final[tuple[CacheableMethod, ...]] = ("tools/list", "server/discover")


# Any: JSON as the protocol's package takes it.
def describe(name: str) -> dict[str, Any]:
    """One tool as the server lists it."""
    words = "Look up one order by its number, with what was bought, what it cost and where it is now."
    return {"name": name, "description": words, "inputSchema": INPUT, "outputSchema": OUTPUT}


# Any: what the server keeps for its handlers, which is nothing here.
def build(count: int) -> Server[Any]:
    """The server."""
    tools = [describe(name) for name in names(count)]

    # Any: what the package takes from a handler, and hands to one.
    async def list_tools(context: object, params: object) -> Any:
        del context, params
        return {"resultType": "complete", "tools": tools}

    # Any: see above.
    async def call_tool(context: object, params: Any) -> Any:
        del context
        found = order(str((params.arguments or {}).get("order_id")))
        text = {"type": "text", "text": str(found)}
        return {"resultType": "complete", "content": [text], "structuredContent": found}

    hints = {method: CacheHint(ttl_ms=60_000, scope="private") for method in _CACHED}
    return Server("bench", version="1.0.0", cache_hints=hints, on_list_tools=list_tools, on_call_tool=call_tool)


def main() -> None:
    """Serve on the loopback interface until a signal."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    uvicorn.run(build(count).streamable_http_app(), port=port, log_level="warning", loop="uvloop")


if __name__ == "__main__":
    main()
