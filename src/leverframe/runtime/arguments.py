"""The arguments of a call as they were sent: an object, or the text that a model wrote for one."""

from leverframe.core.canonical import decode
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json, JsonObject


def parsed(arguments: str | JsonObject) -> tuple[JsonObject, str]:
    """The arguments as an object, and what is wrong with the text where it is none."""
    if not isinstance(arguments, str):
        return arguments, ""
    try:
        value: Json = decode(arguments.encode())
    except JsonInvalid as err:
        return {}, f"(the whole value): expected a JSON object, got text that is not JSON ({err.message})"
    except UnicodeEncodeError:
        return {}, "(the whole value): expected a JSON object, got text with half of a surrogate pair"
    if not isinstance(value, dict):
        return {}, f"(the whole value): expected a JSON object, got {type(value).__name__}"
    return value, ""
