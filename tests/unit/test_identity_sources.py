"""Secrets from a keyring, from Vault and from AWS: fetched, kept for a while, and never in a message."""

import asyncio
import base64
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leverframe.domain.errors import SecretUnavailable
from leverframe.identity.secrets import ProjectSecrets
from leverframe.testing.loopback import Asked, LoopbackServer, Served
from tests.waiting import until

VALUE, TOKEN = "sk-live-0123456789", "hvs.0123456789abcdef"


class Vault:
    """The wire of Vault's KV version 2, on loopback: what `hvac` asks for, and nothing else of Vault."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, object]] = {"secret/shop/api": {"key": VALUE, "user": "shop"}}
        self.asked: list[str] = []
        self.status = 200
        self.server = LoopbackServer(self.answer)

    @property
    def url(self) -> str:
        return self.server.url

    def answer(self, asked: Asked) -> Served:
        self.asked.append(asked.path)
        mount, _, path = asked.path.removeprefix("/v1/").partition("/data/")
        data = self.secrets.get(f"{mount}/{path}")
        is_known = asked.headers.get("x-vault-token") == TOKEN
        status = (404 if data is None else self.status) if is_known else 403
        body: object = {"data": {"data": data, "metadata": {"version": 1}}} if status == 200 else {"errors": [TOKEN]}
        headers = {"Location": "/v1/secret/data/elsewhere"} if status == 302 else {}
        return Served(status=status, body=json.dumps(body).encode(), headers=headers)


@pytest.fixture
def vault() -> Iterator[Vault]:
    found = Vault()
    with found.server:
        yield found


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def secrets_of(tmp_path: Path, vault: Vault, clock: Clock | None = None) -> ProjectSecrets:
    environment = {"VAULT_ADDR": vault.url, "VAULT_TOKEN": TOKEN, "http_proxy": "http://127.0.0.1:1"}
    return ProjectSecrets(tmp_path, environment, monotonic=clock or Clock())


def refusal(secrets: ProjectSecrets, reference: str) -> str:
    with pytest.raises(SecretUnavailable) as caught:
        secrets.resolve(reference)
    said = str(caught.value)
    assert VALUE not in said
    assert TOKEN not in said
    return said


def test_a_field_of_vault_resolves_and_it_and_the_token_are_scrubbed_from_then_on(tmp_path: Path, vault: Vault) -> None:
    secrets = secrets_of(tmp_path, vault)

    assert secrets.resolve("secret://vault/secret/shop/api#key") == VALUE
    assert secrets.known_values() == {VALUE, TOKEN}


def test_vault_is_asked_once_then_again_beside_the_calls(tmp_path: Path, vault: Vault) -> None:
    clock = Clock()
    secrets = secrets_of(tmp_path, vault, clock)
    reference = "secret://vault/secret/shop/api#key"
    for _ in range(3):
        secrets.resolve(reference)
    assert len(vault.asked) == 1
    vault.secrets["secret/shop/api"] = {"key": "sk-live-rotated-1"}

    clock.now = 301
    old = secrets.resolve(reference)
    new = until(lambda: secrets.resolve(reference) != VALUE and secrets.resolve(reference), what="the new value")

    assert (old, new) == (VALUE, "sk-live-rotated-1")
    assert len(vault.asked) == 2
    assert {VALUE, "sk-live-rotated-1"} <= secrets.known_values()


def test_a_vault_that_is_down_is_forgiven_for_an_hour_and_no_longer(tmp_path: Path, vault: Vault) -> None:
    clock = Clock()
    secrets = secrets_of(tmp_path, vault, clock)
    reference = "secret://vault/secret/shop/api#key"
    secrets.resolve(reference)
    vault.status = 503

    clock.now = 3_599
    still = secrets.resolve(reference)
    until(lambda: len(vault.asked) > 1 and not secrets._asking, what="the question beside the call")
    clock.now = 3_601

    assert still == VALUE
    assert "gave no answer" in refusal(secrets, reference) or "refused" in refusal(secrets, reference)


def test_a_first_question_to_vault_holds_no_other_call_and_is_asked_once(tmp_path: Path, vault: Vault) -> None:
    secrets, answering = secrets_of(tmp_path, vault), threading.Event()
    answer = vault.answer
    vault.server = LoopbackServer(lambda asked: answer(asked) if answering.wait(20) else Served(status=500))

    async def whole() -> tuple[list[str], int]:
        with vault.server:
            secrets_afar = secrets_of(tmp_path, vault)
            asking = [
                asyncio.create_task(secrets_afar.resolved("secret://vault/secret/shop/api#key")) for _ in range(5)
            ]
            # The loop turns while Vault says nothing: other calls go on.
            for turn in range(100):
                await asyncio.sleep(0)
                assert not any(one.done() for one in asking), turn
            asking[0].cancel()
            answering.set()
            return await asyncio.gather(*asking[1:]), len(vault.asked)

    found, questions = asyncio.run(whole())

    assert found == [VALUE] * 4
    assert questions == 1
    assert not secrets.known_values()


def test_a_refusal_of_vault_reaches_everybody_who_asked_at_once(tmp_path: Path, vault: Vault) -> None:
    vault.secrets = {}
    secrets = secrets_of(tmp_path, vault)

    async def whole() -> list[str | BaseException]:
        asking = (secrets.resolved("secret://vault/secret/shop/api#key") for _ in range(3))
        return await asyncio.gather(*asking, return_exceptions=True)

    assert {type(one) for one in asyncio.run(whole())} == {SecretUnavailable}


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("secret://vault/secret/shop/api", "it has several"),
        ("secret://vault/secret/shop/api#password", "'password'"),
        ("secret://vault/secret/nothing#key", "InvalidPath"),
        ("secret://vault/secret", "MOUNT/PATH"),
    ],
)
def test_what_vault_does_not_have_is_named_without_a_value(
    tmp_path: Path, vault: Vault, reference: str, reason: str
) -> None:
    assert reason in refusal(secrets_of(tmp_path, vault), reference)


def test_a_wrong_token_and_a_redirect_are_refused_and_the_token_goes_nowhere_else(tmp_path: Path, vault: Vault) -> None:
    wrong = ProjectSecrets(tmp_path, {"VAULT_ADDR": vault.url, "VAULT_TOKEN": "hvs.wrong-token"})
    assert "Forbidden" in refusal(wrong, "secret://vault/secret/shop/api#key")

    vault.status = 302
    refusal(secrets_of(tmp_path, vault), "secret://vault/secret/shop/api#key")

    assert "/v1/secret/data/elsewhere" not in vault.asked


def test_vault_without_an_address_says_what_to_set(tmp_path: Path) -> None:
    assert "VAULT_ADDR" in refusal(ProjectSecrets(tmp_path, {}), "secret://vault/secret/shop/api#key")


def test_each_tenant_has_its_own_and_none_is_given_another_tenants(tmp_path: Path, vault: Vault) -> None:
    vault.secrets = {"secret/acme/api": {"key": "sk-acme-0001"}, "secret/globex/api": {"key": "sk-globex-1"}}
    secrets = ProjectSecrets(
        tmp_path, {"VAULT_ADDR": vault.url, "VAULT_TOKEN": TOKEN, "SHOP_KEY_ACME_EU": "sk-acme-0002"}
    )

    found = [secrets.resolve("secret://vault/secret/{tenant}/api#key", tenant=one) for one in ("acme", "globex")]

    assert found == ["sk-acme-0001", "sk-globex-1"]
    assert secrets.resolve("secret://env/SHOP_KEY_{tenant}", tenant="acme-eu") == "sk-acme-0002"
    assert "is of a tenant" in refusal(secrets, "secret://vault/secret/{tenant}/api#key")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Imported here: only these tests need it, and it takes seconds.
    from moto import mock_aws

    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "aws-secret-key-0123"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
    ):
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield


@pytest.mark.usefixtures("aws")
def test_secrets_manager_gives_a_text_and_a_field_of_one(tmp_path: Path) -> None:
    # Imported here: see above.
    import boto3

    client = boto3.client("secretsmanager")
    client.create_secret(Name="shop/api", SecretString=json.dumps({"key": VALUE}))
    client.create_secret(Name="plain", SecretString="sk-plain-01234")
    client.create_secret(Name="binary", SecretBinary=b"1234567")
    secrets = ProjectSecrets(tmp_path, {})

    assert secrets.resolve("secret://aws/shop/api#key") == VALUE
    assert secrets.resolve("secret://aws/plain") == "sk-plain-01234"
    # The key that opened it, which here is moto's.
    assert "FOOBARSECRET" in secrets.known_values()
    assert "ResourceNotFoundException" in refusal(secrets, "secret://aws/nothing")
    assert "binary" in refusal(secrets, "secret://aws/binary")
    assert "no JSON" in refusal(secrets, "secret://aws/plain#key")


@pytest.mark.usefixtures("aws")
def test_kms_opens_a_file_of_the_project_and_no_other(tmp_path: Path) -> None:
    # Imported here: see above.
    import boto3

    client = boto3.client("kms")
    key = client.create_key()["KeyMetadata"]["KeyId"]
    sealed = client.encrypt(KeyId=key, Plaintext=VALUE.encode())["CiphertextBlob"]
    (tmp_path / "shop.key").write_bytes(base64.b64encode(sealed))
    (tmp_path / "broken.key").write_bytes(base64.b64encode(b"not a ciphertext of this key at all, but long"))
    secrets = ProjectSecrets(tmp_path, {})

    assert secrets.resolve("secret://aws-kms/shop.key") == VALUE
    assert "AWS refused" in refusal(secrets, "secret://aws-kms/broken.key")
    assert "FILE" in refusal(secrets, "secret://aws-kms/../outside.key")


def test_a_keyring_entry_resolves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Imported here: an extra, like its users.
    import keyring
    from keyring.backend import KeyringBackend
    from keyring.errors import KeyringLocked

    class Ring(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            if service == "locked":
                raise KeyringLocked(VALUE)
            return VALUE if (service, username) == ("my/shop", "api") else None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise KeyringLocked(f"{service}/{username} takes no password of {len(password)} characters")

        def delete_password(self, service: str, username: str) -> None:
            raise KeyringLocked(f"{service}/{username} stays")

    # The constructor of the library's class is not typed.
    ring = Ring()  # type: ignore[no-untyped-call]
    monkeypatch.setattr("keyring.core._keyring_backend", ring)
    assert keyring.get_keyring().__class__ is Ring
    secrets = ProjectSecrets(tmp_path, {})

    assert secrets.resolve("secret://keyring/my/shop/api") == VALUE
    assert "no such entry" in refusal(secrets, "secret://keyring/my/shop/other")
    assert "KeyringLocked" in refusal(secrets, "secret://keyring/locked/api")


@pytest.mark.parametrize(("source", "module"), [("vault", "hvac"), ("aws", "boto3"), ("keyring", "keyring")])
def test_a_source_whose_package_is_missing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    secrets = ProjectSecrets(tmp_path, {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": TOKEN})

    assert f"leverframe[{source}]" in refusal(secrets, f"secret://{source}/a/b")
