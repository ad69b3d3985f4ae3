"""Calls and their answers, as the door and the adapters of room 5 exchange them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from leverframe.domain.contracts import ModelRef
from leverframe.domain.ids import CallId, TenantId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.money import MicroUsd
from leverframe.domain.tools import ToolSpec
from leverframe.domain.words import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequest:
    """One attempt of one tool call, decided and announced.  `args` are the frozen bytes, parsed.

    `idempotency_key` is the same for every attempt of the same step.  `deadline_s` is for the whole attempt.
    """

    call_id: CallId
    tenant: TenantId
    spec: ToolSpec
    args: JsonObject
    idempotency_key: str
    deadline_s: float
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOk:
    """The receiver answered.  Not yet checked against the output schema."""

    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFailed:
    """The receiver answered with an error: it refused, and so it had no effect."""

    message: str
    kind: str = "refused"  # refused | 429 | 5xx: what `retries.on` names
    value: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLost:
    """No usable answer.  `has_left` False is a promise that nothing reached the receiver."""

    message: str
    kind: str  # timeout | connect | crash | garbage
    has_left: bool


ToolAnswer = ToolOk | ToolFailed | ToolLost


class Role(Word):
    """Who says a message to a model."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A model asks for a tool.  `arguments` is the text it wrote, which need not be JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to or from a model."""

    role: Role
    text: str = ""
    tool_uses: tuple[ToolUse, ...] = ()
    tool_use_id: str = ""  # for role tool: which use this answers


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A tool as a model sees it."""

    name: str
    description: str
    input_schema: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One attempt of one model call.  `max_output_tokens` is already clamped to what the budget affords."""

    call_id: CallId
    tenant: TenantId
    model: ModelRef
    messages: tuple[Message, ...]
    max_output_tokens: int
    deadline_s: float
    tools: tuple[OfferedTool, ...] = ()
    output_schema: JsonObject | None = None
    hints: Mapping[str, str] = field(default_factory=dict)  # workflow and turn, for a recorded provider


class ModelBound(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a model call can take: tokens counted from above, and their price."""

    input_tokens: int
    output_tokens: int
    cost: MicroUsd


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOk:
    """A model's answer with the vendor's own usage and what it costs."""

    text: str
    tool_uses: tuple[ToolUse, ...]
    input_tokens: int
    output_tokens: int
    cost: MicroUsd
    finish_reason: str  # stop | length | tool_calls
    is_recorded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLost:
    """No usable answer.  `is_billed` True: the vendor may bill for it, so the bound is settled."""

    message: str
    kind: str  # timeout | connect | 429 | 5xx | refused | garbage
    is_billed: bool


ModelAnswer = ModelOk | ModelLost
