"""What a fresh clone rests on: pinned dependencies, a Makefile that lists itself, one script for CI."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from leverframe import __version__
from tests.meta.tree import ROOT

PINNED = sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==\S+(?: ; [^\\]+)? \\$")


def pins(name: str) -> dict[str, str]:
    """Each requirement of a file, with the text of its version and hashes."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)[1:]
    return {block.split("==")[0]: block for block in blocks}


@pytest.mark.parametrize("name", PINNED)
def test_every_requirement_is_pinned_with_its_hashes_and_no_index(name: str) -> None:
    for package, block in pins(name).items():
        assert REQUIREMENT.match(block.splitlines()[0]), f"{name}: {package} is not pinned: make lock"
        assert "--hash=sha256:" in block, f"{name}: {package} has no hash: make lock"
        assert "://" not in block, f"{name}: {package} names an address"


def test_one_package_has_one_version_in_all_files() -> None:
    demo, dev = pins("demo.txt"), pins("dev.txt")

    shared = {name for name in demo.keys() & dev.keys() if demo[name].split(" ")[0] != dev[name].split(" ")[0]}

    assert shared == set()


def test_every_declared_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["local"]]

    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in declared}

    assert names <= pins("demo.txt").keys()


def test_every_input_of_the_lock_has_its_output() -> None:
    assert {path.stem for path in (ROOT / "requirements").glob("*.in")} == {name[:-4] for name in PINNED}


def test_the_version_is_said_once_in_two_places() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == __version__


def test_make_alone_lists_every_target_with_one_line() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (\w+)$", makefile, flags=re.MULTILINE))

    done = subprocess.run(
        ["make", "-C", str(ROOT)], capture_output=True, text=True, check=True, env=plain_environment()
    )

    listed = re.findall(r"^  make (\w+) +\S.*$", done.stdout, flags=re.MULTILINE)
    assert set(listed) == targets
    assert {"help", "demo", "test", "check", "fmt", "lint", "types", "layers", "docs", "clean"} <= targets


def test_an_old_python_is_refused_with_the_next_move(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo Python 3.9.1; exit 0; }\nexit 1\n', encoding="utf-8")
    old.chmod(0o700)

    make = ["make", "-C", str(ROOT), f"VENV={tmp_path}/venv", f"PYTHON={old}", "test"]
    done = subprocess.run(make, capture_output=True, text=True, check=False, env=plain_environment())

    assert done.returncode == 2
    assert "Python 3.9.1; Leverframe needs Python >= 3.11. Name a newer one: make PYTHON=python3.12" in done.stderr


def test_ci_runs_one_script_which_runs_make_check() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")

    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    assert "make check" in text
    assert re.findall(r"- run: (.+)", workflow) == ["bash .ci/run"]
    subprocess.run(["bash", "-n", str(script)], check=True)


def plain_environment() -> dict[str, str]:
    """The environment without what an outer make told its children."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
