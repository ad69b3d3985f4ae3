"""Sources of secrets outside of this machine's environment and files: a keyring, Vault, AWS.

    secret://keyring/SERVICE/USER        the keyring of the operating system               leverframe[keyring]
    secret://vault/MOUNT/PATH#FIELD      Vault, KV version 2 (VAULT_ADDR, VAULT_TOKEN)      leverframe[vault]
    secret://aws/NAME#FIELD              AWS Secrets Manager, by boto3's own configuration  leverframe[aws]
    secret://aws-kms/FILE                a file of the project with a KMS ciphertext in base64

Knows: that what opens a source is a secret too, so that it is scrubbed like one.  Never: retries by itself, follows a
redirect with a token, or puts what a source answered into a message.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from leverframe.domain.errors import SecretUnavailable

TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A value, and the credentials that opened its source."""

    value: str
    opened_by: tuple[str, ...] = ()


class SecretSource(Protocol):
    """Contract: `fetch` asks once and raises `SecretUnavailable`, whose message names the reference and no value."""

    def fetch(self, name: str, field: str) -> Fetched:
        """The value of `name`, or of one field of it."""
        ...


class KeyringSource:
    """The keyring of the operating system's user."""

    def fetch(self, name: str, field: str) -> Fetched:
        """Ask it for SERVICE/USER."""
        service, _, user = name.rpartition("/")
        if not service or field:
            raise _unavailable("keyring", name, "it is written secret://keyring/SERVICE/USER")
        try:
            # Imported here: an extra, and its backends take a while to look for.
            import keyring
            from keyring.errors import KeyringError
        except ImportError as err:
            raise _not_installed("keyring") from err
        try:
            value = keyring.get_password(service, user)
        except KeyringError as err:
            raise _unavailable("keyring", name, f"the keyring refused ({type(err).__name__})") from err
        if value is None:
            raise _unavailable("keyring", name, "the keyring has no such entry")
        return Fetched(value=value)


class VaultSource:
    """One Vault server, its KV engines of version 2."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def fetch(self, name: str, field: str) -> Fetched:
        """Read the newest version of MOUNT/PATH; without a field it must have exactly one."""
        mount, _, path = name.partition("/")
        address, token = self._environment.get("VAULT_ADDR", ""), self._environment.get("VAULT_TOKEN", "")
        if not path:
            raise _unavailable("vault", name, "it is written secret://vault/MOUNT/PATH#FIELD")
        if not address or not token:
            raise _unavailable("vault", name, "VAULT_ADDR and VAULT_TOKEN are not both set")
        try:
            # Imported here: an extra.
            import hvac
            import requests
            from hvac.exceptions import VaultError
        except ImportError as err:
            raise _not_installed("vault") from err
        client = hvac.Client(
            url=address,
            token=token,
            namespace=self._environment.get("VAULT_NAMESPACE") or None,
            timeout=TIMEOUT_S,
            # Its token goes to this host alone, and through no proxy that the environment names.
            allow_redirects=False,
            session=_session(requests.Session()),
            verify=self._environment.get("VAULT_CACERT") or True,
        )
        try:
            answer = client.secrets.kv.v2.read_secret_version(
                path=path, mount_point=mount, raise_on_deleted_version=True
            )
            data = answer["data"]["data"]
        except VaultError as err:
            raise _unavailable("vault", name, f"Vault refused ({type(err).__name__})", opened_by=token) from err
        except (requests.RequestException, ValueError, KeyError, TypeError) as err:
            raise _unavailable("vault", name, f"Vault gave no answer ({type(err).__name__})", opened_by=token) from err
        return Fetched(value=_field("vault", name, data, field), opened_by=(token,))


class AwsSource:
    """AWS Secrets Manager, with the region and credentials that boto3 finds by itself."""

    def fetch(self, name: str, field: str) -> Fetched:
        """Read the current version of a secret; a field of it where it is a JSON object."""
        client, opened_by, errors = _aws("secretsmanager", name)
        try:
            answer = client.get_secret_value(SecretId=name)
        except errors as err:
            raise _unavailable("aws", name, f"AWS refused ({_code(err)})") from err
        text = answer.get("SecretString")
        if not isinstance(text, str):
            raise _unavailable("aws", name, "it is binary, and not a text")
        if not field:
            return Fetched(value=text, opened_by=opened_by)
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as err:
            raise _unavailable("aws", name, "it is no JSON, so it has no fields") from err
        return Fetched(value=_field("aws", name, data, field), opened_by=opened_by)


class KmsSource:
    """Files of the project that only AWS KMS can open."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def fetch(self, name: str, field: str) -> Fetched:
        """Decrypt a file that holds a ciphertext in base64."""
        path = (self._root / name).resolve()
        if field or not path.is_relative_to(self._root.resolve()):
            raise _unavailable("aws-kms", name, "it is written secret://aws-kms/FILE, a file of the project")
        try:
            with path.open("rb") as file:
                sealed = base64.b64decode(file.read(_MAX_BYTES), validate=False)
        except (OSError, binascii.Error) as err:
            raise _unavailable("aws-kms", name, "the file cannot be read as base64") from err
        client, opened_by, errors = _aws("kms", name)
        try:
            value = client.decrypt(CiphertextBlob=sealed)["Plaintext"].decode()
        except errors as err:
            raise _unavailable("aws-kms", name, f"AWS refused ({_code(err)})") from err
        except UnicodeDecodeError as err:
            raise _unavailable("aws-kms", name, "what it holds is no text") from err
        return Fetched(value=value, opened_by=opened_by)


# Any: boto3 and its errors have no types.
def _aws(service: str, name: str) -> tuple[Any, tuple[str, ...], tuple[type[Exception], ...]]:
    """A client, the secrets that open it, and what it raises."""
    try:
        # Imported here: an extra, and half a second.
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as err:
        raise _not_installed("aws") from err
    try:
        session = boto3.session.Session()
        found = session.get_credentials()
        frozen = found.get_frozen_credentials() if found is not None else None
        opened_by = (frozen.secret_key, frozen.token) if frozen is not None else ()
        config = Config(
            connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1}, proxies={}
        )
        client = session.client(service, config=config)
    except BotoCoreError as err:
        raise _unavailable("aws", name, f"boto3 has no configuration for it ({type(err).__name__})") from err
    return client, tuple(one for one in opened_by if one), (BotoCoreError, ClientError)


# Any: a session of requests, which hvac wants, and which is typed only where hvac is installed.
def _session(session: Any) -> Any:
    """A session that takes nothing from the environment: no proxy, no .netrc."""
    session.trust_env = False
    return session


def _field(source: str, name: str, data: object, field: str) -> str:
    if not isinstance(data, Mapping):
        raise _unavailable(source, name, "it has no fields")
    if not field and len(data) == 1:
        field = str(next(iter(data)))
    value = data.get(field) if field else None
    if not isinstance(value, str):
        what = f"the field {field!r}" if field else "one field: it has several"
        raise _unavailable(source, name, f"it does not have {what} as a text; write secret://{source}/{name}#FIELD")
    return value


def _code(err: Exception) -> str:
    """`AccessDeniedException`: the code of an AWS error, never its message."""
    answer = getattr(err, "response", None)
    code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None
    return str(code or type(err).__name__)


def _unavailable(source: str, name: str, why: str, *, opened_by: str = "") -> SecretUnavailable:
    reference = f"secret://{source}/{name}"
    # A path with the token in it would be somebody's mistake, and not one to print.
    shown = repr(reference) if not opened_by or opened_by not in reference else f"A reference to {source}"
    return SecretUnavailable(f"{shown} does not resolve: {why}.", next_move="See docs/credentials.md.")


def _not_installed(extra: str) -> SecretUnavailable:
    return SecretUnavailable(
        f"The source {extra!r} needs a package that is not installed.",
        next_move=f"pip install 'leverframe[{extra}]'",
    )
