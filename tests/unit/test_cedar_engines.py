"""The corners of the condition language, one by one: Cedar's engine and ours on the same values."""

from dataclasses import replace
from decimal import Decimal

import cedarpy
import pytest

from leverframe.core.cedar import export_policy, request_of
from leverframe.core.policy import decide
from leverframe.domain.labels import UNTRACED
from leverframe.domain.policy import Then, Unreadable
from tests.policy_samples import USER, ask, known, policy, rule

VALUES: list[object] = [
    None, True, False, 0, 1, -1, 50, Decimal("49.99"), Decimal("0.50"), "", "a", "ab", "a*b", 'q"\\\n', "\u00e9\u202e",
    [], ["a"], ["b", 1], [1, None], [1, Decimal("49.99")], [True], [[]], {}, {"a": 1}, {"b": {"a": "a"}},
    Decimal("NaN"), 0.5, {"__entity": {"type": "Principal", "id": "a"}},
]  # fmt: skip
CORNERS = [
    "args.x", "!args.x", "args.x == true", "args.x != false", "args.x == args.y", "args.x != args.y",
    "args.x == null", "args.x != null", "has(args.x)", "!has(args.x)", "has(facts.x.a)", "!has(facts.gone.a)",
    "args.x > 0", "args.x <= 49.99", "args.x + 1 - args.y > 0.5", "size(args.x) > 1", "size(args.x) == size(args.y)",
    '"a" in args.x', '!("a" in args.x)', "1 in args.x", "!(1 in args.x)", "true in args.x", "!(args.y in args.x)",
    "args.y in args.x", "!(args.y in facts.x)", 'args.x in ["a", "ab"]', '!(args.x in ["a", 1])', "args.x in []",
    "!(args.x in [])", "args.x in [1, 49.99]", 'args.x.startsWith("a*")', '!args.x.startsWith("")',
    'args.x == "q\\"\\\\\\n"', "args.b.a == args.x", 'args.x.a == 1 || args.x.b.a == "a"',
    'integrity(args.x) >= "user"', 'integrity(args.x) != "nobody"', 'confidentiality(args.x) in ["secret", "no"]',
    "integrity(args.x) == integrity(args.y)", "(args.x || args.y) == args.x", "args.x && null || args.y",
    'history.seen("issue_refund", "x", args.x, "1h", "run")', 'history.count("issue_refund", "1h", "run") > 0',
]  # fmt: skip


def answers(then: Then, when: str, x: object, y: object) -> tuple[str, str, bool]:
    """Cedar's answer and ours to a call of two arguments, and whether a number was withheld from Cedar."""
    made = policy(rule("r", then, when))
    question = replace(
        ask(x=x, y=y), facts={"x": known(x), "gone": Unreadable(why="timeout")}, arg_labels={"x": USER, "y": UNTRACED}
    )
    export = export_policy(made)
    request = request_of(question, made, export)
    found = cedarpy.is_authorized_batch([request.asked(is_approved=each) for each in (False, True)], export.text, [])
    assert [answer.diagnostics.errors for answer in found] == [[], []]
    now, approved = (answer.allowed for answer in found)
    cedars = "Allow" if now else "Hold" if approved else "Deny"
    return cedars, type(decide(question, made)).__name__, bool(request.withheld)


@pytest.mark.parametrize("then", Then)
@pytest.mark.parametrize("when", CORNERS)
def test_both_engines_say_the_same_of_every_kind_of_value(when: str, then: Then) -> None:
    for place, x in enumerate(VALUES):
        for y in (VALUES[(place * 7 + 3) % len(VALUES)], x):
            cedars, ours, is_withheld = answers(then, when, x, y)

            assert cedars == ("Deny" if is_withheld else ours), f"{then}: {when}, x={x!r}, y={y!r}"
