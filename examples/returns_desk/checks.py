"""What a model's triage must stand up to before a tool is called with it."""

import re
from collections.abc import Mapping
from typing import Any

_ORDER_NUMBER = re.compile(r"#W[0-9]{7}(?![0-9])")


# Any: the model's answer, checked against schemas/triage.json before it comes here.
def grounded(triage: Mapping[str, Any], message: str) -> bool:
    """The order number stands in the customer's own words, as a whole."""
    return triage["order_id"] in _ORDER_NUMBER.findall(message)
