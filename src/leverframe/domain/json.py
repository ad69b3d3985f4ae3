"""The values that cross the door: JSON, with fractions as exact decimals.

`Json` is what `core.canonical.decode` returns: no float ever, since an amount that was 49.99 stays 49.99.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

Json = None | bool | int | Decimal | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = Mapping[str, Json]
