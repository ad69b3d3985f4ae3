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
COUNTED = 1 << 20  # ids of one row of `ulid_after`
_SHIFTS = (70, 60, 50, 40, 30, 20, 10, 0)


def ulid(time_us: int, random_bits: int) -> str:
    """Spell a ULID: 48 bits of milliseconds, then 80 random bits; sorts by time.

    Args:
        time_us: microseconds since the Unix epoch, zero or more.
        random_bits: at least 80 random bits; what is above them is ignored.
    """
    bits = random_bits & _RANDOM_MASK
    return _time_part(time_us // 1000) + "".join([_PAIRS[(bits >> shift) & 1023] for shift in _SHIFTS])


def ulid_after(time_us: int, random_bits: int, count: int) -> str:
    """Spell a ULID whose random part is 60 random bits and a count below them: one drawing is enough for a million.

    Args:
        time_us: microseconds since the Unix epoch, zero or more.
        random_bits: at least 60 random bits, the same for all ids of a row.
        count: from 0 to `COUNTED` - 1, another one for each id of the row.
    """
    return f"{_time_part(time_us // 1000)}{_row_part(random_bits)}{_PAIRS[count >> 10]}{_PAIRS[count & 1023]}"


@lru_cache(maxsize=16)
def _row_part(random_bits: int) -> str:
    return "".join([_PAIRS[(random_bits >> shift) & 1023] for shift in (50, 40, 30, 20, 10, 0)])


# Many ids are made in one millisecond.
@lru_cache(maxsize=16)
def _time_part(time_ms: int) -> str:
    return "".join([_PAIRS[(time_ms >> shift) & 1023] for shift in (40, 30, 20, 10, 0)])


def child_path(parent: StepPath, index: int | str) -> StepPath:
    """Name a step below another: `child_path("3", 1) == "3.1"`."""
    return StepPath(f"{parent}.{index}")
