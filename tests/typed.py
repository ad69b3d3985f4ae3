"""Commands typed at Leverframe, in this process, with a configuration folder of the test's own."""

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from leverframe.cli.main import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    # Any: whatever the document holds; a test looks at the part it is about.
    def json(self) -> Any:
        return json.loads(self.out, parse_float=Decimal)

    @property
    # Any: as above.
    def json_lines(self) -> list[Any]:
        return [json.loads(line, parse_float=Decimal) for line in self.out.splitlines()]


class Shell:
    """Types commands in one project folder, as the person whose configuration folder is in force."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        monkeypatch.setattr("sys.argv", ["leverframe"])
        monkeypatch.delenv("NO_COLOR", raising=False)
        self.be("someone")

    def be(self, who: str) -> None:
        """Another person at the keyboard: another configuration folder."""
        self.config = self.root.parent / f"config-{who}"
        self._monkeypatch.setenv("XDG_CONFIG_HOME", str(self.config))

    def type(self, *words: str) -> Typed:
        """Type a command in the project's folder."""
        return self.type_anywhere("-C", str(self.root), *words)

    def type_anywhere(self, *words: str) -> Typed:
        """Type a command just so."""
        self._capsys.readouterr()
        code = main(words)
        said = self._capsys.readouterr()
        return Typed(code=code, out=said.out, err=said.err)

    def init(self) -> None:
        """Write the small project."""
        assert self.type_anywhere("init", str(self.root)).code == 0

    def held(self) -> tuple[str, str]:
        """Run the small project's workflow until it is held; its run and approval."""
        told = self.type("run", "refund_request", "--input", "inputs/refund_request.json", "--json").json
        return told["run_id"], told["held"][0]["approval_id"]

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path
