"""Cedar's JSON form of a condition to a tree of ours.

Knows: the subset that the condition language can say (docs.cedarpolicy.com/policies/json-format.html).
Never: guesses.  Any other operator, type or variable is refused by its name.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from leverframe.core.cedar.fields import Approved, EmptyList, OfDoor, OnlyOf, meaning_of, spelled
from leverframe.core.cedar.readings import Keys
from leverframe.core.cedar.scales import Scales, unscaled
from leverframe.core.cedar.trees import Guard, Leaf, Mark, Tree, all_of, any_of, condition_of, inverse
from leverframe.core.conditions import render
from leverframe.core.conditions.syntax import COMPARE_OPS, children
from leverframe.domain.conditions import (
    Compare,
    CompareOp,
    Expr,
    Flag,
    History,
    In,
    Items,
    Level,
    Number,
    Path,
    Size,
    StartsWith,
    Sum,
    SumOp,
    Text,
)
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.json import Json
from leverframe.domain.labels import Confidentiality, Integrity

# The scale of an amount that the tools of one policy count in different units.
DIFFERS: Final = -1
_SUMS: Final[Mapping[str, SumOp]] = {"+": "+", "-": "-"}
# The two parts of a request that a condition can name, beside the tool, and what they are in a run.
_OF_REQUEST: Final[Mapping[str, tuple[str, Path]]] = {
    "principal": ("Principal", Path(root="run", keys=("initiator",))),
    "resource": ("Workflow", Path(root="run", keys=("workflow",))),
    "action": ("Action", Path(root="call", keys=("tool",))),
}
_LOGIC: Final = frozenset({"&&", "||", "!", "if-then-else", "has", *COMPARE_OPS, "contains", "like"})


class Reader:
    """Reads the conditions of one policy.

    Args:
        scales: the decimal places of the numbers that it compares, by the text that reads each.
    """

    def __init__(self, scales: Scales) -> None:
        self._scales = scales

    def tree(self, node: Json) -> Tree:
        """Read one condition.

        Raises:
            CedarUnsupported: it asks what the condition language cannot; the message names the construct.
        """
        name, body = _operator(node)
        match name:
            case "Value" if isinstance(body, bool):
                return Leaf(Flag(value=body))
            case "&&":
                return all_of((self.tree(_part(body, "left")), self.tree(_part(body, "right"))))
            case "||":
                return any_of((self.tree(_part(body, "left")), self.tree(_part(body, "right"))))
            case "!":
                return inverse(self.tree(_part(body, "arg")))
            case "if-then-else":
                asked = self.tree(_part(body, "if"))
                then, other = self.tree(_part(body, "then")), self.tree(_part(body, "else"))
                return any_of((all_of((asked, then)), all_of((inverse(asked), other))))
            case ".":
                return self._field(node)
            case _:
                return self._asked(name, body)

    def _asked(self, name: str, body: Json) -> Tree:
        """Read what compares or searches."""
        match name:
            case "has":
                return self._guard(body)
            case "like":
                return self._like(body)
            case "contains":
                return self._contains(body)
            case _ if name in COMPARE_OPS:
                return self._compare(COMPARE_OPS[name], _part(body, "left"), _part(body, "right"))
            case _:
                raise _unsupported(name)

    def _guard(self, body: Json) -> Tree:
        attribute = _part(body, "attr")
        keys = (*_keys(_part(body, "left")), str(attribute))
        if keys[0] in {"args", "facts", "run", "call"}:
            meaning = meaning_of(keys)
            return Guard(keys, meaning if isinstance(meaning, Path) else None, is_positive=True)
        if len(keys) > 1 or keys[0] not in {"history", "labels", "values", "door", "approved"}:
            meaning_of(keys)
        return Guard(keys, None, is_positive=True)

    def _field(self, node: Json) -> Tree:
        keys = _keys(node)
        meaning = meaning_of(keys)
        if isinstance(meaning, Approved | OfDoor | OnlyOf | EmptyList):
            return Mark(keys, meaning)
        return Leaf(meaning, frozenset({keys}))

    def _compare(self, op: CompareOp, left: Json, right: Json) -> Tree:
        if op in {"==", "!="}:
            of_request = self._entity(left, right) or self._entity(right, left)
            if of_request is not None:
                return of_request if op == "==" else inverse(of_request)
            if (
                _is_logic(left)
                or _is_logic(right)
                or isinstance(_literal(left), bool)
                or isinstance(_literal(right), bool)
            ):
                return self._same_truth(op, left, right)
        one, other = self._value(left), self._value(right)
        reads = one.reads | other.reads
        if isinstance(one.expr, Level) or isinstance(other.expr, Level):
            return Leaf(Compare(op=op, left=_word(one.expr, other.expr), right=_word(other.expr, one.expr)), reads)
        places = self._places((one.expr, other.expr))
        return Leaf(Compare(op=op, left=_rescaled(one.expr, places), right=_rescaled(other.expr, places)), reads)

    def _same_truth(self, op: CompareOp, left: Json, right: Json) -> Tree:
        """`==` of two truths; beside a literal, it is the other side itself."""
        wanted = op == "=="
        for literal, other in ((_literal(left), right), (_literal(right), left)):
            if isinstance(literal, bool):
                tree = self.tree(other)
                return tree if literal is wanted else inverse(tree)
        # Guards are kept inside: below a comparison an unknown part would not stay one.
        one, two = condition_of(self.tree(left)), condition_of(self.tree(right))
        return Leaf(Compare(op=op, left=one, right=two))

    def _entity(self, variable: Json, entity: Json) -> Tree | None:
        """`principal == Principal::"…"`: who opened the run; likewise its workflow and the tool."""
        name, body = _operator(variable)
        value = _operator(entity)
        found = _OF_REQUEST.get(str(body)) if name == "Var" else None
        if found is None:
            return None
        uid = value[1].get("__entity") if value[0] == "Value" and isinstance(value[1], Mapping) else None
        if not isinstance(uid, Mapping) or uid.get("type") != found[0]:
            raise CedarUnsupported(
                f"`{body}` is compared with something else than a {found[0]}.",
                next_move=f'Write `{body} == {found[0]}::"name"`.',
            )
        return Leaf(Compare(op="==", left=found[1], right=Text(value=str(uid.get("id")))))

    def _contains(self, body: Json) -> Tree:
        container, item = self._value(_part(body, "left")), self._value(_part(body, "right"))
        if isinstance(container.expr, Items):
            reads = item.reads
            if isinstance(item.expr, Level):
                items = Items(items=tuple(_word(each, item.expr) for each in container.expr.items))
                return Leaf(In(item=item.expr, container=items), reads)
        elif isinstance(container.expr, Path):
            reads = item.reads | container.reads
        else:
            raise CedarUnsupported(
                "`.contains` is asked of something that is no list.", next_move="Ask it of a field or a list."
            )
        places = self._places((container.expr, item.expr))
        found = In(item=_rescaled(item.expr, places), container=_rescaled(container.expr, places))
        return Leaf(found, reads)

    def _like(self, body: Json) -> Tree:
        subject = self._value(_part(body, "left"))
        pattern = _part(body, "pattern")
        parts = pattern if isinstance(pattern, list) else []
        letters = [part["Literal"] for part in parts if isinstance(part, Mapping)]
        is_exact = "Wildcard" not in parts
        if not is_exact and parts.index("Wildcard") != len(parts) - 1:
            raise CedarUnsupported(
                "`like` has a `*` that is not at its end.",
                next_move="Conditions know `startsWith` and `==`; move the rest into a fact.",
            )
        text = Text(value="".join(map(str, letters)))
        if is_exact:
            return Leaf(Compare(op="==", left=subject.expr, right=text), subject.reads)
        return Leaf(StartsWith(subject=subject.expr, prefix=text), subject.reads)

    def _value(self, node: Json) -> Leaf:
        """Read a value: a literal, a field, a list, a sum."""
        name, body = _operator(node)
        match name:
            case "Value":
                return Leaf(_literal_expr(body))
            case "Set" if isinstance(body, list):
                return Leaf(Items(items=tuple(self._value(each).expr for each in body)))
            case "+" | "-":
                return self._sum(node)
            case "neg":
                inner = _literal(_part(body, "arg"))
                if type(inner) is int:
                    return Leaf(Number(value=-inner))
                raise CedarUnsupported("`-` stands before something that is no number.", next_move="Write `0 - x`.")
            case ".":
                found = self._field(node)
                if isinstance(found, Leaf):
                    return found
                raise CedarUnsupported(f"`{spelled(_keys(node))}` is compared with a value.", next_move="Ask it alone.")
            case _ if name in _LOGIC:
                tree = self.tree(node)
                return Leaf(condition_of(tree))
            case _:
                raise _unsupported(name)

    def _sum(self, node: Json) -> Leaf:
        terms: list[tuple[SumOp, Leaf]] = []
        name, body = _operator(node)
        while name in _SUMS:
            terms.append((_SUMS[name], self._value(_part(body, "right"))))
            node = _part(body, "left")
            name, body = _operator(node)
        first = self._value(node)
        terms.reverse()
        reads = first.reads.union(*(leaf.reads for _, leaf in terms))
        return Leaf(Sum(first=first.expr, rest=tuple((op, leaf.expr) for op, leaf in terms)), reads)

    def _places(self, exprs: tuple[Expr, ...]) -> int:
        """The scale of a comparison; the literals in it are in that scale too."""
        found = {self._scales.get(render(leaf), 0) for expr in exprs for leaf in _numbers(expr)}
        if DIFFERS in found:
            raise CedarUnsupported(
                "An amount is read that the tools of this policy count in different units.",
                next_move="Write one policy a tool.",
            )
        if len(found) > 1:
            raise CedarUnsupported(
                "Numbers of different units are compared or added: "
                + ", ".join(sorted({render(leaf) for expr in exprs for leaf in _numbers(expr)}))
                + ".",
                next_move='Say the decimal places of each: @places("{\\"args.amount_usd\\":2}").',
            )
        return found.pop() if found else 0


def _numbers(expr: Expr) -> list[Path | Size | History]:
    if isinstance(expr, Path | Size | History):
        return [expr]
    return [leaf for child in children(expr) for leaf in _numbers(child)] if isinstance(expr, Sum | Items) else []


def _rescaled(expr: Expr, places: int) -> Expr:
    """Literals in whole units to the numbers that they stand for."""
    match expr:
        case Number(value=int() as value):
            return Number(value=unscaled(value, places))
        case Items(items=items):
            return Items(items=tuple(_rescaled(each, places) for each in items))
        case Sum(first=first, rest=rest):
            return Sum(first=_rescaled(first, places), rest=tuple((op, _rescaled(term, places)) for op, term in rest))
        case _:
            return expr


def _word(expr: Expr, beside: Expr) -> Expr:
    """A rank beside a level as the level's word."""
    if isinstance(beside, Level) and isinstance(expr, Number) and not isinstance(expr.value, Decimal):
        levels = Integrity if beside.kind == "integrity" else Confidentiality
        if expr.value in {level.value for level in levels}:
            return Text(value=levels(expr.value).word)
    if isinstance(expr, Level | Text):
        return expr
    raise CedarUnsupported(
        "A level is compared with something that is no level.",
        next_move="Levels are numbers from 0: third-party, tenant-record, user, system; public, tenant, secret.",
    )


def _operator(node: Json) -> tuple[str, Json]:
    if isinstance(node, Mapping) and len(node) == 1:
        return next(iter(node.items()))
    raise CedarUnsupported("A condition is not in Cedar's JSON form.", next_move="Parse the file with cedarpy.")


def _part(body: Json, name: str) -> Json:
    if isinstance(body, Mapping) and name in body:
        return body[name]
    raise CedarUnsupported(f"An operator lacks its {name!r}.", next_move="Parse the file with cedarpy.")


def _keys(node: Json) -> Keys:
    """The field that is read, from the context on."""
    keys: list[str] = []
    name, body = _operator(node)
    while name == ".":
        keys.append(str(_part(body, "attr")))
        node = _part(body, "left")
        name, body = _operator(node)
    if name != "Var" or body != "context":
        what = f"`{body}`" if name == "Var" else f"`{name}`"
        raise CedarUnsupported(
            f"A field of {what} is read; conditions read fields of the context alone.",
            next_move="Pass what it holds in context.facts.",
        )
    return tuple(reversed(keys))


def _literal(node: Json) -> Json:
    name, body = _operator(node)
    return body if name == "Value" else None


def _literal_expr(value: Json) -> Expr:
    if isinstance(value, bool):
        return Flag(value=value)
    if isinstance(value, int):
        return Number(value=value)
    if isinstance(value, str):
        return Text(value=value)
    raise CedarUnsupported(
        "An entity is compared with a value.", next_move="Compare the principal, the action or the resource."
    )


def _is_logic(node: Json) -> bool:
    return _operator(node)[0] in _LOGIC


def _unsupported(name: str) -> CedarUnsupported:
    return CedarUnsupported(
        f"`{name}` has no form in a condition.",
        next_move="Conditions know && || ! == != < <= > >= + - contains, like with one * at the end, has and if.",
    )
