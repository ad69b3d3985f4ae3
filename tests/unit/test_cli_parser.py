"""The words of the command line, and what is said of wrong ones."""

import pytest

from leverframe.cli.main import build_parser, main
from leverframe.cli.parser import root_parser
from leverframe.cli.registry import GROUPS, commands
from leverframe.domain.errors import UsageError
from scripts.reference.cli import undocumented


def test_every_command_and_flag_has_a_sentence() -> None:
    assert undocumented(build_parser()) == []


def test_every_command_of_the_table_has_its_module() -> None:
    for command in commands():
        module = command.module()

        assert callable(module.add), command.name
        assert callable(module.run), command.name


def test_the_help_shows_each_command_once_in_its_group() -> None:
    shown = root_parser().format_help().splitlines()

    for group in GROUPS:
        at = shown.index(f"{group.title}:")
        names = [line.split()[0] for line in shown[at + 1 : at + 1 + len(group.commands)]]
        assert names == [command.name for command in group.commands]


@pytest.mark.parametrize(
    "words",
    [
        ["-C", "there", "--json", "check"],
        ["check", "-C", "there", "--json"],
        ["-C", "there", "check", "--json"],
        ["--json", "-C", "elsewhere", "check", "-C", "there"],
    ],
)
def test_the_options_stand_before_the_command_or_after_it(words: list[str]) -> None:
    args = root_parser().parse_args(words)

    assert (args.directory, args.json, args.no_color) == ("there", True, False)


def test_the_options_stand_after_a_verb_too() -> None:
    args = root_parser().parse_args(["runs", "list", "--json", "-C", "there"])

    assert (args.directory, args.json) == ("there", True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "There is no 'rnu' here; did you mean 'run'?"),
        (["runs", "lst"], "There is no 'lst' here; did you mean 'list'?"),
        (["zzz"], "There is no 'zzz' here; known: init, check, show, demo, serve, run"),
        (["schema", "projct"], "did you mean 'project'?"),
        (["runs"], "The following arguments are required: VERB."),
        (["run", "w"], "One of the arguments --input --file is required."),
        (["run", "w", "--input", "{}", "--file", "x"], "not allowed with argument --input"),
        (["run", "w", "--inp", "{}"], "--inp"),
        (["runs", "list", "--limit", "many"], "invalid int value: 'many'"),
        (["runs", "resolve", "run_1", "2.0", "perhaps", "--because", "x"], "known: happened, did-not."),
        (["runs", "resolve", "run_1", "2.0", "happened"], "--because"),
        (["check", "--redy"], "--redy"),
    ],
)
def test_wrong_words_are_refused_by_name(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        root_parser().parse_args(words)

    assert said in refused.value.message
    assert refused.value.next_move.startswith("See: leverframe")
    assert refused.value.exit_code == 2


def test_wrong_words_with_json_are_a_problem_document(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--json", "rnu"])

    said = capsys.readouterr()
    assert code == 2
    assert '"type":"/problems/usage"' in said.out
    assert "did you mean 'run'?" in said.err


def test_help_and_version_are_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main(["runs", "resolve", "--help"]) == 0
    assert main(["--version"]) == 0
    assert "leverframe 0.1.0" in capsys.readouterr().out
