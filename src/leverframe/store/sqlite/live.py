"""`ports.live.LiveBook` over connections that cannot write."""

from collections.abc import Sequence
from datetime import datetime

from leverframe.domain.ids import PrincipalId, RunId
from leverframe.domain.runs import Run, Step
from leverframe.ports.live import KeyUse, LiveBook, OpenCall, RunName
from leverframe.ports.vault import Vault
from leverframe.store.sqlite import reservations, runs, steps
from leverframe.store.sqlite.reads import Readers


class SqliteLiveBook(LiveBook):
    """The live book of `ports.live`."""

    def __init__(self, readers: Readers, vault: Vault) -> None:
        self._readers = readers
        self._vault = vault

    async def live_run(self, name: RunName) -> Run | None:
        """The run of that name that has not ended."""
        with self._readers.snapshot() as tx:
            return runs.live(tx, self._vault, name)

    async def open_calls(self, limit: int) -> Sequence[OpenCall]:
        """Calls with an open reservation, the oldest first."""
        with self._readers.snapshot() as tx:
            return reservations.open_calls(tx, limit)

    async def tool_steps(self, run_id: RunId) -> Sequence[Step]:
        """The steps of a run that are no model calls."""
        with self._readers.snapshot() as tx:
            return steps.but_models(tx, run_id)

    async def used_until(self, run_id: RunId) -> datetime | None:
        """Until when a run was in use."""
        with self._readers.snapshot() as tx:
            return steps.used_until(tx, run_id)

    async def uses_of(self, initiator: PrincipalId, since: datetime) -> Sequence[KeyUse]:
        """Each tool that answered since then in a run that this principal initiated."""
        with self._readers.snapshot() as tx:
            return runs.uses_of(tx, initiator, since)

    async def idle_runs(self, since: datetime, limit: int) -> Sequence[RunId]:
        """Open runs of outside agents' own keys that nobody has used since then."""
        with self._readers.snapshot() as tx:
            return runs.idle(tx, since, limit)
