"""A changed copy of a value, whichever way its class is made.

Knows: most values are frozen dataclasses; those that a call makes a dozen of are frozen structs, which are as strict
and made in a tenth of the time (docs/adr/0015-structs-where-calls-are-made.md).
"""

import dataclasses
from typing import Any, TypeVar

import msgspec

_Value = TypeVar("_Value")


# Any: fields have types of their own; a name that is no field is refused by either library.
def replace(value: _Value, /, **changes: Any) -> _Value:
    """The value with some fields changed.

    Raises:
        TypeError: it has no such field.
    """
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **changes)
    # Any: what is no struct is a dataclass, which the type of the argument cannot say.
    one: Any = value
    # Any: see above.
    changed: _Value = dataclasses.replace(one, **changes)
    return changed
