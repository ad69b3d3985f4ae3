"""How many decimal places the integers of an export stand for: Cedar has 64-bit integers and no other numbers.

Knows: an amount of money is counted in its currency's minor unit (ISO 4217), so that 49.99 dollars are 4999; any other
number is counted in the finest unit that the literals beside it need.  What is compared or added shares one scale.
Never: rounds.  A literal with more places than its currency has is refused; a call with a value that
does not fit is denied (`core.cedar.request`).
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from leverframe.core.cedar.kinds import ToolTypes
from leverframe.core.conditions import render
from leverframe.core.conditions.syntax import children
from leverframe.domain.conditions import Compare, Expr, History, In, Items, Number, Path, Size, Sum
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.ids import ToolName
from leverframe.domain.tools import ArgRole, ArgSpec, ToolSpec

# Far inside Cedar's 64 bits: the sum of `MAX_TERMS` such numbers still fits, so no addition of an export can fail.
MAX_NUMBER: Final = 2**53
MAX_TERMS: Final = 512
MAX_PLACES: Final = 9

_NO_MINOR: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
     "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"}
)  # fmt: skip
_THREE_PLACES: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})

Scales = Mapping[str, int]  # the text of a number to its places; a text that is not there has none


def scaled(value: object, places: int) -> int | None:
    """A number as an integer of `places` decimal places; None where that is not exact, not small, or no number."""
    if type(value) is int:
        number = value * 10**places if abs(value) <= MAX_NUMBER else None
    elif type(value) is Decimal and value.is_finite():
        number = _scaled_decimal(value, places)
    else:
        return None
    return number if number is not None and abs(number) <= MAX_NUMBER else None


def unscaled(value: int, places: int) -> int | Decimal:
    """The number that an integer of an export stands for, in its shortest spelling."""
    if value % 10**places == 0:
        return int(value // 10**places)
    return Decimal(value).scaleb(-places).normalize()


def _scaled_decimal(value: Decimal, places: int) -> int | None:
    sign, digits, exponent = value.as_tuple()
    if not value:
        return 0
    if value.adjusted() + places > len(str(MAX_NUMBER)):
        return None
    shift = int(exponent) + places
    if shift < 0:
        if any(digits[shift:]) or -shift >= len(digits):
            return None
        digits, shift = digits[:shift], 0
    number = int("".join(map(str, digits)) + "0" * shift)
    return -number if sign else number


def money_scales(spec: ToolSpec) -> dict[str, int]:
    """The places of a tool's own amounts, by the text that reads them."""
    found = {
        render(Path(root="args", keys=(name,))): places_of(arg)
        for name, arg in spec.args.items()
        if arg.role is ArgRole.AMOUNT
    }
    if spec.amount_fact:
        found[render(Path(root="facts", keys=tuple(spec.amount_fact.removeprefix("facts.").split("."))))] = 2
    return found


def places_of(arg: ArgSpec) -> int:
    """The decimal places that an amount argument needs to be counted in minor units."""
    currency = arg.currency or "USD"
    if arg.unit == "minor" or currency in _NO_MINOR:
        return 0
    return 3 if currency in _THREE_PLACES else 2


class ScaleFinder:
    """Finds the scale of every number that the conditions about one tool read."""

    def __init__(self, types: ToolTypes, money: Mapping[str, int], tools: Mapping[ToolName, ToolSpec]) -> None:
        self._types = types
        self._money = dict(money)
        self._tools = tools
        self._above: dict[str, str] = {}
        self._places: dict[str, int] = {}

    def add(self, expr: Expr) -> None:
        """Take a condition into account."""
        waiting = [expr]
        while waiting:
            node = waiting.pop()
            waiting.extend(children(node))
            match node:
                case Compare(left=left, right=right):
                    self._join((left, right))
                case In(item=item, container=Items(items=items)):
                    self._join((item, *items))
                case In(item=item, container=container):
                    self._join((item, container), is_list=True)
                case Sum():
                    self._join((node,))
                case _:
                    pass

    def scales(self) -> Scales:
        """The places of every number, by the text that reads it.

        Raises:
            CedarUnsupported: amounts of different units meet, or a literal has more places than the money beside it.
        """
        groups: dict[str, list[str]] = {}
        for text in self._above:
            groups.setdefault(self._root(text), []).append(text)
        found: dict[str, int] = {}
        for root, texts in groups.items():
            found |= dict.fromkeys(texts, self._group_scale(texts, self._places.get(root, 0)))
        return {text: places for text, places in (self._money | found).items() if places}

    def _group_scale(self, texts: list[str], wanted: int) -> int:
        money = {text: self._money[text] for text in sorted(texts) if text in self._money}
        if not money:
            return wanted
        if len(set(money.values())) > 1:
            raise CedarUnsupported(
                f"Amounts in different units are compared or added: {', '.join(money)}.",
                next_move="Compare each with an amount of its own unit.",
            )
        name, places = next(iter(money.items()))
        if wanted > places:
            raise CedarUnsupported(
                f"A literal beside {name!r} has {wanted} decimal places, and its minor unit is {places} of them.",
                next_move="Cedar has no fractions: write the amount in whole minor units.",
            )
        return places

    def _join(self, exprs: Iterable[Expr], *, is_list: bool = False) -> None:
        first = ""
        wanted = 0
        for leaf in (leaf for expr in exprs for leaf in self._leaves(expr, is_list=is_list)):
            if isinstance(leaf, Number):
                wanted = max(wanted, _places_of_literal(leaf.value))
                continue
            text = render(leaf)
            self._above.setdefault(text, text)
            if isinstance(leaf, History) and leaf.kind == "sum":
                self._note_sum(leaf, text)
            if first:
                self._unite(first, text)
            first = first or text
        if first:
            root = self._root(first)
            self._places[root] = max(wanted, self._places.get(root, 0))

    def _leaves(self, expr: Expr, *, is_list: bool) -> Iterator[Expr]:
        match expr:
            case Sum(first=first, rest=rest):
                for term in (first, *(term for _, term in rest)):
                    yield from self._leaves(term, is_list=False)
            case Path() if is_list or "number" in self._types.kinds(expr):
                yield expr
            case Number() | Size() | History(kind="count" | "sum"):
                yield expr
            case _:
                return

    def _note_sum(self, leaf: History, text: str) -> None:
        """A sum of a money argument is money."""
        spec = self._tools.get(ToolName(leaf.tool))
        arg = None if spec is None or leaf.arg is None else spec.args.get(leaf.arg)
        if arg is not None and arg.role is ArgRole.AMOUNT:
            self._money[text] = places_of(arg)

    def _root(self, text: str) -> str:
        while self._above[text] != text:
            text = self._above[text]
        return text

    def _unite(self, one: str, other: str) -> None:
        left, right = self._root(one), self._root(other)
        if left != right:
            self._above[right] = left
            self._places[left] = max(self._places.get(left, 0), self._places.pop(right, 0))


def _places_of_literal(value: int | Decimal) -> int:
    if isinstance(value, int):
        return 0
    digits, exponent = value.as_tuple().digits, int(value.as_tuple().exponent)
    while digits and digits[-1] == 0 and exponent < 0:
        digits, exponent = digits[:-1], exponent + 1
    places = max(0, -exponent) if value else 0
    if places > MAX_PLACES:
        raise CedarUnsupported(
            f"The number {value} has {places} decimal places, and an export holds at most {MAX_PLACES}.",
            next_move="Cedar has no fractions: compare with a number of fewer places.",
        )
    return places


def literal_places(exprs: Iterable[Expr]) -> int:
    """The places that literals alone need, where nothing beside them is read."""
    return max((_places_of_literal(each.value) for each in exprs if isinstance(each, Number)), default=0)
