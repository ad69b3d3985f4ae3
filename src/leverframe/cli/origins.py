"""Where the values of a call came from, as lines that a person can follow back to what the run was opened on."""

from collections.abc import Iterable, Iterator
from typing import Final

from leverframe.domain.json import Json
from leverframe.runtime.origins import Argument
from leverframe.runtime.showing import word
from leverframe.runtime.why_answers import EndorsedSeen

NO_SOURCE: Final = "no source found: equal to no one value that entered the run"
_MAX_VALUE: Final = 44


def lines_of(arguments: Iterable[Argument], depth: int = 0) -> Iterator[str]:
    """One line an argument: its value, label and source; below it what that source was asked with.

    The same value of the same source is told once.
    """
    told = set[str]()
    for one in arguments:
        value = word(one.value)
        short = value if len(value) <= _MAX_VALUE else f"{value[:_MAX_VALUE]}…"
        lead = f"{'  ' * depth}{'asked with ' if depth else ''}{one.name} {short}"
        line = f"{lead}: {one.integrity}, {one.confidentiality}, {source_of(one)}"
        if line not in told:
            told.add(line)
            yield line
            yield from lines_of(one.asked_with, depth + 1)


def endorsed_line(one: EndorsedSeen) -> str:
    """A person's word on a value: what it was, what it is since, and why."""
    step, _, pointer = one.place.partition("/")
    at = f", /{pointer}" if pointer else ""
    because = f', "{one.because}"' if one.because else ""
    return f"step {step}{at}: {one.before} -> {one.integrity} by {one.by}{because}  entry {one.index:,}"


def document(one: Argument) -> dict[str, Json]:
    """One argument with its way, as data."""
    return {
        "name": one.name,
        "value": one.value,
        "integrity": one.integrity,
        "confidentiality": one.confidentiality,
        "origin": one.origin,
        "origin_tool": one.origin_tool,
        "asked_with": [document(each) for each in one.asked_with],
    }


def source_of(one: Argument) -> str:
    """From where: the step, its tool, and the place in its answer; plainly none, where there is none."""
    if not one.origin:
        return NO_SOURCE
    step, _, pointer = one.origin.partition("/")
    at = f", at /{pointer}" if pointer else ""
    return f"from {one.origin_tool}'s answer, step {step}{at}" if one.origin_tool else f"from the {step}{at}"
