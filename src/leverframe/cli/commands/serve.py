"""`leverframe serve`: the door for agents of any framework, on one port."""

import asyncio
from argparse import Namespace
from importlib import import_module

from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.project import load, named_file
from leverframe.cli.screen import Screen
from leverframe.domain.authority import KeyState
from leverframe.domain.contracts import Project
from leverframe.domain.errors import RefusedError, UsageError
from leverframe.domain.json import Json
from leverframe.wiring.acting import vendors_without_key
from leverframe.wiring.assembly import open_assembly
from leverframe.wiring.people import enrol_launcher

_MOST_WORKERS = 64
_MOST_PORT = 65_535


def add(parser: CommandParser) -> None:
    """Take the address."""
    parser.description = (
        "Serve this project's models and tools to agents of any framework: point their base URL here, and MCP clients\n"
        "at /mcp, with a key of `leverframe keys create`.  One process, one port; with --workers several processes on\n"
        "that port."
    )
    parser.add_argument("--host", metavar="HOST", default="127.0.0.1", help="the address to listen at (127.0.0.1)")
    parser.add_argument("--port", metavar="PORT", type=int, default=8460, help="the port (8460)")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="how many processes (1)")
    parser.add_argument("--tls-cert", metavar="FILE", default="", help="a certificate chain; needs --tls-key")
    parser.add_argument("--tls-key", metavar="FILE", default="", help="its private key")
    parser.add_argument(
        "--public-url",
        metavar="URL",
        default="",
        help="how clients write this address, such as https://gate.example.com: /mcp answers to no other but loopback",
    )


def run(args: Namespace) -> int:
    """Serve until it is told to stop."""
    project = load(args)
    _check(args, project)
    asyncio.run(_has_a_key(args, project))
    # By name, since the two entry points do not import each other; and only here, since it brings a whole server.
    options = import_module("leverframe.asgi.options").Options(
        directory=project.root,
        host=args.host,
        port=args.port,
        workers=args.workers,
        tls_cert=_file(args, args.tls_cert),
        tls_key=_file(args, args.tls_key),
        public_url=args.public_url.rstrip("/"),
    )
    screen = Screen.of(args)
    for err in asyncio.run(vendors_without_key(project)):
        screen.warn(f"warning: {err.message}", f"    {err.next_move}  Until then its models are refused.")
    serve = import_module("leverframe.asgi.serving").serve
    return int(serve(options, tell=lambda: _tell(screen, project.root, options.url)))


def _tell(screen: Screen, root: str, url: str) -> None:
    """Where it serves, once it does: a script that waits for these words would otherwise ask whoever has the port."""
    if screen.is_json:
        addresses: dict[str, Json] = {"openai": f"{url}/v1", "anthropic": url, "mcp": f"{url}/mcp"}
        screen.document({"project": root, "url": url, "ready": f"{url}/readyz", **addresses})
        return
    screen.line(f"Serving {root} at {url}  (OpenAI: {url}/v1, Anthropic: {url}, MCP: {url}/mcp)")
    screen.line(f"Stop it with Control-C.  Health: {url}/readyz")


def _check(args: Namespace, project: Project) -> None:
    if not 1 <= args.workers <= _MOST_WORKERS:
        raise UsageError(f"--workers takes 1 to {_MOST_WORKERS}, got {args.workers}.", next_move="Try one a core.")
    if not args.host:
        # Or it would mean every address of this machine, to whoever left a variable empty.
        raise UsageError("--host takes an address, got ''.", next_move="Try 127.0.0.1, or 0.0.0.0 for all of them.")
    if not 0 < args.port <= _MOST_PORT:
        raise UsageError(f"--port takes 1 to {_MOST_PORT}, got {args.port}.", next_move="Try 8460.")
    if bool(args.tls_cert) is not bool(args.tls_key):
        raise UsageError("--tls-cert and --tls-key go together.", next_move="Give both, or neither.")
    if args.public_url and not args.public_url.startswith(("http://", "https://")):
        raise UsageError("--public-url takes an http or https address.", next_move="Try https://gate.example.com.")
    if not project.contracts:
        raise RefusedError("This project has no workflow to serve.", next_move="Write one in workflows/NAME.yaml.")


def _file(args: Namespace, name: str) -> str:
    return str(named_file(args, name).resolve()) if name else ""


async def _has_a_key(args: Namespace, project: Project) -> None:
    """Refuse to listen where nobody could call."""
    async with open_assembly(project, create=True) as assembly:
        enrol_launcher(project)
        now = assembly.services.mint.now()
        keys = assembly.services.authority.current().keys.values()
        if project.access is None and not any(one.state_at(now) is KeyState.LIVE for one in keys):
            workflow = next(iter(project.contracts))
            raise RefusedError(
                "No API key is live in this project, so nobody could call.",
                next_move=f"Make one: {command(args, 'keys', 'create', 'desk', '--workflow', workflow)}",
            )
