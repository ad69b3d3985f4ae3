"""An issuer of access tokens on a loopback port: discovery, keys that rotate, tokens of any kind, and introspection.

Not among the names of `leverframe.testing` itself, since it imports cryptography.
"""

import base64
import json
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from leverframe.testing.loopback import Asked, LoopbackServer, OnLoopback, Served

# Any: plain JSON.
PlainJson = dict[str, Any]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_ALGORITHMS = {"EC": "ES256", "RSA": "RS256", "OKP": "EdDSA"}


class LoopbackIssuer(OnLoopback):
    """Signs what it is asked to sign.

    `is_down` makes it answer 503, `issuer_said` changes what its metadata says it is, `jwks_said` what its keys are.
    `scopes_of` is what introspection (RFC 7662) says of a token by value; one that is not in it is not active.
    """

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.is_down = False
        self.issuer_said = ""
        self.jwks_said: object = None
        self.scopes_of: dict[str, str] = {}
        self.asked: list[str] = []
        self._keys: dict[str, Key] = {}
        self._lock = threading.Lock()
        self._server = LoopbackServer(self._serve)
        self.rotate("first")

    @property
    def url(self) -> str:
        """The issuer's identifier."""
        return f"{self._server.url}{self.path}"

    def rotate(self, key_id: str, key: Key | None = None) -> None:
        """One key, and no other, from now on."""
        self._keys = {key_id: key or ec.generate_private_key(ec.SECP256R1())}

    def add(self, key_id: str, key: Key) -> None:
        """One more key."""
        self._keys[key_id] = key

    # Any: a claim may be anything.
    def token(
        self, key_id: str = "", *, header: Mapping[str, object] | None = None, drop: tuple[str, ...] = (), **claims: Any
    ) -> str:
        """A token that is good for five minutes; `claims` replace its own, `drop` leaves some out."""
        key_id = key_id or next(iter(self._keys))
        key, now = self._keys[key_id], int(time.time())
        said = {"iss": self.url, "sub": "user-1", "iat": now, "exp": now + 300, **claims}
        said = {name: one for name, one in said.items() if name not in drop}
        headers: PlainJson = {"kid": key_id, "typ": "at+jwt", **(header or {})}
        # Any value stays as it is: a wrong type is what some tests are about.
        return jwt.PyJWS().encode(json.dumps(said).encode(), key, _ALGORITHMS[_jwk(key)["kty"]], headers)

    def public(self, key_id: str) -> PlainJson:
        """A key as the list of keys has it."""
        return {**_jwk(self._keys[key_id]), "kid": key_id, "use": "sig"}

    def _serve(self, asked: Asked) -> Served:
        with self._lock:
            self.asked.append(asked.path)
        if self.is_down:
            return Served(status=HTTPStatus.SERVICE_UNAVAILABLE)
        other = f"/.well-known/oauth-authorization-server{self.path}"
        if asked.path in {f"{self.path}/.well-known/openid-configuration", other}:
            return _json(
                {
                    "issuer": self.issuer_said or self.url,
                    "jwks_uri": f"{self._server.url}/keys",
                    "introspection_endpoint": f"{self._server.url}/introspect",
                }
            )
        if asked.path == "/keys":
            return _json(self.jwks_said or {"keys": [self.public(one) for one in self._keys]})
        if asked.path == "/introspect":
            return self._introspected(asked)
        return Served(status=HTTPStatus.NOT_FOUND)

    def _introspected(self, asked: Asked) -> Served:
        given = asked.headers.get("authorization", "")
        if given != f"Basic {base64.b64encode(b'desk:sk-client-0123456789').decode()}":
            return Served(status=HTTPStatus.UNAUTHORIZED)
        token = parse_qs(asked.body.decode()).get("token", [""])[0]
        scope = self.scopes_of.get(token)
        return _json({"active": False} if scope is None else {"active": True, "scope": scope})


def _json(value: object) -> Served:
    return Served(body=json.dumps(value).encode())


def _jwk(key: Key) -> PlainJson:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        found = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        found = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        found = jwt.algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
    return {name: one for name, one in found.items() if name != "key_ops"}
