"""A desk that is served before a vendor which holds conversations, as official clients and frameworks meet it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leverframe.testing import ConversingVendor
from tests.served import ServedProject, free_port

OPENAI_TROUBLES = ("e400", "e404", "e429-a7", "e500", "e503-f1", "e401", "g20")
ANTHROPIC_TROUBLES = ("e400", "e404", "e429-a7", "e500", "e529-f1", "g20")
PROJECT = """\
providers:
  vendor: {{wire: openai, url: "{url}/v1", private: allowed, priced_as: {{{priced[0]}}}}}
  claude: {{wire: anthropic, url: "{url}/v1", private: allowed, priced_as: {{{priced[1]}}}}}
models:
  fast: [{models}]
budgets:
  - {{tenant: default, key: spent, window: day, max_model_calls: 1}}
"""


@dataclass(slots=True, kw_only=True)
class ConversingDesk(ServedProject):
    """The project, what a key of it exports, and the vendor."""

    vendor: ConversingVendor
    environment_of_clients: dict[str, str]

    # Any: JSON of any shape.
    def run_of(self, run_id: str) -> Any:
        """A run as the command line shows it."""
        told = self.cli("runs", "show", run_id, "--json")
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)


@contextmanager
def conversing_desk(
    folder: Path, contract: str = "workflow: desk\nmodels: {default: fast}\n"
) -> Iterator[ConversingDesk]:
    """Write the project, make a key, serve it."""
    with ConversingVendor() as vendor:
        names = ["vendor/gpt-5-mini", "vendor/text-embedding-3-small", "claude/claude-sonnet-5"]
        names += [f"vendor/gpt-5-mini-{trouble}" for trouble in OPENAI_TROUBLES]
        names += [f"claude/claude-sonnet-5-{trouble}" for trouble in ANTHROPIC_TROUBLES]
        (folder / "workflows").mkdir(parents=True)
        priced = (
            ", ".join(f"gpt-5-mini-{trouble}: gpt-5-mini" for trouble in OPENAI_TROUBLES),
            ", ".join(f"claude-sonnet-5-{trouble}: claude-sonnet-5" for trouble in ANTHROPIC_TROUBLES),
        )
        project = PROJECT.format(url=vendor.url, models=", ".join(names), priced=priced)
        (folder / "leverframe.yaml").write_text(project, encoding="utf-8")
        (folder / "workflows" / "desk.yaml").write_text(contract, encoding="utf-8")
        desk = ConversingDesk(folder=folder, vendor=vendor, port=free_port(), environment_of_clients={})
        desk.environment_of_clients = desk.exports("desk")
        desk.key = desk.environment_of_clients["OPENAI_API_KEY"]
        desk.start()
        try:
            yield desk
        finally:
            if desk.process is not None:
                desk.stop()
