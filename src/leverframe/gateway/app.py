"""The routes, as one raw ASGI application."""

from collections.abc import Callable, Mapping
from typing import Final

from leverframe.core.canonical import encode
from leverframe.domain.relays import WireFormat
from leverframe.gateway import refusing
from leverframe.gateway.asgi_types import App, Receive, Scope, Send
from leverframe.gateway.exchange import answer
from leverframe.gateway.models_list import serve_models
from leverframe.gateway.problems import problem
from leverframe.gateway.relays import Relays
from leverframe.gateway.runs_api import ROOT, RunsApi
from leverframe.gateway.shared_metrics import SharedMetrics
from leverframe.runtime.door import Door
from leverframe.runtime.live_runs import LiveRuns

_RELAYED: Final[Mapping[str, WireFormat]] = {
    "/v1/chat/completions": WireFormat.CHAT,
    "/v1/responses": WireFormat.RESPONSES,
    "/v1/embeddings": WireFormat.EMBEDDINGS,
    "/v1/messages": WireFormat.MESSAGES,
    "/v1/messages/count_tokens": WireFormat.COUNT,
}
_TEXT: Final = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class Gateway:
    """Serves everything below one port.

    Args:
        door: the only way to a model.
        live: the runs of outside agents.
        mounted: other surfaces by path: an exact path, or a prefix that ends with `/`.
        metrics: what is counted here and elsewhere.
        trouble: why nothing can be recorded just now, as a slug; empty where it can be.
    """

    def __init__(
        self,
        door: Door,
        live: LiveRuns,
        mounted: Mapping[str, App],
        metrics: SharedMetrics,
        trouble: Callable[[], str],
    ) -> None:
        self._metrics = metrics
        self._trouble = trouble
        self._relays = Relays(door, live, metrics.own)
        self._live = live
        self._runs = RunsApi(live)
        self._mounted = mounted
        self.is_ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        wire = _RELAYED.get(path)
        if wire is not None and scope["method"] == "POST":
            await self._relays.serve(wire, scope, receive, send)
        elif wire is not None:
            refusal = refusing.no_method(wire, scope["method"])
            await answer(send, refusal.status, refusal.body, refusal.headers)
        else:
            await self._other(path, scope, receive, send)

    async def _other(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        if path == "/healthz":
            await answer(send, 200, b'{"status":"ok"}')
        elif path == "/readyz":
            # Who can record nothing lets no call through.
            why = self._trouble() if self.is_ready else "starting"
            await answer(send, 503 if why else 200, encode({"status": why or "ready"}))
        elif path == "/v1/models" or path.startswith("/v1/models/"):
            await serve_models(self._live, scope, send)
        elif path.startswith(ROOT):
            await self._runs(scope, receive, send)
        elif path == "/metrics":
            await answer(send, 200, self._metrics.text(), (_TEXT,))
        else:
            app = self._mounted_at(path)
            if app is None and path.startswith("/v1/"):
                refusal = refusing.no_route(path)
                await answer(send, refusal.status, refusal.body, refusal.headers)
            elif app is None:
                await problem(send, status=404, slug="not-found", detail=f"There is nothing at {path[:200]!r}.")
            else:
                await app(scope, receive, send)

    def _mounted_at(self, path: str) -> App | None:
        found = self._mounted.get(path)
        if found is None:
            found = next((app for at, app in self._mounted.items() if at.endswith("/") and path.startswith(at)), None)
        return found
