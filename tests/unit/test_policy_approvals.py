"""Who may answer an approval, and what an answer leads to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from leverframe.core.approvals import after_answer, may_answer, may_consume, may_move, state_at, sticky_values
from leverframe.domain.approvals import Answer, AnswerWord, Approval, ApprovalState
from leverframe.domain.contracts import Person
from leverframe.domain.errors import ApprovalAlreadyDecided
from leverframe.domain.ids import ApprovalId, PrincipalId, RuleId, RunId, Sha256, StepPath, TenantId
from leverframe.domain.policy import ApprovalRequirement
from leverframe.domain.tools import ArgSpec
from tests.policy_samples import REFUND, REFUND_SPEC, at

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ACME = frozenset({TenantId("acme")})
DIGEST = Sha256("ab" * 32)
LENA = Person(id=PrincipalId("person:lena"), groups=frozenset({"leads"}), tenants=ACME, roles=frozenset({"approver"}))
OMAR = replace(LENA, id=PrincipalId("person:omar"))
PENDING = Approval(
    approval_id=ApprovalId("apr_1"),
    tenant=TenantId("acme"),
    run_id=RunId("run_1"),
    path=StepPath("3"),
    tool=REFUND,
    action_digest=DIGEST,
    rules=(RuleId("over-50"),),
    requirement=ApprovalRequirement(source=at(13), decide_within_s=600, execute_within_s=60),
    initiator=PrincipalId("agent:refund_request"),
    launcher=PrincipalId("os:maria"),
    selector_digest=b"s",
    asked_at=NOW,
    decide_by=NOW + timedelta(seconds=600),
)


def require(**changes: object) -> Approval:
    return replace(PENDING, requirement=replace(PENDING.requirement, **changes))  # type: ignore[arg-type]  # fields by name


def answer(person: Person = LENA, word: AnswerWord = AnswerWord.GRANT, at_s: float = 10) -> Answer:
    return Answer(principal=person.id, word=word, at=NOW + timedelta(seconds=at_s), reason="", proof="os-user")


MARIA = replace(LENA, id=PrincipalId("os:maria"))


@pytest.mark.parametrize(
    ("approval", "person", "code"),
    [
        (PENDING, LENA, None),
        (PENDING, replace(LENA, id=PENDING.initiator), "is-initiator"),
        (require(distinct_from=frozenset()), replace(LENA, id=PENDING.initiator), "is-initiator"),
        (PENDING, MARIA, None),
        (require(distinct_from=frozenset({"initiator", "launcher"})), MARIA, "is-launcher"),
        (PENDING, replace(LENA, tenants=frozenset()), "other-tenant"),
        (PENDING, replace(LENA, tenants=frozenset({TenantId("globex")})), "other-tenant"),
        (PENDING, replace(LENA, roles=frozenset()), "no-approver"),
        (require(from_groups=("leads",)), LENA, None),
        (require(from_groups=("leads",)), replace(LENA, roles=frozenset()), None),
        (require(from_groups=("legal", "oncall")), LENA, "not-in-from"),
        (require(from_groups=("leads+legal",)), LENA, "not-in-from"),
        (require(from_groups=("leads+legal",)), replace(LENA, groups=frozenset({"leads", "legal"})), None),
        (replace(PENDING, answers=(answer(),)), LENA, "answered-before"),
        (replace(PENDING, answers=(answer(),)), OMAR, None),
    ],
)
def test_who_may_answer(approval: Approval, person: Person, code: str | None) -> None:
    refusal = may_answer(approval, person)

    assert (refusal.code if refusal else None) == code
    assert refusal is None or repr(str(person.id)) in refusal.text


def test_a_grant_of_the_quorum_starts_the_second_clock() -> None:
    given = after_answer(PENDING, answer(at_s=10))

    assert (given.state, given.execute_by) == (ApprovalState.GRANTED, NOW + timedelta(seconds=70))
    assert given.missing == 0


def test_a_quorum_is_of_different_people() -> None:
    two = require(quorum=2)

    first = after_answer(two, answer(LENA))
    same = after_answer(replace(two, answers=(answer(LENA),)), answer(LENA))
    second = after_answer(replace(two, answers=(answer(LENA),)), answer(OMAR))

    assert (first.state, first.missing, first.execute_by) == (ApprovalState.PENDING, 1, None)
    assert (same.state, same.missing) == (ApprovalState.PENDING, 1)
    assert second.state is ApprovalState.GRANTED


def test_one_denial_denies_whatever_was_granted_before() -> None:
    two = replace(require(quorum=2), answers=(answer(LENA),))

    denied = after_answer(two, answer(OMAR, AnswerWord.DENY))

    assert (denied.state, denied.missing, denied.execute_by) == (ApprovalState.DENIED, 0, None)


@pytest.mark.parametrize("word", AnswerWord)
@pytest.mark.parametrize(("at_s", "is_late"), [(599.999999, False), (600, True), (10_000, True)])
def test_an_answer_after_the_first_clock_finds_it_expired(word: AnswerWord, at_s: float, is_late: bool) -> None:  # noqa: FBT001  a table
    given = after_answer(PENDING, answer(word=word, at_s=at_s))

    assert (given.state is ApprovalState.EXPIRED) is is_late
    assert given.missing == 0


@pytest.mark.parametrize("state", [state for state in ApprovalState if state is not ApprovalState.PENDING])
def test_a_second_answer_loses(state: ApprovalState) -> None:
    with pytest.raises(ApprovalAlreadyDecided, match=f"'apr_1' is {state.value}"):
        after_answer(replace(PENDING, state=state), answer())


GRANTED = replace(PENDING, state=ApprovalState.GRANTED, answers=(answer(),), execute_by=NOW + timedelta(seconds=70))


@pytest.mark.parametrize(
    ("approval", "at_s", "state"),
    [
        (PENDING, 599, ApprovalState.PENDING),
        (PENDING, 600, ApprovalState.EXPIRED),
        (GRANTED, 69, ApprovalState.GRANTED),
        (GRANTED, 70, ApprovalState.EXPIRED),
        (replace(GRANTED, execute_by=None), 0, ApprovalState.EXPIRED),
        (replace(PENDING, state=ApprovalState.DENIED), 10_000, ApprovalState.DENIED),
        (replace(GRANTED, state=ApprovalState.CONSUMED), 10_000, ApprovalState.CONSUMED),
    ],
)
def test_a_timeout_always_denies(approval: Approval, at_s: int, state: ApprovalState) -> None:
    assert state_at(approval, NOW + timedelta(seconds=at_s)) is state


def test_the_moves_are_those_of_the_page() -> None:
    moves = {
        (before.value, after.value) for before in ApprovalState for after in ApprovalState if may_move(before, after)
    }

    assert moves == {
        *(("pending", after) for after in ("granted", "denied", "expired", "cancelled", "superseded")),
        *(("granted", after) for after in ("consumed", "expired", "revoked")),
    }


PEOPLE = {LENA.id: LENA, OMAR.id: OMAR}
OTHER_DIGEST = Sha256("cd" * 32)


@pytest.mark.parametrize(
    ("approval", "people", "digest", "at_s", "code"),
    [
        (GRANTED, PEOPLE, DIGEST, 20, None),
        (GRANTED, PEOPLE, DIGEST, 70, "is-expired"),
        (PENDING, PEOPLE, DIGEST, 20, "is-pending"),
        (replace(GRANTED, state=ApprovalState.CONSUMED), PEOPLE, DIGEST, 20, "is-consumed"),
        (GRANTED, PEOPLE, OTHER_DIGEST, 20, "other-action"),
        (GRANTED, {}, DIGEST, 20, "quorum-lost"),
        (GRANTED, {LENA.id: replace(LENA, roles=frozenset())}, DIGEST, 20, "quorum-lost"),
        (replace(GRANTED, requirement=replace(GRANTED.requirement, quorum=2)), PEOPLE, DIGEST, 20, "quorum-lost"),
    ],
)
def test_a_grant_is_used_for_its_bytes_while_its_people_are_eligible(
    approval: Approval, people: dict[PrincipalId, Person], digest: Sha256, at_s: int, code: str | None
) -> None:
    refusal = may_consume(approval, people, action_digest=digest, now=NOW + timedelta(seconds=at_s))

    assert (refusal.code if refusal else None) == code


def test_other_bytes_are_shown_beside_the_granted_ones() -> None:
    refusal = may_consume(GRANTED, PEOPLE, action_digest=OTHER_DIGEST, now=NOW)

    assert refusal is not None
    assert refusal.text.startswith("granted abab…abab, asked cdcd…cdcd")


def test_a_denial_sticks_whatever_the_amount_and_the_text() -> None:
    first = sticky_values(REFUND_SPEC, {"order_id": "#W1", "amount_usd": 50, "note": "please"})
    again = sticky_values(REFUND_SPEC, {"order_id": " #W1", "amount_usd": Decimal("49.99"), "note": "I said please"})
    other = sticky_values(REFUND_SPEC, {"order_id": "#W2", "amount_usd": 50})

    assert first == again == (("order_id", "#W1"),)
    assert other != first


def test_a_tool_that_names_no_selector_sticks_by_all_but_amounts_and_text() -> None:
    spec = replace(REFUND_SPEC, args={name: arg for name, arg in REFUND_SPEC.args.items() if name != "order_id"})

    values = sticky_values(spec, {"order_id": "#W1", "lines": ["a ", "b"], "amount_usd": 5, "note": "x"})

    assert values == (("lines", ["a", "b"]), ("order_id", "#W1"))


def test_an_address_sticks_without_its_case() -> None:
    spec = replace(REFUND_SPEC, args={"to": replace(REFUND_SPEC.args["order_id"], type="email")})

    assert sticky_values(spec, {"to": "Ann@Example.com"}) == sticky_values(spec, {"to": "ann@example.COM "})
    assert sticky_values(replace(spec, args={"to": ArgSpec()}), {"to": "Ann"}) == (("to", "Ann"),)
