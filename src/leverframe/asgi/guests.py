"""The keys and runs of the gateway as the guests of `/mcp`: one key, one door, whichever protocol it speaks."""

from collections.abc import Mapping

from leverframe.domain.errors import AuthRefused
from leverframe.mcp.guests import Guest
from leverframe.runtime.live_runs import LiveRuns


class RunGuests:
    """Whoever has a live API key or run token; its calls are of the run that the gateway's own calls would be of."""

    def __init__(self, live: LiveRuns) -> None:
        self._live = live

    async def admit(self, headers: Mapping[str, str]) -> Guest:
        """Who asks.  A refusal is recorded as one of every other path is.

        Raises:
            AuthRefused: the credential is missing, or not live.
        """
        try:
            caller = await self._live.recognise(headers)
        except AuthRefused as err:
            await self._live.note(err)
            raise
        # A run's token is no key: a session that one of them began is not continued with the other.
        name = caller.key.key_id if caller.run_id is None else f"{caller.key.key_id}/{caller.run_id}"
        return Guest(name=name, run=lambda: self._live.outside_for(caller, headers))
