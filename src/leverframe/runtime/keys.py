"""API keys: made, rotated with an overlap, revoked.

Knows: what each act writes and records.  Never: keeps a secret; it is returned once, to be shown once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from leverframe.core.api_keys import KeyText
from leverframe.core.nearest import nearest
from leverframe.domain.authority import ApiKey, Authority, KeyScope, KeyState
from leverframe.domain.contracts import Person
from leverframe.domain.errors import AlreadyExists, AuthRefused, NotFound, RefusedError
from leverframe.domain.evidence import DetailValue, EntryDraft, EventType
from leverframe.domain.ids import EnvironmentName, KeyId, TeamName, TenantId, WorkflowName
from leverframe.domain.proposals import Proposal, PutKey
from leverframe.domain.time import rfc3339
from leverframe.runtime.amending import Amendment, amend, check_may_amend
from leverframe.runtime.authority import secret_digest
from leverframe.runtime.services import Services

REFUSALS_EVERY_S = 60  # one entry for each key and cause, so that a stranger cannot fill the log


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was made just now; `text` is not kept anywhere."""

    key: ApiKey
    text: KeyText


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a new key is for.  `workflows` and `environments` are those of the project, never empty."""

    tenant: TenantId
    name: str
    team: TeamName
    workflows: frozenset[WorkflowName]
    environments: frozenset[EnvironmentName]
    may_open_runs: bool
    lives_for: timedelta | None


async def create_key(services: Services, person: Person, wanted: Wanted, *, proof: str) -> NewKey:
    """Make a key.

    Raises:
        ApprovalRefused: this person may not.
        AlreadyExists: the tenant has a live key of that name.
    """
    await check_may_amend(services, wanted.tenant, person, "keys-create")
    text, now = services.mint.key_text(), services.mint.now()
    key = ApiKey(
        key_id=text.key_id,
        tenant=wanted.tenant,
        team=wanted.team,
        name=wanted.name,
        secret_sha256=secret_digest(text.secret),
        workflows=wanted.workflows,
        environments=wanted.environments,
        scopes=frozenset({KeyScope.CALL, *((KeyScope.OPEN_RUNS,) if wanted.may_open_runs else ())}),
        owner=person.id,
        created_at=now,
        expires_at=None if wanted.lives_for is None else now + wanted.lives_for,
    )

    def make(authority: Authority) -> Amendment:
        taken = authority.key_named(wanted.tenant, wanted.name, now)
        if taken is not None:
            raise AlreadyExists(
                f"{wanted.tenant!r} has a live key named {wanted.name!r} already: {taken.key_id}.",
                next_move=f"Give this one another name, or replace that one: leverframe keys rotate {wanted.name}",
            )
        return Amendment(changes=(PutKey(key=key),), event=EventType.KEY_CREATED, detail=_detail(key))

    await amend(services, wanted.tenant, person, proof, make)
    return NewKey(key=key, text=text)


async def rotate_key(
    services: Services, person: Person, tenant: TenantId, name: str, *, overlap: timedelta, proof: str
) -> NewKey:
    """Replace a live key by a new one of the same name, rights and length of life; the old one works for `overlap`.

    Raises:
        ApprovalRefused: this person may not.
        NotFound: there is no live key of that id or name.
        RefusedError: it was rotated before, and works for the rest of that overlap only.
    """
    await check_may_amend(services, tenant, person, "keys-rotate")
    text, now = services.mint.key_text(), services.mint.now()
    made: list[ApiKey] = []

    def make(authority: Authority) -> Amendment:
        old = find_key(authority.keys.values(), tenant, name, now)
        _refuse_replaced(authority, old, now)
        lives_for = _life(authority, old)
        new = replace(
            old,
            key_id=text.key_id,
            secret_sha256=secret_digest(text.secret),
            owner=person.id,
            created_at=now,
            expires_at=None if lives_for is None else now + lives_for,
            replaces=old.key_id,
        )
        ends = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
        made[:] = [new]
        return Amendment(
            changes=(PutKey(key=replace(old, expires_at=ends)), PutKey(key=new)),
            event=EventType.KEY_ROTATED,
            detail={**_detail(new), "replaces": old.key_id, "overlap_until": rfc3339(ends)},
        )

    await amend(services, tenant, person, proof, make)
    return NewKey(key=made[0], text=text)


def _refuse_replaced(authority: Authority, old: ApiKey, now: datetime) -> None:
    """One that is in its overlap has a successor, and whoever rotates it once more has two."""
    for by in authority.keys.values():
        if by.replaces == old.key_id and by.state_at(now) is KeyState.LIVE:
            raise RefusedError(
                f"{old.key_id} was rotated already: {by.key_id} is in its place.",
                next_move=f"Rotate that one: leverframe keys rotate {by.key_id}",
            )


def _life(authority: Authority, key: ApiKey) -> timedelta | None:
    """How long a key was made to live; None: for ever.

    A rotation cuts the old one's end down to its overlap, so that the last successor alone still tells, though revoked.
    """
    while by := [one for one in authority.keys.values() if one.replaces == key.key_id]:
        key = max(by, key=lambda one: (one.created_at, one.key_id))
    return None if key.expires_at is None else key.expires_at - key.created_at


async def revoke_keys(
    services: Services, person: Person, tenant: TenantId, name: str, *, proof: str
) -> tuple[ApiKey, ...]:
    """Take back the key of an id, or every live key of a name, now and for ever: the newest comes first.

    While a rotation overlaps two keys have one name, and the one that leaked is as a rule the older.

    Raises:
        ApprovalRefused: this person may not.
        NotFound: there is no live key of that id or name.
    """
    await check_may_amend(services, tenant, person, "keys-revoke")
    done = [await _revoke(services, person, tenant, name, proof)]
    # A rotation at another terminal may add one meanwhile; none is taken back twice.
    while left := _also_live(services, tenant, name, {one.key_id for one in done}):
        done.append(await _revoke(services, person, tenant, left, proof))
    return tuple(done)


def _also_live(services: Services, tenant: TenantId, name: str, done: set[KeyId]) -> KeyId | None:
    now, keys = services.mint.now(), services.authority.current().keys.values()
    named = (one for one in keys if one.tenant == tenant and one.name == name and one.key_id not in done)
    return next((one.key_id for one in named if one.state_at(now) is KeyState.LIVE), None)


async def _revoke(services: Services, person: Person, tenant: TenantId, name: str, proof: str) -> ApiKey:
    made: list[ApiKey] = []

    def make(authority: Authority) -> Amendment:
        now = services.mint.now()
        key = find_key(authority.keys.values(), tenant, name, now)
        made[:] = [replace(key, revoked_at=now)]
        return Amendment(changes=(PutKey(key=made[0]),), event=EventType.KEY_REVOKED, detail=_detail(key))

    await amend(services, tenant, person, proof, make)
    return made[0]


def find_key(keys: Iterable[ApiKey], tenant: TenantId, name: str, now: datetime | None) -> ApiKey:
    """A key by its id, or the newest of its name; with `now` a live one.

    Raises:
        NotFound: there is none.
    """
    of_tenant = [one for one in keys if one.tenant == tenant]
    live = [one for one in of_tenant if now is None or one.state_at(now) is KeyState.LIVE]
    found = [one for one in live if name in {one.key_id, one.name}]
    if not found:
        near = nearest(name, sorted({one.name for one in live}))
        what = "key" if now is None else "live key"
        raise NotFound(
            f"{tenant!r} has no {what} {name!r}.",
            next_move=f"Did you mean {near!r}?" if near else "List them: leverframe keys list",
        )
    return max(found, key=lambda one: (one.created_at, one.key_id))


class RefusalLog:
    """Records refused credentials as evidence, at most one a minute for each known key and cause.

    Of a text that names no key of ours nothing is recorded: nobody knows whose log it would belong in.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._last: dict[tuple[str, str], float] = {}

    async def record(self, refused: AuthRefused) -> bool:
        """Whether an entry was written."""
        if refused.key_id is None or refused.tenant is None:
            return False
        now, place = self._services.clock.monotonic(), (refused.key_id, refused.why)
        if now - self._last.get(place, -REFUSALS_EVERY_S) < REFUSALS_EVERY_S:
            return False
        self._last[place] = now
        entry = EntryDraft(
            entry_id=self._services.mint.entry_id(),
            at=self._services.mint.now(),
            type=EventType.AUTH_REFUSED,
            tenant=refused.tenant,
            detail={"reason": refused.why, "key": refused.key_id},
        )
        await self._services.writer.commit(Proposal(tenant=refused.tenant, entries=(entry,), is_durable=False))
        return True


def _detail(key: ApiKey) -> dict[str, DetailValue]:
    detail: dict[str, DetailValue] = {
        "key": key.key_id,
        "name": key.name,
        "workflows": tuple(sorted(key.workflows)),
        "environments": tuple(sorted(key.environments)),
        "scopes": tuple(sorted(key.scopes)),
    }
    if key.team:
        detail["team"] = key.team
    if key.expires_at is not None:
        detail["expires_at"] = rfc3339(key.expires_at)
    return detail
