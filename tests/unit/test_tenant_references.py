"""`{tenant}` in references to secrets: whose each becomes, and where two tenants would have one."""

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.tenant_references import of_tenant, shared
from leverframe.domain.ids import TenantId

NAMES = st.from_regex(r"[A-Ca-c][A-Ca-c_-]{0,3}", fullmatch=True).map(TenantId)
REFERENCES = st.sampled_from(
    ["secret://env/K_{tenant}", "secret://env/K_A_{tenant}", "secret://env/{tenant}", "secret://vault/s/{tenant}/k#t"]
)


def test_a_variable_is_in_capitals_and_any_other_reference_has_the_tenant_as_it_is_written() -> None:
    assert of_tenant("secret://env/K_{tenant}", "acme-eu") == "secret://env/K_ACME_EU"
    assert of_tenant("secret://file/keys/{tenant}", "acme-eu") == "secret://file/keys/acme-eu"


def test_two_references_that_meet_in_one_variable_are_found_too() -> None:
    (found,) = shared(
        ("secret://env/K_{tenant}", "secret://env/K_EU_{tenant}"), (TenantId("eu_acme"), TenantId("acme"))
    )

    assert (found.reference, found.tenant, found.other) == ("secret://env/K_EU_{tenant}", "acme", "eu_acme")


@given(st.lists(REFERENCES, max_size=3), st.lists(NAMES, unique=True, max_size=5))
def test_where_nothing_is_reported_no_two_tenants_have_one_secret(
    references: list[str], tenants: list[TenantId]
) -> None:
    owned = [{of_tenant(one, tenant) for one in references} for tenant in tenants]
    meet = any(owned[first] & owned[second] for first in range(len(owned)) for second in range(first))

    assert bool(shared(references, tenants)) == meet
