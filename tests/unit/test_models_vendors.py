"""How a vendor is asked: whose key is sent where."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from leverframe.core.api_keys import spell
from leverframe.domain.contracts import Provider, Wire
from leverframe.domain.errors import SecretUnavailable
from leverframe.domain.policy import SourceRef
from leverframe.identity.secrets import ProjectSecrets
from leverframe.models.vendors import Vendor


@pytest.mark.parametrize("wire", [Wire.OPENAI, Wire.ANTHROPIC])
def test_a_key_of_our_own_is_sent_to_no_vendor_and_to_another_gateway_it_is(wire: Wire) -> None:
    """A shell that has read an agent's variables has it in the place of the vendor's."""
    own = spell(b"i" * 16, b"s" * 32).text
    secrets = ProjectSecrets(Path("nowhere"), {"KEY": own})

    def headers(url: str) -> Mapping[str, str]:
        source = SourceRef(file="leverframe.yaml", line=1)
        provider = Provider(name="vendor", wire=wire, url=url, key="secret://env/KEY", source=source)
        return asyncio.run(Vendor(provider, secrets).headers())

    with pytest.raises(SecretUnavailable, match="opens this gateway and no vendor") as refused:
        headers("")
    assert own not in str(refused.value)
    assert any(own in value for value in headers("https://gate.example.com/v1").values())
