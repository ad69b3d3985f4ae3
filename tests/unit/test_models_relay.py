"""Relaying to vendors: what is sent, what a call can cost and did, and how every ending is named."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from leverframe.core.wires import UsageReader, read_call
from leverframe.domain.calls import ModelLost
from leverframe.domain.contracts import ModelRef, Provider, Wire
from leverframe.domain.errors import ProviderUnavailable
from leverframe.domain.policy import SourceRef
from leverframe.domain.relays import Admitted, RelayCall, RelayRefusal, Usage, WireFormat
from leverframe.identity.secrets import ProjectSecrets
from leverframe.models.relay import VendorRelay
from leverframe.models.vendors import Vendor
from leverframe.net.pool import StreamClient
from leverframe.ports.acting import RelayStream
from leverframe.testing import FakeClock
from leverframe.testing.loopback import Asked, LoopbackServer, Served

KEY = "sk-test-0123456789"
HERE = SourceRef(file="leverframe.yaml", line=1)
OPENAI, CLAUDE = (
    ModelRef(provider="openai", model="gpt-4o-mini"),
    ModelRef(provider="claude", model="claude-sonnet-4-5"),
)
OWN, AZURE = ModelRef(provider="own", model="llama-9"), ModelRef(provider="azure", model="prod-4o")
T = TypeVar("T")


def relay(url: str = "http://127.0.0.1:9", **keys: str) -> VendorRelay:
    secrets = ProjectSecrets(Path("nowhere"), {"KEY": KEY})
    provided = {
        "openai": Provider(name="openai", wire=Wire.OPENAI, source=HERE, key="secret://env/KEY"),
        "claude": Provider(name="claude", wire=Wire.ANTHROPIC, source=HERE, key="secret://env/KEY"),
        "own": Provider(
            name="own",
            wire=Wire.OPENAI,
            source=HERE,
            url=f"{url}/v1",
            key=keys.get("key", "secret://env/KEY"),
            allows_private_hosts=True,
            priced_as={OWN.model: "free"},
        ),
        "ownclaude": Provider(
            name="ownclaude",
            wire=Wire.ANTHROPIC,
            source=HERE,
            url=f"{url}/v1",
            key="secret://env/KEY",
            allows_private_hosts=True,
        ),
        "azure": Provider(
            name="azure",
            wire=Wire.OPENAI,
            source=HERE,
            url=f"{url}/openai",
            key="secret://env/KEY",
            api_version="2024-10-21",
            allows_private_hosts=True,
        ),
    }
    vendors = {name: Vendor(one, secrets) for name, one in provided.items()}
    return VendorRelay(vendors, http=StreamClient(), secrets=secrets, clock=FakeClock())


def chat(**fields: object) -> RelayCall:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return read_call(WireFormat.CHAT, json.dumps(body).encode(), Admitted(vendor_tools=frozenset({"web_search"})))


def messages(**fields: object) -> RelayCall:
    body = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], **fields}
    return read_call(WireFormat.MESSAGES, json.dumps(body).encode(), Admitted(vendor_tools=frozenset({"web_search"})))


Ending = RelayStream | RelayRefusal | ModelLost


def sent(
    served: Served,
    then: Callable[[Ending], Awaitable[T]],
    *,
    call: RelayCall | None = None,
    model: ModelRef = OWN,
    headers: Mapping[str, str] | None = None,
) -> tuple[T, list[Asked]]:
    asked: list[Asked] = []

    def serve(one: Asked) -> Served:
        asked.append(one)
        return served

    async def act(url: str) -> T:
        made = relay(url)
        try:
            ending = await made.send(call or chat(), model, max_output_tokens=16, deadline_s=5.0, headers=headers or {})
            return await then(ending)
        finally:
            await made.close()

    with LoopbackServer(serve) as server:
        return asyncio.run(act(server.url)), asked


async def itself(ending: Ending) -> Ending:
    return ending


async def whole(ending: Ending) -> tuple[bytes, bool]:
    assert not isinstance(ending, RelayRefusal | ModelLost), ending
    body = b""
    while piece := await ending.read():
        body += piece
    return body, ending.is_stream


def test_a_plain_answer_comes_back_as_its_bytes() -> None:
    (body, is_stream), (asked,) = sent(Served(body=b'{ "choices": [] }'), whole)

    assert (body, is_stream) == (b'{ "choices": [] }', False)
    assert (asked.path, asked.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert json.loads(asked.body)["max_tokens"] == 16


def test_a_stream_is_told_by_its_kind() -> None:
    served = Served(body=b"data: [DONE]\n\n", headers={"Content-Type": "text/event-stream; charset=utf-8"})

    (body, is_stream), (asked,) = sent(served, whole, call=chat(stream=True))

    assert (body, is_stream) == (b"data: [DONE]\n\n", True)
    assert asked.headers["accept"] == "text/event-stream"


def test_anthropic_is_asked_in_its_own_way() -> None:
    _, (asked,) = sent(
        Served(),
        whole,
        call=messages(),
        model=ModelRef(provider="ownclaude", model="c"),
        headers={"anthropic-version": "2023-06-01"},
    )

    assert asked.path == "/v1/messages"
    assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in asked.headers


def test_azure_is_asked_by_deployment_and_version() -> None:
    _, (asked,) = sent(Served(), whole, model=AZURE)

    assert asked.path == "/openai/deployments/prod-4o/chat/completions?api-version=2024-10-21"
    assert asked.headers["api-key"] == KEY
    assert "max_completion_tokens" in json.loads(asked.body)


@pytest.mark.parametrize(
    ("status", "kind", "is_billed"),
    [(400, "refused", False), (429, "429", False), (500, "5xx", False), (502, "5xx", True), (408, "5xx", True)],
)
def test_an_error_of_the_vendor_is_given_on_without_the_key(status: int, kind: str, is_billed: bool) -> None:  # noqa: FBT001 pytest hands parameters over by position
    body = json.dumps({"error": {"message": f"bad {KEY}"}}).encode()

    found, _ = sent(Served(status=status, body=body, headers={"Retry-After": "7"}), itself)

    assert isinstance(found, RelayRefusal)
    assert (found.status, found.kind, found.is_billed, found.retry_after_s) == (status, kind, is_billed, 7.0)
    assert KEY.encode() not in found.body
    assert b"bad [secret]" in found.body


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("0.5", 0.5),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Wed, 31 Dec 2025 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        *((odd, None) for odd in ("soon", "-5", "32 Jan 2026")),
    ],
)
def test_a_wait_is_told_in_seconds_or_by_a_date(told: str, seconds: float | None) -> None:
    found, _ = sent(Served(status=429, body=b"{}", headers={"Retry-After": told}), itself)

    assert isinstance(found, RelayRefusal)
    assert found.retry_after_s == seconds


def test_a_status_that_http_has_not_is_a_failure_that_may_be_billed() -> None:
    found, _ = sent(Served(status=999, body=b'{"error": {"message": "no"}}'), itself)

    assert isinstance(found, RelayRefusal)
    assert (found.status, found.kind, found.is_billed) == (502, "5xx", True)
    assert "answered 999" in found.message


@pytest.mark.parametrize("more", [{"Content-Type": "text/html"}, {"Content-Encoding": "gzip"}])
def test_a_page_instead_of_an_error_becomes_an_error_of_the_format(more: dict[str, str]) -> None:
    found, _ = sent(Served(status=503, body=b"<html>nginx</html>", headers=more), itself)
    assert isinstance(found, RelayRefusal)
    assert (json.loads(found.body)["error"]["type"], found.is_billed) == ("server_error", False)
    assert b"nginx" not in found.body


@pytest.mark.parametrize(
    ("served", "words", "is_billed"),
    [
        (Served(status=401, body=b'{"error":{"message":"sk-te*** is wrong"}}'), "check `key`", False),
        (Served(status=202, body=b"{}"), "which is no answer of a model", True),
        (Served(status=302, headers={"Location": "http://127.0.0.1/"}), "not followed", False),
        (Served(status=200, body=b"<html>", headers={"Content-Type": "text/html"}), "'text/html'", True),
        (Served(status=200, headers={"Content-Encoding": "gzip"}), "encoded as 'gzip'", True),
    ],
)
def test_what_no_client_may_see_is_lost(served: Served, words: str, is_billed: bool) -> None:  # noqa: FBT001 pytest hands parameters over by position
    found, asked = sent(served, itself)

    assert isinstance(found, ModelLost)
    assert words in found.message
    assert found.is_billed is is_billed
    assert len(asked) == 1


def test_nobody_listening_is_not_billed() -> None:
    async def act() -> Ending:
        made = relay()
        return await made.send(chat(), OWN, max_output_tokens=1, deadline_s=5.0, headers={})

    found = asyncio.run(act())

    assert isinstance(found, ModelLost)
    assert (found.kind, found.is_billed) == ("connect", False)


def test_a_key_that_does_not_resolve_sends_nothing() -> None:
    async def act() -> Ending:
        made = relay(key="secret://env/GONE")
        return await made.send(chat(), OWN, max_output_tokens=1, deadline_s=5.0, headers={})

    found = asyncio.run(act())

    assert isinstance(found, ModelLost)
    assert not found.is_billed


def test_a_call_is_bounded_by_its_bytes_choices_and_prices() -> None:
    one, three = (relay().bound(chat(n=n), OPENAI, max_output_tokens=100) for n in (1, 3))

    assert (one.output_tokens, three.output_tokens) == (100, 300)
    # $0.15 and $0.60 for a million tokens.
    assert one.cost == -(-(one.input_tokens * 150_000 + 100 * 600_000) // 10**6)
    assert relay().bound(chat(), OWN, max_output_tokens=100).cost == 0


def test_an_image_is_bounded_by_what_the_model_makes_of_it_and_not_by_its_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 200_000}}
    call = chat(messages=[{"role": "user", "content": [image]}])

    bound = relay().bound(call, ModelRef(provider="openai", model="gpt-4o"), max_output_tokens=1)

    assert 1_445 <= bound.input_tokens < 2_000


def test_cache_writes_enter_the_worst_case_of_those_who_bill_them() -> None:
    cached = messages(system=[{"type": "text", "text": "x" * 1000, "cache_control": {"type": "ephemeral"}}])
    hour = messages(system=[{"type": "text", "text": "x" * 1000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}])
    plain = messages(system=[{"type": "text", "text": "x" * 1000}])

    costs = [relay().bound(one, CLAUDE, max_output_tokens=1).cost for one in (plain, cached, hour)]

    # $3, $3.75 and $6 for a million tokens.
    assert costs[1] * 100 // costs[0] in range(123, 127)
    assert costs[2] * 100 // costs[0] in range(195, 202)


def test_a_vendors_search_is_bounded_by_its_uses_and_what_the_model_takes() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}

    bound = relay().bound(messages(tools=[search]), CLAUDE, max_output_tokens=1)

    assert bound.input_tokens == 3 * 200_000
    assert bound.cost > 2 * 10_000


@pytest.mark.parametrize(
    ("call", "model", "words"),
    [
        (chat(), ModelRef(provider="nope", model="m"), "no provider 'nope'"),
        (chat(), CLAUDE, "does not speak openai-chat"),
        (chat(), ModelRef(provider="openai", model="no-such-model-9"), "unpriced"),
        (chat(modalities=["audio"], audio={"voice": "a"}), OPENAI, "unpriced"),
        (
            chat(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "QQ=="}}]}]),
            OPENAI,
            "unpriced",
        ),
        (messages(tools=[{"type": "web_search_20250305", "name": "web_search"}]), CLAUDE, "max_uses"),
        (chat(), ModelRef(provider="openai", model="text-embedding-3-small"), "unpriced"),
    ],
)
def test_what_has_no_price_or_no_bound_is_refused(call: RelayCall, model: ModelRef, words: str) -> None:
    with pytest.raises(ProviderUnavailable, match=words.replace(".", "[.]")):
        relay().bound(call, model, max_output_tokens=1)


def test_an_embedding_has_a_price_without_output() -> None:
    call = read_call(WireFormat.EMBEDDINGS, b'{"model":"m","input":["' + b"x" * 936 + b'"]}')

    bound = relay().bound(call, ModelRef(provider="openai", model="text-embedding-3-small"), max_output_tokens=0)

    assert (bound.output_tokens, bound.cost > 0) == (0, True)


def test_counting_tokens_costs_nothing() -> None:
    call = read_call(WireFormat.COUNT, b'{"model":"m","messages":[{"role":"user","content":"hi"}]}')

    assert relay().bound(call, CLAUDE, max_output_tokens=5).cost == 0


def test_a_cost_names_the_version_of_its_prices() -> None:
    cost, version = relay().cost(OPENAI, Usage(input_tokens=1_000_000, output_tokens=1_000_000))

    assert cost == 750_000
    assert version.startswith("genai-prices/")
    assert relay().cost(OWN, Usage(input_tokens=9, output_tokens=9)) == (0, "own-host")


def test_the_reader_of_an_answer_is_that_of_its_call() -> None:
    reader = UsageReader.of(chat(stream=True))

    assert reader.feed(b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n') == b""


@pytest.mark.parametrize("model", ["nobody-knows-me", "prod-4o"])
def test_a_model_that_is_not_listed_is_refused_on_a_host_of_ones_own_too(model: str) -> None:
    """A private address may be a proxy before a vendor that bills."""
    with pytest.raises(ProviderUnavailable, match="unpriced") as refused:
        relay().bound(chat(), ModelRef(provider="own", model=model), max_output_tokens=1)

    assert "priced_as" in refused.value.next_move


def test_a_deployment_is_priced_as_the_model_that_the_project_names() -> None:
    secrets = ProjectSecrets(Path("nowhere"), {})
    provider = Provider(
        name="azure",
        wire=Wire.OPENAI,
        source=HERE,
        url="https://acme.openai.azure.com/openai",
        api_version="2024-10-21",
        priced_as={"prod-4o": "gpt-4o", "*": "gpt-4"},
    )
    priced = VendorRelay({"azure": Vendor(provider, secrets)}, http=StreamClient(), secrets=secrets, clock=FakeClock())
    million = Usage(input_tokens=1_000_000, output_tokens=0)

    named, other = (priced.cost(ModelRef(provider="azure", model=name), million)[0] for name in ("prod-4o", "dev"))

    assert (named, other) == (2_500_000, 30_000_000)


def test_what_a_vendor_adds_from_its_memory_is_bounded_by_what_the_model_takes() -> None:
    body = b'{"model":"m","input":"hi","previous_response_id":"resp_1"}'
    call = read_call(WireFormat.RESPONSES, body, Admitted(state=frozenset({"store", "previous_response_id"})))

    assert call.sealed_ids == ("resp_1",)
    assert relay().bound(call, OPENAI, max_output_tokens=1).input_tokens == 128_000


def test_a_thread_that_is_gone_on_with_is_bounded_by_what_the_model_takes_and_a_new_one_by_its_bytes() -> None:
    admitted = Admitted(state=frozenset({"threads"}))
    gone_on = {"type": "continue", "previous_message_id": "msg_1"}
    calls = [
        read_call(WireFormat.MESSAGES, json.dumps({"model": "m", "messages": [], "thread": thread}).encode(), admitted)
        for thread in (gone_on, {"type": "create"})
    ]

    assert [call.sealed_ids for call in calls] == [("msg_1",), ()]
    assert [relay().bound(call, CLAUDE, max_output_tokens=1).input_tokens > 100_000 for call in calls] == [True, False]


def test_what_begins_before_a_dearer_hour_is_bounded_by_its_price() -> None:
    """The list has this model at twice its price from one to four in the morning (UTC)."""
    secrets, clock = ProjectSecrets(Path("nowhere"), {}), FakeClock(datetime(2026, 11, 30, 0, 40, tzinfo=UTC))
    provider = Provider(name="deep", wire=Wire.OPENAI, source=HERE, url="https://api.deepseek.com")
    made = VendorRelay({"deep": Vendor(provider, secrets)}, http=StreamClient(), secrets=secrets, clock=clock)
    model = ModelRef(provider="deep", model="deepseek-v4-pro")

    early = made.bound(chat(), model, max_output_tokens=100)
    clock.advance(19 * 60)
    late = made.bound(chat(), model, max_output_tokens=100)
    clock.advance(2 * 60)

    assert late.cost > early.cost
    took = Usage(input_tokens=late.input_tokens, output_tokens=late.output_tokens)
    assert made.cost(model, took)[0] == late.cost
