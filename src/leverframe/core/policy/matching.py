"""Which of a tool's rules match a call, without evaluating every one of them.

Knows: a table for each field that rules guard by; those that its value leaves open are evaluated, and no others.
Never: decides by a table.  A table only leaves out rules that are certainly false; a value of another type, or none,
leaves out nothing.  Property: `tests/property/test_policy_fast_equals_slow.py`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final

from leverframe.core.conditions import Compiled, ConditionEnv
from leverframe.core.conditions.compiler import Test
from leverframe.core.conditions.values import is_number
from leverframe.core.policy.amounts import Threshold
from leverframe.core.policy.guards import Guard, GuardKind, guard_of
from leverframe.domain.conditions import Path, Truth
from leverframe.domain.policy import Rule

Places = tuple[int, ...]  # of rules, in the order of the contract
# The values of a call under args, facts and run, as a `ConditionEnv` has them.
Roots = tuple[Mapping[str, object], Mapping[str, object], Mapping[str, object]]

_NONE: Final[Places] = ()
_ROOTS: Final = ("args", "facts", "run")
# Each word of a `not-text` table lists the rules that it leaves open, so that its size is words times rules.
_MOST_EXCLUDED_WORDS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """One rule, ready for one tool.  `test` is total: true, false or unknown."""

    rule: Rule
    test: Test
    condition: Compiled | None = None
    threshold: Threshold | None = None


# A tuple, as one is taken apart for every table of every decision: the root's place in `_ROOTS`, the keys of the field,
# the rules that each word leaves open and those that any other does, or what looks another kind of value up, and all
# rules of the table, for what is no word.
_Table = tuple[
    int, str, tuple[str, ...], Mapping[str, Places], Places, Callable[[object], Sequence[int]] | None, Places
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleIndex:
    """The rules of one tool and one `then:`, in the order of the contract.

    `shared`: a test with the places of all rules that ask the same; `tables`: for each field, which rules it leaves
    open.  Every rule is in one of the two, and in one place of it.
    """

    tests: tuple[RuleTest, ...]
    shared: tuple[tuple[Test, Places], ...]
    tables: tuple[_Table, ...]

    def open_rules(self, roots: Roots) -> list[int]:
        """The rules of the tables that the values leave open, before anything is evaluated."""
        open_rules: list[int] = []
        # Written out: this loop is most of what 500 rules cost.
        for root, key, deeper, words, otherwise, look_up, every in self.tables:
            value = roots[root].get(key)
            if deeper:
                value = _at(value, deeper)
            if look_up is not None:
                open_rules += look_up(value)
            else:
                open_rules += words.get(value, otherwise) if type(value) is str else every
        return open_rules

    def matching(self, env: ConditionEnv, open_rules: Iterable[int]) -> Sequence[tuple[RuleTest, Truth]]:
        """The rules that are true or unknown, in the order of the contract, given those that the tables leave open."""
        tests = self.tests
        found: list[tuple[int, Truth]] = []
        for test, places in self.shared:
            truth = test(env)
            if truth is not False:
                found += [(place, truth) for place in places]
        for place in open_rules:
            truth = tests[place].test(env)
            if truth is not False:
                found.append((place, truth))
        found.sort(key=itemgetter(0))
        return [(tests[place], truth) for place, truth in found]


def index_rules(tests: Iterable[RuleTest]) -> RuleIndex:
    """Prepare the tables; what fits none is evaluated for every call, once for all rules that ask the same."""
    every = tuple(tests)
    by_field: dict[tuple[Path, GuardKind], list[tuple[int, Guard]]] = {}
    for place, test in enumerate(every):
        guard = guard_of(test.rule.when, test.threshold)
        if guard is not None:
            by_field.setdefault((guard.path, guard.kind), []).append((place, guard))
    tables = {field: table for field, found in by_field.items() if (table := _table(*field, found)) is not None}
    in_tables = {place for field in tables for place, _ in by_field[field]}
    same: dict[object, list[int]] = {}
    for place, test in enumerate(every):
        if place not in in_tables:
            same.setdefault((test.rule.when, test.rule.threshold_usd), []).append(place)
    return RuleIndex(
        tests=every,
        shared=tuple((every[places[0]].test, tuple(places)) for places in same.values()),
        tables=tuple(tables.values()),
    )


def _at(value: object, keys: tuple[str, ...]) -> object:
    # Any: each step may be any JSON value, and the ones without string keys raise TypeError below.
    node: Any = value
    try:
        for key in keys:
            node = node[key]
    except (KeyError, TypeError):
        return None
    return node


def _table(path: Path, kind: GuardKind, found: Sequence[tuple[int, Guard]]) -> _Table | None:
    """The table of one field, or None where evaluating its rules is better."""
    every = tuple(place for place, _ in found)
    pairs = [(literal, place) for place, guard in found for literal in dict.fromkeys(guard.literals)]
    words: Mapping[str, Places] = {}
    look_up: Callable[[object], Sequence[int]] | None = None
    match kind:
        case "text":
            words = _grouped((literal, place) for literal, place in pairs if isinstance(literal, str))
        case "not-text":
            excluded = _grouped((literal, place) for literal, place in pairs if isinstance(literal, str))
            if len(excluded) > _MOST_EXCLUDED_WORDS:
                return None
            words = {word: tuple(sorted(set(every) - set(places))) for word, places in excluded.items()}
        case "prefix":
            look_up = _prefixes([(literal, place) for literal, place in pairs if isinstance(literal, str)], every)
        case "number" | "above" | "below":
            look_up = _numbers(kind, [(one, place) for one, place in pairs if not isinstance(one, str)], every)
    otherwise = every if kind == "not-text" else _NONE
    return _ROOTS.index(path.root), path.keys[0], path.keys[1:], words, otherwise, look_up, every


def _grouped(pairs: Iterable[tuple[str, int]]) -> dict[str, Places]:
    grouped: dict[str, list[int]] = {}
    for literal, place in pairs:
        grouped.setdefault(literal, []).append(place)
    return {literal: tuple(places) for literal, places in grouped.items()}


def _prefixes(prefixes: list[tuple[str, int]], every: Places) -> Callable[[object], Sequence[int]]:
    by_length: dict[int, dict[str, list[int]]] = {}
    for prefix, place in prefixes:
        by_length.setdefault(len(prefix), {}).setdefault(prefix, []).append(place)

    def look_up(value: object) -> Sequence[int]:
        if type(value) is not str:
            return every
        return [place for length, table in by_length.items() for place in table.get(value[:length], ())]

    return look_up


def _numbers(
    kind: GuardKind, limits: list[tuple[int | Decimal, int]], every: Places
) -> Callable[[object], Sequence[int]]:
    """Limits equal to a value stay open, and their rules say whether they match."""
    ordered = sorted(limits, key=itemgetter(0))
    numbers = [limit for limit, _ in ordered]
    places = tuple(place for _, place in ordered)
    lowest = numbers[0]

    # Three functions, and `is_number` written out in the first: it is the commonest, and asked for every call.
    def above(value: object) -> Sequence[int]:
        found = type(value)
        # Any: a number, as asked on this line.
        number: Any = value
        if found is int or (found is Decimal and number.is_finite()):
            return places[: bisect_right(numbers, number)] if number >= lowest else _NONE
        return every

    def below(value: object) -> Sequence[int]:
        # Any: a number, as asked on the next line.
        number: Any = value
        return places[bisect_left(numbers, number) :] if is_number(value) else every

    def equal(value: object) -> Sequence[int]:
        # Any: a number, as asked on the next line.
        number: Any = value
        return places[bisect_left(numbers, number) : bisect_right(numbers, number)] if is_number(value) else every

    return above if kind == "above" else below if kind == "below" else equal
