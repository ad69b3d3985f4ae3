"""OpenAI Embeddings: a call is read.  Source: OpenAI API reference, embeddings (create), 2025-11."""

from typing import Final

from leverframe.core.wires.reading import PER_MESSAGE, Tally, list_at, text_at, text_bytes, wrong_type
from leverframe.core.wires.strict import Fields, size_of
from leverframe.domain.relays import Admitted, RelayCall, WireFormat

_KNOWN: Final = frozenset({"model", "input", "dimensions", "encoding_format", "user"})


def read(body: bytes, top: Fields, admitted: Admitted) -> RelayCall:
    """The call of a body that `strict.read_object` took.

    Raises:
        WireRefused: a field is unknown or of the wrong type.
    """
    tally = Tally(admitted)
    tally.known(top, _KNOWN, "")
    model = text_at(top, "model")
    value = top.get("input")
    texts = 1
    if isinstance(value, str):
        tally.tokens += text_bytes(value)
    else:
        inputs = list_at(value, "input")
        texts = max(1, sum(type(one) is not int for one in inputs))
        for index, one in enumerate(inputs):
            tally.tokens += _tokens(one, f"input[{index}]")
    # What a contract admits unknown may be read by the model, such as an instruction before each text.
    for name in top.keys() - _KNOWN:
        tally.tokens += size_of(top[name]) * texts
    return RelayCall(
        wire=WireFormat.EMBEDDINGS, body=body, model=model, input_bound=tally.tokens, fields=frozenset(top)
    )


def _tokens(value: object, path: str) -> int:
    """A text, a token, or a list of tokens: a token is what a number stands for."""
    if isinstance(value, str):
        return text_bytes(value) + PER_MESSAGE
    if isinstance(value, list) and all(type(one) is int for one in value):
        return len(value) + PER_MESSAGE
    if type(value) is not int:
        wrong_type(path, "a text, a token or a list of tokens")
    return 1
