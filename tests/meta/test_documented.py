"""Every setting, flag, event and problem is documented, and no page says something else than the code."""

import ast
import inspect
import re
from argparse import ArgumentParser

import pytest

from leverframe.cli.main import build_parser
from leverframe.config.keys import KEYS
from leverframe.domain import errors
from leverframe.domain.evidence import EVENT_DOCS, EventType
from scripts.public_names import PIN, public_names
from scripts.reference import cli, findings, problems
from scripts.reference.pages import pages
from tests.meta.tree import ROOT, text_files

REFERENCE, PROBLEMS, ADRS = ROOT / "docs" / "reference", ROOT / "docs" / "problems", ROOT / "docs" / "adr"
STATUSES = {400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504}
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_reference_page_is_what_the_code_says(name: str) -> None:
    path = REFERENCE / name

    assert path.exists(), f"docs/reference/{name} is missing: make docs"
    assert path.read_text(encoding="utf-8") == pages()[name], f"docs/reference/{name} is stale: make docs"


def test_no_reference_page_is_left_over() -> None:
    assert {path.name for path in REFERENCE.glob("*.md")} == set(pages())


def test_every_enforced_key_names_the_code_that_keeps_its_word() -> None:
    package = ROOT / "src" / "leverframe"
    for key in KEYS:
        if key.status == "enforced":
            keeper = package.joinpath(*key.enforced_by.split("."))
            is_there = keeper.with_suffix(".py").is_file() or (keeper / "__init__.py").is_file()
            assert key.enforced_by, f"{key.file} {key.path} says nobody keeps it"
            assert is_there, f"{key.file} {key.path} is kept by {key.enforced_by!r}, which is not there"
        assert key.doc.endswith("."), f"{key.file} {key.path} needs a sentence"
        assert key.example, f"{key.file} {key.path} needs an example"


def test_a_finding_is_shown_with_the_names_of_what_it_quotes() -> None:
    text = """self.findings.error(at, "too-long", f"{key!r} has {len(text):,} bytes at {at.line}.")"""

    found = findings.reported(ast.parse(text, mode="eval").body)

    assert found == findings.Finding("too-long", "error", "{key} has {text} bytes at {line}.")


def test_every_event_type_is_documented_in_one_sentence() -> None:
    assert set(EVENT_DOCS) == set(EventType)
    assert [said for said in EVENT_DOCS.values() if not said.endswith(".")] == []


def test_every_problem_has_a_slug_of_its_own_and_a_status_and_an_exit_code() -> None:
    classes = problems.problem_classes()
    slugs = [problem.slug for problem in classes]

    assert sorted(slugs) == sorted(set(slugs))
    assert [problem for problem in classes if "slug" not in vars(problem)] == []
    assert [slug for slug in slugs if not re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)] == []
    assert {problem.status for problem in classes} <= STATUSES
    assert {problem.exit_code for problem in classes} <= {1, 2, 3}


def test_every_problem_has_a_page_that_says_what_happened_why_and_what_to_do() -> None:
    classes = problems.problem_classes()
    assert {path.stem for path in PROBLEMS.glob("*.md")} == {problem.slug for problem in classes}

    for problem in classes:
        text = (PROBLEMS / f"{problem.slug}.md").read_text(encoding="utf-8")
        said = dict(re.findall(r"^## (.+)\n\n((?:(?!## ).*\n)*)", text, flags=re.MULTILINE))
        assert text.startswith(f"# {problem.slug}\n\n{problems.facts(problem)}\n"), f"{problem.slug}: stale facts"
        assert list(said) == ["What happened", "Why", "What to do"], problem.slug
        assert [head for head, body in said.items() if len(body.split()) < 8] == [], problem.slug


def test_the_tree_of_problems_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"[├└]── (\w+)", inspect.getdoc(errors) or "")
    real = [problem.__name__ for problem in problems.problem_classes() if problem is not errors.LeverframeError]

    assert drawn == real


def test_problems_are_raised_by_classes_of_the_one_tree() -> None:
    names = {problem.__name__ for problem in problems.problem_classes()}
    bases = {
        node.name: {ast.unparse(base) for base in node.bases}
        for path in (ROOT / "src").rglob("*.py")
        if path.name != "errors.py" or path.parent.name != "domain"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }

    assert {name: base for name, base in bases.items() if base & names} == {}


def test_public_names_are_the_pinned_ones() -> None:
    assert public_names() == PIN.read_text(encoding="utf-8"), "on purpose? python -m scripts.public_names"


def test_every_link_and_picture_in_the_documentation_leads_somewhere() -> None:
    broken = [
        f"{name}: {target}"
        for name, text in text_files()
        if name.endswith(".md")
        for target in LINK.findall(text)
        if "://" not in target and not (ROOT / name).parent.joinpath(target).exists()
    ]

    assert broken == []


def test_every_decision_is_linked_and_has_its_four_parts() -> None:
    index = (ADRS / "README.md").read_text(encoding="utf-8")

    for path in sorted(ADRS.glob("[0-9]*.md")):
        heads = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert heads == ["Context", "Decision", "Consequences", "What would change our mind"], path.name
        assert f"({path.name})" in index, f"{path.name} is not in docs/adr/README.md"


def test_every_changelog_fragment_has_a_kind_and_says_something() -> None:
    for path in (ROOT / "changelog.d").glob("*.md"):
        if path.name != "README.md":
            assert re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed|security)\.md", path.name), path.name
            assert path.read_text(encoding="utf-8").strip().endswith("."), path.name


def test_a_command_line_is_rendered_with_every_flag_default_and_subcommand() -> None:
    parser = ArgumentParser(prog="lever", description="Moves.")
    inner = parser.add_subparsers().add_parser("pull", description="Pulls one.")
    inner.add_argument("name", help="which | one")
    inner.add_argument("--by", metavar="CM", type=int, default=5, help="how far (%(default)s)")
    inner.add_argument("--hard", action="store_true", help="100%% force")

    text = cli.render(parser)

    assert "## lever pull\n\nPulls one." in text
    assert "| `NAME` | which \\| one |" in text
    assert "| `--by CM` | how far (5) |" in text
    assert "| `--hard` | 100% force |" in text
    assert "--help`" not in text.split("## ")[1]


def test_a_command_or_flag_without_a_sentence_is_found() -> None:
    parser = ArgumentParser(prog="lever", description="Moves.")
    inner = parser.add_subparsers().add_parser("pull")
    inner.add_argument("--by", metavar="CM")

    assert cli.undocumented(parser) == ["lever pull", "lever pull --by CM"]


def test_every_command_and_flag_says_what_it_is_for() -> None:
    assert cli.undocumented(build_parser()) == []
