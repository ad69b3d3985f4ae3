"""What a rule saw, in words that a person understands.

Knows: how a value is shown without flooding a page.  Never: decides; it is asked for matching rules only.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from leverframe.core.conditions import Compiled, ConditionEnv, compile_value
from leverframe.core.conditions.printer import render
from leverframe.core.conditions.syntax import children
from leverframe.domain.conditions import Expr, Has, History, Level, Path
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.policy import Fact, Unreadable

_MAX_SHOWN_CHARS = 80
_MAX_SHOWN_BITS = 256  # longer integers are described; Python refuses to spell very long ones
_MAX_SHOWN_DIGITS = 60


def shown(value: object) -> str:
    """A JSON value, cut short: `'c_2'`, `49.99`, `a list of 3`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Integrity() | Confidentiality():
            return value.word
        case str():
            return repr(value if len(value) <= _MAX_SHOWN_CHARS else f"{value[:_MAX_SHOWN_CHARS]}…")
        case int():
            return str(value) if value.bit_length() <= _MAX_SHOWN_BITS else f"a number of {value.bit_length()} bits"
        case Decimal():
            return _decimal(value)
        case Mapping():
            return f"an object of {len(value)}"
        case list() | tuple():
            return f"a list of {len(value)}"
        case _:
            return f"a {type(value).__name__}"


def seen_text(condition: Compiled, env: ConditionEnv, facts: Mapping[str, Fact]) -> str:
    """Every value that a condition looked at, in its own order: `facts.order.owner is 'c_2', run.subject is 'c_1'`."""
    return ", ".join(dict.fromkeys(_told(node, env, facts) for node in _leaves(condition.expr)))


def with_reason(reason: str, text: str) -> str:
    """A rule's own reason, then what it saw."""
    reason = reason.strip().removesuffix(".")
    return f"{reason}: {text}" if reason and text else reason or text


def _leaves(expr: Expr) -> Iterator[Path | Level | History]:
    """The reading nodes of a condition from left to right.  The parser bounds the depth of a condition."""
    if isinstance(expr, Path | Level | History):
        yield expr
    for child in () if isinstance(expr, Level) else children(expr):
        yield from _leaves(child)


def _told(node: Path | Level | History, env: ConditionEnv, facts: Mapping[str, Fact]) -> str:
    name = render(node)
    value = compile_value(node)(env)
    if value is not None:
        return f"{name} is {shown(value)}"
    if isinstance(node, Path | Level):
        path = node if isinstance(node, Path) else node.path
        fact = facts.get(path.keys[0]) if path.root == "facts" else None
        if isinstance(fact, Unreadable):
            return f"facts.{path.keys[0]} could not be read ({fact.why})"
        if isinstance(node, Path) and not compile_value(Has(path=path))(env):
            return f"{name} is not there or null"
    return f"{name} is unknown"


def _decimal(value: Decimal) -> str:
    is_short = value.is_finite() and abs(value.adjusted()) <= _MAX_SHOWN_DIGITS
    if is_short and len(value.as_tuple().digits) <= _MAX_SHOWN_DIGITS:
        return format(value, "f")
    return f"{value:.6E}" if value.is_finite() else "not a number"
