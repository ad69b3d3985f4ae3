"""Starting runs and taking them up again: one claim, one loop, until the run ends or must wait."""

from dataclasses import dataclass, replace

from leverframe.core.policy import CompiledPolicy, compile_contract, compile_policy
from leverframe.domain.contracts import Contract, WorkflowKind
from leverframe.domain.errors import Contended, LeverframeError, NondeterministicRun, StoreUnavailable
from leverframe.domain.ids import RunId
from leverframe.domain.runs import Run, RunState
from leverframe.ports.releases import Releases
from leverframe.runtime.context import RunContext
from leverframe.runtime.door import Door
from leverframe.runtime.door.recovering import abandon_own_reads
from leverframe.runtime.loops.agent import run_agent
from leverframe.runtime.loops.chain import run_chain
from leverframe.runtime.loops.ending import Advanced, Busy, Collected, Ended, fail
from leverframe.runtime.outside import OutsideRun, take_up_calls
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import Opening, find_run, open_run, take_up

# A workflow that the project has no more lists nothing, and what nothing lists is denied.
_WITHDRAWN = compile_policy((), (), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Advances runs of kinds whose loop is ours."""

    services: Services
    door: Door
    releases: Releases

    async def start(self, contract: Contract, opening: Opening) -> Advanced:
        """Open a run and advance it until it ends or must wait."""
        ctx = await open_run(self.services, contract, opening)
        with self.services.claims.claim(ctx.run.run_id) as is_ours:
            return await self._advance(ctx) if is_ours else Busy(run=ctx.run)

    async def resume(self, run_id: RunId) -> Advanced:
        """Take up a run that was parked or left behind by a process that is gone.

        Raises:
            NotFound: there is no such run.
        """
        with self.services.claims.claim(run_id) as is_ours:
            run = await find_run(self.services, run_id)
            if not is_ours:
                return Busy(run=run)
            if run.state is RunState.ENDED:
                return Ended(run=run, output=None)
            ctx = await self.context(run)
            return await self._advance(ctx)

    async def open_outside(self, contract: Contract, opening: Opening) -> OutsideRun:
        """Open a run for an outside agent, which then asks the door by itself."""
        ctx = await open_run(self.services, contract, replace(opening, is_outside=True))
        return OutsideRun(self.door, ctx)

    def outside_of(self, ctx: RunContext) -> OutsideRun:
        """An open run of an outside agent."""
        return OutsideRun(self.door, ctx)

    async def reopen_outside(self, run_id: RunId) -> OutsideRun:
        """The same run in another process.

        Raises:
            NotFound: there is no such run.
        """
        return OutsideRun(self.door, await self.context(await find_run(self.services, run_id)))

    async def context(self, run: Run) -> RunContext:
        """The context of a recorded run, under the release it pinned and with today's denials."""
        contract, today = await self.pinned(run)
        ctx = await take_up(self.services, contract, run, today=today)
        await abandon_own_reads(ctx)
        return ctx

    async def pinned_contract(self, run: Run) -> Contract:
        """The contract of the release that a run pinned.

        Raises:
            EvidenceBroken: its files are not kept, or do not give its digest.
        """
        return (await self.pinned(run))[0]

    async def pinned(self, run: Run) -> tuple[Contract, CompiledPolicy | None]:
        """The contract of the run's release; where the project has moved on, today's policy as well."""
        present = self.services.project.environments.get(run.workflow, {}).get(run.environment)
        if present is not None and present.release_digest == run.release_digest:
            return present, None
        kept = await self.services.journal.artifacts(run.release_digest)
        pinned = self.releases.contract(run.workflow, run.environment, run.release_digest, kept)
        if present is None:
            return pinned, _WITHDRAWN
        today = compile_contract(present)
        # A plan is asked for when a run begins; one that began without goes on without.
        return pinned, today if pinned.plan is not None else replace(today, plan=None)

    async def _advance(self, ctx: RunContext) -> Advanced:
        try:
            if ctx.is_outside:
                return Collected(run=ctx.run, calls=await take_up_calls(self.door, ctx))
            match ctx.contract.kind:
                case WorkflowKind.AGENT:
                    return await run_agent(self.door, ctx)
                case WorkflowKind.CHAIN:
                    return await run_chain(self.door, ctx)
        except (StoreUnavailable, Contended):
            # Nothing can be recorded, or someone else records: the run stays as it is and is taken up again.
            raise
        except NondeterministicRun as err:
            return await fail(ctx, err)
        except LeverframeError as err:
            return await fail(ctx, err)
