"""Whether somebody can answer what a contract asks: groups, roles and numbers of people."""

from collections.abc import Iterable

from leverframe.config.findings import Findings, did_you_mean
from leverframe.config.policy_draft import RowDraft
from leverframe.config.project_file import ProjectFile, principal_of
from leverframe.config.sections import Section
from leverframe.domain.contracts import Person
from leverframe.domain.ids import TenantId


def check_owner(section: Section, project: ProjectFile, findings: Findings) -> None:
    """Check that the owner of a contract exists, where the project lists its people."""
    owner = section.scalar("owner")
    if owner is None or not project.people:
        return
    kind, _, name = owner.text.partition(":")
    known = _groups(project.people.values()) if kind == "group" else {str(each) for each in project.people}
    wanted = name if kind == "group" else str(principal_of(name))
    if wanted not in known:
        findings.error(
            owner.at,
            "unknown-owner",
            f"The owner {owner.text!r} is nobody that `people` of leverframe.yaml lists.",
            did_you_mean(wanted, known),
        )


def check_people(row: RowDraft, project: ProjectFile, findings: Findings) -> None:
    """Check that the quorum of an approval row can be reached by the people of the project."""
    requirement = row.row.requirement
    asks_launcher = "launcher" in requirement.distinct_from
    if not project.people:
        if requirement.from_groups or requirement.quorum > 1 or asks_launcher:
            findings.note(
                row.at,
                "people-not-listed",
                "The project lists no `people`, so only this machine's user may answer, and this row asks for more.",
                "For example, in leverframe.yaml: people: {lena: {groups: [payments-leads], roles: [approver]}}",
            )
        if asks_launcher:
            _warn_one_person(row, findings)
        return
    for name, place in zip(row.section.texts("from"), row.section.scalars("from"), strict=True):
        known = _groups(project.people.values())
        if name.removeprefix("group:") not in known:
            findings.error(
                place.at,
                "unknown-group",
                f"Nobody of `people` in leverframe.yaml is in {name!r}.",
                did_you_mean(name.removeprefix("group:"), known),
            )
            return
    reached = {tenant: _eligible(row, tenant, project) for tenant in project.tenants}
    short = [tenant for tenant, people in reached.items() if people < requirement.quorum]
    if short and len(short) == len(project.tenants):
        findings.error(
            row.section.place("quorum") if "quorum" in row.section else row.at,
            "unreachable-quorum",
            f"The row asks for {requirement.quorum} and {max(reached.values())} can answer, so every call expires.",
            "Lower the quorum, or give more people the group or the role approver.",
        )
    elif short:
        findings.warning(
            row.at,
            "unreachable-quorum",
            f"For the tenant {short[0]!r} the row asks for {requirement.quorum} and {reached[short[0]]} can answer.",
            "Add that tenant to somebody's `tenants`.",
        )
    elif asks_launcher and max(reached.values()) == 1:
        _warn_one_person(row, findings)


def _warn_one_person(row: RowDraft, findings: Findings) -> None:
    findings.warning(
        row.section.place("distinct_from"),
        "needs-second-person",
        f"Who launches a run may not answer for {row.row.tool!r}, so it needs a second person.",
        "Add one to `people`, or delete `launcher`.",
    )


def _eligible(row: RowDraft, tenant: TenantId, project: ProjectFile) -> int:
    groups = row.row.requirement.from_groups
    return sum(1 for person in project.people.values() if tenant in person.tenants and _may_answer(person, groups))


def _may_answer(person: Person, groups: tuple[str, ...]) -> bool:
    return bool(person.groups & set(groups)) if groups else "approver" in person.roles


def _groups(people: Iterable[Person]) -> set[str]:
    return {group for person in people for group in person.groups}
