"""Where a value comes from: integrity, confidentiality, origin.

Knows: the two orders and how labels join.  Never: looks at the value itself.
Property, kept by `tests/property/test_labels.py`: a join never raises integrity nor lowers confidentiality.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Integrity(IntEnum):
    """Who could have written a value; higher is more trusted."""

    THIRD_PARTY = 0
    TENANT_RECORD = 1
    USER = 2
    SYSTEM = 3

    @property
    def word(self) -> str:
        """As contracts and pages spell it: `third-party`."""
        return self.name.lower().replace("_", "-")


class Confidentiality(IntEnum):
    """Who may read a value; higher is more secret."""

    PUBLIC = 0
    TENANT = 1
    SECRET = 2

    @property
    def word(self) -> str:
        """As contracts and pages spell it: `tenant`."""
        return self.name.lower()


INTEGRITY_WORDS = {member.word: member for member in Integrity}
CONFIDENTIALITY_WORDS = {member.word: member for member in Confidentiality}


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The provenance of one value."""

    integrity: Integrity
    confidentiality: Confidentiality = Confidentiality.TENANT
    origin: str = ""  # "<step path><JSON pointer>", e.g. "2/user_id"; "input/message"; empty where joined


UNTRACED = Label(integrity=Integrity.THIRD_PARTY)


def join(labels: Iterable[Label]) -> Label:
    """The lowest integrity and the highest confidentiality of all; of none: system and public, the neutral label."""
    integrity, confidentiality = Integrity.SYSTEM, Confidentiality.PUBLIC
    for label in labels:
        integrity = min(integrity, label.integrity)
        confidentiality = max(confidentiality, label.confidentiality)
    return Label(integrity=integrity, confidentiality=confidentiality)
