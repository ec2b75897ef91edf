"""Numbers in Prometheus' text format. Labels are words of the configuration and of this code.

A gateway of several workers shows the numbers of all of them, each with the label ``worker``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Metrics", "render"]

BUCKETS_S = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0),
    300.0,
)

_HELP = {
    "sovereign_requests_total": "Requests by endpoint, destination and outcome.",
    "sovereign_verdicts_total": "Verdicts by destination and verb.",
    "sovereign_refusals_total": "Refused requests by code.",
    "sovereign_limited_total": "Requests over a rate or budget, by team and code.",
    "sovereign_tokens_total": "Tokens as destinations reported them, by team and direction.",
    "sovereign_upstream_tries_total": "Sendings to a destination, further tries included.",
    "sovereign_audit_failures_total": "Records that could not be made durable.",
    "sovereign_usage_failures_total": "Ended requests whose use could not be counted.",
    "sovereign_log_failures_total": "Results of requests that were not recorded.",
    "sovereign_traces_dropped_total": "Spans that no collector took.",
    "sovereign_policy_reloads_total": "Policy files that were read again, by outcome.",
    "sovereign_guard_cache_total": "Texts that the guard had seen before, or not.",
    "sovereign_requests_in_flight": "Requests under way.",
    "sovereign_guard_queue": "Requests that the guard looks at, or that wait for it.",
    "sovereign_guard_stuck": "Requests given up on which the guard's work has not come to an end.",
    "sovereign_policy_broken": "1 while the policy file is broken and an older one is in use.",
    "sovereign_draining": "1 from SIGTERM on.",
    "sovereign_request_seconds": "From a request's first byte to its answer's last.",
    "sovereign_guard_seconds": "From a request's first byte to the guard's verdict.",
    "sovereign_audit_seconds": "Until an intent was durable.",
    "sovereign_upstream_seconds": "Until a destination began to answer.",
    "sovereign_first_event_seconds": "From a request's first byte to its stream's first event.",
}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """All numbers of one worker. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, Labels], int] = {}
        self._gauges: dict[str, float] = {}
        self._sums: dict[tuple[str, Labels], float] = {}
        self._buckets: dict[tuple[str, Labels], list[int]] = {}
        self.in_flight = 0

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """``amount`` more of ``name``; its labels are a small closed set."""
        key = name, tuple(labels.items())
        self._counts[key] = self._counts.get(key, 0) + amount

    def total(self, name: str, value: int, **labels: str) -> None:
        """``name`` as somebody else counts it."""
        self._counts[name, tuple(labels.items())] = value

    def gauge(self, name: str, value: float) -> None:
        """``name`` as it is now."""
        self._gauges[name] = value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """One duration."""
        key = name, tuple(labels.items())
        buckets = self._buckets.get(key)
        if buckets is None:
            buckets = self._buckets[key] = [0] * (len(BUCKETS_S) + 1)
            self._sums[key] = 0.0
        self._sums[key] += seconds
        buckets[bisect_left(BUCKETS_S, seconds)] += 1

    def snapshot(self) -> dict[str, Any]:
        """Everything as JSON, for :func:`render` in another process."""
        gauges = {**self._gauges, "sovereign_requests_in_flight": self.in_flight}
        return {
            "counters": [[name, labels, n] for (name, labels), n in self._counts.items()],
            "gauges": [[name, (), value] for name, value in gauges.items()],
            "histograms": [
                [name, labels, self._sums[name, labels], buckets]
                for (name, labels), buckets in self._buckets.items()
            ],
        }

    def text(self) -> str:
        """The page at /metrics of a gateway with one worker."""
        return render({"": self.snapshot()})


def render(snapshots: Mapping[str, Mapping[str, Any]]) -> str:
    """One page of all workers' snapshots; ``""`` is one that needs no label."""
    families: dict[str, tuple[str, list[str]]] = {}
    for worker, snapshot in snapshots.items():
        own = [("worker", worker)] if worker else []
        for kind, entries in snapshot.items():
            for name, labels, *values in entries:
                _, lines = families.setdefault(name, (kind.removesuffix("s"), []))
                lines += _lines(name, [*own, *map(tuple, labels)], kind, values)
    page: list[str] = []
    for name, (kind, lines) in sorted(families.items()):
        page += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} {kind}", *sorted(lines, key=_of)]
    return "".join(f"{line}\n" for line in page)


def _of(line: str) -> str:
    """Stable: a histogram's lines stay in their order."""
    return "" if "_bucket{" in line or "_sum" in line or "_count" in line else line


def _lines(name: str, labels: list[tuple[str, str]], kind: str, values: list[Any]) -> Iterator[str]:
    if kind != "histograms":
        yield (
            f"{name}{_shown(labels)} {values[0]:g}"
            if kind == "gauges"
            else (f"{name}{_shown(labels)} {values[0]}")
        )
        return
    total_s, buckets = values
    total = 0
    for bound, n in zip(BUCKETS_S, buckets, strict=False):
        total += n
        yield f"{name}_bucket{_shown([*labels, ('le', f'{bound:g}')])} {total}"
    total += buckets[-1]
    yield f"{name}_bucket{_shown([*labels, ('le', '+Inf')])} {total}"
    yield f"{name}_sum{_shown(labels)} {total_s:.6f}"
    yield f"{name}_count{_shown(labels)} {total}"


def _shown(labels: list[tuple[str, str]]) -> str:
    shown = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels)
    return f"{{{shown}}}" if shown else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
