"""Reads and writes in any order: an answer is its own tenant's, younger than `cache_s`, and not from before a write."""

import asyncio
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core import canonical
from leverframe.domain.ids import CallId, Sha256, TenantId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.policy import SourceRef
from leverframe.domain.tools import EffectClass, McpOrigin, ToolSpec
from leverframe.runtime.door.read_cache import Kept, ReadCache, read_key

READ = ToolSpec(
    name=ToolName("read"),
    version=1,
    origin=McpOrigin(server="shop", name="read"),
    effect=EffectClass.READ,
    description="",
    input_schema={"type": "object"},
    output_schema=None,
    schema_sha256=Sha256("0" * 64),
    source=SourceRef(file="tools/read.yaml", line=1),
    cache_s=10,
)
WRITE = replace(READ, name=ToolName("write"), effect=EffectClass.KEYED)
ELSEWHERE = replace(WRITE, origin=McpOrigin(server="other", name="write"))

tenants = st.sampled_from([TenantId("acme"), TenantId("globex")])
reads = st.tuples(st.just("read"), tenants, st.sampled_from([b"", b"s1"]), st.integers(0, 1))
writes = st.tuples(st.sampled_from(["write", "elsewhere"]), tenants, st.just(b""), st.just(0))
waits = st.tuples(st.just("wait"), tenants, st.just(b""), st.integers(1, 12))


@given(acts=st.lists(reads | writes | waits, max_size=30))
def test_an_answer_is_given_again_only_to_whom_and_for_as_long_as_it_may(
    acts: list[tuple[str, TenantId, bytes, int]],
) -> None:
    async def whole() -> None:
        cache, now, version = ReadCache(), 0, dict.fromkeys((TenantId("acme"), TenantId("globex")), 0)
        for word, tenant, subject, number in acts:
            if word == "wait":
                now += number
            elif word == "read":
                args: JsonObject = {"q": number}
                key = read_key(tenant, subject, READ, args, "pin")
                async with cache.turn(key, now=now, within_s=1) as turn:
                    if turn.found is None:
                        said: JsonObject = {
                            "of": [tenant, subject.hex(), number],
                            "version": version[tenant],
                            "at": now,
                        }
                        turn.made = Kept(data=canonical.encode(said), call_id=CallId("c"), until=now + READ.cache_s)
                    else:
                        answer = turn.found.value
                        assert isinstance(answer, dict)
                        assert answer["of"] == [tenant, subject.hex(), number]
                        assert answer["version"] == version[tenant]
                        assert now < int(str(answer["at"])) + READ.cache_s
            else:
                if word == "write":
                    version[tenant] += 1
                cache.wrote(tenant, WRITE if word == "write" else ELSEWHERE)

    asyncio.run(whole())


@given(
    left=st.tuples(tenants, st.binary(max_size=2), st.text(max_size=2), st.text(max_size=2), st.text(max_size=2)),
    right=st.tuples(tenants, st.binary(max_size=2), st.text(max_size=2), st.text(max_size=2), st.text(max_size=2)),
)
def test_two_keys_are_one_only_where_all_that_they_are_made_of_is(
    left: tuple[TenantId, bytes, str, str, str], right: tuple[TenantId, bytes, str, str, str]
) -> None:
    keys = [
        read_key(tenant, subject, replace(READ, credential=credential), {"q": arg}, pin)
        for tenant, subject, credential, arg, pin in (left, right)
    ]

    assert (keys[0] == keys[1]) == (left == right)
