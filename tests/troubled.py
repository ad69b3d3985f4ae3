"""A desk that is served before a vendor whose every trouble is asked for by the name of a model."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from leverframe.testing import TroubledVendor
from tests.served import Answer, ServedProject, free_port
from tests.waiting import until

PROJECT: Final = """\
providers:
  vendor: {{wire: openai, url: "{url}/v1", private: allowed, priced_as: {{"*": gpt-4o}}}}
  claude: {{wire: anthropic, url: "{url}/v1", private: allowed, priced_as: {{"*": claude-sonnet-4-5}}}}
models:
  fast: [{models}]
{more}
"""
USER: Final = [{"role": "user", "content": "Hello " * 20}]
ASKED: Final[dict[str, dict[str, object]]] = {
    "/v1/chat/completions": {"messages": USER, "max_tokens": 200},
    "/v1/responses": {"input": "Hello " * 20, "max_output_tokens": 200},
    "/v1/messages": {"messages": USER, "max_tokens": 200},
    "/v1/embeddings": {"input": "Hello " * 20},
}
CHAT, RESPONSES, MESSAGES, EMBEDDINGS = ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the records say of one call."""

    state: str
    error: str
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    # Any: the entry `model.answered`, as JSON.
    entry: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class TroubledDesk(ServedProject):
    """The project and the vendor."""

    vendor: TroubledVendor
    calls: int = 0

    def call(self, path: str, model: str, **fields: object) -> Answer:
        """One call, in a run of its own."""
        self.calls += 1
        self.vendor.reset()
        body = {"model": model, **ASKED[path], **fields}
        return self.ask(path, {k: v for k, v in body.items() if v is not None}, **{"Leverframe-Run": self.run_name})

    @property
    def run_name(self) -> str:
        """How the run of the last call is named."""
        return f"case-{self.calls}"

    def recorded(self) -> Recorded:
        """What is recorded of the last call, once it is settled."""
        leaves = until(self._answered, what="the answer is recorded")
        entry = json.loads(leaves[-1][0])
        open_ = self.rows("SELECT count(*) FROM reservations WHERE run_id = ? AND state = 'open'", entry["run_id"])
        assert open_ == [(0,)]
        sql = "SELECT state, error, input_tokens, output_tokens, cost_microusd FROM steps WHERE run_id = ?"
        ((state, error, given, made, cost),) = self.rows(sql, entry["run_id"])
        return Recorded(
            state=state,
            error=error,
            input_tokens=given,
            output_tokens=made,
            cost_microusd=cost,
            entry=entry,
        )

    # Any: values of SQLite.
    def _answered(self) -> list[tuple[Any, ...]]:
        sql = "SELECT CAST(leaf AS TEXT) FROM leaves JOIN runs USING (run_id) WHERE item LIKE ? AND type = ?"
        return self.rows(sql, f"%/{self.run_name}", "model.answered")


@contextmanager
def troubled_desk(
    folder: Path, models: Sequence[str], contract: str = "workflow: desk\nmodels: {default: fast}\n", more: str = ""
) -> Iterator[TroubledDesk]:
    """Write the project, make a key, serve it.  `models` are PROVIDER/MODEL."""
    with TroubledVendor() as vendor:
        (folder / "workflows").mkdir(parents=True)
        project = PROJECT.format(url=vendor.url, models=", ".join(models), more=more)
        (folder / "leverframe.yaml").write_text(project, encoding="utf-8")
        (folder / "workflows" / "desk.yaml").write_text(contract, encoding="utf-8")
        desk = TroubledDesk(folder=folder, vendor=vendor, port=free_port())
        desk.key = desk.create_key()
        desk.start()
        try:
            yield desk
        finally:
            if desk.process is not None:
                desk.stop()
