"""Where the values of a call come from, by value identity.

Knows: which fields entered a run, under which semantic type and label, and what an argument's equal value inherits.
Never: matches a substring, nor lowers confidentiality; a match may only raise integrity above third-party.
Both sides need the same semantic type (declared, else the property's name; a whole value that a project's `types`
pattern matches has that type too).  Booleans, nulls, enums and whole numbers never match: they are too easily equal.
Source: docs/labels.md.  Property: `tests/property/test_labels.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache

import re2

from leverframe.core.schema_places import Rules, leaves_of, lists_values, property_rules, rules_of
from leverframe.core.token_types import MAX_TEXT_CHARS, NO_TYPES, TokenTypes, exact_form, money_form, normal_form
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import UNTRACED, Confidentiality, Integrity, Label, join
from leverframe.domain.tools import ArgRole, ArgSpec, ToolSpec

_NOT_DECLARED = ArgSpec()
_NO_NAMES: Mapping[str, str] = {}
_MOST_MONEY = 10**30
# Members of enumerations that are asked for each argument; to look one up takes a tenth of a microsecond.
_FREE_TEXT, _AMOUNT = ArgRole.FREE_TEXT, ArgRole.AMOUNT
_USER, _THIRD_PARTY = Integrity.USER, Integrity.THIRD_PARTY
_NUMBER = re2.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_PLAIN_KEY = re2.compile(r"[A-Za-z0-9_.:$@-]{1,64}")
_MOST_OF_A_NAME = 64
_AROUND_WORDS = ".,;:!?'\"`()[]{}<>*_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueIndex:
    """Every traceable value of a run: (semantic type, normal form) -> the label that an equal argument inherits.

    `union` joins all that entered; it is the confidentiality of every argument and the label of a model's output.
    `eased` holds what people endorsed: an equal argument is at least as trusted as that, wherever else it stands.
    `said` holds the user's own texts, so that free text which quotes them is known for the user's.
    """

    types: TokenTypes = NO_TYPES
    known: Mapping[tuple[str, str], Label] = field(default_factory=dict)
    union: Label = field(default_factory=lambda: join(()))
    said: tuple[tuple[str, str], ...] = ()  # origin and text of what the user wrote
    eased: Mapping[tuple[str, str], Label] = field(default_factory=dict)


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
    pointers = {key if key.startswith("/") else f"/{escaped(key)}": level for key, level in trust.items()}
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
    index: ValueIndex, result: Json, labels: Mapping[str, Label], *, step: str, spec: ToolSpec | None = None
) -> ValueIndex:
    """Add a tool's answer, whose `labels` are those of `label_output`; the old index stays as it was.

    `spec` names the semantic types of fields that go by another name (`output_types`).
    """
    return _with_values(index, result, labels, origin=step, declared={} if spec is None else spec.output_types)


def label_output(result: Json, spec: ToolSpec, *, step: str = "", types: TokenTypes = NO_TYPES) -> Mapping[str, Label]:
    """The labels of a tool's answer by JSON pointer; "" is the whole answer, and the longest pointer wins.

    A `*` in a pointer of `output_trust` stands for any index or key; here it is written out for what is there.
    What a tool's spec does not name is third-party.  `types` are those that `endorse` names.
    """
    rules = {"": Integrity.THIRD_PARTY, **spec.output_trust}
    found = {
        pointer: Label(integrity=level, confidentiality=spec.output_confidentiality, origin=f"{step}{pointer}")
        for pointer, level in rules.items()
        if not _is_starred(pointer)
    }
    starred = {pointer: level for pointer, level in rules.items() if _is_starred(pointer)}
    for place, _, _ in _walk(result, "", inner=True) if starred else ():
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


def endorsed_places(result: Json, spec: ToolSpec, types: TokenTypes) -> Mapping[str, str]:
    """Where the answer's own form endorses a value: place -> the type whose pattern it wholly matches.

    The validator is the project's pattern: a name that is one word can name a thing and cannot say anything.  One value
    that does not match stays what it was, and lowers the union of the run as it always did.
    """
    if not spec.endorse:
        return {}
    return {
        place: type_name
        for place, _, leaf in _walk(result, "")
        for pointer, type_name in spec.endorse.items()
        if isinstance(leaf, str) and stands_for(pointer, place) and type_name in types.whole(leaf)
    }


def label_at(labels: Mapping[str, Label], pointer: str) -> Label:
    """The label of the value at `pointer`: that of the longest prefix; none is third-party."""
    while True:
        label = labels.get(pointer)
        if label is not None:
            return label
        if not pointer:
            return UNTRACED
        pointer = pointer[: pointer.rindex("/")]


def label_args(
    args: JsonObject, specs: Mapping[str, ArgSpec], index: ValueIndex, schema: Json = None
) -> dict[str, Label]:
    """The label of each argument: of the equal value that entered the run, else third-party; nested values, the lowest.

    Args:
        args: the parsed arguments.
        specs: `ToolSpec.args`; an argument without one has its own name as its semantic type.
        index: what entered the run.
        schema: the tool's input schema, for its enums; None where there is none.

    Confidentiality is that of the whole run, matched or not: an encoded secret matches nothing.
    """
    found = {}
    for name, value in args.items():
        spec = specs.get(name, _NOT_DECLARED)
        label = _quoted(value, index) if spec.role is _FREE_TEXT and index.said else None
        found[name] = label or _label_arg(value, name, spec, index, schema)
    return found


def _quoted(value: Json, index: ValueIndex) -> Label | None:
    """The label of free text that is, whole, a run of words in the user's own text.

    Only free text: it steers nobody, and names nothing.  A selector or a recipient is never matched within a text.
    """
    # What is longer than a text that is indexed is no passage of one.
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        return None
    # Found as it stands it is found as words, since the user's text has one space between its words and no more.
    words = as_it_stands = f" {value} "
    for origin, text in index.said if value else ():
        if as_it_stands not in text:
            if words is as_it_stands:
                words = f" {_words(value)} "
                if not words.strip():
                    return None
            if words not in text:
                continue
        return _labelled(_USER, index.union.confidentiality, origin)
    return None


# An argument is labelled for every call, and few labels are ever given: a frozen value takes long to build.
@lru_cache(maxsize=1_024)
def _labelled(integrity: Integrity, confidentiality: Confidentiality, origin: str) -> Label:
    return Label(integrity=integrity, confidentiality=confidentiality, origin=origin)


def _words(text: str) -> str:
    """A text as words with one space between them; punctuation around words is let go, case is kept."""
    bare = (word.strip(_AROUND_WORDS) for word in text[:MAX_TEXT_CHARS].split())
    return " ".join(word for word in bare if word)


def run_union(index: ValueIndex) -> Label:
    """The join of all that entered the run: the label of whatever a model writes after it."""
    return index.union


def _label_arg(value: Json, name: str, spec: ArgSpec, index: ValueIndex, schema: Json) -> Label:
    is_amount = spec.role is _AMOUNT
    if is_amount and isinstance(value, int | Decimal):
        return _label_amount(value, spec.type or name, index)
    secrecy = index.union.confidentiality
    rules = None if schema is None else property_rules(rules_of(schema, schema), name, schema)
    if not isinstance(value, Mapping | list | tuple):
        one = _label_leaf(value, spec.type or name, index, rules, is_amount=is_amount)
        return _labelled(one.integrity, secrecy, one.origin)
    labels = [
        _label_leaf(leaf, type_name, index, listed, is_amount=is_amount)
        for leaf, type_name, listed in leaves_of(value, spec.type or name, rules, schema)
    ]
    # An empty list or object has no leaf to trace, and leaving something out is a choice as well.
    integrity = min((label.integrity for label in labels), default=_THIRD_PARTY)
    origins = {label.origin for label in labels if label.integrity is integrity}
    return _labelled(integrity, secrecy, origins.pop() if len(origins) == 1 else "")


def _label_leaf(value: Json, type_name: str, index: ValueIndex, rules: Rules | None, *, is_amount: bool) -> Label:
    if rules and lists_values(rules):
        return UNTRACED
    if is_amount and isinstance(value, str) and _NUMBER.fullmatch(text := value.strip()):
        # Written as a text it is a number all the same, and a whole one is as easily equal.
        return _label_amount(Decimal(text), type_name, index)
    return _label_scalar(value, type_name, index)


def _label_amount(value: int | Decimal, type_name: str, index: ValueIndex) -> Label:
    """The label of a number that is paid: a whole one only where the user wrote it as money (`$50`, `50.00`)."""
    secrecy = index.union.confidentiality
    is_number = not isinstance(value, bool) and (isinstance(value, int) or value.is_finite())
    # What is larger was paid by nobody, and has more digits than a number may be written with.
    if not is_number or not -_MOST_MONEY < value < _MOST_MONEY:
        return _labelled(UNTRACED.integrity, secrecy, "")
    money = index.known.get((_money_of(type_name), str(exact_form(Decimal(value))))) if index.types.patterns else None
    form = traceable_form(value, type_name) if money is None else None
    found = money or (UNTRACED if form is None else known_label(index, type_name, form))
    return _labelled(found.integrity, secrecy, found.origin)


def _money_of(type_name: str) -> str:
    """What money in the user's own words is known under: no type that a project declares has such a name."""
    return f"{type_name} (money)"


def _label_scalar(value: Json, type_name: str, index: ValueIndex) -> Label:
    form = traceable_form(value, type_name)
    if form is None:
        return UNTRACED
    return known_label(index, type_name, form)


def known_label(index: ValueIndex, type_name: str, form: str) -> Label:
    """The label of an argument of this type and normal form, by what entered the run and what people endorsed in it."""
    found = index.known.get((type_name, form), UNTRACED)
    eased = index.eased.get((type_name, form)) if index.eased else None
    if eased is None or eased.integrity <= found.integrity:
        return found
    # What a person vouched for is as secret as the most secret of its equals.
    return replace(eased, confidentiality=max(eased.confidentiality, found.confidentiality))


def traceable_form(value: Json, type_name: str) -> str | None:
    """The normal form under which a value is traced, or None where it never matches."""
    if isinstance(value, str):
        return normal_form(type_name, value) or None
    # A fraction is traced by its exact value, so that 49.90 and 49.9 are one; whole numbers are too easily equal.
    if isinstance(value, Decimal) and value.is_finite() and value != value.to_integral_value():
        return str(exact_form(value))
    return None


def _is_name(key: str) -> bool:
    # Most keys are plain words, which the pattern would take ten times as long to tell.
    return (key.isascii() and key.isidentifier() and len(key) <= _MOST_OF_A_NAME) or bool(_PLAIN_KEY.fullmatch(key))


def _with_values(
    index: ValueIndex,
    values: Json,
    labels: Mapping[str, Label],
    *,
    origin: str,
    lifts_tokens: bool = False,
    declared: Mapping[str, str] = _NO_NAMES,
) -> ValueIndex:
    known = dict(index.known)
    entered = [index.union]
    said = list(index.said)
    for place, key, leaf in _walk(values, "", inner=True):
        label = label_at(labels, place)
        if isinstance(leaf, Mapping | list | tuple):
            # What is in it counts by itself; a key that is more than a name is a text of whoever wrote the object.
            if isinstance(leaf, Mapping) and not all(map(_is_name, leaf)):
                entered.append(label)
            continue
        entered.append(label)
        if lifts_tokens and isinstance(leaf, str) and _is_user(label):
            said.append((f"{origin}{place}", f" {_words(leaf)} "))
        traced = replace(label, origin=f"{origin}{place}")
        name = next((name for pointer, name in declared.items() if stands_for(pointer, place)), key)
        for pair in typed_forms(leaf, name, index.types, lifts=lifts_tokens and _is_user(label)):
            old = known.get(pair)
            known[pair] = traced if old is None else _met(old, traced)
    return replace(index, known=known, union=join(entered), said=tuple(said))


def typed_forms(value: Json, key: str, types: TokenTypes, *, lifts: bool = False) -> Iterator[tuple[str, str]]:
    """Every semantic type and normal form under which a value is known; none where it is never traced."""
    form = traceable_form(value, key)
    if form is not None and key:
        yield key, form
    if isinstance(value, str):
        for type_name in types.whole(value):
            yield type_name, normal_form(type_name, value)
        if lifts:
            for type_name, token in types.tokens(value):
                yield type_name, normal_form(type_name, token)
                money = money_form(token)
                if money is not None:
                    yield _money_of(type_name), money


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


def _walk(value: Json, key: str, *, inner: bool = False) -> Iterator[tuple[str, str, Json]]:
    """Yield (JSON pointer, name of the nearest property, scalar) of every leaf; with `inner`, of containers too."""
    waiting: list[tuple[str, str, Json]] = [("", key, value)]
    while waiting:
        place, name, node = waiting.pop()
        if isinstance(node, Mapping):
            waiting.extend((f"{place}/{escaped(child)}", child, item) for child, item in node.items())
        elif isinstance(node, list | tuple):
            waiting.extend((f"{place}/{position}", name, item) for position, item in enumerate(node))
        else:
            yield place, name, node
            continue
        if inner:
            yield place, name, node


def escaped(key: str) -> str:
    """One reference token of a JSON pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def _is_starred(pointer: str) -> bool:
    return "*" in pointer.split("/")


def stands_for(pattern: str, place: str) -> bool:
    """Whether a pointer in which `*` stands for any index or key is of this place."""
    wanted, there = pattern.split("/"), place.split("/")
    return len(wanted) == len(there) and all(a in ("*", b) for a, b in zip(wanted, there, strict=True))
