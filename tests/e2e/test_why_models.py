"""`leverframe why` of an agent's run at the gateway: what was decided on its model calls, refusals above all."""

from pathlib import Path

from tests.served import CONTRACT, ServedDesk, served_desk

FEW = CONTRACT + "budget: {max_model_calls: 1}\n"
OBSERVED = CONTRACT + "enforce: observe\nbudget: {max_model_calls: 1}\n"


def why(desk: ServedDesk, *words: str) -> str:
    told = desk.cli("why", *words)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_a_refused_model_call_is_explained_and_no_failure(tmp_path: Path) -> None:
    with served_desk(tmp_path, FEW) as desk:
        run = desk.chat(max_tokens=10).headers["leverframe-run"]
        assert desk.chat(max_tokens=10, headers={"Leverframe-Run": run}).status == 429

        told = why(desk, run)
        step = desk.rows("SELECT path FROM steps WHERE run_id = ? AND state = 'denied'", run)[0][0]
        of_one = why(desk, f"{run}/{step}")

    assert "2 times, 0 failed, 1 refused" in told
    assert "DENY  max_model_calls  1 time" in told
    assert "workflows/desk.yaml:3" in told
    assert "nothing had to be decided" not in told
    assert "1 time, 0 failed, 1 refused" in of_one
    assert "ALLOW" not in of_one


def test_what_an_observed_contract_would_have_refused_is_counted(tmp_path: Path) -> None:
    with served_desk(tmp_path, OBSERVED) as desk:
        run = desk.chat(max_tokens=10).headers["leverframe-run"]
        assert desk.chat(max_tokens=10, headers={"Leverframe-Run": run}).status == 200

        told = why(desk, run)

    assert "ALLOW  observe  1 time" in told
    assert "1 of them refused once it is enforced" in told
