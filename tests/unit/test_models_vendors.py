"""How a vendor is asked: whose key is sent where."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.core.api_keys import spell
from leverframe.domain.contracts import Provider, Wire
from leverframe.domain.errors import SecretUnavailable
from leverframe.domain.policy import SourceRef
from leverframe.identity.secrets import ProjectSecrets
from leverframe.models.vendors import Vendor
from leverframe.wiring.acting import vendors_without_key


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


def test_vendors_are_asked_for_their_keys_at_once_before_anything_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source that gives no answer is waited for some seconds."""
    waiting: list[str] = []
    all_ask = asyncio.Event()

    async def resolved(self: ProjectSecrets, reference: str, *, tenant: str = "") -> str:
        del self, tenant
        waiting.append(reference)
        if len(waiting) == len(names):
            all_ask.set()
        await asyncio.wait_for(all_ask.wait(), 10)
        raise SecretUnavailable(reference)

    monkeypatch.setattr(ProjectSecrets, "resolved", resolved)
    names = ("one", "two", "three")
    providers = "".join(f"  {name}: {{wire: openai, key: secret://vault/kv/{name}}}\n" for name in names)
    (tmp_path / "leverframe.yaml").write_text(f"providers:\n{providers}", encoding="utf-8")

    missing = asyncio.run(vendors_without_key(load_project(tmp_path)))

    assert [err.message for err in missing] == [f"secret://vault/kv/{name}" for name in names]
