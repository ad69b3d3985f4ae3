"""What the headers of an outside agent's request say: its credential, and which run, workflow and environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leverframe.domain.errors import AuthRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the headers of a call select; empty where they say nothing."""

    run: str = ""
    workflow: str = ""
    environment: str = ""


_NO_SELECTION: Final = Selection()


def credential(headers: Mapping[str, str]) -> str:
    """The API key or run token of a request: `Authorization: Bearer`, else `x-api-key`.

    Raises:
        AuthRefused: it has neither.
    """
    given = headers.get("authorization", "")
    if given[:7].lower() == "bearer ":
        return given[7:].strip()
    found = headers.get("x-api-key", "")
    if not found:
        raise AuthRefused(why="missing")
    return found


def selection(headers: Mapping[str, str]) -> Selection:
    """What the headers select."""
    run, workflow = headers.get("leverframe-run", ""), headers.get("leverframe-workflow", "")
    environment = headers.get("leverframe-environment", "")
    if not run and not workflow and not environment:
        return _NO_SELECTION
    return Selection(run=run, workflow=workflow, environment=environment)
