"""The sample of a long matrix is the commit's, and a lack is a failure in CI."""

import pytest

from tests import capabilities, sampling, waiting

CASES = [f"case-{n}" for n in range(200)]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "IS_LONG", False)


def test_one_seed_draws_one_sample_in_the_order_of_the_items() -> None:
    drawn = sampling.sample(CASES, 20, seed="a")

    assert drawn == sampling.sample(CASES, 20, seed="a")
    assert len(set(drawn)) == 20
    assert drawn == sorted(drawn, key=CASES.index)


def test_another_commit_draws_other_cases_and_many_commits_draw_all() -> None:
    draws = [sampling.sample(CASES, 20, seed=str(commit)) for commit in range(100)]

    assert draws[0] != draws[1]
    assert set().union(*draws) == set(CASES)


def test_a_long_run_takes_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "IS_LONG", True)

    assert sampling.sample(CASES, 20, seed="a") == CASES


def test_a_program_that_the_machine_lacks_fails_the_test_in_ci_and_skips_it_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = capabilities.lack("program", "no-such-program-anywhere")
    assert "no-such-program-anywhere" in reason

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program-anywhere"):
        capabilities.skip_or_fail(reason)
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no-such-program-anywhere"):
        capabilities.skip_or_fail(reason)


def test_what_is_there_is_no_lack_and_an_unknown_need_is_a_mistake() -> None:
    assert capabilities.lack("module", "msgspec") == ""
    assert "no_such_module" in capabilities.lack("module", "no_such_module")
    assert capabilities.lack("folder", "/") == ""
    assert "/no/such/folder" in capabilities.lack("folder", "/no/such/folder")
    with pytest.raises(ValueError, match="planet"):
        capabilities.lack("planet", "mars")


def test_waiting_for_what_never_comes_names_it() -> None:
    with pytest.raises(AssertionError, match="the moon did not happen"):
        waiting.until(lambda: False, what="the moon", within_s=0.02)
