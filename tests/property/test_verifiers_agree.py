"""`evidence verify` on a database and `verify.py` on a bundle agree on 1,000 random corruptions of a log of real runs.

Agree: the same verdict, and of every check that both make the same places.  A database has more to hold against the
log: stored columns, stored hashes, the head beside it and the journal.  Only these may fail there alone.
LONG=1 takes all 1,000; otherwise the commit draws some.
"""

import base64
import hashlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from leverframe.config.project import load_project
from leverframe.core import merkle
from leverframe.core.bundles import BundleParts, build_bundle
from leverframe.domain.time import from_us
from leverframe.runtime.auditing import verify_database
from leverframe.sdk.onefile import verify_py
from leverframe.sdk.report import BROKEN, SELF_CONSISTENT, Report
from leverframe.wiring.evidence import open_logs
from tests.corruptions import COUNT, Log, corrupted, write_bundle, write_database
from tests.door_desk import TENANT
from tests.sampling import sample
from tests.shop_runs import ShopRuns

STORY = ("clock", *(f"S{number}" for number in range(1, 13)))
# What a failure says that only a database can have.
OF_A_DATABASE = (
    *("in the journal", "is stored under another", "does not carry the MAC", "is missing", "its stored hash is not"),
    *(
        "the stored head of the tree",
        "the stored hash over",
        "beside the database",
        "does not open",
        "is stored as one",
    ),
    *("policies are not in the database", "stands before an entry that was written"),
)


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The one file that an auditor runs, loaded as it is."""
    path = tmp_path_factory.mktemp("verifier") / "verify.py"
    path.write_bytes(verify_py())
    spec = importlib.util.spec_from_file_location("verify_of_an_auditor", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def clean(shop_runs: ShopRuns) -> tuple[Log, dict[str, bytes]]:
    """What the database holds, and the bundle of it."""
    with open_logs(load_project(shop_runs.root)) as logs:
        leaves = [row.leaf for row in logs.audit.leaves(TENANT, 0, 10_000)]
        disclosures = [one.disclosure for one in logs.audit.disclosures(TENANT) if one.disclosure is not None]
        policies, vkey, noted = dict(logs.audit.policies(TENANT)), logs.vkeys[TENANT], logs.audit.note(TENANT)
    assert noted is not None
    parts = BundleParts(
        origin="leverframe/default",
        vkey=vkey,
        tenant=TENANT,
        created_at=from_us(0),
        checkpoint=noted[1],
        leaves=list(enumerate(leaves)),
        verify_py=verify_py(),
        disclosures=disclosures,
        policies=list(policies.values()),
    )
    files = build_bundle(parts)
    lines = {digest_of(line): line for line in files["disclosures.jsonl"].splitlines(keepends=True)}
    log = Log(
        leaves=leaves, disclosures=lines, policies={str(one): text for one, text in policies.items()}, note=noted[1]
    )
    log.hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    return log, files


def digest_of(line: bytes) -> str:
    item = json.loads(line)
    if "digest" in item:
        return str(item["digest"])
    return base64.urlsafe_b64encode(hashlib.sha256(item["disclosure"].encode()).digest()).rstrip(b"=").decode()


def of_database(root: Path) -> Report:
    with open_logs(load_project(root)) as logs:
        return verify_database(logs.audit, TENANT, logs.vkeys[TENANT], None)


def test_both_call_the_whole_log_self_consistent(
    shop_runs: ShopRuns, clean: tuple[Log, dict[str, bytes]], verifier: ModuleType
) -> None:
    log, files = clean

    stored, bundled = of_database(shop_runs.root), verifier.verify(write_bundle(files, log), None)

    assert (stored.verdict, bundled.verdict) == (SELF_CONSISTENT, SELF_CONSISTENT)
    assert len(log.leaves) > 70
    assert {one.status for one in stored.checks.values()} == {"passed", "not checkable here"}


def test_both_agree_on_every_corruption(
    shop_runs: ShopRuns, clean: tuple[Log, dict[str, bytes]], verifier: ModuleType, tmp_path: Path
) -> None:
    log, files = clean
    state, found = tmp_path / "desk" / ".leverframe", []
    shutil.copytree(shop_runs.root, tmp_path / "desk")
    for number in sample(range(COUNT), 60):
        shutil.rmtree(state)
        shutil.copytree(shop_runs.root / ".leverframe", state)
        done = corrupted(number, log, state / "keys" / "default.log.key")
        write_database(tmp_path / "desk", log, done.log)

        stored, bundled = of_database(tmp_path / "desk"), verifier.verify(write_bundle(files, done.log), None)

        found += [f"{done.what}: {one}" for one in disagreements(stored, bundled)]
        if not done.log.is_signed_anew and BROKEN not in (stored.verdict, bundled.verdict):
            found.append(f"{done.what}: nobody saw it")
    assert found == []


def disagreements(stored: Report, bundled: Report) -> list[str]:
    """Where the two say otherwise, in their words."""
    said = [(name, check.failed, bundled.checks[name].failed) for name, check in stored.checks.items()]
    found = [f"{name} failed in the bundle alone" for name, here, there in said if there and not here]
    for name, check in stored.checks.items():
        alone = [place for place in check.places if not any(what in place for what in OF_A_DATABASE)]
        if alone and not bundled.checks[name].failed:
            found.append(f"{name} failed in the database alone: {alone[0]}")
    for name in STORY:
        here, there = stored.checks[name].places, bundled.checks[name].places
        if len(here) < 10 and not set(there) <= set(here):
            found.append(f"{name}: {min(set(there) - set(here))}")
    if bundled.verdict == BROKEN and stored.verdict != BROKEN:
        found.append("only the bundle is broken")
    return found
