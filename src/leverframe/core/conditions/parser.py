"""Tokens to a syntax tree, by operator precedence, in one pass.

Knows: the grammar, which is CEL's for the part we take: `||` < `&&` < relations < `+ -` < `!` < `.`; relations do not
chain.  Never: looks at types; `typecheck` does.  Depth and length are bounded, so no text can exhaust the stack.
"""

import re

from leverframe.core.conditions.lexer import Token, number_value, tokens
from leverframe.core.conditions.syntax import (
    AND_LEVEL,
    COMPARE_OPS,
    FUNCTIONS,
    HISTORY_KINDS,
    KEYWORDS,
    LEVEL_KINDS,
    MAX_DEPTH,
    MAX_WINDOW_S,
    OPERATOR_LEVELS,
    OR_LEVEL,
    RELATION_LEVEL,
    SCOPE_WORDS,
    SUM_OPS,
    WINDOW_UNITS,
    too_deep,
)
from leverframe.core.nearest import nearest
from leverframe.domain.conditions import (
    ROOTS,
    And,
    Compare,
    Expr,
    Flag,
    Has,
    History,
    HistoryScope,
    In,
    Items,
    Level,
    Not,
    Null,
    Number,
    Or,
    Path,
    Root,
    Size,
    StartsWith,
    Sum,
    SumOp,
    Text,
)
from leverframe.domain.errors import ConditionError

_WINDOW = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_ROOT_OF: dict[str, Root] = {root: root for root in ROOTS}
_HISTORY_FORMS = {
    "count": 'history.count("tool", "24h", "subject")',
    "sum": 'history.sum("tool", "argument", "24h", "subject")',
    "seen": 'history.seen("tool", "argument", args.order_id, "24h", "subject")',
}


def parse(text: str) -> Expr:
    """Read one condition.  Time and depth are bounded by `MAX_CHARS` and `MAX_DEPTH`.

    Raises:
        ConditionError: the text is not of the language; `offset` is the place.
    """
    parser = _Parser(tokens(text))
    expr = parser.whole()
    deep = too_deep(expr)
    if deep is not None:
        raise _nested_too_deep(deep.at)
    return expr


def _nested_too_deep(at: int) -> ConditionError:
    return ConditionError(
        f"The condition is nested more than {MAX_DEPTH} levels deep.",
        offset=at,
        next_move="Write it as several rules, or move a part of it into a fact.",
    )


class _Parser:
    """A cursor over the tokens of one text; each method reads one form and leaves the cursor behind it."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._next = 0
        self._depth = 0

    def whole(self) -> Expr:
        if self._peek().kind == "end":
            raise ConditionError("The condition is empty.", offset=0, next_move="Leave `when` out for `always`.")
        expr = self._expr(OR_LEVEL)
        if self._peek().kind != "end":
            raise self._unexpected("an operator or the end of the condition")
        return expr

    def _expr(self, floor: int) -> Expr:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _nested_too_deep(self._peek().at)
        left = self._unary()
        while (level := self._operator_level()) >= floor:
            left = self._relation(left) if level == RELATION_LEVEL else self._chain(left, level)
        self._depth -= 1
        return left

    def _operator_level(self) -> int:
        """How tightly the operator at the cursor binds; 0 where there is none."""
        token = self._peek()
        return OPERATOR_LEVELS.get(token.text, 0) if token.kind in {"op", "name"} else 0

    def _chain(self, first: Expr, level: int) -> Expr:
        rest: list[tuple[str, Expr]] = []
        while self._operator_level() == level:
            operator = self._take().text
            rest.append((operator, self._expr(level + 1)))
        if level == OR_LEVEL:
            return Or(operands=(first, *(operand for _, operand in rest)), at=first.at)
        if level == AND_LEVEL:
            return And(operands=(first, *(operand for _, operand in rest)), at=first.at)
        terms: tuple[tuple[SumOp, Expr], ...] = tuple((SUM_OPS[operator], operand) for operator, operand in rest)
        return Sum(first=first, rest=terms, at=first.at)

    def _relation(self, left: Expr) -> Expr:
        operator = self._take()
        right = self._expr(RELATION_LEVEL + 1)
        if self._operator_level() == RELATION_LEVEL:
            raise ConditionError(
                "Comparisons do not chain.",
                offset=self._peek().at,
                next_move="Join two of them with `&&`, or put one in parentheses.",
            )
        if operator.text == "in":
            return In(item=left, container=right, at=left.at)
        return Compare(op=COMPARE_OPS[operator.text], left=left, right=right, at=left.at)

    def _unary(self) -> Expr:
        bangs: list[int] = []
        while self._is_op("!"):
            bangs.append(self._take().at)
        expr = self._negative() if self._is_op("-") else self._member()
        for at in reversed(bangs):
            expr = Not(operand=expr, at=at)
        return expr

    def _negative(self) -> Expr:
        minus = self._take()
        token = self._peek()
        if token.kind != "number":
            raise ConditionError(
                "A minus sign stands before a number or between two values.",
                offset=minus.at,
                next_move="Write `0 - x` for the negative of a value.",
            )
        self._take()
        return self._methods(Number(value=-number_value(token.text), at=minus.at))

    def _member(self) -> Expr:
        token = self._peek()
        match token.kind:
            case "number":
                self._take()
                return self._methods(Number(value=number_value(token.text), at=token.at))
            case "string":
                self._take()
                return self._methods(Text(value=token.text, at=token.at))
            case "name":
                return self._methods(self._name())
            case _ if self._is_op("("):
                self._take()
                expr = self._expr(OR_LEVEL)
                self._expect(")")
                return self._methods(expr)
            case _ if self._is_op("["):
                return self._methods(self._list())
            case _:
                raise self._unexpected("a value")

    def _methods(self, subject: Expr) -> Expr:
        """Read `.startsWith(...)` behind a value; a path has taken its fields already."""
        expr = subject
        while self._is_op(".") or self._is_op("["):
            operator = self._take()
            name = self._peek()
            if operator.text == "." and name.text == "startsWith" and self._is_op("(", ahead=1):
                self._take()
                self._take()
                prefix = self._expr(OR_LEVEL)
                self._expect(")")
                expr = StartsWith(subject=expr, prefix=prefix, at=subject.at)
            elif operator.text == "." and name.kind == "name" and self._is_op("(", ahead=1):
                raise ConditionError(
                    f"{name.text!r} is not a method here; the only one is `startsWith`.",
                    offset=name.at,
                    next_move="Anything cleverer belongs in a fact.",
                )
            else:
                raise ConditionError(
                    "Only a name that begins at args, facts, run or call has fields.",
                    offset=operator.at,
                    next_move="Take the field of a path, such as `facts.order.status`.",
                )
        return expr

    def _list(self) -> Expr:
        opening = self._take()
        items: list[Expr] = []
        while not self._is_op("]"):
            items.append(self._expr(OR_LEVEL))
            if not self._is_op(","):
                break
            self._take()
        self._expect("]")
        return Items(items=tuple(items), at=opening.at)

    def _name(self) -> Expr:
        token = self._take()
        match token.text:
            case "true" | "false":
                return Flag(value=token.text == "true", at=token.at)
            case "null":
                return Null(at=token.at)
            case "has" | "size" | "integrity" | "confidentiality" if self._is_op("("):
                return self._function(token)
            case "history":
                return self._history(token)
            case name if name in _ROOT_OF and not self._is_op("("):
                return self._path(token)
            case _:
                raise self._unknown_name(token)

    def _function(self, name: Token) -> Expr:
        self._expect("(")
        if name.text == "size":
            operand = self._expr(OR_LEVEL)
            self._expect(")")
            return Size(operand=operand, at=name.at)
        root = self._peek()
        path = self._path(self._take()) if root.kind == "name" and root.text in _ROOT_OF else None
        if path is None or not path.keys or not self._is_op(")"):
            raise ConditionError(
                f"`{name.text}` takes one field, such as `{name.text}(args.order_id)`.", offset=root.at
            )
        self._take()
        if name.text == "has":
            return Has(path=path, at=name.at)
        return Level(kind=LEVEL_KINDS[name.text], path=path, at=name.at)

    def _path(self, root: Token) -> Path:
        keys: list[str] = []
        places: list[int] = []
        while True:
            if self._is_op("["):
                self._take()
                key = self._peek()
                if key.kind != "string":
                    raise ConditionError(
                        "A field in brackets is named by a string.",
                        offset=key.at,
                        next_move='Write `args["field-name"]`; items of a list are asked for with `in`.',
                    )
                self._take()
                self._expect("]")
            elif self._is_op(".") and not self._is_op("(", ahead=2):
                self._take()
                key = self._field()
            else:
                break
            keys.append(key.text)
            places.append(key.at)
        return Path(root=_ROOT_OF[root.text], keys=tuple(keys), at=root.at, keys_at=tuple(places))

    def _field(self) -> Token:
        key = self._peek()
        if key.kind != "name":
            raise self._unexpected("the name of a field")
        if key.text in KEYWORDS:
            raise ConditionError(
                f"`{key.text}` is a word of the language.", offset=key.at, next_move=f'Write `["{key.text}"]`.'
            )
        return self._take()

    def _history(self, history: Token) -> Expr:
        kind_token = self._peek(ahead=1)
        kind = HISTORY_KINDS.get(kind_token.text)
        if not self._is_op(".") or kind is None or not self._is_op("(", ahead=2):
            close = nearest(kind_token.text, HISTORY_KINDS)
            raise ConditionError(
                "`history` is asked with count, sum or seen.",
                offset=history.at,
                next_move=f"Write `{_HISTORY_FORMS[close or 'count']}`.",
            )
        self._next += 3
        form = _HISTORY_FORMS[kind]
        tool = self._argument(form)
        arg = self._argument(form) if kind != "count" else None
        value = self._scalar(form) if kind == "seen" else None
        window = self._argument(form)
        scope = self._argument(form, is_last=True)
        return History(
            kind=kind,
            tool=tool.text,
            arg=None if arg is None else arg.text,
            value=value,
            window_s=_window_s(window),
            scope=_scope(scope),
            at=history.at,
            names_at=(tool.at,) if arg is None else (tool.at, arg.at),
        )

    def _argument(self, form: str, *, is_last: bool = False) -> Token:
        token = self._peek()
        if token.kind != "string" or not self._is_op(")" if is_last else ",", ahead=1):
            raise ConditionError(
                "History is asked with names in quotes.", offset=token.at, next_move=f"Write `{form}`."
            )
        self._next += 2
        return token

    def _scalar(self, form: str) -> Path | Text | Number | Flag:
        at = self._peek().at
        value = self._unary()
        if not isinstance(value, Path | Text | Number | Flag) or not self._is_op(","):
            raise ConditionError(
                "The value to look for is a field or a literal.", offset=at, next_move=f"Write `{form}`."
            )
        self._take()
        return value

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._peek()
        self._next += 1
        return token

    def _is_op(self, text: str, *, ahead: int = 0) -> bool:
        token = self._peek(ahead)
        return token.kind == "op" and token.text == text

    def _expect(self, text: str) -> None:
        if not self._is_op(text):
            raise self._unexpected(f"`{text}`")
        self._take()

    def _unexpected(self, wanted: str) -> ConditionError:
        token = self._peek()
        seen = "the condition ends" if token.kind == "end" else f"{token.text!r} stands"
        return ConditionError(f"Expected {wanted} where {seen}.", offset=token.at)

    def _unknown_name(self, token: Token) -> ConditionError:
        if token.text == "label":
            advice = "Write `integrity(args.x)` or `confidentiality(args.x)`."
        elif (close := nearest(token.text, (*ROOTS, *FUNCTIONS, "history"))) is not None:
            advice = f"Did you mean `{close}`?"
        else:
            advice = "A value begins with args, facts, run or call; a string stands in quotes."
        return ConditionError(f"`{token.text}` is not a name of the language here.", offset=token.at, next_move=advice)


def _window_s(token: Token) -> int:
    found = _WINDOW.fullmatch(token.text)
    window_s = int(found[1]) * WINDOW_UNITS[found[2]] if found else 0
    if not 0 < window_s <= MAX_WINDOW_S:
        raise ConditionError(
            f"The window {token.text!r} is not a duration from 1s to 366d.",
            offset=token.at,
            next_move='Write a whole number and s, m, h or d: "90s", "30m", "24h", "7d".',
        )
    return window_s


def _scope(token: Token) -> HistoryScope:
    scope = SCOPE_WORDS.get(token.text)
    if scope is None:
        close = nearest(token.text, SCOPE_WORDS)
        raise ConditionError(
            f"The scope {token.text!r} is not one of {', '.join(SCOPE_WORDS)}.",
            offset=token.at,
            next_move=f'Did you mean "{close}"?' if close else 'Write "subject" for the person the run is about.',
        )
    return scope
