"""`openssl` verifies the checkpoint of a bundle, by the very commands of docs/evidence-bundle.md."""

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.evidence_log import RUN, honest
from tests.evidence_project import finished, new_project
from tests.meta.tree import ROOT
from tests.typed import Shell

pytestmark = pytest.mark.needs(program="openssl")


def documented() -> str:
    """The shell commands of the page that name openssl."""
    page = (ROOT / "docs" / "evidence-bundle.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"\n((?:    .*\n)+)", page) if "openssl" in one]
    return re.sub("^    ", "", block, flags=re.MULTILINE)


def judged(folder: Path) -> tuple[int, str]:
    done = subprocess.run(["bash", "-c", documented()], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An unpacked bundle."""
    (tmp_path / "bundle").mkdir()
    for name in ("checkpoint", "manifest.json"):
        (tmp_path / "bundle" / name).write_bytes(honest().bundle(run_id=RUN)[name])
    return tmp_path / "bundle"


def test_openssl_verifies_the_checkpoint_of_a_real_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(new_project(tmp_path / "desk"), capsys, monkeypatch)
    run_id = finished(shell.root)
    assert shell.type("evidence", "export", "--run", run_id, "--out", str(tmp_path / "bundle.zip")).code == 0
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        archive.extractall(tmp_path / "bundle")

    code, said = judged(tmp_path / "bundle")

    assert (code, "Signature Verified Successfully" in said) == (0, True), said


@pytest.mark.parametrize("line", [0, 1, 2])
def test_openssl_refuses_a_checkpoint_of_which_any_line_was_changed(folder: Path, line: int) -> None:
    lines = (folder / "checkpoint").read_bytes().splitlines(keepends=True)
    at = len(lines[line]) // 2
    lines[line] = lines[line][:at] + (b"1" if lines[line][at : at + 1] != b"1" else b"2") + lines[line][at + 1 :]
    before, _ = judged(folder)
    (folder / "checkpoint").write_bytes(b"".join(lines))

    code, said = judged(folder)

    assert before == 0
    assert (code != 0, "Verification Failure" in said) == (True, True), said
