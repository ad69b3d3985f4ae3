"""No parser of bytes without a fuzz target: every module that takes bytes apart names its own, or why it needs none."""

import re

from fuzz.targets import TARGETS
from tests.meta.tree import ROOT

SOURCE = ROOT / "src" / "leverframe"
RAW = re.compile(
    r"json\.loads?\(|JSONDecoder|json\.Decoder|json\.decode|zipfile\.ZipFile|b64decode|ast\.parse\("
    r"|\byaml\.(?:parse|compose|load)"
)
# Everything else decodes with `core.canonical.decode`, which is a target and gives typed JSON or one typed error.
TARGET_OF = {
    "config/cedar_file.py": "cedar",
    "config/yaml_source.py": "yaml",
    "core/access_tokens.py": "access token",
    "core/canonical.py": "canonical json",
    "core/notes.py": "note",
    "core/redaction.py": "redacted text",
    "core/wires/halves.py": "relayed stream",
    "core/wires/strict.py": "relayed call",
    "core/wires/usage.py": "vendor stream",
    "runtime/bundle_records.py": "values to decide again",
    "runtime/run_tokens.py": "run token",
    "tools/npm_packages.py": "npm package",
    "sdk/heads.py": "bundle checkpoint",
    "sdk/seen.py": "trust file",
    "sdk/verify.py": "bundle",
    "signing/ed25519.py": "log key",
    "signing/signer_wire.py": "signer frame",
    "signing/trust.py": "trust file",
    "store/sqlite/heads.py": "head file",
}
NEEDS_NONE = {
    "cli/commands/evidence.py": "reads back the trust file that it has just written",
    "config/python_source.py": "the project's own code, which loading runs anyway",
    "core/wires/shaping.py": "fields of a body that core/wires/strict.py has read",
    "core/bundles.py": "leaves that the store gave to be exported",
    "models/relay.py": "asks only whether a vendor's error is JSON, and declares all that the decoder raises",
    "gateway/shared_metrics.py": "what workers of our own wrote into a folder that is theirs alone",
    "identity/issuers.py": "the project's own credential; declares all that its decoders raise",
    "identity/secret_sources.py": "what the project's own vault keeps; declares all that the decoder raises",
    "testing/troubled_vendor.py": "a vendor for tests, called by our own gateway alone",
    "testing/vendor_answers.py": "the answers of a vendor for tests, which it writes itself",
    "testing/conversing_vendor.py": "a vendor for tests, called by our own gateway alone",
    "testing/vendor.py": "a vendor for tests, called by our own gateway alone",
    "testing/mcp_host.py": "an MCP server for tests, called by our own gateway alone",
    "mcp/questions.py": "reads only what bears its own MAC; tests/unit/test_mcp_questions.py changes it",
    "runtime/auditing.py": "stored leaves; the tamper matrix of the database changes every byte class of them",
    "runtime/readiness.py": "a leaf that it has just composed",
    "sdk/onefile.py": "our own source",
    "signing/signer_state.py": "a private file of the signer; tests/unit/test_signer_state.py damages it",
    "store/sqlite/approvals.py": "tagged rows; tests/contract/test_store_tagged.py changes each column",
    "store/sqlite/authority.py": "tagged rows; tests/contract/test_store_authority.py changes each column",
    "store/sqlite/reservations.py": "rows of the store's own",
}


def test_every_module_that_takes_bytes_apart_names_its_fuzz_target_or_why_it_needs_none() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if RAW.search(path.read_text(encoding="utf-8"))
    }

    assert found - TARGET_OF.keys() - NEEDS_NONE.keys() == set(), "give it a target in fuzz/, and name it in this file"
    assert (TARGET_OF.keys() | NEEDS_NONE.keys()) - found == set(), "these take nothing apart any more"
    assert TARGET_OF.keys() & NEEDS_NONE.keys() == set()


def test_every_named_target_is_there() -> None:
    assert set(TARGET_OF.values()) - TARGETS.keys() == set()
