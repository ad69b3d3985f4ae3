"""Labels: what a decision costs with the default rules on, and labelling its arguments among 200 values."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from leverframe.core.argument_labels import label_args
from leverframe.core.provenance import ValueIndex, asked_with, index_input, index_result, label_output
from leverframe.core.token_types import compile_types
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity, Label
from leverframe.domain.tools import ArgRole, ArgSpec, ToolSpec

VALUES: Final = 200
_TYPES: Final = compile_types({"email": r"[a-z]+@[a-z]+\.example", "order_id": r"#W\d{7}"})
_TEXT: Final = "your parcel is on its way"
_PLACES: Final = 50  # of the orders that the user named
ARGS: Final[Mapping[str, ArgSpec]] = {
    "amount": ArgSpec(role=ArgRole.AMOUNT),
    "order_id": ArgSpec(role=ArgRole.SELECTOR),
    "to": ArgSpec(role=ArgRole.RECIPIENT, type="email"),
    **{f"arg_{place}": ArgSpec(role=ArgRole.FREE_TEXT) for place in range(5)},
}


def seen_by(spec: ToolSpec) -> ValueIndex:
    """A run whose user named some orders and a recipient, and which has read untrusted answers: 200 values in all."""
    orders = " ".join(f"#W{number:07d}" for number in range(_PLACES))
    said: dict[str, Json] = {"message": f"Write to ann@house.example: {_TEXT}. It is about {orders}"}
    index = index_input(said, opener=Integrity.USER, trust={}, types=_TYPES)
    number = 0
    while len(index.known) < VALUES:
        answer: Json = {
            "order_id": f"#W{1_000 + number:07d}",
            "note": f"note {number}",
            "email": f"{_word(number)}@x.example",
        }
        index = index_result(index, answer, label_output(answer, spec, step=str(number)), step=str(number), spec=spec)
        number += 1
    return replace(index, written=asked_with({"note": "what the run has written"}))


def _word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def args_of(number: int) -> dict[str, Json]:
    """The arguments of one call, all of them the user's."""
    return {
        "amount": Decimal(number % 900),
        "order_id": f"#W{number % _PLACES:07d}",
        "to": "ann@house.example",
        "count": number % 40,
        "channel": "mail",
        **{f"arg_{place}": _TEXT for place in range(5)},
    }


def labels_of(args: Mapping[str, Json], spec: ToolSpec, index: ValueIndex) -> Mapping[str, Label]:
    """What the door asks for each call."""
    return label_args(dict(args), spec.args, index, spec.input_schema)
