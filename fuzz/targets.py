"""Every parser of bytes that others write, with samples and with the errors that it declares."""

import asyncio
import base64
import io
import json
import tempfile
import zipfile
from asyncio import StreamReader
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path

from fuzz import peers, wires
from fuzz.parser import Parser
from leverframe.config.cedar_file import parse_cedar
from leverframe.config.findings import Findings
from leverframe.config.init import project_contents
from leverframe.config.project import load_project_lenient
from leverframe.config.yaml_source import read_yaml
from leverframe.core import canonical
from leverframe.core.bundles import zipped
from leverframe.core.cedar.policies import import_policies
from leverframe.core.conditions.parser import parse
from leverframe.core.conditions.printer import render
from leverframe.core.notes import open_checkpoint, parse_vkey
from leverframe.domain.errors import LeverframeError
from leverframe.domain.tools import McpOrigin
from leverframe.models import openai_wire
from leverframe.models.recorded import load_recordings
from leverframe.net.http1 import Garbled, read_answer
from leverframe.net.parsing import AnswerParser
from leverframe.net.url import parse_url
from leverframe.sdk.verify import read_bundle, read_trust, verify
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.signing.trust import load_trust
from leverframe.store.sqlite.heads import known_head, read_kept
from leverframe.tools.mcp_tools import _answer as mcp_answer
from tests.evidence_log import RUN, honest

_TOOL = """\
tool: lookup
version: 2
from: {mcp: shop, name: look_up}
effect: read
input: {type: object, properties: {order_id: {type: string, pattern: "[A-Z]+"}}, required: [order_id]}
args: {order_id: {role: selector, type: order_id}}
timeout_s: 2.5
"""
_CONTRACT = """\
workflow: desk
input: {type: object, properties: {customer_id: {type: string}}}
subject: input.customer_id
facts: {order: {tool: lookup_order, args: {order_id: args.order_id}}}
budget: {max_tool_calls: 4, max_usd: 0.50}
policy:
  allow_tools: [lookup_order]
  rules:
    - {id: own, then: deny, tools: [issue_refund], when: 'facts.order.email != run.subject && args.amount_usd > 5'}
approval: {required_for: [{tool: issue_refund, threshold_usd: 50, decide_within: 30m, quorum: 1}]}
logging: {retain_days: 90, redact_fields: [email]}
"""
_CONDITIONS = (
    'facts.order.customer_id != run.subject && !(args.amount_usd + 2 > 60.5 || args.note in ["a", "b"])',
    'history.sum("issue_refund", "amount_usd", "24h", "subject") + args.amount_usd > 200',
    'args.note.startsWith("x") || size(args.note) < 3 || has(args.reason) || args.a == null || -args.b < 1',
    'integrity(args.order_id) >= "user" && history.seen("t", "order_id", args.order_id, "7d", "tenant")',
    'args.note.matches("^[a-z]+$") && "x" in args.tags',
)
_CEDAR = """\
@id("own")
forbid (principal, action == Action::"issue_refund", resource)
when { context.args has amount && context.args.amount > 5000 && !(context.args.note like "a*b") };
permit (principal, action in [Action::"lookup"], resource == Workflow::"desk") unless { context.n == 1 + 2 };
"""
_ANSWERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n{}",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;a=b\r\nWiki\r\n0\r\n\r\n",
    b"HTTP/1.0 500 No\r\nconnection: close\r\n\r\neverything until the end",
    b"HTTP/1.1 204 \r\n\r\n",
)
_RECORDING = json.dumps(
    {
        "request": {"turn": 0, "last_user": "#W2378156"},
        "answer": {
            "text": "",
            "tool_calls": [{"name": "look_up", "arguments": {"order_id": "W1", "amount_usd": 64.90}}],
            "usage": {"input_tokens": 312, "output_tokens": 21},
        },
    }
).encode()
_COMPLETION = json.dumps(
    {
        "choices": [
            {
                "finish_reason": "tool_calls",
                "message": {
                    "content": None,
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
                    ],
                },
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
    }
).encode()
_RESULTS = (
    b'{"content": [{"type": "text", "text": "{\\"count\\": 1.50}"}], "isError": false}',
    b'{"content": [], "structuredContent": {"order_id": "W1", "rows": [1, 2.5, null]}, "resultType": "complete"}',
    b'{"content": [{"type": "image", "data": "AAAA"}], "isError": true}',
)


class _Scratch:
    """A folder for parsers that read files; it goes with the process."""

    @cached_property
    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="leverframe-fuzz-")

    def file(self, name: str, data: bytes) -> Path:
        path = Path(self._folder.name) / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path

    @cached_property
    def project(self) -> Path:
        root = Path(self._folder.name) / "project"
        for name, content in project_contents().items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        (root / "workflows" / "desk.yaml").write_text(_CONTRACT)
        (root / "tools" / "lookup.tool.yaml").write_text(_TOOL)
        return root


_scratch = _Scratch()


@cache
def _bundles() -> Sequence[Mapping[str, bytes]]:
    return honest().bundle(), honest().bundle(run_id=RUN, consistency=[7])


def _file_of_project(name: str) -> Callable[[bytes], object]:
    """One YAML file of a project; Python files stay as they are, since loading them runs them."""

    def load(data: bytes) -> object:
        path = _scratch.project / name
        whole = path.read_bytes()
        path.write_bytes(data)
        try:
            return load_project_lenient(_scratch.project)
        finally:
            path.write_bytes(whole)

    return load


def _given_of_project(name: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [path.read_bytes() for path in sorted(_scratch.project.glob("**/*.yaml")) if path.match(name)]


def _condition(data: bytes) -> object:
    expr = parse(data.decode(errors="surrogateescape"))
    again = parse(render(expr))
    if render(again) != render(expr):
        raise AssertionError(f"{render(expr)!r} reads back as {render(again)!r}")
    return again


def _canonical(data: bytes) -> object:
    value = canonical.decode(data)
    if canonical.decode(canonical.encode(value)) != value:
        raise AssertionError("what is encoded reads back as something else")
    return value


def _note(data: bytes) -> object:
    return open_checkpoint(data, parse_vkey(_vkey()))


@cache
def _vkey() -> str:
    return honest().signer().vkey


def _head_file(data: bytes) -> object:
    """The heads beside a database, and each of them as it is held against the log."""
    kept = read_kept(_scratch.file("leverframe.db.head", data).with_suffix(""))
    return [known_head(Path("leverframe.db.head"), one) for one in kept.values()]


def _heads() -> Sequence[bytes]:
    log = honest()
    head = {"size": 18, "root": base64.b64encode(log.head().root).decode()}
    return [json.dumps({"acme": head | {"note": log.signer().sign(log.head()).decode()}}).encode()]


def _cedar(data: bytes) -> object:
    return import_policies(parse_cedar(data.decode(errors="replace"), file="a.cedar"), file="a.cedar")


def _trust(data: bytes) -> object:
    path = _scratch.file("trust.json", data)
    with suppress(LeverframeError):
        load_trust(path)
    return read_trust(path)


def _http(data: bytes) -> object:
    async def answer() -> object:
        reader = StreamReader(limit=65_536)
        reader.feed_data(data)
        reader.feed_eof()
        return await read_answer(reader, b"", 10_000)

    return asyncio.run(answer())


def _http_pieces(data: bytes) -> object:
    """The same answer whole and a byte at a time: both are garbled, or both have one body."""
    endings = []
    for step in (max(1, len(data)), 1):
        parser, body = AnswerParser(10_000), b""
        with suppress(Garbled):
            for start in range(0, len(data), step):
                body += parser.feed(data[start : start + step])
            parser.end()
            endings.append((body, parser.is_reusable))
    if len(endings) == 1 or endings[:1] != endings[1:]:
        raise AssertionError(f"an answer in pieces is another one: {endings!r}")
    return endings


def _mcp(data: bytes) -> object:
    value = canonical.decode(data)
    return mcp_answer(value, McpOrigin(server="shop", name="f")) if isinstance(value, dict) else None


def _zip(data: bytes) -> object:
    return verify(read_bundle(_scratch.file("bundle.zip", data)), None)


def _file_of_bundle(name: str) -> Callable[[bytes], object]:
    """One file of a bundle whose signature holds; the report must come, whatever stands in it."""

    def judge(data: bytes) -> object:
        files = next(one for one in _bundles() if name in one)
        return verify({**files, name: data}, None).text()

    return judge


def _given_of_bundle(name: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [one[name] for one in _bundles() if name in one]


def _stored_zip() -> bytes:
    """A bundle that is not compressed, so that a changed byte is a changed byte of what is in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in _bundles()[1].items():
            archive.writestr(name, content[:2_000])
    return buffer.getvalue()


def _keys() -> Sequence[bytes]:
    seed = base64.b64encode(b"\x01" + bytes(32)).decode()
    return [f"PRIVATE+KEY+leverframe/a+00000000+{seed}\n".encode(), honest().signer().vkey.encode()]


_PARSERS = (
    Parser(
        name="yaml",
        given=lambda: [_CONTRACT.encode(), _TOOL.encode(), b"a: &x [1, *x]\nb: {c: |-\n  text\n}"],
        parse=lambda data: read_yaml("a.yaml", data, Findings()),
    ),
    *(
        Parser(name=f"{what} file", given=_given_of_project(name), parse=_file_of_project(name))
        for what, name in (
            ("project", "leverframe.yaml"),
            ("contract", "workflows/desk.yaml"),
            ("tool", "tools/lookup.tool.yaml"),
        )
    ),
    Parser(name="condition", given=lambda: [one.encode() for one in _CONDITIONS], parse=_condition),
    Parser(
        name="canonical json",
        given=lambda: [b'{"b":[1,2.50,null,true],"a":"\\u00e9\\ud83d\\ude00","":{}}', *_RESULTS],
        parse=_canonical,
    ),
    Parser(name="note", given=lambda: [honest().signer().sign(honest().head())], parse=_note),
    Parser(
        name="vkey",
        given=lambda: [honest().signer().vkey.encode()],
        parse=lambda data: parse_vkey(data.decode(errors="surrogateescape")),
    ),
    Parser(name="log key", given=_keys, parse=lambda data: Ed25519FileSigner.load(_scratch.file("log.key", data))),
    Parser(name="trust file", given=lambda: [json.dumps(honest().trust()).encode()], parse=_trust),
    Parser(name="head file", given=_heads, parse=_head_file),
    Parser(name="bundle", given=lambda: [_stored_zip(), *(zipped(one) for one in _bundles())], parse=_zip),
    *(
        Parser(name=f"bundle {name}", given=_given_of_bundle(name), parse=_file_of_bundle(name))
        for name in (
            *("manifest.json", "checkpoint", "leaves.jsonl", "disclosures.jsonl", "proofs.jsonl", "consistency.json"),
            "hashes.bin",
        )
    ),
    Parser(
        name="recording",
        given=lambda: [_RECORDING + b"\n\n" + _RECORDING],
        parse=lambda data: load_recordings(_scratch.file("recording.jsonl", data), "recording.jsonl"),
    ),
    Parser(name="mcp result", given=lambda: list(_RESULTS), parse=_mcp),
    Parser(name="http answer", given=lambda: list(_ANSWERS), parse=_http),
    Parser(name="http answer in pieces", given=lambda: list(_ANSWERS), parse=_http_pieces),
    Parser(name="completion", given=lambda: [_COMPLETION], parse=openai_wire.read_completion),
    Parser(name="relayed call", given=wires.given_calls, parse=wires.call),
    Parser(name="relayed answer", given=wires.given_answers, parse=wires.answer),
    Parser(name="relayed stream", given=wires.given_streams, parse=wires.stream),
    Parser(
        name="model error", given=lambda: [b'{"error": {"message": "no", "code": "x"}}'], parse=openai_wire.error_words
    ),
    Parser(
        name="url",
        given=lambda: [b"https://user@api.example.com:8443/v1?x=1#y", b"http://[::1]:80/"],
        parse=lambda data: parse_url(data.decode(errors="surrogateescape")),
    ),
    Parser(name="cedar", given=lambda: [_CEDAR.encode()], parse=_cedar),
)
TARGETS: Mapping[str, Parser] = {one.name: one for one in (*_PARSERS, *peers.PARSERS)}
