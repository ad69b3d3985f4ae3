"""One process that serves: the project opened, the gateway built, uvicorn on a socket, the sweeps beside it."""

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import uvicorn
import uvloop

from leverframe.asgi.connection import Connection
from leverframe.asgi.guests import RunGuests
from leverframe.asgi.handed_files import handed_down
from leverframe.asgi.options import Options
from leverframe.asgi.tls import tls_context
from leverframe.config.project import load_kept_project, load_project
from leverframe.domain.contracts import Project
from leverframe.domain.errors import LeverframeError, UsageError
from leverframe.gateway.app import Gateway
from leverframe.gateway.asgi_types import App
from leverframe.gateway.metrics import Metrics
from leverframe.gateway.shared_metrics import SharedMetrics
from leverframe.mcp.app import METADATA_PATHS, McpApp
from leverframe.ports.tokens import Tokens
from leverframe.runtime.live_runs import LiveRuns
from leverframe.runtime.sweeping import SWEEP_S, end_idle, settle_dead
from leverframe.wiring.access import open_tokens
from leverframe.wiring.assembly import Assembly, open_assembly

_GRACE_S: Final = 30
# The event loop waits no longer than this for the thread that seals and writes; Python's own value is ten times that.
_SWITCH_S: Final = 0.0005
# A call makes some hundred objects that the collector counts, and hardly a cycle.
_COLLECTS: Final = (10_000, 10, 10)
_BACKLOG: Final = 2_048
_LOOKS_S: Final = 0.5
_IDLE_EVERY: Final = 30  # sweeps
_AN_ADDRESS: Final = "Choose an address of this machine with --host: 127.0.0.1, or 0.0.0.0 for all of them."
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def listen(options: Options) -> socket.socket:
    """The socket of a host and a port, listening.

    Raises:
        UsageError: the port is taken, or the host is none of this machine.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((options.host, options.port))
    except OSError as err:
        found.close()
        is_elsewhere = isinstance(err, socket.gaierror) or err.errno == errno.EADDRNOTAVAIL
        raise UsageError(
            f"Nothing can be served at {options.host}:{options.port} ({err.strerror}).",
            next_move=_AN_ADDRESS if is_elsewhere else "Choose another with --port, or stop what uses it.",
        ) from err
    found.listen(_BACKLOG)
    return found


def serve_on(options: Options, sock: socket.socket) -> int:
    """Serve until a signal says stop; 0 when it ended in good order.

    Raises:
        UsageError: nothing can be served with the files of its TLS.
        LeverframeError: the project cannot be served.
    """
    sys.setswitchinterval(_SWITCH_S)
    # Before the project is opened, whose tasks would end with it in a group of errors.
    tls_context(options)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options, sock))


async def _serve(options: Options, sock: socket.socket) -> int:
    project = _project(options)
    async with (
        open_assembly(project, create=True, serves=True) as assembly,
        open_tokens(project, assembly.services.clock) as tokens,
    ):
        live = LiveRuns(assembly.services, assembly.runner, assembly.store.live)
        with live.alive():
            mcp = _mcp(options, assembly, live, tokens)
            folder = Path(options.metrics) if options.metrics else None
            metrics = SharedMetrics(Metrics(), folder, lambda: assembly.logbook.waiting)
            gateway = Gateway(assembly.door, live, _mounted(mcp), metrics, lambda: assembly.logbook.trouble)
            sweeps = asyncio.create_task(_sweep(live, assembly), name="leverframe-sweeps")
            counting = asyncio.create_task(metrics.keep(), name="leverframe-metrics")
            try:
                async with mcp.running():
                    _spare_collector()
                    await _serve_app(options, sock, gateway)
            finally:
                sweeps.cancel()
                counting.cancel()
                metrics.write()
    return 0


def _project(options: Options) -> Project:
    """As it was when the parent was started, where there is one: all of its workers serve one configuration."""
    root = Path(options.directory)
    return load_project(root) if options.files < 0 else load_kept_project(root, handed_down(options.files))


def _spare_collector() -> None:
    """Take what lives as long as the process out of the collector's way: looking through it holds up every call."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTS)


def _mcp(options: Options, assembly: Assembly, live: LiveRuns, tokens: Tokens | None) -> McpApp:
    """The tools of the contracts.  Of several workers none keeps a session: the next request may reach another."""
    public_url = options.public_url or ("" if options.host in _LOOPBACK else options.url)
    return McpApp(
        RunGuests(live, tokens),
        assembly.upstreams,
        public_url=public_url,
        access=assembly.project.access,
        keeps_sessions=not options.is_one_of_several,
    )


def _mounted(mcp: McpApp) -> Mapping[str, App]:
    """Other surfaces on the same port, by path.  The one place to mount one."""
    return {"/mcp": mcp, **dict.fromkeys(METADATA_PATHS, mcp)}


class _Server(uvicorn.Server):
    """uvicorn raises a signal again once it has ended, which would end the process before the store is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal that is not ignored; a worker's parent alone hears Control-C."""
        heard = [one for one in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(one) is not signal.SIG_IGN]
        for one in heard:
            signal.signal(one, self.handle_exit)
        try:
            yield
        finally:
            # Asked again while the store closes, it goes on closing.
            for one in heard:
                signal.signal(one, signal.SIG_IGN)


async def _serve_app(options: Options, sock: socket.socket, gateway: Gateway) -> None:
    tls = tls_context(options)
    config = uvicorn.Config(
        gateway,
        http=Connection,
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = _Server(config)
    watching = asyncio.create_task(_outlive_no_parent(options, server), name="leverframe-parent")
    gateway.is_ready = True
    await server.serve(sockets=[sock])
    gateway.is_ready = False
    watching.cancel()


async def _outlive_no_parent(options: Options, server: uvicorn.Server) -> None:
    """Stop in good order once the parent is gone, however it went."""
    # A process whose parent has died is given to another.
    while True:
        await asyncio.sleep(_LOOKS_S)
        if options.parent and os.getppid() != options.parent:
            break
    server.should_exit = True
    # Whoever read what we say may be gone with it.
    with suppress(OSError):
        sys.stderr.write(f"leverframe: worker {os.getpid()} stops, since the process that started it is gone\n")


async def _sweep(live: LiveRuns, assembly: Assembly) -> None:
    """Settle what dead workers left, at once and then every few seconds; end what nobody uses, more seldom."""
    round_ = 0
    while True:
        # What cannot be done now, for want of the database, is done in the next round.
        with suppress(LeverframeError):
            await assembly.logbook.try_again()
            await settle_dead(live, assembly.runner)
            if round_ % _IDLE_EVERY == 0:
                await end_idle(live)
        round_ += 1
        await asyncio.sleep(SWEEP_S)
