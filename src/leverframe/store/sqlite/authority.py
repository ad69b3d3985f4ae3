"""SQL of `authority`, `api_keys`, `kill_switches`, `budget_raises` and `endorsements`.

Owner: authority.  Writer: the store's writer.  Trust: tagged; each row carries a MAC under a key that is not in the
database, and `authority` one over all of them with their generation: a row that was added, changed or taken away is
seen, and then nothing of it is believed.  All of it put back as it once was is seen too, as the log names a later
generation; only who also rewrites the log unseen (docs/evidence-trust.md) could do that.  The generation of an
endorsement is not asked for: to put back what stood before it eases nothing.
Rules: docs/adr/0010-sealed-values-and-tagged-rows.md.
"""

import hmac
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, assert_never

import msgspec

from leverframe.domain.authority import ApiKey, Authority, BudgetRaise, Endorsement, KeyScope, KillScope, KillSwitch
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import AuthorityForged
from leverframe.domain.ids import (
    BudgetId,
    EnvironmentName,
    KeyId,
    PrincipalId,
    RunId,
    Sha256,
    StepPath,
    TeamName,
    TenantId,
    WorkflowName,
)
from leverframe.domain.labels import INTEGRITY_WORDS
from leverframe.domain.proposals import AuthorityIs, GuardFailed, PutEndorsement, PutKey, PutKill, PutRaise
from leverframe.domain.time import from_us, to_us
from leverframe.ports.vault import Vault

_STATE = "SELECT generation, holder, tag FROM authority"

_PUT_STATE = """
INSERT INTO authority (one, generation, holder, tag) VALUES (1, :generation, :holder, :tag)
ON CONFLICT (one) DO UPDATE SET generation = excluded.generation, holder = excluded.holder, tag = excluded.tag
"""

_KEYS = """
SELECT key_id, tenant, team, name, secret_sha256, workflows, environments, scopes, owner, created_us, expires_us,
       revoked_us, replaces, tag
  FROM api_keys
 ORDER BY key_id
"""

_PUT_KEY = """
INSERT INTO api_keys (
    key_id, tenant, team, name, secret_sha256, workflows, environments, scopes, owner, created_us, expires_us,
    revoked_us, replaces, tag
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
ON CONFLICT (key_id) DO UPDATE SET
    expires_us = excluded.expires_us, revoked_us = excluded.revoked_us, tag = excluded.tag
"""

_KILLS = """
SELECT scope, name, tenant, holder, set_by, at_us, reason_ref, tag FROM kill_switches ORDER BY scope, name, tenant
"""

_PUT_KILL = """
INSERT INTO kill_switches (scope, name, tenant, holder, set_by, at_us, reason_ref, tag)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (scope, name, tenant) DO UPDATE SET
    holder = excluded.holder, set_by = excluded.set_by, at_us = excluded.at_us, reason_ref = excluded.reason_ref,
    tag = excluded.tag
"""

_CLEAR_KILL = "DELETE FROM kill_switches WHERE scope = :scope AND name = :name AND tenant = :tenant"

_RAISES = """
SELECT budget, tenant, unit, amount, until_us, raised_by, at_us, reason_ref, tag FROM budget_raises ORDER BY raise_id
"""

_PUT_RAISE = """
INSERT INTO budget_raises (budget, tenant, unit, amount, until_us, raised_by, at_us, reason_ref, tag)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
"""

_DROP_RAISES = "DELETE FROM budget_raises WHERE until_us <= :now_us"

_ENDORSEMENTS = """
SELECT run_id, tenant, step, integrity, value_digest, detail_ref, endorsed_by, at_us, tag
  FROM endorsements
 ORDER BY endorsement_id
"""

_PUT_ENDORSEMENT = """
INSERT INTO endorsements (run_id, tenant, step, integrity, value_digest, detail_ref, endorsed_by, at_us, tag)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
"""

_DROP_ENDORSEMENTS = "DELETE FROM endorsements WHERE run_id IN (SELECT run_id FROM runs WHERE state = 'ended')"

_TENANTS = "SELECT tenant FROM trees ORDER BY tenant"

_LAST_LOGGED = """
SELECT leaf FROM leaves INDEXED BY leaves_of_authority
 WHERE tenant = :tenant AND type IN ('key.created', 'key.rotated', 'key.revoked', 'killswitch.set', 'budget.raised')
 ORDER BY leaf_index DESC
 LIMIT 1
"""

# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
_Row = tuple[Any, ...]
_pack = msgspec.msgpack.Encoder().encode
_names = msgspec.json.Decoder(list[str]).decode


AuthorityChange = PutKey | PutKill | PutRaise | PutEndorsement


def generation(tx: sqlite3.Connection) -> int:
    """The number of the newest change; 0 before the first."""
    row = tx.execute(_STATE).fetchone()
    return 0 if row is None else int(row[0])


def still(found: int, guard: AuthorityIs) -> GuardFailed | None:
    """The guard `AuthorityIs`, by the generation that the transaction found."""
    if found == guard.generation:
        return None
    return GuardFailed(guard="AuthorityIs", detail=f"generation {found}, decided under {guard.generation}")


def put(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, change: AuthorityChange) -> None:
    """Write one row, the generation and the MAC over all.

    Raises:
        AuthorityForged: what is there is not what was written, so nothing may be built on it.
        ValueError: the change is of another tenant than its proposal, or malformed.
    """
    before = _believed(tx, vault)
    match change:
        case PutKey():
            _put_key(tx, vault, tenant, change.key)
        case PutKill():
            _put_kill(tx, vault, tenant, change)
        case PutRaise():
            _put_raise(tx, vault, tenant, change.budget_raise)
        case PutEndorsement():
            _put_endorsement(tx, vault, tenant, change.endorsement)
        case _:
            assert_never(change)
    after = before + 1
    tag = vault.tag(tenant, _state_bytes(after, _all_rows(tx)))
    tx.execute(_PUT_STATE, {"generation": after, "holder": tenant, "tag": tag})


def read(tx: sqlite3.Connection, vault: Vault) -> Authority:
    """All of it.  Raises AuthorityForged where a row is not what was written, or one is missing."""
    number = _believed(tx, vault)
    keys = [_key(row) for row in tx.execute(_KEYS)]
    return Authority(
        generation=number,
        keys={key.key_id: key for key in keys},
        kills=tuple([_kill(row) for row in tx.execute(_KILLS)]),
        raises=tuple([_raise(row) for row in tx.execute(_RAISES)]),
        endorsements=tuple([_endorsement(row) for row in tx.execute(_ENDORSEMENTS)]),
    )


def problem(tx: sqlite3.Connection, vault: Vault) -> str:
    """Why nothing of it is believed; empty where it is."""
    try:
        _believed(tx, vault)
    except AuthorityForged as err:
        return err.message
    except msgspec.DecodeError:
        return "The log's entry of the newest change of keys, kill switches and raised budgets cannot be read."
    return ""


def _believed(tx: sqlite3.Connection, vault: Vault) -> int:
    """The generation, once every row and their sum were checked."""
    state, rows = tx.execute(_STATE).fetchone(), _all_rows(tx)
    number = 0 if state is None else int(state[0])
    for holder, domain, row in rows:
        if not _is_genuine(vault, holder, domain + _pack(row[:-1]), row[-1]):
            raise _forged(f"the row {row[0]!r} of {domain.decode().rstrip(chr(0))!r} is not what Leverframe wrote")
    if state is None and rows:
        raise _forged("it has rows and no generation")
    if state is not None and not _is_genuine(vault, TenantId(state[1]), _state_bytes(number, rows), state[2]):
        raise _forged("a row was taken away or put back, or the generation was changed")
    logged = _logged_generation(tx)
    if logged > number:
        raise _forged(f"it stands at generation {number}, and the log has generation {logged}")
    return number


def _all_rows(tx: sqlite3.Connection) -> list[tuple[TenantId, bytes, _Row]]:
    """Every row with the tenant under whose key it is tagged, in one order."""
    rows = [(TenantId(row[1]), b"api key\0", row) for row in tx.execute(_KEYS).fetchall()]
    rows += [(TenantId(row[3]), b"kill switch\0", row) for row in tx.execute(_KILLS).fetchall()]
    rows += [(TenantId(row[1]), b"budget raise\0", row) for row in tx.execute(_RAISES).fetchall()]
    rows += [(TenantId(row[1]), b"endorsement\0", row) for row in tx.execute(_ENDORSEMENTS).fetchall()]
    return rows


def _state_bytes(number: int, rows: Sequence[tuple[TenantId, bytes, _Row]]) -> bytes:
    return b"authority\0" + _pack((number, [row[-1] for _, _, row in rows]))


def _is_genuine(vault: Vault, holder: TenantId, said: bytes, tag: object) -> bool:
    if not isinstance(tag, bytes) or not vault.has_tagged(holder):
        return False
    return hmac.compare_digest(vault.tag(holder, said), tag)


def _logged_generation(tx: sqlite3.Connection) -> int:
    """The newest generation that any tenant's log names; 0 where none does."""
    newest = 0
    for (tenant,) in tx.execute(_TENANTS).fetchall():
        row = tx.execute(_LAST_LOGGED, {"tenant": tenant}).fetchone()
        entry = msgspec.json.decode(row[0]) if row is not None else {}
        detail = entry.get("detail") if isinstance(entry, dict) else None
        said = detail.get("generation") if isinstance(detail, dict) else None
        newest = max(newest, said if isinstance(said, int) else 0)
    return newest


def _put_key(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, key: ApiKey) -> None:
    if key.tenant != tenant:
        raise ValueError(f"The key {key.key_id!r} is of {key.tenant!r}, not of {tenant!r}")
    if not (key.workflows and key.environments and key.scopes):
        raise ValueError(f"The key {key.key_id!r} is for nothing")
    row = (
        key.key_id,
        key.tenant,
        key.team,
        key.name,
        key.secret_sha256,
        _text(key.workflows),
        _text(key.environments),
        _text(key.scopes),
        key.owner,
        to_us(key.created_at),
        None if key.expires_at is None else to_us(key.expires_at),
        None if key.revoked_at is None else to_us(key.revoked_at),
        key.replaces,
    )
    tx.execute(_PUT_KEY, (*row, vault.tag(tenant, b"api key\0" + _pack(row))))


def _put_kill(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, change: PutKill) -> None:
    kill = change.kill
    of_tenant = kill.tenant or ""
    if not change.is_on:
        tx.execute(_CLEAR_KILL, {"scope": kill.scope.value, "name": kill.name, "tenant": of_tenant})
        return
    row = (kill.scope.value, kill.name, of_tenant, tenant, kill.by, to_us(kill.at), kill.reason_ref)
    tx.execute(_PUT_KILL, (*row, vault.tag(tenant, b"kill switch\0" + _pack(row))))


def _put_raise(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, one: BudgetRaise) -> None:
    if one.tenant != tenant:
        raise ValueError(f"The raise of {one.budget!r} is of {one.tenant!r}, not of {tenant!r}")
    # What is over counts for nothing, and its entry stays in the log.
    tx.execute(_DROP_RAISES, {"now_us": to_us(one.at)})
    row = (
        one.budget,
        one.tenant,
        one.unit.value,
        one.amount,
        to_us(one.until),
        one.by,
        to_us(one.at),
        one.reason_ref,
    )
    tx.execute(_PUT_RAISE, (*row, vault.tag(tenant, b"budget raise\0" + _pack(row))))


def _put_endorsement(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, one: Endorsement) -> None:
    if one.tenant != tenant:
        raise ValueError(f"The endorsement in {one.run_id!r} is of {one.tenant!r}, not of {tenant!r}")
    # No call follows in a run that has ended, and its entry stays in the log.
    tx.execute(_DROP_ENDORSEMENTS)
    row = (
        one.run_id,
        one.tenant,
        one.step,
        one.integrity.word,
        one.value_digest,
        one.detail_ref,
        one.by,
        to_us(one.at),
    )
    tx.execute(_PUT_ENDORSEMENT, (*row, vault.tag(tenant, b"endorsement\0" + _pack(row))))


def _text(names: frozenset[Any]) -> str:  # Any: names of several types, all of them texts
    return msgspec.json.encode(sorted(names)).decode()


# Every change reads all keys again, and all but one are as they were.  Never called before a row's tag was checked.
@lru_cache(maxsize=4_096)
def _key(row: _Row) -> ApiKey:
    return ApiKey(
        key_id=KeyId(row[0]),
        tenant=TenantId(row[1]),
        team=TeamName(row[2]),
        name=row[3],
        secret_sha256=Sha256(row[4]),
        workflows=frozenset(WorkflowName(name) for name in _names(row[5])),
        environments=frozenset(EnvironmentName(name) for name in _names(row[6])),
        scopes=frozenset(KeyScope(name) for name in _names(row[7])),
        owner=PrincipalId(row[8]),
        created_at=from_us(row[9]),
        expires_at=None if row[10] is None else from_us(row[10]),
        revoked_at=None if row[11] is None else from_us(row[11]),
        replaces=None if row[12] is None else KeyId(row[12]),
    )


def _kill(row: _Row) -> KillSwitch:
    return KillSwitch(
        scope=KillScope(row[0]),
        name=row[1],
        tenant=TenantId(row[2]) if row[2] else None,
        holder=TenantId(row[3]),
        by=PrincipalId(row[4]),
        at=from_us(row[5]),
        reason_ref=row[6],
    )


def _raise(row: _Row) -> BudgetRaise:
    return BudgetRaise(
        budget=BudgetId(row[0]),
        tenant=TenantId(row[1]),
        unit=BudgetUnit(row[2]),
        amount=row[3],
        until=from_us(row[4]),
        by=PrincipalId(row[5]),
        at=from_us(row[6]),
        reason_ref=row[7],
    )


def _endorsement(row: _Row) -> Endorsement:
    return Endorsement(
        run_id=RunId(row[0]),
        tenant=TenantId(row[1]),
        step=StepPath(row[2]),
        integrity=INTEGRITY_WORDS[row[3]],
        value_digest=row[4],
        detail_ref=row[5],
        by=PrincipalId(row[6]),
        at=from_us(row[7]),
    )


def _forged(why: str) -> AuthorityForged:
    return AuthorityForged(
        "Keys, kill switches, raised budgets or endorsements were changed outside of Leverframe:"
        f" {why}.  No call runs.",
        next_move="Keep the database as it is, and find what else was changed: leverframe evidence verify",
    )
