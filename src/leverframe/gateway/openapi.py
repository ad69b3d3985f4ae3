"""What `/api/v1` takes and gives, as an OpenAPI document.  Source: OpenAPI 3.1."""

from typing import Final

from leverframe import __version__
from leverframe.domain.json import Json
from leverframe.domain.plans import MOST_CALLS
from leverframe.domain.runs import RunOutcome
from leverframe.runtime.opened_runs import DEFAULT_TTL_S, MAX_TTL_S, MIN_TTL_S, Amendment


def document() -> dict[str, Json]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Leverframe runs", "version": __version__},
        "security": [{"key": []}],
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": _PROBLEM, "Run": _RUN},
        },
        "paths": {
            "/api/v1/runs": {"post": _operation("openRun", "Open a run for an outside agent.", _OPEN, "201", _OPENED)},
            "/api/v1/runs/{run_id}": {"get": _operation("readRun", "Read a run.", None, "200", _REF_RUN)},
            "/api/v1/runs/{run_id}/plan": {
                "post": _operation("declarePlan", "Declare the run's plan, or a smaller one.", _PLAN, "200", _PLANNED)
            },
            "/api/v1/runs/{run_id}/end": {"post": _operation("endRun", "End a run.", _END, "200", _ENDED)},
            "/api/v1/runs/{run_id}/outcome": {
                "post": _operation("amendOutcome", "Say what became of a run after its end.", _AMEND, "200", _AMENDED)
            },
        },
    }


def _object(required: list[Json], **properties: Json) -> dict[str, Json]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


_TEXT: dict[str, Json] = {"type": "string", "maxLength": 2000}
_TIME: dict[str, Json] = {"type": "string", "format": "date-time"}
_REF_RUN: dict[str, Json] = {"$ref": "#/components/schemas/Run"}
_PROBLEM: dict[str, Json] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "next_move": {"type": "string"},
    },
}
_RUN: dict[str, Json] = {
    "type": "object",
    "required": ["run_id", "workflow", "environment", "state", "outcome", "opened_at", "budgets", "amended"],
    "properties": {
        "run_id": _TEXT,
        "workflow": _TEXT,
        "environment": _TEXT,
        "state": {"enum": ["open", "parked", "ended"]},
        "outcome": {"type": ["string", "null"]},
        "stop_reason": _TEXT,
        "opened_at": _TIME,
        "ended_at": {"type": ["string", "null"]},
        "budgets": {"type": "array"},
        "amended": {"type": "array"},
    },
}
MAX_PERSON_CHARS: Final = 200
PERSON_PATTERN: Final = r"^(person|os):[^\s]{1,193}$"
_TOOLS: dict[str, Json] = {
    "description": "Tools of the contract, each with the most calls of it in this run.",
    "type": "object",
    "additionalProperties": {"type": "integer", "minimum": 0, "maximum": MOST_CALLS},
}
_OPEN = _object(
    [],
    workflow=_TEXT,
    environment=_TEXT,
    input={"type": "object"},
    subject={"type": ["string", "null"], "maxLength": 2000},
    on_behalf_of={"type": ["string", "null"], "pattern": PERSON_PATTERN, "maxLength": MAX_PERSON_CHARS},
    ttl_s={"type": "integer", "minimum": MIN_TTL_S, "maximum": MAX_TTL_S, "default": DEFAULT_TTL_S},
    plan={**_TOOLS, "type": ["object", "null"]},
)
_OPENED = _object(
    ["run_id", "run_token", "expires_at"],
    run_id=_TEXT,
    run_token=_TEXT,
    expires_at=_TIME,
    workflow=_TEXT,
    environment=_TEXT,
)
_PLAN = _object(["tools"], tools=_TOOLS)
_PLANNED = _object(
    ["run_id", "state"],
    run_id=_TEXT,
    state={"enum": ["declared", "held", "refused"]},
    message=_TEXT,
    approval=_TEXT,
)
_END = _object(["outcome"], outcome={"enum": [one.value for one in RunOutcome]}, output={})
_ENDED = _object(
    ["run_id", "state", "outcome"],
    run_id=_TEXT,
    state={"enum": ["ended", "held"], "description": "Held, with status 202: a person answers for the output first."},
    outcome=_TEXT,
    message=_TEXT,
    approval=_TEXT,
)
_WORDS: dict[str, Json] = {**_TEXT, "minLength": 1}
_AMEND = _object(["amendment", "reason"], amendment={"enum": [one.value for one in Amendment]}, reason=_WORDS)
_AMENDED = _object(["run_id", "amendment"], run_id=_TEXT, amendment=_TEXT)
_PARAMETER: dict[str, Json] = {"name": "run_id", "in": "path", "required": True, "schema": {"type": "string"}}


def _operation(
    name: str, said: str, body: dict[str, Json] | None, status: str, answer: dict[str, Json]
) -> dict[str, Json]:
    refused: dict[str, Json] = {
        "description": "A problem.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    told: dict[str, Json] = {
        "operationId": name,
        "summary": said,
        "responses": {
            status: {"description": "Done.", "content": {"application/json": {"schema": answer}}},
            "default": refused,
        },
    }
    if name != "openRun":
        told["parameters"] = [_PARAMETER]
    if body is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return told
