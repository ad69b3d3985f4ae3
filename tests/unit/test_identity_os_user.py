"""The approver credential lives outside the project, and the project's files alone grant nothing."""

import json
import stat
from pathlib import Path

import pytest

from leverframe.domain.errors import ApprovalRefused, KeyUnsafe
from leverframe.domain.ids import PrincipalId
from leverframe.identity.os_user import (
    Approver,
    Approvers,
    configuration_folder,
    create_approver,
    launcher,
    load_approver,
)

MARIA = PrincipalId("os:maria")


def test_the_launcher_is_the_user_of_the_process_whatever_the_environment_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true_name = launcher()

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")

    assert launcher() == true_name
    assert true_name.startswith("os:")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_CONFIG_HOME": "/srv/config"}, Path("/srv/config/leverframe")),
        ({"XDG_CONFIG_HOME": "relative"}, Path.home() / ".config" / "leverframe"),
        ({}, Path.home() / ".config" / "leverframe"),
    ],
)
def test_the_configuration_folder_follows_the_xdg_specification(environment: dict[str, str], expected: Path) -> None:
    assert configuration_folder(environment) == expected


def test_a_credential_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    made = create_approver(tmp_path / "config", MARIA)

    again = create_approver(tmp_path / "config", MARIA)

    assert again == made == load_approver(tmp_path / "config")
    assert stat.S_IMODE((tmp_path / "config" / "approver.json").stat().st_mode) == 0o600
    assert made.credential not in repr(made)


def test_the_enrolled_credential_is_taken_and_no_other(tmp_path: Path) -> None:
    maria = create_approver(tmp_path / "config", MARIA)
    Approvers(tmp_path / "state").enrol(maria)
    impostor = create_approver(tmp_path / "elsewhere", MARIA)
    stranger = create_approver(tmp_path / "third", PrincipalId("os:eve"))

    Approvers(tmp_path / "state").check(maria)
    for other in (impostor, stranger):
        with pytest.raises(ApprovalRefused):
            Approvers(tmp_path / "state").check(other)


def test_what_the_project_keeps_grants_nothing(tmp_path: Path) -> None:
    maria = create_approver(tmp_path / "config", MARIA)
    approvers = Approvers(tmp_path / "state")
    approvers.enrol(maria)
    kept = (tmp_path / "state" / "approvers.json").read_text()
    stolen = json.loads(kept)["approvers"][MARIA]

    with pytest.raises(ApprovalRefused):
        approvers.check(Approver(principal=MARIA, credential=stolen))

    assert maria.credential not in kept


def test_nobody_is_enrolled_in_a_fresh_project(tmp_path: Path) -> None:
    with pytest.raises(ApprovalRefused) as caught:
        Approvers(tmp_path).check(create_approver(tmp_path / "config", MARIA))

    assert "leverframe init" in str(caught.value)


def test_two_approvers_of_one_project_both_count(tmp_path: Path) -> None:
    approvers = Approvers(tmp_path / "state")
    both = [create_approver(tmp_path / name, PrincipalId(f"os:{name}")) for name in ("maria", "lena")]

    for one in both:
        approvers.enrol(one)

    for one in both:
        approvers.check(one)


@pytest.mark.parametrize("file", ["config/approver.json", "state/approvers.json"])
@pytest.mark.parametrize("damage", ["open", "not json", "no object", "empty"])
def test_a_file_that_is_open_or_damaged_is_refused(tmp_path: Path, file: str, damage: str) -> None:
    approver = create_approver(tmp_path / "config", MARIA)
    Approvers(tmp_path / "state").enrol(approver)
    path = tmp_path / file
    if damage == "open":
        path.chmod(0o644)
    else:
        path.write_text({"not json": "{", "no object": "[]", "empty": ""}[damage])

    with pytest.raises(KeyUnsafe) as caught:
        Approvers(tmp_path / "state").check(load_approver(tmp_path / "config"))

    assert str(path) in str(caught.value)
    assert caught.value.next_move


def test_a_folder_that_belongs_to_another_principal_is_refused(tmp_path: Path) -> None:
    create_approver(tmp_path, MARIA)

    with pytest.raises(KeyUnsafe) as caught:
        create_approver(tmp_path, PrincipalId("os:lena"))

    assert "'os:maria'" in str(caught.value)
