"""A loop of refusals leaves so many records, and the count of the others."""

from leverframe.runtime.door.refusal_tally import RefusalTally


def test_refusals_of_people_and_bursts_are_recorded_each_by_itself() -> None:
    tally = RefusalTally()

    assert [tally.record(now) for now in range(5_000)] == [0] * 5_000
    assert [tally.record(9_000.0) for _ in range(1_000)] == [0] * 1_000


def test_of_a_loop_of_refusals_few_are_recorded_and_none_goes_uncounted() -> None:
    tally = RefusalTally()
    told = [tally.record(number / 4_000) for number in range(200_000)]  # 50 s

    recorded = [one for one in told if one is not None]

    assert len(recorded) == 1_000 + 199_000 // 100
    assert len(recorded) + sum(recorded) + tally.unrecorded == 200_000
    assert tally.unrecorded < 100


def test_what_was_not_recorded_is_told_with_the_next_refusal_of_a_later_minute() -> None:
    tally = RefusalTally()
    for _ in range(1_050):
        tally.record(0.0)

    assert [tally.record(61.0), tally.record(61.0)] == [50, 0]
