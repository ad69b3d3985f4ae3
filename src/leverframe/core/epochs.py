"""Epochs of a log: the name under which it goes on after a backup was restored.

Knows: that a restored log is shorter than what was signed of it, and that signing another continuation under the same
name would be a fork.  So each recovery begins a new epoch with an origin of its own: `leverframe/acme`, then
`leverframe/acme/epoch-2`.  The key stays, so whoever trusts it for the first name can check the later ones.
Source: docs/adr/0009-recovery-epochs.md.  Never: signs, or knows which epoch a log is in.
"""

import re

_SUFFIX = re.compile(r"(?P<log>.+)/epoch-(?P<epoch>[1-9][0-9]{0,8})")
FIRST_EPOCH = 1


def origin_in(log: str, epoch: int) -> str:
    """The origin of a log's checkpoints in an epoch; the first has the log's plain name."""
    return log if epoch == FIRST_EPOCH else f"{log}/epoch-{epoch}"


def log_and_epoch(origin: str) -> tuple[str, int]:
    """The name of the log and the number of the epoch that an origin names."""
    found = _SUFFIX.fullmatch(origin)
    if found is None or int(found["epoch"]) == FIRST_EPOCH:
        return origin, FIRST_EPOCH
    return found["log"], int(found["epoch"])
