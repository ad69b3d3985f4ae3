"""What the entries of an evidence log say happened, and whether that may be: the checks S1 to S12.

Part of the offline verifier (`leverframe.sdk.onefile`): standard library only.  Which fields each type of entry
carries, and what each check asks, is written in docs/evidence-record.md.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from leverframe.sdk.keys import Keys
from leverframe.sdk.report import Check, Leaf
from leverframe.sdk.switches import Switches
from leverframe.sdk.told import CLOCK_SLACK, TOTALS, Action, Approval, Run, windows_of

MISSED_HEARTBEATS = 3
# What a person may call a value that was less trusted.
EASED_TO = {"third-party": ("tenant-record", "user"), "tenant-record": ("user",)}
# Written by a process that finds that another went silent.
RECOVERY = {"log.opened", "log.recovered", "budget.forfeited", "run.gap"}


class Story:
    """Judges entries one by one, in the order of the log.  `is_whole`: no entry of the log is left out."""

    def __init__(self, checks: dict[str, Check], *, is_whole: bool) -> None:
        self.checks, self.is_whole = checks, is_whole
        self.runs: dict[str, Run] = {}
        self.actions: dict[tuple[str, str], Action] = {}
        self.approvals: dict[str, Approval] = {}
        self.windows: dict[str, tuple[int, int]] = {}  # settled, reserved
        self.reservations: dict[str, dict[str, int]] = {}
        self.overruns: set[str] = set()
        self.policies: set[str] = set()
        self.policies_used: set[str] = set()
        self.pruned: dict[str, str] = {}  # by workflow: values of entries older than this time are gone
        self.erased: set[str] = set()
        self.ids: set[str] = set()
        self.tenant = self.latest = ""
        self.heartbeat_s = self.index = self.unproven_groups = self.observed = 0
        self.keys, self.switches = Keys(), Switches()
        self.kind = ""

    def fail(self, check: str, what: str) -> None:
        """Record a failure at the entry that is being told."""
        self.checks[check].fail(what, self.index, self.kind)

    def tell(self, index: int, leaf: Leaf) -> None:
        """Take in the next entry.  Raises KeyError, TypeError, ValueError or AttributeError where it is not one."""
        self.index, self.kind = index, leaf["type"]
        entry_id, tenant = leaf["entry_id"], leaf["tenant"]
        detail, run_id = leaf.get("detail", {}), leaf.get("run_id", "")
        self.tenant = self.tenant or tenant
        if tenant != self.tenant:
            self.fail("entries", f"is of tenant {tenant!r} in the log of {self.tenant!r}")
        if entry_id in self.ids:
            self.fail("entries", f"{entry_id!r} stands a second time")
        if self.is_whole and leaf.get("cause", entry_id) not in self.ids and "cause" in leaf:
            self.fail("entries", f"its cause {leaf['cause']!r} does not stand before it")
        self.ids.add(entry_id)
        self._time(leaf["at"])
        run = self.runs.get(run_id) or self.runs.setdefault(run_id, Run())
        if run_id:
            run.seq += 1
            if leaf["run_seq"] != run.seq:
                self.fail("S6", f"is number {leaf['run_seq']!r} of {run_id!r}, expected {run.seq}")
                run.seq = int(leaf["run_seq"])
        if self.kind in ("call.settled", "model.answered"):
            for key in TOTALS:
                run.totals[key] += leaf.get(key, 0)
        if "reservation_id" in detail:
            self._budget(detail)
        handler = _HANDLERS.get(self.kind)
        if handler is not None:
            handler(self, leaf, detail, run)

    def finish(self) -> None:
        """Judge what only the end can tell, and say what could not be judged."""
        checks, open_count, unknown_count = self.checks, 0, 0
        for (run_id, digest), action in self.actions.items():
            unknown_count += action.outcome == "unknown"
            if action.intended is not None and not action.outcome:
                open_count += 1
                if self.runs[run_id].has_ended:
                    index, kind = action.intended
                    checks["S12"].fail(f"{run_id!r} ended without the outcome of {str(digest)[:16]}…", index, kind)
        notes = (
            ("S12", open_count > 0, f"{open_count} on their way when this was made"),
            ("S12", unknown_count > 0, f"{unknown_count} unknown, for a person"),
            ("S3", self.unproven_groups > 0, f"the groups of {self.unproven_groups} grants are not recorded"),
            ("S6", not self.is_whole, "whether the log holds later entries of the run is not visible here"),
            ("S7", not self.is_whole, "budgets of this run only"),
            ("S2", self.observed > 0, f"{self.observed} calls only observed, which would have been refused or held"),
        )
        for name, holds, note in notes:
            checks[name].notes += [note] * holds
        if not self.windows:
            checks["S7"].not_here = "no reservation is in these entries"
        if not checks["S10"].checked:
            checks["S10"].not_here = (
                "no call with a key, nor one under a kill switch, is in these entries"
                if self.is_whole
                else "needs the whole log"
            )
        if not self.is_whole:
            checks["S11"].not_here = "needs the whole log"
        elif not checks["S11"].checked:
            checks["S11"].not_here = "no log.opened entry names a heartbeat"

    def _time(self, at: str) -> None:
        # The fixed form of times makes the order of the texts the order in time.
        if at < self.latest:
            if datetime.fromisoformat(self.latest) - datetime.fromisoformat(at) > CLOCK_SLACK:
                self.fail("clock", f"is at {at}, after an entry at {self.latest}")
            return
        if self.heartbeat_s and self.is_whole and self.kind not in RECOVERY:
            self.checks["S11"].checked += 1
            silence = datetime.fromisoformat(at) - datetime.fromisoformat(self.latest)
            if silence > timedelta(seconds=MISSED_HEARTBEATS * self.heartbeat_s):
                self.fail("S11", f"comes {silence.total_seconds():.0f} s after the one before it")
        self.latest = at

    def _budget(self, detail: Leaf) -> None:
        reservation_id = detail["reservation_id"]
        if self.kind == "budget.overrun":
            self.overruns.add(reservation_id)
        for window, amount, limit in windows_of(detail.get("reserved", ())):
            settled, reserved = self.windows.get(window, (0, 0))
            self.windows[window] = settled, reserved + amount
            self.reservations.setdefault(reservation_id, {})[window] = amount
            self.checks["S7"].checked += 1
            is_visible = self.is_whole or window.startswith("run/")
            if is_visible and limit is not None and settled + reserved + amount > limit:
                self.fail("S7", f"{window!r} holds {settled + reserved + amount} of {limit}")
        if "settled" in detail or "voided" in detail:
            actual = {window: amount for window, amount, _ in windows_of(detail.get("settled", ()))}
            for window, amount in self.reservations.pop(reservation_id, {}).items():
                settled, reserved = self.windows[window]
                # A window that is not named was settled as reserved; a voided reservation costs nothing.
                spent = actual.pop(window, amount) if "settled" in detail else 0
                self.windows[window] = settled + spent, reserved - amount
                if spent > amount and reservation_id not in self.overruns:
                    self.fail("S7", f"{window!r} took {spent}, {amount} was set aside and no overrun is recorded")
            if any(actual.values()):
                self.fail("S7", f"settles {reservation_id!r} in windows where nothing was set aside for it")

    def is_pruned(self, leaf: Leaf) -> bool:
        """Whether an entry says that the values of this one were deleted as too old."""
        return bool(leaf["at"] < self.pruned.get(self.runs[leaf.get("run_id", "")].workflow, ""))

    def action_of(self, leaf: Leaf) -> Action:
        """The action of an entry, made where it is new."""
        # A read may run unfrozen; it is then known by its step, which no frozen action is named like.
        key = leaf.get("run_id", ""), leaf.get("action_digest") or f"step {leaf['step']}"
        return self.actions.get(key) or self.actions.setdefault(key, Action())

    def effect(self, leaf: Leaf, action: Action) -> None:
        """An effect is about to happen, or, of a read, has happened."""
        self.checks["S2"].checked += 1
        self.checks["S5"].checked += 1
        if action.decided != "allow":
            self.fail("S2", f"no allow stands before it; the last decision is {action.decided or 'none'}")
        if action.was_denied:
            self.fail("S5", "a denial of this very action stands before it")
        if action.was_held or "approval_id" in leaf:
            self._approved(leaf, leaf.get("approval_id", action.approval_id))

    def _approved(self, leaf: Leaf, approval_id: str) -> None:
        self.checks["S3"].checked += 1
        self.checks["S4"].checked += 1
        approval = self.approvals.get(approval_id)
        if approval is None:
            self.fail("S3", "the call was held, and no approval stands before it")
            return
        approval.effects += 1
        is_another = approval.action != leaf["action_digest"] or approval.run_id != leaf["run_id"]
        grants = f"{len(approval.granted)} of {approval.quorum} grants count"
        why_not = "; ".join(approval.why_not) or "no others were given"
        problems = (
            (is_another, "the approval is for another action"),
            (len(approval.granted) < approval.quorum, f"{grants}: {why_not}"),
            (bool(approval.closed), f"the approval was {approval.closed}"),
            (
                bool(approval.execute_by) and leaf["at"] > approval.execute_by,
                f"its time ended at {approval.execute_by}",
            ),
        )
        for is_wrong, what in problems:
            if is_wrong:
                self.fail("S3", what)
        if approval.effects > approval.uses or approval.effects > approval.consumed:
            self.fail(
                "S4", f"effect {approval.effects} of an approval consumed {approval.consumed}, good for {approval.uses}"
            )


def _config(story: Story, leaf: Leaf, _detail: Leaf, _run: Run) -> None:
    story.policies.add(leaf.get("policy_digest", ""))


def _run_started(story: Story, leaf: Leaf, detail: Leaf, run: Run) -> None:
    story.policies.add(leaf.get("policy_digest", ""))
    run.workflow = str(detail.get("workflow", ""))
    run.barred.update((leaf["actor"], *detail.get("initiators", ())))


def _run_ended(story: Story, leaf: Leaf, detail: Leaf, run: Run) -> None:
    run.has_ended = True
    story.checks["S6"].checked += 1
    for key in TOTALS:
        said = leaf.get(key, detail.get(f"total_{key}"))
        if said is not None and said != run.totals[key] and run.is_summed:
            story.fail("S6", f"says {key} {said!r}, and its entries add up to {run.totals[key]}")


def _run_gap(_story: Story, _leaf: Leaf, _detail: Leaf, run: Run) -> None:
    run.is_summed = False


def _key(story: Story, leaf: Leaf, detail: Leaf, _run: Run) -> None:
    story.keys.tell(leaf, detail)
    story.switches.tell_key(detail)


def _switch(story: Story, _leaf: Leaf, detail: Leaf, _run: Run) -> None:
    story.switches.tell(detail)


def _allowed(story: Story, leaf: Leaf, run: Run) -> None:
    if run.has_ended:
        story.fail("S6", "a call was allowed after the end of its run")
    detail = leaf.get("detail", {})
    story.observed += "would" in detail
    # What a person let go on later is theirs to answer for, and so is what the door reads for it.
    is_of_key = "approval_id" not in leaf and detail.get("asker") not in ("door", "reentry")
    if story.is_whole and is_of_key and story.keys.knows(leaf.get("actor", "")):
        story.checks["S10"].checked += 1
        problem = story.keys.problem(leaf)
        if problem:
            story.fail("S10", problem)
    if story.is_whole and story.switches.is_any_on:
        story.checks["S10"].checked += 1
        problem = story.switches.problem(leaf, run.workflow)
        if problem:
            story.fail("S10", problem)
    story.policies_used.add(leaf["policy_digest"])
    if leaf["policy_digest"] not in story.policies:
        story.fail("S2", f"policy {leaf['policy_digest'][:16]}… was not announced by run.started or config.changed")


def _model_called(story: Story, leaf: Leaf, _detail: Leaf, run: Run) -> None:
    if leaf["decision"] == "allow":
        _allowed(story, leaf, run)
        run.models.add(leaf["step"])
    else:
        run.models.discard(leaf["step"])


def _model_answered(story: Story, leaf: Leaf, _detail: Leaf, run: Run) -> None:
    story.checks["S2"].checked += 1
    if leaf["step"] not in run.models:
        story.fail("S2", f"a model answered at step {leaf['step']!r}, where no call of one was allowed")
    # Nobody knows what it took, so its bound is in the books and no entry says how much that was.
    run.is_summed = run.is_summed and leaf["outcome"] != "unknown"


def _decided(story: Story, leaf: Leaf, _detail: Leaf, run: Run) -> None:
    decision = leaf["decision"]
    if decision == "allow":
        _allowed(story, leaf, run)
    action = story.action_of(leaf)
    action.decided, action.approval_id = decision, leaf.get("approval_id", "")
    action.was_held = action.was_held or decision == "hold"
    action.was_denied = action.was_denied or decision == "deny"


def _intended(story: Story, leaf: Leaf, _detail: Leaf, _run: Run) -> None:
    action = story.action_of(leaf)
    story.checks["S12"].checked += 1
    if action.intended is not None:
        story.fail("S1", f"the action was announced before, at entry {action.intended[0]}")
    story.effect(leaf, action)
    action.intended = action.intended or (story.index, story.kind)


def _settled(story: Story, leaf: Leaf, _detail: Leaf, _run: Run) -> None:
    action = story.action_of(leaf)
    story.checks["S1"].checked += 1
    if action.outcome not in ("", "unknown"):
        story.fail("S1", f"the action was settled before, as {action.outcome}")
    if leaf.get("effect_class") == "read":
        story.effect(leaf, action)
    elif action.intended is None:
        story.fail("S1", "no call.intended of this action stands before it")
    action.outcome = leaf["outcome"]


def _requested(story: Story, leaf: Leaf, detail: Leaf, run: Run) -> None:
    if leaf["approval_id"] in story.approvals:
        story.fail("S3", f"{leaf['approval_id']!r} was requested before")
    story.approvals[leaf["approval_id"]] = Approval(
        run_id=leaf["run_id"],
        action=leaf["action_digest"],
        barred={*run.barred, *detail.get("barred", ())},
        quorum=max(1, int(detail["quorum"])),
        decide_by=detail["decide_by"],
        groups=set(detail.get("from", ())),
        uses=int(detail.get("uses", 1)),
    )


def _answered(story: Story, leaf: Leaf, detail: Leaf, _run: Run) -> None:
    approval, actor = story.approvals[leaf["approval_id"]], leaf["actor"]
    if detail["answer"] != "granted":
        approval.closed = "denied"
        return
    # An entry that joins groups by "+" asks for someone who is in each of them.
    is_asked = any(set(one.split("+")) <= set(detail.get("groups", ())) for one in approval.groups)
    is_stranger = bool(approval.groups) and "groups" in detail and not is_asked
    why = (
        ("is an initiator of the run or barred like one", actor in approval.barred),
        ("answered for another action", leaf["action_digest"] != approval.action),
        (f"answered after {approval.decide_by}", leaf["at"] > approval.decide_by),
        ("is in none of the groups asked", is_stranger),
        (f"answered when it was {approval.closed}", bool(approval.closed)),
    )
    reasons = [text for text, holds in why if holds]
    if reasons:
        approval.why_not.append(f"{actor} {' and '.join(reasons)}")
    else:
        approval.granted.add(actor)
        if approval.groups and "groups" not in detail:
            story.unproven_groups += 1
    approval.execute_by = detail.get("execute_by", approval.execute_by)


def _consumed(story: Story, leaf: Leaf, _detail: Leaf, _run: Run) -> None:
    story.approvals[leaf["approval_id"]].consumed += 1


def _closed(story: Story, leaf: Leaf, _detail: Leaf, _run: Run) -> None:
    story.approvals[leaf["approval_id"]].closed = leaf["type"].removeprefix("approval.")


def _endorsed(story: Story, leaf: Leaf, detail: Leaf, run: Run) -> None:
    if detail.get("reason") != "person":
        return  # by a validator that the tool's specification declares
    story.checks["S8"].checked += 1
    before, now = detail["before"], detail["integrity"]
    problems = (
        (leaf["actor"] in run.barred, f"{leaf['actor']!r} is an initiator of the run"),
        (run.has_ended, "the run had ended"),
        (now not in EASED_TO.get(before, ()), f"a value that was {before!r} is called {now!r}"),
    )
    for is_wrong, what in problems:
        if is_wrong:
            story.fail("S8", what)


def _log_rhythm(story: Story, _leaf: Leaf, detail: Leaf, _run: Run) -> None:
    story.heartbeat_s = int(detail.get("heartbeat_s", 0))


def _pruned(story: Story, _leaf: Leaf, detail: Leaf, _run: Run) -> None:
    workflow = str(detail.get("workflow", ""))
    story.pruned[workflow] = max(story.pruned.get(workflow, ""), detail["before"])


def _erased(story: Story, _leaf: Leaf, detail: Leaf, _run: Run) -> None:
    story.erased.update(detail["digests"])


_HANDLERS: dict[str, Callable[[Story, Leaf, Leaf, Run], None]] = {
    "log.opened": _log_rhythm,
    "log.closed": _log_rhythm,
    "log.recovered": _log_rhythm,
    "config.changed": _config,
    "key.created": _key,
    "key.rotated": _key,
    "key.revoked": _key,
    "killswitch.set": _switch,
    "run.started": _run_started,
    "run.ended": _run_ended,
    "run.gap": _run_gap,
    "model.called": _model_called,
    "model.answered": _model_answered,
    "call.decided": _decided,
    "call.intended": _intended,
    "call.settled": _settled,
    "approval.requested": _requested,
    "approval.decided": _answered,
    "approval.consumed": _consumed,
    "approval.expired": _closed,
    "approval.cancelled": _closed,
    "approval.superseded": _closed,
    "approval.revoked": _closed,
    "label.endorsed": _endorsed,
    "retention.pruned": _pruned,
    "disclosure.erased": _erased,
}
