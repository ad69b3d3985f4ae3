"""How many effects of one call its receiver lists, by the tool that its spec reconciles with."""

from collections.abc import Mapping

from leverframe.domain.json import Json, JsonObject
from leverframe.domain.tools import Reconcile
from leverframe.runtime.paths import MISSING, resolve


def reconcile_args(how: Reconcile, args: JsonObject) -> JsonObject | None:
    """The arguments with which the receiver is asked; None where the call lacks one of them."""
    asked = {name: resolve(path, {"args": args}) for name, path in how.args.items()}
    # Every value that is not MISSING is a Json.
    return None if MISSING in asked.values() else asked  # type: ignore[return-value]


def effects_listed(how: Reconcile, args: JsonObject, answer: Json) -> int | None:
    """How many things in a list of the answer are this call's effect; None where the answer lists nothing.

    The list is the answer itself, or the one field of it that is a list.  An answer about one thing cannot show two
    effects, so it counts nothing.
    """
    listed = _list_of(answer)
    if listed is None or not how.match:
        return None
    wanted = {field: resolve(path, {"args": args}) for field, path in how.match.items()}
    if MISSING in wanted.values():
        return None
    return sum(
        1 for one in listed if all(resolve(f"one.{field}", {"one": one}) == value for field, value in wanted.items())
    )


def _list_of(answer: Json) -> list[Json] | None:
    if isinstance(answer, list | tuple):
        return list(answer)
    lists = [one for one in answer.values() if isinstance(one, list | tuple)] if isinstance(answer, Mapping) else []
    return list(lists[0]) if len(lists) == 1 else None
