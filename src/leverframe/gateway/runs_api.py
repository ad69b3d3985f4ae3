"""`/api/v1/runs`: open, read and end a run, and say afterwards what became of it.

Knows: the JSON of each request and answer.  Errors are problem documents (RFC 9457); what a caller may not see is 404.
"""

import re
from collections.abc import Mapping
from typing import Final

from leverframe.core.canonical import decode, encode
from leverframe.domain.errors import InputInvalid, JsonInvalid, LeverframeError
from leverframe.domain.ids import RunId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.runs import RunOutcome
from leverframe.domain.time import rfc3339
from leverframe.gateway.asgi_types import Receive, Scope, Send
from leverframe.gateway.exchange import ClientGoneError, answer, headers_of, read_body
from leverframe.gateway.openapi import MAX_PERSON_CHARS, PERSON_PATTERN, document
from leverframe.gateway.problems import problem, problem_of
from leverframe.runtime.live_runs import Caller, LiveRuns
from leverframe.runtime.opened_runs import (
    DEFAULT_TTL_S,
    MAX_TTL_S,
    MIN_TTL_S,
    Amendment,
    Seen,
    Wanted,
    amend_outcome,
    end_for_agent,
    open_for_agent,
    plan_for_agent,
    see,
)
from leverframe.runtime.outcomes import Answered, HeldBack

ROOT: Final = "/api/v1/"
_RUNS: Final = "runs"
_MOST_TEXT: Final = 2_000
_PERSON: Final = re.compile(PERSON_PATTERN)
_RUN_ALONE: Final = 2  # parts of the path of a run


class RunsApi:
    """An ASGI application below `/api/v1/`."""

    def __init__(self, live: LiveRuns) -> None:
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        parts = scope["path"].removeprefix(ROOT).split("/")
        try:
            if parts == ["openapi.json"] and scope["method"] == "GET":
                await answer(send, 200, encode(document()))
                return
            headers = headers_of(scope)
            caller = await self._live.recognise(headers)
            # Read whatever is asked, or the connection could not be used again.
            body = await read_body(scope, receive, headers)
            await self._answer(scope["method"], parts, caller, body, send)
        except ClientGoneError:
            return
        except LeverframeError as err:
            await self._live.note(err)
            await problem_of(send, err)

    async def _answer(self, method: str, parts: list[str], caller: Caller, body: bytes, send: Send) -> None:
        match method, parts:
            case "POST", ["runs"]:
                await self._open(caller, _object(body), send)
            case "GET", ["runs", run_id]:
                seen = await see(self._live, caller, RunId(run_id))
                await answer(send, 200, encode(_seen(seen)))
            case "POST", ["runs", run_id, "plan"]:
                await self._plan(caller, RunId(run_id), _object(body), send)
            case "POST", ["runs", run_id, "end"]:
                await self._end(caller, RunId(run_id), _object(body), send)
            case "POST", ["runs", run_id, "outcome"]:
                await self._amend(caller, RunId(run_id), _object(body), send)
            case _, ["runs"] | ["runs", _] | ["runs", _, "plan" | "end" | "outcome"]:
                allowed = "GET" if len(parts) == _RUN_ALONE else "POST"
                detail = f"{method} is not served here; it takes {allowed}."
                await problem(send, status=405, slug="usage", detail=detail, headers=((b"allow", allowed.encode()),))
            case _:
                await problem(send, status=404, slug="not-found", detail="There is nothing here.")

    async def _open(self, caller: Caller, asked: JsonObject, send: Send) -> None:
        _refuse_unknown(asked, {"workflow", "environment", "input", "subject", "on_behalf_of", "ttl_s", "plan"})
        given = asked.get("input", {})
        if not isinstance(given, dict):
            raise _invalid("input", "an object")
        ttl_s = asked.get("ttl_s", DEFAULT_TTL_S)
        if not isinstance(ttl_s, int) or isinstance(ttl_s, bool) or not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
            raise _invalid("ttl_s", f"{MIN_TTL_S} to {MAX_TTL_S} seconds")
        plan = asked.get("plan")
        if plan is not None and not isinstance(plan, dict):
            raise _invalid("plan", "an object: tools, each with the most calls of it")
        wanted = Wanted(
            workflow=_text(asked, "workflow") or "",
            environment=_text(asked, "environment") or "",
            input=given,
            subject=_text(asked, "subject"),
            on_behalf_of=_principal(asked),
            ttl_s=ttl_s,
            plan=plan,
        )
        opened = await open_for_agent(self._live, caller, wanted)
        told: dict[str, Json] = {
            "run_id": opened.run.run_id,
            "run_token": opened.token,
            "expires_at": rfc3339(opened.expires_at),
            "workflow": opened.run.workflow,
            "environment": opened.run.environment,
        }
        await answer(send, 201, encode(told))

    async def _plan(self, caller: Caller, run_id: RunId, asked: JsonObject, send: Send) -> None:
        _refuse_unknown(asked, {"tools"})
        tools = asked.get("tools")
        if not isinstance(tools, dict):
            raise _invalid("tools", "an object: tools, each with the most calls of it")
        outcome = await plan_for_agent(self._live, caller, run_id, tools)
        told: dict[str, Json] = {"run_id": run_id, "state": "declared"}
        if isinstance(outcome, HeldBack):
            told |= {"state": "held", "message": outcome.message, "approval": outcome.approval_id}
        elif not isinstance(outcome, Answered):
            told |= {"state": "refused", "message": outcome.message}
        await answer(send, 200, encode(told))

    async def _end(self, caller: Caller, run_id: RunId, asked: JsonObject, send: Send) -> None:
        _refuse_unknown(asked, {"outcome", "output"})
        outcome = _word(asked, "outcome", {one.value for one in RunOutcome})
        ended = await end_for_agent(self._live, caller, run_id, RunOutcome(outcome), asked.get("output"))
        if isinstance(ended, HeldBack):
            held: dict[str, Json] = {"run_id": run_id, "state": "held", "outcome": outcome}
            await answer(send, 202, encode({**held, "message": ended.message, "approval": ended.approval_id}))
            return
        told: dict[str, Json] = {"run_id": ended.run_id, "state": ended.state.value, "outcome": outcome}
        await answer(send, 200, encode(told))

    async def _amend(self, caller: Caller, run_id: RunId, asked: JsonObject, send: Send) -> None:
        _refuse_unknown(asked, {"amendment", "reason"})
        amendment = _word(asked, "amendment", {one.value for one in Amendment})
        reason = _text(asked, "reason")
        if not reason:
            raise _invalid("reason", "why, in words")
        await amend_outcome(self._live, caller, run_id, Amendment(amendment), reason)
        told: dict[str, Json] = {"run_id": run_id, "amendment": amendment}
        await answer(send, 200, encode(told))


def _seen(seen: Seen) -> dict[str, Json]:
    run = seen.run
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "environment": run.environment,
        "state": run.state.value,
        "outcome": run.outcome.value if run.outcome is not None else None,
        "stop_reason": run.stop_reason,
        "opened_at": rfc3339(run.opened_at),
        "ended_at": rfc3339(run.ended_at) if run.ended_at is not None else None,
        "budgets": [
            {"unit": one.unit.value, "settled": one.settled, "reserved": one.reserved, "limit": _limit(one.limit)}
            for one in seen.windows
        ],
        "amended": [{"amendment": one.amendment, "by": one.by, "at": one.at} for one in seen.amended],
    }


def _limit(limit: int) -> int | None:
    return limit if limit < 2**53 else None


def _object(body: bytes) -> JsonObject:
    value = decode(body)
    if not isinstance(value, dict):
        raise JsonInvalid("The body is no JSON object.", next_move='For example: {"input": {"message": "Hello"}}')
    return value


def _refuse_unknown(asked: JsonObject, known: set[str]) -> None:
    for name in asked:
        if name not in known:
            raise InputInvalid(
                f"There is no field {name[:100]!r} here.", next_move=f"Known: {', '.join(sorted(known))}."
            )


def _text(asked: JsonObject, name: str) -> str | None:
    value = asked.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > _MOST_TEXT):
        raise _invalid(name, f"a text of at most {_MOST_TEXT} characters")
    return value


def _principal(asked: JsonObject) -> str | None:
    value = _text(asked, "on_behalf_of")
    # Who it is stands in the clear in every entry of the run, which takes no more.
    if value is not None and (not _PERSON.fullmatch(value) or not value.isprintable()):
        raise _invalid("on_behalf_of", f"a person, such as person:lena, in at most {MAX_PERSON_CHARS} characters")
    return value


def _word(asked: Mapping[str, Json], name: str, known: set[str]) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or value not in known:
        raise _invalid(name, f"one of {', '.join(sorted(known))}")
    return value


def _invalid(name: str, expected: str) -> InputInvalid:
    return InputInvalid(f"The field {name!r} takes {expected}.", next_move="See: GET /api/v1/openapi.json")
