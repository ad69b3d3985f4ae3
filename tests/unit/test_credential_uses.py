"""Which tools are called with which credential, and so what it must be allowed."""

from dataclasses import replace

import pytest

from leverframe.core.scopes import uses
from leverframe.domain.contracts import McpServer
from leverframe.domain.ids import ToolName
from leverframe.domain.tools import McpOrigin, McpPart, PythonOrigin, ToolOrigin, ToolSpec
from tests.property.test_read_cache import READ

HERE = READ.source
REMOTE = McpServer(name="shop", source=HERE, url="https://x.example/mcp", credential="secret://env/SHOP")
PROCESS = McpServer(name="files", source=HERE, command=("x",), env={"TOKEN": "secret://env/FILES", "TZ": "UTC"})
SERVERS = {"shop": REMOTE, "files": PROCESS}
PYTHON = PythonOrigin(file="tools/shop.py", function="f")


def tool(name: str, origin: ToolOrigin, *scopes: str, credential: str = "") -> ToolSpec:
    return replace(READ, name=ToolName(name), origin=origin, scopes=scopes, credential=credential)


def of(server: str, part: McpPart = McpPart.TOOL) -> McpOrigin:
    return McpOrigin(server=server, name="t", part=part)


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([tool("a", of("shop"), "r"), tool("b", of("shop"), "w")], {"secret://env/SHOP": {"r", "w"}}),
        (
            [tool("a", of("shop"), "r"), tool("b", of("shop"), "w", credential="secret://env/OWN")],
            {"secret://env/SHOP": {"r"}, "secret://env/OWN": {"w"}},
        ),
        ([tool("a", of("shop"), "r"), tool("b", of("shop"))], {"secret://env/SHOP": None}),
        ([tool("a", of("files"), "r")], {"secret://env/FILES": {"r"}}),
        ([tool("a", PYTHON, "r", credential="secret://env/P"), tool("b", PYTHON)], {"secret://env/P": {"r"}}),
        ([tool("shop.resource", of("shop", McpPart.RESOURCE))], {}),
        ([tool("a", of("nowhere"), "r")], {}),
    ],
    ids=["a server's", "a tool's own", "silent", "a process's", "a function's", "a resource", "no server"],
)
def test_a_credential_must_be_allowed_what_all_its_tools_need(
    tools: list[ToolSpec], expected: dict[str, set[str] | None]
) -> None:
    assert {one.reference: one.scopes for one in uses(tools, SERVERS)} == expected
