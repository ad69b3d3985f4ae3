"""The identifiers of the system, each with a type of its own.

Knows: how an id that we make is spelled (`run_01J…`: prefix, then 26 characters of Crockford base 32, a ULID).
Never: makes one by itself; `runtime` passes the clock and the random bits.  Source: the ULID specification.
"""

from functools import lru_cache
from typing import NewType

TenantId = NewType("TenantId", str)
PrincipalId = NewType("PrincipalId", str)  # "person:lena", "agent:refund_request", "os:maria"
WorkflowName = NewType("WorkflowName", str)
ToolName = NewType("ToolName", str)
EnvironmentName = NewType("EnvironmentName", str)
RuleId = NewType("RuleId", str)
RunId = NewType("RunId", str)
StepPath = NewType("StepPath", str)  # "3", "4.0.1": branch indices in issue order
CallId = NewType("CallId", str)
ReservationId = NewType("ReservationId", str)
ApprovalId = NewType("ApprovalId", str)
EntryId = NewType("EntryId", str)
WindowId = NewType("WindowId", str)  # "run/run_01J…", "tenant/acme/month/2026-11": the budget, then the period
BudgetId = NewType("BudgetId", str)  # of a budget that spans runs: "tenant/acme/month"
KeyId = NewType("KeyId", str)  # of an API key: "key_" and 22 letters and digits
TeamName = NewType("TeamName", str)  # a named set of keys in a tenant
BlobId = NewType("BlobId", str)
Sha256 = NewType("Sha256", str)  # 64 lowercase hexadecimal digits

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)  # of 10 bits
_RANDOM_MASK = (1 << 80) - 1
_SHIFTS = (70, 60, 50, 40, 30, 20, 10, 0)


def ulid(time_us: int, random_bits: int) -> str:
    """Spell a ULID: 48 bits of milliseconds, then 80 random bits; sorts by time.

    Args:
        time_us: microseconds since the Unix epoch, zero or more.
        random_bits: at least 80 random bits; what is above them is ignored.
    """
    bits = random_bits & _RANDOM_MASK
    return _time_part(time_us // 1000) + "".join([_PAIRS[(bits >> shift) & 1023] for shift in _SHIFTS])


# Many ids are made in one millisecond.
@lru_cache(maxsize=16)
def _time_part(time_ms: int) -> str:
    return "".join([_PAIRS[(time_ms >> shift) & 1023] for shift in (40, 30, 20, 10, 0)])


def child_path(parent: StepPath, index: int | str) -> StepPath:
    """Name a step below another: `child_path("3", 1) == "3.1"`."""
    return StepPath(f"{parent}.{index}")
