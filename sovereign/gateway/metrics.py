"""Counters in Prometheus' text format. Labels are words of the configuration and of this code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

__all__ = ["Metrics"]

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)

_HELP = {
    "sovereign_requests_total": "Requests by endpoint, destination and outcome.",
    "sovereign_verdicts_total": "Verdicts by destination and verb.",
    "sovereign_refusals_total": "Refused requests by code.",
    "sovereign_audit_failures_total": "Records that could not be made durable.",
}


class Metrics:
    """All numbers of one gateway. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._sums: dict[str, float] = {}
        self._buckets: dict[str, list[int]] = {}
        self.in_flight = 0

    def count(self, name: str, **labels: str) -> None:
        """One more of ``name``; its labels are a small closed set."""
        self._counts[name, tuple(labels.items())] += 1

    def observe(self, name: str, seconds: float) -> None:
        """One duration."""
        buckets = self._buckets.setdefault(name, [0] * (len(BUCKETS_S) + 1))
        self._sums[name] = self._sums.get(name, 0.0) + seconds
        place = next((i for i, b in enumerate(BUCKETS_S) if seconds <= b), len(BUCKETS_S))
        buckets[place] += 1

    def text(self) -> str:
        """The page at /metrics."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield "# TYPE sovereign_requests_in_flight gauge"
        yield f"sovereign_requests_in_flight {self.in_flight}"
        for name, text in _HELP.items():
            yield f"# HELP {name} {text}"
            yield f"# TYPE {name} counter"
            for (counted, labels), value in sorted(self._counts.items()):
                if counted == name:
                    shown = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels)
                    yield f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"
        for name, buckets in sorted(self._buckets.items()):
            yield f"# TYPE {name} histogram"
            total = 0
            for bound, n in zip(BUCKETS_S, buckets, strict=False):
                total += n
                yield f'{name}_bucket{{le="{bound:g}"}} {total}'
            total += buckets[-1]
            yield f'{name}_bucket{{le="+Inf"}} {total}'
            yield f"{name}_sum {self._sums[name]:.6f}"
            yield f"{name}_count {total}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
