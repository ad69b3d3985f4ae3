"""A model call that an outside agent sent in a vendor's own format, and what it took, as values.

Knows: what the door needs of such a call to bound, decide and settle it, and no more; the bytes stay as they came.
Source: docs/reference of the vendors, as `core.wires` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from leverframe.domain.words import Word

NO_NAMES: frozenset[str] = frozenset()


class WireFormat(Word):
    """The formats that are served and spoken, one a route."""

    CHAT = "openai-chat"
    RESPONSES = "openai-responses"
    EMBEDDINGS = "openai-embeddings"
    MESSAGES = "anthropic-messages"
    COUNT = "anthropic-count-tokens"

    @property
    def is_anthropic(self) -> bool:
        """Whether errors and headers are those of Anthropic."""
        return self in {WireFormat.MESSAGES, WireFormat.COUNT}

    @property
    def has_answer(self) -> bool:
        """Whether the model writes anything, so that output tokens are bounded and paid."""
        return self not in {WireFormat.EMBEDDINGS, WireFormat.COUNT}


class Dialect(Word):
    """Where those who speak one format differ."""

    OPENAI = "openai"  # takes max_completion_tokens, and is told to store nothing
    AZURE = "azure"  # the same without `store`, which its older API versions refuse
    COMPATIBLE = "compatible"  # vLLM, Ollama, llama.cpp and others: max_tokens
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What a contract admits beyond what passes by itself.

    `fields` are names of unknown fields, `vendor_tools` names of tools that the vendor runs (`web_search` admits
    `web_search_20250305` too), `state` what the vendor may keep or look up: `store`, `background`,
    `previous_response_id`, `conversation`, `prompt`, `files`, `containers`, `audio`, `threads`.
    """

    fields: frozenset[str] = NO_NAMES
    vendor_tools: frozenset[str] = NO_NAMES
    state: frozenset[str] = NO_NAMES
    remote_urls: bool = False


NOTHING_ADMITTED = Admitted()


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorTool:
    """A tool that the vendor runs, and how often at most; None: the call does not say."""

    name: str
    max_uses: int | None


class RelayCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, read and found to be one that may be asked.

    `body` is what the client sent, to the byte.  `input_bound` is an upper bound of the tokens of all text in it;
    images, sound and documents are counted beside it, since what they take depends on the model.
    `max_output_tokens` is the client's own limit for each of `choices`, None where it gave none; with less than
    `min_output_tokens` the vendor would refuse.  `extra_output_tokens` may be billed beyond any limit.
    """

    wire: WireFormat
    body: bytes
    model: str
    is_stream: bool = False
    wants_usage: bool = True  # the client asked for the usage of a stream, or always gets it
    max_output_tokens: int | None = None
    min_output_tokens: int = 1
    extra_output_tokens: int = 0
    choices: int = 1
    input_bound: int = 0
    images: int = 0
    audio_bytes: int = 0
    has_far_audio: bool = False  # it hears what is in no byte of it: the vendor has it, or fetches it
    documents: int = 0
    has_audio_answer: bool = False
    has_cache_writes: bool = False
    has_hour_cache: bool = False  # writes to a cache that is kept for an hour, at a price of its own
    tool_names: tuple[str, ...] = ()  # function tools, which the agent runs itself: outside the door
    vendor_tools: tuple[VendorTool, ...] = ()
    fields: frozenset[str] = NO_NAMES  # the names of its members
    keeps: frozenset[str] = NO_NAMES  # the state that the contract admitted and this call uses
    sealed_ids: tuple[str, ...] = ()  # of what the vendor keeps, which an answer of the same run must have brought

    def __repr__(self) -> str:
        """Without the body, which holds people's words."""
        return f"RelayCall(wire={self.wire!r}, model={self.model!r})"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor says that a call took.

    `input_tokens` is all input: cached, cache-written and audio tokens are part of it.  `output_tokens` is all output:
    reasoning and audio are part of it.  `vendor_tool_uses` are uses of tools that the vendor ran and bills apart.
    `is_estimated` True: the vendor did not say, and this is counted from above.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0  # of `cache_write_tokens`
    audio_input_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    vendor_tool_uses: int = 0
    is_estimated: bool = False


NO_USAGE = Usage(input_tokens=0, output_tokens=0)


class RelayedToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model asked for in a relayed answer; `arguments` is the text it wrote."""

    id: str
    name: str
    arguments: str


class RelayedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a relayed answer said, for the record: of several choices the texts in their order, a blank line between.

    `is_cut`: more was said than the record takes.
    """

    text: str = ""
    tool_uses: tuple[RelayedToolUse, ...] = ()
    finish_reason: str = ""
    is_cut: bool = False


class RelayBroken(Exception):
    """An answer that had begun has no proper end: the vendor broke off, or broke a limit.

    `kind` is one of connect, timeout, garbage, too-large.  What was read before it stands; more may be billed.
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRefusal:
    """The vendor answered with an error of its own, which the client gets as it is; `body` holds no secret of ours.

    `kind` is 429, 5xx or refused; `is_billed` True: the vendor may bill for it all the same; `headers`, by name in
    lower case, say what the vendor calls the request and what is left of its own limits.
    """

    status: int
    body: bytes = field(repr=False)
    content_type: str
    kind: str
    is_billed: bool
    message: str
    retry_after_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
