"""The page of evidence entries."""

from itertools import groupby

from leverframe.domain.evidence import EVENT_DOCS, EventType
from scripts.reference import markdown

INTRO = (
    "Each line of the evidence log is an entry of one of these types. A type never changes its meaning; a later "
    "version may add types, and a reader skips those that it does not know. The first word says what it is about."
)


def render() -> str:
    """Every type with its meaning, grouped by its first word, in the order of the code."""
    blocks = []
    for subject, types in groupby(EventType, key=lambda event: event.value.split(".")[0]):
        rows = [(markdown.code(event.value), EVENT_DOCS[event]) for event in types]
        blocks += [f"## {subject}", markdown.table(("Type", "Says"), rows)]
    return markdown.page("Evidence entries", INTRO, *blocks)
