"""What a call took where the vendor does not say, counted from above.

Knows: that no token is shorter than a byte, so what was said is at most as many tokens as bytes; that some models also
think unseen; and that a vendor which was told a maximum goes no further.  Never: takes an answer for free.
"""

import re
from typing import Final

from leverframe.domain.calls import ModelBound
from leverframe.domain.relays import RelayCall, Usage

# Names of models that bill what they think and do not show.
_THINKS: Final = re.compile(r"(?:^|[/.:-])(?:o[1-9]\b|gpt-5|gpt-oss|deepseek-r|qwq)|reason|think")
_ASKED_TO_THINK: Final = frozenset({"reasoning", "reasoning_effort", "thinking"})


def estimated_usage(call: RelayCall, bound: ModelBound, said_bytes: int, *, is_observed: bool) -> Usage:
    """What a call took at most, as far as anyone here can tell.

    Args:
        call: as it was sent.
        bound: its worst case; for an observed call without a maximum of its own, one that nobody keeps.
        said_bytes: the answer in bytes, all of it.
        is_observed: nothing was set in it, no maximum either.
    """
    output = bound.output_tokens
    if is_observed and call.wire.has_answer:
        has_maximum = call.max_output_tokens is not None
        if not _may_think(call):
            output = min(output, said_bytes) if has_maximum else said_bytes
        elif not has_maximum:
            output = max(output, said_bytes)
    return Usage(input_tokens=bound.input_tokens, output_tokens=output, is_estimated=True)


def _may_think(call: RelayCall) -> bool:
    return bool(call.fields & _ASKED_TO_THINK) or _THINKS.search(call.model.lower()) is not None
