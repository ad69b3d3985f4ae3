"""JSON over many lines, for files that people read: sorted keys, exact numbers, and nothing in it that is not seen."""

from collections.abc import Mapping

from leverframe.core import canonical
from leverframe.core.hidden_text import is_hidden
from leverframe.domain.json import Json


def spread(value: Json, indent: str = "") -> str:
    """JSON over many lines; numbers as `core.canonical` writes them, and hidden characters as escapes to be seen."""
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        items = (f"{inner}{_line(key)}: {spread(value[key], inner)}" for key in sorted(value))
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list | tuple) and any(isinstance(one, Mapping | list | tuple) for one in value):
        return "[\n" + ",\n".join(f"{inner}{spread(one, inner)}" for one in value) + f"\n{indent}]"
    return _line(value)


def _line(value: Json) -> str:
    text = canonical.encode(value).decode()
    return text if text.isascii() else "".join(_escaped(char) if is_hidden(char) else char for char in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
