"""What a careful agent looks up before it writes: the customer's profile, the order, the products to choose from.

The record of the cases holds the calls that count and leaves most reads out.  Without them the numbers in a write would
come from nowhere, and the door rightly asks a person about such a write.
"""

from collections.abc import Mapping

from examples.returns_desk.cases import RecordedCall
from leverframe.domain.json import Json
from leverframe.runtime.outcomes import Answered
from leverframe.runtime.outside import OutsideRun


class LookedUp:
    """The reads of one run, each made once."""

    def __init__(self, run: OutsideRun, customer: str) -> None:
        self._run = run
        self._customer = customer
        self._known: dict[tuple[str, str], Json] = {}

    async def before(self, call: RecordedCall) -> int:
        """Read what a write rests on; returns how many reads it took."""
        before = len(self._known)
        await self._read("get_user_details", "user_id", self._customer)
        order_id = call.arguments.get("order_id")
        order = await self._read("get_order_details", "order_id", order_id) if order_id else None
        if "new_item_ids" in call.arguments:
            for product in _products(order, call.arguments.get("item_ids", ())):
                await self._read("get_product_details", "product_id", product)
        return len(self._known) - before

    async def _read(self, tool: str, name: str, value: str) -> Json:
        if (tool, value) not in self._known:
            outcome = await self._run.call_tool(tool, {name: value})
            self._known[tool, value] = outcome.value if isinstance(outcome, Answered) else None
        return self._known[tool, value]


def _products(order: Json, item_ids: object) -> list[str]:
    """The products of some items of an order."""
    items = order.get("items") if isinstance(order, Mapping) else None
    wanted = item_ids if isinstance(item_ids, list | tuple) else ()
    found = [
        str(item["product_id"])
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, Mapping) and item.get("item_id") in wanted
    ]
    return list(dict.fromkeys(found))
