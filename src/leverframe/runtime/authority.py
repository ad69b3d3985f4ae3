"""Keys, kill switches and raised budgets in memory, as new as a quarter of a second, and who a credential is.

Knows: how a change of another process gets here.  Never: writes; and it need not be exact, since what rests on it is
committed with the guard `AuthorityIs`: a call that was decided under an older generation is decided anew.
"""

import asyncio
import hashlib
import hmac
from contextlib import suppress
from typing import Final

from leverframe.core.api_keys import read_key
from leverframe.domain.authority import ApiKey, Authority, KeyState
from leverframe.domain.errors import AuthRefused, IntegrityError, LeverframeError
from leverframe.domain.ids import Sha256
from leverframe.domain.proposals import AuthorityIs
from leverframe.ports.clock import Clock
from leverframe.ports.store import AuthorityBook

REFRESH_S: Final = 0.25
_LOOK_AGAIN_S: Final = 0.02  # for a key that nobody knows yet; strangers' keys cost one look in this time
# A secret of no key, so that an unknown id takes the same comparison as a known one.
_NOBODYS = hashlib.sha256(b"no key has this secret").hexdigest()


class AuthorityCache:
    """What this process knows of the authority.  Owned by the assembly, which loads it and runs `keep_fresh`."""

    def __init__(self, book: AuthorityBook, clock: Clock) -> None:
        self._book = book
        self._clock = clock
        self._known = Authority()
        self._broken: IntegrityError | None = None
        self._reading: asyncio.Task[None] | None = None
        self._looked_at = -_LOOK_AGAIN_S
        self._looking: asyncio.Task[None] | None = None

    def current(self) -> Authority:
        """What is known now.

        Raises:
            AuthorityForged: rows of it were changed outside of Leverframe; no call runs until that is mended.
        """
        if self._broken is not None:
            raise type(self._broken)(self._broken.message, next_move=self._broken.next_move)
        return self._known

    def guard(self) -> AuthorityIs:
        """For a proposal that was decided under `current()`."""
        return AuthorityIs(generation=self._known.generation)

    async def reload(self) -> None:
        """Read all of it now; callers at once share one read that began after the first of them asked.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="leverframe-authority")
        # Shielded: a caller that is cancelled leaves the others their answer.
        await asyncio.shield(self._reading)

    async def refresh(self) -> None:
        """Read it where another process changed it."""
        if await self._book.generation() != self._known.generation:
            await self.reload()

    async def keep_fresh(self) -> None:
        """Refresh for ever.  A database that cannot be read now is told to whoever has a call to make."""
        while True:
            await asyncio.sleep(REFRESH_S)
            with suppress(LeverframeError):
                await self.refresh()

    async def recognise(self, text: str) -> ApiKey:
        """As `authenticate`, and a key that another process made a moment ago is known at once.

        Raises:
            AuthRefused: as `authenticate`.
            AuthorityForged: as `current`.
            StoreUnavailable: the database cannot be read.
        """
        try:
            return self.authenticate(text)
        except AuthRefused as err:
            if err.why != "unknown":
                raise
            now = self._clock.monotonic()
            if now - self._looked_at >= _LOOK_AGAIN_S:
                self._looked_at = now
                self._looking = asyncio.create_task(self.refresh(), name="leverframe-authority-look")
            # Of many calls with a new key one looks, and the others wait for what it finds.
            elif self._looking is None or self._looking.done():
                raise
            looking = self._looking
        # Shielded: see `reload`.
        await asyncio.shield(looking)
        return self.authenticate(text)

    def authenticate(self, text: str) -> ApiKey:
        """The key of this text, live now.

        Raises:
            AuthRefused: it is no key, or one that is unknown, expired or revoked; its message does not say which.
            AuthorityForged: as `current`.
        """
        authority, given = self.current(), read_key(text)
        if given is None:
            raise AuthRefused(why="malformed")
        key = authority.keys.get(given.key_id)
        expected = _NOBODYS if key is None else key.secret_sha256
        is_right = hmac.compare_digest(secret_digest(given.secret), expected)
        if key is None:
            raise AuthRefused(why="unknown")
        state = key.state_at(self._clock.now())
        if not is_right or state is not KeyState.LIVE:
            why = state.value if is_right else "wrong-secret"
            raise AuthRefused(why=why, key_id=key.key_id, tenant=key.tenant)
        return key

    def check_live(self, key: ApiKey) -> None:
        """Look at a key again that was recognised before: it may have been taken back since.

        What stands for the token of an issuer is none of ours, and its token is judged with each request.

        Raises:
            AuthRefused: it was, or has expired.
        """
        known = self.current().keys.get(key.key_id)
        if known is None:
            return  # rows of keys are never taken away
        state = known.state_at(self._clock.now())
        if state is not KeyState.LIVE:
            raise AuthRefused(why=state.value, key_id=key.key_id, tenant=key.tenant)

    async def _read(self) -> None:
        try:
            self._known, self._broken = await self._book.authority(), None
        except IntegrityError as err:
            self._broken = err


def secret_digest(secret: str) -> Sha256:
    """What is kept of a secret.  It has 256 random bits, so no salt and no slow hash would add to it."""
    return Sha256(hashlib.sha256(secret.encode()).hexdigest())
