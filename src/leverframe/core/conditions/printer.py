"""A syntax tree back to text, with no more parentheses than the grammar needs.

Law: `parse(render(e)) == e` for every `e` that `parse` can return (tests/property/test_conditions_text.py).
"""

import re
from typing import Final

from leverframe.core.conditions.syntax import (
    AND_LEVEL,
    KEYWORDS,
    OR_LEVEL,
    RELATION_LEVEL,
    SUM_LEVEL,
    UNARY_LEVEL,
    WINDOW_UNITS,
)
from leverframe.domain.conditions import (
    And,
    Compare,
    Expr,
    Flag,
    Has,
    History,
    In,
    Items,
    Level,
    Not,
    Null,
    Number,
    Or,
    Path,
    Size,
    StartsWith,
    Sum,
    Text,
)

_MEMBER_LEVEL: Final = UNARY_LEVEL + 1
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def render(expr: Expr) -> str:
    """Print a condition in one line, as `leverframe policy explain` and the console show it."""
    return _within(expr, OR_LEVEL)


def render_path(root: str, keys: tuple[str, ...]) -> str:
    """Print a path: `facts.order["line-items"]`."""
    return root + "".join(_field(key) for key in keys)


def quoted(value: str) -> str:
    """Print a string literal in double quotes, on one line."""
    return '"' + "".join(_ESCAPES.get(char) or _visible(char) for char in value) + '"'


def window_text(window_s: int) -> str:
    """Print a window in its largest whole unit: 86400 is `1d`."""
    unit = max((unit for unit, length in WINDOW_UNITS.items() if window_s % length == 0), key=WINDOW_UNITS.__getitem__)
    return f"{window_s // WINDOW_UNITS[unit]}{unit}"


def _within(expr: Expr, floor: int) -> str:
    text, level = _text_and_level(expr)
    return text if level >= floor else f"({text})"


def _text_and_level(expr: Expr) -> tuple[str, int]:
    match expr:
        case Or(operands=operands):
            return " || ".join(_within(operand, OR_LEVEL + 1) for operand in operands), OR_LEVEL
        case And(operands=operands):
            return " && ".join(_within(operand, AND_LEVEL + 1) for operand in operands), AND_LEVEL
        case Compare(op=op, left=left, right=right):
            return f"{_within(left, SUM_LEVEL)} {op} {_within(right, SUM_LEVEL)}", RELATION_LEVEL
        case In(item=item, container=container):
            return f"{_within(item, SUM_LEVEL)} in {_within(container, SUM_LEVEL)}", RELATION_LEVEL
        case Sum(first=first, rest=rest):
            terms = "".join(f" {op} {_within(term, UNARY_LEVEL)}" for op, term in rest)
            return _within(first, UNARY_LEVEL) + terms, SUM_LEVEL
        case Not(operand=operand):
            return f"!{_within(operand, UNARY_LEVEL)}", UNARY_LEVEL
        case Number(value=number):
            # Behind a minus sign no method can follow without parentheses.
            text = str(number) if isinstance(number, int) else f"{number:f}"
            return text, UNARY_LEVEL if text.startswith("-") else _MEMBER_LEVEL
        case StartsWith(subject=subject, prefix=prefix):
            return f"{_within(subject, _MEMBER_LEVEL)}.startsWith({render(prefix)})", _MEMBER_LEVEL
        case _:
            return _primary(expr), _MEMBER_LEVEL


def _primary(expr: Text | Flag | Null | Items | Path | Has | Size | Level | History) -> str:
    match expr:
        case Text(value=value):
            return quoted(value)
        case Flag(value=flag):
            return "true" if flag else "false"
        case Null():
            return "null"
        case Items(items=items):
            return f"[{', '.join(render(item) for item in items)}]"
        case Path(root=root, keys=keys):
            return render_path(root, keys)
        case Has(path=path):
            return f"has({render(path)})"
        case Size(operand=operand):
            return f"size({render(operand)})"
        case Level(kind=kind, path=path):
            return f"{kind}({render(path)})"
        case History():
            return _history(expr)


def _history(expr: History) -> str:
    arguments = [quoted(expr.tool)]
    if expr.arg is not None:
        arguments.append(quoted(expr.arg))
    if expr.value is not None:
        arguments.append(render(expr.value))
    arguments += [quoted(window_text(expr.window_s)), quoted(expr.scope)]
    return f"history.{expr.kind}({', '.join(arguments)})"


def _field(key: str) -> str:
    return f".{key}" if _NAME.fullmatch(key) and key not in KEYWORDS else f"[{quoted(key)}]"


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"  # noqa: PLR2004  what \u can hold
