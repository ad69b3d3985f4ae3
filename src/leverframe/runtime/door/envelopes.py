"""The action envelope: the frozen bytes of a call with all that binds them.

The approver sees what is rendered from these bytes, and the executor runs these bytes; any change is another digest.
Source: docs/approvals.md.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from leverframe.core.approvals import sticky_values
from leverframe.core.canonical import encode
from leverframe.domain.ids import Sha256, StepPath
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.policy import Fact, Known
from leverframe.domain.tools import ToolSpec
from leverframe.runtime.context import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A call, frozen: what is disclosed of it, its digest, its idempotency key."""

    value: JsonObject
    digest: Sha256
    idempotency_key: str


def request_digest(ctx: RunContext, tool: str, arguments: Json) -> bytes:
    """The keyed hash of the logical request, which a resumed run must ask for again."""
    return ctx.fingerprint("request", {"tool": tool, "args": arguments})


def idempotency_key(ctx: RunContext, path: StepPath, digest: bytes) -> str:
    """The key under which every attempt of this step asks the receiver: of run, step and digest, never of order."""
    return "lf_" + ctx.fingerprint("idempotency", [ctx.run.run_id, path, digest.hex()]).hex()[:40]


def freeze(
    ctx: RunContext, spec: ToolSpec, args: JsonObject, *, facts: Mapping[str, Fact], key: str, nonce: str
) -> Envelope:
    """Freeze a call: a nonce, so that nobody guesses the digest, and the facts, so that a changed one is a new hold."""
    value: JsonObject = {
        "tenant": ctx.run.tenant,
        "environment": ctx.run.environment,
        "workflow": ctx.run.workflow,
        "tool": spec.name,
        "tool_version": spec.version,
        "schema_sha256": spec.schema_sha256,
        "credential": spec.credential,
        "idempotency_key": key,
        "args": args,
        "facts": {name: fact_json(fact) for name, fact in facts.items()},
        "nonce": nonce,
    }
    return Envelope(value=value, digest=Sha256(hashlib.sha256(encode(value)).hexdigest()), idempotency_key=key)


def fact_json(fact: Fact) -> Json:
    """A fact as it is recorded: its value, or why it could not be read."""
    if isinstance(fact, Known):
        return {"value": _plain(fact.value), "integrity": fact.label.integrity.word}
    return {"unreadable": fact.why}


def sticky_digest(ctx: RunContext, spec: ToolSpec, args: JsonObject) -> bytes:
    """What a denial sticks to: tool, selector and recipient values; amount and text do not make it new."""
    values = [[name, value] for name, value in sticky_values(spec, args)]
    return ctx.fingerprint("sticky", {"tool": spec.name, "values": values})


def value_digest(ctx: RunContext, tool: str, arg: str, value: Json) -> bytes:
    """The keyed hash under which `history.seen` finds a value again."""
    return ctx.fingerprint("value", [tool, arg, value])


def once_digest(ctx: RunContext, tool: str, values: JsonObject) -> bytes:
    """The keyed hash of a business act, for `once_per`."""
    return ctx.fingerprint("once", {"tool": tool, "values": values})


def subject_digest(ctx: RunContext) -> bytes:
    """The pseudonym of the run's subject; empty without one."""
    return ctx.run.subject_digest


def _plain(value: object) -> Json:
    # Facts are JSON by construction: a tool's parsed answer, or the plain result of a project function.
    return value  # type: ignore[return-value]
