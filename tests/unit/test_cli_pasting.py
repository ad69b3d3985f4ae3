"""Printed commands run where they are printed."""

import os
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from leverframe.cli.pasting import command, pasteable

HERE = Namespace(directory=None)


@pytest.fixture(autouse=True)
def _called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/lib/some/runner"])


def test_a_command_keeps_the_folder_it_was_given() -> None:
    assert command(Namespace(directory="my desk"), "why", "run_1") == "leverframe -C 'my desk' why run_1"


def test_words_that_a_shell_would_read_are_quoted() -> None:
    assert command(HERE, "approvals", "grant", "a; rm -rf /") == "leverframe approvals grant 'a; rm -rf /'"


def test_commands_inside_a_sentence_become_pasteable() -> None:
    said = pasteable("See both: leverframe runs show run_1, or `leverframe check`.", Namespace(directory="desk"))

    assert said == "See both: leverframe -C desk runs show run_1, or `leverframe -C desk check`."


def test_init_keeps_out_of_the_folder_that_was_given() -> None:
    assert pasteable("Make one: leverframe init FOLDER", Namespace(directory="x")) == "Make one: leverframe init FOLDER"


def test_a_file_name_that_ends_so_is_left_alone() -> None:
    assert pasteable("Look at /opt/leverframe now.", Namespace(directory="desk")) == "Look at /opt/leverframe now."


def test_a_program_outside_the_path_is_called_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv" / "bin" / "leverframe")])

    assert command(HERE, "check") == ".venv/bin/leverframe check"


def test_a_program_on_the_path_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "leverframe"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(program)])

    assert command(HERE, "check") == "leverframe check"


def test_a_module_is_called_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/leverframe/__main__.py"])

    assert command(HERE, "check").endswith("-m leverframe check")
