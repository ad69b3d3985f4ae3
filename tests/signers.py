"""A running signer for tests: of another OS user where the tests run as root, else of the same one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from leverframe.signing.remote import RemoteSigner, SignerLine
from tests.meta.tree import ROOT

NOBODY = 65_534


@dataclass(slots=True, kw_only=True)
class RunningSigner:
    """A signer process, and where it is."""

    folder: Path
    uid: int
    allowed: int
    process: subprocess.Popen[str] | None = field(default=None)

    @property
    def socket(self) -> Path:
        return self.folder / "signer.sock"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def start(self) -> None:
        words = [sys.executable, "-m", "tests.signer_user", str(self.uid), "--socket", str(self.socket)]
        words += ["--state", str(self.state), "--allow-uid", str(self.allowed)]
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=_environment()
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "answers the user" in line, line + (self.process.stderr.read() if self.process.stderr else "")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=10)
            self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=10)
            self.process = None

    def signer(self, log: str, *, create: bool = True) -> RemoteSigner:
        return RemoteSigner(SignerLine(self.socket), log, create=create)


@contextmanager
def running_signer(*, allowed: int | None = None) -> Iterator[RunningSigner]:
    """A signer that answers this user, or the one of `allowed`."""
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    # Not below pytest's own folder, which no other user can enter; and short, as the paths of sockets must be.
    folder = Path(tempfile.mkdtemp(prefix="lf-signer-"))
    folder.chmod(0o755)
    os.chown(folder, uid, uid if uid == NOBODY else -1)
    found = RunningSigner(folder=folder, uid=uid, allowed=os.geteuid() if allowed is None else allowed)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
