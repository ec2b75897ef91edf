"""OpenTelemetry logs as OTLP/JSON: to a file, a batch per line, or to a collector's endpoint.

Specifications: opentelemetry.io/docs/specs/otlp (JSON encoding, /v1/logs) and
docs/specs/otel/protocol/file-exporter. A push goes to the URL it is given, and nowhere else.
"""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from sovereign.audit.export.records import Entry, severity
from sovereign.errors import AuditError, ConfigError

__all__ = ["batches", "push"]

BATCH = 512
SECONDS = 30.0
MOST_ANSWER = 1 << 16
_SEVERITY = ((8, 17, "ERROR"), (5, 13, "WARN"), (0, 9, "INFO"))


def batches(entries: Iterable[Entry], *, origin: str, version: str) -> Iterator[bytes]:
    """ExportLogsServiceRequest messages of at most :data:`BATCH` records, one per line."""
    entries = iter(entries)
    while batch := list(itertools.islice(entries, BATCH)):
        resource = {
            "attributes": _attributes({"service.name": "sovereign", "sovereign.log": origin})
        }
        scope = {"name": "sovereign.audit", "version": version}
        records = [_record(entry) for entry in batch]
        message = {
            "resourceLogs": [
                {
                    "resource": resource,
                    "scopeLogs": [{"scope": scope, "logRecords": records}],
                }
            ]
        }
        yield json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _record(entry: Entry) -> dict[str, Any]:
    """64-bit integers are strings in OTLP/JSON."""
    record = entry.record
    number, text = next((n, t) for ours, n, t in _SEVERITY if severity(record) >= ours)
    said: dict[str, Any] = {
        "sovereign.index": entry.index,
        "sovereign.leaf": entry.leaf.hex(),
        "sovereign.source": record["source"],
        "sovereign.seq": record["seq"],
    }
    said |= {f"sovereign.{name}": value for name, value in entry.fields.items()}
    if "model" in record:
        said["gen_ai.request.model"] = record["model"]
    nanoseconds = str(entry.milliseconds * 1_000_000)
    return {
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": number,
        "severityText": text,
        "eventName": f"sovereign.{record['type']}",
        "attributes": _attributes(said),
    }


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if type(value) is bool:
        return {"boolValue": value}
    if type(value) is int:
        return {"intValue": str(value)}
    if type(value) is list:
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    if type(value) is dict:
        return {"kvlistValue": {"values": _attributes(value)}}
    return {"stringValue": str(value)}


def push(batch: bytes, endpoint: str, token: str | None = None) -> None:
    """POST one message to ``endpoint``, with ``token`` as a bearer's. Raises :class:`AuditError` if
    it was not taken whole; neither the answer's words nor the token are in the message."""
    parts = urlsplit(endpoint)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise ConfigError("audit.otlp_endpoint is an http or https URL")
    headers = {"Content-Type": "application/json"}
    if token is not None:
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigError(
                "audit.otlp_token_env: a token goes over https, or to this machine",
                hint='[audit] otlp_endpoint = "https://…"',
            )
        headers["Authorization"] = f"Bearer {token}"
    connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=SECONDS)
    try:
        connection.request("POST", parts.path or "/v1/logs", batch, headers)
        response = connection.getresponse()
        status, answer = response.status, response.read(MOST_ANSWER)
    except (OSError, http.client.HTTPException) as e:
        raise AuditError(f"collector at {parts.netloc}: {type(e).__name__}") from None
    finally:
        connection.close()
    if status != http.client.OK:
        raise AuditError(f"collector at {parts.netloc} answered {status}")
    if rejected := _rejected(answer):
        raise AuditError(f"collector at {parts.netloc} rejected {rejected} records of a batch")


def _rejected(answer: bytes) -> int:
    """ "partial_success": how many records the collector did not take."""
    try:
        return int(
            json.loads(answer or b"{}").get("partialSuccess", {}).get("rejectedLogRecords", 0)
        )
    except (ValueError, AttributeError, TypeError):
        return 0
