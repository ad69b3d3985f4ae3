"""Whatever a token says, it is taken whole or refused: no value of any claim makes it something else."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.access_tokens import ALGORITHMS, judged, read_header
from leverframe.domain.access import Identified, TokenAccess, TokenClaims
from leverframe.domain.errors import ScopeMissing, TokenRefused
from leverframe.domain.ids import TenantId, WorkflowName
from leverframe.domain.json import Json
from leverframe.domain.policy import SourceRef
from leverframe.testing import FakeClock

AUDIENCE = "https://gate.example.com/mcp"
TENANTS = (TenantId("acme"), TenantId("globex"))
ACCESS = TokenAccess(
    issuer="https://issuer.example",
    audience=AUDIENCE,
    source=SourceRef(file="leverframe.yaml", line=1),
    scopes=("call",),
    claims=TokenClaims(tenant="org"),
    workflows=frozenset({WorkflowName("desk")}),
)

numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
names = st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "org", "scope", "scp"])
texts = st.text(max_size=20) | st.sampled_from(["acme", "globex", AUDIENCE, "call", "https://issuer.example"])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(claims=st.dictionaries(names, values))
def test_whatever_stands_in_the_claims_is_taken_whole_or_refused(claims: dict[str, Json]) -> None:
    now = FakeClock().now()
    right: dict[str, Json] = {"iss": ACCESS.issuer, "aud": AUDIENCE, "sub": "user-1", "org": "acme", "scope": "call"}
    said = {**right, "exp": int(now.timestamp()) + 60, **claims}
    found: Identified | None = None

    with suppress(TokenRefused, ScopeMissing):
        found = judged(said, ACCESS, TENANTS, now)

    if found is not None:
        audiences = said["aud"]
        assert said["iss"] == ACCESS.issuer
        assert AUDIENCE in (audiences if isinstance(audiences, list) else [audiences])
        assert found.tenant in TENANTS
        assert found.tenant == said["org"]
        assert found.subject == said["sub"]
        assert found.expires_at > now


@given(text=st.text(max_size=60) | st.from_regex(r"eyJ[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{1,9}"))
def test_whatever_stands_for_a_token_has_a_known_algorithm_or_is_refused(text: str) -> None:
    with suppress(TokenRefused):
        assert read_header(text).algorithm in ALGORITHMS
