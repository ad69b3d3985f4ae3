"""The labels of a call's arguments, by value identity with what entered the run.

Knows: what an argument's equal value inherits, and that free text may quote the user.  Never: matches a part of a text
in an argument that says who, which or how much; an enum, a boolean or a whole number inherits nothing.
Source: docs/labels.md.  Property: `tests/property/test_labels.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Context, Decimal
from functools import lru_cache

import re2

from leverframe.core.provenance import INPUT_ORIGIN, ValueIndex, repeated_form, traceable_form, words
from leverframe.core.schema_places import Rules, leaves_of, lists_values, property_rules, rules_of
from leverframe.core.token_types import MAX_TEXT_CHARS, exact_form
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import UNTRACED, Confidentiality, Integrity, Label
from leverframe.domain.tools import ArgRole, ArgSpec

_NOT_DECLARED = ArgSpec()
_MOST_MONEY = 10**30
_MINOR_DIGITS = 2  # as thresholds count cents
# Members of enumerations that are asked for each argument; to look one up takes a tenth of a microsecond.
_FREE_TEXT, _AMOUNT = ArgRole.FREE_TEXT, ArgRole.AMOUNT
_USER, _THIRD_PARTY = Integrity.USER, Integrity.THIRD_PARTY
_EXACT = Context(prec=200)  # of a number with 40 digits on either side of its point, and more
_NUMBER = re2.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")


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
    spaced = as_it_stands = f" {value} "
    for origin, text in index.said if value else ():
        if as_it_stands not in text:
            if spaced is as_it_stands:
                spaced = f" {words(value)} "
                if not spaced.strip():
                    return None
            if spaced not in text:
                continue
        return _labelled(_USER, index.union.confidentiality, origin)
    return None


# An argument is labelled for every call, and few labels are ever given: a frozen value takes long to build.
@lru_cache(maxsize=1_024)
def _labelled(integrity: Integrity, confidentiality: Confidentiality, origin: str) -> Label:
    return Label(integrity=integrity, confidentiality=confidentiality, origin=origin)


def _label_arg(value: Json, name: str, spec: ArgSpec, index: ValueIndex, schema: Json) -> Label:
    is_amount = spec.role is _AMOUNT
    if is_amount and isinstance(value, int | Decimal):
        return _label_amount(value, spec.type or name, index, spec)
    secrecy = index.union.confidentiality
    rules = None if schema is None else property_rules(rules_of(schema, schema), name, schema)
    if not isinstance(value, Mapping | list | tuple):
        one = _label_leaf(value, spec.type or name, index, rules, spec)
        return _labelled(one.integrity, secrecy, one.origin)
    labels = [
        _label_leaf(leaf, type_name, index, listed, spec)
        for leaf, type_name, listed in leaves_of(value, spec.type or name, rules, schema)
    ]
    # An empty list or object has no leaf to trace, and leaving something out is a choice as well.
    integrity = min((label.integrity for label in labels), default=_THIRD_PARTY)
    origins = {label.origin for label in labels if label.integrity is integrity}
    return _labelled(integrity, secrecy, origins.pop() if len(origins) == 1 else "")


def _label_leaf(value: Json, type_name: str, index: ValueIndex, rules: Rules | None, spec: ArgSpec) -> Label:
    if rules and lists_values(rules):
        return UNTRACED
    if spec.role is _AMOUNT:
        if isinstance(value, int | Decimal):
            return _label_amount(value, type_name, index, spec)
        if isinstance(value, str) and _NUMBER.fullmatch(text := value.strip()):
            # Written as a text it is a number all the same, and a whole one is as easily equal.
            return _label_amount(Decimal(text), type_name, index, spec)
    return _label_scalar(value, type_name, index)


def _label_amount(value: int | Decimal, type_name: str, index: ValueIndex, spec: ArgSpec) -> Label:
    """The label of a number that is paid: a whole one only where the user wrote it as money (`$50`, `50.00`)."""
    secrecy = index.union.confidentiality
    is_number = not isinstance(value, bool) and (isinstance(value, int) or value.is_finite())
    # What is larger was paid by nobody, and has more digits than a number may be written with.
    if not is_number or not -_MOST_MONEY < value < _MOST_MONEY:
        return _labelled(UNTRACED.integrity, secrecy, "")
    found = _paid(value, type_name, index, spec) if index.paid else None
    if found is None:
        form = traceable_form(value, type_name)
        found = UNTRACED if form is None else known_label(index, type_name, form)
    return _labelled(found.integrity, secrecy, found.origin)


def _paid(value: int | Decimal, type_name: str, index: ValueIndex, spec: ArgSpec) -> Label | None:
    """The label of an amount that the user wrote as money of the argument's currency."""
    number = Decimal(value).scaleb(-_MINOR_DIGITS, _EXACT) if spec.unit == "minor" else Decimal(value)
    written = index.paid.get((type_name, str(exact_form(number))), ())
    return next((label for money, label in written if money.is_in(spec.currency or "USD")), None)


def _label_scalar(value: Json, type_name: str, index: ValueIndex) -> Label:
    form = traceable_form(value, type_name)
    if form is None:
        return UNTRACED
    return known_label(index, type_name, form)


def known_label(index: ValueIndex, type_name: str, form: str) -> Label:
    """The label of an argument of this type and normal form, by what entered the run and what people endorsed in it."""
    found = index.known.get((type_name, form))
    if found is None:
        found = index.echoed.get((type_name, form), UNTRACED)
    is_raised = found.integrity is not _THIRD_PARTY and not found.origin.startswith(INPUT_ORIGIN)
    if index.written and is_raised and repeated_form(form) in index.written:
        # Another tool's record of what the agent itself has put there.
        found = replace(found, integrity=_THIRD_PARTY)
    eased = index.eased.get((type_name, form)) if index.eased else None
    if eased is None or eased.integrity <= found.integrity:
        return found
    # What a person vouched for is as secret as the most secret of its equals.
    return replace(eased, confidentiality=max(eased.confidentiality, found.confidentiality))
