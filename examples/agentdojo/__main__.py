"""Serve the gate to the AgentDojo harness: `python -m examples.agentdojo --port 8099`, until it is interrupted.

POST /agentdojo/start    {id, suite, prompt}       -> {}
POST /agentdojo/check    {call}                    -> {decision, reason}
POST /agentdojo/observe  {call, result}            -> {outcome}
POST /agentdojo/end      {session_id}              -> {}
GET  /tools              the tools' own server: waits for the answer of the call that is on its way
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from examples.agentdojo.gate import Gate, ToolServer
from leverframe.config.project import load_project
from leverframe.wiring.assembly import open_assembly

HERE: Final = Path(__file__).parent
_PARTS: Final = ("leverframe.yaml", "tools", "workflows")


class GateServer(ThreadingHTTPServer):
    """The harness and the tools of one gate; loopback only."""

    daemon_threads = True

    def __init__(self, port: int, gate: Gate, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.gate = gate
        self._loop = loop

    # Any: the bodies of the protocol, as the harness sends them.
    def asked(self, path: str, body: Any) -> Any:
        """The answer to one request of the harness."""
        return asyncio.run_coroutine_threadsafe(self._work(path, body), self._loop).result()

    # Any: as above.
    def _work(self, path: str, body: Any) -> Coroutine[Any, Any, Any]:
        match path.rsplit("/", 1)[-1]:
            case "start":
                return self.gate.start(body)
            case "check":
                return self.gate.check(body["call"])
            case "observe":
                return self.gate.observe(body["call"], str(body["result"]))
            case "end":
                return self.gate.end(body["session_id"])
            case other:
                raise ValueError(f"The gate protocol has no {other!r}")


class _Handler(BaseHTTPRequestHandler):
    server: GateServer

    def do_POST(self) -> None:
        """The harness asks the door, or a tool its server."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        is_a_tool = self.path == "/tools"
        self._reply(self.server.gate.server.serve(body) if is_a_tool else self.server.asked(self.path, body))

    # Any: JSON of the protocol.
    def _reply(self, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *said: object) -> None:
        """Say nothing of each request."""


async def _serve(port: int, folder: Path) -> None:
    for name in _PARTS:
        source = HERE / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    async with open_assembly(load_project(folder), create=True) as assembly:
        gate = Gate(assembly=assembly, server=ToolServer())
        server = GateServer(port, gate, asyncio.get_running_loop())
        os.environ["AGENTDOJO_SERVER_PORT"] = str(server.server_port)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        print(f"The gate is at http://127.0.0.1:{server.server_port}/agentdojo", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(server.shutdown)
            server.server_close()


def main() -> None:
    """Serve until interrupted; the project's state goes with its temporary folder."""
    parser = argparse.ArgumentParser(description="Leverframe's door as a gate of the AgentDojo harness.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port, printed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agentdojo-") as folder:
        asyncio.run(_serve(asked.port, Path(folder)))


if __name__ == "__main__":
    main()
