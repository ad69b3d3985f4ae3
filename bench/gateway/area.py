"""All figures of the model gateway, in one run: the door in front of a vendor, the bare vendor, and peers by name.

`PEERS=portkey,litellm` installs those gateways in folders of their own and measures them alike.  The load, the door and
the vendor share the machine, so a rate is what is left for one of them; what a call costs is counted by the kernel.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.gateway.bursts import refusals
from bench.gateway.peers import peer_rows
from bench.gateway.served import Served, bare, cpu_s, put_load, rss_mib, served, vendor
from bench.report import Row, at_least, at_most

_WARM: Final = 500
_COUNTED: Final = 4_000
_STREAMED: Final = 1_500
_CHUNKS: Final = 10
_CONNECTIONS: Final = 32
_IDLE: Final = 512
_IDLE_MODEL: Final = "gpt-5-mini-c5-g1000"
_IDLE_FRAMES: Final = 5 + 2  # the words, the reason, and [DONE]
_CALLS: Final = int(os.environ.get("BENCH_CALLS", "100000"))
_SETTLES_S: Final = 3.0
_SUSTAINED: Final = (1, 2, 4, 8, 16, 32, 64)


def measure(folder: Path) -> list[Row]:
    """Measure in an empty folder."""
    with vendor() as vendor_port, served(folder, vendor_port) as door:
        put_load(door.port, key=door.key, requests=_WARM, seconds=30)
        with bare(vendor_port) as floor:
            put_load(floor.port, requests=_WARM, seconds=30)
            rows = [*_cpu(door, floor), *_rates(door, floor)]
        rows += [*_added(door), *refusals(door), *_idle(door), *_memory(door)]
        peers = [name for name in os.environ.get("PEERS", "").split(",") if name]
        return [*rows, *peer_rows(folder, vendor_port, peers)]


def _cpu(door: Served, floor: Served) -> Iterable[Row]:
    """What one call costs, all of the process counted; the floor is our HTTP on both sides with nothing between."""
    plain, least = _cost_us(door, requests=_COUNTED), _cost_us(floor, requests=_COUNTED)
    yield at_most("CPU of a governed call, plain", plain, "us", 200, floor=least)
    streamed, least = (_cost_us(one, requests=_STREAMED, is_stream=True) for one in (door, floor))
    bound = 100 + 20 * _CHUNKS
    yield at_most(f"CPU of a governed call, {_CHUNKS} chunks streamed", streamed, "us", bound, floor=least)


# object: what `put_load` takes.
def _cost_us(door: Served, **words: object) -> float:
    before = cpu_s(door.pid)
    found = put_load(door.port, key=door.key, connections=_CONNECTIONS, seconds=120, **words)
    # What was visible when the answer left is still to be flushed and signed; that is part of the call.
    time.sleep(0.2)
    _must_be_well(found["codes"])
    return (cpu_s(door.pid) - before) / max(1, int(found["requests"])) * 1_000_000


def _rates(door: Served, floor: Served) -> Iterable[Row]:
    most = put_load(floor.port, connections=_CONNECTIONS, seconds=4)["per_s"]
    found = put_load(door.port, key=door.key, connections=_CONNECTIONS, seconds=6)
    _must_be_well(found["codes"])
    yield at_least(f"requests, {_CONNECTIONS} connections", found["per_s"], "requests/s", 4000, floor=most)
    seen = [put_load(door.port, key=door.key, connections=count, seconds=2.5) for count in _SUSTAINED]
    for bound in (5, 10, 50):
        best = max((one["per_s"] for one in seen if one["p99_ms"] < bound), default=0.0)
        yield Row(name=f"requests at p99 < {bound} ms", value=best, unit="requests/s")


def _added(door: Served) -> Iterable[Row]:
    # What the loads before it left to be flushed, signed and copied is not part of a steady 500 a second.
    time.sleep(_SETTLES_S)
    direct = put_load(door.vendor_port, rate=500, connections=64, seconds=6)
    through = put_load(door.port, key=door.key, rate=500, connections=64, seconds=6)
    _must_be_well(through["codes"])
    yield at_most("added at p99, 500 requests/s", through["p99_ms"] - direct["p99_ms"], "ms", 5)
    direct = put_load(door.vendor_port, connections=1, requests=300, is_stream=True, seconds=20)
    through = put_load(door.port, key=door.key, connections=1, requests=300, is_stream=True, seconds=20)
    added = through["first_p50_ms"] - direct["first_p50_ms"]
    yield at_most("added to the first byte of a stream, p50", added, "ms", 1)


def _idle(door: Served) -> Iterable[Row]:
    """Streams that wait for their vendor: what they hold, and whether every frame arrives."""
    before = rss_mib(door.pid)
    peak = before
    pid = os.fork()
    if pid == 0:
        found = put_load(
            door.port, key=door.key, connections=_IDLE, requests=_IDLE, is_stream=True, model=_IDLE_MODEL, seconds=30
        )
        os._exit(0 if found["frames"] == _IDLE * _IDLE_FRAMES else 1)
    until = time.monotonic() + 60
    ended, status = 0, 0
    while not ended and time.monotonic() < until:
        peak = max(peak, rss_mib(door.pid))
        time.sleep(0.1)
        ended, status = os.waitpid(pid, os.WNOHANG)
    yield at_most(f"memory of {_IDLE} idle streams", peak - before, "MiB", 100)
    lost = 0.0 if ended and os.waitstatus_to_exitcode(status) == 0 else 1.0
    yield at_most(f"{_IDLE} idle streams with a lost frame", lost, "runs of 1", 0)


def _memory(door: Served) -> Iterable[Row]:
    before = rss_mib(door.pid)
    found = put_load(door.port, key=door.key, connections=_CONNECTIONS, requests=_CALLS, seconds=600)
    _must_be_well(found["codes"])
    after = rss_mib(door.pid)
    yield at_most(f"resident memory after {found['requests']:,} calls more", after, "MiB", 140)
    yield Row(name="resident memory gained by them", value=after - before, unit="MiB")


def _must_be_well(codes: dict[str, int]) -> None:
    if set(codes) != {"200"}:
        raise RuntimeError(f"Not every call was answered, so nothing was measured: {codes}")
