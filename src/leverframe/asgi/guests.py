"""Who comes in at `/mcp`: the keys and runs of the gateway, and whoever has a token of the project's issuer."""

from collections.abc import Mapping

from leverframe.core.access_tokens import looks_like_token
from leverframe.domain.errors import AuthRefused
from leverframe.mcp.guests import Guest
from leverframe.ports.tokens import Tokens
from leverframe.runtime.live_runs import Caller, LiveRuns
from leverframe.runtime.outcomes import Stopped
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.run_stops import end_stopped_by_tools
from leverframe.runtime.selections import credential
from leverframe.runtime.token_callers import caller_of


class RunGuests:
    """Whoever has a live API key or run token; its calls are of the run that the gateway's own calls would be of.

    `tokens`: whoever has an access token of an issuer comes in too; None: nobody does.
    """

    def __init__(self, live: LiveRuns, tokens: Tokens | None = None) -> None:
        self._live = live
        self._tokens = tokens

    async def admit(self, headers: Mapping[str, str]) -> Guest:
        """Who asks.  A refusal is recorded as one of every other path is.

        Raises:
            AuthRefused: the credential is missing, or not live.
            ScopeMissing: it is an access token without the scopes that are needed.
            IssuerUnavailable: it is one that cannot be checked now.
        """
        try:
            caller = await self._caller(headers)
        except AuthRefused as err:
            await self._live.note(err)
            raise
        # A run's token is no key: a session that one of them began is not continued with the other.
        name = caller.key.key_id if caller.run_id is None else f"{caller.key.key_id}/{caller.run_id}"
        return Guest(name=name, run=lambda: self._live.outside_for(caller, headers), stopped=self._stopped)

    async def _stopped(self, run: OutsideRun, stopped: Stopped) -> None:
        await end_stopped_by_tools(self._live, run.ctx.run, stopped.limit)

    async def _caller(self, headers: Mapping[str, str]) -> Caller:
        if self._tokens is not None:
            text = credential(headers)
            if looks_like_token(text):
                return caller_of(await self._tokens.identified(text), self._live.services.project)
        return await self._live.recognise(headers)
