"""What a process knows of keys and switches: as new as asked for, closed when forged, and who a credential is."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leverframe.core.api_keys import KeyText, read_key, spell
from leverframe.domain.authority import ApiKey, Authority, KeyScope, KillScope, KillSwitch
from leverframe.domain.errors import AuthorityForged, AuthRefused
from leverframe.domain.ids import EnvironmentName, KeyId, PrincipalId, TeamName, TenantId, ToolName, WorkflowName
from leverframe.runtime.authority import AuthorityCache, secret_digest
from leverframe.testing import FakeClock

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
TEXT = spell(b"i" * 16, b"s" * 32)
KEY = ApiKey(
    key_id=TEXT.key_id,
    tenant=ACME,
    team=TeamName(""),
    name="bot",
    secret_sha256=secret_digest(TEXT.secret),
    workflows=frozenset({WorkflowName("desk")}),
    environments=frozenset({EnvironmentName("sandbox")}),
    scopes=frozenset({KeyScope.CALL}),
    owner=PrincipalId("os:maria"),
    created_at=NOW,
    expires_at=NOW + timedelta(days=90),
)


@dataclass
class Book:
    """An authority book whose content a test sets."""

    now: Authority = field(default_factory=Authority)
    forged: bool = False
    reads: int = 0
    looks: int = 0

    async def authority(self) -> Authority:
        self.reads += 1
        found = self.now
        await asyncio.sleep(0)
        if self.forged:
            raise AuthorityForged("Rows were changed.", next_move="Look.")
        return found

    async def generation(self) -> int:
        self.looks += 1
        return self.now.generation


def holding(*keys: ApiKey, generation: int = 1) -> Authority:
    return Authority(generation=generation, keys={one.key_id: one for one in keys})


# Any: a coroutine's yield and send types, which nobody looks at.
def run(work: Coroutine[Any, Any, Any]) -> None:
    asyncio.run(work)


def cache_of(book: Book, clock: FakeClock | None = None) -> AuthorityCache:
    cache = AuthorityCache(book, clock or FakeClock(NOW))
    run(cache.reload())
    return cache


def refusal(cache: AuthorityCache, text: str) -> AuthRefused:
    with pytest.raises(AuthRefused) as caught:
        cache.authenticate(text)
    return caught.value


def test_a_key_is_spelled_and_read_back() -> None:
    assert read_key(TEXT.text) == TEXT
    assert len(TEXT.text) == len("lf_") + 22 + 1 + 43
    assert spell(b"\xff" * 16, b"\xff" * 32) == read_key(spell(b"\xff" * 16, b"\xff" * 32).text)
    assert TEXT.secret not in repr(TEXT)


@pytest.mark.parametrize("text", ["", "lf_", TEXT.text + "x", TEXT.text[:-1], TEXT.text.replace("lf_", "sk_"), "ключ"])
def test_another_text_is_no_key(text: str) -> None:
    assert read_key(text) is None
    assert refusal(cache_of(Book(holding(KEY))), text).why == "malformed"


def test_bytes_of_another_length_make_no_key() -> None:
    with pytest.raises(ValueError, match="A key is 16 and 32 bytes"):
        spell(b"short", b"s" * 32)


def test_a_live_key_is_known_by_its_secret() -> None:
    assert cache_of(Book(holding(KEY))).authenticate(TEXT.text) == KEY


def test_every_refusal_reads_alike_and_only_the_log_learns_which() -> None:
    clock = FakeClock(NOW)
    wrong = KeyText(key_id=TEXT.key_id, secret=spell(b"i" * 16, b"t" * 32).secret).text
    revoked = cache_of(Book(holding(replace(KEY, revoked_at=NOW))), clock)
    expired = cache_of(Book(holding(replace(KEY, expires_at=NOW))), clock)
    known = cache_of(Book(holding(KEY)), clock)

    refused = [
        refusal(known, "nothing"),
        refusal(known, spell(b"j" * 16, b"s" * 32).text),
        refusal(known, wrong),
        refusal(expired, TEXT.text),
        refusal(revoked, TEXT.text),
    ]

    assert [one.why for one in refused] == ["malformed", "unknown", "wrong-secret", "expired", "revoked"]
    assert [one.key_id for one in refused] == [None, None, KEY.key_id, KEY.key_id, KEY.key_id]
    assert len({str(one) for one in refused}) == 1
    assert KEY.key_id not in str(refused[4])


def test_a_key_ends_at_its_instant_without_being_read_again() -> None:
    clock = FakeClock(NOW)
    cache = cache_of(Book(holding(KEY)), clock)

    clock.advance(90 * 86_400 - 1)
    assert cache.authenticate(TEXT.text) == KEY
    clock.advance(1)

    assert refusal(cache, TEXT.text).why == "expired"


def test_a_change_is_read_when_the_generation_moved_and_not_before() -> None:
    book = Book(holding(KEY))
    cache = cache_of(book)

    run(cache.refresh())
    assert book.reads == 1
    book.now = holding(replace(KEY, revoked_at=NOW), generation=2)
    run(cache.refresh())

    assert book.reads == 2
    assert cache.guard().generation == 2
    assert refusal(cache, TEXT.text).why == "revoked"


def test_a_key_that_another_process_made_is_known_at_its_first_use_and_strangers_cost_few_looks() -> None:
    book, clock = Book(), FakeClock(NOW)
    cache = cache_of(book, clock)
    clock.advance(1)
    stranger = spell(b"j" * 16, b"s" * 32).text
    for _ in range(100):
        with pytest.raises(AuthRefused):
            run(cache.recognise(stranger))
    book.now = holding(KEY)
    clock.advance(1)

    found: list[ApiKey] = []

    async def use() -> None:
        found.append(await cache.recognise(TEXT.text))

    run(use())

    assert found == [KEY]
    assert book.reads == 2
    assert book.looks == 2


def test_of_many_first_calls_with_a_new_key_none_is_refused() -> None:
    book, clock = Book(), FakeClock(NOW)
    cache = cache_of(book, clock)
    clock.advance(1)
    book.now = holding(KEY)

    async def many() -> list[ApiKey]:
        return await asyncio.gather(*(cache.recognise(TEXT.text) for _ in range(50)))

    async def use() -> None:
        assert await many() == [KEY] * 50

    run(use())

    assert book.looks == 1


def test_who_asks_at_once_shares_one_read() -> None:
    book = Book(holding(KEY))
    cache = AuthorityCache(book, FakeClock(NOW))

    async def many() -> None:
        await asyncio.gather(*(cache.reload() for _ in range(50)))

    run(many())

    assert book.reads == 1
    assert cache.current().generation == 1


def test_forged_rows_close_the_door_until_they_are_mended() -> None:
    book = Book(holding(KEY))
    cache = cache_of(book)
    book.forged = True

    run(cache.reload())
    with pytest.raises(AuthorityForged):
        cache.current()
    with pytest.raises(AuthorityForged):
        cache.authenticate(TEXT.text)
    book.forged = False
    run(cache.reload())

    assert cache.authenticate(TEXT.text) == KEY


def switch(scope: KillScope, name: str = "", tenant: TenantId | None = None) -> KillSwitch:
    return KillSwitch(scope=scope, name=name, tenant=tenant, by=PrincipalId("os:maria"), at=NOW)


@pytest.mark.parametrize(
    ("kill", "stopped"),
    [
        (switch(KillScope.EVERYTHING), True),
        (switch(KillScope.EVERYTHING, tenant=ACME), True),
        (switch(KillScope.EVERYTHING, tenant=GLOBEX), False),
        (switch(KillScope.TENANT, "acme"), True),
        (switch(KillScope.TENANT, "globex"), False),
        (switch(KillScope.WORKFLOW, "desk"), True),
        (switch(KillScope.WORKFLOW, "desk", GLOBEX), False),
        (switch(KillScope.WORKFLOW, "other"), False),
        (switch(KillScope.TOOL, "refund"), True),
        (switch(KillScope.TOOL, "look"), False),
        (switch(KillScope.MODEL, "openai/gpt-5"), True),
        (switch(KillScope.MODEL, "openai"), True),
        (switch(KillScope.MODEL, "openai/gpt"), False),
        (switch(KillScope.MODEL, "open"), False),
        (switch(KillScope.KEY, KEY.key_id), True),
        (switch(KillScope.KEY, "bot"), True),
        (switch(KillScope.KEY, "bo"), False),
    ],
)
def test_a_switch_stops_what_it_names_and_nothing_else(kill: KillSwitch, stopped: bool) -> None:  # noqa: FBT001 - a column of the table
    authority = Authority(kills=(kill,))

    found = authority.killed(
        tenant=ACME, workflow=WorkflowName("desk"), key=KEY, model="openai/gpt-5", tool=ToolName("refund")
    )

    assert (found is kill) is stopped


def test_a_switch_of_a_tool_model_or_key_stops_no_call_without_one() -> None:
    kills = (switch(KillScope.TOOL, ""), switch(KillScope.MODEL, ""), switch(KillScope.KEY, ""))

    assert Authority(kills=kills).killed(tenant=ACME, workflow=WorkflowName("desk")) is None


def test_what_stands_for_an_issuers_token_is_none_of_our_keys_and_not_taken_for_a_revoked_one() -> None:
    cache = cache_of(Book(holding(replace(KEY, revoked_at=NOW))))

    cache.check_live(replace(KEY, key_id=KeyId("oidc_abc")))

    with pytest.raises(AuthRefused):
        cache.check_live(KEY)
