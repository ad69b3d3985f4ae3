"""What stands where a reference to a secret belongs: no message repeats it, and its source is one that is asked."""

import re
from pathlib import Path

import pytest

from leverframe.config.project import load_project_lenient
from leverframe.config.registry import SECRET_SOURCES
from leverframe.domain.errors import SecretUnavailable
from leverframe.identity.secrets import ProjectSecrets
from tests.config_samples import write_files

# No `sk-`: those are looked for in all files, and this one stands in a file on purpose.
PASTED = "xoxb-0123456789abcdef"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (f"providers: {{a: {{wire: openai, key: {PASTED}}}}}\n", (1, 36)),
        ("providers: {a: {wire: openai, key: 12345678}}\n", (1, 36)),
        (f"servers: {{s: {{url: https://x.example/mcp, credential: {PASTED}}}}}\n", (1, 55)),
        (f"credentials: {{{PASTED}: {{said_by: github}}}}\n", (1, 15)),
        ("servers: {s: {mcp: [x], env: {TOKEN: 12345678}}}\n", (1, 38)),
    ],
    ids=["a key", "a key of digits", "a server's", "a name", "a variable"],
)
def test_a_credential_in_a_file_is_in_no_message(tmp_path: Path, content: str, place: tuple[int, int]) -> None:
    _, problems = load_project_lenient(write_files(tmp_path, {"leverframe.yaml": content}))

    assert place in {(each.line, each.column) for each in problems}
    assert not any(text in repr(problems) for text in (PASTED, "12345678"))


@pytest.mark.parametrize(
    ("reference", "said"),
    [("secret://envv/KEY", "Did you mean 'env'?"), ("secret://env/MY KEY", "secret://SOURCE/NAME")],
    ids=["source", "name"],
)
def test_a_misspelt_reference_is_found_before_it_is_needed(tmp_path: Path, reference: str, said: str) -> None:
    content = f'providers: {{a: {{wire: openai, key: "{reference}"}}}}\n'

    _, problems = load_project_lenient(write_files(tmp_path, {"leverframe.yaml": content}))

    assert [(one.column, one.next_move) for one in problems if one.code == "bad-value" and said in one.next_move]


def test_the_sources_that_a_file_may_name_are_those_that_are_asked(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        ProjectSecrets(tmp_path, {}).resolve("secret://nowhere/KEY")

    assert set(re.findall(r"[a-z-]+", caught.value.next_move)) == {"se", "or", *SECRET_SOURCES}
