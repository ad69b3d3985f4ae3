"""`leverframe init`: a project that loads, holds the seed verbatim, and is written whole or not at all."""

import importlib.util
import json
import threading
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from leverframe.config.init import project_contents, write_new_project
from leverframe.config.project import load_project, load_project_lenient
from leverframe.domain.errors import AlreadyExists, StoreUnavailable
from leverframe.domain.ids import WorkflowName
from leverframe.sdk.tool import ToolRefused
from tests.config_samples import SEED, told


def shop_of(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("shop_under_test", root / "tools/shop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_new_project_loads_with_the_one_warning_of_the_seed(tmp_path: Path) -> None:
    write_new_project(tmp_path / "desk")

    project, problems = load_project_lenient(tmp_path / "desk")

    assert project is not None
    assert [each.code for each in problems if each.severity == "warning"] == ["threshold-has-no-effect"]
    assert told(problems) == []


def test_git_is_told_to_leave_out_the_state_and_a_saved_key(tmp_path: Path) -> None:
    write_new_project(tmp_path / "desk")

    assert {".leverframe/", "agent.env"} <= set((tmp_path / "desk/.gitignore").read_text().splitlines())


def test_the_seed_stands_verbatim_below_its_schema_line(tmp_path: Path) -> None:
    write_new_project(tmp_path / "desk")

    first, _, rest = (tmp_path / "desk/workflows/refund_request.yaml").read_text().partition("\n")

    assert first == "# yaml-language-server: $schema=../schemas/workflow.schema.json"
    assert rest == SEED
    assert (tmp_path / "desk/schemas/workflow.schema.json").is_file()


def test_the_recorded_agent_asks_for_what_the_contract_lists_within_its_budget(tmp_path: Path) -> None:
    write_new_project(tmp_path / "desk")
    contract = load_project(tmp_path / "desk").contracts[WorkflowName("refund_request")]
    lines = (tmp_path / "desk/recordings/refund_request.jsonl").read_text().splitlines()

    answers = [json.loads(line) for line in lines]
    asked = (tmp_path / "desk/inputs/refund_request.json").read_text()

    calls = [call["name"] for each in answers for call in each["answer"].get("tool_calls", [])]
    assert calls == ["lookup_order", "create_refund_draft", "issue_refund"]
    assert set(calls) == set(contract.callable_tools())
    assert all(each["request"]["last_user"] in asked for each in answers)
    assert sum(each["answer"]["usage"]["input_tokens"] for each in answers) <= 3000
    assert sum(each["answer"]["usage"]["output_tokens"] for each in answers) <= 800


def test_a_refund_with_the_same_key_is_the_first_refund(tmp_path: Path) -> None:
    write_new_project(tmp_path / "desk")
    shop = shop_of(tmp_path / "desk")

    first = shop.issue_refund("#W2378156", Decimal("64.90"), idempotency_key="k1")
    again = shop.issue_refund("#W2378156", Decimal("64.90"), idempotency_key="k1")

    assert first == again == {"refund_id": 1, "order_id": "#W2378156", "amount_usd": Decimal("64.90")}
    assert shop.lookup_order("#W2378156")["refundable_usd"] == 0


def test_a_refund_under_another_key_never_exceeds_what_was_paid(tmp_path: Path) -> None:
    write_new_project(tmp_path / "desk")
    shop = shop_of(tmp_path / "desk")
    shop.issue_refund("#W2378156", Decimal(60), idempotency_key="k1")

    with pytest.raises(ToolRefused, match="left to refund"):
        shop.issue_refund("#W2378156", Decimal(5), idempotency_key="k2")

    assert shop.lookup_order("#W2378156")["refundable_usd"] == Decimal("4.90")


def test_refunds_that_race_under_one_key_have_one_effect(tmp_path: Path) -> None:
    write_new_project(tmp_path / "desk")
    shop = shop_of(tmp_path / "desk")
    answers: list[object] = []

    def refund() -> None:
        answers.append(shop.issue_refund("#W9911732", Decimal(20), idempotency_key="same"))

    threads = [threading.Thread(target=refund) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [{"refund_id": 1, "order_id": "#W9911732", "amount_usd": Decimal("20.00")}] * 8


@pytest.mark.parametrize("amount", ["0", "-5", "1.005"])
def test_what_is_no_amount_of_cents_is_refused(tmp_path: Path, amount: str) -> None:
    write_new_project(tmp_path / "desk")
    shop = shop_of(tmp_path / "desk")

    with pytest.raises(ToolRefused):
        shop.issue_refund("#W2378156", Decimal(amount), idempotency_key="k")


def test_a_second_init_overwrites_nothing(tmp_path: Path) -> None:
    write_new_project(tmp_path / "desk")
    mine = tmp_path / "desk/workflows/refund_request.yaml"
    mine.write_text("mine")

    with pytest.raises(AlreadyExists, match="nothing was written"):
        write_new_project(tmp_path / "desk")

    assert mine.read_text() == "mine"


def test_a_folder_with_other_things_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")

    written = write_new_project(tmp_path)

    assert (tmp_path / "README.md").read_text() == "mine"
    assert all(path.is_file() for path in written)


def test_an_empty_folder_that_a_shell_stands_in_stays_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    write_new_project(Path())

    # By the name of the folder that the shell stands in, whatever its path leads to now.
    assert Path("leverframe.yaml").is_file()


def test_a_link_to_an_empty_folder_leads_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "disk" / "desk").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "desk")

    write_new_project(tmp_path / "link")

    assert (tmp_path / "disk" / "desk" / "leverframe.yaml").is_file()
    assert (tmp_path / "link").is_symlink()


def test_a_file_that_is_in_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/other.py").write_text("mine")

    with pytest.raises(AlreadyExists):
        write_new_project(tmp_path)

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["other.py", "tools"]


def test_a_file_for_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "desk").write_text("")

    with pytest.raises(AlreadyExists, match="is a file"):
        write_new_project(tmp_path / "desk")


def test_a_parent_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailable, match="cannot be written"):
        write_new_project(tmp_path / "file/desk")


def test_the_files_are_told_in_the_order_in_which_to_read_them() -> None:
    assert next(iter(project_contents())) == "leverframe.yaml"
