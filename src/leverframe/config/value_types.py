"""What a key of the project's files may hold, as values: the alphabet of the registry in `config.keys`.

Knows: the kinds of value and how each reads in a message.  Never: reads a file; `config.sections` does that.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text.  `pattern` must match all of it, and is published in the JSON Schema; `form` says it in words."""

    form: str = "a text"
    pattern: str = ""
    max_chars: int = 10_000
    may_be_secret: bool = False  # a person may have written a credential here, so no message repeats it


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """An integer within bounds, both included."""

    minimum: int = 0
    maximum: int = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Dollars as an exact decimal with at most six places, zero or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """A positive number of seconds; keys of this type end in `_s`."""

    maximum: int = 31_536_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A duration with its unit: `30m`, `24h`, `7d`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One word of a closed set.  `later`: words that a coming version will enforce and this one refuses."""

    known: tuple[str, ...]
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list whose items all have one type."""

    item: "ValueType"
    at_least: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """A map from names that the user chooses to values of one type."""

    item: "ValueType"
    key: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A map whose keys are keys of the registry.  `needs` are the keys that must be there."""

    needs: tuple[str, ...] = ()
    may_be_empty: bool = False  # `acme:` with nothing after it


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaObject:
    """A JSON Schema, written in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyValue:
    """Any scalar."""


ValueType = Text | Whole | Money | Seconds | Span | Words | ListOf | MapOf | Group | SchemaObject | AnyValue


def describe(type_: ValueType) -> str:
    """What the type takes, as it reads after "expected" and in the reference."""
    match type_:
        case ListOf():
            return f"a list, each item {describe(type_.item)}"
        case MapOf():
            return f"a map from {type_.key.form} to {describe(type_.item)}"
        case Group():
            return "a map of keys"
        case SchemaObject():
            return "a JSON Schema"
        case _:
            return _describe_scalar(type_)


def _describe_scalar(type_: Text | Whole | Money | Seconds | Span | Words | AnyValue) -> str:
    match type_:
        case Text():
            return type_.form
        case Whole():
            return f"a whole number from {type_.minimum:,} to {type_.maximum:,}"
        case Money():
            return "dollars, such as 50 or 0.05, with at most six decimals"
        case Seconds():
            return f"a number of seconds above 0 and up to {type_.maximum:,}"
        case Span():
            return "a duration with its unit, such as 30m, 24h or 7d"
        case Words():
            return f"one of {', '.join(type_.known)}" if len(type_.known) > 1 else f"the word {type_.known[0]}"
        case AnyValue():
            return "a text, a number, true or false"
