"""The numbers page is what Prometheus reads."""

from __future__ import annotations

from sovereign.gateway.metrics import Metrics


def test_counters_and_histograms_in_text_form() -> None:
    """Buckets add up; labels are quoted."""
    metrics = Metrics()
    metrics.count("sovereign_refusals_total", code='a"b')
    metrics.count("sovereign_refusals_total", code='a"b')
    for seconds in (0.0005, 0.2, 100):
        metrics.observe("sovereign_request_seconds", seconds)
    lines = metrics.text().splitlines()
    assert 'sovereign_refusals_total{code="a\\"b"} 2' in lines
    assert 'sovereign_request_seconds_bucket{le="0.001"} 1' in lines
    assert 'sovereign_request_seconds_bucket{le="0.25"} 2' in lines
    assert 'sovereign_request_seconds_bucket{le="60"} 2' in lines
    assert 'sovereign_request_seconds_bucket{le="+Inf"} 3' in lines
    assert "sovereign_request_seconds_count 3" in lines
