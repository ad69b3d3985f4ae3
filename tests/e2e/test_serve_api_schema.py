"""The API of runs, tried by schemathesis from its own document: no crash, and nothing but what stands there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.served import CONTRACT, served_desk

pytestmark = pytest.mark.needs(module="schemathesis")
# What the document allows a contract may still refuse.
LEFT_OUT = "positive_data_acceptance"


def test_the_api_does_what_its_document_says_whatever_is_asked(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT) as desk:
        key = desk.create_key("backend", "--open-runs")
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{desk.port}/api/v1/openapi.json"]
        options = ["--header", f"Authorization: Bearer {key}", "--exclude-checks", LEFT_OUT, "--no-color"]
        bounds = ["--max-examples", "25", "--seed", "1", "--request-timeout", "20"]

        told = subprocess.run(
            [*command, *options, *bounds], capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path
        )

        assert told.returncode == 0, told.stdout[-6_000:]
        assert desk.chat().status == 200
        desk.verified()
