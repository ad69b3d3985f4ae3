"""No rule knows the suites by which the defence is measured: no task, no address, no phrase of theirs."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.meta.tree import ROOT, product_files

PLAYS = ROOT / "tests" / "fixtures" / "agentdojo"
EXAMPLE = ROOT / "examples" / "agentdojo"
# What names somebody or something: addresses, links, numbers of accounts and files with an ending.
_NAMES = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.]+|(?:https?://|www\.)[^\s'\"<>]+|\b[\w-]+\.(?:docx|txt|pdf|xlsx|pptx|zip)\b"
)
_TASKS = re.compile(r"user_task|injection_task|<INFORMATION>", re.IGNORECASE)
_PHRASE_WORDS = 6


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def _phrases(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[at : at + _PHRASE_WORDS]) for at in range(len(words) - _PHRASE_WORDS + 1)}


def _texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts_of(each)


def _suite_texts() -> list[str]:
    texts = []
    for path in sorted(PLAYS.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            play = json.loads(line)
            texts.append(play["prompt"])
            for call in play["calls"]:
                texts += [*_texts_of(call["args"]), *_texts_of(call["result"])]
    return texts


def _rules() -> Iterator[tuple[str, str]]:
    """The whole product, and what the example's project says to it."""
    for source in product_files():
        yield source.path, source.text
    for path in sorted(
        [EXAMPLE / "leverframe.yaml", *(EXAMPLE / "tools").glob("*"), *(EXAMPLE / "workflows").glob("*")]
    ):
        if path.is_file():
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


@pytest.fixture(scope="module")
def suite_texts() -> list[str]:
    found = _suite_texts()
    assert len(found) > 100
    return found


def _broken(path: str, text: str, names: set[str], phrases: set[tuple[str, ...]]) -> list[str]:
    told = [f"{path}: {name}" for name in sorted(names) if name in text]
    told += [f"{path}: {' '.join(one)}" for one in sorted(_phrases(text) & phrases)]
    return told + [f"{path}: {one.group()}" for one in _TASKS.finditer(text)]


def test_no_rule_names_a_task_an_address_or_a_phrase_of_the_suites(suite_texts: list[str]) -> None:
    names = {name.rstrip(".,;:)") for text in suite_texts for name in _NAMES.findall(text)}
    phrases = set[tuple[str, ...]]().union(*map(_phrases, suite_texts))
    assert len(names) > 20

    told = [one for path, text in _rules() for one in _broken(path, text, names, phrases)]

    assert told == []
    assert _broken("x.yaml", f"deny: {min(names)}", names, phrases), "the test can fail"


def test_the_product_does_not_know_the_package() -> None:
    told = [source.path for source in product_files() if "agentdojo" in source.text.lower()]

    assert told == []
