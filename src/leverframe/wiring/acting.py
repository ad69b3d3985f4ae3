"""Room 5, built from the project file: one executor a kind of tool, one caller a provider."""

from pathlib import Path
from typing import assert_never

from leverframe.domain.contracts import Project, Provider, Wire
from leverframe.models.local import LocalModel
from leverframe.models.openai import OpenAiModel
from leverframe.models.recorded import RecordedModel
from leverframe.models.router import ModelRouter
from leverframe.net.client import HttpClient
from leverframe.ports.acting import ModelCaller, ToolExecutor
from leverframe.ports.clock import Clock
from leverframe.ports.secrets import Secrets
from leverframe.tools.functions import PythonFunctions
from leverframe.tools.mcp_tools import McpTools
from leverframe.tools.pin_book import PinBook
from leverframe.tools.python_tools import PythonTools
from leverframe.tools.router import ToolRouter


def build_tools(project: Project, functions: PythonFunctions, secrets: Secrets) -> ToolExecutor:
    """The executors of every tool of the project; servers start at their first call."""
    root = Path(project.root)
    return ToolRouter(
        python=PythonTools(functions, secrets),
        mcp=McpTools(
            project.servers, root, PinBook(root, project.servers), [root / project.storage_url.removeprefix("sqlite:")]
        ),
        secrets=secrets,
    )


def build_models(project: Project, secrets: Secrets, clock: Clock) -> ModelCaller:
    """The callers of every provider of the project; nothing connects or loads before its first call."""
    root = Path(project.root)
    http = HttpClient()

    def caller(provider: Provider) -> ModelCaller:
        match provider.wire:
            case Wire.RECORDED:
                return RecordedModel(provider, root)
            case Wire.OPENAI:
                return OpenAiModel(provider, http=http, secrets=secrets, clock=clock)
            case Wire.LOCAL:
                return LocalModel()
            case _:
                assert_never(provider.wire)

    return ModelRouter({name: caller(one) for name, one in project.providers.items()}, secrets)
