"""What a contract admits of vendors, and how a provider of another kind is written."""

from pathlib import Path

import pytest

from leverframe.config.project import load_project, load_project_lenient
from leverframe.domain.contracts import Wire
from leverframe.domain.ids import WorkflowName
from leverframe.domain.relays import NOTHING_ADMITTED, Admitted

PROJECT = "providers: {claude: {wire: anthropic, key: secret://env/K}}\nmodels: {fast: [claude/claude-sonnet-4-5]}\n"
CONTRACT = "workflow: refund\npolicy: {allow_tools: []}\n"


def write(folder: Path, *, contract: str = CONTRACT, project: str = PROJECT) -> Path:
    (folder / "workflows").mkdir()
    (folder / "workflows" / "refund.yaml").write_text(contract, encoding="utf-8")
    (folder / "leverframe.yaml").write_text(project, encoding="utf-8")
    return folder


def test_nothing_is_admitted_that_the_contract_does_not_name(tmp_path: Path) -> None:
    assert load_project(write(tmp_path)).contracts[WorkflowName("refund")].admitted == NOTHING_ADMITTED


def test_what_is_admitted_is_read(tmp_path: Path) -> None:
    text = (
        "models: {pass_fields: [top_k], vendor_tools: [web_search], vendor_state: [store, files], "
        "remote_urls: allowed}\n"
    )

    contract = load_project(write(tmp_path, contract=CONTRACT + text)).contracts[WorkflowName("refund")]

    assert contract.admitted == Admitted(
        fields=frozenset({"top_k"}),
        vendor_tools=frozenset({"web_search"}),
        state=frozenset({"store", "files"}),
        remote_urls=True,
    )


def test_a_provider_of_anthropic_is_read(tmp_path: Path) -> None:
    assert load_project(write(tmp_path)).providers["claude"].wire is Wire.ANTHROPIC


@pytest.mark.parametrize(
    ("provider", "code"),
    [
        ("{wire: anthropic}", "missing-key"),
        ("{wire: anthropic, key: secret://env/K, api_version: v1}", "key-without-effect"),
        ("{wire: anthropic, key: secret://env/K, url: http://a.example}", "plain-http"),
        ("{wire: openai, key: secret://env/K, api_version: 'a b'}", "bad-value"),
    ],
)
def test_what_a_provider_does_not_take_is_told(tmp_path: Path, provider: str, code: str) -> None:
    _, problems = load_project_lenient(write(tmp_path, project=f"providers: {{claude: {provider}}}\n"))

    assert code in {one.code for one in problems}, problems
