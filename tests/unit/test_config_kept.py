"""A project that is loaded from what another load saw of its folder, whatever became of the folder since."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from leverframe.config.project import keep_project, load_kept_project, load_project
from leverframe.domain.contracts import Project
from leverframe.domain.errors import ConfigInvalid
from tests.config_samples import FILES, SMALL, told, write_files

OVERLAYS = {
    "environments/prod.yaml": "budget: {max_tool_calls: 1}\n",
    "environments/sandbox/refund_request.yaml": "budget: {max_tool_calls: 2}\n",
}
ADDED = {
    "workflows/till.yaml": "workflow: till\n",
    "tools/till.py": "from leverframe.sdk.tool import tool\n\n@tool()\ndef ring(): ...\n",
    "tools/till.yaml": "tool: [\n",
    "environments/default.yaml": "budget: {max_tool_calls: 0}\n",
}


def tidied_away(root: Path) -> None:
    shutil.rmtree(root)


def added_to(root: Path) -> None:
    write_files(root, ADDED)


def emptied(root: Path) -> None:
    for file in [one for one in root.rglob("*") if one.is_file()]:
        file.write_bytes(b"")


def kept_and_changed(root: Path, change: Callable[[Path], object]) -> tuple[Project, Project]:
    before, kept = load_project(root), keep_project(root)
    change(root)
    return before, load_kept_project(root, kept)


@pytest.mark.parametrize("change", [tidied_away, added_to, emptied])
@pytest.mark.parametrize("files", [FILES, {**FILES, **OVERLAYS}, SMALL], ids=["all", "overlays", "small"])
def test_what_was_kept_loads_as_the_project_that_it_was(
    tmp_path: Path, files: Mapping[str, str], change: Callable[[Path], object]
) -> None:
    before, after = kept_and_changed(write_files(tmp_path / "desk", files), change)

    assert after == before


def test_a_lock_that_was_written_since_is_none_of_what_was_kept(tmp_path: Path) -> None:
    before, after = kept_and_changed(write_files(tmp_path, SMALL), lambda root: (root / "tools.lock").write_text("{"))

    assert after == before


def test_a_project_with_errors_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid):
        keep_project(write_files(tmp_path, {**SMALL, "workflows/w.yaml": "workflow: [\n"}))


def test_a_file_that_was_not_kept_is_not_there_though_the_folder_has_it(tmp_path: Path) -> None:
    kept = dict(keep_project(write_files(tmp_path, FILES)))
    del kept["prompts/refund.md"]

    with pytest.raises(ConfigInvalid) as caught:
        load_kept_project(tmp_path, kept)

    assert [one.partition(" ")[2] for one in told(tuple(caught.value.problems))] == ["missing-file"]
