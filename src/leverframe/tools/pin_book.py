"""The pins in force, as room 5 asks for them: a stat of one file and a look into a dictionary for each call.

Knows: `tools.lock` as it is now (a review takes effect in a running server at once), and what each server last listed.
Never: opens what the lock does not; a lock that cannot be read closes every tool of every server.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leverframe.config.lock_file import LOCK_FILE, load_lock
from leverframe.core.pins import closed, known_closed, reached_by, server_closed
from leverframe.domain.contracts import McpServer
from leverframe.domain.errors import ConfigInvalid
from leverframe.domain.pins import DRIFTED, Closed, Offering, ToolsLock, pin_key
from leverframe.domain.tools import McpOrigin, McpPart
from leverframe.tools.mcp_link import FRESH_S

_Signature = tuple[int, int, int] | None


@dataclass(slots=True)
class _Judged:
    """What was found of one offering under one lock, by what was asked for."""

    offering: Offering
    at: float  # when a call last asked
    found: dict[McpOrigin, Closed | None] = field(default_factory=dict)


class PinBook:
    """The pins of one project folder."""

    def __init__(
        self, root: Path, servers: Mapping[str, McpServer], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = root / LOCK_FILE
        self._root = root
        self._reached = {name: reached_by(server) for name, server in servers.items()}
        self._signature: _Signature = None
        self._lock: ToolsLock | None = None
        self._damage = ""
        self._known: dict[McpOrigin, Closed | None] = {}
        self._judged: dict[str, _Judged] = {}
        self._monotonic = monotonic

    def known(self, origin: McpOrigin) -> Closed | None:
        """Why no call may be sent, as far as is known without asking the server; None where nothing is."""
        self._refresh()
        judged = self._judged.get(origin.server)
        if judged is not None:
            found = self._judge(origin, judged)
            if found is None or self._monotonic() - judged.at <= FRESH_S:
                return found
            # While every call is refused nobody asks the server, which may be again what was reviewed.
        if origin not in self._known:
            self._known[origin] = self._blind(origin)
        return self._known[origin]

    def check(self, origin: McpOrigin, offering: Offering) -> Closed | None:
        """Why a call may not be sent to the server that listed itself so.  The last gate, just before it is sent."""
        self._refresh()
        judged = self._judged.get(origin.server)
        if judged is None or judged.offering is not offering:
            judged = self._judged[origin.server] = _Judged(offering, self._monotonic())
        judged.at = self._monotonic()
        return self._judge(origin, judged)

    def forget(self, server: str) -> None:
        """It started again, or says that its list changed: what it is now is seen before its next call is sent."""
        self._judged.pop(server, None)

    def digest(self, origin: McpOrigin) -> str:
        """What a person reviewed of it; empty where nobody did."""
        self._refresh()
        pin = self._lock.tools.get(pin_key(origin.server, origin.name)) if self._lock is not None else None
        return pin.sha256 if pin is not None else ""

    def _judge(self, origin: McpOrigin, judged: _Judged) -> Closed | None:
        if origin not in judged.found:
            blind = self._blind(origin) if self._lock is None or origin.server not in self._reached else None
            lock, reached = self._lock or ToolsLock(), self._reached.get(origin.server, {})
            if origin.part is McpPart.TOOL:
                judged.found[origin] = blind or closed(lock, origin, reached, judged.offering)
            else:
                judged.found[origin] = blind or server_closed(lock, origin.server, reached, judged.offering)
        return judged.found[origin]

    def _blind(self, origin: McpOrigin) -> Closed | None:
        if self._lock is None:
            return Closed(slug=DRIFTED, message=self._damage)
        if origin.part is not McpPart.TOOL:
            return server_closed(self._lock, origin.server, self._reached.get(origin.server), None)
        return known_closed(self._lock, origin, self._reached.get(origin.server))

    def _refresh(self) -> None:
        try:
            now = self._path.stat()
            signature: _Signature = (now.st_mtime_ns, now.st_size, now.st_ino)
        except OSError:
            signature = None
        if self._lock is not None and signature == self._signature:
            return
        self._signature = signature
        self._known.clear()
        for judged in self._judged.values():
            judged.found.clear()
        try:
            self._lock, self._damage = load_lock(self._root), ""
        except ConfigInvalid as err:
            self._lock, self._damage = None, str(err)
