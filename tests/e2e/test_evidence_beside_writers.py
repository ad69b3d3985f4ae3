"""A log that goes on being written while it is verified or exported: neither takes what came later for tampering."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leverframe.config.project import load_project
from leverframe.domain.ids import RunId
from leverframe.runtime.auditing import verify_database
from leverframe.runtime.exporting import Scope, make_bundle
from leverframe.sdk.report import SELF_CONSISTENT, Report
from leverframe.sdk.verify import read_bundle, verify
from leverframe.wiring.assembly import Assembly
from leverframe.wiring.evidence import open_logs
from tests.evidence_project import TENANT, granted, held, new_project, places, within


class Overtaken:
    """What reads the log, and is overtaken by another process once it has read the newest head."""

    # Any: the methods of the reader that stands behind it.
    def __init__(self, reader: Any, meanwhile: Callable[[], None]) -> None:
        self._reader, self._meanwhile, self._is_first = reader, meanwhile, True

    # Any: as above.
    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def checkpoint(self, tenant: str) -> bytes | None:
        note: bytes | None = await self._reader.checkpoint(tenant)
        if self._is_first:
            self._is_first = False
            await asyncio.to_thread(self._meanwhile)
        return note


def exported_beside(root: Path, run_id: RunId | None, meanwhile: Callable[[], None]) -> Report:
    async def export(assembly: Assembly) -> bytes:
        services = assembly.services
        # Any: it reads as the one behind it does.
        overtaken: Any = Overtaken(services.evidence, meanwhile)
        scope = Scope(tenant=TENANT, run_id=run_id)
        return (await make_bundle(replace(services, evidence=overtaken), scope)).content

    file = root / "bundle.zip"
    file.write_bytes(within(root, export, create=False))
    return verify(read_bundle(file), None)


def test_what_is_signed_after_the_snapshot_was_taken_is_no_tail_that_was_cut(tmp_path: Path) -> None:
    root = new_project(tmp_path / "desk")
    _, approval_id = held(root)

    with open_logs(load_project(root)) as logs:
        granted(root, approval_id)
        report = verify_database(logs.audit, TENANT, logs.vkeys[TENANT], None)

    assert (report.verdict, places(report)) == (SELF_CONSISTENT, "")


@pytest.mark.parametrize("is_whole", [True, False], ids=["log", "run"])
def test_an_export_holds_what_its_head_holds_though_the_run_goes_on_meanwhile(
    tmp_path: Path, *, is_whole: bool
) -> None:
    root = new_project(tmp_path / "desk")
    run_id, approval_id = held(root)

    report = exported_beside(root, None if is_whole else run_id, lambda: granted(root, approval_id))

    assert (report.verdict, places(report)) == (SELF_CONSISTENT, "")
