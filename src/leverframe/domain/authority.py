"""Who may call, what is switched off, which limits are raised for a while and which values a person vouched for.

Knows: the shape of an API key, a kill switch, a raised budget and an endorsement, and all at one instant.  Never: reads
a clock, hashes a secret, or touches storage.  Every change bumps `generation` by one, so that a decision can be guarded
by the number it rested on (`domain.proposals.AuthorityIs`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import (
    BudgetId,
    EnvironmentName,
    KeyId,
    PrincipalId,
    RunId,
    Sha256,
    StepPath,
    TeamName,
    TenantId,
    ToolName,
    WorkflowName,
)
from leverframe.domain.labels import Integrity
from leverframe.domain.words import Word

NO_TEAM = TeamName("")


class KeyScope(Word):
    """What a key may do."""

    CALL = "call"  # call models and tools, in its workflows and environments
    OPEN_RUNS = "runs:open"  # open runs for an input and a subject, as a team's own backend does


class KeyState(Word):
    """Where a key stands at one instant."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A credential of a tenant's team.  `secret_sha256` is all that is kept of its secret, which has 256 random bits.

    `name` is one key's in its tenant, and its successor's after a rotation: what bounds the name bounds both.
    Invariant: `workflows`, `environments` and `scopes` are never empty and hold no wildcard.
    """

    key_id: KeyId
    tenant: TenantId
    team: TeamName  # empty: of no team
    name: str
    secret_sha256: Sha256
    workflows: frozenset[WorkflowName]
    environments: frozenset[EnvironmentName]
    scopes: frozenset[KeyScope]
    owner: PrincipalId
    created_at: datetime
    expires_at: datetime | None = None  # None: never
    revoked_at: datetime | None = None
    replaces: KeyId | None = None  # the key that it was rotated from

    @property
    def principal(self) -> PrincipalId:
        """Who acts with it: `key:key_…`."""
        return PrincipalId(f"key:{self.key_id}")

    def state_at(self, now: datetime) -> KeyState:
        """Whether it can be used at that instant; the instant of its end is not in its life."""
        if self.revoked_at is not None and now >= self.revoked_at:
            return KeyState.REVOKED
        if self.expires_at is not None and now >= self.expires_at:
            return KeyState.EXPIRED
        return KeyState.LIVE


class KillScope(Word):
    """What a kill switch stops."""

    EVERYTHING = "everything"
    TENANT = "tenant"
    WORKFLOW = "workflow"
    TOOL = "tool"
    MODEL = "model"
    KEY = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitch:
    """No new call of what it names, until it is cleared.  What is on its way ends by itself.

    `name` is empty for everything; a model is `PROVIDER/MODEL` or a whole `PROVIDER`; a key is its id, or its name and
    so its successors too.  `tenant` None: in every tenant.
    """

    scope: KillScope
    by: PrincipalId
    at: datetime
    name: str = ""
    tenant: TenantId | None = None
    reason_ref: str = ""  # digest of the disclosure that holds the person's words
    # In whose log it was committed; None while it is not stored.  It is no part of what is stopped.
    holder: TenantId | None = field(default=None, compare=False)

    def stops(
        self,
        *,
        tenant: TenantId,
        workflow: WorkflowName | None = None,
        key: ApiKey | None = None,
        model: str | None = None,
        tool: ToolName | None = None,
    ) -> bool:
        """Whether a call of these is stopped; what is not given is not called."""
        if self.tenant is not None and self.tenant != tenant:
            return False
        match self.scope:
            case KillScope.EVERYTHING:
                return True
            case KillScope.TENANT:
                return self.name == tenant
            case KillScope.WORKFLOW:
                return self.name == workflow
            case KillScope.TOOL:
                return self.name == tool
            case KillScope.MODEL:
                return model is not None and (model == self.name or model.startswith(f"{self.name}/"))
            case KillScope.KEY:
                return key is not None and self.name in {key.key_id, key.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRaise:
    """`amount` more in one unit of a budget that spans runs, until an instant; several of them add up."""

    budget: BudgetId
    tenant: TenantId
    unit: BudgetUnit
    amount: int  # micro-dollars for `usd`, else a count
    until: datetime
    by: PrincipalId
    at: datetime
    reason_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """A person's word that one value which entered a run is as good as `integrity` says, while that run lasts.

    `value_digest` is a keyed hash of the value: whatever stands at its place later, this value alone is endorsed.
    `detail_ref` is the digest of the disclosure that holds its JSON pointer and the person's words.
    """

    run_id: RunId
    tenant: TenantId
    step: StepPath  # whose answer holds it; "input" for the run's input
    integrity: Integrity
    value_digest: bytes
    detail_ref: str
    by: PrincipalId
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """All of it at one instant.  `generation` 0: nobody ever changed anything."""

    generation: int = 0
    keys: Mapping[KeyId, ApiKey] = field(default_factory=dict)
    kills: tuple[KillSwitch, ...] = ()
    raises: tuple[BudgetRaise, ...] = ()
    endorsements: tuple[Endorsement, ...] = ()

    def endorsed(self, run_id: RunId) -> tuple[Endorsement, ...]:
        """What people endorsed in one run, oldest first."""
        return tuple([one for one in self.endorsements if one.run_id == run_id])

    def killed(
        self,
        *,
        tenant: TenantId,
        workflow: WorkflowName | None = None,
        key: ApiKey | None = None,
        model: str | None = None,
        tool: ToolName | None = None,
    ) -> KillSwitch | None:
        """The first switch that stops such a call; None where none does."""
        for one in self.kills:
            if one.stops(tenant=tenant, workflow=workflow, key=key, model=model, tool=tool):
                return one
        return None

    def key_named(self, tenant: TenantId, name: str, now: datetime) -> ApiKey | None:
        """The newest live key of that id or name."""
        found = [
            one
            for one in self.keys.values()
            if one.tenant == tenant and name in {one.key_id, one.name} and one.state_at(now) is KeyState.LIVE
        ]
        return max(found, key=lambda one: one.created_at, default=None)
