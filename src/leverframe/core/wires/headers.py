"""Which of a client's headers go to the vendor, and which of the vendor's to the client.

Never: passes a credential, a name that selects a run here, or a beta of the vendor that nobody named: a beta may turn
on what the vendor runs or keeps.
"""

import re
from collections.abc import Mapping
from typing import Final

from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import Admitted, WireFormat

ANTHROPIC_VERSION: Final = "2023-06-01"
# Betas that change how much is said or how it is streamed, and nothing that the vendor does.
_HARMLESS_BETAS: Final = (
    "interleaved-thinking-",
    "fine-grained-tool-streaming-",
    "prompt-caching-",
    "extended-cache-ttl-",
    "structured-outputs-",
    "token-efficient-tools-",
    "output-128k-",
    "token-counting-",
    "messages-",
)
# Betas that turn on what a contract may admit by another name: that of the state which the vendor then keeps.
_STATES_OF_BETAS: Final = {"message-threads-": "threads"}
_VISIBLE: Final = re.compile(r"[\t\x20-\x7e]*")
# RFC 9110, section 5.5: each becomes a space, or what a bare return begins were a header of its own to some readers.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BACK: Final = frozenset(
    {
        "content-type",
        "request-id",
        "x-request-id",
        "openai-version",
        "openai-processing-ms",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    }
)


def passed_headers(wire: WireFormat, headers: Mapping[str, str], admitted: Admitted) -> dict[str, str]:
    """The headers of a client that go to the vendor; names in lower case.

    Raises:
        WireRefused: a beta of the vendor that is neither harmless nor named in `models.pass_fields`, or a value that
            no request can be sent with.
    """
    if not wire.is_anthropic:
        return {}
    passed = {"anthropic-version": headers.get("anthropic-version", ANTHROPIC_VERSION)}
    betas = [word.strip() for word in headers.get("anthropic-beta", "").split(",") if word.strip()]
    for beta in betas:
        if not (beta.startswith(_HARMLESS_BETAS) or beta in admitted.fields or _is_of_state(beta, admitted)):
            raise WireRefused(
                f"The beta {beta[:80]!r} is not known here, so nobody can say what the vendor would do.",
                code="unknown_field",
                param="anthropic-beta",
                next_move="Leave it out, or admit it by name: `models.pass_fields` of the contract.",
                lack=f"pass_fields={beta}",
            )
    if betas:
        passed["anthropic-beta"] = ",".join(betas)
    for name, value in passed.items():
        if not _VISIBLE.fullmatch(value):
            raise WireRefused(
                f"The header {name!r} has a character that is not of ASCII.",
                code="wrong_type",
                param=name,
                next_move="Leave it out.",
            )
    return passed


def _is_of_state(beta: str, admitted: Admitted) -> bool:
    return any(beta.startswith(begin) and state in admitted.state for begin, state in _STATES_OF_BETAS.items())


def returned_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a vendor's answer that may go to the client."""
    return {
        name: _CONTROL.sub(" ", value)
        for name, value in headers.items()
        if name in _BACK or name.startswith(("x-ratelimit-", "anthropic-ratelimit-"))
    }
