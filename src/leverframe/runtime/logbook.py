"""The store's writer with a logbook: when this process began to write to each log, that it is alive, when it stopped.

Knows: `log.opened` goes into the transaction of a process's first proposal for a log, so it costs no flush of its own;
a process that only reads leaves nothing.  A silence that nobody explains is then a finding (S11 of the verifier).
Never: changes a proposal in any other way.
"""

import asyncio
from contextlib import suppress
from datetime import datetime

from leverframe import __version__
from leverframe.domain.errors import IntegrityError, LeverframeError, UnavailableError
from leverframe.domain.evidence import DetailValue, EntryDraft, EventType
from leverframe.domain.ids import TenantId
from leverframe.domain.proposals import CommitResult, Committed, Proposal
from leverframe.domain.records import replace
from leverframe.ports.store import Writer
from leverframe.runtime.mint import Mint

HEARTBEAT_S = 60
_MISSED = 2  # of these, and the process has slept: it says so itself, before a verifier asks


class Logbook:
    """`ports.store.Writer` over another one.  Owned by the assembly, which also runs `keep_time`."""

    def __init__(self, writer: Writer, mint: Mint) -> None:
        self._writer = writer
        self._mint = mint
        self.waiting = 0  # proposals that are not committed yet
        self.trouble = ""  # why the last proposal could not be written, as a slug; empty where it could be
        self._tried = TenantId("")  # whose that was
        self._written: dict[TenantId, datetime] = {}  # when this process last wrote to each log

    async def commit(self, proposal: Proposal) -> CommitResult:
        """Carry out a proposal, after `log.opened` where it is this process's first, or its first after a sleep."""
        tenant, now = proposal.tenant, self._mint.now()
        last = self._written.get(tenant)
        silent_s = None if last is None else int((now - last).total_seconds())
        if not proposal.entries or (silent_s is not None and silent_s < _MISSED * HEARTBEAT_S):
            return await self._commit(proposal, now)
        detail: dict[str, DetailValue] = {"heartbeat_s": HEARTBEAT_S, "version": __version__}
        if silent_s is not None:
            detail["silent_s"] = silent_s
        opened = self._entry(tenant, EventType.LOG_OPENED, detail)
        # Noted before it is awaited: of two first proposals at once one opens the log.
        self._written[tenant] = now
        try:
            result = await self._commit(replace(proposal, entries=(opened, *proposal.entries)), now)
        except BaseException:
            self._forget(tenant, last)
            raise
        if not isinstance(result, Committed):
            self._forget(tenant, last)
        return result

    async def keep_time(self) -> None:
        """Write a heartbeat into each log that this process writes to and has not written to for a minute; for ever."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self.beat()

    async def beat(self) -> None:
        """One round of heartbeats."""
        now = self._mint.now()
        quiet = [tenant for tenant, at in self._written.items() if (now - at).total_seconds() >= HEARTBEAT_S]
        # A database that cannot be written now is told to whoever has something to write.
        with suppress(LeverframeError):
            await self._write_each(quiet, EventType.HEARTBEAT)

    async def try_again(self) -> None:
        """Where the last proposal could not be written, see whether a heartbeat can be: `trouble` is then over."""
        if self.trouble:
            with suppress(LeverframeError):
                await self._write_each([self._tried], EventType.HEARTBEAT)

    async def close(self) -> None:
        """Say in each log that this process stopped in good order.  Safe to call twice."""
        opened = list(self._written)
        # A database that can no longer be written leaves a log that was not closed, which is what then is true.
        with suppress(LeverframeError):
            await self._write_each(opened, EventType.LOG_CLOSED)
        self._written.clear()
        await self._writer.close()

    async def _write_each(self, tenants: list[TenantId], event: EventType) -> None:
        # At once, so that the logs of many tenants share a flush.
        entries = [self._entry(tenant, event, {}) for tenant in tenants]
        await asyncio.gather(*(self.commit(Proposal(tenant=one.tenant, entries=(one,))) for one in entries))

    async def _commit(self, proposal: Proposal, now: datetime) -> CommitResult:
        self.waiting += 1
        try:
            result = await self._writer.commit(proposal)
        except (UnavailableError, IntegrityError) as err:
            self.trouble, self._tried = err.slug, proposal.tenant
            raise
        finally:
            self.waiting -= 1
        self.trouble = ""
        if proposal.entries and isinstance(result, Committed):
            self._written[proposal.tenant] = max(now, self._written.get(proposal.tenant, now))
        return result

    def _forget(self, tenant: TenantId, last: datetime | None) -> None:
        """A proposal that was to open a log did not happen; the next one does."""
        if last is None:
            self._written.pop(tenant, None)
        else:
            self._written[tenant] = last

    def _entry(self, tenant: TenantId, event: EventType, detail: dict[str, DetailValue]) -> EntryDraft:
        return EntryDraft(entry_id=self._mint.entry_id(), at=self._mint.now(), type=event, tenant=tenant, detail=detail)
