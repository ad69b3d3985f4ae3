"""Which of a tool's rules match a call, without evaluating every one of them.

Knows: that a rule whose first words are `args.amount_usd > 500` cannot match a call of 40, nor one that says
`args.country == "fr"` a call for "de"; a table finds the rules that a value leaves open, and those alone are evaluated.
Never: decides by a table.  A table only leaves out rules that are certainly false; a value of another type, or none,
leaves out nothing.  Property: `tests/property/test_policy_fast_equals_slow.py`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any

from leverframe.core.conditions import Compiled, ConditionEnv, compile_value
from leverframe.core.conditions.compiler import Test, Value
from leverframe.core.conditions.values import is_number
from leverframe.core.policy.amounts import Threshold
from leverframe.domain.conditions import And, Compare, CompareOp, Expr, In, Items, Number, Path, StartsWith, Text, Truth
from leverframe.domain.policy import Rule

# Below this many rules on one field, evaluating them all is quicker than looking one up.
_WORTH_A_TABLE = 4

_FLIPPED: dict[CompareOp, CompareOp] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

# The places of the rules that a call leaves open.
Candidates = Callable[[ConditionEnv], Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """One rule, ready for one tool.  `test` is total: true, false or unknown."""

    rule: Rule
    test: Test
    condition: Compiled | None = None
    threshold: Threshold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleIndex:
    """The rules of one tool and one `then:`, in the order of the contract.

    `shared`: a test with the places of all rules that ask the same; `tables`: for each field, where to look.
    """

    tests: tuple[RuleTest, ...]
    shared: tuple[tuple[Test, tuple[int, ...]], ...]
    tables: tuple[Candidates, ...]

    def matching(self, env: ConditionEnv) -> Sequence[tuple[RuleTest, Truth]]:
        """The rules that are true or unknown, in the order of the contract."""
        found: list[tuple[int, Truth]] = []
        for test, places in self.shared:
            truth = test(env)
            if truth is not False:
                found += [(place, truth) for place in places]
        tests = self.tests
        for candidates in self.tables:
            for place in candidates(env):
                truth = tests[place].test(env)
                if truth is not False:
                    found.append((place, truth))
        if not found:
            return ()
        found.sort(key=itemgetter(0))
        return [(tests[place], truth) for place, truth in found]


@dataclass(frozen=True, slots=True)
class _Guard:
    """A part of a condition without which it is false: a field against literals."""

    path: Path
    kind: str  # text | prefix | above | below
    literals: tuple[str | int | Decimal, ...]


def index_rules(tests: Iterable[RuleTest]) -> RuleIndex:
    """Prepare the tables; what fits none is evaluated for every call, once for all rules that ask the same."""
    every = tuple(tests)
    by_field: dict[tuple[Path, str], list[tuple[int, _Guard]]] = {}
    for place, test in enumerate(every):
        guard = None if test.rule.when is None else next(_guards(test.rule.when), None)
        if guard is not None:
            by_field.setdefault((guard.path, guard.kind), []).append((place, guard))
    tabled = {field: found for field, found in by_field.items() if len(found) >= _WORTH_A_TABLE}
    in_tables = {place for found in tabled.values() for place, _ in found}
    same: dict[object, list[int]] = {}
    for place, test in enumerate(every):
        if place not in in_tables:
            same.setdefault((test.rule.when, test.rule.threshold_usd), []).append(place)
    return RuleIndex(
        tests=every,
        shared=tuple((every[places[0]].test, tuple(places)) for places in same.values()),
        tables=tuple(_table(kind, compile_value(path), found) for (path, kind), found in tabled.items()),
    )


def _guards(expr: Expr) -> Iterator[_Guard]:
    """The guards of a condition, the most selective kind first."""
    parts = expr.operands if isinstance(expr, And) else (expr,)
    found = [guard for guard in map(_guard, parts) if guard is not None]
    yield from sorted(found, key=lambda guard: ("text", "prefix", "above", "below").index(guard.kind))


def _guard(expr: Expr) -> _Guard | None:
    match expr:
        case Compare(op="==", left=Path() as path, right=Text(value=word)):
            return _Guard(path, "text", (word,))
        case Compare(op="==", left=Text(value=word), right=Path() as path):
            return _Guard(path, "text", (word,))
        case Compare(op=op, left=Path() as path, right=Number(value=limit)) if op in _FLIPPED:
            return _Guard(path, "above" if op in {">", ">="} else "below", (limit,))
        case Compare(op=op, left=Number(value=limit), right=Path() as path) if op in _FLIPPED:
            return _Guard(path, "above" if _FLIPPED[op] in {">", ">="} else "below", (limit,))
        case In(item=Path() as path, container=Items(items=items)):
            words = tuple(item.value for item in items if isinstance(item, Text))
            return _Guard(path, "text", words) if len(words) == len(items) else None
        case StartsWith(subject=Path() as path, prefix=Text(value=prefix)):
            return _Guard(path, "prefix", (prefix,))
        case _:
            return None


def _table(kind: str, read: Value, found: Sequence[tuple[int, _Guard]]) -> Candidates:
    pairs = [(literal, place) for place, guard in found for literal in dict.fromkeys(guard.literals)]
    every = tuple(place for place, _ in found)
    if kind in {"text", "prefix"}:
        words = [(str(literal), place) for literal, place in pairs]
        return _text_table(read, words, every) if kind == "text" else _prefix_table(read, words, every)
    limits = [(literal, place) for literal, place in pairs if not isinstance(literal, str)]
    return _order_table(read, limits, every, is_above=kind == "above")


def _text_table(read: Value, words: list[tuple[str, int]], every: tuple[int, ...]) -> Candidates:
    table: dict[str, list[int]] = {}
    for word, place in words:
        table.setdefault(word, []).append(place)

    def candidates(env: ConditionEnv) -> Sequence[int]:
        value = read(env)
        return table.get(value, ()) if type(value) is str else every

    return candidates


def _prefix_table(read: Value, prefixes: list[tuple[str, int]], every: tuple[int, ...]) -> Candidates:
    by_length: dict[int, dict[str, list[int]]] = {}
    for prefix, place in prefixes:
        by_length.setdefault(len(prefix), {}).setdefault(prefix, []).append(place)

    def candidates(env: ConditionEnv) -> Sequence[int]:
        value = read(env)
        if type(value) is not str:
            return every
        return [place for length, table in by_length.items() for place in table.get(value[:length], ())]

    return candidates


def _order_table(
    read: Value, limits: list[tuple[int | Decimal, int]], every: tuple[int, ...], *, is_above: bool
) -> Candidates:
    ordered = sorted(limits, key=itemgetter(0))
    numbers = [limit for limit, _ in ordered]
    places = tuple(place for _, place in ordered)

    def candidates(env: ConditionEnv) -> Sequence[int]:
        value = read(env)
        if not is_number(value):
            return every
        # Any: a number, as asked above; limits equal to it stay open, and their rules say whether they match.
        number: Any = value
        return places[: bisect_right(numbers, number)] if is_above else places[bisect_left(numbers, number) :]

    return candidates
