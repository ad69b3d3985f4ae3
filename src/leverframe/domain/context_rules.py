"""The contract's `context`: what untrusted text an agent is shown, and in which form.

Knows: the choices as values.  Never: shows anything; `core.agent_view` and `core.hygiene` do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from leverframe.domain.json import JsonObject
from leverframe.domain.words import Word


class Untrusted(Word):
    """How third-party text is shown to an agent; the value is the word of `context.untrusted`."""

    PLAIN = "plain"
    QUOTE = "quote"
    HIDE = "hide"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRules:
    """What an agent is shown, and what its output may link to.

    `extract`: by name, the schemas under which a model without tools may read hidden text.
    """

    untrusted: Untrusted = Untrusted.PLAIN
    is_cleaned: bool = True  # what no reader sees is taken out of third-party text, and out of the run's output
    because: str = ""  # why it is not
    link_hosts: tuple[str, ...] = ()  # whom the output of a run may link to; a name admits its subdomains
    extract: Mapping[str, JsonObject] = field(default_factory=dict)
