"""One run in memory: its contract, what it has done, where its values came from.

Owned by whoever holds the claim on the run; never shared between threads.  Everything here can be rebuilt from the
journal, and is after a crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from leverframe.core.agent_view import Hidden
from leverframe.core.canonical import decode, encode
from leverframe.core.disclosures import open_, seal
from leverframe.core.hygiene import Removed
from leverframe.core.policy import CompiledPolicy
from leverframe.core.provenance import ValueIndex
from leverframe.core.redaction import Redaction, learn
from leverframe.core.shared_budgets import shared_windows, with_books, with_raises
from leverframe.domain.authority import NO_TEAM, ApiKey, Authority, KeyScope, KillSwitch
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import AuthRefused, EvidenceBroken, IntegrityError
from leverframe.domain.evidence import Disclosure
from leverframe.domain.ids import KeyId, ReservationId, Sha256, StepPath, ToolName, WindowId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Integrity
from leverframe.domain.policy import RunFacts
from leverframe.domain.runs import Run, Step
from leverframe.runtime.run_limits import check_limits, is_of_a_key
from leverframe.runtime.services import Services


@dataclass(slots=True, kw_only=True)
class RunContext:
    """The state of one run while it is advanced.

    `payloads` holds the disclosures of steps that were recorded before this process took the run over.
    `active_since` is on the monotonic clock: the wall time since then is not in the journal yet; it ends at
    `waiting_since` while the run waits for a person.
    `booked` holds the shared windows of each reservation that this process made and has not settled: a call settles in
    the windows it was reserved in, also when their period has ended meanwhile.
    """

    services: Services
    run: Run
    contract: Contract
    policy: CompiledPolicy
    input: JsonObject
    subject: str | None
    values: ValueIndex
    redaction: Redaction
    token_key: bytes
    active_since: float
    steps: dict[StepPath, Step] = field(default_factory=dict)
    payloads: dict[str, Disclosure] = field(default_factory=dict)
    booked: dict[ReservationId, tuple[Window, ...]] = field(default_factory=dict)
    today: CompiledPolicy | None = None  # the project's present policy, where it is not the one the run pinned
    waiting_since: float | None = None
    key: ApiKey | None = None  # with which an outside agent calls; None: a loop of ours, or a person
    opener: Integrity = Integrity.USER  # who opened the run, and so who gave its input
    opened_with: KeyId | None = None  # the key that opened it, where its initiator is somebody else
    input_integrity: Integrity = Integrity.SYSTEM  # the lowest of its fields
    is_outside: bool = False  # an outside agent's run: no loop of ours numbers its steps
    marker: str = ""  # stands between the words of quoted text; nobody outside can know it
    shown: dict[StepPath, Json] = field(default_factory=dict)  # of the input and of answers: what an agent is shown
    hidden: dict[str, Hidden] = field(default_factory=dict)  # what each handle of this run stands for
    input_removed: tuple[Removed, ...] = ()  # what hygiene took out of the input
    eased_under: int = 0  # the generation of the authority whose endorsements `values` knows
    is_suspicious: bool = False  # something was hidden in a text that it read; it can only raise caution

    @property
    def facts(self) -> RunFacts:
        """What conditions read as `run.*`."""
        return RunFacts(
            run_id=self.run.run_id,
            tenant=self.run.tenant,
            environment=self.run.environment,
            workflow=self.run.workflow,
            initiator=self.run.initiator,
            subject=self.subject,
            input=self.input,
        )

    def killed(
        self, authority: Authority, *, model: str | None = None, tool: ToolName | None = None
    ) -> KillSwitch | None:
        """The kill switch that stops such a call of this run."""
        return authority.killed(
            tenant=self.run.tenant, workflow=self.run.workflow, key=self._whose(authority), model=model, tool=tool
        )

    def _whose(self, authority: Authority) -> ApiKey | None:
        """The key whose calls these are: the caller's, or without a caller, as on a grant, that of the run's opener."""
        return self.key or opener_key(self, authority)

    def stopped_by(self, tool: ToolName) -> str:
        """Why a call that is on its way is not sent once more, as far as this process knows now; empty: it may be."""
        try:
            authority = self.services.authority.current()
            if self.killed(authority, tool=tool) is not None:
                return "a kill switch"
            key = self._whose(authority)
            if key is not None:
                self.services.authority.check_live(key)
        except IntegrityError:
            return "what cannot be read of keys and kill switches"
        except AuthRefused as ended:
            return f"the end of the key {ended.key_id}"
        return ""

    @property
    def window_id(self) -> WindowId:
        """The run's own window."""
        return WindowId(f"run/{self.run.run_id}")

    def seal(self, name: str, value: Json) -> tuple[Disclosure, ...]:
        """Commit to a value under the contract's redaction, and learn what it shows to be redacted."""
        sealed = seal(
            name,
            value,
            redaction=self.redaction,
            salts=self.services.mint.salts(),
            token_key=self.token_key,
        )
        self.redaction = learn(self.redaction, value)
        self.payloads.update((one.digest, one) for one in sealed)
        return sealed

    def payload(self, digest: str) -> Json:
        """The exact value of a recorded disclosure.

        Raises:
            EvidenceBroken: it is gone (retention, erasure), and the run cannot go on without it.
        """
        top = self.payloads.get(digest)
        if top is None:
            raise EvidenceBroken(
                f"Run {self.run.run_id!r} needs the recorded value {digest!r}, which is not kept any more.",
                next_move="End the run by hand: leverframe runs end " + self.run.run_id,
            )
        return open_(top, self.payloads, {})

    def step_name(self, name: str) -> StepPath:
        """An agent's own name for a step, as a path; what a path cannot say is told apart by a keyed hash."""
        plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in name)[:64]
        return StepPath(f"@{plain}" if plain == name else f"@~{self.fingerprint('step', name).hex()[:32]}")

    def fingerprint(self, domain: str, value: Json) -> bytes:
        """The keyed hash of a value under the tenant's key."""
        return self.services.fingerprints.fingerprint(self.run.tenant, domain, encode(value))

    def stand_still(self) -> None:
        """Stop the wall clock: the run waits for a person."""
        if self.waiting_since is None:
            self.waiting_since = self.services.clock.monotonic()

    def go_on(self) -> None:
        """Let the wall clock go on."""
        if self.waiting_since is not None:
            self.active_since += self.services.clock.monotonic() - self.waiting_since
            self.waiting_since = None

    def unsettled_active_us(self) -> int:
        """Wall time of this process on this run that no commit has counted yet, in microseconds."""
        return max(0, int((self._active_until() - self.active_since) * 1_000_000))

    def take_active_us(self) -> int:
        """The same, and begin to count anew."""
        elapsed_us = self.unsettled_active_us()
        self.active_since = self._active_until()
        return elapsed_us

    def _active_until(self) -> float:
        return self.services.clock.monotonic() if self.waiting_since is None else self.waiting_since

    async def windows(self, at: datetime, *, model: str | None = None) -> tuple[Window, ...]:
        """The run's own windows, then those of the shared budgets that apply to a call at this moment.

        `model` is that of a model call, `PROVIDER/MODEL`.
        """
        return (*await self.run_windows(), *await self._shared_windows(at, model))

    async def run_windows(self) -> tuple[Window, ...]:
        """The run's windows as the store has them, the wall clock brought up to now.

        Raises:
            AuthorityForged: the store has a limit that the run's contract does not have.
        """
        stored = await self.services.journal.windows(self.run.run_id)
        check_limits(self.contract, self.window_id, stored, is_a_task=not is_of_a_key(self.run))
        running = self.unsettled_active_us()
        return tuple(
            window if window.unit is not BudgetUnit.WALL_US else _with_running(window, running) for window in stored
        )

    async def _shared_windows(self, at: datetime, model: str | None) -> tuple[Window, ...]:
        """Today's budgets of the project, not those of the run's release: a limit binds from when it is written."""
        project = self.services.project
        if not project.budgets:
            return ()
        tenant, key = self.run.tenant, self._whose(self.services.authority.current())
        windows = shared_windows(
            project.budgets,
            tenant=tenant,
            workflow=self.run.workflow,
            at=at,
            zone=project.zone_of(tenant),
            team=None if key is None else key.team,
            key=None if key is None else key.name,
            model=model,
        )
        if not windows:
            return ()
        windows = with_raises(windows, self.services.authority.current().raises, at)
        ids = tuple(dict.fromkeys(window.window_id for window in windows))
        return with_books(windows, await self.services.journal.shared_windows(ids))

    def total_seconds(self, now: datetime) -> float:
        """Since the run was opened, waits included."""
        return (now - self.run.opened_at).total_seconds()


def _with_running(window: Window, running_us: int) -> Window:
    return Window(
        window_id=window.window_id,
        unit=window.unit,
        limit=window.limit,
        settled=window.settled + running_us,
        reserved=window.reserved,
        source=window.source,
        key=window.key,
    )


def opener_key(ctx: RunContext, authority: Authority) -> ApiKey | None:
    """The key that opened a run, as it stands now; None where none did, or an earlier version did not say which."""
    key_id, initiator = ctx.opened_with, ctx.run.initiator
    if key_id is None and initiator.startswith("key:"):
        key_id = KeyId(initiator.removeprefix("key:"))
    return None if key_id is None else authority.keys.get(key_id) or _of_a_subject(ctx.run, key_id)


def input_value(values: JsonObject, expression: str) -> Json:
    """The value that `input.message` names; None where it is not there."""
    node: Json = values
    for key in expression.split(".")[1:]:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def decoded(text: bytes) -> Json:
    """Bytes from the journal as JSON."""
    return decode(text)


def recorded_args(ctx: RunContext, step: Step) -> JsonObject:
    """The arguments of a recorded tool call, exactly as they were frozen.

    Raises:
        EvidenceBroken: they are not kept any more.
    """
    recorded = ctx.payload(step.args_ref)
    if not isinstance(recorded, dict):
        return {}
    envelope = recorded.get("envelope")
    args = envelope.get("args") if isinstance(envelope, dict) else recorded.get("args")
    return args if isinstance(args, dict) else {}


def _of_a_subject(run: Run, key_id: KeyId) -> ApiKey:
    """What stands for whoever came with an issuer's token, as far as a run tells: switches know it by its id."""
    return ApiKey(
        key_id=key_id,
        tenant=run.tenant,
        team=NO_TEAM,
        name=key_id,
        secret_sha256=Sha256(""),
        workflows=frozenset({run.workflow}),
        environments=frozenset({run.environment}),
        scopes=frozenset({KeyScope.CALL}),
        owner=run.launcher,
        created_at=run.opened_at,
    )
