"""Tools as a client lists them, and outcomes as a client reads them."""

from dataclasses import dataclass
from typing import Final, assert_never

from leverframe.domain.context_rules import Untrusted
from leverframe.domain.contracts import Contract
from leverframe.domain.tools import EffectClass, McpOrigin, McpPart, ToolSpec
from leverframe.mcp.guests import ApprovalUrl
from leverframe.mcp.values import PlainJson, content_of, plain
from leverframe.runtime.outcomes import Answered, Exhausted, Failed, HeldBack, Lost, Refused, Stopped, ToolOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAs:
    """How a run shows untrusted text, for whoever reads a result of it."""

    untrusted: Untrusted
    marker: str

    def meta(self) -> dict[str, PlainJson]:
        """What a client must know to tell others' text from ours."""
        said = {f"{META}untrusted": self.untrusted.value}
        return {**said, f"{META}mark": self.marker} if self.untrusted is Untrusted.QUOTE else said


META: Final = "leverframe.dev/"
# What tells a result of the 2026-07-28 protocol from a question; the older ones have no such key, and drop it.
COMPLETE: Final = {"resultType": "complete"}


def listed_specs(contract: Contract) -> list[ToolSpec]:
    """The tools that an agent may ask for by itself; other parts of a server have lists of their own."""
    specs = (contract.tools.get(name) for name in contract.callable_tools())
    return [spec for spec in specs if spec is not None and part_of(spec) is McpPart.TOOL]


def part_of(spec: ToolSpec) -> McpPart:
    """What of a server a spec is for; a tool that is no server's is a tool."""
    return spec.origin.part if isinstance(spec.origin, McpOrigin) else McpPart.TOOL


def tool_of(spec: ToolSpec, untrusted: Untrusted = Untrusted.PLAIN) -> dict[str, PlainJson]:
    """A tool in `tools/list`.  Its hints are what its effect class says, not what its server says.

    Where untrusted text is quoted or hidden an answer is not of its server's schema, and no schema is promised.
    """
    tool: dict[str, PlainJson] = {
        "name": spec.name,
        "description": spec.description,
        "inputSchema": plain(spec.input_schema),
        "annotations": {
            "readOnlyHint": not spec.effect.is_write,
            "destructiveHint": spec.effect is EffectClass.IRREVERSIBLE,
            "idempotentHint": spec.effect in {EffectClass.READ, EffectClass.IDEMPOTENT, EffectClass.KEYED},
        },
    }
    is_promised = untrusted is Untrusted.PLAIN and spec.output_schema is not None
    if is_promised and spec.output_schema is not None and spec.output_schema.get("type") == "object":
        tool["outputSchema"] = plain(spec.output_schema)
    return tool


def result_of(
    outcome: ToolOutcome, spec: ToolSpec | None, approval_url: ApprovalUrl, shown_as: ShownAs
) -> dict[str, PlainJson]:
    """A `CallToolResult`.  Everything but an answer is an error to the client, so that nothing is taken for done."""
    match outcome:
        case Answered(shown=shown, path=path, is_repeat=is_repeat):
            result: dict[str, PlainJson] = {**COMPLETE, "content": content_of(shown), "isError": False}
            is_plain = shown_as.untrusted is Untrusted.PLAIN
            if is_plain and spec is not None and spec.output_schema is not None and isinstance(shown, dict):
                result["structuredContent"] = plain(shown)
            meta: dict[str, PlainJson] = {f"{META}repeat_of": path} if is_repeat else {}
            if shown != outcome.value and not is_plain:
                meta |= shown_as.meta()
            return {**result, "_meta": meta} if meta else result
        case HeldBack(approval_id=approval_id, message=message):
            said = {"status": "held", "approval": approval_id, "message": message}
            url = approval_url(approval_id)
            if url:
                said["url"] = url
            return _told(said)
        case _:
            return _told(_not_done(outcome))


def _not_done(outcome: Refused | Failed | Lost | Stopped | Exhausted) -> dict[str, PlainJson]:
    match outcome:
        case Refused(message=message, reasons=reasons):
            rules = list(dict.fromkeys(reason.rule for reason in reasons))
            return {"status": "denied", "message": message, "rules": rules}
        case Failed(message=message, error=error):
            return {"status": "failed", "message": message, "error": error}
        case Lost(message=message):
            return {"status": "unknown", "message": message}
        case Stopped(message=message, limit=limit):
            return {"status": "stopped", "message": message, "limit": limit}
        case Exhausted(message=message, budget=budget, resets_at=resets_at):
            when = resets_at.isoformat() if resets_at is not None else None
            return {"status": "exhausted", "message": message, "budget": budget, "resets_at": when}
        case _:
            assert_never(outcome)


def refusal(message: str, status: str = "refused") -> dict[str, PlainJson]:
    """A call that never became one."""
    return _told({"status": status, "message": message})


def _told(said: dict[str, PlainJson]) -> dict[str, PlainJson]:
    """The sentence for the model, and the same with its fields for a program."""
    text = said["message"] if said["status"] != "held" else content_of(said)[0]["text"]
    return {**COMPLETE, "content": [{"type": "text", "text": text}], "structuredContent": said, "isError": True}
