"""Cut a trace out of a play of the harness, which needs no AgentDojo to be played again.

    python -m examples.agentdojo.trace RECORD EPISODES --every 3 > trace.jsonl

RECORD is what the gate wrote under `--record`, EPISODES what the harness wrote under `--out`; both of one play.  Each
line of the trace is one episode: what the user said, and every call with who made it (the user's task, or an attack),
what the door said, and what the environment answered where it was carried out.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

# Any: JSON, of the harness and of the gate.
Json = Any
_BY: Final = {"user": "user", "inj": "attack"}


def joined(record: Iterable[str], episodes: Iterable[str]) -> Iterator[Json]:
    """Every episode of a play.  Raises ValueError where record and episodes are of two plays."""
    plays: list[list[Json]] = []
    for line in record:
        said = json.loads(line)
        if said["verb"] == "start":
            plays.append([])
        plays[-1].append(said)
    for play, text in zip(plays, episodes, strict=True):
        yield _episode(play, json.loads(text))


def _episode(play: list[Json], row: Json) -> Json:
    results = {one["body"]["call"]["id"]: one["body"]["result"] for one in play if one["verb"] == "observe"}
    checks = [one for one in play if one["verb"] == "check"]
    calls = [
        {
            "by": _BY[who],
            "tool": check["body"]["call"]["tool"],
            "args": check["body"]["call"]["args"],
            "decision": check["answer"]["decision"],
            "result": results.get(check["body"]["call"]["id"]),
        }
        for check, (who, *_) in zip(checks, row["log"], strict=True)
    ]
    start = play[0]["body"]
    return {
        "suite": start["suite"],
        "task": row["user"],
        "attack": row["inj"],
        "prompt": start["prompt"],
        "calls": calls,
    }


def sampled(episodes: Iterable[Json], every: int) -> Iterator[Json]:
    """Of every so-manieth task of a suite, one attack: of each task another one, so that all take part."""
    for _, of_suite in groupby(episodes, key=lambda one: one["suite"]):
        tasks = groupby(of_suite, key=lambda one: one["task"])
        for place, (_, found) in enumerate(tasks):
            attacked = [one for one in found if one["attack"] is not None]
            if place % every == 0:
                yield attacked[place // every % len(attacked)]


def main() -> None:
    """Print the trace."""
    parser = argparse.ArgumentParser(description="Cut a trace out of a play of the AgentDojo harness.")
    parser.add_argument("record", type=Path)
    parser.add_argument("episodes", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth task")
    asked = parser.parse_args()
    with asked.record.open(encoding="utf-8") as record, asked.episodes.open(encoding="utf-8") as episodes:
        for each in sampled(joined(record, episodes), asked.every):
            print(json.dumps(each, ensure_ascii=False))


if __name__ == "__main__":
    main()
