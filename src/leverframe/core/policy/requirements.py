"""How the requirements of several rules become one: the strictest of each key.

Property: a join asks at least what each of its parts asks (`tests/unit/test_policy_requirements.py`).
"""

from collections.abc import Iterable
from functools import reduce

from leverframe.domain.policy import ApprovalRequirement, SourceRef


def joined(requirements: Iterable[ApprovalRequirement], *, default_source: SourceRef) -> ApprovalRequirement:
    """The strictest of each key; of none: anyone with the role approver, never the initiator.

    The larger quorum, the union of who must be another person, the shorter clocks.  Where two parts name groups, the
    person must be in one of each: `{a, b}` and `{b, c}` give `{b, a+c}`.
    """
    parts = tuple(requirements)
    if not parts:
        return ApprovalRequirement(source=default_source)
    return reduce(_both, parts)


def _both(one: ApprovalRequirement, other: ApprovalRequirement) -> ApprovalRequirement:
    return ApprovalRequirement(
        from_groups=_groups(one.from_groups, other.from_groups),
        quorum=max(one.quorum, other.quorum),
        distinct_from=one.distinct_from | other.distinct_from,
        decide_within_s=min(one.decide_within_s, other.decide_within_s),
        execute_within_s=min(one.execute_within_s, other.execute_within_s),
        source=one.source,
    )


def _groups(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    if not one or not other:
        return one or other
    pairs = {frozenset(a.split("+")) | frozenset(b.split("+")) for a in one for b in other}
    least = [pair for pair in pairs if not any(smaller < pair for smaller in pairs)]
    return tuple(sorted("+".join(sorted(pair)) for pair in least))
