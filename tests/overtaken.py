"""A writer whose caller is overtaken: others act after it asked for the end of a run, and before that is done."""

from collections.abc import Awaitable, Callable

from leverframe.domain.proposals import CommitResult, Proposal, PutRun
from leverframe.domain.runs import RunState
from leverframe.ports.store import Writer

Meanwhile = Callable[[], Awaitable[object]]


class Overtaken(Writer):
    """`meanwhile`: what happens before the first end that is asked for, before the second, and so on."""

    def __init__(self, inner: Writer, *meanwhile: Meanwhile) -> None:
        self._inner = inner
        self._meanwhile = list(meanwhile)

    async def commit(self, proposal: Proposal) -> CommitResult:
        is_end = any(isinstance(one, PutRun) and one.run.state is RunState.ENDED for one in proposal.changes)
        if is_end and self._meanwhile:
            await self._meanwhile.pop(0)()
        return await self._inner.commit(proposal)

    async def close(self) -> None:
        await self._inner.close()
