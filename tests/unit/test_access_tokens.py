"""Access tokens at the door: which are taken, which are not and why, and whose keys decide that."""

import asyncio
import base64
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from leverframe.core.access_tokens import looks_like_token
from leverframe.domain.access import Identified, TokenAccess, TokenClaims
from leverframe.domain.errors import IssuerUnavailable, LeverframeError, TokenRefused
from leverframe.domain.ids import TenantId, WorkflowName
from leverframe.domain.policy import SourceRef
from leverframe.identity.issuer_keys import AGAIN_S, FRESH_S, LONGEST_S, IssuerKeys
from leverframe.identity.tokens import IssuerTokens
from leverframe.net.client import HttpClient
from leverframe.testing.issuer import LoopbackIssuer
from leverframe.wiring.clock import SystemClock
from tests.waiting import until

AUDIENCE = "https://gate.example.com/mcp"
TENANTS = (TenantId("acme"), TenantId("globex"))
DESK = WorkflowName("desk")
HERE = SourceRef(file="leverframe.yaml", line=1)
T = TypeVar("T")


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    with LoopbackIssuer() as found:
        yield found


def access_of(issuer: str, **more: object) -> TokenAccess:
    said = {"scopes": ("call",), "claims": TokenClaims(tenant="org"), "workflows": frozenset({DESK}), **more}
    return TokenAccess(issuer=issuer, audience=AUDIENCE, source=HERE, allows_private_hosts=True, **said)  # type: ignore[arg-type]  # a test's own words


class Seconds:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def with_tokens(
    issuer: LoopbackIssuer, act: Callable[[IssuerTokens], Awaitable[T]], seconds: Seconds | None = None, **more: object
) -> T:
    async def whole() -> T:
        http = HttpClient()
        access = access_of(issuer.url, **more)
        keys = IssuerKeys(issuer.url, http, is_private_allowed=True, monotonic=seconds or Seconds())
        try:
            return await act(IssuerTokens(access, keys, TENANTS, SystemClock()))
        finally:
            await http.close()

    return asyncio.run(whole())


def good(issuer: LoopbackIssuer, claims: Mapping[str, object] | None = None, **more: object) -> str:
    said = {"aud": AUDIENCE, "org": "acme", "scope": "openid call", **(claims or {}), **more}
    return issuer.token(**said)  # type: ignore[arg-type]  # a test's own claims


def refusal(issuer: LoopbackIssuer, text: str) -> str:
    async def act(tokens: IssuerTokens) -> str:
        with pytest.raises(LeverframeError) as caught:
            await tokens.identified(text)
        return f"{caught.value.slug}: {caught.value}"

    return with_tokens(issuer, act)


def test_a_good_token_says_who_comes_for_whom_and_until_when(issuer: LoopbackIssuer) -> None:
    found = with_tokens(issuer, lambda tokens: tokens.identified(good(issuer, sub="lena")))

    assert (found.subject, found.principal, found.tenant) == ("lena", "lena", "acme")
    assert found.workflows == {DESK}
    assert timedelta(seconds=280) < found.expires_at - found.issued_at <= timedelta(seconds=330)


@pytest.mark.parametrize("path", ["", "/realms/acme"])
@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["EC", "RSA", "Ed25519"],
)
def test_each_kind_of_key_is_found_by_discovery(path: str, key: ec.EllipticCurvePrivateKey) -> None:
    with LoopbackIssuer(path) as issuer:
        issuer.rotate("k", key)
        found = with_tokens(issuer, lambda tokens: tokens.identified(good(issuer)))

    assert found.issuer == issuer.url
    assert issuer.asked[-1] == "/keys"


CLAIMS = [
    ("another issuer", {"iss": "https://evil.example"}, "another issuer"),
    ("an issuer with a slash more", {"iss": "/"}, "another issuer"),
    ("no issuer", {"iss": None}, "another issuer"),
    ("a list of issuers", {"iss": ["x"]}, "another issuer"),
    ("another audience", {"aud": "https://other.example/mcp"}, "another audience"),
    ("our host, another resource", {"aud": "https://gate.example.com"}, "another audience"),
    ("an audience that begins like ours", {"aud": f"{AUDIENCE}/more"}, "another audience"),
    ("audiences without ours", {"aud": ["a", "b"]}, "another audience"),
    ("an audience in an object", {"aud": {"0": AUDIENCE}}, "another audience"),
    ("ours among numbers", {"aud": [AUDIENCE, 1]}, "another audience"),
    ("no audience", {"aud": None}, "another audience"),
    ("expired", {"exp": 1}, "expired"),
    ("expired a while ago", {"exp": int(time.time()) - 31}, "expired"),
    ("an end in words", {"exp": "9999999999"}, "a time in it is none"),
    ("an end that is true", {"exp": True}, "a time in it is none"),
    ("an end below zero", {"exp": -1}, "a time in it is none"),
    ("an end beyond all time", {"exp": 10**30}, "a time in it is none"),
    ("an end of null", {"exp": None}, "a time in it is none"),
    ("an end in a list", {"exp": [9999999999]}, "a time in it is none"),
    ("not good yet", {"nbf": int(time.time()) + 3600}, "not good yet"),
    ("made tomorrow", {"iat": int(time.time()) + 86_400}, "not good yet"),
    ("a beginning in words", {"nbf": "now"}, "a time in it is none"),
    ("nobody's", {"sub": ""}, "whose it is"),
    ("of a number", {"sub": 7}, "whose it is"),
    ("of a name with a line break", {"sub": "a\nb"}, "whose it is"),
    ("of a name that is too long", {"sub": "a" * 256}, "whose it is"),
    ("of another tenant", {"org": "initech"}, "no tenant"),
    ("of no tenant", {"org": None}, "no tenant"),
    ("of two tenants", {"org": ["acme", "globex"]}, "no tenant"),
    ("without the scope", {"scope": "openid"}, "insufficient-scope"),
    ("with a scope that begins like it", {"scope": "caller recall call.read"}, "insufficient-scope"),
    ("with no scopes", {"scope": None}, "insufficient-scope"),
]


@pytest.mark.parametrize(("claims", "why"), [one[1:] for one in CLAIMS], ids=[one[0] for one in CLAIMS])
def test_a_well_signed_token_that_says_the_wrong_thing_is_refused(
    issuer: LoopbackIssuer, claims: dict[str, object], why: str
) -> None:
    assert why in refusal(issuer, good(issuer, claims))


@pytest.mark.parametrize("claim", ["exp", "aud", "iss", "sub", "org", "scope"])
def test_a_claim_that_is_missing_is_never_taken_for_granted(issuer: LoopbackIssuer, claim: str) -> None:
    text = issuer.token(drop=(claim,), aud=AUDIENCE, org="acme", scope="call")

    refusal(issuer, text)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["other", AUDIENCE]},
        {"exp": int(time.time()) + 7200.5},
        {"nbf": int(time.time()) - 5},
        {"scope": None, "scp": ["call"]},
    ],
)
def test_what_the_standards_leave_open_is_taken(issuer: LoopbackIssuer, claims: dict[str, object]) -> None:
    assert with_tokens(issuer, lambda tokens: tokens.identified(good(issuer, claims))).tenant == "acme"


def test_clocks_may_differ_by_half_a_minute(issuer: LoopbackIssuer) -> None:
    now = int(time.time())
    early, late = good(issuer, nbf=now + 20, iat=now + 20), good(issuer, exp=now - 5)

    async def act(tokens: IssuerTokens) -> set[str]:
        return {(await tokens.identified(text)).tenant for text in (early, late)}

    assert with_tokens(issuer, act) == {"acme"}


def parts(text: str) -> tuple[dict[str, object], dict[str, object], bytes]:
    header, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in text.split("."))
    return json.loads(header), json.loads(claims), signature


def b64(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def spelled(header: object, claims: object, signature: bytes) -> str:
    return ".".join(b64(part) for part in (json.dumps(header).encode(), json.dumps(claims).encode(), signature))


def forged(issuer: LoopbackIssuer) -> dict[str, str]:
    """Tokens that somebody without the issuer's key would try."""
    header, claims, signature = parts(good(issuer))
    public = issuer.public("first")
    other = ec.generate_private_key(ec.SECP256R1())
    own = jwt.algorithms.ECAlgorithm.to_jwk(other.public_key(), as_dict=True)
    claims_bytes = json.dumps(claims).encode()
    pem = issuer._keys["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jws = jwt.PyJWS()

    def signed(more: dict[str, object]) -> str:
        return jws.encode(claims_bytes, other, "ES256", {"kid": "first", **more})

    # PyJWT itself refuses to make this one: HS256 with the bytes of the public key as the shared secret.
    hmac_input = spelled({**header, "alg": "HS256"}, claims, b"").rpartition(".")[0]
    hmac_signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(hmac_input.encode(), pem)
    return {
        "no signature": spelled({**header, "alg": "none"}, claims, b""),
        "none in capitals": spelled({**header, "alg": "NONE"}, claims, b"x"),
        "none with the old signature": spelled({**header, "alg": "none"}, claims, signature),
        "the public key as a shared secret": f"{hmac_input}.{b64(hmac_signature)}",
        "a shared secret": jws.encode(claims_bytes, b"k" * 64, "HS512", {"kid": "first"}),
        "no algorithm": spelled({"kid": "first"}, claims, signature),
        "an algorithm in a list": spelled({**header, "alg": ["ES256"]}, claims, signature),
        "a key of its own": signed({"jwk": own}),
        "a key at its own address": signed({"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/c"}),
        "another key": signed({}),
        "another key without a name": jws.encode(claims_bytes, other, "ES256", {"kid": ""}),
        "a name that is a path": signed({"kid": "../../dev/null"}),
        "a name that is an object": spelled({**header, "kid": {"a": 1}}, claims, signature),
        "an extension that must be understood": spelled({**header, "crit": ["exp"]}, claims, signature),
        "an unencoded payload": spelled({**header, "b64": False}, claims, signature),
        "another type": spelled({**header, "typ": "logout+jwt"}, claims, signature),
        "changed claims": spelled(header, {**claims, "org": "globex"}, signature),
        "a changed signature": spelled(header, claims, bytes([signature[0] ^ 1, *signature[1:]])),
        "an empty signature": spelled(header, claims, b""),
        "an algorithm of another curve": spelled({**header, "alg": "ES384"}, claims, signature),
        "an algorithm of another kind": spelled({**header, "alg": "RS256"}, claims, signature),
        "encrypted": "eyJhbGciOiJkaXIifQ.a.b.c.d",
        "much too long": good(issuer, pad="a" * 20_000),
        "a header that is a list": spelled([header], claims, signature),
        "a key twice": b64(b'{"alg":"none","alg":"ES256"}') + ".e30.AA",
        "kid of a public key": spelled({**header, "kid": json.dumps(public)}, claims, signature),
    }


def test_no_token_without_the_issuers_signature_is_taken(issuer: LoopbackIssuer) -> None:
    tries = forged(issuer)

    async def act(tokens: IssuerTokens) -> list[str]:
        assert (await tokens.identified(good(issuer))).tenant == "acme"
        taken = []
        for name, text in tries.items():
            try:
                await tokens.identified(text)
            except TokenRefused:
                continue
            taken.append(name)
        return taken

    assert with_tokens(issuer, act) == []


def test_a_short_rsa_key_and_a_key_for_encryption_check_nothing(issuer: LoopbackIssuer) -> None:
    # A key of 1024 bits is too short for cryptography to be trusted with; PyJWT warns where it signs with one.
    issuer.rotate("short", rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505 that is the test
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        text = good(issuer)
    assert "signature" in refusal(issuer, text)

    issuer.rotate("enc")
    issuer.jwks_said = {"keys": [{**issuer.public("enc"), "use": "enc"}, {**issuer.public("enc"), "key_ops": ["sign"]}]}
    assert "signature" in refusal(issuer, good(issuer))


def test_a_rotated_key_is_asked_for_once_and_strangers_keys_cost_no_more(issuer: LoopbackIssuer) -> None:
    seconds = Seconds()

    async def act(tokens: IssuerTokens) -> None:
        await asyncio.gather(*(tokens.identified(good(issuer)) for _ in range(5)))
        assert issuer.asked.count("/keys") == 1
        issuer.rotate("second")
        with pytest.raises(TokenRefused):
            await tokens.identified(good(issuer))
        seconds.now = AGAIN_S
        assert (await tokens.identified(good(issuer))).tenant == "acme"
        assert issuer.asked.count("/keys") == 2
        with LoopbackIssuer() as other:
            for number in range(20):
                other.rotate(f"strange-{number}")
                with pytest.raises(TokenRefused):
                    await tokens.identified(good(other, iss=issuer.url))
        assert issuer.asked.count("/keys") == 2

    with_tokens(issuer, act, seconds)


def test_who_comes_while_a_rotated_key_is_asked_for_waits_for_it(issuer: LoopbackIssuer) -> None:
    seconds = Seconds()

    async def act(tokens: IssuerTokens) -> None:
        await tokens.identified(good(issuer))
        issuer.rotate("second")
        seconds.now = AGAIN_S
        text = good(issuer)
        found = await asyncio.gather(*(tokens.identified(text) for _ in range(5)), _in_a_moment(tokens, text))
        assert {one.tenant for one in found} == {"acme"}
        assert issuer.asked.count("/keys") == 2

    with_tokens(issuer, act, seconds)


async def _in_a_moment(tokens: IssuerTokens, text: str) -> Identified:
    """Once the question is on its way."""
    await asyncio.sleep(0)
    return await tokens.identified(text)


async def until_taken(tokens: IssuerTokens, text: str) -> None:
    """Turn the loop until the answer that is on its way has been read."""
    async with asyncio.timeout(20):
        for _ in itertools.count():
            with suppress(TokenRefused):
                await tokens.identified(text)
                return
            await asyncio.sleep(0)


def test_a_key_that_was_withdrawn_is_no_good_after_the_next_look(issuer: LoopbackIssuer) -> None:
    seconds = Seconds()
    old = good(issuer)

    async def act(tokens: IssuerTokens) -> None:
        await tokens.identified(old)
        issuer.rotate("second")
        seconds.now = FRESH_S + 1
        # Asked beside this request, which the old keys serve.
        await tokens.identified(old)
        # Asked in a thread, so that the loop turns meanwhile and reads the answer.
        await asyncio.to_thread(until, lambda: issuer.asked.count("/keys") == 2, what="the question beside it")
        await until_taken(tokens, good(issuer))
        assert (await tokens.identified(good(issuer))).tenant == "acme"
        with pytest.raises(TokenRefused):
            await tokens.identified(old)

    with_tokens(issuer, act, seconds)


def test_an_issuer_that_is_down_is_forgiven_for_an_hour_and_then_nobody_comes_in(issuer: LoopbackIssuer) -> None:
    seconds = Seconds()

    async def act(tokens: IssuerTokens) -> None:
        await tokens.identified(good(issuer))
        issuer.is_down = True
        seconds.now = LONGEST_S
        await tokens.identified(good(issuer))
        seconds.now = 2 * LONGEST_S
        with pytest.raises(IssuerUnavailable):
            await tokens.identified(good(issuer))

    with_tokens(issuer, act, seconds)


def test_an_issuer_that_cannot_be_asked_is_no_wrong_token(issuer: LoopbackIssuer) -> None:
    issuer.is_down = True
    assert "issuer-unavailable" in refusal(issuer, good(issuer))
    issuer.is_down = False
    issuer.issuer_said = "https://evil.example"
    assert "speaks for the issuer" in refusal(issuer, good(issuer))
    issuer.issuer_said = ""
    said: list[object] = [{"keys": "none"}, {"no": "keys"}, [1], {"keys": [{}] * 101}]
    for odd in said:
        issuer.jwks_said = odd
        assert "issuer-unavailable" in refusal(issuer, good(issuer))


def test_a_principal_a_tenant_and_workflows_stand_where_the_project_says(issuer: LoopbackIssuer) -> None:
    claims = TokenClaims(principal="email", tenant="https://example.com/org", workflows="/realm/roles")
    said: dict[str, object] = {"https://example.com/org": "globex", "realm": {"roles": ["desk", "x"]}}
    text = good(issuer, said, email="lena@example.com")

    both = with_tokens(issuer, lambda tokens: tokens.identified(text), claims=claims)
    any_of = with_tokens(issuer, lambda tokens: tokens.identified(text), claims=claims, workflows=frozenset())

    assert (both.principal, both.subject, both.tenant) == ("lena@example.com", "user-1", "globex")
    assert both.workflows == {"desk"}
    assert any_of.workflows == {"desk", "x"}


def test_our_own_credentials_are_no_tokens_of_an_issuer(issuer: LoopbackIssuer) -> None:
    assert looks_like_token(good(issuer))
    for text in ("lf_" + "a" * 22 + "_" + "b" * 43, "lfr_eyJh.eyJi", "eyJ", "", "a.b.c"):
        assert not looks_like_token(text)
