"""Every problem that Leverframe names, as one tree.

    LeverframeError
    ├── UsageError                      the command or file is wrong; exit 2 or 1
    │   ├── ConfigInvalid               a file of the project does not load (positions inside)
    │   ├── ConditionError              a `when:` does not parse (offset inside)
    │   ├── CedarUnsupported            a policy has no form on the other side of an export or import
    │   ├── JsonInvalid                 bytes or a value that is not the JSON we accept
    │   ├── WireRefused                 a relayed model call that cannot be read or may not be passed on
    │   ├── NotFound                    a run, approval, workflow or file that is not there
    │   └── AlreadyExists               it would overwrite what is there
    ├── RefusedError                    asked for something that may not be
    │   ├── CallDenied                  policy, contract or budget said no
    │   ├── AuthRefused                 a credential that is no live key
    │   │   └── TokenRefused            an access token that this project does not take
    │   ├── ScopeMissing                a good access token that lacks a scope
    │   ├── Killed                      a kill switch stops the call
    │   ├── BudgetExhausted             a budget that spans runs has no room before it resets
    │   ├── ToolQuarantined             nobody has reviewed this tool of a server yet
    │   ├── ToolDrifted                 a server offers another tool than the one that was reviewed
    │   ├── ApprovalRefused             this person may not answer, or not in this way
    │   ├── ApprovalAlreadyDecided      the first answer stands
    │   └── InputInvalid                a run's input breaks the contract's schema
    ├── UnavailableError                try again, or mend the machine; exit 3
    │   ├── StoreUnavailable            the database is missing, locked, full or read-only
    │   ├── SchemaTooNew                written by a later version
    │   ├── SignerUnavailable           the process that holds a log's key does not answer
    │   ├── ProviderUnavailable         a model cannot be reached or is not installed
    │   │   └── ModelUnpriced           nobody knows what a call of it can cost
    │   ├── IssuerUnavailable           who makes access tokens cannot be asked for their keys
    │   ├── ToolUnavailable             a tool's server cannot be started or reached
    │   │   ├── ToolBusy                as many calls of it are at work as may be
    │   │   └── ToolResting             it failed again and again, and is left alone for a while
    │   ├── SecretUnavailable           a secret:// reference does not resolve
    │   └── Contended                   others won three times in a row
    └── IntegrityError                  what is stored cannot be right; nothing was changed
        ├── NondeterministicRun         a replayed run asks for something else than it recorded
        ├── EvidenceBroken              the log does not verify
        ├── AuthorityForged             a row that grants something was written by something else than Leverframe
        └── KeyUnsafe                   a key file is missing, foreign or readable by others

A refusal by policy or budget is not an exception inside the core: it is a `Deny`.  `CallDenied` is how an entry
point tells a caller of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from leverframe.domain.ids import KeyId, TenantId

EXIT_OK, EXIT_REFUSED, EXIT_USAGE, EXIT_UNAVAILABLE = 0, 1, 2, 3


class LeverframeError(Exception):
    """Root of all problems.  `slug` is stable for ever and names the page `/problems/<slug>`.

    The message says what happened, to which thing, what was expected; `next_move` says what to do.
    """

    slug: ClassVar[str] = "problem"
    status: ClassVar[int] = 500
    is_retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = EXIT_REFUSED

    def __init__(self, message: str, *, next_move: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_move = next_move

    def __str__(self) -> str:
        return f"{self.message}  {self.next_move}" if self.next_move else self.message


class UsageError(LeverframeError):
    """The command line does not say what to do."""

    slug, status, exit_code = "usage", 400, EXIT_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding in a file that a person wrote.

    `line` and `column` start at 1; zero where the whole file is meant.  `code` is a slug such as `unknown-key`.
    """

    path: str
    line: int
    column: int
    code: str
    message: str
    severity: str = "error"  # error | warning | note
    next_move: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        tail = f"  {self.next_move}" if self.next_move else ""
        return f"{place}: {self.severity} {self.code}: {self.message}{tail}"


class ConfigInvalid(UsageError):
    """A file of the project does not load.  Each finding has its file, line and column; nothing was changed."""

    slug, status, exit_code = "config-invalid", 422, EXIT_REFUSED

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class ConditionError(UsageError):
    """A condition does not parse.  `offset` counts characters from the start of its text."""

    slug, status, exit_code = "condition-invalid", 422, EXIT_REFUSED

    def __init__(self, message: str, *, offset: int, next_move: str = "") -> None:
        super().__init__(message, next_move=next_move)
        self.offset = offset


class CedarUnsupported(UsageError):
    """A policy says what the other side of an export or import has no form for; it is named, nothing is left out."""

    slug, status, exit_code = "cedar-unsupported", 422, EXIT_REFUSED


class JsonInvalid(UsageError):
    """Bytes are not JSON, or a value cannot be written as JSON, in the strict form that digests rest on."""

    slug, status, exit_code = "json-invalid", 422, EXIT_REFUSED


class WireRefused(UsageError):
    """A model call in a vendor's format cannot be read, or asks for what may not be passed on; nothing was sent.

    `param` is the path of the field (`messages[0].content[1].image_url`), empty where it is the whole body.  `code` is
    a word for programs: malformed_json, duplicate_key, unknown_field, wrong_type, vendor_tool, vendor_state,
    remote_url, unpriced, too_large, too_many_choices, content_encoding.  `lack` is what a contract would have to admit
    for it, as `pass_fields=novel`; empty where nothing that a contract can say would help.
    """

    slug, status = "wire-refused", 400

    def __init__(
        self, message: str, *, code: str, param: str = "", next_move: str = "", status: int = 400, lack: str = ""
    ) -> None:
        super().__init__(message, next_move=next_move)
        self.code = code
        self.param = param
        self.http_status = status
        self.lack = lack


class NotFound(UsageError):
    """A run, approval, workflow, tool or file of that name is not there, or is not yours to see."""

    slug, status, exit_code = "not-found", 404, EXIT_USAGE


class AlreadyExists(UsageError):
    """Going on would overwrite what is there; nothing was written."""

    slug, status, exit_code = "already-exists", 409, EXIT_USAGE


class RefusedError(LeverframeError):
    """Something was asked that may not be."""

    slug, status = "refused", 403


class CallDenied(RefusedError):
    """Policy, contract or budget refused a call; the rule and its place are in the message."""

    slug = "call-denied"


class AuthRefused(RefusedError):
    """A request carries no API key of this project, or one that has expired or was revoked."""

    slug, status = "auth-refused", 401

    def __init__(self, *, why: str, key_id: KeyId | None = None, tenant: TenantId | None = None) -> None:
        """Which of these it was is for the log alone: `why` and whose key it is never reach whoever asked."""
        super().__init__(
            "The API key is not one that this project takes.",
            next_move="Make one with: leverframe keys create NAME --workflow WORKFLOW",
        )
        self.why = why  # malformed | unknown | wrong-secret | expired | revoked
        self.key_id = key_id  # of a key that is known, also where its secret was wrong
        self.tenant = tenant


class TokenRefused(AuthRefused):
    """An access token is not one that this project takes: of another issuer, audience, time, signature or tenant."""

    slug = "token-refused"

    def __init__(self, *, why: str) -> None:
        """`why` is a clause; it names no claim's value, and what it tells is known to whoever has the token."""
        super().__init__(why=why)
        self.message = f"The access token is not one that this project takes: {why}."
        self.next_move = "Get a new one from the issuer that the resource's metadata names, for this resource."
        self.args = (self.message,)


class ScopeMissing(RefusedError):
    """An access token is good, and lacks a scope that every call here needs."""

    slug, status = "insufficient-scope", 403

    def __init__(self, *, scopes: Sequence[str]) -> None:
        super().__init__(
            f"The access token lacks a scope; all of these are needed: {', '.join(scopes)}.",
            next_move="Ask the issuer for a token with them.",
        )
        self.scopes = tuple(scopes)


class Killed(RefusedError):
    """A person has thrown a kill switch that stops this call; nothing was sent."""

    slug = "killed"


class BudgetExhausted(RefusedError):
    """A budget of a tenant or workflow has no room for a call; the message says what is left and when it resets."""

    slug, status, is_retryable = "budget-exhausted", 429, True


class ToolQuarantined(RefusedError):
    """Nobody has reviewed this tool, or the server that it is from; none of its calls is sent until someone has."""

    slug, status = "tool-quarantined", 409


class ToolDrifted(RefusedError):
    """A server offers another tool, or is another server, than what was reviewed; nothing is sent until it is again."""

    slug, status = "tool-drifted", 409


class ApprovalRefused(RefusedError):
    """This principal may not answer this approval: the initiator, a stranger to `from`, or an expired clock."""

    slug = "approval-refused"


class ApprovalAlreadyDecided(RefusedError):
    """An approval is answered once; the first answer stands and nothing was changed."""

    slug, status = "approval-already-decided", 409


class InputInvalid(RefusedError):
    """A run's input breaks the schema of its contract; no run was opened."""

    slug, status = "input-invalid", 422


class UnavailableError(LeverframeError):
    """Something outside is missing or busy; nothing was lost, and the same command may succeed later."""

    slug, status, is_retryable, exit_code = "unavailable", 503, True, EXIT_UNAVAILABLE


class StoreUnavailable(UnavailableError):
    """The database is missing, locked, read-only, full or damaged, or no descriptor is left to open it or a key file.

    Nothing was recorded, so nothing was done.
    """

    slug = "store-unavailable"


class SchemaTooNew(UnavailableError):
    """The database was written by a later version of Leverframe; this one does not touch it."""

    slug, is_retryable = "schema-too-new", False


class SignerUnavailable(UnavailableError):
    """The process that holds the key of an evidence log does not answer, so nothing more may go unsigned."""

    slug = "signer-unavailable"


class ProviderUnavailable(UnavailableError):
    """A model's provider cannot be reached, answered something unreadable, or is not installed."""

    slug = "provider-unavailable"


class ModelUnpriced(ProviderUnavailable):
    """Nobody knows what a call of a model can cost at most, so no budget can hold it."""

    slug, status, is_retryable, exit_code = "model-unpriced", 403, False, EXIT_REFUSED


class IssuerUnavailable(UnavailableError):
    """The issuer of access tokens cannot be asked for its keys, so no token of it can be checked."""

    slug = "issuer-unavailable"


class ToolUnavailable(UnavailableError):
    """A tool's server cannot be started or reached; the call did not leave the process."""

    slug = "tool-unavailable"


class ToolBusy(ToolUnavailable):
    """As many calls of a tool are at work for a tenant as may be, and none ended in time; the call did not leave."""

    slug = "tool-busy"


class ToolResting(ToolUnavailable):
    """A tool failed again and again, so that it is left alone for a while; the call did not leave."""

    slug = "tool-resting"


class SecretUnavailable(UnavailableError):
    """A `secret://` reference does not resolve to a value."""

    slug, is_retryable = "secret-unavailable", False


class Contended(UnavailableError):
    """The guards of a call failed three times, since other calls changed what it rested on.  Nothing was done."""

    slug, status = "contended", 409


class IntegrityError(LeverframeError):
    """What is stored cannot be right.  Nothing was changed."""

    slug = "integrity"


class NondeterministicRun(IntegrityError):
    """A resumed run asks at a step for something else than it recorded there; it is stopped, never guessed at."""

    slug, status = "nondeterministic-run", 409


class EvidenceBroken(IntegrityError):
    """The evidence log does not verify; the message names the place."""

    slug = "evidence-broken"


class AuthorityForged(IntegrityError):
    """A row that grants something is not what Leverframe wrote; the call that it is for never runs."""

    slug, status = "authority-forged", 409


class KeyUnsafe(IntegrityError):
    """A key file is missing, belongs to someone else, or can be read by others."""

    slug = "key-unsafe"
