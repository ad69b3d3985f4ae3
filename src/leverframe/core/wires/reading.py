"""What every reader of a call shares: how fields are refused by name, and how what is in them is counted.

Knows: that a byte-level tokenizer makes at most one token of each UTF-8 byte of text, and what vendors wrap around
messages and tools at most.  Never: lets through what nobody here knows the meaning of.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Final, NoReturn

from leverframe.core.nearest import nearest
from leverframe.core.wires.strict import Fields, size_of
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import Admitted, VendorTool

PER_MESSAGE: Final = 16
PER_TOOL: Final = 32
PER_TOOL_USE: Final = 16
PER_REQUEST: Final = 64  # a default system message and the start of the answer
MAX_COUNT: Final = 100_000_000  # no vendor takes more of anything, and sums stay within what a database holds
_MAX_SHOWN: Final = 80


def text_bytes(text: str) -> int:
    """An upper bound of a text's tokens."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class Tally:
    """What a call holds, counted while it is read once."""

    __slots__ = (
        "admitted",
        "audio_bytes",
        "documents",
        "has_far_audio",
        "images",
        "keeps",
        "sealed_ids",
        "tokens",
        "tool_names",
        "vendor_tools",
    )

    def __init__(self, admitted: Admitted) -> None:
        self.admitted = admitted
        self.tokens = PER_REQUEST
        self.images = 0
        self.audio_bytes = 0
        self.documents = 0
        self.has_far_audio = False
        self.tool_names: list[str] = []
        self.vendor_tools: list[VendorTool] = []
        self.keeps: set[str] = set()
        self.sealed_ids: list[str] = []

    def known(self, fields: Fields, names: AbstractSet[str], path: str) -> None:
        """Refuse, by name, a field that is neither known nor admitted."""
        if fields.keys() <= names:
            return
        for name in fields:
            if name not in names and name not in self.admitted.fields:
                close = nearest(name, names)
                hint = f"Did you mean {close!r}?  " if close else ""
                where = f"{path}.{name}" if path else name
                raise WireRefused(
                    f"The field {where[:_MAX_SHOWN]!r} is not known, so nobody here can say what the vendor would do.",
                    code="unknown_field",
                    param=where[:_MAX_SHOWN],
                    next_move=f"{hint}Leave it out, or admit it: `models.pass_fields` of the contract.",
                    lack=f"pass_fields={name}",
                )

    def state(self, word: str, path: str) -> None:
        """Refuse what the vendor would keep or look up, unless the contract names it."""
        if word in self.admitted.state:
            self.keeps.add(word)
            return
        raise WireRefused(
            f"The field {path!r} uses what the vendor keeps ({word}), which no run can be held to.",
            code="vendor_state",
            param=path,
            next_move="Send the whole conversation, or admit it: `models.vendor_state` of the contract.",
            lack=f"vendor_state={word}",
        )

    def vendor_tool(self, kind: str, path: str, max_uses: int | None = None) -> None:
        """Refuse a tool that the vendor runs, unless the contract names it; `web_search` admits its dated versions."""
        admitted = self.admitted.vendor_tools
        # Asked for by name first: what admits everything lists nothing.
        if kind in admitted or any(kind.startswith(f"{name}_") for name in admitted):
            self.vendor_tools.append(VendorTool(name=kind, max_uses=max_uses))
            return
        raise WireRefused(
            f"{path!r} asks for {kind[:_MAX_SHOWN]!r}, which the vendor would run: an effect outside the door.",
            code="vendor_tool",
            param=path,
            next_move="Offer a function tool, or admit it: `models.vendor_tools` of the contract.",
            lack=f"vendor_tools={kind}",
        )

    def url(self, value: object, path: str) -> None:
        """Refuse an address that the vendor would fetch, unless the contract admits it: a GET carries data out."""
        if not isinstance(value, str):
            wrong_type(path, "a text")
        if value[:5].lower() == "data:" or self.admitted.remote_urls:
            return
        raise WireRefused(
            f"{path!r} is an address that the vendor would fetch, and what stands in an address leaves with it.",
            code="remote_url",
            param=path,
            next_move="Send the content itself as a data: URL, or admit it: `models.remote_urls` of the contract.",
            lack="remote_urls=allowed",
        )

    def sound(self, value: object, path: str) -> None:
        """Count the sound of an `input_audio` part; some vendors take an address in the place of it, and fetch that."""
        data = text_at(object_at(value, path), "data", path)
        if "://" in data[:32]:
            self.url(data, f"{path}.data")
            self.has_far_audio = True
        self.audio_bytes += len(data)

    def text(self, value: object, path: str) -> None:
        """Count a text that must be one."""
        if not isinstance(value, str):
            wrong_type(path, "a text")
        self.tokens += text_bytes(value)

    def opaque(self, value: object) -> None:
        """Count a value that a model may be shown in some form, by the bytes of its JSON."""
        self.tokens += size_of(value)

    def function(self, name: object, path: str) -> None:
        """Remember a tool that the agent runs itself."""
        if not isinstance(name, str):
            wrong_type(path, "a text")
        self.tool_names.append(name)


def wrong_type(path: str, expected: str) -> NoReturn:
    """Refuse a value of the wrong kind."""
    raise WireRefused(f"The field {path!r} is not {expected}.", code="wrong_type", param=path, next_move="Mend it.")


def object_at(value: object, path: str) -> Fields:
    """The value, which must be an object."""
    if not isinstance(value, dict):
        wrong_type(path, "an object")
    return value


def list_at(value: object, path: str) -> list[object]:
    """The value, which must be a list."""
    if not isinstance(value, list):
        wrong_type(path, "a list")
    return value


def text_at(fields: Fields, name: str, path: str = "") -> str:
    """A text that must be there and not be empty."""
    value, place = fields.get(name), f"{path}.{name}" if path else name
    if name not in fields:
        raise WireRefused(f"There is no field {place!r}.", code="wrong_type", param=place, next_move="Add it, a text.")
    if not isinstance(value, str) or not value:
        wrong_type(place, "a text")
    return value


def flag_at(fields: Fields, name: str) -> bool:
    """A yes or no; absent and null are no."""
    value = fields.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        wrong_type(name, "true or false")
    return value


def count_at(fields: Fields, name: str, *, maximum: int = MAX_COUNT) -> int | None:
    """A whole number from 1 to `maximum`; None where absent or null."""
    value = fields.get(name)
    if value is None:
        return None
    # 10.0 is written by some clients for 10, and vendors take it.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= maximum:
        wrong_type(name, f"a whole number from 1 to {maximum:,}")
    return value


def refuse_tier(fields: Fields, allowed: Collection[str]) -> None:
    """Refuse a service tier that nobody here has a price for."""
    tier = fields.get("service_tier")
    if tier is None or (isinstance(tier, str) and tier in allowed):
        return
    raise WireRefused(
        f"The service tier {str(tier)[:_MAX_SHOWN]!r} has no known price, so no budget can hold it.",
        code="unpriced",
        param="service_tier",
        next_move=f"Use one of {', '.join(sorted(allowed))}.",
    )
