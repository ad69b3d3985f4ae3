"""Room 5, built from the project file: one executor a kind of tool, one caller a provider."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from leverframe.domain.contracts import Project, Provider, Wire
from leverframe.domain.errors import SecretUnavailable
from leverframe.identity.secrets import ProjectSecrets
from leverframe.models.http_model import HttpModel
from leverframe.models.local import LocalModel
from leverframe.models.recorded import RecordedModel
from leverframe.models.relay import VendorRelay
from leverframe.models.router import ModelRouter
from leverframe.models.vendors import Vendor
from leverframe.net.client import HttpClient
from leverframe.net.pool import StreamClient
from leverframe.ports.acting import ModelCaller, ToolExecutor
from leverframe.ports.clock import Clock
from leverframe.ports.secrets import Secrets
from leverframe.tools.functions import PythonFunctions
from leverframe.tools.mcp_tools import McpTools
from leverframe.tools.pin_book import PinBook
from leverframe.tools.python_tools import PythonTools
from leverframe.tools.router import ToolRouter


def build_upstreams(project: Project, secrets: Secrets) -> McpTools:
    """The tool servers of the project; each starts at its first use."""
    root = Path(project.root)
    hidden = [root / project.storage_url.removeprefix("sqlite:")]
    pins = PinBook(root, project.servers)
    return McpTools(project.servers, root, pins, secrets, hidden=hidden, tenants=project.tenants)


def build_tools(mcp: McpTools, functions: PythonFunctions, secrets: Secrets) -> ToolExecutor:
    """The executors of every tool of the project."""
    return ToolRouter(python=PythonTools(functions, secrets), mcp=mcp, secrets=secrets)


def build_models(project: Project, secrets: Secrets, clock: Clock) -> ModelCaller:
    """The callers of every provider of the project; nothing connects or loads before its first call."""
    root = Path(project.root)
    http = HttpClient()

    def caller(provider: Provider) -> ModelCaller:
        match provider.wire:
            case Wire.RECORDED:
                return RecordedModel(provider, root)
            case Wire.OPENAI | Wire.ANTHROPIC:
                return HttpModel(provider, http=http, secrets=secrets, clock=clock)
            case Wire.LOCAL:
                return LocalModel()
            case _:
                assert_never(provider.wire)

    return ModelRouter({name: caller(one) for name, one in project.providers.items()}, secrets)


def build_relay(project: Project, secrets: Secrets, clock: Clock) -> VendorRelay:
    """The providers that calls in a vendor's own format are passed on to; nothing connects before the first call."""
    asked = {name: one for name, one in project.providers.items() if one.wire in {Wire.OPENAI, Wire.ANTHROPIC}}
    vendors = {name: Vendor(one, secrets) for name, one in asked.items()}
    return VendorRelay(vendors, http=StreamClient(), secrets=secrets, clock=clock)


async def vendors_without_key(project: Project) -> Sequence[SecretUnavailable]:
    """Why calls to providers of this project would be refused now: keys that are not there, or are none of a vendor."""
    secrets = ProjectSecrets(Path(project.root))
    asked = [Vendor(one, secrets) for one in project.providers.values() if one.wire in {Wire.OPENAI, Wire.ANTHROPIC}]
    # All at once: a source that gives no answer is waited for, and nothing is served meanwhile.
    return [one for one in await asyncio.gather(*map(_without_key, asked)) if one is not None]


async def _without_key(vendor: Vendor) -> SecretUnavailable | None:
    try:
        await vendor.headers()
    except SecretUnavailable as err:
        return err
    return None
