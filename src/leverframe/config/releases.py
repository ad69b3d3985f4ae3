"""The contract of a release that the project's files no longer are, loaded again from the bytes that were kept.

A run that was held on Friday goes on under Friday's contract on Monday, whatever was edited in between.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from leverframe.config.digests import release_digest
from leverframe.config.project import load_release
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.ids import EnvironmentName, Sha256, WorkflowName

# Kept with the files of a release, and none of them: what its digest and its policy's digest are over.
_MANIFEST, _POLICY = "manifest", "policy:"


class ReleaseFiles:
    """`ports.releases.Releases` over the project folder, whose project file stands in where the release has none."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def contract(
        self, workflow: WorkflowName, environment: EnvironmentName, digest: Sha256, files: Mapping[str, bytes]
    ) -> Contract:
        """The contract that these files make.

        Raises:
            EvidenceBroken: files are missing, do not give this digest, or this version reads them in another way.
        """
        kept = {name: content for name, content in files.items() if name != _MANIFEST and not name.startswith(_POLICY)}
        if release_digest(kept) != digest:
            raise EvidenceBroken(
                f"The kept files of release {digest[:12]}… do not give its digest; a run of it cannot go on.",
                next_move="Verify the log: leverframe evidence verify",
            )
        with tempfile.TemporaryDirectory(prefix="leverframe-release-") as folder:
            for name, content in kept.items():
                _write(Path(folder), name, content)
            project, problems = load_release(Path(folder), self._root)
        contract = None if project is None else project.environments.get(workflow, {}).get(environment)
        if contract is None or contract.release_digest != digest:
            why = "; ".join(str(problem) for problem in problems if problem.severity == "error")
            raise EvidenceBroken(
                f"Release {digest[:12]}… of {workflow!r} does not load as it did when its run began. {why}",
                next_move="End the run by hand (leverframe runs end), or use the version it was started with.",
            )
        return contract


def _write(folder: Path, name: str, content: bytes) -> None:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise EvidenceBroken(f"A kept file of a release is named {name!r}, which no project file is.")
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
