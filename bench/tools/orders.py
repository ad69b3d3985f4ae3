"""The one tool that is measured: its schemas, and what it answers."""

from collections.abc import Mapping
from typing import Any, Final

TOOL: Final = "look_up"
# Any: JSON Schema, as the protocol's package takes it.
INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "with_items": {"type": "boolean"}},
    "required": ["order_id"],
    "additionalProperties": False,
}
# Any: see above.
OUTPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string"},
        "status": {"type": "string", "enum": ["open", "sent", "returned"]},
        "total": {"type": "number"},
        "customer": {"type": "object", "properties": {"id": {"type": "string"}, "name": {"type": "string"}}},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}, "price": {"type": "number"}},
                "required": ["sku", "count"],
            },
        },
    },
    "required": ["order_id", "status", "items"],
}


# Any: JSON as the protocol's package takes it.
def order(order_id: str) -> dict[str, Any]:
    """What the tool answers."""
    items = [{"sku": f"SKU-{number:05d}", "count": number + 1, "price": 19.99 + number} for number in range(12)]
    return {
        "order_id": order_id,
        "status": "sent",
        "total": 431.5,
        "customer": {"id": "c_1", "name": "A. Customer"},
        "items": items,
    }


def names(count: int) -> list[str]:
    """The tools by name."""
    return [TOOL, *(f"{TOOL}_{number}" for number in range(1, count))]
