"""What entered a run, by value: the index in which an argument's equal value is found again.

Knows: which fields entered a run, under which semantic type and label.  Never: matches a substring, nor lowers
confidentiality; a match may only raise integrity above third-party.  What a call was asked with teaches nothing where
its answer says it back.
Both sides need the same semantic type (declared, else the property's name; a whole value that a project's `types`
pattern matches has that type too).  Booleans, nulls, enums and whole numbers never match: they are too easily equal.
Source: docs/labels.md.  Property: `tests/property/test_labels.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from unicodedata import normalize

import re2

from leverframe.core.hidden_text import PILED_UP, is_hidden
from leverframe.core.places import escaped, is_starred, label_at, place_of, stands_for, walk, walk_labelled
from leverframe.core.token_types import MAX_TEXT_CHARS, NO_TYPES, TokenTypes, exact_form, normal_form
from leverframe.core.written_money import Money, is_written_as_money, written_money
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Confidentiality, Integrity, Label, join
from leverframe.domain.tools import ToolSpec

Pair = tuple[str, str]  # semantic type and normal form

INPUT_ORIGIN = "input/"

_NO_NAMES: Mapping[str, str] = {}
_PLAIN_KEY = re2.compile(r"[A-Za-z0-9_.:$@-]{1,64}")
_FRACTION = re2.compile(r"[+-]?[0-9]{1,40}\.[0-9]{1,40}")
_MOST_OF_A_NAME = 64
_AROUND_WORDS = ".,;:!?'\"`()[]{}<>*_"
# No text that a project's pattern or a name of a property leads to begins so: a number is never equal to a text.
_NUMBER = "\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueIndex:
    """Every traceable value of a run: (semantic type, normal form) -> the label that an equal argument inherits.

    `union` joins all that entered; it is the confidentiality of every argument and the label of a model's output.
    `eased` holds what people endorsed: an equal argument is at least as trusted as that, wherever else it stands.
    `said` holds the user's own texts, so that free text which quotes them is known for the user's.
    `echoed` raises nothing: it says where a value turned up that no source was found for.
    `written` is looked up with every argument: a value that is written and read back is nobody's again.
    `paid` is apart from `known`, since no answer may add to it: a whole number counts there and nowhere else.
    """

    types: TokenTypes = NO_TYPES
    known: Mapping[Pair, Label] = field(default_factory=dict)
    union: Label = field(default_factory=lambda: join(()))
    said: tuple[tuple[str, str], ...] = ()  # origin and text of what the user wrote
    eased: Mapping[Pair, Label] = field(default_factory=dict)
    echoed: Mapping[Pair, Label] = field(default_factory=dict)  # what answers said back, where nothing else knows it
    written: frozenset[str] = frozenset()  # forms of what the agent wrote somewhere, traced to nothing (`asked_with`)
    paid: Mapping[Pair, tuple[tuple[Money, Label], ...]] = field(default_factory=dict)  # money in the user's words


def index_input(
    values: JsonObject,
    *,
    opener: Integrity,
    trust: Mapping[str, Integrity],
    types: TokenTypes = NO_TYPES,
    confidentiality: Confidentiality = Confidentiality.TENANT,
) -> ValueIndex:
    """Start an index with a run's input.

    Args:
        values: the input, checked against the contract's schema.
        opener: the integrity of who opened the run: the default label of every field.
        trust: the contract's `input_trust`, by property name or JSON pointer.
        types: the project's typed tokens; they are lifted from strings with the label user and from no other.
        confidentiality: who may read the input.
    """
    labels = label_input(opener=opener, trust=trust, confidentiality=confidentiality)
    return _with_values(ValueIndex(types=types), values, labels, origin="input", lifts_tokens=True)


def label_input(
    *,
    opener: Integrity,
    trust: Mapping[str, Integrity],
    confidentiality: Confidentiality = Confidentiality.TENANT,
) -> Mapping[str, Label]:
    """The labels of a run's input by JSON pointer; "" is all of it."""
    pointers = {place_of(key) if key.startswith("/") else f"/{escaped(key)}": level for key, level in trust.items()}
    return {
        pointer: Label(integrity=level, confidentiality=confidentiality, origin=f"input{pointer}")
        for pointer, level in {"": opener, **pointers}.items()
    }


def bringing(index: ValueIndex, opener: Integrity, inherits: Confidentiality) -> ValueIndex:
    """The index of a run whose opener may bring along what it has seen elsewhere: nobody knows what that was.

    Whoever is trusted says what they give; an agent's own key says nothing, and its model has read something.
    """
    if opener is not Integrity.THIRD_PARTY:
        return index
    seen = Label(integrity=opener, confidentiality=inherits)
    return replace(index, union=join((index.union, seen)))


def index_result(
    index: ValueIndex,
    result: Json,
    labels: Mapping[str, Label],
    *,
    step: str,
    spec: ToolSpec | None = None,
    asked: Iterable[str] = (),
) -> ValueIndex:
    """Add a tool's answer, whose `labels` are those of `label_output`; the old index stays as it was.

    Args:
        index: what entered before.
        result: the answer.
        labels: of its places.
        step: the path of the call.
        spec: names the semantic types of fields that go by another name (`output_types`).
        asked: the forms of what the call was asked with (`asked_with`).  An equal value in the answer is an echo, and
            says nothing of where it is from: a tool that repeats an address does not know it.
    """
    declared = _NO_NAMES if spec is None else spec.output_types
    return _with_values(index, result, labels, origin=step, declared=declared, asked=frozenset(asked))


def asked_with(*args: Json) -> frozenset[str]:
    """The forms in which an answer may repeat what its call was asked with, keys included."""
    found: set[str] = set()
    for each in args:
        for _, _, node in walk(each, inner=True):
            texts = node if isinstance(node, Mapping) else () if isinstance(node, list | tuple) else (node,)
            found.update(form for text in texts if (form := repeated_form(text)))
    return frozenset(found)


def label_output(result: Json, spec: ToolSpec, *, step: str = "", types: TokenTypes = NO_TYPES) -> Mapping[str, Label]:
    """The labels of a tool's answer by JSON pointer; "" is the whole answer, and the longest pointer wins.

    A `*` in a pointer of `output_trust` stands for any index or key; here it is written out for what is there.
    What a tool's spec does not name is third-party.  `types` are those that `endorse` names.
    """
    rules = {"": Integrity.THIRD_PARTY, **spec.output_trust}
    if result and isinstance(result, str | list | tuple):
        # What came in another form than the spec names may hold any part: a text that was to be read as an object.
        missed = [level for pointer, level in rules.items() if pointer and not _leads_into(result, pointer)]
        rules[""] = min([rules[""], *missed])
    found = {
        place_of(pointer): Label(
            integrity=level, confidentiality=spec.output_confidentiality, origin=f"{step}{pointer}"
        )
        for pointer, level in rules.items()
        if not is_starred(pointer)
    }
    starred = {pointer: level for pointer, level in rules.items() if is_starred(pointer)}
    for place, _, _ in walk(result, inner=True) if starred else ():
        levels = [level for pointer, level in starred.items() if stands_for(pointer, place)]
        if levels and place not in found:
            found[place] = Label(
                integrity=min(levels), confidentiality=spec.output_confidentiality, origin=f"{step}{place}"
            )
    for place in endorsed_places(result, spec, types):
        if label_at(found, place).integrity < Integrity.TENANT_RECORD:
            found[place] = Label(
                integrity=Integrity.TENANT_RECORD,
                confidentiality=spec.output_confidentiality,
                origin=f"{step}{place}",
            )
    return found


def _leads_into(result: Json, pointer: str) -> bool:
    first = pointer.split("/")[1]
    return isinstance(result, list | tuple) and (first == "*" or first.isdigit())


def endorsed_places(result: Json, spec: ToolSpec, types: TokenTypes) -> Mapping[str, str]:
    """Where the answer's own form endorses a value: place -> the type whose pattern it wholly matches.

    The validator is the project's pattern: a name that is one word can name a thing and cannot say anything.  One value
    that does not match stays what it was, and lowers the union of the run as it always did.
    """
    if not spec.endorse:
        return {}
    return {
        place: type_name
        for place, _, leaf in walk(result)
        for pointer, type_name in spec.endorse.items()
        if isinstance(leaf, str) and stands_for(pointer, place) and type_name in types.whole(leaf)
    }


def run_union(index: ValueIndex) -> Label:
    """The join of all that entered the run: the label of whatever a model writes after it."""
    return index.union


def traceable_form(value: Json, type_name: str) -> str | None:
    """The normal form under which a value is traced, or None where it never matches."""
    if isinstance(value, str):
        return normal_form(type_name, value) or None
    # A fraction is traced by its exact value, so that 49.90 and 49.9 are one; whole numbers are too easily equal.
    if isinstance(value, Decimal) and value.is_finite() and value != value.to_integral_value():
        return f"{_NUMBER}{exact_form(value)}"
    return None


def typed_forms(value: Json, key: str, types: TokenTypes) -> Iterator[Pair]:
    """Every semantic type and normal form under which a value is known; none where it is never traced."""
    form = traceable_form(value, key)
    if form is not None and key:
        yield key, form
        if isinstance(value, str) and _FRACTION.fullmatch(text := value.strip()):
            number = traceable_form(Decimal(text), key)
            if number is not None:
                yield key, number
    if isinstance(value, str):
        for type_name in types.whole(value):
            yield type_name, normal_form(type_name, value)


def words(text: str) -> str:
    """A text as words with one space between them; punctuation around words is let go, case is kept."""
    bare = (word.strip(_AROUND_WORDS) for word in text[:MAX_TEXT_CHARS].split())
    return " ".join(word for word in bare if word)


def _with_values(
    index: ValueIndex,
    values: Json,
    labels: Mapping[str, Label],
    *,
    origin: str,
    lifts_tokens: bool = False,
    declared: Mapping[str, str] = _NO_NAMES,
    asked: frozenset[str] = frozenset(),
) -> ValueIndex:
    known, paid, said = dict(index.known), dict(index.paid), list(index.said)
    echoed = dict(index.echoed)
    entered = {index.union}
    for place, key, leaf, label in walk_labelled(values, labels):
        if isinstance(leaf, Mapping | list | tuple):
            # What is in it counts by itself; a key that is more than a name is a text of whoever wrote the object.
            if isinstance(leaf, Mapping) and not all(map(_is_name, leaf)):
                entered.add(label)
            continue
        entered.add(label)
        traced = Label(integrity=label.integrity, confidentiality=label.confidentiality, origin=f"{origin}{place}")
        if lifts_tokens and isinstance(leaf, str) and _is_user(label):
            said.append((traced.origin, f" {words(leaf)} "))
            _lift(leaf, index.types, traced, known, paid)
        name = next((name for pointer, name in declared.items() if stands_for(pointer, place)), key)
        is_echo = bool(asked) and repeated_form(leaf) in asked
        for pair in typed_forms(leaf, name, index.types):
            if is_echo:
                # Whoever asked had it before, from wherever that was.
                echoed.setdefault(pair, replace(traced, integrity=Integrity.THIRD_PARTY))
            else:
                _learn(known, pair, traced)
    return replace(index, known=known, echoed=echoed, union=join(entered), said=tuple(said), paid=paid)


def _lift(
    text: str,
    types: TokenTypes,
    label: Label,
    known: dict[Pair, Label],
    paid: dict[Pair, tuple[tuple[Money, Label], ...]],
) -> None:
    """Learn the typed tokens of the user's own text, and what they wrote as money."""
    for type_name, start, end in types.tokens(text):
        token = text[start:end]
        money = written_money(text, start, end)
        if money is not None:
            pair = (type_name, money.number)
            before = paid.get(pair, ())
            # Once for each currency that its marks may mean, however often it is written.
            if all(one != money for one, _ in before):
                paid[pair] = (*before, (money, label))
        elif is_written_as_money(token):
            continue  # what stands beside it makes it another amount
        _learn(known, (type_name, normal_form(type_name, token)), label)


def _learn(known: dict[Pair, Label], pair: Pair, label: Label) -> None:
    old = known.get(pair)
    known[pair] = label if old is None else _met(old, label)


def repeated_form(value: Json) -> str:
    """A value as an answer may repeat it: without case, blanks, signs that nobody sees, and compatibility forms.

    A form under which a value is traced has the same one as the value.  A whole number is never traced, and a tool may
    say it back as a text, which is.
    """
    if isinstance(value, str):
        if not (value.isascii() and value.isprintable()):
            form = value if PILED_UP.search(value) else normalize("NFKC", value)
            value = "".join(char for char in form if not is_hidden(char))
        plain = "".join(value.removeprefix(_NUMBER).casefold().split())
        return str(exact_form(Decimal(plain))) if _FRACTION.fullmatch(plain) else plain
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return str(exact_form(value)) if isinstance(value, Decimal) and value.is_finite() else ""


def _is_name(key: str) -> bool:
    # Most keys are plain words, which the pattern would take ten times as long to tell.
    return (key.isascii() and key.isidentifier() and len(key) <= _MOST_OF_A_NAME) or bool(_PLAIN_KEY.fullmatch(key))


def _met(one: Label, other: Label) -> Label:
    """What two equal values give: user where the user's own text holds it, else the lowest; the higher secrecy."""
    if _is_user(one) or _is_user(other):
        found = one if _is_user(one) else other
    else:
        found = min(one, other, key=lambda label: label.integrity)
    secrecy = max(one.confidentiality, other.confidentiality)
    return found if found.confidentiality is secrecy else replace(found, confidentiality=secrecy)


def _is_user(label: Label) -> bool:
    return label.integrity is Integrity.USER
