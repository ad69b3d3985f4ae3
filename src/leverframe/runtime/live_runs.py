"""Which run an outside agent's call is of, and the runs that this worker has in hand.

A call's run is that of its run token, else the one that `Leverframe-Run` names, else the one that its key has open
(one for each key, workflow and environment over all workers, until nobody has used it for 15 minutes).  A header
selects only among what the key allows, and a run that a key opened has no subject and third-party values alone.
Source: docs/journal.md, "Outside agents".
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from typing import Final

import msgspec

from leverframe.domain.authority import ApiKey, KeyScope, KeyState
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import (
    AuthRefused,
    CallDenied,
    Contended,
    LeverframeError,
    NotFound,
    UsageError,
)
from leverframe.domain.ids import EnvironmentName, KeyId, RunId, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Integrity
from leverframe.domain.runs import Run, RunOutcome, RunState
from leverframe.ports.live import LiveBook, RunName
from leverframe.runtime import run_tokens
from leverframe.runtime.advance import Runner
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.relay_run import RelayRun, claim_of
from leverframe.runtime.key_history import bring_along, inherited
from leverframe.runtime.keys import RefusalLog
from leverframe.runtime.leftovers import finish_outside, is_at_work
from leverframe.runtime.outcomes import Answered
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.run_limits import is_of_a_key
from leverframe.runtime.selections import Selection, credential, selection
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import Opening, open_run, take_up_lightly
from leverframe.runtime.together import Together

IDLE_S: Final = 900.0
_TRIES, _PAUSE_S = 100, 0.02  # while another worker ends one run of a name and opens the next
_OWNER_CHARS: Final = 8
_MOST_IN_HAND: Final = 10_000
_MOST_NAME_CHARS: Final = 100
# What two tokens of one subject allow is not the same.
_Place = tuple[KeyId, frozenset[WorkflowName], Selection]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls: the key, and the run that its token binds it to; None: its own."""

    key: ApiKey
    run_id: RunId | None = None


class LiveRuns:
    """The runs of outside agents in one worker.  Everything in it is known from the store again after a crash."""

    def __init__(self, services: Services, runner: Runner, book: LiveBook) -> None:
        self.services = services
        self.book = book
        self.owner = services.mint.nonce()[:_OWNER_CHARS]
        self._runner = runner
        self._by_name: dict[_Place, RelayRun] = {}
        self._by_id: dict[RunId, RelayRun] = {}
        self._opening = asyncio.Lock()
        self._looking: dict[_Place, Together[RelayRun]] = {}
        # By the caller's key as well: another backend may ask in a run, and what it asks is its own.
        self._outside: dict[RunId, dict[KeyId, OutsideRun]] = {}
        self._refusals = RefusalLog(services)
        self._numbers = count(1)  # of all its calls: what it let go of is taken up again under the same tag

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Hold this worker's claim: what it leaves open is settled by others once the claim is gone.

        Raises:
            Contended: another worker drew the same tag.
        """
        with self.services.claims.claim(claim_of(self.owner)) as is_ours:
            if not is_ours:
                raise Contended("Another worker has this one's tag.", next_move="Start it again.")
            yield

    async def recognise(self, headers: Mapping[str, str]) -> Caller:
        """Who calls, by the headers of a request, names in lower case: an API key, or a run's token.

        A token acts under the policy of its key.  A key that another process made a moment ago is known at once.

        Raises:
            AuthRefused: the credential is missing, or not live.
        """
        services, text = self.services, credential(headers)
        if not text.startswith(run_tokens.PREFIX):
            return Caller(key=await services.authority.recognise(text))
        token = run_tokens.read(text, services.fingerprints, services.project.tenants, services.mint.now())
        if token.key_id not in services.authority.current().keys:
            # Its MAC is right, so there is such a key: no stranger makes us look.
            await services.authority.refresh()
        key = services.authority.current().keys.get(token.key_id)
        state = None if key is None else key.state_at(services.mint.now())
        if key is None or key.tenant != token.tenant or state is not KeyState.LIVE:
            why = "unknown" if state is None else state.value
            raise AuthRefused(why=why, key_id=token.key_id, tenant=token.tenant)
        return Caller(key=key, run_id=token.run_id)

    async def note(self, err: LeverframeError) -> None:
        """Record a refused credential, where it is one of a key that is known; the answer does not wait for the disk.

        A database that cannot take it now is told to whoever has a call to make.
        """
        if isinstance(err, AuthRefused):
            with suppress(LeverframeError):
                await self._refusals.record(err)

    async def run_for(self, caller: Caller, selected: Selection) -> RelayRun:
        """The run of a call, opened where there is none.

        Raises:
            NotFound: the run, workflow or environment is not there, or is not this key's to see.
            UsageError: the key allows several workflows or environments, and the call names none.
            CallDenied: the run of the token has ended.
        """
        key = caller.key
        if KeyScope.CALL not in key.scopes:
            raise CallDenied("This key may open runs and call nothing.", next_move="Call with the run's own token.")
        if caller.run_id is not None:
            return await self._of_token(caller.run_id, key)
        place = (key.key_id, key.workflows, selected)
        found = self._by_name.get(place)
        if found is not None and self._goes_on(found):
            return found
        # Of many calls that find no run at once, one looks for it and the others take what it found, all in one turn.
        looking = self._looking.get(place)
        if looking is None:
            looking = self._looking[place] = Together(self._look_up(place, key))
        return await looking.wait()

    async def outside_for(self, caller: Caller, headers: Mapping[str, str]) -> OutsideRun:
        """The run of a request that calls tools, by its headers.  Raises as `run_for`."""
        selected = selection(headers)
        run = await self.run_for(caller, selected)
        if await self._has_ended(run.ctx.run):
            # By a person, at a limit, or in another worker; a model call learns it when it is committed.
            self._drop(run.ctx.run.run_id)
            run = await self.run_for(caller, selected)
        return await self.outside(run)

    async def outside(self, run: RelayRun) -> OutsideRun:
        """The same run for tool calls, with its steps."""
        run_id, key = run.ctx.run.run_id, run.ctx.key
        key_id = KeyId("") if key is None else key.key_id
        found = self._outside.get(run_id, {}).get(key_id)
        if found is None:
            fresh = await self._runner.reopen_outside(run_id)
            fresh.owner, fresh.numbers = self.owner, self._numbers
            fresh.ctx.key = key
            # Of two that asked at once one is kept: its steps are numbered once.
            found = self._outside.setdefault(run_id, {}).setdefault(key_id, fresh)
        await bring_along(self.services, self.book, found.ctx)
        return found

    async def opened_with_plan(self, ctx: RunContext, tools: JsonObject) -> None:
        """Declare the plan of a run that was opened just now, in the name of its opener.

        Raises:
            CallDenied: the door did not take it; the run is ended again, since nothing could be called in it.
        """
        outcome = await self._runner.outside_of(ctx).declare_plan(tools)
        if isinstance(outcome, Answered):
            return
        await self.end(ctx.run, RunEnd(outcome=RunOutcome.FAILED, output=None, stop_reason="plan-refused"))
        raise CallDenied(f"The plan was not taken: {outcome.message}", next_move="Open another run with another plan.")

    async def end(self, run: Run, end: RunEnd) -> Run:
        """End a run as its agent or its surface says.

        Raises:
            Contended: it has ended before, or a call of it is being done just now.
        """
        with self.services.claims.claim(run.run_id) as is_ours:
            if not is_ours:
                raise Contended(f"Run {run.run_id} is being ended or advanced elsewhere.", next_move="Ask again.")
            contract, today = await self._runner.pinned(run)
            ctx = await take_up_lightly(self.services, contract, run, today=today)
            ended = await finish_outside(ctx, end, book=self.book, owner=self.owner)
        self._drop(run.run_id)
        return ended

    def in_hand(self) -> Iterable[RelayRun]:
        """Every run that was asked for in this worker lately."""
        return tuple(self._by_id.values())

    def forget_idle(self) -> None:
        """Let go of what nobody asked for in a while; the store knows it all."""
        since = self.services.clock.monotonic() - IDLE_S
        for run_id, run in list(self._by_id.items()):
            if run.is_over or run.used_at < since:
                self._drop(run_id)

    def contract_of(self, key: ApiKey, workflow: str, environment: str) -> Contract:
        """The contract that a key's call is under.

        Raises:
            NotFound: there is none of that name that the key may use.
            UsageError: the key allows several, and none is named.
        """
        name = WorkflowName(workflow or _only(key.workflows, "workflow", "Leverframe-Workflow"))
        contracts = self.services.project.environments.get(name, {}) if name in key.workflows else {}
        if not contracts:
            raise NotFound(f"There is no workflow {name!r} for this key.", next_move="See: leverframe keys show KEY")
        default = self.services.project.contracts[name].environments[0]
        allowed = key.environments & contracts.keys()
        if environment:
            where = EnvironmentName(environment)
        else:
            where = (
                default
                if default in allowed
                else EnvironmentName(_only(allowed, "environment", "Leverframe-Environment"))
            )
        if where not in allowed:
            raise NotFound(
                f"There is no environment {where!r} of {name!r} for this key.",
                next_move="See: leverframe keys show KEY",
            )
        return contracts[where]

    async def _of_token(self, run_id: RunId, key: ApiKey) -> RelayRun:
        found = self._by_id.get(run_id) or self._keep(await self._found(run_id, key))
        if found.is_over or found.ctx.run.state is RunState.ENDED:
            raise CallDenied(f"Run {run_id} has ended; nothing more is called in it.", next_move="Open a new run.")
        return found

    async def _found(self, run_id: RunId, key: ApiKey) -> RelayRun:
        run = await self.services.journal.run(run_id)
        if run is None or run.tenant != key.tenant:
            raise NotFound(f"There is no run {run_id!r} for this key.", next_move="Open one: POST /api/v1/runs")
        return await self.taken_up(run, key)

    async def taken_up(self, run: Run, key: ApiKey) -> RelayRun:
        """A run of the store, under the release that it pinned."""
        contract, today = await self._runner.pinned(run)
        return self._in_hand(await take_up_lightly(self.services, contract, run, today=today), key)

    async def _look_up(self, place: _Place, key: ApiKey) -> RelayRun:
        try:
            # Two selections may name one run, which must be in hand once: its calls are numbered there.
            async with self._opening:
                found = self._by_name[place] = await self._named(key, place[-1])
            return found
        finally:
            del self._looking[place]

    async def _named(self, key: ApiKey, selected: Selection) -> RelayRun:
        """The run of the key's own, by the name that the header gave it, or without one."""
        if selected.run.startswith("run_"):
            return await self._own_run(RunId(selected.run), key)
        contract = self.contract_of(key, selected.workflow, selected.environment)
        environment = EnvironmentName(selected.environment) or self._environment(contract, key)
        item = f"key:{key.key_id}" + (f"/{_safe(selected.run)}" if selected.run else "")
        name = RunName(tenant=key.tenant, workflow=contract.workflow, environment=environment, item=item)
        for _ in range(_TRIES):
            run = await self.book.live_run(name)
            # What a key does for a while is no task that must end under the rules that it began with.
            is_old = run is not None and run.release_digest != contract.release_digest
            if run is not None and not is_old and not await self._is_idle(run):
                return self._by_id.get(run.run_id) or self._keep(await self.taken_up(run, key))
            try:
                if run is not None:
                    await self.end(run, _left(is_old=is_old))
                return self._keep(await self._opened(key, contract, name))
            except Contended:
                if run is not None and await is_at_work(self.services.claims, self.book, run.run_id, self.owner):
                    found = self._by_id.get(run.run_id) or self._keep(await self.taken_up(run, key))
                    # A call of it outlives the silence, or the contract, and the run its call; the next one joins it.
                    found.used_at, found.is_left = self.services.clock.monotonic(), is_old
                    return found
                # Another worker is first; what it did is read.
                await asyncio.sleep(_PAUSE_S)
        raise Contended(f"The run of key {key.key_id} is being opened elsewhere.", next_move="Ask again.")

    def _environment(self, contract: Contract, key: ApiKey) -> EnvironmentName:
        known = self.services.project.environments[contract.workflow]
        return next(name for name, one in known.items() if one is contract and name in key.environments)

    async def _own_run(self, run_id: RunId, key: ApiKey) -> RelayRun:
        """A run that this very key opened; any other needs its token."""
        run = await self.services.journal.run(run_id)
        is_theirs = run is not None and run.tenant == key.tenant and run.initiator == key.principal
        if run is None or not is_theirs or run.workflow not in key.workflows:
            raise NotFound(
                f"There is no run {run_id!r} that this key opened.", next_move="Act in another with its run token."
            )
        return await self._of_token(run_id, key)

    async def _opened(self, key: ApiKey, contract: Contract, name: RunName) -> RelayRun:
        opening = Opening(
            tenant=key.tenant,
            environment=name.environment,
            initiator=key.principal,
            launcher=key.owner,
            input={},
            opener_integrity=Integrity.THIRD_PARTY,
            inherits=await inherited(self.services, self.book, key),
            item=name.item,
            is_outside=True,
            is_bare=True,
        )
        ctx = await open_run(self.services, contract, opening)
        ctx.payloads.clear()
        return self._in_hand(ctx, key)

    def _in_hand(self, ctx: RunContext, key: ApiKey) -> RelayRun:
        ctx.key = key
        # Its clock runs while a call is on its way, and each call settles its own time.
        ctx.stand_still()
        return RelayRun(ctx=ctx, owner=self.owner, used_at=self.services.clock.monotonic(), numbers=self._numbers)

    async def _is_idle(self, run: Run) -> bool:
        last = await self.book.used_until(run.run_id) or run.opened_at
        known = self._by_id.get(run.run_id)
        if known is not None and not known.is_over and self._is_used(known):
            return False
        return self.services.mint.now() - last > timedelta(seconds=IDLE_S)

    async def _has_ended(self, run: Run) -> bool:
        """Whether a run that goes by a name has left it; of a run with a token, its next call says so."""
        if not is_of_a_key(run):
            return False
        name = RunName(tenant=run.tenant, workflow=run.workflow, environment=run.environment, item=run.item)
        found = await self.book.live_run(name)
        return found is None or found.run_id != run.run_id

    def _goes_on(self, run: RelayRun) -> bool:
        return not run.is_over and not run.is_left and self._is_used(run)

    def _is_used(self, run: RelayRun) -> bool:
        return self.services.clock.monotonic() - run.used_at <= IDLE_S

    def _keep(self, run: RelayRun) -> RelayRun:
        if len(self._by_id) >= _MOST_IN_HAND:
            self._drop(next(iter(self._by_id)))
        return self._by_id.setdefault(run.ctx.run.run_id, run)

    def _drop(self, run_id: RunId) -> None:
        run = self._by_id.pop(run_id, None)
        self._outside.pop(run_id, None)
        if run is not None:
            run.is_over = True
            for place in [place for place, one in self._by_name.items() if one is run]:
                del self._by_name[place]


def _left(*, is_old: bool) -> RunEnd:
    """How a run ends that its key goes on without."""
    reason = "release-changed" if is_old else "idle"
    return RunEnd(outcome=RunOutcome.SUCCESS, output=None, stop_reason=reason)


def _only(names: Iterable[str], what: str, header: str) -> str:
    found = sorted(names)
    if len(found) != 1:
        raise UsageError(
            f"This key allows {len(found)} {what}s ({', '.join(found) or 'none'}), and the call names none.",
            next_move=f"Name one with the header {header}.",
        )
    return found[0]


def _safe(name: str) -> str:
    """An agent's own name for a run, as a row may hold it."""
    if len(name) > _MOST_NAME_CHARS or not name.isascii() or not all(char.isalnum() or char in "-_.:" for char in name):
        raise UsageError(
            f"Leverframe-Run takes a run id, or a name of at most {_MOST_NAME_CHARS} letters, digits and -_.: .",
            next_move="Give another, or none.",
        )
    return name
