"""Reading a project's files is total: whatever they hold, the answer is a value or findings, never a crash."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leverframe.config.findings import Findings
from leverframe.config.project import load_project_lenient
from leverframe.config.yaml_source import read_yaml
from tests.config_samples import FILES, write_files

PIECES = st.sampled_from(
    ["", ":", "- ", "{", "}", "[", "]", '"', "'", "\n", "  ", "*a", "&a ", "!!str ", "null", "true", "-1", "1e9",
     "1e-9", "0x", ".inf", "|\n", "args.", "facts.order", "\u202e", "\U0001f600", "x" * 200, "?", "%", "#", "9" * 30]
)  # fmt: skip
NAMES = (
    "leverframe.yaml",
    "workflows/refund_request.yaml",
    "workflows/triage.yaml",
    "tools/draft.yaml",
    "schemas/triage.json",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_tree_or_a_finding(content: bytes) -> None:
    findings = Findings()

    node = read_yaml("f.yaml", content, findings)

    assert node is not None or findings.has_errors
    assert all(each.line <= content.count(b"\n") + content.count(b"\r") + 2 for each in findings.problems)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(NAMES), cut=st.tuples(st.integers(0, 3000), st.integers(0, 40)), piece=PIECES)
def test_a_damaged_project_loads_or_says_what_is_wrong(root: Path, name: str, cut: tuple[int, int], piece: str) -> None:
    begin = cut[0] % (len(FILES[name]) + 1)
    damaged = FILES[name][:begin] + piece + FILES[name][begin + cut[1] :]
    write_files(root, {**FILES, name: damaged})

    project, problems = load_project_lenient(root)

    assert (project is None) == any(each.severity == "error" for each in problems)
    assert all(each.path and each.code and each.message for each in problems)
