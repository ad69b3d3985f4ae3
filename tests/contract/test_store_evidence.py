"""The contract of the evidence log: leaves, tree, disclosures, retention."""

import msgspec
import pytest

from leverframe.core import merkle
from leverframe.domain.evidence import KeptValue, TreeState
from leverframe.domain.ids import EntryId, RunId, TenantId, WorkflowName
from leverframe.domain.proposals import OpenRun, Proposal, PruneDisclosures, PutRun, RunIs
from leverframe.domain.records import replace
from leverframe.domain.runs import RunState
from tests.store_samples import (
    ACME,
    GLOBEX,
    RUN,
    WORKFLOW,
    Bench,
    a_disclosure,
    a_run,
    after,
    an_entry,
    assert_log_verifies,
    new_step,
)


def write(bench: Bench, count: int, *, batch: int = 50) -> list[bytes]:
    """Write that many entries; returns the hashes of their leaves."""
    for first in range(0, count, batch):
        bench.commit(entries=tuple(an_entry(f"e{index}") for index in range(first, min(first + batch, count))))
    return [merkle.leaf_hash(one.leaf) for one in bench.do(bench.store.evidence.leaves(ACME, 0, count))]


def test_entries_get_their_place_in_the_order_of_commits(bench: Bench) -> None:
    first = bench.commit(entries=(an_entry("e1"), an_entry("e2")))
    nothing = bench.commit()
    second = bench.commit(entries=(an_entry("e3"),))

    found = bench.do(bench.store.evidence.leaves(ACME, 1, 9))

    assert (first.first_index, nothing.first_index, second.first_index) == (0, -1, 2)
    assert [(one.index, one.entry_id) for one in found] == [(1, "e2"), (2, "e3")]


def test_a_runs_entries_are_numbered_without_a_gap(bench: Bench) -> None:
    bench.open_run()
    other = RunId("run_2")
    bench.commit(entries=(an_entry("e1"), an_entry("e2", run_id=other), an_entry("e3", run_id=None)))
    bench.refuse(guards=(RunIs(run_id=RUN, state=RunState.ENDED),), entries=(an_entry("lost"),))
    bench.commit(entries=(an_entry("e4"), an_entry("e5", run_id=other)))

    def numbers(run_id: RunId) -> list[tuple[str, int]]:
        leaves = bench.do(bench.store.evidence.leaves_of_run(ACME, run_id))
        return [(one.entry_id, msgspec.json.decode(one.leaf)["run_seq"]) for one in leaves]

    assert numbers(RUN) == [("e1", 1), ("e4", 2)]
    assert numbers(other) == [("e2", 1), ("e5", 2)]


def test_each_tenant_has_a_tree_of_its_own(bench: Bench) -> None:
    bench.commit(entries=(an_entry("e1"),))
    theirs = Proposal(tenant=GLOBEX, entries=(an_entry("g1", tenant=GLOBEX), an_entry("g2", tenant=GLOBEX)))
    bench.do(bench.store.writer.commit(theirs))

    assert bench.do(assert_log_verifies(bench.store, ACME)) == 1
    assert bench.do(assert_log_verifies(bench.store, GLOBEX)) == 2
    assert bench.do(bench.store.evidence.leaves_of_run(GLOBEX, RunId("run_9"))) == []
    assert bench.do(bench.store.evidence.tree(TenantId("nobody"))) == TreeState()


def test_an_entry_of_another_tenant_is_raised_with_all_of_its_proposal(bench: Bench) -> None:
    with pytest.raises(ValueError, match="'globex', not 'acme'"):
        bench.propose(OpenRun(run=a_run(), windows=()), entries=(an_entry("e1"), an_entry("e2", tenant=GLOBEX)))

    assert bench.do(bench.store.journal.run(RUN)) is None
    assert bench.do(assert_log_verifies(bench.store)) == 0


def test_a_refused_proposal_leaves_no_trace_in_the_tree(bench: Bench) -> None:
    bench.open_run()
    bench.commit(new_step("1"), entries=(an_entry("e1"),))

    with pytest.raises(ValueError, match="'globex', not 'acme'"):
        bench.propose(entries=(an_entry("e2"), an_entry("e3", tenant=GLOBEX)))
    with pytest.raises(ValueError, match="logged in clear"):
        bench.propose(entries=(an_entry("e2"), an_entry("e3", outcome="free text")))
    bench.commit(entries=(an_entry("e2"),))

    assert bench.do(assert_log_verifies(bench.store)) == 2


def test_every_complete_subtree_has_the_hash_of_its_leaves(bench: Bench) -> None:
    hashes = write(bench, 600)
    level_9 = merkle.root(merkle.extend(TreeState(), hashes[:512]).state)

    def stored(level: int, index: int) -> bytes:
        return bench.do(bench.store.evidence.node_hash(ACME, level, index))

    for level, index in ((0, 599), (1, 7), (3, 74), (7, 3), (8, 0), (8, 1)):
        covered = hashes[index << level : (index + 1) << level]
        assert stored(level, index) == merkle.root(merkle.extend(TreeState(), covered).state), (level, index)
    assert stored(9, 0) == level_9
    assert merkle.state_of(600, stored) == bench.do(bench.store.evidence.tree(ACME))


@pytest.mark.parametrize(("level", "index"), [(0, 3), (1, 1), (8, 0), (16, 0), (24, 0), (30, 0)])
def test_a_subtree_that_is_not_complete_has_no_hash(bench: Bench, level: int, index: int) -> None:
    write(bench, 3)

    with pytest.raises(ValueError, match="no complete subtree"):
        bench.do(bench.store.evidence.node_hash(ACME, level, index))


def test_proofs_out_of_stored_nodes_verify(bench: Bench) -> None:
    hashes = write(bench, 300)
    root = merkle.root(bench.do(bench.store.evidence.tree(ACME)))

    def stored(level: int, index: int) -> bytes:
        return bench.do(bench.store.evidence.node_hash(ACME, level, index))

    inclusion = merkle.inclusion_proof(17, 300, stored)
    consistency = merkle.consistency_proof(257, 300, stored)

    assert merkle.verify_inclusion(hashes[17], 17, 300, inclusion, root)
    old_root = merkle.root(merkle.state_of(257, stored))
    assert merkle.verify_consistency(257, old_root, 300, root, consistency)


def test_a_disclosure_is_kept_with_each_of_its_entries_and_comes_back_as_it_was(bench: Bench) -> None:
    said = a_disclosure()
    hidden = replace(a_disclosure("note", b'"secret"'), is_redacted=True, token="t1")  # noqa: S106 it is shown, not secret
    bench.open_run()

    bench.commit(entries=(an_entry("e1", disclosures=(said, hidden)),))
    bench.commit(entries=(an_entry("e2", disclosures=(said, said)),))

    log = bench.store.evidence
    first, second = EntryId("e1"), EntryId("e2")
    assert bench.do(log.disclosures(ACME, [first, EntryId("unknown")])) == {said.digest: said, hidden.digest: hidden}
    assert bench.do(log.disclosures(ACME, [second])) == {said.digest: said}
    assert bench.do(log.inputs(ACME, [RUN, RunId("run_unknown")])) == {said.digest: said, hidden.digest: hidden}
    assert sorted(one.name for one in bench.do(log.disclosures_of_run(ACME, RUN))) == ["note", "reason", "reason"]
    assert bench.do(log.disclosures(GLOBEX, [first])) == {}
    assert bench.do(log.inputs(GLOBEX, [RUN])) == {}
    assert bench.do(log.disclosures_of_run(GLOBEX, RUN)) == []


def test_retention_takes_only_what_is_old_and_of_an_ended_run(bench: Bench) -> None:
    long_ago = {"ended_at": after(-90), "state": RunState.ENDED}
    runs = {
        "run_old": a_run("run_old", **long_ago),
        "run_other": a_run("run_other", workflow=WorkflowName("triage"), **long_ago),
        "run_open": a_run("run_open"),
        "run_recent": a_run("run_recent", ended_at=after(-5), state=RunState.ENDED),
    }
    for run_id, run in runs.items():
        bench.open_run(run)
        said = a_disclosure(value_bytes=f'"{run_id}"'.encode())
        entry = an_entry(f"e_{run_id}", run_id=RunId(run_id), at=after(-100), disclosures=(said,))
        bench.commit(entries=(entry,))

    found = bench.do(bench.store.evidence.prunable(ACME, after(-10), WORKFLOW, 9))

    assert found == [("e_run_old", a_disclosure(value_bytes=b'"run_old"').digest)]
    assert bench.do(bench.store.evidence.prunable(ACME, after(-10), WORKFLOW, 0)) == []
    assert bench.do(bench.store.evidence.prunable(GLOBEX, after(-10), WORKFLOW, 9)) == []


def test_pruning_deletes_the_value_and_keeps_every_proof(bench: Bench) -> None:
    said = a_disclosure()
    bench.open_run()
    bench.commit(entries=(an_entry("e1", disclosures=(said,)),))
    bench.commit(PutRun(run=a_run(state=RunState.ENDED, ended_at=after(1)), expect=RunState.OPEN))

    prune = PruneDisclosures(tenant=ACME, values=(KeptValue(EntryId("e1"), said.digest),))
    bench.commit(prune, entries=(an_entry("e2", run_id=None),))
    bench.commit(prune)

    assert bench.do(bench.store.evidence.disclosures(ACME, [EntryId("e1")])) == {}
    assert said.digest.encode() in bench.do(bench.store.evidence.leaves(ACME, 0, 1))[0].leaf
    assert bench.do(assert_log_verifies(bench.store)) == 2


def test_one_tenant_cannot_prune_what_another_disclosed(bench: Bench) -> None:
    said = a_disclosure()
    bench.commit(entries=(an_entry("e1", disclosures=(said,)),))

    prune = PruneDisclosures(tenant=GLOBEX, values=(KeptValue(EntryId("e1"), said.digest),))
    theirs = Proposal(tenant=GLOBEX, changes=(prune,))
    bench.do(bench.store.writer.commit(theirs))

    assert bench.do(bench.store.evidence.disclosures(ACME, [EntryId("e1")])) == {said.digest: said}


def test_without_a_signer_there_is_no_checkpoint(bench: Bench) -> None:
    bench.commit(entries=(an_entry("e1"),))

    assert bench.do(bench.store.evidence.checkpoint(ACME)) is None
