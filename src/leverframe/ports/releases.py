"""The contract of a release that the project's files no longer are."""

from collections.abc import Mapping
from typing import Protocol

from leverframe.domain.contracts import Contract
from leverframe.domain.ids import EnvironmentName, Sha256, WorkflowName


class Releases(Protocol):
    """Contract: the same kept bytes give the same contract, whatever the project's files say today."""

    def contract(
        self, workflow: WorkflowName, environment: EnvironmentName, digest: Sha256, files: Mapping[str, bytes]
    ) -> Contract:
        """The contract that these files make.

        Raises:
            EvidenceBroken: files are missing, or do not give this digest.
        """
        ...
