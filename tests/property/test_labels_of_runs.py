"""Labels of real runs only get worse, and are the same in every worker.

Through the door and the real store: no sequence of calls raises integrity or lowers confidentiality, and two processes
on one database decide a call of a run on the same labels.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leverframe.config.project import load_project
from leverframe.core.canonical import decode
from leverframe.domain.errors import RefusedError, UsageError
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import PrincipalId, RunId, StepPath
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, INTEGRITY_WORDS, Integrity
from leverframe.domain.runs import StepState
from leverframe.runtime.endorsing import Place, endorse
from leverframe.runtime.outcomes import HeldBack
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.resolving import PersonsWord
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.config_samples import write_files
from tests.property.label_worker import labels_of
from tests.sampling import ROOT

FILES: Final = {
    "leverframe.yaml": """\
people: {lena: {roles: [approver]}}
providers: {}
types: {email: {pattern: "[a-z]+@[a-z]+[.]example"}, word: {pattern: "[a-z]{1,12}"}}
""",
    "workflows/desk.yaml": """\
workflow: desk
input: {type: object, properties: {message: {type: string}}}
budget: {max_tool_calls: 1000000, max_steps: 1000000}
policy: {allow_tools: [read_record, read_inbox, read_vault, list_rooms, write_note, send]}
""",
    "tools/desk.py": '''\
"""Reads of every trust and secrecy, and two writes."""

from typing import TypedDict

from leverframe.sdk.tool import tool


class Found(TypedDict):
    """One value of a known type."""

    email: str


class Rooms(TypedDict):
    """Names that others chose."""

    names: list[str]


def _found(name: str) -> Found:
    return {"email": f"{name}@place.example"}


@tool(effect="read", output_trust={"default": "tenant-record"}, output_confidentiality="public")
def read_record(name: str) -> Found:
    """Read our own record."""
    return _found(name)


@tool(effect="read", output_confidentiality="public")
def read_inbox(name: str) -> Found:
    """Read what others wrote."""
    return _found(name)


@tool(effect="read", output_trust={"default": "tenant-record"}, output_confidentiality="secret")
def read_vault(name: str) -> Found:
    """Read a secret."""
    return _found(name)


@tool(effect="read", endorse={"/names/*": "word"}, output_types={"/names/*": "word"}, output_confidentiality="public")
def list_rooms(name: str) -> Rooms:
    """Read names that a pattern endorses, or does not."""
    return {"names": ["general", name]}


@tool(effect="irreversible", args={"text": {"role": "free_text"}})
def write_note(text: str) -> Found:
    """Write where nobody else reads; what comes back is anybody's."""
    return _found(text[:3])


@tool(
    effect="irreversible",
    args={"to": {"role": "recipient", "type": "email", "accepts": "tenant-record"}, "text": {"role": "free_text"}},
    output_trust={"default": "tenant-record"},
    output_confidentiality="public",
)
def send(to: str, text: str) -> Found:
    """Send to somebody."""
    return {"email": to}
''',
}
NAMES: Final = st.sampled_from(["ann", "bob", "eve", "not one word"])
READS: Final = st.sampled_from(["read_record", "read_inbox", "read_vault", "list_rooms"])


@dataclass(frozen=True, slots=True)
class Call:
    """One call, and through which of two workers it comes."""

    worker: int
    tool: str
    args: dict[str, str]


SENDS: Final = st.builds(
    lambda worker, name, text: Call(worker, "send", {"to": f"{name}@place.example", "text": text}),
    st.integers(0, 1),
    st.sampled_from(["ann", "bob", "eve"]),
    st.sampled_from(["hello", "see www.place.example"]),
)
CALLS: Final = st.one_of(
    st.builds(lambda worker, tool, name: Call(worker, tool, {"name": name}), st.integers(0, 1), READS, NAMES),
    st.builds(lambda worker, name: Call(worker, "write_note", {"text": name}), st.integers(0, 1), NAMES),
    SENDS,
)


@dataclass(frozen=True, slots=True)
class Word:
    """A person endorses what the newest read of the run answered."""

    integrity: Integrity


ACTS: Final = st.one_of(
    CALLS, CALLS, CALLS, st.builds(Word, st.sampled_from([Integrity.TENANT_RECORD, Integrity.USER]))
)


async def vouch(assembly: Assembly, run: OutsideRun, word: Word) -> str:
    """Endorse it, and have the run decide something so that it learns of that; the value, or nothing where refused."""
    steps = [one for one in run.ctx.steps.values() if one.state is StepState.OK and one.name.startswith("read_")]
    if not steps:
        return ""
    lena = assembly.project.people[PrincipalId("person:lena")]
    said = PersonsWord(person=lena, because="I asked them", proof="test")
    value = run.ctx.payload(steps[-1].result_ref)
    assert isinstance(value, dict)
    place = Place(step=StepPath(steps[-1].path), pointer="/email")
    try:
        await endorse(assembly.runner, run.ctx.run.run_id, place, word.integrity, said)
    except (UsageError, RefusedError):
        return ""  # it raises nothing, or the value is none that is traced
    # Another note each time: the same one again would be collected, and nothing decided.
    await run.call_tool("write_note", {"text": f"note {len(run.ctx.steps)}"})
    return str(value["email"])


async def opened(assembly: Assembly, message: str) -> OutsideRun:
    contract = next(iter(assembly.project.contracts.values()))
    opening = Opening(
        tenant=assembly.project.tenants[0],
        environment=contract.environments[0],
        initiator=PrincipalId("agent:desk"),
        launcher=PrincipalId("os:test"),
        input={"message": message},
        is_outside=True,
    )
    return await assembly.runner.open_outside(contract, opening)


def is_no_better(later: Sequence[str], earlier: Sequence[str]) -> bool:
    """Integrity only falls, and confidentiality only rises."""
    is_lower = INTEGRITY_WORDS[later[0]] <= INTEGRITY_WORDS[earlier[0]]
    return is_lower and CONFIDENTIALITY_WORDS[later[1]] >= CONFIDENTIALITY_WORDS[earlier[1]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("labelled"), FILES)


@dataclass(slots=True)
class Played:
    """What a sequence of calls left: the labels after each, and what the log says of each value that was eased."""

    labels: list[dict[str, list[str]]] = field(default_factory=list)
    endorsed: int = 0
    vouched: list[str] = field(default_factory=list)  # the value that a person eased in each act, if any


async def played(folder: Path, calls: Sequence[Call | Word]) -> Played:
    found = Played()
    async with open_assembly(load_project(folder), create=True) as assembly:
        run = await opened(assembly, "Tell ann@place.example")
        found.labels.append(labels_of(run.ctx.values))
        for call in calls:
            if isinstance(call, Word):
                found.vouched.append(await vouch(assembly, run, call))
            else:
                found.vouched.append("")
                await run.call_tool(call.tool, dict(call.args))
            found.labels.append(labels_of(run.ctx.values))
        leaves = await assembly.services.evidence.leaves_of_run(run.ctx.run.tenant, RunId(run.run_id))
        entries = [entry for one in leaves if isinstance(entry := decode(one.leaf), dict)]
        eased = [entry["detail"] for entry in entries if entry["type"] == EventType.LABEL_ENDORSED.value]
        found.endorsed = sum(one["reason"] == "type-pattern" for one in eased)
        assert sum(one["reason"] == "person" for one in eased) == sum(map(bool, found.vouched))
    return found


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(CALLS, min_size=1, max_size=10))
def test_no_sequence_of_calls_eases_the_label_of_a_run_or_of_a_value_in_it(folder: Path, calls: list[Call]) -> None:
    found = asyncio.run(played(folder, calls))

    for earlier, later in pairwise(found.labels):
        assert is_no_better(later[""], earlier[""])
        for value, label in earlier.items():
            # What the user named stays theirs, whoever writes it again.
            assert is_no_better(later[value], label), value
    eased = [
        value
        for value, label in found.labels[-1].items()
        if value.startswith("word ") and value not in found.labels[0] and label[0] != Integrity.THIRD_PARTY.word
    ]
    assert bool(found.endorsed) or not eased, "what is better than its tool says has an entry"


class Worker:
    """One process that serves runs of a folder."""

    def __init__(self, folder: Path, tag: str) -> None:
        line = [sys.executable, "-m", "tests.property.label_worker", str(folder), tag]
        self._process = subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    # Any: the worker's own protocol.
    def ask(self, run_id: str, tool: str, args: dict[str, str]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"run": run_id, "tool": tool, "args": args}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def workers(folder: Path) -> Iterator[tuple[Worker, Worker]]:
    asyncio.run(played(folder, ()))
    both = Worker(folder, "a"), Worker(folder, "b")
    yield both
    for one in both:
        one.close()


def new_run(folder: Path) -> str:
    async def make() -> str:
        async with open_assembly(load_project(folder), create=False) as assembly:
            return (await opened(assembly, "Tell ann@place.example")).run_id

    return asyncio.run(make())


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(ACTS, min_size=1, max_size=10))
def test_what_a_person_endorses_is_eased_with_an_entry_and_nothing_else(folder: Path, acts: list[Call | Word]) -> None:
    found = asyncio.run(played(folder, acts))

    for (earlier, later), vouched in zip(pairwise(found.labels), found.vouched, strict=True):
        assert is_no_better(later[""], earlier[""])
        for value, label in earlier.items():
            is_named = bool(vouched) and value.endswith(f" {vouched}")
            assert is_no_better(later[value], label) or is_named, value
            assert CONFIDENTIALITY_WORDS[later[value][1]] >= CONFIDENTIALITY_WORDS[label[1]]


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(CALLS, min_size=1, max_size=8))
def test_two_workers_never_disagree_on_the_labels_of_a_run(
    folder: Path, workers: tuple[Worker, Worker], calls: list[Call]
) -> None:
    run_id = new_run(folder)
    for call in calls:
        workers[call.worker].ask(run_id, call.tool, call.args)
    unnamed = {"to": "zoe@place.example", "text": "hello"}

    one, other = (worker.ask(run_id, "send", unnamed) for worker in workers)

    assert one == other
    assert one["outcome"] == HeldBack.__name__


def test_what_one_worker_read_holds_a_call_in_the_other(folder: Path, workers: tuple[Worker, Worker]) -> None:
    run_id = new_run(folder)
    sent = {"to": "ann@place.example", "text": "see www.place.example"}
    assert workers[1].ask(run_id, "send", {**sent, "text": "hello"})["outcome"] == "Answered"

    workers[0].ask(run_id, "read_inbox", {"name": "eve"})

    assert workers[1].ask(run_id, "send", sent)["outcome"] == HeldBack.__name__


def test_what_a_person_endorsed_in_one_process_is_endorsed_in_each_worker(
    folder: Path, workers: tuple[Worker, Worker]
) -> None:
    run_id = new_run(folder)
    labels = [worker.ask(run_id, "read_inbox", {"name": "zoe"})["labels"] for worker in workers]
    assert labels[1]["email zoe@place.example"] == ["third-party", "public"]

    async def vouched() -> bool:
        async with open_assembly(load_project(folder), create=False) as assembly:
            run = await assembly.runner.reopen_outside(RunId(run_id))
            return bool(await vouch(assembly, run, Word(Integrity.TENANT_RECORD)))

    assert asyncio.run(vouched())

    # Two letters: the same one again would be collected, and nothing decided.
    one, other = (
        worker.ask(run_id, "send", {"to": "zoe@place.example", "text": text})
        for worker, text in zip(workers, ("Tell", "Tell ann@place.example"), strict=True)
    )
    assert (one["outcome"], other["outcome"]) == ("Answered", "Answered")
    assert one["labels"]["email zoe@place.example"] == other["labels"]["email zoe@place.example"]
