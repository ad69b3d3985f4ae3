"""What looks wrong in what a server says of its tools, for a person who is about to review them.

Knows: text that a person does not see, sentences that command a model rather than describe a tool, names that look like
another's.  Never: decides; and never says that a text is harmless: a plainly worded attack matches no pattern.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leverframe.core.hidden_text import hidden_kinds, is_hidden, spelled_by_tags
from leverframe.domain.json import Json, JsonObject


class Suspect(StrEnum):
    """What kind of thing looks wrong."""

    HIDDEN = "hidden-text"
    COMMANDS = "commands-the-model"
    LOOK_ALIKE = "look-alike-name"
    MENTIONS = "mentions-another-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """One thing that looks wrong, at a JSON pointer into the definition, in words for a person."""

    kind: Suspect
    pointer: str
    text: str


# Groups of words, one after another with at most so many characters between them: bounded, since these run on foreign
# text and must not be slow on any of it.
_SPOKEN_TO: Final = r"\b(?:you|(?:the )?(?:assistant|model|agent|llm|ai))"
_DUTY: Final = r"\b(?:must|should|shall|(?:has|have|(?:is|are) required) to)\b"
_ACT: Final = r"\b(?:call|use|invoke|run|read|send|fetch|include|pass|provide|append|forward|copy)\b"
_LOCAL: Final = r"(?:~/|/etc/|\.ssh\b|id_rsa|\.env\b|mcp\.json|\.aws/|private key|api[_ -]?key|access token)"
_IN_SIGHT: Final = r"(?:full context|whole context|previous messages|environment variables|credentials)"
_PHRASES: Final[tuple[tuple[int, tuple[str, ...]], ...]] = (
    (
        40,
        (
            r"\b(?:ignore|disregard|forget|override)\b",
            r"\b(?:previous|prior|above|earlier|all|any|other|your)\b",
            r"\b(?:instruction|rule|prompt|direction|guideline|message|polic)",
        ),
    ),
    (
        30,
        (
            r"\b(?:do not|don't|never|must not|without)\b",
            r"\b(?:tell|inform|mention|reveal|show|notify|alert|ask|warn)",
            r"\b(?:user|human|person|anyone|operator|customer)",
        ),
    ),
    (60, (_SPOKEN_TO + r"\s+" + _DUTY, _ACT)),
    (60, (r"\b(?:before|after|when|whenever|prior to|each time)\b", r"\b(?:other|another)\b.{0,20}\btools?\b")),
    (60, (r"\b(?:before|prior to) (?:using|calling|invoking)\b", r"\btools?\b", _ACT)),
    (80, (_LOCAL, r"\b(?:contents?|pass|send|include|argument|parameter)\b")),
    (60, (r"\b(?:pass|send|include|append|provide|put|copy)\b", _IN_SIGHT)),
    (0, (r"<\s*/?\s*(?:important|system|instructions?|secret|admin|assistant|hidden|critical)\b[^>]{0,40}>",)),
    (0, (r"\b(?:system prompt|developer message|chain of thought|conversation history|chat history)\b",)),
    (0, (r"\b(?:takes? precedence over|instead of (?:the )?\S{1,60} tool|must always be (?:called|used) first)\b",)),
)
_COMMANDS: Final = tuple(
    # Within one sentence: what ends one also ends a command.
    re.compile(rf"[^.!?]{{0,{gap}}}?".join(words), re.IGNORECASE)
    for gap, words in _PHRASES
)
_BLOB: Final = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")
_LONGEST: Final = 20_000  # of a text that is read; a longer one is suspicious by itself
_SHOWN: Final = 120
_DISTINCT: Final = 6  # characters of a name that no sentence holds by chance
# Which characters look like a Latin letter, Cyrillic, Greek and Armenian ones and digits.  Source: a part of the
# confusables of Unicode Technical Standard 39; NFKC has taken care of wide, bold and other forms before.
_LATIN: Final[Mapping[str, str]] = {
    "a": "\u0430\u03b1\u0251\u0410\u0391",
    "b": "\u0412\u0392\u042c\u044c",
    "c": "\u0441\u0421\u03f2",
    "d": "\u0501\u0257",
    "e": "\u0435\u0415\u0395\u0454",
    "g": "\u0261\u0581",
    "h": "\u04bb\u041d\u0397\u0570\u043d",
    "i": "\u0456\u0406\u03b9\u0399\u0131",
    "j": "\u0458\u0408",
    "k": "\u043a\u041a\u03ba\u039a",
    "l": "1I|\u04cf\u04c0\u01c0\u2113\u217c",
    "m": "\u041c\u039c\u043c",
    "n": "\u039d\u0578",
    "o": "0\u043e\u041e\u03bf\u039f\u0585\u03c3",
    "p": "\u0440\u0420\u03c1\u03a1",
    "q": "\u051b",
    "r": "\u0433",
    "s": "5\u0455\u0405\u054f",
    "t": "\u0442\u0422\u03c4\u03a4",
    "u": "\u03c5\u057d",
    "v": "\u03bd\u0475",
    "w": "\u051d\u03c9",
    "x": "\u0445\u0425\u03c7\u03a7",
    "y": "\u0443\u0423\u03b3\u03a5",
    "z": "\u0396",
}
_LOOKS: Final = str.maketrans({char: letter for letter, chars in _LATIN.items() for char in chars})


def suspicions(definition: JsonObject, others: Mapping[str, Sequence[str]]) -> tuple[Suspicion, ...]:
    """What looks wrong in one definition.

    Args:
        definition: as the server sent it.
        others: the names of the tools of every other server, by server.
    """
    found = [one for pointer, text in texts(definition) for one in _of_text(pointer, text)]
    said = "\n".join(text for pointer, text in texts(definition) if pointer != "/name").casefold()
    for server, names in others.items():
        mentioned = [name for name in names if len(name) >= _DISTINCT and _holds_word(said, name.casefold())]
        found += [
            Suspicion(kind=Suspect.MENTIONS, pointer="", text=f"it speaks of {name!r}, a tool of server {server!r}")
            for name in mentioned
        ]
    return tuple(found)


def look_alikes(names: Mapping[str, Sequence[str]]) -> Mapping[tuple[str, str], Suspicion]:
    """The tools whose names look like another's, by server and name; equal names are told apart by their server."""
    by_look: dict[str, list[tuple[str, str]]] = {}
    for server, each in names.items():
        for name in each:
            by_look.setdefault(look_of(name), []).append((server, name))
    found: dict[tuple[str, str], Suspicion] = {}
    for group in by_look.values():
        for server, name in group:
            like = next((f"{other!r} of server {where!r}" for where, other in group if other != name), None)
            if like is None and not name.isascii():
                like = "another name, since it has letters that are not ASCII"
            if like is not None:
                text = f"{name!r} looks like {like}"
                found[server, name] = Suspicion(kind=Suspect.LOOK_ALIKE, pointer="/name", text=text)
    return found


def look_of(name: str) -> str:
    """What a name looks like at a glance: two names with one look are taken for each other."""
    seen = "".join(char for char in unicodedata.normalize("NFKC", name) if not is_hidden(char))
    # A small i is taken for an l where the other one is a capital.
    plain = seen.translate(_LOOKS).casefold().translate(_LOOKS).replace("i", "l")
    plain = "".join(char for char in unicodedata.normalize("NFD", plain) if not unicodedata.combining(char))
    return re.sub(r"[\s._\-]", "", plain).replace("rn", "m").replace("vv", "w")


def texts(value: Json, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a definition with its JSON pointer, the keys of objects too: a model reads all of it."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            if not key.isascii() or any(map(is_hidden, key)):
                yield place, key
            yield from texts(one, place)
    elif isinstance(value, list | tuple):
        for at, one in enumerate(value):
            yield from texts(one, f"{pointer}/{at}")


def _of_text(pointer: str, text: str) -> Iterator[Suspicion]:
    kinds = hidden_kinds(text)
    if kinds:
        spelled = spelled_by_tags(text)
        says = f", which spell {spelled[:_SHOWN]!r}" if spelled else ""
        yield Suspicion(kind=Suspect.HIDDEN, pointer=pointer, text=f"hidden characters: {', '.join(kinds)}{says}")
    if len(text) > _LONGEST:
        yield Suspicion(kind=Suspect.COMMANDS, pointer=pointer, text=f"{len(text):,} characters of text")
    # As a model reads it, and with what the tags spell: a split word must not hide one.
    # Cut before it is normalised: marks piled up by the thousand take time by their square.
    seen = "".join(char for char in text if not is_hidden(char))[:_LONGEST]
    plain = unicodedata.normalize("NFKC", seen)[:_LONGEST]
    for pattern in _COMMANDS:
        match = pattern.search(plain) or pattern.search(spelled_by_tags(text)[:_LONGEST])
        if match is not None:
            yield Suspicion(
                kind=Suspect.COMMANDS, pointer=pointer, text=f"it commands the model: {_cut(match.group())!r}"
            )
            break
    if _BLOB.search(plain) and not pointer.endswith(("/pattern", "/const")):
        yield Suspicion(kind=Suspect.COMMANDS, pointer=pointer, text="a long run of letters that nobody reads")


def _holds_word(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[: _SHOWN - 1]}…"
