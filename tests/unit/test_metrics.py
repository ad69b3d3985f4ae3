"""What `/metrics` says of counts that have grown for a while."""

from leverframe.gateway.metrics import Counts, Metrics


def told(metrics: Metrics, name: str) -> float:
    """The one value of a name."""
    (line,) = [one for one in metrics.text().decode().splitlines() if one.startswith((f"{name} ", f"{name}{{"))]
    return float(line.rpartition(" ")[2])


def test_a_large_count_is_told_to_the_last_unit() -> None:
    metrics = Metrics()
    metrics.add(
        Counts(
            requests=[("openai-chat", 200, 12_345_678)],
            refusals=[],
            tokens=[("vendor/gpt-4", "input", 9_876_543_211)],
            cost=[("vendor/gpt-4", 54_321_987_654)],
            durations={},
            first_bytes={"openai-chat": ([1_234_567] + [0] * 13, 7_654_321.125)},
            streams=0,
            in_flight=0,
            waiting=0,
        ),
        is_alive=False,
    )

    assert told(metrics, "leverframe_requests_total") == 12_345_678
    assert told(metrics, "leverframe_tokens_total") == 9_876_543_211
    assert told(metrics, "leverframe_cost_dollars_total") == 54_321.987654
    assert told(metrics, "leverframe_first_byte_seconds_count") == 1_234_567
    assert told(metrics, "leverframe_first_byte_seconds_sum") == 7_654_321.125
