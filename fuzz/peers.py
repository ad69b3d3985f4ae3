"""Parsers of what peers send and people keep: signer, gateway, MCP, keys, locks and lists."""

import hashlib
import json
import re
import tempfile
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fuzz.parser import Parser
from leverframe.config.lock_file import parse_lock
from leverframe.core import canonical
from leverframe.core.access_tokens import judged, read_header
from leverframe.core.api_keys import ID_BYTES, SECRET_BYTES, read_key, spell
from leverframe.core.disclosures import Placeholders, redact_json
from leverframe.core.redaction import learn, redaction_of
from leverframe.core.wires.calls import read_call
from leverframe.core.wires.usage import UsageReader
from leverframe.domain.access import TokenAccess
from leverframe.domain.errors import JsonInvalid, ScopeMissing, TokenRefused
from leverframe.domain.ids import KeyId, RunId, TenantId
from leverframe.domain.policy import SourceRef
from leverframe.domain.relays import WireFormat
from leverframe.runtime import run_tokens
from leverframe.runtime.backfill import read_items
from leverframe.runtime.bundle_records import records_in
from leverframe.signing.signer_wire import AskLog, body_bytes, decode_answer, decode_request, frame
from leverframe.tools.mcp_peer import incoming
from leverframe.tools.npm_packages import NpxCommand
from leverframe.tools.npm_packages import _program as program_of
from tests.evidence_log import honest

_TENANT = TenantId("acme")
_NOW = datetime(2026, 3, 1, tzinfo=UTC)
_ACCESS = TokenAccess(
    issuer="https://issuer.example",
    audience="https://gate.example/mcp",
    source=SourceRef(file="leverframe.yaml", line=1),
)
_CLAIMS = {"iss": _ACCESS.issuer, "aud": _ACCESS.audience, "sub": "lena", "exp": 4_000_000_000, "scope": "a b"}
_ACCESS_TOKEN = b".".join(
    urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "ES256", "kid": "1"}, _CLAIMS, "s")
)
_CALL = json.dumps(
    {
        "model": "gpt-x",
        "stream": True,
        "max_tokens": 20,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    }
).encode()
_STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\ndata: [DONE]\n\n'
)
_LOCK = b'{"lock": 1, "servers": {}, "tools": {}, "effects": {}, "lost": {}}'
_TEXTS = (
    b'Write to ada@example.com: {"email": "ada@example.com", "n": [1, {"email": null}]} or \'email\': "x"',
    '{\\"email\\": \\"ada@example.com\\"} ada%40example.com \u0391da@Example.com'.encode(),
)


class _Prints:
    """Keyed hashes under a key of this test."""

    def fingerprint(self, tenant: TenantId, domain: str, data: bytes) -> bytes:
        """32 bytes."""
        return hashlib.sha256(f"{tenant} {domain} ".encode() + data).digest()


def _signer(data: bytes) -> object:
    """A frame of the signer's socket, as either side reads it; what is no message is ValueError or DecodeError."""
    found: list[object] = []
    for decode in (decode_request, decode_answer):
        try:
            size = body_bytes(data[:4])
            found.append(decode(data[4 : 4 + size]))
        except (msgspec.DecodeError, ValueError, RecursionError):
            # What both sides answer with a closed connection (leverframe.signing.signer_process, .remote).
            continue
    return found


def _signer_frames() -> Sequence[bytes]:
    return [frame(AskLog(log="leverframe/acme", create=True)), frame(AskLog(log="leverframe/acme", create=False))]


def _lock(data: bytes) -> object:
    try:
        return parse_lock(data)
    except (JsonInvalid, ValueError, KeyError, TypeError, AttributeError):
        return None  # declared by parse_lock; read_lock makes a finding of each


def _redacted(data: bytes) -> object:
    """A text in which something is redacted: nothing of it is left, and what is left is redacted already."""
    text = data.decode(errors="replace")
    redaction = learn(redaction_of(["email"], {"ada@example.com": "email"}), text)
    shown = redact_json(text, redaction, Placeholders())
    if re.search(r"(?<!\w)ada@example\.com(?!\w)", str(shown)):
        raise AssertionError(f"a known value is left in {shown!r}")
    return shown


def _relayed(data: bytes) -> object:
    return read_call(WireFormat.CHAT, data)


def _vendor(data: bytes) -> object:
    """A vendor's answer, whole and a byte at a time: both tell the same usage."""
    told = []
    for step in (max(1, len(data)), 1):
        reader = UsageReader(WireFormat.CHAT, is_stream=True, strips_usage=False)
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
        reader.end()
        told.append((reader.usage, reader.is_complete))
    if told[0] != told[1]:
        raise AssertionError(f"an answer in pieces is another one: {told!r}")
    return told


def _token() -> Sequence[bytes]:
    token = run_tokens.RunToken(run_id=RunId("run_1"), tenant=_TENANT, key_id=KeyId("key_1"), expires_at=_NOW)
    return [run_tokens.spell(token, _Prints()).encode()]


def _access_token(data: bytes) -> object:
    """The header, and the claims as if their signature were right."""
    try:
        text = data.decode(errors="surrogateescape")
        header = read_header(text)
        return header, judged(canonical.decode(b64decode(text.split(".")[1] + "==", b"-_")), _ACCESS, (_TENANT,), _NOW)
    except (TokenRefused, ScopeMissing, ValueError):
        return None  # each is a refusal; ValueError: base64 that PyJWT refuses before


def _records(data: bytes) -> object:
    return list(records_in({**honest().bundle(), "disclosures.jsonl": data}, lambda _name: None))


def _message(data: bytes) -> object:
    try:
        return incoming(canonical.decode(data))
    except ValueError:
        return None  # declared by incoming; a peer that says it is told, or let go of


def _package(data: bytes) -> object:
    with tempfile.TemporaryDirectory(prefix="leverframe-fuzz-") as folder:
        home = Path(folder) / "node_modules" / "shop"
        home.mkdir(parents=True)
        (home / "package.json").write_bytes(data)
        (home / "main.js").touch()
        return program_of(NpxCommand(package="shop", words=()), Path(folder))


PARSERS = (
    Parser(
        name="npm package",
        given=lambda: [b'{"bin": "main.js", "version": "1.0.0"}', b'{"bin": {"shop": "main.js"}, "name": "shop"}'],
        parse=_package,
    ),
    Parser(name="signer frame", given=_signer_frames, parse=_signer),
    Parser(name="lock", given=lambda: [_LOCK], parse=_lock),
    Parser(name="redacted text", given=lambda: _TEXTS, parse=_redacted),
    Parser(name="relayed call", given=lambda: [_CALL], parse=_relayed),
    Parser(name="vendor stream", given=lambda: [_STREAM], parse=_vendor),
    Parser(
        name="api key",
        given=lambda: [spell(bytes(ID_BYTES), bytes(SECRET_BYTES)).text.encode()],
        parse=lambda data: read_key(data.decode(errors="surrogateescape")),
    ),
    Parser(
        name="run token",
        given=_token,
        parse=lambda data: run_tokens.read(data.decode(errors="replace"), _Prints(), (_TENANT,), _NOW),
    ),
    Parser(name="access token", given=lambda: [_ACCESS_TOKEN], parse=_access_token),
    Parser(
        name="input lines",
        given=lambda: [b'\xef\xbb\xbf{"order_id": "W1"}\n\n[1]\n{"a": 1.50}'],
        parse=lambda data: list(read_items(data.split(b"\n"), "a.jsonl", lambda line: hashlib.sha256(line).digest())),
    ),
    Parser(name="values to decide again", given=lambda: [honest().bundle()["disclosures.jsonl"]], parse=_records),
    Parser(
        name="mcp message",
        given=lambda: [b'{"jsonrpc":"2.0","id":1,"result":{}}', b'{"jsonrpc":"2.0","method":"x","params":{}}'],
        parse=_message,
    ),
)
