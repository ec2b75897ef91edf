"""OTLP/JSON, read by OpenTelemetry's own protocol buffers, and pushed to a real server."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import exports
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from sovereign.audit.export import otel
from sovereign.errors import AuditError, ConfigError


def parsed(batch: bytes) -> Any:
    """Unknown or misspelt fields are errors."""
    return json_format.Parse(batch, ExportLogsServiceRequest())


def test_every_record_is_a_log_record_of_the_protocol() -> None:
    """Types, nesting and 64-bit integers as OTLP/JSON writes them; in batches of bounded size."""
    entries = exports.every() * 12
    batches = list(otel.batches(entries, origin="example.org/log", version="0.1.0"))
    made = [parsed(b).resource_logs[0].scope_logs[0].log_records for b in batches]
    assert len(batches) > 1
    assert all(0 < len(records) <= otel.BATCH for records in made)
    assert sum(map(len, made)) == len(entries)
    first = made[0][0]
    said = {a.key: a.value for a in first.attributes}
    assert first.event_name == "sovereign.request.intent"
    assert first.time_unix_nano == 1_782_892_800_123_000_000
    assert said["sovereign.index"].int_value == 7
    assert said["sovereign.stream"].bool_value is True
    entities = said["sovereign.entities"].kvlist_value.values
    assert entities[0].key == "PERSON"
    assert entities[0].value.kvlist_value.values[0].value.int_value == 2


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes what it is sent, or answers as it is told to."""

    got: ClassVar[list[tuple[str, str | None, bytes]]] = []
    status, answer = 200, b"{}"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Collector.got.append((self.path, self.headers["Authorization"], body))
        self.send_response(Collector.status)
        self.send_header("Content-Length", str(len(Collector.answer)))
        self.end_headers()
        self.wfile.write(Collector.answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Collector, "got", [])
    server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/logs"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_push_goes_to_the_endpoint_with_its_token(collector: str) -> None:
    """The bytes are the batch's."""
    (batch,) = otel.batches([exports.entry("log.heartbeat")], origin="o", version="v")
    otel.push(batch, collector, "t0ken")
    assert Collector.got == [("/v1/logs", "Bearer t0ken", batch)]


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (503, b"{}", "answered 503"),
        (301, b"", "answered 301"),
        (200, b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}', "rejected 3"),
    ],
)
def test_what_was_not_taken_whole_is_an_error(
    collector: str, monkeypatch: pytest.MonkeyPatch, status: int, answer: bytes, said: str
) -> None:
    """A redirect is not followed: it would lead elsewhere. Nothing of the token is said."""
    monkeypatch.setattr(Collector, "status", status)
    monkeypatch.setattr(Collector, "answer", answer)
    with pytest.raises(AuditError, match=said) as caught:
        otel.push(b"{}", collector, "t0ken")
    assert "t0ken" not in str(caught.value)


def test_nobody_there_is_an_error() -> None:
    """With the host's name, and no traceback."""
    with pytest.raises(AuditError, match="ConnectionRefusedError"):
        otel.push(b"{}", "http://127.0.0.1:9/v1/logs")
    with pytest.raises(ConfigError):
        otel.push(b"{}", "file:///etc/hostname")


def test_a_token_does_not_cross_a_network_in_clear() -> None:
    """Over http only to this machine."""
    with pytest.raises(ConfigError, match="https"):
        otel.push(b"{}", "http://collector.example/v1/logs", "t0ken")


def test_lines_are_json_without_line_breaks() -> None:
    """The file exporter's format: one message per line."""
    for line in otel.batches(exports.every(), origin="o", version="v"):
        assert line.count(b"\n") == 1
        assert list(json.loads(line)) == ["resourceLogs"]
