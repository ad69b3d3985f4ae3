"""Other gateways before the same vendor, each installed in a folder of its own under `.bench-peers`.

Every peer looks keys up and accounts by its own means; what is compared is what a call of theirs costs the machine.
"""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.gateway.served import cpu_s, free_port, put_load, rss_mib, running
from bench.report import Row
from scripts.npm import node_home

_FOLDER: Final = Path(__file__).parents[2] / ".bench-peers"
_KEY: Final = "sk-peer"
_LITELLM: Final = """\
model_list:
  - model_name: gpt-5-mini
    litellm_params: {{model: openai/gpt-5-mini, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peer:
    """How one is started, and the headers that lead it to the vendor."""

    command: tuple[str, ...]
    requests: int
    headers: tuple[str, ...] = ()


def peer_rows(folder: Path, vendor_port: int, names: Sequence[str]) -> Iterable[Row]:
    """The same figures of each peer; one that cannot be installed or started is said, and left out."""
    for name in names:
        port = free_port()
        try:
            peer = _PEERS[name](folder, vendor_port, port)
            with running(list(peer.command), port, cwd=folder) as process:
                yield from _measured(name, peer, port, process.pid)
        except (KeyError, OSError, RuntimeError, subprocess.SubprocessError) as err:
            sys.stderr.write(f"bench: the peer {name!r} was not measured: {err!r}\n")


def _measured(name: str, peer: _Peer, port: int, pid: int) -> Iterable[Row]:
    words = {"key": _KEY, "headers": list(peer.headers), "connections": 32, "seconds": 60}
    put_load(port, requests=peer.requests // 10, **words)
    before = cpu_s(pid)
    found = put_load(port, requests=peer.requests, **words)
    if set(found["codes"]) != {"200"}:
        raise RuntimeError(f"it answered {found['codes']}")
    cost = (cpu_s(pid) - before) / found["requests"] * 1_000_000
    yield Row(name=f"{name}: CPU of a call, plain", value=cost, unit="us", peer=cost)
    yield Row(name=f"{name}: requests, 32 connections", value=found["per_s"], unit="requests/s", peer=found["per_s"])
    yield Row(name=f"{name}: resident memory", value=rss_mib(pid), unit="MiB")


def _portkey(_folder: Path, vendor_port: int, port: int) -> _Peer:
    home = _FOLDER / "portkey"
    start = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not start.exists():
        home.mkdir(parents=True, exist_ok=True)
        words = ["install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), "@portkey-ai/gateway@1.15.2"]
        subprocess.run([sys.executable, "-m", "scripts.npm", *words], check=True, cwd=_FOLDER.parent)
    return _Peer(
        command=(str(node_home() / "bin/node"), str(start), f"--port={port}", "--headless"),
        requests=2_000,
        headers=("x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{vendor_port}/v1"),
    )


def _litellm(folder: Path, vendor_port: int, port: int) -> _Peer:
    home = _FOLDER / "litellm"
    program = home / "bin/litellm"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(home / "bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "litellm[proxy]"], check=True)
    settings = folder / "litellm.yaml"
    settings.write_text(_LITELLM.format(port=vendor_port, key=_KEY), encoding="utf-8")
    command = (
        str(program),
        "--config",
        str(settings),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    )
    return _Peer(command=command, requests=300)


_PEERS: Final = {"portkey": _portkey, "litellm": _litellm}
