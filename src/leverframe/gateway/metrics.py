"""Counts and histograms in the text format of Prometheus, of one worker or of several added up.

Never: labels anything with a tenant, a key or a run, of which there may be very many.
Source: Prometheus, text-based exposition format 0.0.4; OpenMetrics names.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import msgspec

_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MICRO: Final = 1_000_000
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS_S) + 1))
    total_s: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(_BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def add(self, counts: list[int], total_s: float) -> None:
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, counts, strict=True)]
        self.total_s += total_s


class Counts(msgspec.Struct):
    """All of it as a value that one worker writes and another reads.  Histograms are their counts and their sum."""

    requests: list[tuple[str, int, int]]
    refusals: list[tuple[str, str, int]]
    tokens: list[tuple[str, str, int]]
    cost: list[tuple[str, int]]
    durations: dict[str, tuple[list[int], float]]
    first_bytes: dict[str, tuple[list[int], float]]
    streams: int
    in_flight: int
    waiting: int


class Metrics:
    """What a worker has served since it began."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._cost: Counter[str] = Counter()
        self._durations: dict[str, _Histogram] = {}
        self._first_bytes: dict[str, _Histogram] = {}
        self.workers = 1
        self.streams = 0
        self.in_flight = 0
        self.waiting = 0  # proposals that wait for the disk

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests[route, status] += 1
        histogram = self._durations.get(route)
        if histogram is None:
            histogram = self._durations[route] = _Histogram()
        histogram.observe(seconds)

    def first_byte(self, route: str, seconds: float) -> None:
        """The vendor's first byte came after this long."""
        histogram = self._first_bytes.get(route)
        if histogram is None:
            histogram = self._first_bytes[route] = _Histogram()
        histogram.observe(seconds)

    def refusal(self, route: str, slug: str) -> None:
        """A call was refused."""
        self._refusals[route, slug] += 1

    def used(self, model: str, *, input_tokens: int, output_tokens: int, cost_microusd: int) -> None:
        """A model's answer was settled."""
        self._tokens[model, "input"] += input_tokens
        self._tokens[model, "output"] += output_tokens
        self._cost[model] += cost_microusd

    def counts(self) -> Counts:
        """All of it as a value."""
        return Counts(
            requests=[(*key, count) for key, count in self._requests.items()],
            refusals=[(*key, count) for key, count in self._refusals.items()],
            tokens=[(*key, count) for key, count in self._tokens.items()],
            cost=list(self._cost.items()),
            durations={route: (one.counts, one.total_s) for route, one in self._durations.items()},
            first_bytes={route: (one.counts, one.total_s) for route, one in self._first_bytes.items()},
            streams=self.streams,
            in_flight=self.in_flight,
            waiting=self.waiting,
        )

    def add(self, counts: Counts, *, is_alive: bool) -> None:
        """Count what another worker served; what is under way in it only while it lives."""
        for route, status, count in counts.requests:
            self._requests[route, status] += count
        for route, slug, count in counts.refusals:
            self._refusals[route, slug] += count
        for model, kind, count in counts.tokens:
            self._tokens[model, kind] += count
        for model, count in counts.cost:
            self._cost[model] += count
        for mine, theirs in ((self._durations, counts.durations), (self._first_bytes, counts.first_bytes)):
            for route, (found, total_s) in theirs.items():
                mine.setdefault(route, _Histogram()).add(found, total_s)
        if is_alive:
            self.workers += 1
            self.streams += counts.streams
            self.in_flight += counts.in_flight
            self.waiting += counts.waiting

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        lines: list[str] = []
        _family(lines, "leverframe_requests_total", "counter", "Requests answered, by route and status.")
        for (route, status), count in sorted(self._requests.items()):
            lines.append(_line("leverframe_requests_total", (("route", route), ("status", str(status))), count))
        _family(lines, "leverframe_refusals_total", "counter", "Calls refused, by route and problem.")
        for (route, slug), count in sorted(self._refusals.items()):
            lines.append(_line("leverframe_refusals_total", (("route", route), ("problem", slug)), count))
        _family(lines, "leverframe_tokens_total", "counter", "Tokens used, or estimated where nobody said.")
        for (model, kind), count in sorted(self._tokens.items()):
            lines.append(_line("leverframe_tokens_total", (("model", model), ("kind", kind)), count))
        _family(lines, "leverframe_cost_dollars_total", "counter", "What answers cost, in US dollars.")
        for model, cost in sorted(self._cost.items()):
            lines.append(_line("leverframe_cost_dollars_total", (("model", model),), cost / _MICRO))
        _histograms(lines, "leverframe_request_seconds", "Time until an answer had ended.", self._durations)
        _histograms(lines, "leverframe_first_byte_seconds", "Time until the vendor's first byte.", self._first_bytes)
        _family(lines, "leverframe_streams", "gauge", "Streams that are open now.")
        lines.append(_line("leverframe_streams", (), self.streams))
        _family(lines, "leverframe_in_flight", "gauge", "Requests that are being answered now.")
        lines.append(_line("leverframe_in_flight", (), self.in_flight))
        _family(lines, "leverframe_waiting_commits", "gauge", "Proposals that wait for the database now.")
        lines.append(_line("leverframe_waiting_commits", (), self.waiting))
        _family(lines, "leverframe_workers", "gauge", "Workers that serve now.")
        lines.append(_line("leverframe_workers", (), self.workers))
        return ("\n".join(lines) + "\n").encode()


def _histograms(lines: list[str], name: str, said: str, found: dict[str, _Histogram]) -> None:
    _family(lines, name, "histogram", said)
    for route, histogram in sorted(found.items()):
        labels = (("route", route),)
        seen = 0
        for bound, count in zip(_BOUNDS_S, histogram.counts, strict=False):
            seen += count
            lines.append(_line(f"{name}_bucket", (*labels, ("le", f"{bound:g}")), seen))
        total = sum(histogram.counts)
        lines.append(_line(f"{name}_bucket", (*labels, ("le", "+Inf")), total))
        lines.append(_line(f"{name}_sum", labels, histogram.total_s))
        lines.append(_line(f"{name}_count", labels, total))


def _family(lines: list[str], name: str, kind: str, said: str) -> None:
    lines.append(f"# HELP {name} {said}")
    lines.append(f"# TYPE {name} {kind}")


def _line(name: str, labels: Labels, value: float) -> str:
    told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    # Every digit: one that is rounded stands still, and then leaps.
    return f"{name}{{{told}}} {value!r}" if told else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
